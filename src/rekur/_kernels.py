"""Load the compiled kernels once; None and the reason if they are unavailable."""

from __future__ import annotations

import importlib
import os
from typing import Any

from rekur._cgroups import processor_quota
from rekur.errors import InputError


def _load() -> tuple[Any, str]:
    try:
        native = importlib.import_module("rekur._native")
    except ModuleNotFoundError:
        return None, "missing: install from a wheel, or on a machine with a C++ compiler"
    except ImportError as error:  # damaged, or built for another system
        return None, f"cannot be loaded ({error}): install rekur again"
    try:
        native.instruction_set()
    except RuntimeError as error:  # REKUR_ISA names instructions that this processor lacks
        raise InputError(str(error)) from None
    return native, ""


def processors() -> int:
    """Return how many processors this process may use: its affinity, and a container's quota rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, processor_quota() or allowed)


kernels: Any
#: why the kernels are unavailable, and how to get them; empty if they are loaded
absence: str
kernels, absence = _load()
