"""Few series at the command line: odd items, groups, and what is printed of folds and of each part of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run

HOW = ("--series", "x", "--label", "y", "--epochs", "1", "--no-baseline", "--accelerator", "cpu")
#: options with which a training is short
SHORT = ("--members", "2", "--branches", "net")


def waves(count: int, channels: int = 1, steps: int = 20) -> list[dict[str, Any]]:
    """Return rows of a file: series of two frequencies, their names, and a number."""
    draw = np.random.default_rng(0)
    rows = []
    for row in range(count):
        times = np.arange(steps + row % 3)
        series = np.sin((0.4 + 0.5 * (row % 2)) * times[:, None] + draw.uniform(0, 6, channels))
        rows.append({"x": series.round(4).tolist(), "y": ["slow", "fast"][row % 2], "who": f"p{row // 4}"})
    return rows


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def changed(rows: list[dict[str, Any]], change: Callable[[int, Any], Any]) -> list[dict[str, Any]]:
    """Return rows with other series."""
    return [{**row, "x": change(number, row["x"])} for number, row in enumerate(rows)]


def _one_of_a_class() -> Any:
    rows = waves(9)
    rows[8]["y"] = "odd"
    return rows, "In no score, having one example or group: 'odd'; every network learns from it."


def _constant_channel() -> Any:
    rows = changed(waves(8), lambda _, x: [[*step, 7] for step in x])
    return rows, "The same in all training items, so it tells nothing: channel 2 = 7. Leave it out, or check the data."


def _missing_channel() -> Any:
    rows = changed(waves(8), lambda _, x: [[*step, None] for step in x])
    return rows, "Without a value in training: channel 2. Leave it out, or check the data."


def _nothing_but_missing() -> Any:
    rows = changed(waves(8), lambda _, x: [[None] for _ in x])
    return rows, "Without a value in training: channel 1. Leave it out, or check the data."


def _one_is_long() -> Any:
    rows = changed(waves(8, steps=5), lambda number, x: x if number else (x * 1001)[:5001])
    return (
        rows,
        "warning: the longest item has 5,001 steps, the middle one 6; time and memory grow with the longest. Cut",
    )


def _fewer_than_folds() -> Any:
    return waves(4), "4 folds: a network for each, which learns from the others; scores are of items it did not see."


def _high_levels() -> Any:
    return changed(waves(8), lambda _, x: [[1e9 + step[0]] for step in x]), "2 folds: "


CASES = (
    _constant_channel,
    _fewer_than_folds,
    _high_levels,
    _missing_channel,
    _nothing_but_missing,
    _one_is_long,
    _one_of_a_class,
)


@pytest.mark.parametrize("case", CASES)
def test_odd_series_are_trained_on_and_what_is_odd_is_told(case: Any, cli: Run, tmp_path: Path) -> None:
    rows, told = case()
    file, out = written(tmp_path / "odd.jsonl", rows), tmp_path / "m"
    short = () if case is _fewer_than_folds else SHORT
    done = cli("fit", "classify", file, *HOW, *short, "--out", out)
    assert done.code == 0, done.err
    assert any(line.startswith(told) for line in done.err.splitlines()), done.err
    for row in map(json.loads, cli("predict", out, file, "--json").out.splitlines()):
        assert np.isfinite(list(row["probabilities"].values())).all()


def test_two_series(cli: Run, tmp_path: Path) -> None:
    file = written(tmp_path / "two.jsonl", waves(2))
    done = cli("fit", "classify", file, *HOW, "--out", tmp_path / "m")
    assert (done.code, done.err) == (
        2,
        "rekur: examples: got 2 in 2 classes; expected a class with 2 or more different items. Add examples, or give a "
        "file for validation.\n",
    )
    numbers = written(tmp_path / "numbers.jsonl", [{**row, "y": number} for number, row in enumerate(waves(2))])
    done = cli("fit", "regress", numbers, *HOW, "--out", tmp_path / "m")
    assert (done.code, "2 folds: " in done.err) == (0, True)


def test_zeros_and_ones_are_numbers_where_a_number_is_asked_for(cli: Run, tmp_path: Path) -> None:
    rows = [{**row, "y": number % 2} for number, row in enumerate(waves(8))]
    done = cli("fit", "regress", written(tmp_path / "f.jsonl", rows), *HOW, *SHORT, "--out", tmp_path / "m", "--json")
    assert "rmse" in done.json["metrics"]


@pytest.mark.parametrize("task", ["classify", "regress"])
def test_folds_by_a_column(task: str, cli: Run, tmp_path: Path) -> None:
    rows = waves(12)
    if task == "regress":
        rows = [{**row, "y": number} for number, row in enumerate(rows)]
    file, out = written(tmp_path / "f.jsonl", rows), tmp_path / "m"
    done = cli("fit", task, file, *HOW, "--branches", "net", "--split-by", "who", "--out", out)
    assert (done.code, done.err.splitlines()[0].startswith("3 folds of 3 groups: ")) == (0, True), done.err
    without = written(tmp_path / "new.jsonl", [{"x": row["x"], "y": row["y"]} for row in rows])
    for command in ("predict", "evaluate"):  # other files need no such column
        assert cli(command, out, without).code == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--split-by", "whom"), "split_by column: got 'whom'; expected one of the columns 'x', 'y', 'who'. Did you"),
        (("--split-by", "y"), "groups: got 2 in 12 examples; expected 2 or more that have the same class, so that one"),
        (("--split-by", "who", "--valid", "f.jsonl"), "--split-by: got 'who'; expected none beside --valid, as"),
        (("--group", "who"), "line 1: x: got [["),
        (("--branches", "ridge"), "--branches: got 'ridge'; expected one of 'net', 'net,ridge'. Did you mean"),
    ],
)
def test_what_cannot_be_is_named(
    words: tuple[str, ...], text: str, cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "f.jsonl", waves(12))
    done = cli("fit", "classify", "f.jsonl", *HOW, *words, "--out", tmp_path / "m")
    assert (done.code, text in done.err, "Traceback" in done.err) == (2, True, False), done.err
    if "--group" in words:
        assert "Does each row hold a whole series? Leave out --group and --time; --split-by keeps" in done.err
