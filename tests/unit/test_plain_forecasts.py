"""Naives, ridges on scaled windows and their combination, against values by hand and against least squares."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from rekur._filled_series import FilledSeries, rolling_origins
from rekur.errors import InputError
from rekur.features import window_ridges
from rekur.features.plain_forecasts import (
    PlainForecasts,
    combination_weights,
    combine,
    drift,
    seasonal_naive,
    training_windows,
)
from rekur.features.window_ridges import Scaling, scale_windows

Floats = NDArray[np.float64]


def seasonal(length: int, seed: int, noise: float = 0.1, period: int = 6) -> Floats:
    """Return a series with a season and a level that moves."""
    random = np.random.default_rng(seed)
    steps = np.arange(length)
    level = 10 + 0.1 * random.normal(size=length).cumsum()
    return np.asarray(level * (1 + 0.4 * np.sin(2 * np.pi * steps / period)) + noise * random.normal(size=length))


# ── windows and origins ──────────────────────────────────────────────────────────────────────────────────────────


def test_windows_repeat_the_value_before_a_gap_and_the_first_one_in_front() -> None:
    block = FilledSeries([np.array([np.nan, 2, np.nan, 4.0]), np.array([5.0, 6, 7])], lookback=3, horizon=2)
    assert block.windows(np.array([0, 0, 1]), np.array([3, 4, 1])).tolist() == [[2, 2, 2], [2, 2, 4], [5, 5, 5]]
    truth = block.truth(np.array([0, 1]), np.array([1, 2]))
    assert np.array_equal(truth, [[2, np.nan], [7, np.nan]], equal_nan=True)
    assert block.truth(np.array([0, 1]), np.array([1, 2]), filled=True).tolist() == [[2, 2], [7, 7]]
    assert block.first.tolist() == [1, 0]
    with pytest.raises(InputError, match="series 2"):
        FilledSeries([np.ones(3), np.full(2, np.nan)], 2, 1)


def test_scales_are_of_the_values_before_the_origin_alone() -> None:
    series = [np.array([1.0, 5, 2, 9]), np.array([0.0, 3, np.nan, 4, 8])]
    block = FilledSeries(series, lookback=2, horizon=1)
    rows, origins = np.array([0, 0, 0, 1, 1]), np.array([1, 3, 4, 4, 5])
    assert block.scales(rows, origins, 1).tolist() == [0, (4 + 3) / 2, (4 + 3 + 7) / 3, 3, (3 + 4) / 2]
    assert block.scales(rows, origins, 2).tolist() == [0, 1, (1 + 4) / 2, 1, 1]
    assert block.scales(rows, origins, 4).tolist() == [0, 0, 0, 0, 8]


def test_origins_end_a_horizon_before_the_end() -> None:
    assert rolling_origins(20, 5, stride=4, earliest=6).tolist() == [7, 11, 15]
    assert rolling_origins(20, 5, stride=4, count=2).tolist() == [11, 15]
    assert rolling_origins(4, 5).tolist() == []


def test_training_windows_are_no_more_than_the_limit() -> None:
    block = FilledSeries([np.arange(100.0), np.arange(40.0)], lookback=10, horizon=5)
    rows, origins = training_windows(block)
    assert (len(rows), origins.min(), origins[rows == 0].max(), origins[rows == 1].max()) == (86 + 26, 10, 95, 35)
    assert len(training_windows(block, limit=20)[0]) <= 20


# ── candidates ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_naives_by_hand() -> None:
    windows = np.array([[1.0, 2, 3, 4]])
    assert seasonal_naive(windows, 3, 5).tolist() == [[2, 3, 4, 2, 3]]
    assert seasonal_naive(windows, 1, 2).tolist() == [[4, 4]]
    assert drift(windows, 2).tolist() == [[5, 6]]


@pytest.mark.parametrize(
    "scaling", [Scaling(False, 1, "series"), Scaling(True, 4, "one"), Scaling(False, 8, "deviation")]
)
def test_a_ridge_is_the_least_squares_solution_on_scaled_windows(scaling: Scaling) -> None:
    series = [seasonal(60, 1, period=4), seasonal(50, 2, period=4)]
    plain = PlainForecasts.fit(series, 3, (4,), penalty=2.0)
    block = FilledSeries(series, plain.lookback, 3)
    rows, origins = training_windows(block)
    windows, scales = block.windows(rows, origins), plain.scales(block, rows, origins)
    scaled = scale_windows(windows, scales, scaling, 4)
    inputs = (scaled.values - scaled.location) / scaled.divisor
    truth = block.truth(rows, origins)
    targets = (np.log(truth + scaled.shift) if scaling.log else truth) - scaled.location
    penalized = np.concatenate([inputs, np.sqrt(2.0) * np.eye(8)])
    expected = np.linalg.lstsq(penalized, np.concatenate([targets / scaled.divisor, np.zeros((8, 3))]), rcond=None)[0]
    ridge = next(each for each in plain.ridges if each.scaling == scaling)
    assert ridge.weights[0] == pytest.approx(expected, abs=1e-4)
    assert ridge.weights.dtype == np.float32
    outputs = inputs @ ridge.weights[0] * scaled.divisor + scaled.location
    outputs = np.exp(outputs) - scaled.shift if scaling.log else outputs
    assert ridge.forecast(windows, scales, 4) == pytest.approx(outputs)


def test_penalties_are_chosen_on_the_last_quarter_of_the_origins() -> None:
    series = [seasonal(400, seed, period=4) for seed in range(3)]
    chosen = PlainForecasts.fit(series, 4, (4,))
    fresh = [seasonal(120, seed, period=4) for seed in range(10, 30)]
    block = FilledSeries(fresh, chosen.lookback, 4)
    rows, origins = np.arange(20), np.full(20, 116)
    errors = {
        penalty: np.abs(plain.at(block, rows, origins) - block.truth(rows, origins)[:, None]).mean(axis=(0, 2))
        for penalty, plain in [
            (None, chosen),
            *((each, PlainForecasts.fit(series, 4, (4,), penalty=each)) for each in (1e-6, 1e6)),
        ]
    }
    ridges = len(chosen.ridges)
    assert (errors[None] < 1.1 * errors[1e-6])[:ridges].all()
    assert (errors[None] < 0.9 * errors[1e6])[:ridges].all()


def test_ridges_without_any_window_continue_the_last_value() -> None:
    plain = PlainForecasts.fit([np.array([1.0, 3.0, 4.0])], 6, ())
    forecasts = plain.candidates(np.array([[2.0] * 11 + [5.0]]), np.array([1.0]))
    assert forecasts[0, plain.names.index("ridge of differences in the window")] == pytest.approx(
        np.full(6, 5.0), rel=0.01
    )
    assert np.isfinite(forecasts).all()


def test_ridges_of_few_or_of_gappy_windows() -> None:
    few = PlainForecasts.fit([seasonal(30, 1, period=4)], 4, (4,))
    block = FilledSeries([seasonal(30, 1, period=4)], few.lookback, 4)
    forecast = few.at(block, np.array([0]), np.array([30]))[0]
    assert np.abs(forecast / forecast[len(few.ridges)] - 1).max() < 0.5
    gappy = seasonal(200, 2, period=4)
    gappy[::5] = np.nan
    weights = PlainForecasts.fit([gappy], 4, (4,)).ridges[0].weights
    assert np.isfinite(weights).all()
    assert np.abs(weights).max() > 0.1


def test_blocks_of_windows_do_not_change_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    series = [seasonal(90, 1), seasonal(70, 2)]
    whole = PlainForecasts.fit(series, 6, (6,))
    monkeypatch.setattr(window_ridges, "BLOCK", 7)
    for one, other in zip(whole.ridges, PlainForecasts.fit(series, 6, (6,)).ridges, strict=True):
        assert one.weights == pytest.approx(other.weights, abs=1e-5)


def test_ten_candidates_of_two_periods_and_no_logs_of_negative_values() -> None:
    series = [seasonal(300, seed) for seed in range(3)]
    plain = PlainForecasts.fit(series, 6, (6, 12))
    assert (plain.lookback, plain.segment, len(plain.names), plain.non_negative) == (24, 6, 10, True)
    negative = PlainForecasts.fit([each - 9 for each in series], 6, (6, 12))
    assert not negative.non_negative
    assert not any(ridge.scaling.log for ridge in negative.ridges)
    assert PlainForecasts.fit(series, 4, ()).names[-2] == "repeat last"


def test_forecasts_scale_with_the_data() -> None:
    series = [seasonal(200, 5), seasonal(150, 6)]
    one, thousand = (PlainForecasts.fit([factor * each for each in series], 6, (6,)) for factor in (1.0, 1000.0))
    windows, scales = series[0][None, -12:], np.array([2.0])
    expected = 1000 * one.candidates(windows, scales)
    assert thousand.candidates(1000 * windows, 1000 * scales) == pytest.approx(expected, rel=1e-3)


def test_backtests_know_nothing_of_their_origin_or_later() -> None:
    series = [seasonal(150, 7), seasonal(120, 8)]
    plain = PlainForecasts.fit(series, 6, (6,))
    rows, origins = np.array([0, 0, 1]), np.array([150, 100, 90])
    changed = [each.copy() for each in series]
    changed[0][100:], changed[1][90:] = 1e6, -1e6
    before = plain.backtest(FilledSeries(series, 12, 6), rows, origins)
    after = plain.backtest(FilledSeries(changed, 12, 6), rows, origins)
    assert np.array_equal(before[1:], after[1:])
    assert not np.array_equal(before[0], after[0])
    expected = []
    for origin in 100 - 6 - 6 * np.arange(8):
        block = FilledSeries([series[0][:origin]], 12, 6)
        candidates = plain.at(block, np.array([0]), np.array([origin]))[0]
        expected.append(np.abs(candidates - series[0][origin : origin + 6]).mean(axis=1))
    assert before[1] == pytest.approx(np.mean(expected, axis=0))


def test_a_series_too_short_for_a_backtest_gets_the_errors_of_training_windows_in_its_unit() -> None:
    series = [seasonal(100, 9), 5 * seasonal(12, 9)]
    plain = PlainForecasts.fit(series, 6, (6,))
    block = FilledSeries(series, 12, 6)
    errors = plain.backtest(block, np.array([0, 1]), np.array([100, 12]))
    scales = plain.scales(block, np.array([0, 1]), np.array([100, 12]))
    assert errors[1] / scales[1] == pytest.approx(plain.errors[0])
    assert 0.5 < np.mean(errors[0] / scales[0] / plain.errors) < 2


def test_only_the_memory_before_an_origin_counts_and_saved_forecasts_are_the_same() -> None:
    series = seasonal(200, 4)
    plain = PlainForecasts.fit([series, 3 * seasonal(150, 5)], 6, (6,))
    again = PlainForecasts.from_dict(json.loads(json.dumps(plain.to_dict())))
    row, results = np.array([0]), []
    for each, start in (
        (plain, 0),
        (again, 200 - plain.memory),
        (plain, 200 - 59),
    ):  # the earliest window begins 60 steps before
        block, end = FilledSeries([series[start:]], plain.lookback, 6), np.array([200 - start])
        results.append(np.stack([each.backtest(block, row, end)[0], *each.at(block, row, end)[0].T]))
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


@pytest.mark.parametrize("series", [np.full(40, 7.0), np.zeros(40), np.tile([1.0, 5, 2, 8], 10)])
def test_constants_and_perfect_seasons_are_continued(series: Floats) -> None:
    plain = PlainForecasts.fit([series, seasonal(40, 3, period=4)], 3, (4,))
    block = FilledSeries([series], plain.lookback, 3)
    row, end = np.array([0]), np.array([40])
    forecast = combine(plain.at(block, row, end), plain.backtest(block, row, end))
    assert forecast[0] == pytest.approx(series[[0, 1, 2]], abs=1e-6)
    if not series.any():  # where rounding would be an error of 200 %
        np.testing.assert_array_equal(plain.at(block, row, end), 0.0)


def test_weights_fall_with_errors() -> None:
    weights = combination_weights(np.array([[1.0, 2.0], [0.0, 0.0], [0.0, 3.0]]), power=2.0)
    assert weights == pytest.approx(np.array([[0.8, 0.2], [0.5, 0.5], [1.0, 0.0]]))


def test_channels_have_ridges_of_their_own_that_shrink_to_those_of_all() -> None:
    random, series = np.random.default_rng(0), []
    for share in (0.95, -0.9):
        values = np.zeros(600)
        for step in range(1, 600):
            values[step] = share * values[step - 1] + random.normal()
        series.append(values)
    early = [values[:400] for values in series]
    own, shared = (PlainForecasts.fit(early, 2, (), channels=names) for names in (["a", "b"], []))
    ridges = len(shared.ridges)
    assert own.names[ridges:] == (
        f"{own.names[0]}, by channel",
        f"{own.names[ridges - 1]}, by channel",
        *shared.names[ridges:],
    )
    for one, other in zip(own.ridges, (*shared.ridges, shared.ridges[0], shared.ridges[-1]), strict=True):
        np.testing.assert_array_equal(one.weights[-1], other.weights[0])
    rows, origins = np.repeat([0, 1], 180), np.tile(np.arange(410, 590), 2)
    block = FilledSeries(series, own.lookback, 2, None, [own.group_of(name) for name in ("a", "b")])
    forecasts = own.at(block, rows, origins), shared.at(FilledSeries(series, own.lookback, 2), rows, origins)
    with_own, without = (np.abs(each - block.truth(rows, origins)[:, None]).mean(axis=(0, 2)) for each in forecasts)
    assert with_own[:ridges] == pytest.approx(without[:ridges])
    assert (with_own[ridges : ridges + 2] < 0.9 * without[[0, ridges - 1]]).all()
    again = PlainForecasts.from_dict(json.loads(json.dumps(own.to_dict())))
    np.testing.assert_array_equal(again.at(block, rows, origins), own.at(block, rows, origins))
    assert (again.channels, again.errors, own.group_of("c"), own.group_of("c", "b")) == (("a", "b"), own.errors, 2, 1)
    few = PlainForecasts.fit([early[0], early[1][:4]], 2, (), channels=["a", "b"])
    np.testing.assert_array_equal(few.ridges[-1].weights[1], few.ridges[-1].weights[2])
    assert PlainForecasts.fit([early[0]] * 17, 2, (), channels=[str(n) for n in range(17)]).channels == ()


def test_nothing_before_the_window_is_read_where_that_is_asked() -> None:
    series = [seasonal(200, 1), seasonal(180, 2)]
    plain = PlainForecasts.fit(series, 6, (6,), beyond=False)
    assert plain.memory == plain.lookback == 12
    other = [each.copy() for each in series]
    for each in other:
        each[: 150 - plain.memory] = 1e3
    rows, origins = np.array([0, 1]), np.array([150, 150])
    blocks = [FilledSeries(each, plain.lookback, 6) for each in (series, other)]
    np.testing.assert_array_equal(*(plain.at(block, rows, origins) for block in blocks))
    np.testing.assert_array_equal(*(plain.backtest(block, rows, origins) for block in blocks))
