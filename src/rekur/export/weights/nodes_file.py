"""Recurrent layers as an ONNX model.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rekur._check import need
from rekur._files import write_file
from rekur.errors import InputError, describe
from rekur.export.onnx.graph import IR_VERSION, LARGEST, OPSET
from rekur.export.weights.layer import LayerWeights, stacked
from rekur.export.weights.nodes import to_node


def write_nodes(
    layers: Mapping[str, LayerWeights] | Sequence[LayerWeights],
    file: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write stacked layers as an ONNX model from ``input`` (B, T, D) to ``output`` (B, T, directions·H).

    Batch and time may vary, and every sequence begins with a state of zeros. The layers are ONNX's own RNN, LSTM and
    GRU under the same names; :func:`read_nodes` returns the same weights. The model passes ONNX's own check.

    Args:
        layers: from the input on, by name or without names.
        file: the path of the model.
        overwrite: replace an existing file; default False.

    Raises:
        InputError: the file exists, or a layer has a projection, which ONNX lacks.
        ShapeError: the input size of a layer is not the output size of the previous one.
        SaveError: the disk is full, or there is no permission to write.
        MissingDependencyError: the package ``onnx`` is not installed.

    Example:
        >>> import tempfile
        >>> from rekur.export.weights import read_nodes
        >>> one = {"weight_ih": np.ones((12, 3), np.float32), "weight_hh": np.ones((12, 4), np.float32)}
        >>> file = tempfile.mkdtemp() + "/small.onnx"
        >>> write_nodes({"ears": LayerWeights("gru", (one,))}, file)
        >>> read_nodes(file)["ears"].hidden_size
        4
    """
    onnx = need("onnx", "export", "writing ONNX models")
    named = stacked(layers)
    size = sum(array.nbytes for layer in named.values() for arrays in layer.directions for array in arrays.values())
    if size > LARGEST:
        raise InputError(describe("bytes of the weights", size, f"at most {LARGEST}, which one ONNX file holds"))
    model = _model(onnx, named)
    onnx.checker.check_model(model, full_check=True)
    write_file(Path(file), model.SerializeToString(), overwrite=overwrite)


def _model(onnx: Any, layers: Mapping[str, LayerWeights]) -> Any:
    helper, from_array = onnx.helper, onnx.numpy_helper.from_array
    arrays = {"axes": np.array([0, 0, -1], np.int64)}
    # ONNX's operators read (T, B, D) and write (T, directions, B, H)
    nodes = [helper.make_node("Transpose", ["input"], ["input/time_first"], perm=[1, 0, 2])]
    reads = "input/time_first"
    for name, layer in layers.items():
        kind, weights, attributes = to_node(layer)
        arrays |= {f"{name}/{letter}": array for letter, array in weights.items()}
        inputs = [f"{name}/{letter}" if letter in weights else "" for letter in ("W", "R", "B", "", "", "", "P")]
        while not inputs[-1]:
            inputs.pop()
        nodes += [
            helper.make_node(kind, [reads, *inputs], [f"{name}/apart"], name=name, **attributes),
            helper.make_node("Transpose", [f"{name}/apart"], [f"{name}/beside"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"{name}/beside", "axes"], [f"{name}/joined"]),
        ]
        reads = f"{name}/joined"
    nodes.append(helper.make_node("Transpose", [reads], ["output"], perm=[1, 0, 2]))
    first, *_, last = [*layers.values(), *layers.values()]
    dtype = helper.np_dtype_to_tensor_dtype(first.directions[0]["weight_ih"].dtype)
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("input", dtype, ["batch", "time", first.input_size])],
        [helper.make_tensor_value_info("output", dtype, ["batch", "time", last.output_size])],
        [from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="rekur")
