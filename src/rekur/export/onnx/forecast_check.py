"""ONNX models of a program that forecasts, run by ONNX Runtime, and compared with the engine.

Axes: N windows, S steps of the past, A segments of the horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rekur.export.onnx.found import Found, compare, larger
from rekur.program import ForecastEngine, draw_sequences
from rekur.program.parts import AHEAD, INPUT

#: windows of a batch, steps of each past, and segments of each horizon
_SHAPES = ((1, 1, 1), (3, 9, 2))


def check_forecast_sessions(sessions: Mapping[str, Any], engine: ForecastEngine) -> Found:
    """Run ONNX models and the engine on drawn windows, and return the largest difference.

    Args:
        sessions: of ``encode`` and ``ahead``.
        engine: of the same program.
    """
    rng, worst, program = np.random.default_rng(0), Found(0.0, "nowhere"), engine.program
    names = {name: [port.name for port in session.get_outputs()] for name, session in sessions.items()}
    reads = {port.name for port in sessions["ahead"].get_inputs()}
    width = program.parts[AHEAD].inputs[INPUT].size
    for count, steps, segments in _SHAPES:
        past = np.stack(draw_sequences(program, [steps] * count, rng))
        ahead = rng.normal(size=(count, segments, width)).astype(np.float32)
        begin = zip(program.state, engine.initial_state(), strict=True)
        state = {f"state.{slot.name}": np.repeat(array[None], count, axis=0) for slot, array in begin}
        for step in range(steps):
            arrays = sessions["encode"].run(names["encode"], {"input": past[:, step], **state})
            next_state = dict(zip(names["encode"], arrays, strict=True))
            state = {f"state.{slot.name}": next_state[f"next.{slot.name}"] for slot in program.state}
        left = {name: array for name, array in state.items() if name in reads}
        scores = [sessions["ahead"].run(["scores"], {"input": rows, **left})[0] for rows in ahead.transpose(1, 0, 2)]
        where = f"ahead.onnx, {count} windows of {steps} steps"
        worst = larger(worst, compare(np.concatenate(scores, axis=1), engine.run(list(past), list(ahead)), where))
    return worst
