"""The defaults of language models: what an option that was left open becomes, by rules, the same everywhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from rekur.errors import InputError, OptionError, describe

if TYPE_CHECKING:
    from rekur.features import TextFeatures

#: padding, unknown and two that can be told apart
FEWEST_TOKENS = 4
#: tokens that are counted for what is frequent, from the start of the text
MOST_COUNTED = 20_000_000
#: how often a run of tokens must occur to have a vector of its own
LEAST_COUNT = 8
#: tokens that the baseline looks at, the predicted one among them
BASELINE_ORDER = {"char": 5, "byte": 5, "word": 3, "bpe": 3}


#: share of a text that is held out for validation
VALID_FRACTION = 0.1
#: tokens below which a text is learnt by heart: nothing of it is held out, and nothing keeps the network from
#: remembering all of it; and characters below which it may have so few tokens
SHORT, SHORT_CHARACTERS = 200, 4_000
#: tokens that no two texts have in common by chance
NO_CHANCE = {"char": 128, "byte": 128, "word": 32, "bpe": 32}


#: tokens of a text in which so much comes again that recalling it tells more; in short ones it invites to go in circles
_LONG = 4_000
#: passes where nothing else is said, and those up to which a text counts as read a few times
_PASSES, _FEW_PASSES = 12, 6
#: tokens a second that two cores train on, about: what a time limit means
_PACE, _WORDS_PACE = 24_000.0, 8_000.0


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the rules may look at.

    Attributes:
        kind: ``char``, ``byte``, ``word`` or ``bpe``.
        tokens: number of training tokens.
        size: tokens in the vocabulary.
        budget: tokens that training will read, all passes together.
        stretch: tokens between two places where the state begins anew, on average.
        vector_size: size of the trained vectors that words begin with; 0 without.
    """

    kind: str
    tokens: int
    size: int
    budget: float
    stretch: float
    vector_size: int = 0

    @classmethod
    def of(
        cls, kind: str, tokens: int, size: int, options: dict[str, Any], documents: int = 1, vector_size: int = 0
    ) -> Self:
        """Return the facts of a training text under the options given, of so many documents by themselves."""
        budget = float(tokens * (options["epochs"] or _PASSES))
        if options["steps"] and options["batch_size"] and options["chunk_length"]:
            budget = float(options["steps"] * options["batch_size"] * options["chunk_length"])
        if options["time_limit"]:
            pace = _PACE if kind in ("char", "byte") else _WORDS_PACE
            budget = min(budget if options["epochs"] or options["steps"] else math.inf, pace * options["time_limit"])
        return cls(kind, tokens, size, budget, tokens / max(1, documents), vector_size)

    @property
    def passes(self) -> float:
        """How often each token will be read, about."""
        return self.budget / max(1, self.tokens)


def text_options(kind: str) -> dict[str, Any]:
    """Return the options of the text features, so that what is generated reads like what was read."""
    if kind == "word":
        return {"lowercase": False, "digits": "keep", "max_vocabulary": 50_000, "words": "auto", "lines": True}
    return {}


def cutoffs(size: int) -> tuple[int, ...]:
    """Return where the clusters of an adaptive softmax begin: two thousand tokens are most of a text.

    Example:
        >>> cutoffs(33_000), cutoffs(400)
        ((2000, 10000), (100,))
    """
    return tuple(border for border in (2_000, 10_000, 50_000) if border < size) or (max(2, size // 4),)


def check_vocabulary(features: TextFeatures) -> None:
    """Raise if there is nothing to tell apart in a text."""
    if features.size < FEWEST_TOKENS:
        most, least = features.max_vocabulary, features.min_count
        if most is not None and most < FEWEST_TOKENS:
            expected = f"{FEWEST_TOKENS} or more: padding, the unknown, and two tokens to tell apart"
            raise OptionError(describe("max_vocabulary", most, expected, "It counts all four (--max-vocabulary)."))
        if least is not None and features.known_share_ < 1:
            expected = "a number of times that two tokens or more occur in the text"
            raise OptionError(describe("min_count", least, expected, "Use a smaller one (--min-count)."))
        fix = "With one symbol there is nothing to predict; check that the right text was read."
        if features.tokens_ in ("word", "bpe"):
            fix += " To read it letter by letter: tokens='char' (--tokens char)."
        only = features.vocabulary_[0]
        raise InputError(f"text: got only the symbol {only!r}; expected at least two different ones. {fix}")


def _letters(facts: Facts) -> bool:
    return facts.kind in ("char", "byte")


def _batch_size(facts: Facts) -> int:
    """Thirty-two streams, fewer of a short text, so that each has some chunks."""
    return int(max(1, min(32, facts.tokens // 512)))


def _chunk_length(facts: Facts) -> int:
    return int(max(2, min(128 if _letters(facts) else 70, facts.tokens // (4 * _batch_size(facts)))))


def _few_passes(facts: Facts) -> bool:
    """Few passes over letters: counting helps more than it harms. Of many, what was counted is learnt by heart."""
    return _letters(facts) and facts.passes <= _FEW_PASSES


def _by_passes(few: float, many: float, words: float, words_often: float) -> Callable[[Facts], float]:
    def rule(facts: Facts) -> float:
        if _letters(facts):
            return few if _few_passes(facts) else many
        return words if facts.passes <= _FEW_PASSES else words_often

    return rule


RULES: dict[str, Callable[[Facts], Any]] = {
    "hidden_size": lambda facts: 384 if _few_passes(facts) else 512,
    "num_layers": lambda facts: 1,
    "embedding_size": lambda facts: 64 if _letters(facts) else max(256, facts.vector_size),
    "ngrams": lambda facts: (2, 3, 4, 5, 6) if _few_passes(facts) else (),
    "ngram_rows": lambda facts: 65_536,
    "ngram_dropout": lambda facts: 0.4,
    "recall": lambda facts: (3, 4, 5, 6) if _letters(facts) and facts.stretch >= _LONG else (),
    "tied": lambda facts: not _letters(facts),
    "softmax": lambda facts: "full" if facts.size < 5000 else "sampled",
    "row_dropout": _by_passes(0.0, 0.0, 0.1, 0.1),
    "input_dropout": _by_passes(0.0, 0.1, 0.25, 0.4),
    "dropout": lambda facts: 0.1,
    "output_dropout": _by_passes(0.3, 0.4, 0.3, 0.4),
    "weight_dropout": lambda facts: 0.0,
    "batch_size": _batch_size,
    "chunk_length": _chunk_length,
    "epochs": lambda facts: max(_PASSES, math.ceil(2 * facts.passes)),
    "learning_rate": lambda facts: 6e-3 if _letters(facts) else 3e-3,
    "weight_decay": lambda facts: 1e-2,
    "patience": lambda facts: 0,
    "average": lambda facts: 0.998,
    "warmup": lambda facts: 0.02,
}


#: the rules of a text with fewer than ``SHORT`` tokens: one stream, a small network, and no means against overfitting
BY_HEART: dict[str, Callable[[Facts], Any]] = {
    "hidden_size": lambda facts: 64,
    "embedding_size": lambda facts: max(32, facts.vector_size),
    "ngrams": lambda facts: (),
    "recall": lambda facts: (),
    "row_dropout": lambda facts: 0.0,
    "input_dropout": lambda facts: 0.0,
    "dropout": lambda facts: 0.0,
    "output_dropout": lambda facts: 0.0,
    "batch_size": lambda facts: 1,
    "chunk_length": lambda facts: facts.tokens,
    "epochs": lambda facts: 300,
    "learning_rate": lambda facts: 2e-2,
    "weight_decay": lambda facts: 0.0,
    "average": lambda facts: 0.0,
    "warmup": lambda facts: 0.2,  # a fast start leaves the mLSTM on a plateau
}


def by_heart_note(tokens: int) -> str:
    """Return what a person is told of a text with so few tokens."""
    return (
        f"The text has {tokens} tokens, too few to hold any out for validation (fewer than {SHORT}): "
        "it is learnt by heart, and scores are those on the training text."
    )


def fill(options: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the options with every one that is None and has a rule replaced by what its rule says."""
    rules = {**RULES, **BY_HEART} if facts.tokens < SHORT else RULES
    return {name: rules[name](facts) if value is None and name in rules else value for name, value in options.items()}
