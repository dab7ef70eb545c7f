"""The data that the nodes of a program's ops share: the graph, the weights, the state, and the mask of padding.

Axes: T time, B sequences, P sources, S steps of a source, D numbers of a step.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rekur._tensors import Array
from rekur.export.onnx.graph import Graph, Value
from rekur.export.onnx.matrix import Matrix
from rekur.program import Op, Program
from rekur.program.ops import SCALE
from rekur.program.parts import INPUT, MAIN, Part


class Frame:
    """A graph of a program: of whole sequences, or of a single step with the state as input and output.

    Args:
        graph: the graph of the nodes.
        program: the program.
        weights: name -> array.
        live: whether the graph is of a single step.
        part: whose ops the nodes are of.

    Attributes:
        lengths: steps of each sequence, with those of a look-ahead; None for a single step.
        after: name -> the state after the step.
        memories: name -> the steps of all sources (P, S, D), which a step of a target reads.
    """

    def __init__(
        self, graph: Graph, program: Program, weights: Mapping[str, Array], *, live: bool, part: str = MAIN
    ) -> None:
        self.graph, self.program, self.weights, self.live, self.part = graph, program, weights, live, part
        self.lengths = None
        self.after: dict[str, Value] = {}
        self.memories: dict[str, Value] = {}
        self.source, self._delay = program.parts[part].inputs[INPUT], program.delay
        source = self.source
        self._dtype = dtype = "float32" if source.kind == "rows" else "int64"
        more = () if source.kind == "tokens" else (source.size,)
        if live:
            source_value = graph.input("input", dtype, ("batch", *more))
            self._state = {
                slot.name: graph.input(f"state.{slot.name}", slot.dtype, ("batch", *slot.shape))
                for slot in program.state
                if slot.name in self._states_of(part)
            }
            self.input = source_value.unsqueeze(0)
            self._read_memories(program.parts[part])
            return
        source_value = graph.input("input", dtype, ("batch", "time", *more))
        lengths = graph.input("lengths", "int64", ("batch",))
        #: the shapes (B,) and (B, T) of the input before filling
        self._sizes_given = (
            graph.node("Shape", lengths),
            graph.node("Shape", source_value, **({"end": 2} if more else {})),
        )
        turned = self._filled(source_value, len(more)).transpose(1, 0, *((2,) if more else ()))
        self.steps = graph.node("Shape", turned, start=0, end=1)
        self.rows = graph.node("Shape", turned, start=1, end=2)
        none = np.zeros(1, np.int64)
        self.lengths = graph.node("Slice", graph.node("Concat", lengths, none, axis=0), none, self.rows)
        times = _count(graph, self.steps)
        self.there = graph.node("Less", times.unsqueeze(1), self.lengths)
        #: (T, B, 1): true for real steps, false for padding and for the steps of a look-ahead
        self.mask = self.there.unsqueeze(2)
        # values in the padding, such as NaN or an invalid token, reach no node
        zero = np.zeros((), dtype)
        self.input = graph.node("Where", self.mask if more else self.there, turned, zero)
        if self._delay:
            self.lengths = graph.node("Add", self.lengths, np.array(self._delay, np.int64))
        self._of_stride = {1: (self.lengths, self.mask)}

    def of_stride(self, stride: int) -> None:
        """Let ``lengths`` and ``mask`` be those of registers with a step for every ``stride`` steps of the input."""
        if self.live:
            return
        if stride not in self._of_stride:
            graph = self.graph
            more = np.array(stride - 1, np.int64)
            first, _ = self._of_stride[1]
            lengths = graph.node("Div", graph.node("Add", first, more), np.array(stride, np.int64))
            most = graph.node("Div", graph.node("Add", self.steps, more), np.array([stride], np.int64))
            times = _count(graph, most)
            mask = graph.node("Less", times.unsqueeze(1), lengths).unsqueeze(2)
            self._of_stride[stride] = (lengths, mask)
        self.lengths, self.mask = self._of_stride[stride]

    def _states_of(self, part: str) -> set[str]:
        return {name for op in self.program.parts[part].ops for name in op.state.values()}

    def _read_memories(self, part: Part) -> None:
        """Add the inputs of memories, and find the place of each row among those of its source."""
        forms = {name: form for name, form in part.inputs.items() if form.kind == "memory"}
        if not forms:
            return
        graph = self.graph
        for name, form in forms.items():
            self.memories[name] = graph.input(name, "float32", ("sources", "time", form.size))
        lengths, rows = graph.input("lengths", "int64", ("sources",)), graph.input("sources", "int64", ("batch",))
        times = _count(graph, graph.node("Shape", next(iter(self.memories.values())), start=1, end=2))
        #: (P, 1, S): true for real steps of a source
        self.steps_there = graph.node("Less", times, lengths.unsqueeze(1)).unsqueeze(1)
        numbers = _count(graph, graph.node("Shape", rows))
        earlier = graph.node("Less", numbers.unsqueeze(0), numbers.unsqueeze(1))
        same = graph.node("And", graph.node("Equal", rows.unsqueeze(0), rows.unsqueeze(1)), earlier)
        slot = same.cast("int64").reduce("Sum", 1)
        #: (B, 2): the source of each row, and its place among the rows of that source
        self.places = graph.node("Concat", rows.unsqueeze(1), slot.unsqueeze(1), axis=1)
        most = graph.node("Add", graph.node("ReduceMax", slot, keepdims=1), np.array([1], np.int64))
        #: (P, most rows of a source)
        self.grid = graph.node("Concat", graph.node("Shape", lengths), most, axis=0)

    def begins(self, name: str) -> Array:
        """Return the initial state, without an axis for sequences."""
        slot = next(slot for slot in self.program.state if slot.name == name)
        if isinstance(slot.begins, str):
            return self.weights[slot.begins].astype(slot.dtype)
        return np.full(slot.shape, slot.begins, slot.dtype)

    def state(self, name: str) -> Value:
        """Return the state before a step (B, …)."""
        if self.live:
            return self._state[name]
        first = self.begins(name)
        shape = self.graph.node("Concat", self.rows, np.array(first.shape, np.int64), axis=0)
        same = first.size and (first == first.flat[0]).all()
        return self.graph.node("Expand", first.reshape(-1)[:1].copy() if same else first, shape)

    def _filled(self, value: Value, more: int) -> Value:
        """Return the input (B, T, …) padded with zeros: a row if B = 0, a step if T = 0, and the look-ahead in steps.

        ONNX Runtime ends the process at a GRU or LSTM over no row, and at a loop over no step.
        """
        graph, (_, sizes) = self.graph, self._sizes_given
        missing = graph.node("Equal", sizes, np.zeros(2, np.int64)).cast("int64")
        if self._delay:
            missing = graph.node("Add", missing, np.array([0, self._delay], np.int64))
        behind = [np.zeros(more, np.int64)] if more else []
        ends = graph.node("Concat", np.zeros(2 + more, np.int64), missing, *behind, axis=0)
        return graph.node("Pad", value, ends, np.zeros((), self._dtype))

    def each_step(self, value: Value) -> Value:
        """Return outputs (T, B, K) as (B, T, K), with zeros in the padding and without the steps of the look-ahead."""
        mask = self.mask
        if self._delay:
            value, mask = value.slice(self._delay, None, 0), mask.slice(0, -self._delay, 0)
        return self.as_given(self.graph.node("Where", mask, value, 0.0).transpose(1, 0, 2), 2)

    def ids(self, op: Op, value: Value) -> Value:
        """Return the ids (T, B) of the column that an op reads."""
        if self.source.kind != "ids":
            return value
        return self.graph.node("Gather", value, np.array(op.options.get("column", 0), np.int64), axis=2)

    def as_given(self, value: Value, axes: int) -> Value:
        """Return outputs (B, …) or (B, T, …) without the dummy row and step."""
        if self.live:
            return value
        return self.graph.node("Slice", value, np.zeros(axes, np.int64), self._sizes_given[axes - 1])

    def weight(self, op: Op, role: str) -> Value:
        """Return a weight of an op as float32."""
        name = op.weights[role]
        return self.graph.matrix(name, self.matrix(name))

    def matrix(self, name: str) -> Matrix:
        """Return a weight as the program stores it."""
        numbers = self.weights[name]
        if self.program.weights[name].dtype != "int8":
            return Matrix(numbers)
        return Matrix(numbers, self.weights[name + SCALE].reshape(-1, *[1] * (numbers.ndim - 1)))


def _count(graph: Graph, size: Value) -> Value:
    """Return 0, 1, …, size - 1."""
    zero, step = np.array(0, np.int64), np.array(1, np.int64)
    return graph.node("Range", zero, size.squeeze(0), step)
