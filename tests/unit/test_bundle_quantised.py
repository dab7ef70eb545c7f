"""Bundles that hold a quantised program alone: written, read, refused where the model is needed, damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from rekur import Classifier, load, tasks
from rekur.check.raw_outputs import RawOutputs
from rekur.cli.main import app
from rekur.errors import BundleError, InputError
from rekur.program import Engine, dequantise
from rekur.runtime import Session, layout, model_of, read_bundle, write_bundle, write_quantised

TEXTS = ["a fine film", "a bad film", "fine", "so bad a film was never made"] * 5
LABELS = ["good", "bad", "good", "bad"] * 5
BOTH = pytest.mark.parametrize("precision", ["int8", "bfloat16"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a small classifier was saved."""
    trained = Classifier(epochs=1, hidden_size=96, embedding_size=64, cell="gru", baseline=False).fit(TEXTS, LABELS)
    return trained.save(tmp_path_factory.mktemp("bundles") / "reviews")


@BOTH
def test_what_is_written_runs_and_is_small(model: Path, tmp_path: Path, precision: str) -> None:
    bundle = read_bundle(model)
    small = write_quantised(bundle, tmp_path / "small", precision, scores={"before": 1.0})
    assert (small.quantised, bundle.quantised) == (precision, "")
    assert small.config["quantised"] == {"precision": precision, "from": bundle.fingerprint}
    assert small.fingerprint != bundle.fingerprint
    assert small.metrics == {**bundle.metrics, "quantised": {"before": 1.0}}
    assert not (tmp_path / "small" / "model.safetensors").exists()
    share = (tmp_path / "small" / "program.safetensors").stat().st_size / (model / "model.safetensors").stat().st_size
    assert share < (0.3 if precision == "int8" else 0.52)
    again = read_bundle(tmp_path / "small")
    steps = [again.features().transform(text) for text in TEXTS[:4]]
    scores = Engine(*again.program()).run(steps)
    np.testing.assert_array_equal(scores, Engine(*dequantise(*small.program())).run(steps))
    np.testing.assert_allclose(scores, Engine(*bundle.program()).run(steps), atol=0.02)
    session = Session(model_of(again), again.features(), RawOutputs(per_step=False))
    for event in ("a fine", " fi", "lm"):
        session.push(event)
    np.testing.assert_allclose(session.prediction(), scores[0], atol=1e-5)
    assert "made from the bundle of the fingerprint" in (tmp_path / "small" / "README.md").read_text()


def test_the_same_bundle_gives_the_same_fingerprint(model: Path, tmp_path: Path) -> None:
    first, second = (write_quantised(read_bundle(model), tmp_path / name, "int8") for name in ("a", "b"))
    assert first.fingerprint == second.fingerprint


def test_what_needs_the_model_says_where_it_is(model: Path, tmp_path: Path) -> None:
    bundle = read_bundle(model)
    small = write_quantised(bundle, tmp_path / "small", "int8")
    text = (
        f"{tmp_path / 'small'}: got a program of int8 weights alone; expected 'model.safetensors', the model for "
        f"PyTorch. Use the bundle that it was made from, of the fingerprint {bundle.fingerprint[:12]}…. This one runs "
        "without it: rekur.load predicts, evaluates, streams and generates, as do the commands."
    )
    for refused in (lambda: tasks.load(tmp_path / "small"), small.weights):
        with pytest.raises(BundleError) as error:
            refused()
        assert str(error.value) == text
    shown = CliRunner().invoke(app, ["program", str(tmp_path / "small")], env={"COLUMNS": "160"})
    assert shown.exit_code == 0
    assert "int8" in shown.output
    assert load(tmp_path / "small").predict(["a fine film"]).shape == (1,)


def test_a_quantised_bundle_is_not_quantised_again(model: Path, tmp_path: Path) -> None:
    small = write_quantised(read_bundle(model), tmp_path / "small", "int8")
    with pytest.raises(InputError, match="precision of the program: got 'int8'; expected 'float32'"):
        write_quantised(small, tmp_path / "smaller", "bfloat16")
    assert not (tmp_path / "smaller").exists()


def test_one_replaces_the_other_and_leaves_nothing_of_it(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "place")
    (tmp_path / "place" / "notes.txt").write_text("mine")
    bundle = read_bundle(model)
    with pytest.raises(InputError, match="a bundle is there"):
        write_quantised(bundle, tmp_path / "place", "int8")
    write_quantised(bundle, tmp_path / "place", "int8", overwrite=True)
    names = {path.name for path in (tmp_path / "place").iterdir()}
    assert "model.safetensors" not in names
    assert {"program.json", "program.safetensors", "notes.txt"} <= names
    tasks.load(model).save(tmp_path / "place", overwrite=True)
    assert not (tmp_path / "place" / "program.safetensors").exists()


@pytest.mark.parametrize("name", ["program.safetensors", "program.json"])
def test_a_changed_bit_is_found(model: Path, tmp_path: Path, name: str) -> None:
    write_quantised(read_bundle(model), tmp_path / "small", "int8")
    path = tmp_path / "small" / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=f"{name}: got a sha256 of"):
        read_bundle(tmp_path / "small")


def resealed(folder: Path, change: Any) -> None:
    """Change a config and put the right fingerprint into it."""
    config = json.loads((folder / "config.json").read_bytes())
    change(config)
    config["fingerprint"] = layout.fingerprint_of(config)
    (folder / "config.json").write_bytes(layout.render(config))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda config: config["quantised"].pop("from"),
            "quantised {'precision': 'int8'}; expected an object with its precision, one of int8, bfloat16, and the "
            "fingerprint it is from.",
        ),
        (lambda config: config.update(quantised="int8"), "quantised 'int8'; expected an object"),
        (lambda config: config["files"].pop("program.json"), "no checksum of 'program.json'; expected one for every"),
        (lambda config: config["files"].pop("program.safetensors"), "no checksum of 'program.safetensors'"),
    ],
)
def test_configs_that_cannot_be(model: Path, tmp_path: Path, change: Any, text: str) -> None:
    write_quantised(read_bundle(model), tmp_path / "small", "int8")
    resealed(tmp_path / "small", change)
    with pytest.raises(BundleError) as error:
        read_bundle(tmp_path / "small")
    assert text in str(error.value)


def test_a_bundle_has_weights_of_one_kind_or_the_other(model: Path, tmp_path: Path) -> None:
    bundle = read_bundle(model)
    with pytest.raises(InputError) as error:
        write_bundle(tmp_path / "none", {"task": "x"}, None, bundle.features(), {}, [], "card")
    assert str(error.value) == "files: got 'none'; expected 'program.json' among them, as weights is None."
    assert not (tmp_path / "none").exists()
