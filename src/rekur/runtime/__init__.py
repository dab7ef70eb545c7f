"""Runtime: bundles (a saved model, checked), what runs them, and sessions (a model that runs live); no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.runtime.bundle import Bundle, read_bundle
    from rekur.runtime.compare import ScoreLoss, score_loss
    from rekur.runtime.generation import GenerationMixin, documents
    from rekur.runtime.live_program import ProgramSteps
    from rekur.runtime.model import Model, load, model_of
    from rekur.runtime.prediction import PredictionMixin
    from rekur.runtime.save import check_writable, write_bundle, write_quantised
    from rekur.runtime.session import Session, StepModel, Update

__all__ = [
    "Bundle",
    "GenerationMixin",
    "Model",
    "PredictionMixin",
    "ProgramSteps",
    "ScoreLoss",
    "Session",
    "StepModel",
    "Update",
    "check_writable",
    "documents",
    "load",
    "model_of",
    "read_bundle",
    "score_loss",
    "write_bundle",
    "write_quantised",
]

#: a command imports what it needs: to predict takes neither comparing nor writing
__getattr__, __dir__ = lazily(
    __name__,
    {
        "bundle": "Bundle read_bundle",
        "compare": "ScoreLoss score_loss",
        "generation": "GenerationMixin documents",
        "model": "Model load model_of",
        "prediction": "PredictionMixin",
        "save": "check_writable write_bundle write_quantised",
        "session": "Session StepModel Update",
        "live_program": "ProgramSteps",
    },
)
