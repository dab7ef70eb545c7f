"""Rolling origins: what a forecaster may read, how often it is fitted, and intervals from its errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rekur.errors import InputError
from rekur.runtime.rolling import conformal_offsets, roll

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
