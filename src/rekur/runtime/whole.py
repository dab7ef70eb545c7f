"""One file, written whole or not at all: beside its place, onto the disk, then into place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from rekur.errors import InputError, describe
from rekur.runtime.folders import beside, flush, in_turn, sweep
from rekur.runtime.places import resolve, save_error

#: says of the first bytes of a file that stands there whether it may be replaced
Replaceable = Callable[[bytes], bool]
_HEAD = 4096


def check_file(
    file: Path, *, overwrite: bool | Replaceable, what: str = "", inputs: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """Raise now what :func:`write_whole` would raise after the work is done; write nothing.

    Args:
        file: where a file is to stand.
        overwrite: whether a file that stands there is replaced; or a function that says it of its first bytes.
        what: may be replaced, for messages, such as ``a report``.
        inputs: files that are read, which are never replaced.

    Returns:
        the file, absolute and with links followed.

    Raises:
        InputError: something stands there that is not replaced.
        SaveError: the place may not be written.
    """
    target = resolve(file, "file")
    try:
        _refuse_what_stands_there(str(file), target, overwrite, what, inputs)
    except OSError as error:
        raise save_error(file, error, "file") from error
    return target


def write_whole(
    file: Path,
    content: bytes,
    *,
    overwrite: bool | Replaceable,
    what: str = "",
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Write a file that is there whole, or not at all.

    Args:
        file: where it is to stand; folders above it are made.
        content: of the file.
        overwrite: as for :func:`check_file`.
        what: as for :func:`check_file`.
        inputs: as for :func:`check_file`.

    Raises:
        InputError: something stands there that is not replaced.
        SaveError: the disk is full or the place may not be written; what stood there is unchanged.
    """
    inputs = tuple(inputs)
    target = check_file(file, overwrite=overwrite, what=what, inputs=inputs)
    sweep(target)
    staging = beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.write_bytes(content)
        flush(staging)
        with in_turn(target):
            _refuse_what_stands_there(str(file), target, overwrite, what, inputs)  # meanwhile others may have written
            staging.replace(target)
        flush(target.parent)
    except OSError as error:
        raise save_error(file, error, "file") from error
    finally:
        with contextlib.suppress(OSError):
            staging.unlink()


def _refuse_what_stands_there(
    given: str, target: Path, overwrite: bool | Replaceable, what: str, inputs: Iterable[str | os.PathLike[str]]
) -> None:
    if target.is_dir():
        raise InputError(describe("file", given, "the path of a file (a folder has this name)"))
    if not os.path.lexists(target):
        return
    if not target.is_file():
        raise InputError(describe("file", given, "the path of a file (what stands there is no regular file)"))
    if any(os.path.exists(path) and os.path.samefile(path, target) for path in inputs):
        raise InputError(describe("file", given, "a file that is not read (this one is the input)", "Choose another."))
    if callable(overwrite):
        with target.open("rb") as file:
            head = file.read(_HEAD)
        if head and not overwrite(head):
            fix = "Choose another name, or move the file away."
            raise InputError(describe("file", given, f"a new file, or {what} to replace (another file is there)", fix))
    elif not overwrite:
        fix = "Choose another name, or say overwrite=True to replace it."
        raise InputError(describe("file", given, "a path where nothing stands (a file is there)", fix))
