"""Long tables with a label in each row: what is read, and what is refused with its line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur.data import Columns, Corpus, examples, from_memory, open_source, read_labels
from rekur.errors import InputError

WORDS = Columns(text="word", label="tag", group="s", time="at")
#: sentence b stands in two places, and its rows are not in order
ROWS = [("b", 2, "NA", "B-org"), ("a", 1, "null", "O"), ("b", 1, "None", "null"), ("a", 2, "nan", "NA")]
READ = [(["None", "NA"], ["null", "B-org"], 4, "b", [4, 2]), (["null", "nan"], ["O", "NA"], 3, "a", [3, 5])]


def read(source: Any, columns: Columns = WORDS, **options: Any) -> list[Any]:
    found = examples(source, columns, label_type="tags", **options)
    return [(each.item, each.label, each.line, each.id, each.lines.tolist()) for each in found]


def written(folder: Path, text: str, name: str = "a.csv") -> Any:
    (folder / name).write_text(text, encoding="utf-8")
    return open_source(folder / name)


def frame() -> dict[str, list[Any]]:
    columns = zip(*ROWS, strict=True)
    return {name: list(values) for name, values in zip(("s", "at", "word", "tag"), columns, strict=True)}


def by_row(items: list[Any]) -> list[Any]:
    """Return items of a file as rows in memory number them: they have no header."""
    return [(*item[:2], item[2] - 1, item[3], [line - 1 for line in item[4]]) for item in items]


@pytest.mark.parametrize("row_limit", [1, 100])
def test_words_are_joined_by_group_and_ordered_by_time(tmp_path: Path, row_limit: int) -> None:
    lines = "".join(",".join(map(str, row)) + "\n" for row in ROWS)
    assert read(written(tmp_path, "s,at,word,tag\n" + lines), row_limit=row_limit) == READ
    tabs = written(tmp_path, ("s,at,word,tag\n" + lines).replace(",", "\t"), "a.tsv")
    assert read(tabs, row_limit=row_limit) == READ


def test_a_file_and_frames_give_one_answer(tmp_path: Path) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    assert read(from_memory(frame())) == by_row(READ)
    assert read(from_memory(pandas.DataFrame(frame()))) == by_row(READ)
    assert read(from_memory(polars.DataFrame(frame()))) == by_row(READ)
    pandas.DataFrame(frame()).to_parquet(tmp_path / "a.parquet")
    assert read(open_source(tmp_path / "a.parquet")) == by_row(READ)


def test_without_a_time_the_order_of_the_file_holds(tmp_path: Path) -> None:
    source = written(tmp_path, "s,word,tag\na,x,O\nb,y,O\na,z,P\n")
    columns = Columns(text="word", label="tag", group="s")
    assert read(source, columns) == [(["x", "z"], ["O", "P"], 2, "a", [2, 4]), (["y"], ["O"], 3, "b", [3])]
    unlabelled = Columns(text="word", group="s")
    assert [item[1] for item in read(source, unlabelled)] == [None, None]


def test_rows_of_numbers_keep_missing_values(tmp_path: Path) -> None:
    source = written(tmp_path, "who,x,y,act\na,1,2,walk\na,NA,4,sit\nb,5,,walk\n")
    (a, b) = examples(source, Columns(series=["x", "y"], label="act", group="who"), label_type="tags")
    np.testing.assert_array_equal(a.item, [[1, 2], [np.nan, 4]])
    np.testing.assert_array_equal(b.item, [[5, np.nan]])
    assert (a.label, b.label, a.id, b.id) == (["walk", "sit"], ["walk"], "a", "b")
    (whole,) = examples(source, Columns(series=["x", "y"], label="act"), label_type="tags")
    assert (len(whole.item), whole.id) == (3, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "s,at,word,tag\na,1,x,O\n,2,y,O\n",
            "line 3: group: got nothing; expected the name of a sequence in every row. Write it in each row.",
        ),
        (
            "s,at,word,tag\na,1,x,O\na,2,,O\n",
            "line 3: word: got nothing; expected a word in every row. Fill it, or take the row out.",
        ),
        (
            "s,at,word,tag\na,1,x,O\na,2,y,\n",
            "line 3: tag: got nothing; expected a label in every row. Fill it, or take the row out.",
        ),
        ("s,at,word,tag\na,1,x,O\na,,y,O\n", "line 3: time: got nothing; expected a number or a date"),
        ("s,at,word,tag\na,1,x,O\na,2,y\n", "line 3: fields: got 3; expected 4, as in the header."),
        ("s,when,word,tag\na,1,x,O\n", "time column: got 'at'; expected one of the columns"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(written(tmp_path, text))
    assert message in str(caught.value)


def test_words_that_pandas_took_for_missing_are_explained() -> None:
    table = frame() | {"word": ["x", None, "y", "z"]}
    with pytest.raises(InputError) as caught:
        read(from_memory(table))
    assert str(caught.value) == (
        "data, row 2: word: got nothing; expected a word in every row. "
        "Were words such as NA read as missing? pandas keeps them with keep_default_na=False."
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"symbols": "word", "label": "tag"}, "item columns: got symbols; expected a column of words, or columns"),
        ({"text": "word", "label": "word"}, "label column: got 'word'; expected one that items are not read from"),
        ({"text": "word", "label": ["tag", "at"]}, "label columns: got 2; expected 1."),
        ({"text": "word", "label": "tags"}, "label column: got 'tags'; expected one of the columns"),
    ],
)
def test_columns_are_checked_before_a_row_is_read(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        examples(from_memory(frame()), Columns(group="s", **columns), label_type="tags")
    assert message in str(caught.value)


def test_an_id_names_a_sequence(tmp_path: Path) -> None:
    text = "s,name,word,tag\na,first,x,O\nb,,y,O\na,later,z,P\n"
    columns = Columns(text="word", label="tag", group="s", id="name")
    assert [item[3] for item in read(written(tmp_path, text), columns)] == ["first", "b"]
    with pytest.raises(InputError, match="id column: got 'nobody'"):
        read(written(tmp_path, text), Columns(text="word", label="tag", group="s", id="nobody"))


def test_a_folder_of_tables_has_a_group_a_file(tmp_path: Path) -> None:
    for name, text in (("b.tsv", "t\tx\ty\n2\t3\tv\n1\t4\tu\n"), ("a.csv", "t,x,y\n1,1,u\n2,2,v\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    source = open_source(tmp_path, long=True)
    assert source.columns == ["file", "t", "x", "y"]
    columns = Columns(series=["x"], time="t", label="y")
    items = list(examples(source, columns, label_type="tags"))
    assert [(e.id, e.item.ravel().tolist(), e.label) for e in items] == [
        ("a.csv", [1, 2], ["u", "v"]),
        ("b.tsv", [4, 3], ["u", "v"]),
    ]
    assert [list(map(source.where, e.lines)) for e in items] == [
        ["line 2 of a.csv", "line 3 of a.csv"],
        ["line 3 of b.tsv", "line 2 of b.tsv"],
    ]
    whole = dataclasses.replace(columns, label=None)
    assert [e.id for e in examples(source, whole)] == ["a.csv", "b.tsv"]


@pytest.mark.parametrize("row_limit", [5, 1000])
def test_gaps_in_time_are_told(tmp_path: Path, row_limit: int) -> None:
    times = [*range(0, 200, 10), 260, *range(270, 400, 10), 450]
    rows = [f"a,{at},1,x" for at in times] + [f"b,{at},1,x" for at in (0, 1, 50, 51)]
    source = written(tmp_path, "s,at,v,act\n" + "\n".join(rows))
    told: list[str] = []
    columns = Columns(series=["v"], label="act", group="s", time="at")
    read(source, columns, row_limit=row_limit, tell=told.append)
    assert told == [
        f"{source.name}: 2 gaps in time, first before line 22: the longest 70, where 10 is usual; "
        "a row counts as a step, whatever the time between two."
    ]
    words = Columns(text="act", label="s", time="at", group="s")
    read(source, words, tell=told.append)
    assert len(told) == 1  # of words, time is their order alone


def test_gaps_in_dates_have_a_unit_and_irregular_times_have_no_gaps(tmp_path: Path) -> None:
    minutes = [f"2024-01-01T00:{minute:02}:00,1,x" for minute in (*range(20), 25)]
    columns, told = Columns(series=["v"], label="act", time="at"), list[str]()
    read(written(tmp_path, "at,v,act\n" + "\n".join(minutes)), columns, tell=told.append)
    assert "1 gap in time, before line 22: 6 min, where 1 min is usual;" in told[0]
    squares = [f"{step * step},1,x" for step in range(30)]
    read(written(tmp_path, "at,v,act\n" + "\n".join(squares)), columns, tell=told.append)
    assert len(told) == 1


def test_the_place_of_a_label_is_that_of_its_own_row(tmp_path: Path) -> None:
    rows = ["b,2,1,x", "a,1,1,y", "b,1,1,0.5", "a,2,1,y"]
    source = written(tmp_path, "s,at,v,act\n" + "\n".join(rows))
    columns = Columns(series=["v"], label="act", group="s", time="at")
    labels = read_labels(Corpus(lambda: examples(source, columns, label_type="tags"), source.name))
    assert labels.place_of.of_step(0, 0) == f"{source.name}, line 4"
    assert labels.place_of.of_step(1, 1) == f"{source.name}, line 5"
