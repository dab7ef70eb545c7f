"""Asked to end: on Ctrl-C, SIGTERM or SIGHUP training ends after the step it is at, so that what it leaves is exact."""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import Any, Self

#: what asks a process to end; a terminal that is closed sends SIGHUP, which Windows does not have
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class StopRequest:
    """Notes that the process is asked to end, within a ``with`` block.

    A second Ctrl-C raises KeyboardInterrupt at once. SIGTERM and SIGHUP never do: a shell that ends, or ``timeout``,
    sends them twice. Who handled the signal before is told too, and handles it again afterwards. A signal that is
    ignored stays so, and outside the main thread, which alone can handle signals, nothing is noted.

    Attributes:
        asked: whether one came.
        urgent: whether Ctrl-C came when one had come before.
    """

    def __init__(self) -> None:
        self.asked = self.urgent = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.urgent, self.asked = self.asked and number == signal.SIGINT, True
        before = self._before[number]
        if callable(before):
            with contextlib.suppress(KeyboardInterrupt):  # it is raised below, once it is urgent
                before(number, frame)
        if self.urgent:
            raise KeyboardInterrupt
