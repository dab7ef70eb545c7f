"""Rows of differing length in one flat array, in memory or in a temporary file that the system pages in."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from rekur._check import whole
from rekur.errors import InputError, SaveError, ShapeError

SPILL_BYTES = 256 * 2**20
_CHUNK_BYTES, _CHUNK_ROWS = 2**20, 4096

Array = NDArray[np.generic]


class Ragged:
    """Rows (T_i,) or (T_i, D) behind one another: row i is ``values[starts[i] : starts[i] + lengths[i]]``.

    Made by :meth:`from_iter`. A row is a view, never a copy; :meth:`take` copies no values either. Beyond
    ``spill_bytes`` the values stand in a temporary file, removed by :meth:`close` or when nothing refers to it.

    Args:
        values: all steps, (N,) or (N, D).
        offsets: int64 (rows + 1,), where each row begins; the last is N.

    Attributes:
        values: all steps.
        lengths: int64 (rows,), steps in each row; 0 is allowed.

    Example:
        >>> rows = Ragged.from_iter([np.array([1, 2, 3]), np.array([], int), np.array([4])])
        >>> len(rows), rows.lengths.tolist(), rows[0].tolist()
        (3, [3, 0, 1], [1, 2, 3])
    """

    values: Array
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __init__(self, values: Array, offsets: NDArray[np.int64]) -> None:
        if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(values) or np.any(np.diff(offsets) < 0):
            raise InputError(f"offsets: got {offsets}; expected 0, rising, to {len(values)} steps.")
        self.values = values
        self.starts = np.asarray(offsets[:-1], dtype=np.int64)
        self.lengths = np.diff(offsets).astype(np.int64)
        self._file: _Spill | None = None

    @classmethod
    def from_iter(
        cls,
        arrays: Iterable[Array],
        spill_bytes: int = SPILL_BYTES,
        folder: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Gather rows, one at a time.

        Args:
            arrays: rows (T_i,) of whole numbers, or (T_i, D) of numbers, all of one type and one D.
            spill_bytes: above this number of bytes the rows go to a file; 0 or more.
            folder: where that file is made; ``None`` is the system's folder for temporary files.

        Raises:
            ShapeError: for a row of another width or type than the first.
            SaveError: if the temporary file cannot be written.
        """
        named = cls.from_named(({"": row} for row in arrays), spill_bytes, folder)
        return named[""] if named else cls(np.empty(0, np.float32), np.zeros(1, np.int64))

    @classmethod
    def from_named(
        cls,
        items: Iterable[Mapping[str, Array]],
        spill_bytes: int = SPILL_BYTES,
        folder: str | os.PathLike[str] | None = None,
    ) -> dict[str, Self]:
        """Gather several rows an item, one item at a time; return the rows of each name.

        Args:
            items: name -> row, as for :meth:`from_iter`; every item has the same names.
            spill_bytes: above this number of bytes the rows of a name go to a file; 0 or more.
            folder: where that file is made.

        Example:
            >>> rows = Ragged.from_named([{"steps": np.array([4, 5])}, {"steps": np.array([6])}])
            >>> rows["steps"].lengths.tolist()
            [2, 1]
        """
        whole("spill_bytes", spill_bytes, low=0)
        gathered: dict[str, _Gathered] = {}
        try:
            for item in items:
                for name, row in item.items():
                    if name not in gathered:
                        gathered[name] = _Gathered(spill_bytes, folder)
                    gathered[name].add(np.array(row))  # a copy: the giver may write to its own again
            return {name: cls._of(rows) for name, rows in gathered.items()}
        except BaseException:
            for rows in gathered.values():
                rows.drop()
            raise

    @classmethod
    def _of(cls, gathered: _Gathered) -> Self:
        values, lengths = gathered.finish(), np.asarray(gathered.lengths, dtype=np.int64)
        rows = cls(values, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))
        rows._file = gathered.file
        return rows

    @property
    def is_spilled(self) -> bool:
        """Whether the values stand in a file."""
        return self._file is not None

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Array:
        if not -len(self) <= index < len(self):
            raise IndexError(f"row: got {index}; expected a whole number in [0, {len(self) - 1}].")
        start = self.starts[index]
        return self.values[start : start + self.lengths[index]]

    def take(self, indices: NDArray[np.int64] | list[int]) -> Self:
        """Return the rows with these numbers, in this order, over the same values."""
        chosen = np.asarray(indices, dtype=np.int64)
        rows = self.__class__.__new__(self.__class__)
        rows.values, rows._file = self.values, self._file
        rows.starts, rows.lengths = self.starts[chosen], self.lengths[chosen]
        return rows

    def parts(self, rows: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Self:
        """Return parts of rows, which may overlap, over the same values.

        Args:
            rows: number of the row of each part.
            starts: its first step in that row.
            lengths: its number of steps.

        Example:
            >>> rows = Ragged.from_iter([np.array([1, 2, 3]), np.array([4])])
            >>> [row.tolist() for row in rows.parts(np.array([0, 0]), np.array([0, 1]), np.array([2, 2]))]
            [[1, 2], [2, 3]]
        """
        made = self.take(rows)
        made.starts, made.lengths = made.starts + starts, np.asarray(lengths, np.int64)
        return made

    def close(self) -> None:
        """Let the values go, and remove the temporary file; the rows cannot be read after it."""
        self.values = self.values[:0].copy()
        self.starts, self.lengths = self.starts[:0], self.lengths[:0]
        if self._file is not None:
            self._file.remove()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "on disk" if self.is_spilled else "in memory"
        return f"Ragged({len(self)} rows, {int(self.lengths.sum())} steps, {self.values.dtype}, {where})"


class _Spill:
    """A temporary file that goes when nothing refers to it."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        handle, name = tempfile.mkstemp(prefix="rekur-", suffix=".rows", dir=folder)
        self.path = Path(name)
        self.stream: BinaryIO = os.fdopen(handle, "wb")
        self.remove = weakref.finalize(self, _remove, self.stream, self.path)


def _remove(stream: BinaryIO, path: Path) -> None:
    with suppress(OSError):  # what could not be written is not wanted any more
        stream.close()
    path.unlink(missing_ok=True)


@contextmanager
def _writing(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = folder or tempfile.gettempdir()
        fix = "Free some space, or name another folder."
        raise SaveError(f"temporary file in {where}: got '{error.strerror}'; expected room. {fix}") from error


class _Gathered:
    """Rows on their way in: kept in memory, or in a file once they are many."""

    def __init__(self, spill_bytes: int, folder: str | os.PathLike[str] | None) -> None:
        self._spill_bytes, self._folder = spill_bytes, folder
        self._waiting: list[Array] = []
        self._chunks: list[Array] = []  # rows behind one another: an array for each short row would cost more
        self._bytes = self._waiting_bytes = 0
        self._first: Array | None = None
        self.lengths = array("q")
        self.file: _Spill | None = None

    def add(self, row: Array) -> None:
        if row.ndim not in (1, 2) or row.dtype.hasobject:
            got = f"{row.dtype} {row.shape}"
            raise ShapeError(f"row {len(self.lengths)}: got {got}; expected numbers of shape (T,) or (T, D).")
        first = row if self._first is None else self._first
        if row.shape[1:] != first.shape[1:] or row.dtype != first.dtype:
            got, expected = (f"{a.dtype} (T{''.join(f', {n}' for n in a.shape[1:])})" for a in (row, first))
            raise ShapeError(f"row {len(self.lengths)}: got {got}; expected {expected}, as in row 0.")
        if self._first is None:
            self._first = row[:0].copy()
        self.lengths.append(len(row))
        self._waiting.append(row)
        self._bytes += row.nbytes
        self._waiting_bytes += row.nbytes
        too_many = self.file is None and self._bytes > self._spill_bytes
        if too_many or self._waiting_bytes > _CHUNK_BYTES or len(self._waiting) > _CHUNK_ROWS:
            self._settle(too_many)

    def _settle(self, to_file: bool) -> None:
        """Put the rows that wait behind those before."""
        self._chunks.append(self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting))
        self._waiting, self._waiting_bytes = [], 0
        if to_file or self.file is not None:
            with _writing(self._folder):
                self.file = self.file or _Spill(self._folder)
                for chunk in self._chunks:
                    self.file.stream.write(chunk.data.cast("B") if chunk.size else b"")
            self._chunks = []

    def finish(self) -> Array:
        if self._first is None:
            return np.empty(0, np.float32)
        if self._waiting:
            self._settle(False)
        if self.file is None:
            return self._chunks[0] if len(self._chunks) == 1 else np.concatenate(self._chunks)
        with _writing(self._folder):
            self.file.stream.close()
        shape = (sum(self.lengths), *self._first.shape[1:])
        return np.memmap(self.file.path, dtype=self._first.dtype, mode="r", shape=shape)

    def drop(self) -> None:
        if self.file is not None:
            self.file.remove()
