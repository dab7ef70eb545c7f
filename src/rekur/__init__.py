"""Rekur: recurrent networks, from a file of sequences to a model that runs live."""

from __future__ import annotations

from rekur._version import __version__

# every command passes here before Ctrl-C is watched for: nothing that takes time is imported, `typing` among it
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rekur import cells, nn, scan, tasks
    from rekur.runtime import load
    from rekur.study.run_comparison import compare
    from rekur.tasks import Classifier, Forecaster, LanguageModel, Regressor, Tagger, Translator

__all__ = [
    "Classifier",
    "Forecaster",
    "LanguageModel",
    "Regressor",
    "Tagger",
    "Translator",
    "__version__",
    "cells",
    "compare",
    "load",
    "nn",
    "scan",
    "tasks",
]

_ROOMS = ("cells", "nn", "scan", "tasks")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that ``import rekur`` stays quick and free of PyTorch."""
    import importlib

    if name == "load":
        return importlib.import_module("rekur.runtime").load
    if name == "compare":
        from rekur._check import need

        need("torch", "train", "rekur.compare")
        return importlib.import_module("rekur.study.run_comparison").compare
    row = None
    if name not in _ROOMS and not name.startswith("_"):
        row = importlib.import_module("rekur.tasks.catalog").row_of(name)
    if row is not None or name in _ROOMS:
        from rekur._check import need

        need("torch", "train", f"rekur.{name}")
        return importlib.import_module(f"rekur.{name}") if row is None else row.estimator_class()
    raise AttributeError(f"module 'rekur' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
