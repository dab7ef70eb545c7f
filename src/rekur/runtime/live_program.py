"""Programs run step by step: one live sequence, the nats of a text, the step function of a language model; no PyTorch.

Axes: B texts side by side, T steps or tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._ids import START
from rekur._tensors import Array
from rekur.data import evaluation_chunks
from rekur.features.base import Steps
from rekur.program import Engine, ForecastEngine
from rekur.targets import Target

#: scores that are kept at once
_SCORES = 1 << 23


class ProgramSteps:
    """The step function of a language model's program; see :class:`rekur.decode.StepFunction`.

    Args:
        engine: what runs the program.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._many = engine, engine.many()

    def begin(self, batch: int, memory: None = None) -> dict[str, Array]:
        """Return the state of B texts before their first token; there is nothing to read beside them."""
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


#: steps that are run one by one; more go through the engine at once
_SHORT = 8


def needs_whole(task: str, target: Target) -> str:
    """Return why a model that reads whole sequences cannot run live, and how to train one that can.

    Args:
        task: its task.
        target: of an output at every step, reading from both ends is the default.
    """
    if target.ragged:
        return (
            "stream: got a model that writes texts; expected one that answers while it reads, because the whole of a "
            "source is read before its text is written. Use predict (rekur predict)."
        )
    fix = "with causal=True (--causal) for series, or without bidirectional (--bidirectional)"
    if target.per_step:
        fix = f"with bidirectional=False (rekur fit {task} --causal)"
    return (
        "stream: got a model that reads from both ends; expected one that reads forward only, because a step of this "
        f"one needs the whole sequence. Train again {fix}."
    )


class LiveProgram:
    """One sequence of a causal program; a step allocates next to nothing.

    Args:
        engine: runs the program.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._live: Any = engine.live()
        self._take: Any = self._live.advance
        self._read: Any = self._live.read
        self._names = [slot.name for slot in engine.program.state]
        self._is_pooled = not engine.program.per_step
        self._delay = engine.program.delay
        self._none = np.zeros((0, engine.program.output_size), np.float32)

    def advance(self, steps: Steps) -> Array:
        """Take the steps (T,), (T, C) or (T, D); return the certain outputs (R, K), none of a pooled program."""
        if self._is_pooled and len(steps) > _SHORT:
            self.set_state(self._engine.advance(steps, self.get_state()))
            return self._none
        outputs: Array = self._take(steps)
        return outputs

    def finish(self) -> Array:
        """Return the outputs that follow if the sequence ends here, (R, K)."""
        if self._is_pooled:
            return np.asarray(self._read()[None])
        return np.asarray(self._live.finish())

    def rest(self, pending: Steps) -> Array:
        """Return the outputs (R, K) that follow if the sequence ends after these steps, which are forgotten again."""
        if self._is_pooled:
            return self.scores(pending)[None]
        if not len(pending) and not self._delay:
            return self._none
        state = self._live.get_state()
        try:
            return np.concatenate([self._take(pending), self._live.finish()])
        finally:
            self._live.set_state(state)

    def scores(self, pending: Steps) -> Array:
        """Return the scores (K,) as if the sequence ended after these steps, which are forgotten again."""
        if not len(pending):
            scores: Array = self._read()
            return scores
        state = self._live.get_state()
        try:
            self.advance(pending)
            return np.asarray(self._read())
        finally:
            self._live.set_state(state)

    def get_state(self) -> list[Array]:
        """Return copies of everything that is remembered."""
        return list(self._live.get_state().values())

    def set_state(self, state: list[Array]) -> None:
        """Take over what :meth:`get_state` returned; it is copied."""
        self._live.set_state(dict(zip(self._names, state, strict=True)))


class LiveWindows:
    """Windows of a program that forecasts: each is computed from its first step on, so that no state is carried.

    Args:
        engine: runs the program.
        size: numbers K of the output of a window.
    """

    def __init__(self, engine: ForecastEngine, size: int) -> None:
        self._engine, self._live = engine, engine.live()
        self._none = np.zeros((0, size), np.float32)

    def advance(self, steps: Any) -> Array:
        """Return the output (1, K) of a window, the arrays ``steps`` and ``ahead`` by name; (0, K) of no steps."""
        if not isinstance(steps, dict):
            return self._none
        if self._live is None:
            return self._engine.run([steps["steps"]], [steps["ahead"]])
        return self._live.run(steps["steps"], steps["ahead"])[None]

    rest = advance

    def scores(self, pending: Any) -> Array:
        """Return the output (K,) of a window."""
        return np.asarray(self.advance(pending)[0])

    def finish(self) -> Array:
        """Return nothing: no output is held back, (0, K)."""
        return self._none

    def get_state(self) -> list[Array]:
        """Return nothing: the values of a window are the features'."""
        return []

    def set_state(self, state: list[Array]) -> None:
        """Take over nothing."""


class LiveTokens:
    """One text of a program of the next token: the log-probability of each token as it comes.

    Args:
        engine: runs the program.
    """

    def __init__(self, engine: Engine) -> None:
        self._sequence = LiveProgram(engine)
        self._last = np.array([START], np.int64)

    def advance(self, tokens: Steps) -> Array:
        """Take tokens (T,); return the log-probability of each given those before it, (T, 1)."""
        outputs = np.empty((len(tokens), 1), np.float32)
        for row, token in enumerate(tokens):
            self._sequence.advance(self._last)
            scores = self._sequence.scores(self._last[:0])
            largest = scores.max()
            outputs[row] = scores[token] - largest - np.log(np.exp(scores - largest).sum())
            self._last[0] = token
        return outputs

    def finish(self) -> Array:
        """Return nothing: no output is held back, (0, 1)."""
        return np.empty((0, 1), np.float32)

    def rest(self, pending: Steps) -> Array:
        """Return the log-probabilities of these tokens, (R, 1), which are forgotten again."""
        if not len(pending):
            return self.finish()
        state = self.get_state()
        try:
            return self.advance(pending)
        finally:
            self.set_state(state)

    def get_state(self) -> list[Array]:
        """Return copies of the program's state and of the last token."""
        return [*self._sequence.get_state(), self._last.copy()]

    def set_state(self, state: list[Array]) -> None:
        """Take over what :meth:`get_state` returned; it is copied."""
        self._sequence.set_state(state[:-1])
        self._last = state[-1].copy()
