"""Numbers to learn of any size: standardised and scored without overflow, or refused before training."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run, write_lines

import rekur
from rekur.errors import InputError

RNG = np.random.default_rng(0)
SERIES = [RNG.normal(size=(4, 2)) for _ in range(24)]
LABELS = np.array([item[:, 0].mean() for item in SERIES])
FEW: dict[str, Any] = {"hidden_size": 4, "epochs": 2}


@pytest.fixture(autouse=True)
def no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("unit", [1e299, 1e38, 1e-6, 1e-200, 1e-299])
def test_the_unit_of_labels_changes_nothing_but_the_unit(unit: float, tmp_path: Path) -> None:
    plain, other = (rekur.Regressor(**FEW).fit(SERIES, LABELS * factor) for factor in (1.0, unit))
    for name in ("rmse", "mae"):
        assert other.metrics_[name] / unit == pytest.approx(plain.metrics_[name], rel=1e-5)
        assert other.metrics_["rival"][name] / unit == pytest.approx(plain.metrics_["rival"][name], rel=1e-5)
    assert other.metrics_["r2"] == pytest.approx(plain.metrics_["r2"], abs=1e-5)
    other.save(tmp_path / "m")
    np.testing.assert_allclose(rekur.load(tmp_path / "m").predict(SERIES) / unit, plain.predict(SERIES), rtol=1e-4)


def test_one_extreme_label_is_a_number_like_others() -> None:
    model = rekur.Regressor(**FEW).fit(SERIES, [1e300, *LABELS[1:]])
    assert 1e298 < model.target_scale_ < 1e300
    assert math.isfinite(model.metrics_["rmse"])


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([1e301, *LABELS[1:]], "labels: got 1e+301; expected numbers up to 1e+300 that differ by 1e-300 or more."),
        ([5e-324] + [0.0] * 23, "labels: got numbers that differ by 4.94066e-324 at most; expected numbers up to"),
        ([0.1] * 24, "labels: got only the number 0.1 in 24 training examples; expected numbers that differ."),
        ([1e300] * 24, "labels: got only the number 1e+300 in 24 training examples; expected numbers that differ."),
        ([math.inf, *LABELS[1:]], "label: got inf; expected a finite number for every item"),
        ([10**400, *LABELS[1:]], "expected a finite number for every item"),
    ],
    ids=["too large", "too near", "constant", "large and constant", "infinite", "400 digits"],
)
def test_labels_that_cannot_be_learnt_are_refused(labels: list[float], text: str) -> None:
    with pytest.raises(InputError) as caught:
        rekur.Regressor(**FEW).fit(SERIES, labels)
    assert text in str(caught.value)


def test_labels_far_from_those_of_training_are_named(cli: Run, tmp_path: Path) -> None:
    rows = [{"x": item.tolist(), "y": label} for item, label in zip(SERIES, LABELS, strict=True)]
    train = write_lines(tmp_path / "train.jsonl", rows)
    valid = write_lines(tmp_path / "valid.jsonl", [*rows[:3], {"x": [[0, 0]], "y": 1e300}])
    words = ("--series", "x", "--label", "y", "--hidden-size", "4", "--epochs", "1", "--quiet", "--no-baseline")
    done = cli("fit", "regress", train, *words, "--valid", valid, "--out", tmp_path / "m")
    assert done.code == 2
    assert "line 4: label: got 1e+300; expected a number like those of training, whose mean is " in done.err
    assert not (tmp_path / "m").exists()
    assert cli("fit", "regress", train, *words, "--out", tmp_path / "m").code == 0
    done = cli("evaluate", tmp_path / "m", valid)
    assert (done.code, "line 4: label: got 1e+300" in done.err) == (2, True)
