"""The windows of live series on the kernels: those of the reader, for every kind of series and of plain forecasts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur import _kernels
from rekur._history import History
from rekur.features import WindowFeatures
from rekur.features.window_kernel import kernel_windows
from rekur.features.windows import Window

pytestmark = pytest.mark.skipif(
    not hasattr(_kernels.kernels, "Windows"), reason="the compiled kernels with windows are not installed"
)

#: options of the features, and how the series are made from normal numbers
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "positive": ({"lookback": 12, "horizon": 6, "segment": 3, "periods": (6,)}, lambda x: np.exp(x / 3)),
    "negative": ({"lookback": 12, "horizon": 6, "segment": 6, "periods": (3, 6)}, lambda x: 5 * x - 20),
    "no season": ({"lookback": 8, "horizon": 3}, lambda x: 100 + x),
    "within the window": ({"lookback": 14, "horizon": 7, "segment": 7, "periods": (7,), "beyond": False}, np.abs),
    "long": ({"lookback": 24, "horizon": 4, "segment": 4, "periods": (4,), "power": 1.0}, lambda x: 1e6 + x),
}
cases = pytest.mark.parametrize("case", sorted(CASES))


def history(case: str, seed: int, length: int, gaps: float = 0.0, channels: int = 1) -> History:
    random = np.random.default_rng(seed)
    values = CASES[case][1](random.normal(size=(length, channels)) + np.sin(np.arange(length) * np.pi / 3)[:, None])
    values[random.random(length) < gaps] = np.nan
    values[[0, -1]] = CASES[case][1](np.ones(channels))
    return History("s" if channels > 1 else "", tuple("abc"[:channels]), values)


def features(case: str, gaps: float, channels: int) -> WindowFeatures:
    trained = [history(case, 100, 150, gaps, channels)]
    windows = [Window(each, channel, len(each)) for each in trained for channel in range(channels)]
    return WindowFeatures(**CASES[case][0]).fit(windows)


def last_values(values: Any, origin: int, memory: int) -> Any:
    """Return the last values, the first of them carried forward where it is missing."""
    last = values[max(0, origin - memory) : origin].copy()
    before = values[: max(0, origin - memory)]
    if np.isnan(last[0]) and (~np.isnan(before)).any():
        last[0] = before[~np.isnan(before)][-1]
    return last


@cases
@pytest.mark.parametrize(("gaps", "channels"), [(0.0, 1), (0.15, 1), (0.1, 2)])
@draws(3)
@given(seed=st.integers(0, 2**31), first=st.integers(3, 120))
def test_they_are_those_of_the_reader(case: str, gaps: float, channels: int, seed: int, first: int) -> None:
    fitted, series = features(case, gaps, channels), history(case, seed, 140, gaps, channels)
    kernel, channel = kernel_windows(fitted._read_by), channels - 1
    assert kernel is not None
    memory, values = kernel.memory(), series.values[:, channel]
    group = fitted.plain.group_of(series.channels[channel], series.name)
    for origin in range(first, 141):
        if np.isnan(values[origin - 1]) or np.count_nonzero(~np.isnan(values[:origin])) < 2:
            continue
        whole = fitted.encode(Window(series, channel, origin))
        last = last_values(values, origin, fitted.memory)
        inputs, level, scale = kernel.read(last, origin, group, memory)
        assert level == whole.context["level"]
        assert scale == pytest.approx(whole.context["scale"], rel=1e-12)
        for name, array in inputs.items():
            np.testing.assert_allclose(array, whole.inputs[name], rtol=1e-6, atol=1e-6)
        afresh, *_ = kernel.read(last, origin, group, kernel.memory())
        for name, array in inputs.items():  # what is remembered are the same bits
            np.testing.assert_array_equal(array, afresh[name])


def test_a_constant_series_and_zeros() -> None:
    fitted = features("positive", 0.0, 1)
    kernel = kernel_windows(fitted._read_by)
    assert kernel is not None
    for constant in (0.0, 3.0):
        series = History("", ("a",), np.full((90, 1), constant))
        whole = fitted.encode(Window(series, 0, 90))
        inputs, level, scale = kernel.read(last_values(series.values[:, 0], 90, fitted.memory), 90, 0, kernel.memory())
        assert (level, scale) == (constant, 0.0)
        np.testing.assert_array_equal(inputs["steps"], whole.inputs["steps"])
        assert np.isfinite(inputs["ahead"]).all()  # weights by errors that are only rounding, of equal forecasts


def test_columns_and_the_calendar_are_left_to_the_reader() -> None:
    values = np.arange(40.0)[:, None]
    series = History("s", ("y",), values, future=np.sin(values), future_names=("heat",))
    assert kernel_windows(WindowFeatures(4, 2).fit([Window(series, 0, 40)])._read_by) is None


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "values": ({"values": np.ones(3, np.float32)}, "values: expected"),
    "no end": ({"values": np.array([1.0, np.nan])}, "expected one there"),
    "end": ({"end": 1}, "expected values of one axis, no more than end"),
    "origins": ({"origins": np.zeros(2, np.int64)}, "origins: got"),
    "steps": ({"steps": np.zeros((1, 1), np.float32)}, "steps: got"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_arrays_of_other_sizes_are_refused(name: str) -> None:
    kernel = kernel_windows(features("positive", 0.0, 1)._read_by)
    assert kernel is not None
    memory = kernel.memory()
    inputs, *_ = kernel.read(np.ones(20), 20, 0, memory)
    given: dict[str, Any] = {"values": np.ones(20), "end": 20, "group": 0, "told": np.empty(2), **inputs}
    given |= {"origins": memory.origins, "errors": memory.errors} | BAD[name][0]
    with pytest.raises(ValueError, match=BAD[name][1]):
        kernel._kernel.read(**given)
