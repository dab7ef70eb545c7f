"""``--vectors`` of models of texts: fitted, checked with their exports, made smaller, and refused."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from tests.e2e.conftest import BAD, GOOD, NEUTRAL, SMALL, Run, write_table
from tests.unit.test_vectors import as_binary, as_text

from rekur.cli.request import Request

UNSEEN = ("splendid", "dreadful")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(0)
    rows = [
        (f"{rng.choice((BAD, GOOD)[label])} {rng.choice(NEUTRAL)} and {rng.choice(NEUTRAL)} {number}", label)
        for number, label in enumerate([0, 1] * 40)
    ]
    return write_table(tmp_path_factory.mktemp("reviews") / "reviews.csv", ("text", "label"), rows)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same vectors as text and as word2vec writes them in binary, ``vectors.txt`` and ``vectors.bin``."""
    folder = tmp_path_factory.mktemp("vectors")
    words = [*GOOD, UNSEEN[0], *BAD, UNSEEN[1]]
    half = len(words) // 2
    matrix = np.array([[1.0, 0.5]] * half + [[-1.0, 0.5]] * half, np.float32)
    (folder / "vectors.txt").write_text(as_text(words, matrix), encoding="utf-8")
    (folder / "vectors.bin").write_bytes(as_binary(words, matrix))
    return folder


@pytest.mark.parametrize("task", ["classify", pytest.param("regress", marks=pytest.mark.slow)])
def test_models_with_vectors_are_used_checked_and_made_smaller(
    cli: Run, reviews: Path, vectors: Path, tmp_path: Path, task: str
) -> None:
    words = ("fit", task, reviews, "--text", "text", "--label", "label", "--tokens", "word", *SMALL)
    for kind in ("bin", "txt"):
        done = cli(*words, "--vectors", vectors / f"vectors.{kind}", "--out", tmp_path / kind)
        assert done.code == 0, done.err
    weights = [(tmp_path / kind / "model.safetensors").read_bytes() for kind in ("bin", "txt")]
    assert weights[0] == weights[1]
    told = [cli("predict", tmp_path / "bin", "--item", f"{word} film", "--json").json for word in (*UNSEEN, "zzz")]
    assert len({json.dumps(answer) for answer in told}) == 3
    checks = cli("check", tmp_path / "bin", reviews, "--json").json
    assert checks["holds"]
    assert {check["name"] for check in checks["checks"] if check["holds"] is None} <= {"C"}
    data = ("--data", reviews, "--out", tmp_path / "small", "--tolerance", "100")
    done = cli("quantize", tmp_path / "bin", *data, "--json")
    assert done.code == 0, done.err
    for format in ("onnx", "c"):
        done = cli("export", tmp_path / "bin", "--to", format, "--out", tmp_path / format)
        assert done.code == 0, done.err


def test_vectors_that_cannot_be_used_are_named(cli: Run, reviews: Path, vectors: Path, tmp_path: Path) -> None:
    words = ("fit", "classify", reviews, "--text", "text", "--label", "label", *SMALL, "--out", tmp_path / "m")
    done = cli(*words, "--tokens", "char", "--vectors", vectors / "vectors.bin")
    assert (done.code, "--vectors: got" in done.err, "none without texts in words" in done.err) == (2, True, True)
    (tmp_path / "cut.bin").write_bytes((vectors / "vectors.bin").read_bytes()[:-5])
    done = cli(*words, "--tokens", "word", "--vectors", tmp_path / "cut.bin")
    assert (done.code, "at word 10 of 10" in done.err, "Traceback" in done.err) == (2, True, False)
    assert not (tmp_path / "m").exists()


def test_a_language_model_begins_with_vectors(cli: Run, vectors: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(f"a {GOOD[0]} film and a {BAD[0]} film .\n" * 60, encoding="utf-8")
    words = ("fit", "language", tmp_path / "text.txt", "--hidden-size", "8", "--epochs", "1", "--no-baseline")
    words = (*words, "--vectors", vectors / "vectors.bin", "--out", tmp_path / "m")
    done = cli(*words)
    assert (done.code, "--vectors: got" in done.err, "--tokens word" in done.err) == (2, True, True)
    done = cli(*words, "--tokens", "word")
    assert (done.code, "2 of the 7 words of training have one" in done.err) == (0, True), done.err
    assert cli("check", tmp_path / "m", tmp_path / "text.txt", "--json").json["holds"]


def test_a_run_that_is_resumed_finds_its_vectors(vectors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(vectors)
    (vectors / "glove").mkdir()
    for value, absolute in (("vectors.bin", str(vectors / "vectors.bin")), ("glove", "glove")):
        options = {"vectors": value, "epochs": 2}
        for task in ("classify", "tag", "language"):
            request = Request(task=task, files=["a.csv"], valid=[], columns={}, reading={}, options=options)
            assert request.absolute().options == {"vectors": absolute, "epochs": 2}
