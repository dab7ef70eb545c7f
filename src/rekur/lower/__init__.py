"""Trained models as programs that run without PyTorch."""

from rekur.lower.live import runtime_model, step_function
from rekur.lower.lowering import lower
from rekur.lower.saved import program_files

__all__ = ["lower", "program_files", "runtime_model", "step_function"]
