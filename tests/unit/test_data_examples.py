"""Rows become examples: text, symbols, whole series, wide tables and long tables, each error with its line."""

import datetime
import json
from pathlib import Path

import numpy as np
import pytest

from rekur.data import Columns, examples, from_memory, open_source
from rekur.errors import DataError, DataWarning, InputError


def csv(folder: Path, text: str):
    path = folder / "a.csv"
    path.write_text(text, encoding="utf-8")
    return open_source(path)


def jsonl(folder: Path, *rows):
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_source(path)


def read(source, options=None, **columns):
    return list(examples(source, Columns(**columns), **(options or {})))


def refused(source, options=None, **columns) -> str:
    with pytest.raises(InputError) as caught:
        read(source, options, **columns)
    name = str(Path(source.name).parent)
    return str(caught.value).replace(f"{name}/", "")


def test_text_with_a_label_and_an_id(tmp_path):
    source = csv(tmp_path, 'who,text,label\nx1,good one, ham\n,"two\nlines",spam\n')
    first, second = read(source, text="text", label="label", id="who")
    assert (first.item, first.label, first.line, first.id) == ("good one", "ham", 2, "x1")
    assert (second.item, second.label, second.line, second.id) == ("two\nlines", "spam", 3, None)
    assert [e.label for e in read(source, text="text")] == [None, None]


def test_symbols_as_letters_codes_and_lists(tmp_path):
    source = jsonl(tmp_path, {"s": "ACGT"}, {"s": "E1 E2"}, {"s": [7, "x y", 2.0]})
    assert [e.item for e in read(source, symbols="s")] == ["ACGT", "E1 E2", ["7", "x y", "2"]]


def test_series_in_one_column(tmp_path):
    source = jsonl(tmp_path, {"x": [[1, 2], [3, None]]}, {"x": [["4", "?"]]}, {"x": "[[5, 6]]"})
    found = [e.item for e in read(source, series="x")]
    for got, expected in zip(found, ([[1, 2], [3, np.nan]], [[4, np.nan]], [[5, 6]]), strict=True):
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, expected)
    assert [e.item.tolist() for e in read(jsonl(tmp_path, {"x": [1, 2]}), series="x")] == [[[1.0], [2.0]]]


def test_series_in_a_cell_of_numbers(tmp_path):
    source = csv(tmp_path, 'x\n1 2.5  -3e1\n"4,NA"\n5;6\n')
    expected = [[1, 2.5, -30], [4, np.nan], [5, 6]]
    for example, numbers in zip(read(source, series="x"), expected, strict=True):
        np.testing.assert_array_equal(example.item, np.asarray(numbers)[:, None])


def test_wide_table_with_a_range_of_columns(tmp_path):
    source = csv(tmp_path, "id,t0,t1,t2,label\na,1,2,,x\nb,4,5,6,y\n")
    first, second = read(source, values=["t0..t2"], label="label", id="id")
    np.testing.assert_array_equal(first.item, [[1], [2], [np.nan]])
    assert (second.item.tolist(), second.label, second.id) == ([[4.0], [5.0], [6.0]], "y", "b")


LONG = """who,when,x,y,code,label
b,2024-01-02,3,30,E3,no
a,2024-01-01 10:00:00,5,50,A5,yes
b,2024-01-01,1,10,E1,no
b,2024-01-01T12:00:00Z,2,NA,E2,no
a,2024-01-01 10:00:00,6,60,A6,yes
"""


@pytest.mark.parametrize("row_limit", [0, 2, 1000])
def test_long_table(tmp_path, row_limit):
    source = csv(tmp_path, LONG)
    options = {"row_limit": row_limit}
    with pytest.warns(DataWarning) as told:
        b, a = read(source, options, series=["x", "y"], group="who", time="when", label="label")
    assert [str(one.message).rpartition("/")[2] for one in told] == [
        "a.csv: 1 row has the time of a row before in the same sequence, first in line 6; "
        "equal times keep the order of the file."
    ]
    np.testing.assert_array_equal(b.item, [[1, 10], [2, np.nan], [3, 30]])
    np.testing.assert_array_equal(a.item, [[5, 50], [6, 60]])
    assert [(e.id, e.line, e.label) for e in (b, a)] == [("b", 2, "no"), ("a", 3, "yes")]
    with pytest.warns(DataWarning):
        codes = read(source, options, symbols="code", group="who", time="when")
    assert [e.item for e in codes] == [["E1", "E2", "E3"], ["A5", "A6"]]
    texts = read(source, options, text="code", group="who")
    assert [e.item for e in texts] == ["E3 E1 E2", "A5 A6"]


def test_long_table_without_groups_is_one_sequence(tmp_path):
    [whole] = read(csv(tmp_path, "t,x\n10,3\n9,2\n8.5,1\n"), series="x", time="t")
    assert (whole.item.tolist(), whole.id, whole.line) == ([[1.0], [2.0], [3.0]], None, 2)
    [whole] = read(csv(tmp_path, "t,x\n10,3\n9,2\n"), series=["x", "t"])
    assert whole.item.tolist() == [[3.0, 10.0], [2.0, 9.0]]


def test_times_of_other_types():
    day = datetime.date(2024, 1, 1)
    table = {"t": [datetime.datetime(2024, 1, 1, 6), day, np.datetime64("2024-01-01T03")], "x": [3, 1, 2]}
    assert read(from_memory(table), series="x", time="t")[0].item.ravel().tolist() == [1, 2, 3]


def test_labels_of_each_type(tmp_path):
    source = jsonl(tmp_path, {"t": "a", "k": ["b", "a", "b"], "s": "x|y", "n": "1.5", "m": [1, 2], "i": 5})
    for type_, column, expected in (
        ("class", "i", "5"),
        ("classes", "k", ("a", "b")),
        ("number", "n", 1.5),
        ("number", "m", (1.0, 2.0)),
        ("number", ["n", "i"], (1.5, 5.0)),
    ):
        assert read(source, {"label_type": type_}, text="t", label=column)[0].label == expected
    options = {"label_type": "classes", "label_separator": "|"}
    assert read(source, options, text="t", label="s")[0].label == ("x", "y")


def test_empty_items_and_labels_are_kept_when_told(tmp_path):
    source = csv(tmp_path, "text,label\n,ham\nhi,\n")
    found = read(source, {"empty": "keep"}, text="text", label="label")
    assert [(e.item, e.label) for e in found] == [("", "ham"), ("hi", None)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"text": "txt"},
            "a.csv: text column: got 'txt'; expected one of the columns 'who', 'when', 'x', 'y', 'code', 'label'.",
        ),
        (
            {"text": "code", "label": "lable"},
            "a.csv: label column: got 'lable'; expected one of the columns 'who', 'when', 'x', 'y', 'code', 'label'. "
            "Did you mean 'label'?",
        ),
        (
            {"series": ["x..z"]},
            "a.csv: series column: got 'z'; expected one of the columns 'who', 'when', 'x', 'y', 'code', 'label'.",
        ),
        (
            {"series": ["x"], "group": "name"},
            "a.csv: group column: got 'name'; expected one of the columns 'who', 'when', 'x', 'y', 'code', 'label'.",
        ),
        ({"text": "code", "label": ["x", "y"]}, "label columns: got 2; expected 1, unless labels are numbers."),
        ({}, "item columns: got none; expected one of text, symbols, series and values."),
        (
            {"text": "code", "series": "x"},
            "item columns: got text and series; expected one of text, symbols, series and values.",
        ),
        (
            {"values": ["x"], "time": "when"},
            "values: got them with group or time; expected a table with one row an item. "
            "Name the channels with series.",
        ),
    ],
)
def test_columns_that_cannot_be(tmp_path, columns, expected):
    assert refused(csv(tmp_path, LONG), **columns) == expected


@pytest.mark.parametrize(
    ("columns", "named", "role"),
    [
        ({"text": "who", "label": "who"}, "who", "text"),
        ({"values": ["x..label"], "label": "label"}, "label", "values"),
        ({"series": ["x", "t"], "label": ["x", "y"], "group": "who"}, "x", "series"),
    ],
)
def test_a_label_is_not_read_as_an_item(tmp_path, columns, named, role):
    expected = f"label column: got '{named}'; expected one that items are not read from. Take it out of {role}, "
    table = csv(tmp_path, "who,x,y,t,label\na,1,2,3,4\n")
    assert refused(table, {"label_type": "number"}, **columns) == f"a.csv: {expected}or name another."


def test_columns_are_checked_before_any_row(tmp_path):
    with pytest.raises(DataError):
        examples(csv(tmp_path, LONG), Columns(text="txt"))


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        (
            "text,label\nhi,1\n  ,2\n",
            {"text": "text"},
            "a.csv, line 3: text: got nothing; expected one step or more. Take the row out, or fill it.",
        ),
        (
            "text,label\nhi,1\nho,\n",
            {"text": "text", "label": "label"},
            "a.csv, line 3: label: got nothing; expected a label in every row.",
        ),
        ("x\n1 2\n1 two\n", {"series": "x"}, "a.csv, line 3: x, step 2: got 'two'; expected a number."),
        ("x\n1 2\n1 inf\n", {"series": "x"}, "a.csv, line 3: x, step 2, channel 1: got inf; expected a finite number."),
        (
            "t,x,y\n1,2,3\n2,,\n3,-inf,4\n",
            {"series": ["x", "y"]},
            "a.csv, line 4: x: got '-inf'; expected a finite number.",
        ),
        ("t,x,y\n1,2,3\n2,1_000,\n", {"series": ["x", "y"]}, "a.csv, line 3: x: got '1_000'; expected a number."),
        ("t0,t1\n1,2\n3,x\n", {"values": ["t0", "t1"]}, "a.csv, line 3: t1: got 'x'; expected a number."),
        (
            "who,x\na,1\n,2\n",
            {"series": "x", "group": "who"},
            "a.csv, line 3: group: got nothing; expected the name of a sequence in every row. Write it in each row.",
        ),
        (
            "who,e\na,E1\na,\n",
            {"symbols": "e", "group": "who"},
            "a.csv, line 3: e: got nothing; expected an event in every row.",
        ),
        (
            "who,x,label\na,1,yes\nb,1,no\na,2,no\n",
            {"series": "x", "group": "who", "label": "label"},
            "a.csv, line 4: label: got 'no'; expected 'yes', as in line 2 of group 'a'. "
            "All rows of a sequence have one label. Does each row have its own? Train with: rekur fit tag; "
            "describe with: rekur data --label-type tags.",
        ),
        (
            "t,x\n1,1\n,2\n",
            {"series": "x", "time": "t"},
            "a.csv, line 3: time: got nothing; expected a number or a date such as '2024-01-31 12:00:00'.",
        ),
        (
            "t,x\n2024-01-01,1\n31.01.2024,2\n",
            {"series": "x", "time": "t"},
            "a.csv, line 3: time: got '31.01.2024'; expected a number or a date such as '2024-01-31 12:00:00'.",
        ),
        (
            "t,x\n2024-01-01,1\n5,2\n",
            {"series": "x", "time": "t"},
            "a.csv, line 3: time: got a number; expected a date, as above.",
        ),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, text, columns, expected):
    assert refused(csv(tmp_path, text), **columns) == expected


@pytest.mark.parametrize(
    ("rows", "options", "columns", "expected"),
    [
        (
            [{"x": [[1, 2], [3]]}],
            {},
            {"series": "x"},
            "a.jsonl, line 1: x, step 2: channels: got 1; expected 2, as in step 1.",
        ),
        (
            [{"x": [[1, 2]]}, {"x": [[1, 2, 3]]}],
            {},
            {"series": "x"},
            "a.jsonl, line 2: channels: got 3; expected 2, as in line 1.",
        ),
        (
            [{"x": [[1, 2], [3, "x"]]}],
            {},
            {"series": "x"},
            "a.jsonl, line 1: x, step 2, channel 2: got 'x'; expected a number.",
        ),
        (
            [{"x": [[[1]]]}],
            {},
            {"series": "x"},
            "a.jsonl, line 1: x: got 3 axes; expected 1 or 2: steps, or steps × channels.",
        ),
        (
            [{"x": 3}],
            {},
            {"series": "x"},
            "a.jsonl, line 1: x: got 3; expected a list of numbers, or of steps with one number a channel.",
        ),
        (
            [{"x": []}],
            {},
            {"series": "x"},
            "a.jsonl, line 1: x: got nothing; expected one step or more. Take the row out, or fill it.",
        ),
        ([{"x": 3}], {}, {"text": "x"}, "a.jsonl, line 1: x: got 3; expected text."),
        (
            [{"x": {"a": 1}}],
            {},
            {"symbols": "x"},
            "a.jsonl, line 1: x: got {'a': 1}; expected text or a list of codes.",
        ),
        (
            [{"x": "a", "y": ["b", "c"]}],
            {},
            {"text": "x", "label": "y"},
            "a.jsonl, line 1: y: got ['b', 'c']; expected one class. "
            "For several classes an item, add --multi-label (multi_label=True).",
        ),
        (
            [{"x": "a", "y": "4 stars"}],
            {"label_type": "number"},
            {"text": "x", "label": "y"},
            "a.jsonl, line 1: y: got '4 stars'; expected a number.",
        ),
        (
            [{"x": "a", "y": "NaN"}],
            {"label_type": "number"},
            {"text": "x", "label": "y"},
            "a.jsonl, line 1: y: got 'NaN', which stands for a missing value; expected a label in every row. "
            "Fill it, take the row out, or give the class another name if it is one.",
        ),
        (
            [{"x": "a", "y": float("inf")}],
            {"label_type": "number"},
            {"text": "x", "label": "y"},
            "a.jsonl, line 1: y: got inf; expected a finite number.",
        ),
        (
            [{"x": "a", "y": None}],
            {"label_type": "number"},
            {"text": "x", "label": "y"},
            "a.jsonl, line 1: y: got nothing; expected a label in every row.",
        ),
        (
            [{"x": "a", "y": 5}],
            {"label_type": "classes"},
            {"text": "x", "label": "y"},
            "a.jsonl, line 1: y: got 5; expected a list of classes.",
        ),
        (
            [{"x": "a", "y": "b"}],
            {"label_type": "clases"},
            {"text": "x", "label": "y"},
            "label_type: got 'clases'; expected one of 'class', 'classes', 'number', 'tags'. Did you mean 'classes'?",
        ),
        (
            [{"x": "a", "y": "b"}],
            {"label_separator": ","},
            {"text": "x", "label": "y"},
            "label separator: got ','; expected none for labels of type class. "
            "Several classes an item need --multi-label (multi_label=True).",
        ),
    ],
)
def test_json_rows_that_cannot_be_used(tmp_path, rows, options, columns, expected):
    assert refused(jsonl(tmp_path, *rows), options, **columns) == expected


def test_real_vowels_and_rooms(real_data):
    vowels = real_data / "japanese_vowels" / "JapaneseVowels_TRAIN.ts"
    rooms = real_data / "indoor_movement" / "valid.jsonl"
    found = read(open_source(vowels), series="series", label="label")
    lengths = [len(e.item) for e in found]
    assert (len(found), min(lengths), found[0].item.shape[1], {e.label for e in found}) == (
        270,
        7,
        12,
        set("123456789"),
    )
    found = read(open_source(rooms), series="x", label="label", id="id")
    assert len(found) == 32
    assert {e.label for e in found} == {"1", "-1"}
    assert {e.item.shape[1] for e in found} == {4}


def test_real_weather_as_a_long_table(real_data):
    path = real_data / "beijing_pm25" / "pollution.csv"
    options = {"row_limit": 30_000}
    found = read(open_source(path), options, series=["pm2.5", "TEMP"], group="year", time="No")
    assert [(e.id, len(e.item)) for e in found] == [
        ("2010", 8760),
        ("2011", 8760),
        ("2012", 8784),
        ("2013", 8760),
        ("2014", 8760),
    ]
    assert sum(int(np.isnan(e.item[:, 0]).sum()) for e in found) == 2067


def test_ids_that_come_again_are_told_once(tmp_path):
    (tmp_path / "a.fa").write_text(">s1\nAC\n>s2\nAC\n>s1\nAG\n>s2\nAA\n")
    (tmp_path / "a.csv").write_text("i,t\n1,a\n2,b\n1,c\n2,d\n")
    cases = (("a.fa", Columns(symbols="sequence"), 5, 1), ("a.csv", Columns(text="t", id="i"), 4, 2))
    for name, columns, line, first in cases:
        with pytest.warns(DataWarning) as warned:
            assert len(list(examples(open_source(tmp_path / name), columns))) == 4
        column, value = ("id", "s1") if name == "a.fa" else ("i", "1")
        assert [str(one.message) for one in warned] == [
            f"{tmp_path}/{name}, line {line}: {column}: got '{value}' again, as in line {first}; "
            "expected another for each."
        ]
    as_label = Columns(symbols="sequence", label="id")
    assert [one.label for one in examples(open_source(tmp_path / "a.fa"), as_label)] == ["s1", "s2", "s1", "s2"]


def test_times_in_json_keep_all_their_digits(tmp_path):
    rows = ((300, "3.5"), (200, "null"), (100, "1"))
    text = "".join(f'{{"g": "a", "t": 1700000000.000000{digits}, "v": {value}}}\n' for digits, value in rows)
    (tmp_path / "a.jsonl").write_text(text)
    (found,) = examples(open_source(tmp_path / "a.jsonl"), Columns(series=["v"], group="g", time="t"))
    np.testing.assert_array_equal(found.item.ravel(), [1, np.nan, 3.5])
