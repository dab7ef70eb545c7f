"""``rekur fit tag`` on long tables: a row is a step with its label."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run

from rekur.cli import predict
from rekur.data.groups import Groups

SMALL = ("--epochs", "12", "--hidden-size", "12", "--projection-size", "16", "--learning-rate", "0.01", "--quiet")
COLUMNS = ("--group", "sentence", "--time", "at", "--text", "word", "--label", "tag")
TAGS = {"Ada": "N", "NA": "N", "left": "V", "runs": "V", ".": "P"}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences whose rows are mixed in the file."""
    rng, rows = random.Random(0), []
    for sentence in range(60):
        for at in range(rng.randint(1, 5)):
            word = rng.choice(list(TAGS))
            rows.append([f"s{sentence}", at, word, TAGS[word]])
    rng.shuffle(rows)
    path = tmp_path_factory.mktemp("table") / "words.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["sentence", "at", "word", "tag"], *rows])
    return path


def test_words_of_a_long_table(cli: Run, words: Path, tmp_path: Path) -> None:
    done = cli("fit", "tag", words, *COLUMNS, *SMALL, "--out", tmp_path / "m")
    assert done.code == 0, done.err
    scores = cli("evaluate", tmp_path / "m", words, "--json").json
    assert scores["accuracy"] > 0.9
    with words.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # one row a row of the table, in its order
    found = list(csv.DictReader(io.StringIO(cli("predict", tmp_path / "m", words).out)))
    assert [(row["item"], row["token"]) for row in found] == [(row["sentence"], row["word"]) for row in rows]
    right = sum(a["tag"] == b["tag"] for a, b in zip(found, rows, strict=True))
    assert right / len(rows) == pytest.approx(scores["accuracy"])
    assert all(0 < float(row["probability"]) <= 1 for row in found)
    sentences = [json.loads(line) for line in cli("predict", tmp_path / "m", words, "--json").out.splitlines()]
    assert len(sentences) == scores["items"] == 60
    assert sum(len(each["tags"]) for each in sentences) == len(rows)


def test_a_sentence_name_must_stand_in_each_row(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Sentence #,Word,Tag\ns1,Ada,O\n,left,O\ns2,It,O\n,rained,B\n", encoding="utf-8")
    columns = ("--group", "Sentence #", "--text", "Word", "--label", "Tag")
    done = cli("fit", "tag", tmp_path / "a.csv", *columns, "--out", tmp_path / "m")
    assert done.code == 2
    assert "a.csv, line 3: group: got nothing; expected the name of a sequence in every row." in done.err
    assert not (tmp_path / "m").exists()


def test_rows_of_a_long_table_wait_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    most, add = [0], Groups.add

    def counted(groups: Groups, *row: Any) -> None:
        add(groups, *row)
        most[0] = max(most[0], len(groups._rows))

    monkeypatch.setattr(Groups, "add", counted)
    monkeypatch.setattr(predict, "ROW_LIMIT", 50)
    lines = np.random.default_rng(0).permutation(2000).reshape(20, 100) + 2
    rows = [(f"log {number}", {"tags": each.tolist()}, each) for number, each in enumerate(lines)]

    target: Any = SimpleNamespace(
        item_name="item",
        columns=lambda presented: ["tag", "sure"],
        table=lambda presented: ({"tag": tag, "sure": True} for tag in presented["tags"]),
    )
    cells = predict._cells(iter(rows), target)
    assert next(cells) == ["item", "tag", "sure"]
    items = {line: f"log {number}" for number, each in enumerate(lines.tolist()) for line in each}
    assert list(cells) == [[items[line], line, True] for line in range(2, 2002)]
    assert most[0] <= 50
