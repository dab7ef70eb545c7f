"""Trained models as programs that run without PyTorch."""

from rekur.lower.live import live_model, step_function
from rekur.lower.lowering import lower
from rekur.lower.saved import program_files

__all__ = ["live_model", "lower", "program_files", "step_function"]
