"""Runtime: bundles (a saved model, checked) and sessions (a model that runs live); no PyTorch."""

from rekur.runtime.bundle import Bundle, read_bundle
from rekur.runtime.program_model import ProgramModel
from rekur.runtime.quantise import write_quantised
from rekur.runtime.save import check_writable, write_bundle
from rekur.runtime.session import Session, StepModel

__all__ = [
    "Bundle",
    "ProgramModel",
    "Session",
    "StepModel",
    "check_writable",
    "read_bundle",
    "write_bundle",
    "write_quantised",
]
