"""The defaults of a tagger: options that were left open, by rules on the number of words and sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Facts(NamedTuple):
    """The facts that the rules look at.

    Attributes:
        sentences: number of training sentences.
        words: number of their words, or rows of numbers.
        of_words: whether a step is a word, and not a row of numbers.
    """

    sentences: int
    words: int
    of_words: bool = True

    @classmethod
    def of(cls, lengths: NDArray[np.int64], *, of_words: bool = True) -> Facts:
        """Return the facts of a training set with items of these lengths."""
        return cls(len(lengths), int(lengths.sum()), of_words)


#: passes times the root of the number of batches of a pass, where the bounds of passes allow it
_PASSES = 230
#: passes times the root of the number of rows, likewise
_PASSES_OF_ROWS = 6300
_FEWEST_PASSES, _MOST_PASSES = 5, 60
#: words of a batch at most, and sentences of it at least, about
_MOST_WORDS, _MOST_ROWS, _FEWEST_SENTENCES = 1000, 1500, 8
#: batches of a pass at least, where there are sentences enough
_BATCHES_A_PASS = 100
#: chunks of a lane in a pass at least
CHUNKS_A_PASS = 30
#: words from which on the largest model pays, whole words may be missed, and a model of middle size pays
_MANY_WORDS, _SOME_WORDS, _FEW_WORDS = 100_000, 40_000, 8_000


def _batch_steps(facts: Facts) -> int:
    few = _FEWEST_SENTENCES * facts.words / max(1, facts.sentences)
    return int(min(_MOST_WORDS, max(1, few, facts.words / _BATCHES_A_PASS)))


def _epochs(facts: Facts) -> int:
    """Return more passes where a pass has fewer batches, but fewer batches in all."""
    return _within_bounds(_PASSES / max(1.0, facts.words / _batch_steps(facts)) ** 0.5)


def _epochs_of_rows(facts: Facts) -> int:
    return _within_bounds(_PASSES_OF_ROWS / max(1, facts.words) ** 0.5)


def _within_bounds(passes: float) -> int:
    return int(min(_MOST_PASSES, max(_FEWEST_PASSES, round(passes))))


def _hidden_size(facts: Facts) -> int:
    return 192 if facts.words >= _MANY_WORDS else 128 if facts.words >= _FEW_WORDS else 96


def _word_dropout(facts: Facts) -> float:
    """Regularize long trainings only: in few steps a network that misses words learns too little."""
    return 0.1 if facts.words >= _SOME_WORDS else 0.0


def _against_rote(usual: float, strict: float, many: float | None = None) -> Callable[[Facts], float]:
    """Return a rule that is strict where words are soon learned by heart: few of them, in many steps.

    Args:
        usual: value of the option.
        strict: its value for some words.
        many: its value for many words; None for the usual one.
    """
    of_many = usual if many is None else many

    def rule(facts: Facts) -> float:
        return of_many if facts.words >= _MANY_WORDS else strict if facts.words >= _FEW_WORDS else usual

    return rule


RULES: dict[str, Callable[[Facts], Any]] = {
    "hidden_size": _hidden_size,
    "embedding_size": _against_rote(96, 48),
    "part_size": _against_rote(32, 16),
    "projection_size": lambda facts: 256,
    "token_dropout": _against_rote(0.25, 0.5),
    "input_dropout": _against_rote(0.3, 0.4, 0.1),
    "dropout": _against_rote(0.4, 0.5, 0.2),
    "batch_steps": _batch_steps,
    "word_dropout": _word_dropout,
    "epochs": _epochs,
    "learning_rate": lambda facts: 3e-3,
    "weight_decay": lambda facts: 0.1,
    "patience": lambda facts: max(8, _epochs(facts) // 2),
    "average": _against_rote(0.995, 0.998),
}


#: the rules that differ where a step is a row of numbers
OF_ROWS: dict[str, Callable[[Facts], Any]] = {
    "chunk_length": lambda facts: 256,
    "batch_steps": lambda facts: int(min(_MOST_ROWS, max(1, facts.words / _BATCHES_A_PASS))),
    "epochs": _epochs_of_rows,
    "patience": lambda facts: max(8, _epochs_of_rows(facts) // 2),
    "token_dropout": lambda facts: 0.0,
    "word_dropout": lambda facts: 0.0,
    "weight_decay": lambda facts: 1e-2,
    "hidden_size": lambda facts: 64,
    "projection_size": lambda facts: 64,
    "input_dropout": lambda facts: 0.0,
    "dropout": lambda facts: 0.2,
    "average": lambda facts: 0.995,
}


def fill(options: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Return the options with every one that is None and has a rule replaced by its value."""
    rules = RULES if facts.of_words else RULES | OF_ROWS
    filled = {name: rules[name](facts) if value is None and name in rules else value for name, value in options.items()}
    if filled.get("residual", False) is None:
        filled["residual"] = filled["num_layers"] > 1
    return filled
