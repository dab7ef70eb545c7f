"""Items that stay together where some are held out: groups in memory, columns of files, folds and shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur import Classifier, Regressor, Tagger
from rekur.data import Columns, choose_rows, examples, open_source
from rekur.data.labelled import labelled
from rekur.data.splitting import folds
from rekur.errors import DataError, InputError
from rekur.tasks.base.folds import notes_of_folds

QUICK: dict[str, Any] = {"epochs": 1, "branches": "net", "baseline": False, "accelerator": "cpu"}


def waves(count: int) -> tuple[list[Any], list[str]]:
    draw = np.random.default_rng(0)
    return [draw.normal(0, 1, 12 + row % 5) for row in range(count)], ["ab"[row % 2] for row in range(count)]


def test_groups_stay_in_one_fold_and_equal_items_too() -> None:
    groups = [row // 4 for row in range(24)]
    keys = [*range(22), 1, 23]  # an item of the last group equals one of the first
    chosen = folds(list("ab") * 12, 5, 0, keys, groups)
    assert sorted(set(chosen.tolist())) == [0, 1, 2, 3, 4]
    for group in range(6):
        assert len(set(chosen[group * 4 : group * 4 + 4].tolist())) == 1
    assert chosen[0] == chosen[23]


@pytest.mark.parametrize("task", ["classify", "regress"])
def test_each_network_is_scored_on_groups_that_it_did_not_see(task: str) -> None:
    items, labels = waves(12)
    groups = np.arange(12) // 4
    model: Any = Classifier(**QUICK) if task == "classify" else Regressor(**QUICK)
    model.fit(items, labels if task == "classify" else np.arange(12.0), groups=groups)
    assert model.model_.spec.members == 3
    corpus = labelled(items, labels if task == "classify" else np.arange(12.0)).grouped(groups)
    prepared = model.make_stages().prepare(corpus, None, None)
    for group in range(3):
        assert len(set(prepared.valid.folds[groups == group].tolist())) == 1
    assert prepared.notes[0].startswith("3 folds of 3 groups: ")


def test_a_share_that_is_held_out_is_of_whole_groups() -> None:
    labels, keys, groups = list("ab") * 20, [bytes([row]) for row in range(40)], [str(row // 8) for row in range(40)]
    chosen = choose_rows(labels, keys, 0.3, 0, stratified=True, groups=groups)
    assert 0 < (~chosen).sum() < 40
    for group in "01234":
        assert len(set(chosen[[each == group for each in groups]].tolist())) == 1
    labels[3] = "c"  # only the first group has it, so it is in training
    for seed in range(5):
        chosen = choose_rows(labels, keys, 0.3, seed, stratified=True, groups=groups)
        assert chosen[:8].all()


def test_a_group_that_holds_a_whole_class_teaches_every_network() -> None:
    items, labels = waves(12)
    labels[8:] = "aaac"  # the last group has the only c, among others
    told = labelled(items, labels).grouped(["x"] * 4 + ["y"] * 4 + ["z"] * 4)
    model = Classifier(**QUICK)
    prepared = model.make_stages().prepare(told, None, None)
    assert prepared.valid.folds.tolist()[8:] == [-1] * 4
    assert len(prepared.valid) == 8
    (note,) = [note for note in prepared.notes if "In no score" in note]
    assert note == "In no score, having one example or group: 'c', and 3 examples beside; every network learns from it."
    assert model.fit_corpus(told).metrics_["items"] == 8


@pytest.mark.parametrize("members", [1, 5])
def test_groups_that_leave_nothing_to_hold_out_are_told(members: int) -> None:
    items, labels = waves(8)
    apart = r"groups: got 2 in 8 examples; expected 2 or more that have the same class, .* \(--split-by\)"
    with pytest.raises(InputError, match=apart):
        Classifier(**QUICK, members=members).fit(items, labels, groups=labels)
    with pytest.raises(InputError, match="groups: got 1 in 8 examples; expected 2 or more, so that"):
        Regressor(**QUICK, members=members).fit(items, np.arange(8.0), groups=[7] * 8)


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        (["p"] * 7, "groups: got 7; expected 8, one for each item"),
        (["p", None] * 4, r"groups\[1\]: got nothing; expected a group for each item"),
        ("abcdefgh", "groups: got "),
        ([[1]] * 8, r"groups\[0\]: got "),
    ],
)
def test_wrong_groups(groups: Any, text: str) -> None:
    items, labels = waves(8)
    with pytest.raises(InputError, match=text):
        Classifier(**QUICK).fit(items, labels, groups=groups)


def test_groups_beside_validation_items_or_weights() -> None:
    items, labels = waves(12)
    with pytest.raises(InputError, match="groups: got them beside X_valid"):
        Classifier(**QUICK).fit(items, labels, groups=labels, X_valid=items, y_valid=labels)
    weights = [0.0] + [1.0] * 11
    model = Classifier(**QUICK).fit(items, labels, weights, groups=np.arange(12) // 3)
    assert model.metrics_["items"] == 11


def test_sentences_have_groups_too() -> None:
    sentences, tags = [["Ada", "left", str(row)] for row in range(12)], [["B-PER", "O", "O"]] * 12
    model = Tagger(epochs=1, hidden_size=4)
    prepared = model.make_stages().prepare(
        labelled(sentences, tags, per_step=True).grouped([row // 3 for row in range(12)]), None, None
    )
    held = set(prepared.valid.rows.tolist())
    assert held
    for group in range(4):
        assert len(held & set(range(group * 3, group * 3 + 3))) in (0, 3)


def read(path: Path, **columns: Any) -> list[Any]:
    return list(examples(open_source(path), Columns(**columns)))


def test_a_column_says_what_stays_together(tmp_path: Path) -> None:
    wide = tmp_path / "wide.csv"
    wide.write_text("who,a,b,y\nann,1,2,p\n7,2,3,p\n")
    assert [each.group for each in read(wide, values=["a..b"], label="y", split_by="who")] == ["ann", "7"]
    assert [each.group for each in read(wide, values=["a..b"], label="y")] == [None, None]
    long = tmp_path / "long.csv"
    rows = ["ann,d1,1,p", "ann,d1,2,p", "bob,d2,3,q", "ann,d3,4,q"]
    long.write_text("\n".join(["who,day,v,y", *rows]) + "\n")
    columns: dict[str, Any] = {"series": ["v"], "label": "y", "group": "day", "split_by": "who"}
    assert [each.group for each in read(long, **columns)] == ["ann", "bob", "ann"]
    long.write_text("\n".join(["who,day,v,y", *rows, "bob,d3,4,q"]) + "\n")
    with pytest.raises(
        DataError, match="line 6: who: got 'bob'; expected 'ann' in all rows of a sequence, as in line 5"
    ):
        read(long, **columns)
    wide.write_text("who,a,b,y\nann,1,2,p\n,2,3,p\n")
    with pytest.raises(DataError, match="line 3: who: got nothing; expected what items are split by in every row"):
        read(wide, values=["a..b"], label="y", split_by="who")
    with pytest.raises(InputError, match="split_by column: got 'who'; expected none for labels of steps"):
        examples(open_source(wide), Columns(text="a", label="y", split_by="who"), label_type="tags")


def test_notes_of_folds_name_a_class_of_several_labels_once() -> None:
    corpus = labelled([[1.0], [2.0], [3.0]], [["a"], ["a", "b"], ["a"]])
    from rekur.data import read_labels

    notes = notes_of_folds(np.array([0, -1, 1]), read_labels(corpus))
    assert notes[1] == "In no score, having one example or group: 'b'; every network learns from it."
