"""The engine of a program that forecasts: it reads the past, and one row a segment of the horizon; no PyTorch.

Axes: N windows, S steps of the past, D numbers of a step, A segments of the horizon, E numbers of a segment, O numbers
of an output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from rekur import _check
from rekur._tensors import Array
from rekur.errors import InputError, describe
from rekur.program.input_checks import blocks_of, check_steps
from rekur.program.live_native import NativeLive, runs_native
from rekur.program.op_list import OpList, initial_state, make_stage
from rekur.program.packed import Packed
from rekur.program.parts import AHEAD, ENCODE, INPUT
from rekur.program.plain import Packs
from rekur.program.program import Program
from rekur.program.quantised import dequantise


class ForecastEngine:
    """A running program with the parts ``encode`` and ``ahead``.

    Each segment of the horizon begins with the states that the past leaves, so that segments do not depend on each
    other. It changes none of its arguments and keeps nothing between calls: one engine serves many threads.

    Args:
        program: the program.
        weights: name -> array; arrays that the program does not name are ignored.
        threads: most threads of the kernels.

    Raises:
        InputError: the program does not forecast, a weight is missing, or its shape or type differs from the program's.

    Example:
        >>> from rekur.program import Input, Op, Part
        >>> double = Op("concat", ("input", "input"), "double", 2)
        >>> encode = Part({"input": Input("rows", 1)}, (double,), {})
        >>> ahead = Part({"input": Input("rows", 1)}, (double,), {"output": "double"})
        >>> engine = ForecastEngine(Program("forecast", {"encode": encode, "ahead": ahead}, {}, ()), {})
        >>> engine.run([np.ones((3, 1))], [np.full((2, 1), 4.0)]).tolist()
        [[4.0, 4.0, 4.0, 4.0]]
    """

    def __init__(self, program: Program, weights: Mapping[str, Array], *, threads: int = 1) -> None:
        if not program.forecasts:
            got = " and ".join(program.parts)
            expected = f"'{ENCODE}' and '{AHEAD}'"
            raise InputError(describe("parts of the program", got, expected, "Run it with an Engine."))
        self.program = program
        self.threads = min(_check.whole("threads", threads, low=1), _check.MOST_THREADS)
        _, self._weights = dequantise(program, weights)
        make = partial(make_stage, threads=self.threads)
        self._encode, self._ahead = (OpList(program, self._weights, make, part) for part in (ENCODE, AHEAD))
        self._begin = initial_state(program, self._weights)
        self._packs: dict[str, Packs] = {ENCODE: {}, AHEAD: {}}

    def run(self, steps: Sequence[Any], ahead: Sequence[Any]) -> Array:
        """Return the outputs of windows, (N, A · O): those of the segments one after the other.

        Args:
            steps: the past of each window, (S, D), of any lengths including 0.
            ahead: the horizon of each window, (A, E), with one A for all.

        Raises:
            ShapeError: an array has another shape.
            InputError: a number is not finite, or A differs.
        """
        past = [check_steps(f"steps[{row}]", x, self.program.input) for row, x in enumerate(steps)]
        rows = self._horizons(ahead, len(past))
        lengths = np.array([len(x) for x in past], np.int64)
        state = {name: np.repeat(array[None], len(past), axis=0) for name, array in self._begin.items()}
        for block in blocks_of(lengths):
            packed = Packed(lengths[block])
            order = block[packed.order]
            left = {name: array[order] for name, array in state.items()}
            self._encode.run(np.concatenate([past[row] for row in order])[packed.by_time], packed, left)
            for name, array in left.items():
                state[name][order] = array
        return self._outputs(rows, state)

    def live(self) -> LiveForecasts | None:
        """Return the fastest runner of one window at a time; None where the kernels are missing, or lack an op."""
        return LiveForecasts(self.program, self._weights, self._packs) if runs_native(self.program) else None

    def initial_state(self) -> list[Array]:
        """Return the state before the first step of a past, in the program's order."""
        return [array.copy() for array in self._begin.values()]

    def advance(self, steps: Any, state: Sequence[Array]) -> list[Array]:
        """Return the state after further steps of one past; the argument ``state`` is not changed.

        Args:
            steps: numbers (S, D), 0 or more steps.
            state: from :meth:`initial_state` or this method.
        """
        x = check_steps("steps", steps, self.program.input)
        arrays = self._stacked(state)
        if len(x):
            self._encode.run(x, Packed([len(x)]), arrays)
        return [array[0] for array in arrays.values()]

    def read(self, ahead: Any, state: Sequence[Array]) -> Array:
        """Return the output (A · O) for a horizon (A, E) that follows a state."""
        return np.asarray(self._outputs(self._horizons([ahead], 1), self._stacked(state))[0])

    def _horizons(self, ahead: Sequence[Any], count: int) -> Array:
        """Return the rows of all horizons, (N, A, E), checked."""
        source = self.program.parts[AHEAD].inputs[INPUT]
        rows = [check_steps(f"ahead[{row}]", x, source) for row, x in enumerate(ahead)]
        if len(rows) != count:
            raise InputError(describe("ahead", f"{len(rows)} horizons", f"{count}, one a window"))
        if len({len(x) for x in rows}) > 1:
            sizes = ", ".join(map(str, sorted({len(x) for x in rows})))
            raise InputError(describe("segments of the horizons", sizes, "one number for all windows"))
        return np.stack(rows) if rows else np.zeros((0, 0, source.size), np.float32)

    def _outputs(self, rows: Array, state: Mapping[str, Array]) -> Array:
        count, segments = rows.shape[:2]
        if not count * segments:
            return np.zeros((count, segments * self.program.output_size), np.float32)
        begin = {name: np.repeat(array, segments, axis=0) for name, array in state.items()}
        registers = self._ahead.run(rows.reshape(count * segments, -1), Packed(np.ones(count * segments)), begin)
        return np.asarray(registers[self.program.output].reshape(count, -1))

    def _stacked(self, state: Sequence[Array]) -> dict[str, Array]:
        return {name: array[None] for name, array in zip(self._begin, state, strict=True)}


class LiveForecasts:
    """One window after another on the compiled kernels, in memory that is used again; it belongs to one thread at a
    time.

    Args:
        program: a program that forecasts, whose ops the kernels have.
        weights: name -> array, of the program in float32.
        packs: the shared packed weights of each part; missing ones are added.
    """

    def __init__(self, program: Program, weights: Mapping[str, Array], packs: Mapping[str, Packs]) -> None:
        self._encode, self._ahead = (NativeLive(program, weights, packs[part], part) for part in (ENCODE, AHEAD))
        self._size = program.output_size
        past, future = self._encode.buffers(), self._ahead.buffers()
        self._begin = [(array, array.copy()) for array in past.values()]
        self._left = [(array, past[name] if name in past else array.copy()) for name, array in future.items()]

    def run(self, steps: Array, ahead: Array) -> Array:
        """Return the output (A · O) of a window, as :meth:`ForecastEngine.run` gives it but for rounding.

        Args:
            steps: the past, float32 (S, D).
            ahead: the horizon, float32 (A, E).
        """
        for array, begin in self._begin:
            array[...] = begin
        self._encode.advance(steps)
        outputs = np.empty((len(ahead), self._size), np.float32)
        for row, output in zip(ahead, outputs, strict=True):
            for array, left in self._left:
                array[...] = left
            self._ahead.step(row)
            self._ahead.read_into(output)
        return outputs.reshape(-1)
