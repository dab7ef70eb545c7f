"""Tasks: where data, features, model, loss and metrics meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.tasks.base.estimator import Estimator
    from rekur.tasks.base.items import SequenceEstimator
    from rekur.tasks.classify.classifier import Classifier
    from rekur.tasks.language.adapt import DynamicEvaluation, NeuralCache
    from rekur.tasks.language.language_model import LanguageModel
    from rekur.tasks.loading import TASKS, load
    from rekur.tasks.regress.regressor import Regressor

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
        "language.adapt": "DynamicEvaluation NeuralCache",
        "base.items": "SequenceEstimator",
        "classify.classifier": "Classifier",
        "base.estimator": "Estimator",
        "language.language_model": "LanguageModel",
        "loading": "TASKS load",
        "regress.regressor": "Regressor",
    },
)
