"""Things in memory as sources: lists, arrays, data frames and Hugging Face data sets; none of them is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.data.cells import CellError, is_missing, series_of, symbols_of, text_of
from rekur.data.source import Row, Source, check_names
from rekur.errors import InputError, ShapeError, describe

_ROWS_A_BLOCK = 1000
_ROWS_LOOKED_AT = 100
_EXPECTED = (
    "a list of items, a list of dicts, a dict of columns, an array (N, T, D), "
    "a pandas or polars DataFrame, or a datasets.Dataset"
)


class MemorySource(Source):
    """Rows of something in memory; see :func:`from_memory`.

    Args:
        name: what stands for the data in messages.
        format: what the data is, such as ``"pandas"``.
        columns: the names of the columns.
        read: gives an iterator over the values of each row, anew at each call.
    """

    unit = "row"

    def __init__(self, name: str, format: str, columns: Sequence[Any], read: Any) -> None:
        self.name, self.format, self._read = name, format, read
        self.columns = check_names(self, [str(column) for column in columns])

    def rows(self) -> Iterator[Row]:
        """Yield each row; missing values are None."""
        for number, values in enumerate(self._read(), 1):
            pairs = values.items() if isinstance(values, Mapping) else zip(self.columns, values, strict=True)
            yield Row(((str(k), None if _is_missing(v) else v) for k, v in pairs), number)


def from_memory(data: Any, labels: Any = None, *, name: str = "data") -> Source:
    """Return a source over something in memory.

    Args:
        data: a list of items (column ``item``), a list of dicts, a dict of columns of one length, a NumPy array
            (N, T, D) or of objects (column ``item``), a pandas or polars DataFrame, a ``datasets.Dataset`` or
            another data set that gives dicts. It is read in place, not copied; a data set is read in blocks.
        labels: one a row (column ``label``), with a list of items or an array only.
        name: what stands for the data in messages.

    Raises:
        InputError: for anything else, an iterator that could be read only once, or labels of another length.

    Example:
        >>> source = from_memory(["good", "bad"], [1, 0])
        >>> source.columns, list(source.rows())
        (['item', 'label'], [{'item': 'good', 'label': 1}, {'item': 'bad', 'label': 0}])
    """
    if isinstance(data, Source):
        return data
    table = _table(data, name)
    if table is None:
        return _items(data, labels, name)
    if labels is not None:
        raise InputError("labels: got some next to a table; expected None. Name the table's own column of labels.")
    return table


def _table(data: Any, name: str) -> Source | None:
    if isinstance(data, Mapping):
        sizes = {key: len(column) for key, column in data.items()}
        if len(set(sizes.values())) > 1:
            raise InputError(f"{name}: got columns of lengths {sizes}; expected one length.")
        columns = list(data.values())
        return MemorySource(name, "dict of columns", list(data), lambda: zip(*columns, strict=True))
    if hasattr(data, "iter_rows") and hasattr(data, "columns"):
        return MemorySource(name, "polars", list(data.columns), lambda: data.iter_rows())
    if hasattr(data, "itertuples") and hasattr(data, "columns"):
        return MemorySource(name, "pandas", list(data.columns), lambda: data.itertuples(index=False, name=None))
    if hasattr(data, "column_names"):
        is_sized = isinstance(data, Sized) and hasattr(data, "__getitem__")
        columns = data.column_names or list(next(iter(data), {}))
        return MemorySource(name, "datasets", columns, lambda: _blocks(data, columns) if is_sized else iter(data))
    if isinstance(data, list | tuple) and data and isinstance(data[0], Mapping):
        columns = list(dict.fromkeys(key for row in _dicts(data[:_ROWS_LOOKED_AT], name) for key in row))
        return MemorySource(name, "list of dicts", columns, lambda: _dicts(data, name))
    return None


def _items(data: Any, labels: Any, name: str) -> Source:
    if hasattr(data, "to_numpy") and hasattr(data, "name"):  # one column of a data frame
        data = data.to_numpy()
    if isinstance(data, str | bytes) or not isinstance(data, Sequence | np.ndarray):
        shown = type(data).__name__
        fix = "Put it into a list." if isinstance(data, str | Iterator) else ""
        raise InputError(describe(name, shown, _EXPECTED, fix))
    if isinstance(data, np.ndarray) and data.dtype.kind not in "OUT" and data.ndim != 3:
        raise _wrong_axes(name, data)
    if labels is None:
        return MemorySource(name, "items", ["item"], lambda: ((item,) for item in data))
    if not hasattr(labels, "__len__") or len(labels) != len(data):
        got = len(labels) if hasattr(labels, "__len__") else type(labels).__name__
        raise InputError(describe("labels", got, f"{len(data)}, one for each item"))
    values = labels.tolist() if hasattr(labels, "tolist") else labels
    return MemorySource(name, "items", ["item", "label"], lambda: zip(data, values, strict=True))


def _wrong_axes(name: str, data: NDArray[Any]) -> ShapeError:
    fix = " For one value a step, give x[:, :, None]." if data.ndim == 2 else ""
    return ShapeError(f"{name}: got an array of shape {data.shape}; expected (N, T, D).{fix}")


def _dicts(data: Sequence[Any], name: str) -> Iterator[Mapping[Any, Any]]:
    for number, row in enumerate(data, 1):
        if not isinstance(row, Mapping):
            raise InputError(describe(f"{name}, row {number}", type(row).__name__, "a dict, as in row 1"))
        yield row


def _blocks(data: Any, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(data), _ROWS_A_BLOCK):
        block = data[start : start + _ROWS_A_BLOCK]
        yield from zip(*(block[column] for column in columns), strict=True)


def _is_missing(value: Any) -> bool:
    return not isinstance(value, str) and is_missing(value)


def as_sequences(items: Any, kind: str | None = None, *, name: str = "X") -> list[Any]:
    """Return a list of sequences after checking each one.

    Args:
        items: a list of texts, of lists of codes, or of series (T,) or (T, D) that may differ in T; or an array
            (N, T, D).
        kind: ``"text"``, ``"symbols"`` or ``"series"``; ``None`` takes it from the first item: text for str,
            symbols for a list of str, else series.
        name: what the items are called in messages.

    Returns:
        str for text; str or a list of str for symbols; float64 (T, D) for series, all with one D.

    Raises:
        InputError: for something that is no list of sequences; it names the first bad item, from 0.
        ShapeError: for an array of other axes, or series of differing D.

    Example:
        >>> [x.shape for x in as_sequences([[1, 2, 3], [4]])]
        [(3, 1), (1, 1)]
    """
    if isinstance(items, np.ndarray) and items.dtype.kind not in "OUT" and items.ndim != 3:
        raise _wrong_axes(name, items)
    if hasattr(items, "to_numpy") and hasattr(items, "name"):
        items = items.to_numpy()
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Sequence | np.ndarray):
        fix = "Put it into a list." if isinstance(items, str | Iterator) else ""
        raise InputError(describe(name, type(items).__name__, "a list of sequences", fix))
    if len(items) == 0:
        raise InputError(f"{name}: got 0 sequences; expected 1 or more.")
    read = {"text": text_of, "symbols": symbols_of, "series": series_of}[kind or _kind(items[0])]
    sequences: list[Any] = []
    width = 0
    for i, item in enumerate(items):
        try:
            sequence = read(item, f"{name}[{i}]")
        except CellError as error:
            raise InputError(str(error)) from None
        if isinstance(sequence, np.ndarray) and len(sequence):
            width = width or sequence.shape[1]
            if sequence.shape[1] != width:
                raise ShapeError(describe(f"{name}[{i}]: channels", sequence.shape[1], f"{width}, as above"))
        sequences.append(sequence)
    return sequences


def _kind(first: Any) -> str:
    if isinstance(first, str):
        return "text"
    is_list = isinstance(first, list | tuple) and len(first) > 0 and isinstance(first[0], str)
    return "symbols" if is_list else "series"
