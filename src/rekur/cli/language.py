"""What the commands of language models share: the model of a bundle, and text as it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rekur.errors import InputError, describe


def load_language(bundle: Path) -> Any:
    """Return the language model that a bundle holds.

    Raises:
        InputError: it holds a model of another task.
    """
    from rekur.runtime import load

    task = load(bundle)
    if task.target_.kind != "next":
        fix = f"To use it: rekur predict {bundle} FILE"
        raise InputError(describe("bundle", str(bundle), f"a language model (this one's task is {task.task})", fix))
    return task


def refuse_language(task: Any, bundle: Path, command: str) -> None:
    """Raise if a model that says what comes next is asked for an answer."""
    if task.target_.kind == "next":
        fix = f"To let it write: rekur generate {bundle}. To see how probable texts are: rekur score {bundle} FILE"
        raise InputError(
            describe("bundle", str(bundle), f"a model that `rekur {command}` can use, no language model", fix)
        )


def texts_for(task: Any, files: Sequence[str], options: dict[str, Any]) -> Any:
    """Return the texts of files for a trained language model: read as was given, else as at training.

    Args:
        task: the trained model; its ``columns_`` say how its training files were read.
        files: files, folders and patterns.
        given: options of reading; a column of training is used for tables only.
    """
    from rekur.data.inputs import Input, is_stream, open_input, refuse_twice
    from rekur.data.texts import holds_table, open_texts

    reading = {name: options.pop(name) for name in ("document", "encoding") if options.get(name) is not None}
    column = options.pop("text", None)
    if others := [name for name, value in options.items() if value is not None]:
        fix = "Only --text, --document and --encoding say how text is read."
        raise InputError(f"--{others[0].replace('_', '-')}: got a value; expected none for a language model. {fix}")
    trained = {name: task.columns_.get(name) for name in ("column", "document")}
    if column is None and trained["column"] is not None:
        refuse_twice(list(files))
        opened = [open_input(file) if is_stream(file) or Path(file).is_file() else file for file in files]
        if all(isinstance(file, Input) and holds_table(file, reading.get("encoding", "utf-8")) for file in opened):
            column = trained["column"]
        return open_texts(opened, column=column, **reading)
    if column is None and trained["document"] is not None:
        reading = {"document": trained["document"], **reading}
    return open_texts(files, column=column, **reading)
