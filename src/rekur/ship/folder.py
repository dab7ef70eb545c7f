"""Folders of exports, written whole or not at all: staged beside the target, flushed to disk, then renamed."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rekur.errors import InputError, SaveError, describe
from rekur.runtime.folders import beside, flush, in_turn, put_in_place, sweep

#: the file that describes an export
MANIFEST = "manifest.json"
#: files of exports of earlier versions that their manifests do not list
_UNLISTED = {"rekur-onnx": ("run.py", "run.mjs")}


def check_folder(folder: str | os.PathLike[str], kind: str, *, overwrite: bool = False) -> Path:
    """Raise early the errors of :func:`write_folder`; write nothing.

    Args:
        folder: the folder of the export. It may be missing or empty; with ``overwrite`` it may also be an export.
        kind: the field ``format`` of its manifest.
        overwrite: replace an export of the same kind.

    Returns:
        the absolute path of the folder, with links followed.

    Raises:
        InputError: the path holds something else.
        SaveError: there is no permission to write.

    Example:
        >>> check_folder("exports/reviews", "rekur-onnx").name
        'reviews'
    """
    return _check(folder, kind, overwrite, carry_over=False)


def write_folder(target: Path, files: Mapping[str, bytes], kind: str, *, overwrite: bool = False) -> None:
    """Write files into a folder that :func:`check_folder` accepted, in place of the export there.

    Files there that do not belong to an export remain.

    Args:
        target: the path that :func:`check_folder` returned.
        files: name -> content.
        kind: as for :func:`check_folder`.
        overwrite: as for :func:`check_folder`.

    Raises:
        InputError: something else was put there in the meantime.
        SaveError: the disk is full, or there is no permission to write; the old content is unchanged.
    """
    sweep(target, _own_files)
    staging = beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        for name, content in files.items():
            (staging / name).write_bytes(content)
            flush(staging / name)
        with in_turn(target):
            _check(target, kind, overwrite, carry_over=True)
            put_in_place(staging, target, _own_files(target) or (), "export")
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, SaveError):
            raise _save_error(target, error) from error
        raise


def _check(folder: str | os.PathLike[str], kind: str, overwrite: bool, *, carry_over: bool) -> Path:
    path, target = str(folder), Path(os.path.realpath(folder))
    if os.path.lexists(target) and not target.is_dir():
        fix = "Choose another folder, or move the file away."
        raise InputError(describe("folder", path, "the path of a folder (a file has this name)", fix))
    try:
        if target.is_dir() and Path.cwd().is_relative_to(target):
            expected = "a folder other than the current one or one above"
            raise InputError(describe("folder", path, expected, "Give a folder inside it."))
        if target.is_dir() and any(target.iterdir()):
            _refuse_content(path, target, kind, overwrite, carry_over)
    except OSError as error:
        raise _save_error(target, error) from error
    above = target.parent
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        expected = f"a path through folders ({above} is a file)"
        raise InputError(describe("folder", path, expected, "Choose another folder."))
    if not os.access(above, os.W_OK | os.X_OK):
        raise _save_error(target, OSError(errno.EACCES, f"may not write in {above}"))
    return target


def _own_files(folder: Path) -> set[str] | None:
    """Return the files of the export in a folder; None without an export."""
    described = _described(folder)
    form, files = str(described.get("format", "")), described.get("files")
    if not form.startswith("rekur-"):
        return None
    return {MANIFEST, *_UNLISTED.get(form, ()), *map(str, files if isinstance(files, list | dict) else ())}


def _described(folder: Path) -> dict[str, Any]:
    """Return the manifest of an export; empty without one."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _refuse_content(shown_path: str, target: Path, kind: str, overwrite: bool, carry_over: bool) -> None:
    first = sorted(path.name for path in target.iterdir())[0]
    described = _described(target)
    if described.get("format") != kind:
        if carry_over and not described:
            return
        expected = f"a folder that is new or empty (it holds '{first}' and is no such export)"
        fix = "Choose another folder; Rekur replaces only its own exports."
        raise InputError(describe("folder", shown_path, expected, fix))
    if not overwrite:
        fix = "Choose another folder, or say overwrite=True (--overwrite) to replace the export."
        raise InputError(describe("folder", shown_path, "a folder that is new or empty (an export is there)", fix))


def _save_error(target: Path, error: OSError) -> SaveError:
    fix = "Choose another folder; nothing half-written was left behind, and what stood there is unchanged."
    return SaveError(describe(str(target), error.strerror or str(error), "a place that can be written", fix))
