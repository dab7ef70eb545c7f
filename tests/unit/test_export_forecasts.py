"""Exports and proofs of a forecaster: its ONNX models with their runner give what the model gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rekur
from rekur import Forecaster
from rekur.check import check_bundle, subject_of
from rekur.data.labelled import labelled
from rekur.errors import InputError
from rekur.export import export_onnx
from rekur.export.c.check import compiler
from rekur.runtime import Model, read_bundle, write_quantised
from rekur.tasks import load

pytest.importorskip("onnxruntime")

DAYS = [f"{np.datetime64('2024-01-01') + k}" for k in range(90)]
KEYS = {"series", "time", "steps", "ahead", "level", "scale"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of two members, and its export."""
    root, k = tmp_path_factory.mktemp("forecaster"), np.arange(90)
    table = {"day": DAYS, "north": 9 + 3 * np.sin(k * 2 * np.pi / 7) + k % 3, "south": 1.0 + (k % 7 > 4)}
    model = Forecaster(horizon=14, epochs=1, hidden_size=4, members=2, cell="lstm", baseline=False)
    model.fit(table, columns={"time": "day", "series": ["north", "south"]}).save(root / "m")
    export_onnx(root / "m", root / "onnx")
    return root


def run(folder: Path, *words: str, told: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "run.py"), *words]
    return subprocess.run(command, input=told, capture_output=True, text=True, timeout=120, check=False)


def assert_forecasts(lines: str, model: Model, series: Any) -> None:
    """Hold what the runner prints against what the model says."""
    ours = [json.loads(line) for line in lines.splitlines()]
    theirs = model.present(series)
    assert len(ours) == len(theirs)
    for left, right in zip(ours, theirs, strict=True):
        assert (left["time"], list(left["quantiles"])) == (right["time"], list(right["quantiles"]))
        np.testing.assert_allclose(left["forecast"], right["forecast"], rtol=1e-5)
        np.testing.assert_allclose([*left["quantiles"].values()], [*right["quantiles"].values()], rtol=1e-5)


@pytest.mark.filterwarnings("ignore::rekur.errors.DataWarning")
def test_the_runner_forecasts_what_the_model_forecasts(made: Path) -> None:
    model: Any = rekur.load(made / "m")
    kept = run(made / "onnx", told=(made / "onnx" / "windows.jsonl").read_text())
    assert kept.returncode == 0, kept.stderr
    assert [json.loads(line)["series"] for line in kept.stdout.splitlines()] == ["north", "south"]
    assert_forecasts(kept.stdout, model, list(model.parts_to_predict(model.kept_items()).items()))
    random = np.random.default_rng(0)
    table: dict[str, Any] = {"day": DAYS[:40], "north": random.normal(9, 2, 40), "south": np.full(40, 2.0)}
    table["north"][[3, 20, 39]] = np.nan
    windows = list(model.windows(table))
    assert set(windows[0]) == KEYS
    done = run(made / "onnx", *map(json.dumps, windows))
    assert_forecasts(done.stdout, model, table)


def test_offsets_and_values_below_0(tmp_path: Path, made: Path) -> None:
    bundle = read_bundle(made / "m")
    manifest = json.loads((made / "onnx" / "manifest.json").read_text())
    model: Any = rekur.runtime.model_of(bundle)
    target, folder = model.target_, tmp_path / "onnx"
    shape = (len(target.levels), target.horizon)
    offsets = np.random.default_rng(0).normal(0, 0.3, shape)
    offsets[target.median] = 0
    folder.mkdir()
    for path in (made / "onnx").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest["prediction"] |= {"offsets": offsets.tolist(), "non_negative": True}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    target.offsets, target.non_negative = offsets, True
    table = {"day": DAYS[:40], "north": np.random.default_rng(1).normal(0, 2, 40), "south": np.arange(40.0) % 5}
    assert_forecasts(run(folder, *map(json.dumps, model.windows(table))).stdout, model, table)


def test_weights_in_fewer_bits(tmp_path: Path, made: Path) -> None:
    small = write_quantised(read_bundle(made / "m"), tmp_path / "small", "int8")
    export_onnx(small, tmp_path / "onnx")
    done = run(tmp_path / "onnx", told=(tmp_path / "onnx" / "windows.jsonl").read_text())
    model: Any = rekur.load(tmp_path / "small")
    assert_forecasts(done.stdout, model, list(model.parts_to_predict(model.kept_items()).items()))


BAD: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "line 1"),
    "no object": ("3", "line 1: expected an object with steps, ahead, level and scale"),
    "no scale": ('{"steps": [], "ahead": [], "level": 1}', "expected an object with steps, ahead, level and scale"),
    "a row of another size": (
        '{"steps": [[1, 2]], "ahead": [], "level": 1, "scale": 1}',
        "steps: got (1, 2); expected",
    ),
    "an object for rows": ('{"steps": {}, "ahead": [], "level": 1, "scale": 1}', "line 1: steps: got other things"),
    "a text for the level": ('{"steps": [], "ahead": [], "level": "1", "scale": 1}', "line 1: level: got '1'"),
    "no number for the scale": ('{"steps": [], "ahead": [], "level": 1, "scale": NaN}', "line 1: scale: got nan"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_windows(name: str, made: Path) -> None:
    told, text = BAD[name]
    done = run(made / "onnx", told=told)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_an_export_without_kept_series_has_no_windows(tmp_path: Path) -> None:
    series = [np.sin(np.arange(40.0) + phase) for phase in (0, 1)]
    model = Forecaster(horizon=3, epochs=1, hidden_size=3, keep_history=False, baseline=False).fit(series)
    export_onnx(model.save(tmp_path / "m"), tmp_path / "onnx")
    assert not (tmp_path / "onnx" / "windows.jsonl").exists()
    assert "A window is an object in JSON" in run(tmp_path / "onnx", "--help").stdout


@pytest.mark.filterwarnings("ignore::rekur.errors.DataWarning")
def test_proofs_of_a_forecaster(made: Path) -> None:
    no_c = [] if compiler() else ["C"]
    drawn = subject_of(read_bundle(made / "m"), load_trained=load)
    findings = {finding.name: finding for finding in check_bundle(drawn)}
    assert [name for name, finding in findings.items() if finding.holds is None] == ["steps", "stream", *no_c]
    assert all(finding.holds is not False for finding in findings.values())
    table = {"day": DAYS[:40], "north": np.arange(40.0) % 7 + 1, "south": np.where(np.arange(40) % 9, 3.0, np.nan)}
    corpus = labelled(table, None, "X", kind="windows", columns={"time": "day", "series": ["north", "south"]})
    subject = subject_of(read_bundle(made / "m"), corpus, load_trained=load)
    assert subject.names == ["series 'north'", "series 'south'"]
    findings = {finding.name: finding for finding in check_bundle(subject)}
    assert [name for name, finding in findings.items() if finding.holds is None] == ["steps", *no_c]
    assert all(finding.holds is not False for finding in findings.values()), findings
    changed = subject_of(read_bundle(made / "m"), corpus)
    changed.sequences[0].ahead[:] += 1
    assert {finding.name: finding.holds for finding in check_bundle(changed)}["stream"] is False


def test_a_model_that_forecasts_nothing_has_no_windows() -> None:
    model = rekur.Regressor(epochs=1, hidden_size=3, baseline=False)
    model.fit([np.full(3, value) for value in range(20)], np.arange(20.0))
    with pytest.raises(InputError, match="windows: got a model that reads series; expected one that forecasts"):
        list(model.windows([[1.0]]))
