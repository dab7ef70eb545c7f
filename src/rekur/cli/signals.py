"""What happens when the system asks a command to end: the same as on Ctrl-C, with its own exit code.

SIGTERM is what ``kill`` and schedulers send, SIGHUP what a terminal sends that is closed. Where one is ignored, as
``nohup`` has it, it stays so.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rekur.cli.interrupts import importing, send_again

INTERRUPTED, TERMINATED, HUNG_UP = 130, 143, 129
_CODES: dict[int, int] = {signal.SIGTERM: TERMINATED}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _CODES[signal.SIGHUP] = HUNG_UP
_came: list[int] = []
_raised: list[int] = []
_whole_process: list[bool] = []


def ignore_to_the_end() -> None:
    """Once a signal came, ignore those that follow until the process has ended, and not only in the ``with`` block."""
    _whole_process.append(True)


@contextmanager
def ending_in_good_order() -> Iterator[None]:
    """Turn these signals into what Ctrl-C does, for the time of a ``with`` block."""
    _came.clear()
    _raised.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    numbers = [number for number in _CODES if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    handlers = {number: signal.signal(number, _end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_IGN if _came and _whole_process else handler)


def stopped_code() -> int:
    """Return the exit code of a command that was stopped: 143 after SIGTERM, 129 after SIGHUP, 130 after Ctrl-C."""
    return _CODES[_came[0]] if _came else INTERRUPTED


def true_code(code: int) -> int:
    """Return a command's exit code: never 0 once a signal came, whatever became of the KeyboardInterrupt."""
    return code or (stopped_code() if _came else 0)


def _end(number: int, frame: FrameType | None) -> None:
    _came.append(number)
    if _raised:  # shells and schedulers send them twice, and what the first one began is to end in good order
        return
    if importing(frame):
        send_again(number)
        return
    _raised.append(number)
    raise KeyboardInterrupt
