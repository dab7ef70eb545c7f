"""The memory that a training takes, measured on a few rows, and what there is of it.

Axes: B rows of a batch, T time.
"""

from __future__ import annotations

import itertools
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from rekur._memory import available_memory
from rekur.train.options import TrainOptions
from rekur.train.plan import Plan
from rekur.train.world import current

#: a pass that counts memory may take so many seconds that a second one is worth it, and hold so many bytes
_QUICK, _SMALL = 0.3, 128_000_000
#: measured: what a process grows by, beside what its tensors hold at once, for allocators and buffers of libraries
MARGIN, BUFFERS = 1.1, 30_000_000


class EstimatedPlan(Plan, Protocol):
    """A plan that knows its largest batch, which an estimate needs."""

    def largest_batch(self) -> tuple[int, int]:
        """Return rows and steps of the largest batch of training."""
        ...


@dataclass(frozen=True)
class Footprint:
    """What a training holds beside what the process held before.

    Attributes:
        rows: B of the largest batch.
        steps: T of the largest batch.
        fixed: bytes during a step whatever the batch: weights, gradients, the optimiser's state, copies.
        row: bytes that a row of the largest batch adds to a step.
        rest: bytes between steps, when copies are made or an evaluation runs.
    """

    rows: int
    steps: int
    fixed: int
    row: int
    rest: int

    @property
    def total(self) -> int:
        """The most bytes at once."""
        return max(self.fixed + self.rows * self.row, self.rest)


def footprint(trial: nn.Module, plan: EstimatedPlan, options: TrainOptions, device: torch.device) -> Footprint:
    """Return the memory of a training, from one or two passes over a few rows.

    Args:
        trial: a copy of the model on its device, in training mode; its gradients are dropped.
        plan: batches and loss; it is left at the start of an epoch.
        options: how the model will be trained.
        device: where.
    """
    rows, steps = plan.largest_batch()
    batch = _shortest(plan)
    longer = steps / shape_of(batch)[1]
    weights, gradients = _sizes(trial)
    base, row = _in_step(trial, plan, batch, options, device)
    evaluation = _peak(trial, plan, first_rows(batch, 1), options, device, evaluate=True)
    evaluation *= rows * steps // shape_of(batch)[1]
    # an average stands in for the weights during an evaluation; a copy to go back to is made before the last is dropped
    rest = max(evaluation + (weights if options.average else 0), 2 * gradients)
    kept = copies(trial, options) - gradients
    sizes = [kept + base, row * longer, kept + rest]
    fixed, each, between = (round(MARGIN * size) for size in sizes)
    return Footprint(rows, steps, fixed + BUFFERS, each, between + BUFFERS)


def copies(model: nn.Module, options: TrainOptions) -> int:
    """Return the bytes of the weights, their gradients and of all that is kept of either size."""
    weights, gradients = _sizes(model)
    optimiser, to_go_back, best = 2 * gradients, weights + 2 * gradients, weights
    average = weights if options.average else 0
    travelling = gradients if current().size > 1 else 0
    return weights + gradients + optimiser + to_go_back + best + average + travelling


def available(device: torch.device) -> int | None:
    """Return the bytes that this process may still take where the model will be, or None where that is not known."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    found = available_memory()
    return None if found is None else found // current().local


def precision(options: TrainOptions, device: torch.device) -> torch.autocast:
    """Return the context in which the loss is computed."""
    # on a CPU, Fabric takes bfloat16 for either
    half = torch.float16 if options.precision == "16-mixed" and device.type == "cuda" else torch.bfloat16
    return torch.autocast(device.type, half, enabled=options.precision.endswith("mixed"))


def first_rows(batch: Any, rows: int) -> Any:
    """Return the first rows of a batch, which is a tensor or tuples, lists and dicts of them and of other things."""
    have, _ = shape_of(batch)

    def cut(leaf: Any) -> Any:
        rowed = isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.shape[0] == have
        return leaf[:rows] if rowed else leaf

    return _pytree.tree_map(cut, batch)


def shape_of(batch: Any) -> tuple[int, int]:
    """Return rows and steps of a batch: those of its first tensor with two axes or more.

    Example:
        >>> shape_of((torch.zeros(3), torch.zeros(3, 5, 2), True))
        (3, 5)
    """
    tensors = [leaf for leaf in _pytree.tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.dim() > 0]
    wide = next((t for t in tensors if t.dim() > 1), None)
    if wide is None:
        return (tensors[0].shape[0], 1) if tensors else (1, 1)
    return wide.shape[0], max(1, wide.shape[1])


def to_device(batch: Any, device: torch.device) -> Any:
    """Return the batch with its tensors on the device."""
    return _pytree.tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, batch)


def _sizes(model: nn.Module) -> tuple[int, int]:
    """Return the bytes of weights with buffers, and of gradients."""
    weights = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    return weights, sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)


def _shortest(plan: EstimatedPlan) -> Any:
    """Return the batch with the fewest steps of the first few that have 32 or more, if any has."""
    few = list(itertools.islice(plan.batches(1), 8))
    return min(few, key=lambda batch: (shape_of(batch)[1] < 32, shape_of(batch)[1]))


def _in_step(
    trial: nn.Module, plan: EstimatedPlan, batch: Any, options: TrainOptions, device: torch.device
) -> tuple[float, float]:
    """Return the bytes of a step without rows, gradients among them, and those that a row of this batch adds."""
    rows, _ = shape_of(batch)
    _, gradients = _sizes(trial)
    began = time.monotonic()
    one = _peak(trial, plan, first_rows(batch, 1), options, device)
    slow = time.monotonic() - began > _QUICK
    if rows == 1 or (slow and gradients < 0.1 * one):
        return gradients, one
    # as many rows as are cheap: which scan runs a cell, and what it keeps, depends on how wide a batch is
    more = 2 if slow else min(rows, max(2, _SMALL // one))
    row = max(0.0, (_peak(trial, plan, first_rows(batch, more), options, device) - one) / (more - 1))
    return max(float(gradients), one - row), row


def _peak(
    trial: nn.Module,
    plan: EstimatedPlan,
    batch: Any,
    options: TrainOptions,
    device: torch.device,
    *,
    evaluate: bool = False,
) -> int:
    """Return the most bytes that one step takes, or with ``evaluate`` one without gradients."""
    here = to_device(batch, device)
    known = [*trial.parameters(), *trial.buffers(), *(t for t in _pytree.tree_leaves(here) if isinstance(t, Tensor))]
    plan.set_state({})
    trial.train(not evaluate)
    with PeakMemory(known) as peak, torch.set_grad_enabled(not evaluate):
        with precision(options, device):
            loss = plan.loss(trial, here)
        if not evaluate:
            loss.backward()  # type: ignore[no-untyped-call]
    trial.zero_grad(set_to_none=True)
    trial.train()
    plan.set_state({})
    return int(peak.bytes)


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors made inside a ``with`` block, backward passes included, while they live.

    Every operation is seen, also those inside hand-written functions; what one operation takes for itself and gives
    back before it ends is not.

    Args:
        known: tensors that were there before and do not count.

    Attributes:
        bytes: the most that lived at once so far.

    Example:
        >>> x = torch.ones(1000)
        >>> with PeakMemory([x]) as peak:
        ...     y = (x + 1) + 1
        >>> peak.bytes
        8000
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self._now = 0
        self._alive: set[int] = set()
        self._before = [t.untyped_storage() for t in known]  # held, so that no other can take its number
        self._alive.update(storage._cdata for storage in self._before)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = function(*args, **(kwargs or {}))
        for tensor in results if isinstance(results, tuple | list) else (results,):
            if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
                self._count(tensor.untyped_storage())
        return results

    def _count(self, storage: torch.UntypedStorage) -> None:
        number, size = storage._cdata, storage.nbytes()
        if number in self._alive or size == 0:
            return
        self._alive.add(number)
        self._now += size
        self.bytes = max(self.bytes, self._now)
        weakref.finalize(storage, self._forget, number, size).atexit = False

    def _forget(self, number: int, size: int) -> None:
        self._alive.discard(number)
        self._now -= size
