"""The scores of classifiers and regressors with intervals; precision, recall and F1 as in scikit-learn.

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


def classification_scores(truth: Ints, probabilities: Floats, labels: list[str]) -> dict[str, Any]:
    """Return the scores of a single-label classifier as plain JSON.

    Args:
        truth: the true class of each item, int (N,), in [0, K).
        probabilities: the model's probabilities, (N, K).
        labels: names of the K classes.

    Returns:
        ``items``, ``accuracy``, ``macro_f1``, their 95 % intervals, ``log_loss`` in nats, ``calibration_error`` and
        its ``calibration`` curve, ``per_class`` (precision, recall, f1, support), and ``confusion`` (rows: truth,
        columns: prediction).
    """
    guess = probabilities.argmax(axis=1)
    right = guess == truth

    def macro_f1(index: Any) -> float:
        # as scikit-learn's f1_score(average="macro") over the classes that occur, but fast enough for resampling
        hits = np.bincount(truth[index][right[index]], minlength=len(labels))
        twice = np.bincount(truth[index], minlength=len(labels)) + np.bincount(guess[index], minlength=len(labels))
        return float((2 * hits[twice > 0] / twice[twice > 0]).mean())

    confusion = np.bincount(truth * len(labels) + guess, minlength=len(labels) ** 2).reshape(len(labels), -1)
    everything = np.arange(len(truth))
    return {
        "items": len(truth),
        "accuracy": float(right.mean()),
        "accuracy_interval": share_interval(int(right.sum()), len(truth)),
        "macro_f1": macro_f1(everything),
        "macro_f1_interval": score_interval(macro_f1, len(truth)),
        "log_loss": 0.0 - float(np.log(np.clip(probabilities[everything, truth], 1e-12, 1.0)).mean()),
        "calibration_error": calibration_error(right, probabilities.max(axis=1)),
        "calibration": calibration_curve(right, probabilities.max(axis=1)),
        "per_class": _per_class(labels, confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)),
        "confusion": confusion.tolist(),
    }


def multilabel_scores(truth: Ints, probabilities: Floats, labels: list[str]) -> dict[str, Any]:
    """Return the scores of a multi-label classifier as plain JSON.

    Args:
        truth: 1 if an item has a label, else 0, int (N, K).
        probabilities: of each label independently, (N, K); 0.5 or more predicts the label.
        labels: names of the K labels.

    Returns:
        ``items``, ``subset_accuracy`` (all labels of an item right), ``micro_f1``, ``macro_f1``, the interval of
        ``micro_f1``, ``log_loss`` in nats per label, and ``per_class``.
    """
    guess = (probabilities >= 0.5).astype(int)

    def micro_f1(index: Any) -> float:
        both = int(truth[index].sum() + guess[index].sum())
        return float(2 * (truth[index] & guess[index]).sum() / both) if both else 0.0

    per_class = _per_class(labels, (truth & guess).sum(axis=0), guess.sum(axis=0), truth.sum(axis=0))
    safe = np.clip(probabilities, 1e-12, 1 - 1e-12)
    everything = np.arange(len(truth))
    return {
        "items": len(truth),
        "subset_accuracy": float((truth == guess).all(axis=1).mean()),
        "micro_f1": micro_f1(everything),
        "micro_f1_interval": score_interval(micro_f1, len(truth)),
        "macro_f1": float(np.mean([scores["f1"] for scores in per_class])),
        "log_loss": 0.0 - float((truth * np.log(safe) + (1 - truth) * np.log(1 - safe)).mean()),
        "per_class": per_class,
    }


def regression_scores(truth: Floats, guess: Floats) -> dict[str, Any]:
    """Return the scores of a regressor as plain JSON.

    Args:
        truth: the true numbers, (N,), in the unit of the data.
        guess: the predictions, (N,).

    Returns:
        ``items``, ``rmse`` and ``mae`` in the unit of the data, the interval of ``rmse`` (None for fewer than 5 items),
        and ``r2``, the explained share of the variance (0 if the truth is constant).
    """
    error, away = guess - truth, truth - truth.mean()
    rmse, spread = _root_mean_square(error), _root_mean_square(away)
    share = rmse / spread if spread else 1.0
    enough = len(truth) >= FEWEST_ITEMS
    interval = bootstrap_interval(lambda i: _root_mean_square(error[i]), len(truth)) if enough else None
    return {
        "items": len(truth),
        "rmse": rmse,
        "rmse_interval": interval,
        "mae": float(np.abs(error).mean()),
        "r2": 1.0 - share * share,
    }


def _root_mean_square(values: Floats) -> float:
    """Return the root mean square, computed on scaled numbers so that no square overflows or underflows."""
    unit = float(np.abs(values).max())
    return unit * float(np.sqrt(((values / unit) ** 2).mean())) if unit else 0.0


def calibration_error(right: NDArray[np.bool_], confidence: Floats, bins: int = 10) -> float:
    r"""Return the expected calibration error: :math:`\sum_b \frac{N_b}{N} |\mathrm{acc}_b - \mathrm{conf}_b|`.

    Args:
        right: whether each prediction was right, bool (N,).
        confidence: the probability of each prediction, (N,).
        bins: number of equal bins of confidence.

    Reference: Guo et al., On Calibration of Modern Neural Networks, 2017, arXiv 1706.04599.

    Example:
        >>> calibration_error(np.array([True, False]), np.array([0.5, 0.5]))
        0.0
    """
    return float(sum(c / len(right) * abs(a - m) for m, a, c in calibration_curve(right, confidence, bins)))


def calibration_curve(right: NDArray[np.bool_], confidence: Floats, bins: int = 10) -> list[tuple[float, float, int]]:
    """Return (mean confidence, accuracy, count) of each non-empty bin of confidence."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for b in range(bins):
        inside = bin_of == b
        if inside.any():
            rows.append((float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum())))
    return rows


def _per_class(labels: list[str], hits: Ints, predicted: Ints, support: Ints) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class; 0 instead of a division by zero."""
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(predicted + support, 1)
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
