"""``rekur fit`` on every kind of file, each in a process of its own: what is written, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import BUNDLE_FILES, REVIEWS, RIVAL_FILES, SMALL, WALKS, Run

FITS = {
    "words": ("classify", "reviews", REVIEWS),
    "letters": ("classify", "reviews", (*REVIEWS, "--tokens", "char", "--cell", "gru", "--pooling", "attention+last")),
    "numbers": ("regress", "walks", ("--series", "x", "--label", "wear", "--cell", "mingru")),
    "several labels": ("classify", "tags", ("--text", "post", "--label", "tags", "--label-separator", "|")),
    "series": ("classify", "walks", (*WALKS, "--class-weight", "balanced", "--bidirectional", "--num-layers", "2")),
    "long table": (
        "classify",
        "long",
        ("--series", "hr", "--series", "temp", "--group", "who", "--time", "at", "--label", "ill"),
    ),
    "symbols": ("classify", "genes", ("--symbols", "sequence", "--label", "label", "--cell", "rnn")),
    "ts file": ("classify", "cases", ("--series", "series", "--label", "label")),
}


@pytest.mark.parametrize("name", FITS)
def test_every_kind_of_file_becomes_a_bundle(name: str, cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    task, file, words = FITS[name]
    done = cli("fit", task, files[file], *words, "--out", tmp_path / "m", *SMALL, "--json")
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 1
    assert set(done.json) == {"bundle", "stopped", "seconds", "metrics"}
    assert done.json["stopped"] == "finished"
    assert done.json["metrics"]["rival"]["name"]
    assert done.json["metrics"]["baseline"] == done.json["metrics"]["rival"]
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [*BUNDLE_FILES, *RIVAL_FILES]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    again = cli("evaluate", tmp_path / "m", files[file], "--json")
    assert (again.code, again.err) == (0, "")
    assert again.json["items"] >= 24
    assert again.json["rival"]["name"] == done.json["metrics"]["rival"]["name"]


def test_fit_in_a_process_of_its_own_tells_how_it_goes(rekur: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = ("fit", "classify", "reviews.csv", *REVIEWS, "--out", tmp_path / "m", "--epochs", "2", "--hidden-size", "6")
    done = rekur(*words, cwd=files["reviews"].parent)
    assert done.code == 0
    progress = done.err.splitlines()
    assert progress[0].endswith("without length buckets)")
    assert progress[1].startswith("training takes about ")
    assert [line.split()[:2] for line in progress[2:]] == [["epoch", "1"], ["epoch", "2"]]
    assert all(len(line.rstrip()) <= 80 for line in done.out.splitlines() if str(tmp_path) not in line)
    for wanted in ("Scores on 4 validation items", "TF-IDF", "accuracy", "95 % interval", "Training ended: finished"):
        assert wanted in done.out
    assert done.out.rstrip().endswith(
        f"Saved in {tmp_path}/m. Next:\n  rekur evaluate {tmp_path}/m TEST_FILE\n"
        f"  rekur predict {tmp_path}/m FILE\n  rekur stream {tmp_path}/m"
    )


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model_in_two_processes(
    rekur: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        words = ("fit", "classify", files["walks"], *WALKS, "--out", tmp_path / name, "--seed", "3", *SMALL)
        assert rekur(*words).code == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]


def test_validation_file_time_limit_and_tensorboard(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    board = tmp_path / "board"
    words = ("--valid", files["walks"], "--time-limit", "1m", "--tensorboard", board, "--no-baseline")
    done = cli("fit", "classify", files["walks"], *WALKS, "--out", tmp_path / "m", *words, *SMALL, "--json")
    assert done.code == 0
    assert done.err.startswith("warning: the validation items are the training items")
    assert done.json["metrics"]["items"] == 42
    assert "baseline" not in done.json["metrics"]
    assert len(list((board / "tensorboard").iterdir())) == 1
    assert len((board / "history.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_a_time_limit_ends_in_good_order(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = ("--time-limit", "0.2s", "--epochs", "100000", "--hidden-size", "4", "--patience", "0", "--quiet")
    done = cli("fit", "classify", files["walks"], *WALKS, "--out", tmp_path / "m", *words, "--json")
    assert (done.code, done.json["stopped"]) == (0, "time limit")


def test_overwrite_replaces_a_bundle(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = ("fit", "classify", files["walks"], *WALKS, "--out", tmp_path / "m", "--no-baseline", *SMALL)
    assert cli(*words, "--seed", "1").code == 0
    first = (tmp_path / "m" / "model.safetensors").read_bytes()
    assert cli(*words, "--seed", "2", "--overwrite").code == 0
    assert (tmp_path / "m" / "model.safetensors").read_bytes() != first
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_what_a_bundle_says_of_itself(bundles: dict[str, Path]) -> None:
    config = json.loads((bundles["words"] / "config.json").read_text(encoding="utf-8"))
    assert (config["task"], config["targets"]["labels"]) == ("classify", ["bad", "good"])
    assert config["columns"]["columns"] == {"text": "review", "label": "stars", "id": "id"}
    assert config["training"]["stopped"] == "finished"
    card: Any = (bundles["words"] / "README.md").read_text(encoding="utf-8")
    for wanted in ("# words", "| accuracy |", "TF-IDF", "rekur predict words FILE", "rekur stream words"):
        assert wanted in card
    assert "rekur stream" not in (bundles["both"] / "README.md").read_text(encoding="utf-8")
