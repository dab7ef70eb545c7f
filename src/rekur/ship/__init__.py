"""Ship: trained models as programs, to be run where there is no PyTorch, and programs in the forms of others."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rekur.ship.c import CExport, export_c
    from rekur.ship.live import live_model, step_function
    from rekur.ship.lowering import lower
    from rekur.ship.saved import program_files
    from rekur.ship.to_onnx import export_onnx

__all__ = ["CExport", "export_c", "export_onnx", "live_model", "lower", "program_files", "step_function"]

_FROM = {
    "CExport": "rekur.ship.c",
    "export_c": "rekur.ship.c",
    "export_onnx": "rekur.ship.to_onnx",
    "live_model": "rekur.ship.live",
    "lower": "rekur.ship.lowering",
    "program_files": "rekur.ship.saved",
    "step_function": "rekur.ship.live",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: lowering needs PyTorch, exporting a program does not."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module 'rekur.ship' has no attribute '{name}'")
