"""Detects training that has become NaN, infinite or explosive, and goes back to before it did."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from rekur.train.optim import copy_weights, optimiser_state, optimiser_tensors, under


class Guard:
    """Watches loss and gradient norm at each step; keeps the last good state to roll back to.

    A step is bad if its loss or gradient norm is not finite, or if the loss is more than ``factor`` times the
    running mean of the losses (and of the first ones). A bad step is never applied: the model and the optimiser
    go back to the last good state, and the rate is halved from there on.

    Args:
        model: the model being trained.
        optimiser: its optimiser.
        rescues: times that a run is rolled back before it is given up; 0 or more.
        every: good steps between two kept states; 1 or more.
        factor: times the usual loss that count as an explosion.
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
        self._usual = 0.0
        self._first = 0.0
        self._seen = 0
        self._keep()

    def why_bad(self, loss: float, gradient_norm: float) -> str | None:
        """Return what is wrong with a step, or None; a good step is remembered."""
        if not math.isfinite(loss):
            return f"the loss became {loss}"
        if not math.isfinite(gradient_norm):
            return f"the gradient norm became {gradient_norm}"
        if self._seen >= 20 and loss > self.factor * max(self._usual, self._first):
            return f"the loss jumped from about {self._usual:.3g} to {loss:.3g}"
        self._seen += 1
        if self._seen <= 20:
            self._first += (loss - self._first) / self._seen
        self._usual += (loss - self._usual) / min(self._seen, 50)
        return None

    def good_step(self) -> None:
        """Call after a step was applied; keeps a copy now and then, once it has proved good."""
        if self._seen % self.every == 0:
            self._keep()

    def rescue(self) -> bool:
        """Go back to the last good state at half the rate; return False if there are no rescues left."""
        self.model.load_state_dict(self._weights)
        self.optimiser.load_state_dict(copy.deepcopy(self._optimiser))
        self.optimiser.zero_grad(set_to_none=True)
        if self.rescues_left == 0:
            return False
        self.rescues_left -= 1
        self.rate_scale /= 2
        return True

    def get_state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return numbers, and tensors by their names: all that a guard that takes over must know."""
        numbers = {"rescues_left": self.rescues_left, "rate_scale": self.rate_scale, "seen": self._seen}
        floats = {"usual": self._usual.hex(), "first": self._first.hex()}
        tensors = {f"model/{name}": value for name, value in self._weights.items()}
        tensors |= {f"optimiser/{name}": value for name, value in optimiser_tensors(self._optimiser).items()}
        return {**numbers, **floats}, tensors

    def set_state(self, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take over from the guard that gave these."""
        self.rescues_left, self.rate_scale = numbers["rescues_left"], numbers["rate_scale"]
        self._seen = numbers["seen"]
        self._usual, self._first = float.fromhex(numbers["usual"]), float.fromhex(numbers["first"])
        self._weights = under("model/", tensors)
        restored = optimiser_state(under("optimiser/", tensors), self.optimiser)
        self._optimiser: dict[str, Any] = copy.deepcopy(restored)

    def _keep(self) -> None:
        weights = copy_weights(self.model)
        if not all(bool(torch.isfinite(w).all()) for w in weights.values() if w.dtype.is_floating_point):
            return  # the step that broke them is found at the next loss; the copy from before it stays
        self._weights = weights
        self._optimiser = copy.deepcopy(self.optimiser.state_dict())
