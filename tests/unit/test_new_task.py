"""A task that is added as one folder and one row of the catalog has every command, without a word elsewhere."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import SMALL, Run, cli, write_lines
from tests.unit.new_tasks import ANSWER, ROWS, TARGETS

from rekur import load
from rekur.targets.kinds import KINDS
from rekur.tasks.catalog import CATALOG
from rekur.train import History

__all__ = ["cli"]


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the rows of the tasks, and the targets that they bring."""
    for target in TARGETS:
        monkeypatch.setitem(KINDS, target.kind, target)
    for row in (*ROWS, ANSWER):
        monkeypatch.setitem(CATALOG, row.name, row)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each task's labels; the first item is an item to push."""
    folder, draw = tmp_path_factory.mktemp("data"), random.Random(0)
    rows: dict[str, list[Any]] = {"spot": [], "share": [], "level": []}
    for number in range(40):
        steps = [[number % 2 + draw.gauss(0, 0.1), draw.gauss(0, 1)] for _ in range(draw.randint(3, 6))]
        rows["spot"].append({"x": steps, "y": ("low", "high")[number % 2]})
        rows["share"].append({"x": steps, "y": 0.2 + 0.6 * (number % 2)})
        words = draw.choices(["a", "bb", "ccc", "dddd"], k=draw.randint(2, 6))
        rows["level"].append({"x": words, "y": [len(word) for word in words]})
    return {task: write_lines(folder / f"{task}.jsonl", lines) for task, lines in rows.items()}


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    return {}


def numbers_of(prediction: Any) -> Any:
    """Return the numbers in a prediction of any of the tasks; none in no prediction."""
    if prediction is None:
        return []
    if isinstance(prediction, dict):
        return prediction["levels"]
    return [getattr(prediction, "probabilities", {"high": prediction})["high"]]


TASKS = pytest.mark.parametrize("task", [row.name for row in ROWS])
COLUMNS = {row.name: ("--text" if row.name == "level" else "--series", "x", "--label", "y") for row in ROWS}
#: the metric that decides
METRIC = {"spot": "accuracy", "share": "mae", "level": "mae"}


@pytest.fixture
def bundle(task: str, cli: Run, data: dict[str, Path], tmp_path_factory: Any, trained: dict[str, Path]) -> Path:
    """A bundle of the task, trained by the command line once."""
    if task not in trained:
        out = tmp_path_factory.mktemp("runs") / task
        done = cli("fit", task, data[task], *COLUMNS[task], "--out", out, *SMALL)
        assert done.code == 0, done.err
        trained[task] = out
    return trained[task]


@TASKS
def test_fit_lists_it_with_its_options(task: str, cli: Run) -> None:
    assert f"Learn to {task}." in cli("fit", "--help").out
    text = cli("fit", task, "--help").out
    assert "--hidden-size" in text
    assert ("--doubt" in text) == (task == "spot")
    assert task in cli("tune", "--help").out


@TASKS
def test_the_bundle_says_what_it_is(task: str, bundle: Path) -> None:
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert f"task *{task}*" in card
    metrics = json.loads((bundle / "metrics.json").read_text(encoding="utf-8"))
    assert METRIC[task] in metrics
    assert (bundle / "program.json").exists()


@TASKS
def test_the_commands_of_saved_models(task: str, bundle: Path, data: dict[str, Path], cli: Run, tmp_path: Path) -> None:
    scores = cli("evaluate", bundle, data[task], "--json")
    assert scores.code == 0, scores.err
    assert 0 <= scores.json[METRIC[task]] <= (4 if task == "level" else 1)
    rows = cli("predict", bundle, data[task], "--json")
    assert rows.code == 0, rows.err
    assert len(rows.out.splitlines()) == 40
    first = json.loads(data[task].read_text(encoding="utf-8").splitlines()[0])["x"]
    lines = "".join((step if task == "level" else json.dumps(step)) + "\n" for step in first)
    streamed = cli("stream", bundle, "--json", stdin=lines.encode())
    assert streamed.code == 0, streamed.err
    assert len(streamed.out.splitlines()) >= len(first)
    for words in (("check", bundle, data[task]), ("program", bundle)):
        done = cli(*words)
        assert done.code == 0, (words, done.out, done.err)
    done = cli(
        "quantize",
        bundle,
        "--data",
        data[task],
        "--precision",
        "bfloat16",
        "--tolerance",
        "5",
        "--out",
        tmp_path / "small",
    )
    assert done.code == 0, done.err
    assert cli("evaluate", tmp_path / "small", data[task]).code == 0


@TASKS
def test_live_equals_whole(task: str, bundle: Path, data: dict[str, Path]) -> None:
    model = load(bundle)
    for line in data[task].read_text(encoding="utf-8").splitlines()[:5]:
        steps = json.loads(line)["x"]
        session, final = model.stream(), []
        for count, step in enumerate(steps, start=1):
            update = session.push(step)
            final += numbers_of(update.final)
            so_far = model.present([steps[:count]])[0]
            assert [*final, *numbers_of(update.tentative)] == pytest.approx(numbers_of(so_far), abs=1e-6)
            state, session = session.get_state(), model.stream()
            session.set_state(state)
        whole = numbers_of(model.present([steps])[0])
        assert [*final, *numbers_of(session.finish().final)] == pytest.approx(whole, abs=1e-6)


@TASKS
@pytest.mark.parametrize("form", ["onnx", "c"])
def test_exports(task: str, form: str, bundle: Path, cli: Run, tmp_path: Path) -> None:
    if form == "c" and shutil.which("cc") is None:
        pytest.skip("no C compiler")
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    done = cli("export", bundle, "--to", form, "--out", tmp_path / "export")
    assert done.code == 0, done.err
    if form == "onnx":
        item = [[3] * 3, [4] * 3] if task == "level" else [[0.5, 1.0], [1.5, 0.0]]
        program = [sys.executable, tmp_path / "export" / "run.py"]
        for words in ((json.dumps(item),), ("--live", json.dumps(item))):
            ran = subprocess.run([*program, *words], capture_output=True, text=True, check=False)
            assert (ran.returncode, ran.stderr) == (0, "")
        last = [json.loads(line) for line in ran.stdout.splitlines()]
        assert len(last) == (3 if task == "level" else 2)
        assert set(last[0]) == ({"label", "probability", "probabilities"} if task == "spot" else {"outputs"})


@TASKS
def test_resume(task: str, cli: Run, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that was stopped and goes on has the weights of one that was not."""
    words = ("fit", task, data[task], *COLUMNS[task], *SMALL[2:], "--epochs", "3")
    words = (*words, "--checkpoint-every", "1")
    assert cli(*words, "--out", tmp_path / "whole").code == 0
    add = History.add

    def stop(history: History, row: Any) -> None:
        add(history, row)
        if row["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(History, "add", stop)
        assert cli(*words, "--out", tmp_path / "run").code == 130
    more = cli("resume", tmp_path / "run", "--quiet")
    assert more.code == 0, more.err
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run")]
    assert weights[0] == weights[1]


@TASKS
def test_a_training_starts_from_a_bundle(
    task: str, bundle: Path, cli: Run, data: dict[str, Path], tmp_path: Path
) -> None:
    words = ("fit", task, data[task], *COLUMNS[task], "--out", tmp_path / "run", *SMALL[:-1])
    done = cli(*words, "--from", bundle)
    assert done.code == 0, done.err
    assert f"{bundle}: " in done.err
    assert "weights taken" in done.err
    absent = cli(*words, "--overwrite", "--from", tmp_path / "none")
    assert (absent.code, absent.out) == (2, "")
    assert str(tmp_path / "none") in absent.err


@TASKS
def test_tune(task: str, cli: Run, data: dict[str, Path], tmp_path: Path) -> None:
    words = ("tune", task, data[task], *COLUMNS[task], "--trials", "2", "--out", tmp_path / "search", "--epochs", "1")
    done = cli(*words, "--space", "hidden_size=4,6", "--quiet")
    assert done.code == 0, done.err


@TASKS
def test_options_are_checked_and_named(task: str, cli: Run, data: dict[str, Path], tmp_path: Path) -> None:
    refused = cli("fit", task, data[task], *COLUMNS[task], "--out", tmp_path / "run", "--doubt", "2")
    assert refused.code == 2
    assert "doubt" in refused.err
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two aligned files to train on, two to validate on, and a table."""
    folder, questions = tmp_path_factory.mktemp("pairs"), ["is it wet", "is it dry", "was it wet", "was it dry"]
    for name, times in (("train", 5), ("valid", 2)):
        for ending, texts in (("q", questions), ("a", ["yes", "no"] * 2)):
            (folder / f"{name}.{ending}").write_text("".join(f"{text}\n" for text in texts * times), encoding="utf-8")
    rows = [{"ask": question, "say": "yes"} for question in questions[:2]]
    write_lines(folder / "table.jsonl", rows)
    return folder


def test_a_task_of_pairs_reads_two_aligned_files(cli: Run, pairs: Path, tmp_path: Path) -> None:
    train, valid = ([pairs / f"{name}.{ending}" for ending in "qa"] for name in ("train", "valid"))
    done = cli("fit", "answer", *train, "--valid", *valid, "--out", tmp_path / "m", *SMALL, "--json")
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "m" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["items"] == 8
    words = ("--valid", valid[0], "--valid", valid[1], "--out", tmp_path / "again", *SMALL, "--json")
    again = cli("fit", "answer", *train, *words)
    assert again.code == 0, again.err
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("m", "again")]
    assert weights[0] == weights[1]
    scores = cli("evaluate", tmp_path / "m", *valid, "--json")
    assert scores.code == 0, scores.err
    assert (scores.json["items"], scores.json["file"]) == (8, " ".join(map(str, valid)))
    rows = cli("predict", tmp_path / "m", valid[0], "--json")
    assert [json.loads(line)["item"] for line in rows.out.splitlines()] == list(range(1, 9))
    piped = cli("predict", tmp_path / "m", "-", "--json", stdin=valid[0].read_bytes())
    assert piped.out == rows.out
    table = cli("evaluate", tmp_path / "m", pairs / "table.jsonl", "--source", "ask", "--target", "say", "--json")
    assert (table.code, table.json["items"]) == (0, 2), table.err
    assert cli("check", tmp_path / "m", valid[0]).code == 0
    tuned = cli("tune", "answer", *train, "--valid", *valid, "--trials", "1", "--out", tmp_path / "search", "--quiet")
    assert tuned.code == 0, tuned.err
