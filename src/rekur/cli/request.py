"""The request of a training: what ``rekur fit`` was asked to do, as ``run.json`` stores it, its checks and its data."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

from rekur._options import options_of
from rekur.cli.options import ITEM_ROLES
from rekur.data.inputs import is_stream
from rekur.errors import CheckpointError, InputError, describe, did_you_mean
from rekur.tasks.catalog import CATALOG, Row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The task, data and options of a training.

    Attributes:
        task: a name in ``rekur.tasks.TASKS``.
        files: training files.
        valid: validation files; empty for a share of ``files``.
        columns: the roles of columns.
        reading: how files are read.
        options: the estimator's options that the user set.
        every: steps between checkpoints; 0 for an interval by time.
        board: folder of event files for TensorBoard.
        chosen: the values of all options, including those that rules chose from the data; None before that.
        copied: copy -> name, for those of ``files`` and ``valid`` that are copies of streams, which can be read once.
    """

    task: str
    files: list[str]
    valid: list[str]
    columns: dict[str, Any]
    reading: dict[str, Any]
    options: dict[str, Any]
    every: int = 0
    board: str | None = None
    chosen: dict[str, Any] | None = None
    copied: dict[str, str] = dataclasses.field(default_factory=dict)

    def source(self, path: str) -> Any:
        """Return the input of :func:`rekur.data.open_source`: a path, or a copy with the name of its original."""
        from rekur.data.files import check_exists
        from rekur.data.inputs import File

        if path not in self.copied:
            return path
        check_exists(Path(path))
        return File(Path(path), self.copied[path])

    def absolute(self) -> Self:
        """Return the request with absolute paths."""
        files, valid = ([os.path.abspath(path) for path in paths] for paths in (self.files, self.valid))
        board = None if self.board is None else os.path.abspath(self.board)
        options = dict(self.options)
        for name, each in options_of(CATALOG[self.task].options_class()).items():
            if each.absolute is not None and options.get(name):
                options[name] = each.absolute(options[name])
        return dataclasses.replace(self, files=files, valid=valid, board=board, options=options)

    def renamed(self, name: Callable[[str], str]) -> Self:
        """Return the request with other paths of the copies, which move with the folder of the run."""
        names = {copy: name(copy) for copy in self.copied}
        files, valid = ([names.get(path, path) for path in paths] for paths in (self.files, self.valid))
        copied = {names[copy]: original for copy, original in self.copied.items()}
        return dataclasses.replace(self, files=files, valid=valid, copied=copied)


_READING = {
    "items": ("format", "encoding", "separator", "label_separator"),
    "texts": ("column", "document", "encoding"),
    "pairs": ("format", "encoding", "separator"),
    "tables": ("format", "encoding", "separator"),
}
_BEGIN = "Begin anew: run `rekur fit` with --overwrite."


def check_names(request: Request, file: Path) -> None:
    """Raise for a task, a column or an option that this version does not know; PyTorch is not imported.

    Args:
        request: what ``run.json`` says.
        file: that file.

    Raises:
        CheckpointError: the message names the file.
    """
    from rekur.data import Columns, PairColumns
    from rekur.data.history_columns import HistoryColumns

    if request.task not in CATALOG:
        raise _unknown(file, "task", request.task, CATALOG)
    row = CATALOG[request.task]
    options = options_of(row.options_class())
    columns: type = {"pairs": PairColumns, "tables": HistoryColumns}.get(row.reads, Columns)
    allowed: dict[str, tuple[Iterable[str], Collection[str]]] = {
        "column": (request.columns, [field.name for field in dataclasses.fields(columns)]),
        "option of reading": (request.reading, _READING[row.reads]),
        "option": (request.options, options),
        "chosen option": (request.chosen or {}, options),
    }
    for thing, (names, expected) in allowed.items():
        for name in names:
            if name not in expected:
                raise _unknown(file, thing, name, expected)


def check_kinds(request: Request, file: Path) -> None:
    """Raise unless each field holds what it is for.

    Raises:
        CheckpointError: one does not; the text names it and the file.
    """
    fits = {
        "task": isinstance(request.task, str),
        "files": _is_list_of_text(request.files) and len(request.files) > 0,
        "valid": _is_list_of_text(request.valid),
        "columns": isinstance(request.columns, dict),
        "reading": isinstance(request.reading, dict),
        "options": isinstance(request.options, dict),
        "every": type(request.every) is int and 0 <= request.every < 2**63,
        "board": request.board is None or isinstance(request.board, str),
        "chosen": request.chosen is None or isinstance(request.chosen, dict),
        "copied": isinstance(request.copied, dict) and _is_list_of_text(list(request.copied.values())),
    }
    for name, holds in fits.items():
        if not holds:
            got = describe(name, getattr(request, name), "what `rekur fit` wrote", _BEGIN)
            raise CheckpointError(f"{file}: {got}")


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _unknown(file: Path, thing: str, name: str, allowed: Collection[str]) -> CheckpointError:
    hint = did_you_mean(name, allowed)
    fix = f"{hint} Else another version of Rekur wrote this run; resume it with that version. {_BEGIN}".lstrip()
    return CheckpointError(f"{file}: {describe(thing, name, 'one that this version of Rekur knows', fix)}")


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
    readers = {"items": _open_items, "texts": _open_texts, "pairs": _open_pairs, "tables": _open_tables}
    return readers[CATALOG[request.task].reads](request)


def open_files(request: Request) -> Data | None:
    """Return the data of the files of a request; None if one of them can be read only once."""
    return None if any(map(is_stream, (*request.files, *request.valid))) else open_data(request)


def need_columns(columns: dict[str, Any], file: Path, row: Row) -> None:
    """Raise if a file whose format names no columns is read without options for the item and the label."""
    if row.options_class().usual_columns:
        return
    fix = f"To see what {file} holds: rekur data {file}"
    if not any(columns.get(name) for name in ITEM_ROLES):
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
    columns = {role: name for role, name in columns.items() if role != "split_by"}  # it splits these files alone
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


def _open_pairs(request: Request) -> Data:
    from rekur.data import PairColumns, read_pairs
    from rekur.data.example import warn
    from rekur.data.pair_statistics import SWAPPED, Sides

    columns = PairColumns(**request.columns)
    train, valid = (
        read_pairs([request.source(file) for file in files], columns, use=use, **request.reading) if files else None
        for files, use in ((request.files, "training"), (request.valid, "evaluation"))
    )
    sides, others = (Sides.of(corpus or ()) for corpus in (train, valid))
    if sides.are_swapped(others):
        warn(f"{' '.join(request.valid)}: {SWAPPED} Data come as SOURCE TARGET in both.")
    return Data(train, valid, {"columns": request.columns, **({"sides": sides.to_dict()} if sides.tell else {})})


def _open_tables(request: Request) -> Data:
    from rekur.data import open_source
    from rekur.data.history_columns import HistoryColumns, named_columns
    from rekur.data.parts import open_series

    columns = HistoryColumns(**request.columns)
    trained = named_columns(open_source(request.source(request.files[0]), **request.reading), columns)
    train, valid = (
        [open_series(request.source(file), columns, horizon=horizon, **request.reading) for file in files]
        for files, horizon in ((request.files, request.options.get("horizon")), (request.valid, None))
    )
    return Data(train[0], valid[0] if valid else None, {"columns": trained})
