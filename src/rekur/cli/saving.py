"""A model that took hours is saved: where it was asked for, else beside that, else wherever there is room."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import click

from rekur.errors import InputError

#: how many names beside the folder are looked at
_NAMES = 1000
#: a disk in memory, the last resort where all others are full
_IN_MEMORY = Path("/dev/shm")


class Saved(NamedTuple):
    """Where a model was saved.

    Attributes:
        folder: where it is.
        reason: why it is not where it was asked for; empty if it is.
    """

    folder: Path
    reason: str


def save(write: Callable[[Path], object], out: Path, absolute: Path) -> Saved:
    """Save a model where that is possible, and tell where, if it is elsewhere.

    Args:
        write: saves it in a folder that it is given, whole or not at all.
        out: the folder that was asked for.
        absolute: the same, as it was when the command began: the current folder may be gone.

    Raises:
        InputError, OSError: why it could not be saved in ``out``, nor anywhere else.
    """
    try:
        write(out)
        return Saved(out, "")
    except (InputError, OSError) as error:
        for folder in _others(absolute):
            with contextlib.suppress(InputError, OSError):
                write(folder)
                click.echo(f"rekur: {error} The model is saved in {folder} instead.", err=True)
                return Saved(folder, str(error))
        raise


def _others(out: Path) -> Iterator[Path]:
    """Yield folders in the place of ``out``: beside it, then on what may be other disks."""
    parents = [out.parent]
    for other in (Path.cwd, Path.home):
        with contextlib.suppress(OSError, RuntimeError):
            parents.append(other())
    for parent in dict.fromkeys(parents):
        names = (parent / f"{out.name}-{number}" for number in range(1, _NAMES))
        yield from islice((path for path in names if not os.path.lexists(path)), 1)
    with contextlib.suppress(OSError):
        folder = Path(tempfile.mkdtemp(prefix="rekur-"))
        try:
            yield folder / out.name
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()
    if _IN_MEMORY.is_dir():
        yield _IN_MEMORY / f"{out.name}-{os.getpid()}"
