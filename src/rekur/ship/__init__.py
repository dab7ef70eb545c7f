"""Ship: trained models as programs, to be run where there is no PyTorch, and programs in the forms of others."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rekur.ship.lowering import lower
    from rekur.ship.saved import program_files
    from rekur.ship.to_onnx import export_onnx

__all__ = ["export_onnx", "lower", "program_files"]

_FROM = {"export_onnx": "rekur.ship.to_onnx", "lower": "rekur.ship.lowering", "program_files": "rekur.ship.saved"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: lowering needs PyTorch, exporting a program does not."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module 'rekur.ship' has no attribute '{name}'")
