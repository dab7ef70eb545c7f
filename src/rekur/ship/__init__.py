"""Ship: trained models as programs, and programs as C; making programs needs PyTorch, shipping them does not."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rekur.ship.c import CExport, export_c
    from rekur.ship.lowering import lower
    from rekur.ship.saved import program_files

__all__ = ["CExport", "export_c", "lower", "program_files"]

_FROM = {"CExport": "rekur.ship.c", "export_c": "rekur.ship.c"}
_FROM |= {"lower": "rekur.ship.lowering", "program_files": "rekur.ship.saved"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that an export does not import PyTorch."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module 'rekur.ship' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
