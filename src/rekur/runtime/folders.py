"""Folders that take the place of others: whole or not at all, with what was somebody else's carried over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from rekur.errors import SaveError


def put_in_place(staging: Path, target: Path, own: Collection[str], what: str) -> None:
    """Let a finished folder take the place of another, which is moved aside before and removed only after.

    Args:
        staging: the finished folder, beside the target.
        target: where it is to stand.
        own: names in the replaced folder that were part of what is replaced; all others move into the new one.
        what: stands there, for messages, such as ``bundle``.

    Raises:
        OSError: it could not be put in place; what stood there stands there again.
        SaveError: something went wrong once it was in place; what stood there before is beside it.
    """
    aside = staging.with_name(staging.name.replace(".partial-", ".old-"))
    replaces = target.is_dir()
    if replaces:
        target.rename(aside)
    try:
        staging.rename(target)
    except BaseException:
        if replaces:
            aside.rename(target)
        raise
    try:
        flush(target.parent)
        for path in aside.iterdir() if replaces else ():
            if path.name not in own and not os.path.lexists(target / path.name):
                path.rename(target / path.name)
    except OSError as error:
        kept = f"; what stood there before is in {aside}" if replaces else ""
        got = f"'{error.strerror}' once the new {what} was in place"
        raise SaveError(f"{target}: got {got}; expected no trouble. The new {what} is whole{kept}.") from error
    if replaces:
        shutil.rmtree(aside, ignore_errors=True)


def flush(path: Path) -> None:
    """Force a file, or the list of files in a folder, onto the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot, and need not
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
