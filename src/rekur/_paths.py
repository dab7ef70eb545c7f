"""Paths of files and folders to be written, checked before the work begins."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rekur.errors import InputError, SaveError, describe

#: returns whether a file that begins with these bytes may be replaced
Replaceable = Callable[[bytes], bool]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_LONGEST_NAME = 255
_HEAD = 4096


def resolve_path(path: str | os.PathLike[str], thing: str) -> Path:
    """Return the path of a file or a folder to be written, absolute and with links followed.

    Args:
        path: the user's path.
        thing: ``file`` or ``folder``.

    Raises:
        InputError: it is no path, or leads through a file, or its name is too long.
        SaveError: the folder above it may not be written.

    Example:
        >>> resolve_path("runs/reviews.html", "file").name
        'reviews.html'
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

    Args:
        path: the user's path.

    Raises:
        InputError: it cannot be a folder.
        SaveError: it may not be written.

    Example:
        >>> resolve_folder("runs/reviews").name
        'reviews'
    """
    target = resolve_path(path, "folder")
    if not os.path.lexists(target):
        if os.path.islink(path):
            fix = "Choose another folder, or remove the link."
            raise InputError(describe("folder", str(path), "the path of a folder (this is a link to nothing)", fix))
        return target
    if not target.is_dir():
        fix = "Choose another folder, or move the file away."
        raise InputError(describe("folder", str(path), "the path of a folder (a file has this name)", fix))
    if not os.access(target, os.W_OK | os.X_OK):
        raise save_error(target, PermissionError(errno.EACCES, f"may not write in {target}"), "folder")
    return target


def refuse_current(path: str | os.PathLike[str], target: Path) -> None:
    """Raise if another folder cannot replace this one: the current folder, one above it, or a mounted disk.

    Args:
        path: the user's path.
        target: the same, absolute and with links followed.

    Raises:
        InputError: the folder cannot be replaced.
    """
    if Path.cwd().is_relative_to(target):
        fix = "Give a folder inside it, such as runs/first."
        raise InputError(describe("folder", str(path), "a folder other than the current one or one above", fix))
    if os.path.ismount(target):
        fix = f"Give a folder inside it, such as {target / 'first'}."
        raise InputError(describe("folder", str(path), "a folder that can be renamed, not a mounted disk", fix))


def check_file(
    path: str | os.PathLike[str],
    *,
    overwrite: bool | Replaceable,
    kind: str = "",
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Raise if :func:`rekur._files.write_file` would; write nothing.

    Args:
        path: the file to be written.
        overwrite: whether an existing file is replaced, or a function that decides it from the first bytes.
        kind: the files that ``overwrite`` accepts, for messages, such as ``a report``.
        inputs: input files, which are never replaced.

    Returns:
        the path, absolute and with links followed.

    Raises:
        InputError: an existing file may not be replaced, or the path cannot be a file.
        SaveError: there is no permission to write.

    Example:
        >>> check_file("runs/reviews.html", overwrite=False).name
        'reviews.html'
    """
    target = resolve_path(path, "file")
    with save_errors(path, "file"):
        _refuse_existing(str(path), target, overwrite, kind, inputs)
    return target


def _refuse_existing(
    path: str, target: Path, overwrite: bool | Replaceable, kind: str, inputs: Iterable[str | os.PathLike[str]]
) -> None:
    if target.is_dir():
        raise InputError(describe("file", path, "the path of a file (a folder has this name)"))
    if not os.path.lexists(target):
        return
    if not target.is_file():
        raise InputError(describe("file", path, "the path of a file (what stands there is no regular file)"))
    if any(os.path.exists(file) and os.path.samefile(file, target) for file in inputs):
        raise InputError(describe("file", path, "a file that is not read (this one is the input)", "Choose another."))
    if callable(overwrite):
        with target.open("rb") as file:
            head = file.read(_HEAD)
        if head and not overwrite(head):
            fix = "Choose another name, or move the file away."
            raise InputError(describe("file", path, f"a new file, or {kind} to replace (another file is there)", fix))
    elif not overwrite:
        fix = "Choose another name, or say overwrite=True to replace it."
        raise InputError(describe("file", path, "a path where nothing stands (a file is there)", fix))


def save_error(path: str | os.PathLike[str], error: OSError, thing: str) -> SaveError:
    """Return the error that explains why a file or a folder could not be written.

    Args:
        path: the file or folder.
        error: the system's error.
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
    return SaveError(describe(os.fspath(path), error.strerror or str(error), expected, fix))


@contextlib.contextmanager
def save_errors(path: str | os.PathLike[str], thing: str = "folder") -> Iterator[None]:
    """Raise the system's errors in a ``with`` block as a :class:`SaveError` about a path.

    Args:
        path: the file or folder that is written.
        thing: ``file`` or ``folder``.
    """
    try:
        yield
    except SaveError:
        raise
    except OSError as error:
        raise save_error(path, error, thing) from error
