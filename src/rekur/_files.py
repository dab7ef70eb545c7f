"""Files and folders that are written whole or not at all.

They are written beside their target under a hidden name, ``.NAME.partial-…``, flushed to the disk, then renamed. A
folder that is replaced is called ``.NAME.old-…`` until its successor stands, and the part of it that is then deleted
``.NAME.rest-…``. Each name contains the process that chose it, so that :func:`sweep` clears away the leftovers of
killed processes and nothing of running ones.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rekur._paths import Replaceable, check_file, save_errors
from rekur.errors import InputError, SaveError, describe

#: seconds until leftovers of another machine, or of an earlier version, count as abandoned
ABANDONED = 86_400.0

_PARTIAL, _OLD, _REST = "partial", "old", "rest"
#: machine, process and its start, and random digits; earlier versions wrote the random digits alone
_SUFFIX = re.compile(r"(partial|old|rest)-(?:([0-9a-f]{8})-([0-9]+)-([0-9]+)-)?[0-9a-f]{4,8}")

#: folder -> paths, relative to it, of the files in it that Rekur wrote; None for a folder of somebody else
OwnFiles = Callable[[Path], "Collection[str] | None"]


class _Leftover(NamedTuple):
    """A file or a folder with a hidden name beside a target."""

    path: Path
    kind: str
    abandoned: bool


def write_file(
    path: str | os.PathLike[str],
    content: bytes,
    *,
    overwrite: bool | Replaceable,
    kind: str = "",
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Write a file, whole or not at all.

    Args:
        path: the file; missing folders above it are made.
        content: its bytes.
        overwrite: as for :func:`rekur._paths.check_file`.
        kind: as for :func:`rekur._paths.check_file`.
        inputs: as for :func:`rekur._paths.check_file`.

    Raises:
        InputError: an existing file may not be replaced.
        SaveError: the disk is full, or there is no permission to write; an existing file is unchanged.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "notes.txt")
        >>> write_file(file, b"first", overwrite=False)
        >>> write_file(file, b"second", overwrite=lambda head: head.startswith(b"fir"))
        >>> file.read_text(), len(list(file.parent.iterdir()))
        ('second', 1)
    """
    check = functools.partial(check_file, path, overwrite=overwrite, kind=kind, inputs=tuple(inputs))
    target = check()
    with save_errors(path, "file"), staged_file(target, check) as staging:
        staging.write_bytes(content)


@contextlib.contextmanager
def staged_file(target: Path, check: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """Yield the path of a new file beside a target; at the end of the block, replace the target by it.

    After an exception the target is unchanged and the new file is removed.

    Args:
        target: the file to be written; missing folders above it are made.
        check: raises if the target may not be replaced; called while no other process writes there.

    Raises:
        OSError: the file could not be written.
    """
    sweep(target)
    staging = staging_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield staging
        flush(staging)
        with _locked(target.parent):
            check()
            staging.replace(target)
        flush(target.parent)
    finally:
        with contextlib.suppress(OSError):
            staging.unlink()


@contextlib.contextmanager
def staged_folder(
    target: Path, own_files: OwnFiles, kind: str, check: Callable[[], object] = lambda: None
) -> Iterator[Path]:
    """Yield a new folder beside a target; at the end of the block, replace the target by it.

    Files of somebody else in the target move into the new folder. After an exception the target is unchanged and the
    new folder is removed.

    Args:
        target: the folder to be written; missing folders above it are made.
        own_files: returns the files in a folder that Rekur wrote, which are replaced.
        kind: the folder's content, for messages, such as ``bundle``.
        check: raises if the target may not be replaced; called while no other process writes there.

    Raises:
        InputError: a file of somebody else has a name that is needed, or a disk is mounted in the target.
        OSError: the folder could not be written.
        SaveError: an error occurred after the new folder was in place; the old content is beside it.
    """
    sweep(target, own_files)
    staging = staging_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        yield staging
        for path in [*staging.rglob("*"), staging]:
            flush(path)
        with _locked(target.parent):
            check()
            _put_in_place(staging, target, own_files(target) or (), kind)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def read_json_object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if the file is missing or holds something else."""
    try:
        content = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def staging_path(target: Path, kind: str = _PARTIAL) -> Path:
    """Return a new hidden path beside a target; its name says which process uses it."""
    process = os.getpid()
    owner = f"{_machine()}-{process}-{_start_of(process) or 0}"
    return target.parent / f".{_short(target.name)}.{kind}-{owner}-{os.urandom(4).hex()}"


def sweep(target: Path, own_files: OwnFiles = lambda folder: None) -> None:
    """Clear away the leftovers of killed processes beside a target.

    A folder that was moved aside is put back if the target is missing. Otherwise, its files of somebody else move into
    the target. What cannot be moved or removed stays.

    Args:
        target: a file or folder that is or will be written there.
        own_files: returns the files in a folder that Rekur wrote.
    """
    for leftover in _leftovers(target):
        with contextlib.suppress(OSError):
            if leftover.kind != _OLD and leftover.abandoned:
                _remove(leftover.path)
            elif leftover.kind == _OLD and not os.path.lexists(target):
                if leftover.abandoned or own_files(leftover.path) is not None:
                    leftover.path.rename(target)
            elif leftover.kind == _OLD and leftover.abandoned and own_files(target) is not None:
                _carry_over(leftover.path, target, own_files(leftover.path) or ())


def moved_aside(target: Path) -> list[Path]:
    """Return the former contents of a target that killed processes moved aside, the newest first."""
    return [leftover.path for leftover in _leftovers(target) if leftover.kind == _OLD]


def flush(path: Path) -> None:
    """Force a file, or the list of files in a folder, onto the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot, and need not
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let only one process at a time check and replace what a folder contains.

    The lock leaves no file behind. Windows, and disks without locks, have none.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _put_in_place(staging: Path, target: Path, own_files: Collection[str], kind: str) -> None:
    """Rename a folder to its target; an existing target is moved aside first and removed last."""
    if not target.is_dir():
        staging.rename(target)
        flush(target.parent)
        return
    _refuse_taken(staging, target, own_files, kind)
    aside = staging_path(target, _OLD)
    target.rename(aside)
    try:
        staging.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    try:
        flush(target.parent)
        _carry_over(aside, target, own_files)
    except OSError as error:
        got = f"'{error.strerror}' once the new {kind} was in place"
        fix = f"The new {kind} is whole; what stood there before is in {aside}."
        raise SaveError(f"{target}: got {got}; expected no trouble. {fix}") from error


def _refuse_taken(staging: Path, target: Path, own_files: Collection[str], kind: str) -> None:
    for name in _foreign(target, own_files):
        if os.path.lexists(staging / name):
            expected = f"a folder without '{name}' (it is not Rekur's, and the {kind} needs the name)"
            raise InputError(describe("folder", str(target), expected, "Move it away, or choose another folder."))
        if os.path.ismount(target / name):
            expected = f"a folder that can be replaced (a disk is mounted at '{name}' in it)"
            raise InputError(describe("folder", str(target), expected, "Choose another folder."))


def _carry_over(source: Path, target: Path, own_files: Collection[str]) -> None:
    """Move the files of somebody else from one folder to another and remove the rest; a name that is taken stays."""
    names = _foreign(source, own_files)
    for name in names:
        if not os.path.lexists(target / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).rename(target / name)
    if not any(os.path.lexists(source / name) for name in names):
        begin, _, owner = source.name.rpartition(f".{_OLD}-")
        rest = source.with_name(f"{begin}.{_REST}-{owner}")
        source.rename(rest)  # nothing in it counts any more, even if removing it is cut short
        shutil.rmtree(rest, ignore_errors=True)


def _foreign(folder: Path, own_files: Collection[str], above: str = "") -> list[str]:
    """Return the topmost paths in a folder that contain none of ``own_files``."""
    names = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name, is_folder = above + entry.name, entry.is_dir(follow_symlinks=False)
        if is_folder and any(path.startswith(f"{name}/") for path in own_files):
            names += _foreign(folder / entry.name, own_files, f"{name}/")
        elif is_folder or name not in own_files:
            names.append(name)
    return names


def _leftovers(target: Path) -> list[_Leftover]:
    """Return the hidden files and folders beside a target that no running process uses, the newest first."""
    begin, dated = f".{_short(target.name)}.", []
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            match = _SUFFIX.fullmatch(path.name.removeprefix(begin)) if path.name.startswith(begin) else None
            if match is not None:
                dated.append((path.lstat().st_mtime, _judge(path, *match.groups())))
    dated.sort(key=lambda item: -item[0])
    return [leftover for _, leftover in dated if leftover is not None]


def _judge(path: Path, kind: str, machine: str | None, process: str | None, start: str | None) -> _Leftover | None:
    if machine is not None and machine == _machine() and os.name == "posix":
        return _Leftover(path, kind, abandoned=True) if _start_of(int(process or 0)) != start else None
    is_old = time.time() - path.lstat().st_mtime > ABANDONED
    if machine is None:  # of an earlier version: a folder of such a name may be a person's own
        return _Leftover(path, kind, abandoned=is_old and kind != _OLD)
    return _Leftover(path, kind, abandoned=True) if is_old else None


def _short(name: str) -> str:
    """Return a name with room for a suffix; different long names stay different."""
    if len(os.fsencode(name)) <= 100:
        return name
    return f"{name[:20]}~{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}"


@functools.cache
def _machine() -> str:
    """Return a short name of this machine since it was started; containers that do not share processes differ."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def _start_of(process: int) -> str | None:
    """Return when a process was started, "0" if that is unknown; None if there is no such process."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    except (OSError, IndexError):
        if os.name != "posix":
            return "0"
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return "0"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()
