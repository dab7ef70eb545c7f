"""What a person sees while a model trains: a bar with the time left, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rekur._clock import duration
from rekur._numbers import shown

#: evaluations that a run tells of at most
MOST_LINES = 24


class Reporter:
    """What the training loop tells; here to nobody."""

    def start(
        self, total_steps: int, evaluations: int, *, by_epoch: bool = True, time_limit: float = 0.0, done: int = 0
    ) -> None:
        """Begin a run.

        Args:
            total_steps: steps that it has at most.
            evaluations: how often it is evaluated at most.
            by_epoch: whether an evaluation is named by its epoch, or by its step.
            time_limit: seconds that it has at most; 0 for no limit.
            done: steps that were done before, where a run is gone on with.
        """

    def step(self, done: int, loss: float) -> None:
        """Tell that ``done`` steps are done."""

    def evaluated(self, row: dict[str, Any], *, best: bool) -> None:
        """Tell the row of an evaluation, and whether it is the best so far."""

    def say(self, text: str) -> None:
        """Tell a sentence."""

    def finish(self) -> None:
        """End a run."""


class Silent(Reporter):
    """Tells nothing."""


class Lasting:
    """A stream for messages, such as standard error: what cannot be written, since its reader is gone, is dropped.

    Args:
        stream: where to write; None, as where standard error is closed, drops everything.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        try:
            if self._stream is not None:
                self._stream.write(text)
        except UnicodeEncodeError:
            return self.write(text.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError):  # a closed file is a ValueError
            self._stream = None
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    def isatty(self) -> bool:
        """Return whether a terminal shows it."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """Return the number that the system has for it."""
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        """How texts become bytes."""
        return getattr(self._stream, "encoding", None) or "utf-8"


class Lines(Reporter):
    """Lines for some twenty of the evaluations, with the time left; a moving bar too where there is a terminal.

    Args:
        console: where to write; standard error by default, so that standard output stays for results.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=cast(IO[str], Lasting(sys.stderr)), highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._total = 0
        self._evaluations = 0
        self._by_epoch = True
        self._limit = 0.0
        self._began = self._told = 0.0
        self._before = self._count = 0

    def start(
        self, total_steps: int, evaluations: int, *, by_epoch: bool = True, time_limit: float = 0.0, done: int = 0
    ) -> None:
        self._total, self._evaluations, self._by_epoch = total_steps, evaluations, by_epoch
        self._limit, self._before, self._count = time_limit, done, 0
        self._began = self._told = time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(bar_width=30),
                TextColumn("{task.completed}/{task.total} steps  loss {task.fields[loss]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total_steps, completed=done, loss="–")
            self._bar.start()

    def step(self, done: int, loss: float) -> None:
        """Show that ``done`` steps are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, loss=shown(loss))

    def evaluated(self, row: dict[str, Any], *, best: bool) -> None:
        """Write one line for an evaluation; of many, for every so many. A star marks the best so far."""
        if not self._is_told(row):
            return
        scores = "  ".join(
            f"{name.replace('_', ' ')} {shown(value)}"
            for name, value in row.items()
            if isinstance(value, float) and name not in ("seconds", "learning_rate")
        )
        seconds = self._left(row)
        left = f"  {duration(seconds)} left" if seconds > 0 else ""
        mark = "  *" if best else ""
        name = f"epoch {row['epoch']:>3}" if self._by_epoch else f"step {row['step']:>6}"
        self.console.print(f"{name}  {scores}  {duration(row['seconds'])}{left}{mark}", soft_wrap=True)

    def _is_told(self, row: dict[str, Any]) -> bool:
        """Return whether this evaluation is one of those that get a line."""
        self._count += 1
        now = time.monotonic()
        if self._limit and self._left(row) > 0:
            if self._count > 1 and now - self._told < self._limit / MOST_LINES:
                return False
        elif self._count % -(-self._evaluations // MOST_LINES) and row["step"] < self._total:
            return False
        self._told = now
        return True

    def _left(self, row: dict[str, Any]) -> float:
        """Return the seconds that are left, about."""
        steps = row["step"] - self._before
        spent = time.monotonic() - self._began
        left = spent / steps * (self._total - row["step"]) if steps > 0 else 0.0
        return min(left, self._limit - row["seconds"]) if self._limit else left

    def say(self, text: str) -> None:
        """Write one line."""
        self.console.print(text, soft_wrap=True, markup=False, emoji=False)

    def finish(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Warnings(Silent):
    """Tells nothing but what needs attention."""

    def __init__(self) -> None:
        self._lines = Lines()

    def say(self, text: str) -> None:
        """Write a warning."""
        if text.startswith("warning: "):
            self._lines.say(text)
