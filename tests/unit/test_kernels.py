"""Kernels that are not there are done without, and the reason is told; those that are check what they are given."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur import _kernels
from rekur.cli import doctor


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("rekur._native"), "missing: install from a wheel, or on a machine with a C++ compiler"),
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


@pytest.mark.skipif(_kernels.kernels is None, reason="installed without the compiled kernels")
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gates": np.zeros(11, np.float32)}, "gates: got 11 numbers; expected 12."),
        ({"gates": np.zeros(12)}, "gates: expected a contiguous array of the kernel's own dtype."),
        ({"outputs": np.zeros((4, 6), np.float32)[:, ::2]}, "outputs: expected a contiguous array of the kernel's own"),
        ({"active": np.array([2, 3])}, "active: expected rows from 1 to 2, falling."),
        ({"active": np.array([1, 2])}, "active: expected rows from 1 to 2, falling."),
        ({"active": np.array([2])}, "active: got 1 numbers; expected 2."),
        ({"first": np.array([0, -1])}, "active: expected rows from 1 to 2, falling."),
        ({"first": np.array([0, 3])}, "gates: got 12 numbers; expected 15."),
        ({"stride": -1}, "stride: got -1; expected 1 or more."),
        ({"form": "gru"}, "form: got 'gru'; expected one of plain, mingru, minlstm, rglru."),
    ],
)
def test_the_kernels_write_into_nothing_that_is_too_short(changed: dict[str, Any], said: str) -> None:
    arrays = {name: np.zeros((4, 3), np.float32) for name in ("gates", "value", "outputs")}
    states = {name: np.zeros((2, 3), np.float32) for name in ("h0", "last")}
    layout = {"form": "plain", "first": np.array([0, 2]), "active": np.array([2, 2]), "rows": 2, "hidden": 3}
    given = {**arrays, **states, **layout, "gates_stride": 3, "value_stride": 3}
    _kernels.kernels.linear_forward_single(given, 1)
    with pytest.raises(ValueError, match=re.escape(said)):
        _kernels.kernels.linear_forward_single({**given, **changed}, 1)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc/self/task")
def test_the_threads_are_those_of_pytorch_whoever_else_brings_openmp() -> None:
    pytest.importorskip("sklearn")
    code = """
import os
import sklearn.linear_model  # brings an OpenMP of its own
import torch
from rekur.cells import GRU
from rekur.scan import scan
torch.set_num_threads(2)
torch.ones(10**6).exp_()
before = len(os.listdir("/proc/self/task"))
scan(GRU(64, 64), torch.randn(16, 50, 64), path="native")
print(before > 1, len(os.listdir("/proc/self/task")) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "0"]


FORK = """
import multiprocessing, sys
{imports}
{model}
expected = ask()

def work(queue):
    queue.put(bool((ask() == expected).all()))

context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=work, args=(queue,), daemon=True)
process.start()
print(queue.get(timeout=100))
print(bool((ask() == expected).all()))
"""
LAYER = """
torch.set_num_threads(2)
layer, x = rekur.nn.{layer}, torch.randn(40, 40, 64)
ask = lambda: layer(x){output}.detach()
"""
FITTED = """
texts = [f"{number} {word} film " * 30 for number in range(40) for word in ("good", "bad")]
model = rekur.Classifier(hidden_size=32, epochs=1, baseline=False, seed=0).fit(texts, ["good", "bad"] * 40)
ask = lambda: model.predict(texts)
"""
LOADED = """
model = rekur.load(sys.argv[1])
texts = ["a good film with a plot " * 30, "a bad film " * 30] * 40
ask = lambda: model.predict(texts)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rekur = pytest.importorskip("rekur")
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("bundle") / "texts"
    texts = [f"a {word} film {number}" for number in range(8) for word in ("good", "bad")]
    rekur.Classifier(hidden_size=32, epochs=1, baseline=False, seed=0).fit(texts, ["good", "bad"] * 8).save(folder)
    return folder


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
@pytest.mark.parametrize(
    ("imports", "model"),
    [
        ("import rekur", LOADED),
        ("import torch, rekur; torch.ones(10**6).exp_()", LOADED),
        ("import torch, rekur", FITTED),
        ("import torch, rekur.nn", LAYER.format(layer="LSTM(64, 64, bidirectional=True)", output="[0]")),
        ("import torch, rekur.nn", LAYER.format(layer="Recurrent('mingru', 64, 64)", output=".output")),
    ],
    ids=["loaded", "loaded beside torch", "fitted", "drop-in", "stack"],
)
def test_a_model_used_before_a_fork_works_in_parent_and_child(imports: str, model: str, bundle: Path) -> None:
    code = FORK.format(imports=imports, model=model)
    command = [sys.executable, "-W", "ignore", "-c", code, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.stdout.split() == ["True", "True"], done.stderr


THREAD = """
import threading
import rekur

texts = [f"a {word} film {number}" for number in range(8) for word in ("good", "bad")]
model = rekur.Classifier(bidirectional=False, hidden_size=8, epochs=1, baseline=False).fit(texts, ["good", "bad"] * 8)

def listen(session):
    session.push("a good ")
    read.set()
    threading.Event().wait()

read = threading.Event()
threading.Thread(target=listen, args=[model.stream()], daemon=True).start()
read.wait()
"""


def test_nothing_is_printed_about_a_session_in_a_thread_when_python_exits() -> None:
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", THREAD], capture_output=True, text=True, check=False, timeout=200)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
