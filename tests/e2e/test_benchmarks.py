"""The benchmarks of speed run, check their rivals against each other, and print what they say they print; no times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
FOLDER = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def page_with_marks(folder: Path, name: str) -> Path:
    page = folder / "page.md"
    page.write_text(f"before\n<!-- {name} -->\nold\n<!-- /{name} -->\nafter\n", encoding="utf-8")
    return page


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert set(printed) == {"machine", "figures", "rows", "absent", "s"}
    for figure in printed["figures"]:
        assert set(figure) == {"name", "value", "wanted", "at_least", "note", "met"}
        if figure["value"] is None:
            assert figure["met"] is None
            assert figure["note"]
        else:
            reached = figure["value"] >= figure["wanted"]
            assert figure["met"] == (reached if figure["at_least"] else figure["value"] <= figure["wanted"])
    return printed


@pytest.mark.timeout(300)
def test_training_is_timed_in_every_section(tmp_path: Path) -> None:
    page, plot = page_with_marks(tmp_path, "train_speed"), tmp_path / "roof.svg"
    options = ("--quick", "--sizes", "3x6x8", "--repeats", "1", "--product", "32", "--threads", "1", "--json")
    done = run("train_speed.py", *options, "--plot", plot, "--markdown", page)
    printed = result_of(done)
    sections = {row["section"] for row in printed["rows"]}
    assert sections == {"grid", "ragged", "custom", "bidirectional"} | (
        {"bf16"} if printed["machine"]["amx"] else set()
    )
    assert [row["cell"] for row in printed["rows"] if row["section"] == "grid"] == ["rnn", "lstm", "gru"]
    for row in printed["rows"]:
        assert row["path"]
        assert row["rounds"] == 1
        assert set(row["gflops"]) == set(row["ms"])
        assert len(row["ms"]) >= 2
        assert min(row["ms"].values()) > 0
    assert "Flax" in printed["absent"]
    assert "about" in done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- train_speed -->\n\n| what |")
    assert text.endswith("<!-- /train_speed -->\nafter\n")
    assert "old" not in text
    assert plot.read_text(encoding="utf-8").rstrip().endswith("</svg>")


@pytest.mark.timeout(300)
def test_steps_are_checked_and_timed(tmp_path: Path) -> None:
    page, plot = page_with_marks(tmp_path, "step_speed"), tmp_path / "steps.svg"
    options = ("--quick", "--sizes", "4,9", "--streams", "20", "--repeats", "1", "--product", "32", "--threads", "1")
    printed = result_of(run("step_speed.py", *options, "--json", "--plot", plot, "--markdown", page))
    one = [row for row in printed["rows"] if row["section"] == "one"]
    assert [(row["cell"], row["hidden"]) for row in one] == [("gru", 4), ("gru", 9), ("lstm", 4), ("lstm", 9)]
    for row in one:
        assert row["torch"] == min(row["us"]["torch layer"], row["us"]["torch cell"])
        assert set(row["errors"]) == set(row["us"]) >= {"rekur", "rekur bf16", "rekur int8"}
        assert row["errors"]["rekur"] < 1e-5
        assert (row["onnx"] is None) == ("ONNX Runtime" in printed["absent"])
    (many,) = [row for row in printed["rows"] if row["section"] == "many"]
    assert many["streams"] == 20
    assert "| what | measured | to reach | of |" in page.read_text(encoding="utf-8")
    assert plot.read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_only_runs_what_is_asked_for() -> None:
    options = ("--only", "many", "--streams", "5", "--sizes", "4", "--repeats", "1", "--product", "32", "--json")
    printed = result_of(run("step_speed.py", *options))
    assert [row["section"] for row in printed["rows"]] == ["many"]
    assert len(printed["figures"]) == 2


@pytest.mark.parametrize("script", ["train_speed.py", "step_speed.py"])
def test_unknown_sections_are_refused_with_those_there_are(script: str) -> None:
    done = run(script, "--only", "grids")
    assert done.returncode == 2
    assert "got grids; expected some of" in done.stderr


def test_a_page_without_marks_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n", encoding="utf-8")
    options = ("--only", "many", "--streams", "5", "--sizes", "4", "--repeats", "1", "--product", "32")
    done = run("step_speed.py", *options, "--markdown", page)
    assert done.returncode == 1
    assert "<!-- step_speed -->" in done.stderr
    assert page.read_text(encoding="utf-8") == "nothing here\n"
