"""Things in memory as sources: lists, arrays, data frames and Hugging Face data sets; none of them is imported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set, Sized
from typing import Any

import numpy as np

from rekur._channels import by_name
from rekur._check import need
from rekur._values import CellError, as_array, is_missing, is_row, scalar
from rekur.data.cells import series_of, symbols_of, text_of, words_or_text
from rekur.data.parquet import rows_of
from rekur.data.source import Row, Source, check_names
from rekur.errors import InputError, ShapeError, describe

_ROWS_A_BLOCK = 1000
_ROWS_LOOKED_AT = 100
_EXPECTED = (
    "a list of items, a list of dicts, a dict of columns, an array (N, T) or (N, T, D), "
    "a pandas or polars DataFrame, a pyarrow Table, or a datasets.Dataset"
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
            (N, T), (N, T, D) or of objects (column ``item``), a pandas or polars DataFrame, a pyarrow Table, a
            ``datasets.Dataset`` or another data set that gives dicts. It is read in place, not copied; a data set is
            read in blocks.
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
        fine = any(getattr(dtype, "time_unit", None) == "ns" for dtype in data.dtypes)
        read = (lambda: zip(*map(_values, data.get_columns()), strict=True)) if fine else data.iter_rows
        return MemorySource(name, "polars", list(data.columns), read)
    if hasattr(data, "itertuples") and hasattr(data, "columns"):
        return MemorySource(name, "pandas", list(data.columns), lambda: data.itertuples(index=False, name=None))
    if hasattr(data, "to_batches") and hasattr(data, "column_names"):
        return MemorySource(name, "pyarrow", data.column_names, lambda: _rows_of_batches(data))
    if hasattr(data, "column_names"):
        is_sized = isinstance(data, Sized) and hasattr(data, "__getitem__")
        columns = data.column_names or list(next(iter(data), {}))
        return MemorySource(name, "datasets", columns, lambda: _blocks(data, columns) if is_sized else iter(data))
    if isinstance(data, list | tuple) and data and isinstance(data[0], Mapping):
        columns = list(dict.fromkeys(key for row in _dicts(data[:_ROWS_LOOKED_AT], name) for key in row))
        return MemorySource(name, "list of dicts", columns, lambda: _dicts(data, name))
    return None


def _rows_of_batches(table: Any) -> Iterator[tuple[Any, ...]]:
    arrow = need("pyarrow", "parquet", "reading pyarrow tables")
    for batch in table.to_batches(max_chunksize=_ROWS_A_BLOCK):
        yield from (tuple(row.values()) for row in rows_of(batch, arrow))


def _values(column: Any) -> Any:
    """Return what gives a column's values; those of polars cut nanoseconds off. Times of a zone become text."""
    if getattr(column.dtype, "time_unit", None) != "ns":
        return column
    if getattr(column.dtype, "time_zone", None):
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.9f%:z")
    return column.to_numpy()


def _items(data: Any, labels: Any, name: str) -> Source:
    data = as_list(data, name, _EXPECTED)
    if labels is None:
        return MemorySource(name, "items", ["item"], lambda: ((item,) for item in data))
    if not hasattr(labels, "__len__") or len(labels) != len(data):
        got = len(labels) if hasattr(labels, "__len__") else type(labels).__name__
        raise InputError(describe("labels", got, f"{len(data)}, one for each item"))
    values = plain_labels(labels)
    return MemorySource(name, "items", ["item", "label"], lambda: zip(data, values, strict=True))


def as_list(items: Any, name: str, expected: str = "a list of sequences") -> Any:
    """Return something with one entry an item, or raise: a list, or an array of two axes or more, or of objects."""
    if not isinstance(items, str | bytes | Mapping | Sequence) and not hasattr(items, "columns"):
        if hasattr(items, "to_list") and hasattr(items, "name"):  # one column of a data frame
            return items.to_list()
        if hasattr(items, "__array__"):
            try:
                items = as_array(items, name)
            except CellError:
                raise
            except (TypeError, ValueError) as error:
                fix = f"It cannot be read as an array: {str(error).rstrip('.')}."
                raise InputError(describe(name, type(items).__name__, expected, fix)) from error
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Sequence | np.ndarray):
        fix = "Put it into a list." if isinstance(items, str | Iterator) else ""
        if isinstance(items, str) and os.path.isfile(items):
            fix = "It is the name of a file: read it with rekur.data.open_source and rekur.data.examples."
        if hasattr(items, "toarray"):
            fix = "A sparse matrix is read by its toarray()."
        if hasattr(items, "columns"):
            fix = "For texts, give one column. For one series in a row, give frame.to_numpy(); for frames, a list."
        raise InputError(describe(name, type(items).__name__, expected, fix))
    if isinstance(items, np.ndarray) and items.ndim not in ((1, 2, 3) if items.dtype.kind in "OUST" else (2, 3)):
        fix = " For one series alone, give [x]." if items.ndim == 1 else ""
        raise ShapeError(f"{name}: got an array of shape {items.shape}; expected (N, T) or (N, T, D).{fix}")
    return items


def plain_labels(
    labels: Any, name: str = "labels", *, count: int | None = None, items: str = "X", per_step: bool = False
) -> list[Any]:
    """Return labels as a list: of an array, a tensor or a column the Python values that it holds.

    Args:
        labels: one label an item; a label may be a list, a set or an array of several.
        name: what the labels are called in messages.
        count: the number of items; None where it is not known.
        items: what the items are called in messages.
        per_step: a label is a list with one entry a step; an array of one axis stays one, whatever it holds.

    Raises:
        InputError: it is no list of labels, or not of one label for each item.

    Example:
        >>> plain_labels(np.array([2**64 - 1], np.uint64))
        [18446744073709551615]
    """
    no_list = isinstance(labels, str | bytes | Mapping | Set) or hasattr(labels, "columns")
    if not no_list and hasattr(labels, "__array__") and not hasattr(labels, "__iter__"):
        labels = as_array(labels, name)
    if no_list or not hasattr(labels, "__iter__") or getattr(labels, "ndim", 1) == 0:
        fix = f"{name} should be a 1d array with a label for each item." if labels is None else ""
        got = None if labels is None else type(labels).__name__
        raise InputError(describe(name, got, "a list of labels, one for each item", fix))
    if hasattr(labels, "detach"):
        labels = as_array(labels, name)
    is_date = getattr(getattr(labels, "dtype", None), "kind", "") in ("m", "M")  # tolist() makes numbers of them
    if hasattr(labels, "tolist") and getattr(labels, "ndim", 1) == 1 and not is_date:
        labels = labels.tolist()
    keep = np.ndarray if per_step else ()
    values = [label if isinstance(label, keep) and label.ndim == 1 else _plain_label(label, name) for label in labels]
    if count is not None and len(values) != count:
        raise InputError(f"{name}: got {len(values)} labels; expected one for each of the {count} items in {items}.")
    return values


def _plain_label(label: Any, name: str) -> Any:
    """Return a label as a Python value, and several labels of one item as a list; arrays of numbers stay arrays."""
    if isinstance(label, Set):
        return sorted(label, key=str)
    label = as_array(label, name) if hasattr(label, "detach") else scalar(label)
    if getattr(label, "ndim", 0) == 1 and hasattr(label, "tolist") and _dtype_kind(label) in "OUT":
        return label.tolist()
    if hasattr(label, "to_list") and not isinstance(label, np.ndarray):  # a column of pandas or polars
        return label.to_list()
    return scalar(label)


def _dtype_kind(array: Any) -> str:
    """Return NumPy's letter for the type of an array's values; O for types of other libraries."""
    return str(getattr(getattr(array, "dtype", None), "kind", "O"))


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


def as_sequences(
    items: Any, kind: str | None = None, *, name: str = "X", channels: Sequence[str] | None = None
) -> list[Any]:
    """Return a list of sequences after checking each one.

    Args:
        items: a list of texts, of lists of codes, or of series (T,) or (T, D) that may differ in T; or an array or
            a tensor (N, T) or (N, T, D). A series may be a data frame with a column a channel.
        kind: ``"text"``, ``"symbols"``, ``"series"``, ``"words"`` or ``"pairs"``, whose items are sources; ``None``
            takes it from the first item that is not missing: text for str, symbols for a list of str, else series.
        name: what the items are called in messages.
        channels: the names of the channels; series with names are put into their order.

    Returns:
        str for text; str or a list of str for symbols; float64 (T, D) for series, all with one D; a list of str, or a
        str that is to be cut into words, for words.

    Raises:
        InputError: for something that is no list of sequences; it names the first bad item, from 0.
        ShapeError: for an array of other axes, or series of differing D.

    Example:
        >>> [x.shape for x in as_sequences([[1, 2, 3], [4]])]
        [(3, 1), (1, 1)]
    """
    items = as_list(items, name)
    if len(items) == 0:
        raise InputError(f"{name}: got 0 sequences; expected 1 or more.")
    kind = kind or kind_of(items)
    read = {"text": text_of, "symbols": symbols_of, "series": series_of, "words": words_or_text, "pairs": text_of}[kind]
    sequences: list[Any] = []
    width = 0
    for i, item in enumerate(items):
        thing = f"{name}[{i}]"
        try:
            sequence = read(by_name(item, channels, thing) if kind == "series" else item, thing)
        except CellError as error:
            raise InputError(str(error)) from None
        if isinstance(sequence, np.ndarray) and len(sequence):
            width = width or sequence.shape[1]
            if sequence.shape[1] != width:
                raise ShapeError(describe(f"{thing}: channels", sequence.shape[1], f"{width}, as above"))
        sequences.append(sequence)
    return sequences


def refuse_texts(items: Sequence[Any], name: str = "X") -> None:
    """Raise for a text among lists of words."""
    for row, item in enumerate(items):
        if isinstance(item, str):
            raise InputError(describe(f"{name}[{row}]", item, "a list of words", "Put its words into a list."))


def kind_of(items: Iterable[Any]) -> str:
    """Return the kind of the first item that is not missing: text for str, symbols for a list of str, else series.

    Example:
        >>> kind_of([None, "good"]), kind_of([[], ["home", "buy"]]), kind_of([[1, 2]])
        ('text', 'symbols', 'series')
    """
    for item in items:
        if isinstance(item, str | bytes):
            return "text"
        if not is_row(item):
            if is_missing(item):
                continue
            return "series"
        if len(item):
            first = next((value for value in item if not is_missing(value)), None)
            return "symbols" if isinstance(item, list | tuple) and isinstance(first, str) else "series"
    return "series"
