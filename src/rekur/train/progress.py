"""What a person sees while a model trains: a bar with the time left, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

#: evaluations that a run tells of at most
MOST_LINES = 24


class Reporter(Protocol):
    """What the training loop tells."""

    def start(self, total_steps: int, epochs: int) -> None: ...

    def step(self, done: int, loss: float) -> None: ...

    def evaluated(self, row: dict[str, Any], *, best: bool) -> None: ...

    def say(self, text: str) -> None: ...

    def finish(self) -> None: ...


class Silent:
    """Tells nothing."""

    def start(self, total_steps: int, epochs: int) -> None:
        """Do nothing."""

    def step(self, done: int, loss: float) -> None:
        """Do nothing."""

    def evaluated(self, row: dict[str, Any], *, best: bool) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class Lines:
    """Lines for some twenty of the evaluations, with the time left; a moving bar too where there is a terminal.

    Args:
        console: where to write; standard error by default, so that standard output stays for results.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._total = 0
        self._epochs = 0
        self._began = 0.0

    def start(self, total_steps: int, epochs: int) -> None:
        """Begin a run of at most ``total_steps`` steps in ``epochs`` passes."""
        self._total, self._epochs, self._began = total_steps, epochs, time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(bar_width=30),
                TextColumn("{task.completed}/{task.total} steps  loss {task.fields[loss]:.4f}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total_steps, loss=float("nan"))
            self._bar.start()

    def step(self, done: int, loss: float) -> None:
        """Show that ``done`` steps are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, loss=loss)

    def evaluated(self, row: dict[str, Any], *, best: bool) -> None:
        """Write one line for an evaluation; of many, for every so many. A star marks the best so far."""
        every = -(-self._epochs // MOST_LINES)
        if row["epoch"] % every and row["epoch"] != self._epochs:
            return
        shown = "  ".join(
            f"{name.replace('_', ' ')} {value:.4f}"
            for name, value in row.items()
            if isinstance(value, float) and name not in ("seconds", "learning_rate")
        )
        left = ""
        if 0 < row["step"] < self._total:
            spent = time.monotonic() - self._began
            left = f"  {_clock(spent / row['step'] * (self._total - row['step']))} left"
        mark = "  *" if best else ""
        self.console.print(f"epoch {row['epoch']:>3}  {shown}  {_clock(row['seconds'])}{left}{mark}", soft_wrap=True)

    def say(self, text: str) -> None:
        """Write one line."""
        self.console.print(text, soft_wrap=True, markup=False)

    def finish(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _clock(seconds: float) -> str:
    """Return a duration as a person says it.

    Example:
        >>> _clock(75)
        '1m15s'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"
