"""Metrics with intervals; the names are scikit-learn's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur._schemes import SCHEMES, Scheme, SchemeChoice, detect_scheme
    from rekur.metrics.bleu import bleu_records, bleu_score, bleu_signature, tokenize_13a
    from rekur.metrics.chrf import chrf_records, chrf_score, chrf_signature
    from rekur.metrics.forecasts import (
        forecast_records,
        forecast_report,
        forecast_scores,
        step_scores,
        unscaled_windows,
    )
    from rekur.metrics.language import Scored, text_records, text_report, text_scores
    from rekur.metrics.naive import naive2, seasonal_scales
    from rekur.metrics.scores import (
        calibration_curve,
        calibration_error,
        classification_scores,
        multilabel_scores,
        regression_scores,
    )
    from rekur.metrics.spans import tag_records, tag_report, tag_scores
    from rekur.metrics.stats import bootstrap_interval, share_interval
    from rekur.metrics.table import METRICS, Metric
    from rekur.metrics.translation import hypothesis_records, hypothesis_report, hypothesis_scores

__all__ = [
    "METRICS",
    "SCHEMES",
    "Metric",
    "Scheme",
    "SchemeChoice",
    "Scored",
    "bleu_records",
    "bleu_score",
    "bleu_signature",
    "bootstrap_interval",
    "calibration_curve",
    "calibration_error",
    "chrf_records",
    "chrf_score",
    "chrf_signature",
    "classification_scores",
    "detect_scheme",
    "forecast_records",
    "forecast_report",
    "forecast_scores",
    "hypothesis_records",
    "hypothesis_report",
    "hypothesis_scores",
    "multilabel_scores",
    "naive2",
    "regression_scores",
    "seasonal_scales",
    "share_interval",
    "step_scores",
    "tag_records",
    "tag_report",
    "tag_scores",
    "text_records",
    "text_report",
    "text_scores",
    "tokenize_13a",
    "unscaled_windows",
]

#: the table alone is read without NumPy
__getattr__, __dir__ = lazily(
    __name__,
    {
        "rekur._schemes": "SCHEMES Scheme SchemeChoice detect_scheme",
        "bleu": "bleu_records bleu_score bleu_signature tokenize_13a",
        "chrf": "chrf_records chrf_score chrf_signature",
        "forecasts": "forecast_records forecast_report forecast_scores step_scores unscaled_windows",
        "naive": "naive2 seasonal_scales",
        "translation": "hypothesis_records hypothesis_report hypothesis_scores",
        "language": "Scored text_records text_report text_scores",
        "scores": "calibration_curve calibration_error classification_scores multilabel_scores regression_scores",
        "spans": "tag_records tag_report tag_scores",
        "stats": "bootstrap_interval share_interval",
        "table": "METRICS Metric",
    },
)
