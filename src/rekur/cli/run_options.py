"""What ``run.json`` says of a run, checked before it goes on: an earlier Rekur, or a hand, may have written it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from rekur._options import options_of
from rekur.cli.request import Request
from rekur.errors import CheckpointError, describe, did_you_mean
from rekur.tasks.catalog import CATALOG

_READING = {
    "items": ("format", "encoding", "separator", "label_separator"),
    "texts": ("column", "document", "encoding"),
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
    from rekur.data import Columns

    if request.task not in CATALOG:
        raise _unknown(file, "task", request.task, CATALOG)
    row = CATALOG[request.task]
    options = options_of(row.options_class())
    allowed: dict[str, tuple[Iterable[str], Collection[str]]] = {
        "column": (request.columns, [field.name for field in dataclasses.fields(Columns)]),
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
