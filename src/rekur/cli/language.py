"""What the commands of language models share: the model of a bundle, and text as it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rekur.errors import InputError, describe

#: endings of files that hold columns
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def load_language(bundle: Path) -> Any:
    """Return the language model that a bundle holds.

    Raises:
        InputError: it holds a model of another task.
    """
    from rekur.runtime import load

    task = load(bundle)
    if task.task != "language":
        fix = f"To use it: rekur predict {bundle} FILE"
        raise InputError(describe("bundle", str(bundle), f"a language model (this one's task is {task.task})", fix))
    return task


def refuse_language(task: Any, bundle: Path, command: str) -> None:
    """Raise if a model that says what comes next is asked for an answer."""
    if task.task == "language":
        fix = f"To let it write: rekur generate {bundle}. To see how probable texts are: rekur score {bundle} FILE"
        raise InputError(
            describe("bundle", str(bundle), f"a model that `rekur {command}` can use, no language model", fix)
        )


def texts_for(task: Any, files: Sequence[str], given: dict[str, Any]) -> Any:
    """Return the texts of files for a trained language model: read as was given, else as at training.

    Args:
        task: the trained model; its ``columns_`` say how its training files were read.
        files: files, folders and patterns.
        given: options of reading; a column of training is used for tables only.
    """
    from rekur.data import open_texts

    reading = {name: given.pop(name) for name in ("document", "encoding") if given.get(name) is not None}
    column = given.pop("text", None)
    if others := [name for name, value in given.items() if value is not None]:
        fix = "Only --text, --document and --encoding say how text is read."
        raise InputError(f"--{others[0].replace('_', '-')}: got a value; expected none for a language model. {fix}")
    tables = all(any(end in Path(file).suffixes for end in _TABLES) for file in files)
    if column is None and tables:
        column = task.columns_.get("column")
    if column is None:
        trained = {name: value for name, value in task.columns_.items() if name == "document"}
        return open_texts(files, **{**trained, **reading})
    return open_texts(files, column=column, **reading)
