"""Copies of inputs that can be read only once, in the folder of a run: training reads several times, and may go on."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rekur.cli import unfinished
from rekur.cli.request import Request
from rekur.data.inputs import copy_stream, is_stream, name_of, refuse_twice
from rekur.errors import InputError, SaveError, describe

_OF_A_RUN, _OF_A_SEARCH = "inputs-", ".inputs-"


@contextmanager
def kept_copies(request: Request, out: Path) -> Iterator[Request]:
    """Give a request for copies that stay beside the checkpoints of a run as long as it can go on.

    Args:
        request: task, inputs and options of the run.
        out: folder of the run; what earlier runs left there of copies is removed.
    """
    folder = out / unfinished.CHECKPOINTS
    made = unfinished.missing(folder)
    try:
        request = _with_copies(request, folder, out)
        yield request
    finally:
        if not unfinished.is_unfinished(out):
            _remove({Path(copy).parent for copy in request.copied}, made)


@contextmanager
def passing_copies(request: Request, folder: Path) -> Iterator[Request]:
    """Give a request for copies that are removed at the end of a ``with`` block."""
    made = unfinished.missing(folder)
    try:
        request = _copied(request, folder, _OF_A_SEARCH)
        yield request
    finally:
        _remove({Path(copy).parent for copy in request.copied}, made)


def _with_copies(request: Request, folder: Path, out: Path) -> Request:
    """Return the request for copies in a folder that nobody else may use meanwhile."""
    from rekur.train.lock import FolderLock

    old = set(folder.glob(f"{_OF_A_RUN}*"))
    if not old and not any(map(is_stream, _named(request))):
        return request
    lock = FolderLock(folder)
    try:
        if not unfinished.is_unfinished(out):
            _remove(old, [])
        return _copied(request, folder, _OF_A_RUN)
    finally:
        lock.release()


def _copied(request: Request, folder: Path, prefix: str) -> Request:
    """Copy what can be read only once into a new folder; return the request for the copies.

    Raises:
        InputError: one stream is named twice, or several processes would read it.
        SaveError: there is no room.
    """
    from rekur.train.world import current

    streams = [file for file in _named(request) if is_stream(file)]
    if not streams:
        return request
    refuse_twice(streams)
    if (processes := current().size) > 1:
        fix = "Save it in a file that each of them can open."
        expected = f"files, for {processes} processes that train together"
        raise InputError(describe("file", name_of(streams[0]), expected, fix))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copies_folder = Path(tempfile.mkdtemp(prefix=prefix, dir=folder)).absolute()
    except OSError as error:
        raise SaveError(describe(f"{folder}", error.strerror, "a folder that can be written")) from error
    copies: dict[str, str] = {}
    try:
        for number, file in enumerate(streams, 1):
            path, size = copy_stream(file, copies_folder, number)
            copies[file] = str(path)
            click.echo(f"{name_of(file)}: {size:,} bytes copied to {path}, for the time of the run.", err=True)
    except BaseException:
        _remove({copies_folder}, [])
        raise
    files, valid = ([copies.get(file, file) for file in listed] for listed in (request.files, request.valid))
    names = {copy: name_of(file) for file, copy in copies.items()}
    return dataclasses.replace(request, files=files, valid=valid, copied=names)


def _named(request: Request) -> list[str]:
    return [*request.files, *request.valid]


def _remove(places: set[Path], made: list[Path]) -> None:
    """Remove folders of copies, the folder that they are in if it is empty, and those that were made for it."""
    for copies_folder in places:
        shutil.rmtree(copies_folder, ignore_errors=True)
    for folder in [*{copies_folder.parent for copies_folder in places}, *made]:
        with contextlib.suppress(OSError):
            folder.rmdir()
