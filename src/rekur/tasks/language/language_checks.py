"""What can be said of a language model's options before any text is read, and of what is given as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rekur.errors import InputError, OptionError, describe
from rekur.features import TextFeatures
from rekur.tasks.base.early import check_machine
from rekur.tasks.base.option_values import check_language_values
from rekur.tasks.language import language_recipe as recipe


def check_options(options: Mapping[str, Any]) -> None:
    """Raise for every option of a language model that is wrong whatever the texts are.

    Args:
        options: name -> value of every option.
    """
    check_language_values(options)
    check_machine(options["accelerator"], options["precision"])


def check_vocabulary(features: TextFeatures) -> None:
    """Raise if there is nothing to tell apart in a text."""
    if features.size < recipe.FEWEST_TOKENS:
        most, least = features.max_vocabulary, features.min_count
        if most is not None and most < recipe.FEWEST_TOKENS:
            expected = f"{recipe.FEWEST_TOKENS} or more: padding, the unknown, and two tokens to tell apart"
            raise OptionError(describe("max_vocabulary", most, expected, "It counts all four (--max-vocabulary)."))
        if least is not None and features.known_share_ < 1:
            expected = "a number of times that two tokens or more occur in the text"
            raise OptionError(describe("min_count", least, expected, "Use a smaller one (--min-count)."))
        fix = "With one symbol there is nothing to predict; check that the right text was read."
        if features.tokens_ in ("word", "bpe"):
            fix += " To read it letter by letter: tokens='char' (--tokens char)."
        only = features.vocabulary_[0]
        raise InputError(f"text: got only the symbol {only!r}; expected at least two different ones. {fix}")
