"""What happened in a run: one row an evaluation, kept in memory, as JSON lines and for TensorBoard."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from rekur import _check
from rekur._paths import resolve_folder
from rekur.errors import InputError, SaveError, describe

Row = dict[str, Any]


class History:
    """Rows of numbers, appended to ``history.jsonl`` as they come.

    Args:
        folder: where ``history.jsonl`` is written; None keeps the rows in memory only. It is made with the first row.
        tensorboard: also write event files for TensorBoard into ``folder/tensorboard``.
        lines: write ``history.jsonl``; without, event files alone.

    Raises:
        InputError: ``folder`` cannot be a folder, or its ``history.jsonl`` holds something else.
        SaveError: the folder may not be written.
    """

    def __init__(self, folder: Path | None = None, *, tensorboard: bool = False, lines: bool = True) -> None:
        self.rows: list[Row] = []
        self._folder = folder
        self._file = folder / "history.jsonl" if folder is not None and lines else None
        self._board: Any = None
        self._purged: int | None = None
        self._writes_board = tensorboard and folder is not None
        if self._writes_board:
            _check.need("tensorboard", "tensorboard", "tensorboard=True")
        if folder is not None:
            resolve_folder(folder)
        if self._file is not None:
            _check_file(self._file)

    def add(self, row: Row) -> None:
        """Append one row; numbers go to TensorBoard under their names, at ``row["step"]``.

        Raises:
            SaveError: it could not be written; in memory it is kept.
        """
        self.rows.append(row)
        self._write([row], "a")
        if self._writes_board:
            self._add_to_board(row)

    def restore(self, rows: list[Row]) -> None:
        """Begin with these rows: those of a run that is gone on with, up to where it stood.

        Raises:
            SaveError: they could not be written; in memory they are kept.
        """
        self.rows = list(rows)
        self.close()
        self._purged = 1 + max((row["step"] for row in rows), default=0)
        self._write(rows, "w")

    def _write(self, rows: list[Row], mode: str) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open(mode, encoding="utf-8") as out:
                out.write("".join(json.dumps(row) + "\n" for row in rows))
        except OSError as error:
            raise _not_written(self._file, error) from error

    def _add_to_board(self, row: Row) -> None:
        """Write a row's numbers for TensorBoard, into an event file that is opened with the first row."""
        folder = Path(self._folder or "") / "tensorboard"
        try:
            if self._board is None:
                self._board = _Events(folder, self._purged)
            numbers = {name: value for name, value in row.items() if isinstance(value, int | float) and name != "step"}
            self._board.add(row.get("step", len(self.rows)), numbers)
        except OSError as error:
            self._writes_board = False
            raise _not_written(folder, error) from error

    def close(self) -> None:
        """Close what TensorBoard reads."""
        if self._board is not None:
            with contextlib.suppress(OSError):
                self._board.close()
            self._board = None


class _Events:
    """An event file for TensorBoard. PyTorch's writer has a thread, whose errors would be shown as a traceback.

    Args:
        folder: where it is made.
        purged: what earlier files say of this step and later ones does not count.
    """

    def __init__(self, folder: Path, purged: int | None) -> None:
        self._kinds: Any = _check.need("tensorboard.compat.proto.event_pb2", "tensorboard", "tensorboard=True")
        writer: Any = _check.need("tensorboard.summary.writer.record_writer", "tensorboard", "tensorboard=True")
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**9}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}"
        self._writer = writer.RecordWriter((folder / name).open("wb"))
        self._write(file_version="brain.Event:2")
        if purged is not None:
            self._write(step=purged, session_log=self._kinds.SessionLog(status=self._kinds.SessionLog.START))

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Write numbers of a step, under their names."""
        values = [{"tag": name, "simple_value": value} for name, value in numbers.items()]
        self._write(step=step, summary={"value": values})

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, **what: Any) -> None:
        self._writer.write(self._kinds.Event(wall_time=time.time(), **what).SerializeToString())
        self._writer.flush()


_NUMBERS = itertools.count()


def _not_written(path: Path, error: OSError) -> SaveError:
    fix = "Make room, or choose another folder."
    return SaveError(describe(str(path), error.strerror or str(error), "a place that can be written", fix))


def _check_file(file: Path) -> None:
    """Raise if what stands there is no history, since rows would be appended to it."""
    if not os.path.lexists(file):
        return
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            first = next(lines, "")
        row = json.loads(first) if first else {"step": 0}
    except (OSError, ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or "step" not in row:
        expected = "a new file, or the rows of an earlier training"
        raise InputError(describe("file", str(file), expected, "Choose another folder, or move the file away."))
