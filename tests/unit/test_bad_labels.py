"""Labels and weights in memory that cannot be used, for every task that reads items: each is located and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rekur.errors import InputError
from rekur.tasks.catalog import CATALOG

SENTENCES = [[f"Ada{n}", "left"] if n % 2 == 0 else [f"Oslo{n}", "is", "fine"] for n in range(16)]
#: task -> items, labels, and a label that no training can have had
DATA: dict[str, tuple[list[Any], list[Any], Any]] = {
    "classify": ([f"film {n}" for n in range(16)], ["yes", "no"] * 8, {"no": "name"}),
    "regress": ([[float(n), 2.0] for n in range(16)], [1.0, 2.0] * 8, "high"),
    "tag": (SENTENCES, [["N", "V"], ["N", "V", "A"]] * 8, "N"),
}
SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 4, "baseline": False}


def new(task: str) -> Any:
    return CATALOG[task].estimator_class()(**SMALL)


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    return {task: new(task).fit(X, y) for task, (X, y, _) in DATA.items()}


def test_every_task_of_items_is_tried() -> None:
    assert set(DATA) == {name for name, row in CATALOG.items() if row.reads == "items"}


def message_of(call: Any, *values: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*values, **options)
    return str(caught.value)


@pytest.mark.parametrize("task", DATA)
def test_missing_labels_are_refused_in_a_sentence(task: str, trained: dict[str, Any]) -> None:
    X, y, _ = DATA[task]
    expected = "y: got None; expected a list of labels, one for each item. y should be a 1d array"
    for method in (new(task).fit, trained[task].score, trained[task].evaluate):
        assert message_of(method, X, None).startswith(expected)
    assert message_of(new(task).fit, X, y, X_valid=X).startswith("y_valid: got None; expected a list of labels")


@pytest.mark.parametrize("task", DATA)
def test_a_bad_label_is_located_among_the_labels(task: str, trained: dict[str, Any]) -> None:
    X, y, wrong = DATA[task]
    labels = [*y[:3], wrong, *y[4:]]
    for method in (new(task).fit, trained[task].score, trained[task].evaluate):
        assert message_of(method, X, labels).startswith("y[3]: ")
    assert message_of(new(task).fit, X, y, X_valid=X, y_valid=labels).startswith("y_valid[3]: ")


def test_the_number_of_tags_is_checked_beside_the_words() -> None:
    X, y, _ = DATA["tag"]
    expected = "y[1]: got {} tags; expected 3, one for each word of X[1]."
    assert message_of(new("tag").fit, X, [y[0], ["N", "V"], *y[2:]]) == expected.format(2)
    assert message_of(new("tag").fit, X, [y[0], None, *y[2:]]) == expected.format(0)


WEIGHTS = {
    "a negative number": (-1.0, "sample_weight: got -1.0; expected a number of 0 or more."),
    "zero": (0, "sample_weight: got only zeros; expected numbers of 0 or more, not all of them 0."),
    "not a number": (np.nan, "sample_weight: got nan; expected a number of 0 or more."),
    "text": ("heavy", "sample_weight: got 'str'; expected a number, or a list of numbers, one for each item."),
    "a dict": ({0: 1.0}, "sample_weight: got 'dict'; expected a number, or a list of numbers, one for each item."),
    "too few": ([1.0, 2.0], "sample_weight: got 2; expected 16, one for each item."),
    "one below zero": ([1.0] * 15 + [-1.0], "sample_weight[15]: got -1.0; expected a number of 0 or more."),
    "one that is missing": ([1.0] * 15 + [None], "sample_weight[15]: got None; expected a number of 0 or more."),
    "one without end": ([1.0] * 15 + [np.inf], "sample_weight[15]: got inf; expected a finite number."),
    "one of text": ([1.0] * 15 + ["much"], "sample_weight[15]: got 'much'; expected a number."),
    "a table": (np.ones((16, 2)), "sample_weight[0]: got [1. 1.]; expected a number."),
}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("task", DATA)
def test_bad_weights_are_named(task: str, weights: str, trained: dict[str, Any]) -> None:
    X, y, _ = DATA[task]
    value, text = WEIGHTS[weights]
    for method in (new(task).fit, trained[task].score):
        assert message_of(method, X, y, sample_weight=value) == text


@pytest.mark.parametrize("task", DATA)
def test_one_number_is_the_weight_of_every_item(task: str, trained: dict[str, Any]) -> None:
    X, y, _ = DATA[task]
    plain = trained[task]
    for weight in (3.0, np.float32(0.5), np.array(2)):
        assert plain.score(X, y, sample_weight=weight) == plain.score(X, y)
        model = new(task).fit(X, y, sample_weight=weight)
        assert np.array_equal(np.concatenate(model.scores(X)), np.concatenate(plain.scores(X)))


@pytest.mark.parametrize("task", DATA)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_data_that_are_too_few_say_what_is_missing(task: str, count: int) -> None:
    """One item, or items with one label, teach nothing; of two, one is held out."""
    X, y, _ = DATA[task]
    if count == 2 and task == "tag":
        return  # a sentence with two tags is enough to train on, and the other to validate on
    text = message_of(new(task).fit, X[:count], y[:count])
    assert text.startswith(("X: got 0 sequences", "labels: got only the", f"examples: got {count}"))
    assert "; expected " in text


@pytest.mark.parametrize("task", DATA)
def test_labels_that_do_not_differ_say_so(task: str) -> None:
    X, y, _ = DATA[task]
    labels = [["N"] * len(item) for item in X] if task == "tag" else y[:1] * len(X)
    text = message_of(new(task).fit, X, labels)
    assert text.startswith("labels: got only the")
    assert ", or add examples" in text
