"""Programs: a trained model as a list of ops over named weights and named state, and its engine; no PyTorch."""

from rekur.program.costs import Cost, costs
from rekur.program.draw import draw_sequences
from rekur.program.engine import Engine
from rekur.program.live import Live
from rekur.program.many import Many
from rekur.program.ops import Op, State
from rekur.program.program import Input, Program, Weight
from rekur.program.quantised import dequantise, in_precision, quantise
from rekur.program.stored_weights import check_weights

__all__ = [
    "Cost",
    "Engine",
    "Input",
    "Live",
    "Many",
    "Op",
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
