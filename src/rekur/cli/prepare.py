"""From the request of a training to its data, without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rekur.cli.request import Request
from rekur.data.inputs import is_stream
from rekur.errors import InputError
from rekur.tasks.catalog import CATALOG, Row


class Data(NamedTuple):
    """The examples or texts of the files of a request.

    Attributes:
        train: for training.
        valid: for validation; None for a share of those for training.
        columns: how the files are read, as the model keeps it.
    """

    train: Any
    valid: Any
    columns: dict[str, Any]


def open_data(request: Request) -> Data:
    """Return the data of the files of a request; raise now if columns are wrong, or the beginning of a file is."""
    return {"items": _open_items, "texts": _open_texts}[CATALOG[request.task].reads](request)


def open_files(request: Request) -> Data | None:
    """Return the data of the files of a request; None if one of them can be read only once."""
    return None if any(map(is_stream, (*request.files, *request.valid))) else open_data(request)


def need_columns(columns: dict[str, Any], file: Path, row: Row) -> None:
    """Raise unless the columns of the item and of the label are named; files of tags may have usual ones."""
    if row.target == "tags":
        return
    fix = f"To see what {file} holds: rekur data {file}"
    if not any(columns.get(name) for name in ("text", "symbols", "series", "values")):
        thing = "--text, --symbols, --series or --values"
        raise InputError(f"{thing}: got none of them; expected the column with the items. {fix}")
    if "label" not in columns:
        raise InputError(f"--label: got none; expected the column to learn. {fix}")


def _open_items(request: Request) -> Data:
    from rekur.cli.saved import corpus_of, written_out
    from rekur.data.chosen_columns import is_long

    columns = written_out(request.source(request.files[0]), request.columns, request.reading)
    label_type: str = getattr(CATALOG[request.task].options_class()(**request.options), "label_type", "class")
    train, valid = (
        [corpus_of(request.source(file), request.columns, request.reading, label_type=label_type) for file in files]
        for files in (request.files, request.valid)
    )
    if not is_long(request.columns):  # of a long table the first item may end in the last row
        for corpus in (*train, *valid):
            next(iter(corpus), None)
    trained = {"columns": columns, "label_separator": request.reading.get("label_separator")}
    return Data(train[0], valid[0] if valid else None, trained)


def _open_texts(request: Request) -> Data:
    from rekur.data import open_texts

    train, valid = (list(map(request.source, files)) for files in (request.files, request.valid))
    texts = [open_texts(files, **request.reading) for files in (train, valid) if files]
    for each in texts:
        next(each.pieces(), None)
    trained = {name: value for name, value in request.reading.items() if name != "encoding"}
    return Data(texts[0], texts[1] if valid else None, trained)
