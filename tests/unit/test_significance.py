"""Student's t distribution, sign flips and Holm's correction against scipy and published tables."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from rekur.metrics.significance import holm, sign_flip, t_p_value, t_quantile
from rekur.study.statistics import compare


@pytest.mark.parametrize(
    ("freedom", "p", "t"),
    [
        (1, 0.05, 12.706),
        (2, 0.05, 4.303),
        (5, 0.05, 2.571),
        (10, 0.05, 2.228),
        (30, 0.05, 2.042),
        (120, 0.05, 1.980),
        (1, 0.01, 63.657),
        (5, 0.01, 4.032),
        (5, 0.1, 2.015),
        (10, 0.001, 4.587),
    ],
)
def test_quantiles_are_those_of_the_printed_table(freedom: int, p: float, t: float) -> None:
    assert t_quantile(freedom, p) == pytest.approx(t, abs=6e-4)


@pytest.mark.parametrize("freedom", [1, 1.5, 2, 3, 4.2, 5, 17.3, 99, 1234.5, 1e6])
def test_the_t_distribution_is_scipys(freedom: float) -> None:
    t = np.array([0.0, 1e-200, 1e-9, 0.01, 0.5, 1, 1.96, 2.5, 7, 40, 1e5])
    p = [t_p_value(value, freedom) for value in t]
    np.testing.assert_allclose(p, 2 * stats.t.sf(t, freedom), rtol=1e-9)
    assert [t_p_value(-value, freedom) for value in t] == p
    for p_value in (0.5, 0.05, 0.01, 1e-6):
        assert t_quantile(freedom, p_value) == pytest.approx(stats.t.isf(p_value / 2, freedom), rel=1e-9)
    assert t_p_value(1e200, freedom) == 0


def test_sign_flips_of_darwins_plants() -> None:
    """Fisher 1935, section 21: 1,726 of the 32,768 choices of signs; Student's t is 2.148."""
    plants = [49.0, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert sign_flip(plants) == 1726 / 32768
    pair = compare([plants, [0.0] * 15]).pairs[0]
    assert pair.p == pytest.approx(0.0497, abs=5e-5)
    assert pair.p_sign_flip == 1726 / 32768


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_sign_flips_are_those_of_all_choices(n: int) -> None:
    values = np.random.default_rng(n).integers(-3, 5, n) / 100  # with many ties
    means = [abs(np.mean(values * signs)) for signs in itertools.product((1, -1), repeat=n)]
    share = np.mean(np.array(means) >= abs(values.mean()) - 1e-12)
    assert sign_flip(values.tolist(), tolerance=1e-12) == share


def test_drawn_sign_flips_are_near_the_exact_ones_and_never_0() -> None:
    values = (np.random.default_rng(1).normal(0.4, 1, 21)).tolist()
    exact = np.array([0.0])
    for value in values:
        exact = np.concatenate([exact + value, exact - value])
    share = float(np.mean(np.abs(exact) >= abs(sum(values)) - 1e-12))
    assert sign_flip(values) == pytest.approx(share, abs=4 * math.sqrt(share / 100_000))
    assert sign_flip(values) == sign_flip(values) != sign_flip(values, seed=1)
    assert sign_flip([1.0] * 40) == 1 / 100_001


def test_holm_is_that_of_rs_p_adjust() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.01, 0.02, 0.03, 0.04, 0.05]), [0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
