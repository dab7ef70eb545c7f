"""Runs whose options make them diverge: rescued, or ended with exit code 4 and no model; never saved as if good."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import REVIEWS, Run

from rekur import Classifier, LanguageModel, Regressor
from rekur.errors import DivergedError

RNG = np.random.default_rng(0)
SERIES = [RNG.normal(size=(8, 2)) + (i % 2) for i in range(60)]
ANSWERS: dict[str, Any] = {"classify": ["ab"[i % 2] for i in range(60)], "regress": [i % 2 + 0.5 for i in range(60)]}
TEXT = "to be or not to be, that is the question. " * 40


def fit(task: str, **options: Any) -> Any:
    options = {"hidden_size": 4, "epochs": 5, "baseline": False, **options}
    if task == "language":
        return LanguageModel(**options).fit(TEXT)
    return {"classify": Classifier, "regress": Regressor}[task](**options).fit(SERIES, ANSWERS[task])


@pytest.mark.parametrize("task", ["classify", "regress", "language"])
@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"learning_rate": 1e30}, "Lower learning_rate (now 1e+30); usual ones are 1e-4 to 1e-2."),
        ({"learning_rate": 1e300, "clip": 0}, "Lower learning_rate (now 1e+300); usual ones are 1e-4 to 1e-2."),
        ({"weight_decay": 1e30}, "Lower weight_decay (now 1e+30): times learning_rate it is to be far below 1."),
        (
            {"learning_rate": 1e30, "steps": 2, "warmup": 0.0, "average": 0.0, "weight_decay": 0.0},
            "Lower learning_rate",
        ),
        ({"learning_rate": 1e4, "schedule": "constant", "weight_decay": 0.0}, "Lower learning_rate (now 10000)"),
    ],
    ids=["rate", "rate without clipping", "weight decay", "in the last step", "finite losses"],
)
def test_a_run_that_diverges_gives_no_model(task: str, options: dict[str, Any], fix: str) -> None:
    with pytest.raises(DivergedError) as caught:
        fit(task, **options)
    assert str(caught.value).startswith("training: ")
    assert fix in str(caught.value)


def test_the_command_ends_with_4_and_leaves_nothing(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = ("--cell", "gru", "--hidden-size", "6", "--epochs", "4", "--no-baseline", "--quiet")
    done = cli(
        "fit", "classify", files["reviews"], *REVIEWS, *words, "--out", tmp_path / "m", "--learning-rate", "1e30"
    )
    assert done.code == 4
    assert done.out == ""
    *warnings, error = done.err.splitlines()
    assert len(warnings) == 4
    assert all(line.startswith("warning: step ") for line in warnings)
    assert error.startswith("rekur: training: step ")
    assert list(tmp_path.iterdir()) == []


def test_a_rate_that_can_be_rescued_is(capsys: pytest.CaptureFixture[str]) -> None:
    model = fit("classify", learning_rate=10.0, epochs=30, verbose=True)
    assert 1 <= len(model.result_.events) <= 3
    assert "went back to the last good state, learning rate now × 0.5." in capsys.readouterr().err
    assert model.metrics_["accuracy"] > 0.9


def test_a_batch_with_an_extreme_label_is_no_divergence() -> None:
    labels = [float(i % 2) for i in range(60)]
    labels[7] = 1e6
    model = Regressor(hidden_size=4, epochs=12, batch_size=2, baseline=False).fit(SERIES, labels)
    assert (model.result_.stopped, model.result_.events) == ("finished", ())


@pytest.mark.parametrize("task", ["classify", "regress", "language"])
def test_a_model_that_is_worse_than_a_guess_says_so(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(0)
    letters = "".join(rng.choice("abcdefgh") for _ in range(800))
    hasty: dict[str, Any] = {"hidden_size": 32, "steps": 3, "warmup": 0.0, "learning_rate": 0.3, "average": 0.0}
    shared: dict[str, Any] = {**hasty, "baseline": False, "verbose": True}
    if task == "language":
        model = LanguageModel(**shared).fit(letters[:600], X_valid=letters[600:])
        wanted = "the loss on the validation text, "
    else:
        estimator, labels = (Classifier, letters[:60]) if task == "classify" else (Regressor, RNG.normal(size=60))
        model = estimator(**shared, valid_fraction=0.5).fit(SERIES, list(labels))
        wanted = {"classify": "the log loss on", "regress": "the rmse on"}[task] + " the validation items, "
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert model.result_.stopped == "finished"
    assert said[-1].startswith(f"warning: {wanted}")
    assert "is worse than that of predicting " in said[-1]


def test_weights_that_begin_as_infinite_are_named() -> None:
    with pytest.raises(DivergedError, match="the untrained model has weights that are not finite"):
        Classifier(hidden_size=4, epochs=1, baseline=False, bayes_start=1e308).fit(
            ["good film", "bad film", "good show", "bad show"] * 5, [1, 0, 1, 0] * 5
        )
