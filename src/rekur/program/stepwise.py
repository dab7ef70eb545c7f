"""Rewrite a program with an output at every step so that a live run can read its output after each step.

Axes: T time, C columns of ids, D numbers of a step, K numbers of an output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.program.live import Live
from rekur.program.live_native import NativeLive
from rekur.program.ops import Op, State
from rekur.program.program import Program
from rekur.program.rules import RULES


def stepwise(program: Program) -> Program:
    """Return a program whose output, after each step, is the row that its source has for that step.

    What remembers stays in the body. A pool of the last step keeps each register that the other ops read, and these
    become the head. A shift is left out: the row of a step then comes ``program.delay`` steps later.

    Args:
        program: a program with an output at every step.

    Example:
        >>> from rekur.program import Input, Op, Program, State, Weight
        >>> ops = (Op("affine", ("input",), "scores", 3, {"weight": "w"}),)
        >>> program = Program.of("tag", Input("rows", 2), {"w": Weight((3, 2))}, (), ops)
        >>> [op.kind for op in stepwise(program).main.ops]
        ['last', 'affine']
    """
    ops, names = _without_shifts(program)
    output = names.get(program.output, program.output)
    first = 1 + max((index for index, op in enumerate(ops) if _stays(op)), default=-1)
    body, head = ops[:first], ops[first:]
    inside = {op.writes for op in head}
    pooled = dict.fromkeys(name for op in head for name in op.reads if name not in inside)
    if output not in inside:
        pooled[output] = None
    taken = {*program.types, *(slot.name for slot in program.state)}
    lasts = {name: _free(f"{name}.last", taken) for name in pooled}
    pools = [Op("last", (name,), last, program.types[name].size, state={"last": last}) for name, last in lasts.items()]
    state = [slot for slot in program.state if slot.name not in _shift_states(program)]
    state += [State(op.writes, (op.size,)) for op in pools]
    head = [replace(op, reads=tuple(lasts.get(name, name) for name in op.reads)) for op in head]
    last_ops = [op for op in head if op.writes == output] or [op for op in pools if op.reads == (output,)]
    part = replace(
        program.main, ops=(*body, *pools, *head), outputs=dict.fromkeys(program.main.outputs, last_ops[0].writes)
    )
    return replace(program, parts=dict.fromkeys(program.parts, part), state=tuple(state))


def _without_shifts(program: Program) -> tuple[list[Op], dict[str, str]]:
    """Return the ops that are no shifts, and register of a shift -> the register that it reads."""
    ops, names = list[Op](), dict[str, str]()
    for op in program.main.ops:
        reads = tuple(names.get(name, name) for name in op.reads)
        if op.kind == "shift":
            names[op.writes] = reads[0]
        else:
            ops.append(replace(op, reads=reads))
    return ops, names


def _stays(op: Op) -> bool:
    return bool(op.state) or RULES[op.kind].takes != "numbers"


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _shift_states(program: Program) -> list[str]:
    return [name for op in program.main.ops if op.kind == "shift" for name in op.state.values()]


class LiveSteps:
    """One sequence of a causal program with an output at every step; it belongs to one thread at a time.

    Made by :meth:`rekur.program.Engine.live`.

    Args:
        program: the program.
        runner: of one sequence of its :func:`stepwise` form.

    Example:
        >>> from rekur.program import Engine, Input, Op, Program, State
        >>> ahead = Op("shift", ("input",), "ahead", 1, state={"seen": "seen"}, options={"steps": 1})
        >>> state = (State("seen", (1,), "int64"),)
        >>> live = Engine(Program.of("tag", Input("rows", 1), {}, state, (ahead,)), {}).live()
        >>> live.advance(np.array([[2.0], [3.0]], np.float32)).tolist(), live.finish().tolist()
        ([[3.0]], [[0.0]])
    """

    def __init__(self, program: Program, runner: Live | NativeLive) -> None:
        self.runner, self._delay, self._size = runner, program.delay, program.output_size
        source = program.input
        self._zeros = np.zeros(
            (self._delay,) if source.kind == "tokens" else (self._delay, source.size),
            np.float32 if source.kind == "rows" else np.int64,
        )
        self._names = [slot.name for slot in program.state]
        self._counters = _shift_states(program)
        self._seen = 0

    def advance(self, steps: Array) -> Array:
        """Take steps, unchecked: ids (T,) or (T, C), or rows (T, D); return the outputs that are certain.

        Returns:
            one row a step (R, K), later by the program's delay.
        """
        runner, to_skip = self.runner, max(0, self._delay - self._seen)
        steps = np.ascontiguousarray(steps, self._zeros.dtype)
        rows = np.empty((max(0, len(steps) - to_skip), self._size), np.float32)
        for index in range(len(steps)):
            runner.advance(steps[index : index + 1])
            if index >= to_skip:
                rows[index - to_skip] = runner.read()
        self._seen = min(self._delay, self._seen + len(steps))
        return rows

    def step(self, x: Any) -> None:
        """Take one step, unchecked: an id, ids (C,), or a row (D,) of float32; :meth:`read` returns its output."""
        self.runner.step(x)
        self._seen = min(self._delay, self._seen + 1)

    def read(self) -> Array:
        """Return the output (K,) that the newest step made certain: that of the step ``delay`` steps before."""
        return self.runner.read()

    def finish(self) -> Array:
        """Return the outputs of the last steps (R, K): the sequence ends here; :meth:`reset` begins another one."""
        return self.advance(self._zeros)

    def get_state(self) -> dict[str, Array]:
        """Return copies of the state by name, in the program's order."""
        state = self.runner.get_state()
        state |= {name: np.array([self._seen], np.int64) for name in self._counters}
        return {name: state[name] for name in self._names}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Copy a state from :meth:`get_state`."""
        self.runner.reset()
        self.runner.set_state(self.runner.get_state() | {name: state[name] for name in self._names})
        self._seen = min((int(state[name][0]) for name in self._counters), default=0)

    def reset(self) -> None:
        """Return to the initial state."""
        self.runner.reset()
        self._seen = 0
