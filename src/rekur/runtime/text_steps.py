"""A program of the next token on the engine: the nats of a text, and its step function; no PyTorch.

Axes: B texts side by side, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._tensors import Array
from rekur.data import evaluation_chunks
from rekur.program import Engine

#: scores that are kept at once
_SCORES = 1 << 23


class ProgramSteps:
    """The step function of a language model's program; see :class:`rekur.decode.StepFunction`.

    Args:
        engine: what runs the program.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._many = engine, engine.many()

    def initial_state(self, batch: int) -> dict[str, Array]:
        """Return the state of B texts before their first token."""
        return self._many.initial_state(batch)

    def step(self, ids: Array, state: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        """Return the scores (B, V) of what follows one more token of each text, (B,), and the state."""
        state = self._many.step(ids, state)
        return self._many.read(state), state

    def read(self, ids: Array, state: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        """Return the scores (1, V) of what follows T >= 1 more tokens of one text, (T,), and the state."""
        arrays = self._engine.advance(ids, [array[0] for array in state.values()])
        state = {name: array[None] for name, array in zip(state, arrays, strict=True)}
        return self._many.read(state), state

    def select(self, state: dict[str, Array], rows: Array) -> dict[str, Array]:
        """Return the state of some of the texts, (k,), each as often as it is asked for."""
        return self._many.select(state, rows)


def nats(engine: Engine, ids: NDArray[Any], starts: NDArray[np.int64], *, reset: bool) -> NDArray[np.float32]:
    """Return the negative log-probability of every token (N,) of a text, in nats.

    Args:
        engine: runs the program of a language model.
        ids: the tokens, (N,).
        starts: where each document begins.
        reset: whether the state begins anew with each document.
    """
    nats = np.zeros(len(ids), np.float32)
    state = engine.initial_state()
    steps = max(1, _SCORES // engine.program.output_size)
    for chunk in evaluation_chunks(ids, starts, reset=reset, chunk_length=steps):
        begins = [] if chunk.resets is None else np.flatnonzero(chunk.resets[0]).tolist()
        for first, last in zip([0, *begins], [*begins, chunk.x.shape[1]], strict=True):
            if first in begins:
                state = engine.initial_state()
            scores, state = engine.run_steps(chunk.x[0, first:last], state)
            top = scores.max(axis=1, initial=-np.inf)
            sums = np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top
            targets = chunk.targets[0, first:last]
            nats[chunk.places[0, first:last]] = sums - scores[np.arange(len(targets)), targets]
    return nats
