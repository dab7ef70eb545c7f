"""Rolling origins: what a forecaster may read, how often it is fitted, and intervals from its errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from rekur._history import History
from rekur.errors import InputError
from rekur.features.windows import Window, WindowFeatures
from rekur.runtime.rolling import _student, conformal_offsets, fewest_windows, quantile_offsets, roll, widening_offsets
from rekur.runtime.window_rivals import rolling_residuals
from rekur.targets.distribution import LEVELS, DistributionTarget

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def rounds_of(lengths: list[int], **options: Any) -> tuple[list[list[int]], list[tuple[int, int, int]]]:
    """Return the cuts of each fit, and (row, origin, cut) of each window."""
    fits: list[list[int]] = []

    def fit(cuts: Ints) -> int:
        fits.append(cuts.tolist())
        return len(fits)

    rounds = roll(lengths, 3, fit, lambda fitted, rows, origins: np.full((len(rows), 3), float(fitted)), **options)
    return fits, list(zip(rounds.rows.tolist(), rounds.origins.tolist(), rounds.cuts.tolist(), strict=True))


def test_one_forecaster_is_fitted_before_the_first_origin() -> None:
    fits, windows = rounds_of([20, 12], count=3, stride=4)
    assert fits == [[9, 5]]
    assert windows == [(0, 9, 9), (0, 13, 9), (0, 17, 9), (1, 5, 5), (1, 9, 5)]


def test_with_refit_each_round_has_its_own() -> None:
    fits, windows = rounds_of([20, 12], count=3, stride=4, refit=True, embargo=2)
    assert fits == [[7, 3], [11, 3], [15, 7]]
    assert windows == [(0, 9, 7), (0, 13, 11), (1, 5, 3), (0, 17, 15), (1, 9, 7)]


def test_series_too_short_for_an_origin_are_left_out_and_all_too_short_refused() -> None:
    assert rounds_of([4, 12])[1] == [(1, 9, 9)]
    with pytest.raises(InputError, match=r"horizon: got 3; expected at most 2 steps"):
        rounds_of([4, 3])


def test_offsets_cover_what_they_say() -> None:
    random = np.random.default_rng(0)
    sizes = np.linspace(1, 3, 6)
    for count in (300, 12):  # the few are pooled over steps
        shares = []
        for _ in range(60):
            low, high = conformal_offsets(random.normal(size=(count, 6)) * sizes, [0.025, 0.975])
            fresh = random.normal(size=(200, 6)) * sizes
            shares.append(((low <= fresh) & (fresh <= high)).mean(axis=0))
        assert np.mean(shares, axis=0) == pytest.approx(np.full(6, 0.95), abs=0.03)


def test_offsets_of_missing_and_of_no_residuals() -> None:
    assert conformal_offsets(np.full((3, 2), np.nan), [0.1, 0.9]).tolist() == [[0, 0], [0, 0]]
    residuals = np.random.default_rng(1).normal(size=(50, 2))
    residuals[::2, 0] = np.nan
    offsets = conformal_offsets(residuals, [0.1, 0.5, 0.9])
    assert (np.diff(offsets, axis=0) > 0).all()
    assert conformal_offsets(np.zeros((100, 2)), [0.1, 0.9]).tolist() == [[0, 0], [0, 0]]


# ── corrected quantiles ──────────────────────────────────────────────────────────────────────────────────────────

STEPS = 4


def skewed(random: np.random.Generator, count: int, spread: float) -> tuple[Floats, Floats]:
    """Return normal quantiles (N, Q, H) whose spread is wrong by a factor, and a skewed truth (N, H)."""
    sizes = np.exp(random.normal(0, 0.5, (count, 1))) * np.linspace(1, 3, STEPS)
    normal = np.array([-1.96, -1.28, -0.67, 0, 0.67, 1.28, 1.96])
    return spread * sizes[:, None] * normal[:, None], sizes * (random.gamma(4, size=(count, STEPS)) / 2 - 1.84)


def decoded(quantiles: Floats, offsets: Floats | None) -> Floats:
    """Return quantiles as a target decodes them, (N, Q, H)."""
    target = DistributionTarget(STEPS, offsets=offsets)
    context = {"level": 0.0, "scale": 1.0}
    return np.stack([target.decode(each.T.ravel(), context) for each in quantiles])


def covered(quantiles: Floats, truth: Floats) -> float:
    return float(((quantiles[:, 0] <= truth) & (truth <= quantiles[:, -1])).mean())


@pytest.mark.parametrize(("spread", "count"), [(0.6, 400), (0.6, 60), (0.8, 400), (2.0, 400)])
def test_corrected_intervals_hold_on_other_windows(spread: float, count: int) -> None:
    random = np.random.default_rng(0)
    before, after, below = [], [], []
    for _ in range(12):
        offsets = quantile_offsets(*skewed(random, count, spread), LEVELS)
        quantiles, truth = skewed(random, 200, spread)
        before.append(covered(quantiles, truth))
        corrected = decoded(quantiles, offsets)
        after.append(covered(corrected, truth))
        below.append((truth[:, None] <= corrected).mean(axis=(0, 2)))
    assert abs(np.mean(before) - 0.95) > 0.01
    assert 0.94 <= np.mean(after) <= 0.98
    shares = np.mean(below, axis=0)
    assert shares == pytest.approx(LEVELS, abs=0.03)


def test_few_windows_correct_nothing_and_a_quantile_that_fits_stays() -> None:
    random = np.random.default_rng(1)
    quantiles, truth = skewed(random, 39, 1.0)
    truth[0] = np.nan
    assert fewest_windows(LEVELS) == 39
    assert quantile_offsets(quantiles, truth, LEVELS) is None
    assert quantile_offsets(*skewed(random, 39, 1.0), LEVELS) is not None
    exact = np.tile(np.array([-1.96, 0.0, 1.96])[:, None], (4000, 1, 1))
    offsets = quantile_offsets(exact, random.normal(size=(4000, 1)), [0.025, 0.5, 0.975])
    assert offsets is not None
    assert np.abs(offsets).max() < 0.03
    assert quantile_offsets(np.zeros((50, 3, 2)), np.zeros((50, 2)), [0.1, 0.5, 0.9]) is None


def test_moved_quantiles_rise_around_the_same_median() -> None:
    random = np.random.default_rng(2)
    offsets = random.normal(size=(len(LEVELS), STEPS))
    offsets[LEVELS.index(0.5)] = 0
    quantiles, _ = skewed(random, 30, 1.0)
    moved = decoded(quantiles, offsets)
    assert (np.diff(moved, axis=1) >= 0).all()
    np.testing.assert_allclose(moved[:, 3], quantiles[:, 3])
    assert not np.allclose(moved, quantiles)


def test_offsets_are_saved_with_the_target() -> None:
    target = DistributionTarget(2, offsets=np.arange(14.0).reshape(7, 2))
    saved = target.to_dict()
    restored = DistributionTarget.from_dict(saved)
    assert restored.offsets is not None
    np.testing.assert_array_equal(restored.offsets, target.offsets)
    del saved["offsets"]
    assert DistributionTarget.from_dict(saved).offsets is None


def test_offsets_of_few_windows_widen_to_the_errors_of_earlier_origins() -> None:
    levels = (0.1, 0.5, 0.9)
    quantiles = np.tile(np.array([-1.0, 0.0, 3.0])[:, None], (2, 1, 4))
    errors = np.random.default_rng(0).normal(size=(100, 4)) * np.array([1.0, 1.0, 2.0, 2.0])
    offsets = widening_offsets(quantiles, errors, levels, 50)
    moved = quantiles[0] + offsets * 4.0
    sizes = moved[0] / _student(0.1, 50)
    assert sizes[0] == pytest.approx(1.0, rel=0.15)
    assert sizes[-1] == pytest.approx(2.0, rel=0.15)
    assert (np.diff(sizes) > 0).all()
    np.testing.assert_array_equal(moved[1:], [[0.0] * 4, [3.0] * 4])  # none is moved towards the median
    few, many = (widening_offsets(quantiles, errors, levels, freedom) for freedom in (3, 100))
    assert (few[0] < many[0]).all()


@pytest.mark.parametrize("freedom", [3, 6, 20])
@pytest.mark.parametrize("level", [0.025, 0.25, 0.9])
def test_quantiles_of_student(level: float, freedom: int) -> None:
    assert _student(level, freedom) == pytest.approx(stats.t.ppf(level, freedom), rel=0.03)


def test_errors_of_earlier_origins_are_those_behind_the_half_of_each_series() -> None:
    random = np.random.default_rng(0)
    histories = [History(f"s{length}", ("y",), random.normal(9, 1, (length, 1))) for length in (40, 24)]
    features = WindowFeatures(12, 6, 6, (1,)).fit([Window(each, 0, len(each)) for each in histories])
    rolled = rolling_residuals(features, [(each, 0, len(each)) for each in histories])
    assert rolled is not None
    assert rolled[0].shape == (15 + 7, 6)  # origins from 20 to 34, and from 12 to 18
