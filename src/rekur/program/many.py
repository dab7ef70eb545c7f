"""A batch of sequences of a program, one step of each at a time.

Axes: R sequences, D size of an input row, O size of an output row, K scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from rekur import _kernels
from rekur._tensors import Array
from rekur.program import arithmetic
from rekur.program.op_list import OpList, initial_state, make_stage
from rekur.program.ops import Op
from rekur.program.packed import Packed
from rekur.program.plain import Packs, stepper_of
from rekur.program.program import Program
from rekur.program.stages import Recurrent, Stage, StateArrays


class Many:
    """A batch of sequences of a causal program; it belongs to one thread at a time.

    Everything runs in one thread: steps are short, and the threads of NumPy's own products would slow them down.
    States are arguments and results, by name, with an axis for the sequences; arguments are not changed.
    Made by :meth:`rekur.program.Engine.many`.

    Args:
        program: a causal program.
        weights: name -> array, of the program in float32.
        packs: the shared packed weights; missing ones are added.

    Example:
        >>> from rekur.program import Engine, Input, State
        >>> mean = Op("mean", ("input",), "mean", 1, state={"mean": "mean", "count": "count"})
        >>> state = (State("mean", (1,)), State("count", (1,), "int64"))
        >>> many = Engine(Program.of("regress", Input("rows", 1), {}, state, (mean,)), {}).many()
        >>> many.read(many.step(np.array([[2.0], [5.0]], np.float32), many.initial_state(2))).tolist()
        [[2.0], [5.0]]
    """

    def __init__(self, program: Program, weights: Mapping[str, Array], packs: Packs) -> None:
        self._begin, self._packed = initial_state(program, weights), Packed([1])
        self._ops = OpList(program, weights, partial(one_step_stage, packs=packs))

    def initial_state(self, rows: int) -> StateArrays:
        """Return the initial state of a number of sequences."""
        return {name: np.repeat(array[None], rows, axis=0) for name, array in self._begin.items()}

    def select(self, state: StateArrays, rows: Array) -> StateArrays:
        """Return the states of the sequences with these indices (k,), which may repeat."""
        return {name: array[rows] for name, array in state.items()}

    def step(self, x: Array, state: StateArrays) -> StateArrays:
        """Return the state after one more step of each, unchecked: token numbers (R,) or rows (R, D)."""
        if self._packed.rows != len(x):
            self._packed = Packed(np.ones(len(x), np.int64))
        new_state = dict(state)
        self._ops.run(x, self._packed, new_state, reads_pools=False)
        return new_state

    def read(self, state: StateArrays) -> Array:
        """Return the outputs (R, K) as if each sequence ended here."""
        return self._ops.read(state)


class _Affine(Stage):
    """A product with a matrix that is too large to pack for a few rows."""

    def rows(self, reads: list[Array]) -> Array:
        return arithmetic.short_affine(reads[0], self.weights["weight"], self.weights.get("bias"))


class _PackedAffine(Stage):
    """A product of many rows with a matrix that is packed once."""

    def __init__(self, op: Op, weights: Mapping[str, Array], threads: int, matrices: dict[str, Any]) -> None:
        super().__init__(op, weights, threads)
        self._matrices = matrices

    def rows(self, reads: list[Array]) -> Array:
        matrix = self._matrices.get(self.op.writes)
        if matrix is None:  # not before, as the op may be part of a joined one
            matrix = _kernels.kernels.Matrix(self.weights["weight"], self.weights.get("bias"))
            self._matrices[self.op.writes] = matrix
        out = np.empty((len(reads[0]), self.op.size), np.float32)
        matrix.product(np.ascontiguousarray(reads[0]), out, out.shape[1], self.threads)
        return out


class _Stepped(Stage):
    """A cell of the stepper, with weights that are packed once."""

    def __init__(self, op: Op, weights: Mapping[str, Array], recurrent: Recurrent, packs: Packs) -> None:
        super().__init__(op, weights, recurrent.threads)
        self._stepper, self._names = stepper_of(op, recurrent.cell, weights, packs), recurrent.names
        self._stepper.threads = self.threads

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        if self._stepper.slots < packed.rows:
            self._stepper.resize(packed.rows)
        self._stepper.set_states([state[name] for name in self._names])
        y = self._stepper.step(np.arange(packed.rows), reads[0])
        state.update(zip(self._names, self._stepper.get_states(packed.rows), strict=True))
        return y


def one_step_stage(
    op: Op, weights: Mapping[str, Array], packs: Packs, threads: int = 1, matrices: dict[str, Any] | None = None
) -> Stage:
    """Return an op ready to run one step of each sequence.

    Args:
        op: the op.
        weights: role -> array.
        packs: the shared packed weights; missing ones are added.
        threads: most threads of the kernels.
        matrices: output register of a product -> packed matrix, shared too; by default they are not packed.
    """
    if op.kind == "affine" and weights["weight"].shape[1] > arithmetic.MANY:
        return make_stage(op, weights, threads)
    if op.kind == "affine" and matrices is not None and hasattr(_kernels.kernels, "Matrix"):
        return _PackedAffine(op, weights, threads, matrices)
    if op.kind == "affine":
        return _Affine(op, weights, threads)
    stage = make_stage(op, weights, threads)
    if isinstance(stage, Recurrent) and stage.cell.plain and _kernels.kernels is not None:
        return _Stepped(op, weights, stage, packs)
    return stage
