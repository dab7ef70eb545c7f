"""What a training will take, said before it starts: the time, the memory, and whether that fits.

Axes: B rows of a batch, T time.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rekur import _check
from rekur._clock import duration
from rekur._numbers import shown_bytes
from rekur.errors import InputError
from rekur.train.footprint import EstimatedPlan, available, copies, footprint, precision, to_device
from rekur.train.optim import make_optimiser
from rekur.train.options import TrainOptions
from rekur.train.waiting import Waiting

#: seconds that measuring time may take at most, and the share of the run after which there is enough of it
_SECONDS, _SHARE = 2.0, 0.02
#: fewest steps that are measured of a run of ten times as many or more; one step of a busy machine tells little
_STEPS = 4
#: how long an evaluation is, in training batches of an epoch
_EVALUATION = 0.1


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a training will take.

    Attributes:
        seconds: until it ends at the latest; None where it was not measured, as it does not fit.
        memory_bytes: what it takes beside what the process holds already.
        available_bytes: what there is for it; None where that is not known.
        rows: B of the largest batch.
        steps: T of the largest batch.
        rows_that_fit: the most rows that a batch of so many steps could have; ``rows`` or fewer.
        steps_that_fit: the most steps that one row could have; ``steps`` or fewer.
    """

    seconds: float | None
    memory_bytes: int
    available_bytes: int | None
    rows: int
    steps: int
    rows_that_fit: int
    steps_that_fit: int

    @property
    def fits(self) -> bool:
        """Whether it fits, as far as that is known."""
        return self.available_bytes is None or self.memory_bytes <= self.available_bytes


def estimate(model: nn.Module, plan: EstimatedPlan, options: TrainOptions) -> Estimate:
    """Measure a few steps on a copy of the model; the run that follows is the same, bit for bit, as without.

    Memory is counted exactly for weights, gradients, the optimiser's state and all copies, and measured on a few rows
    for what grows with the batch. Time is that of whole steps on the first batches; where the memory does not suffice
    none is taken.

    Args:
        model: the model, before training.
        plan: batches and loss; its state is put back.
        options: how the model will be trained.

    Returns:
        time and memory. The time is that of all epochs, and at most the time limit; a run whose score stops improving
        may end sooner.
    """
    device = _device(options)
    free = available(device)
    with _nothing_changed(plan, device), Waiting() as waiting:
        trial = copy.deepcopy(model).to(device)
        taken = footprint(trial, plan, options, device)
        seconds = None
        if free is None or taken.total <= free:
            seconds = _seconds(trial, plan, options, device, waiting)
    rows, steps = taken.rows, taken.steps
    if free is not None and taken.total > free:
        left = free - taken.fixed
        share = 1.0 if taken.rest <= free else max(0.0, free / taken.rest)
        rows = 0 if share < 1 else max(0, min(rows, left // max(1, taken.row)))
        steps = max(0, min(int(share * steps), steps * left // max(1, taken.row)))
    return Estimate(
        seconds=seconds,
        memory_bytes=taken.total,
        available_bytes=free,
        rows=taken.rows,
        steps=taken.steps,
        rows_that_fit=rows,
        steps_that_fit=steps,
    )


def describe_estimate(found: Estimate) -> str:
    """Return an estimate in words.

    Example:
        >>> describe_estimate(Estimate(seconds=200.0, memory_bytes=1_200_000_000, available_bytes=22_000_000_000,
        ...     rows=32, steps=100, rows_that_fit=32, steps_that_fit=100))
        'about 3m20s and 1.2 GB of memory (22.0 GB free)'
    """
    memory = f"{shown_bytes(found.memory_bytes)} of memory"
    if found.available_bytes is not None:
        memory += f" ({shown_bytes(found.available_bytes)} free)"
    return f"about {memory}" if found.seconds is None else f"about {duration(max(1.0, found.seconds))} and {memory}"


def refuse_what_cannot_fit(found: Estimate, *, steps_option: str = "max_length") -> None:
    """Raise if a training does not fit into memory, with the number that would.

    Args:
        found: what it will take.
        steps_option: the option that bounds the steps of a row, as the user knows it; empty for none.

    Raises:
        InputError: it does not fit.
    """
    if found.fits:
        return
    if found.rows_that_fit:
        fix = f"batch_size={found.rows_that_fit} would fit."
    elif found.steps_that_fit:
        fitting = f"{steps_option}={found.steps_that_fit}" if steps_option else f"items of {found.steps_that_fit} steps"
        fix = f"Even batch_size=1 would not fit; {fitting} with batch_size=1 would."
    else:
        fix = "No batch is small enough: make the model smaller."
    steps = f"{found.steps:,}".replace(",", " ")
    raise InputError(
        f"memory: got about {shown_bytes(found.memory_bytes)} for batch_size {found.rows} × {steps} steps; "
        f"expected at most {shown_bytes(found.available_bytes or 0)}, what this machine has free. {fix}"
    )


def check_weights(make: Callable[[int], nn.Module], hidden_size: int, options: TrainOptions) -> None:
    """Raise, before any weight is made, if a model's weights and the copies of them do not fit into memory.

    Args:
        make: returns the model with so many hidden units; it is called where tensors take no memory.
        hidden_size: the hidden units asked for.
        options: how it will be trained.

    Raises:
        InputError: they do not fit; the text has the hidden_size that would.

    Example:
        >>> check_weights(lambda hidden: nn.LSTM(8, hidden), 64, TrainOptions())
    """
    free = available(_device(options))

    def needed(size: int) -> int:
        try:
            with torch.device("meta"):
                return copies(make(size), options)
        except RuntimeError as error:
            if "overflow" not in str(error):
                raise
            return _check.LARGEST  # the bytes have no number of 64 bits

    if free is None or (wanted := needed(hidden_size)) <= free:
        return
    low, high = 0, hidden_size  # the largest that fits is in [low, high)
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        low, high = (middle, high) if needed(middle) <= free else (low, middle)
    smaller = "No hidden_size is small enough: make the other sizes or the vocabulary smaller."
    fix = f"hidden_size={low} would fit." if low else smaller
    raise InputError(
        f"memory: got about {shown_bytes(wanted)} for the weights of hidden_size {hidden_size} and the copies that "
        f"training keeps; expected at most {shown_bytes(free)}, what this machine has free. {fix}"
    )


def _seconds(
    trial: nn.Module, plan: EstimatedPlan, options: TrainOptions, device: torch.device, waiting: Waiting
) -> float:
    """Return how long all epochs take, from as many steps as are worth it; at most the time limit."""
    total = options.steps or plan.steps_per_epoch * options.epochs
    optimiser = make_optimiser(trial, options)
    spent: list[float] = []
    ahead = 0.0
    began = time.monotonic()
    plan.set_state({})
    for batch in plan.batches(1):
        start = time.monotonic()
        with precision(options, device):
            loss = plan.loss(trial, to_device(batch, device))
        float(loss.detach())  # waits for the device
        ahead = time.monotonic() - start
        loss.backward()  # type: ignore[no-untyped-call]
        float(nn.utils.clip_grad_norm_(trial.parameters(), options.clip or math.inf))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        spent.append(time.monotonic() - start)
        waiting.look(interval=0.0 if len(spent) == 1 else 0.1)
        passed = time.monotonic() - began
        if passed > _SECONDS or (passed > _SHARE * total * spent[-1] and len(spent) >= min(_STEPS, total // 10)):
            break
    used = spent[1:] or spent  # the first step makes ready what the others find
    step = sum(used) / len(used)
    evaluations, length = total / plan.evaluate_every, _EVALUATION * plan.steps_per_epoch
    seconds = total * step + evaluations * length * min(ahead, step)
    return min(seconds, options.time_limit) if options.time_limit else seconds


@contextmanager
def _nothing_changed(plan: EstimatedPlan, device: torch.device) -> Iterator[None]:
    """Put every random state and the plan's state back."""
    state, plain, numbers = plan.get_state(), random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            plan.set_state(state)
            random.setstate(plain)
            np.random.set_state(numbers)


def _device(options: TrainOptions) -> torch.device:
    if options.accelerator != "auto":
        return torch.device(options.accelerator)
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
