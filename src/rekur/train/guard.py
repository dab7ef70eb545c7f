"""Detects training that has become NaN, infinite or explosive, and goes back to before it did."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rekur.errors import DivergedError
from rekur.train.optim import copy_weights, optimiser_state, optimiser_tensors, under

#: times the size of the last good weights from which weights are suspicious
_GROWTH = 100.0


class Guard:
    """Watches loss and gradient norm at each step; keeps the last good state to roll back to.

    A step is bad if its loss or gradient norm is not finite, or if the loss is more than ``factor`` times what it is
    with the weights of the last good state, on the same batch: so a batch that is hard for any weights is none. That
    is looked at where the loss is more than ``factor`` times the first one and, from the twentieth on, the running
    mean. A bad step is never applied: the model and the optimiser go back to the last good state, and the rate is
    halved from there on.

    Args:
        model: the model being trained.
        optimiser: its optimiser.
        rescues: times that a run is rolled back before it is given up; 0 or more.
        every: good steps between two kept states; 1 or more.
        factor: times the usual loss that count as an explosion.

    Raises:
        DivergedError: a weight of the untrained model is not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        *,
        rescues: int = 3,
        every: int = 100,
        factor: float = 10.0,
    ) -> None:
        self.model, self.optimiser = model, optimiser
        self.rescues_left, self.every, self.factor = rescues, every, factor
        self.rate_scale = 1.0
        #: good steps that are in the present weights; 0 for those of an untrained model
        self.applied = 0
        self._kept_at = 0
        self._usual = 0.0
        self._first = 0.0
        self._seen = 0
        if not self._keep():
            raise DivergedError(
                "training: the untrained model has weights that are not finite; expected finite ones. "
                "Look for an option with an extreme value."
            )

    def why_bad(self, loss: float, gradient_norm: float, loss_before: Callable[[], float]) -> str | None:
        """Return what is wrong with a step, or None.

        Args:
            loss: the loss of the step.
            gradient_norm: the norm of its gradients; 0 where none were taken.
            loss_before: returns the loss of the same batch with the weights of the last good state; it is called
                where the loss is suspicious.
        """
        if not math.isfinite(loss):
            return f"the loss became {loss}"
        if not math.isfinite(gradient_norm):
            return f"the gradient norm became {gradient_norm}"
        usual = max(self._usual, self._first) if self._seen >= 20 else self._first
        if self._seen and loss > self.factor * usual and loss > self.factor * (before := loss_before()):
            return f"the loss jumped from about {before:.3g} to {loss:.3g}"
        return None

    def have_weights_grown(self) -> bool:
        """Return whether the weights are far larger than in the last good state, or not finite."""
        return not _size(self.model.state_dict()) <= _GROWTH * _size(self._weights)

    @contextmanager
    def last_good(self) -> Iterator[None]:
        """Put the weights of the last good state into the model for the time of a ``with`` block."""
        present = copy_weights(self.model)
        self.model.load_state_dict(self._weights)
        try:
            yield
        finally:
            self.model.load_state_dict(present)

    def good_step(self, loss: float) -> None:
        """Call after a step was applied; keeps a copy now and then, once it has proved good."""
        self._seen += 1
        if self._seen == 1:
            self._first = loss
        self._usual += (loss - self._usual) / min(self._seen, 50)
        self.applied += 1
        if self._seen % self.every == 0:
            self._keep()

    def rescue(self) -> bool:
        """Go back to the last good state at half the rate; return False if there are no rescues left."""
        self.model.load_state_dict(self._weights)
        self.optimiser.load_state_dict(copy.deepcopy(self._optimiser))
        self.optimiser.zero_grad(set_to_none=True)
        self.applied = self._kept_at
        if self.rescues_left == 0:
            return False
        self.rescues_left -= 1
        self.rate_scale /= 2
        return True

    def get_state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return numbers, and tensors by their names: all that a guard that takes over must know."""
        numbers = {
            "rescues_left": self.rescues_left,
            "rate_scale": self.rate_scale,
            "seen": self._seen,
            "applied": self.applied,
            "kept_at": self._kept_at,
        }
        floats = {"usual": self._usual.hex(), "first": self._first.hex()}
        tensors = {f"model/{name}": value for name, value in self._weights.items()}
        tensors |= {f"optimiser/{name}": value for name, value in optimiser_tensors(self._optimiser).items()}
        return {**numbers, **floats}, tensors

    def set_state(self, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take over from the guard that gave these."""
        self.rescues_left, self.rate_scale = numbers["rescues_left"], numbers["rate_scale"]
        self._seen, self.applied, self._kept_at = numbers["seen"], numbers["applied"], numbers["kept_at"]
        self._usual, self._first = float.fromhex(numbers["usual"]), float.fromhex(numbers["first"])
        self._weights = under("model/", tensors)
        restored = optimiser_state(under("optimiser/", tensors), self.optimiser)
        self._optimiser: dict[str, Any] = copy.deepcopy(restored)

    def _keep(self) -> bool:
        """Keep a copy of the present state unless it is broken; return whether it was kept."""
        weights = copy_weights(self.model)
        if not all(bool(torch.isfinite(w).all()) for w in weights.values() if w.dtype.is_floating_point):
            return False  # the step that broke them is found at the next loss; the copy from before it stays
        self._weights = weights
        self._optimiser = copy.deepcopy(self.optimiser.state_dict())
        self._kept_at = self.applied
        return True


def _size(weights: dict[str, Tensor]) -> float:
    """Return the root of the sum of all squared weights."""
    norms = torch._foreach_norm([w.detach() for w in weights.values() if w.dtype.is_floating_point])
    return math.hypot(*(float(norm) for norm in norms))
