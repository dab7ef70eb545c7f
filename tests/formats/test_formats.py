"""Files of every released format load and give what they gave when they were written.

Each folder here is named for a format and holds what ``make.py`` wrote with the version of then.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rekur
from rekur.cli.main import main
from rekur.runtime import Session
from rekur.runtime.pair_scores import pair_scores

HERE = Path(__file__).parent
OTHERS = ("forecaster", "language", "tagger", "translator")
ITEMS = sorted(path for path in HERE.glob("v*/*.json") if not path.stem.startswith(OTHERS))
#: of a version before the task was whole, and of the first in which it is
EARLY_TAGGERS, TAGGERS = sorted(HERE.glob("v*/tagger.json")), sorted(HERE.glob("v*/tagger_*.json"))
TRANSLATORS = sorted(HERE.glob("v*/translator_*.json"))
FORECASTERS = sorted(HERE.glob("v*/forecaster_*.json"))
TEXTS = sorted(HERE.glob("v*/language_*.json"))
#: kernels of other processors add numbers in another order
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def name_of(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def opened(path: Path) -> tuple[Any, dict[str, Any]]:
    return rekur.load(path.with_suffix("")), json.loads(path.read_text(encoding="utf-8"))


def items_of(answers: dict[str, Any]) -> list[Any]:
    """Return items as they were given: rows of numbers as arrays, with NaN for None."""
    items = answers["items"]
    if isinstance(items[0][0], list):
        return [np.array(item, dtype=np.float64) for item in items]
    return list(items)


def scores_of(prediction: Any) -> Any:
    return list(prediction.probabilities.values()) if hasattr(prediction, "probabilities") else float(prediction)


def test_there_are_files_of_every_kind() -> None:
    assert len(ITEMS) >= 9
    assert len(TEXTS) >= 3
    assert len(EARLY_TAGGERS) == 1
    assert len(TAGGERS) >= 3
    assert len(TRANSLATORS) >= 3
    assert len(FORECASTERS) >= 2


@pytest.mark.parametrize("path", ITEMS, ids=name_of)
def test_a_model_predicts_what_it_did(path: Path) -> None:
    model, answers = opened(path)
    predictions = model.predict(items_of(answers))
    if isinstance(answers["predict"][0], float):
        np.testing.assert_allclose(predictions, answers["predict"], **CLOSE)
    else:
        assert [list(p) if isinstance(p, tuple | list) else p for p in predictions.tolist()] == answers["predict"]
    if "probabilities" in answers:
        np.testing.assert_allclose(model.predict_proba(items_of(answers)), answers["probabilities"], **CLOSE)


@pytest.mark.parametrize("path", ITEMS, ids=name_of)
def test_a_live_session_goes_on_from_the_state_of_then(path: Path) -> None:
    model, answers = opened(path)
    if "events" not in answers:
        with pytest.raises(rekur.errors.NotStreamableError):
            model.stream()
        return
    session = model.stream()
    for event, expected in zip(answers["events"], answers["live"], strict=True):
        np.testing.assert_allclose(scores_of(session.push(event)), expected, **CLOSE)
    session = model.stream()
    session.set_state(base64.b64decode(answers["state"]))
    rest = slice(answers["state_after"], None)
    assert answers["events"][rest]
    for event, expected in zip(answers["events"][rest], answers["live"][rest], strict=True):
        np.testing.assert_allclose(scores_of(session.push(event)), expected, **CLOSE)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_a_language_model_says_and_writes_what_it_did(path: Path) -> None:
    model, answers = opened(path)
    scored = model.log_probabilities(answers["texts"])
    for entry, expected in zip(scored, answers["log_probabilities"], strict=True):
        np.testing.assert_allclose(entry.each, expected, **CLOSE)
    for drawn, options in (("generate", {"temperature": 0}), ("draw", {"temperature": 0.8, "seed": 3})):
        assert model.generate(answers["prompt"], max_tokens=20, **options)[0].text == answers[drawn]


def assert_equal(value: Any, expected: Any) -> None:
    """Compare JSON whose numbers may differ a little."""
    if isinstance(expected, dict):
        assert value.keys() == expected.keys()
        for name, inner in expected.items():
            assert_equal(value[name], inner)
    elif isinstance(expected, list):
        assert len(value) == len(expected)
        for each, inner in zip(value, expected, strict=True):
            assert_equal(each, inner)
    else:
        assert value == (pytest.approx(expected, rel=1e-4, abs=1e-5) if isinstance(expected, float) else expected)


@pytest.mark.parametrize("path", TAGGERS, ids=name_of)
def test_a_tagger_answers_what_it_did(path: Path) -> None:
    model, answers = opened(path)
    items = items_of(answers)
    assert_equal(model.present(items), answers["presented"])
    scores = model.evaluate(items, answers["labels"])
    assert_equal({name: scores[name] for name in answers["scores"]}, answers["scores"])
    if "events" not in answers:
        return
    begun, gone_on, middle = model.stream(), model.stream(), answers["state_after"]
    gone_on.set_state(base64.b64decode(answers["state"]))
    for number, (event, final) in enumerate(zip(answers["events"], answers["final"], strict=False)):
        for session in (begun, gone_on) if number >= middle else (begun,):
            assert_equal(session.push(event).final, final)
    for session in (begun, gone_on):
        assert_equal(session.finish().final, answers["final"][-1])


@pytest.mark.parametrize("path", EARLY_TAGGERS, ids=name_of)
def test_an_early_tagger_tags_what_it_did(path: Path) -> None:
    model, answers = opened(path)
    assert json.loads((path.with_suffix("") / "program.json").read_text(encoding="utf-8"))["version"] == 2
    for prediction, tags, shares in zip(
        model.present(answers["items"]), answers["tags"], answers["probabilities"], strict=True
    ):
        assert prediction["tags"] == tags
        np.testing.assert_allclose(prediction["probabilities"], shares, **CLOSE)
    begun, gone_on = model.stream(), model.stream()
    gone_on.set_state(base64.b64decode(answers["state"]))
    for number, (word, tags) in enumerate(zip(answers["items"][0], answers["live"], strict=False)):
        for session in (begun, gone_on) if number else (begun,):
            assert (session.push(word).final or {}).get("tags", []) == tags
    for session in (begun, gone_on):
        assert session.finish().final["tags"] == answers["live"][-1]


@pytest.mark.parametrize("path", TRANSLATORS, ids=name_of)
def test_a_translator_writes_and_scores_what_it_did(path: Path) -> None:
    model, answers = opened(path)
    items, labels = answers["items"], answers["labels"]
    assert model.search_.alpha == answers["alpha"]
    steps, _ = model.encode(items)
    known = [model.features_.transform_target(text) for text in labels]
    for each, expected in zip(pair_scores(model.engine, steps, known), answers["log_probabilities"], strict=True):
        assert_equal(None if each is None else each.tolist(), expected)
    assert_equal(model.attention(items[:1], labels[:1])[0].shares.tolist(), answers["attention"])
    for beam, n_best in ((1, 1), (4, 3)):
        model.search_ = dataclasses.replace(model.search_, beam=beam, n_best=n_best)
        assert_equal(model.present(items), answers[f"beam_{beam}"])
    with pytest.warns(rekur.errors.DataWarning, match="1 of 7 sources is empty"):
        scores = model.evaluate(items, labels)
    assert_equal({name: scores[name] for name in answers["scores"]}, answers["scores"])


@pytest.mark.parametrize("path", FORECASTERS, ids=name_of)
def test_a_forecaster_says_what_it_did_whole_and_live(path: Path) -> None:
    model, answers = opened(path)
    for name, series in (("presented", answers["series"]), ("kept", model.kept_items())):
        parts = list(model.parts_to_predict(series).items()) if name == "kept" else series
        for ours, theirs in zip(model.present(parts), answers[name], strict=True):
            assert_forecast(ours, theirs)
    scores = model.evaluate(answers["series"])
    assert_equal({name: scores[name] for name in answers["scores"]}, answers["scores"])
    session = Session.restore(base64.b64decode(answers["state"]), model, model.features_, model.target_)
    assert_forecast(session.push(answers["event"]).tentative, answers["live"])


def assert_forecast(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours["time"] == theirs["time"]
    assert_equal(
        {**ours["quantiles"], "forecast": ours["forecast"]}, {**theirs["quantiles"], "forecast": theirs["forecast"]}
    )


def copied(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the copy of a killed training beside its data, in the current folder."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder.with_suffix(".csv"), tmp_path)
    return Path(shutil.copytree(folder, tmp_path / "killed"))


@pytest.mark.parametrize("version", ["v2"])
def test_a_training_that_was_killed_goes_on(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    killed = copied(HERE / version / "killed", tmp_path, monkeypatch)
    assert main(["resume", "killed"]) == 0
    assert "Going on after step" in capfd.readouterr().err
    rekur.load(killed)


@pytest.mark.parametrize("version", ["v1"])
def test_a_training_that_an_earlier_version_began_is_refused_by_its_format(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    killed = copied(HERE / version / "killed", tmp_path, monkeypatch)
    before = sorted(killed.rglob("*"))
    assert main(["resume", "killed"]) == 2
    told = capfd.readouterr().err.splitlines()[-1]
    assert "got a checkpoint of format 1, by Rekur" in told
    assert told.endswith("Resume with the version that began the run, or begin anew.")
    assert [path for path in before if not path.exists()] == []


def test_every_killed_training_is_tried() -> None:
    assert {folder.parent.name for folder in HERE.glob("v*/killed")} == {"v1", "v2"}
