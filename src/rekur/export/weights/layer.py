"""The weights of one recurrent layer, in one order of gates for all libraries.

Axes: D input features, H hidden, G gates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rekur._check import choice, flag
from rekur._tensors import Array
from rekur.errors import InputError, ShapeError, describe
from rekur.program.cells import FORMS

#: cell -> gates
GATES = {kind: len(form.gates) for kind, form in FORMS.items() if form.operator}
#: peepholes of an LSTM: input, output and forget gate, in ONNX's order
PEEPHOLES = ("weight_ci", "weight_co", "weight_cf")
_ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", *PEEPHOLES)


@dataclass(frozen=True)
class LayerWeights:
    """One layer, one direction or both, with gates in PyTorch's order: LSTM i f g o, GRU r z n.

    Args:
        cell: ``rnn``, ``rnn_relu``, ``lstm``, ``lstm_peephole``, ``gru`` or ``gru_reset_before``.
        directions: for each direction, forward first, role -> array: ``weight_ih`` (G·H, D), ``weight_hh`` (G·H, H),
            and optionally ``bias_ih`` and ``bias_hh`` (G·H,).
        reverse: whether its only direction reads from the last step to the first, with each output at its step; ONNX
            has such layers.

    Raises:
        InputError: an unknown cell or role, a missing matrix, or directions with different roles.
        ShapeError: shapes that do not agree.

    Example:
        >>> one = {"weight_ih": np.zeros((12, 3), np.float32), "weight_hh": np.zeros((12, 4), np.float32)}
        >>> layer = LayerWeights("gru", (one,))
        >>> layer.input_size, layer.hidden_size, layer.bidirectional
        (3, 4, False)
    """

    cell: str
    directions: tuple[Mapping[str, Array], ...]
    reverse: bool = False

    def __post_init__(self) -> None:
        choice("cell", self.cell, GATES)
        if len(self.directions) not in (1, 2):
            raise InputError(describe("directions", len(self.directions), "1 or 2"))
        if flag("reverse", self.reverse) and len(self.directions) == 2:
            raise InputError(describe("reverse", True, "False for a layer of both directions"))
        for arrays in self.directions:
            self._check_direction(arrays)
        first, last = (set(arrays) for arrays in (self.directions[0], self.directions[-1]))
        for role in _ROLES:
            shapes = [arrays[role].shape for arrays in self.directions if role in first & last]
            if shapes != len(shapes) * shapes[:1]:
                got = " and ".join(map(str, shapes))
                raise ShapeError(describe(f"{role} of both directions", got, "the same shape in both"))
        if first != last:
            got = ", ".join(sorted(first ^ last)) + " in one of them alone"
            raise InputError(describe("weights of both directions", got, "the same in both"))

    def _check_direction(self, arrays: Mapping[str, Array]) -> None:
        """Raise unless one direction has the matrices of the cell, in shapes that agree."""
        peepholes = PEEPHOLES if self.cell == "lstm_peephole" else ()
        for role in ("weight_ih", "weight_hh", *peepholes):
            if role not in arrays:
                raise InputError(describe("weights of a layer", ", ".join(arrays) or "none", f"'{role}' too"))
        for role in arrays:
            choice("weight of a layer", role, _ROLES)
            if role in PEEPHOLES and not peepholes:
                raise InputError(describe("cell", self.cell, f"'lstm_peephole' for a layer with {role}"))
        if 0 in arrays["weight_ih"].shape:
            expected = "one input feature and one unit, or more"
            raise ShapeError(describe("weight_ih", arrays["weight_ih"].shape, expected))
        rows = arrays["weight_ih"].shape[0]
        for role, array in arrays.items():
            if role.endswith(("_ih", "_hh")) and len(array) != rows:
                raise ShapeError(describe(f"rows of {role}", len(array), f"{rows}, as weight_ih has"))
        hidden = arrays["weight_hr" if "weight_hr" in arrays else "weight_hh"].shape[1]
        if rows != hidden * GATES[self.cell]:
            expected = f"{hidden * GATES[self.cell]}, {GATES[self.cell]} gates of {hidden} units of '{self.cell}'"
            raise ShapeError(describe("rows of weight_ih", rows, expected))
        for role in peepholes:
            if arrays[role].shape != (hidden,):
                raise ShapeError(describe(role, arrays[role].shape, f"({hidden},), one number for each unit"))

    @property
    def gates(self) -> int:
        """Gates G."""
        return GATES[self.cell]

    @property
    def input_size(self) -> int:
        """Features D of an input."""
        return int(self.directions[0]["weight_ih"].shape[1])

    @property
    def hidden_size(self) -> int:
        """Hidden units H."""
        return len(self.directions[0]["weight_ih"]) // self.gates

    @property
    def output_size(self) -> int:
        """Features of an output: H of each direction, or the size of the projection."""
        first = self.directions[0]
        return len(self.directions) * (len(first["weight_hr"]) if "weight_hr" in first else self.hidden_size)

    @property
    def biased(self) -> bool:
        """Whether it has biases."""
        return any(role.startswith("bias_") for arrays in self.directions for role in arrays)

    @property
    def bidirectional(self) -> bool:
        """Whether it reads backwards too."""
        return len(self.directions) == 2

    def bias(self, direction: int) -> tuple[Array, Array]:
        """Return the biases of the input and of the state; zeros without biases."""
        arrays = self.directions[direction]
        zeros = np.zeros(len(arrays["weight_ih"]), arrays["weight_ih"].dtype)
        return arrays.get("bias_ih", zeros), arrays.get("bias_hh", zeros)


def no_reverse(layer: LayerWeights, library: str, fix: str) -> None:
    """Raise for a layer that reads only backwards, for a library without such layers.

    Args:
        layer: the layer.
        library: the name of the library.
        fix: the advice in the message.
    """
    if layer.reverse:
        expected = f"a layer that reads forwards or both ways; {library} has no layer that reads only backwards"
        raise InputError(describe("direction of the layer", "reverse", expected, fix))


def stacked(layers: Mapping[str, LayerWeights] | Sequence[LayerWeights]) -> dict[str, LayerWeights]:
    """Return stacked layers by name, unnamed ones as ``layer_0`` and so on, after checking that their sizes agree.

    Args:
        layers: from the input on.

    Raises:
        InputError: no layers, something else, or weights of several types.
        ShapeError: the input size of a layer is not the output size of the previous one.

    Example:
        >>> one = {"weight_ih": np.zeros((12, 4), np.float32), "weight_hh": np.zeros((12, 4), np.float32)}
        >>> list(stacked([LayerWeights("gru", (one,)), LayerWeights("gru", (one,))]))
        ['layer_0', 'layer_1']
    """
    if not hasattr(layers, "__iter__"):
        expected = "LayerWeights by name, or a list of them"
        raise InputError(describe("layers", type(layers).__name__, expected, "Put a single layer into a list."))
    pairs = layers.items() if isinstance(layers, Mapping) else ((f"layer_{k}", item) for k, item in enumerate(layers))
    named: dict[str, Any] = dict(pairs)
    if not named:
        raise InputError(describe("layers", "none", "one or more"))
    previous, kinds = "", set()
    for name, layer in named.items():
        if not name or not isinstance(name, str):
            raise InputError(describe("name of a layer", name, "text"))
        if not name.isprintable():
            raise InputError(describe("name of a layer", name, "text without control characters"))
        if not isinstance(layer, LayerWeights):
            raise InputError(describe(f"layer '{name}'", type(layer).__name__, "LayerWeights"))
        if previous and layer.input_size != named[previous].output_size:
            expected = f"{named[previous].output_size}, the outputs of '{previous}' before it"
            fix = "Give the layers from the input on, those of one stack alone."
            raise ShapeError(describe(f"input features of '{name}'", layer.input_size, expected, fix))
        previous = name
        kinds |= {str(array.dtype) for arrays in layer.directions for array in arrays.values()}
    if len(kinds) > 1 or not kinds <= {"float16", "float32", "float64"}:
        expected = "one of float16, float32 and float64 in all layers"
        raise InputError(describe("types of the weights", ", ".join(sorted(kinds)), expected))
    return named


def reorder(array: Array, order: Sequence[int]) -> Array:
    """Return rows of gates (G·H, …) with the gates in another order: gate ``order[k]`` becomes gate k."""
    parts = array.reshape(len(order), -1, *array.shape[1:])
    return np.ascontiguousarray(parts[list(order)].reshape(array.shape))
