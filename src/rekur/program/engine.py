"""The engine: runs a program over whole sequences, chunks and single steps, on the compiled kernels or on NumPy.

Axes: B sequences, T time, D numbers of a step, K scores.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from rekur import _check
from rekur._tensors import Array
from rekur.errors import InputError, NotStreamableError, ShapeError, describe
from rekur.program.input_checks import blocks_of, check_steps
from rekur.program.live import Live
from rekur.program.live_native import NativeLive, runs_native
from rekur.program.many import Many
from rekur.program.op_list import OpList, initial_state, make_stage
from rekur.program.packed import Packed
from rekur.program.plain import Packs
from rekur.program.program import Program
from rekur.program.quantised import dequantise
from rekur.program.stages import StateArrays
from rekur.program.stepwise import LiveSteps, stepwise

# steps of a chunk that are run one by one
_SHORT = 8


class Engine:
    """A running program; NumPy in and out.

    It changes none of its arguments and keeps no sequence between calls: one engine serves many streams and many
    threads. It expands the weights of a quantised program to float32 once: the file is small, but memory and arithmetic
    are those of float32.

    Args:
        program: the program.
        weights: name -> array; arrays that the program does not name are ignored.
        threads: most threads of the kernels.

    Raises:
        InputError: a weight is missing, or its shape or type differs from the program's.

    Example:
        >>> from rekur.program import Input, Op, State, Weight
        >>> last = Op("last", ("input",), "last", 2, state={"last": "last"})
        >>> head = Op("affine", ("last",), "scores", 1, {"weight": "w"})
        >>> state = (State("last", (2,)),)
        >>> program = Program.of("regress", Input("rows", 2), {"w": Weight((1, 2))}, state, (last, head))
        >>> engine = Engine(program, {"w": np.ones((1, 2), np.float32)})
        >>> engine.run([np.ones((3, 2)), np.zeros((0, 2))]).tolist()
        [[2.0], [0.0]]
        >>> engine.read(engine.advance(np.full((1, 2), 4.0), engine.initial_state())).tolist()
        [8.0]
    """

    def __init__(self, program: Program, weights: Mapping[str, Array], *, threads: int = 1) -> None:
        program.main  # noqa: B018 - a program that is searched is refused
        self.program = program
        self.threads = min(_check.whole("threads", threads, low=1), _check.MOST_THREADS)
        _, self._weights = dequantise(program, weights)
        self._ops = OpList(program, self._weights, partial(make_stage, threads=self.threads))
        self._per_step = program.per_step
        self._mine = threading.local()
        self._packs: Packs = {}
        self._begin = initial_state(program, self._weights)

    def run(self, sequences: Sequence[Any]) -> Any:
        """Return the output of whole sequences; each output depends on its own sequence alone.

        Args:
            sequences: token numbers (T,), ids (T, C) or rows (T, D), of any lengths including 0.

        Returns:
            an array (B, K); for a program with an output at every step a list of one array (T, K) a sequence, to the
            bit as :meth:`live` gives it, if the program is causal.

        Raises:
            ShapeError: a sequence has another shape.
            InputError: a token is not in the vocabulary, or a number is not finite.
        """
        checked = [check_steps(f"sequences[{index}]", x, self.program.input) for index, x in enumerate(sequences)]
        if self._per_step:
            return self._run_each(checked)
        lengths = np.array([len(x) for x in checked], np.int64)
        pooled = {pool.op.writes: np.zeros((len(checked), pool.op.size), np.float32) for pool in self._ops.pools}
        for rows in blocks_of(lengths):
            packed = Packed(lengths[rows])
            registers = self._run(checked, rows, packed)
            for name, into in pooled.items():
                into[rows[packed.order]] = registers[name]
        return self._ops.output(pooled)

    def run_steps(self, sequence: Any, state: Sequence[Array] | None = None) -> tuple[Array, list[Array]]:
        """Return the output after each step of a sequence (T, K), if the pool takes the last step or there is none.

        Args:
            sequence: token numbers (T,), ids (T, C) or rows (T, D).
            state: the state before the sequence, from :meth:`initial_state` or this method; by default the initial one.

        Returns:
            the outputs, which with a look-ahead come late, and the state after the last step.

        Raises:
            InputError: the program's pool reads more than the last step, or the sequence is invalid.
        """
        if not (self.program.every_step and self.program.causal):
            got = "+".join(pool.op.kind for pool in self._ops.pools)
            raise InputError(describe("pool", got, "'last' in a causal program", "Advance step by step and read."))
        x = check_steps("sequence", sequence, self.program.input)
        arrays = self._beginning(1) if state is None else self._stacked(state)
        if self._per_step:
            live = self._live_here()
            live.set_state({name: array[0] for name, array in arrays.items()})
            return live.advance(x), list(live.get_state().values())
        outputs = np.zeros((0, self.program.output_size), np.float32)
        if len(x):
            registers = self._ops.run(x, Packed([len(x)]), arrays)
            outputs = self._ops.output({pool.op.writes: registers[pool.op.reads[0]] for pool in self._ops.pools})
        return outputs, [arrays[name][0] for name in self._begin]

    def initial_state(self) -> list[Array]:
        """Return the initial state, in the program's order.

        Raises:
            NotStreamableError: a step of the program needs a later one.
        """
        self._refuse_unless_causal()
        return [array.copy() for array in self._begin.values()]

    def advance(self, steps: Any, state: Sequence[Array]) -> list[Array]:
        """Return the state after further steps of one sequence; the argument ``state`` is not changed.

        Args:
            steps: token numbers (T,) or rows (T, D), 0 or more steps.
            state: from :meth:`initial_state` or this method.

        Raises:
            NotStreamableError: a step of the program needs a later one.
            ShapeError: steps or state have another shape.
            InputError: a token is not in the vocabulary, or a number is not finite.
        """
        self._refuse_every_step()
        arrays = self._stacked(state)
        x = check_steps("steps", steps, self.program.input)
        if 0 < len(x) <= _SHORT:
            return self._advance_shortly(x, arrays)
        if len(x):
            self._ops.run(x, Packed([len(x)]), arrays)
        return [arrays[name][0] for name in self._begin]

    def live(self) -> Live | NativeLive | LiveSteps:
        """Return the fastest runner of one sequence, step by step.

        Raises:
            NotStreamableError: a step of the program needs a later one.
        """
        self._refuse_unless_causal()
        program = self._stepwise()
        runner = (NativeLive if runs_native(program) else Live)(program, self._weights, self._packs)
        return LiveSteps(self.program, runner) if self._per_step else runner

    def many(self) -> Many:
        """Return a runner of a batch of sequences, one step of each at a time; with a look-ahead outputs come late.

        Raises:
            NotStreamableError: a step of the program needs a later one.
        """
        self._refuse_unless_causal()
        return Many(self._stepwise(), self._weights, self._packs)

    def read(self, state: Sequence[Array]) -> Array:
        """Return the output (K,) as if the sequence ended here.

        Raises:
            NotStreamableError: a step of the program needs a later one.
            ShapeError: the state has another shape.
        """
        self._refuse_every_step()
        arrays = self._stacked(state)
        return np.asarray(self._ops.read(arrays)[0])

    def _advance_shortly(self, x: Array, arrays: StateArrays) -> list[Array]:
        """Return the state after a few steps, run one by one without packing."""
        live = self._live_here()
        live.set_state({name: array[0] for name, array in arrays.items()})
        live.advance(x)
        return list(live.get_state().values())

    def _live_here(self) -> Live | NativeLive | LiveSteps:
        """Return the runner of this thread, with buffers of its own."""
        live: Live | NativeLive | LiveSteps | None = getattr(self._mine, "live", None)
        if live is None:
            live = self._mine.live = self.live()
        return live

    def _stepwise(self) -> Program:
        """Return the program that a runner of single steps runs."""
        return stepwise(self.program) if self._per_step else self.program

    def _run_each(self, sequences: list[Array]) -> list[Array]:
        """Return one array of outputs (T, K) a sequence."""
        if self.program.causal:
            live = self._live_here()
            outputs = []
            for x in sequences:
                live.reset()
                outputs.append(np.concatenate([live.advance(x), live.finish()]))
            return outputs
        lengths = np.array([len(x) for x in sequences], np.int64)
        outputs = [np.zeros((0, self.program.output_size), np.float32) for _ in sequences]
        for rows in blocks_of(lengths):
            packed = Packed(lengths[rows])
            steps = self._run(sequences, rows, packed)[self.program.output]
            each = np.split(steps[packed.by_row], packed.starts[1:])
            for row, array in zip(rows[packed.order], each, strict=True):
                outputs[row] = array
        return outputs

    def _beginning(self, rows: int) -> StateArrays:
        return {name: np.repeat(array[None], rows, axis=0) for name, array in self._begin.items()}

    def _run(self, sequences: list[Array], rows: Array, packed: Packed) -> dict[str, Array]:
        """Return the registers after whole sequences, those in ``rows`` in the order of a packed batch."""
        joined = np.concatenate([sequences[row] for row in rows[packed.order]])
        return self._ops.run(joined[packed.by_time], packed, self._beginning(packed.rows))

    def _stacked(self, state: Sequence[Array]) -> StateArrays:
        """Return name -> state with a batch axis of 1."""
        self._refuse_unless_causal()
        if len(state) != len(self._begin):
            names = ", ".join(self._begin) or "none"
            raise ShapeError(describe("arrays of the state", len(state), f"{len(self._begin)}: {names}"))
        for (name, begin), array in zip(self._begin.items(), state, strict=True):
            if not isinstance(array, np.ndarray) or array.shape != begin.shape or array.dtype != begin.dtype:
                got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
                raise ShapeError(describe(f"state '{name}'", got, f"{begin.dtype} {begin.shape}"))
        return {name: array[None] for name, array in zip(self._begin, state, strict=True)}

    def _refuse_every_step(self) -> None:
        if self._per_step:
            fix = "Take the outputs of run_steps, or of a live program."
            raise InputError(describe("program", "one with an output at every step", "one with a pool", fix))

    def _refuse_unless_causal(self) -> None:
        if not self.program.causal:
            fix = "Run whole sequences, or train a model that reads forward only."
            raise NotStreamableError(describe("program", "one that reads from the end", "a causal one", fix))
