"""Things in memory read like files."""

import numpy as np
import pytest

from rekur._values import AS_TEXT
from rekur.data import Columns, as_sequences, examples, from_memory, open_source
from rekur.errors import DataError, InputError, ShapeError

TABLE = {"text": ["good", None, "bad"], "stars": [5, 4, 1]}
ROWS = [{"text": "good", "stars": 5}, {"text": None, "stars": 4}, {"text": "bad", "stars": 1}]


def pandas_frame():
    return pytest.importorskip("pandas").DataFrame(TABLE)


def polars_frame():
    return pytest.importorskip("polars").DataFrame(TABLE)


def arrow_table():
    return pytest.importorskip("pyarrow").table(TABLE)


def hugging_face():
    return pytest.importorskip("datasets").Dataset.from_dict(TABLE)


def hugging_face_stream():
    return pytest.importorskip("datasets").Dataset.from_dict(TABLE).to_iterable_dataset()


@pytest.mark.parametrize(
    "make", [lambda: TABLE, lambda: ROWS, pandas_frame, polars_frame, arrow_table, hugging_face, hugging_face_stream]
)
def test_tables_give_the_same_rows(make):
    source = from_memory(make())
    assert source.columns == ["text", "stars"]
    for _ in range(2):
        assert [dict(row) for row in source.rows()] == ROWS
        assert [row.line for row in source.rows()] == [1, 2, 3]


def test_missing_values_of_data_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1.5, np.nan], "s": pandas.array(["a", pandas.NA]), "t": [pandas.NaT, pandas.NaT]})
    assert [dict(row) for row in from_memory(frame).rows()] == [
        {"x": 1.5, "s": "a", "t": None},
        {"x": None, "s": None, "t": None},
    ]


def test_a_pyarrow_table_reads_as_its_parquet_file(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table(
        {
            "cell": ["1 2", "[3, null]"],
            "texts": [["1", "2"], ["3"]],
            "rows": [[[1.0, 2.0]], [[3.0, 4.0]]],
            "time": arrow.array([300, 100], arrow.timestamp("ns")),
            "label": ["a ", "b"],
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    sources = from_memory(table), open_source(tmp_path / "a.parquet")
    for columns in (
        Columns(series="cell", label="label"),
        Columns(series="texts", label="label"),
        Columns(series="rows", label="label"),
        Columns(symbols="texts", label="label"),
        Columns(text="cell", time="time"),
    ):
        first, second = ([(shown(e.item), e.label, e.id) for e in examples(s, columns)] for s in sources)
        assert first == second
    missing = from_memory(arrow.table({"text": ["a", "b"], "label": ["N/A", "x"]}))
    with pytest.raises(DataError, match="row 1: label: got 'N/A', which stands for a missing value"):
        list(examples(missing, Columns(text="text", label="label")))
    ragged = from_memory(arrow.table({"x": [[[1.0, 2.0], [3.0]]]}))
    with pytest.raises(DataError, match="step 2: channels: got 1; expected 2"):
        list(examples(ragged, Columns(series="x")))


def shown(item):
    return str(item.tolist()) if isinstance(item, np.ndarray) else item


def test_nested_lists_of_a_hugging_face_data_set():
    data = pytest.importorskip("datasets").Dataset.from_dict({"x": [[[1.0, 2.0]], [[3.0, 4.0]]]})
    found = [e.item.tolist() for e in examples(from_memory(data), Columns(series="x"))]
    assert found == [[[1.0, 2.0]], [[3.0, 4.0]]]


def test_times_of_a_data_frame_order_a_long_table():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"t": pandas.to_datetime(["2024-01-02", "2024-01-01"]), "x": [2.0, 1.0]})
    [whole] = examples(from_memory(frame), Columns(series="x", time="t"))
    assert whole.item.ravel().tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "items",
    [
        np.arange(12.0).reshape(2, 3, 2),
        list(np.arange(12.0).reshape(2, 3, 2)),
        np.arange(12.0).reshape(2, 3, 2).tolist(),
    ],
)
def test_items_with_labels(items):
    source = from_memory(items, np.array([0, 1]))
    found = list(examples(source, Columns(series="item", label="label")))
    assert [e.label for e in found] == ["0", "1"]
    np.testing.assert_array_equal([e.item for e in found], np.arange(12.0).reshape(2, 3, 2))


def test_object_arrays_of_differing_length():
    items = np.empty(2, dtype=object)
    items[:] = [np.ones((2, 3)), np.ones((5, 3))]
    assert [e.item.shape for e in examples(from_memory(items), Columns(series="item"))] == [(2, 3), (5, 3)]
    assert [x.shape for x in as_sequences(items)] == [(2, 3), (5, 3)]


def test_errors_name_the_row():
    with pytest.raises(DataError) as caught:
        list(examples(from_memory(ROWS), Columns(text="text")))
    assert (
        str(caught.value) == "data, row 2: text: got nothing; expected one step or more. Take the row out, or fill it."
    )
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("data", "labels", "expected"),
    [
        (
            (x for x in "ab"),
            None,
            "data: got 'generator'; expected a list of items, a list of dicts, a dict of columns, an array "
            "(N, T) or (N, T, D), a pandas or polars DataFrame, a pyarrow Table, or a datasets.Dataset. "
            "Put it into a list.",
        ),
        (
            "good",
            None,
            "data: got 'str'; expected a list of items, a list of dicts, a dict of columns, an array "
            "(N, T) or (N, T, D), a pandas or polars DataFrame, a pyarrow Table, or a datasets.Dataset. "
            "Put it into a list.",
        ),
        (
            np.ones(4),
            None,
            "data: got an array of shape (4,); expected (N, T) or (N, T, D). For one series alone, give [x].",
        ),
        (["a", "b"], [1], "labels: got 1; expected 2, one for each item."),
        (TABLE, [1], "labels: got some next to a table; expected None. Name the table's own column of labels."),
        ({"a": [1], "b": [1, 2]}, None, "data: got columns of lengths {'a': 1, 'b': 2}; expected one length."),
    ],
)
def test_data_that_cannot_be_used(data, labels, expected):
    with pytest.raises(InputError) as caught:
        from_memory(data, labels)
    assert str(caught.value) == expected


def test_rows_of_several_types():
    with pytest.raises(InputError) as caught:
        list(from_memory([{"a": 1}, 3]).rows())
    assert str(caught.value) == "data, row 2: got 'int'; expected a dict, as in row 1."


def test_sequences_of_each_kind():
    assert as_sequences(["a", "b"]) == ["a", "b"]
    assert as_sequences([["a", "b"], []]) == [["a", "b"], []]
    assert as_sequences(["a b"], kind="symbols") == ["a b"]
    assert [x.tolist() for x in as_sequences([[1, None], [2]])][1] == [[2.0]]
    assert [x.shape for x in as_sequences(np.ones((2, 3, 4), np.float32))] == [(3, 4), (3, 4)]


@pytest.mark.parametrize(
    ("items", "kind", "error", "expected"),
    [
        (["a", 3], None, InputError, "X[1]: got 3; expected text."),
        ([[1, 2], [3, "x"]], None, InputError, "X[1], step 2: got 'x'; expected a number."),
        ([[1, 2], [float("inf")]], None, InputError, "X[1], step 1, channel 1: got inf; expected a finite number."),
        ([np.ones((2, 3)), np.ones((2, 4))], None, ShapeError, "X[1]: channels: got 4; expected 3, as above."),
        (
            np.ones((2, 3, 4, 5)),
            None,
            ShapeError,
            "X: got an array of shape (2, 3, 4, 5); expected (N, T) or (N, T, D).",
        ),
        ("good", None, InputError, "X: got 'str'; expected a list of sequences. Put it into a list."),
        ([], None, InputError, "X: got 0 sequences; expected 1 or more."),
        ([b"good"], None, InputError, "X[0]: got b'good'; expected text. " + AS_TEXT),
        (np.array([b"good"]), None, InputError, "X[0]: got b'good'; expected text. " + AS_TEXT),
        ([{"a"}], "symbols", InputError, "X[0]: got {'a'}; expected text or a list of codes."),
    ],
)
def test_sequences_that_cannot_be_used(items, kind, error, expected):
    with pytest.raises(error) as caught:
        as_sequences(items, kind)
    assert str(caught.value) == expected


def test_lists_of_words():
    assert as_sequences([("Ada", "left"), np.array(["NA"]), []], "words") == [["Ada", "left"], ["NA"], []]
    assert as_sequences(["a b", ["c"]], "words") == ["a b", ["c"]]  # a text is cut into words later
    for item, got in ((["a", 5], "X[0], word 2: got 5"), ([""], "X[0], word 1: got ''")):
        with pytest.raises(InputError) as caught:
            as_sequences([item], "words")
        assert str(caught.value).startswith(f"{got}; expected ")
