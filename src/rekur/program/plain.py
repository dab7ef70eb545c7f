"""Steppers of plain cells; all sequences of an engine share the packed weights."""

from __future__ import annotations

from collections.abc import Mapping

from rekur._stepper import StepLayer, Stepper
from rekur._tensors import Array
from rekur.program.cells import Cell
from rekur.program.ops import Op

#: output register of a cell -> stepper with its packed weights
Packs = dict[str, Stepper]


def stepper_of(op: Op, cell: Cell, weights: Mapping[str, Array], packs: Packs) -> Stepper:
    """Return a stepper of a plain cell with its own states; the first call packs the weights.

    Args:
        op: the op of the cell.
        cell: a cell with :attr:`Cell.plain` true.
        weights: role -> array.
        packs: the shared packed weights; missing ones are added.
    """
    if op.writes not in packs:
        biases = (weights.get("bias_ih"), weights.get("bias_hh"))
        packs[op.writes] = Stepper([StepLayer(cell.form.native, weights["weight_ih"], weights["weight_hh"], *biases)])
    return packs[op.writes].twin()
