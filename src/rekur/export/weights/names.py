"""Layers from and to the names of torch.nn.RNN, LSTM and GRU, and of rekur.nn.Recurrent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rekur._check import choice
from rekur._tensors import Array
from rekur.errors import InputError, describe
from rekur.export.weights.layer import GATES, LayerWeights, no_reverse, stacked

_TORCH = re.compile(r"(?P<role>(?:weight|bias)_(?:ih|hh|hr))_l(?P<index>\d+)(?P<reverse>_reverse)?")
_STACK = re.compile(r"layers\.(?P<index>\d+)\.(?:(?:forward|(?P<reverse>backward))_layer\.)?cell\.(?P<role>\w+)")
#: advice about a layer that reads only backwards
_REVERSED = "rekur.nn.Layer(cell, reverse=True) is one: load directions[0] into its cell."


def from_torch(state: Mapping[str, Any], cell: str = "") -> list[LayerWeights]:
    """Return the layers of a state dict of ``torch.nn.RNN``, ``LSTM`` or ``GRU``, or of ``rekur.nn``'s.

    Args:
        state: name -> tensor or array.
        cell: the cell; by default ``rnn``, ``lstm`` or ``gru``, by the number of gates.

    Raises:
        InputError: a name that such a layer does not have.

    Example:
        >>> import torch
        >>> layers = from_torch(torch.nn.GRU(3, 5, num_layers=2, bidirectional=True).state_dict())
        >>> [(layer.cell, layer.input_size, layer.bidirectional) for layer in layers]
        [('gru', 3, True), ('gru', 10, True)]
    """
    expected = "weights of torch.nn.RNN, LSTM or GRU, such as 'weight_ih_l0'"
    return _layers(state, _TORCH, cell, expected, "Give the state dict of the layer alone.")


def to_torch(layers: Mapping[str, LayerWeights] | Sequence[LayerWeights]) -> dict[str, Array]:
    """Return layers under the names of ``torch.nn``; ``torch.from_numpy`` makes tensors of the arrays.

    Args:
        layers: from the input on, by name or without names.

    Raises:
        InputError: ``torch.nn`` does not have the cell, or a layer reads only backwards.
        ShapeError: the input size of a layer is not the output size of the previous one.

    Example:
        >>> import torch
        >>> state = torch.nn.LSTM(3, 5).state_dict()
        >>> list(to_torch(from_torch(state))) == list(state)
        True
    """
    stack = list(stacked(layers).values())
    for index, layer in enumerate(stack):
        choice(f"cell of layer {index}", layer.cell, ("rnn", "rnn_relu", "lstm", "gru"))
        no_reverse(layer, "torch.nn", _REVERSED)
    ends = ("", "_reverse")
    return {
        f"{role}_l{index}{ends[side]}": array
        for index, layer in enumerate(stack)
        for side, arrays in enumerate(layer.directions)
        for role, array in arrays.items()
    }


def from_stack(state: Mapping[str, Any], cell: str = "") -> list[LayerWeights]:
    """Return the layers of a state dict of ``rekur.nn.Recurrent``, without wrappers around its cells.

    Args:
        state: name -> tensor or array.
        cell: the cell; by default ``rnn``, ``lstm`` or ``gru``, by the number of gates.

    Raises:
        InputError: a name that such a stack does not have.

    Example:
        >>> from rekur.nn import Recurrent
        >>> from_stack(Recurrent("lstm", 3, 5, num_layers=2).state_dict())[1].input_size
        5
    """
    expected = "weights of plain cells of rekur.nn.Recurrent, such as 'layers.0.cell.weight_ih'"
    return _layers(state, _STACK, cell, expected)


def to_stack(layers: Mapping[str, LayerWeights] | Sequence[LayerWeights]) -> dict[str, Array]:
    """Return layers under the names of ``rekur.nn.Recurrent``; ``torch.from_numpy`` makes tensors of the arrays.

    Args:
        layers: from the input on, by name or without names.

    Raises:
        InputError: a layer reads only backwards.
        ShapeError: the input size of a layer is not the output size of the previous one.

    Example:
        >>> import torch
        >>> from rekur.nn import Recurrent
        >>> arrays = to_stack(from_torch(torch.nn.GRU(3, 5).state_dict()))
        >>> Recurrent("gru", 3, 5).load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
        <All keys matched successfully>
    """
    state: dict[str, Array] = {}
    for index, layer in enumerate(stacked(layers).values()):
        no_reverse(layer, "rekur.nn.Recurrent", _REVERSED)
        sides = ("forward_layer.", "backward_layer.") if layer.bidirectional else ("",)
        for side, arrays in zip(sides, layer.directions, strict=True):
            state |= {f"layers.{index}.{side}cell.{role}": array for role, array in arrays.items()}
    return state


def _array(tensor: Any) -> Array:
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu().numpy()
    return np.array(tensor)


def _layers(
    state: Mapping[str, Any], pattern: re.Pattern[str], cell: str, expected: str, fix: str = ""
) -> list[LayerWeights]:
    """Return the layers of a state dict; ``pattern`` matches its names, with the groups index, reverse and role."""
    arrays: dict[tuple[int, int], dict[str, Array]] = {}
    for name, tensor in state.items():
        match = pattern.fullmatch(name)
        if match is None:
            raise InputError(describe("name of a weight", name, expected, fix))
        side = (int(match["index"]), int(match["reverse"] is not None))
        arrays.setdefault(side, {})[match["role"]] = _array(tensor)
    if not arrays:
        raise InputError(describe("weights", "none", "those of one layer or more"))
    layers = []
    for index in range(1 + max(index for index, _ in arrays)):
        directions = tuple(arrays[index, side] for side in (0, 1) if (index, side) in arrays)
        if (index, 0) not in arrays:
            raise InputError(describe(f"weights of layer {index}", "none", "those of every layer from 0 on"))
        layers.append(LayerWeights(cell or _cell_of(directions[0]), directions))
    return layers


def _cell_of(arrays: Mapping[str, Array]) -> str:
    hidden = arrays["weight_hr"].shape[1] if "weight_hr" in arrays else arrays["weight_hh"].shape[1]
    gates = len(arrays["weight_ih"]) // hidden
    names = [name for name, count in GATES.items() if count == gates]
    if not names:
        raise InputError(describe("gates of the weights", gates, "1 (RNN), 3 (GRU) or 4 (LSTM)"))
    return "lstm_peephole" if "weight_ci" in arrays else names[0]
