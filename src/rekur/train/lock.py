"""One run a folder: a lock that the system lets go when the process ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rekur.errors import LockedError, SaveError

NAME = "lock"


class FolderLock:
    """Holds a folder for this process until :meth:`release`.

    Args:
        folder: is made if it is missing.

    Raises:
        LockedError: another process holds it.
        SaveError: nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise SaveError(f"{folder}: could not be made or written ({error.strerror}).") from error
        try:
            self._hold()
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f"process {holder}" if holder else "another process"
            raise LockedError(
                f"{folder}: got a folder in which {who} is training; expected one that is free. "
                "Wait until it has ended, or choose another folder."
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def _hold(self) -> None:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Let the folder go; may be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
