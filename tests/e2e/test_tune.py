"""``rekur tune``: search, what is printed, the line that repeats the best trial, stopping, killing, going on, Ray."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import REVIEWS, WALKS, Run, environment
from tests.e2e.test_stopping import stop

from rekur.tasks import load

pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
QUICK = ("--epochs", "2", "--hidden-size", "4", "--num-layers", "1", "--no-baseline", "--quiet")
ENDLESS = ("--epochs", "20", "--patience", "0", "--hidden-size", "4", "--no-baseline", "--trials", "300")


@pytest.fixture(autouse=True)
def no_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the page of plots, which takes seconds to draw."""
    if "page" not in request.fixturenames:
        monkeypatch.setattr("rekur.study.run_search.write_search_report", lambda *_: None)


def test_the_line_names_the_network_where_fit_would_take_another(
    cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    words = ("--out", tmp_path / "s", "--trials", "1", "--epochs", "1", "--no-baseline", "--quiet", "--json")
    command = cli("tune", "classify", files["walks"], *WALKS, *words).json["command"]
    assert "--network recurrent" in command


@pytest.fixture
def page() -> bool:
    return True


def test_a_search_from_the_command_line(cli: Run, files: dict[str, Path], tmp_path: Path, page: bool) -> None:
    out = tmp_path / "s"
    done = cli("tune", "classify", files["reviews"], *REVIEWS, "--out", out, "--trials", "3", *QUICK[:-1])
    assert done.code == 0
    assert [line.split()[1] for line in done.err.splitlines() if line.startswith("trial")] == ["0", "1", "2"]
    assert "The best trials" in done.out
    assert "Search ended: finished; 3 trials: 3 finished." in done.out
    assert (out / "search.html").is_file()
    assert cli("evaluate", out / "best", files["reviews"], "--json").json["items"] == 48


def test_the_line_that_is_printed_makes_the_same_model(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "s"
    space = ("--space", "learning-rate=0.02:0.05", "--space", "bidirectional=true,false")
    words = ("--out", out, "--trials", "3", *QUICK, "--seed", "4", "--json", *space)
    found = cli("tune", "classify", files["walks"], *WALKS, *words).json
    program, *line = found["command"].split()
    assert program == "rekur"
    assert line[-2:] == ["--out", f"{out}-best"]
    assert cli(*line, "--quiet").code == 0
    first, second = load(found["bundle"]), load(f"{out}-best")
    for (name, a), b in zip(first.model_.state_dict().items(), second.model_.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)
    assert first.columns_ == second.columns_


@pytest.mark.parametrize("task", ["regress", "language"])
def test_the_other_tasks(task: str, cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words: tuple[Any, ...] = (files["walks"], "--series", "x", "--label", "wear")
    if task == "language":
        rng = random.Random(0)
        text = tmp_path / "text.txt"
        text.write_text("".join(rng.choice(["the cat sat. ", "a dog ran.\n"]) for _ in range(300)), encoding="utf-8")
        words = (text, "--space", "chunk_length=16,32", "--space", "batch_size=2,4")
    found = cli("tune", task, *words, "--out", tmp_path / "s", "--trials", "2", *QUICK, "--json").json
    assert (found["monitor"], found["larger_is_better"], len(found["trials"])) == ("valid_loss", False, 2)
    assert found["best"]["score"] == min(trial["score"] for trial in found["trials"])
    assert load(found["bundle"]).task == task


def test_the_same_command_again_shows_what_was_found(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = ("tune", "classify", files["walks"], *WALKS, "--out", tmp_path / "s", *QUICK, "--json")
    first = cli(*words, "--trials", "1").json
    assert cli(*words, "--trials", "1").json == first
    more = cli(*words, "--trials", "2").json
    assert more["trials"][:1] == first["trials"]
    assert len(more["trials"]) == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--trials", "0"], "trials: got 0; expected a whole number of 1 or more."),
        (["--space", "cell"], "--space: got 'cell'; expected NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C."),
        (["--space", "cell="], "space cell: got ''; expected values to try, as NAME=LOW:HIGH, NAME=LOW:HIGH:log or "
                               "NAME=A,B,C."),
        (["--space", "droput=0:1"], "--space: got 'droput'; expected the name of an option of rekur fit. "
                                    "Did you mean 'dropout'?"),
        (["--space", "cell=gru,rnn", "--space", "cell=lstm,gru"], "--space: got cell twice; expected each option once. "
                                                                  "Leave one of them out."),
        (["--ray-gpus", "1"], "--ray-gpus: got 1.0 without --ray; expected both. Add --ray."),
        (["--valid", "a.csv", "--valid", "b.csv"], "--valid: got 2 files; expected one. Put their rows together."),
    ],
)  # fmt: skip
def test_bad_input(words: list[str], text: str, cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    done = cli("tune", "classify", files["walks"], *WALKS, "--out", tmp_path / "s", *words)
    assert (done.code, done.err, done.out) == (2, f"rekur: {text}\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("module", "extra"), [("optuna", "tune"), ("ray", "ray")])
def test_a_package_that_is_missing(
    module: str, extra: str, cli: Run, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    done = cli("tune", "classify", files["walks"], *WALKS, "--out", tmp_path / "s", *QUICK, "--ray")
    what = "rekur tune" if module == "optuna" else "a search on a cluster"
    text = f"rekur: {what}: needs the package '{module}', which is not installed. pip install \"rekur[{extra}]\"\n"
    assert (done.code, done.err) == (3, text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_keeps_the_best_and_says_how_to_go_on(
    number: int, code: int, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "s"
    words = ("tune", "classify", files["walks"], *WALKS, "--out", out, *ENDLESS)
    ended, said, err = stop(number, "trial   0", *words)
    assert (ended, "Traceback" in err) == (code, False)
    assert said.splitlines()[-1] == "You stopped it. To go on, run the same command again."
    assert load(out / "best").result_.best_epoch >= 1
    with contextlib.closing(sqlite3.connect(out / "study.sqlite")) as study:
        states = study.execute("SELECT state FROM trials ORDER BY number").fetchall()
    assert states[0] == ("COMPLETE",)
    assert ("RUNNING",) not in states
    last = [line for line in err.splitlines() if "it was stopped" in line]
    assert len(last) == states.count(("FAIL",)) <= 1


def done_trials(folder: Path) -> int:
    """Return how many trials of a search have ended by themselves."""
    if not (folder / "study.sqlite").exists():
        return 0
    with contextlib.closing(sqlite3.connect(folder / "study.sqlite", timeout=60)) as study:
        try:
            found = study.execute("SELECT COUNT(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')").fetchone()
        except sqlite3.OperationalError:  # its tables are being made
            return 0
    return int(found[0])


@pytest.mark.slow
def test_killed_at_random_moments_the_search_goes_on_and_ends_as_it_would_have(
    files: dict[str, Path], tmp_path: Path
) -> None:
    words = ["tune", "classify", str(files["walks"]), *WALKS, "--trials", "4", *QUICK, "--json"]
    command = [sys.executable, "-m", "rekur", *words, "--out"]

    def ended(out: Path) -> Any:
        with subprocess.Popen([*command, str(out)], stdout=subprocess.PIPE, env=environment()) as child:
            said, _ = child.communicate()
        return json.loads(said.decode().splitlines()[-1])

    def dies(out: Path, later: float) -> None:
        """Kill it some seconds after a trial of its own is done: a trial in which it dies twice is given up."""
        before = done_trials(out)
        with subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, env=environment()) as child:
            while child.poll() is None and done_trials(out) <= before:
                time.sleep(0.05)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(later)
            child.kill()

    rng = random.Random(3)
    for _ in range(3):
        dies(tmp_path / "killed", rng.uniform(0, 0.5))
    killed, whole = ended(tmp_path / "killed"), ended(tmp_path / "whole")
    scores = {json.dumps(one["options"]): one["score"] for one in whole["trials"]}
    assert len(killed["trials"]) == 4
    known = [one for one in killed["trials"] if json.dumps(one["options"]) in scores]
    assert known[0]["defaults"]
    assert all(one["score"] == scores[json.dumps(one["options"])] for one in known if one["state"] == "finished")
    assert load(killed["bundle"]).result_.best_score == killed["best"]["score"]


#: a cluster of two processors, on which the first trial's worker dies
ON_TWO = """
import os
import sys

import ray

from rekur.cli.main import main
from rekur.study import ray_search

as_it_is = ray_search.train_remotely


def dying(setting, number, *rest):
    if number == 0:
        os._exit(1)
    return as_it_is(setting, number, *rest)


ray_search.train_remotely = dying
for left in (2, 1, 0):  # on a busy machine Ray may not be up in the half minute that it gives itself
    try:
        ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
        break
    except Exception:
        ray.shutdown()
        if not left:
            raise
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_search_on_a_local_ray_cluster(files: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    words = ["tune", "classify", str(files["walks"]), *WALKS, "--trials", "3", *QUICK[:-1], "--json"]
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO, *words, "--out", str(tmp_path / "s"), "--ray"],
        capture_output=True,
        timeout=380,
        env=environment(),
        check=False,
    )
    told = done.stderr.decode()
    assert done.returncode == 0, told
    assert "trial   0  failed: its worker died" in told
    found = json.loads(done.stdout.decode().splitlines()[-1])
    assert [one["state"] for one in found["trials"]] == ["finished"] * 3
    assert sum(one["defaults"] for one in found["trials"]) == 1
    best = load(found["bundle"])
    assert best.result_.best_score == found["best"]["score"]
    assert best.columns_["columns"]["label"] == "room"
