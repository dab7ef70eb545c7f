"""What the nodes of a program's ops share: the graph, the weights, the state, and where padding is.

Axes: T time, B sequences.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rekur._tensors import Array
from rekur.program import Op, Program
from rekur.program.ops import SCALE
from rekur.ship.to_onnx.graph import Graph, Value
from rekur.ship.to_onnx.matrix import Matrix


class Frame:
    """A graph of a program: of whole sequences, or of a single step with the state going in and out.

    Args:
        graph: where the nodes go.
        program: what it does.
        weights: name -> array.
        live: a single step.
    """

    def __init__(self, graph: Graph, program: Program, weights: Mapping[str, Array], *, live: bool) -> None:
        self.graph, self.program, self.weights, self.live = graph, program, weights, live
        #: name -> the state after the step
        self.after: dict[str, Value] = {}
        #: register -> numbers of a row
        self.sizes = {op.writes: op.size for _, op in program.ops()}
        source = program.input
        dtype, more = ("int64", ()) if source.kind == "tokens" else ("float32", (source.size,))
        if live:
            given = graph.input("input", dtype, ("batch", *more))
            self._state = {
                slot.name: graph.input(f"state.{slot.name}", slot.dtype, ("batch", *slot.shape))
                for slot in program.state
            }
            self.lengths: Value | None = None
            self.input = given.unsqueeze(0)
            return
        given = graph.input("input", dtype, ("batch", "time", *more))
        self.lengths = graph.input("lengths", "int64", ("batch",))
        turned = given.transpose(1, 0, *((2,) if more else ()))
        self.steps = graph.node("Shape", turned, start=0, end=1)
        self.rows = graph.node("Shape", turned, start=1, end=2)
        times = graph.node("Range", *(np.array(0, np.int64), self.steps.squeeze(0), np.array(1, np.int64)))
        self.there = graph.node("Less", times.unsqueeze(1), self.lengths.unsqueeze(0))
        #: (T, B, 1): whether a step is one of its sequence and no padding
        self.mask = self.there.unsqueeze(2)
        # what stands in the padding, even NaN or a token that is none, reaches no node
        zero = np.zeros((), dtype)
        self.input = graph.node("Where", self.mask if more else self.there, turned, zero)

    def begins(self, name: str) -> Array:
        """Return the state before the first step, without an axis for sequences."""
        slot = next(slot for slot in self.program.state if slot.name == name)
        if isinstance(slot.begins, str):
            return self.weights[slot.begins].astype(slot.dtype)
        return np.full(slot.shape, slot.begins, slot.dtype)

    def state(self, name: str) -> Value:
        """Return the state that a step begins with (B, …)."""
        if self.live:
            return self._state[name]
        first = self.begins(name)
        shape = self.graph.node("Concat", self.rows, np.array(first.shape, np.int64), axis=0)
        same = first.size and (first == first.flat[0]).all()
        return self.graph.node("Expand", first.reshape(-1)[:1].copy() if same else first, shape)

    def weight(self, op: Op, role: str) -> Value:
        """Return a weight of an op as float32."""
        name = op.weights[role]
        return self.graph.matrix(name, self.matrix(name))

    def matrix(self, name: str) -> Matrix:
        """Return a weight as the program keeps it."""
        numbers = self.weights[name]
        if self.program.weights[name].dtype != "int8":
            return Matrix(numbers)
        return Matrix(numbers, self.weights[name + SCALE].reshape(-1, *[1] * (numbers.ndim - 1)))
