"""A saved model and the file it is to read, as the commands that use one need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rekur.data import Columns, examples, open_source
from rekur.tasks import Corpus, load

_READING = ("format", "encoding", "separator")


def open_bundle(folder: Path) -> Any:
    """Return the trained task that a bundle holds."""
    return load(folder)


def corpus_for(
    task: Any, file: Path, columns: dict[str, Any], reading: dict[str, Any], *, need_label: bool
) -> Corpus:
    """Return the examples of a file, by the columns that were given, else by those of training.

    Args:
        task: the trained task; its ``columns_`` say how its training file was read.
        file: the file.
        columns: column choices that were given; one that names the item replaces the one of training.
        reading: format, encoding and separator that were given.
        need_label: whether every row must have a label.
    """
    trained = dict(task.columns_)
    for name in _READING:
        if name == "encoding" and name in trained:
            reading.setdefault(name, trained[name])
        trained.pop(name, None)
    if any(name in columns for name in ("text", "symbols", "series")):
        for name in ("text", "symbols", "series"):
            trained.pop(name, None)
    chosen = {**trained, **columns}
    if not need_label:
        chosen.pop("label", None)
        chosen.pop("labels_separator", None)
    picked = Columns(**chosen)
    source = open_source(file, **reading)
    examples(source, picked, need_label=need_label)
    return Corpus(lambda: examples(source, picked, need_label=need_label), str(file))
