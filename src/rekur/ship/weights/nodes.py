"""Layers from and to the recurrent nodes of ONNX: RNN, LSTM and GRU.

Axes: D input features, H hidden, G gates.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rekur._check import choice, need
from rekur._tensors import Array
from rekur.errors import DataError, InputError, describe
from rekur.ship.weights.layer import LayerWeights, reorder

#: which of PyTorch's gates stands where: ONNX has i o f c, and z r h
_ORDERS: dict[int, tuple[int, ...]] = {1: (0,), 3: (1, 0, 2), 4: (0, 3, 1, 2)}
_KINDS = ("RNN", "LSTM", "GRU")
_USUAL = {
    "RNN": (["Tanh"], ["Relu"]),
    "LSTM": (["Sigmoid", "Tanh", "Tanh"],),
    "GRU": (["Sigmoid", "Tanh"],),
}
_PEEPHOLES = ("weight_ci", "weight_co", "weight_cf")


def to_node(layer: LayerWeights) -> tuple[str, dict[str, Array], dict[str, Any]]:
    """Return the operator, its inputs W and R, and B and P where it has them, and its attributes.

    They are what ``onnx.helper.make_node`` takes; a layer without biases has no B.

    Raises:
        InputError: the layer has a projection, which ONNX has not.

    Example:
        >>> one = {"weight_ih": np.zeros((12, 3), np.float32), "weight_hh": np.zeros((12, 4), np.float32)}
        >>> kind, inputs, attributes = to_node(LayerWeights("gru", (one,)))
        >>> kind, inputs["W"].shape, attributes["linear_before_reset"]
        ('GRU', (1, 12, 3), 1)
    """
    order, size = _ORDERS[layer.gates], layer.hidden_size
    if any("weight_hr" in arrays for arrays in layer.directions):
        fix = "Train the LSTM without proj_size, or keep it in torch.nn, which has it."
        raise InputError(describe("weights of the layer", "weight_hr", "none of a projection, which ONNX has not", fix))
    inputs = {
        letter: np.stack([reorder(arrays[role], order) for arrays in layer.directions])
        for letter, role in (("W", "weight_ih"), ("R", "weight_hh"))
    }
    if layer.biased:
        biases = [layer.bias(place) for place in range(len(layer.directions))]
        inputs["B"] = np.stack([np.concatenate([reorder(bias, order) for bias in pair]) for pair in biases])
    kind = {1: "RNN", 3: "GRU", 4: "LSTM"}[layer.gates]
    attributes: dict[str, Any] = {"hidden_size": size}
    if layer.bidirectional:
        attributes["direction"] = "bidirectional"
    if kind == "GRU":
        attributes["linear_before_reset"] = int(layer.cell == "gru")
    if layer.cell == "rnn_relu":
        attributes["activations"] = ["Relu"] * len(layer.directions)
    if layer.cell == "lstm_peephole":
        inputs["P"] = np.stack([np.concatenate([a[role] for role in _PEEPHOLES]) for a in layer.directions])
    return kind, inputs, attributes


def from_node(kind: str, inputs: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> LayerWeights:
    """Return the layer of a recurrent node.

    Args:
        kind: ``RNN``, ``LSTM`` or ``GRU``.
        inputs: W (directions, G·H, D), R (directions, G·H, H), and B (directions, 2·G·H) and P where it has them.
        attributes: of the node.

    Raises:
        InputError: another operator, a node that reads backwards alone, or functions that Rekur's cells have not.

    Example:
        >>> layer = from_node("LSTM", {"W": np.zeros((1, 8, 3)), "R": np.zeros((1, 8, 2))})
        >>> layer.cell, layer.hidden_size
        ('lstm', 2)
    """
    choice("operator", kind, _KINDS)
    given = dict(attributes or {})
    direction = choice("direction", given.get("direction", "forward"), ("forward", "bidirectional"))
    count = 1 + (direction == "bidirectional")
    usual = [count * names for names in _USUAL[kind]]
    functions = [str(name) for name in given.get("activations", usual[0])]
    if functions not in usual or given.get("clip") or given.get("input_forget"):
        got = functions if functions not in usual else "clip or input_forget"
        raise InputError(describe(f"functions of the {kind}", got, " or ".join(map(str, usual))))
    arrays = {letter: np.asarray(array) for letter, array in inputs.items() if array is not None}
    cell = {"RNN": "rnn_relu" if functions == usual[-1] else "rnn", "LSTM": "lstm", "GRU": "gru_reset_before"}[kind]
    if kind == "GRU" and given.get("linear_before_reset"):
        cell = "gru"
    if "P" in arrays:
        cell = "lstm_peephole"
    return LayerWeights(cell, tuple(_direction(arrays, place) for place in range(count)))


def read_nodes(model: Any) -> dict[str, LayerWeights]:
    """Return the recurrent layers of an ONNX model, by the names of their nodes, or else of their outputs.

    Args:
        model: an ``onnx.ModelProto``, or the path of a file.

    Raises:
        DataError: it has no recurrent node whose weights are constants.
        MissingDependencyError: the package ``onnx`` is not installed.

    Example:
        >>> read_nodes("exports/reviews/sequence.onnx")["layer.0/GRU_14"].hidden_size  # doctest: +SKIP
        64
    """
    onnx = need("onnx", "export", "reading ONNX models")
    path = Path(model) if isinstance(model, str | os.PathLike) else None
    loaded = model if path is None else onnx.load(path)
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in loaded.graph.initializer}
    for node in loaded.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            arrays[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type in ("Cast", "Mul") and all(name in arrays for name in node.input):  # weights in fewer bits
            wide = [arrays[name].astype(np.float32) for name in node.input]
            arrays[node.output[0]] = np.asarray(wide[0] if node.op_type == "Cast" else wide[0] * wide[1])
    layers = {}
    for node in loaded.graph.node:
        if node.op_type not in _KINDS:
            continue
        names = dict(zip(("X", "W", "R", "B", "lengths", "h", "c", "P"), node.input, strict=False))
        if names["W"] in arrays and names["R"] in arrays:
            attributes = {one.name: _plain(onnx.helper.get_attribute_value(one)) for one in node.attribute}
            inputs = {letter: arrays.get(names.get(letter, "")) for letter in "WRBP"}
            layers[node.name or node.output[0]] = from_node(node.op_type, inputs, attributes)
    if not layers:
        raise DataError(describe("nodes", "no recurrent one", f"one or more of {', '.join(_KINDS)}"), path)
    return layers


def _direction(arrays: Mapping[str, Array], place: int) -> dict[str, Array]:
    rows, hidden = arrays["R"].shape[1:]
    order = _ORDERS[rows // hidden]
    back = tuple(order.index(gate) for gate in range(len(order)))
    found = {"weight_ih": reorder(arrays["W"][place], back), "weight_hh": reorder(arrays["R"][place], back)}
    if "B" in arrays:
        found["bias_ih"], found["bias_hh"] = (reorder(half, back) for half in np.split(arrays["B"][place], 2))
    if "P" in arrays:
        found |= dict(zip(_PEEPHOLES, np.split(arrays["P"][place], 3), strict=True))
    return found


def _plain(value: Any) -> Any:
    """Return an attribute with text instead of bytes."""
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(one) for one in value] if isinstance(value, list) else value
