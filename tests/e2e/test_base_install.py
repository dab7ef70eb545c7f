"""The base install, from a built wheel into an empty environment: no PyTorch, few packages, what it can do alone."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from rekur import Classifier, LanguageModel, Regressor

ROOT = Path(__file__).parents[2]


def run(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(w) for w in words], cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of an environment that holds the wheel and what it needs, nothing else."""
    folder = tmp_path_factory.mktemp("base")
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "dist", ROOT, cwd=folder)
    if built.returncode and "No matching distribution" in built.stderr:
        pytest.skip("no package index can be reached, so no wheel can be built")
    assert built.returncode == 0, built.stderr
    venv.create(folder / "env", with_pip=True)
    wheel = next((folder / "dist").glob("rekur-*.whl"))
    done = run(folder / "env" / "bin" / "python", "-m", "pip", "install", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "env" / "bin"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_base_install_works_without_torch(base: Path, tmp_path: Path) -> None:
    listed = run(base / "python", "-m", "pip", "list", "--format", "json", cwd=tmp_path)
    names = {package["name"].lower() for package in json.loads(listed.stdout)} - {"pip", "setuptools", "wheel"}
    assert "torch" not in names
    assert len(names) <= 12

    rows = [f"film {n} is {'fine' if n % 2 else 'dull'},{n % 2}\n" for n in range(8)]
    (tmp_path / "reviews.csv").write_text("review,stars\n" + "".join(rows), encoding="utf-8")
    described = run(base / "rekur", "data", "reviews.csv", "--json", cwd=tmp_path)
    assert json.loads(described.stdout)["classes"] == {"1": 4, "0": 4}
    assert run(base / "rekur", "--help", cwd=tmp_path).returncode == 0
    report = json.loads(run(base / "rekur", "doctor", "--json", cwd=tmp_path).stdout)
    assert report["packages"]["torch"]["fix"] == 'pip install "rekur[train]"'

    refused = run(
        base / "rekur",
        "fit",
        "classify",
        "reviews.csv",
        "--text",
        "review",
        "--label",
        "stars",
        "--out",
        "m",
        cwd=tmp_path,
    )
    assert refused.returncode == 3
    assert refused.stderr == (
        "rekur: rekur fit: needs the package 'torch', which is not installed. pip install \"rekur[train]\"\n"
    )
    imported = run(base / "python", "-c", "import rekur; rekur.Classifier", cwd=tmp_path)
    assert imported.stderr.strip().splitlines()[-1] == (
        "rekur.errors.MissingDependencyError: rekur.Classifier: needs the package 'torch', which is not installed. "
        'pip install "rekur[train]"'
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler, so the wheel has no kernels")
def test_the_wheel_brings_its_kernels(base: Path, tmp_path: Path) -> None:
    steps = (
        "import numpy as np\n"
        "from rekur._stepper import StepLayer, Stepper\n"
        "from rekur.program.cells import Cell\n"
        "from rekur.program.cells_numpy import NumpyCell\n"
        "rng = np.random.default_rng(0)\n"
        "draw = lambda *shape: rng.normal(size=shape).astype(np.float32)\n"
        "weights, x = {'weight_ih': draw(99, 7), 'weight_hh': draw(99, 33)}, draw(5, 7)\n"
        "ours, state = Stepper([StepLayer('gru', **weights)], slots=5), [np.zeros((5, 33), np.float32)]\n"
        "plain = NumpyCell(Cell('gru', 7, 33, 33), weights)\n"
        "for _ in range(3):\n"
        "    y, state = plain.step(plain.project(x), state)\n"
        "    np.testing.assert_allclose(ours.step(range(5), x), y, atol=1e-5)\n"
    )
    scans = (
        "import rekur, torch\n"
        "from rekur.cells import GRU\n"
        "from rekur.scan import choose, scan\n"
        "cell, x = GRU(7, 33), torch.randn(5, 9, 7)\n"
        "assert choose(cell, x).path == 'native'\n"
        "assert torch.allclose(scan(cell, x)[0], scan(cell, x, path='loop')[0], atol=1e-5)\n"
        "print(rekur.__file__)\n"
    )
    # nothing on the path: a compiler cannot be found; PyTorch is lent, for it is large
    lent = str(Path(importlib.util.find_spec("torch").origin).parents[1])  # type: ignore[union-attr, arg-type]
    for code, more in ((steps, {}), (scans, {"PYTHONPATH": lent})):
        done = run(base / "python", "-c", code, cwd=tmp_path, env={"PATH": str(base), **more})
        assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(base.parent)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model of each task, and what they read."""
    folder = tmp_path_factory.mktemp("saved")
    texts = [f"film {n} is {'fine' if n % 2 else 'dull'}" for n in range(12)]
    labels = ["good" if n % 2 else "bad" for n in range(12)]
    rows = [f"{text},{label}\n" for text, label in zip(texts, labels, strict=True)]
    (folder / "reviews.csv").write_text("review,label\n" + "".join(rows), encoding="utf-8")
    (folder / "book.txt").write_text("the cat saw the dog. the dog fed the bird. " * 20, encoding="utf-8")
    options: dict[str, Any] = {"hidden_size": 8, "baseline": False}
    for cell in ("gru", "slstm"):
        model = Classifier(epochs=2, cell=cell, **options).fit(texts, labels)
        model.columns_ = {"columns": {"text": "review", "label": "label"}}
        model.save(folder / cell)
    series = [[[float(i % 5), 1.0]] * 4 for i in range(20)]
    Regressor(epochs=2, bidirectional=True, **options).fit(series, [i % 5 for i in range(20)]).save(folder / "wear")
    LanguageModel(steps=3, **options).fit((folder / "book.txt").read_text()).save(folder / "book")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_saved_models_run_without_torch_as_they_do_with_it(base: Path, saved: Path) -> None:
    commands = [
        ("predict", "gru", "reviews.csv"),
        ("predict", "slstm", "reviews.csv", "--json"),
        ("evaluate", "gru", "reviews.csv", "--json"),
        ("evaluate", "book", "book.txt", "--json"),
        ("generate", "book", "--prompt", "the ", "--seed", "3"),
        ("score", "book", "--text", "the cat"),
        ("program", "wear", "--json"),
    ]
    for words in commands:
        alone = run(base / "rekur", *words, cwd=saved)
        here = run(sys.executable, "-m", "rekur", *words, cwd=saved)
        assert (alone.returncode, alone.stderr) == (0, "")
        assert alone.stdout == here.stdout != ""
    code = (
        "import rekur\n"
        "session = rekur.load('gru').stream()\n"
        "print(session.push('film 1 is ').label, session.push('fine').tentative.label)\n"
        "print(rekur.load('wear').predict([[[1.0, 1.0]] * 4]).shape)\n"
    )
    alone = run(base / "python", "-c", code, cwd=saved)
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout.splitlines()[1] == "(1,)"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_saved_models_are_checked_and_quantised_without_torch(base: Path, saved: Path) -> None:
    for name, file in (("gru", "reviews.csv"), ("book", "book.txt"), ("wear", None)):
        checked = run(base / "rekur", "check", name, *([file] if file else []), "--json", cwd=saved)
        assert (checked.returncode, checked.stderr) == (0, "")
        found = {one["name"]: one for one in json.loads(checked.stdout)["checks"]}
        assert found["PyTorch"]["where"] == "PyTorch is not installed"
        assert found["padding"]["holds"]
    given = ("quantize", "gru", "--data", "reviews.csv", "--out", "small", "--tolerance", "100", "--json")
    made = run(base / "rekur", *given, cwd=saved)
    assert (made.returncode, made.stderr) == (0, "")
    predicted = run(base / "rekur", "predict", "small", "--item", "film 1 is fine", cwd=saved)
    assert (predicted.returncode, predicted.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_base_install_is_small(base: Path) -> None:
    packages = next((base.parent / "lib").glob("python*/site-packages"))
    own = {"pip", "setuptools", "_distutils_hack", "pkg_resources", "wheel"}
    size = sum(
        path.stat().st_size
        for path in packages.rglob("*")
        if path.is_file() and path.relative_to(packages).parts[0].split("-")[0] not in own
    )
    assert size <= 100e6
