"""The formats in which tagged sentences are written, and that they are read again as they were."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run, write_lines

import rekur
from rekur import Tagger

X = [["Ada", "Byron", "left", "Oslo"], ["#monday", "rain"], ["a\u00a0b", "line\u2028sep", "{", "\u202eabc"]] * 8
ENTITIES = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"], ["O", "O", "O", "B-LOC"]] * 8
SMALL: dict[str, Any] = {"hidden_size": 8, "projection_size": 16, "learning_rate": 0.03, "epochs": 15, "dropout": 0.0}


@pytest.fixture(scope="module")
def entities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = Tagger(**SMALL, input_dropout=0.0, token_dropout=0.0, baseline=False)
    return model.fit(X, ENTITIES, X_valid=X[:3], y_valid=ENTITIES[:3]).save(tmp_path_factory.mktemp("m") / "m")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"tokens": words} for words in X[:3]]
    return write_lines(tmp_path_factory.mktemp("data") / "a.jsonl", rows)


TOKENS = ("--text", "tokens")


def test_conll_is_read_again_as_it_was_written(cli: Run, entities: Path, file: Path, tmp_path: Path) -> None:
    first = cli("predict", entities, file, *TOKENS, "--output-format", "conll")
    assert first.code == 0, first.err
    assert first.out.startswith("Ada\tB-PER\nByron\tI-PER\nleft\tO\nOslo\tB-LOC\n\n#monday\tO\n")
    (tmp_path / "b.conll").write_text(first.out, encoding="utf-8", newline="")
    assert cli("predict", entities, tmp_path / "b.conll", "--output-format", "conll").out == first.out
    assert cli("evaluate", entities, tmp_path / "b.conll", "--json").json["accuracy"] == 1.0


def test_a_table_has_a_row_a_token(cli: Run, entities: Path, file: Path) -> None:
    usual = cli("predict", entities, file, *TOKENS).out
    assert cli("predict", entities, file, *TOKENS, "--output-format", "csv").out == usual
    rows = list(csv.DictReader(io.StringIO(usual)))
    assert list(rows[0]) == ["item", "token", "tag", "probability"]
    assert [(row["item"], row["token"]) for row in rows] == [
        (str(number), word) for number, words in enumerate(X[:3], 1) for word in words
    ]
    assert [row["tag"] for row in rows] == [tag for tags in ENTITIES[:3] for tag in tags]


def test_json_lines_are_those_of_json(cli: Run, entities: Path, file: Path) -> None:
    lines = cli("predict", entities, file, *TOKENS, "--output-format", "jsonl").out
    assert lines == cli("predict", entities, file, *TOKENS, "--json").out
    assert json.loads(lines.splitlines()[0])["spans"][0]["text"] == "Ada Byron"


def test_texts_with_spans(cli: Run, entities: Path, file: Path) -> None:
    lines = cli("predict", entities, file, *TOKENS, "--output-format", "spans").out.rstrip("\n").split("\n")
    assert json.loads(lines[0]) == {"text": "Ada Byron left Oslo", "spans": [[0, 9, "PER"], [15, 19, "LOC"]]}
    for line, tags in zip(map(json.loads, lines), ENTITIES, strict=False):
        labels = [label for _, _, label in line["spans"]]
        assert labels == [tag[2:] for tag in tags if tag.startswith("B-")]


@pytest.mark.parametrize("word", ["New York", "a\tb", "a\nb", "a\0", "-DOCSTART-"])
def test_a_word_that_conll_would_read_as_something_else_is_named(
    cli: Run, entities: Path, tmp_path: Path, word: str
) -> None:
    data = write_lines(tmp_path / "a.jsonl", [{"tokens": ["Ada"]}, {"tokens": ["in", word]}])
    done = cli("predict", entities, data, *TOKENS, "--output-format", "conll")
    assert done.code == 2
    assert "a.jsonl, item 2: token 2: got " in done.err
    assert "use the output format jsonl" in done.err


def test_formats_that_a_model_does_not_write_are_named(cli: Run, entities: Path, file: Path, tmp_path: Path) -> None:
    parts = Tagger(epochs=1, hidden_size=4, baseline=False).fit(X, [_parts(words) for words in X])
    parts.save(tmp_path / "parts")
    done = cli("predict", tmp_path / "parts", file, *TOKENS, "--output-format", "spans")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--output-format: got 'spans'; expected one of csv, jsonl, conll. " in done.err
    done = cli("predict", entities, file, *TOKENS, "--output-format", "conl")
    assert "Did you mean 'conll'?" in done.err
    done = cli("predict", entities, file, *TOKENS, "--output-format", "csv", "--json")
    assert done.code == 2
    assert "--output-format: got 'csv'; expected jsonl, which --json asks for." in done.err
    films = rekur.Classifier(epochs=1, hidden_size=4, baseline=False).fit([f"a {n}" for n in range(8)], [0, 1] * 4)
    films.save(tmp_path / "films")
    done = cli("predict", tmp_path / "films", "--item", "a b", "--output-format", "conll")
    assert "--output-format: got 'conll'; expected one of csv, jsonl. Other formats are for " in done.err


@pytest.mark.slow
def test_options_of_a_tagger_of_spans_are_searched(cli: Run, tmp_path: Path) -> None:
    rows = [{"tokens": words, "tags": tags} for words, tags in zip(X, ENTITIES, strict=True)]
    data = write_lines(tmp_path / "a.jsonl", rows)
    options = (*TOKENS, "--label", "tags", "--valid", data, "--trials", "2", "--epochs", "1", "--hidden-size", "4")
    done = cli("tune", "tag", data, *options, "--out", tmp_path / "s")
    assert done.code == 0, done.err
    assert "entity_f1" in cli("evaluate", tmp_path / "s" / "best", data, *TOKENS, "--json").json
    assert b"rekur" in (tmp_path / "s" / "search.html").read_bytes()


def _parts(words: list[str]) -> list[str]:
    return ["N" if word[0].isupper() else "V" for word in words]
