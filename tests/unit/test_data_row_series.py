"""Rows that hold a whole series in each of several columns: a channel a column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur.data import Columns, examples, open_source
from rekur.data.memory import from_memory
from rekur.errors import DataError

TABLE = {"x": [[1, 2, 3], [4]], "y": [[5.5, None, 7], [8]], "label": ["a", "b"]}
BOTH = Columns(series=["x", "y"], label="label")
NAN = float("nan")


def items_of(table: Any, columns: Columns = BOTH, **how: Any) -> list[Any]:
    return [np.asarray(each.item).tolist() for each in examples(from_memory(table), columns, **how)]


def test_each_column_is_a_channel() -> None:
    np.testing.assert_equal(items_of(TABLE), [[[1, 5.5], [2, NAN], [3, 7]], [[4, 8]]])
    read = list(examples(from_memory(TABLE), BOTH))
    assert [(each.label, each.line) for each in read] == [("a", 1), ("b", 2)]


def test_files_hold_them_as_lists_or_as_text(tmp_path: Path) -> None:
    rows = [dict(zip(TABLE, each, strict=True)) for each in zip(*TABLE.values(), strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "a.csv").write_text("x,y,label\n1 2 3,5.5 NA 7,a\n4,8,b\n", encoding="utf-8")
    expected = items_of(TABLE)
    for name in ("a.jsonl", "a.csv"):
        read = examples(open_source(tmp_path / name), BOTH)
        np.testing.assert_equal([each.item.tolist() for each in read], expected)


def test_numbers_are_steps_of_one_sequence_still() -> None:
    table = {"x": [1, 2, 3], "y": [4, 5, 6], "label": ["a"] * 3}
    assert items_of(table) == [[[1, 4], [2, 5], [3, 6]]]
    assert items_of({name: [] for name in table}) == []


def test_a_missing_cell_is_a_missing_channel_and_a_row_without_any_is_empty() -> None:
    table = {"x": [[1, 2], None], "y": [None, None], "label": ["a", "b"]}
    np.testing.assert_equal(items_of(table, empty="keep"), [[[1, NAN], [2, NAN]], []])
    with pytest.raises(DataError, match=r"row 2: x: got nothing; expected one step or more"):
        items_of(table)


def test_labels_of_steps() -> None:
    table = {"x": [[1, 2], [3]], "y": [[4, 5], [6]], "tag": [["u", "v"], ["u"]]}
    columns = Columns(series=["x", "y"], label="tag")
    read = list(examples(from_memory(table), columns, label_type="tags"))
    assert [(each.item.tolist(), each.label) for each in read] == [([[1, 4], [2, 5]], ["u", "v"]), ([[3, 6]], ["u"])]
    table["tag"][0] = ["u"]
    with pytest.raises(DataError, match=r"x, y and tag: got 2 steps and 1 label; expected one label a step"):
        list(examples(from_memory(table), columns, label_type="tags"))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ([1, 2], r"y: got 2 steps; expected 3, as in x of this row"),
        ([[1, 2]] * 3, r"y: got 2 numbers a step; expected one, as each column is a channel"),
        (5, r"y: got 5; expected a list of numbers"),
        ([1, "a", 2], r"y, step 2: got 'a'; expected a number"),
    ],
)
def test_columns_that_do_not_fit_are_named(cell: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        items_of({**TABLE, "y": [cell, [8]]})
