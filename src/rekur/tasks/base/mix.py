"""The weights of the parts of an answer: network, ridge and linear base, by items that they did not see.

Axes: N items, K outputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rekur.models.branch_spec import GRID
from rekur.models.series_network import joined

Floats = NDArray[np.float64]

#: standard errors by which a mean loss must be larger before another choice is taken
_SHOWN = 2.0


class Mix(NamedTuple):
    """The weights of the parts of an answer, in quarters.

    Attributes:
        network: of the network.
        ridge: of the ridge on random convolutions.
        base: of the linear base of both.
    """

    network: int
    ridge: int
    base: int = 0

    def note(self) -> str:
        """Return the sentence that tells a person of it."""
        names = "network", "ridge on random convolutions", "linear base of both"
        parts = [(part / GRID, name) for part, name in zip(self, names, strict=True) if part]
        if len(parts) == 1:
            return f"The answer is that of the {parts[0][1]} alone."
        *first, last = (f"{share:.0%} {name}" for share, name in parts)
        return f"The answer is {', '.join(first)} and {last}."


def best_quarters(
    net: NDArray[Any],
    ridge: NDArray[Any],
    joint: str,
    losses: Callable[[NDArray[Any]], Floats],
    weights: Floats | None = None,
) -> int:
    """Return the weight of a ridge beside a network, in quarters: the one nearest to equal that is not shown to lose.

    A weight is shown to lose where its mean loss is above the least one by more than two standard errors of the
    difference. Few items thus show little, and the ridge keeps half of the answer.

    Args:
        net: scores of items that the network did not see, (N, K).
        ridge: the same of the ridge.
        joint: what answers are averaged as.
        losses: loss of each item by scores, (N,).
        weights: of the items in their mean, (N,); None for equal ones.

    Example:
        >>> ones = np.ones((4, 1))
        >>> best_quarters(0 * ones, ones, "outputs", lambda scores: (scores[:, 0] - 1) ** 2)
        4
    """
    each = [losses(mixed(net, ridge, quarters, joint)) for quarters in range(GRID + 1)]
    best = int(np.argmin([np.average(of_items, weights=weights) for of_items in each]))
    nearest = sorted(range(GRID + 1), key=lambda tried: (abs(tried - GRID / 2), abs(tried - best)))
    return next(quarters for quarters in nearest if not is_shown_to_lose(each[quarters], each[best], weights))


def is_shown_to_lose(losses: Floats, others: Floats, weights: Floats | None) -> bool:
    """Return whether the mean of losses (N,) is larger than that of others by more than two standard errors."""
    worse, count = losses - others, len(losses)
    mean = float(np.average(worse, weights=weights))
    shares = np.full(count, 1 / count) if weights is None else weights / weights.sum()
    error = math.sqrt(shares**2 @ (worse - mean) ** 2 * count / (count - 1)) if count > 1 else math.inf
    return mean > _SHOWN * error


def best_mix(net: NDArray[Any], ridge: NDArray[Any], base: Floats | None, loss: Callable[[Floats], float]) -> Mix:
    """Return the weights with the least loss of network, ridge and their linear base.

    Args:
        net: outputs for items that the network did not see, (N, K).
        ridge: the same of the ridge.
        base: the same of the base alone; None without a base.
        loss: mean loss of outputs.

    Example:
        >>> ones = np.ones((4, 1))
        >>> best_mix(4 * ones, -ones, 0 * ones, lambda outputs: float(((outputs - 1) ** 2).mean()))
        Mix(network=1, ridge=0, base=3)
    """
    parts = [net, ridge] if base is None else [net, ridge, base]
    every = (tried for tried in itertools.product(range(GRID + 1), repeat=len(parts)) if sum(tried) == GRID)
    return Mix(*min(every, key=lambda tried: loss(np.tensordot(tried, parts, axes=1) / GRID)))


def mixed(net: NDArray[Any], ridge: NDArray[Any], quarters: int, joint: str) -> Floats:
    """Return the scores (N, K) of a network and its ridge together.

    Args:
        net: scores (N, K).
        ridge: scores (N, K).
        quarters: weight of the ridge.
        joint: what answers are averaged as.
    """
    parts = [net] * (GRID - quarters) + [ridge] * quarters
    return np.asarray(joined(torch.from_numpy(np.stack(parts).astype(np.float32)), joint).numpy(), np.float64)
