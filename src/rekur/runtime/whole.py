"""One file, written whole or not at all: beside its place, onto the disk, then into place."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from rekur.errors import InputError, SaveError, describe
from rekur.runtime.folders import flush


def write_whole(file: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file that is there whole, or not at all.

    Args:
        file: where it is to stand; folders above it are made.
        content: of the file.
        overwrite: replace a file that stands there.

    Raises:
        InputError: something stands there already.
        SaveError: the disk is full or the place may not be written; what stood there is unchanged.
    """
    if "\0" in str(file):
        raise InputError(describe("file", str(file), "a path without the character of number 0"))
    target = Path(os.path.realpath(file))
    if target.is_dir():
        raise InputError(describe("file", str(file), "the path of a file (a folder has this name)"))
    if os.path.lexists(target) and not overwrite:
        fix = "Choose another name, or say overwrite=True to replace it."
        raise InputError(describe("file", str(file), "a path where nothing stands (a file is there)", fix))
    staging = target.parent / f".{target.name[:40]}.partial-{secrets.token_hex(4)}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.write_bytes(content)
        flush(staging)
        staging.replace(target)
        flush(target.parent)
    except OSError as error:
        fix = "Choose another place; nothing half-written was left behind."
        text = describe(str(file), error.strerror or str(error), "a place that can be written", fix)
        raise SaveError(text) from error
    finally:
        with contextlib.suppress(OSError):
            staging.unlink()
