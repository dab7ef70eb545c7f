"""Windows of series: the values of a channel before an origin, as segments for a network.

Axes: T steps of a history, L steps of the look-back, M steps of a segment, H steps of the horizon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._history import History
from rekur.errors import InputError, describe
from rekur.features.base import VERSION, Encoded, Features, FeatureStream, Phrase, check_items, check_state, empty_steps
from rekur.features.saved import check_head, damaged, field

Floats = NDArray[np.float64]

#: values of an input of the network lie between minus and plus this
_LARGEST_INPUT = 8.0
#: a scale below this share of the largest value is rounding, and taken for 0
ROUNDING = 1e-9
#: share of the mean that is added before logarithms, and the addition where all values are 0
_SHARE, _TINY = 0.01, 1e-300
#: candidates lie between minus and plus this many scales of the window
_LARGEST_CANDIDATE = 1e4
#: horizons whose errors weigh the plain forecasts
_BACKTEST = 8
_OPTIONS = ("lookback", "horizon", "segment", "periods")


@dataclass(frozen=True, slots=True, repr=False)
class Window:
    """A channel of a history as it is known at an origin.

    Attributes:
        history: the history.
        channel: number of the channel, from 0.
        origin: number of steps before it; nothing from there on is read.
    """

    history: History
    channel: int
    origin: int

    @property
    def name(self) -> str:
        """The name of its series; of a table without such names, that of the column."""
        return self.history.name or self.history.channels[self.channel]

    @property
    def past(self) -> Floats:
        """The values before the origin, (origin,), NaN where missing."""
        return self.history.values[: self.origin, self.channel]

    def truth(self, horizon: int) -> Floats:
        """Return the values from the origin on, (horizon,), NaN where missing or not there."""
        values = self.history.values[self.origin : self.origin + horizon, self.channel]
        return np.concatenate([values, np.full(horizon - len(values), np.nan)])

    def stamps(self, count: int) -> list[str]:
        """Return the times of the steps from the origin on as text."""
        return [self.history.stamp(self.origin + step) for step in range(count)]

    def __repr__(self) -> str:
        return f"Window({self.history.name!r}, {self.history.channels[self.channel]!r}, {self.origin})"


def end_of(values: Floats) -> int:
    """Return the number of steps of a channel (T,) up to its last value that is not missing.

    Example:
        >>> end_of(np.array([1.0, np.nan, 2.0, np.nan]))
        3
    """
    present = np.flatnonzero(~np.isnan(values))
    return int(present[-1]) + 1 if len(present) else 0


class WindowFeatures(Features):
    r"""Windows as segments of scaled values, and a horizon as segments of plain forecasts.

    With the last value :math:`\ell` of a window and its mean absolute difference :math:`s` over a season, the input
    ``steps`` (L / M, 3 M) has of each segment the standardized values (logarithms where no training value is below 0),
    :math:`\operatorname{asinh}((v - \ell) / s)`, and flags of missing values, which repeat the one before. The input
    ``ahead`` (H / M, E) has of each segment of the horizon what :mod:`rekur.models.forecaster_spec` says.

    The context of a window is a dict with the ``window``, its ``level`` and its ``scale``; where the scale is 0, the
    level is the forecast.

    Args:
        lookback: steps L that a network reads; a multiple of the segment.
        horizon: steps H to forecast; a multiple of the segment.
        segment: steps M of a segment.
        periods: lengths of seasons in steps, rising; 1 alone for none.

    Example:
        >>> features = WindowFeatures(lookback=4, horizon=2, segment=2, periods=(2,))
        >>> features.size, features.candidates
        (6, 2)
    """

    kind: ClassVar[str] = "windows"
    is_discrete = False
    cuts_items = True

    def __init__(self, lookback: int, horizon: int, segment: int = 1, periods: Sequence[int] = (1,)) -> None:
        self.lookback = _check.whole("lookback", lookback, 1)
        self.horizon = _check.whole("horizon", horizon, 1)
        self.segment = _check.whole("segment", segment, 1)
        if lookback % segment or horizon % segment:
            expected = f"a divisor of the look-back, {lookback}, and of the horizon, {horizon}"
            raise InputError(describe("segment", segment, expected))
        self.periods = tuple(_check.whole("a period", period, 1) for period in periods)
        if not self.periods:
            raise InputError(describe("periods", Phrase("none"), "one or more; 1 where there is no season"))
        self.takes_logs_: bool | None = None

    def __repr__(self) -> str:
        return f"WindowFeatures({', '.join(f'{name}={getattr(self, name)!r}' for name in _OPTIONS)})"

    @property
    def size(self) -> int:
        """Numbers of a row of ``steps``: three for each step of a segment."""
        return 3 * self.segment

    @property
    def candidates(self) -> int:
        """The number of plain forecasts K."""
        return len({1, *self.periods})

    @property
    def ahead_size(self) -> int:
        """Numbers of a row of ``ahead`` before the candidates: two of the window, and a flag of the position."""
        return 2 + self.segments

    @property
    def segments(self) -> int:
        """Segments of the horizon."""
        return self.horizon // self.segment

    @property
    def memory(self) -> int:
        """Steps before an origin that a window depends on."""
        longest = max(self.periods)
        lag = longest * -(-self.horizon // longest)
        return max(self.lookback + longest, _BACKTEST * self.horizon + lag)

    def fit(self, items: Iterable[Window]) -> Self:
        """Learn from the values before the first origin of each channel whether values can be below 0.

        Args:
            items: a window a channel, whose values before the origin are for training.
        """
        lowest = [float(np.nanmin(item.past)) for item in check_items(items) if not np.isnan(item.past).all()]
        if not lowest:
            raise InputError(describe("items", Phrase("no value"), "series with two values or more"))
        self.takes_logs_ = min(lowest) >= 0
        return self

    def transform(self, item: Any) -> NDArray[np.float32]:
        """Return the segments of a window, or of the one behind values (T,), float32 (L / M, 3 M)."""
        return self.encode(item).inputs["steps"]

    def encode(self, item: Any) -> Encoded:
        """Return the inputs ``steps`` and ``ahead`` of a window, or of the one behind values (T,), and its context."""
        if not isinstance(item, Window):
            values = _values(item)
            item = Window(History("", ("value",), values[:, None]), 0, len(values))
        past = item.past[: end_of(item.past)]
        values, missing = self._recent(past)
        level = float(past[-1]) if len(past) else 0.0
        scale = self._scale(past)
        logs = self._standardized(values)
        differences = np.arcsinh((values - level) / scale) if scale else np.zeros(self.lookback)
        blocks = np.clip(np.stack([logs, differences, missing]), -_LARGEST_INPUT, _LARGEST_INPUT)
        steps = blocks.reshape(3, -1, self.segment).transpose(1, 0, 2).reshape(-1, self.size)
        ahead = self._ahead(past, level, scale)
        context = {"window": item, "level": level, "scale": scale}
        return Encoded({"steps": steps.astype(np.float32), "ahead": ahead.astype(np.float32)}, context)

    def _recent(self, past: Floats) -> tuple[Floats, Floats]:
        """Return the look-back (L,) with missing values filled, and flags of those; before the first is its value."""
        recent = np.full(self.lookback, np.nan)
        if len(past):
            recent[-len(past) :] = past[-self.lookback :]
        missing = np.isnan(recent)
        if missing.all():
            return np.zeros(self.lookback), missing.astype(float)
        latest = np.maximum.accumulate(np.where(missing, np.argmin(missing), np.arange(self.lookback)))
        return recent[latest], missing.astype(float)

    def _standardized(self, values: Floats) -> Floats:
        """Return values less their mean, divided by their deviation; of logarithms where no value is below 0."""
        if self.takes_logs_:
            values = np.log(np.maximum(values, 0.0) + _SHARE * abs(float(values.mean())) + _TINY)
        spread = float(values.std())
        return (values - values.mean()) / spread if spread > ROUNDING * abs(float(values.mean())) else 0.0 * values

    def _scale(self, past: Floats) -> float:
        """Return the mean absolute difference of values a season apart in the look-back; 0 where all are equal."""
        recent = past[-self.lookback - self.periods[0] :]
        for period in dict.fromkeys((self.periods[0], 1)):
            differences = np.abs(recent[period:] - recent[:-period])
            differences = differences[~np.isnan(differences)]
            scale = float(differences.mean()) if len(differences) else 0.0
            if scale > ROUNDING * float(np.nanmax(np.abs(recent), initial=0.0)):
                return scale
        return 0.0

    def _ahead(self, past: Floats, level: float, scale: float) -> Floats:
        """Return the rows of the horizon, (H / M, E)."""
        segments, unit = self.segments, scale or 1.0
        forecasts, errors = self._plain(past, level)
        z = np.clip((forecasts - level) / unit, -_LARGEST_CANDIDATE, _LARGEST_CANDIDATE)
        prior = -np.log(np.maximum(errors, ROUNDING * unit) / unit)
        weights = np.exp(prior - prior.max())
        error = float((weights * errors).sum() / weights.sum()) / unit or 1.0
        statics = np.clip([np.log(unit / (abs(level) + unit)), np.log(error)], -_LARGEST_INPUT, _LARGEST_INPUT)
        rows = [
            np.tile(statics, (segments, 1)),
            np.eye(segments),
            z.reshape(-1, segments, self.segment).transpose(1, 2, 0).reshape(segments, -1),
            np.tile(prior, (segments, 1)),
            np.full((segments, self.segment), error),
        ]
        return np.concatenate(rows, axis=1)

    def _plain(self, past: Floats, level: float) -> tuple[Floats, Floats]:
        """Return the plain forecasts (K, H), and the mean absolute error of each over earlier origins, (K,)."""
        forecasts, errors = [], []
        for period in sorted({1, *self.periods}):
            season = past[-period:]
            ahead = np.resize(season, self.horizon) if len(season) == period else np.full(self.horizon, level)
            forecasts.append(np.where(np.isnan(ahead), level, ahead))
            lag = period * -(-self.horizon // period)
            differences = np.abs(past[lag:] - past[:-lag])[-_BACKTEST * self.horizon :]
            differences = differences[~np.isnan(differences)]
            errors.append(float(differences.mean()) if len(differences) else np.nan)
        filled = np.array(errors)
        return np.array(forecasts), np.where(np.isnan(filled), np.nanmax(filled, initial=0.0), filled)

    # ── items ────────────────────────────────────────────────────────────────────────────────────────────────

    def parts(self, item: History, *, use: str, stride: int | None = None) -> Iterator[tuple[Window, Floats | None]]:
        """Yield the windows of a history, and what follows each of them.

        Args:
            item: the history.
            use: ``"prediction"``: one window a channel, at its last value; ``"evaluation"``: one a channel that ends
                a horizon before, or with ``stride`` all that follow a look-back and have a horizon behind them.
            stride: steps between the origins.
        """
        for channel in range(len(item.channels)):
            end = end_of(item.values[:, channel])
            if use == "prediction":
                yield Window(item, channel, end), None
                continue
            last = end - self.horizon
            span = max(0, last - self.lookback)
            for origin in range(last - span // stride * stride if stride else last, last + 1, stride or 1):
                window = Window(item, channel, origin)
                if np.count_nonzero(~np.isnan(window.past)) > 1:
                    yield window, window.truth(self.horizon)

    def is_part(self, item: Any) -> bool:
        """Return whether an item is a window."""
        return isinstance(item, Window)

    def stream(self) -> FeatureStream:
        """Return a new live series, which keeps its last values and gives the window at the end."""
        return WindowStream(self)

    def describe(self) -> list[tuple[str, str]]:
        """Return (what, how) pairs that tell a person how a series is read."""
        seasons = ", ".join(str(period) for period in self.periods if period > 1) or "none"
        return [
            ("look-back", f"{self.lookback} steps, {self.segment} a row; steps before the first are missing"),
            ("horizon", f"{self.horizon} steps"),
            ("seasons", seasons),
            ("values", f"less the last one, divided by the mean difference of values {self.periods[0]} steps apart"),
            ("missing values", "the last value is carried forward; the first one before it; flagged"),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the options and what was learnt, as plain JSON."""
        if self.takes_logs_ is None:
            raise self._not_fitted()
        options = {name: getattr(self, name) for name in _OPTIONS} | {"periods": list(self.periods)}
        learnt = {"takes_logs": self.takes_logs_}
        return {"kind": self.kind, "version": VERSION, "options": options, "learnt": learnt}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the features that :meth:`to_dict` described.

        Raises:
            BundleError: a field is missing or damaged, or the version is newer than is past.
        """
        checked = check_head(saved, cls.kind)
        options, learnt = field(checked, "options", dict), field(checked, "learnt", dict)
        if set(options) != set(_OPTIONS):
            raise damaged("options", ", ".join(sorted(options)), ", ".join(sorted(_OPTIONS)))
        features = cls(**options)
        features.takes_logs_ = field(learnt, "takes_logs", bool)
        return features


class WindowStream(FeatureStream):
    """A live series of numbers: no step of a window is certain before the end, since each is scaled by the last value.

    Args:
        features: of windows.
    """

    def __init__(self, features: WindowFeatures) -> None:
        self._features = features
        self._values = np.empty(0)

    def push(self, event: Any) -> NDArray[np.float32]:
        """Take a number, or several; return no steps."""
        self._values = np.concatenate([self._values, _values(event)])[-self._features.memory :]
        return empty_steps(self._features.size)

    def pending(self) -> NDArray[np.float32]:
        """Return the segments of the window behind the last value."""
        return self._features.transform(self._values)

    def finish(self) -> Encoded:
        """Return the inputs of the window behind the last value, and its context."""
        return self._features.encode(self._values)

    def reset(self) -> None:
        """Forget the values."""
        self._values = np.empty(0)

    def get_state(self) -> dict[str, Any]:
        """Return the last values, null where missing."""
        values = [None if np.isnan(value) else float(value) for value in self._values]
        return {"kind": self._features.kind, "values": values}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put the values back."""
        self._values = _values(check_state(state, self._features.kind, {"values": list})["values"])


def _values(item: Any) -> Floats:
    """Return numbers (T,), NaN where missing; a number is one of them."""
    try:
        values = np.asarray(item, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise InputError(describe("series", Phrase(repr(item)), "numbers, None where missing")) from None
    if np.isinf(values).any():
        raise InputError(describe("series", float("inf"), "finite numbers"))
    return values
