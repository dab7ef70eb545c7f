"""The convolutional network of series in a task: choices by the training series, and how members train.

Axes: N items, D numbers of a step, K outputs, M members.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rekur.data import EncodedItems, LengthBuckets
from rekur.models import SeriesNetwork, SeriesSpec
from rekur.models.batch import Batch
from rekur.models.heads import Head
from rekur.tasks.base.plan import FitPlan, Measure, Monitor, run, sampled
from rekur.tasks.base.ridge import EVEN
from rekur.tasks.base.series_options import BRANCHES
from rekur.tasks.base.stages import Longer

#: items below which members are the models of as many folds
FEW_ITEMS, FOLDS = 500, 5
#: items up to which a ridge answers too
RIDGE_ITEMS = 5000
#: steps of a series up to which averages of two are read; longer ones, where fast changes tell much, are read as they
#: are up to many steps
_SHORT, _MANY_STEPS = 512, 1536
#: steps that shorter series are to have at first, and all behind the first convolutions
_STEPS, _SAMPLED = 256, 64
#: times the typical length that training reads of a longer series
_LONGEST = 4
#: by how much means or deviations of items differ where levels tell something, in deviations of the channel
_LEVELS = 0.05
#: items of a batch, and steps of the optimiser for 100 items
_BATCH, _BUDGET = 32, 500
#: evaluations of a training
_EVALUATIONS = 10
#: share of the training items whose label a network is to give; where it gives fewer, the factor of the steps of a
#: longer training, and the most steps
_FITS, _LONGER, _MOST_STEPS = 0.95, 4.0, 5000
#: training items by which that is decided
_ASKED = 2000
#: of numbers, whose noise a network soon learns by heart: the share of its epochs that a first training takes, and by
#: what the next one is longer, as long as held-out items are answered better
_FIRST, _NEXT = 1 / 8, math.sqrt(8)


class SeriesFacts(NamedTuple):
    """The facts of training series that a network is made by.

    Attributes:
        length: steps of a typical long series.
        levels: whether means or deviations differ between items, so that they may tell something.
        base_steps: last steps that a linear base is to read beside levels; -1 for no base.
        spread: about the size of what a network adds to the base, in deviations of the number.
    """

    length: int
    levels: bool
    base_steps: int = -1
    spread: float = 1.0

    @classmethod
    def of(cls, items: EncodedItems) -> SeriesFacts:
        """Return the facts of the items that count."""
        lengths = items.lengths
        typical = int(np.quantile(lengths, 0.9, method="lower")) if len(lengths) else 1
        some = items.rows[:: max(1, len(items.rows) // 2000)]
        steps = [np.asarray(items.first[int(row)], np.float64) for row in some]
        moments = [np.stack([each.mean(axis=0), each.std(axis=0)]) for each in steps if len(each)]
        spread = np.std(moments, axis=0) if moments else np.zeros(1)
        return cls(max(1, typical), bool((spread > _LEVELS).any()))


def sizes_of(facts: SeriesFacts, *, causal: bool) -> dict[str, Any]:
    """Return the options of a :class:`rekur.models.SeriesSpec` that follow from the training series.

    Example:
        >>> sizes_of(SeriesFacts(1000, False), causal=False)
        {'block': 1, 'stride': 16, 'longest': 4000, 'scale': 'series'}
    """
    block = math.ceil(facts.length / (_STEPS if facts.length <= _SHORT else _MANY_STEPS))
    stride = math.ceil(facts.length / block / _SAMPLED)
    scale = "global" if causal else "both" if facts.levels else "series"
    return {"block": block, "stride": stride, "longest": _LONGEST * facts.length, "scale": scale}


def _batch_size(items: int, size: int) -> int:
    return int(min(_BATCH if items < 5000 else 2 * _BATCH, max(2, items // 2)))


def _epochs(items: int, size: int) -> int:
    """As many as make 500 steps of 100 items, and twice as many of four times as many items."""
    steps = _BUDGET * math.sqrt(max(1.0, items / 100))
    return max(1, round(steps / math.ceil(items / size)))


#: option -> its value, from the items that a member trains on and the batch size
RULES: dict[str, Callable[[int, int], Any]] = {
    "dropout": lambda items, size: 0.2,
    "batch_size": _batch_size,
    "epochs": _epochs,
    "learning_rate": lambda items, size: 2e-3,
    "weight_decay": lambda items, size: 0.02,
    "patience": lambda items, size: 0,
    "average": lambda items, size: 0.98,
    "label_smoothing": lambda items, size: 0.05,
    "bayes_start": lambda items, size: 0.0,
    "augment": lambda items, size: 1.0,
}


def fill(options: Mapping[str, Any], train_set: EncodedItems, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options, those that were left open chosen by the training items.

    Args:
        options: option -> value.
        train_set: the training items, with their folds.
        rules: values of a task that go before those of :data:`RULES`.
    """
    members = options["members"] or 1
    items = len(train_set)
    if train_set.folds is not None:
        members = int(train_set.folds.max()) + 1
        items -= items // members
    filled = {**options, "members": members}
    if filled["branches"] is None:
        filled["branches"] = BRANCHES[len(train_set) <= RIDGE_ITEMS]
    for name, rule in RULES.items():
        if name in filled and filled[name] is None:
            filled[name] = rules[name] if name in rules else rule(max(1, items), filled["batch_size"] or 1)
    return filled


def spec_of(chosen: Mapping[str, Any], facts: SeriesFacts, **sizes: Any) -> SeriesSpec:
    """Return the specification of the network that options and training series ask for.

    Args:
        chosen: all options.
        facts: of the training series.
        sizes: ``input_size``, ``output_size`` and ``joint``.
    """
    names = ("causal", "members", "dropout", "augment")
    mixup = 0.5 if chosen["augment"] else 0.0
    taken = {name: chosen[name] for name in names}
    if sizes["joint"] == "outputs":  # a number often follows the level and the end; labels gain nothing by that
        taken["pooling"] = "mean+max+attention+last"
    if facts.base_steps >= 0:
        taken |= {"base": True, "base_steps": facts.base_steps, "spread": facts.spread}
    return SeriesSpec(**sizes, **taken, mixup=mixup, **sizes_of(facts, causal=chosen["causal"]))


def last_weights() -> Monitor:
    """Return the metric that is followed where the weights of the end are kept, whatever it says."""
    return Monitor("valid_loss", False, math.inf)


class MemberPlan(FitPlan):
    """Batches of several members of a network side by side, each of the items of its own.

    A batch has rows of every member. Without folds each member draws all items in an order of its own.

    Args:
        measure: gives loss and metrics.
        train_set: items to train on; with folds a member trains on those of all others.
        valid_set: items to validate on.
        members: number of members M.
        batch_size: items of one member in a batch.
        seed: of the order of the items.
        monitor: chooses the weights that are kept.
        longest: steps of a series that training reads at most.
        epochs: passes of the whole training.
    """

    def __init__(
        self,
        measure: Measure,
        train_set: EncodedItems,
        valid_set: EncodedItems,
        *,
        members: int,
        batch_size: int,
        seed: int,
        monitor: Monitor,
        longest: int,
        epochs: int,
    ) -> None:
        self._rows = [rows_of(train_set, number) for number in range(members)]
        self._of_members = [
            LengthBuckets(train_set.first.lengths[rows], batch_size, seed=seed + number)
            for number, rows in enumerate(self._rows)
        ]
        super().__init__(measure, train_set, valid_set, monitor=monitor, batches=self._of_members[0])
        self.steps_per_epoch = max(map(len, self._of_members))
        passes = max(1, epochs // _EVALUATIONS)
        self.evaluate_every = self.steps_per_epoch * passes
        self._longest = longest
        #: epochs of a training where nobody says how many
        self.usual_epochs = _epochs(max(map(len, self._rows)), batch_size)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's part of the batches of one epoch, from number ``start`` on."""
        each = [list(buckets.epoch(epoch)) for buckets in self._of_members]
        rank, size = self._place.rank, self._place.size
        for number in range(start, self.steps_per_epoch):
            picked = [batches[number % len(batches)] for batches in each]
            # of a member with fewer items than processes, some get one that another one has too
            parts = [rows[rank::size] if len(rows) > rank else rows[:1] for rows in picked]
            rows = np.concatenate([of[part] for of, part in zip(self._rows, parts, strict=True)])
            members = np.repeat(np.arange(len(parts)), list(map(len, parts)))
            self._counted = len(rows)
            yield Batch.of_items(self._train, rows)._replace(members=torch.from_numpy(members))

    def share_right(self, network: SeriesNetwork) -> float:
        """Return the share of the training items whose label is given by a member that was trained on them."""
        items, folds = self._train, self._train.folds
        rows = sampled(items.rows if folds is None else items.rows[folds[items.rows] >= 0], _ASKED)
        if folds is not None:  # each item is for the member that did not see it: let the next one answer
            items = dataclasses.replace(items, folds=np.where(folds < 0, folds, (folds + 1) % len(self._rows)))
        measured = self.measure.of_model(network, items, rows)
        return float(self.measure.target.score(measured.records)["accuracy"])

    def held_out_loss(self, network: SeriesNetwork) -> float:
        """Return the mean loss on the items to validate on, once scores are divided by their best temperature."""
        items, scores = self._valid, np.asarray(run(network, self._valid), np.float64)
        weights = items.record_weights(np.arange(len(items)))
        loss = mean_loss(losses_of_scores(self.measure.head, items), weights)
        is_number = self.measure.target.joint == "outputs"
        return loss(scores if is_number else scores / temperature(scores, loss))

    def largest_batch(self) -> tuple[int, int]:
        """Return the items of the largest batch, and the steps of the longest item that training reads."""
        rows, steps = zip(*(buckets.largest for buckets in self._of_members), strict=True)
        return sum(rows), max(1, min(max(steps), self._longest))


def first_epochs(epochs: int) -> int:
    """Return the epochs of the first of several trainings to numbers.

    Args:
        epochs: of the longest one.

    Example:
        >>> first_epochs(32), first_epochs(3)
        (4, 1)
    """
    return max(1, round(_FIRST * epochs))


def _held_out_loss(network: SeriesNetwork, plan: MemberPlan) -> float:
    return plan.held_out_loss(network)


def longer_training(network: SeriesNetwork, plan: MemberPlan, epochs: int) -> Longer | None:
    """Return a longer training of a network; None for none.

    One to labels is trained longer where it does not give its own training items theirs; one to numbers up to the usual
    length, as long as held-out items are answered better.

    Args:
        network: trained.
        plan: of its training.
        epochs: of the training.
    """
    usual, joint = plan.usual_epochs, plan.measure.target.joint
    if joint == "outputs":
        longer, reason = min(usual, round(_NEXT * epochs)), f"This training had {epochs} of up to {usual} epochs"
        if longer <= epochs:
            return None
    else:
        longer = round(min(_LONGER, _MOST_STEPS / (epochs * plan.steps_per_epoch)) * epochs)
        if longer < 2 * epochs or epochs > usual or joint != "softmax":  # several labels have no such share
            return None
        right = plan.share_right(network)
        if right >= _FITS:
            return None
        reason = f"The network gives {right:.1%} of its own training items their label"
    return Longer(longer, longer / epochs, reason, _held_out_loss)


def rows_of(items: EncodedItems, member: int) -> NDArray[np.int64]:
    """Return the items that a member trains on."""
    return items.rows if items.folds is None else items.rows[items.folds[items.rows] != member]


def losses_of_scores(head: Head, items: EncodedItems) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Return what computes the loss of each item, (N,), of scores (N, K)."""
    truth = items.targets_of(items.rows)
    return lambda scores: head.terms(scores, truth)[:, 0]


def mean_loss(
    losses: Callable[[NDArray[Any]], NDArray[np.float64]], weights: NDArray[np.float64] | None
) -> Callable[[NDArray[Any]], float]:
    """Return what computes the mean loss of scores (N, K), with the weight of each item in it."""
    return lambda scores: float(np.average(losses(scores), weights=weights))


def temperature(scores: NDArray[Any], loss: Callable[[NDArray[Any]], float]) -> float:
    """Return the factor in [0.125, 8], a quarter of an octave apart, by which scores are divided for the least loss.

    A squared step of the factor from 1 costs a little, so that it stays near 1 where items are few and all are right.

    Example:
        >>> temperature(np.ones((1, 1)), lambda scores: abs(float(scores[0, 0]) - 0.5))
        2.0
    """
    tried = [math.pow(2, step / 4) for step in range(-12, 13)]
    losses = [loss(scores / each) + EVEN * math.log(each) ** 2 for each in tried]
    return tried[int(np.argmin(losses))]
