"""A forecast issued live by a model that reads columns is that of the series so far with what is known ahead.

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
from rekur._calendar import DAY, CalendarStep, StampForm
from rekur._history import History
from rekur.data.parts import series_corpus
from rekur.errors import InputError, NotStreamableError
from rekur.features.windows import Window, WindowFeatures
from rekur.runtime import Model, Session, load

H = 4
DAYS = CalendarStep("ns", DAY)
NAMES: dict[str, tuple[str, ...]] = {
    "past_names": ("rain",),
    "future_names": ("promo", "kind=a", "kind=b"),
    "static_names": ("size",),
}
#: name -> whether values before the look-back are read, so that the first step of a window is the first that is kept
MODELS: dict[str, dict[str, Any]] = {"beyond": {}, "within": {"lookback": 8}}


def made(seed: int, length: int, name: str = "s") -> History:
    """Return a series with columns, gaps in the values and in what is known until now, and a known horizon."""
    random = np.random.default_rng(seed)
    promo, kind = random.random(length + H) < 0.3, random.random(length + H) < 0.5
    values = 10 + 3 * np.sin(np.arange(length) * np.pi / 2) + 4 * promo[:length] + random.normal(0, 0.5, length)
    values[random.random(length) < 0.1] = np.nan
    values[[0, -1]] = 9.0, 11.0
    rain = np.where(random.random(length) < 0.3, np.nan, random.exponential(1, length))
    future = np.stack([promo, kind, ~kind], axis=1).astype(float)
    how: dict[str, Any] = {"past": rain[:, None], "future": future, "static": np.array([float(seed % 5)]), **NAMES}
    return History(name, ("y",), values[:, None], 19_700 * DAY, DAYS, StampForm(), **how)


@cache
def model(name: str, folder: Any) -> Model:
    network = Forecaster(horizon=H, epochs=1, hidden_size=4, baseline=False, calendar="yes", **MODELS[name])
    return load(network.fit_corpus(series_corpus([made(1, 80, "a"), made(2, 90, "b")], "X")).save(folder / name))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("columns")


def event_of(history: History, first: int, count: int, ahead: int) -> dict[str, Any]:
    """Return the event of some steps, with what is known of as many steps behind them."""
    promo, kind, _ = history.future[first : first + count + ahead].T.tolist()
    rain = history.past[first : first + count, 0].tolist()
    event = {
        "series": "s",
        "time": history.stamp(first),
        "value": history.values[first : first + count, 0].tolist(),
        "rain": rain,
        "promo": promo,
        "kind": ["a" if is_a else "b" for is_a in kind],
    }
    if count == 1:
        event |= {"value": event["value"][0], "rain": rain[0]}
    return event | ({"size": float(history.static[0])} if first == 0 else {})


def assert_same(left: Any, right: Any) -> None:
    """Check that two forecasts are the same, up to the rounding of the largest number in them."""
    assert left["time"] == right["time"]
    ours, theirs = (np.array(list(each["quantiles"].values())) for each in (left, right))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("name", sorted(MODELS))
@draws(4)
@given(seed=st.integers(0, 2**31), length=st.integers(3, 120))
def test_a_live_forecast_is_that_of_the_series_and_what_is_known_ahead(
    name: str, seed: int, length: int, folder: Any
) -> None:
    live, history, random = model(name, folder), made(seed, length), np.random.default_rng(seed)
    session, update, first = live.stream(), None, 0
    while first < length:
        count = min(int(random.integers(1, 4)), length - first)
        is_last = first + count == length
        update = session.push(event_of(history, first, count, H if is_last else int(random.integers(0, H + 1))))
        first += count
        if random.random() < 0.1:
            session = Session.restore(session.get_state(), live, live.features_, live.target_)
    assert update is not None
    assert session.waits_for == ""
    assert_same(update.tentative, live.present([Window(history, 0, length)])[0])


def test_it_goes_on_behind_the_kept_series_with_what_was_known_ahead(folder: Any) -> None:
    live = model("beyond", folder)
    session, whole = live.stream(continues=True), made(2, 91, "b")
    kept = next(each for each in live.kept_ if each.name == "b")
    assert session.prediction()["time"][0] == kept.stamp(len(kept))
    values = np.concatenate([kept.values, [[12.0]]])
    future = np.concatenate([kept.future[: len(kept) + 1], np.tile([1.0, 0.0, 1.0], (H, 1))])
    known = {"promo": [None] + [1] * H, "kind": [None] + ["b"] * H, "rain": 0.5}
    update = session.push({"series": "b", "value": 12.0, **known})
    past = np.concatenate([kept.past, [[0.5]]])
    history = dataclasses.replace(kept, values=values, past=past, future=future, static=whole.static)
    assert_same(update.tentative, live.present([Window(history, 0, len(values))])[0])


def test_it_waits_for_what_is_to_be_known_ahead(folder: Any) -> None:
    history = made(3, 20)
    session = model("beyond", folder).stream()
    assert session.push(event_of(history, 0, 1, 0)).tentative is None
    assert session.waits_for == ""
    assert session.push(event_of(history, 1, 18, 2)).tentative is None
    assert session.waits_for.startswith("'promo' is known at ")
    assert session.place({"series": "s", "value": 3.0}) == {"quantile": None, "probability": None}
    assert session.push(event_of(history, 19, 1, H)).tentative["time"][0] == "2023-12-29"
    placed = session.place({"series": "s", "value": 1e6})
    assert placed["quantile"] == pytest.approx(1.0, abs=1e-3)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another column": ({"heat": 2}, "event: got 'heat'; expected series, channel, time, value, rain, promo, kind and"),
    "a text": ({"rain": "much"}, "event: rain: got 'much'; expected a number"),
    "a text of none": ({"kind": "c"}, "event: kind: got 'c'; expected one of 'a', 'b', as in training"),
    "too many": ({"rain": [1, 2]}, "event: cells of 'rain': got 2; expected 1, as values"),
    "too few": ({"value": [1.0, 2.0], "promo": 1}, "cells of 'promo': got 1; expected 2, as values, or more"),
    "another static value": ({"size": 77}, "series 's': size: got another than the 4 of before; expected one"),
    "a series without": ({"series": "new"}, "series 'new': size: got none; expected one, as in training"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_column_leaves_the_session_as_it_was(name: str, folder: Any) -> None:
    session = model("beyond", folder).stream()
    session.push(event_of(made(4, 20), 0, 20, H))
    state, (event, text) = session.get_state(), BAD[name]
    with pytest.raises(InputError, match=text):
        session.push({"series": "s", "value": 1.0, **event})
    assert session.get_state() == state


def test_a_column_with_the_name_of_another_part_of_an_event_is_refused() -> None:
    values = np.arange(40.0)[:, None]
    history = History("s", ("y",), values, future=np.sin(values), future_names=("time",))
    features = WindowFeatures(4, 2).fit([Window(history, 0, 40)])
    with pytest.raises(NotStreamableError, match="got a model that reads 'time'; expected other names than series"):
        features.stream()
