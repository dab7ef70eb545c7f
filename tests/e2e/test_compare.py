"""``rekur compare``: what is printed, JSON, continuing, stopping, wrong use; every task from files."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import REVIEWS, WALKS, Run, environment, write_table
from tests.e2e.test_stopping import stop

QUICK = ("--epochs", "1", "--hidden-size", "4", "--no-baseline")
CELLS = ("--cells", "rnn,gru", "--seeds", "2")


def sentences(path: Path, seed: int, count: int = 40) -> Path:
    rng = random.Random(seed)
    words = {True: "warm lovely clever", False: "dull flat noisy"}
    rows = [(f"the film is {rng.choice(words[good].split())} {k}", ("neg", "pos")[good])
            for k, good in enumerate([True, False] * (count // 2))]  # fmt: skip
    return write_table(path, ("text", "label"), rows)


def test_a_comparison_from_the_command_line(cli: Run, tmp_path: Path) -> None:
    train, valid, test = (sentences(tmp_path / f"{name}.csv", seed) for seed, name in enumerate(["a", "b", "c"]))
    words = ("compare", "classify", train, "--text", "text", "--label", "label", "--valid", valid, *CELLS)
    words = (*words, "--out", tmp_path / "runs", *QUICK[:-1])
    done = cli(*words)
    assert (done.code, done.out.splitlines()[1]) == (0, "")
    lines = done.err.splitlines()
    assert [line[:12] for line in lines if line.startswith("run")] == [f"run   {k} of 4" for k in range(1, 5)]
    assert sum(line.startswith("warning: ") for line in lines) == 1  # on the data, and not once a run
    assert "Validation: accuracy on 40 items" in done.out
    assert "(rival: " in done.out
    assert "Scores are of the validation data" in done.out
    found = cli(*words, "--json").json
    assert found["answer"] == done.out.splitlines()[0]
    assert json.loads((tmp_path / "runs" / "result.json").read_text(encoding="utf-8")) | {"out": found["out"]} == found
    assert {"runs", "variants", "pairs", "answer", "rival"} <= found.keys()
    assert {"variant", "seed", "score", "seconds", "parameters"} <= found["runs"][0].keys()
    assert {"mean", "interval", "n"} <= found["variants"][0].keys()
    assert {"difference", "interval", "p", "p_holm", "verdict"} <= found["pairs"][0].keys()
    assert [(row["variant"], row["seed"]) for row in found["runs"]] == [
        (cell, seed) for cell in ("rnn", "gru") for seed in (0, 1)
    ]
    tested = cli(*words[:-6], "--test", test, "--json", "--quiet", *QUICK[:-1])
    assert tested.json["split"] == "test"
    assert "run   1" not in tested.err
    assert set(tested.json["rival"]) >= {"name", "accuracy"}


def test_one_seed_has_no_interval_and_that_is_said(cli: Run, files: dict[str, Path]) -> None:
    words = ("compare", "classify", files["walks"], *WALKS, "--cells", "rnn,gru", "--seeds", "1", *QUICK)
    done = cli(*words)
    assert done.code == 0
    assert done.out.startswith("No answer from one seed: ")
    assert "rnn - gru: one seed: no interval, no p, no verdict." in done.out
    found = cli(*words, "--json").json
    assert [row["interval"] for row in found["variants"]] == [None, None]
    assert (found["pairs"][0]["p"], found["pairs"][0]["verdict"]) == (None, None)


def test_runs_that_diverge(cli: Run, files: dict[str, Path]) -> None:
    words = ("compare", "classify", files["reviews"], *REVIEWS, "--cell", "gru", "--seeds", "2", *QUICK)
    done = cli(*words, "--vary", "learning-rate=0.003,1e30", "--json")
    assert done.code == 0
    states = {(row["variant"], row["state"]) for row in done.json["runs"]}
    assert states == {("learning rate 0.003", "finished"), ("learning rate 1e+30", "failed")}
    assert "NaN" not in done.out
    assert "Runs that failed" in cli(*words, "--vary", "learning-rate=0.003,1e30").out
    all_failed = cli(*words, "--vary", "learning-rate=2e30,1e30", "--json")
    assert all_failed.code == 1
    assert all_failed.json["answer"] == "No answer: none of the 4 runs has finished."


@pytest.mark.parametrize("task", ["regress", "language", "tag", "translate", "forecast"])
def test_every_task_is_compared_from_files(task: str, cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words: tuple[Any, ...] = (files["walks"], "--series", "x", "--label", "wear")
    text = "".join(random.Random(0).choices(["the cat sat. ", "a dog ran.\n"], k=200))
    if task == "language":
        (tmp_path / "text.txt").write_text(text, encoding="utf-8")
        (tmp_path / "other.txt").write_text(text[::-1], encoding="utf-8")
        words = (tmp_path / "text.txt", "--chunk-length", "16", "--test", tmp_path / "other.txt")
    elif task == "tag":
        lines = [f"Ada{k}\tB-PER\nleft\tO\nOslo\tB-LOC\n\nIt\tO\nis\tO\nfine{k}\tO\n" for k in range(15)]
        (tmp_path / "tags.conll").write_text("\n".join(lines), encoding="utf-8")
        words = (tmp_path / "tags.conll",)
    elif task == "translate":
        for name, seed in (("train", 0), ("valid", 1), ("test", 2)):
            lines = [" ".join(random.Random(seed * 99 + k).choices("abcd", k=3)) for k in range(30)]
            (tmp_path / f"{name}.x").write_text("\n".join([*lines, ""]), encoding="utf-8")
            (tmp_path / f"{name}.y").write_text("\n".join([*map(str.upper, lines), ""]), encoding="utf-8")
        files_of = {name: (tmp_path / f"{name}.x", tmp_path / f"{name}.y") for name in ("train", "valid", "test")}
        words = (*files_of["train"], "--valid", *files_of["valid"], "--test", *files_of["test"])
    elif task == "forecast":
        lines = [f"2024-01-{1 + k // 24:02d} {k % 24:02d}:00,{k % 24 + random.Random(k).random()}" for k in range(480)]
        (tmp_path / "load.csv").write_text("\n".join(["time,load", *lines]), encoding="utf-8")
        words = (tmp_path / "load.csv", "--horizon", "6", "--out", tmp_path / "study")
    done = cli("compare", task, *words, *CELLS, *QUICK, "--json")
    assert done.code == 0, done.err
    assert [row["state"] for row in done.json["runs"]] == ["finished"] * 4
    assert done.json["split"] == ("test" if task in ("language", "translate") else "validation")
    if task == "forecast":  # what is drawn is not listed too
        pages = [(tmp_path / "study" / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "md")]
        assert "<h2>Examples</h2>" in pages[0]
        assert ", MAE " in pages[0]
        assert all("Most surely wrong" not in page for page in pages)


def bad(cli: Run, files: dict[str, Path], *words: Any) -> str:
    done = cli("compare", "classify", files["reviews"], *REVIEWS, *QUICK, *words)
    assert (done.code, done.out) == (2, "")
    return done.err.strip().splitlines()[-1]


def test_bad_input(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    out = ("--out", tmp_path / "c")
    assert "cells: got 'lsmt'; expected one of" in bad(cli, files, *out, "--cells", "gru,lsmt")
    assert "Did you mean 'lstm'?" in bad(cli, files, *out, "--cells", "gru,lsmt")
    assert "each name once ('gru' is repeated)" in bad(cli, files, *out, "--cells", "gru,gru")
    assert "variants: got 'none'; expected two or more." in bad(cli, files, *out)
    assert "cell: got 'lstm'; expected none beside cells." in bad(cli, files, "--cells", "rnn,gru", "--cell", "lstm")
    assert bad(cli, files, *out, "--vary", "droput=0,0.1").startswith(
        "rekur: --vary: got 'droput'; expected the name of an option of rekur fit. Did you mean 'dropout'?"
    )
    assert bad(cli, files, *out, "--vary", "dropout") == "rekur: --vary: got 'dropout'; expected NAME=A,B,C."
    assert "seeds: got 0; expected a whole number of 1 or more." in bad(cli, files, *out, *CELLS[:2], "--seeds", "0")
    assert "--seeds: got 'some'; expected a whole number" in bad(cli, files, *out, *CELLS[:2], "--seeds", "some")
    refused = bad(cli, files, *out, "--cells", "mingru,minlstm", "--recurrent-dropout", "0.2")
    assert "variant 'mingru': recurrent_dropout: got 0.2; expected 0 with the cell 'mingru'." in refused
    assert "margin: got 0.0; expected a number above 0." in bad(cli, files, *CELLS, *out, "--margin", "0")
    assert "the training data" in bad(cli, files, *CELLS, *out, "--test", files["reviews"])
    assert "--steps and --epochs: got both" in bad(cli, files, *CELLS, *out, "--steps", "3")
    labels = write_table(tmp_path / "other_labels.csv", ("review", "stars"), [("a film", "yes"), ("b film", "no")])
    text = bad(cli, files, *CELLS, *out, "--valid", labels)
    assert "other_labels.csv, line 2: " in text
    assert "'yes'" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other_labels.csv"]


def test_a_folder_with_the_input_or_of_another_comparison(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    assert "is an input" in bad(cli, files, *CELLS, "--out", files["reviews"].parent)
    words = ("compare", "classify", files["reviews"], *REVIEWS, *QUICK, "--out", tmp_path / "c", "--seeds", "1")
    first = cli(*words, "--cells", "rnn,gru", "--json")
    refused = cli(*words, "--cells", "rnn,lstm")
    assert refused.code == 2
    assert "got 'rnn,lstm' for variants; expected 'rnn,gru', as the comparison there has it." in refused.err
    assert cli(*words, "--cells", "rnn,gru", "--json").json == first.json


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_shows_what_is_there_and_continues(
    number: int, code: int, cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    words = ("compare", "classify", files["walks"], *WALKS, "--cells", "rnn,gru", "--seeds", "40", *QUICK)
    words = (*words, "--out", tmp_path / "c")
    ended, said, err = stop(number, "run   5 of", *words)
    assert (ended, "Traceback" in err) == (code, False)
    assert said.splitlines()[-1] == "You stopped it. To continue, run the same command again."
    count = len(list((tmp_path / "c" / "runs").glob("*/model")))
    assert count >= 5
    again = cli(*words[:7], "--cells", "rnn,gru", "--seeds", "3", *QUICK, "--out", tmp_path / "c", "--json")
    assert len(again.json["runs"]) == 6


def child_of(process: int) -> int:
    """Return the only child of a process."""
    (child,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return int(child)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are listed by Linux alone")
def test_a_killed_run_is_told_and_all_others_go_on(files: dict[str, Path], tmp_path: Path) -> None:
    words = ("compare", "classify", files["walks"], *WALKS, "--cells", "rnn,gru", "--seeds", "2", *QUICK)
    command = [sys.executable, "-m", "rekur", *map(str, words), "--out", str(tmp_path / "c"), "--json"]
    # epochs enough that the second run is still going on when its process is killed, twice
    command[command.index("--epochs") + 1] = "300"
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment()) as parent:
        assert parent.stderr is not None
        told, killed = "", 0
        while killed < 2:
            line = parent.stderr.readline().decode()
            assert line, told
            told += line
            if line.startswith("run   1 of 4") or "was killed" in line:
                assert wait_for_a_run(tmp_path / "c", killed + 1)
                os.kill(child_of(parent.pid), signal.SIGKILL)
                killed += 1
        out, rest = parent.communicate(timeout=200)
    assert parent.returncode == 0, rest
    told += rest.decode()
    assert told.count(": the process was killed by signal 9, as the system does where memory runs out;") == 2
    states = [(row["state"], row["reason"]) for row in json.loads(out)["runs"]]
    assert [state for state, _ in states].count("finished") == 3
    assert ("failed", "its process ended while it ran, 2 times") in states


def is_stopped(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_until(holds: Callable[[], bool]) -> bool:
    return any(holds() or time.sleep(0.02) for _ in range(1500))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are listed by Linux alone")
def test_ctrl_z_stops_both_processes_and_both_continue(files: dict[str, Path], tmp_path: Path) -> None:
    words = ("compare", "classify", files["walks"], *WALKS, "--cells", "rnn,gru", "--seeds", "1", *QUICK)
    command = [sys.executable, "-m", "rekur", *map(str, words), "--out", str(tmp_path / "c")]
    command[command.index("--epochs") + 1] = "300"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as parent:
        assert wait_until(lambda: (tmp_path / "c" / "runs").is_dir())
        both = (parent.pid, child_of(parent.pid))
        parent.send_signal(signal.SIGTSTP)
        assert wait_until(lambda: all(map(is_stopped, both)))
        parent.send_signal(signal.SIGCONT)
        assert wait_until(lambda: not any(map(is_stopped, both)))
        parent.send_signal(signal.SIGINT)
        _, err = parent.communicate(timeout=100)
    assert parent.returncode == 130, err


def state_of(run: Path) -> tuple[str, int]:
    try:
        saved = json.loads((run / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it is just being written
        return "", 0
    return saved["state"], saved["attempt"]


def wait_for_a_run(folder: Path, attempt: int) -> bool:
    """Wait until a run was begun for this time."""
    for _ in range(3000):
        if ("running", attempt) in [state_of(run) for run in (folder / "runs").iterdir()]:
            return True
        time.sleep(0.02)
    return False


def test_a_transformer_is_trained_and_compared_and_nothing_else(
    cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    words = (files["reviews"], *REVIEWS)
    out = ("--out", tmp_path / "c", "--seeds", "1", *QUICK)
    done = cli("compare", "classify", *words, "--cells", "gru,transformer", *out)
    assert done.code == 0
    assert done.err.splitlines()[0].startswith("transformer: A transformer has no program: ")
    bundle = tmp_path / "c" / "runs" / "1-0" / "model"
    for given in (
        ("predict", bundle, files["reviews"]),
        ("evaluate", bundle, files["reviews"]),
        ("stream", bundle),
        ("export", bundle, "--to", "onnx", "--out", tmp_path / "x"),
        ("quantize", bundle, "--data", files["reviews"], "--out", tmp_path / "x"),
        ("check", bundle),
        ("program", bundle),
        ("fit", "classify", *words, "--cell", "transformer", "--out", tmp_path / "x"),
        ("tune", "classify", *words, "--space", "cell=gru,transformer", "--out", tmp_path / "x"),
    ):
        refused = cli(*given)
        assert (refused.code, "A transformer has no program: " in refused.err) == (2, True), given
    assert not (tmp_path / "x").exists()
    with files["reviews"].open(encoding="utf-8", newline="") as file:
        rows = [(" ".join(reversed(row["review"].split())), row["stars"]) for row in csv.DictReader(file)]
    others = write_table(tmp_path / "others.csv", ("review", "stars"), rows)
    beside = cli("compare", tmp_path / "c" / "runs" / "0-0" / "model", bundle, others, "--json")
    assert beside.code == 0, beside.err
    assert [0 <= model["score"] <= 1 for model in beside.json["models"]] == [True, True]
