"""Programs in bundles: written with the model, read without PyTorch, shown by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from rekur import Classifier, LanguageModel, Regressor
from rekur.cli.main import app
from rekur.errors import BundleError, NotStreamableError
from rekur.program import Engine, Program
from rekur.runtime import Session, model_of, read_bundle, write_bundle

TEXTS = ["a fine film", "a bad film", "fine", "so bad a film was never made"] * 5
LABELS = ["good", "bad", "good", "bad"] * 5
SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 5, "baseline": False}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Path]:
    """Return a small classifier and where it was saved."""
    model = Classifier(pooling="mean+max", kernel_size=2, embedding_size=4, **SMALL).fit(TEXTS, LABELS)
    return model, model.save(tmp_path_factory.mktemp("bundles") / "reviews")


def test_the_program_of_a_bundle_scores_as_its_model(saved: tuple[Classifier, Path]) -> None:
    model, folder = saved
    bundle = read_bundle(folder)
    steps = [bundle.features().transform(text) for text in TEXTS[:4]]
    found = Engine(*bundle.program()).run(steps)
    np.testing.assert_allclose(found, model.scores(TEXTS[:4]), atol=1e-5)
    assert not (folder / "program.safetensors").exists()


def test_a_session_on_the_program_is_a_session_on_the_model(saved: tuple[Classifier, Path]) -> None:
    model, folder = saved
    bundle = read_bundle(folder)
    ours, theirs = model_of(bundle).stream(), model.stream()
    for event in ("a fine", " fi", "lm, ", "nev", "er bad"):
        probabilities = [list(each.push(event).probabilities.values()) for each in (ours, theirs)]
        np.testing.assert_allclose(*probabilities, atol=1e-5)
    kept, ahead = ours.get_state(), ours.push(" and so on")
    again = Session.restore(kept, model_of(bundle), bundle.features(), model.target_)
    assert again.push(" and so on") == ahead


def test_rows_of_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(n, 2)).cumsum(0) for n in rng.integers(3, 9, size=20)]
    model = Regressor(cell="lstm", bidirectional=True, **SMALL).fit(walks, [float(walk[-1, 0]) for walk in walks])
    bundle = read_bundle(model.save(tmp_path / "walks"))
    program, weights = bundle.program()
    assert (program.task, program.input.kind, program.input.size) == ("regress", "rows", bundle.features().size)
    found = Engine(program, weights).run([bundle.features().transform(walk) for walk in walks])
    np.testing.assert_allclose(found, model.scores(walks), atol=1e-5)
    with pytest.raises(NotStreamableError):
        model_of(bundle).live()


def test_language_models(tmp_path: Path) -> None:
    text = "the cat saw the dog. the dog fed the bird. " * 20
    model = LanguageModel(steps=3, hidden_size=6, embedding_size=6, tied=True, baseline=False)
    folder = model.fit([text]).save(tmp_path / "lines")
    program, weights = read_bundle(folder).program()
    assert not (folder / "program.safetensors").exists()
    assert sorted(weights) == sorted(program.weights)
    scores, _ = Engine(program, weights).run_steps([0, 3, 4, 2])
    assert scores.shape == (4, program.input.size)
    assert (scores[:, 0] == -np.inf).all()


def test_a_bundle_without_a_program_says_so(tmp_path: Path) -> None:
    class Saved:
        def save(self, folder: Path) -> None:
            (folder / "features.json").write_text('{"kind": "text"}\n')

    features: Any = Saved()
    bundle = write_bundle(tmp_path / "old", {"task": "x"}, {"w": np.zeros(1, np.float32)}, features, {}, [], "card")
    with pytest.raises(BundleError, match=r"program: got 'none'; expected 'program.json'"):
        bundle.program()


def test_the_program_runs_where_there_is_no_torch(saved: tuple[Classifier, Path]) -> None:
    model, folder = saved
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from rekur.program import Engine; from rekur.runtime import read_bundle\n"
        f"bundle = read_bundle({str(folder)!r})\n"
        "print(Engine(*bundle.program()).run([bundle.features().transform('a fine film')])[0].tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout), model.scores(["a fine film"])[0], atol=1e-5)


def test_the_command_shows_the_program(saved: tuple[Classifier, Path]) -> None:
    _, folder = saved
    shown = CliRunner().invoke(app, ["program", str(folder)], env={"COLUMNS": "160"})
    assert shown.exit_code == 0
    for word in ("embed", "conv", "activation relu", "recur lstm", "mean", "max", "concat", "affine", "runs live"):
        assert word in shown.output
    told = json.loads(CliRunner().invoke(app, ["program", str(folder), "--json"]).output)
    program, _ = read_bundle(folder).program()
    assert [op["op"] for op in told["ops"]] == [op.kind for op in program.main.ops]
    assert told["multiply_adds"] == sum(op["multiply_adds"] for op in told["ops"]) > 0
    assert told["state_bytes"] == sum(slot.bytes for slot in program.state)
    assert Program.from_json((folder / "program.json").read_bytes()) == program
