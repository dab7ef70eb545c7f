"""Comparisons that choose their number of seeds: when they stop, and what that does to the rate of errors."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur.errors import InputError
from rekur.study.run_comparison import compare
from rekur.study.seeds import BLOCK, FIRST, MOST, PENALTY, enough
from rekur.study.statistics import compare as compare_scores

QUICK: dict[str, Any] = {"epochs": 1, "hidden_size": 4, "num_layers": 1, "baseline": False}


def drawn(seeds: int, spread: float, *, seed: int = 0, shift: float = 0.0) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [[0.5 + shift + spread * value for value in rng.normal(size=seeds)], [0.5] * seeds]


def test_what_is_wide_depends_on_the_margin_or_on_the_metric() -> None:
    narrow, wide = compare_scores(drawn(6, 0.002)), compare_scores(drawn(6, 0.05))
    assert enough(narrow, "accuracy", 6).endswith("half of every interval is 0.0100 at most, as wanted.")
    assert enough(wide, "accuracy", 6) == ""
    assert enough(compare_scores(drawn(6, 0.05), margin=0.5), "accuracy", 6)
    assert enough(compare_scores(drawn(6, 0.002), margin=0.001), "accuracy", 6) == ""
    assert enough(wide, "accuracy", MOST).startswith(f"{MOST} seeds, the most there are")
    assert enough(compare_scores(drawn(6, 0.002)), "rmse", 6).endswith("is 0.005002 at most, as wanted.")
    assert enough(compare_scores([[None] * 6, [0.5] * 6]), "accuracy", 6).endswith(
        "their differences have no spread to go by."
    )


def test_the_difference_has_no_say() -> None:
    for shift in (0.0, 0.3):
        assert enough(compare_scores(drawn(6, 0.05, shift=shift)), "accuracy", 6) == ""
        assert enough(compare_scores(drawn(6, 0.002, shift=shift)), "accuracy", 6)


def test_intervals_that_are_due_to_the_items_end_it() -> None:
    rng = np.random.default_rng(0)
    right = (rng.random((2, 1, 60, 1)) < 0.7).repeat(6, axis=1).astype(float)
    right[:, :, :2] = rng.random((2, 6, 2, 1)) < 0.5
    comparison = compare_scores(right.mean((2, 3)), right, score=np.mean)
    assert comparison.pairs[0].floor > 0.05
    assert "due to the items" in enough(comparison, "accuracy", 6)


def test_a_penalty_widens_intervals_and_raises_p() -> None:
    scores = drawn(6, 0.05, shift=0.04)
    plain, paid = (compare_scores(scores, penalty=penalty).pairs[0] for penalty in (1.0, PENALTY))
    assert plain.p is not None
    assert paid.p == pytest.approx(PENALTY * plain.p)
    for pair in (plain, paid):
        assert pair.interval is not None
        assert pair.p is not None
        assert (pair.p <= 0.05) == (not pair.interval[0] <= 0 <= pair.interval[1])
    with pytest.raises(InputError, match=r"penalty: got 0.5"):
        compare_scores(scores, penalty=0.5)


def test_false_alarms_of_the_rule_stay_at_five_in_a_hundred() -> None:
    alarms = looked = 0
    for number in range(300):
        scores, seeds = drawn(MOST, 0.0165, seed=number), FIRST
        while not enough(compare_scores([row[:seeds] for row in scores], penalty=PENALTY), "accuracy", seeds):
            seeds += BLOCK
        looked += seeds > FIRST
        pair = compare_scores([row[:seeds] for row in scores], penalty=PENALTY).pairs[0]
        alarms += pair.verdict in ("better", "worse")
    assert looked > 150  # it has something to stop for
    assert alarms <= 27  # 15 are expected; more than 27 once in 700 times


def letters(count: int = 60, seed: int = 0) -> tuple[list[str], list[int]]:
    rng = random.Random(seed)
    texts = [" ".join(rng.choices("abcd", k=rng.randint(2, 6))) for _ in range(count)]
    return texts, [int(text.count("a") > text.count("b")) for text in texts]


def test_a_comparison_adds_seeds_and_says_why_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rekur.study.run_comparison.FIRST", 2)
    monkeypatch.setattr("rekur.study.seeds.BLOCK", 1)
    monkeypatch.setattr("rekur.study.seeds.MOST", 4)
    monkeypatch.setattr("rekur.study.seeds.DUE_TO_EXAMPLES", 2)
    X, y = letters()
    lines: list[str] = []
    options = {**QUICK, "epochs": 5, "hidden_size": 8, "learning_rate": 0.02}
    X_valid, y_valid = letters(80, seed=1)
    how: dict[str, Any] = {"cells": ["rnn", "gru"], "options": options, "equal": "hidden", "out": tmp_path / "c"}
    how |= {"X_valid": X_valid, "y_valid": y_valid}
    result = compare("classify", X, y, seeds="auto", margin=1e-4, say=lines.append, **how)
    assert len(result.runs) == 8
    assert [line for line in lines if "added" in line] == [
        f"Intervals are still wide: seeds {seed} to {seed} are added." for seed in (2, 3)
    ]
    assert result.stopping.startswith("4 seeds, the most there are: intervals are wider than wanted. Since widths")
    assert result.to_dict()["stopping"] == result.stopping
    scores = [[run.score for run in result.runs_of(variant)] for variant in (0, 1)]
    assert result.statistics.pairs[0].difference == compare_scores(scores).pairs[0].difference
    again = compare("classify", X, y, seeds="auto", margin=1e-4, **how)
    assert (again.runs, again.statistics) == (result.runs, result.statistics)
    wide = compare("classify", X, y, seeds="auto", margin=5.0, **how)
    assert len(wide.runs) == 4
    assert compare("classify", X, y, seeds=2, **how).stopping == ""
