"""The rival of items: the plain model that a careful person would try first, fitted on the training items.

Text and symbols: TF-IDF of runs of tokens with logistic regression (ridge for numbers). Series: the same linear
models on the mean, spread, ends and extremes of each channel.

Axes: N items, F numbers that are made of an item, M rows of weights.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import StandardScaler

from rekur.data import EncodedItems, Ragged
from rekur.runtime.item_vectors import GramVectors, SummaryVectors, Vectors, grams_of, summary_of
from rekur.runtime.rivals import LinearRival, WindowRival
from rekur.targets import TagsTarget, Target
from rekur.tasks.base.ridge import PENALTIES

#: the rival is fitted on at most this number of training items, evenly spread
MOST_ITEMS = 20_000
#: a bias with which a label is certain, or certainly absent
CERTAIN = 50.0
#: folds of groups that are left out in turn to choose a penalty
_FOLDS = 5


def fit_linear_rival(train_set: EncodedItems, target: Target) -> LinearRival:
    """Return the linear model of training items; weights of items count in all but the frequencies of TF-IDF.

    Args:
        train_set: the items, and their targets: class numbers (N,), flags (N, K) or standardized numbers (N,).
        target: the meaning of the network's outputs.
    """
    drawn = drawn_items(train_set, MOST_ITEMS)
    rows, weights_of_rows = train_set.rows[drawn], train_set.record_weights(drawn)
    truth, steps = np.asarray(train_set.targets_of(rows)), train_set.first
    items = (steps[int(row)] for row in rows)
    vectors: Vectors
    if steps.values.dtype.kind in "iu":
        tfidf = TfidfVectorizer(analyzer=grams_of, min_df=1, sublinear_tf=True)
        table = tfidf.fit_transform(items)
        vectors, name = GramVectors(_padded(tfidf.vocabulary_), tfidf.idf_), "TF-IDF of 1- to 3-grams"
    else:
        scaler = StandardScaler()
        table = scaler.fit_transform(np.stack([summary_of(item) for item in items]), sample_weight=weights_of_rows)
        vectors, name = SummaryVectors(scaler.mean_, scaler.scale_), "summary statistics"
    if target.kind == "number":
        ridge = _ridge(table, folds_of_groups(train_set, rows)).fit(table, truth, weights_of_rows)
        bias = np.atleast_1d(ridge.intercept_)
        return LinearRival(f"{name} + ridge regression", target, vectors, np.atleast_2d(ridge.coef_), bias)
    weights, bias, classes = _of_labels(table, truth, weights_of_rows)
    return LinearRival(f"{name} + logistic regression", target, vectors, weights, bias, classes)


def fit_window_rival(train_set: EncodedItems, target: TagsTarget, *, earlier: int, later: int) -> WindowRival:
    """Return logistic regression on the rows around each step of training items.

    Args:
        train_set: series with a class number for each step, or the target's ``no_target``.
        target: of the network.
        earlier: rows of the window before the step.
        later: rows behind it.
    """
    share, random = MOST_ITEMS / max(1, int(train_set.lengths.sum())), np.random.default_rng(0)
    windows, classes, weights_of_steps = [], [], []
    met: set[int] = set()
    weights_of_rows = train_set.record_weights(np.arange(len(train_set)))
    for number, row in enumerate(train_set.rows.tolist()):
        steps = np.asarray(train_set.first[row])
        truth: NDArray[Any] = cast(Ragged, train_set.targets)[row]
        places = np.flatnonzero(truth != target.no_target)
        if share < 1:  # steps at equal distances may all have one label
            firsts = [step for step in places[_first_of_each(truth[places])] if truth[step] not in met]
            met.update(truth[firsts].tolist())
            count = int(np.ceil(share * len(places)))
            places = np.union1d(random.choice(places, count, replace=False, shuffle=False), firsts).astype(np.int64)
        around = places[:, None] + np.arange(-earlier, later + 1)
        inside = (around >= 0) & (around < len(steps))
        rows = np.where(inside[..., None], steps[np.clip(around, 0, len(steps) - 1)], 0)
        windows.append(rows.reshape(len(places), -1))
        classes.append(truth[places])
        weights_of_steps.append(np.full(len(places), 1.0 if weights_of_rows is None else weights_of_rows[number]))
    table = np.concatenate(windows)
    model = LogisticRegression(C=10.0, max_iter=500).fit(
        table, np.concatenate(classes), np.concatenate(weights_of_steps)
    )
    width = earlier + later + 1
    weights = model.coef_.reshape(len(model.coef_), width, -1).transpose(1, 2, 0)
    return WindowRival(
        f"logistic regression on a window of {width} rows",
        target,
        np.ascontiguousarray(weights),
        model.intercept_,
        model.classes_.astype(np.int64),
        earlier,
    )


def drawn_items(train_set: EncodedItems, most: int) -> NDArray[np.int64]:
    """Return the places of at most ``most`` items, evenly spread; one of each label where they have only one.

    Args:
        train_set: the items.
        most: 1 or more.
    """
    drawn = np.arange(0, len(train_set), max(1, -(-len(train_set) // most)))
    every = np.asarray(train_set.targets_of(train_set.rows))
    if every.dtype.kind in "iu" and every.ndim == 1 and (every[drawn] == every[drawn[0]]).all():
        drawn = np.union1d(drawn, _first_of_each(every))
    return drawn


def _ridge(table: Any, folds: NDArray[np.int64] | None) -> Any:
    """Return an unfitted ridge; that of dense numbers chooses its penalty by items left out.

    Args:
        table: (N, F).
        folds: that are left out in turn, (N,); None leaves out one item at a time.
    """
    if not isinstance(table, np.ndarray) or len(table) < 2:
        return Ridge(alpha=1.0)
    parts = None if folds is None or len(np.unique(folds)) < 2 else PredefinedSplit(folds)
    return RidgeCV(PENALTIES, cv=parts, scoring="neg_mean_squared_error")  # R² of a single item is not defined


def folds_of_groups(items: EncodedItems, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return folds of items by which a penalty is chosen where some are alike; None where each stands for itself.

    Args:
        items: with their groups; folds that they have are taken.
        rows: numbers of the items, (N,).
    """
    if items.groups is None:
        return None
    if items.folds is not None:
        return np.unique(items.folds[rows], return_inverse=True)[1]  # PredefinedSplit never leaves out -1
    numbers: NDArray[np.int64] = np.unique(items.groups[rows], return_inverse=True)[1]
    return numbers % _FOLDS


def _of_labels(table: Any, truth: NDArray[Any], sample_weight: Any) -> tuple[Any, Any, Any]:
    """Return weights (M, F), bias (M,) and the numbers of the classes, which are None for flags."""
    if truth.ndim == 1 and (truth == truth[0]).all():  # as of the items outside a fold
        return np.zeros((1, table.shape[1])), np.full(1, CERTAIN), truth[:1].astype(np.int64)
    if truth.ndim == 1:
        model = LogisticRegression(C=10.0, max_iter=2000).fit(table, truth, sample_weight)
        return model.coef_, model.intercept_, model.classes_.astype(np.int64)
    weights = np.zeros((truth.shape[1], table.shape[1]))
    bias = np.where(truth.mean(axis=0) > 0.5, CERTAIN, -CERTAIN).astype(np.float64)
    for row, flags in enumerate(truth.T):
        if flags.min() < flags.max():  # else all items have the label, or none has
            single = LogisticRegression(C=10.0, max_iter=2000).fit(table, flags, sample_weight)
            weights[row], bias[row] = single.coef_[0], single.intercept_[0]
    return weights, bias, None


def _first_of_each(classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the index of the first entry of each class, so that a random draw can be given every class."""
    return np.asarray(np.unique(classes, return_index=True)[1], np.int64)


def _padded(vocabulary: dict[tuple[int, ...], int]) -> NDArray[np.int32]:
    """Return the runs of tokens in the order of their columns, padded with -1, (F, 3)."""
    grams = np.full((len(vocabulary), 3), -1, np.int32)
    for gram, column in vocabulary.items():
        grams[column, : len(gram)] = gram
    return grams
