"""What a task gives the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn


class Plan(Protocol):
    """What a task gives the loop: batches, a loss, an evaluation, and which score decides.

    Attributes:
        steps_per_epoch: batches in an epoch.
        evaluate_every: steps from one evaluation to the next; there is one at the end too.
        monitor: the score by which weights are kept.
        larger_is_better: whether it is to rise or to fall.
        tolerance: how much worse than the best a later score may be for its weights to be kept instead; the standard
            error of the score, say. The rate falls to the end, so later weights are the better settled ones.
    """

    steps_per_epoch: int
    evaluate_every: int
    monitor: str
    larger_is_better: bool
    tolerance: float

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches of one epoch from number ``start`` on; the same for the same epoch."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the mean loss of this process's part of a batch, a scalar; a state may be carried on."""
        ...

    def weight(self, batch: Any) -> float:
        """Return how many terms that mean has: with several processes, the mean over all is the exact one."""
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return scores on validation data, among them ``monitor``; the same in every process."""
        ...

    def get_state(self) -> dict[str, Tensor]:
        """Return what is carried from batch to batch, rows of the batch first; {} if nothing is."""
        ...

    def set_state(self, state: dict[str, Tensor]) -> None:
        """Put back what :meth:`get_state` returned; {} is the state before the first batch."""
        ...


class Stateless:
    """The part of a plan that carries nothing from batch to batch."""

    def get_state(self) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def set_state(self, state: dict[str, Tensor]) -> None:
        """Do nothing."""
