"""Live series of numbers, by name: their last values, from which a window is made whenever it is asked for.

Axes: T steps of a series.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import ROWS, CalendarStep, StampForm, read_stamp
from rekur._history import LARGEST_VALUE, History
from rekur._values import CellError, number_of
from rekur.errors import InputError, describe
from rekur.features.base import Encoded, FeatureStream, Phrase, check_state, empty_steps
from rekur.features.covariates import ROLES, Covariates
from rekur.features.live_columns import ColumnReader, LiveColumns
from rekur.features.live_series import LiveSeries, SeriesKey, values_of

Floats = NDArray[np.float64]

#: what an event may have, where it is a dict
EVENT_KEYS = ("series", "channel", "time", "value")
#: series that an error names at most
_FEW = 3


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


class Observation(NamedTuple):
    """What an event says.

    Attributes:
        key: of the series.
        values: (T,), NaN where missing.
        stamp: of the first of them; None without one.
        form: how that is written; None for a number.
        time: as the event has it.
        columns: what it says of them; None where the model reads none.
    """

    key: SeriesKey
    values: Floats
    stamp: int | None = None
    form: StampForm | None = None
    time: Any = None
    columns: LiveColumns | None = None


class Live(NamedTuple):
    """What a stream needs of the features.

    Attributes:
        encode: a live series and its history -> inputs and context of the window behind its last step.
        memory: last values that a window depends on.
        size: numbers of a row of a window.
        horizon: steps to forecast.
        clock: the time stamps of training; None without them.
        covariates: columns and calendar.
        errors: returns an empty memory of the errors of a series at earlier origins; None for none.
    """

    encode: Callable[[LiveSeries, History], Encoded]
    memory: int
    size: int
    horizon: int
    clock: Clock | None
    covariates: Covariates
    errors: Callable[[], Any]


class WindowStream(FeatureStream):
    """Live series of numbers: no step of a window is certain before the end, since each is scaled by the last value.

    An event is a number, or several, None or NaN where missing, of the only series; or a dict with ``value``, and where
    there are any with ``series``, ``channel``, ``time`` and the columns beside the values by their names. A list of a
    column known ahead says it of the steps behind the values too. A missing value holds back: the window ends at the
    last one that is not missing, as that of a whole series does.

    Args:
        live: what the features know.
    """

    def __init__(self, live: Live) -> None:
        self._live, self._clock = live, live.clock
        more = live.covariates
        self._needs_time = bool(more.cycles)
        self._columns = ColumnReader(more) if more.names else None
        self._names = {role: getattr(more, role).names for role in ROLES} if more.names else {}
        #: the row in front of a window says what its columns were before
        self._memory = live.memory + bool(more.names)
        self._step = ROWS if live.clock is None else live.clock.step
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
        self._series[observation.key] = live.behind(observation.values, self._memory, self._step, observation.columns)
        self._last = observation.key
        self._taken += len(observation.values)
        return empty_steps(self._live.size)

    def encode(self, event: Any) -> Encoded:
        """Take an event; return no steps."""
        return Encoded({"steps": self.push(event)})

    def pending(self) -> NDArray[np.float32]:
        """Return the segments of the window behind all values of the last series, missing ones too."""
        whole = self._series.get(self._last, self._begun()).whole()
        return self._live.encode(whole, whole.history(self._last, self._step, self._names)).inputs["steps"]

    def finish(self) -> Encoded:
        """Return the inputs of the window of the last series, and its context; no steps while it waits for more."""
        return self._window(self._last)

    @property
    def waits_for(self) -> str:
        """Which column must be known further ahead before the last series is forecast; empty where none."""
        live = self._series.get(self._last)
        if live is None or not live.tells or live.columns is None or self._columns is None:
            return ""
        return self._columns.lacking(live.columns, len(live.values), self._live.horizon)

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
                columns = None
                if self._columns is not None:
                    columns = LiveColumns(*(self._live.covariates.columns(role, history) for role in ROLES))
                live = self._begun(start, history.form)
                self._series[key] = live.behind(history.values[:, channel], self._memory, history.step, columns)
                self._last = key

    def reset(self) -> None:
        """Forget all series."""
        self._series, self._last, self._taken = {}, SeriesKey(), 0

    def get_state(self) -> dict[str, Any]:
        """Return the last values of each series, null where missing."""
        series = [{**key._asdict(), **live.to_dict()} for key, live in self._series.items()]
        return {"kind": "windows", "series": series, "last": list(self._last), "taken": self.taken}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""
        checked = check_state(state, "windows", {"series": list, "last": list, "taken": int})
        try:
            series = dict(map(self._restored, checked["series"]))
            last = SeriesKey(*checked["last"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            got = Phrase(f"series without {error}")
            raise InputError(describe("state of a windows stream", got, "what get_state() of one returned")) from error
        self._series, self._last, self._taken = series, last, checked["taken"]

    def _restored(self, saved: Mapping[str, Any]) -> tuple[SeriesKey, LiveSeries]:
        """Return a series and its name from a state."""
        widths = tuple(len(names) for names in self._names.values()) if self._names else None
        live = LiveSeries.from_dict(saved, widths, self._live.errors())
        return SeriesKey(str(saved["series"]), str(saved["channel"])), live

    def _begun(self, start: int | None = None, form: StampForm | None = None) -> LiveSeries:
        """Return a series without a value."""
        columns = LiveColumns.of(*(len(names) for names in self._names.values())) if self._names else None
        return LiveSeries(start=start, form=form, columns=columns, errors=self._live.errors())

    def _window(self, key: SeriesKey) -> Encoded:
        live = self._series.get(key)
        is_known = live is not None and live.tells
        if is_known and live is not None and live.columns is not None and self._columns is not None:
            is_known = not self._columns.lacking(live.columns, len(live.values), self._live.horizon)
        if live is None or not is_known:
            return Encoded({"steps": empty_steps(self._live.size)})
        return self._live.encode(live, live.history(key, self._step, self._names))

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, event: Any) -> Observation:
        """Return what an event says."""
        if not isinstance(event, Mapping):
            event = {"value": event}
        reader = self._columns
        names = (*EVENT_KEYS, *(() if reader is None else reader.names))
        if others := [name for name in event if name not in names]:
            expected = f"{', '.join(names[:-1])} and {names[-1]}"
            fix = "No columns beside the values are read." if reader is None else ""
            raise InputError(describe("event", Phrase(", ".join(map(repr, others))), expected, fix))
        if "value" not in event:
            raise InputError(describe("event", Phrase(f"no value in {dict(event)}"), "one with a value"))
        key, time = self._key_of(event), event.get("time")
        values = values_of(event["value"])
        if (np.abs(values) > LARGEST_VALUE).any():
            expected = f"a number from {-LARGEST_VALUE:.0e} to {LARGEST_VALUE:.0e}"
            raise InputError(describe("event: value", event["value"], expected))
        columns = None if reader is None else reader.read(event, len(values))
        if columns is not None and reader is not None:
            series = self._series.get(key)
            reader.check_static(str(key), columns, None if series is None else series.columns)
        if time is None:
            return Observation(key, values, columns=columns)
        if self._clock is None:
            fix = "The series of training have no time stamps; leave it out."
            raise InputError(describe("event: time", Phrase(repr(time)), "none", fix))
        stamp, form = read_stamp(time, self._clock.step, self._clock.form)
        return Observation(key, values, stamp, form, time, columns)

    def _key_of(self, event: Mapping[str, Any]) -> SeriesKey:
        """Return the series of an event; without a name the only one there is."""
        if len(event) == 1 and len(self._series) == 1:  # what most events are, in little time
            return next(iter(self._series))
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
            return self._begun(stamp, observation.form)
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


def read_event(line: str, columns: Collection[str] = ()) -> Any:
    """Return the observation that a line holds: a number, None where it is missing, or an object in JSON.

    Args:
        line: without its end.
        columns: names of columns beside the values that an event may have.

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
            named = "series and value" if not columns else f"series, value, {', '.join(columns)}"
            raise InputError(f"{error} Several series are told apart by objects with {named}.") from None
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
