"""One run a folder: a lock that the system lets go when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import sys
import weakref
from pathlib import Path

from rekur._paths import save_errors
from rekur.errors import InputError, LockedError, describe

NAME = "lock"
#: the byte that is locked on Windows: far behind the text, which others are to read
BYTE = 1 << 20
_TRIES = 100
#: what the system says where another process has the lock; anything else means that there are no locks here
_HELD = (errno.EAGAIN, errno.EACCES)
#: what the file of a lock holds: number of the process and name of the machine
_SIGNED = re.compile(rb"[0-9]+ [^\n]*\n")


class FolderLock:
    """Holds a folder for this process until :meth:`release`, or until nobody uses it; then its file is removed.

    On a file system without locks, as some clusters have, nothing is held.

    Args:
        folder: is made if it is missing.
        name: of the file.

    Raises:
        InputError: a file that is no lock has the name.
        LockedError: another process holds it.
        SaveError: nothing can be written there.
    """

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self._path = folder / name
        for left in reversed(range(_TRIES)):
            with save_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                self._refuse_foreign()
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._hold()
            except OSError as error:
                if error.errno in _HELD:
                    who = self._holder()
                    os.close(self._file)
                    raise LockedError(
                        f"{folder}: got a folder in which {who} is training; expected one that is free. "
                        "Wait until it has ended, or choose another folder."
                    ) from error
            if not left or _stands(self._file, self._path):  # some file systems number a file anew each time
                break
            os.close(self._file)  # who held it before has removed the file meanwhile
        self._sign()
        #: lets the folder go; may be called again
        self.release = weakref.finalize(self, _release, self._file, self._path, os.getpid())

    def _refuse_foreign(self) -> None:
        """Raise if a file that is no lock has the name: its content would be replaced."""
        try:
            if stat.S_ISREG(self._path.lstat().st_mode):
                content = self._path.read_bytes()
                if not content or _SIGNED.fullmatch(content):
                    return
        except (FileNotFoundError, PermissionError):  # Windows lets nobody read a lock that is held
            return
        fix = "Move it away, or choose another folder."
        raise InputError(describe("file", str(self._path), "the lock of a run (another file is there)", fix))

    def _hold(self) -> None:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(self._file, BYTE, os.SEEK_SET)
            msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sign(self) -> None:
        """Write who holds the folder; on a full disk nobody is told, but it is held."""
        try:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, f"{os.getpid()} {socket.gethostname()}\n".encode())
        except OSError:
            pass

    def _holder(self) -> str:
        os.lseek(self._file, 0, os.SEEK_SET)
        number, _, host = os.read(self._file, 300).decode("utf-8", "replace").strip().partition(" ")
        where = f" on {host}" if host and host != socket.gethostname() else ""
        return f"process {number}{where}" if number else "another process"


def _release(file: int, path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has the file too, but not the lock
        with contextlib.suppress(OSError):
            if os.name == "posix" and _stands(file, path):
                path.unlink()
    os.close(file)
    if os.name != "posix":  # an open file cannot be removed there
        with contextlib.suppress(OSError):
            path.unlink()


def _stands(file: int, path: Path) -> bool:
    """Return whether an open file is the one that has the name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False
