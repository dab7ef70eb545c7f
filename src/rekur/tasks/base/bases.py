"""The linear base of a network from series to numbers: what it reads is chosen, and it is fitted for each member.

Axes: N items, F numbers of an item, K outputs, M members.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._shares import ALL, draw_shares, in_blocks, stride_of
from rekur.data import EncodedItems
from rekur.models.batch import Batch
from rekur.models.linear_base import LinearBase
from rekur.models.series_network import SeriesNetwork
from rekur.targets import Target
from rekur.tasks.base.linear_rival import drawn_items, folds_of_groups
from rekur.tasks.base.mix import is_shown_to_lose
from rekur.tasks.base.ridge import Linear, Ridge, even_folds
from rekur.tasks.base.series_net import rows_of
from rekur.tasks.base.share_rival import FOLDS, MOST_ITEMS, coded

Floats = NDArray[np.float64]

#: items whose levels are in memory at once
_BLOCK = 500
#: items by which bases are compared at most
_COMPARED = 600
#: smallest spread: of a number that a base knows almost exactly
_LEAST = 1e-3
#: last steps that a base may read, and most numbers of them together
_STEPS, _MOST_NUMBERS = (0, 4, 16, 64, 256), 5_000


def start_network(network: SeriesNetwork, items: EncodedItems, target: Target) -> None:
    """Let training to numbers begin at their mean, or at a linear base of each member.

    A base is fitted on the items that a member trains on; of many on some, evenly spread.

    Args:
        network: untrained; it is changed unless its outputs are labels.
        items: training items, with their folds.
        target: the meaning of the outputs.
    """
    if target.joint != "outputs":
        return
    network.multiply_scores(0.0)
    if network.base is None:
        return
    fitted: Linear | None = None
    for member in range(network.spec.members):
        if fitted is not None and items.folds is None:  # all members train on the same items
            network.base.set(member, fitted.weights, fitted.bias)
            continue
        of_member = dataclasses.replace(items, rows=rows_of(items, member))
        drawn = drawn_items(of_member, MOST_ITEMS)
        rows = of_member.rows[drawn]
        ridge = Ridge(
            _levels(network.base, items, rows),
            coded(np.asarray(items.targets_of(rows)), target),
            of_member.record_weights(drawn),
        )
        fitted = ridge.fit(folds=folds_of_groups(items, rows))
        network.base.set(member, fitted.weights, fitted.bias)


class Choice(NamedTuple):
    """A linear base that a network is to have.

    Attributes:
        steps: last steps that it reads beside levels; -1 for no base.
        spread: root of the mean square of what it leaves of numbers that it did not see, up to 1.
    """

    steps: int = 0
    spread: float = 1.0


def choose_base(items: EncodedItems, target: Target) -> Choice:
    """Return the linear base that is best for the training items.

    A ridge on random convolutions stands for the network, which takes far longer to train: it is fitted on what each
    base leaves, and on the numbers themselves, and scored on items of folds that neither saw. The base with the least
    loss is taken where it is shown to be better than no base. Of many items some are read, evenly spread.

    Args:
        items: training items; folds that they have are taken.
        target: the meaning of the outputs.
    """
    drawn = drawn_items(items, _COMPARED)
    rows, weights = items.rows[drawn], items.record_weights(drawn)
    alike = folds_of_groups(items, rows)
    folds = alike if items.folds is None else items.folds[rows]
    if folds is None:
        folds = even_folds(np.arange(len(rows)), FOLDS)
    scored = np.flatnonzero(folds >= 0)
    others = [np.flatnonzero(folds != fold) for fold in np.unique(folds[scored])]
    if len(others) < 2:  # a single stretch of time, or one item: nothing can be compared
        return Choice()
    fold_of_scored = np.unique(folds[scored], return_inverse=True)[1]
    weights_of_scored = None if weights is None else weights[scored]
    targets = coded(np.asarray(items.targets_of(rows)), target)

    def losses(left: Floats) -> Floats:
        """Return the squares of what answers leave of each scored item, of those for each fold, (R, N, K)."""
        return np.asarray((left[fold_of_scored, scored] ** 2).mean(axis=1))

    def left_by(ridge: Ridge, table: NDArray[Any], of: Floats) -> Floats:
        """Return what ridges on the items of other folds leave of numbers for each fold, (R, N, K)."""
        fitted = [ridge.fit(seen, targets=left, folds=alike) for seen, left in zip(others, of, strict=True)]
        return of - np.stack([each.of(table) for each in fitted])

    stride, longest, channels = stride_of(items.lengths), int(items.lengths.max()), items.first.values.shape[1]
    series = [in_blocks(np.asarray(items.first[int(row)]), stride) for row in rows]
    shares = draw_shares(series, numbers=ALL).of(series)
    ridge, every = Ridge(shares, targets, weights), np.broadcast_to(targets, (len(others), *targets.shape))
    without, tried = losses(left_by(ridge, shares, every)), dict[Choice, Floats]()
    for steps in sorted({min(steps, longest, _MOST_NUMBERS // channels) for steps in _STEPS}):
        levels = _levels(LinearBase(channels, targets.shape[1], 1, steps=steps), items, rows)
        left = left_by(Ridge(levels, targets, weights), levels, every)
        spread = float(np.average(losses(left), weights=weights_of_scored)) ** 0.5
        tried[Choice(steps, min(1.0, max(_LEAST, spread)))] = losses(left_by(ridge, shares, left))
    best = min(tried, key=lambda choice: float(np.average(tried[choice], weights=weights_of_scored)))
    return best if is_shown_to_lose(without, tried[best], weights_of_scored) else Choice(-1)


def _levels(base: LinearBase, items: EncodedItems, rows: NDArray[np.int64]) -> Floats:
    """Return the numbers of items that a base reads, (N, F)."""
    parts = [np.empty((0, base.matrices.shape[2]))]
    for start in range(0, len(rows), _BLOCK):
        batch = Batch.of_items(items, rows[start : start + _BLOCK])
        parts.append(base.levels(batch.steps.to(base.offsets.device), batch.lengths).cpu().double().numpy())
    return np.concatenate(parts)


def bases_of(base: LinearBase | None, items: EncodedItems, rows: NDArray[np.int64]) -> Floats:
    """Return the base of each member and behind them their average, (M + 1, N, K); zeros without one."""
    if base is None:
        return np.zeros((1, 1, 1))
    matrices, offsets = (each.cpu().double().numpy() for each in (base.matrices, base.offsets))
    each = np.einsum("nf,mkf->mnk", _levels(base, items, rows), matrices) + offsets[:, None]
    return np.concatenate([each, each.mean(axis=0, keepdims=True)])


def bases_of_folds(base: LinearBase, items: EncodedItems) -> Floats:
    """Return the base of each item, (N, K): that of the member that did not see it, or the average."""
    bases = bases_of(base, items, items.rows)
    return bases[-1] if items.folds is None else bases[items.folds[items.rows], np.arange(len(items))]
