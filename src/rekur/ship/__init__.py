"""Ship: trained models as programs that run without PyTorch, and exports of programs to other formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.ship.c import CExport, export_c
    from rekur.ship.live import live_model, step_function
    from rekur.ship.lowering import lower
    from rekur.ship.saved import program_files
    from rekur.ship.to_onnx import export_onnx

__all__ = ["CExport", "export_c", "export_onnx", "live_model", "lower", "program_files", "step_function"]

#: lowering needs PyTorch, exporting a program does not
__getattr__, __dir__ = lazily(
    __name__,
    {
        "c": "CExport export_c",
        "live": "live_model step_function",
        "lowering": "lower",
        "saved": "program_files",
        "to_onnx": "export_onnx",
    },
)
