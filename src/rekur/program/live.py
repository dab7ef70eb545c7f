"""One sequence of a program, step by step, in NumPy.

Axes: C columns of ids, D size of an input row, K numbers of an output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.program.many import Many
from rekur.program.plain import Packs
from rekur.program.program import Program


class Live:
    """One sequence of a causal program, one step at a time; it belongs to one thread at a time.

    Made by :meth:`rekur.program.Engine.live` where the kernels are missing, or lack an op of the program.

    Args:
        program: a causal program.
        weights: name -> array, of the program in float32.
        packs: the shared packed weights; missing ones are added.

    Example:
        >>> from rekur.program import Engine, Input, Op, State
        >>> mean = Op("mean", ("input",), "mean", 1, state={"mean": "mean", "count": "count"})
        >>> state = (State("mean", (1,)), State("count", (1,), "int64"))
        >>> live = Engine(Program.of("regress", Input("rows", 1), {}, state, (mean,)), {}).live()
        >>> for number in (1.0, 2.0, 6.0):
        ...     live.step(np.array([number], np.float32))
        >>> live.read().tolist()
        [3.0]
    """

    def __init__(self, program: Program, weights: Mapping[str, Array], packs: Packs) -> None:
        self._batch = Many(program, weights, packs)
        self._none = np.zeros((0, program.output_size), np.float32)
        self._state = self._batch.initial_state(1)

    def step(self, x: Any) -> None:
        """Take one step, unchecked: an id, ids (C,), or a row (D,) of float32."""
        self._state = self._batch.step(np.asarray(x)[None], self._state)

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
        return np.array(self._batch.read(self._state)[0])

    def get_state(self) -> dict[str, Array]:
        """Return copies of the state by name, in the program's order."""
        return {name: array[0].copy() for name, array in self._state.items()}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Copy a state from :meth:`get_state`."""
        self._state = {name: state[name][None].copy() for name in self._state}

    def reset(self) -> None:
        """Return to the initial state."""
        self._state = self._batch.initial_state(1)
