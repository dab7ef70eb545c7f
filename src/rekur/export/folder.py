"""Folders of exports: which may be replaced, and which of their files belong to the export."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rekur._files import read_json_object, staged_folder
from rekur._paths import refuse_current, resolve_folder, save_errors
from rekur.errors import InputError, describe

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
    check = partial(_check, target, kind, overwrite, carry_over=True)
    with save_errors(target), staged_folder(target, _own_files, "export", check) as staging:
        for name, content in files.items():
            (staging / name).write_bytes(content)


def _check(folder: str | os.PathLike[str], kind: str, overwrite: bool, *, carry_over: bool) -> Path:
    target = resolve_folder(folder)
    with save_errors(target):
        if target.is_dir():
            refuse_current(folder, target)
            _refuse_content(str(folder), target, kind, overwrite, carry_over)
    return target


def _own_files(folder: Path) -> set[str] | None:
    """Return the files of the export in a folder; None without an export."""
    described = read_json_object(folder / MANIFEST)
    form, files = str(described.get("format", "")), described.get("files")
    if not form.startswith("rekur-"):
        return None
    return {MANIFEST, *_UNLISTED.get(form, ()), *map(str, files if isinstance(files, list | dict) else ())}


def _refuse_content(path: str, target: Path, kind: str, overwrite: bool, carry_over: bool) -> None:
    names = sorted(path.name for path in target.iterdir())
    if not names:
        return
    described = read_json_object(target / MANIFEST)
    if described.get("format") != kind:
        if carry_over and not described:
            return
        expected = f"a folder that is new or empty (it holds '{names[0]}' and is no such export)"
        fix = "Choose another folder; Rekur replaces only its own exports."
        raise InputError(describe("folder", path, expected, fix))
    if not overwrite:
        fix = "Choose another folder, or say overwrite=True (--overwrite) to replace the export."
        raise InputError(describe("folder", path, "a folder that is new or empty (an export is there)", fix))
