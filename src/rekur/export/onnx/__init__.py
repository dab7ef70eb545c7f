"""Programs as ONNX models, compared with the engine before they are written."""

from rekur.export.onnx.check import check_models
from rekur.export.onnx.export import Exported, export_onnx
from rekur.export.onnx.found import Found
from rekur.export.onnx.models import make_models

__all__ = ["Exported", "Found", "check_models", "export_onnx", "make_models"]
