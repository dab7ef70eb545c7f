"""Runtime: bundles (a saved model, checked), what runs them, and sessions (a model that runs live); no PyTorch."""

from rekur.runtime.answering import Answering
from rekur.runtime.answers import Answers, ClassAnswers, NumberAnswers, Prediction, answers_from
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
    "Answers",
    "Bundle",
    "ClassAnswers",
    "LanguagePredictor",
    "NumberAnswers",
    "Prediction",
    "Predictor",
    "ProgramModel",
    "ProgramSteps",
    "ScoreLoss",
    "Session",
    "StepModel",
    "Writing",
    "answers_from",
    "check_writable",
    "documents",
    "load",
    "read_bundle",
    "runner",
    "score_loss",
    "write_bundle",
    "write_quantised",
]
