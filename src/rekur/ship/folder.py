"""Folders of exports, written whole or not at all: into a folder beside the target, onto the disk, then into place."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rekur.errors import InputError, SaveError, describe
from rekur.runtime.folders import flush, put_in_place

#: the file that says what an export is
MANIFEST = "manifest.json"


def check_folder(folder: str | os.PathLike[str], kind: str, *, overwrite: bool = False) -> Path:
    """Raise now what :func:`write_folder` would raise later; write nothing.

    Args:
        folder: where an export is to stand. It may be missing or empty; with ``overwrite`` also an export.
        kind: what the field ``format`` of its manifest says.
        overwrite: allow that an export of the same kind is replaced.

    Returns:
        the folder, absolute and with links followed.

    Raises:
        InputError: something else stands there.
        SaveError: the place may not be written.

    Example:
        >>> check_folder("exports/reviews", "rekur-onnx").name
        'reviews'
    """
    given, target = str(folder), Path(os.path.realpath(folder))
    if os.path.lexists(target) and not target.is_dir():
        fix = "Choose another folder, or move the file away."
        raise InputError(describe("folder", given, "the path of a folder (a file has this name)", fix))
    if target.is_dir() and Path.cwd().is_relative_to(target):
        expected = "a folder other than the current one or one above"
        raise InputError(describe("folder", given, expected, "Give a folder inside it."))
    try:
        if target.is_dir() and any(target.iterdir()):
            _refuse_content(given, target, kind, overwrite)
    except OSError as error:
        raise _save_error(target, error) from error
    above = target.parent
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        expected = f"a path through folders ({above} is a file)"
        raise InputError(describe("folder", given, expected, "Choose another folder."))
    if not os.access(above, os.W_OK | os.X_OK):
        raise _save_error(target, OSError(errno.EACCES, f"may not write in {above}"))
    return target


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that takes the place of the one that :func:`check_folder` let pass.

    Args:
        target: as :func:`check_folder` returned it.
        files: name -> content.

    Raises:
        SaveError: the disk is full or the place may not be written; what stood there is unchanged.
    """
    staging = target.parent / f".{target.name[:40]}.partial-{secrets.token_hex(4)}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        for name, content in files.items():
            (staging / name).write_bytes(content)
            flush(staging / name)
        own = _described(target).get("files", ())
        put_in_place(staging, target, {MANIFEST, *map(str, own)}, "export")
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, SaveError):
            raise _save_error(target, error) from error
        raise


def _described(folder: Path) -> dict[str, Any]:
    """Return what the manifest of an export says; nothing where there is none."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse_content(given: str, target: Path, kind: str, overwrite: bool) -> None:
    first = sorted(path.name for path in target.iterdir())[0]
    if _described(target).get("format") != kind:
        expected = f"a folder that is new or empty (it holds '{first}' and is no such export)"
        fix = "Choose another folder; Rekur replaces nothing but its own exports."
        raise InputError(describe("folder", given, expected, fix))
    if not overwrite:
        fix = "Choose another folder, or say overwrite=True (--overwrite) to replace the export."
        raise InputError(describe("folder", given, "a folder that is new or empty (an export is there)", fix))


def _save_error(target: Path, error: OSError) -> SaveError:
    fix = "Choose another folder; nothing half-written was left behind, and what stood there is unchanged."
    return SaveError(describe(str(target), error.strerror or str(error), "a place that can be written", fix))
