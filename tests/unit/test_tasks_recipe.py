"""The defaults: the rules by which open options are filled, and where the embedding of words starts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from rekur.data import Corpus, EncodedItems, Example, Ragged
from rekur.metrics import share_interval
from rekur.tasks import Classifier
from rekur.tasks.base.recipe import RULES, Facts, fill
from rekur.tasks.classify.naive_bayes import bayes_start, log_count_ratios
from rekur.tasks.forecast import recipe as of_forecasts


def facts(**changes: Any) -> Facts:
    return Facts(**{"items": 8530, "steps": "words", "size": 9000, "outputs": 2, **changes})


def encoded(rows: list[int], targets: list[int]) -> EncodedItems:
    steps = Ragged.from_iter(np.array(s, np.int32) for s in ([2, 3, 3], [2], [3, 4], [4, 4, 4]))
    return EncodedItems({"steps": steps}, np.array(targets), np.array(rows))


def test_the_ratios_are_those_of_their_formula_over_training_rows_only() -> None:
    ratios = log_count_ratios(encoded([0, 1, 2], [0, 0, 1, 1]), vocabulary_size=5, classes=2)
    # token 2 stands in both items of class 0, token 3 in one of each class, token 4 in the one item of class 1
    expected = {2: (3 / 4) / (1 / 3), 3: (2 / 4) / (2 / 3), 4: (1 / 4) / (2 / 3)}
    for token, ratio in expected.items():
        assert ratios[token, 0] == pytest.approx(math.log(ratio))
        assert ratios[token, 1] == pytest.approx(-math.log(ratio))
    assert ratios[0].tolist() == [0.0, 0.0]
    # the last item is no training row: what it holds changes nothing
    assert np.array_equal(ratios, log_count_ratios(encoded([0, 1, 2], [0, 0, 1, 0]), 5, 2))


def test_the_embedding_starts_at_the_ratios_and_keeps_its_other_columns() -> None:
    weight = torch.randn(5, 8)
    before = weight.clone()
    train_set = encoded([0, 1, 2, 3], [0, 0, 1, 1])
    bayes_start(weight, train_set, tokens=len(weight), classes=2, scale=0.5)
    assert np.allclose(weight[:, 0].numpy(), 0.5 * log_count_ratios(train_set, 5, 2)[:, 1], atol=1e-6)
    assert torch.equal(weight[:, 1:], before[:, 1:])


def test_only_open_options_are_filled() -> None:
    given = dict.fromkeys(RULES) | {"dropout": 0.1, "seed": 3, "batch_size": 0}
    chosen = fill(given, facts())
    assert (chosen["dropout"], chosen["seed"], chosen["batch_size"]) == (0.1, 3, 0)
    assert None not in chosen.values()


@pytest.mark.parametrize(
    ("changes", "batch_size", "epochs"),
    [
        ({}, 64, 6),
        ({"items": 928, "outputs": 20}, 16, 40),
        ({"items": 2_000_000}, 64, 3),
        ({"items": 16_023, "steps": "letters"}, 64, 18),
        ({"items": 178, "steps": "numbers"}, 16, 120),
    ],
)
def test_small_sets_are_read_more_often(changes: dict[str, Any], batch_size: int, epochs: int) -> None:
    assert RULES["batch_size"](facts(**changes)) == batch_size
    assert RULES["epochs"](facts(**changes)) == epochs


def test_many_windows_a_step_apart_are_read_less_often_than_windows_further_apart() -> None:
    chosen = [
        of_forecasts.fill({"epochs": None, "hidden_size": None}, of_forecasts.Facts(*facts))
        for facts in [(1_000, 1), (10_000, 1), (50_000, 1), (50_000, 4)]
    ]
    assert [each["epochs"] for each in chosen] == [25, 25, 8, 25]
    assert [each["hidden_size"] for each in chosen] == [32, 64, 64, 96]


@pytest.mark.parametrize(("size", "dropped"), [(1, 0.0), (3, 0.0), (4, 0.3)])
def test_of_few_channels_none_is_left_out(size: int, dropped: float) -> None:
    assert RULES["input_dropout"](facts(steps="numbers", size=size)) == dropped


@pytest.mark.parametrize(
    ("steps", "length", "window"), [("letters", 7, 0), ("letters", 30, 9), ("motifs", 60, 5), ("words", 60, 0)]
)
def test_letters_of_longer_items_are_read_a_few_at_a_time(steps: str, length: int, window: int) -> None:
    assert RULES["kernel_size"](facts(steps=steps, length=length)) == window


def test_channels_are_called_by_their_names() -> None:
    rows = [Example(np.array([[n, -n], [n + 1.0, 1.0]]), str(n % 2), n, None) for n in range(12)]
    model = Classifier(epochs=1, hidden_size=4, baseline=False)
    model.fit_corpus(Corpus(lambda: rows, "log.csv", channels=["pulse", "heat"]))
    assert model.features_.names_ == ("pulse", "heat")


@pytest.mark.parametrize(("right", "count"), [(0, 7), (7, 7), (3, 7), (1, 1)])
def test_the_interval_of_a_share_solves_the_equation_of_wilson(right: int, count: int) -> None:
    share = right / count
    for end in share_interval(right, count):
        assert 0.0 <= round(end, 12) <= 1.0
        assert abs(share - end) == pytest.approx(1.96 * math.sqrt(max(0.0, end * (1 - end)) / count), abs=1e-9)
