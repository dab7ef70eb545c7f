"""``rekur fit tag`` on long recordings and on folders of logs, one file a sequence."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run
from tests.e2e.test_resume import interrupt_after, weights

import rekur
from rekur.tasks import load

COLUMNS = ("--time", "at", "--series", "x", "--series", "y", "--label", "act")
SMALL = ("--hidden-size", "8", "--projection-size", "0", "--dropout", "0", "--learning-rate", "0.05", "--quiet")
LONG = (*COLUMNS, *SMALL, "--causal", "--chunk-length", "8", "--batch-size", "4")


def write_log(path: Path, steps: int, seed: int, columns: str = "at,x,y,act") -> None:
    """Write rows of numbers with a label for each, which lasts for ten steps."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns.split(","))
        writer.writeheader()
        for at in range(steps):
            label = at // 10 % 3
            x, y = label + rng.normal(0, 0.2), rng.normal()
            cells = {"at": at, "x": f"{x:.3f}", "y": f"{y:.3f}", "act": ("sit", "walk", "run")[label], "note": "-"}
            writer.writerow({name: cells[name] for name in columns.split(",")})


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten files; the columns of one stand in another order, beside one more."""
    folder = tmp_path_factory.mktemp("logs")
    for number in range(10):
        columns = "note,y,act,at,x" if number == 4 else "at,x,y,act"
        write_log(folder / f"p{number}.csv", 40 + number, number, columns)
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "log.csv"
    write_log(path, 600, 0)
    return path


def test_a_folder_of_logs_is_a_table_with_a_group_a_file(cli: Run, logs: Path, tmp_path: Path) -> None:
    done = cli("fit", "tag", logs, *COLUMNS, *SMALL, "--epochs", "8", "--out", tmp_path / "m")
    assert done.code == 0, done.err
    scores = cli("evaluate", tmp_path / "m", logs, "--json").json
    assert (scores["items"], scores["steps"]) == (10, sum(range(40, 50)))
    assert scores["accuracy"] > 0.8
    rows = list(csv.DictReader(io.StringIO(cli("predict", tmp_path / "m", logs).out)))
    assert [row["item"] for row in rows] == [f"p{n}.csv" for n in range(10) for _ in range(40 + n)]
    alone = cli("predict", tmp_path / "m", logs / "p4.csv", "--json").json["tags"]
    assert [row["tag"] for row in rows if row["item"] == "p4.csv"] == alone
    assert ": 10 items, 445 steps\n" in cli("evaluate", tmp_path / "m", logs).out


def replaced(path: Path, line: int, text: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda logs: replaced(logs / "p3.csv", 1, "at,x,z,act"), "{logs}/p3.csv: series column: got 'y'; expected"),
        (lambda logs: replaced(logs / "p3.csv", 5, "3,hot,1,sit"), "{logs}/p3.csv, line 5: x: got 'hot'"),
        (lambda logs: replaced(logs / "p4.csv", 2, "-,1,,0,1"), "{logs}/p4.csv, line 2: act: got nothing"),
        (lambda logs: replaced(logs / "p3.csv", 1, "at,x,y,act,file"), "{logs}/p3.csv: column name: got 'file'"),
        (lambda logs: (logs / "a.md").touch(), "{logs}: folder of tables: got 'a.md'; expected files in csv, tsv"),
        (lambda logs: (logs / "more").mkdir(), "{logs}: folder of tables: got the folder 'more' in it"),
        (lambda logs: [path.unlink() for path in logs.iterdir()], "{logs}: files: got 0 in this folder"),
    ],
)
def test_an_error_names_the_file(
    cli: Run, logs: Path, tmp_path: Path, spoil: Callable[[Path], object], text: str
) -> None:
    shutil.copytree(logs, tmp_path / "logs")
    spoil(tmp_path / "logs")
    done = cli("fit", "tag", tmp_path / "logs", *COLUMNS, *SMALL, "--out", tmp_path / "m")
    assert done.code == 2
    assert text.format(logs=tmp_path / "logs") in done.err


def test_equal_times_are_told_with_their_file(cli: Run, logs: Path, tmp_path: Path) -> None:
    shutil.copytree(logs, tmp_path / "logs")
    replaced(tmp_path / "logs" / "p3.csv", 5, "2,1,1,sit")
    done = cli("fit", "tag", tmp_path / "logs", *COLUMNS, *SMALL, "--epochs", "1", "--out", tmp_path / "m")
    assert "first in line 5 of p3.csv; equal times keep the order of the file." in done.err
    done = cli("fit", "tag", logs, *COLUMNS, "--group", "x", *SMALL, "--out", tmp_path / "n")
    assert done.code == 2
    assert "group column: got 'x'; expected 'file' for a folder, where each file is a sequence." in done.err


def test_a_training_in_chunks_that_was_stopped_goes_on(cli: Run, recording: Path, tmp_path: Path) -> None:
    words = ("fit", "tag", recording, *LONG, "--steps", "30", "--no-baseline", "--checkpoint-every", "3")
    assert cli(*words, "--out", tmp_path / "whole").code == 0
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(monkeypatch, 20)  # in the second pass, in the middle of the lanes
        done = cli(*words, "--out", tmp_path / "m", "--json")
    assert (done.code, done.json["stopped"]) == (130, "interrupted"), done.err
    again = cli("resume", tmp_path / "m")
    assert again.code == 0, again.err
    assert "Going on after step 20 of 30." in again.err
    assert weights(tmp_path / "m") == weights(tmp_path / "whole")


def test_a_search_on_a_table_of_series(
    cli: Run, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    monkeypatch.setattr("rekur.study.run_search.write_search_report", lambda *_: None)
    words = (*LONG, "--epochs", "1", "--no-baseline", "--space", "num_layers=1,2", "--trials", "2")
    done = cli("tune", "tag", recording, *words, "--out", tmp_path / "s", "--json")
    assert done.code == 0, done.err
    assert len(done.json["trials"]) == 2
    model = load(done.json["bundle"])
    assert (model.chosen_["hidden_size"], model.chosen_["chunk_length"]) == (8, 8)


@pytest.mark.parametrize("heavy", [0, 1])
def test_weights_of_long_series_count_in_lanes(heavy: int) -> None:
    X = np.random.default_rng(0).normal(size=(300, 1))
    labels = (X[:, 0] > 0).astype(int)
    options: dict[str, Any] = {"hidden_size": 8, "projection_size": 0, "dropout": 0.0, "learning_rate": 0.05}
    model = rekur.Tagger(bidirectional=False, chunk_length=8, batch_size=2, epochs=4, baseline=False, **options)
    y = [labels, 1 - labels]
    model.fit(
        [X, X + 1e-9],
        y,
        sample_weight=[9 if number == heavy else 1 for number in (0, 1)],
        X_valid=[X],
        y_valid=[y[heavy]],
    )
    assert model.score([X], [y[heavy]]) > 0.9


def test_a_long_recording_is_judged_by_its_steps() -> None:
    X = np.random.default_rng(0).normal(size=(2300, 1))
    y = (X[:, 0] > 0).astype(int)
    options: dict[str, Any] = {"hidden_size": 4, "projection_size": 0, "steps": 2, "baseline": False}
    for steps, monitor in ((1900, "valid_loss"), (2000, "valid_accuracy")):
        model = rekur.Tagger(**options).fit([X], [y], X_valid=[X[:steps]], y_valid=[y[:steps]])
        assert model.monitor_[0] == monitor
