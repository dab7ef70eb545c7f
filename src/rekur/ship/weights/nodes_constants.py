"""The values of an ONNX graph that do not depend on what the model reads: initializers, and what nodes make of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.errors import DataError, describe

#: operators whose outputs are other numbers each time, whatever they read
_RANDOM = frozenset({"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomUniform"})
_RANDOM_LIKE = frozenset({"RandomNormalLike", "RandomUniformLike"})
#: operators that move, repeat or convert the numbers of their first input, and change none
_MOVES = frozenset(
    {"Cast", "CastLike", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile"}
    | {"Transpose", "Unsqueeze"}
)


class Constants:
    """What stands behind the names of a graph.

    Args:
        onnx: the package.
        model: an ``onnx.ModelProto`` without functions of its own.
    """

    def __init__(self, onnx: Any, model: Any) -> None:
        self._onnx, self._model = onnx, model
        graph = model.graph
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._sparse = {tensor.values.name: tensor for tensor in graph.sparse_initializer}
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._inputs = {given.name for given in graph.input}
        self._arrays: dict[str, Array | None] = {}

    def array(self, name: str) -> Array | None:
        """Return the value of a name; None where it depends on what the model reads, or cannot be computed."""
        for waiting in self._first_needed(name):
            self._arrays[waiting] = self._value(waiting)
        return self._arrays[name]

    def origin(self, name: str) -> str:
        """Return where a name that has no constant value comes from, for a message."""
        if name in self._makers:
            node = self._makers[name]
            return f"{name}, which {node.op_type} computes"
        if name in self._inputs:
            return f"{name}, an input of the model"
        return f"{name}, which nothing in the graph gives"

    def is_zero(self, name: str) -> bool:
        """Return whether a value is zeros, of however many sequences."""
        return self._all(name, lambda end: self._zero_end(end))

    def is_handed_in(self, name: str) -> bool:
        """Return whether a value is made of inputs of the model and of zeros, by operators that compute nothing."""
        return self._all(name, lambda end: self._zero_end(end) or (end in self._inputs and end not in self._tensors))

    def _all(self, name: str, holds: Any) -> bool:
        """Return whether something holds for all values that a value is put together of."""
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
            value = [one for one in node.attribute if one.name == "value"]
            to_array = self._onnx.numpy_helper.to_array
            return not any(one.f or one.i or (one.HasField("t") and to_array(one.t).any()) for one in value)
        array = self.array(name)
        return array is not None and not np.any(array)

    def _first_needed(self, name: str) -> Iterator[str]:
        """Yield names without a value yet, each after those that it is made of; no recursion, graphs may be deep."""
        waiting, opened = [name], set()
        while waiting:
            now = waiting[-1]
            node = None if now in self._tensors or now in self._arrays else self._makers.get(now)
            needed = [one for one in node.input if one and one not in self._arrays] if node is not None else []
            if needed and now not in opened:  # opened and in need again: a graph that reads its own outputs
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
        if node is None or node.op_type in _RANDOM | _RANDOM_LIKE or any(one.g.node for one in node.attribute):
            return None
        given = {one: self._arrays.get(one) for one in node.input if one}
        if any(array is None for array in given.values()):
            return None
        return self._computed(node, name, given)

    def _computed(self, node: Any, name: str, given: dict[str, Any]) -> Array | None:
        """Return what a node makes of constants, by ONNX's own definition of the operator."""
        helper = self._onnx.helper
        infos = [
            helper.make_tensor_value_info(one, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for one, array in given.items()
        ]
        outputs = [helper.make_empty_tensor_value_info(name)]
        graph = helper.make_graph([node], "constant", infos, outputs)
        opsets = list(self._model.opset_import)
        if node.op_type == "DequantizeLinear":  # ONNX's reference has it from this version on
            opsets = [helper.make_opsetid("", 19)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=self._model.ir_version)
        from onnx.reference import ReferenceEvaluator

        try:
            (array,) = ReferenceEvaluator(model).run([name], given)
        except Exception:  # operators of other domains, and those that ONNX's reference does not compute
            return None
        return np.asarray(array) if isinstance(array, np.ndarray | np.generic) else None

    def _loaded(self, tensor: Any) -> Array:
        if tensor.data_location == self._onnx.TensorProto.EXTERNAL:
            fix = "Give the path of the model, or load it with onnx.load, which reads such files."
            raise DataError(describe(f"data of '{tensor.name}'", "a file of its own", "numbers in the model", fix))
        return np.asarray(self._onnx.numpy_helper.to_array(tensor))

    def _dense(self, tensor: Any) -> Array:
        values, indices = self._loaded(tensor.values), self._loaded(tensor.indices)
        dense = np.zeros(tuple(tensor.dims), values.dtype)
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
        return dense
