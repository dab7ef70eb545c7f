"""Plain cells on the stepper, whose packed weights all who step an engine's program share."""

from __future__ import annotations

from collections.abc import Mapping

from rekur._stepper import StepLayer, Stepper
from rekur._tensors import Array
from rekur.program.cells import Cell
from rekur.program.ops import Op

#: register -> stepper with the packed weights of the cell that writes it
Packs = dict[str, Stepper]

#: cells that have a compiled step, as the stepper calls them
_KINDS = {"rnn": "tanh", "rnn_relu": "relu", "lstm": "lstm", "gru": "gru"}


def stepper_of(op: Op, cell: Cell, weights: Mapping[str, Array], packs: Packs) -> Stepper:
    """Return a stepper of a plain cell with states of its own, its weights packed by the first who asks.

    Args:
        op: the op of the cell.
        cell: of which :attr:`Cell.plain` is true.
        weights: role -> array.
        packs: where packed weights are found, or left.
    """
    if op.writes not in packs:
        biases = (weights.get("bias_ih"), weights.get("bias_hh"))
        packs[op.writes] = Stepper([StepLayer(_KINDS[cell.kind], weights["weight_ih"], weights["weight_hh"], *biases)])
    return packs[op.writes].twin()
