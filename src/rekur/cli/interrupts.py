"""Ctrl-C from the first moment of the process to the last: one line, exit code 130, never a traceback."""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

CODE = 130


class _Watch:
    """The state of the interrupts of this process."""

    def __init__(self) -> None:
        self.interrupted = False
        self.told = False
        self.ending = False


_watch = _Watch()


def watch() -> None:
    """Handle Ctrl-C in this process; where it is ignored, as in the background of a shell script, it stays so."""
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        return
    signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = _raise_again
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the last of all that is done at exit


def interrupted() -> bool:
    """Return whether Ctrl-C was pressed, whatever became of the KeyboardInterrupt."""
    return _watch.interrupted


def begin_end() -> None:
    """Ignore further interrupts from here on: the command is over, and only its end is still to be reported."""
    _watch.ending = True


def end(code: int) -> int:
    """Return the exit code of a command that is over: never 0 after Ctrl-C, which from here on ends the process."""
    _watch.ending = True
    if _watch.interrupted and not code:
        return tell()
    _watch.told = True
    return code


def tell() -> int:
    """Say that the command was stopped, unless it is said, and return the exit code."""
    _watch.ending = True
    if not _watch.told:
        if sys.stderr is not None:
            sys.stderr.write("rekur: stopped.\n")
        _watch.told = True
    return CODE


def importing(frame: FrameType | None) -> bool:
    """Return whether a module is being imported: PyTorch may abort where an exception comes in between."""
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def send_again(number: int) -> None:
    """Have the handler of a signal called again, in a moment."""
    _thread.start_new_thread(_send_soon, (number,))


def _interrupt(number: int, frame: FrameType | None) -> None:
    _watch.interrupted = True
    if not _watch.ending and importing(frame):
        send_again(number)
    elif not _watch.ending:
        raise KeyboardInterrupt
    if _watch.told:
        os._exit(CODE)


def _raise_again(lost: Any) -> None:
    """Raise a KeyboardInterrupt again that came where Python ignores exceptions, such as in a callback."""
    if isinstance(lost.exc_value, KeyboardInterrupt) or lost.exc_type is KeyboardInterrupt:
        send_again(signal.SIGINT)
    else:
        sys.__unraisablehook__(lost)


def _send_soon(number: int) -> None:
    time.sleep(0.005)
    _thread.interrupt_main(signal.Signals(number))
