"""The linear base of a network from series to numbers: fitted on the training items of each member, or left out.

Axes: N items, F numbers of an item, K outputs, M members.
"""

from __future__ import annotations

import dataclasses

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
#: items by which the base is judged at most
_JUDGED = 600


def fit_base(network: SeriesNetwork, items: EncodedItems, target: Target) -> None:
    """Fit the linear base of each member on the items that it trains on; of many on some, evenly spread.

    Where it is shown to harm, the network has none; see :func:`does_harm`.

    Args:
        network: it is changed; without a base nothing is done.
        items: training items, with their folds.
        target: the meaning of the outputs.
    """
    if network.base is None:
        return
    if does_harm(network.base, items, target):
        network.drop_base()
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


def does_harm(base: LinearBase, items: EncodedItems, target: Target) -> bool:
    """Return whether a ridge on random convolutions is shown to answer better without a base than with one.

    The ridge stands for the network, which takes far longer to train. Where the shape of a series tells the number, as
    that of a season does, a base is one more thing to learn. Two ridges, one on the numbers themselves and one on the
    error of a base, are compared on training items of folds that neither saw. Of many items some are read, evenly
    spread.

    Args:
        base: gives the numbers of a series that it reads.
        items: training items; folds that they have are taken.
        target: the meaning of the outputs.
    """
    drawn = drawn_items(items, _JUDGED)
    rows, weights = items.rows[drawn], items.record_weights(drawn)
    targets, alike = coded(np.asarray(items.targets_of(rows)), target), folds_of_groups(items, rows)
    folds = alike if items.folds is None else items.folds[rows]
    if folds is None:
        folds = even_folds(np.arange(len(rows)), FOLDS)
    each = np.unique(folds[folds >= 0])
    if len(each) < 2:  # a single stretch of time, or one item: nothing can be shown
        return False
    stride = stride_of(items.lengths)
    series = [in_blocks(np.asarray(items.first[int(row)]), stride) for row in rows]
    levels, shares = _levels(base, items, rows), draw_shares(series, numbers=ALL).of(series)
    of_levels, of_shares = (Ridge(table, targets, weights) for table in (levels, shares))
    errors = np.zeros((2, *targets.shape))
    for fold in each:
        others, held_out = np.flatnonzero(folds != fold), folds == fold
        left = targets - of_levels.fit(others, folds=alike).of(levels)
        for number, truth in enumerate((left, targets)):
            fitted = of_shares.fit(others, targets=truth, folds=alike)
            errors[number, held_out] = truth[held_out] - fitted.of(shares[held_out])
    scored = folds >= 0
    with_base, without = (errors[:, scored] ** 2).sum(axis=2)
    return is_shown_to_lose(with_base, without, None if weights is None else weights[scored])


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
