"""The plain baseline that stands beside every score: the model a careful person would try first.

Text and symbols: TF-IDF of n-grams with logistic regression (ridge for numbers). Series: the same linear models on
the mean, spread, ends and extremes of each channel. Fitted on the training items only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from rekur.features import Features
from rekur.targets import Target

#: the baseline is fitted on so many training items at most, evenly spread
MOST_ITEMS = 20_000


def baseline_scores(
    features: Features,
    train_items: Iterable[Any],
    train_targets: NDArray[Any],
    test_items: Iterable[Any],
    test_labels: Sequence[Any],
    target: Target,
) -> dict[str, Any]:
    """Return the baseline's scores on the test items, by the metrics of the model's target.

    Args:
        features: the model's fitted features; they say what a step is.
        train_items: items to fit on, read once.
        train_targets: their targets: class numbers (N,), flags (N, K) or standardised numbers (N,).
        test_items: items to score, read once.
        test_labels: their labels as they were read.
        target: what the outputs of the model mean.

    Returns:
        ``name``, ``seconds``, ``items`` and the metrics of the target.
    """
    began = time.monotonic()
    stride = max(1, -(-len(train_targets) // MOST_ITEMS))
    chosen = islice(train_items, 0, None, stride)
    targets = train_targets[::stride]
    if features.is_discrete:
        make = TfidfVectorizer(analyzer=_grams, min_df=1, sublinear_tf=True)
        train_x = make.fit_transform(features.transform(item) for item in chosen)
        test_x = make.transform(features.transform(item) for item in test_items)
        name = "TF-IDF of 1- to 3-grams"
    else:
        scale = StandardScaler()
        train_x = scale.fit_transform(np.stack([_summary(features.transform(item)) for item in chosen]))
        test_x = scale.transform(np.stack([_summary(features.transform(item)) for item in test_items]))
        name = "summary statistics"
    raw, model_name = _linear(train_x, targets, test_x)
    scores = target.score(target.records(raw.astype(np.float32), test_labels))
    seconds = round(time.monotonic() - began, 2)
    return {"name": f"{name} + {model_name}", "seconds": seconds, "items": len(raw), **scores}


def _linear(train_x: Any, targets: NDArray[Any], test_x: Any) -> tuple[NDArray[Any], str]:
    """Return raw scores (N, K) of the linear model that fits the targets, and its name."""
    if targets.dtype == np.int64:
        classes = int(targets.max()) + 1
        model = LogisticRegression(C=10.0, max_iter=2000).fit(train_x, targets)
        raw = np.full((test_x.shape[0], max(classes, len(model.classes_))), -30.0)
        raw[:, model.classes_] = np.log(np.clip(model.predict_proba(test_x), 1e-12, 1.0))
        return raw, "logistic regression"
    if targets.ndim == 2:
        several = OneVsRestClassifier(LogisticRegression(C=10.0, max_iter=2000)).fit(train_x, targets)
        given = np.clip(several.predict_proba(test_x), 1e-6, 1 - 1e-6)
        return np.log(given / (1 - given)), "logistic regression"
    return Ridge(alpha=1.0).fit(train_x, targets).predict(test_x)[:, None], "ridge regression"


def _grams(steps: NDArray[np.integer[Any]]) -> Iterator[tuple[int, ...]]:
    """Yield the 1-, 2- and 3-grams of token numbers."""
    tokens = steps.tolist()
    for size in (1, 2, 3):
        for start in range(len(tokens) - size + 1):
            yield tuple(tokens[start : start + size])


def _summary(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return mean, spread, extremes, ends and length of a series (T, D) as one vector."""
    if len(rows) == 0:
        rows = np.zeros((1, rows.shape[1]))
    parts = [rows.mean(0), rows.std(0), rows.min(0), rows.max(0), rows[0], rows[-1], [len(rows)]]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
