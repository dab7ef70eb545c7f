"""Single models on the same items: the statistics, and the answer in one sentence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rekur.errors import InputError
from rekur.study.model_comparison import ModelComparison, check_comparable
from rekur.study.statistics import compare_models
from rekur.targets import DistributionTarget, LabelTarget, NextTarget, NumberTarget


def mean(rows: Any) -> float:
    return float(np.mean(rows))


def test_of_a_mean_it_is_the_paired_t_test_over_items() -> None:
    random = np.random.default_rng(0)
    first = random.normal(0.1, 1, (60, 1))
    second = first + random.normal(0.2, 0.5, (60, 1))
    pair = compare_models([first, second], mean).pairs[0]
    oracle = stats.ttest_rel(first[:, 0], second[:, 0])
    assert pair.p == pytest.approx(float(oracle.pvalue), rel=1e-9)
    assert pair.interval == pytest.approx(tuple(oracle.confidence_interval()))
    assert pair.verdict == ("better" if pair.difference and pair.difference > 0 else "worse")


def test_intervals_hold_the_truth_and_null_comparisons_are_rarely_decided() -> None:
    random = np.random.default_rng(1)
    misses = alarms = 0
    for _ in range(200):
        skill = random.random((150, 1))
        pair = compare_models([random.random((150, 1)) < skill, random.random((150, 1)) < skill], mean).pairs[0]
        misses += pair.interval is not None and not pair.interval[0] <= 0 <= pair.interval[1]
        alarms += pair.verdict != "undecided"
    assert 2 <= misses <= 20
    assert alarms == misses


def test_pairs_are_corrected_together_and_ties_are_told() -> None:
    random = np.random.default_rng(2)
    right = random.random((200, 1)) < 0.8
    comparison = compare_models([right, right, random.random((200, 1)) < 0.5], mean, margin=0.2)
    same, *others = comparison.pairs
    assert (same.difference, same.p, same.verdict) == (0, 1, "undecided")
    assert same.note == "identical scores in all groups of items"
    for pair in others:
        assert pair.verdict == "better"
        assert pair.p_holm is not None
        assert pair.p is not None
        assert pair.p < pair.p_holm <= 3 * pair.p
    steady = compare_models([right + 0.5, right], mean).pairs[0]
    assert (steady.interval, steady.note) == (None, "all groups of items differ by the same amount")
    with pytest.raises(InputError, match="a finite number of each model"):
        compare_models([right, right], lambda rows: float("nan"))


def result(*scores: float, spread: float, metric: str = "accuracy", margin: float | None = None) -> ModelComparison:
    random = np.random.default_rng(3)
    noise = random.normal(0, spread, (100, len(scores)))
    records = [score + noise[:, number : number + 1] - noise[:, number].mean() for number, score in enumerate(scores)]
    statistics = compare_models(records, mean, larger_is_better=metric == "accuracy", margin=margin)
    return ModelComparison("classify", metric, 100, "items", tuple("abc"[: len(scores)]), statistics)


def test_the_answer_says_what_is_shown_and_what_is_not() -> None:
    assert result(0.5, 0.75, spread=0.01).answer.startswith("b beats a by 25.0 ± 0.3 points.")
    assert result(0.5, 0.75, spread=0.01, metric="rmse").answer.startswith("a beats b by 0.2500 ± ")
    assert result(0.5, 0.501, spread=1).answer.startswith("No model is shown to be best: b leads a by 0.1 ± ")
    assert result(0.5, 0.501, spread=0.1, margin=0.1).answer.startswith("No model is better by the margin: b leads a")
    assert ", but is not told apart from " in result(0.5, 0.75, 0.7501, spread=0.01).answer
    table = result(0.5, 0.75, spread=0.01).tables()[0]
    assert [row[0] for row in table[2]] == ["b", "a"]
    assert [row[3] for row in table[2]] == ["best", "worse"]


def model(task: str, target: Any) -> Any:
    return SimpleNamespace(task=task, target_=target)


def test_models_of_other_tasks_and_answers_are_refused() -> None:
    labels = model("classify", LabelTarget(["a", "b"], multi_label=False))
    cases = {
        "y: task: got 'regress'; expected classify, as of x.": model("regress", NumberTarget(0.0, 1.0)),
        "y: what it answers: got 'c'; expected the same as of x.": model(
            "classify", LabelTarget(["a", "b", "c"], multi_label=False)
        ),
        "y: what it answers: got no 'b'; expected the same as of x.": model(
            "classify", LabelTarget(["a"], multi_label=True)
        ),
    }
    for message, other in cases.items():
        with pytest.raises(InputError) as error:
            check_comparable("xy", [labels, other])
        assert message in str(error.value)
    days, weeks = (model("forecast", DistributionTarget(horizon)) for horizon in (1, 7))
    with pytest.raises(InputError, match="got 'a horizon of 7'"):
        check_comparable("xy", [days, weeks])


def test_models_of_texts_are_compared_whatever_a_token_is() -> None:
    first, second = NextTarget(10, reset=True), NextTarget(300, reset=True)
    check_comparable("xy", [model("language", first), model("language", second)])
    assert first.compares == "bits_per_character"


# ── at the edge ──────────────────────────────────────────────────────────────────────────────────────────────────


def shares(*rights: Any, margin: float | None = None) -> Any:
    records = [np.asarray(right, float)[:, None] for right in rights]
    return compare_models(records, mean, limits=(0, 1), margin=margin)


@pytest.mark.parametrize("items", [4, 60])
def test_items_that_are_all_right_do_not_make_a_score_certain(items: int) -> None:
    right = np.ones(items)
    comparison = shares(right, right, margin=0.1)
    exact = stats.binomtest(items, items).proportion_ci(method="wilson")
    for model in comparison.variants:
        assert model.interval[1] == 1
        assert 0.1 < model.interval[0] <= exact.low
    pair = comparison.pairs[0]
    assert (pair.p, pair.difference, pair.note) == (1, 0, "identical scores in all groups of items")
    assert pair.interval[1] == -pair.interval[0] > 1 / items
    assert pair.verdict == ("undecided" if items == 4 else "same")
    opposite = shares(right, 1 - right).pairs[0]
    assert opposite.difference == 1
    assert opposite.interval[0] < 1 == opposite.interval[1]
    assert opposite.verdict == ("undecided" if items == 4 else "better")


@pytest.mark.parametrize("first_alone", [3, 5, 6, 8, 12])
@pytest.mark.parametrize("items", [20, 100])
def test_few_items_that_differ_are_tested_as_exactly(first_alone: int, items: int) -> None:
    first, second = np.ones(items), np.ones(items)
    second[:first_alone] = 0
    p = shares(first, second).pairs[0].p
    exact = stats.binomtest(first_alone, first_alone).pvalue
    assert (p <= 0.05) == (exact <= 0.05)
    assert 0.6 * exact - 0.002 < p < 1.6 * exact + 0.002


def test_intervals_of_many_items_are_those_of_the_normal_theory() -> None:
    random = np.random.default_rng(4)
    first, second = (random.random(4000) < 0.7 for _ in range(2))
    comparison = shares(first, second)
    wilson = stats.binomtest(int(first.sum()), 4000).proportion_ci(method="wilson")
    assert comparison.variants[0].interval == pytest.approx(tuple(wilson), abs=6e-3)
    paired = stats.ttest_rel(first.astype(float), second.astype(float))
    assert comparison.pairs[0].interval == pytest.approx(tuple(paired.confidence_interval()), abs=6e-3)


def test_intervals_hold_the_truth_near_the_edge() -> None:
    random = np.random.default_rng(5)
    held = alarms = 0
    for _ in range(300):
        alone, both = random.random(30), random.random(30) < 0.98
        first, second = (np.where(alone < 0.04, (alone < 0.02) == turn, both) for turn in (True, False))
        comparison = shares(first, second)
        truth = 0.96 * 0.98 + 0.02
        held += comparison.variants[0].interval[0] <= truth <= comparison.variants[0].interval[1]
        alarms += comparison.pairs[0].verdict != "undecided"
    assert held >= 276
    assert alarms <= 15


def test_names_are_shown_without_what_all_share() -> None:
    def shown(*names: str) -> tuple[str, ...]:
        statistics = shares(*np.eye(3)[: len(names)])
        return ModelComparison("classify", "accuracy", 3, "items", names, statistics).short_names

    assert shown("runs/lstm", "runs/gru") == ("lstm", "gru")
    assert shown("c/runs/0-0/model", "c/runs/1-0/model/") == ("0-0", "1-0")
    assert shown("a/model", "b/model", "model") == ("a/model", "b/model", "model")
    assert shown("lstm", "runs/gru") == ("lstm", "runs/gru")
