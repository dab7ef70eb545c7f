"""Metrics with intervals; the names are scikit-learn's."""

from rekur.metrics.language import Scored, language_scores
from rekur.metrics.scores import (
    calibration_curve,
    calibration_error,
    classification_scores,
    multilabel_scores,
    regression_scores,
)
from rekur.metrics.stats import bootstrap_interval, share_interval

__all__ = [
    "Scored",
    "bootstrap_interval",
    "calibration_curve",
    "calibration_error",
    "classification_scores",
    "language_scores",
    "multilabel_scores",
    "regression_scores",
    "share_interval",
]
