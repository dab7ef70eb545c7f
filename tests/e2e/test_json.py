"""What commands print as JSON is a format: keys may be added, and none is renamed or dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.conftest import REVIEWS, WALKS, Run

#: metrics of ``evaluate`` by kind of prediction, with what stands beside them
SCORES = {
    "label": (
        "items accuracy accuracy_interval macro_f1 macro_f1_interval log_loss calibration_error calibration per_class "
        "confusion"
    ),
    "labels": "items subset_accuracy micro_f1 micro_f1_interval macro_f1 log_loss per_class",
    "number": "items rmse rmse_interval mae r2",
}
ROWS = {"label": "item label probability probabilities", "number": "item value"}
RIVALS = {
    "label": "name seconds items accuracy macro_f1 log_loss",
    "labels": "name seconds items macro_f1 micro_f1 log_loss",
    "number": "name seconds items rmse mae r2",
}
TAGS = ("--text", "post", "--label", "tags", "--label-separator", "|")
WEAR = ("--series", "x", "--label", "wear")
#: bundle -> kind, file, and the options that name its columns
CASES = {
    "words": ("label", "reviews", REVIEWS),
    "walks": ("label", "walks", WALKS),
    "tags": ("labels", "tags", TAGS),
    "wear": ("number", "walks", WEAR),
}
each = pytest.mark.parametrize("name", CASES)


def missing(keys: str, row: dict[str, object]) -> set[str]:
    return set(keys.split()) - row.keys()


@each
def test_evaluate_and_fit(cli: Run, bundles: dict[str, Path], files: dict[str, Path], name: str) -> None:
    kind, file, columns = CASES[name]
    scores = cli("evaluate", bundles[name], files[file], *columns, "--json").json
    assert not missing(f"bundle file {SCORES[kind]}", scores)
    metrics = json.loads((bundles[name] / "metrics.json").read_text(encoding="utf-8"))
    assert not missing(f"split rival {SCORES[kind]}", metrics)
    assert not missing(RIVALS[kind], metrics["rival"])


@each
def test_predict_and_stream(cli: Run, bundles: dict[str, Path], files: dict[str, Path], name: str) -> None:
    kind, file, columns = CASES[name]
    keys = ROWS["number" if kind == "number" else "label"]
    rows = [
        json.loads(line) for line in cli("predict", bundles[name], files[file], *columns[:2], "--json").out.splitlines()
    ]
    assert rows
    assert not any(missing(keys, row) for row in rows)
    line = b"a great film\n" if columns[0] == "--text" else b"0.5 1.5\n"
    (event,) = [json.loads(row) for row in cli("stream", bundles[name], "--json", stdin=line).out.splitlines()][:1]
    assert not missing(f"event steps {keys.removeprefix('item ')}", event)


@pytest.mark.parametrize(("name", "score", "unit"), [("words", "accuracy", "points"), ("wear", "rmse", "%")])
def test_quantize(
    cli: Run, bundles: dict[str, Path], files: dict[str, Path], tmp_path: Path, name: str, score: str, unit: str
) -> None:
    _, file, columns = CASES[name]
    words = (
        "quantize",
        bundles[name],
        "--data",
        files[file],
        *columns,
        "--out",
        tmp_path / "small",
        "--tolerance",
        100,
    )
    told = cli(*words, "--json").json
    keys = (
        "bundle out precision data tolerance score unit before after lost interval items bytes step_seconds fingerprint"
    )
    assert not missing(keys, told)
    assert (told["score"], told["unit"]) == (score, unit)


def test_evaluate_says_where_a_rival_is_not_kept(
    cli: Run, bundles: dict[str, Path], files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, file, columns = CASES["wear"]
    words = ("evaluate", bundles["wear"], files[file], *columns, "--json")
    kept = cli(*words)
    assert (kept.err, kept.json["rival"]["name"]) == ("", "summary statistics + ridge regression")
    monkeypatch.setattr("rekur.runtime.saved_rivals.MOST_BYTES", 10)
    fit = ("fit", "regress", files[file], *columns, "--hidden-size", "4", "--epochs", "1", "--quiet")
    assert cli(*fit, "--out", tmp_path / "m").code == 0
    other = cli("evaluate", tmp_path / "m", *words[2:])
    assert "rival" not in other.json
    told = (
        "summary statistics + ridge regression, whose validation scores the bundle has, is not kept in it: not scored."
    )
    assert other.err == f"{told}\n"
