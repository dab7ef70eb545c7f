"""Runtime: bundles (a saved model, checked), what runs them, and sessions (a model that runs live); no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.runtime.answering import Answering
    from rekur.runtime.bundle import Bundle, read_bundle
    from rekur.runtime.compare import ScoreLoss, score_loss
    from rekur.runtime.language_predictor import LanguagePredictor, ProgramSteps
    from rekur.runtime.loading import load, runner
    from rekur.runtime.predictor import Predictor
    from rekur.runtime.program_model import ProgramModel
    from rekur.runtime.quantise import write_quantised
    from rekur.runtime.save import check_writable, write_bundle
    from rekur.runtime.session import Session, StepModel
    from rekur.runtime.writing import Writing, documents

__all__ = [
    "Answering",
    "Bundle",
    "LanguagePredictor",
    "Predictor",
    "ProgramModel",
    "ProgramSteps",
    "ScoreLoss",
    "Session",
    "StepModel",
    "Writing",
    "check_writable",
    "documents",
    "load",
    "read_bundle",
    "runner",
    "score_loss",
    "write_bundle",
    "write_quantised",
]

#: a command imports what it needs: to predict takes neither comparing nor writing
__getattr__, __dir__ = lazily(
    __name__,
    {
        "answering": "Answering",
        "bundle": "Bundle read_bundle",
        "compare": "ScoreLoss score_loss",
        "language_predictor": "LanguagePredictor ProgramSteps",
        "loading": "load runner",
        "predictor": "Predictor",
        "program_model": "ProgramModel",
        "quantise": "write_quantised",
        "save": "check_writable write_bundle",
        "session": "Session StepModel",
        "writing": "Writing documents",
    },
)
