"""A saved program as what a session steps: no PyTorch."""

from __future__ import annotations

from rekur._tensors import Array
from rekur.features.base import Steps
from rekur.program import Engine
from rekur.runtime.bundle import Bundle


class ProgramModel:
    """One live sequence of a program for :class:`rekur.runtime.Session`: a ``StepModel`` on the engine.

    Args:
        engine: what runs the program; it must be causal.
        fingerprint: of the bundle, to which saved states are bound.

    Raises:
        NotStreamableError: a step of the program needs a later one.

    Example:
        >>> from rekur.runtime import Session, read_bundle
        >>> bundle = read_bundle("runs/reviews")  # doctest: +SKIP
        >>> session = Session(ProgramModel.of(bundle), bundle.features(), list)  # doctest: +SKIP
    """

    def __init__(self, engine: Engine, fingerprint: str) -> None:
        engine.initial_state()
        self._engine, self.fingerprint = engine, fingerprint

    @classmethod
    def of(cls, bundle: Bundle, *, threads: int = 1) -> ProgramModel:
        """Return the live model of a bundle.

        Args:
            bundle: as ``read_bundle`` returned it.
            threads: most threads of the kernels.
        """
        return cls(Engine(*bundle.program(), threads=threads), bundle.fingerprint)

    def initial_state(self) -> list[Array]:
        """Return the state before the first step."""
        return self._engine.initial_state()

    def step(self, steps: Steps, state: list[Array]) -> list[Array]:
        """Return the state after the steps (T,) or (T, D)."""
        return self._engine.advance(steps, state)

    def read(self, state: list[Array]) -> Array:
        """Return the scores (K,) as if the sequence ended here."""
        return self._engine.read(state)
