"""The scores of classifiers and regressors with intervals; precision, recall and F1 as in scikit-learn.

Each is made of *records*: one row of numbers an item, from which any choice of items can be scored again.

Axes: N items, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.metrics.stats import bootstrap_interval, score_interval, share_interval

#: fewest items for an interval by resampling
FEWEST_ITEMS = 5

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Records = NDArray[np.float64]
#: how much each record counts, (N,); None for equally much
Weights = NDArray[np.float64] | None


def class_records(truth: Ints, probabilities: Floats) -> Records:
    """Return the records of a single-label classifier (N, 4): class, predicted class, its probability, nats.

    Args:
        truth: the true class of each item, int (N,), in [0, K).
        probabilities: the model's probabilities, (N, K).
    """
    guess = probabilities.argmax(axis=1)
    items = np.arange(len(truth))
    nats = -np.log(np.clip(probabilities[items, truth], 1e-12, 1.0))
    return np.column_stack([truth, guess, probabilities[items, guess], nats]).astype(np.float64)


def class_scores(records: Records, count: int, weights: Weights = None) -> dict[str, float]:
    """Return accuracy, macro F1, log loss in nats and calibration error of records of ``count`` classes."""
    truth, guess = records[:, 0].astype(np.intp), records[:, 1].astype(np.intp)
    right = truth == guess
    return {
        "accuracy": float(np.average(right, weights=weights)),
        "macro_f1": _macro_f1(truth, guess, count, weights),
        "log_loss": 0.0 + float(np.average(records[:, 3], weights=weights)),
        "calibration_error": calibration_error(right, records[:, 2], weights=weights),
    }


def class_report(records: Records, labels: list[str]) -> dict[str, Any]:
    """Return all that is told of a single-label classifier, as plain JSON.

    Args:
        records: of :func:`class_records`.
        labels: names of the K classes.

    Returns:
        ``items``, the scores of :func:`class_scores`, 95 % intervals of ``accuracy`` and ``macro_f1``, the
        ``calibration`` curve, ``per_class`` (precision, recall, f1, support), and ``confusion`` (rows: truth,
        columns: prediction).
    """
    truth, guess = records[:, 0].astype(np.intp), records[:, 1].astype(np.intp)
    scores, right = class_scores(records, len(labels)), truth == guess
    confusion = np.bincount(truth * len(labels) + guess, minlength=len(labels) ** 2).reshape(len(labels), -1)
    return {
        "items": len(records),
        "accuracy": scores["accuracy"],
        "accuracy_interval": share_interval(int(right.sum()), len(records)),
        "macro_f1": scores["macro_f1"],
        "macro_f1_interval": score_interval(
            lambda index: _macro_f1(truth[index], guess[index], len(labels)), len(records)
        ),
        "log_loss": scores["log_loss"],
        "calibration_error": scores["calibration_error"],
        "calibration": calibration_curve(right, records[:, 2]),
        "per_class": per_class(labels, confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)),
        "confusion": confusion.tolist(),
    }


def classification_scores(truth: Ints, probabilities: Floats, labels: list[str]) -> dict[str, Any]:
    """Return the scores of a single-label classifier as plain JSON; see :func:`class_records` and
    :func:`class_report`."""
    return class_report(class_records(truth, probabilities), labels)


def flag_records(truth: Ints, probabilities: Floats) -> Records:
    """Return the records of a multi-label classifier (N, 2K + 1): true labels, predicted labels, nats a label.

    Args:
        truth: 1 if an item has a label, else 0, int (N, K).
        probabilities: of each label independently, (N, K); 0.5 or more predicts the label.
    """
    safe = np.clip(probabilities, 1e-12, 1 - 1e-12)
    nats = 0.0 - (truth * np.log(safe) + (1 - truth) * np.log(1 - safe)).mean(axis=1)
    return np.column_stack([truth, probabilities >= 0.5, nats]).astype(np.float64)


def flag_scores(records: Records, weights: Weights = None) -> dict[str, float]:
    """Return subset accuracy (all labels of an item right), micro and macro F1, and log loss in nats a label."""
    truth, guess = _flags(records)
    counts = (truth & guess, guess, truth)
    hits, predicted, support = (each.sum(axis=0) if weights is None else weights @ each for each in counts)
    return {
        "subset_accuracy": float(np.average((truth == guess).all(axis=1), weights=weights)),
        "micro_f1": float(_f1(hits.sum(), predicted.sum(), support.sum())),
        "macro_f1": float(np.mean(_f1(hits, predicted, support))),
        "log_loss": float(np.average(records[:, -1], weights=weights)),
    }


def flag_report(records: Records, labels: list[str]) -> dict[str, Any]:
    """Return all that is told of a multi-label classifier, as plain JSON.

    Args:
        records: of :func:`flag_records`.
        labels: names of the K labels.

    Returns:
        ``items``, the scores of :func:`flag_scores`, the 95 % interval of ``micro_f1``, and ``per_class``.
    """
    truth, guess = _flags(records)
    scores = flag_scores(records)
    return {
        "items": len(records),
        "subset_accuracy": scores["subset_accuracy"],
        "micro_f1": scores["micro_f1"],
        "micro_f1_interval": score_interval(lambda index: _micro_f1(truth[index], guess[index]), len(records)),
        "macro_f1": scores["macro_f1"],
        "log_loss": scores["log_loss"],
        "per_class": per_class(labels, (truth & guess).sum(axis=0), guess.sum(axis=0), truth.sum(axis=0)),
    }


def multilabel_scores(truth: Ints, probabilities: Floats, labels: list[str]) -> dict[str, Any]:
    """Return the scores of a multi-label classifier as plain JSON; see :func:`flag_records` and
    :func:`flag_report`."""
    return flag_report(flag_records(truth, probabilities), labels)


def number_records(truth: Floats, guess: Floats) -> Records:
    """Return the records of a regressor (N, 2): the true numbers and the predictions, in the unit of the data."""
    return np.column_stack([truth, guess]).astype(np.float64)


def number_scores(records: Records, weights: Weights = None) -> dict[str, float]:
    """Return ``rmse`` and ``mae`` in the unit of the data, and ``r2``, the explained share of the variance (0 if the
    truth is constant)."""
    truth, error = records[:, 0], records[:, 1] - records[:, 0]
    rmse = _root_mean_square(error, weights)
    spread = _root_mean_square(truth - np.average(truth, weights=weights), weights)
    share = rmse / spread if spread else 1.0
    return {"rmse": rmse, "mae": float(np.average(np.abs(error), weights=weights)), "r2": 1.0 - share * share}


def number_report(records: Records) -> dict[str, Any]:
    """Return ``items``, the scores of :func:`number_scores`, and the interval of ``rmse`` (None for fewer than 5
    items), as plain JSON."""
    error, scores = records[:, 1] - records[:, 0], number_scores(records)
    enough = len(records) >= FEWEST_ITEMS
    interval = bootstrap_interval(lambda index: _root_mean_square(error[index]), len(records)) if enough else None
    return {
        "items": len(records),
        "rmse": scores["rmse"],
        "rmse_interval": interval,
        "mae": scores["mae"],
        "r2": scores["r2"],
    }


def regression_scores(truth: Floats, guess: Floats) -> dict[str, Any]:
    """Return the scores of a regressor as plain JSON; see :func:`number_records` and :func:`number_report`."""
    return number_report(number_records(truth, guess))


def _flags(records: Records) -> tuple[Ints, Ints]:
    """Return true and predicted labels of the records of a multi-label classifier, int (N, K) each."""
    truth, guess = np.split(records[:, :-1].astype(np.intp), 2, axis=1)
    return truth, guess


def _macro_f1(truth: Ints, guess: Ints, count: int, weights: Weights = None) -> float:
    """Return F1 as scikit-learn's ``f1_score(average="macro")`` over the classes that occur, but fast enough for
    resampling."""
    right = truth == guess
    hits = np.bincount(truth[right], None if weights is None else weights[right], count)
    twice = np.bincount(truth, weights, count) + np.bincount(guess, weights, count)
    return float((2 * hits[twice > 0] / twice[twice > 0]).mean())


def _micro_f1(truth: Ints, guess: Ints) -> float:
    both = int(truth.sum() + guess.sum())
    return float(2 * (truth & guess).sum() / both) if both else 0.0


def _root_mean_square(values: Floats, weights: Weights = None) -> float:
    """Return the root mean square, computed on scaled numbers so that no square overflows or underflows."""
    unit = float(np.abs(values).max())
    return unit * float(np.sqrt(np.average((values / unit) ** 2, weights=weights))) if unit else 0.0


def calibration_error(right: NDArray[np.bool_], confidence: Floats, bins: int = 10, weights: Weights = None) -> float:
    r"""Return the expected calibration error: :math:`\sum_b \frac{N_b}{N} |\mathrm{acc}_b - \mathrm{conf}_b|`.

    Args:
        right: whether each prediction was right, bool (N,).
        confidence: the probability of each prediction, (N,).
        bins: number of equal bins of confidence.
        weights: of the predictions, (N,); None for equal ones.

    Reference: Guo et al., On Calibration of Modern Neural Networks, 2017, arXiv 1706.04599.

    Example:
        >>> calibration_error(np.array([True, False]), np.array([0.5, 0.5]))
        0.0
    """
    total = len(right) if weights is None else weights.sum()
    return float(sum(c / total * abs(a - m) for m, a, c in calibration_curve(right, confidence, bins, weights)))


def calibration_curve(
    right: NDArray[np.bool_], confidence: Floats, bins: int = 10, weights: Weights = None
) -> list[tuple[float, float, float]]:
    """Return (mean confidence, accuracy, count or weight) of each non-empty bin of confidence."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for b in range(bins):
        inside = bin_of == b
        each = None if weights is None else weights[inside]
        if inside.any() if each is None else each.any():
            mean, share = (float(np.average(values[inside], weights=each)) for values in (confidence, right))
            rows.append((mean, share, int(inside.sum()) if each is None else float(each.sum())))
    return rows


def _f1(hits: Any, predicted: Any, support: Any) -> Floats:
    """Return F1 of each class; 0 instead of a division by zero."""
    both = np.asarray(predicted + support)
    return np.asarray(2 * hits / np.where(both > 0, both, 1))


def per_class(labels: list[str], hits: Ints, predicted: Ints, support: Ints) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class; 0 instead of a division by zero."""
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(support, 1)
    f1 = _f1(hits, predicted, support)
    return [
        {
            "label": label,
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "f1": float(f1[k]),
            "support": int(support[k]),
        }
        for k, label in enumerate(labels)
    ]
