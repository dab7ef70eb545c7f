"""The ridge branch beside members of a network of series: fitted on what they learn from, weighted by other items.

Axes: N items, F numbers of an item, K outputs, R ridges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._shares import ALL, Shares, draw_shares, in_blocks, stride_of
from rekur.data import EncodedItems
from rekur.models.branch_spec import GRID
from rekur.models.linear_base import LinearBase
from rekur.models.series_network import SeriesNetwork
from rekur.models.share_branch import ShareBranch
from rekur.targets import Target
from rekur.tasks.base.bases import bases_of, bases_of_folds
from rekur.tasks.base.linear_rival import folds_of_groups
from rekur.tasks.base.mix import Mix, best_mix, best_quarters
from rekur.tasks.base.plan import run
from rekur.tasks.base.ridge import Ridge, sharpness
from rekur.tasks.base.series_net import losses_of_scores, mean_loss, temperature
from rekur.tasks.base.share_rival import MOST_ITEMS, coded, drawn_by_steps, penalties_of

Floats = NDArray[np.float64]

#: items whose shares are in memory at once
_BLOCK = 500


class Ridges(NamedTuple):
    """One ridge of all training items; before it stand those by which items are scored that they did not see.

    Attributes:
        shares: the convolutions that all of them read.
        stride: steps that are averaged to one.
        weights: (R, K, F).
        bias: (R, K).
        scores: of each item to validate on, by a ridge that did not see it, (N, K).
    """

    shares: Shares
    stride: int
    weights: Floats
    bias: Floats
    scores: Floats

    def branch(self, part: slice, quarters: int) -> ShareBranch:
        """Return the branch of a network.

        Args:
            part: the ridges that are in it.
            quarters: its weight in the answer.
        """
        weights, bias = self.weights[part], self.bias[part]
        return ShareBranch.of(self.shares, weights, bias, stride=self.stride, quarters=quarters)


class Finished(NamedTuple):
    """What became of a network.

    Attributes:
        note: what a person is told.
        parts: the scores of each part of the answer; none without a ridge.
        refitted: the branch of all items, which takes the place of one that did not see some, once that is scored.
    """

    note: str
    parts: list[dict[str, Any]]
    refitted: ShareBranch | None = None


def finish(
    network: SeriesNetwork, target: Target, train_set: EncodedItems, valid_set: EncodedItems, *, ridge: bool
) -> Finished:
    """Set the temperature of members and the weight of a ridge beside them, by items that they did not see.

    Args:
        network: trained; it is changed.
        target: the meaning of its outputs.
        train_set: the items that it was trained on.
        valid_set: the items held out; with folds the training items that are in one.
        ridge: whether a ridge is to answer too.
    """
    head: Any = network.criterion
    weights = valid_set.record_weights(np.arange(len(valid_set)))
    losses, notes = losses_of_scores(head, valid_set), list[str]()
    loss = mean_loss(losses, weights)
    net = np.asarray(run(network, valid_set), np.float64)
    if target.joint != "outputs":
        factor = temperature(net, loss)
        network.multiply_scores(1 / factor)
        net /= factor
        how = "which gives the least log loss on items that a network did not see"
        notes.append(f"The network's scores are divided by a temperature of {factor:.3g}, {how}.")
    if not ridge:
        return Finished(" ".join(notes), [])
    if valid_set.folds is None:
        fitted = fit_apart(_weighted(train_set, head, target), valid_set, target, loss, base=network.base)
    else:
        apart = np.flatnonzero(valid_set.folds < 0)
        items = dataclasses.replace(valid_set, rows=np.union1d(valid_set.rows, apart))
        fitted = fit_folds(_weighted(items, head, target), target, loss, base=network.base)
    parts, answers = [], {"network": net, "ridge on random convolutions": fitted.scores}
    if target.joint != "outputs":
        of_ridge = best_quarters(net, fitted.scores, target.joint, losses, weights)
        mix = Mix(GRID - of_ridge, of_ridge)
    elif network.base is None:
        notes.append("There is no linear base: a ridge is not shown to answer better with one.")
        mix = best_mix(net, fitted.scores, None, loss)
    else:
        answers["linear base of both"] = bases = bases_of_folds(network.base, valid_set)
        mix = best_mix(net, fitted.scores, bases, loss)
    refitted = _mix(network, fitted, mix)
    notes.append(mix.note())
    if refitted is not None:
        notes.append("Once it is scored, the ridge is fitted anew on all items.")
    for name, scores in answers.items():
        records = target.records(np.asarray(scores, np.float32), valid_set.labels_of(valid_set.rows))
        parts.append({"name": name, **target.score(records, valid_set.record_weights(np.arange(len(records))))})
    return Finished(" ".join(notes), parts, refitted)


def _mix(network: SeriesNetwork, fitted: Ridges, mix: Mix) -> ShareBranch | None:
    """Give the parts their weights; return the ridge of all items, where it stands behind those of folds.

    A linear base is added to network and ridge; where it has a weight too, less stays of what these add.
    """
    if not mix.ridge:
        network.multiply_scores(mix.network / GRID)
        return None
    quarters = mix.ridge if mix.network else GRID
    if mix.network:
        network.multiply_scores(mix.network / (GRID - quarters))
    share = mix.ridge / quarters
    fitted = fitted._replace(weights=share * fitted.weights, bias=share * fitted.bias)
    if len(fitted.bias) == 1:
        network.attach(fitted.branch(slice(None), quarters))
        return None
    network.attach(fitted.branch(slice(None, -1), quarters))
    return fitted.branch(slice(-1, None), quarters)


def _weighted(items: EncodedItems, head: Any, target: Target) -> EncodedItems:
    """Return items whose weights are also those that the loss of a network gives them by their class."""
    every = np.asarray(items.targets)
    by_class = head.terms(np.zeros((len(every), target.size)), every)[:, 1]
    if (by_class == 1).all():
        return items
    return dataclasses.replace(items, weights=by_class if items.weights is None else by_class * items.weights)


def fit_folds(
    items: EncodedItems, target: Target, loss: Callable[[Floats], float], *, base: LinearBase | None = None
) -> Ridges:
    """Return a ridge for each fold, of the items of the others, and one of all items behind them.

    Scores of labels are scaled by one factor, with the least loss on items that a ridge did not see.

    Args:
        items: all training items, with their folds; -1 for an item that all ridges see.
        target: the meaning of the outputs.
        loss: mean loss of scores (N, K) of the items that are in a fold.
        base: to whose answers those of a ridge are added.
    """
    folds = items.folds[items.rows] if items.folds is not None else np.zeros(len(items), np.int64)
    stride, count = stride_of(items.lengths), int(folds.max()) + 1
    series = [in_blocks(np.asarray(items.first[int(row)]), stride) for row in items.rows]
    shares = draw_shares(series, numbers=ALL)
    table, targets = shares.of(series), coded(np.asarray(items.targets_of(items.rows)), target)
    drawn = np.arange(0, len(items), -(-len(items) // MOST_ITEMS))
    ridge, bases = Ridge(table[drawn], targets[drawn], items.record_weights(drawn)), bases_of(base, items, items.rows)
    alike = None if items.groups is None else folds[drawn]
    weights = np.empty((count + 1, targets.shape[1], shares.size))
    bias, scores = np.empty((count + 1, targets.shape[1])), np.empty(targets.shape)
    for fold in range(count + 1):
        of_fold = np.broadcast_to(bases[fold % len(bases)], targets.shape)
        left = (targets - of_fold)[drawn]
        fitted = ridge.fit(np.flatnonzero(folds[drawn] != fold), penalties_of(target), left, alike)
        weights[fold], bias[fold] = fitted.weights, fitted.bias
        held_out = folds == fold
        scores[held_out] = fitted.of(table[held_out]) + of_fold[held_out]
    return _sharpened(Ridges(shares, stride, weights, bias, scores[folds >= 0]), target, loss)


def fit_apart(
    items: EncodedItems,
    valid_set: EncodedItems,
    target: Target,
    loss: Callable[[Floats], float],
    *,
    base: LinearBase | None = None,
) -> Ridges:
    """Return a ridge of training items, and behind it one of those that validate too, where these were held out.

    Scores of labels are scaled by one factor, with the least loss on the items to validate on.

    Args:
        items: training items; of many some are read, evenly spread.
        valid_set: items to validate on.
        target: the meaning of the outputs.
        loss: mean loss of scores (N, K) of the items to validate on.
        base: to whose answers those of a ridge are added.
    """
    stride = stride_of(items.lengths)
    drawn = drawn_by_steps(items, stride)
    rows = items.rows[drawn]
    series = [in_blocks(np.asarray(items.first[int(row)]), stride) for row in rows]
    shares = draw_shares(series, numbers=ALL)
    targets = coded(np.asarray(items.targets_of(rows)), target) - bases_of(base, items, rows)[-1]
    table, penalties = shares.of(series), penalties_of(target)
    ridge = Ridge(table, targets, items.record_weights(drawn))
    fitted = [ridge.fit(penalties=penalties, folds=folds_of_groups(items, rows))]
    # a share of the training items, not items that a person gave to validate on, and no more than a ridge reads
    both = dataclasses.replace(items, rows=np.concatenate([items.rows, valid_set.rows]))
    joins = valid_set.inputs is items.inputs and len(drawn_by_steps(both, stride)) == len(both)
    scores, tables = np.empty((len(valid_set), targets.shape[1])), [table]
    for start in range(0, len(scores), _BLOCK):
        part = slice(start, start + _BLOCK)
        held_out = shares.of([in_blocks(np.asarray(valid_set.first[int(row)]), stride) for row in valid_set.rows[part]])
        scores[part] = fitted[0].of(held_out) + bases_of(base, valid_set, valid_set.rows[part])[-1]
        if joins:
            tables.append(held_out)
    if joins:
        truth, weights_of_both = (
            coded(np.asarray(both.targets_of(both.rows)), target) - bases_of(base, both, both.rows)[-1],
            both.record_weights(np.arange(len(both))),
        )
        ridge = Ridge(np.concatenate(tables), truth, weights_of_both)
        fitted.append(ridge.fit(penalties=penalties, folds=folds_of_groups(items, both.rows)))
    weights, bias = (np.stack(each) for each in zip(*((each.weights, each.bias) for each in fitted), strict=True))
    return _sharpened(Ridges(shares, stride, weights, bias, scores), target, loss)


def _sharpened(ridges: Ridges, target: Target, loss: Callable[[Floats], float]) -> Ridges:
    """Return ridges whose scores of labels have the least loss."""
    factor = 1.0 if target.joint == "outputs" else sharpness(ridges.scores, loss)
    weights, bias, scores = (factor * each for each in (ridges.weights, ridges.bias, ridges.scores))
    return ridges._replace(weights=weights, bias=bias, scores=scores)
