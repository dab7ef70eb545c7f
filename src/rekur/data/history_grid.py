"""The regular grid behind the stamps of a table: its step, the step of each row, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import DAY, SECOND, WORKING_DAYS, CalendarStep, StampForm, Stamps, written_number
from rekur.data.stamps import StampColumn
from rekur.errors import InputError

#: share of the stamps that a step of months must fit, and of those that fit a grid, where the others are mistakes
_MOST = 0.8
#: weeks without a weekday after which it is taken to be never there; of Saturday and Sunday alone 1 is enough
_WEEKS = 3
#: share of the distances from which on the smallest is the step, though another is more frequent
_OFTEN = 0.25
#: distances in a row that differ from the step from which on they are a step of their own, and their share
_RUN, _RUN_SHARE = 6, 0.1
_REGULAR = 0.9
#: share of the stamps whose month differs from the one before, where steps are months
_REGULAR_MONTHS = 0.7
#: steps for one row beyond which stamps are no grid with gaps
_SPARSE, _FEWEST_STEPS = 20, 200
_LONGEST_SHIFT = 4 * 3600 * SECOND

Error = Callable[[str, int], InputError]


@dataclass(frozen=True)
class Grid:
    """The rows of a table by series and step.

    Attributes:
        step: from row to row, of all series.
        forms: how the stamps of each series are written; None for numbers and without stamps.
        starts: the first stamp of each series, (S,).
        order: the rows by series and step, (N,).
        bounds: where each series begins in ``order``, and its end, (S + 1,).
        index: the step of each row in its series, in this order, (N,).
    """

    step: CalendarStep
    forms: list[StampForm | None]
    starts: Stamps
    order: NDArray[np.int64]
    bounds: NDArray[np.int64]
    index: Stamps


class Gridder:
    """Finds the grid of a table.

    Args:
        column: the stamps of its rows.
        series: the number of the series of each row, (N,).
        lines: where the rows stand, (N,).
        names: of the series; the only one may be nameless.
        time: the name of the column of stamps.
        error: (text, line) -> the error to raise.
        unit: what a row number counts, ``"line"`` or ``"row"``.
    """

    def __init__(
        self,
        column: StampColumn,
        series: NDArray[np.int64],
        lines: NDArray[np.int64],
        names: Sequence[str],
        *,
        time: str,
        error: Error,
        unit: str = "line",
    ) -> None:
        self._names, self._time, self._error, self._unit = names, time, error, unit
        self._digits, self._form = column.digits, column.form
        self._order = np.lexsort((lines, column.stamps, series))
        self._lines = lines[self._order]
        self._stamps = column.stamps[self._order]
        self._offsets = None if column.offsets is None else column.offsets[self._order]
        self._bounds = np.searchsorted(series[self._order], np.arange(len(names) + 1))
        inside = np.ones(max(0, len(lines) - 1), bool)
        inside[self._bounds[1:-1] - 1] = False
        self._inside = inside  # whether a distance lies inside a series

    def find(self, step: CalendarStep | None = None) -> Grid:
        """Return the grid.

        Args:
            step: from row to row; None finds it.

        Raises:
            DataError: two rows of a series have one stamp, a stamp is off the grid, or stamps have no regular step.
        """
        self._refuse_twice()
        if self._offsets is not None and self._form is not None:
            local = self._stamps + self._offsets * SECOND
            gaps = np.diff(local)[self._inside]
            if len(gaps) and gaps.min() >= DAY - _LONGEST_SHIFT and self._has_one_time_of_day(local):
                self._stamps, self._form = local, replace(self._form, clock="wall")
        step = self._step() if step is None else self._as_trained(step)
        index = np.empty(len(self._stamps), np.int64)
        starts = np.empty(len(self._names), np.int64)
        for number, (begin, end) in enumerate(pairwise(self._bounds.tolist())):
            starts[number] = self._stamps[begin]
            index[begin:end] = self._index(step, number, slice(begin, end))
        forms = [self._form_of(slice(begin, end)) for begin, end in pairwise(self._bounds.tolist())]
        return Grid(step, forms, starts, self._order, self._bounds, index)

    def _as_trained(self, step: CalendarStep) -> CalendarStep:
        """Return the step of training after bringing numbers to its decimals."""
        is_dated = step.unit in ("ns", "weekday", "month")
        if is_dated != (self._form is not None):
            expected = "dates, as in training" if is_dated else "numbers, as in training"
            raise self._error(f"{self._time}: got {self._text(0)}; expected {expected}.", int(self._lines[0]))
        digits = max(step.digits, self._digits)
        self._stamps = self._stamps * 10 ** (digits - self._digits)
        self._digits = digits
        return replace(step, count=step.count * 10 ** (digits - step.digits), digits=digits)

    # ── the step ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _step(self) -> CalendarStep:
        gaps = np.diff(self._stamps)[self._inside]
        if not len(gaps):
            return CalendarStep("ns", DAY) if self._form else CalendarStep("number", 1, digits=self._digits)
        usual = _usual(gaps)
        if self._form is None:
            return CalendarStep("number", usual, digits=self._digits)
        if self._has_one_time_of_day(self._stamps):
            days = (self._stamps // DAY).astype("M8[D]")
            step = self._months(days, usual) or self._weekdays(days, usual)
            if step is not None:
                return step
        return CalendarStep("ns", usual)

    def _months(self, days: NDArray[np.datetime64], usual: int) -> CalendarStep | None:
        """Return a step of months if nearly all days are one day of a month each; else None."""
        months = days.astype("M8[M]")
        numbers: Stamps = np.asarray(months.astype(np.int64), np.int64)
        distances = np.diff(numbers)[self._inside]
        if not (distances > 0).any() or np.mean(distances > 0) < _REGULAR_MONTHS:
            return None
        counts = np.bincount((days - months.astype("M8[D]")).astype(np.int64) + 1, minlength=32)
        usual_day = int(31 - np.argmax(counts[::-1]))
        candidates = [
            CalendarStep("month", day=31),
            CalendarStep("month", day=usual_day),
            CalendarStep("month", day=31, weekdays=WORKING_DAYS),
            CalendarStep("month", day=1, weekdays=WORKING_DAYS),
        ]
        shares = [float(np.mean(step.add(self._stamps, 0) == self._stamps)) for step in candidates]
        best = int(np.argmax(shares))
        days_fit = not (np.diff(self._stamps)[self._inside] % usual).any()
        if shares[best] < 1 and (days_fit or (1 - shares[best]) * len(days) > max(1, (1 - _MOST) * len(days))):
            return None  # a mistake or two do not hide months, unless all stamps fit another step
        return replace(candidates[best], count=_usual(distances[distances > 0]))

    def _weekdays(self, days: NDArray[np.datetime64], usual: int) -> CalendarStep | None:
        """Return a step from one weekday to the next where some are never there; else None."""
        weekday = (days.astype(np.int64) + 3) % 7
        present = np.bincount(weekday, minlength=7) > 0
        if usual % (7 * DAY) == 0 or present.all():
            return None
        edges = [(days[begin], days[end - 1]) for begin, end in pairwise(self._bounds.tolist())]
        firsts, lasts = np.asarray([edge[0] for edge in edges]), np.asarray([edge[1] for edge in edges])
        passed = [int(np.busday_count(firsts, lasts, weekmask=[k == day for k in range(7)]).sum()) for day in range(7)]
        if all(flag or count >= _WEEKS for flag, count in zip(present, passed, strict=True)):
            mask = "".join("1" if flag else "0" for flag in present)
        elif usual == DAY and not present[5:].any() and min(passed[5:]) > 0:
            mask = WORKING_DAYS
        else:
            return None
        rows = int(np.busday_count(firsts, lasts, weekmask=mask).sum()) + len(edges)
        return CalendarStep("weekday", weekdays=mask) if len(days) >= rows / 2 else None

    def _has_one_time_of_day(self, stamps: Stamps) -> bool:
        return not np.diff(stamps % DAY)[self._inside].any()

    def _form_of(self, rows: slice) -> StampForm | None:
        """Return how the stamps of a series are written, with its offsets."""
        if self._form is None or self._offsets is None:
            return self._form
        offsets, stamps = self._offsets[rows], self._stamps[rows]
        changes = np.concatenate([[0], np.flatnonzero(np.diff(offsets)) + 1])
        pairs = zip(stamps[changes].tolist(), offsets[changes].tolist(), strict=True)
        return replace(self._form, offsets=tuple(pairs))

    # ── what does not fit ────────────────────────────────────────────────────────────────────────────────────────

    def _refuse_twice(self) -> None:
        twice = np.flatnonzero((np.diff(self._stamps) == 0) & self._inside) + 1
        if not len(twice):
            return
        row = int(twice[np.argmin(self._lines[twice])])
        got = f"{self._shown(row)} again, as in {self._unit} {self._lines[row - 1]}"
        expected = "one row for each stamp of a series"
        fix = "Take one of the rows out, or join them into one."
        stamp = np.int64(self._stamps[row])
        date = stamp.astype("M8[ns]").astype("M8[D]")
        hour, month = stamp % DAY // (3600 * SECOND), int(str(date)[5:7])
        is_sunday = (date.astype(np.int64) + 3) % 7 == 6
        if self._form is not None and self._offsets is None and hour <= 3 and is_sunday and month in (3, 4, 9, 10, 11):
            fix = "The clock was put back in this hour: write stamps with offsets, or in UTC."
        elif len(self._names) == 1 and len(twice) * 5 > len(self._stamps):
            fix = "Are there several series? Name the column that tells them apart: --group."
        raise self._error(f"{self._time}: got {got}; expected {expected}. {fix}", int(self._lines[row]))

    def _index(self, step: CalendarStep, number: int, rows: slice) -> Stamps:
        """Return the steps of the rows of a series from its first on."""
        stamps = self._stamps[rows]
        index, on_grid = step.index(stamps, int(stamps[0]))
        if not on_grid.all():
            self._refuse_off_grid(step, rows)
        distances = np.diff(index)
        irregular = distances[distances > 1]
        if len(irregular) >= min(_RUN, max(3, len(distances))):
            self._refuse_mixed(step, rows, distances)
        length = int(index[-1]) + 1
        if length > max(_FEWEST_STEPS, _SPARSE * len(index)):
            got = f"{len(index):,} rows from {self._text(rows.start)} to {self._text(rows.stop - 1)}{self._of(number)}"
            raise self._error(
                f"{self._time}: got {got}, where the usual distance of {step} makes {length:,} steps; "
                "expected a row for most of them. Join the rows of a longer step into one each.",
                int(self._lines[rows.start]),
            )
        return index

    def _refuse_off_grid(self, step: CalendarStep, rows: slice) -> None:
        stamps = self._stamps[rows]
        fits = [step.index(stamps, int(stamp))[1] for stamp in stamps[:10]]
        on_grid = max(fits, key=lambda fit: int(fit.sum()))
        row = rows.start + int(np.argmin(on_grid))
        line = int(self._lines[row])
        gaps = np.diff(stamps)
        if (~on_grid).sum() > max(1, (1 - _MOST) * len(stamps)):
            least, most = (self._distance(int(gap)) for gap in (gaps.min(), gaps.max()))
            usual = _usual(gaps)
            share = f"{np.mean(gaps == usual):.0%}".replace("%", " %")
            got = f"{self._shown(row)}, and distances from {least} to {most}, {share} of them {self._distance(usual)}"
            fix = "Join the rows of each step into one, or leave the stamps out to count rows as steps."
            raise self._error(f"{self._time}: got {got}; expected a regular step. {fix}", line)
        near = int(np.flatnonzero(on_grid)[0]) + rows.start
        expected = f"a step of {step} from {self._text(near)}, as most rows have"
        raise self._error(f"{self._time}: got {self._shown(row)}; expected {expected}. Correct the stamp.", line)

    def _refuse_mixed(self, step: CalendarStep, rows: slice, distances: Stamps) -> None:
        """Raise where many distances in a row are one and the same multiple of the step."""
        changes = np.flatnonzero(np.diff(distances)) + 1
        edges = [0, *changes.tolist(), len(distances)]
        longest = max(((e - b, b) for b, e in pairwise(edges) if distances[b] > 1), default=(0, 0))
        run, begin = longest
        is_whole = run == len(distances)
        if run < (5 if is_whole else max(_RUN, _RUN_SHARE * len(distances))):
            return
        others = np.delete(distances, slice(begin, begin + run))
        if len(others) and np.mean(others == 1) < _REGULAR:
            return
        row = rows.start + begin + (0 if is_whole else 1)
        slower = self._distance(int(self._stamps[row + is_whole] - self._stamps[row + is_whole - 1]))
        where = (
            "in this series"
            if is_whole
            else "from here on"
            if begin + run == len(distances)
            else "in rows from here on"
        )
        got = f"{self._shown(row)} and a step of {slower} {where}"
        fix = "Write all rows with one step."
        raise self._error(f"{self._time}: got {got}; expected {step}, as elsewhere. {fix}", int(self._lines[row]))

    def _text(self, row: int) -> str:
        stamp = int(self._stamps[row])
        form = self._form_of(slice(row, row + 1))
        return f"'{written_number(stamp, self._digits) if form is None else form.text(stamp)}'"

    def _distance(self, gap: int) -> str:
        return written_number(gap, self._digits) if self._form is None else str(CalendarStep("ns", gap))

    def _shown(self, row: int) -> str:
        number = int(np.searchsorted(self._bounds, row, side="right")) - 1
        return self._text(row) + self._of(number)

    def _of(self, number: int) -> str:
        name = self._names[number]
        return f" of series '{name}'" if name else ""


def _usual(gaps: Stamps) -> int:
    """Return the most frequent distance, or the smallest where it is frequent and divides all."""
    sizes, counts = np.unique(gaps, return_counts=True)
    if counts[0] >= _OFTEN * len(gaps) and not (sizes % sizes[0]).any():
        return int(sizes[0])
    return int(sizes[np.argmax(counts)])
