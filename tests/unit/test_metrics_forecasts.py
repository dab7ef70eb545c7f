"""Scores of forecasts, held against values by hand and against the tables of the M4 competition."""

from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekur.errors import ShapeError
from rekur.metrics import (
    METRICS,
    forecast_records,
    forecast_report,
    forecast_scores,
    naive2,
    seasonal_scales,
    step_scores,
    unscaled_windows,
)
from rekur.metrics.forecasts import level_weights
from rekur.metrics.naive import is_seasonal

Floats = NDArray[np.float64]
M4 = Path(os.environ.get("REKUR_DATA", "")) / "m4_hourly"


def test_scores_by_hand() -> None:
    forecasts, truth = np.array([[2.0, 4.0], [0.0, 10.0]]), np.array([[4.0, 4.0], [0.0, 30.0]])
    quantiles = np.array([[[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]], [[0.0, 0.0], [0.0, 10.0], [0.0, 40.0]]])
    records = forecast_records(
        forecasts, truth, [2.0, 5.0], naive2=np.ones((2, 2)), quantiles=quantiles, levels=[0.1, 0.5, 0.9]
    )
    scores = forecast_scores(records)
    assert scores["mae"] == (2 + 0 + 0 + 20) / 4
    assert scores["rmse"] == pytest.approx(math.sqrt((4 + 400) / 4))
    assert scores["smape"] == pytest.approx((200 * 2 / 6 + 0 + 0 + 200 * 20 / 40) / 4)
    assert scores["mase"] == pytest.approx((2 / 2 + 0 + 0 + 20 / 5) / 4)
    naive_smape = (200 * 3 / 5 + 200 * 3 / 5 + 200 + 200 * 29 / 31) / 4
    naive_mase = (3 / 2 + 3 / 2 + 1 / 5 + 29 / 5) / 4
    assert scores["owa"] == pytest.approx((scores["smape"] / naive_smape + scores["mase"] / naive_mase) / 2)
    assert scores["coverage"] == 3 / 4
    assert scores["width"] == (2 + 2 + 0 + 40) / 4
    losses = [[0.3, 1.0, 0.9], [0.1, 0.0, 0.1], [0, 0, 0], [3.0, 10.0, 1.0]]
    assert scores["pinball"] == pytest.approx(np.mean(losses))
    assert scores["crps"] == pytest.approx(2 * np.mean(np.dot(losses, [0.3, 0.4, 0.3])))
    assert set(scores) <= set(METRICS)


def test_missing_truth_and_windows_without_a_scale_are_left_out() -> None:
    truth = np.array([[1.0, np.nan], [3.0, 3.0], [np.nan, np.nan]])
    records = forecast_records(np.array([[2.0, 9.0], [5.0, 5.0], [1.0, 1.0]]), truth, [2.0, 0.0, 0.0])
    scores = forecast_scores(records)
    assert (scores["mae"], scores["mase"]) == ((1 + 2 + 2) / 3, 0.5)
    assert unscaled_windows(records) == 1
    assert math.isnan(scores["owa"])
    assert "coverage" not in scores
    report = forecast_report(forecast_records(np.full((6, 2), 7.0), np.full((6, 2), 7.0), np.zeros(6)))
    assert (report["unscaled"], report["mase"], report["mase_interval"], report["smape"]) == (6, None, None, 0.0)
    assert "NaN" not in json.dumps(report)


def test_crps_of_even_levels_is_twice_the_mean_pinball_loss_and_near_the_closed_form() -> None:
    levels = (np.arange(400) + 0.5) / 400
    assert level_weights(levels) == pytest.approx(np.full(400, 1 / 400))
    normal = np.sqrt(2) * np.array([_inverse_error_function(2 * level - 1) for level in levels])
    truth = np.array([[-1.0, 0.0, 2.5]])
    quantiles = np.repeat(normal[None, :, None], 3, axis=2)
    records = forecast_records(np.zeros((1, 3)), truth, [1.0], quantiles=quantiles, levels=levels)
    for value, crps in zip(truth[0], step_scores(records)["crps"], strict=True):
        density = math.exp(-value * value / 2) / math.sqrt(2 * math.pi)
        expected = value * math.erf(value / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi)
        assert crps == pytest.approx(expected, abs=2e-3)


def _inverse_error_function(value: float) -> float:
    low, high = -4.0, 4.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < value else (low, middle)
    return low


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))
def test_records_add_up(seed: int, windows: int, horizon: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.where(random.random((windows, horizon)) < 0.2, np.nan, random.normal(size=(windows, horizon)))
    forecasts, rivals = random.normal(size=(2, windows, horizon))
    quantiles = np.sort(random.normal(size=(windows, 3, horizon)), axis=1)
    records = forecast_records(
        forecasts, truth, random.random(windows), naive2=rivals, quantiles=quantiles, levels=[0.2, 0.5, 0.8]
    )
    assert np.isfinite(records).all()
    whole, halves = forecast_scores(records), forecast_scores(records.sum(axis=1))
    assert whole == pytest.approx(halves, nan_ok=True)
    twice = forecast_scores(np.concatenate([records, records[:1]]))
    weights = np.array([2.0] + [1.0] * (windows - 1))
    assert forecast_scores(records, weights) == pytest.approx(twice, nan_ok=True)
    for step in range(horizon):
        alone = forecast_scores(records[:, step])
        for name, values in step_scores(records).items():
            assert values[step] == pytest.approx(alone[name]) if name in alone and values[step] is not None else True


def test_a_report_draws_whole_groups() -> None:
    random = np.random.default_rng(0)
    level = np.repeat(random.normal(size=10) * 10, 20)  # windows of a series err alike
    truth = level[:, None] + random.normal(size=(200, 4))
    records = forecast_records(np.zeros((200, 4)), truth, np.ones(200))
    series = forecast_report(records, groups=np.repeat(np.arange(10), 20))
    alone = forecast_report(records)

    def width(report: dict[str, object]) -> float:
        low, high = report["mae_interval"]  # type: ignore[misc]
        return float(high - low)

    assert series["mae"] == alone["mae"]
    assert width(series) > 2 * width(alone)
    assert forecast_report(records[:40], groups=np.repeat([7, 9], 20))["mae_interval"] is None


def test_arrays_of_other_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="forecasts"):
        forecast_records(np.zeros((2, 3)), np.zeros((2, 4)), [1.0, 1.0])
    with pytest.raises(ShapeError, match="quantiles"):
        forecast_records(np.zeros((2, 3)), np.zeros((2, 3)), [1, 1], quantiles=np.zeros((2, 3)), levels=[0.5])


# ── the naive forecast and the naive error ───────────────────────────────────────────────────────────────────────


def test_naive2_continues_a_season_that_grows_with_the_level() -> None:
    season = np.array([0.5, 1.0, 1.5, 1.0])
    history = np.repeat(np.array([[10.0], [20.0]]), 40, axis=1) * np.tile(season, 10)
    assert naive2(history, 4, 6) == pytest.approx(np.array([[10.0], [20.0]]) * season[[0, 1, 2, 3, 0, 1]])
    assert naive2(history[:, :-3], 4, 2) == pytest.approx(np.array([[10.0], [20.0]]) * season[[1, 2]])


def test_naive2_adds_the_season_where_values_are_negative() -> None:
    season = np.array([-2.0, 0.0, 2.0, 0.0])
    assert naive2(np.tile(season, 10)[None], 4, 5)[0] == pytest.approx(season[[0, 1, 2, 3, 0]])


def test_naive2_repeats_the_last_value_without_a_season() -> None:
    random = np.random.default_rng(1)
    short = random.normal(size=(1, 9))
    assert naive2(short, 4, 3).tolist() == [[short[0, -1]] * 3]
    noise = random.normal(size=(1, 60)) + 9
    noise[0, -2:] = np.nan
    assert naive2(noise, 12, 3).tolist() == [[noise[0, -3]] * 3]
    assert np.isnan(naive2(np.full((1, 5), np.nan), 2, 2)).all()


def test_missing_values_in_front_change_nothing() -> None:
    random = np.random.default_rng(2)
    history = np.tile([3.0, 5.0, 9.0], 12)[None] + random.random((1, 36))
    front = np.concatenate([np.full((1, 4), np.nan), history], axis=1)
    assert naive2(front, 3, 4) == pytest.approx(naive2(history, 3, 4))
    assert seasonal_scales(front, 3) == pytest.approx(seasonal_scales(history, 3))
    assert is_seasonal(front, 3).all()


def test_scales_of_short_and_constant_histories_are_0() -> None:
    assert seasonal_scales(np.ones((2, 3)), 5).tolist() == [0.0, 0.0]
    assert seasonal_scales(np.ones((2, 9)), 4).tolist() == [0.0, 0.0]


@pytest.mark.skipif(not M4.is_dir(), reason="needs $REKUR_DATA/m4_hourly")
def test_m4_hourly_gives_the_published_scores() -> None:
    parts = []
    for part in ("train", "test"):
        with (M4 / f"Hourly-{part}.csv").open(encoding="utf-8") as file:
            parts.append([[float(value) for value in row[1:] if value] for row in list(csv.reader(file))[1:]])
    train, truth = parts[0], np.array(parts[1])
    histories = np.full((len(train), max(map(len, train))), np.nan)
    for row, values in zip(histories, train, strict=True):
        row[-len(values) :] = values
    rival = naive2(histories, 24, 48)
    scales = seasonal_scales(histories, 24)
    seasonal = np.tile(histories[:, -24:], 2)
    scores = forecast_scores(forecast_records(seasonal, truth, scales, naive2=rival))
    assert (round(scores["smape"], 3), round(scores["mase"], 3)) == (13.912, 1.193)
    assert scores["owa"] == pytest.approx((13.912 / 18.383 + 1.193 / 2.395) / 2, abs=1e-4)
    scores = forecast_scores(forecast_records(rival, truth, scales, naive2=rival))
    assert (round(scores["smape"], 3), round(scores["mase"], 3), scores["owa"]) == (18.383, 2.395, 1.0)
