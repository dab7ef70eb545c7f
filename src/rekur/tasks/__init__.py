"""Tasks: where data, features, model, loss and metrics meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rekur._lazy import lazily
from rekur.tasks.catalog import TASKS, row_of

if TYPE_CHECKING:
    from rekur.tasks.base.estimator import Estimator
    from rekur.tasks.base.items import SequenceEstimator
    from rekur.tasks.classify.classifier import Classifier
    from rekur.tasks.forecast.forecaster import Forecaster
    from rekur.tasks.language.adapt import DynamicEvaluation, NeuralCache
    from rekur.tasks.language.language_model import LanguageModel
    from rekur.tasks.loading import load
    from rekur.tasks.regress.regressor import Regressor
    from rekur.tasks.tag.tagger import Tagger
    from rekur.tasks.translate.translator import Translator

__all__ = [
    "TASKS",
    "Classifier",
    "DynamicEvaluation",
    "Estimator",
    "Forecaster",
    "LanguageModel",
    "NeuralCache",
    "Regressor",
    "SequenceEstimator",
    "Tagger",
    "Translator",
    "load",
]

_find, _ = lazily(
    __name__,
    {
        "language.adapt": "DynamicEvaluation NeuralCache",
        "base.items": "SequenceEstimator",
        "base.estimator": "Estimator",
        "loading": "load",
    },
)


def __getattr__(name: str) -> Any:
    """Import an estimator of the catalog, or another public name, when it is first used."""
    row = row_of(name)
    return _find(name) if row is None else row.estimator_class()


def __dir__() -> list[str]:
    return sorted(__all__)
