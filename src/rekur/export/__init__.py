"""Exports of programs to ONNX and C, and weights of recurrent layers in the forms of other libraries; no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekur._lazy import lazily

if TYPE_CHECKING:
    from rekur.export.c import CExport, export_c
    from rekur.export.onnx import export_onnx

__all__ = ["CExport", "export_c", "export_onnx"]

#: one export is written without the imports of the other
__getattr__, __dir__ = lazily(__name__, {"c": "CExport export_c", "onnx": "export_onnx"})
