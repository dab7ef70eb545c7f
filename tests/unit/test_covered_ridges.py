"""Ridges that read what is known beside the values: their weights, and what they learn from few windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rekur._filled_series import Beside, FilledSeries, NumberRows
from rekur.features.covered_ridges import _loss, _solve, fit_covered_ridges
from rekur.features.plain_forecasts import PlainForecasts

H = 4


def beside(future: list[NDArray[Any]], past: list[NDArray[Any]], before: int) -> Beside:
    none = [np.zeros((len(each), 0)) for each in future]
    ahead, now, dates = (NumberRows(each, before) for each in (future, past, none))
    return Beside(now, ahead, dates, np.zeros((len(future), 0)))


def test_the_error_of_weights_is_that_of_their_forecasts() -> None:
    random = np.random.default_rng(0)
    inputs, target, shrink_to = random.normal(size=(50, 5)), random.normal(size=(50, H)), random.normal(size=(5, H))
    both = np.concatenate([inputs, target], axis=1)
    weights = _solve(both.T @ both, shrink_to, 3.0)
    whole = np.linalg.solve(inputs.T @ inputs + 3 * np.eye(5), inputs.T @ target + 3 * shrink_to)
    np.testing.assert_allclose(weights, whole)
    assert _loss(both.T @ both, weights) == pytest.approx(((target - inputs @ weights) ** 2).sum())


def series_with(effect: float, seed: int = 0) -> tuple[list[NDArray[Any]], list[NDArray[Any]], list[NDArray[Any]]]:
    """Return two weekly series of 90 days, their promotions, which are known ahead, and a temperature, which is not."""
    random = np.random.default_rng(seed)
    values, promos, past = [], [], []
    for level in (20.0, 300.0):
        promo = (random.random(90 + H) < 0.3).astype(float)
        season = 1 + 0.2 * np.sin(np.arange(90) * 2 * np.pi / 7)
        values.append(level * (season + effect * promo[:90] + 0.02 * random.normal(size=90)))
        promos.append(promo[:, None])
        past.append(random.normal(size=(90, 1)))
    return values, promos, past


def test_an_effect_that_is_known_ahead_is_learnt_from_few_days() -> None:
    values, promos, past = series_with(0.5)
    known = beside(promos, past, 14)
    plain = PlainForecasts.fit([each[:70] for each in values], H, (7,), lookback=14, beside=known)
    assert plain.names[-2:] == ("ridge of logs and columns", "ridge of differences and columns")
    block = FilledSeries(values, 14, H, known)
    rows, origins = np.repeat([0, 1], 16), np.tile(np.arange(70, 86), 2)
    errors = plain._errors(block, rows, origins)
    assert errors[:, -2:].mean() < 0.3 * errors[:, :-2].mean()
    again = PlainForecasts.from_dict(plain.to_dict())
    np.testing.assert_array_equal(again.at(block, rows, origins), plain.at(block, rows, origins))


def test_without_columns_there_are_none() -> None:
    values, promos, past = series_with(0.5)
    none = [each[:, :0] for each in promos]
    block = FilledSeries(values, 14, H, beside(none, [each[:, :0] for each in past], 14))
    assert fit_covered_ridges(block, np.array([0]), np.array([20]), np.ones(1), 7, True) == ()
    assert fit_covered_ridges(FilledSeries(values, 14, H), np.array([0]), np.array([20]), np.ones(1), 7, True) == ()


def test_the_effect_is_that_of_the_promotions_and_nothing_where_they_have_none() -> None:
    for effect, expected in ((0.5, 0.5), (0.0, 0.0)):
        values, promos, past = series_with(effect)
        plain = PlainForecasts.fit(
            [each[:50] for each in values], H, (7,), lookback=14, beside=beside(promos, past, 14)
        )
        logs, _ = plain.covered
        assert float(logs.effect[0]) == pytest.approx(expected / 1.25, abs=0.1)


def test_few_windows_shrink_to_the_last_season() -> None:
    values, promos, past = series_with(0.5)
    known = beside(promos, past, 14)
    plain = PlainForecasts.fit([each[:24] for each in values], H, (7,), lookback=14, beside=known)
    forecasts = plain.at(FilledSeries(values, 14, H, known), np.array([0, 1]), np.array([24, 24]))
    assert np.isfinite(forecasts).all()
