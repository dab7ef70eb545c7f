"""Windows of series: the values of a channel before an origin, as segments for a network.

Axes: T steps of a history, L steps of the look-back, M steps of a segment, H steps of the horizon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._filled_series import BLOCK, FilledSeries, end_of, values_from
from rekur._history import History
from rekur.errors import InputError, NotStreamableError, describe
from rekur.features.base import VERSION, Encoded, Features, FeatureStream, Phrase, check_items
from rekur.features.covariates import Covariates
from rekur.features.live_series import LiveSeries, values_of
from rekur.features.plain_forecasts import POWER, PlainForecasts, default_lookback
from rekur.features.saved import check_head, damaged, field
from rekur.features.window_arrays import PRIOR_POWER, WindowReader
from rekur.features.window_folds import FOLDS, FoldedWindows, fold_numbers
from rekur.features.window_kernel import kernel_windows
from rekur.features.window_stream import EVENT_KEYS, Clock, Live, WindowStream, read_event

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_OPTIONS = ("lookback", "horizon", "segment", "periods", "calendar", "beyond", "power")


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
        return self.history.stamp_texts(self.origin, count)

    def __repr__(self) -> str:
        return f"Window({self.history.name!r}, {self.history.channels[self.channel]!r}, {self.origin})"


class WindowFeatures(Features):
    r"""Windows as segments of scaled values, and a horizon as segments of plain forecasts.

    Both inputs, ``steps`` and ``ahead``, are those of :class:`rekur.features.window_arrays.WindowReader`. The plain
    forecasts among them are fitted on the training series.

    The context of a window is a dict with the ``window``, its ``level`` and its ``scale``; where the scale is 0, the
    level is the forecast.

    Args:
        lookback: steps L that a network reads; a multiple of the segment.
        horizon: steps H to forecast; a multiple of the segment.
        segment: steps M of a segment.
        periods: lengths of seasons in steps, rising; 1 alone for none.
        calendar: whether the network reads the day, the week and the year of series with dates, where two of them fit
            into the longest of training.
        beyond: whether values before the look-back are read too: for the errors of plain forecasts at earlier origins,
            and by those that need two seasons.
        power: of the errors of plain forecasts in the weights that a network begins with.

    Example:
        >>> features = WindowFeatures(lookback=4, horizon=2, segment=2, periods=(2,))
        >>> features.size, features.segments
        (6, 1)
    """

    kind: ClassVar[str] = "windows"
    is_discrete = False
    cuts_items = True

    def __init__(
        self,
        lookback: int,
        horizon: int,
        segment: int = 1,
        periods: Sequence[int] = (1,),
        calendar: bool = True,
        beyond: bool = True,
        power: float = PRIOR_POWER,
    ) -> None:
        self.lookback = _check.whole("lookback", lookback, 1)
        self.horizon = _check.whole("horizon", horizon, 1)
        self.segment = _check.whole("segment", segment, 1)
        if lookback % segment or horizon % segment:
            expected = f"a divisor of the look-back, {lookback}, and of the horizon, {horizon}"
            raise InputError(describe("segment", segment, expected))
        self.periods = tuple(_check.whole("a period", period, 1) for period in periods)
        if not self.periods:
            raise InputError(describe("periods", Phrase("none"), "one or more; 1 where there is no season"))
        self.calendar = _check.flag("calendar", calendar)
        self.beyond, self.power = _check.flag("beyond", beyond), _check.positive("power", power)
        self._reader: WindowReader | None = None
        self._trained: list[Window] = []
        self._clock: Clock | None = None

    def __repr__(self) -> str:
        return f"WindowFeatures({', '.join(f'{name}={getattr(self, name)!r}' for name in _OPTIONS)})"

    @property
    def size(self) -> int:
        """Numbers of a row of ``steps``: three for each step of a segment, and those of gaps and covariates."""
        return 3 * self.segment if self._reader is None else self._reader.size

    @property
    def covariates(self) -> Covariates:
        """The columns and the calendar of training; those without any where none are read."""
        return (None if self._reader is None else self._reader.covariates) or Covariates()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of training."""
        return self.covariates.names

    @property
    def plain(self) -> PlainForecasts:
        """The plain forecasts that the network weighs."""
        return self._read_by.plain

    @property
    def candidates(self) -> int:
        """The number of plain forecasts K."""
        return len(self.plain.names)

    @property
    def ahead_size(self) -> int:
        """Numbers of a row of ``ahead`` before the candidates."""
        return self._read_by.ahead_size

    @property
    def segments(self) -> int:
        """Segments of the horizon."""
        return self.horizon // self.segment

    @property
    def memory(self) -> int:
        """Steps before an origin that a window depends on."""
        return self._read_by.memory

    @property
    def _read_by(self) -> WindowReader:
        if self._reader is None:
            raise self._not_fitted()
        return self._reader

    def fit(self, items: Iterable[Window]) -> Self:
        """Fit the plain forecasts and the scales of covariates to the steps before the first origin of each channel.

        Args:
            items: a window a channel, whose values before the origin are for training.
        """
        windows = [window for window in check_items(items) if not np.isnan(window.past).all()]
        if not windows:
            raise InputError(describe("items", Phrase("no value"), "series with two values or more"))
        first = windows[0].history
        self._clock = None if first.step.unit == "row" else Clock(first.step, first.form)
        covariates = Covariates.fit(((each.history, each.origin) for each in windows), calendar=self.calendar)
        gaps = any(bool(np.isnan(each.past[np.argmin(np.isnan(each.past)) :]).any()) for each in windows)
        self._set_plain(self._fit_plain(windows, covariates), covariates=covariates, gaps=gaps)
        self._trained = windows
        return self

    def _fit_plain(self, windows: Sequence[Window], covariates: Covariates) -> PlainForecasts:
        """Return plain forecasts, fitted on the values before the origins of windows, a window a channel."""
        periods = tuple(period for period in self.periods if period > 1)
        most = max(self.lookback, default_lookback(periods, self.horizon))
        beside = covariates.beside([(each.history, 0, each.origin) for each in windows], most, self.horizon)
        how: dict[str, Any] = {"lookback": self.lookback, "beyond": self.beyond, "beside": beside}
        how["channels"] = [each.history.channels[each.channel] for each in windows]
        return PlainForecasts.fit([window.past for window in windows], self.horizon, periods, **how)

    def for_training(self) -> Any:
        """Return what encodes training windows: of many series with plain forecasts that are fitted on others."""
        numbers = fold_numbers([window.history for window in self._trained])
        covariates = self._read_by.covariates
        if numbers is None or covariates is None:
            return self
        folds = []
        for fold in range(FOLDS):
            others = [window for window in self._trained if numbers[id(window.history)] != fold]
            features = type(self)(**self.options)
            features._set_plain(self._fit_plain(others, covariates), covariates=covariates, gaps=self._read_by.gaps)
            folds.append(features)
        if any(features.plain.names != self.plain.names for features in folds):
            return self  # as where one series alone has values below 0
        return FoldedWindows(folds, lambda window: numbers[id(window.history)])

    def _set_plain(self, plain: PlainForecasts, **how: Any) -> None:
        how = {"logs": plain.non_negative, "power": self.power, **how}
        self._reader = WindowReader(plain, self.lookback, self.segment, **how)

    def transform(self, item: Any) -> NDArray[np.float32]:
        """Return the segments of a window, or of the one behind values (T,), float32 (L / M, 3 M)."""
        return self.encode(item).inputs["steps"]

    def encode(self, item: Any) -> Encoded:
        """Return the inputs ``steps`` and ``ahead`` of a window, or of the one behind values (T,), and its context."""
        (encoded,) = self.encode_many([item])
        return encoded

    def encode_many(self, items: Iterable[Any]) -> Iterator[Encoded]:
        """Yield the same for items, many at a time; those of a window depend on no other."""
        remaining = iter(items)
        while block := list(islice(remaining, BLOCK)):
            yield from self._encode(block)

    def _encode(self, items: Sequence[Any]) -> Iterator[Encoded]:
        windows = [item if isinstance(item, Window) else _window_behind(values_of(item)) for item in items]
        arrays = self._read_by.read(*self.block_of(windows))
        for number, window in enumerate(windows):
            context = {"window": window, "level": float(arrays.level[number]), "scale": float(arrays.scale[number])}
            yield Encoded({"steps": arrays.steps[number], "ahead": arrays.ahead[number]}, context)

    def block_of(self, windows: Sequence[Window]) -> tuple[FilledSeries, Ints, Ints]:
        """Return the series of windows from where these depend on them, and the number of the series and the origin in
        it of each window, (N,).

        Raises:
            InputError: a history has other covariates than those of training, or no dates where the calendar is read.
        """
        spans: dict[tuple[int, int], tuple[int, int]] = {}
        for window in windows:
            first, last = spans.get(_channel_of(window), (window.origin, 0))
            spans[_channel_of(window)] = min(first, window.origin), max(last, window.origin)
        histories = {_channel_of(window): window.history for window in windows}
        begins = {key: max(0, first - self.memory) for key, (first, _) in spans.items()}
        series = [values_from(histories[key].values[:last, key[1]], begins[key]) for key, (_, last) in spans.items()]
        numbers = {key: number for number, key in enumerate(spans)}
        rows = np.array([numbers[_channel_of(window)] for window in windows], np.int64)
        origins = np.array([max(1, window.origin - begins[_channel_of(window)]) for window in windows], np.int64)
        lookback, covariates, beside = max(self.lookback, self.plain.lookback), self._read_by.covariates, None
        if covariates is not None:
            for history in {id(each): each for each in histories.values()}.values():
                covariates.check(history)
            parts = [(histories[key], begins[key], max(last, begins[key] + 1)) for key, (_, last) in spans.items()]
            beside = covariates.beside(parts, lookback, self.horizon)
        names = [(histories[key].channels[key[1]], histories[key].name) for key in spans]  # the latter of live series
        groups = [self.plain.group_of(*each) for each in names]
        return FilledSeries(series, lookback, self.horizon, beside, groups), rows, origins

    def as_json(self, encoded: Encoded) -> dict[str, Any]:
        """Return a window as plain JSON: its name and the times of its horizon, the arrays, level and scale."""
        window, context = encoded.context["window"], encoded.context
        several = bool(window.history.name) and len(window.history.channels) > 1
        named = {"series": window.name} | ({"channel": window.history.channels[window.channel]} if several else {})
        arrays = {name: array.tolist() for name, array in encoded.inputs.items()}
        scales = {name: context[name] for name in ("level", "scale")}
        return {**named, "time": window.stamps(self.horizon), **arrays, **scales}

    # ── items ────────────────────────────────────────────────────────────────────────────────────────────────

    def parts(self, item: Any, *, use: str, stride: int | None = None) -> Iterator[tuple[Window, Floats | None]]:
        """Yield the windows of a history, and what follows each of them.

        Args:
            item: the history; a window is taken as it is.
            use: ``"prediction"``: one window a channel, at its last value; ``"evaluation"``: one a channel that ends
                a horizon before, or with ``stride`` all that follow a look-back and have a horizon behind them; but
                none before the first origin of the history, where the horizon may be longer than what follows.
            stride: steps between the origins.

        Raises:
            InputError: to be predicted, a number that is known ahead is missing behind the last value.
        """
        if isinstance(item, Window):
            yield item, item.truth(self.horizon)
            return
        for channel in range(len(item.channels)):
            end = end_of(item.values[:, channel])
            if use == "prediction":
                if self._reader is not None and self._reader.covariates is not None:
                    self.covariates.need_horizon(item, channel, end, self.horizon)
                yield Window(item, channel, end), None
                continue
            if end <= item.first_origin:
                continue
            last = max(end - self.horizon, item.first_origin)
            span = max(0, last - (item.first_origin or self.lookback))
            for origin in range(last - span // stride * stride if stride else last, last + 1, stride or 1):
                window = Window(item, channel, origin)
                if np.count_nonzero(~np.isnan(window.past)) > 1:
                    yield window, window.truth(self.horizon)

    def is_part(self, item: Any) -> bool:
        """Return whether an item is a window."""
        return isinstance(item, Window)

    def events(self, line: str, *, by_character: bool = False) -> list[Any]:
        """Return the observation that a line holds: a number, or an object in JSON; see :class:`WindowStream`."""
        return [read_event(line, self.columns)]

    def stream(self) -> FeatureStream:
        """Return new live series, which keep their last values, from which a window is made anew after each.

        Raises:
            NotStreamableError: a column beside the values has the name of another part of an event.
        """
        if taken := [name for name in self.columns if name.partition("=")[0] in EVENT_KEYS]:
            expected = f"other names than {', '.join(EVENT_KEYS)}, which events have"
            raise NotStreamableError(describe("stream", Phrase(f"a model that reads '{taken[0]}'"), expected))
        kernel = kernel_windows(self._read_by)

        def encode_series(live: LiveSeries, history: History) -> Encoded:
            window = Window(history, len(history.channels) - 1, len(history))
            if kernel is None or not live.tells or np.isnan(live.values[-1]):
                return self.encode(window)
            group = self.plain.group_of(history.channels[-1], history.name)
            inputs, level, scale = kernel.read(live.values, live.first + len(live.values), group, live.errors)
            return Encoded(inputs, {"window": window, "level": level, "scale": scale})

        errors = (lambda: None) if kernel is None else kernel.memory
        sizes = self.memory, self.size, self.horizon
        return WindowStream(Live(encode_series, *sizes, self._clock, self.covariates, errors))

    def describe(self) -> list[tuple[str, str]]:
        """Return (what, how) pairs that tell a person how a series is read."""
        seasons = ", ".join(str(period) for period in self.periods if period > 1) or "none"
        return [
            ("look-back", f"{self.lookback} steps, {self.segment} a row; steps before the first are missing"),
            ("horizon", f"{self.horizon} steps"),
            ("seasons", seasons),
            ("values", f"less the last one, divided by the mean difference of values {self.periods[0]} steps apart"),
            ("live", f"the last {self.memory} steps are kept, and a window is computed anew after each value"),
            ("missing values", "the last value is carried forward; the first one before it; flagged"),
            *self.covariates.describe(),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the options and what was learnt, as plain JSON."""
        options = {name: getattr(self, name) for name in _OPTIONS} | {"periods": list(self.periods)}
        reader = self._read_by
        covariates = None if reader.covariates is None else reader.covariates.to_dict()
        learnt = {"plain": self.plain.to_dict(), "covariates": covariates, "gaps": reader.gaps}
        learnt |= {} if self._clock is None else {"clock": self._clock.to_dict()}
        return {"kind": self.kind, "version": VERSION, "options": options, "learnt": learnt}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the features that :meth:`to_dict` described.

        Raises:
            BundleError: a field is missing or damaged, or the version is newer than this.
        """
        checked = check_head(saved, cls.kind)
        options, learnt = field(checked, "options", dict), field(checked, "learnt", dict)
        power = float(learnt.get("power", POWER))  # before it was saved that of the combination
        options = {"calendar": True, "beyond": True, "power": power, **options}
        if set(options) != set(_OPTIONS):
            raise damaged("options", ", ".join(sorted(options)), ", ".join(sorted(_OPTIONS)))
        features = cls(**options)
        try:
            plain = PlainForecasts.from_dict(field(learnt, "plain", dict))
            saved_covariates = learnt.get("covariates")
            covariates = None if saved_covariates is None else Covariates.from_dict(saved_covariates)
            features._set_plain(plain, covariates=covariates, gaps=bool(learnt.get("gaps", False)))
            features._clock = Clock.from_dict(learnt["clock"]) if "clock" in learnt else None
        except (KeyError, TypeError, ValueError) as error:
            raise damaged("plain", f"forecasts without {error}", "what this Rekur wrote") from error
        return features


def _channel_of(window: Window) -> tuple[int, int]:
    """Return what tells the channels of histories apart."""
    return id(window.history), window.channel


def _window_behind(values: Floats) -> Window:
    """Return the window behind values (T,)."""
    return Window(History("", ("value",), values[:, None]), 0, len(values))
