"""The compiled kernels, loaded once: None where Rekur was installed without a compiler."""

from __future__ import annotations

import importlib
import os
from typing import Any

from rekur.errors import InputError


def _load() -> Any:
    try:
        found = importlib.import_module("rekur._native")
    except ModuleNotFoundError:
        return None
    try:
        found.instruction_set()
    except RuntimeError as error:  # REKUR_ISA names what this processor has not
        raise InputError(str(error)) from None
    return found


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


kernels: Any = _load()
