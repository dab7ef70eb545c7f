"""What happens when the system asks a command to end: the same as on Ctrl-C, with its own exit code."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143
_terminated = threading.Event()


@contextmanager
def ending_in_good_order() -> Iterator[None]:
    """Turn SIGTERM into what Ctrl-C does, for the time of a ``with`` block: training then keeps its best weights."""
    _terminated.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stopped_code() -> int:
    """Return the exit code of a command that was stopped: 143 after SIGTERM, 130 after Ctrl-C."""
    return TERMINATED if _terminated.is_set() else INTERRUPTED


def _terminate(number: int, frame: FrameType | None) -> None:
    _terminated.set()
    raise KeyboardInterrupt
