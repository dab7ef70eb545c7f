"""A forecast issued live is that of the series so far, however it was pushed, and between other series.

Axes: T steps of a series, H steps of the horizon.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur import Forecaster
from rekur._calendar import DAY, SECOND, CalendarStep, StampForm, read_stamp
from rekur._history import History
from rekur.errors import InputError
from rekur.features.windows import Window
from rekur.runtime import Model, Session, load

H, SEASON = 4, 4
DAYS, HOURS = CalendarStep("ns", DAY), CalendarStep("ns", 3600 * SECOND)
CLOCKS = {
    "rows": (CalendarStep("row"), None, 0),
    "days": (DAYS, StampForm(), 19_700 * DAY),
    "month ends": (CalendarStep("month", day=31), StampForm(), 19_722 * DAY),
    "working days": (CalendarStep("weekday", weekdays="1111100"), StampForm(compact=True), 19_723 * DAY),
    "instants": (HOURS, StampForm("minute", clock="utc", offsets=((0, 3600),)), 19_700 * DAY),
    "numbers": (CalendarStep("number", 5, digits=1), None, 15),
}
clocks = pytest.mark.parametrize("clock", CLOCKS)


def made(seed: int, clock: str, length: int = 60) -> History:
    """Return a seasonal series with gaps; its first and last values are there."""
    random, (step, form, start) = np.random.default_rng(seed), CLOCKS[clock]
    values = 10 + 3 * np.sin(np.arange(length) * 2 * np.pi / SEASON) + random.normal(0, 0.5, length)
    values[random.random(length) < 0.15] = np.nan
    values[[0, -1]] = 9.0, 11.0
    return History("s", ("y",), values[:, None], start, step, form)


@cache
def model(clock: str, folder: Any) -> Model:
    network = Forecaster(horizon=H, lookback=8, epochs=1, hidden_size=4, baseline=False, calendar="yes")
    data: Any = [made(seed, clock, 70 + seed) for seed in range(2)]
    from rekur.data.parts import series_corpus

    named = [dataclasses.replace(each, name=name) for each, name in zip(data, "ab", strict=True)]
    return load(network.fit_corpus(series_corpus(named, "X")).save(folder / clock.replace(" ", "_")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("live")


def whole(model: Model, history: History) -> Any:
    return model.present([Window(history, 0, len(history))])[0]


def assert_same(left: Any, right: Any) -> None:
    """Check that two forecasts are the same, up to the rounding of the largest number in them."""
    assert left["time"] == right["time"]
    ours, theirs = (np.array([each["forecast"], *each["quantiles"].values()]) for each in (left, right))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())


def pushed(model: Model, history: History, seed: int, name: str = "s") -> Any:
    """Push a series in pieces, some missing values left out and others named, beside another series; return the last
    forecast."""
    random, session, update = np.random.default_rng(seed), model.stream(), None
    first = 0
    while first < len(history):
        count = int(random.integers(1, 4))
        values = history.values[first : first + count, 0].tolist()
        event: dict[str, Any] = {"series": name, "value": values if count > 1 else values[0]}
        has_time = history.step.unit != "row"
        if has_time and np.isnan(values).all() and 0 < first < len(history) - count:
            first += count
            continue
        if has_time:
            event["time"] = history.stamp(first)
        update = session.push(event)
        first += count
        if random.random() < 0.1:
            other = {"time": history.stamp(9 + first)} if has_time else {}
            session.push({"series": "other", "value": float(random.normal()), **other})
        if random.random() < 0.1:
            session = Session.restore(session.get_state(), model, model.features_, model.target_)
    assert update is not None
    assert update.final is None
    return update.tentative


@clocks
@draws(5)
@given(seed=st.integers(0, 2**31), length=st.integers(3, 150))
def test_a_live_forecast_is_that_of_the_series_so_far(clock: str, seed: int, length: int, folder: Any) -> None:
    history = made(seed, clock, length)
    assert_same(pushed(model(clock, folder), history, seed), whole(model(clock, folder), history))


def test_a_missing_value_leaves_the_forecast_and_its_times(folder: Any) -> None:
    session = model("days", folder).stream()
    before = session.push({"time": "2024-01-05", "value": [3.0, 4.0, 6.0]})
    after = session.push(None)
    assert after.tentative == before.tentative
    assert after.tentative["time"][0] == "2024-01-08"
    assert session.push(5.0).tentative["time"][0] == "2024-01-10"
    assert session.steps == 5


def test_a_gap_longer_than_the_memory(folder: Any) -> None:
    live = model("days", folder)
    features: Any = live.features_
    session, count = live.stream(), features.memory + 9
    session.push({"time": "2024-01-01", "value": [3.0, 4.0, 6.0]})
    values = np.concatenate([[3.0, 4.0, 6.0], np.full(count, np.nan), [5.0, 2.0]])
    history = History("", ("y",), values[:, None], 19_723 * DAY, DAYS, StampForm())
    session.push({"time": history.stamp(count + 3), "value": 5.0})
    assert_same(session.push(2.0).tentative, whole(live, history))


def test_fewer_than_two_values_forecast_nothing(folder: Any) -> None:
    session = model("rows", folder).stream()
    assert session.push(3.0).tentative is None
    assert session.push(None).tentative is None
    assert session.place(3.0) == {"quantile": None, "probability": None}
    assert session.push(3.0).tentative["forecast"] == [3.0] * H
    assert session.place(3.0) == {"quantile": 0.5, "probability": 1.0}
    assert session.place(3.1) == {"quantile": 1 - 5e-10, "probability": 1e-9}
    assert session.finish().final["time"] == ["1", "2", "3", "4"]


def test_a_value_is_placed_in_the_distribution_issued_before_it(folder: Any) -> None:
    session, values = model("rows", folder).stream(), made(1, "rows").values[:, 0]
    issued = session.push(values).tentative["quantiles"]
    for level in ("0.1", "0.5", "0.9"):
        placed = session.place(issued[level][0])
        assert placed["quantile"] == pytest.approx(float(level))
        assert placed["probability"] == pytest.approx(2 * min(float(level), 1 - float(level)))
    far: Any = session.place(issued["0.975"][0] + 1)
    assert 0.975 < far["quantile"] < 1
    session.push(None)
    assert session.place(issued["0.9"][1])["quantile"] == pytest.approx(0.9)
    session.push([None] * H)
    assert session.place(4.0) == {"quantile": None, "probability": None}


def test_a_session_goes_on_from_the_kept_series(folder: Any) -> None:
    live = model("days", folder)
    session = live.stream(continues=True)
    kept = next(each for each in live.kept_ if each.name == "b")
    values = np.concatenate([kept.values, [[np.nan], [12.0]]])
    update = session.push({"series": "b", "value": 12.0, "time": kept.stamp(len(kept) + 1)})
    assert_same(update.tentative, whole(live, dataclasses.replace(kept, values=values)))
    with pytest.raises(InputError, match="series: got none; expected a name, as there are 'a', 'b'"):
        session.push(3.0)


BAD: dict[str, tuple[Any, str]] = {
    "no value": ({"time": "2024-01-09"}, "expected one with a value"),
    "another column": ({"value": 1, "heat": 2}, "event: got 'heat'; expected series, channel, time and value"),
    "a text": ("warm", "series: got 'warm'; expected numbers"),
    "infinity": ({"value": float("inf")}, "expected finite numbers"),
    "too large": ({"value": 1e31}, "got 1e\\+31; expected a number from -1e\\+30 to 1e\\+30"),
    "no name": ({"series": 7, "value": 1}, "event: series: got 7; expected a text"),
    "no stamp": (
        {"value": 1, "time": "soon"},
        "time: got 'soon'; expected a time as in training, such as '1970-01-01'",
    ),
    "the same time": ({"value": 1, "time": "2024-01-07"}, "time: got '2024-01-07'; expected 2024-01-08, or a later"),
    "off the grid": (
        {"value": 1, "time": "2024-01-08T12"},
        "time: got '2024-01-08T12'; expected 2024-01-08, or a later",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_leaves_the_session_as_it_was(name: str, folder: Any) -> None:
    session = model("days", folder).stream()
    session.push({"time": "2024-01-05", "value": [3.0, 4.0, 6.0]})
    state, (event, text) = session.get_state(), BAD[name]
    with pytest.raises(InputError, match=text):
        session.push(event)
    assert session.get_state() == state


def test_stamps_are_none_where_training_had_none(folder: Any) -> None:
    with pytest.raises(InputError, match="event: time: got 3; expected none"):
        model("rows", folder).stream().push({"time": 3, "value": 1.0})
    session = model("numbers", folder).stream()
    session.push(1.0)
    with pytest.raises(InputError, match=r"event: time: got '1\.5'; expected none, as before"):
        session.push({"time": "1.5", "value": 1.0})
    with pytest.raises(InputError, match="event: time: got none; expected one, as the model reads the calendar"):
        model("days", folder).stream().push(1.0)


FORMS = {
    "quarter": StampForm("quarter"),
    "week": StampForm("week"),
    "month": StampForm("month", compact=True),
    "fraction": StampForm("second", 9, " "),
    "east": StampForm("hour", clock="wall", offsets=((0, 19_800),)),
    "zulu": StampForm("second", clock="utc", offsets=((0, 0),), zulu=True),
}


@pytest.mark.parametrize("form", FORMS)
@given(days=st.integers(-20_000, 60_000), part=st.integers(0, DAY - 1))
def test_a_stamp_is_read_as_it_is_written(form: str, days: int, part: int) -> None:
    how = FORMS[form]
    exact = how.resolution == "second" and how.digits == 9
    stamp = days * DAY + (part if exact else part // (3600 * SECOND) * 3600 * SECOND)
    text = how.text(stamp)
    read, _ = read_stamp(text, HOURS, how)
    assert how.text(read) == text
    if how.resolution in ("hour", "second"):
        assert read == stamp
