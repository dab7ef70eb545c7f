"""Sequences of a program side by side, each one step further at a time.

Axes: R sequences, D numbers of a row that is read, O of one that is written, K scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rekur._tensors import Array
from rekur.program import arithmetic
from rekur.program.ops import Op
from rekur.program.packed import Packed
from rekur.program.plain import Packs, stepper_of
from rekur.program.pools import POOLS
from rekur.program.program import INPUT, Program
from rekur.program.stages import STAGES, Recurrent, Stage, StateArrays


class Many:
    """Sequences of a causal program side by side; it belongs to one thread at a time.

    Everything runs in one thread: steps are short, and the threads of NumPy's own products would stand in the way.
    What is remembered is given and returned, by name, with an axis for the sequences; nothing that is given changes.
    Made by :meth:`rekur.program.Engine.many`.

    Args:
        program: a causal program.
        weights: role -> array for each op, in the order of the ops of body, pool and head.
        begin: the state before the first step, by name.
        packs: where the packed weights of earlier sequences are found, and those of these left.

    Example:
        >>> from rekur.program import Engine, Input, State
        >>> mean = Op("mean", ("input",), "mean", 1, state={"mean": "mean", "count": "count"})
        >>> state = (State("mean", (1,)), State("count", (1,), "int64"))
        >>> many = Engine(Program("regress", Input("rows", 1), {}, state, (), (mean,), ()), {}).many()
        >>> many.read(many.step(np.array([[2.0], [5.0]], np.float32), many.initial_state(2))).tolist()
        [[2.0], [5.0]]
    """

    def __init__(
        self, program: Program, weights: Sequence[Mapping[str, Array]], begin: Mapping[str, Array], packs: Packs
    ) -> None:
        self._program, self._begin = program, begin
        given = iter(weights)
        self._body = [_stage(op, next(given), packs) for op in program.body]
        self._pool = [POOLS[op.kind](op, next(given), 1) for op in program.pool]
        self._head = [_stage(op, next(given), packs) for op in program.head]
        self._packed = Packed([1])

    def initial_state(self, rows: int) -> StateArrays:
        """Return the state of sequences before their first step."""
        return {name: np.repeat(array[None], rows, axis=0) for name, array in self._begin.items()}

    def select(self, state: StateArrays, rows: Array) -> StateArrays:
        """Return the state of some of the sequences (k,), each as often as it is asked for."""
        return {name: array[rows] for name, array in state.items()}

    def step(self, x: Array, state: StateArrays) -> StateArrays:
        """Return the state after one more step of each: token numbers (R,) or rows (R, D). They are not checked."""
        if self._packed.rows != len(x):
            self._packed = Packed(np.ones(len(x), np.int64))
        after, registers = dict(state), {INPUT: x}
        for stage in self._body:
            reads = [registers[name] for name in stage.op.reads]
            registers[stage.op.writes] = stage.run(reads, self._packed, after)
        for pool in self._pool:
            pool.take(registers[pool.op.reads[0]], self._packed, after)
        return after

    def read(self, state: StateArrays) -> Array:
        """Return the outputs (R, K) as if each sequence ended here."""
        registers = {pool.op.writes: pool.read(state) for pool in self._pool}
        for stage in self._head:
            registers[stage.op.writes] = stage.rows([registers[name] for name in stage.op.reads])
        return registers[self._program.output]


class _Affine(Stage):
    """A product with a matrix that is too large to be packed for a few rows."""

    def rows(self, reads: list[Array]) -> Array:
        return arithmetic.short_affine(reads[0], self.weights["weight"], self.weights.get("bias"))


class _Stepped(Stage):
    """A cell that the stepper knows, its weights packed once."""

    def __init__(self, op: Op, weights: Mapping[str, Array], recurrent: Recurrent, packs: Packs) -> None:
        super().__init__(op, weights, 1)
        self._stepper, self._names = stepper_of(op, recurrent.cell, weights, packs), recurrent.names

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        if self._stepper.slots < packed.rows:
            self._stepper.resize(packed.rows)
        self._stepper.set_states([state[name] for name in self._names])
        y = self._stepper.step(np.arange(packed.rows), reads[0])
        state.update(zip(self._names, self._stepper.get_states(packed.rows), strict=True))
        return y


def _stage(op: Op, weights: Mapping[str, Array], packs: Packs) -> Stage:
    if op.kind == "affine":
        return _Affine(op, weights, 1)
    if op.kind == "recur":
        recurrent = Recurrent(op, weights, 1)
        return _Stepped(op, weights, recurrent, packs) if recurrent.cell.plain else recurrent
    return STAGES[op.kind](op, weights, 1)
