"""The arrays of windows: what they hold, that they depend on no other window and on nothing from the origin on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rekur._filled_series import FilledSeries
from rekur.features.plain_forecasts import PlainForecasts, combination_weights
from rekur.features.window_arrays import PRIOR_POWER, WindowArrays, WindowReader
from rekur.models import Batch, ForecasterSpec, build_forecaster

L, H, M = 12, 6, 3


def seasonal(length: int, seed: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    level = 10 + 0.1 * random.normal(size=length).cumsum()
    values = level * (1 + 0.4 * np.sin(np.arange(length) * np.pi / 3)) + 0.1 * random.normal(size=length)
    return np.asarray(values)


def series_of() -> list[NDArray[np.float64]]:
    series = [seasonal(120, 0), 1000 * seasonal(90, 1), np.full(80, 5.0), seasonal(9, 2)]
    series[1][40:43] = np.nan
    return series


def reader_of(series: list[NDArray[np.float64]], *, logs: bool = True) -> WindowReader:
    return WindowReader(PlainForecasts.fit(series, H, (6,)), L, M, logs=logs)


def read(reader: WindowReader, series: list[NDArray[np.float64]], rows: list[int], origins: list[int]) -> WindowArrays:
    block = FilledSeries(series, max(L, reader.plain.lookback), H)
    return reader.read(block, np.array(rows), np.array(origins))


ROWS, ORIGINS = [0, 1, 1, 2, 3, 0], [114, 84, 44, 74, 9, 30]


@pytest.mark.parametrize("logs", [True, False])
def test_the_blocks_of_a_window(logs: bool) -> None:
    series = series_of()
    reader = reader_of(series, logs=logs)
    arrays = read(reader, series, ROWS, ORIGINS)
    assert arrays.steps.shape == (6, L // M, 3 * M)
    values = series[0][114 - L : 114]
    blocks = arrays.steps[0].reshape(-1, 3, M).transpose(1, 0, 2).reshape(3, L)
    turned = np.log(values + 0.01 * values.mean()) if logs else values
    np.testing.assert_allclose(blocks[0], (turned - turned.mean()) / turned.std(), rtol=1e-5)
    recent = series[0][114 - L - 6 : 114]
    scale = np.abs(recent[6:] - recent[:-6]).mean()
    np.testing.assert_allclose(blocks[1], np.arcsinh((values - values[-1]) / scale), rtol=1e-5, atol=1e-6)
    assert (arrays.level[0], arrays.scale[0]) == pytest.approx((values[-1], scale))
    assert not blocks[2].any()
    gaps = arrays.steps[2].reshape(-1, 3, M)[:, 2].reshape(-1)
    assert gaps.tolist() == [0] * 8 + [1, 1, 1, 0]
    assert arrays.steps[4].reshape(-1, 3, M)[:, 2].reshape(-1).tolist() == [1] * 3 + [0] * 9
    assert arrays.scale[3] == 0
    assert np.isfinite(arrays.ahead).all()


def test_an_untrained_network_of_them_is_a_combination() -> None:
    series = series_of()
    reader = reader_of(series)
    plain, arrays = reader.plain, read(reader, series, ROWS, ORIGINS)
    count = len(plain.names)
    sizes: dict[str, Any] = {"input_size": 3 * M, "horizon": H, "segment": M, "candidates": count}
    spec = ForecasterSpec(**sizes, cell="gru", hidden_size=4, ahead_size=reader.ahead_size)
    assert arrays.ahead.shape == (6, H // M, spec.ahead_width)
    inputs = {"steps": torch.from_numpy(arrays.steps), "ahead": torch.from_numpy(arrays.ahead)}
    outputs = build_forecaster(spec, seed=0).eval()(Batch(inputs, torch.full((6,), L // M)))[0].detach().numpy()
    median = outputs.reshape(6, H, -1)[:, :, spec.median]
    block, rows, origins = FilledSeries(series, L, H), np.array(ROWS), np.array(ORIGINS)
    weights = combination_weights(plain.backtest(block, rows, origins), PRIOR_POWER)
    expected = np.einsum("nk,nkh->nh", weights, plain.at(block, rows, origins))
    unit = np.where(arrays.scale > 0, arrays.scale, 1.0)
    np.testing.assert_allclose(median * unit[:, None] + arrays.level[:, None], expected, rtol=1e-4)


def test_a_window_depends_on_no_other_and_on_nothing_from_its_origin_on_or_before_its_memory() -> None:
    series = series_of()
    reader = reader_of(series)
    together = read(reader, series, ROWS, ORIGINS)
    for number, (row, origin) in enumerate(zip(ROWS, ORIGINS, strict=True)):
        begin = max(0, origin - reader.memory)
        noise = np.random.default_rng(number).normal(size=10)
        alone = read(reader, [np.concatenate([series[row][begin:origin], noise])], [0], [origin - begin])
        for name in ("steps", "ahead", "level", "scale"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[number], err_msg=name)
