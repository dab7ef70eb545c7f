"""The optimiser, the rate over time, and the running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rekur.train.options import TrainOptions


def make_optimiser(model: nn.Module, options: TrainOptions) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only: biases, norms and embeddings are left alone.

    An embedding's rows are used now and then, and decay at every step: it would wash out the rare ones.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    decays = [p for name, p in trained if p.dim() >= 2 and "embedding" not in name]
    rest = [p for name, p in trained if p.dim() < 2 or "embedding" in name]
    groups = [{"params": decays, "weight_decay": options.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    used = [group for group in groups if group["params"]]
    # one kernel for all weights; PyTorch has it for these devices, and gradients must not be sparse
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for _, p in trained)
    return torch.optim.AdamW(used, lr=options.learning_rate, betas=(0.9, 0.99), fused=fused)


def rate_at(progress: float, options: TrainOptions) -> float:
    """Return the learning rate after a share ``progress`` in [0, 1] of the run.

    Example:
        >>> rate_at(1.0, TrainOptions(learning_rate=1.0))
        0.0
    """
    if progress < options.warmup:
        return options.learning_rate * progress / options.warmup
    if options.schedule == "constant":
        return options.learning_rate
    left = min(1.0, max(0.0, (1.0 - progress) / (1.0 - options.warmup)))
    shape = left if options.schedule == "linear" else 0.5 * (1.0 - math.cos(math.pi * left))
    return options.learning_rate * shape


class WeightAverage:
    """An exponential running average of a model's weights.

    The decay rises with the number of updates, min(decay, (1+n)/(10+n)), so that the first ones count little.

    Args:
        model: the model whose weights are averaged.
        decay: share of the old average that an update keeps, in [0, 1); 0 makes this do nothing.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()} if decay else {}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average a little towards the model."""
        if not self.decay:
            return
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages, values = [], []
        for name, value in model.state_dict(keep_vars=True).items():
            if isinstance(value, nn.Parameter) and not value.requires_grad:
                continue
            if value.dtype.is_floating_point:
                averages.append(self.weights[name])
                values.append(value.detach())
            else:
                self.weights[name].copy_(value)
        torch._foreach_lerp_(averages, values, 1 - keep)

    @contextmanager
    def swapped_in(self, model: nn.Module) -> Iterator[None]:
        """Put the average into the model for the time of a ``with`` block."""
        if not self.decay:
            yield
            return
        own = copy_weights(model)
        model.load_state_dict(self.weights)
        try:
            yield
        finally:
            model.load_state_dict(own)


def optimiser_tensors(state: dict[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of an optimiser's ``state_dict`` by names such as ``3/exp_avg``."""
    return {f"{number}/{name}": value for number, own in state["state"].items() for name, value in own.items()}


def optimiser_state(tensors: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the ``state_dict`` of an optimiser that has these tensors; the rest is as it is in ``optimiser``."""
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        number, name = path.split("/", 1)
        state.setdefault(int(number), {})[name] = value
    return {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix``, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the model's weights that training does not change."""
    return {k: v.detach().clone() for k, v in model.state_dict().items()}
