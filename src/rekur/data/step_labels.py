"""Long tables with a label in each row: each row is one step of a sequence.

Axes: T steps, D channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._values import CellError, code_of, is_missing, number_of
from rekur.data.chosen_columns import Columns, expand
from rekur.data.groups import gather
from rekur.data.source import Row, Source, check_column
from rekur.errors import InputError, describe

_LINE_BYTES = 8


class LabelledSteps(NamedTuple):
    """An item of a long table.

    Attributes:
        steps: a list of words, (T,), or rows of numbers, float64 (T, D), NaN where one is missing.
        labels: the label of each step, (T,); None where none are read.
        lines: where the steps stand in the source, from 1, (T,).
        name: of the sequence: that in the column ``id``, else its group; None without both.
    """

    steps: list[str] | NDArray[np.float64]
    labels: list[str] | None
    lines: NDArray[np.int64]
    name: str | None


def labelled_steps(
    source: Source,
    columns: Columns,
    *,
    row_limit: int,
    tell: Callable[[str], None],
    rows: Iterable[Row] | None = None,
) -> Iterator[LabelledSteps]:
    """Return an iterator over the items of a long table, in the order of their first rows.

    Words and labels are texts as they stand: ``NA`` and ``null`` are words like others.

    Args:
        source: one row a step.
        columns: which column is what; checked at once.
        row_limit: rows that are held in memory; more are sorted on disk.
        tell: is given a sentence where rows of a sequence have equal times, and one about gaps in the time of numbers.
        rows: those of the source, where some were read already.

    Raises:
        InputError: the items are neither words nor numbers.
        DataError: a column is not there; when it is reached, a word, a label or a name is missing, or a number cannot
            be read.

    Example:
        >>> from rekur.data.memory import from_memory
        >>> table = from_memory({"who": ["a", "b", "a"], "word": ["Ada", "NA", "left"], "tag": ["N", "N", "V"]})
        >>> items = labelled_steps(table, Columns(text="word", label="tag", group="who"), row_limit=10, tell=print)
        >>> [(item.steps, item.labels) for item in items]
        [(['Ada', 'left'], ['N', 'V']), (['NA'], ['N'])]
    """
    if columns.kind == "symbols":
        fix = "Name it, as with --text word or --series x."
        raise InputError(f"item columns: got symbols; expected a column of words, or columns of numbers. {fix}")
    items = expand(source, columns.kind, columns.items())
    labels = expand(source, "label", columns.labels())
    for role in ("group", "time", "id"):
        if (name := getattr(columns, role)) is not None:
            check_column(source, role, name)
    if len(labels) > 1:
        raise InputError(describe("label columns", len(labels), "1"))
    if labels and labels[0] in items:
        raise source.error(describe("label column", labels[0], "one that items are not read from"))
    words, label = items[0] if columns.text else None, labels[0] if labels else None
    return _read(source, columns, (words, items, label), row_limit, tell, rows)


def _read(
    source: Source,
    columns: Columns,
    roles: tuple[str | None, list[str], str | None],
    row_limit: int,
    tell: Callable[[str], None],
    rows: Iterable[Row] | None,
) -> Iterator[LabelledSteps]:
    words, channels, label = roles
    group, time = columns.group, columns.time
    names: dict[str, int] = {}  # label -> number; a step keeps the number alone
    ids: dict[str, str] = {}  # group -> id

    def payload(row: Row, sequence: str) -> bytes:
        if columns.id is not None and sequence not in ids:
            ids[sequence] = code_of(row.get(columns.id), "id")
        number = -1 if label is None else names.setdefault(_label(row.get(label), label), len(names))
        head = np.array([row.line, number], np.int64).tobytes()
        if words is None:
            return head + np.array([number_of(row.get(name), name) for name in channels]).tobytes()
        return head + _word(row.get(words), words, source).encode("utf-8", errors="surrogatepass")

    how: dict[str, Any] = {"group": group, "time": time, "row_limit": row_limit, "tells_gaps": words is None}
    how["rows"] = rows
    for sequence in gather(source, payload, tell=tell, **how):
        heads = np.frombuffer(b"".join([each[: 2 * _LINE_BYTES] for each in sequence.payloads]), np.int64)
        lines, numbers = heads.reshape(-1, 2).T.copy()
        bodies = [each[2 * _LINE_BYTES :] for each in sequence.payloads]
        steps: list[str] | NDArray[np.float64]
        if words is None:
            steps = np.frombuffer(b"".join(bodies)).reshape(len(bodies), len(channels)).copy()
        else:
            steps = [body.decode("utf-8", errors="surrogatepass") for body in bodies]
        listed = list(names)
        labels = None if label is None else [listed[number] for number in numbers]
        yield LabelledSteps(steps, labels, lines, ids.get(sequence.name) or sequence.name or None)


def _label(cell: Any, column: str) -> str:
    name = code_of(cell, column)
    if not name:
        fix = "Fill it, or take the row out."
        raise CellError(f"{column}: got nothing; expected a label in every row. {fix}")
    return name


def _word(cell: Any, column: str, source: Source) -> str:
    if is_missing(cell):
        fix = "Fill it, or take the row out."
        if not isinstance(cell, str) and source.unit == "row":
            fix = "Were words such as NA read as missing? pandas keeps them with keep_default_na=False."
        raise CellError(f"{column}: got nothing; expected a word in every row. {fix}")
    if not isinstance(cell, str):
        raise CellError(describe(column, cell, "a text"))
    return cell
