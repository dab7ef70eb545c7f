"""The constant values of an ONNX graph: initializers, and the outputs of nodes with constant inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.errors import DataError, describe

#: operators with random outputs
_RANDOM = frozenset({"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomUniform"})
_RANDOM_LIKE = frozenset({"RandomNormalLike", "RandomUniformLike"})
#: operators that move, repeat or convert the numbers of their first input, without computing others
_MOVES = frozenset(
    {"Cast", "CastLike", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile"}
    | {"Transpose", "Unsqueeze"}
)


class Constants:
    """The constant values in a graph, by name.

    Args:
        onnx: the package.
        model: an ``onnx.ModelProto`` without local functions.
    """

    def __init__(self, onnx: Any, model: Any) -> None:
        self._onnx, self._model = onnx, model
        graph = model.graph
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._sparse = {tensor.values.name: tensor for tensor in graph.sparse_initializer}
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._inputs = {port.name for port in graph.input}
        self._arrays: dict[str, Array | None] = {}

    def array(self, name: str) -> Array | None:
        """Return the value of a name; None if it depends on inputs of the model, or cannot be computed."""
        for waiting in self._first_needed(name):
            self._arrays[waiting] = self._value(waiting)
        return self._arrays[name]

    def origin(self, name: str) -> str:
        """Return the origin of a value that is not constant, for a message."""
        if name in self._makers:
            node = self._makers[name]
            return f"{name}, which {node.op_type} computes"
        if name in self._inputs:
            return f"{name}, an input of the model"
        return f"{name}, which nothing in the graph gives"

    def is_zero(self, name: str) -> bool:
        """Return whether a value is zeros, for any number of sequences."""
        return self._all(name, lambda end: self._zero_end(end))

    def is_handed_in(self, name: str) -> bool:
        """Return whether a value consists of inputs of the model and of zeros, only moved or converted."""
        return self._all(name, lambda end: self._zero_end(end) or (end in self._inputs and end not in self._tensors))

    def _all(self, name: str, holds: Any) -> bool:
        """Return whether a condition holds for all parts from which a value is composed."""
        waiting, seen = [name], set()
        while waiting:
            end = waiting.pop()
            if end in seen or holds(end):
                continue
            seen.add(end)
            node = self._makers.get(end)
            if node is None or node.domain not in ("", "ai.onnx"):
                return False
            if node.op_type in _MOVES:
                waiting.append(node.input[0])
            elif node.op_type == "Concat":
                waiting.extend(node.input)
            elif node.op_type == "Where":
                waiting.extend(node.input[1:])
            else:
                return False
        return True

    def _zero_end(self, name: str) -> bool:
        node = self._makers.get(name)
        if node is not None and node.op_type in ("ConstantOfShape", "ConstantFill"):  # the second one before opset 9
            value = [attribute for attribute in node.attribute if attribute.name == "value"]
            to_array = self._onnx.numpy_helper.to_array
            return not any(
                attribute.f or attribute.i or (attribute.HasField("t") and to_array(attribute.t).any())
                for attribute in value
            )
        array = self.array(name)
        return array is not None and not np.any(array)

    def _first_needed(self, name: str) -> Iterator[str]:
        """Yield names that are not yet computed, each after its inputs; without recursion, as graphs may be deep."""
        waiting, opened = [name], set()
        while waiting:
            now = waiting[-1]
            node = None if now in self._tensors or now in self._arrays else self._makers.get(now)
            needed = (
                [source for source in node.input if source and source not in self._arrays] if node is not None else []
            )
            if needed and now not in opened:  # opened before and still in need: a cycle in the graph
                opened.add(now)
                waiting.extend(needed)
                continue
            waiting.pop()
            if now not in self._arrays:
                yield now

    def _value(self, name: str) -> Array | None:
        if name in self._tensors:
            return self._loaded(self._tensors[name])
        if name in self._sparse:
            return self._dense(self._sparse[name])
        node = self._makers.get(name)
        if (
            node is None
            or node.op_type in _RANDOM | _RANDOM_LIKE
            or any(attribute.g.node for attribute in node.attribute)
        ):
            return None
        arrays = {source: self._arrays.get(source) for source in node.input if source}
        if any(array is None for array in arrays.values()):
            return None
        return self._computed(node, name, arrays)

    def _computed(self, node: Any, name: str, arrays: dict[str, Any]) -> Array | None:
        """Return the output of a node for constant inputs, by ONNX's reference implementation."""
        helper = self._onnx.helper
        infos = [
            helper.make_tensor_value_info(source, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for source, array in arrays.items()
        ]
        outputs = [helper.make_empty_tensor_value_info(name)]
        graph = helper.make_graph([node], "constant", infos, outputs)
        opsets = list(self._model.opset_import)
        if node.op_type == "DequantizeLinear":  # the oldest version in ONNX's reference implementation
            opsets = [helper.make_opsetid("", 19)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=self._model.ir_version)
        from onnx.reference import ReferenceEvaluator

        try:
            (array,) = ReferenceEvaluator(model).run([name], arrays)
        except Exception:  # operators of other domains, and those missing from ONNX's reference implementation
            return None
        return np.asarray(array) if isinstance(array, np.ndarray | np.generic) else None

    def _loaded(self, tensor: Any) -> Array:
        if tensor.data_location == self._onnx.TensorProto.EXTERNAL:
            fix = "Give the path of the model, or load it with onnx.load, which reads such files."
            raise DataError(describe(f"data of '{tensor.name}'", "a separate file", "numbers in the model", fix))
        return np.asarray(self._onnx.numpy_helper.to_array(tensor))

    def _dense(self, tensor: Any) -> Array:
        values, indices = self._loaded(tensor.values), self._loaded(tensor.indices)
        dense = np.zeros(tuple(tensor.dims), values.dtype)
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
        return dense
