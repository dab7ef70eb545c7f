"""A file as the examples that a task reads, by the columns given now or at training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rekur.data import Columns, examples, open_source
from rekur.tasks import Corpus

_ITEMS = ("text", "symbols", "series", "values")


def corpus_of(
    file: Path, columns: dict[str, Any], reading: dict[str, Any], *, label_type: str, empty: str = "error"
) -> Corpus:
    """Return the examples of a file; columns are checked now, rows when they are read.

    Args:
        file: the file.
        columns: which column is what, as ``rekur.data.Columns`` takes it.
        reading: format, encoding, separator and label_separator, as far as they were given.
        label_type: ``class``, ``classes`` or ``number``.
        empty: ``error`` or ``keep``, for items without steps and missing labels.
    """
    how = dict(reading)
    label_separator = how.pop("label_separator", None)
    source, chosen = open_source(file, **how), Columns(**columns)

    def read() -> Any:
        return examples(source, chosen, label_type=label_type, label_separator=label_separator, empty=empty)

    read()
    return Corpus(read, str(file))


def corpus_for(task: Any, file: Path, columns: dict[str, Any], reading: dict[str, Any], *, need_label: bool) -> Corpus:
    """Return the examples of a file for a trained task: by the columns that were given, else by those of training.

    Args:
        task: the trained task; its ``columns_`` say how its training file was read.
        file: the file.
        columns: column choices that were given; one that names the item replaces the one of training.
        reading: reading options that were given.
        need_label: whether every row must have a label.
    """
    trained = dict(task.columns_.get("columns", {}))
    if any(name in columns for name in _ITEMS):
        trained = {name: value for name, value in trained.items() if name not in _ITEMS}
    chosen = {**trained, **columns}
    how = {"label_separator": task.columns_.get("label_separator"), **reading}
    if need_label:
        return corpus_of(file, chosen, how, label_type=task.label_type)
    chosen.pop("label", None)
    return corpus_of(file, chosen, how, label_type="class", empty="keep")
