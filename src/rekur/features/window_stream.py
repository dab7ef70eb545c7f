"""Live series of numbers, by name: their last values, from which a window is made whenever it is asked for.

Axes: T steps of a series.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import ROWS, CalendarStep, StampForm, read_stamp
from rekur._history import History
from rekur._values import CellError, number_of
from rekur.errors import InputError, describe
from rekur.features.base import Encoded, FeatureStream, Phrase, check_state, empty_steps

Floats = NDArray[np.float64]

#: what an event may have, where it is a dict
EVENT_KEYS = ("series", "channel", "time", "value")
#: values that a forecast is made from, at least
_FEWEST = 2
#: series that an error names at most
_FEW = 3
#: the channel of values without a name
_CHANNEL = "value"


class Clock(NamedTuple):
    """The time stamps of the training series.

    Attributes:
        step: the distance from one to the next.
        form: how they are written; None for numbers.
    """

    step: CalendarStep
    form: StampForm | None

    def to_dict(self) -> dict[str, Any]:
        """Return both as plain JSON."""
        return {"step": self.step.to_dict(), "form": None if self.form is None else self.form.to_dict()}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Clock:
        """Return what :meth:`to_dict` described."""
        form = saved["form"]
        return cls(CalendarStep.from_dict(saved["step"]), None if form is None else StampForm.from_dict(form))


class SeriesKey(NamedTuple):
    """The name of a live series, and of its channel where it has several; empty for none."""

    series: str = ""
    channel: str = ""

    def __str__(self) -> str:
        return (f"series '{self.series}'" if self.series else "event") + (
            f", channel '{self.channel}'" if self.channel else ""
        )


class Observation(NamedTuple):
    """What an event says.

    Attributes:
        key: of the series.
        values: (T,), NaN where missing.
        stamp: of the first of them; None without one.
        form: how that is written; None for a number.
        time: as the event has it.
    """

    key: SeriesKey
    values: Floats
    stamp: int | None = None
    form: StampForm | None = None
    time: Any = None


@dataclass(frozen=True)
class LiveSeries:
    """The last values of a series.

    Attributes:
        values: (T,), up to the last one that is not missing; the first one is missing only before any other.
        gap: missing values behind them.
        start: the stamp of the first value; None without stamps.
        form: how stamps are written.
    """

    values: Floats = field(default_factory=lambda: np.empty(0))
    gap: int = 0
    start: int | None = None
    form: StampForm | None = None

    def __len__(self) -> int:
        return len(self.values) + self.gap

    def behind(self, values: Floats, memory: int, step: CalendarStep) -> LiveSeries:
        """Return the series with further values, and the last ``memory`` of all."""
        if self.gap > memory:
            return self._without_most(memory, step).behind(values, memory, step)
        joined = np.concatenate([self.values, np.full(self.gap, np.nan), values])
        present = np.flatnonzero(~np.isnan(joined))
        end = int(present[-1]) + 1 if len(present) else 0
        dropped = max(0, end - memory)
        last = joined[dropped:end].copy()
        if len(last) and np.isnan(last[0]) and present[0] < dropped:
            last[0] = joined[present[present < dropped][-1]]
        start = self.start if self.start is None or not dropped else int(step.add(self.start, dropped))
        return replace(self, values=last, gap=len(joined) - end, start=start)

    def _without_most(self, memory: int, step: CalendarStep) -> LiveSeries:
        """Return the last value, ``memory`` steps before the end of the gap, with the rest of that."""
        dropped = len(self) - memory
        start = None if self.start is None else int(step.add(self.start, dropped))
        return replace(self, values=self.values[-1:], gap=memory - len(self.values[-1:]), start=start)

    def history(self, key: SeriesKey, step: CalendarStep) -> History:
        """Return the values as a history; the channel comes last."""
        channels = ("", key.channel) if key.channel else (_CHANNEL,)
        values = np.full((len(self.values), len(channels)), np.nan)
        values[:, -1] = self.values
        if self.start is None:
            return History(key.series, channels, values)
        form = self.form if self.form is None else self.form.from_stamp(self.start)
        return History(key.series, channels, values, self.start, step, form)


class WindowStream(FeatureStream):
    """Live series of numbers: no step of a window is certain before the end, since each is scaled by the last value.

    An event is a number, or several, None or NaN where missing, of the only series; or a dict with ``value``, and where
    there are any with ``series``, ``channel`` and ``time``. A missing value holds back: the window ends at the last one
    that is not missing, as that of a whole series does.

    Args:
        encode: history of one series -> inputs and context of the window behind its last channel.
        memory: last values that a window depends on.
        size: numbers of a row of a window.
        clock: the time stamps of training; None without them.
        needs_time: whether a series must begin with a time.
    """

    def __init__(
        self,
        encode: Callable[[History], Encoded],
        memory: int,
        size: int,
        clock: Clock | None,
        *,
        needs_time: bool = False,
    ) -> None:
        self._encode, self._memory, self._size, self._clock = encode, memory, size, clock
        self._needs_time = needs_time
        self._step = ROWS if clock is None else clock.step
        self._series: dict[SeriesKey, LiveSeries] = {}
        self._last = SeriesKey()
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many values were taken."""
        return self._taken

    def push(self, event: Any) -> NDArray[np.float32]:
        """Take an event; return no steps."""
        observation = self._read(event)
        live = self._continued(observation)
        self._series[observation.key] = live.behind(observation.values, self._memory, self._step)
        self._last = observation.key
        self._taken += len(observation.values)
        return empty_steps(self._size)

    def encode(self, event: Any) -> Encoded:
        """Take an event; return no steps."""
        return Encoded({"steps": self.push(event)})

    def pending(self) -> NDArray[np.float32]:
        """Return the segments of the window behind all values of the last series, missing ones too."""
        live = self._series.get(self._last, LiveSeries())
        whole = replace(live, values=np.concatenate([live.values, np.full(live.gap, np.nan)]))
        return self._encode(whole.history(self._last, self._step)).inputs["steps"]

    def finish(self) -> Encoded:
        """Return the inputs of the window of the last series, and its context; no steps of fewer than two values."""
        return self._window(self._last)

    def ahead_of(self, event: Any) -> tuple[Encoded, int, float]:
        """Return the window before an observation, how many steps of the horizon come before it, and its value.

        Raises:
            InputError: the event is no observation, or several.
        """
        observation = self._read(event)
        if len(observation.values) != 1:
            raise InputError(describe("event", Phrase(f"{len(observation.values)} values"), "one, to be scored"))
        live = self._continued(observation)
        return self._window(observation.key), live.gap, float(observation.values[0])

    def begin(self, histories: Iterable[History]) -> None:
        """Take the ends of series as if they had been pushed."""
        for history in histories:
            several = bool(history.name) and len(history.channels) > 1
            for channel, name in enumerate(history.channels):
                key = SeriesKey(history.name or name, name if several else "")
                start = None if history.step.unit == "row" else history.start
                live = LiveSeries(start=start, form=history.form)
                self._series[key] = live.behind(history.values[:, channel], self._memory, history.step)
                self._last = key

    def reset(self) -> None:
        """Forget all series."""
        self._series, self._last, self._taken = {}, SeriesKey(), 0

    def get_state(self) -> dict[str, Any]:
        """Return the last values of each series, null where missing."""
        series = [
            {
                "series": key.series,
                "channel": key.channel,
                "values": [None if np.isnan(value) else value for value in live.values.tolist()],
                "gap": live.gap,
                "start": live.start,
                "form": None if live.form is None else live.form.to_dict(),
            }
            for key, live in self._series.items()
        ]
        return {"kind": "windows", "series": series, "last": list(self._last), "taken": self.taken}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""
        checked = check_state(state, "windows", {"series": list, "last": list, "taken": int})
        try:
            series = dict(map(_restored, checked["series"]))
            last = SeriesKey(*checked["last"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            got = Phrase(f"series without {error}")
            raise InputError(describe("state of a windows stream", got, "what get_state() of one returned")) from error
        self._series, self._last, self._taken = series, last, checked["taken"]

    def _window(self, key: SeriesKey) -> Encoded:
        live = self._series.get(key)
        if live is None or np.count_nonzero(~np.isnan(live.values)) < _FEWEST:
            return Encoded({"steps": empty_steps(self._size)})
        return self._encode(live.history(key, self._step))

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, event: Any) -> Observation:
        """Return what an event says."""
        if not isinstance(event, Mapping):
            return Observation(self._key_of({}), values_of(event))
        if others := [name for name in event if name not in EVENT_KEYS]:
            expected = "series, channel, time and value"
            fix = "No columns beside the values are read live."
            raise InputError(describe("event", Phrase(", ".join(map(repr, others))), expected, fix))
        if "value" not in event:
            raise InputError(describe("event", Phrase(f"no value in {dict(event)}"), "one with a value"))
        key, time = self._key_of(event), event.get("time")
        values = values_of(event["value"])
        if time is None:
            return Observation(key, values)
        if self._clock is None:
            fix = "The series of training have no time stamps; leave it out."
            raise InputError(describe("event: time", Phrase(repr(time)), "none", fix))
        stamp, form = read_stamp(time, self._clock.step, self._clock.form)
        return Observation(key, values, stamp, form, time)

    def _key_of(self, event: Mapping[str, Any]) -> SeriesKey:
        """Return the series of an event; without a name the only one there is."""
        names = [event.get(name) for name in ("series", "channel")]
        for name, text in zip(("series", "channel"), names, strict=True):
            if text is not None and not isinstance(text, str):
                raise InputError(describe(f"event: {name}", Phrase(repr(text)), "a text"))
        if names == [None, None] and len(self._series) == 1:
            return next(iter(self._series))
        if names[0] is None and self._series and SeriesKey() not in self._series:
            series = ", ".join(repr(key.series) for key in list(self._series)[:_FEW])
            more = " and others" if len(self._series) > _FEW else ""
            raise InputError(describe("event: series", Phrase("none"), f"a name, as there are {series}{more}"))
        key = SeriesKey(names[0] or "", names[1] or "")
        if key not in self._series:
            channels = sorted(other.channel for other in self._series if other.series == key.series)
            if channels:
                expected = f"one of {', '.join(channels)}" if channels[0] else "none, as before"
                raise InputError(describe(f"event: channel of series '{key.series}'", key.channel or "none", expected))
        return key

    def _continued(self, observation: Observation) -> LiveSeries:
        """Return the series of an observation up to it: steps between are missing."""
        live = self._series.get(observation.key)
        stamp = observation.stamp
        if live is None:
            if stamp is None and self._needs_time:
                raise InputError(f"{observation.key}: time: got none; expected one, as the model reads the calendar.")
            return LiveSeries(start=stamp, form=observation.form)
        if stamp is None:
            return live
        if live.start is None:
            fix = "Begin the series with a time."
            raise InputError(describe(f"{observation.key}: time", observation.time, "none, as before", fix))
        index, on_grid = self._step.index(stamp, live.start)
        if not on_grid or int(index) < len(live):
            begin = History("", (), np.empty((0, 0)), live.start, self._step, live.form)
            expected = f"{begin.stamp(len(live))}, or a later time in steps of {self._step}"
            raise InputError(describe(f"{observation.key}: time", observation.time, expected))
        gap = int(index) - len(live.values)
        form = live.form
        if form is not None and observation.form is not None and form.clock != "local" and not form.zone:
            offset = observation.form.offset(stamp)
            if offset != form.offset(stamp):
                form = replace(form, offsets=(*form.offsets, (stamp, offset)))
        return replace(live, gap=gap, form=form)


def _restored(saved: dict[str, Any]) -> tuple[SeriesKey, LiveSeries]:
    """Return a series and its name from a state."""
    form = None if saved["form"] is None else StampForm.from_dict(saved["form"])
    start = None if saved["start"] is None else int(saved["start"])
    live = LiveSeries(values_of(saved["values"]), int(saved["gap"]), start, form)
    return SeriesKey(str(saved["series"]), str(saved["channel"])), live


def read_event(line: str) -> Any:
    """Return the observation that a line holds: a number, None where it is missing, or an object in JSON.

    Raises:
        InputError: it is neither.

    Example:
        >>> read_event("2.5"), read_event('{"series": "north", "value": null}')
        (2.5, {'series': 'north', 'value': None})
    """
    if not line.lstrip().startswith("{"):
        try:
            number = number_of(line, "line")
        except CellError as error:
            raise InputError(f"{error} Several series are told apart by objects with series and value.") from None
        return None if np.isnan(number) else number
    try:
        pairs = json.loads(line, object_pairs_hook=list)  # a name that stands there twice is seen
        event = dict(pairs)
    except (ValueError, TypeError, RecursionError):
        raise InputError(describe("line", line, "a number, or an object in JSON")) from None
    if len(event) < len(pairs):
        raise InputError(describe("line", line, "each name once"))
    if "value" in event:
        number = number_of(event["value"], "value")
        event["value"] = None if np.isnan(number) else number
    return event


def values_of(item: Any) -> Floats:
    """Return numbers (T,), NaN where missing; a number is one of them."""
    try:
        values = np.asarray(item, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise InputError(describe("series", Phrase(repr(item)), "numbers, None where missing")) from None
    if np.isinf(values).any():
        raise InputError(describe("series", float("inf"), "finite numbers"))
    return values
