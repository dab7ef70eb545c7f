"""What the training loop asks of a task: batches, a loss, an evaluation.

Axes: N items, T steps, K outputs, S numbers of a record.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rekur.data import EncodedItems, LengthBuckets
from rekur.data.pieces import LONG
from rekur.models.batch import Batch, ItemNetwork
from rekur.models.heads import Head
from rekur.targets import Target
from rekur.train import Stateless
from rekur.train.footprint import to_device
from rekur.train.world import current, gather

#: items of one batch where no gradient is kept
EVALUATION_BATCH = 256

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


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


class Measured(NamedTuple):
    """What was measured of N items.

    Attributes:
        terms: the loss of each item, and its weight in the mean loss, (N, 2).
        records: of all items one after the other, (R, S).
        items: the number of the item of each record, from 0, (R,).
    """

    terms: Floats
    records: Floats
    items: Ints

    @property
    def loss(self) -> float:
        """The mean loss; 0 where no term has a weight."""
        weight = float(self.terms[:, 1].sum())
        return float(self.terms[:, 0].sum()) / weight if weight else 0.0

    @classmethod
    def joined(cls, parts: Sequence[tuple[Ints, Measured]]) -> Measured:
        """Return parts as one, in the order of the items.

        Args:
            parts: the numbers of the items of a part, (n,), and what was measured of them.
        """
        numbers = np.concatenate([part for part, _ in parts])
        items = np.concatenate([part[measured.items] for part, measured in parts])
        terms = np.concatenate([measured.terms for _, measured in parts])
        records = np.concatenate([measured.records for _, measured in parts])
        order = np.argsort(items, kind="stable")
        return cls(terms[np.argsort(numbers, kind="stable")], records[order], items[order])


@dataclass(frozen=True)
class Measure:
    """Measures outputs: their loss by a head, and the records of a target."""

    head: Head
    target: Target
    #: validation items that are measured after each pass, spread evenly; None for all
    sample: ClassVar[int | None] = None

    def count(self, batch: Batch) -> int:
        """Return the number of terms in the mean loss of a batch: steps, or items."""
        return int(batch.lengths.sum() if self.target.per_step else len(batch.lengths))

    def scores(self, measured: Measured, items: EncodedItems) -> dict[str, float]:
        """Return the metrics of what was measured of items, each with its weight."""
        weights = items.record_weights(measured.items)
        return self.target.score(measured.records, *[] if weights is None else [weights])

    def of_model(self, model: ItemNetwork, items: EncodedItems, rows: Ints) -> Measured:
        """Return the measures of these rows of items, in this order; outputs live no longer than their block."""
        blocks = outputs_in_blocks(model, items, rows)
        return Measured.joined(
            [(numbers, self.of_outputs(outputs, items, rows[numbers])) for numbers, outputs in blocks]
        )

    def of_outputs(self, outputs: Any, items: EncodedItems, rows: Ints) -> Measured:
        """Return the measures of outputs of these rows of items.

        Args:
            outputs: an array (n, K), or one (T, K) an item.
            items: the store of all items.
            rows: the numbers of the items, (n,).
        """
        labels, contexts = items.labels_of(rows), items.contexts_of(rows)
        terms = self.head.terms(outputs, items.targets_of(rows))
        if items.weights is not None:
            terms = terms * items.weights[rows, None]
        if not self.target.per_step:
            return Measured(terms, self.target.records(outputs, labels, contexts), np.arange(len(rows)))
        each = zip(outputs, labels, contexts, strict=True)
        parts = [self.target.records([output], [label], [context]) for output, label, context in each]
        numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return Measured(terms, np.concatenate(parts), numbers)


class FitPlan(Stateless):
    """Length-bucketed batches of the training items, and scores on the validation items.

    Args:
        measure: gives loss and metrics.
        train_set: items to train on.
        valid_set: items to validate on.
        monitor: chooses the weights that are kept.
        batches: numbers of the training items that are run together.
    """

    def __init__(
        self,
        measure: Measure,
        train_set: EncodedItems,
        valid_set: EncodedItems,
        *,
        monitor: Monitor,
        batches: LengthBuckets,
    ) -> None:
        self.measure, self._train, self._valid, self._place = measure, train_set, valid_set, current()
        self._buckets = batches
        self.steps_per_epoch = self.evaluate_every = len(self._buckets)
        self.padding_waste = self._buckets.padding_waste()
        self.unsorted_waste = self._buckets.padding_waste(shuffled=True)
        self._counted = 0
        self.monitor, self.larger_is_better, self.tolerance = monitor

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's part of the batches of one epoch, from number ``start`` on."""
        for picked in itertools.islice(self._buckets.epoch(epoch), start, None):
            # of a batch with fewer items than processes, some get one that does not count
            part = picked[self._place.rank :: self._place.size]
            rows = self._train.rows[part if len(part) else picked[:1]]
            batch = Batch.of_items(self._train, rows)
            self._counted = self.measure.count(batch) if len(part) else 0
            yield batch

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""
        _, loss = model(batch)
        return cast(Tensor, loss)

    def weight(self, batch: Batch) -> float:
        """Return the number of items, or of steps, of the batch yielded last that count here."""
        return float(self._counted)

    def largest_batch(self) -> tuple[int, int]:
        """Return the items of the largest batch, and the steps of the longest item."""
        return self._buckets.largest

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the loss and the metrics that are followed on the validation items."""
        rows = sampled(self._valid.rows, self.measure.sample)
        measured = self.measured(cast(ItemNetwork, model), rows)
        of_rows = dataclasses.replace(self._valid, rows=rows)
        scores, followed = self.measure.scores(measured, of_rows), self.measure.target.followed
        # a score that is undefined on these items is not followed
        shown = [name for name in followed if not math.isnan(scores[name]) or math.isnan(measured.loss)]
        return {"valid_loss": measured.loss, **{f"valid_{name}": scores[name] for name in shown}}

    def measured(self, model: ItemNetwork, rows: Ints | None = None) -> Measured:
        """Return the measures of these validation items, by default all; of several processes each makes a part."""
        rows = self._valid.rows if rows is None else rows
        numbers = np.arange(self._place.rank, len(rows), self._place.size)
        parts = [(numbers, self.measure.of_model(model, self._valid, rows[numbers]))] if len(numbers) else []
        return Measured.joined([part for parts in gather(parts) for part in parts])


def sampled(rows: Ints, count: int | None) -> Ints:
    """Return ``count`` rows at most, spread evenly; all for None.

    Example:
        >>> sampled(np.arange(10), 4).tolist()
        [0, 3, 6, 9]
    """
    if count is None or len(rows) <= count:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)])


def outputs_in_blocks(model: ItemNetwork, items: EncodedItems, rows: Ints) -> Iterator[tuple[Ints, Any]]:
    """Yield outputs block by block, without gradients.

    Args:
        model: it is put into evaluation mode.
        items: the store of all items.
        rows: numbers of the N items wanted.

    Yields:
        the places of the items of a block in ``rows``, (n,), and their outputs: an array (n, K), or one (T, K) an item.
    """
    model.eval()
    texts = np.array([row for row, begins in enumerate(items.begins_of(rows)) if begins], np.int64)
    if len(texts):
        yield texts, _outputs_of_sequences(model, items, rows[texts])
        others = np.setdiff1d(np.arange(len(rows)), texts)
        yield from ((others[places], outputs) for places, outputs in outputs_in_blocks(model, items, rows[others]))
        return
    device = next(model.parameters()).device
    order = np.argsort(-items.first.lengths[rows], kind="stable")  # longest first: memory runs out at once or never
    in_pieces = getattr(model, "outputs_of_long", None)
    if in_pieces is not None and items.first.values.dtype.kind == "f":
        is_long = items.first.lengths[rows][order] > LONG
        for number in order[is_long]:
            with torch.no_grad():
                yield np.array([number]), [in_pieces(items.first[int(rows[number])])]
        order = order[~is_long]
    for start in range(0, len(order), EVALUATION_BATCH):
        places = order[start : start + EVALUATION_BATCH]
        batch = Batch.of_items(items, rows[places], targets=False)
        with torch.no_grad():
            outputs, _ = model(to_device(batch, device))
        array = outputs.float().cpu().numpy()
        yield places, _of_items(array, batch.lengths.tolist()) if model.per_step else array


def _outputs_of_sequences(model: ItemNetwork, items: EncodedItems, rows: Ints) -> list[NDArray[Any]]:
    """Return the outputs (T, K) of texts; each sequence of a text is run by itself, as a prediction does."""
    lengths = items.first.lengths[rows]
    begins = items.begins_of(rows)
    starts = np.concatenate([[0, *each] for each in begins]).astype(np.int64)
    ends = np.concatenate([[*each, length] for each, length in zip(begins, lengths, strict=True)]).astype(np.int64)
    counts = [len(each) + 1 for each in begins]
    where = np.repeat(rows, counts), starts, ends - starts
    parts = {name: each.parts(*where) for name, each in items.inputs.items()}
    outputs = iter(run(model, EncodedItems(parts, np.empty(0), np.arange(len(starts)))))
    return [np.concatenate(list(itertools.islice(outputs, count))) for count in counts]


def _of_items(outputs: NDArray[Any], lengths: list[int]) -> list[NDArray[Any]]:
    """Return the outputs (T, K) of each item, from padded (B, T, K) or packed ones (R, K)."""
    if outputs.ndim == 2:
        return np.split(outputs, np.cumsum(lengths)[:-1])
    return [rows[:length] for rows, length in zip(outputs, lengths, strict=True)]


def run(model: ItemNetwork, items: EncodedItems) -> Any:
    """Return the outputs of items in their order, without gradients: an array (N, K), or one (T, K) an item."""
    places, outputs = [], []
    for part, block in outputs_in_blocks(model, items, items.rows):
        places.append(part)
        outputs.append(block)
    back = np.argsort(np.concatenate(places), kind="stable")
    if not model.per_step:
        return np.concatenate(outputs)[back]
    flat = [rows for block in outputs for rows in block]
    return [flat[index] for index in back]
