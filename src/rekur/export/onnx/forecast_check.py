"""ONNX models of a program that forecasts, run by ONNX Runtime, and compared with the engine.

Axes: N windows, S steps of the past, A segments of the horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.export.onnx.found import Found, compare, larger
from rekur.program import ForecastEngine, draw_sequences
from rekur.program.parts import AHEAD, INPUT

#: windows of a batch, steps of each past, and segments of each horizon
_SHAPES = ((1, 1, 1), (3, 9, 2))


def forecast(sessions: Mapping[str, Any], engine: ForecastEngine, past: Any, ahead: Any) -> Array:
    """Return the outputs of windows, (N, A · O), as ONNX models give them.

    Args:
        sessions: of ``encode`` and ``ahead``.
        engine: of the same program.
        past: (N, S, D), of one length.
        ahead: (N, A, E).
    """
    past, ahead, program = np.asarray(past), np.asarray(ahead), engine.program
    names = [port.name for port in sessions["encode"].get_outputs()]
    reads = {port.name for port in sessions["ahead"].get_inputs()}
    begin = zip(program.state, engine.initial_state(), strict=True)
    state = {f"state.{slot.name}": np.repeat(array[None], len(past), axis=0) for slot, array in begin}
    for rows in past.transpose(1, 0, 2):
        arrays = dict(zip(names, sessions["encode"].run(names, {"input": rows, **state}), strict=True))
        state = {f"state.{slot.name}": arrays[f"next.{slot.name}"] for slot in program.state}
    left = {name: array for name, array in state.items() if name in reads}
    scores = [sessions["ahead"].run(["scores"], {"input": rows, **left})[0] for rows in ahead.transpose(1, 0, 2)]
    return np.concatenate(scores, axis=1)


def check_forecast_sessions(sessions: Mapping[str, Any], engine: ForecastEngine) -> Found:
    """Run ONNX models and the engine on drawn windows, and return the largest difference.

    Args:
        sessions: of ``encode`` and ``ahead``.
        engine: of the same program.
    """
    rng, worst, program = np.random.default_rng(0), Found(0.0, "nowhere"), engine.program
    width = program.parts[AHEAD].inputs[INPUT].size
    for count, steps, segments in _SHAPES:
        past = np.stack(draw_sequences(program, [steps] * count, rng))
        ahead = rng.normal(size=(count, segments, width)).astype(np.float32)
        where = f"ahead.onnx, {count} windows of {steps} steps"
        worst = larger(
            worst, compare(forecast(sessions, engine, past, ahead), engine.run(list(past), list(ahead)), where)
        )
    return worst
