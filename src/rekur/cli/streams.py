"""Standard input, output and error of the process, so that a closed or broken one is told in a sentence.

Results that are lost make the command fail. A reader that goes away, as ``head`` does, ends a command that only writes
rows, and changes nothing for any other. Messages that cannot be written are passed over.
"""

from __future__ import annotations

import errno
import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ReaderGone(Exception):
    """Nobody reads the rows any more that a command writes one after another."""


class _Output(io.FileIO):
    """Standard output: what cannot be written is an error until it is told; what nobody reads is passed over."""

    told = gone = False

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        if self.told or self.gone or not size:  # click tries a stream with no bytes
            return size
        try:
            return super().write(data) or 0
        except BrokenPipeError:  # the reader went away, as `head` does: what else the command does, it does
            _Output.gone = True
            return size
        except OSError as error:
            from rekur.errors import SaveError

            raise SaveError(
                f"standard output: got {_flaw(error)}; expected one that can be written. Results are lost."
            ) from error


class _Messages(io.FileIO):
    """Standard error: a command goes on although nobody reads what it says."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


class _Input(io.FileIO):
    """Standard input: one that cannot be read is an error of what was given."""

    def readinto(self, buffer: Any, /) -> int:
        try:
            return super().readinto(buffer) or 0
        except OSError as error:
            raise _unreadable(error) from error

    def readall(self) -> bytes:
        try:
            return super().readall() or b""
        except OSError as error:
            raise _unreadable(error) from error


def replace() -> None:
    """Put streams of these kinds in the place of the three that Python made."""
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:  # closed; the next file that is opened must not get its number
            os.set_inheritable(os.open(os.devnull, flags), True)
    if os.name == "nt":  # the console's own streams know its code page
        return
    sys.stdin = _text(sys.stdin, io.BufferedReader(_Input(0, "r", closefd=False)))
    sys.stdout = _text(sys.stdout, _written(sys.stdout, _Output(1, "w", closefd=False)))
    sys.stderr = _text(sys.stderr, _written(sys.stderr, _Messages(2, "w", closefd=False)))


def check_reader() -> None:
    """Raise ReaderGone if nobody reads standard output any more."""
    if _Output.gone:
        raise ReaderGone


def give_up() -> None:
    """Discard all further output: a message already says that results are lost."""
    _Output.told = True


def _written(original: Any, raw: io.FileIO) -> Any:
    return raw if getattr(original, "write_through", False) else io.BufferedWriter(raw)


def _text(original: Any, binary: Any) -> io.TextIOWrapper:
    """Return a text stream with the encoding and the buffering of the one before."""
    if original is None:
        return io.TextIOWrapper(binary, encoding="utf-8", errors="backslashreplace")
    return io.TextIOWrapper(
        binary,
        encoding=original.encoding,
        errors=original.errors if original is sys.stdin else "backslashreplace",
        newline="\n" if original is not sys.stdin else None,
        line_buffering=original.line_buffering,
        write_through=original.write_through,
    )


def _unreadable(error: OSError) -> Exception:
    from rekur.errors import InputError

    return InputError(f"standard input: got {_flaw(error)}; expected one that can be read.")


def _flaw(error: OSError) -> str:
    return "a closed one" if error.errno == errno.EBADF else f"'{error.strerror}'"
