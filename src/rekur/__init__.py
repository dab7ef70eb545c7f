"""Rekur: recurrent networks, from a file of sequences to a model that runs live."""

from __future__ import annotations

from rekur._version import __version__

# every command passes here before Ctrl-C is watched for: nothing that takes time is imported, `typing` among it
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rekur import cells, nn, scan, tasks
    from rekur.runtime import load
    from rekur.tasks import Classifier, LanguageModel, Regressor

__all__ = ["Classifier", "LanguageModel", "Regressor", "__version__", "cells", "load", "nn", "scan", "tasks"]

_FROM = {**dict.fromkeys(("Classifier", "LanguageModel", "Regressor"), "rekur.tasks"), "load": "rekur.runtime"}
_ROOMS = ("cells", "nn", "scan", "tasks")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that ``import rekur`` stays quick and free of PyTorch."""
    if name in _ROOMS or name in _FROM:
        import importlib

        if name != "load":
            from rekur._check import need

            need("torch", "train", f"rekur.{name}")
        module = importlib.import_module(_FROM.get(name, f"rekur.{name}"))
        return module if name in _ROOMS else getattr(module, name)
    raise AttributeError(f"module 'rekur' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
