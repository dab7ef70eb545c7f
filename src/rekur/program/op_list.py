"""The list of ops of a program, ready to run.

Axes: R rows, N packed steps, K numbers of an output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.program.attend import Attend
from rekur.program.ops import Op, op_arrays
from rekur.program.packed import Packed
from rekur.program.parts import INPUT, MAIN
from rekur.program.pools import POOLS, Ends, PoolStage
from rekur.program.program import Program
from rekur.program.shares import SharePool
from rekur.program.stages import STAGES, Stage, StateArrays
from rekur.program.windows import WINDOWS, Layout, Sample

_STAGES: Mapping[str, type[Stage]] = {**STAGES, **WINDOWS, **POOLS, "shares": SharePool, "attend": Attend}


def make_stage(op: Op, weights: Mapping[str, Array], threads: int = 1) -> Stage:
    """Return an op ready to run.

    Args:
        op: the op.
        weights: role -> array.
        threads: most threads of its products.
    """
    return _STAGES[op.kind](op, weights, threads)


class OpList:
    """The ops of a program: those that read steps run at each step, those that read rows once for an output.

    Args:
        program: the program.
        weights: name -> array, of the program.
        make: returns the stage of an op, from the op and role -> array.
        part: whose ops they are.
        join: returns the stages, some of them joined to a faster one.

    Attributes:
        pools: the ops that read steps and write a row.
    """

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, Array],
        make: Callable[[Op, Mapping[str, Array]], Stage],
        part: str = MAIN,
        join: Callable[[list[Stage]], list[Stage]] = list,
    ) -> None:
        stages = join([make(op, op_arrays(op, weights)) for op in program.parts[part].ops])
        self._on_steps = [stage for stage in stages if not program.reads_rows(stage.op, part)]
        self._on_rows = [stage for stage in stages if program.reads_rows(stage.op, part)]
        self.pools = [stage for stage in stages if isinstance(stage, PoolStage)]
        self._output = program.output

    def run(
        self,
        x: Array,
        packed: Packed,
        state: StateArrays,
        memories: Mapping[str, Any] = MappingProxyType({}),
        without: str = "",
        *,
        reads_pools: bool = True,
    ) -> dict[str, Array]:
        """Return the registers after packed steps, (N, …) and for a pool (R, …), and update ``state``.

        Args:
            x: the steps of the input.
            packed: their layout.
            state: name -> array.
            memories: register -> :class:`rekur.program.attend.Memory`.
            without: a register that is not written.
            reads_pools: whether those of pools are written.
        """
        registers = {INPUT: x, **memories}
        layouts: dict[str, Layout] = {}
        for stage in self._on_steps:
            if stage.op.writes == without:
                continue
            reads, layout = [registers[name] for name in stage.op.reads], layouts.get(stage.op.reads[0])
            if isinstance(stage, Sample):
                sampled = stage.sample(reads[0], layout or Layout(packed), state)
                registers[stage.op.writes], layouts[stage.op.writes] = sampled
            elif isinstance(stage, PoolStage) and not reads_pools:
                _take_sampled(stage, reads[0], layout or Layout(packed), state)
            elif layout is None:
                registers[stage.op.writes] = stage.run(reads, packed, state)
            else:
                registers[stage.op.writes] = _run_sampled(stage, reads, layout, state, packed.rows)
                layouts[stage.op.writes] = layout
        return registers

    def output(self, registers: Mapping[str, Array]) -> Array:
        """Return the output (R, K), from the registers of the pools."""
        return self.rows(registers)[self._output]

    def rows(self, registers: Mapping[str, Array]) -> dict[str, Array]:
        """Return all registers that hold rows (R, …), from those of the pools."""
        rows = dict(registers)
        for stage in self._on_rows:
            rows[stage.op.writes] = stage.rows([rows[name] for name in stage.op.reads])
        return rows

    def read(self, state: StateArrays) -> Array:
        """Return the output (R, K) as if each sequence ended here."""
        return self.output({pool.op.writes: pool.read(state) for pool in self.pools})


def _run_sampled(stage: Stage, reads: list[Array], layout: Layout, state: StateArrays, count: int) -> Array:
    """Return the result of an op where some rows may have no steps; that of a pool has all ``count`` rows."""
    if isinstance(stage, Ends):
        result = np.zeros((count, stage.op.size), np.float32)
        if layout.packed is not None:
            result[slice(None) if layout.rows is None else layout.rows] = stage.run(reads, layout.packed, state)
        return result
    if isinstance(stage, PoolStage):
        _take_sampled(stage, reads[0], layout, state)
        return stage.read(state)
    packed, rows = layout
    if packed is None:
        return np.zeros((0, stage.op.size), np.float32)
    with _state_of(stage, rows, state) as part:
        return stage.run(reads, packed, part)


def _take_sampled(stage: PoolStage, x: Array, layout: Layout, state: StateArrays) -> None:
    """Give a pool steps that only some rows may have."""
    if layout.packed is not None:
        with _state_of(stage, layout.rows, state) as part:
            stage.take(x, layout.packed, part)


@contextmanager
def _state_of(stage: Stage, rows: Array | None, state: StateArrays) -> Iterator[StateArrays]:
    """Give the state of an op, of some rows, which may change; None for all rows."""
    if rows is None:
        yield state
        return
    part = {name: state[name][rows] for name in stage.op.state.values()}
    yield part
    for name, values in part.items():
        changed = state[name].copy()
        changed[rows] = values
        state[name] = changed


def initial_state(program: Program, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return the initial state of a program by name, in the program's order."""
    return {
        slot.name: weights[slot.begins].astype(slot.dtype)
        if isinstance(slot.begins, str)
        else np.full(slot.shape, slot.begins, slot.dtype)
        for slot in program.state
    }
