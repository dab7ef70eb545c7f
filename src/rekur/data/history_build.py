"""Rows on a grid to histories: the end of each, its known horizon, and sentences on gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import ROWS, CalendarStep, StampForm
from rekur._history import LARGEST_VALUE, History
from rekur._numbers import counted
from rekur.data.history_columns import Layout
from rekur.errors import InputError, describe

_MOST_NAMED = 3


@dataclass(frozen=True)
class Demands:
    """What each series must have.

    Attributes:
        horizon: steps that will be forecast; None if unknown.
        needs_future: a known horizon where there are future covariates.
        fewest: values; 0 where rows that are known ahead alone will do.
    """

    horizon: int | None = None
    needs_future: bool = False
    fewest: int = 2


class HistoryBuilder:
    """Makes histories, checks them and tells of their gaps.

    Args:
        layout: the columns.
        name: of the source, for messages.
        error: (text, line) -> the error to raise.
        asked: what each series must have.
        tell: receives sentences.
    """

    def __init__(
        self,
        layout: Layout,
        name: str,
        error: Callable[[str, int], InputError],
        asked: Demands,
        tell: Callable[[str], None],
    ) -> None:
        self.layout, self._name, self._error, self._asked, self._tell = layout, name, error, asked, tell
        self._histories: list[History] = []
        self._last_lines: list[int] = []

    def add(
        self,
        name: str,
        channels: tuple[str, ...],
        steps: NDArray[np.float64],
        lines: NDArray[np.int64],
        *,
        start: int = 0,
        step: CalendarStep = ROWS,
        form: StampForm | None = None,
        static: NDArray[np.float64] | None = None,
    ) -> None:
        """Take one series.

        Args:
            name: of the series.
            channels: C names.
            steps: channels, past and future covariates, (T, C + P + F), NaN where missing.
            lines: where each step stands, (T,); 0 for a step without a row.
            start: the stamp of the first step.
            step: from step to step.
            form: how stamps are written.
            static: (S,).

        Raises:
            DataError: it has fewer than two values, one that is too large, or a hole in its known horizon.
        """
        count, past = len(channels), len(self.layout.past)
        observed = np.flatnonzero(~np.isnan(steps[:, :count]).all(axis=1))
        values = int((~np.isnan(steps[:, :count])).sum(axis=0).max(initial=0))
        line = int(lines[lines > 0][0]) if (lines > 0).any() else 0
        if values < self._asked.fewest or not (values or self.layout.future):
            thing = f"series '{name}'" if name else "values"
            raise self._error(
                f"{thing}: got {counted(values, 'value')}; expected {self._asked.fewest or 1} or more.", line
            )
        first, end = (int(observed[0]), int(observed[-1]) + 1) if values else (0, 0)
        ahead = len(steps) if self.layout.future else end
        history = History(
            name,
            channels,
            np.ascontiguousarray(steps[first:end, :count]),
            int(step.add(start, first)),
            step,
            form,
            np.ascontiguousarray(steps[first:end, count : count + past]),
            np.ascontiguousarray(steps[first:ahead, count + past :]),
            np.empty(0) if static is None else static,
            tuple(self.layout.past),
            tuple(self.layout.future),
            tuple(self.layout.static),
            line=line,
        )
        self._refuse_large(history, lines[first:])
        if history.known_horizon:
            self._refuse_holes(history, lines[first:])
        elif ahead < len(steps):
            object.__setattr__(history, "notes", (_behind(history, len(steps) - end),))
        missing = _missing(history)
        object.__setattr__(history, "notes", (*missing, *history.notes))
        self._histories.append(history)
        self._last_lines.append(int(lines.max()))

    def finish(self) -> list[History]:
        """Return the histories, after telling of their gaps.

        Raises:
            DataError: known horizons are shorter than what will be forecast.
        """
        horizon = self._asked.horizon
        is_known = self.layout.future and (self._asked.needs_future or any(h.known_horizon for h in self._histories))
        if horizon and is_known:
            for history, line in zip(self._histories, self._last_lines, strict=True):
                if history.known_horizon < horizon:
                    thing = f"known horizon of series '{history.name}'" if history.name else "known horizon"
                    got = f"{counted(history.known_horizon, 'row')} behind the last value"
                    expected = f"{horizon}, the steps to forecast, with {self._shown_future()}"
                    raise self._error(f"{thing}: got {got}; expected {expected}.", line)
        noted = [history for history in self._histories if history.notes]
        for history in noted[:_MOST_NAMED]:
            series = f"series '{history.name}': " if history.name else ""
            self._tell(f"{self._name}: {series}{'; '.join(history.notes)}.")
        if len(others := noted[_MOST_NAMED:]):
            missing = sum(int(np.isnan(history.values).any(axis=1).sum()) for history in others)
            more = f"{len(others):,} more series have gaps"
            self._tell(f"{self._name}: {more}; {missing:,} of their {sum(map(len, others)):,} steps are missing.")
        return self._histories

    def _refuse_large(self, history: History, lines: NDArray[np.int64]) -> None:
        """Raise for a value whose square is no number, or that stands for none, as 9.97e36 does in some formats."""
        large = np.argwhere(np.abs(history.values) > LARGEST_VALUE)
        if not len(large):
            return
        row, column = (int(number) for number in large[0])
        series = f" of series '{history.name}'" if history.name else ""
        thing = f"{history.channels[column]}{series} at {_shown_step(history, row)}"
        expected = f"a number from {-LARGEST_VALUE:.0e} to {LARGEST_VALUE:.0e}"
        fix = "Leave it blank if it stands for a missing value, or take a larger unit."
        raise self._error(describe(thing, float(history.values[row, column]), expected, fix), int(lines[row]))

    def _refuse_holes(self, history: History, lines: NDArray[np.int64]) -> None:
        """Raise for a blank in the known horizon."""
        length = len(history)
        holes = np.argwhere(np.isnan(history.future[length:]))
        if not len(holes):
            return
        row, column = (int(number) for number in holes[0])
        name = self.layout.future[column].partition("=")[0]
        series = f" of series '{history.name}'" if history.name else ""
        stamp = history.stamp(length + row)
        line = int(lines[length + row])
        got = "got nothing" if line else "got no row"
        line = line or int(lines[length + row :][lines[length + row :] > 0][0])
        expected = "a value in each row behind the last one of the series"
        raise self._error(f"{name}{series} at {stamp}: {got}; expected {expected}.", line)

    def _shown_future(self) -> str:
        columns = dict.fromkeys(name.partition("=")[0] for name in self.layout.future)
        return ", ".join(f"'{column}'" for column in columns)


def _missing(history: History) -> tuple[str, ...]:
    """Return a sentence on the missing values of each channel that has some."""
    sentences = []
    for k, channel in enumerate(history.channels):
        gaps = np.flatnonzero(np.isnan(history.values[:, k]))
        if len(gaps):
            which = f"channel '{channel}': " if len(history.channels) > 1 else ""
            first = _shown_step(history, int(gaps[0]))
            sentences.append(f"{which}{len(gaps):,} of {len(history):,} steps missing, first {first}")
    if len(sentences) > _MOST_NAMED:
        sentences[_MOST_NAMED:] = [f"and {counted(len(sentences) - _MOST_NAMED, 'more channel')} with missing steps"]
    return tuple(sentences)


def _shown_step(history: History, number: int) -> str:
    """Return the stamp of a step from 0 on; its number from 1 on where it has none."""
    return f"step {number + 1}" if history.step.unit == "row" else history.stamp(number)


def _behind(history: History, rows: int) -> str:
    last = history.stamp(len(history) - 1)
    where = "" if history.step.unit == "row" else f", {last}"
    return f"{counted(rows, 'row')} without a value behind the last one{where}, are not used"
