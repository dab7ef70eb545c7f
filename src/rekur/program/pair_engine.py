"""The engine of a program that is searched: it reads sources, and steps through targets; no PyTorch.

Axes: P sources, S steps of a source, N rows (targets side by side), V target tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rekur import _check
from rekur._tensors import Array
from rekur.errors import InputError, describe
from rekur.program.attend import Memory, Sources, attention_shares
from rekur.program.input_checks import blocks_of, check_steps
from rekur.program.many import one_step_stage
from rekur.program.next_tokens import NextTokens, join_scores
from rekur.program.op_list import OpList, initial_state, make_stage
from rekur.program.ops import Op, op_arrays
from rekur.program.packed import Packed
from rekur.program.parts import DECODE, ENCODE, INPUT
from rekur.program.plain import Packs
from rekur.program.program import Program
from rekur.program.quantised import dequantise
from rekur.program.stages import Stage, StateArrays

#: scores that are computed at once
_SCORES = 1 << 23
#: tokens of a row beyond which all of them are compared faster
_MOST_LISTED = 64


@dataclass(frozen=True)
class Encoded:
    """Sources that were read.

    Attributes:
        steps: output of the part ``encode`` -> the steps of all sources, (ΣS, D).
        rows: output of the part ``encode`` -> a row of each source, (P, D).
        lengths: steps of each source, (P,).
    """

    steps: Mapping[str, Array]
    rows: Mapping[str, Array]
    lengths: Array


@dataclass(frozen=True)
class PairState:
    """The state of targets that are being written.

    Attributes:
        arrays: state -> array (N, …).
        steps: output of the part ``encode`` -> the steps of all sources, which no step changes.
        sources: where each source is among them, and the source of each row.
    """

    arrays: StateArrays
    steps: Mapping[str, Array]
    sources: Sources


class _Scan(NamedTuple):
    """A block of whole targets after a scan.

    Attributes:
        rows: the targets, in the order of ``packed``.
        packed: the layout of their tokens.
        following: the token after each that was read, packed.
        registers: of the part ``decode``.
    """

    rows: Array
    packed: Packed
    following: Array
    registers: Mapping[str, Any]


class PairEngine:
    """A running program with the parts ``encode`` and ``decode``; a step function of :mod:`rekur.decode`.

    It changes none of its arguments and keeps nothing between calls: one engine serves many threads.

    Args:
        program: the program.
        weights: name -> array; arrays that the program does not name are ignored.
        threads: most threads of the kernels.

    Raises:
        InputError: the program is not searched, a weight is missing, or its shape or type differs from the program's.

    Example:
        >>> from rekur.program import Input, Op, Part, Weight
        >>> words = Op("embed", ("input",), "words", 2, {"table": "table"})
        >>> read = Op("attend", ("words", "memory", "memory"), "context", 2, options={"score": "dot"})
        >>> encode = Part({"input": Input("tokens", 3)}, (words,), {"memory": "words"})
        >>> inputs = {"input": Input("tokens", 3), "memory": Input("memory", 2)}
        >>> parts = {"encode": encode, "decode": Part(inputs, (words, read), {"output": "context"})}
        >>> program = Program("translate", parts, {"table": Weight((3, 2))}, ())
        >>> engine = PairEngine(program, {"table": np.eye(3, 2, dtype=np.float32)})
        >>> engine.step(np.array([2]), engine.begin(1, engine.encode([[0, 1]])))[0].tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, program: Program, weights: Mapping[str, Array], *, threads: int = 1) -> None:
        if not program.searches:
            got = " and ".join(program.parts)
            raise InputError(describe("parts of the program", got, "'encode' and 'decode'", "Run it with an Engine."))
        self.program = program
        self.threads = min(_check.whole("threads", threads, low=1), _check.MOST_THREADS)
        _, arrays = dequantise(program, weights)
        self._arrays, self._tokens = arrays, dict[str, NextTokens]()
        self._packs: Packs = {}
        self._matrices: dict[str, Any] = {}
        self._mine = threading.local()
        self._encode = OpList(program, arrays, partial(make_stage, threads=self.threads), ENCODE)
        self._scan = self._decoder(make_stage)
        self._begin = initial_state(program, arrays)
        self._states = {name for op in program.parts[DECODE].ops for name in op.state.values()}
        self._outputs = {slot.name: slot.output for slot in program.state if slot.output}

    def _decoder(self, make: Callable[..., Stage]) -> OpList:
        """Return the ops of the part ``decode``, with stages that ``make`` returns."""
        join = partial(join_scores, output=self.program.output, made=self._tokens)
        return OpList(self.program, self._arrays, partial(make, threads=self.threads), DECODE, join=join)

    def encode(self, sequences: Sequence[Any]) -> Encoded:
        """Return sources as :meth:`begin` takes them.

        Args:
            sequences: token numbers (S,), ids (S, C) or rows (S, D), of any lengths including 0.

        Raises:
            ShapeError: a sequence has another shape.
            InputError: a token is not in the vocabulary, or a number is not finite.
        """
        source = self.program.input
        checked = [check_steps(f"sequences[{index}]", x, source) for index, x in enumerate(sequences)]
        lengths = np.array([len(x) for x in checked], np.int64)
        starts, types = np.cumsum(lengths) - lengths, self.program.types_of(ENCODE)
        outputs = self.program.parts[ENCODE].outputs
        in_steps = {name: register for name, register in outputs.items() if types[register].kind == "steps"}
        steps = {name: np.empty((int(lengths.sum()), types[of].size), np.float32) for name, of in in_steps.items()}
        pooled = {pool.op.writes: np.zeros((len(checked), pool.op.size), np.float32) for pool in self._encode.pools}
        for rows in blocks_of(lengths):
            packed = Packed(lengths[rows])
            joined = np.concatenate([checked[row] for row in rows[packed.order]])
            begin = {name: np.repeat(array[None], packed.rows, axis=0) for name, array in self._begin.items()}
            registers = self._encode.run(joined[packed.by_time], packed, begin)
            for name, into in pooled.items():
                into[rows[packed.order]] = registers[name]
            index = starts[rows[packed.order]][packed.row] + packed.times
            for name, register in in_steps.items():
                steps[name][index] = registers[register]
        registers = self._encode.rows(pooled)
        return Encoded(steps, {name: registers[of] for name, of in outputs.items() if name not in in_steps}, lengths)

    def initial_state(self) -> dict[str, Array]:
        """Return the state of a target before its first token, by name; :meth:`begin` replaces what a source gives."""
        return {name: array for name, array in self._begin.items() if name in self._states}

    def begin(self, batch: int, memory: Encoded) -> PairState:
        """Return the state of N targets before their first token, one a source."""
        if batch != len(memory.lengths):
            raise InputError(describe("batch", batch, f"{len(memory.lengths)}, the number of sources"))
        arrays = {
            name: memory.rows[self._outputs[name]] if name in self._outputs else np.repeat(array[None], batch, axis=0)
            for name, array in self.initial_state().items()
        }
        starts = np.cumsum(memory.lengths) - memory.lengths
        return PairState(arrays, memory.steps, Sources(starts, memory.lengths, np.arange(batch)))

    def step(self, ids: Array, state: PairState) -> tuple[Array, PairState]:
        """Return the outputs (N, V) after one more token of each target, int64 (N,), and the state."""
        registers, new_state = self._advance(ids, state)
        return registers[self.program.output], new_state

    @property
    def most_listed(self) -> int:
        """Most tokens that :meth:`largest` lists of a row; 0 where it lists none."""
        return _MOST_LISTED if self.program.output in self._tokens else 0

    @property
    def vocabulary(self) -> int:
        """Target tokens V."""
        return self.program.output_size

    def largest(
        self, ids: Array, state: PairState, count: int, apart: Sequence[int]
    ) -> tuple[Array, Array, Array, PairState]:
        """Step as :meth:`step` does, and return the likeliest tokens alone: no row of outputs is written.

        Args:
            ids: one more token of each target, int64 (N,).
            state: of the targets.
            count: tokens W that are listed of each target, in [1, most_listed].
            apart: A tokens that are not listed.

        Returns:
            tokens (N, W), the likeliest first, of equals the lower; their log-probabilities (N, W), minus infinity
            where a row has fewer tokens; those of the tokens apart (N, A); and the state.
        """
        output = self.program.output
        registers, new_state = self._advance(ids, state, without=output)
        last = self._tokens[output]
        return *last.largest(registers[last.op.reads[0]], count, apart), new_state

    def _one_step(self, op: Op, weights: Mapping[str, Array], threads: int) -> Stage:
        """Return an op ready to run one step of many targets; the threads that call share the packed matrix."""
        return one_step_stage(op, weights, self._packs, threads, self._matrices)

    def _advance(self, ids: Array, state: PairState, without: str = "") -> tuple[dict[str, Array], PairState]:
        """Return the registers after one more token of each target, but one that is not written, and the state."""
        decoder = getattr(self._mine, "decoder", None)
        if decoder is None:  # its cells have buffers of their own
            decoder = self._mine.decoder = self._decoder(self._one_step)
        arrays, packed = dict(state.arrays), Packed(np.ones(len(ids), np.int64))
        memories = {name: Memory(steps, state.sources) for name, steps in state.steps.items()}
        registers = decoder.run(np.asarray(ids, np.int64), packed, arrays, memories, without)
        return registers, PairState(arrays, state.steps, state.sources)

    def select(self, state: PairState, rows: Array) -> PairState:
        """Return the state of the targets with these indices (k,), which may repeat; no source is copied a target."""
        arrays = {name: array[rows] for name, array in state.arrays.items()}
        return PairState(arrays, state.steps, state.sources.select(rows))

    def log_probabilities(self, targets: Sequence[Any], memory: Encoded) -> list[Array]:
        """Return the output of each token of whole targets, given those before it: one array (T - 1,) a target.

        Args:
            targets: token numbers (T,) with the one that is read first, so that none is scored before it.
            memory: of :meth:`encode`, a source for each target.

        Raises:
            ShapeError: a target has another shape.
            InputError: a token is not in the vocabulary, or there are more or fewer targets than sources.
        """
        outputs = [np.zeros(0, np.float32) for _ in targets]
        for scan in self._scans(targets, memory):
            scores = scan.registers[self.program.output]
            each = scores[np.arange(len(scores)), scan.following][scan.packed.by_row]
            for row, array in zip(scan.rows, np.split(each, scan.packed.starts[1:]), strict=True):
                outputs[row] = array
        return outputs

    def attention(self, targets: Sequence[Any], memory: Encoded) -> list[Array]:
        """Return how much each step of its source weighs for each token of whole targets: (T - 1, S) a target.

        A row sums to 1. Where the program attends several times, the shares are their mean.

        Args:
            targets: as for :meth:`log_probabilities`; the first row is that of the token after the first.
            memory: of :meth:`encode`, a source for each target.

        Raises:
            InputError: the program does not attend, or as for :meth:`log_probabilities`.
        """
        ops = [op for op in self.program.parts[DECODE].ops if op.kind == "attend"]
        if not ops:
            raise InputError("program: got one that reads no step of a source by attention; expected one that does.")
        sizes = zip(targets, memory.lengths, strict=True)
        shares = [np.zeros((max(0, len(target) - 1), length), np.float32) for target, length in sizes]
        for scan in self._scans(targets, memory):
            for op in ops:
                query, keys = (scan.registers[name] for name in op.reads[:2])
                packed = attention_shares(op, op_arrays(op, self._arrays), query, keys)
                each = [packed[index] / np.float32(len(ops)) for index in scan.packed.by_row]
                for row, start, size in zip(scan.rows, scan.packed.starts, scan.packed.lengths, strict=True):
                    shares[row] += np.stack(each[start : start + size])
        return shares

    def _scans(self, targets: Sequence[Any], memory: Encoded) -> Iterator[_Scan]:
        """Yield the registers after each token of whole targets but their last, block by block."""
        source = self.program.parts[DECODE].inputs[INPUT]
        checked = [check_steps(f"targets[{index}]", x, source) for index, x in enumerate(targets)]
        state = self.begin(len(checked), memory)
        lengths = np.array([max(0, len(x) - 1) for x in checked], np.int64)
        for rows in blocks_of(lengths, max(1, _SCORES // self.program.output_size)):
            packed = Packed(lengths[rows])
            order = rows[packed.order]
            ids = np.concatenate([checked[row][:-1] for row in order])[packed.by_time]
            following = np.concatenate([checked[row][1:] for row in order])[packed.by_time]
            arrays = {name: array[order] for name, array in state.arrays.items()}
            sources = state.sources.select(order[packed.row])
            memories = {name: Memory(steps, sources) for name, steps in state.steps.items()}
            yield _Scan(order, packed, following, self._scan.run(ids, packed, arrays, memories))
