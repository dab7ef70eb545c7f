"""Tasks: where data, features, model, loss and metrics meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.tasks.adapt import DynamicEvaluation, NeuralCache
    from rekur.tasks.base import SequenceEstimator
    from rekur.tasks.classify import Classifier
    from rekur.tasks.estimator import Estimator
    from rekur.tasks.language import LanguageModel
    from rekur.tasks.loading import TASKS, load
    from rekur.tasks.regress import Regressor

__all__ = [
    "TASKS",
    "Classifier",
    "DynamicEvaluation",
    "Estimator",
    "LanguageModel",
    "NeuralCache",
    "Regressor",
    "SequenceEstimator",
    "load",
]

#: options are checked without PyTorch
__getattr__, __dir__ = lazily(
    __name__,
    {
        "adapt": "DynamicEvaluation NeuralCache",
        "base": "SequenceEstimator",
        "classify": "Classifier",
        "estimator": "Estimator",
        "language": "LanguageModel",
        "loading": "TASKS load",
        "regress": "Regressor",
    },
)
