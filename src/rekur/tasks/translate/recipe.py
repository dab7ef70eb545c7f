"""The defaults of a translator: options that were left open, by rules on the number of pairs and tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Facts(NamedTuple):
    """The facts that the rules look at.

    Attributes:
        pairs: number of training pairs.
        tokens: number of their target tokens, ends included.
        vocabulary: number of different target tokens that can be written.
        is_shared: whether both sides have one vocabulary.
        has_time_limit: whether the time of the training is limited.
    """

    pairs: int
    tokens: int
    vocabulary: int
    is_shared: bool
    has_time_limit: bool


#: steps of the optimizer after which the training of a large and of a small network has usually done what it can
_STEPS, _FEW_STEPS = 12_000, 4_000
_FEWEST_PASSES, _MOST_PASSES = 8, 40
#: passes at most where the time is limited, which then decides
_PASSES_IN_TIME = 1000
#: target tokens of a batch at most, and batches of a pass at least
_MOST_TOKENS, _BATCHES_A_PASS = 900, 60
#: target tokens over which the softmax is summed in training, and the vocabulary from which on that is much faster
_SAMPLES, _LARGE_VOCABULARY = 1_000, 3_000
#: target tokens from which on a large and a medium model pay
_MANY_TOKENS, _SOME_TOKENS = 200_000, 30_000


def _batch_steps(facts: Facts) -> int:
    longest = 16 * facts.tokens / max(1, facts.pairs)  # as many as 16 pairs have
    return int(min(_MOST_TOKENS, max(longest, facts.tokens / _BATCHES_A_PASS)))


def _epochs(facts: Facts) -> int:
    if facts.has_time_limit:
        return _PASSES_IN_TIME
    steps = math.ceil(facts.tokens / _batch_steps(facts))
    most_steps = _by_size(_STEPS, _FEW_STEPS, _FEW_STEPS)(facts)
    return int(min(_MOST_PASSES, max(_FEWEST_PASSES, round(most_steps / steps))))


def _by_size(large: float, medium: float, small: float) -> Callable[[Facts], float]:
    """Return the rule that gives one of three values by the number of target tokens."""

    def rule(facts: Facts) -> float:
        return large if facts.tokens >= _MANY_TOKENS else medium if facts.tokens >= _SOME_TOKENS else small

    return rule


def _samples(facts: Facts) -> int:
    return 0 if facts.vocabulary < _LARGE_VOCABULARY else _SAMPLES


RULES: dict[str, Callable[[Facts], Any]] = {
    "hidden_size": _by_size(256, 128, 64),
    "embedding_size": _by_size(256, 128, 64),
    "tying": lambda facts: "all" if facts.is_shared else "target",
    "input_dropout": _by_size(0.35, 0.2, 0.1),
    "dropout": lambda facts: 0.2,
    "state_dropout": _by_size(0.4, 0.2, 0.1),
    "output_dropout": _by_size(0.4, 0.2, 0.1),
    "samples": _samples,
    "batch_steps": _batch_steps,
    "epochs": _epochs,
    "learning_rate": _by_size(3e-3, 5e-3, 5e-3),
    "weight_decay": lambda facts: 1e-5,
    "patience": lambda facts: 0 if facts.has_time_limit else max(8, _epochs(facts) // 2),
    "average": _by_size(0.998, 0.99, 0.99),
}


def fill(options: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the options with every one that is None and has a rule replaced by its value.

    The decoder is by default as large as the encoder's outputs are wide.
    """
    filled = {name: RULES[name](facts) if value is None and name in RULES else value for name, value in options.items()}
    if filled["decoder_size"] is None:
        filled["decoder_size"] = filled["hidden_size"] * (2 if filled["bidirectional"] else 1)
    return filled
