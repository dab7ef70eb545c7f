"""Metrics: thin names over scikit-learn, with intervals."""

from rekur.metrics.scores import (
    calibration_curve,
    calibration_error,
    classification_scores,
    multilabel_scores,
    regression_scores,
)
from rekur.metrics.stats import bootstrap_interval, share_interval

__all__ = [
    "bootstrap_interval",
    "calibration_curve",
    "calibration_error",
    "classification_scores",
    "multilabel_scores",
    "regression_scores",
    "share_interval",
]
