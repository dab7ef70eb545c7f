"""Paths of files and folders to be written: checked before the work begins, and written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rekur.errors import InputError, SaveError, describe
from rekur.runtime.folders import beside

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_LONGEST_NAME = 255


def resolve(path: str | os.PathLike[str], thing: str = "folder") -> Path:
    """Return the path of a file or a folder to be written, absolute and with links followed.

    Args:
        path: as the user gave it.
        thing: ``file`` or ``folder``.

    Raises:
        InputError: it is no path, or leads through a file, or its name is too long.
        SaveError: the folder above it may not be written.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(text, str) or not text or "\0" in text:
        raise InputError(describe(thing, repr(text).strip("'"), f"the path of a {thing}"))
    if len(os.fsencode(os.path.basename(text))) > _LONGEST_NAME:
        raise InputError(describe(thing, text, f"a name of at most {_LONGEST_NAME} bytes", "Choose a shorter name."))
    target = Path(text)
    try:
        target = Path(os.path.realpath(text))
        above = target.parent
        while not os.path.lexists(above):
            above = above.parent
    except OSError as error:  # a relative path, and the current folder is gone
        raise save_error(target, error, thing) from error
    if not above.is_dir():
        raise InputError(
            describe(thing, text, f"a path through folders ({above} is a file)", f"Choose another {thing}.")
        )
    if not os.access(above, os.W_OK | os.X_OK):
        raise save_error(target, PermissionError(errno.EACCES, f"may not write in {above}"), thing)
    return target


def resolve_folder(path: str | os.PathLike[str]) -> Path:
    """Return the path of a folder to be written, absolute and with links followed.

    Raises:
        InputError: it cannot be a folder, or is the current one or one above.
        SaveError: it may not be written.
    """
    target = resolve(path)
    if not os.path.lexists(target):
        if os.path.islink(path):
            fix = "Choose another folder, or remove the link."
            raise InputError(describe("folder", str(path), "the path of a folder (this is a link to nothing)", fix))
        return target
    if not target.is_dir():
        fix = "Choose another folder, or move the file away."
        raise InputError(describe("folder", str(path), "the path of a folder (a file has this name)", fix))
    if not os.access(target, os.W_OK | os.X_OK):
        raise save_error(target, PermissionError(errno.EACCES, f"may not write in {target}"))
    return target


def refuse_current(path: str | os.PathLike[str], target: Path) -> None:
    """Raise if a folder cannot be replaced by another: the current one, one above it, or a mounted disk."""
    if Path.cwd().is_relative_to(target):
        fix = "Give a folder inside it, such as runs/first."
        raise InputError(describe("folder", str(path), "a folder other than the current one or one above", fix))
    if os.path.ismount(target):
        fix = f"Give a folder inside it, such as {target / 'first'}."
        raise InputError(describe("folder", str(path), "a folder that can be renamed, not a mounted disk", fix))


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield a new folder beside a target; if filling it or putting it in place fails, nothing of it is left.

    Raises:
        SaveError: the disk is full or may not be written.
    """
    staging = beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        yield staging
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, SaveError):
            raise save_error(target, error) from error
        raise


def read_json_object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if the file is missing or holds something else."""
    try:
        content = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def save_error(target: Path, error: OSError, thing: str = "folder") -> SaveError:
    """Return the error that tells why a file or a folder could not be written.

    Args:
        target: what was to be written.
        error: what the system says.
        thing: ``file`` or ``folder``.
    """
    fix = f"Choose another {thing}; nothing half-written was left behind, and what stood there is unchanged."
    expected = "a place that can be written"
    if error.errno in _NO_ROOM:
        expected = "a disk with room for it"
        fix = fix.replace("Choose", "Free some space or choose")
    elif error.errno == errno.EFBIG:
        expected = "a place that takes files of this size (see `ulimit -f`)"
    elif error.errno in _FORBIDDEN:
        expected = "a folder that you may write in"
    return SaveError(describe(str(target), error.strerror or str(error), expected, fix))
