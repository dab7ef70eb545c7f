"""Scores against scikit-learn and against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from rekur.metrics import (
    bootstrap_interval,
    calibration_curve,
    calibration_error,
    classification_scores,
    multilabel_scores,
    regression_scores,
    share_interval,
)
from rekur.metrics.stats import score_interval

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, 60)
GIVEN = RNG.dirichlet(np.ones(3), 60)
NAMES = ["a", "b", "c"]


def test_classification_agrees_with_scikit_learn() -> None:
    found = classification_scores(TRUTH, GIVEN, NAMES)
    guess = GIVEN.argmax(axis=1)
    assert found["items"] == 60
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(TRUTH, guess))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(TRUTH, guess, average="macro"))
    assert found["log_loss"] == pytest.approx(sk.log_loss(TRUTH, GIVEN))
    assert found["confusion"] == sk.confusion_matrix(TRUTH, guess).tolist()
    assert [row["label"] for row in found["per_class"]] == NAMES
    for k, row in enumerate(found["per_class"]):
        assert row["precision"] == pytest.approx(sk.precision_score(k == TRUTH, guess == k))
        assert row["recall"] == pytest.approx(sk.recall_score(k == TRUTH, guess == k))
        assert row["support"] == (k == TRUTH).sum()
    low, high = found["accuracy_interval"]
    assert low < found["accuracy"] < high


def test_a_class_that_is_nowhere_does_not_count_in_macro_f1() -> None:
    truth, given = np.array([0, 0, 1]), np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.1, 0.9, 0]])
    found = classification_scores(truth, given, NAMES)
    assert (found["accuracy"], found["macro_f1"]) == (1.0, 1.0)
    assert found["per_class"][2] == {"label": "c", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert found["confusion"] == [[2, 0, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("seed", range(5))
def test_f1_of_resamples_is_scikit_learns(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import rekur.metrics.scores as scores

    rng, taken = np.random.default_rng(seed), []
    monkeypatch.setattr(scores, "score_interval", lambda score, *_, **__: taken.append(score) or (0.0, 1.0))
    truth, given, index = rng.integers(0, 5, 20), rng.dirichlet(np.ones(5), 20), rng.integers(0, 20, 9)
    classification_scores(truth, given, list("abcde"))
    t, g = truth[index], given.argmax(axis=1)[index]
    expected = sk.f1_score(t, g, labels=np.unique(np.concatenate([t, g])), average="macro", zero_division=0.0)
    assert taken[-1](index) == pytest.approx(expected)
    flags = rng.integers(0, 2, (20, 3))
    multilabel_scores(flags, given[:, :3], list("abc"))
    expected = sk.f1_score(flags[index], (given[:, :3] >= 0.5)[index].astype(int), average="micro", zero_division=0.0)
    assert taken[-1](index) == pytest.approx(expected)


def test_a_probability_of_zero_is_a_finite_loss() -> None:
    found = classification_scores(np.array([1]), np.array([[1.0, 0.0]]), ["a", "b"])
    assert found["log_loss"] == pytest.approx(-np.log(1e-12))


def test_several_labels_agree_with_scikit_learn() -> None:
    truth, given = RNG.integers(0, 2, (50, 3)), RNG.random((50, 3))
    found, guess = multilabel_scores(truth, given, NAMES), (given >= 0.5).astype(int)
    assert found["subset_accuracy"] == pytest.approx(sk.accuracy_score(truth, guess))
    assert found["micro_f1"] == pytest.approx(sk.f1_score(truth, guess, average="micro"))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    assert found["log_loss"] == pytest.approx(np.mean([sk.log_loss(truth[:, k], given[:, k]) for k in range(3)]))
    assert found["micro_f1_interval"][0] <= found["micro_f1"] <= found["micro_f1_interval"][1]


def test_regression_by_hand_and_by_scikit_learn() -> None:
    truth, guess = np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 3.0, 3.0, 4.0])
    found = regression_scores(truth, guess)
    assert found["rmse"] == pytest.approx(np.sqrt(5 / 4))
    assert found["mae"] == pytest.approx(3 / 4)
    assert found["r2"] == pytest.approx(1 - 5 / 14) == pytest.approx(sk.r2_score(truth, guess))
    assert regression_scores(np.ones(3), np.array([1.0, 1.0, 2.0]))["r2"] == 0.0


def test_calibration_by_hand() -> None:
    right = np.array([True, True, False, True])
    confidence = np.array([0.95, 0.85, 0.85, 1.0])
    curve = calibration_curve(right, confidence)
    assert curve == [(pytest.approx(0.85), 0.5, 2), (pytest.approx(0.975), 1.0, 2)]
    assert calibration_error(right, confidence) == pytest.approx(0.5 * 0.35 + 0.5 * 0.025)
    assert calibration_error(np.array([True] * 4), np.ones(4)) == 0.0


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(200):
        right = np.random.default_rng(seed).random(100) < 0.7
        low, high = bootstrap_interval(lambda i, right=right: float(right[i].mean()), 100, seed=seed)
        inside += low <= 0.7 <= high
    assert 0.88 < inside / 200 < 0.99


def test_an_interval_of_one_seed_is_one_interval() -> None:
    values = RNG.random(30)
    ends = [bootstrap_interval(lambda i: float(values[i].mean()), 30, seed=s) for s in (1, 1, 2)]
    assert ends[0] == ends[1] != ends[2]
    wide = bootstrap_interval(lambda i: float(values[i].mean()), 30, level=0.99, seed=1)
    assert wide[0] <= ends[0][0]
    assert ends[0][1] <= wide[1]


def test_the_intervals_of_accuracy_and_f1_agree_where_all_items_are_right() -> None:
    """Six items tell little: that all are right must not read as certain in one row and as a guess in the other."""
    truth = np.array([0, 1] * 3)
    found = classification_scores(truth, np.eye(2)[truth], ["a", "b"])
    assert found["macro_f1_interval"] == found["accuracy_interval"] == pytest.approx((0.6097, 1.0), abs=1e-4)
    wrong = classification_scores(truth, np.eye(2)[1 - truth], ["a", "b"])
    assert wrong["macro_f1_interval"] == wrong["accuracy_interval"] == pytest.approx((0.0, 0.3903), abs=1e-4)
    flags = np.eye(2, dtype=int)[truth]
    assert multilabel_scores(flags, flags.astype(float), ["a", "b"])["micro_f1_interval"] == found["accuracy_interval"]


def test_the_interval_of_a_share_is_wilsons_by_either_way() -> None:
    right = np.arange(200) % 4 > 0
    low, high = score_interval(lambda i: float(right[i].mean()), 200, resamples=2000)
    assert (low, high) == pytest.approx(share_interval(150, 200), abs=0.01)


def test_the_interval_of_f1_holds_the_truth_about_as_often_as_it_says() -> None:
    def drawn(rng: np.random.Generator, count: int) -> tuple[Any, Any]:
        truth = (rng.random(count) < 0.3).astype(int)
        return truth, np.where(rng.random(count) < 0.8, truth, 1 - truth)

    def scored(truth: Any, guess: Any) -> dict[str, Any]:
        return classification_scores(truth, np.eye(2)[guess], ["a", "b"])

    truth, guess = drawn(np.random.default_rng(0), 400_000)
    exact = sk.f1_score(truth, guess, average="macro")
    for count in (12, 80):
        ends = [scored(*drawn(np.random.default_rng(seed), count))["macro_f1_interval"] for seed in range(200)]
        assert 0.9 < np.mean([low <= exact <= high for low, high in ends]) <= 1.0


def test_every_interval_holds_its_score() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        count, classes = int(rng.integers(1, 9)), int(rng.integers(2, 5))
        found = classification_scores(
            rng.integers(0, classes, count), rng.dirichlet(np.ones(classes), count), list("abcd")[:classes]
        )
        for name in ("accuracy", "macro_f1"):
            low, high = found[f"{name}_interval"]
            assert -1e-9 <= low - 1e-12 <= found[name] <= high + 1e-12 <= 1 + 1e-9
