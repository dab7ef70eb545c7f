"""What the training loop asks of a task: batches, a loss, an evaluation.

Axes: B batch, T time, D input features, N items, K outputs, S numbers of a record.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rekur.data import EncodedItems, LengthBuckets, Ragged, collate
from rekur.models.heads import Head
from rekur.targets import Target
from rekur.train import Stateless
from rekur.train.world import add_up, current

Batch = tuple[Tensor, Tensor, Tensor]
#: items of one batch where no gradient is kept
EVALUATION_BATCH = 256


class Monitor(NamedTuple):
    """The metric that chooses the weights that are kept.

    Attributes:
        name: a key of an evaluation, such as ``valid_loss``.
        larger_is_better: whether larger values are better.
        tolerance: by how much later weights may be worse than the best and are kept all the same.
    """

    name: str
    larger_is_better: bool
    tolerance: float


@dataclass(frozen=True)
class Measure:
    """What is measured of outputs: the loss by a head, and the records of a target."""

    head: Head
    target: Target

    def items(self, model: nn.Module, items: EncodedItems, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return loss, weight in the mean loss, and record of these rows of items, (N, 2 + S); outputs are not kept."""

        def measured(outputs: NDArray[Any], part: NDArray[np.int64]) -> NDArray[np.float64]:
            terms = self.head.terms(outputs, np.asarray(items.targets_of(part)))
            records = self.target.records(outputs, items.labels_of(part), items.contexts_of(part))
            return np.column_stack([terms, records])

        return run(model, items.steps, rows, measured)


def split_terms(measured: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two parts of what was measured: loss and weight (N, 2), and records (N, S)."""
    return measured[:, :2], measured[:, 2:]


class FitPlan(Stateless):
    """Length-bucketed batches of the training items, and scores on the validation items.

    Args:
        measure: gives loss and metrics.
        train_set: items to train on.
        valid_set: items to validate on.
        monitor: chooses the weights that are kept.
        batch_size: items a step.
        seed: of the order of batches.
    """

    def __init__(
        self,
        measure: Measure,
        train_set: EncodedItems,
        valid_set: EncodedItems,
        *,
        monitor: Monitor,
        batch_size: int,
        seed: int,
    ) -> None:
        self.measure, self._train, self._valid, self._place = measure, train_set, valid_set, current()
        self._buckets = LengthBuckets(train_set.lengths, batch_size, seed=seed)
        self.steps_per_epoch = self.evaluate_every = len(self._buckets)
        self.padding_waste = self._buckets.padding_waste()
        self.unsorted_waste = self._buckets.padding_waste(shuffled=True)
        self._counted = 0
        self.monitor, self.larger_is_better, self.tolerance = monitor

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's part of the batches (x, lengths, targets) of one epoch, from number ``start`` on."""
        for picked in itertools.islice(self._buckets.epoch(epoch), start, None):
            # of a batch with fewer items than processes, some get one that does not count
            own = picked[self._place.rank :: self._place.size]
            self._counted = len(own)
            rows = self._train.rows[own if len(own) else picked[:1]]
            x, lengths = collate(self._train.steps, rows)
            yield torch.from_numpy(x), torch.from_numpy(lengths), _tensor(np.asarray(self._train.targets_of(rows)))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""
        x, lengths, targets = batch
        return self.measure.head.loss(model(x, lengths), targets)

    def weight(self, batch: Batch) -> float:
        """Return the number of items of the batch yielded last that count here."""
        return float(self._counted)

    def largest_batch(self) -> tuple[int, int]:
        """Return the items of the largest batch, and the steps of the longest item."""
        longest = int(self._train.lengths.max(initial=1))
        return max(1, min(self._buckets.batch_size, self._buckets.max_steps // longest)), longest

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the loss and the metrics that are followed on the validation items."""
        rows, target = self._valid.rows, self.measure.target
        indices = np.arange(self._place.rank, len(rows), self._place.size)
        # of fewer items than processes, some look at one that does not count
        part = self.measure.items(model, self._valid, rows[indices if len(indices) else slice(1)])
        every = np.zeros((len(rows), part.shape[1]))
        every[indices] = part[: len(indices)]
        terms, records = split_terms(add_up(every))
        scores = target.score(records)
        loss = float(terms[:, 0].sum() / terms[:, 1].sum())
        return {"valid_loss": loss, **{f"valid_{name}": scores[name] for name in target.followed}}


def run(
    model: nn.Module,
    steps: Ragged,
    rows: NDArray[np.int64],
    measure: Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]] = lambda outputs, rows: outputs,
) -> NDArray[Any]:
    """Return the outputs (N, K) of these rows, or measures of them, in their order; without gradients.

    Args:
        model: takes (x, lengths); it is put into evaluation mode.
        steps: the items.
        rows: numbers of the N items wanted.
        measure: outputs (n, K) and the numbers of their items (n,) -> one row an item.
    """
    model.eval()
    device = next(model.parameters()).device
    parts = []
    order = np.argsort(-steps.lengths[rows], kind="stable")  # longest first: memory runs out at once or never
    for start in range(0, len(order), EVALUATION_BATCH):
        picked = order[start : start + EVALUATION_BATCH]
        x, lengths = collate(steps, rows[picked])
        with torch.no_grad():
            outputs = model(torch.from_numpy(x).to(device), torch.from_numpy(lengths).to(device))
        parts.append(measure(outputs.float().cpu().numpy(), rows[picked]))
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return np.asarray(np.concatenate(parts)[back])


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
