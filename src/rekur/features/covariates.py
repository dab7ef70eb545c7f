"""What a forecaster knows beside the values of series: covariates on one scale, and the calendar; no PyTorch.

Axes: T steps of a history, H steps of the horizon, L steps of the look-back, P, F and S numbers of past, future and
static covariates, C numbers of the calendar.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import ROWS, calendar_features, cycles_of
from rekur._filled_series import Beside, NumberRows
from rekur._history import History
from rekur._numbers import counted
from rekur.errors import InputError, did_you_mean

Floats = NDArray[np.float64]

#: role -> what its columns are called in messages
ROLES = {"past": "past columns", "future": "columns that are known ahead", "static": "static columns"}
#: scaled numbers lie between minus and plus this
LARGEST = 8.0
#: numbers above this are divided by the largest before they are squared
_LARGEST_SQUARED = 1e100


@dataclass(frozen=True)
class Scaler:
    """Columns of numbers on one scale: less their mean, by their standard deviation; flags of 0 and 1 as they are.

    A column that never changes in training is 0. Each pattern of missing numbers in training has a flag behind the
    columns.

    Attributes:
        names: of the columns.
        location: number subtracted from each.
        scale: what each is divided by; 0 for a column that never changes.
        flagged: numbers of the columns, one for each pattern, whose missing numbers are flagged.

    Example:
        >>> scaler = Scaler.fit(("rain", "promo"), np.array([[1.0, 0.0], [np.nan, 1.0], [3.0, 0.0]]))
        >>> scaler.scaled(np.array([[5.0, 1.0], [np.nan, 0.0]])).tolist()
        [[3.0, 1.0, 0.0], [3.0, 0.0, 1.0]]
    """

    names: tuple[str, ...] = ()
    location: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    flagged: tuple[int, ...] = ()

    @classmethod
    def fit(cls, names: Sequence[str], rows: Floats) -> Self:
        """Return the scaler of columns (T, len(names)), NaN where a number is missing."""
        location, scale = np.zeros(len(names)), np.zeros(len(names))
        patterns: dict[bytes, int] = {}
        for number, column in enumerate(rows.T):
            missing = np.isnan(column)
            present = column[~missing]
            if missing.any():
                patterns.setdefault(missing.tobytes(), number)
            if len(present) and present.min() < present.max():
                is_flag = bool(((present == 0) | (present == 1)).all())
                location[number], scale[number] = (0.0, 1.0) if is_flag else _mean_and_deviation(present)
        return cls(tuple(names), tuple(location.tolist()), tuple(scale.tolist()), tuple(patterns.values()))

    @property
    def width(self) -> int:
        """Numbers of a row: columns and flags."""
        return len(self.names) + len(self.flagged)

    @property
    def constant(self) -> tuple[str, ...]:
        """The names of the columns that never change in training."""
        return tuple(name for name, scale in zip(self.names, self.scale, strict=True) if scale == 0)

    def scaled(self, rows: Floats) -> Floats:
        """Return rows (T, columns) on the scale, (T, width); a missing number is the last one before it, else 0."""
        missing = np.isnan(rows)
        latest = np.maximum.accumulate(np.where(missing, -1, np.arange(len(rows))[:, None]), axis=0)
        scale = np.array(self.scale)
        filled = np.where(latest < 0, np.array(self.location), np.take_along_axis(rows, np.maximum(latest, 0), axis=0))
        with np.errstate(over="ignore"):  # numbers too far from the mean are cut below
            numbers = (filled - np.array(self.location)) / np.where(scale > 0, scale, 1.0)
        numbers = np.where(scale > 0, np.clip(numbers, -LARGEST, LARGEST), 0.0)
        return np.concatenate([numbers, missing[:, list(self.flagged)]], axis=1)


def _mean_and_deviation(numbers: Floats) -> tuple[float, float]:
    """Return the mean and the standard deviation of numbers whose squares may be too large."""
    unit = float(np.abs(numbers).max())
    unit = unit if unit > _LARGEST_SQUARED else 1.0
    return unit * float((numbers / unit).mean()), unit * float((numbers / unit).std())


@dataclass(frozen=True)
class Covariates:
    """The columns beside the values of series, as they were before the first origins, and the cycles of the calendar.

    Attributes:
        past: columns that are known until now.
        future: columns that are known ahead.
        static: columns of whole series.
        cycles: of the calendar; see :func:`rekur._calendar.cycles_of`.
    """

    past: Scaler = Scaler()
    future: Scaler = Scaler()
    static: Scaler = Scaler()
    cycles: tuple[str, ...] = ()

    @classmethod
    def fit(cls, histories: Iterable[tuple[History, int]], *, calendar: bool = True) -> Self:
        """Return the scales of the columns of histories, from the rows before the least first origin alone.

        Args:
            histories: each with the first origin of a channel.
            calendar: whether the cycles of the calendar are read; two of a cycle must fit into the longest history.
        """
        firsts: dict[int, tuple[History, int]] = {}
        for history, origin in histories:
            firsts[id(history)] = history, min(origin, firsts.get(id(history), (history, origin))[1])
        pairs = list(firsts.values())
        first = pairs[0][0]
        scalers = []
        for role in ROLES:
            arrays = [getattr(history, role) for history, _ in pairs]
            if role == "static":
                rows = np.stack(arrays)
            else:
                rows = np.concatenate([each[:end] for each, (_, end) in zip(arrays, pairs, strict=True)])
            scalers.append(Scaler.fit(getattr(first, f"{role}_names"), rows))
        is_dated = calendar and all(history.form is not None for history, _ in pairs)
        cycles = cycles_of(first.step, max(end for _, end in pairs)) if is_dated else ()
        past, future, static = scalers
        return cls(past, future, static, cycles)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return (*self.past.names, *self.future.names, *self.static.names)

    @property
    def size(self) -> int:
        """Numbers P + F of past and future columns of a step."""
        return self.past.width + self.future.width

    @property
    def calendar_size(self) -> int:
        """Numbers C of the calendar."""
        return 0 if not self.cycles else len(calendar_features(np.zeros(1, np.int64), ROWS, self.cycles)[0])

    def describe(self) -> list[tuple[str, str]]:
        """Return (role, names) pairs that tell a person which covariates are read."""
        roles = [(words, ", ".join(getattr(self, role).names)) for role, words in ROLES.items()]
        return [each for each in (*roles, ("calendar", ", ".join(self.cycles))) if each[1]]

    def check(self, history: History) -> None:
        """Raise unless a history has the columns of training, and dates where the calendar is read."""
        thing = f"series '{history.name}'" if history.name else "series"
        for role, words in ROLES.items():
            trained, ours = getattr(self, role).names, getattr(history, f"{role}_names")
            if set(ours) == set(trained):
                continue
            absent = next((name for name in trained if name not in ours), None)
            got = ", ".join(f"'{name}'" for name in ours) or "none"
            expected = ", ".join(f"'{name}'" for name in trained) or "none"
            fix = f"'{absent}' is not there." if absent else did_you_mean(ours[0], trained)
            raise InputError(f"{thing}: {words}: got {got}; expected {expected}, as in training. {fix}".rstrip())
        if self.cycles and history.form is None:
            cycles = f"{' and the '.join(self.cycles)} {'are' if len(self.cycles) > 1 else 'is'} read"
            raise InputError(f"{thing}: got no dates; expected them, as in training: the {cycles}.")

    def need_horizon(self, history: History, channel: int, end: int, horizon: int) -> None:
        """Raise unless all columns that are known ahead have numbers at the steps behind the end of a channel.

        Args:
            history: the history.
            channel: number of the channel.
            end: steps up to its last value.
            horizon: steps to forecast.
        """
        names = self.future.names
        self.check(history)
        rows = self.columns("future", history)[end : end + horizon]
        missing = np.concatenate([np.isnan(rows), np.ones((horizon - len(rows), len(names)), bool)])
        if not missing.any():
            return
        column = int(np.argmax(missing.any(axis=0)))
        step, count = int(np.argmax(missing[:, column])), int(missing[:, column].sum())
        several = len(history.channels) > 1
        thing = f"series '{history.name}': " if history.name else ""
        thing += f"channel '{history.channels[channel]}': " if several else ""
        got = f"nothing at {count} of the {counted(horizon, 'step')} to forecast, first at {history.stamp(end + step)}"
        fix = "Add rows behind the last value that have it, and no value; they may stand alone in a file."
        raise InputError(f"{thing}'{names[column]}', which is known ahead: got {got}; expected a value at each. {fix}")

    def beside(self, spans: Sequence[tuple[History, int, int]], margin: int, horizon: int) -> Beside:
        """Return the covariates of parts of histories: past columns up to their ends, others a horizon further.

        Args:
            spans: each with its first step and its end.
            margin: most steps that are cut in front of a part.
            horizon: steps H behind a part.
        """
        past = [self._rows("past", history, begin, end) for history, begin, end in spans]
        future = [self._rows("future", history, begin, end + horizon) for history, begin, end in spans]
        calendar = [self._calendar(history, begin, end + horizon) for history, begin, end in spans]
        static = [self.static.scaled(self.columns("static", history)[None])[0] for history, _, _ in spans]
        return Beside(
            NumberRows(past, margin), NumberRows(future, margin), NumberRows(calendar, margin), np.stack(static)
        )

    def columns(self, role: str, history: History) -> Floats:
        """Return the columns of a history in the order of training; the last axis is theirs."""
        names, trained = getattr(history, f"{role}_names"), getattr(self, role).names
        columns: Floats = getattr(history, role)
        return columns if names == trained else columns[..., [names.index(name) for name in trained]]

    def _rows(self, role: str, history: History, begin: int, end: int) -> Floats:
        """Return the scaled rows of steps, (end - begin, W); those that a history lacks are missing."""
        scaler: Scaler = getattr(self, role)
        rows = self.columns(role, history)[:end]
        lacking = np.full((end - len(rows), len(scaler.names)), np.nan)
        return scaler.scaled(np.concatenate([rows, lacking]))[begin:]

    def _calendar(self, history: History, begin: int, end: int) -> Floats:
        local = history.local(begin, end - begin) if self.cycles else None
        if local is None:
            return np.zeros((end - begin, 0))
        return calendar_features(local, history.step, self.cycles)[1]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        scalers = {role: {f.name: list(getattr(getattr(self, role), f.name)) for f in fields(Scaler)} for role in ROLES}
        return {**scalers, "cycles": list(self.cycles)}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return what :meth:`to_dict` described."""
        scalers = {role: Scaler(**{name: tuple(x) for name, x in saved[role].items()}) for role in ROLES}
        return cls(**scalers, cycles=tuple(saved["cycles"]))
