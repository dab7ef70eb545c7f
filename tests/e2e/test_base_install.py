"""The base install, from a built wheel into an empty environment: no PyTorch, few packages, what it can do alone."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)


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
