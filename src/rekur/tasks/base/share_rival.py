"""The rival of series: shares of fixed convolutions with ridge regression, of labels one against the rest.

Axes: N items, T steps, D channels, F shares, K outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._shares import draw_shares, in_blocks, stride_of
from rekur.data import EncodedItems
from rekur.runtime.item_vectors import ShareVectors
from rekur.runtime.rivals import LinearRival
from rekur.targets import Target
from rekur.tasks.base.linear_rival import CERTAIN, drawn_items, folds_of_groups
from rekur.tasks.base.ridge import PENALTIES, PENALTIES_OF_LABELS, Ridge, even_folds, sharpness

Floats = NDArray[np.float64]

#: the rival is fitted on at most this number of training items, evenly spread, with about this number of steps
MOST_ITEMS, MOST_STEPS = 2_000, 2_000_000
#: folds whose predictions say how sharp probabilities are to be
FOLDS = 5


def fit_share_rival(train_set: EncodedItems, target: Target) -> LinearRival:
    """Return the ridge regression of shares of training series; weights of items count in it.

    Args:
        train_set: series (T, D), and their targets: class numbers (N,), flags (N, K) or standardized numbers (N,).
        target: the meaning of the network's outputs.
    """
    stride = stride_of(train_set.lengths)
    drawn = drawn_by_steps(train_set, stride)
    rows, weights_of_rows = train_set.rows[drawn], train_set.record_weights(drawn)
    series = [in_blocks(np.asarray(train_set.first[int(row)]), stride) for row in rows]
    shares = draw_shares(series)
    vectors = ShareVectors(shares, stride)
    name = "random convolutions + ridge " + ("regression" if target.kind == "number" else "classifier")
    truth, folds = np.asarray(train_set.targets_of(rows)), folds_of_groups(train_set, rows)
    weights, bias, classes = ridge_of(shares.of(series), truth, target, weights_of_rows, folds)
    return LinearRival(name, target, vectors, weights.astype(np.float32), bias, classes)


def drawn_by_steps(train_set: EncodedItems, stride: int) -> NDArray[np.int64]:
    """Return the places of the items that a ridge is fitted on, evenly spread; fewer where they are long.

    Args:
        train_set: series.
        stride: steps that are averaged to one.
    """
    most = MOST_STEPS * stride // max(1, int(np.median(train_set.lengths)))
    return drawn_items(train_set, max(1, min(MOST_ITEMS, most)))


def ridge_of(
    table: NDArray[Any],
    truth: NDArray[Any],
    target: Target,
    sample_weight: Floats | None,
    folds_of_alike: NDArray[np.int64] | None = None,
) -> tuple[Floats, Floats, NDArray[np.int64] | None]:
    """Return weights (M, F), bias (M,) and the numbers of the classes, which are None for flags and numbers.

    Scores of labels are scaled by one factor so that their probabilities fit items that were left out.

    Args:
        table: shares of items, (N, F).
        truth: class numbers (N,), flags (N, K) or standardized numbers (N,).
        target: the meaning of the outputs.
        sample_weight: of the items, (N,); None for 1.
        folds_of_alike: folds that are left out in turn, (N,); None where each item stands for itself.
    """
    codes = coded(truth, target)
    if target.kind == "number":
        fitted = Ridge(table, codes, sample_weight).fit(folds=folds_of_alike)
        return fitted.weights, fitted.bias, None
    classes = np.unique(truth).astype(np.int64) if truth.ndim == 1 else None
    codes = codes if classes is None else codes[:, classes]
    ridge, flags = Ridge(table, codes, sample_weight), codes > 0
    fitted = ridge.fit(penalties=penalties_of(target), folds=folds_of_alike)
    folds = folds_of_alike
    if folds is None or len(np.unique(folds)) < 2:
        folds = even_folds(truth if classes is not None else flags.sum(axis=1), FOLDS)
    loss = _loss_of_labels if classes is not None else _loss_of_flags
    factor = sharpness(
        ridge.held_out(folds, fitted.penalty),
        lambda scores: float(np.average(loss(scores, flags), weights=sample_weight)),
    )
    weights, bias = factor * fitted.weights, factor * fitted.bias
    if classes is None:
        constant = flags.all(axis=0) | ~flags.any(axis=0)
        bias = np.where(constant, np.where(flags[0], CERTAIN, -CERTAIN), bias)
    return weights, bias, classes


def coded(truth: NDArray[Any], target: Target) -> Floats:
    """Return the targets of a ridge, (N, K): numbers unchanged; for labels 1 where an item has the label, else -1.

    Example:
        >>> from rekur.targets import LabelTarget
        >>> coded(np.array([1]), LabelTarget(["a", "b"], multi_label=False)).tolist()
        [[-1.0, 1.0]]
    """
    if target.kind == "number":
        return np.asarray(truth[:, None], np.float64)
    flags = truth[:, None] == np.arange(target.size) if truth.ndim == 1 else truth > 0.5
    return np.where(flags, 1.0, -1.0)


def penalties_of(target: Target) -> tuple[float, ...]:
    """Return the penalties that are tried for what a target means."""
    return PENALTIES if target.kind == "number" else PENALTIES_OF_LABELS


def _loss_of_labels(scores: Floats, flags: NDArray[np.bool_]) -> Floats:
    """Return the log loss of each item, (N,), of the softmax of scores (N, K)."""
    scores = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(scores).sum(axis=1)) - scores[flags])


def _loss_of_flags(scores: Floats, flags: NDArray[np.bool_]) -> Floats:
    """Return the log loss of each item, (N,), of the sigmoids of scores (N, K)."""
    return np.asarray(np.logaddexp(0.0, np.where(flags, -scores, scores)).mean(axis=1))
