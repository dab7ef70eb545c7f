"""Asked to end: on Ctrl-C or SIGTERM training ends after the step it is at, so that what it leaves is exact."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopRequest:
    """Notes the first Ctrl-C or SIGTERM within a ``with`` block; a second one interrupts at once.

    Only the main thread can do so; in another one signals are left alone. SIGTERM that nobody handles is noted only
    where there is something to save, and is given on when the block ends.

    Args:
        saves: whether what was reached is saved.
    """

    def __init__(self, *, saves: bool) -> None:
        self._saves = saves
        self._before: dict[int, Any] = {}
        self.asked: int = 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler) or (handler is signal.SIG_DFL and self._saves):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.asked and self._before.get(self.asked) is signal.SIG_DFL:
            signal.raise_signal(self.asked)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, number
        before = self._before[number]
        if callable(before):
            try:
                before(number, frame)  # who handled it before may want to know
            except KeyboardInterrupt:
                if again:
                    raise
        elif again:
            raise KeyboardInterrupt
