"""The ends of training series as lines that main.c of a forecaster takes before those on standard input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from rekur._filled_series import end_of
from rekur._history import History
from rekur.export.c.windows import Windows

#: the file of these lines
HISTORY = "history.csv"
#: most series in it
MOST_SERIES = 64
#: longest name that main.c takes, and what no name in a line may have
_LONGEST, _NO_NAME = 63, set(",;\t\r\n[]")


class Ends(NamedTuple):
    """The ends of series as lines.

    Attributes:
        lines: a line a step: the name of its series, the time, and numbers as main.c reads them.
        series: how many series they are of.
        left_out: how many are left out.
    """

    lines: str = ""
    series: int = 0
    left_out: int = 0

    def told(self) -> str:
        """Return which series these are, in words."""
        held = f"holds the ends of {self.series:,} training series"
        if not self.left_out:
            return held
        marks = "tabs, commas, semicolons and brackets"
        rule = f"at most {MOST_SERIES}, with names of up to {_LONGEST} bytes without {marks}"
        return f"{held}, and not those of {self.left_out:,} more ({rule})"


def ends_of(windows: Windows, histories: Sequence[History]) -> Ends:
    """Return the ends of training series as lines.

    Args:
        windows: of the model.
        histories: the ends of series; of the first of them, and of those with names that a line may have.
    """
    lines = list[str]()
    count = left_out = 0
    for history in histories:
        several = bool(history.name) and len(history.channels) > 1
        for channel, label in enumerate(history.channels):
            name = f"{history.name}/{label}" if several else history.name or label
            if count < MOST_SERIES and name and len(name.encode()) <= _LONGEST and not _NO_NAME & set(name):
                lines += _lines(windows, history, channel, name)
                count += 1
            else:
                left_out += 1
    return Ends("".join(f"{line}\n" for line in lines), count, left_out)


def _lines(windows: Windows, history: History, channel: int, name: str) -> Iterator[str]:
    more = windows.covariates
    static, past, future = (more.columns(role, history) for role in ("static", "past", "future"))
    end = end_of(history.values[:, channel])
    for step in range(max(0, end - windows.kept), end):
        numbers = [*static, history.values[step, channel], *past[step], *future[step]]
        stamp = [history.stamp(step)] if windows.clock is not None else []
        yield ",".join([name, *stamp, *("NA" if np.isnan(number) else repr(float(number)) for number in numbers)])
