"""Splits: each class on both sides, equal items on one, the same on every machine."""

from collections import Counter

import numpy as np
import pytest

from rekur.data import item_key, open_source, split
from rekur.errors import InputError


def test_each_class_gives_its_share():
    labels = ["a"] * 100 + ["b"] * 20 + ["c"] * 2 + ["d"]
    parts = split(labels, 0.2, seed=0)
    assert Counter(labels[i] for i in parts.valid) == {"a": 20, "b": 4, "c": 1}
    assert sorted([*parts.train, *parts.valid]) == list(range(123))
    assert parts.only_in_train == ["d"]
    assert parts.notes() == ["Not in validation, having too few examples or groups: 'd'."]


def test_equal_items_stay_together():
    texts = ["x", "y", "x", "z", "x", "w", "v", "u", "y", "t"]
    for seed in range(20):
        parts = split(["a"] * 10, 0.3, seed, keys=[item_key(text) for text in texts])
        assert not {texts[i] for i in parts.train} & {texts[i] for i in parts.valid}
        assert parts.rows_kept_together == 5
        assert 1 <= len(parts.valid) <= 3
    assert parts.notes() == ["5 equal or grouped examples were kept on one side."]


def test_groups_and_keys_join():
    # 0-1 by group, 1-2 by key: all three belong together
    parts = split(["a"] * 6, 0.5, seed=0, keys=["p", "q", "q", "r", "s", "t"], groups=[1, 1, 2, 3, 4, 5])
    sides = np.zeros(6, int)
    sides[parts.valid] = 1
    assert len(set(sides[:3])) == 1


def test_a_class_of_one_group_is_not_in_validation():
    parts = split(["a"] * 4 + ["b"] * 4, 0.25, seed=0, groups=["g"] * 4 + list("hijk"))
    assert parts.only_in_train == ["a"]


def test_several_classes_a_row_count_by_the_rarest():
    labels = [["x", "y"], ["x"], ["x"], ["x", "y"], ["x"], ["x"]]
    parts = split(labels, 0.5, seed=0)
    assert sum("y" in labels[i] for i in parts.valid) == 1


def test_the_split_is_pinned():
    parts = split([None] * 12, 0.25, seed=7)
    assert parts.valid.tolist() == [4, 6, 10]
    assert split([None] * 12, 0.25, seed=8).valid.tolist() != [4, 6, 10]


def test_keys_are_pinned():
    assert item_key("ACGT").hex() == "f9f322ef1b905091d65847bc9eeec665"
    assert item_key(np.array([[1.5]])) != item_key(np.array([1.5]))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            (["a", "b"], 0.5, 0),
            "examples: got 2 in 2 classes; expected a class with 2 or more different items. "
            "Add examples, or give a file for validation.",
        ),
        ((["a", "a"], 0, 0), "fraction: got 0; expected a number in (0, 1)."),
        ((["a", "a"], 1, 0), "fraction: got 1; expected a number in [0, 1)."),
        ((["a", "a"], 0.5, -1), "seed: got -1; expected a whole number of 0 or more."),
        ((["a", "a"], 0.5, 0, ["k"]), "keys: got 1; expected 2, one for each row."),
    ],
)
def test_splits_that_cannot_be(arguments, expected):
    with pytest.raises(InputError) as caught:
        split(*arguments)
    assert str(caught.value) == expected


def test_real_messages(real_data):
    rows = list(open_source(real_data / "sms_spam" / "train.tsv").rows())
    labels, texts = [row["label"] for row in rows], [row["text"] for row in rows]
    parts = split(labels, 0.1, seed=0, keys=[item_key(text) for text in texts])
    assert not {texts[i] for i in parts.train} & {texts[i] for i in parts.valid}
    counts = Counter(labels[i] for i in parts.valid)
    assert counts == {"ham": 387, "spam": 60}


def test_groups_of_many_classes_give_their_share_and_no_more():
    rows = [(group, label) for group in range(28) for label in "abcdefghij" for _ in range(5)]
    groups, labels = [group for group, _ in rows], [label for _, label in rows]
    for seed in range(5):
        parts = split(labels, 0.1, seed, groups=groups)
        held_out = {groups[i] for i in parts.valid}
        assert len(parts.valid) == 100
        assert len(held_out) == 2
        assert held_out.isdisjoint(groups[i] for i in parts.train)
        assert parts.only_in_train == []


def test_of_groups_those_with_classes_that_validation_lacks_come_first():
    labels = ["a", "b"] * 18 + ["a", "c"] * 2
    groups = [row // 2 for row in range(40)]
    for seed in range(5):
        valid = split(labels, 0.2, seed, groups=groups).valid
        assert Counter(labels[i] for i in valid) == {"a": 4, "b": 3, "c": 1}


def test_a_class_of_one_group_among_others_is_in_training():
    labels = ["a", "b"] * 9 + ["a", "c"]
    for seed in range(10):
        parts = split(labels, 0.5, seed, groups=[row // 2 for row in range(20)])
        assert parts.only_in_train == ["c"]
        assert len(parts.valid) == 10


def test_groups_larger_than_the_share_leave_the_smallest():
    parts = split(list("abab" + "ababab" * 2), 0.1, 0, groups=[0] * 4 + [1] * 6 + [2] * 6)
    assert parts.valid.tolist() == [0, 1, 2, 3]
