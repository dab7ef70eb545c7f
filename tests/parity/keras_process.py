"""Python processes in which Keras runs on PyTorch."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest


def run_keras(*arguments: str, **environment: str) -> str:
    """Return what ``python ARGUMENTS`` writes, with these variables in its environment; skip where Keras is missing."""
    if importlib.util.find_spec("keras") is None or importlib.util.find_spec("h5py") is None:
        pytest.skip("keras is not installed")
    variables = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-4000:]
    return process.stdout
