"""One sequence of a program, step by step, in reused buffers.

Axes: D size of an input row, O size of an output row, K steps of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rekur._tensors import Array
from rekur.program import arithmetic
from rekur.program.cells_numpy import NumpyCell
from rekur.program.op_list import initial_state
from rekur.program.ops import Op, op_arrays
from rekur.program.packed import Packed
from rekur.program.parts import INPUT
from rekur.program.plain import Packs, stepper_of
from rekur.program.pools import POOLS
from rekur.program.program import Program
from rekur.program.stages import STAGES, Recurrent, Stage

_ONE = Packed([1])
#: the step of an op, and its registers
_Call = tuple[Callable[[list[Array]], Array], tuple[str, ...], str]


class Part:
    """One op for a single step; its next call may overwrite the array that it returned.

    Args:
        op: the op.
        weights: role -> array.
    """

    def __init__(self, op: Op, weights: Mapping[str, Array]) -> None:
        self.op, self.weights = op, weights
        self.out: Array = np.zeros(op.size, np.float32)

    def step(self, reads: list[Array]) -> Array:
        """Return the output of the op (O,) for its inputs, each (D,)."""
        raise NotImplementedError

    def get(self) -> dict[str, Array]:
        """Return copies of its state, by name."""
        return {}

    def put(self, state: Mapping[str, Array]) -> None:
        """Copy its state from arrays by name."""


class _Embed(Part):
    def step(self, reads: list[Array]) -> Array:
        ids = reads[0]
        return np.asarray(self.weights["table"][ids[self.op.options.get("column", 0)] if np.ndim(ids) else ids])


class _Affine(Part):
    def step(self, reads: list[Array]) -> Array:
        np.dot(self.weights["weight"], reads[0], out=self.out)
        if "bias" in self.weights:
            self.out += self.weights["bias"]
        return self.out


class _Rows(Part):
    """An op that treats each row alone."""

    def __init__(self, op: Op, weights: Mapping[str, Array]) -> None:
        super().__init__(op, weights)
        self._stage: Stage = STAGES[op.kind](op, weights, 1)

    def step(self, reads: list[Array]) -> Array:
        return np.asarray(self._stage.rows([x[None] for x in reads])[0])


class _Conv(Part):
    def __init__(self, op: Op, weights: Mapping[str, Array]) -> None:
        super().__init__(op, weights)
        size, width, window = weights["weight"].shape
        self._matrix = np.ascontiguousarray(weights["weight"].transpose(0, 2, 1)).reshape(size, -1)
        self._seen = np.zeros((window, width), np.float32)

    def step(self, reads: list[Array]) -> Array:
        self._seen[:-1] = self._seen[1:]
        self._seen[-1] = reads[0]
        np.dot(self._matrix, self._seen.reshape(-1), out=self.out)
        self.out += self.weights["bias"]
        return self.out

    def get(self) -> dict[str, Array]:
        return {name: self._seen[1:].copy() for name in self.op.state.values()}

    def put(self, state: Mapping[str, Array]) -> None:
        for name in self.op.state.values():
            self._seen[1:] = state[name]


class _OfTokens(Part):
    """An op with a state of tokens."""

    def __init__(self, op: Op, weights: Mapping[str, Array]) -> None:
        super().__init__(op, weights)
        self._stage, self._state = STAGES[op.kind](op, weights, 1), dict[str, Array]()

    def step(self, reads: list[Array]) -> Array:
        return np.asarray(self._stage.run([np.asarray(reads[0])[None]], _ONE, self._state)[0])

    def get(self) -> dict[str, Array]:
        return {name: array[0].copy() for name, array in self._state.items()}

    def put(self, state: Mapping[str, Array]) -> None:
        self._state = {name: state[name][None].copy() for name in self.op.state.values()}


class _Stepped(Part):
    """A cell of the stepper: with the kernels a step allocates nothing."""

    def __init__(self, op: Op, weights: Mapping[str, Array], recurrent: Recurrent, packs: Packs) -> None:
        super().__init__(op, weights)
        self._names = recurrent.names
        self._stepper = stepper_of(op, recurrent.cell, weights, packs)

    def step(self, reads: list[Array]) -> Array:
        return self._stepper.step_one(0, reads[0])

    def get(self) -> dict[str, Array]:
        return dict(zip(self._names, self._stepper.get_state(0), strict=True))

    def put(self, state: Mapping[str, Array]) -> None:
        self._stepper.set_state(0, [state[name] for name in self._names])


class _Cell(Part):
    """Any other cell, in NumPy."""

    def __init__(self, op: Op, weights: Mapping[str, Array], recurrent: Recurrent) -> None:
        super().__init__(op, weights)
        self._cell = NumpyCell(recurrent.cell, weights, arithmetic.short_affine)
        self._names, self._state = recurrent.names, list[Array]()

    def step(self, reads: list[Array]) -> Array:
        y, self._state = self._cell.step(self._cell.project(reads[0][None]), self._state)
        return np.asarray(y[0])

    def get(self) -> dict[str, Array]:
        return {name: array[0].copy() for name, array in zip(self._names, self._state, strict=True)}

    def put(self, state: Mapping[str, Array]) -> None:
        self._state = [state[name][None].copy() for name in self._names]


class _Pool(Part):
    """A pool: :meth:`step` takes one step, :meth:`read` returns the result so far."""

    def __init__(self, op: Op, weights: Mapping[str, Array]) -> None:
        super().__init__(op, weights)
        self.state: dict[str, Array] = {}
        self._take: Callable[[Array], None] = {
            "last": self._last,
            "mean": self._mean,
            "max": self._max,
            "attention": self._attention,
        }[op.kind]

    def step(self, reads: list[Array]) -> Array:
        self._take(reads[0])
        return self.out

    def read(self) -> Array:
        """Return the result of all steps so far (O,)."""
        state = self.state
        if self.op.kind == "attention":
            return np.asarray(state["total"] / state["mass"]) if state["mass"][0] > 0 else state["total"]
        return state[{"last": "last", "mean": "mean", "max": "largest"}[self.op.kind]]

    def get(self) -> dict[str, Array]:
        return {name: self.state[role].copy() for role, name in self.op.state.items()}

    def put(self, state: Mapping[str, Array]) -> None:
        self.state = {role: state[name].copy() for role, name in self.op.state.items()}

    def _last(self, y: Array) -> None:
        self.state["last"][:] = y

    def _mean(self, y: Array) -> None:
        mean, count = self.state["mean"], self.state["count"]
        count += 1
        np.subtract(y, mean, out=self.out)
        self.out /= np.float32(count[0])
        mean += self.out

    def _max(self, y: Array) -> None:
        largest, count = self.state["largest"], self.state["count"]
        if count[0]:
            np.maximum(largest, y, out=largest)
        else:
            largest[:] = y
        count += 1

    def _attention(self, y: Array) -> None:
        total, mass, top = (self.state[role] for role in ("total", "mass", "top"))
        hidden = np.tanh(np.dot(self.weights["weight"], y) + self.weights["bias"])
        score = np.dot(self.weights["score"], hidden)
        new_top = np.maximum(top, score) if mass[0] > 0 else score
        old = np.exp(top - new_top) if mass[0] > 0 else np.zeros(1, np.float32)
        share = np.exp(score - new_top)
        total *= old
        total += share * y
        mass *= old
        mass += share
        top[:] = new_top


_PARTS: dict[str, type[Part]] = {
    "embed": _Embed,
    "affine": _Affine,
    "conv": _Conv,
    "ngrams": _OfTokens,
    "recall": _OfTokens,
    "activation": _Rows,
    "layer_norm": _Rows,
    "add": _Rows,
    "concat": _Rows,
    "softmax": _Rows,
    "log_softmax": _Rows,
    "clusters": _Rows,
    "padding": _Rows,
}


class Live:
    """One sequence of a causal program, one step at a time; it belongs to one thread at a time.

    Made by :meth:`rekur.program.Engine.live`.

    Args:
        program: a causal program.
        weights: name -> array, of the program in float32.
        packs: the shared packed weights; missing ones are added.

    Example:
        >>> from rekur.program import Engine, Input, State
        >>> mean = Op("mean", ("input",), "mean", 1, state={"mean": "mean", "count": "count"})
        >>> state = (State("mean", (1,)), State("count", (1,), "int64"))
        >>> live = Engine(Program.of("regress", Input("rows", 1), {}, state, (mean,)), {}).live()
        >>> for number in (1.0, 2.0, 6.0):
        ...     live.step(np.array([number], np.float32))
        >>> live.read().tolist()
        [3.0]
    """

    def __init__(self, program: Program, weights: Mapping[str, Array], packs: Packs) -> None:
        self._output, self._begin = program.output, initial_state(program, weights)
        self._none = np.zeros((0, program.output_size), np.float32)
        self._parts = [_part(op, op_arrays(op, weights), packs) for op in program.main.ops]
        self._pools = [part for part in self._parts if isinstance(part, _Pool)]
        self._steps, self._reads = list[_Call](), list[_Call]()
        for part in self._parts:
            calls = self._reads if program.reads_rows(part.op) else self._steps
            calls.append((part.step, part.op.reads, part.op.writes))
        self.set_state(self._begin)

    def step(self, x: Array) -> None:
        """Take one step, unchecked: an id, ids (C,), or a row (D,) of float32."""
        registers = {INPUT: x}
        for step, reads, writes in self._steps:
            registers[writes] = step([registers[name] for name in reads])

    def advance(self, steps: Array) -> Array:
        """Take several steps, unchecked: ids (T,) or (T, C), or rows (T, D) of float32; return no outputs (0, K)."""
        for x in steps:
            self.step(x)
        return self._none

    def finish(self) -> Array:
        """Return the output (1, K): the sequence ends here."""
        return self.read()[None]

    def read(self) -> Array:
        """Return the output (K,) as if the sequence ended here, as a new array."""
        registers = {part.op.writes: part.read() for part in self._pools}
        for step, reads, writes in self._reads:
            registers[writes] = step([registers[name] for name in reads])
        return registers[self._output].copy()

    def get_state(self) -> dict[str, Array]:
        """Return copies of the state by name, in the program's order."""
        state: dict[str, Array] = {}
        for part in self._parts:
            state |= part.get()
        return {name: state[name] for name in self._begin}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Copy a state from :meth:`get_state`."""
        for part in self._parts:
            part.put(state)

    def reset(self) -> None:
        """Return to the initial state."""
        self.set_state(self._begin)


def _part(op: Op, weights: Mapping[str, Array], packs: Packs) -> Part:
    if op.kind in POOLS:
        return _Pool(op, weights)
    if op.kind != "recur":
        return _PARTS[op.kind](op, weights)
    recurrent = Recurrent(op, weights, 1)
    if recurrent.cell.plain:
        return _Stepped(op, weights, recurrent, packs)
    return _Cell(op, weights, recurrent)
