"""Tasks: where data, features, model, loss and metrics meet."""

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
