"""Taggers and what lies beside the usual: marks in words, options without effect, states of other models."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run, write_lines

from rekur.errors import InputError
from rekur.tasks import Tagger, load

TINY = ("--text", "tokens", "--label", "tags", "--epochs", "1", "--hidden-size", "4")
X = [[f"a{number % 7}", "b", "c"] for number in range(20)]
Y = [["X", "Y", "X"]] * 20


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Sentences as JSON lines."""
    monkeypatch.chdir(tmp_path)
    write_lines(Path("a.jsonl"), [{"tokens": words, "tags": tags} for words, tags in zip(X, Y, strict=True)])
    return "a.jsonl"


def test_words_that_hold_the_mark_of_csv_stay_apart(cli: Run, file: str) -> None:
    assert cli("fit", "tag", file, *TINY, "--out", "m").code == 0
    sentences = [["a", "b"], ["a|b", "c"], ["|"], ['["a', 'b"]'], ["é|", '"']]
    write_lines(Path("b.jsonl"), [{"tokens": words} for words in sentences])
    rows = list(csv.DictReader(io.StringIO(cli("predict", "m", "b.jsonl").out)))
    assert [row["token"] for row in rows] == [word for words in sentences for word in words]
    assert [row["item"] for row in rows] == [str(n) for n, words in enumerate(sentences, 1) for _ in words]


def test_a_separator_of_labels_is_refused_for_tags(cli: Run, file: str) -> None:
    done = cli("fit", "tag", file, *TINY, "--label-separator", "|", "--out", "m")
    assert done.code == 2
    assert "--label-separator: got '|'; expected none for tag. Put tags into a list." in done.err


def test_the_advice_on_a_long_sentence_names_no_option_that_is_missing(cli: Run, file: str) -> None:
    write_lines(Path("b.jsonl"), [*map(json.loads, Path(file).read_text().splitlines()), LONG])
    done = cli("fit", "tag", "b.jsonl", *TINY, "--out", "m")
    assert done.code == 0
    assert "the longest item has 20,000 steps" in done.err
    assert "Cut it before training." in done.err
    assert "--max-length" not in done.err


LONG = {"tokens": ["a", "b"] * 10_000, "tags": ["X", "Y"] * 10_000}


def trained(seed: int) -> Any:
    """Return a small causal tagger."""
    return Tagger(bidirectional=False, epochs=1, hidden_size=4, seed=seed, baseline=False).fit(X, Y)


def test_a_state_goes_with_the_model_that_it_came_from_saved_or_not(tmp_path: Path) -> None:
    model, other = trained(0), trained(1)
    session = model.stream()
    session.push("a1")
    state = session.get_state()
    model.stream().set_state(state)
    with pytest.raises(InputError, match=r"expected one of the model [0-9a-f]{12}…"):
        other.stream().set_state(state)


def test_training_again_makes_another_model(tmp_path: Path) -> None:
    trained(0).save(tmp_path / "m")
    model = load(tmp_path / "m")
    session = model.stream()
    session.push("a1")
    state = session.get_state()
    load(tmp_path / "m").stream().set_state(state)
    model.set_params(seed=1).fit(X, Y)
    with pytest.raises(InputError, match="state: got one of the model"):
        model.stream().set_state(state)


def test_weights_of_any_finite_size_give_a_score() -> None:
    model = trained(0)
    assert model.score(X, Y, sample_weight=[1e308] * 20) == pytest.approx(model.score(X, Y))


def test_options_of_parts_that_are_not_read(cli: Run, file: str) -> None:
    bare = ("--prefixes", "0", "--suffixes", "0", "--no-shape")
    for words in (("--part-size", "8"), ("--buckets", "50")):
        for command in ("fit", "tune"):
            done = cli(command, "tag", file, "--text", "tokens", "--label", "tags", *bare, *words, "--out", "m")
            expected = "none without parts of words: beginnings, ends or the shape."
            assert (done.code, done.err) == (2, f"rekur: {words[0]}: got {words[1]}; expected {expected}\n")
