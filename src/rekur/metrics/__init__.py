"""Metrics with intervals; the names are scikit-learn's."""

from rekur._schemes import SCHEMES, Scheme, SchemeChoice, detect_scheme
from rekur.metrics.language import Scored, language_scores
from rekur.metrics.scores import (
    calibration_curve,
    calibration_error,
    classification_scores,
    multilabel_scores,
    regression_scores,
)
from rekur.metrics.spans import tag_record, tag_scores
from rekur.metrics.stats import bootstrap_interval, share_interval

__all__ = [
    "SCHEMES",
    "Scheme",
    "SchemeChoice",
    "Scored",
    "bootstrap_interval",
    "calibration_curve",
    "calibration_error",
    "classification_scores",
    "detect_scheme",
    "language_scores",
    "multilabel_scores",
    "regression_scores",
    "share_interval",
    "tag_record",
    "tag_scores",
]
