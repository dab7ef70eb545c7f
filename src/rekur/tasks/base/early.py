"""What can be said of options before any data are read, and of data before any hour is spent on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rekur.cells import RecurrentDropout, make_cell
from rekur.errors import InputError, describe
from rekur.models import count_parameters
from rekur.models.making import making
from rekur.tasks.base.options import TRAIN_OPTIONS, check_precision
from rekur.train import Reporter, TrainOptions
from rekur.train.estimate import check_weights, describe_estimate, estimate, refuse_what_cannot_fit

#: an item of more steps than this, and than this many times the middle one, is worth a warning
LONG_STEPS, LONG_RATIO = 5_000, 20


def check_options(options: Mapping[str, Any]) -> None:
    """Raise for every option of a task of items that its cell or this machine cannot have.

    Args:
        options: name -> value of every option; each is in its range.

    Raises:
        InputError: the message names the option.
    """
    _check_recurrent_dropout(options["cell"] or "lstm", options["recurrent_dropout"])
    check_machine(options["accelerator"], options["precision"])


def _check_recurrent_dropout(cell: str, chance: float) -> None:
    if not chance:
        return
    try:
        with making(None):
            RecurrentDropout(make_cell(cell, 8, 8), chance)
    except InputError as error:
        fix = "Its state enters no product that could be masked; use dropout instead."
        raise InputError(describe("recurrent_dropout", chance, f"0 with the cell '{cell}'", fix)) from error


def check_machine(accelerator: str, precision: str) -> None:
    """Raise if this machine has no such accelerator, or the accelerator no such precision.

    Raises:
        InputError: the message names what would do.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if (accelerator == "cuda" and not cuda) or (accelerator == "mps" and not mps):
        raise InputError(describe("accelerator", accelerator, "one that this machine has", "Use 'auto' or 'cpu'."))
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not (cuda or mps))
    check_precision(precision, on_cpu)


def check_model_size(make: Callable[[Any], nn.Module], spec: Any, chosen: Mapping[str, Any]) -> None:
    """Raise, before any weight is made, if a model and the copies that training keeps do not fit into memory.

    Args:
        make: returns the untrained model of a specification.
        spec: what it is made of.
        chosen: all options of the training.
    """
    options = TrainOptions(**{name: chosen[name] for name in TRAIN_OPTIONS})
    check_weights(lambda hidden: make(dataclasses.replace(spec, hidden_size=hidden)), spec.hidden_size, options)


def announce(
    model: nn.Module, plan: Any, options: TrainOptions, reporter: Reporter, data: str, *, steps_option: str
) -> None:
    """Tell the size of a training, its time and its memory, and refuse one that does not fit.

    Args:
        model: before training.
        plan: its batches and loss.
        options: how it will be trained.
        reporter: whom to tell.
        data: the data, in words.
        steps_option: the option that bounds the steps of a row; empty for none.

    Raises:
        InputError: it does not fit into memory; the message has the number that would.
    """
    estimated = estimate(model, plan, options)
    refuse_what_cannot_fit(estimated, steps_option=steps_option)
    reporter.say(f"{count_parameters(model):,} weights; {data}")
    reporter.say(f"training takes {describe_estimate(estimated)}")


def long_item_warning(lengths: NDArray[np.int64], discrete: bool, steps_option: str = "max_length") -> str | None:
    """Return a warning where one item is far longer than the middle one, or None.

    Args:
        lengths: steps of every item, (N,).
        discrete: True for tokens, False for series, which no option cuts.
        steps_option: the option that cuts items of tokens; empty for none.

    Example:
        >>> long_item_warning(np.array([10, 12, 9]), True) is None
        True
    """
    longest, middle = int(lengths.max()), int(np.median(lengths))
    if longest <= max(LONG_STEPS, LONG_RATIO * middle):
        return None
    fix = "Cut it before training." if discrete else "Cut the series before training."
    if discrete and steps_option:
        fix = f"Cut items with --{steps_option.replace('_', '-')} {max(100, 4 * middle)}."
    return (
        f"warning: the longest item has {longest:,} steps, the middle one {middle:,}; "
        f"time and memory grow with the longest. {fix}"
    )
