"""``rekur fit tag`` on sensor logs: a label at each row of numbers."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run, replaced, write_lines

import rekur
from rekur.cli.saved import corpus_of
from rekur.data import Corpus
from rekur.errors import InputError
from rekur.targets import Tag, TagsTarget

COLUMNS = ("--group", "who", "--time", "at", "--series", "x", "--series", "y")
SMALL = ("--hidden-size", "12", "--projection-size", "8", "--learning-rate", "0.02", "--epochs", "8", "--quiet")
NAMES = ("sit", "walk", "run")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of sixteen subjects, mixed by time; ``code`` is the number of ``act``."""
    rng, rows = np.random.default_rng(0), []
    for who in range(16):
        for at in range(int(rng.integers(30, 60))):
            label = at // 10 % 3
            x = "NA" if rng.random() < 0.03 else round(float(label + rng.normal(0, 0.3)), 3)
            rows.append([f"p{who}", at / 50, x, round(float(rng.normal()), 3), NAMES[label], label, rng.normal()])
    rows.sort(key=lambda row: row[1])
    path = tmp_path_factory.mktemp("log") / "log.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["who", "at", "x", "y", "act", "code", "heat"], *rows])
    return path


@pytest.fixture(scope="module")
def models(log: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model that reads from both ends, and one that looks one row ahead."""
    from rekur.cli.main import main

    folder = tmp_path_factory.mktemp("models")
    options = {"both": ("--label", "act"), "ahead": ("--label", "code", "--causal", "--look-ahead", "1")}
    for name, more in options.items():
        assert main(["fit", "tag", str(log), *COLUMNS, *more, *SMALL, "--out", str(folder / name)]) == 0
    return {name: folder / name for name in options}


def items_of(log: Path, label: str) -> tuple[list[Any], list[Any]]:
    """Return the series of the log by subject, and their labels."""
    rows: dict[str, list[dict[str, str]]] = {}
    with log.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["who"], []).append(row)
    series = [[[float(row["x"].replace("NA", "nan")), float(row["y"])] for row in group] for group in rows.values()]
    return [np.array(each) for each in series], [[row[label] for row in group] for group in rows.values()]


@pytest.mark.parametrize(("name", "label"), [("both", "act"), ("ahead", "code")])
def test_fit_evaluate_and_predict(cli: Run, log: Path, models: dict[str, Path], name: str, label: str) -> None:
    scores = cli("evaluate", models[name], log, "--json").json
    assert scores["items"] == 16
    assert scores["accuracy"] > 0.8
    assert 0 < scores["event_f1"] <= 1
    assert scores["rival"].keys() > {"event_f1", "macro_f1"}
    assert scores["rival"]["name"].endswith(f"window of {15 if name == 'both' else 9} rows")
    assert sum(each["support"] for each in scores["per_class"]) == scores["steps"]
    with log.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    told = list(csv.DictReader(io.StringIO(cli("predict", models[name], log).out)))
    assert [row["item"] for row in told] == [row["who"] for row in rows]  # in the order of the log
    right = sum(a["tag"] == b[label] for a, b in zip(told, rows, strict=True))
    assert right / len(rows) == pytest.approx(scores["accuracy"])
    # what the command does is what Python does
    X, y = items_of(log, label)
    model = rekur.load(models[name])
    assert model.evaluate(X, y)["macro_f1"] == pytest.approx(scores["macro_f1"])
    subjects = dict.fromkeys(row["who"] for row in rows)
    assert model.predict(X) == [[row["tag"] for row in told if row["item"] == who] for who in subjects]


def test_a_causal_model_is_live_and_exported(cli: Run, log: Path, models: dict[str, Path], tmp_path: Path) -> None:
    done = cli("check", models["ahead"], log, "--json")
    assert done.code == 0, done.err
    proved = {check["name"] for check in done.json["checks"] if check["holds"]}
    assert {"chunks", "steps", "stream", "PyTorch", "int8"} <= proved
    (series, *_), _ = items_of(log, "code")
    lines = "".join(f"{x} {y}\n" for x, y in series)
    told = cli("stream", models["ahead"], "--json", stdin=lines.encode()).out.splitlines()
    rows = [json.loads(line) for line in told]
    live = [tag for row in rows if row["final"] for tag in row["final"]["tags"]]
    assert live == rekur.load(models["ahead"]).predict([series])[0]
    done = cli("export", models["ahead"], "--to", "c", "--out", tmp_path / "c", "--json")
    assert done.code == 0, done.err


@pytest.mark.parametrize("name", ["both", "ahead"])
def test_an_onnx_runner_gives_the_same_tags(
    cli: Run, log: Path, models: dict[str, Path], tmp_path: Path, name: str
) -> None:
    pytest.importorskip("onnxruntime")
    done = cli("export", models[name], "--to", "onnx", "--out", tmp_path / "onnx", "--json")
    assert done.code == 0, done.err
    (series, *_), _ = items_of(log, "act")
    model = rekur.load(models[name])
    raw = json.dumps(series.tolist()).replace("NaN", "null")
    told = subprocess.run([sys.executable, tmp_path / "onnx" / "run.py", raw], capture_output=True, check=True)
    assert json.loads(told.stdout)["tags"] == model.predict([series])[0]


def test_a_number_is_said_to_be_a_class(cli: Run, log: Path, tmp_path: Path) -> None:
    options = [option for option in replaced(SMALL, "--epochs", "1") if option != "--quiet"]
    done = cli("fit", "tag", log, *COLUMNS, "--label", "code", *options, "--out", tmp_path / "m")
    assert done.code == 0, done.err
    assert "classes: labels are whole numbers and are taken as classes: 0, 1, 2" in done.err


def test_numbers_that_are_no_classes_are_refused(cli: Run, log: Path, tmp_path: Path) -> None:
    done = cli("fit", "tag", log, *COLUMNS, "--label", "heat", *SMALL, "--out", tmp_path / "m")
    assert done.code == 2
    assert "expected a class: text, a whole number, or True or False." in done.err
    assert "No task predicts a number at each step" in done.err
    assert "log.csv, line 2: label: got '" in done.err


def test_a_label_that_training_lacks_is_named_by_its_row(
    cli: Run, log: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    lines = log.read_text(encoding="utf-8").splitlines()
    lines[30] = lines[30].replace(",sit,", ",fly,").replace(",walk,", ",fly,").replace(",run,", ",fly,")
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    done = cli("evaluate", models["both"], tmp_path / "a.csv")
    assert "a.csv, line 31: the label 'fly' (1 time) is not among those of training, and counts as missed." in done.err


def test_series_in_rows(cli: Run, log: Path, tmp_path: Path) -> None:
    X, y = items_of(log, "act")
    X, y = X[:8], y[:8]
    rows = [{"x": series.tolist(), "act": labels} for series, labels in zip(X, y, strict=True)]
    file = write_lines(tmp_path / "a.jsonl", json.loads(json.dumps(rows).replace("NaN", "null")))
    options = ("--series", "x", "--label", "act", *replaced(SMALL, "--epochs", "1"))
    assert cli("fit", "tag", file, *options, "--out", tmp_path / "m").code == 0
    assert cli("evaluate", tmp_path / "m", file, "--json").json["steps"] == sum(map(len, X))
    bad = write_lines(tmp_path / "b.jsonl", [{"x": [[1, 2], [3, 4]], "act": ["sit"]}])
    done = cli("evaluate", tmp_path / "m", bad)
    assert done.code == 2
    assert "b.jsonl, line 1: x and act: got 2 steps and 1 label; expected one label a step." in done.err


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([0, 1, 1], "y[0]: got 3 labels; expected 4, one for each step of X[0]."),
        (["sit", None, "sit", "walk"], "label: got nothing; expected a label at every step."),
        ([0.5, 1.0, 0.5, 1.0], "label: got 0.5; expected a class: text, a whole number, or True or False."),
        (["0.5", "1", "1", "1"], "label: got '0.5'; expected a class"),
        (["sit", 1, 1, 1], "labels: got labels of the types int and str; expected labels of one type"),
        ([1, 1, 1, 1], "labels: got only the label 1 in 2 training examples; expected at least two"),
        ("sits", "expected a list of labels, one a step"),
    ],
)
def test_labels_in_memory_that_are_refused(labels: Any, text: str) -> None:
    series = np.zeros((4, 2))
    with pytest.raises(InputError) as caught:
        rekur.Tagger().fit([series, series], [labels, labels])
    assert text in str(caught.value)


def test_arrays_in_memory() -> None:
    rng = np.random.default_rng(0)
    y = [np.repeat(rng.integers(0, 2, 6), 5) for _ in range(12)]
    X = [np.stack([labels + rng.normal(0, 0.2, 30), rng.normal(size=30)], 1).astype(np.float32) for labels in y]
    options: dict[str, Any] = {"epochs": 8, "hidden_size": 8, "projection_size": 8, "learning_rate": 0.02, "seed": 1}
    model = rekur.Tagger(**options).fit(X, y)
    assert model.score(X, y) > 0.9
    assert set(model.predict(X)[0]) <= {0, 1}
    as_text = rekur.Tagger(**options).fit(X, [labels.astype(str) for labels in y])
    assert as_text.predict(X) == [[str(tag) for tag in tags] for tags in model.predict(X)]
    as_flags = rekur.Tagger(**options).fit(X, [labels.astype(bool).tolist() for labels in y])
    assert as_flags.predict(X) == [[bool(tag) for tag in tags] for tags in model.predict(X)]


@pytest.mark.parametrize("values", [[True, False, True], [3, 1, 3]], ids=["flags", "numbers"])
def test_classes_are_the_same_in_lists_in_tables_and_in_memory(values: list[Any], tmp_path: Path) -> None:
    lists = write_lines(tmp_path / "lists.jsonl", [{"x": [0.5, 1.0, 2.0], "y": values}] * 2)
    rows = [{"g": group, "x": 0.5, "y": value} for group in "ab" for value in values]
    table = write_lines(tmp_path / "table.jsonl", rows)
    text = tmp_path / "table.csv"
    text.write_text("g,x,y\n" + "".join(f"{row['g']},0.5,{json.dumps(row['y'])}\n" for row in rows), encoding="utf-8")
    read = {"label_type": "tags", "columns": {"series": ["x"], "label": "y", "group": "g"}, "reading": {}}
    corpora = [corpus_of(lists, {"series": "x", "label": "y"}, {}, label_type="tags")]
    corpora += [corpus_of(path, **read) for path in (table, text)]
    corpora.append(Corpus.labelled([np.ones(3)] * 2, [values, np.array(values)], kind="series", per_step=True))
    labels = [[example.label for example in corpus] for corpus in corpora]
    for ours in labels:
        target = TagsTarget.learn(ours, plain=True)
        for theirs in labels:
            assert [target.encode(label).tolist() for label in theirs] == [[1, 0, 1]] * 2
            with warnings.catch_warnings(action="error"):
                target.check_labels(theirs, "y", str)
            gallery = target.gallery()
            for mine, label in zip(ours, theirs, strict=True):
                gallery.add([Tag(target.tags[number], 1.0) for number in target.encode(mine)], label)
            assert not gallery.worst()
