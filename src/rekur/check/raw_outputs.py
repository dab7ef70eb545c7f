"""Outputs as they are, in the place of predictions.

Axes: R steps, K numbers of an output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.targets import TargetStream


class RawOutputs:
    """A decoder whose prediction of an item is its outputs: (K,), or (T, K) with an output at every step.

    Args:
        per_step: whether there is an output at every step.

    Example:
        >>> RawOutputs(per_step=True).join([None, np.zeros((1, 3)), np.ones((2, 3))]).shape
        (3, 3)
    """

    def __init__(self, *, per_step: bool) -> None:
        self.per_step = per_step

    def answer(self, outputs: Array) -> Array:
        """Return the outputs."""
        return np.asarray(outputs)

    def stream(self) -> TargetStream:
        """Return a stream that gives outputs as it takes them."""
        return _RawStream()

    def join(self, pieces: Sequence[Any]) -> Any:
        """Return the outputs of all pieces, (T, K), or the last, (K,)."""
        pieces = [piece for piece in pieces if piece is not None]
        return np.concatenate(pieces) if self.per_step else pieces[-1]

    def present_piece(self, piece: Any, context: Any) -> Any:
        """Return the outputs."""
        return piece


class _RawStream(TargetStream):
    def push(self, outputs: Array, context: Any = None) -> tuple[Any, Any]:
        return np.asarray(outputs), context

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass
