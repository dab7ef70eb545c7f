"""Files and folders that take the place of others, whole or not at all; what belongs to somebody else is carried over.

What is being written stands beside its target under a hidden name, ``.NAME.partial-…``; a folder that is being replaced
is moved to ``.NAME.old-…`` for a moment, and what is to be removed of it to ``.NAME.rest-…``. The names say which
process made them, so that the next run in the same place clears away what a process left that was killed, and nothing
of one that still runs.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from rekur.errors import InputError, SaveError, describe

#: seconds after which what another machine, or an earlier version, left half-written counts as abandoned
ABANDONED = 86_400.0

_PARTIAL, _OLD, _REST = "partial", "old", "rest"
#: machine, process and its start, and a random part; earlier versions wrote the random part alone
_SUFFIX = re.compile(r"(partial|old|rest)-(?:([0-9a-f]{8})-([0-9]+)-([0-9]+)-)?[0-9a-f]{4,8}")

#: says of a folder which files in it Rekur wrote, as paths relative to it; None of a folder that it did not write
OwnFiles = Callable[[Path], "Collection[str] | None"]


class _Left(NamedTuple):
    """What stands beside a target for a while."""

    path: Path
    kind: str
    abandoned: bool


def beside(target: Path, kind: str = _PARTIAL) -> Path:
    """Return a new hidden path beside a target; its name says which process uses it."""
    process = os.getpid()
    owner = f"{_machine()}-{process}-{_start_of(process) or 0}"
    return target.parent / f".{_short(target.name)}.{kind}-{owner}-{secrets.token_hex(4)}"


def sweep(target: Path, own: OwnFiles = lambda folder: None) -> None:
    """Clear away what processes that were killed left beside a target.

    A folder that was moved aside is put back if nothing stands in its place. If its successor does, what in it is not
    Rekur's moves there. What cannot be moved or removed stays.

    Args:
        target: what is written there, now or soon.
        own: says which files of a folder Rekur wrote.
    """
    for left in _left(target):
        with contextlib.suppress(OSError):
            if left.kind != _OLD and left.abandoned:
                _remove(left.path)
            elif left.kind == _OLD and not os.path.lexists(target):
                if left.abandoned or own(left.path) is not None:
                    left.path.rename(target)
            elif left.kind == _OLD and left.abandoned and own(target) is not None:
                _carry_over(left.path, target, own(left.path) or ())


def moved_aside(target: Path) -> list[Path]:
    """Return the folders that stood at a target and were moved aside by processes that are dead, the newest first."""
    return [left.path for left in _left(target) if left.kind == _OLD]


@contextlib.contextmanager
def in_turn(target: Path) -> Iterator[None]:
    """Hold other processes off a place while it is looked at and filled, so that none replaces what it has not seen.

    The folder above is locked, which leaves nothing behind; on Windows, and on disks without locks, nothing is.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(target.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def put_in_place(staging: Path, target: Path, own: Collection[str], what: str) -> None:
    """Let a finished folder take the place of another, which is moved aside before and removed only after.

    Args:
        staging: the finished folder, beside the target.
        target: where it is to stand.
        own: files in the replaced folder that are replaced, as paths relative to it; all others move into the new one.
        what: stands there, for messages, such as ``bundle``.

    Raises:
        InputError: a file of somebody else has a name that is needed, or a disk is mounted in the folder.
        OSError: it could not be put in place; what stood there stands there again.
        SaveError: something went wrong once it was in place; what stood there before is beside it.
    """
    replaces = target.is_dir()
    if not replaces:
        staging.rename(target)
        flush(target.parent)
        return
    _refuse_taken(staging, target, own, what)
    aside = beside(target, _OLD)
    target.rename(aside)
    try:
        staging.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    try:
        flush(target.parent)
        _carry_over(aside, target, own)
    except OSError as error:
        got = f"'{error.strerror}' once the new {what} was in place"
        kept = f"what stood there before is in {aside}"
        raise SaveError(f"{target}: got {got}; expected no trouble. The new {what} is whole; {kept}.") from error


def _refuse_taken(staging: Path, target: Path, own: Collection[str], what: str) -> None:
    for name in _foreign(target, own):
        if os.path.lexists(staging / name):
            expected = f"a folder without '{name}' (it is not Rekur's, and the {what} needs the name)"
            raise InputError(describe("folder", str(target), expected, "Move it away, or choose another folder."))
        if os.path.ismount(target / name):
            expected = f"a folder that can be replaced (a disk is mounted at '{name}' in it)"
            raise InputError(describe("folder", str(target), expected, "Choose another folder."))


def _carry_over(source: Path, target: Path, own: Collection[str]) -> None:
    """Move what is somebody else's from one folder to another, and remove the rest; a name that is taken stays."""
    names = _foreign(source, own)
    for name in names:
        if not os.path.lexists(target / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).rename(target / name)
    if not any(os.path.lexists(source / name) for name in names):
        begin, _, owner = source.name.rpartition(f".{_OLD}-")
        rest = source.with_name(f"{begin}.{_REST}-{owner}")
        source.rename(rest)  # nothing in it counts any more, even if removing it is cut short
        shutil.rmtree(rest, ignore_errors=True)


def _foreign(folder: Path, own: Collection[str], above: str = "") -> list[str]:
    """Return the topmost paths in a folder that hold no file of ``own``."""
    names = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name, is_folder = above + entry.name, entry.is_dir(follow_symlinks=False)
        if is_folder and any(path.startswith(f"{name}/") for path in own):
            names += _foreign(folder / entry.name, own, f"{name}/")
        elif is_folder or name not in own:
            names.append(name)
    return names


def _left(target: Path) -> list[_Left]:
    """Return what stands beside a target and is not of a process that still runs, the newest first."""
    begin, left = f".{_short(target.name)}.", []
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            match = _SUFFIX.fullmatch(path.name.removeprefix(begin)) if path.name.startswith(begin) else None
            if match is not None:
                left.append((path.lstat().st_mtime, _judge(path, *match.groups())))
    left.sort(key=lambda item: -item[0])
    return [judged for _, judged in left if judged is not None]


def _judge(path: Path, kind: str, machine: str | None, process: str | None, start: str | None) -> _Left | None:
    if machine is not None and machine == _machine() and os.name == "posix":
        return _Left(path, kind, abandoned=True) if _start_of(int(process or 0)) != start else None
    old = time.time() - path.lstat().st_mtime > ABANDONED
    if machine is None:  # of an earlier version: a folder of such a name may be a person's own
        return _Left(path, kind, abandoned=old and kind != _OLD)
    return _Left(path, kind, abandoned=True) if old else None


def _short(name: str) -> str:
    """Return a name from which longer ones can be made; two long names do not become one."""
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
    """Return when a process was started, "0" where that cannot be known; None if there is no such process."""
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


def flush(path: Path) -> None:
    """Force a file, or the list of files in a folder, onto the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot, and need not
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
