"""Programs: a trained model as a list of ops over named weights and named state, and its engine; no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.program.draw import draw_sequences
    from rekur.program.engine import Engine
    from rekur.program.forecast_engine import ForecastEngine
    from rekur.program.live import Live
    from rekur.program.many import Many
    from rekur.program.ops import Op, State
    from rekur.program.pair_engine import PairEngine
    from rekur.program.parts import Input, Part, Weight
    from rekur.program.program import Program
    from rekur.program.quantised import dequantise, in_precision, quantise
    from rekur.program.step_costs import Cost, costs
    from rekur.program.stored_weights import check_weights

__all__ = [
    "Cost",
    "Engine",
    "ForecastEngine",
    "Input",
    "Live",
    "Many",
    "Op",
    "PairEngine",
    "Part",
    "Program",
    "State",
    "Weight",
    "check_weights",
    "costs",
    "dequantise",
    "draw_sequences",
    "in_precision",
    "quantise",
]

#: a bundle is read, and options are checked, without the engine
__getattr__, __dir__ = lazily(
    __name__,
    {
        "draw": "draw_sequences",
        "engine": "Engine",
        "forecast_engine": "ForecastEngine",
        "live": "Live",
        "many": "Many",
        "ops": "Op State",
        "pair_engine": "PairEngine",
        "parts": "Input Part Weight",
        "program": "Program",
        "quantised": "dequantise in_precision quantise",
        "step_costs": "Cost costs",
        "stored_weights": "check_weights",
    },
)
