"""A history: the values of a series on a regular grid in time, with covariates."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import ROWS, CalendarStep, StampForm, Stamps, written_number
from rekur.errors import InputError, describe

#: largest size of a value: beyond it stand marks of missing values, and errors have no squares
LARGEST_VALUE = 1e30
_ARRAYS = ("values", "past", "future", "static")
_UNSAVED = (*_ARRAYS, "first_origin")


def _overlaid(ours: Any, theirs: Any, shift: int, offset: int) -> NDArray[np.float64]:
    """Return two arrays of rows in one, the second from row ``offset`` on and over the first, where it has values."""
    end = offset + len(theirs) if len(theirs) else 0
    rows = np.full((max(shift + len(ours), end), ours.shape[1]), np.nan)
    rows[shift : shift + len(ours)] = ours
    part = rows[offset : offset + len(theirs)]
    np.copyto(part, theirs, where=~np.isnan(theirs))
    return rows


def _offsets(ours: History, theirs: History) -> tuple[tuple[int, int], ...]:
    """Return the offsets of two histories in the order of their stamps."""
    pairs = sorted({*(ours.form.offsets if ours.form else ()), *(theirs.form.offsets if theirs.form else ())})
    return tuple(pair for k, pair in enumerate(pairs) if k == 0 or pair[1] != pairs[k - 1][1])


def _nothing() -> NDArray[np.float64]:
    return np.empty((0, 0))


@dataclass(frozen=True, eq=False)
class History:
    """The values of one series, one row a step, with covariates; NaN where a number is missing.

    Attributes:
        name: as the file writes it; empty for the only series of a table, whose columns are the channels.
        channels: the names of the C channels.
        values: (T, C); the last row has a value. Without a row, there are only covariates that are known ahead.
        start: the stamp of the first row.
        step: the distance from row to row.
        form: how stamps are written; None for numbers, and where there are no stamps.
        past: covariates known until now, (T, P).
        future: covariates known ahead, (T + K, F); the K rows behind the history are the known horizon, without gaps.
        static: covariates of the whole series, (S,).
        past_names, future_names, static_names: the names of the covariates.
        notes: sentences on the series, such as how many steps are missing.
        line: where it begins in the source, from 1; 0 if unknown.
        first_origin: steps at its beginning that are past at every origin that is scored.

    Example:
        >>> history = History("a", ("y",), np.ones((3, 1)), start=5, step=CalendarStep("number", 2))
        >>> history.stamp(0), history.stamp(3), history.known_horizon
        ('5', '11', 0)
    """

    name: str
    channels: tuple[str, ...]
    values: NDArray[np.float64]
    start: int = 0
    step: CalendarStep = ROWS
    form: StampForm | None = None
    past: NDArray[np.float64] = field(default_factory=_nothing)
    future: NDArray[np.float64] = field(default_factory=_nothing)
    static: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    past_names: tuple[str, ...] = ()
    future_names: tuple[str, ...] = ()
    static_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    line: int = 0
    first_origin: int = 0

    def __post_init__(self) -> None:
        count = len(self.values)
        for name, rows in (("past", self.past), ("future", self.future)):
            if rows.size == 0 and len(rows) < count:
                object.__setattr__(self, name, np.empty((count, 0)))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def known_horizon(self) -> int:
        """The number of steps K behind the history whose future covariates are known."""
        return len(self.future) - len(self.values)

    def stamps(self, first: int, count: int) -> Stamps:
        """Return the stamps of ``count`` steps from step ``first`` on, also beyond the end, (count,)."""
        return self.step.add(self.start, np.arange(first, first + count))

    def stamp(self, step: int) -> str:
        """Return the text of the stamp of a step, also beyond the end; without stamps, the steps behind the last."""
        if self.step.unit == "row":
            return str(step - len(self.values) + 1)
        stamp = int(self.step.add(self.start, step))
        return written_number(stamp, self.step.digits) if self.form is None else self.form.text(stamp)

    def stamp_texts(self, first: int, count: int) -> list[str]:
        """Return the texts of ``count`` steps from step ``first`` on, each as :meth:`stamp` has it."""
        if self.step.unit == "row":
            first -= len(self.values) - 1
            return [str(step) for step in range(first, first + count)]
        if self.form is None:
            return [self.stamp(step) for step in range(first, first + count)]
        return self.form.texts(self.stamps(first, count))

    def local(self, first: int, count: int) -> Stamps | None:
        """Return the same stamps by the clock on the wall, in nanoseconds since 1970; None without dates."""
        return None if self.form is None else self.form.local(self.stamps(first, count))

    def part(self, first: int, end: int, horizon: int = 0) -> History:
        """Return the steps from ``first`` to before ``end``, and the future covariates of ``horizon`` more."""
        start = int(self.step.add(self.start, first))
        return replace(
            self,
            values=self.values[first:end],
            past=self.past[first:end],
            future=self.future[first : end + horizon],
            start=start,
            form=None if self.form is None else self.form.from_stamp(start),
            first_origin=max(0, self.first_origin - first),
        )

    def joined(self, newer: History) -> History:
        """Return this history with the rows of a newer one; where both have a value, the newer holds.

        Without stamps, the newer rows stand behind these.

        Raises:
            InputError: other channels or covariates, or a stamp off the grid of this history.
        """
        thing = f"series '{newer.name}'" if newer.name else "values"
        for kind in ("channels", "past_names", "future_names", "static_names"):
            ours, theirs = getattr(self, kind), getattr(newer, kind)
            if ours != theirs:
                label = kind.replace("_names", " covariates")
                raise InputError(f"{thing}: {label}: got {', '.join(theirs)}; expected {', '.join(ours)}.")
        index, on_grid = self.step.index(newer.start, self.start)
        offset = len(self) if self.step.unit == "row" else int(index)
        if newer.step != self.step or not on_grid:
            expected = f"steps of {self.step} from {self.stamp(0)}, as before"
            raise InputError(describe(f"{thing}: time", newer.stamp(0), expected))
        shift = max(0, -offset)
        values, past, future = (
            _overlaid(getattr(self, name), getattr(newer, name), shift, offset + shift)
            for name in ("values", "past", "future")
        )
        start = newer.start if shift else self.start
        form = self.form if self.form is None else replace(self.form, offsets=_offsets(self, newer))
        return replace(newer, start=start, form=form, values=values, past=past, future=future)

    def by_channel(self) -> list[History]:
        """Return a history for each channel with a value, from its first value to its last; itself with one channel."""
        if len(self.channels) == 1:
            return [self]
        histories = []
        for k, channel in enumerate(self.channels):
            steps = np.flatnonzero(~np.isnan(self.values[:, k]))
            if len(steps):
                first, end = int(steps[0]), int(steps[-1]) + 1
                one_channel = replace(self, values=self.values[:, k : k + 1], channels=(channel,))
                histories.append(one_channel.part(first, end, len(self.future) - end))
        return histories

    def to_dict(self) -> dict[str, Any]:
        """Return all but the arrays as plain JSON."""
        saved = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _UNSAVED}
        saved = {name: list(value) if isinstance(value, tuple) else value for name, value in saved.items()}
        return {**saved, "step": self.step.to_dict(), "form": None if self.form is None else self.form.to_dict()}

    @classmethod
    def from_dict(cls, saved: dict[str, Any], **arrays: Any) -> History:
        """Return the history that :meth:`to_dict` saved, with its arrays by name."""
        form = saved["form"]
        plain: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in saved.items()}
        plain["step"] = CalendarStep.from_dict(saved["step"])
        plain["form"] = None if form is None else StampForm.from_dict(form)
        return cls(**plain, **arrays)
