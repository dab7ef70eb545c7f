"""Trained models as C99: a header and a source that run on a microcontroller."""

from rekur.export.c.export import CExport, export_c

__all__ = ["CExport", "export_c"]
