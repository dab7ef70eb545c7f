"""The recurrent layers of an ONNX model: each one read, or refused by name.

Axes: B batch, T time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rekur._check import need
from rekur._tensors import Array
from rekur.errors import DataError, InputError, describe
from rekur.export.weights.layer import LayerWeights
from rekur.export.weights.nodes import NODES, from_node
from rekur.export.weights.nodes_constants import Constants

_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_DOMAINS = ("", "ai.onnx")
#: operators with weights, inside a loop those of a cell
_PRODUCTS = frozenset({"Conv", "Einsum", "Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"})
_WEIGHTS = "a constant, or what operators make of constants"


def read_nodes(model: Any) -> dict[str, LayerWeights]:
    """Return the recurrent layers of an ONNX model, in the order of the graph.

    Each has the name of its node, or else of its output, with a number if the name is taken. Weights may be
    initializers or computed from constants. Initial states are zeros or inputs of the model.

    Args:
        model: an ``onnx.ModelProto``, or the path of a file.

    Raises:
        DataError: it has no recurrent node, or one that Rekur cannot read: weights that are not constant, an initial
            state other than zero, functions that Rekur's cells lack, or a position inside another node.
        MissingDependencyError: the package ``onnx`` is not installed.

    Example:
        >>> read_nodes("exports/reviews/sequence.onnx")["layer.0/GRU_14"].hidden_size  # doctest: +SKIP
        64
    """
    onnx = need("onnx", "export", "reading ONNX models")
    path = Path(model) if isinstance(model, str | os.PathLike) else None
    try:
        return _layers(onnx, _loaded(onnx, model if path is None else path))
    except DataError as error:
        if path is None or error.path is not None:
            raise
        raise DataError(str(error), path) from error


def _loaded(onnx: Any, model: Any) -> Any:
    """Return the model with its local functions inlined."""
    if isinstance(model, Path):
        try:
            model = onnx.load(model)
        except Exception as error:  # protobuf's, ONNX's and the system's have no common base
            fix = "Files of weights beside a model must lie where it names them."
            first = next(iter(str(error).splitlines()), "")
            raise DataError(f"got '{first}'; expected an ONNX model. {fix}") from error
    elif not isinstance(model, onnx.ModelProto):
        raise InputError(describe("model", type(model).__name__, "an onnx.ModelProto, or the path of a file"))
    if not model.functions:
        return model
    from onnx.inliner import inline_local_functions

    return inline_local_functions(model)


def _layers(onnx: Any, model: Any) -> dict[str, LayerWeights]:
    constants = Constants(onnx, model)
    layers: dict[str, LayerWeights] = {}
    for node in model.graph.node:
        _check_inside(node)
        name = _free_name(node, layers)
        if node.op_type in NODES and node.domain in _DOMAINS:
            layers[name] = _layer(onnx, model, constants, node, name)
        elif _is_recurrent(node):
            expected = f"one of {', '.join(NODES)} of ONNX itself"
            raise DataError(describe(f"operator of '{name}'", _operator(node), expected))
    if not layers:
        raise DataError(describe("nodes", "no recurrent one", f"one or more of {', '.join(NODES)}"))
    return layers


def _layer(onnx: Any, model: Any, constants: Constants, node: Any, name: str) -> LayerWeights:
    read = {role: value for role, value in zip(_INPUTS, node.input, strict=False) if value}
    weights: dict[str, Any] = {}
    for letter in ("W", "R", "B", "P"):
        if letter not in read:
            continue
        weights[letter] = constants.array(read[letter])
        if weights[letter] is None:
            raise DataError(describe(f"{letter} of '{name}'", constants.origin(read[letter]), _WEIGHTS))
    for state in ("initial_h", "initial_c"):
        if state in read and not constants.is_zero(read[state]) and not constants.is_handed_in(read[state]):
            learned = constants.array(read[state]) is not None
            got = "numbers other than zero" if learned else constants.origin(read[state])
            fix = "Rekur's layers begin with zeros, or with a state from the caller."
            raise DataError(describe(f"{state} of '{name}'", got, "zeros, or an input of the model", fix))
    attributes = {attribute.name: _plain(onnx.helper.get_attribute_value(attribute)) for attribute in node.attribute}
    lengths = constants.array(read["sequence_lens"]) if "sequence_lens" in read else None
    if lengths is not None:
        steps = _axis(onnx, model, read["X"], 1 if attributes.get("layout") else 0)
        _check_lengths(name, lengths, steps)
    try:
        return from_node(node.op_type, weights, attributes)
    except InputError as error:
        raise DataError(f"'{name}': {error}") from error


def _check_lengths(name: str, lengths: Array, steps: int | None) -> None:
    """Raise for constant lengths, unless they cover all steps of the input."""
    if steps is None or np.any(lengths != steps):
        got, expected = f"the constants {lengths.tolist()}", "an input of the model, or all steps of X"
        fix = "Rekur's layers take the lengths together with the sequences."
        raise DataError(describe(f"sequence_lens of '{name}'", got, expected, fix))


def _axis(onnx: Any, model: Any, name: str, axis: int) -> int | None:
    """Return the size of an axis of a value; None if the model does not fix it."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # a model that is too large, or odd
        graph = model.graph
    for info in (*graph.input, *graph.value_info):
        axes = info.type.tensor_type.shape.dim
        if info.name == name and len(axes) > axis and axes[axis].HasField("dim_value"):
            return int(axes[axis].dim_value)
    return None


def _free_name(node: Any, taken: dict[str, LayerWeights]) -> str:
    name = first = node.name or next((output for output in node.output if output), node.op_type)
    count = 2
    while name in taken:
        name, count = f"{first}_{count}", count + 1
    return str(name)


def _is_recurrent(node: Any) -> bool:
    """Return whether a node is another kind of recurrent layer: by its name, or as a loop with products and a state."""
    if re.search(r"LSTM|GRU|RNN", node.op_type):
        return True
    scanned = next((attribute.i for attribute in node.attribute if attribute.name == "num_scan_inputs"), 0)
    carries = {"Scan": len(node.input) > scanned, "Loop": len(node.input) > 2}.get(node.op_type, False)
    return carries and any(inner.op_type in _PRODUCTS for inner in _inside(node))


def _check_inside(node: Any) -> None:
    """Raise for recurrent nodes in the branches and bodies of a node, where order and states may differ."""
    for inner in _inside(node):
        if re.search(r"LSTM|GRU|RNN", inner.op_type):
            name = inner.name or next(iter(inner.output), "")
            got = f"{_operator(inner)} inside {_operator(node)} '{node.name or node.output[0]}'"
            raise DataError(describe(f"node '{name}'", got, "recurrent nodes in the graph itself"))


def _inside(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield inner
                yield from _inside(inner)


def _operator(node: Any) -> str:
    return node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"


def _plain(value: Any) -> Any:
    """Return an attribute with bytes decoded to text."""
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(item) for item in value] if isinstance(value, list) else value
