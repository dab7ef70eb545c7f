"""How the threads of a training wait for each other: awake, or asleep where other processes want the processors.

PyTorch's OpenMP lets a thread that waits for its team spin for milliseconds before it sleeps. That is fast on an idle
machine. On a busy one the spinning thread takes the processor from the very thread that it waits for, and small models
train ten times slower. Neither the results nor the number of threads depend on how they wait.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType

import torch

from rekur._kernels import kernels, processors

#: settings of the user, which are left as they are
_CHOSEN_WAIT, _CHOSEN_THREADS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"), "OMP_NUM_THREADS"
_SCHEDULER = Path("/proc/thread-self/schedstat")
#: seconds between two looks, and seconds without competition after which threads spin again
_INTERVAL, _CALM = 0.1, 1.0
#: shares of the time that this thread waits for a processor: from the first on others want it, below the second no more
_BUSY, _IDLE = 0.05, 0.02


class Waiting:
    """Chooses how the threads of a training wait, by the time that this thread waits for a processor.

    A context manager around a training; inside it ``look`` is called after every step. Meanwhile PyTorch has at most as
    many threads as there are processors, which a container's quota may limit.
    """

    def __init__(self) -> None:
        self._watches = kernels is not None and not any(name in os.environ for name in _CHOSEN_WAIT)
        self._asleep = False
        self._looked = self._competed = time.monotonic()
        self._delay = 0
        self._threads = 0

    def __enter__(self) -> Waiting:
        threads = torch.get_num_threads()
        if threads > processors() and _CHOSEN_THREADS not in os.environ:
            torch.set_num_threads(processors())
            self._threads = threads
        delay = self._read()
        self._watches = self._watches and delay is not None
        self._delay, self._looked = delay or 0, time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._asleep:
            kernels.spin_briefly(False)
            self._asleep = False
        if self._threads:
            torch.set_num_threads(self._threads)

    def look(self, *, interval: float = _INTERVAL) -> None:
        """Let threads sleep, or spin again, by what this thread has waited for a processor since the last look.

        Args:
            interval: seconds since the last look below which nothing is done.
        """
        if not self._watches:
            return
        now = time.monotonic()
        passed = now - self._looked
        if passed < interval:
            return
        delay = self._read() or 0
        share = 1e-9 * (delay - self._delay) / passed
        self._delay, self._looked = delay, now
        if share > _IDLE:
            self._competed = now
        if share > _BUSY and not self._asleep:
            self._asleep = self._watches = kernels.spin_briefly(True)
        elif self._asleep and now - self._competed > _CALM:
            kernels.spin_briefly(False)
            self._asleep = False

    @staticmethod
    def _read() -> int | None:
        """Return the nanoseconds that this thread has waited for a processor; None where the system does not say."""
        try:
            return int(_SCHEDULER.read_text(encoding="ascii").split()[1])
        except (OSError, IndexError, ValueError):
            return None
