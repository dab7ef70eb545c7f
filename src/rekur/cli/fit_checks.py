"""Checks of the options of a training before PyTorch is imported: their ranges, and those that would have no effect."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import click

from rekur._options import Option, options_of
from rekur.cli.request import Request
from rekur.errors import InputError, describe
from rekur.tasks.base.options import no_effect
from rekur.tasks.catalog import CATALOG


def check_options(request: Request, searched: Mapping[str, str] | None = None, *, compared: bool = False) -> None:
    """Raise for an option of a training that is out of range or would have no effect.

    Args:
        request: the task and its options.
        searched: options that are varied, and their values as they were written.
        compared: whether models are only compared, so that they need no program.

    Raises:
        InputError: the message names the option.
    """
    from rekur.program.cells import NO_PROGRAM, TRANSFORMER  # NumPy is not imported for --help

    searched = searched or {}
    cells = [request.options.get("cell", ""), *searched.get("cell", "").split(",")]
    if not compared and TRANSFORMER in map(str.strip, cells):
        fix = f"{NO_PROGRAM} For example: rekur compare {request.task} FILE --cells lstm,{TRANSFORMER}"
        raise InputError(describe("--cell", TRANSFORMER, "a cell of `rekur cells`", fix))
    options, options_class = request.options, CATALOG[request.task].options_class()
    described = options_of(options_class)
    _refuse_both("steps", "epochs", options, searched)
    if request.valid:
        _refuse_both("valid_fraction", "valid", {**options, "valid": request.valid}, searched)
    _check_needs(described, options)
    for name, value, kinds in options_class.of_other_kinds(options):
        raise InputError(no_effect(_spelled(name, value), value, options["kind"], kinds))
    layers = options.get("num_layers", described["num_layers"].default if "num_layers" in described else None)
    if options.get("residual") and layers == 1 and "num_layers" not in searched:
        fix = "Add --num-layers 2."
        raise InputError(f"--residual: got it with one layer; expected two layers or more. {fix}")
    for name, needed in options_class.without_effect(options).items():
        value = {**options, **options.get("feature_options", {})}.get(name)
        if value is not None:
            raise InputError(describe(_spelled(name), value, f"none without {needed}"))
    options_class.check_values(options)


def _refuse_both(name: str, other: str, options: Mapping[str, Any], searched: Collection[str]) -> None:
    """Raise for two options if only one of them can have an effect."""
    if all(options.get(option) or option in searched for option in (name, other)):
        raise InputError(f"{_spelled(name)} and {_spelled(other)}: got both; expected one of them.")


def _check_needs(described: Mapping[str, Option], options: Mapping[str, Any]) -> None:
    """Raise for an option whose effect depends on a list that is empty."""
    for name, each in described.items():
        if each.needs and options.get(name) and options.get(each.needs) == []:
            expected, fix = f"none without {_spelled(each.needs)}", f"Name some with {_spelled(each.needs)}."
            raise InputError(describe(_spelled(name), options[name], expected, fix))


def _spelled(name: str, value: Any = True) -> str:
    """Return the spelling of an option on the command line; of a flag, the one for its value."""
    command = click.get_current_context().command
    param = next((param for param in command.params if param.name == name), None)
    names = [] if param is None else param.secondary_opts if value is False else param.opts
    return names[0] if names else f"--{name.replace('_', '-')}"
