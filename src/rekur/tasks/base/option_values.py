"""The ranges of options that need neither data nor PyTorch, so that a wrong one is refused at once.

Options are given as name -> value; those that are absent have their defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

from rekur import _check
from rekur.errors import InputError, describe
from rekur.features import FEATURES, TextFeatures, make_features
from rekur.models.language_spec import LanguageSpec
from rekur.models.spec import SequenceSpec
from rekur.program.cells import KINDS as CELLS
from rekur.tasks.base import recipe
from rekur.tasks.language import language_recipe
from rekur.train.options import TrainOptions

KINDS = ("auto", "text", "series", "symbols")
TOKENS = ("char", "byte", "word", "bpe")
_TEXT_OPTIONS = ("lowercase", "digits", "max_vocabulary", "min_count", "words")


def check_items_values(options: Mapping[str, Any]) -> None:
    """Raise for each option of a task with one answer for each item that is out of range.

    Args:
        options: as :class:`rekur.tasks.SequenceEstimator` takes them, and those of one task.

    Raises:
        InputError: the message names the option and its range.
    """
    kind = _check.choice("kind", options.get("kind", "auto"), KINDS)
    _check_features(kind, _check.names("feature_options", options.get("feature_options")))
    values = _open_left_out(options, recipe.RULES)
    sizes = {"cell": "lstm", "hidden_size": 1, **_some(values, recipe.MODEL_OPTIONS)}
    _check.choice("cell", sizes["cell"], CELLS)
    SequenceSpec(discrete=True, input_size=2, output_size=2, **sizes)
    if "pooling" in values:
        _check.pooling("pooling", values["pooling"])
    _check_training(values)
    _check.flag("multi_label", values.get("multi_label", False))
    if values.get("class_weight") is not None:
        _check.choice("class_weight", values["class_weight"], ("balanced",))
    _check.number("label_smoothing", values.get("label_smoothing", 0), 0, 1, open_high=True)
    _check.number("bayes_start", values.get("bayes_start", 0), 0)
    _check_share(values.get("valid_fraction", 0.1), "items")


def check_language_values(options: Mapping[str, Any]) -> None:
    """Raise for each option of a language model that is out of range.

    Args:
        options: as :class:`rekur.LanguageModel` takes them.

    Raises:
        InputError: the message names the option and its range.
    """
    tokens = _check.choice("tokens", options.get("tokens", "char"), TOKENS)
    features = _check.names("feature_options", options.get("feature_options"))
    _check.no_unknown("feature option", features, _TEXT_OPTIONS)
    TextFeatures(tokens, **{**language_recipe.text_options(tokens), **features})
    values = _open_left_out(options, language_recipe.RULES)
    sizes = _some(values, language_recipe.MODEL_OPTIONS)
    _check.choice("cell", sizes.get("cell", "lstm"), CELLS)
    for name in ("ngrams", "recall"):
        sizes[name] = _check.several(name, sizes.get(name, ()))
    borders = language_recipe.cutoffs(100) if sizes.get("softmax") == "adaptive" else ()
    LanguageSpec(vocabulary_size=100, ngram_rows=(2,) * len(sizes["ngrams"]), cutoffs=borders, **sizes)
    _check_training(values)
    _check.whole("chunk_length", values.get("chunk_length", 1), low=1)
    _check.size("ngram_rows", values.get("ngram_rows", 1))
    _check.number("jitter", values.get("jitter", 0), 0, 1, open_high=True)
    if values.get("valid_fraction") is not None:
        _check_share(values["valid_fraction"], "text")
    if values.get("reset") is not None:
        _check.flag("reset", values["reset"])


def check_precision(precision: str, on_cpu: bool) -> None:
    """Raise if training cannot run at a precision.

    Args:
        precision: one of ``rekur.train.options.PRECISIONS``.
        on_cpu: whether training runs on the CPU.
    """
    if precision == "16-mixed" and on_cpu:
        expected = "'32-true' or 'bf16-mixed' where training runs on the CPU"
        raise InputError(describe("precision", precision, expected, "float16 is for GPUs."))


def _check_training(values: Mapping[str, Any]) -> None:
    options = TrainOptions(**_some(values, recipe.TRAIN_OPTIONS))
    check_precision(options.precision, options.accelerator == "cpu")
    _check.whole("batch_size", values.get("batch_size", 1), low=1)
    for name in ("baseline", "verbose"):
        _check.flag(name, values.get(name, False))


def _check_share(fraction: Any, items: str) -> None:
    if _check.number("valid_fraction", fraction, 0, 0.9) == 0:
        them = "it" if items == "text" else "them"
        fix = f"To choose the validation {items} yourself, give {them} with X_valid (--valid)."
        raise InputError(describe("valid_fraction", fraction, "a number in (0, 0.9]", fix))


def _check_features(kind: str, options: Mapping[str, Any]) -> None:
    if kind != "auto":
        make_features(kind, **options)
        return
    names = sorted({name for items in KINDS[1:] for name in inspect.signature(FEATURES[items]).parameters})
    _check.no_unknown("feature option", options, names)


def _open_left_out(options: Mapping[str, Any], rules: Collection[str]) -> dict[str, Any]:
    """Return the options without those that a rule is left to choose."""
    return {name: value for name, value in options.items() if value is not None or name not in rules}


def _some(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}
