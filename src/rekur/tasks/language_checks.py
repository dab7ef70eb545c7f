"""What can be said of a language model's options before any text is read, and of what is given as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rekur import _check
from rekur.errors import InputError, describe
from rekur.features import TextFeatures
from rekur.models import LanguageSpec
from rekur.tasks import language_recipe as recipe
from rekur.tasks.early import check_machine
from rekur.tasks.recipe import TRAIN_OPTIONS
from rekur.train import TrainOptions

TOKENS = ("char", "byte", "word", "bpe")
_TEXT_OPTIONS = ("lowercase", "digits", "max_vocabulary", "min_count", "words")


def check_options(options: Mapping[str, Any]) -> None:
    """Raise for every option of a language model that is wrong whatever the texts are.

    Args:
        options: name -> value of every option.
    """
    _check.choice("tokens", options["tokens"], TOKENS)
    _check.no_unknown("feature option", _check.names("feature_options", options["feature_options"]), _TEXT_OPTIONS)
    for name in ("ngrams", "recall"):
        if options[name] is not None:
            _check.several(name, options[name])
    facts = recipe.Facts.of(options["tokens"], 1_000_000, 100, dict(options))
    chosen = recipe.fill(dict(options), facts)
    rows = (2,) * len(chosen["ngrams"])
    borders = recipe.cutoffs(100) if chosen["softmax"] == "adaptive" else ()
    LanguageSpec(
        vocabulary_size=100, ngram_rows=rows, cutoffs=borders, **{name: chosen[name] for name in recipe.MODEL_OPTIONS}
    )
    TrainOptions(**{name: chosen[name] for name in TRAIN_OPTIONS})
    check_machine(options["accelerator"], options["precision"])
    for name in ("batch_size", "chunk_length"):
        _check.whole(name, chosen[name], low=1)
    _check.size("ngram_rows", chosen["ngram_rows"])
    _check.number("jitter", options["jitter"], 0, 1, open_high=True)
    fraction = options["valid_fraction"]
    if fraction is not None and _check.number("valid_fraction", fraction, 0, 0.9) == 0:
        fix = "To choose the validation text yourself, give it with X_valid (--valid)."
        raise InputError(describe("valid_fraction", fraction, "a number in (0, 0.9]", fix))
    for name in ("baseline", "verbose"):
        _check.flag(name, options[name])
    if options["reset"] is not None:
        _check.flag("reset", options["reset"])


def check_vocabulary(features: TextFeatures) -> None:
    """Raise if there is nothing to tell apart in a text."""
    if features.size < recipe.FEWEST_TOKENS:
        fix = "With one symbol there is nothing to predict; check that the right text was read."
        if features.tokens_ in ("word", "bpe"):
            fix += " To read it letter by letter: tokens='char' (--tokens char)."
        only = features.vocabulary_[0]
        raise InputError(f"text: got only the symbol {only!r}; expected at least two different ones. {fix}")
