"""A saved model is scored and asked: evaluate and predict, and the commands that need no model."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run, write_table

from rekur import Classifier, __version__
from rekur._kernels import kernels
from rekur.cli.main import COMMANDS
from rekur.targets import LabelTarget


def test_evaluate_shows_scores_classes_and_a_report(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    done = cli("evaluate", bundles["words"], files["reviews"], "--report", tmp_path / "page.html")
    assert (done.code, done.err) == (0, "")
    for wanted in ("48 items", "accuracy", "log loss", "Each class", "precision", "good", "bad"):
        assert wanted in done.out
    assert done.out.splitlines()[-1] == f"Plots in {tmp_path}/page.html."
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") >= 3
    assert "http://www.w3.org" in page
    assert 'src="http' not in page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("name", ["words", "both", "tags", "walks", "wear"])
def test_evaluate_as_json(name: str, cli: Run, files: dict[str, Path], bundles: dict[str, Path]) -> None:
    file = {"tags": "tags", "walks": "walks", "wear": "walks"}.get(name, "reviews")
    done = cli("evaluate", bundles[name], files[file], "--json")
    assert (done.code, done.err, len(done.out.splitlines())) == (0, "", 1)
    score = {"tags": "micro_f1", "wear": "rmse"}.get(name, "accuracy")
    low, high = done.json[f"{score}_interval"]
    assert low <= done.json[score] <= high


def test_evaluate_a_file_with_other_column_names(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    with files["reviews"].open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))[1:]
    other = write_table(tmp_path / "other.tsv", ("body", "rating"), [row[1:] for row in rows], "\t")
    given = cli("evaluate", bundles["letters"], other, "--text", "body", "--label", "rating", "--json").json
    usual = cli("evaluate", bundles["letters"], files["reviews"], "--json").json
    assert given["accuracy"] == usual["accuracy"]
    assert given["log_loss"] == usual["log_loss"]


def test_predict_writes_csv(cli: Run, files: dict[str, Path], bundles: dict[str, Path]) -> None:
    done = cli("predict", bundles["words"], files["reviews"])
    rows = list(csv.DictReader(done.out.splitlines()))
    assert (done.code, done.err, len(rows)) == (0, "", 48)
    assert list(rows[0]) == ["item", "label", "probability"]
    assert [row["item"] for row in rows[:2]] == ["r0", "r1"]  # by the --id of training
    assert {row["label"] for row in rows} <= {"good", "bad"}
    assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)


def test_predict_as_json_lines(cli: Run, files: dict[str, Path], bundles: dict[str, Path]) -> None:
    done = cli("predict", bundles["walks"], files["walks"], "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, len(rows)) == (0, 42)
    for row in rows:
        assert list(row) == ["item", "label", "probability", "probabilities"]
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert max(row["probabilities"], key=row["probabilities"].get) == row["label"]


def test_predict_numbers_and_several_labels(cli: Run, files: dict[str, Path], bundles: dict[str, Path]) -> None:
    numbers = list(csv.DictReader(cli("predict", bundles["wear"], files["walks"]).out.splitlines()))
    assert list(numbers[0]) == ["item", "value"]
    assert all(-5 < float(row["value"]) < 5 for row in numbers)
    done = cli("predict", bundles["tags"], "--item", "great film", "--json")
    assert isinstance(done.json["label"], list)
    assert set(done.json["probabilities"]) == {"up", "down", "odd"}


def test_predict_items_of_the_command_line(cli: Run, bundles: dict[str, Path]) -> None:
    done = cli("predict", bundles["genes"], "--item", "ATTA", "--item", "CGGC", "--json")
    assert [json.loads(line)["item"] for line in done.out.splitlines()] == ["ATTA", "CGGC"]
    empty = cli("predict", bundles["words"], "--item", "", "--json")
    assert (empty.code, empty.json["label"] in ("good", "bad")) == (0, True)


def test_predict_needs_no_label_and_says_the_same_of_an_empty_text(
    cli: Run, bundles: dict[str, Path], tmp_path: Path
) -> None:
    file = write_table(tmp_path / "new.csv", ("id", "review"), [("x", "a great film"), ("y", ""), ("z", "zzz")])
    done = cli("predict", bundles["words"], file, "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, [row["item"] for row in rows]) == (0, ["x", "y", "z"])
    assert rows[1]["probabilities"] == cli("predict", bundles["words"], "--item", "", "--json").json["probabilities"]


def test_predict_to_a_reader_that_goes_away(files: dict[str, Path], bundles: dict[str, Path], rekur: Run) -> None:
    import subprocess
    import sys

    from tests.e2e.conftest import environment

    command = [sys.executable, "-m", "rekur", "predict", str(bundles["words"]), str(files["reviews"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 0


def test_data_before_training(cli: Run, files: dict[str, Path]) -> None:
    done = cli("data", files["reviews"], "--text", "review", "--label", "stars")
    assert (done.code, done.err) == (0, "")
    for wanted in ("What is there", "Columns", "Classes", "What training would make of an item", "To train:"):
        assert wanted in done.out
    line = done.out.splitlines()[-1].strip()
    assert line == f"rekur fit classify {files['reviews']} --text review --label stars --out runs/reviews"


def test_the_command_that_data_suggests_works(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    import shlex

    for name, words in (("reviews", ("--text", "review", "--label", "stars")), ("walks", ()), ("cases", ())):
        done = cli("data", files[name], *words, "--json")
        suggested = shlex.split(done.json["command"])[1:-1]
        assert cli(*suggested, tmp_path / name, *SMALL_FAST).code == 0


SMALL_FAST = ("--epochs", "1", "--hidden-size", "4", "--quiet", "--no-baseline", "--json")


def test_every_command_answers_in_json(cli: Run, files: dict[str, Path]) -> None:
    for words in (("data", files["walks"]), ("cells",), ("cells", "lstm", "gru"), ("doctor",)):
        done = cli(*words, "--json")
        assert (done.code, done.err, len(done.out.splitlines())) == (0, "", 1)
        assert isinstance(done.json, dict)


def test_cells_and_doctor_are_legible_at_80_columns(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in (("cells",), ("doctor",)):
        done = cli(*words)
        assert (done.code, done.err) == (0, "")
        assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 80
    cells = cli("cells", "lstm", "--hidden-size", "64", "--input-size", "3")
    assert "h = o ⊙ tanh c" in cells.out
    assert "multiply-adds a step" in cells.out


@pytest.mark.skipif(kernels is None, reason="installed without the compiled kernels")
def test_an_instruction_set_that_is_not_there_is_said(rekur: Run) -> None:
    done = rekur("doctor", env={"REKUR_ISA": "sse"})
    assert done.code == 2
    assert done.err.startswith("rekur: REKUR_ISA: got 'sse'; expected one of ")
    assert "compiled, plain" in rekur("doctor", env={"REKUR_ISA": "plain"}).out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, cli: Run) -> None:
    done = cli("completion", shell)
    assert (done.code, "_REKUR_COMPLETE" in done.out) == (0, True)


def test_completion_knows_commands_and_options(rekur: Run) -> None:
    for typed, expected in (
        ("rekur ev", "evaluate"),
        ("rekur fit cl", "classify"),
        ("rekur fit classify --hid", "--hidden-size"),
    ):
        words = typed.split(" ")
        asked = {"_REKUR_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
        assert expected in rekur(env=asked).out


def test_version(rekur: Run) -> None:
    done = rekur("--version")
    assert (done.code, done.out, done.err) == (0, f"rekur, version {__version__}\n", "")


@pytest.mark.parametrize("command", [*([name] for name in COMMANDS), ["fit", "classify"], ["fit", "regress"], []])
def test_every_help_page_says_what_it_does_with_examples(command: list[str], cli: Run) -> None:
    done = cli(*command, "--help")
    assert (done.code, done.err) == (0, "")
    example = f"\n  {' '.join(['rekur', *command])} "
    assert example in done.out or f" | {example.strip()} " in done.out or f"\n  {example.strip()}\n" in done.out
    lines = [line for line in done.out.splitlines() if not line.startswith("  rekur ")]
    assert max(map(len, lines)) <= 80


def test_no_command_shows_the_help_once(cli: Run) -> None:
    for words in ((), ("fit",)):
        done = cli(*words)
        assert (done.code, done.out) == (2, "")
        assert done.err.count("Usage: rekur") == 1
        assert "Commands:" in done.err


LONG = """
import rekur
from pathlib import Path
from typing import Any


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])


session = rekur.load("m").stream()
for _ in range(10_000):
    session.push("a")
kept, pages = len(session.get_state()), resident()
for _ in range(990_000):
    session.push("a")
print(session.steps, len(session.get_state()) - kept, resident() - pages)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to read memory from")
def test_a_session_of_a_million_events_keeps_its_size(tmp_path: Path) -> None:
    texts = [f"{'fine' if number % 2 else 'bad'} film {number}" for number in range(24)]
    model = Classifier(epochs=1, hidden_size=8, feature_options={"tokens": "char"}, baseline=False)
    model.fit(texts, ["bad", "good"] * 12).save(tmp_path / "m")
    done = subprocess.run([sys.executable, "-c", LONG], cwd=tmp_path, capture_output=True, text=True, check=True)
    steps, state_bytes, pages = map(int, done.stdout.split())
    assert steps == 1_000_000
    assert state_bytes <= 16  # the number of steps is written out
    assert pages <= 256  # a mebibyte


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_class_of_a_trained_model_is_no_missing_value(multi_label: bool, cli: Run, tmp_path: Path) -> None:
    texts, names = [f"film {number}" for number in range(20)], ["some", "more"] * 10
    labels: list[Any] = [[name] for name in names] if multi_label else names
    model = Classifier(epochs=1, hidden_size=4, multi_label=multi_label, baseline=False).fit(texts, labels)
    model.columns_ = {"columns": {"text": "text", "label": "kind"}, "label_separator": ";" if multi_label else None}
    model.target_ = LabelTarget(["none", "some"], multi_label=multi_label)  # as earlier versions learned it
    model.save(tmp_path / "m")
    table = write_table(tmp_path / "t.csv", ("text", "kind"), [("good film", "some"), ("bad film", "none")])
    done = cli("evaluate", tmp_path / "m", table, "--json")
    assert done.code == 0, done.err
    assert done.json["items"] == 2
    table.write_text("text,kind\ngood film,null\n", encoding="utf-8")
    refused = cli("evaluate", tmp_path / "m", table)
    assert refused.code == 2
    assert "'null'" in refused.err
