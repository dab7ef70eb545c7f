"""What the training loop asks of a task: batches, a loss, an evaluation.

Axes: B batch, T time, D input features, N items, K scores.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rekur.data import Encoded, LengthBuckets, Ragged, collate
from rekur.train import Stateless
from rekur.train.world import add_up, current

Batch = tuple[Tensor, Tensor, Tensor]
#: items of one batch where no gradient is kept
EVALUATION_BATCH = 256


class ScoredTask(Protocol):
    """The part of a task that the plan uses."""

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor: ...

    def _quick_metrics(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]: ...

    def _monitor(self, items: int) -> tuple[str, bool, float]: ...


class FitPlan(Stateless):
    """Length-bucketed batches of the training items, and scores on the validation items.

    Args:
        task: gives loss and metrics.
        train_set: items to train on.
        valid_set: items to validate on.
        batch_size: items a step.
        seed: of the order of batches.
    """

    def __init__(self, task: ScoredTask, train_set: Encoded, valid_set: Encoded, batch_size: int, seed: int) -> None:
        self._task, self._train, self._valid, self._place = task, train_set, valid_set, current()
        self._buckets = LengthBuckets(train_set.lengths, batch_size, seed=seed)
        self.steps_per_epoch = self.evaluate_every = len(self._buckets)
        self.padding_waste = self._buckets.padding_waste()
        self.unsorted_waste = self._buckets.padding_waste(shuffled=True)
        self._counted = 0
        self.monitor, self.larger_is_better, self.tolerance = task._monitor(len(valid_set.rows))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's part of the batches (x, lengths, targets) of one epoch, from number ``start`` on."""
        for picked in itertools.islice(self._buckets.epoch(epoch), start, None):
            # of a batch with fewer items than processes, some get one that does not count
            own = picked[self._place.rank :: self._place.size]
            self._counted = len(own)
            rows = self._train.rows[own if len(own) else picked[:1]]
            x, lengths = collate(self._train.steps, rows)
            yield torch.from_numpy(x), torch.from_numpy(lengths), _tensor(self._train.targets[rows])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""
        x, lengths, targets = batch
        return self._task._loss(model(x, lengths), targets)

    def weight(self, batch: Batch) -> float:
        """Return the number of items of the batch yielded last that count here."""
        return float(self._counted)

    def largest_batch(self) -> tuple[int, int]:
        """Return the items of the largest batch, and the steps of the longest item."""
        longest = int(self._train.lengths.max(initial=1))
        return max(1, min(self._buckets.batch_size, self._buckets.max_steps // longest)), longest

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the loss and the quick metrics on the validation items."""
        truth = self._valid.truth
        own = np.arange(self._place.rank, len(truth), self._place.size)
        # of fewer items than processes, some look at one that does not count
        part = run(model, self._valid.steps, self._valid.rows[own if len(own) else slice(1)])
        scores = np.zeros((len(truth), part.shape[1]), dtype=part.dtype)
        scores[own] = part[: len(own)]
        scores = add_up(scores)
        loss = float(self._task._loss(torch.from_numpy(scores), _tensor(truth)))
        shown = self._task._quick_metrics(scores, truth)
        return {"valid_loss": loss, **{f"valid_{name}": value for name, value in shown.items()}}


def run(model: nn.Module, steps: Ragged, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the scores (N, K) of these rows, in their order, without gradients.

    Args:
        model: takes (x, lengths); it is put into evaluation mode.
        steps: the items.
        rows: numbers of the N items wanted.
    """
    model.eval()
    device = next(model.parameters()).device
    parts = []
    order = np.argsort(-steps.lengths[rows], kind="stable")  # longest first: memory runs out at once or never
    for start in range(0, len(order), EVALUATION_BATCH):
        picked = order[start : start + EVALUATION_BATCH]
        x, lengths = collate(steps, rows[picked])
        with torch.no_grad():
            scores = model(torch.from_numpy(x).to(device), torch.from_numpy(lengths).to(device))
        parts.append(scores.float().cpu().numpy())
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return np.asarray(np.concatenate(parts)[back])


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
