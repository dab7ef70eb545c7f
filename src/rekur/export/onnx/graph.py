"""An ONNX graph under construction; arithmetic on its values adds nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Union

import numpy as np

from rekur._check import need
from rekur._tensors import Array
from rekur.export.onnx.matrix import Matrix

#: the oldest versions of the operators and of the file format with all that programs need
OPSET, IR_VERSION = 18, 8
#: most bytes of weights: the limit of a protocol buffer, which is one file
LARGEST = 2_000_000_000
#: an input of a node: a value, a number or an array (which become constants), or None for an omitted one
Operand = Union["Value", float, Array, None]
#: sizes of axes: a number, or the name of one that may vary
Axes = Sequence[int | str]


class Value:
    """The output of a node; arithmetic on it adds nodes.

    Args:
        graph: the graph of the nodes.
        name: its name in the graph.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Operand) -> Value:
        return self.graph.node("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.graph.node("Sub", self, other)

    def __mul__(self, other: Operand) -> Value:
        return self.graph.node("Mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.graph.node("Div", self, other)

    def __matmul__(self, other: Operand) -> Value:
        return self.graph.node("MatMul", self, other)

    def __neg__(self) -> Value:
        return self.graph.node("Neg", self)

    def apply(self, *functions: str) -> Value:
        """Return the value after operators of one input, such as ``Tanh``."""
        value = self
        for function in functions:
            value = self.graph.node(function, value)
        return value

    def split(self, *sizes: int, axis: int = -1) -> list[Value]:
        """Return parts of these sizes along an axis."""
        if len(sizes) == 1:
            return [self]
        return self.graph.nodes("Split", len(sizes), self, np.array(sizes, np.int64), axis=axis)

    def slice(self, start: int, end: int | None, axis: int) -> Value:
        """Return the slice ``[start, end)`` along an axis."""
        stop = np.iinfo(np.int64).max if end is None else end
        return self.graph.node("Slice", self, *(np.array([n], np.int64) for n in (start, stop, axis)))

    def unsqueeze(self, *axes: int) -> Value:
        """Return the value with axes of size 1 added."""
        return self.graph.node("Unsqueeze", self, np.array(axes, np.int64))

    def squeeze(self, *axes: int) -> Value:
        """Return the value without these axes of size 1."""
        return self.graph.node("Squeeze", self, np.array(axes, np.int64))

    def reshape(self, *sizes: int) -> Value:
        """Return the value in another shape; 0 keeps the size of an axis."""
        return self.graph.node("Reshape", self, np.array(sizes, np.int64))

    def transpose(self, *axes: int) -> Value:
        """Return the value with its axes in another order."""
        return self.graph.node("Transpose", self, perm=list(axes))

    def reduce(self, function: str, axis: int) -> Value:
        """Return a sum, mean, maximum or minimum over an axis, which is removed."""
        return self.graph.node(f"Reduce{function}", self, np.array([axis], np.int64), keepdims=0)

    def cast(self, dtype: str) -> Value:
        """Return the value as another type, such as ``float32``."""
        return self.graph.node("Cast", self, to=self.graph.type_of(dtype))


class Graph:
    """An ONNX graph under construction: nodes in the order in which they run, and the arrays that they read.

    Args:
        prefix: of the names of weights, where inputs and outputs may have the same names.

    Example:
        >>> graph = Graph()  # doctest: +SKIP
        >>> y = (graph.input("x", "float32", ("batch", 2)) @ graph.weight("w", w)).apply("Tanh")  # doctest: +SKIP
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.onnx = need("onnx", "export", "rekur export --to onnx")
        self.helper: Any = self.onnx.helper
        self._scopes: list[list[Any]] = [[]]
        self._arrays: dict[str, Array] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._made: dict[tuple[str, str], Value] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._count = 0
        #: prefix of the names of new nodes
        self.place = ""

    def type_of(self, dtype: str) -> int:
        """Return ONNX's code of a type."""
        return int(self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def nodes(self, kind: str, count: int, *reads: Operand, **attributes: Any) -> list[Value]:
        """Add a node and return the values that it writes."""
        names = [self._name(read) for read in reads]
        while names and not names[-1]:
            names.pop()
        self._count += 1
        name = f"{self.place}/{kind}_{self._count}"
        written = [name] if count == 1 else [f"{name}.{index}" for index in range(count)]
        self._scopes[-1].append(self.helper.make_node(kind, names, written, name=name, **attributes))
        return [Value(self, output) for output in written]

    def node(self, kind: str, *reads: Operand, **attributes: Any) -> Value:
        """Add a node and return the one value that it writes."""
        return self.nodes(kind, 1, *reads, **attributes)[0]

    def input(self, name: str, dtype: str, axes: Axes) -> Value:
        """Add an input of the graph."""
        self._inputs.append(self.info(name, dtype, axes))
        return Value(self, name)

    def output(self, name: str, value: Value, dtype: str, axes: Axes) -> None:
        """Make a value an output of the graph."""
        last = self._scopes[-1][-1]
        if list(last.output) == [value.name] and value.name not in {output.name for output in self._outputs}:
            # no node has read the value yet, so it can be renamed
            value.name = last.output[0] = name
        else:
            self._scopes[-1].append(self.helper.make_node("Identity", [value.name], [name], name=f"{name}/Identity"))
        self._outputs.append(self.info(name, dtype, axes))

    def weight(self, name: str, array: Array) -> Value:
        """Return a named array (uint16: the bits of bfloat16); the graph stores it once."""
        stored = Value(self, f"{self._prefix}{name}")
        self._arrays.setdefault(stored.name, array)
        return stored

    def constant(self, array: Array) -> Value:
        """Return an unnamed array."""
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.weight(f"constant_{len(self._constants)}", array)
        return self._constants[key]

    def matrix(self, name: str, matrix: Matrix) -> Value:
        """Return a named weight as float32; the graph stores it once, in its own precision.

        Runtimes compute the float32 once, when they load the model. So int8 is a Cast and a Mul: ONNX Runtime would run
        a DequantizeLinear again at each step.
        """
        return self._once("wide", name, lambda: self._wide(self.weight(name, matrix.numbers), name, matrix.scale))

    def rows(self, name: str, matrix: Matrix, places: Value) -> Value:
        """Return rows of a named table as float32; only these are converted."""
        rows = self.node("Gather", self.weight(name, matrix.numbers), places, axis=0)
        if matrix.numbers.dtype == np.float32:
            return rows
        rows = rows.cast("float32")
        if matrix.scale is None:
            return rows
        return rows * self.node("Gather", self.weight(f"{name}.scale", matrix.scale), places, axis=0)

    def turned(self, weight: Value) -> Value:
        """Return the transpose of a weight matrix; runtimes compute it once, when they load the model."""
        return self._once("turned", weight.name, lambda: weight.transpose(1, 0))

    def scan(self, name: str, states: Sequence[tuple[Value, Axes]], streams: Sequence[tuple[Value, Axes]]) -> Loop:
        """Begin a loop over the first axis of the streams; see :class:`Loop`."""
        return Loop(self, name, states, streams)

    def model(self, name: str, text: str, facts: dict[str, str]) -> Any:
        """Return the graph as a model.

        Args:
            name: of the graph.
            text: its description.
            facts: its metadata.
        """
        arrays = [self._tensor(name, array) for name, array in self._arrays.items()]
        graph = self.helper.make_graph(self._scopes[0], name, self._inputs, self._outputs, arrays)
        opsets = [self.helper.make_opsetid("", OPSET)]
        model = self.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="rekur")
        model.producer_version, model.doc_string = facts["rekur"], text
        self.helper.set_model_props(model, facts)
        return model

    def info(self, name: str, dtype: str, axes: Axes) -> Any:
        """Return the declaration of a value: its name, type and axes."""
        return self.helper.make_tensor_value_info(name, self.type_of(dtype), list(axes))

    @contextlib.contextmanager
    def scope(self) -> Iterator[list[Any]]:
        """Collect new nodes in a list instead of the graph."""
        nodes: list[Any] = []
        self._scopes.append(nodes)
        yield nodes
        self._scopes.pop()

    def _once(self, purpose: str, name: str, make: Callable[[], Value]) -> Value:
        """Return a value computed from a weight alone, outside of every loop."""
        if (purpose, name) not in self._made:
            self._scopes.append(self._scopes[0])
            self._made[purpose, name] = make()
            self._scopes.pop()
        return self._made[purpose, name]

    def _wide(self, stored: Value, name: str, scale: Array | None) -> Value:
        if self._arrays[stored.name].dtype == np.float32:
            return stored
        wide = stored.cast("float32")
        return wide if scale is None else wide * self.weight(f"{name}.scale", scale)

    def _tensor(self, name: str, array: Array) -> Any:
        if array.dtype != np.uint16:
            return self.onnx.numpy_helper.from_array(array, name)
        bits = array.astype("<u2").tobytes()
        return self.helper.make_tensor(name, self.onnx.TensorProto.BFLOAT16, array.shape, bits, raw=True)

    def _name(self, read: Operand) -> str:
        if read is None:
            return ""
        if isinstance(read, Value):
            return read.name
        return self.constant(read if isinstance(read, np.ndarray) else np.array(read, np.float32)).name


class Loop:
    """A Scan: the same nodes at each step, with carried states.

    Args:
        graph: the graph around it.
        name: prefix of the names inside.
        states: the initial states, each with its axes.
        streams: the values read step by step along the first axis, each with the axes of one step.
    """

    def __init__(
        self,
        graph: Graph,
        name: str,
        states: Sequence[tuple[Value, Axes]],
        streams: Sequence[tuple[Value, Axes]],
    ) -> None:
        self._graph, self._name, self._states, self._streams = graph, name, states, streams
        self.state = [Value(graph, f"{name}/state_{index}") for index in range(len(states))]
        self.stream = [Value(graph, f"{name}/stream_{index}") for index in range(len(streams))]

    def run(self, step: Any, axes: Axes) -> Value:
        """Return the outputs of all steps.

        Args:
            step: (streams of one step, states) -> (output, next states).
            axes: those of the output of one step.
        """
        graph, names = self._graph, [f"{self._name}/next_{index}" for index in range(len(self.state))]
        with graph.scope() as nodes:
            y, new_states = step(self.stream, self.state)
            for name, value in zip([*names, f"{self._name}/y"], [*new_states, y], strict=True):
                nodes.append(graph.helper.make_node("Identity", [value.name], [name], name=f"{name}/Identity"))
        begins = [(value.name, axes) for value, (_, axes) in zip(self.state, self._states, strict=True)]
        begins += [(value.name, axes) for value, (_, axes) in zip(self.stream, self._streams, strict=True)]
        ends = [(name, axes) for name, (_, axes) in zip(names, self._states, strict=True)]
        body = graph.helper.make_graph(
            nodes,
            f"{self._name}.step",
            [graph.info(name, "float32", axes) for name, axes in begins],
            [graph.info(name, "float32", axes) for name, axes in [*ends, (f"{self._name}/y", axes)]],
        )
        reads = [value for value, _ in [*self._states, *self._streams]]
        count = len(self._states) + 1
        return graph.nodes("Scan", count, *reads, body=body, num_scan_inputs=len(self._streams))[-1]
