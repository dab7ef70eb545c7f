"""Recurrent layers, with normalization and residual connections, as ops."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from rekur import cells
from rekur.errors import InputError, describe
from rekur.lower.builder import Builder
from rekur.lower.lower_cell import lower_cell
from rekur.nn import Layer
from rekur.program import Op
from rekur.program.cells import Cell as ProgramCell


def lower_join(building: Builder, around: str | None, reads: str, norm: nn.Module | None) -> str:
    """Add the normalization and the residual connection of a layer, if it has them; return the output's register.

    Args:
        building: the program.
        around: the register of the residual input, or None.
        reads: the register that holds the layer's output.
        norm: the layer's ``torch.nn.LayerNorm``, or None.
    """
    size = building.ops[-1].size
    if norm is not None:
        if not isinstance(norm, nn.LayerNorm) or norm.bias is None:
            raise InputError(describe(f"normalisation of {reads}", type(norm).__name__, "LayerNorm with gain and bias"))
        weights = building.weights({"gain": norm.weight, "bias": norm.bias})
        options = {"epsilon": norm.eps}
        reads = building.add(Op("layer_norm", (reads,), f"{reads}.norm", size, weights, options=options))
    if around is not None:
        reads = building.add(Op("add", (reads, around), f"{reads}.sum", size))
    return reads


def lower_layer(building: Builder, reads: str, name: str, layer: Layer) -> str:
    """Add the ops of one direction of a recurrent layer, and return the register that holds its outputs.

    Args:
        building: the program.
        reads: the register of the layer's inputs.
        name: of the layer, and prefix of its registers and states.
        layer: the layer.
    """
    cell: cells.Cell = layer.cell
    shortcut: Tensor | None = None
    around = isinstance(cell, cells.Residual)
    if isinstance(cell, cells.Residual):
        shortcut = cell.weight_shortcut
        cell = cell.cell
    lowered, tensors = lower_cell(cell, f"cell of {name}")
    weights = building.weights(tensors)
    state = _cell_state(building, name, lowered, layer)
    options = {**lowered.to_json(), **({"reverse": True} if layer.reverse else {})}
    inner = f"{name}.cell" if around else name
    written = building.add(Op("recur", (reads,), inner, lowered.output, weights, state, options))
    if not around:
        return written
    if shortcut is not None:
        weights = {"weight": building.weight(shortcut)}
        reads = building.add(Op("affine", (reads,), f"{name}.shortcut", lowered.output, weights))
    return building.add(Op("add", (written, reads), name, lowered.output))


def _cell_state(building: Builder, name: str, cell: ProgramCell, layer: Layer) -> dict[str, str]:
    """Add the states of a layer's cell with their initial values, and return role -> name."""
    initial = layer.initial_state(1)
    state = {}
    for index, (role, shape) in enumerate(cell.state().items()):
        begins: float | str = cell.begins_with(role)
        if len(layer.start):
            first = initial[index][0].detach().float().numpy()
            if (first != np.float32(begins)).any():
                begins = building.array(f"{name}.{role}.start", first)
        state[role] = building.remember(f"{name}.{role}", shape, begins=begins)
    return state
