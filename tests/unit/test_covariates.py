"""What a forecaster reads beside the values: scales, gaps, the calendar, and where each number goes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from rekur._calendar import DAY, CalendarStep, StampForm
from rekur._history import History
from rekur.errors import InputError
from rekur.features.covariates import Covariates, Scaler
from rekur.features.windows import Window, WindowFeatures

L, H, M = 14, 7, 7
DAYS = CalendarStep("ns", DAY)


def history(steps: int = 60, ahead: int = H, **more: Any) -> History:
    random = np.random.default_rng(0)
    values = 20 + 5 * np.sin(np.arange(steps) * 2 * np.pi / 7)[:, None] + random.normal(0, 0.3, (steps, 1))
    columns: dict[str, Any] = {
        "past": random.normal(5, 2, (steps, 1)),
        "past_names": ("rain",),
        "future": (random.random((steps + ahead, 2)) < 0.4).astype(float),
        "future_names": ("promo", "holiday"),
        "static": np.array([3.0]),
        "static_names": ("size",),
    }
    return History("a", ("y",), values, 19_000 * DAY, DAYS, StampForm(), **{**columns, **more})


def features(*histories: History, **options: Any) -> WindowFeatures:
    made = WindowFeatures(L, H, M, (7,), **options)
    return made.fit([Window(each, 0, 50) for each in histories])


def test_scales_are_those_before_the_first_origin() -> None:
    first = history()
    other = dataclasses.replace(first, past=np.where(np.arange(60)[:, None] < 50, first.past, 1e9))
    ours, theirs = (Covariates.fit([(each, 50)]) for each in (first, other))
    assert ours == theirs
    assert ours.past.location[0] == pytest.approx(first.past[:50].mean())
    assert ours.past.scale[0] == pytest.approx(first.past[:50].std())
    assert (ours.future.location, ours.future.scale) == ((0, 0), (1, 1))  # flags stay 0 and 1
    assert ours.static.constant == ("size",)
    assert Covariates.from_dict(ours.to_dict()) == ours
    two = Covariates.fit([(first, 50), (dataclasses.replace(first, static=np.array([9.0])), 40)])
    assert two.static.scaled(np.array([[9.0], [3.0]])).tolist() == [[1], [-1]]


def test_a_missing_number_is_the_last_one_before_it_and_never_a_later_one() -> None:
    nan = np.nan
    scaler = Scaler.fit(("x", "y"), np.array([[1.0, 1.0], [nan, 2.0], [3.0, 4.0]]))
    rows = scaler.scaled(np.array([[nan, nan], [3.0, nan], [nan, 4.0]]))
    assert rows[:, 0].tolist() == [0, 1, 1]
    assert rows[:, 2].tolist() == [1, 0, 1]  # x had gaps in training, y had none
    assert rows.shape == (3, 3)
    assert rows[0, 1] == 0
    assert np.abs(scaler.scaled(np.array([[1e9, -1e9]]))).max() == 8


def test_each_number_is_read_with_its_segment() -> None:
    given = history()
    made = features(given, dataclasses.replace(given, static=np.array([8.0])))
    window = Window(given, 0, 45)
    ours = made.encode(window)
    assert ours.inputs["steps"].shape == (L // M, made.size)
    assert made.size == 3 * M + M * 3 + 6

    def changed(role: str, step: int) -> tuple[set[int], set[int]]:
        array = getattr(given, role).copy()
        array[step] = 1 - array[step]
        theirs = made.encode(Window(dataclasses.replace(given, **{role: array}), 0, 45)).inputs
        rows = [np.flatnonzero((theirs[name] != ours.inputs[name]).any(axis=1)) for name in ("steps", "ahead")]
        return set(rows[0].tolist()), set(rows[1].tolist())

    assert changed("past", 37)[0] == {0}
    assert changed("past", 38)[0] == {1}
    assert changed("past", 45) == (set(), set())
    assert changed("future", 45) == (set(), {0})
    assert changed("future", 51) == (set(), {0})
    assert changed("future", 52) == (set(), set())


def test_a_horizon_of_two_segments_has_the_columns_of_each() -> None:
    given = history(steps=80, ahead=14)
    made = WindowFeatures(L, 2 * H, M, (7,)).fit([Window(given, 0, 60)])
    ahead = made.encode(Window(given, 0, 60)).inputs["ahead"]
    calendar_and_static = 6 + 1
    last = made.ahead_size - calendar_and_static
    np.testing.assert_array_equal(ahead[:, last - 2 * M : last], given.future[60:74].reshape(2, 2 * M))


def test_the_calendar_is_read_where_two_cycles_are_in_training() -> None:
    assert Covariates.fit([(history(), 50)]).cycles == ("week",)
    assert Covariates.fit([(history(steps=800), 740)]).cycles == ("week", "year")
    assert Covariates.fit([(history(), 10)]).cycles == ()
    assert Covariates.fit([(history(), 50)], calendar=False).cycles == ()
    with_dates, without = features(history()), features(history(), calendar=False)
    assert with_dates.size - without.size == 6
    monday, next_monday = (with_dates.encode(Window(history(), 0, at)).inputs["ahead"] for at in (40, 47))
    tuesday = with_dates.encode(Window(history(), 0, 41)).inputs["ahead"]
    same = np.isclose(monday, next_monday).sum()
    assert same >= np.isclose(monday, tuesday).sum() + 4
    undated = dataclasses.replace(history(), form=None)
    with pytest.raises(InputError, match="got no dates; expected them, as in training: the week is read"):
        with_dates.encode(Window(undated, 0, 40))


def test_columns_are_matched_by_name() -> None:
    given = history()
    made = features(given)
    swapped = dataclasses.replace(given, future=given.future[:, ::-1], future_names=("holiday", "promo"))
    ours, theirs = (made.encode(Window(each, 0, 45)).inputs for each in (given, swapped))
    for name, inputs in ours.items():
        np.testing.assert_array_equal(theirs[name], inputs)
    lacking = dataclasses.replace(given, future=given.future[:, :1], future_names=("promo",))
    with pytest.raises(InputError, match="columns that are known ahead: got 'promo'; expected 'promo', 'holiday'"):
        made.encode(Window(lacking, 0, 45))


def test_gaps_of_training_add_how_long_ago_the_last_value_was() -> None:
    values = history().values.copy()
    values[41:44] = np.nan
    given = dataclasses.replace(history(), values=values)
    made, without = features(given), features(history())
    assert made.size == without.size + M
    steps = made.encode(Window(given, 0, 45)).inputs["steps"]
    since = steps[:, 3 * M : 4 * M].reshape(-1)
    np.testing.assert_allclose(since, np.log1p([*[0] * 10, 1, 2, 3, 0]) / np.log1p(L), rtol=1e-6)


def test_features_of_older_bundles_read_no_columns() -> None:
    plain = History("a", ("y",), history().values, 19_000 * DAY, DAYS, StampForm())
    saved = features(plain).to_dict()
    del saved["learnt"]["plain"]["covered"]
    del saved["learnt"]["covariates"], saved["learnt"]["gaps"], saved["options"]["calendar"]
    old = WindowFeatures.from_dict(saved)
    assert (old.size, old.columns) == (3 * M, ())
    old.encode(Window(dataclasses.replace(history(), form=None), 0, 45))
