"""Checks of the options of a training before PyTorch is imported: their ranges, and those that would have no effect."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

import click

from rekur.cli.request import Request
from rekur.errors import InputError, describe

#: options that have an effect on some kinds of items alone, and those kinds; features say it of their own options
_ONLY_FOR = {
    "embedding_size": ("text", "symbols"),
    "token_dropout": ("text", "symbols"),
    "bayes_start": ("text", "symbols"),
    "input_noise": ("series",),
}
#: options of a language model that have an effect only if a list is not empty
_NEEDS = {"ngram_rows": "ngrams", "ngram_dropout": "ngrams", "recall_slots": "recall"}


def check_options(request: Request, searched: Collection[str] = ()) -> None:
    """Raise for an option of a training that is out of range or would have no effect.

    Args:
        request: the task and its options.
        searched: options that a search varies.

    Raises:
        InputError: the message names the option.
    """
    from rekur.tasks.base.option_values import check_items_values, check_language_values

    options = request.options
    _refuse_both("steps", "epochs", options, searched)
    if request.valid:
        _refuse_both("valid_fraction", "valid", {**options, "valid": request.valid}, searched)
    if request.task == "language":
        _check_lists(options)
        check_language_values(options)
        return
    _check_kind(options["kind"], options)
    if options.get("residual") and options.get("num_layers", 1) == 1 and "num_layers" not in searched:
        fix = "Add --num-layers 2."
        raise InputError(f"--residual: got it with one layer; expected two layers or more. {fix}")
    check_items_values(options)


def _refuse_both(name: str, other: str, options: Mapping[str, Any], searched: Collection[str]) -> None:
    """Raise for two options if only one of them can have an effect."""
    if all(options.get(option) or option in searched for option in (name, other)):
        raise InputError(f"{_spelled(name)} and {_spelled(other)}: got both; expected one of them.")


def _check_kind(kind: str, options: Mapping[str, Any]) -> None:
    """Raise for an option that has no effect on items of a kind."""
    from rekur.features import FEATURES

    names_of = {name: inspect.signature(features).parameters for name, features in FEATURES.items()}
    taken = {name: set(names) for name, names in names_of.items() if name != "words"}
    features: Mapping[str, Any] = options.get("feature_options", {})
    kinds = {name: [each for each, names in taken.items() if name in names] for name in features}
    for name, value in {**options, **features}.items():
        fitting = kinds.get(name) or _ONLY_FOR.get(name, (kind,))
        has_effect = name in features or value not in (0, False)
        if kind not in fitting and has_effect:
            fix = f"It is for {' and '.join(fitting)}."
            raise InputError(describe(_spelled(name, value), value, f"none for {kind}", fix))


def _check_lists(options: Mapping[str, Any]) -> None:
    for name, needed in _NEEDS.items():
        if options.get(name) and options.get(needed) == []:
            expected = f"none without {_spelled(needed)}"
            raise InputError(describe(_spelled(name), options[name], expected, f"Name some with {_spelled(needed)}."))


def _spelled(name: str, value: Any = True) -> str:
    """Return the spelling of an option on the command line; of a flag, the one for its value."""
    command = click.get_current_context().command
    param = next((param for param in command.params if param.name == name), None)
    names = [] if param is None else param.secondary_opts if value is False else param.opts
    return names[0] if names else f"--{name.replace('_', '-')}"
