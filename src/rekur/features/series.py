"""Rows of numbers: sensors, prices, measurements; scaled, with missing values filled and marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import sub, truediv
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur.errors import DataError, InputError, describe
from rekur.features.base import VERSION, Features, FeatureStream, Phrase, check_items, check_state, empty_steps
from rekur.features.cut import whole_characters
from rekur.features.moments import Moments
from rekur.features.rows import Place, Rows, check_finite, read_rows
from rekur.features.saved import check_head, damaged, field, numbers

_OPTIONS = ("channels", "standardise", "missing", "indicators")


#: channels up to which plain Python is faster than an array
_FEW = 16
#: rows that are scaled at once, so that a long series takes little memory beside itself
_BLOCK = 1 << 16
#: the largest number that float32 holds, or nearly
_FLOAT32 = 3.4e38


class SeriesFeatures(Features):
    """Rows of numbers as float32 (T, D'), ``(x - mean) / deviation`` of each channel in training.

    After the D channels come indicator channels, 1 where a value was missing and 0 elsewhere.

    Args:
        channels: the names of the D channels, by which rows may be given as dicts and errors speak; None to
            take D from the first training item and number them from 0.
        standardise: subtract the training mean and divide by the training standard deviation; a channel that
            never varies is only shifted.
        missing: what stands for NaN or None: ``"hold"``: the last value, the training mean before the first;
            ``"zero"``: 0 in the result, which is the training mean where standardised; ``"error"``: an error.
        indicators: ``"auto"``: for the channels that missed a value in training; ``"always"``: for every
            channel; ``"never"``.

    Attributes:
        mean_: (D,) training means.
        scale_: (D,) what channels are divided by, greater than 0.
        indicated_: the numbers of the channels that have an indicator.

    Example:
        >>> features = SeriesFeatures(["heat"]).fit([[1.0, 3.0, None], [1.0, 3.0]])
        >>> features.transform([5.0, None]).tolist()
        [[3.0, 0.0], [3.0, 1.0]]
    """

    kind: ClassVar[str] = "series"
    is_discrete = False

    def __init__(
        self,
        channels: Sequence[str] | None = None,
        *,
        standardise: bool = True,
        missing: str = "hold",
        indicators: str = "auto",
    ) -> None:
        self.channels = None if channels is None else _channel_names(channels)
        self.standardise = _check.flag("standardise", standardise)
        self.missing = _check.choice("missing", missing, ("hold", "zero", "error"))
        self.indicators = _check.choice("indicators", indicators, ("auto", "always", "never"))
        if missing == "error" and indicators == "always":
            fix = "With missing='error' there is nothing to indicate."
            raise InputError(describe("indicators", indicators, "'auto' or 'never'", fix))
        self.mean_: Rows | None = None

    def __repr__(self) -> str:
        given = [f"{name}={getattr(self, name)!r}" for name in _OPTIONS]
        return f"SeriesFeatures({', '.join(entry for entry in given if not entry.endswith('=None'))})"

    @property
    def size(self) -> int:
        """Number of values D' of a step: channels and indicators."""
        return len(self._centre()) + len(self.indicated_)

    @property
    def names_(self) -> tuple[str, ...]:
        """The name of each of the D' values of a step."""
        names = self.channels or tuple(f"channel {index + 1}" for index in range(len(self._centre())))
        return names + tuple(f"{names[index]} missing" for index in self.indicated_)

    def fit(self, items: Iterable[Any]) -> Self:
        """Learn means, deviations and which channels miss values, from training items, in one pass.

        Args:
            items: arrays (T, D) or (T,), or lists of rows or of numbers; read once.

        Raises:
            ShapeError: rows do not all have the same number of values.
            DataError: a value is not a number, infinite, or missing where ``missing="error"``.
        """
        moments = None if self.channels is None else Moments(len(self.channels))
        for number, item in enumerate(check_items(items), start=1):
            place = Place(f"item {number}, ", 0, self.channels)
            rows = read_rows(item, None if moments is None else len(moments.seen), place)
            check_finite(rows, place, allow_missing=self.missing != "error")
            if len(rows):
                moments = Moments(rows.shape[1]) if moments is None else moments
                for start in range(0, len(rows), _BLOCK):
                    moments.add(rows[start : start + _BLOCK])
        if moments is None or moments.steps == 0:
            fix = "Check that the right columns were read."
            raise InputError(describe("items", Phrase("no step"), "series with at least one step to learn from", fix))
        self._settle(moments)
        return self

    def _settle(self, moments: Moments) -> None:
        mean, scale = moments.centre(), moments.deviation()
        place = Place("", 0, self.channels)
        for index in range(len(mean)):
            if not (np.isfinite(mean[index]) and np.isfinite(scale[index])):
                thing, fix = f"channel {place.channel(index)}", "Divide the channel by a large number first."
                raise DataError(describe(thing, Phrase("values too large to square"), "a finite deviation", fix))
        self.mean_ = mean
        self.scale_ = scale if self.standardise else np.ones_like(scale)
        self.constant_ = tuple(int(i) for i in np.flatnonzero(moments.is_constant() & (moments.seen > 0)))
        self.unseen_ = tuple(int(i) for i in np.flatnonzero(moments.seen == 0))
        absent = moments.seen < moments.steps
        wanted = absent if self.indicators == "auto" else np.full(len(mean), self.indicators == "always")
        self.indicated_ = tuple(int(i) for i in np.flatnonzero(wanted))

    def transform(self, item: Any) -> NDArray[np.float32]:
        """Return the steps of one whole item, float32 (T, D').

        Raises:
            ShapeError: a row has not D values.
            DataError: a value is not a number, infinite, missing where ``missing="error"``, or beyond the
                range of float32.
        """
        mean = self._centre()
        rows = read_rows(item, len(mean), Place("", 0, self.channels))
        last = np.full(len(mean), np.nan)
        if len(rows) <= _BLOCK:
            return self._steps(rows, last, Place("", 0, self.channels))[0]
        steps = np.empty((len(rows), self.size), np.float32)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            steps[part], last = self._steps(rows[part], last, Place("", start, self.channels))
        return steps

    def stream(self) -> SeriesStream:
        """Return a new live sequence."""
        return SeriesStream(self)

    def describe(self) -> list[tuple[str, str]]:
        """Return (what, how) pairs that tell a person what is done to a series."""
        mean, names = self._centre(), self.names_
        shown = _first_twelve(names[: len(mean)])
        scaled = "less the training mean, divided by the training deviation" if self.standardise else "as given"
        missing = {
            "hold": "the last value is carried forward; the training mean before the first",
            "zero": "0 in its place",
            "error": "an error",
        }
        rows = [("channels", f"{len(mean)}: {shown}"), ("values", scaled)]
        rows.append(("missing values", missing[self.missing]))
        if self.indicated_:
            rows.append(("indicators", ", ".join(names[len(mean) :])))
        if self.constant_:
            values = (f"{names[index]} = {mean[index]:g}" for index in self.constant_)
            rows.append(("constant in training", ", ".join(values) + "; not divided"))
        if self.unseen_:
            rows.append(("never seen in training", ", ".join(names[index] for index in self.unseen_)))
        return rows

    def notes(self) -> list[str]:
        """Return which channels tell nothing, as they have one value in training or none."""
        mean, names = self._centre(), self.names_
        same = [f"{names[index]} = {mean[index]:g}" for index in self.constant_]
        none = [names[index] for index in self.unseen_]
        told = {"The same in all training items, so it tells nothing": same, "Without a value in training": none}
        return [
            f"{fact}: {_first_twelve(which)}. Leave it out, or check the data." for fact, which in told.items() if which
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything that was learnt, as plain JSON."""
        learnt = {
            "mean": self._centre().tolist(),
            "scale": self.scale_.tolist(),
            "indicated": list(self.indicated_),
            "constant": list(self.constant_),
            "unseen": list(self.unseen_),
        }
        options = {name: getattr(self, name) for name in _OPTIONS}
        options["channels"] = None if self.channels is None else list(self.channels)
        return {"kind": self.kind, "version": VERSION, "options": options, "learnt": learnt}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the features that :meth:`to_dict` described.

        Raises:
            BundleError: a field is missing or damaged, or the version is newer than is known.
        """
        checked = check_head(saved, cls.kind)
        options, learnt = field(checked, "options", dict), field(checked, "learnt", dict)
        if set(options) != set(_OPTIONS):
            raise damaged("options", ", ".join(sorted(options)), ", ".join(sorted(_OPTIONS)))
        features = cls(**options)
        count = len(features.channels) if features.channels else len(field(learnt, "mean", list))
        features.mean_ = np.array(numbers(learnt, "mean", count), np.float64)
        features.scale_ = np.array(numbers(learnt, "scale", count), np.float64)
        if not (features.scale_ > 0).all():
            raise damaged("scale", float(features.scale_.min()), "numbers above 0")
        features.indicated_ = _indices(learnt, "indicated", count)
        features.constant_ = _indices(learnt, "constant", count)
        features.unseen_ = _indices(learnt, "unseen", count)
        return features

    def _centre(self) -> Rows:
        if self.mean_ is None:
            raise self._not_fitted()
        return self.mean_

    def _few(self) -> tuple[list[float], list[float]]:
        """Return means and scales of channels that are few and of which nothing else is made; of others, none."""
        count = len(self._centre())
        if self.indicated_ or count > _FEW:
            return [], []
        if not self.standardise:
            return [0.0] * count, [1.0] * count
        return self._centre().tolist(), self.scale_.tolist()

    def _steps(self, rows: Rows, last: Rows, place: Place) -> tuple[NDArray[np.float32], Rows]:
        """Return the steps of rows that follow the values ``last`` (D,), NaN where none came yet, and the last."""
        mean = self._centre()
        count = len(mean)
        steps = np.zeros((len(rows), count + len(self.indicated_)), np.float32)
        is_complete = bool(np.isfinite(rows).all())
        filled = held = rows
        if not is_complete:
            check_finite(rows, place, allow_missing=self.missing != "error")
            absent = np.isnan(rows)
            held = _carry_forward(rows, last)
            filled = np.where(np.isnan(held), mean, held)
            steps[:, count:] = absent[:, list(self.indicated_)]
        with np.errstate(over="ignore"):
            values = (filled - mean) / self.scale_ if self.standardise else filled
            if not is_complete and self.missing == "zero":
                values = np.where(absent, 0.0, values)
            steps[:, :count] = values
        if not np.isfinite(steps).all():
            step, channel = (int(index) for index in np.argwhere(~np.isfinite(steps))[0])
            fix = "Its scale is far from that of the training items." if self.standardise else ""
            got = float(filled[step, channel])
            raise DataError(describe(place.value(step, channel), got, "a number that float32 can hold", fix))
        return steps, held[-1].copy() if len(held) else last


class SeriesStream(FeatureStream):
    """A live series: remembers the last value of each channel. Every step is certain when it comes."""

    def __init__(self, features: SeriesFeatures) -> None:
        self._features = features
        self._none = empty_steps(features.size)
        self._means, self._scales = features._few()
        self._floats = [float] * len(self._means)
        self._last: Rows | list[float] = np.full(len(features._centre()), np.nan)
        self._taken = 0

    def push(self, event: Any) -> NDArray[np.float32]:
        """Take one row (a list, an array, a dict by channel names, a number), or several; return their steps."""
        if (quick := self._one_row(event)) is not None:
            return quick
        place = Place("", self._taken, self._features.channels)
        rows = read_rows(event, len(self._last), place, is_event=True)
        steps, self._last = self._features._steps(rows, np.asarray(self._last, np.float64), place)
        self._taken += len(rows)
        return steps

    def _one_row(self, event: Any) -> NDArray[np.float32] | None:
        """Return the step of one row of ordinary numbers, the same bits in less time; None for everything else."""
        if type(event) is not list or not event or list(map(type, event)) != self._floats:
            return None
        values = list(map(truediv, map(sub, event, self._means), self._scales))
        if not sum(map(abs, values)) < _FLOAT32:  # nor NaN; too careful for several that are huge
            return None
        self._last = event.copy()
        self._taken += 1
        return np.array(values, np.float32)[None]

    def pending(self) -> NDArray[np.float32]:
        """Return no steps, float32 (0, D')."""
        return self._none

    def reset(self) -> None:
        """Forget the series: what follows is a new one."""
        self._last = np.full(len(self._features._centre()), np.nan)
        self._taken = 0

    def get_state(self) -> dict[str, Any]:
        """Return the last value of each channel (null where none came yet) and the number of steps, as JSON."""
        last = [None if np.isnan(value) else float(value) for value in self._last]
        return {"kind": self._features.kind, "last": last, "steps": self._taken}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""
        checked = check_state(state, self._features.kind, {"last": list, "steps": int})
        last, steps = checked["last"], checked["steps"]
        if steps < 0:
            raise InputError(describe("state of a series stream, 'steps'", steps, "a whole number of 0 or more"))
        count = len(self._features._centre())
        if len(last) != count or not all(value is None or _is_finite(value) for value in last):
            what = f"{count} finite numbers, null where none came yet"
            raise InputError(describe("state of a series stream, 'last'", last, what))
        self._last = np.array([np.nan if value is None else value for value in last], np.float64)
        self._taken = steps


def _carry_forward(rows: Rows, last: Rows) -> Rows:
    """Return rows with each missing value replaced by the last one of its channel, NaN where there is none."""
    before = np.concatenate([last[None], rows])  # row 0 stands for what came earlier
    source = np.where(np.isnan(before), 0, np.arange(len(before))[:, None])
    return np.take_along_axis(before, np.maximum.accumulate(source, axis=0), axis=0)[1:]


def _first_twelve(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and bool(np.isfinite(value))


def _channel_names(channels: Any) -> tuple[str, ...]:
    if isinstance(channels, str) or not isinstance(channels, Sequence) or not channels:
        got = channels if isinstance(channels, str) else Phrase(repr(channels))
        raise InputError(describe("channels", got, "a list of names, one a channel"))
    for name in channels:
        if not isinstance(name, str) or not whole_characters(name) == name != "" or channels.count(name) > 1:
            raise InputError(describe("channels", Phrase(repr(name)), "different texts that are not empty"))
    return tuple(channels)


def _indices(saved: dict[str, Any], name: str, count: int) -> tuple[int, ...]:
    value = field(saved, name, list)
    if any(type(entry) is not int or not 0 <= entry < count for entry in value) or value != sorted(set(value)):
        raise damaged(name, value, f"whole numbers in [0, {count - 1}], rising")
    return tuple(value)
