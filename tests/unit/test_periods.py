"""Seasonal periods of series that are made here, and of real ones."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rekur._calendar import CalendarStep
from rekur.data.periods import calendar_periods, find_periods

Floats = NDArray[np.float64]
DATA = Path(os.environ.get("REKUR_DATA", ""))
needs_data = pytest.mark.skipif(not (DATA / "m4_hourly").is_dir(), reason="needs $REKUR_DATA")


def waves(length: int, periods: dict[int, float], seed: int = 0, noise: float = 1.0) -> Floats:
    """Return seasons of these amplitudes, each of a random shape, plus noise."""
    random = np.random.default_rng(seed)
    steps = np.arange(length)
    values = noise * random.normal(size=length) + 100
    for period, amplitude in periods.items():
        for wave in (1, 2):
            values += amplitude / wave * np.sin(2 * np.pi * wave * (steps / period + random.random()))
    return values


@pytest.mark.parametrize(
    ("length", "periods"),
    [
        (900, {24: 3.0, 168: 2.0}),
        (900, {24: 3.0}),
        (120, {12: 2.0}),
        (365, {7: 1.0}),
        (3 * 365 + 200, {365: 4.0}),
        (3 * 365 + 200, {7: 1.0, 365: 4.0}),
        (400, {11: 2.0}),
        (40, {4: 3.0}),
    ],
)
def test_seasons_are_found(length: int, periods: dict[int, float]) -> None:
    trend = np.linspace(0, 20, length)
    for seed in range(5):
        assert find_periods([waves(length, periods, seed) + trend]) == tuple(periods)


def test_seasons_of_many_series_of_other_lengths_and_with_gaps() -> None:
    series = [waves(700 + 9 * seed, {24: 2.0, 168: 2.0}, seed) for seed in range(12)]
    series += [np.random.default_rng(seed).normal(size=600).cumsum() for seed in range(12)]
    for values in series:
        values[50:60] = np.nan
    assert find_periods(series) == (24, 168)


def test_no_season_in_walks_noise_trends_and_constants() -> None:
    random = np.random.default_rng(0)
    for length in (30, 100, 400, 1500):
        walks, noises = random.normal(size=(2, 15, length))
        assert [find_periods([each.cumsum()]) for each in walks].count(()) >= 13
        assert [find_periods([each]) for each in noises].count(()) >= 13
        assert find_periods(list(walks.cumsum(axis=1)), (7, 365)) == ()
    for values in (np.arange(100.0), np.ones(100), np.zeros(0), np.full(9, np.nan)):
        assert find_periods([values]) == ()


def test_a_season_without_noise() -> None:
    assert find_periods([np.tile([1.0, 4.0, 2.0, 8.0, 3.0], 20)]) == (5,)


def test_periods_of_the_calendar() -> None:
    day = 24 * 3_600_000_000_000
    assert calendar_periods(CalendarStep("ns", day)) == (7, 365)
    assert calendar_periods(CalendarStep("ns", day // 48)) == (2, 48, 336)
    assert calendar_periods(CalendarStep("ns", 7 * day)) == ()
    assert calendar_periods(CalendarStep("month", 3)) == (4,)
    assert calendar_periods(CalendarStep("weekday", weekdays="1111100")) == (5,)
    assert calendar_periods(CalendarStep("number", 2)) == ()


@needs_data
@pytest.mark.parametrize(
    ("name", "calendar", "periods"),
    [
        ("airline-passengers", (12,), (12,)),
        ("monthly-car-sales", (12,), (12,)),
        ("monthly-mean-temp", (), (12,)),
        ("daily-total-female-births", (7, 365), (7,)),
        ("daily-min-temperatures", (7, 365), (365,)),
        ("monthly-sunspots", (12,), ()),
    ],
)
def test_periods_of_real_series(name: str, calendar: tuple[int, ...], periods: tuple[int, ...]) -> None:
    with (DATA / "univariate_classics" / f"{name}.csv").open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))[1:]
    assert find_periods([np.array([float(row[1].strip("?")) for row in rows if len(row) > 1])], calendar) == periods


@needs_data
def test_periods_of_m4_hourly() -> None:
    with (DATA / "m4_hourly" / "Hourly-train.csv").open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))[1:]
    assert find_periods([np.array([float(value) for value in row[1:] if value]) for row in rows]) == (24, 168)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_a_day_is_no_part_of_weather_that_comes_back_after_three_days(seed: int) -> None:
    draw, steps = np.random.default_rng(seed), np.arange(24 * 400)
    shocks, slow = draw.normal(size=len(steps)), np.zeros(len(steps))
    turn, decay = 2 * 0.985 * np.cos(2 * np.pi / 72), 0.985**2
    for step in steps[2:]:
        slow[step] = turn * slow[step - 1] - decay * slow[step - 2] + shocks[step]
    hours = slow / slow.std() + 0.5 * np.sin(2 * np.pi * steps / 24)
    assert find_periods([hours], (24, 168, 8760)) == (24,)
