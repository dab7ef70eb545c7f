"""Layers from and to the recurrent nodes of ONNX: RNN, LSTM and GRU.

Axes: D input features, H hidden, G gates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rekur._check import choice, no_unknown
from rekur._tensors import Array
from rekur.errors import InputError, ShapeError, describe
from rekur.export.weights.layer import PEEPHOLES, LayerWeights, reorder
from rekur.program.cells import FORMS

#: operator -> its gates in ONNX's order, by the letters of a cell's form
NODES: Mapping[str, str] = {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"}
_USUAL = {
    "RNN": (["Tanh"], ["Relu"]),
    "LSTM": (["Sigmoid", "Tanh", "Tanh"],),
    "GRU": (["Sigmoid", "Tanh"],),
}
#: accepted attributes; ``layout`` is the order of the axes of X and Y, and does not affect the weights,
#: ``activation_alpha`` and ``activation_beta`` belong to functions that are refused
_ATTRIBUTES = (
    *("direction", "hidden_size", "activations", "clip", "input_forget", "linear_before_reset"),
    *("layout", "activation_alpha", "activation_beta", "output_sequence"),
)


def gate_order(cell: str) -> list[int]:
    """Return the index of each gate of ONNX's operator among those of a cell.

    Example:
        >>> gate_order("gru"), gate_order("lstm")
        ([1, 0, 2], [0, 3, 1, 2])
    """
    return [FORMS[cell].gates.index(gate) for gate in NODES[FORMS[cell].operator]]


def to_node(layer: LayerWeights) -> tuple[str, dict[str, Array], dict[str, Any]]:
    """Return the operator, its inputs (W, R, and optionally B and P) and its attributes.

    They are arguments for ``onnx.helper.make_node``; a layer without biases has no B.

    Raises:
        InputError: the layer has a projection, which ONNX lacks.

    Example:
        >>> one = {"weight_ih": np.zeros((12, 3), np.float32), "weight_hh": np.zeros((12, 4), np.float32)}
        >>> kind, inputs, attributes = to_node(LayerWeights("gru", (one,)))
        >>> kind, inputs["W"].shape, attributes["linear_before_reset"]
        ('GRU', (1, 12, 3), 1)
    """
    order, size = gate_order(layer.cell), layer.hidden_size
    if any("weight_hr" in arrays for arrays in layer.directions):
        fix = "Train the LSTM without proj_size, or keep it in torch.nn, which has it."
        raise InputError(describe("weights of the layer", "weight_hr", "no projection, which ONNX lacks", fix))
    inputs = {
        letter: np.stack([reorder(arrays[role], order) for arrays in layer.directions])
        for letter, role in (("W", "weight_ih"), ("R", "weight_hh"))
    }
    if layer.biased:
        biases = [layer.bias(side) for side in range(len(layer.directions))]
        inputs["B"] = np.stack([np.concatenate([reorder(bias, order) for bias in pair]) for pair in biases])
    kind = FORMS[layer.cell].operator
    attributes: dict[str, Any] = {"hidden_size": size}
    if layer.bidirectional or layer.reverse:
        attributes["direction"] = "reverse" if layer.reverse else "bidirectional"
    if kind == "GRU":
        attributes["linear_before_reset"] = int(layer.cell == "gru")
    if layer.cell == "rnn_relu":
        attributes["activations"] = ["Relu"] * len(layer.directions)
    if layer.cell == "lstm_peephole":
        inputs["P"] = np.stack([np.concatenate([a[role] for role in PEEPHOLES]) for a in layer.directions])
    return kind, inputs, attributes


def from_node(kind: str, inputs: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> LayerWeights:
    """Return the layer of a recurrent node.

    Args:
        kind: ``RNN``, ``LSTM`` or ``GRU``.
        inputs: W (directions, G·H, D), R (directions, G·H, H), and optionally B (directions, 2·G·H) and P.
        attributes: of the node.

    Raises:
        InputError: an unknown operator, input or attribute, or functions that Rekur's cells lack.
        ShapeError: shapes that do not match its direction and hidden size.

    Example:
        >>> layer = from_node("LSTM", {"W": np.zeros((1, 8, 3)), "R": np.zeros((1, 8, 2))})
        >>> layer.cell, layer.hidden_size
        ('lstm', 2)
    """
    choice("operator", kind, NODES)
    options = dict(attributes or {})
    no_unknown(f"attribute of the {kind}", options, _ATTRIBUTES)
    no_unknown(f"input of the {kind}", inputs, ("W", "R", "B", "P") if kind == "LSTM" else ("W", "R", "B"))
    direction = choice("direction", options.get("direction", "forward"), ("forward", "reverse", "bidirectional"))
    count = 1 + (direction == "bidirectional")
    functions = _functions(kind, count, options)
    arrays = {letter: _floats(letter, array) for letter, array in inputs.items() if array is not None}
    _check_shapes(kind, count, arrays, options.get("hidden_size"))
    cell = {"RNN": "rnn_relu" if functions[0] == "Relu" else "rnn", "LSTM": "lstm", "GRU": "gru_reset_before"}[kind]
    if kind == "GRU" and options.get("linear_before_reset"):
        cell = "gru"
    if "P" in arrays:
        cell = "lstm_peephole"
    sides = tuple(_direction(arrays, side, gate_order(cell)) for side in range(count))
    return LayerWeights(cell, sides, reverse=direction == "reverse")


def _functions(kind: str, count: int, options: Mapping[str, Any]) -> list[str]:
    """Return the activations of a node; raise if Rekur lacks its equations."""
    usual = [count * names for names in _USUAL[kind]]
    functions = [str(name).capitalize() for name in options.get("activations") or usual[0]]
    if functions not in usual:
        raise InputError(describe(f"functions of the {kind}", functions, " or ".join(map(str, usual))))
    if not options.get("clip", math.inf) >= float(np.finfo(np.float32).max):
        raise InputError(describe(f"clip of the {kind}", options["clip"], "none: Rekur's cells do not clip"))
    if options.get("input_forget"):
        raise InputError(describe(f"input_forget of the {kind}", options["input_forget"], "0, separate gates"))
    return functions


def _floats(letter: str, array: Any) -> Array:
    """Return an input of a node as float16, float32 or float64; bfloat16 becomes float32."""
    numbers = np.asarray(array)
    if numbers.dtype.name in ("float16", "float32", "float64"):
        return numbers
    if numbers.dtype.name != "bfloat16":
        raise InputError(describe(f"type of {letter}", str(numbers.dtype), "numbers with a floating point"))
    return numbers.astype(np.float32)


def _check_shapes(kind: str, count: int, arrays: Mapping[str, Array], hidden_size: Any) -> None:
    for letter in "WR":
        if letter not in arrays:
            raise InputError(describe(f"inputs of the {kind}", ", ".join(arrays) or "none", f"{letter} too"))
    gates, recurrent = len(NODES[kind]), arrays["R"]
    hidden = recurrent.shape[-1] if hidden_size is None else int(hidden_size)
    shapes = {"R": (count, gates * hidden, hidden), "B": (count, 2 * gates * hidden), "P": (count, 3 * hidden)}
    shapes["W"] = (count, gates * hidden, arrays["W"].shape[-1] if arrays["W"].ndim else 1)
    for letter, array in arrays.items():
        if array.shape != shapes[letter]:
            expected = f"{shapes[letter]}, for {count} direction{'s' * (count - 1)} of {hidden} units"
            raise ShapeError(describe(f"{letter} of the {kind}", array.shape, expected))


def _direction(arrays: Mapping[str, Array], side: int, order: list[int]) -> dict[str, Array]:
    back = [order.index(gate) for gate in range(len(order))]
    sides = {"weight_ih": reorder(arrays["W"][side], back), "weight_hh": reorder(arrays["R"][side], back)}
    if "B" in arrays:
        sides["bias_ih"], sides["bias_hh"] = (reorder(half, back) for half in np.split(arrays["B"][side], 2))
    if "P" in arrays:
        sides |= {role: part.copy() for role, part in zip(PEEPHOLES, np.split(arrays["P"][side], 3), strict=True)}
    return sides
