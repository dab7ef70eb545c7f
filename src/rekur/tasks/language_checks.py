"""What can be said of a language model's options before any text is read, and of what is given as text."""

from __future__ import annotations

from sklearn.base import BaseEstimator

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


def check_options(model: BaseEstimator) -> None:
    """Raise for every option of a language model that is wrong whatever the texts are."""
    _check.choice("tokens", model.tokens, TOKENS)
    _check.no_unknown("feature option", _check.names("feature_options", model.feature_options), _TEXT_OPTIONS)
    for name in ("ngrams", "recall"):
        if getattr(model, name) is not None:
            _check.several(name, getattr(model, name))
    facts = recipe.Facts.of(model.tokens, 1_000_000, 100, model.get_params(deep=False))
    chosen = recipe.fill(model.get_params(deep=False), facts)
    rows = (2,) * len(chosen["ngrams"])
    borders = recipe.cutoffs(100) if chosen["softmax"] == "adaptive" else ()
    LanguageSpec(
        vocabulary_size=100, ngram_rows=rows, cutoffs=borders, **{name: chosen[name] for name in recipe.MODEL_OPTIONS}
    )
    TrainOptions(**{name: chosen[name] for name in TRAIN_OPTIONS})
    check_machine(model.accelerator, model.precision)
    for name in ("batch_size", "chunk_length"):
        _check.whole(name, chosen[name], low=1)
    _check.size("ngram_rows", chosen["ngram_rows"])
    _check.number("jitter", model.jitter, 0, 1, open_high=True)
    if model.valid_fraction is not None and _check.number("valid_fraction", model.valid_fraction, 0, 0.9) == 0:
        fix = "To choose the validation text yourself, give it with X_valid (--valid)."
        raise InputError(describe("valid_fraction", model.valid_fraction, "a number in (0, 0.9]", fix))
    for name in ("baseline", "verbose"):
        _check.flag(name, getattr(model, name))
    if model.reset is not None:
        _check.flag("reset", model.reset)


def check_vocabulary(features: TextFeatures) -> None:
    """Raise if there is nothing to tell apart in a text."""
    if features.size < recipe.FEWEST_TOKENS:
        fix = "With one symbol there is nothing to predict; check that the right text was read."
        if features.tokens_ in ("word", "bpe"):
            fix += " To read it letter by letter: tokens='char' (--tokens char)."
        only = features.vocabulary_[0]
        raise InputError(f"text: got only the symbol {only!r}; expected at least two different ones. {fix}")
