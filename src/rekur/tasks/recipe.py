"""The defaults: what an option that was left open becomes, by rules on the training data, the same everywhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

MODEL_OPTIONS = (
    "cell",
    "hidden_size",
    "num_layers",
    "bidirectional",
    "embedding_size",
    "kernel_size",
    "pooling",
    "token_dropout",
    "input_dropout",
    "input_noise",
    "dropout",
    "recurrent_dropout",
    "residual",
    "norm",
)
TRAIN_OPTIONS = (
    "epochs",
    "learning_rate",
    "weight_decay",
    "schedule",
    "warmup",
    "clip",
    "patience",
    "average",
    "seed",
    "precision",
    "accelerator",
    "time_limit",
)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the rules may look at.

    Attributes:
        items: number of training items.
        discrete: True for tokens, False for rows of numbers.
        median_length: steps of the middle item.
        outputs: number of scores.
    """

    items: int
    discrete: bool
    median_length: int
    outputs: int

    @classmethod
    def of(cls, lengths: NDArray[np.int64], discrete: bool, outputs: int) -> Self:
        """Return the facts of a training set."""
        return cls(len(lengths), discrete, int(np.median(lengths)), outputs)


def _batch_size(facts: Facts) -> int:
    """A power of two between 8 and 64, such that an epoch has some 30 steps or more where the data allow it."""
    return int(min(64, max(8, 2 ** round(math.log2(max(1, facts.items / 30))))))


def _epochs(facts: Facts) -> int:
    """As many as make about 3000 steps, between 10 and 100."""
    steps = max(1, facts.items // _batch_size(facts))
    return int(min(100, max(10, round(3000 / steps))))


RULES: dict[str, Callable[[Facts], Any]] = {
    "hidden_size": lambda facts: 128,
    "embedding_size": lambda facts: 128,
    "kernel_size": lambda facts: 0,
    "pooling": lambda facts: "mean+max",
    "token_dropout": lambda facts: 0.1 if facts.discrete else 0.0,
    "input_dropout": lambda facts: 0.3 if facts.discrete else 0.0,
    "input_noise": lambda facts: 0.0 if facts.discrete else 0.1,
    "dropout": lambda facts: 0.3,
    "batch_size": _batch_size,
    "epochs": _epochs,
    "learning_rate": lambda facts: 2e-3,
    "weight_decay": lambda facts: 1e-2,
    "patience": lambda facts: max(5, _epochs(facts) // 3),
    "average": lambda facts: 0.99,
    "label_smoothing": lambda facts: 0.05,
}


def fill(options: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the options with every one that is None and has a rule replaced by what its rule says."""
    return {name: RULES[name](facts) if value is None and name in RULES else value for name, value in options.items()}
