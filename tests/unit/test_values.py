"""Single values, labels and channels: what each way in makes of them, and what is refused."""

from __future__ import annotations

import datetime
import json
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rekur
from rekur._channels import channel_order
from rekur._values import code_of, is_missing, is_missing_label, number_of, numbers_in
from rekur.data import Columns, Corpus, as_sequences, describe, examples, from_memory, open_source
from rekur.data.cells import numbers_in_text, time_of
from rekur.data.label_forms import alike_labels
from rekur.errors import BundleError, DataWarning, InputError
from rekur.features import SymbolFeatures, restore
from rekur.targets import LabelTarget

SMALL: dict[str, Any] = {"hidden_size": 3, "epochs": 1, "baseline": False, "seed": 0}
TEXTS = [f"{'good' if i % 2 else 'bad'} film {i}" for i in range(20)]
SERIES = [np.random.default_rng(i).normal(size=(5, 2)) for i in range(20)]
BEGIN = 1_700_000_000_000_000_000


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_missing_values() -> None:
    pandas, torch = pytest.importorskip("pandas"), pytest.importorskip("torch")
    gone = (None, np.nan, pandas.NA, pandas.NaT, Decimal("NaN"), Decimal("sNaN"), np.datetime64("NaT"), np.ma.masked)
    assert all(map(is_missing, (*gone, torch.tensor(np.nan), np.array(np.nan), " \u00a0")))
    assert not any(map(is_missing, (0, "NA", np.ma.array(1), [np.nan], np.array([np.nan]), False)))
    assert [is_missing_label(text) for text in ("NA", " n/a ", "Null", "none", "?", "no", "nano")] == [True] * 5 + [
        False
    ] * 2


def test_numbers_and_codes_of_any_type() -> None:
    torch = pytest.importorskip("torch")
    for value in (2, 2.0, "2", Decimal(2), np.float16(2), np.array(2), torch.tensor(2), np.uint64(2), "\u0662"):
        assert number_of(value) == 2.0
    values = (2, 2.0, Decimal("2.00"), np.uint64(2), np.array(2), torch.tensor(2), " 2 ")
    assert [code_of(value) for value in values] == ["2"] * 7
    assert [code_of(value) for value in (2**64 - 1, 0.1, Decimal("0.10"), np.True_, None)] == [
        *("18446744073709551615", "0.1", "0.1", "True", "")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1_0", "value: got '1_0'; expected a number."),
        ("1,5", "value: got '1,5'; expected a number. Write decimals with a point."),
        ("1\u00a0234", "value: got '1\u00a0234'; expected a number. Take out what separates thousands."),
        ("1'234'567.5", "value: got '1'234'567.5'; expected a number. Take out what separates thousands."),
        (1j, "value: got 1j; expected a number. Give the real and the imaginary part as two channels."),
        ("-inf", "value: got '-inf'; expected a finite number."),
        (datetime.date(2024, 1, 1), "value: got 2024-01-01; expected a number."),
        (
            np.timedelta64(3, "s"),
            "value: got 3 seconds; expected a number. Give a duration as a number, such as its seconds.",
        ),
    ],
)
def test_values_that_are_no_numbers(value: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        number_of(value)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (np.array([1 + 0j]), "complex128"),
        ([[1j]], "complex128"),
        (np.array(["2024"], "M8[D]"), "datetime64[D]"),
        ([np.timedelta64(1, "s")], "timedelta64[s]"),
        (np.zeros(2, [("a", float)]), "'a'"),
    ],
)
def test_arrays_that_are_no_numbers(value: Any, named: str) -> None:
    for read in (lambda: numbers_in(value, "x"), lambda: as_sequences([value], "series")):
        with pytest.raises(InputError, match="expected numbers") as caught:
            read()
        assert named in str(caught.value)


def test_tensors_and_matrices_that_numpy_cannot_read_are_refused() -> None:
    torch, scipy = pytest.importorskip("torch"), pytest.importorskip("scipy.sparse")
    sparse, meta = torch.eye(3).to_sparse(), torch.empty(3, 2, device="meta")
    with warnings.catch_warnings(action="ignore"):
        nested = torch.nested.nested_tensor([torch.zeros(2, 1), torch.zeros(1, 1)])
    for items, text in (
        ([sparse], "X[0]: got a sparse_coo tensor; expected a dense one. Use its to_dense()."),
        ([meta], "X[0]: got a meta tensor; expected a dense one."),
        (nested, "X: got a nested tensor; expected a dense one. Use its unbind()."),
        ([scipy.csr_matrix(np.eye(3))], "X[0]: got 'csr_matrix'; expected an array of numbers. Use its toarray()."),
    ):
        with pytest.raises(InputError) as caught:
            as_sequences(items, "series")
        assert str(caught.value) == text
    with pytest.raises(InputError, match="y: got a meta tensor"):
        rekur.Regressor(**SMALL).fit(TEXTS, torch.empty(20, device="meta"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 2.5  -3e1", [1, 2.5, -30]),
        ("1, 2, 3", [1, 2, 3]),
        ("1,,3", [1, None, 3]),
        (",2,", [None, 2, None]),
        ("1; ;3", [1, None, 3]),
        ("1\t\t3", [1, None, 3]),
        ("1,\u00a02", [1, 2]),
        ("NA ? null", [None, None, None]),
        ("1,5 2,5", "Write decimals with a point."),
        ("1.234,5;2", "one kind of separator between"),
        ("1 2\t3", "one kind of separator between"),
        ("1\u00a0000 2", "got '1\u00a0000'; expected a number. Take out what separates thousands."),
        ("1 2_0", "step 2: got '2_0'; expected a number."),
        ("1-2", "step 1: got '1-2'; expected a number."),
    ],
)
def test_numbers_in_a_cell(text: str, values: list[float | None] | str) -> None:
    if isinstance(values, str):
        with pytest.raises(InputError) as caught:
            numbers_in_text(text, "x")
        assert values in str(caught.value)
    else:
        np.testing.assert_array_equal(numbers_in_text(text, "x"), np.array(values, np.float64))


# ── times ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("1970-01-01T00:00:00.000000001", 1),
        ("1970-01-01 01:00:00,1234567+01:00", 123_456_700),
        ("19700101T000000.123456789Z", 123_456_789),
        ("1969-12-31 23:59:59.999999999", -1),
        ("1970-01-01T00:00:00.0000000001", Decimal("0.1")),
        (np.datetime64(7, "ns"), 7),
        (np.datetime64(1, "ps"), Decimal("0.001")),
        (np.datetime64("0001-01-01"), -62_135_596_800 * 10**9),
        (datetime.datetime(1970, 1, 1, 0, 0, 1), 10**9),
        (datetime.date(1970, 1, 2), 86_400 * 10**9),
    ],
)
def test_dates_to_the_nanosecond_and_beyond(value: Any, time: Any) -> None:
    assert time_of(value) == ("date", time)


def test_times_of_every_source_are_exact(tmp_path: Path) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    stamps = [BEGIN + 200, BEGIN + 100, BEGIN]
    frame = pandas.DataFrame({"t": pandas.to_datetime(stamps), "v": [3, 2, 1]})
    zoned = frame.assign(t=frame["t"].dt.tz_localize("Europe/Berlin"))
    for number, table in enumerate((frame, zoned, pandas.DataFrame({"t": stamps, "v": [3, 2, 1]}))):
        table.to_parquet(tmp_path / f"{number}.parquet")
    (tmp_path / "a.jsonl").write_text("".join(f'{{"t": 1700000000.12345678{k}, "v": {k}}}\n' for k in (3, 2, 1)))
    sources = [open_source(tmp_path / name) for name in ("0.parquet", "1.parquet", "2.parquet", "a.jsonl")]
    sources += [from_memory(table) for table in (frame, zoned, {"t": np.array(stamps, "M8[ns]"), "v": [3, 2, 1]})]
    sources.append(
        from_memory(polars.DataFrame({"t": polars.Series(stamps).cast(polars.Datetime("ns")), "v": [3, 2, 1]}))
    )
    for source in sources:
        [whole] = examples(source, Columns(series=["v"], time="t"))
        assert whole.item.ravel().tolist() == [1, 2, 3], source


def test_times_of_two_kinds_in_a_case_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.ts"
    file.write_text("@problemName p\n@timeStamps true\n@classLabel false\n@data\n(0,1),(2024-01-01,2)\n")
    with pytest.raises(InputError, match="expected numbers alone, or dates alone"):
        list(open_source(file))


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "labels",
    [
        [5, 2**64 - 1],
        [5, 2**63],
        [2**63 + 1, 2**63 + 2],
        [-1, 2**70],
        [False, True],
        [0.5, 1.0],
        ["a", "a\0"],
        ["01", "1"],
    ],
)
def test_classes_are_the_labels_as_given(labels: list[Any]) -> None:
    target = LabelTarget(labels, multi_label=False)
    assert target.classes.tolist() == labels
    assert list(map(type, target.classes.tolist())) == list(map(type, labels))
    assert target.values(np.eye(2, dtype=np.float32)).tolist() == labels
    assert list(target.answer(np.zeros(2, np.float32)).probabilities) == list(map(str, labels))
    saved = json.loads(json.dumps(target.to_dict()))
    assert LabelTarget.from_dict(saved).classes.tolist() == labels


def test_labels_of_any_container(tmp_path: Path) -> None:
    pandas, polars, torch = (pytest.importorskip(name) for name in ("pandas", "polars", "torch"))
    numbers = [2**63 + 1, 5] * 10
    for labels in (
        numbers,
        np.array(numbers, np.uint64),
        pandas.Series(numbers, dtype="UInt64"),
        polars.Series(numbers),
    ):
        assert rekur.Classifier(**SMALL).fit(TEXTS, labels).classes_.tolist() == [5, 2**63 + 1]
    for labels in (torch.tensor([1, 0] * 10), pandas.Categorical([1, 0] * 10), np.array([1, 0] * 10, np.int8)):
        assert rekur.Classifier(**SMALL).fit(TEXTS, labels).classes_.tolist() == [0, 1]


def missing_labels() -> list[Any]:
    pandas = pytest.importorskip("pandas")
    return [
        pandas.Series(["x", pandas.NA] * 10, dtype="string"),
        pandas.Series([1, pandas.NA] * 10, dtype="Int64"),
        pandas.Series([True, pandas.NA] * 10, dtype="boolean"),
        pandas.Series(["x", None] * 10, dtype="category"),
        np.ma.masked_array([1, 2] * 10, [False, True] * 10),
        ["x", "N/A"] * 10,
        [1.5, np.nan] * 10,
    ]


@pytest.mark.parametrize("number", range(7))
def test_missing_labels_are_refused_with_their_item(number: int) -> None:
    with pytest.raises(InputError, match=r"y\[1\]: label: got .*; expected a label for every item"):
        rekur.Classifier(**SMALL).fit(TEXTS, missing_labels()[number])
    numeric = ["1" if isinstance(value, str) and value == "x" else value for value in missing_labels()[number]]
    with pytest.raises(InputError, match=r"y\[1\]: label: got .*; expected a finite number"):
        rekur.Regressor(**SMALL).fit(TEXTS, numeric)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([True, 1, 0, False] * 5, "labels: got labels of the type bool and int"),
        ([Decimal("1.5"), Decimal(2)] * 10, "labels: got labels of the type Decimal"),
        (np.array(["2024", "2025"] * 10, "M8[ns]"), "labels: got labels of the type datetime64"),
        ("ab" * 10, "y: got 'str'; expected a list of labels"),
        ({"a": 1}, "y: got 'dict'; expected a list of labels"),
        ([b"a", b"b"] * 10, "labels: got labels of the type bytes"),
        (np.array([1, 2] * 10, "m8[s]"), "labels: got labels of the type timedelta64"),
    ],
)
def test_labels_that_are_none(labels: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        rekur.Classifier(**SMALL).fit(TEXTS, labels)
    assert str(caught.value).startswith(text)


def test_numbers_to_learn_that_are_none() -> None:
    for label in (10**400, 1j, "1_0", "x", [1.0]):
        with pytest.raises(InputError, match=r"y\[0\]: label: got .* expected a finite number for every item"):
            rekur.Regressor(**SMALL).fit(SERIES, [label] * 20)
    with pytest.raises(InputError, match=r"labels: got 1.9e\+301; expected numbers up to 1e\+300"):
        rekur.Regressor(**SMALL).fit(SERIES, [1e300 * i for i in range(20)])


def test_labels_that_look_alike_are_a_warning() -> None:
    assert alike_labels({"é": 1, "e\u0301": 2, "007": 3, "7": 4, "7a": 5, "A b": 6, "a  B ": 7}) == (
        "Labels that may be one class, and are learnt as several: 'é' (1) and 'e\u0301' (2); '007' (3) and '7' (4); "
        "'A b' (6) and 'a  B ' (7)."
    )
    assert "'True' (1) and '1' (2); 'a' (3) and 'a\u200b' (4)" in alike_labels(
        {"True": 1, "1": 2, "a": 3, "a\u200b": 4, "no": 5}
    )
    with pytest.warns(DataWarning, match=r"'a' \(10\) and 'a ' \(10\)"):
        assert rekur.Classifier(**SMALL).fit(TEXTS, ["a", "a "] * 10).classes_.tolist() == ["a", "a "]


def test_an_unknown_label_is_named_with_its_item_and_the_nearest() -> None:
    model = rekur.Classifier(**SMALL).fit(TEXTS, [1, 0] * 10)
    with pytest.raises(InputError) as caught:
        model.evaluate(TEXTS[:2], [1, "1"])
    assert str(caught.value) == (
        "y[1]: label: got '1'; expected one of the labels seen in training, 0, 1. "
        "It is of the type str; the labels are of the type int."
    )


def test_values_in_messages_stay_on_one_line() -> None:
    for value, shown in (
        ("a\nb\r\x1b[2Jc\u2028d", r"'a\\nb\\r\\x1b\[2Jc\\u2028d'"),
        (np.zeros((2, 2)), r"\[\[0. 0.\] \[0. 0.\]\]"),
    ):
        with pytest.raises(InputError, match=f"label: got {shown}; expected") as caught:
            rekur.Regressor(**SMALL).fit(TEXTS, [value] * 20)
        assert len(str(caught.value).splitlines()) == 1


def test_scores_read_labels_as_fit_does() -> None:
    torch, pandas = pytest.importorskip("torch"), pytest.importorskip("pandas")
    y = [1, 0] * 10
    classifier, regressor = rekur.Classifier(**SMALL).fit(TEXTS, y), rekur.Regressor(**SMALL).fit(TEXTS, y)
    for model in (classifier, regressor):
        expected = model.score(TEXTS, y)
        for labels in (np.array(y), torch.tensor(y, requires_grad=False), pandas.Series(y, dtype="Int64"), iter(y)):
            assert model.score(TEXTS, labels) == expected
        for labels, text in (
            (y[:-1], "y: got 19 labels; expected one for each of the 20 items in X."),
            ([*y, 1], "y: got 21 labels"),
            (pandas.DataFrame({"y": y}), "y: got 'DataFrame'; expected a list of labels"),
            (1, "y: got 'int'; expected a list of labels"),
            ([None, *y[1:]], "label: got None; expected a"),
        ):
            with pytest.raises(InputError) as caught:
                model.score(TEXTS, labels)
            assert text in str(caught.value)
        assert model.score(TEXTS, y, np.ones(20)) == model.score(TEXTS, y, [2] * 20) == expected
        for weights, text in (
            ([1], "sample_weight: got 1; expected 20, one for each item."),
            ("a" * 20, "sample_weight: got 'str'"),
            ([0] * 20, "sample_weight: got only zeros"),
            ([1] * 19 + [-1], "sample_weight[19]: got -1; expected a number of 0 or more"),
            ([1] * 19 + [np.nan], "sample_weight[19]: got nan; expected a number of 0 or more"),
        ):
            with pytest.raises(InputError) as caught:
                model.score(TEXTS, y, weights)
            assert str(caught.value).startswith(text)
    with pytest.raises(InputError, match="X_valid: got 'NoneType'; expected a list of sequences"):
        rekur.Classifier(**SMALL).fit(TEXTS, y, y_valid=y)
    with pytest.raises(InputError, match="y_valid: got 3 labels; expected one for each of the 20 items in X_valid"):
        rekur.Classifier(**SMALL).fit(TEXTS, y, X_valid=TEXTS, y_valid=y[:3])
    assert classifier.score(TEXTS, [7] * 20) == 0.0  # never seen: a miss
    with pytest.raises(InputError, match=r"y\[1\]: label: got '0'; .* the labels are of the type int"):
        classifier.score(TEXTS, [1, "0"] * 10)


def test_several_labels_of_any_container() -> None:
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    tags = [["a"], ["b"], ["b", "a"], []] * 5
    expected = rekur.Classifier(multi_label=True, **SMALL).fit(TEXTS, tags)
    for labels in (
        [set(each) for each in tags],
        [frozenset(each) for each in tags],
        [np.array(each, object) for each in tags],
        [np.array(each, str) for each in tags],
        polars.Series(tags),
        arrow.array(tags),
    ):
        model = rekur.Classifier(multi_label=True, **SMALL).fit(TEXTS, labels)
        assert model.classes_.tolist() == ["a", "b"]
        np.testing.assert_array_equal(model.scores(TEXTS), expected.scores(TEXTS))
        assert model.score(TEXTS, labels) == expected.score(TEXTS, tags)
    for label, text in (
        (b"ab", "expected a list of labels, since multi_label is on."),
        ({"a": 1}, "expected a list of labels, since multi_label is on."),
        ((each for each in "ab"), "expected a list of labels, since multi_label is on."),
        ([1, 0, 0], "expected a list of labels, not a row of numbers."),
        ([["a"]], "expected one name or number."),
    ):
        with pytest.raises(InputError, match=r"y\[0\]: label: got ") as caught:
            rekur.Classifier(multi_label=True, **SMALL).fit(TEXTS, [label, *tags[1:]])
        assert text in str(caught.value)


def test_infinite_classes_are_refused_before_training() -> None:
    with pytest.raises(InputError, match=r"y\[0\]: label: got inf; expected a finite number, or text"):
        rekur.Classifier(**SMALL).fit(TEXTS, [float("inf"), 1.0] * 10)


# ── items ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Holder:
    """Something with nothing but an array."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.array, dtype)


def test_series_may_be_any_array() -> None:
    torch, polars = pytest.importorskip("torch"), pytest.importorskip("polars")
    whole = np.stack(SERIES)
    model = rekur.Regressor(**SMALL).fit(whole, np.arange(20.0))
    expected = model.predict(SERIES[:2])
    forms = [
        whole[:2],
        torch.tensor(whole[:2], requires_grad=True),
        [torch.tensor(x) for x in SERIES[:2]],
        Holder(whole[:2]),
        [Holder(x) for x in SERIES[:2]],
        [x.astype(object) for x in SERIES[:2]],
        [polars.DataFrame(x) for x in SERIES[:2]],
        [[list(map(str, row)) for row in x] for x in SERIES[:2]],
    ]
    for form in forms:
        np.testing.assert_array_equal(model.predict(form), expected)
    short = torch.tensor(whole[:2]).bfloat16()
    np.testing.assert_array_equal(model.predict(short), model.predict(short.float().numpy()))


def test_an_array_of_two_axes_is_one_channel_an_item() -> None:
    flat = np.random.default_rng(0).normal(size=(20, 6))
    model = rekur.Regressor(**SMALL).fit(flat, np.arange(20.0))
    expected = model.predict(flat[:, :, None])
    for form in (flat, list(flat), flat.tolist(), np.ma.array(flat), flat.astype(object)):
        np.testing.assert_array_equal(model.predict(form), expected)
    assert [e.item.shape for e in examples(from_memory(flat[:2]), Columns(series="item"))] == [(6, 1), (6, 1)]
    with pytest.raises(InputError, match="For one series in a row, give frame"):
        model.predict(pytest.importorskip("pandas").DataFrame(flat))


def test_the_kind_of_items_is_what_the_model_reads() -> None:
    pandas = pytest.importorskip("pandas")
    model = rekur.Classifier(**SMALL).fit([None, *TEXTS[1:]], ["a", "b"] * 10)
    expected = model.predict_proba(["", "good"])
    for items in (
        [None, "good"],
        [np.nan, "good"],
        [pandas.NA, "good"],
        pandas.Series([None, "good"]),
        [np.ma.masked, "good"],
    ):
        np.testing.assert_array_equal(model.predict_proba(items), expected)
    for items in ([5, "good"], [["good"], "x"], [b"good"]):
        with pytest.raises(InputError, match=r"X\[0\]: got .*; expected text"):
            model.predict(items)
    codes = [[i % 3, i, 7] for i in range(20)]
    events = rekur.Classifier(kind="symbols", **SMALL).fit(codes, ["a", "b"] * 10)
    expected = events.predict_proba([["1", "2"]])
    for items in ([[1, 2]], np.array([[1, 2]]), [np.array([1.0, 2.0])], [(np.int64(1), 2)]):
        np.testing.assert_array_equal(events.predict_proba(items), expected)
    for pushed in ([1, 2], [np.int64(1), "2"], [1.0, np.array([2])]):
        session = events.stream()
        for event in pushed:
            last = session.push(event)
        assert last.probability == pytest.approx(expected.max(), abs=1e-6)
    with pytest.raises(InputError, match="step 2: got nothing; expected a code"):
        events.predict([[1, None]])
    assert (
        rekur.Classifier(**SMALL).fit([[], *[["x", str(i)] for i in range(19)]], ["a", "b"] * 10).features_.kind
        == "symbols"
    )


def test_channels_of_frames_are_matched_by_name(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frames = [pandas.DataFrame(x, columns=["a", "b"]) for x in SERIES]
    turned = [frame[["b", "a"]] for frame in frames]
    model = rekur.Regressor(**SMALL).fit([*frames[:10], *turned[10:]], np.arange(20.0))
    loaded = rekur.load(model.save(tmp_path / "m"))
    expected = model.predict(SERIES)
    for form in (frames, turned, [frame.to_dict("records") for frame in turned]):
        np.testing.assert_array_equal(model.predict(form), expected)
        np.testing.assert_allclose(loaded.predict(form), expected, atol=1e-5)
    assert loaded.evaluate(turned, np.arange(20.0))["rmse"] == loaded.evaluate(SERIES, np.arange(20.0))["rmse"]
    for frame in (frames[0], turned[0]):
        session = loaded.stream()
        last = [session.push(row).tentative for _, row in frame.iterrows()][-1]
        assert last == pytest.approx(expected[0], abs=1e-4)
    strange = [frame.rename(columns={"b": "bb"}) for frame in frames]
    for refused in (
        lambda: loaded.predict(strange),
        lambda: loaded.stream().push(strange[0]),
        lambda: rekur.Regressor(**SMALL).fit(frames, np.arange(20.0), X_valid=strange, y_valid=np.arange(20.0)),
        lambda: rekur.Regressor(**SMALL).fit([*frames[:19], strange[0]], np.arange(20.0)),
    ):
        with pytest.raises(InputError, match="Did you mean 'b'"):
            refused()


def test_rows_that_name_their_values_are_matched_by_name() -> None:
    pandas = pytest.importorskip("pandas")
    frames = [pandas.DataFrame(x, columns=["x", "y"]) for x in SERIES]
    model = rekur.Regressor(**SMALL).fit(frames, np.arange(20.0))
    frame, turned = frames[0], frames[0][["y", "x"]]
    expected = model.predict([frame])
    for table in (frame, turned):
        for rows in (
            list(table.itertuples(index=False)),
            [row for _, row in table.iterrows()],
            table.to_dict("records"),
        ):
            np.testing.assert_array_equal(model.predict([rows]), expected)
            session, pieces = model.stream(), model.stream()
            for row in rows:
                session.push(row)
            assert session.push([]).tentative == pytest.approx(expected[0], abs=1e-6)
            assert pieces.push(rows).tentative == pytest.approx(expected[0], abs=1e-6)
    names = pandas.MultiIndex.from_tuples([("a", "x"), ("a", "y")])
    others = [pandas.DataFrame(SERIES[0], columns=names), pandas.DataFrame(SERIES[0], columns=[5, 7])]
    others.append(list(frame.rename(columns={"x": "z"}).itertuples(index=False)))
    others.append([row for _, row in frame.rename(columns={"x": "y"}).iterrows()])
    for item in others:
        with pytest.raises(InputError, match=r"channels: got .*; expected 'x', 'y', as in training"):
            model.predict([item])
    np.testing.assert_array_equal(model.predict([pandas.DataFrame(SERIES[0])]), expected)  # 0 and 1 are no names


def test_channels_of_a_corpus_are_matched_by_name() -> None:
    table = {"who": list("aabb"), "x": [1, 2, 3, 4], "y": [9, 8, 7, 6], "label": [1, 1, 2, 2]}

    def corpus(*names: str) -> Corpus:
        columns = Columns(series=list(names), group="who", label="label")
        return Corpus(lambda: examples(from_memory(table), columns, label_type="number"), "data", channels=names)

    turned = corpus("y", "x").by_name(["x", "y"])
    for one, other in zip(turned, corpus("x", "y"), strict=True):
        np.testing.assert_array_equal(one.item, other.item)
    with pytest.raises(InputError, match="data: channels: got 'x'; expected 'x', 'y', as in training"):
        corpus("x").by_name(["x", "y"])
    assert channel_order(["c", "a", "b"], ["a", "b", "c"], "") == [1, 2, 0]


# ── symbols ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_texts_of_symbols_are_codes_where_any_holds_a_blank() -> None:
    for items in (["home", "home buy"], ["home buy", ["home", 7]], iter(["home", "", "home\tbuy"])):
        features = SymbolFeatures().fit(items)
        assert features.form_ == "codes"
        assert features.transform(" home  \nbuy ").tolist() == features.transform(["home", "buy"]).tolist()
        assert len(features.transform("home")) == 1
        again = restore(json.loads(json.dumps(features.to_dict())))
        assert again.transform("buy home").tolist() == features.transform("buy home").tolist()
    assert SymbolFeatures().fit(["ACGT", "AC\nGT"]).form_ == "letters"
    assert SymbolFeatures(codes=False).fit(["AC GT"]).vocabulary_ == ("A", "C", "G", "T")
    assert SymbolFeatures(codes=True).fit(["AC", "GT"]).vocabulary_ == ("AC", "GT")


def test_saved_letters_stay_letters() -> None:
    saved = {
        "kind": "symbols",
        "version": 1,
        "options": {"separator": None, "fold_case": None, "max_vocabulary": None, "min_count": 1, "max_length": None},
        "learnt": {"form": "letters", "known": 1.0, "vocabulary": ["A", "C"]},
    }
    features = restore(saved)
    assert features.to_dict() == saved
    assert features.transform("a c").tolist() == [2, 3]
    with pytest.raises(BundleError, match="'blanks'"):
        restore({**saved, "learnt": {**saved["learnt"], "blanks": True}})


def test_a_description_counts_codes_and_missing_labels() -> None:
    rows = [{"s": "home", "y": "NA"}, {"s": "home buy", "y": "a"}, {"s": "buy", "y": None}, {"s": "help", "y": "A"}]
    found = describe(from_memory(rows), Columns(symbols="s", label="y"))
    assert (found.lengths["symbols"]["max"], found.unlabelled, found.classes) == (2, 2, {"a": 1, "A": 1})
    assert any("'a' (1) and 'A' (1)" in warning for warning in found.warnings)


# ── what is no data at all ───────────────────────────────────────────────────────────────────────────────────────


def test_arguments_of_other_types_are_refused_by_name() -> None:
    for refused, text in (
        (lambda: rekur.load(5), "bundle: got '5'; expected the path of a bundle's folder."),  # type: ignore[arg-type]
        (lambda: rekur.LanguageModel().fit(None), "X: got 'NoneType'; expected a text, or a list of texts."),
        (lambda: rekur.Classifier().set_params(hiden=3), "Classifier option: got 'hiden'; expected one of"),
        (lambda: rekur.Classifier().fit(None, None), "X: got 'NoneType'; expected a list of sequences."),
    ):
        with pytest.raises(InputError) as caught:
            refused()
        assert str(caught.value).startswith(text)


# ── texts of language models ─────────────────────────────────────────────────────────────────────────────────────


def test_texts_of_any_container_and_no_table_or_file(tmp_path: Path) -> None:
    pandas, arrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    text = "the cat sat on the mat. " * 20
    model = rekur.LanguageModel(tokens="char", hidden_size=3, steps=1).fit(np.array(text))
    expected = model.score(text)
    for texts in ([text], np.array([text]), pandas.Series([text]), arrow.array([text]), iter([text])):
        assert model.score(texts) == expected
    file = tmp_path / "a"
    file.write_text(text)
    for texts, named in (
        (pandas.DataFrame({"t": [text]}), "X: got 'DataFrame'; expected a text, or a list of texts. Give one of its"),
        ({text}, "X: got 'set'"),
        (bytearray(b"the cat"), "X: got 'bytearray'"),
        (file, f"X: got '{file}'; expected a text, not the name of a file."),
    ):
        for read in (model.fit, model.score, model.evaluate, model.log_probabilities):
            with pytest.raises(InputError) as caught:
                read(texts)
            assert str(caught.value).startswith(named)


def test_the_name_of_a_file_is_no_item(tmp_path: Path) -> None:
    model = rekur.Classifier(**SMALL).fit(TEXTS, [1, 0] * 10)
    file = tmp_path / "a.csv"
    file.write_text("text\ngood\n")
    with pytest.raises(InputError, match="It is the name of a file: read it with"):
        model.predict(str(file))
    with pytest.warns(DataWarning, match="the name of a file; it is read as a text"):
        model.predict([str(file)])
