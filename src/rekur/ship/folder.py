"""Folders of exports: written whole or not at all, and never over something else."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from rekur.errors import InputError, SaveError, describe

#: the file by which a folder is known as an export
MANIFEST = "export.json"


def check_folder(folder: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Return the folder, absolute and with links followed, if an export may be written there.

    Args:
        folder: where it is to stand; missing, empty or, with ``overwrite``, an export.
        overwrite: allow that an export is replaced.

    Raises:
        InputError: something else stands there.

    Example:
        >>> check_folder("no/such/folder").name
        'folder'
    """
    target, given = Path(os.path.realpath(folder)), os.fspath(folder)
    if target.is_dir():
        if Path.cwd().is_relative_to(target):
            expected = "a folder other than the current one or one above"
            raise InputError(describe("folder", given, expected, "Give a folder inside it."))
        there = sorted(path.name for path in target.iterdir())
        if there and not _is_export(target):
            expected = f"a folder that is new or empty (it holds '{there[0]}' and is no export)"
            fix = "Choose another folder; Rekur replaces nothing but its own exports."
            raise InputError(describe("folder", given, expected, fix))
        if there and not overwrite:
            fix = "Choose another folder, or say overwrite=True (--overwrite) to replace the export."
            raise InputError(describe("folder", given, "a folder that is new or empty (an export is there)", fix))
    elif os.path.lexists(target):
        fix = "Choose another folder, or move the file away."
        raise InputError(describe("folder", given, "the path of a folder (a file has this name)", fix))
    return target


def write_folder(folder: Path, files: Mapping[str, bytes], overwrite: bool = False) -> None:
    """Write files into a folder, all of them or none; what they replace is removed only after.

    Args:
        folder: as :func:`check_folder` returned it.
        files: name -> content, ``export.json`` among them.
        overwrite: replace the export that stands there.

    Raises:
        InputError: something else stands there.
        SaveError: the place may not be written; what stood there is unchanged.

    Example:
        >>> write_folder(check_folder("firmware/model"), files)  # doctest: +SKIP
    """
    target, mark = check_folder(folder, overwrite), secrets.token_hex(4)
    staging = target.parent / f".{target.name[:40]}.partial-{mark}"
    aside = target.parent / f".{target.name[:40]}.old-{mark}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        for name, content in files.items():
            (staging / name).write_bytes(content)
        _put_in_place(staging, target, aside)
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OSError):
            fix = "Choose another folder; nothing half-written was left behind, and what stood there is unchanged."
            got = error.strerror or str(error)
            raise SaveError(describe(str(target), got, "a place that can be written", fix)) from error
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _put_in_place(staging: Path, target: Path, aside: Path) -> None:
    replaces = target.is_dir()
    if replaces:
        target.rename(aside)
    try:
        staging.rename(target)
    except BaseException:
        if replaces:
            aside.rename(target)
        raise


def _is_export(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and str(manifest.get("format", "")).startswith("rekur-export")
