"""Where a window lies among the values of its channel: by hand, for other channels, and which series have levels."""

from __future__ import annotations

import numpy as np
import pytest

from rekur.features.plain_forecasts import PlainForecasts
from rekur.features.usual_levels import among_usual, usual_levels, usual_size
from rekur.features.window_ridges import SHARE

SERIES = [np.array([1.0, np.nan, 5.0, 6.0]), np.array([0.0, 2.0, 4.0, 2.0])]


def test_levels_are_those_of_the_values_that_are_there() -> None:
    (first, second) = usual_levels(SERIES, logs=False)
    spread = float(np.std([1, 5, 6]))
    np.testing.assert_allclose(np.array(first), np.array([SHARE * 4, 4, spread, spread]))
    np.testing.assert_allclose(np.array(second), np.array([SHARE * 2, 2, 2**0.5, 2**0.5]))
    (logs, _) = usual_levels(SERIES, logs=True)
    turned = np.log(np.array([1, 5, 6]) + SHARE * 4)
    np.testing.assert_allclose(logs[1:3], [turned.mean(), turned.std()])
    assert usual_levels([np.full(3, 0.1)], logs=False)[0][2:] == (1.0, 1.0)  # NumPy's deviation is 1.4e-17
    assert usual_levels([np.full(3, 7.0), np.zeros(2)], logs=True)[1] == (1.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("logs", [False, True])
def test_numbers_of_windows_by_hand(logs: bool) -> None:
    levels = usual_levels(SERIES, logs=logs)
    windows = np.array([[2.0, 4.0, 8.0], [1.0, 1.0, 1.0], [2.0, 4.0, 8.0]])
    numbers = among_usual(levels, windows, np.array([3.0, 1.0, 3.0]), np.array([1, 0, 2]), 2, logs=logs)
    assert numbers.shape == (3, usual_size(levels))
    shift, mean, deviation, of_values = levels[1]
    z = ((np.log(windows[0] + shift) if logs else windows[0]) - mean) / deviation
    expected = [z[2], z[1:].mean(), z.mean(), np.log(z.std()), np.log(3 / of_values), 0, 1]
    np.testing.assert_allclose(numbers[0], expected)
    assert numbers[1, 3] == np.log(1e-3)  # no spread at all
    assert not numbers[2].any()  # a channel that training lacks


def test_only_channels_that_are_one_series_have_levels() -> None:
    series = [np.random.default_rng(seed).normal(size=40) for seed in range(4)]
    fitted = {
        names: PlainForecasts.fit(series[: len(names)], 2, (), channels=list(names)) for names in ("ab", "aa", "abab")
    }
    assert [len(each.levels) for each in fitted.values()] == [2, 0, 0]
    again = PlainForecasts.from_dict(fitted["ab"].to_dict())
    np.testing.assert_allclose(again.levels, fitted["ab"].levels)
    old = {name: value for name, value in fitted["ab"].to_dict().items() if name != "levels"}
    assert PlainForecasts.from_dict(old).levels == ()
