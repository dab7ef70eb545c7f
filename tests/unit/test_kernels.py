"""Kernels that are not there, or cannot be loaded, are done without, and the reason is told."""

from __future__ import annotations

import importlib

import pytest

from rekur import _kernels
from rekur.cli import doctor


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("rekur._native"), "missing: install from a wheel, or where there is a C++ compiler"),
        (ImportError("file too short"), "cannot be loaded (file too short): install rekur again"),
    ],
)
def test_without_kernels_the_reason_is_told(error: ImportError, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(importlib, "import_module", fail)
        assert _kernels._load() == (None, reason)
    monkeypatch.setattr(doctor, "kernels", None)
    monkeypatch.setattr(doctor, "absence", reason)
    assert doctor._kernels() == {"kernels": reason}
