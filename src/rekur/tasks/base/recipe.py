"""The defaults: what an option that was left open becomes, by rules on the training data, the same everywhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur.features import Features


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the rules may look at.

    Attributes:
        items: number of training items.
        steps: ``words`` (pieces of words among them), ``letters`` (characters, bytes, symbols), ``motifs`` (letters
            in long sequences) or ``numbers``.
        size: tokens in the vocabulary, or numbers a step.
        outputs: number of scores.
        length: steps of the middle item.
    """

    items: int
    steps: str
    size: int
    outputs: int
    length: int = 0

    @classmethod
    def of(cls, lengths: NDArray[np.int64], features: Features, outputs: int) -> Self:
        """Return the facts of a training set."""
        length = int(np.median(lengths)) if len(lengths) else 0
        if not features.is_discrete:
            steps = "numbers"
        elif getattr(features, "tokens_", "") in ("word", "bpe"):
            steps = "words"
        else:
            steps = "motifs" if length >= _MOTIF_LENGTH else "letters"
        return cls(len(lengths), steps, features.size, outputs, length)


#: steps of the optimiser after which training has usually done what it can, and passes at least
_BUDGET = {"words": 800, "letters": 4500, "motifs": 2500, "numbers": 3000}
_FEWEST_PASSES = {"words": 6, "letters": 8, "motifs": 8, "numbers": 10}
#: the middle length from which letters are motifs: in DNA, say, three together mean something
_MOTIF_LENGTH = 32
#: the middle length from which letters are read a few at a time: what stood some steps ago is then learnt sooner, while
#: words as short as names gain nothing
_WINDOW_LENGTH = 16
_MOST_PASSES = {"words": 40, "letters": 120, "motifs": 120, "numbers": 120}
#: from here on, a few passes are enough, and a larger model pays
_MANY_ITEMS = 50_000


def _batch_size(facts: Facts) -> int:
    """A power of two between 16 and 64, so that an epoch has some 64 steps where the data allow it."""
    return int(min(64, max(16, 2 ** round(math.log2(max(1, facts.items / 64))))))


def _epochs(facts: Facts) -> int:
    """As many as make the budget of steps; of words, more where there are more classes to tell apart."""
    steps = max(1, math.ceil(facts.items / _batch_size(facts)))
    fewest = 3 if facts.items > _MANY_ITEMS else _FEWEST_PASSES[facts.steps]
    classes = max(1.0, math.log2(max(1, facts.outputs))) if facts.steps == "words" else 1.0
    return int(min(_MOST_PASSES[facts.steps], max(fewest, round(classes * _BUDGET[facts.steps] / steps))))


def _hidden_size(facts: Facts) -> int:
    """Words carry much by themselves; single letters little, so that their model must remember more."""
    sizes = {"words": 64 if facts.items <= _MANY_ITEMS else 128, "letters": 256}
    return sizes.get(facts.steps, 128)


def _kernel_size(facts: Facts) -> int:
    """Letters of items that are not short are read a few at a time, motifs in DNA fewer."""
    if facts.steps == "letters":
        return 9 if facts.length >= _WINDOW_LENGTH else 0
    return 5 if facts.steps == "motifs" else 0


def _by(words: float, letters: float, motifs: float, numbers: float) -> Callable[[Facts], float]:
    values = {"words": words, "letters": letters, "motifs": motifs, "numbers": numbers}
    return lambda facts: values[facts.steps]


def _input_dropout(facts: Facts) -> float:
    """Of a few channels none can be spared."""
    return 0.0 if facts.steps == "numbers" and facts.size < 4 else _by(0.4, 0.0, 0.1, 0.3)(facts)


RULES: dict[str, Callable[[Facts], Any]] = {
    "cell": lambda facts: "lstm",
    "hidden_size": _hidden_size,
    "embedding_size": lambda facts: 64,
    "kernel_size": _kernel_size,
    "pooling": lambda facts: "last+mean+max",
    "token_dropout": _by(0.2, 0.05, 0.1, 0.0),
    "input_dropout": _input_dropout,
    "input_noise": _by(0.0, 0.0, 0.0, 0.1),
    "dropout": lambda facts: 0.5,
    "batch_size": _batch_size,
    "epochs": _epochs,
    "learning_rate": _by(2e-3, 4e-3, 2e-3, 2e-3),
    "weight_decay": lambda facts: 1e-2,
    # the rate falls to nothing over the epochs planned: stop before only if that is clearly hopeless
    "patience": lambda facts: max(8, _epochs(facts) // 2),
    "average": _by(0.99, 0.998, 0.99, 0.99),
    "label_smoothing": _by(0.05, 0.1, 0.0, 0.0),
    "bayes_start": _by(0.5, 0.0, 0.0, 0.0),
}


def fill(options: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the options with every one that is None and has a rule replaced by what its rule says."""
    return {name: RULES[name](facts) if value is None and name in RULES else value for name, value in options.items()}
