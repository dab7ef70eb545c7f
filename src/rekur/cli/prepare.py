"""From the request of a training to the untrained task and its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rekur.cli.request import Request
from rekur.errors import InputError


class Prepared(NamedTuple):
    """An untrained task, and what it is to be trained and validated on."""

    task: Any
    train: Any
    valid: Any


def prepare(request: Request) -> Prepared:
    """Return the untrained task of a request, and its data; raise now if columns are wrong."""
    return _prepare_texts(request) if request.task == "language" else _prepare_items(request)


def need_columns(columns: dict[str, Any], file: Path) -> None:
    """Raise unless the columns of the item and of the label are named."""
    fix = f"To see what {file} holds: rekur data {file}"
    if not any(columns.get(name) for name in ("text", "symbols", "series", "values")):
        thing = "--text, --symbols, --series or --values"
        raise InputError(f"{thing}: got none of them; expected the column with the items. {fix}")
    if "label" not in columns:
        raise InputError(f"--label: got none; expected the column to learn. {fix}")


def _prepare_items(request: Request) -> Prepared:
    from rekur.cli.saved import corpus_of, written_out
    from rekur.tasks import TASKS

    task: Any = TASKS[request.task](**request.options)
    columns = written_out(request.source(request.files[0]), request.columns, request.reading)
    task.columns_ = {"columns": columns, "label_separator": request.reading.get("label_separator")}
    train, valid = (
        [
            corpus_of(request.source(file), request.columns, request.reading, label_type=task.label_type)
            for file in files
        ]
        for files in (request.files, request.valid)
    )
    return Prepared(task, train[0], valid[0] if valid else None)


def _prepare_texts(request: Request) -> Prepared:
    from rekur.data import open_texts
    from rekur.tasks import LanguageModel

    task = LanguageModel(**request.options)
    task.columns_ = {name: value for name, value in request.reading.items() if name != "encoding"}
    train, valid = (list(map(request.source, files)) for files in (request.files, request.valid))
    texts = open_texts(train, **request.reading)
    return Prepared(task, texts, open_texts(valid, **request.reading) if valid else None)
