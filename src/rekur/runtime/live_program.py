"""One live sequence of a program; no PyTorch."""

from __future__ import annotations

from rekur._tensors import Array
from rekur.features.base import Steps
from rekur.program import Engine

#: steps that are run one by one; more go through the engine at once
_SHORT = 8
NEEDS_WHOLE = (
    "stream: got a bidirectional model; expected one that reads forward only, because a step of this one needs the "
    "whole sequence. Train again with bidirectional=False (rekur fit without --bidirectional)."
)


class LiveProgram:
    """One sequence of a causal program; a step allocates next to nothing.

    Args:
        engine: runs the program.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._live = engine, engine.live()
        self._take, self._read = self._live.advance, self._live.read
        self._names = [slot.name for slot in engine.program.state]

    def advance(self, steps: Steps) -> None:
        """Take the steps (T,) or (T, D)."""
        if len(steps) > _SHORT:
            self.set_state(self._engine.advance(steps, self.get_state()))
            return
        self._take(steps)

    def scores(self, pending: Steps) -> Array:
        """Return the scores (K,) as if the sequence ended after these steps, which are forgotten again."""
        if not len(pending):
            return self._read()
        kept = self._live.get_state()
        try:
            self.advance(pending)
            return self._live.read()
        finally:
            self._live.set_state(kept)

    def get_state(self) -> list[Array]:
        """Return copies of everything that is remembered."""
        return list(self._live.get_state().values())

    def set_state(self, state: list[Array]) -> None:
        """Take over what :meth:`get_state` returned; it is copied."""
        self._live.set_state(dict(zip(self._names, state, strict=True)))
