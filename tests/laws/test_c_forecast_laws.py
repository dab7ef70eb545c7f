"""A forecaster in C forecasts what the model forecasts: every cell, and windows of any form with columns and gaps.

Axes: H steps of the horizon.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.models import shaken
from tests.laws.test_forecast_laws import COLUMNS, SEASON, H, made
from tests.profiles import draws

from rekur._filled_series import end_of
from rekur.check.windows import drawn_windows
from rekur.export.c import check, forecast_write
from rekur.export.c.forecast import lower_forecasts
from rekur.export.c.forecast_export import ForecastExport
from rekur.export.c.forecast_trial import network_outputs
from rekur.export.c.source import Style
from rekur.features.windows import Window, WindowFeatures
from rekur.lower import lower
from rekur.models import ForecasterSpec, build_forecaster
from rekur.program import ForecastEngine, in_precision
from rekur.targets.distribution import DistributionTarget

pytestmark = pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang")

SPECS: list[dict[str, Any]] = [
    {"cell": "gru", "num_layers": 2, "residual": True, "norm": True, "members": 2},
    {"cell": "lstm", "kernel_size": 3, "members": 3, "ahead_size": 0},
    {"cell": "slstm", "num_layers": 2, "channels": 2},
    {"cell": "rglru", "channels": 2, "segment": 1},
]


@pytest.mark.parametrize("options", SPECS, ids=str)
def test_networks_of_every_form(options: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"input_size": 4, "hidden_size": 6, "horizon": H, "segment": 3, "candidates": 3}
    spec = ForecasterSpec(**{**usual, "ahead_size": 5, **options})
    program, weights = lower(shaken(build_forecaster(spec, seed=0), 1))
    windows = drawn_windows(program, (5, 1, 12), spec.segments, seed=0)
    style = Style("m", "int8" if spec.members == 2 else "float32")
    lowered = lower_forecasts(program, weights, style)
    sources = {"m.h": forecast_write.header(lowered, None), "m.c": forecast_write.source(lowered, None)}
    outputs = np.stack(network_outputs(sources, "m", windows))
    engine = ForecastEngine(*in_precision(program, weights, style.precision))
    expected = engine.run([each.steps for each in windows], [each.ahead for each in windows])
    assert check.largest_difference(outputs, expected) < 1e-5


@draws(12)
@given(data=st.data())
def test_windows_of_any_form(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**31), label="seed")
    columns = data.draw(st.sampled_from([None, *COLUMNS]), label="columns")
    channels = 1 if columns else data.draw(st.integers(1, 2), label="channels")
    segment, beyond = data.draw(st.sampled_from([1, 3, H])), data.draw(st.booleans(), label="beyond")
    periods = data.draw(st.sampled_from([(1,), (SEASON,), (7, SEASON)]), label="periods")
    histories = made(seed, channels=channels, columns=columns)
    if channels > 1 and data.draw(st.booleans(), label="one series a channel"):
        histories = histories[:1]
    if is_below := data.draw(st.booleans(), label="values below 0"):
        for history in histories:
            history.values[:] -= 11
    trained = [Window(each, channel, 80) for each in histories for channel in range(channels)]
    lookback = data.draw(st.sampled_from([H, 24, 30]), label="look-back")
    features = WindowFeatures(lookback, H, segment, periods, beyond=beyond).fit(trained)
    assert bool(features.plain.levels) == (channels > 1 and len(histories) == 1)
    sizes: dict[str, Any] = {"input_size": features.size, "ahead_size": features.ahead_size, "segment": segment}
    spec = ForecasterSpec(**sizes, horizon=H, candidates=features.candidates, cell="gru", hidden_size=4)
    network = build_forecaster(spec, seed=0)
    with torch.no_grad():
        for parameter in network.parameters():  # those of gate and corrections begin at 0
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed % 999)))
    program, weights = lower(network.eval())
    target = DistributionTarget(H, unit=3.0, non_negative=not is_below)
    export = ForecastExport.of(program, weights, features, target, Style("m"))
    for history in histories:  # to be forecast, all is known ahead
        history.future[75:] = np.nan_to_num(history.future[75:])
    items = [Window(each, k, end_of(each.values[:85, k])) for each in histories for k in range(channels)]
    assert export.differences((program, weights), (program, weights), items)[0] < 1e-5
