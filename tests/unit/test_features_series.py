"""Rows of numbers: scaling, missing values, and what is refused, by its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rekur.errors import DataError, InputError, NotFittedError, ShapeError
from rekur.features import SeriesFeatures

NAN = float("nan")
INF = float("inf")


def test_scales_by_training_mean_and_deviation() -> None:
    features = SeriesFeatures().fit([np.array([[0.0, 1.0], [2.0, 1.0]]), [[4, 1], [6, 1]]])
    assert features.mean_ is not None
    assert features.mean_.tolist() == [3.0, 1.0]
    assert features.scale_.tolist() == [pytest.approx(5**0.5), 1.0]
    steps = features.transform([[3, 2]])
    assert steps.dtype == np.float32
    assert steps.tolist() == [[0.0, 1.0]]


def test_a_large_mean_keeps_the_deviation() -> None:
    items = [[1e9 + value for value in (4.0, 7.0, 13.0, 16.0)]] * 3
    features = SeriesFeatures().fit(items)
    assert features.scale_.tolist() == [pytest.approx(22.5**0.5, rel=1e-9)]


def test_a_constant_channel_stays_at_rest() -> None:
    features = SeriesFeatures().fit([[0.1] * 7, [0.1] * 13])
    assert features.scale_.tolist() == [1.0]
    assert features.transform([0.1]).tolist() == [[0.0]]
    assert ("constant in training", "channel 1 = 0.1; not divided") in features.describe()


def test_missing_values_are_held_and_marked() -> None:
    features = SeriesFeatures(["x", "y"], standardise=False).fit([[[1, 10], [3, None]]])
    assert features.size == 3
    assert features.names_ == ("x", "y", "y missing")
    steps = features.transform([[None, NAN], [5, 7], [NAN, None]])
    assert steps.tolist() == [[2, 10, 1], [5, 7, 0], [5, 7, 1]]


def test_missing_values_as_zero() -> None:
    features = SeriesFeatures(missing="zero", indicators="always").fit([[1, 3]])
    assert features.transform([None, 3]).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_forms_of_items_agree() -> None:
    features = SeriesFeatures(["x", "y"]).fit([[[1, 2], [3, 5]]])
    expected = features.transform([[1, 2], [3, 4]]).tolist()
    masked = np.ma.masked_array([[1, 2], [3, 4]], mask=False)
    for item in (np.array([[1, 2], [3, 4]]), ((1, 2), (3, 4)), [{"y": 2, "x": 1}, {"x": 3, "y": 4}], masked):
        assert features.transform(item).tolist() == expected
    stream = features.stream()
    assert [*stream.push([1, 2]).tolist(), *stream.push({"y": 4, "x": 3}).tolist()] == expected
    one = SeriesFeatures().fit([[1, 2, 3]])
    expected = one.transform([2, 3]).tolist()
    stream = one.stream()
    events = (2, np.float32(3), [2, 3], np.array(2), np.array([[3.0]]))
    assert [row for event in events for row in stream.push(event).tolist()] == [*expected, *expected, *expected]
    assert one.transform(np.ma.masked_array([9.0, 3], mask=[True, False])).tolist() == [[0.0], expected[1]]
    assert one.transform([]).shape == (0, 1)


def test_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    features = SeriesFeatures().fit([[[1, 2], [3, None]]])
    frame = pandas.DataFrame({"x": [1, 3], "y": [2, None]})
    assert features.transform(frame).tolist() == features.transform([[1, 2], [3, None]]).tolist()


def test_describe() -> None:
    features = SeriesFeatures(["x", "y", "z"]).fit([[[1, 2, None], [3, 2, None]]])
    assert features.describe() == [
        ("channels", "3: x, y, z"),
        ("values", "less the training mean, divided by the training deviation"),
        ("missing values", "the last value is carried forward; the training mean before the first"),
        ("indicators", "z missing"),
        ("constant in training", "y = 2; not divided"),
        ("never seen in training", "z"),
    ]
    assert repr(features) == (
        "SeriesFeatures(channels=('x', 'y', 'z'), standardise=True, missing='hold', indicators='auto')"
    )


NUMBER = "expected a number, or NaN where it is missing."
FINITE = "expected a finite number. Give NaN for a missing value."
MISSING_FIX = "Every step needs a value for every channel; give NaN for a missing one."


@pytest.mark.parametrize(
    ("item", "error", "text"),
    [
        ([[1, 2], [3]], ShapeError, f"step 2: got 1 value; expected 2 values (x, y). {MISSING_FIX}"),
        ([[1, 2, 3]], ShapeError, f"step 1: got 3 values; expected 2 values (x, y). {MISSING_FIX}"),
        (np.ones((2, 3)), ShapeError, f"step 1: got 3 values; expected 2 values (x, y). {MISSING_FIX}"),
        (np.ones((1, 2, 3)), ShapeError, "series: got shape (1, 2, 3); expected (T, D) or (T,)."),
        ([1, 2, 3], ShapeError, "series: got a flat list of 3 numbers; expected rows of 2 numbers."),
        ([[1, 2], [3, "4_0"]], DataError, f"step 2, channel 'y': got '4_0'; {NUMBER}"),
        ([[1, 2], [[3], 4]], DataError, f"step 2, channel 'x': got a list; {NUMBER}"),
        ([[1, 2], 3], DataError, "step 2: got 3; expected a row of numbers, as the other steps."),
        ([[1, 2], [3, INF]], DataError, f"step 2, channel 'y': got inf; {FINITE}"),
        ([[10**400, 2]], DataError, f"step 1, channel 'x': got inf; {FINITE}"),
        (
            [[1e300, 2]],
            DataError,
            "step 1, channel 'x': got 1e+300; expected a number that float32 can hold. "
            "Its scale is far from that of the training items.",
        ),
        ([{"x": 1}], DataError, "step 1: got the channels x; expected the channels x, y."),
        ("1 2", DataError, "series: got '1 2'; expected an array (T, D), a list of rows or of numbers."),
        (5, DataError, "series: got an int; expected an array (T, D), a list of rows or of numbers."),
    ],
)
def test_items_that_cannot_be(item: Any, error: type[Exception], text: str) -> None:
    features = SeriesFeatures(["x", "y"]).fit([[[1, 2], [3, 5]]])
    with pytest.raises(error) as caught:
        features.transform(item)
    assert str(caught.value) == text


def test_a_stream_names_the_step_and_stays_as_it_was() -> None:
    stream = SeriesFeatures(["x", "y"]).fit([[[1, 2], [3, 5]]]).stream()
    stream.push([[1, 2], [3, 4]])
    before = stream.get_state()
    with pytest.raises(DataError) as caught:
        stream.push([[1, 2], [INF, 4]])
    text = f"step 4, channel 'x': got inf; {FINITE}"
    assert str(caught.value) == text
    assert stream.get_state() == before == {"kind": "series", "last": [3.0, 4.0], "steps": 2}


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([[[1, 2]], [[1, 2], [1]]], f"item 2, step 2: got 1 value; expected 2 values. {MISSING_FIX}"),
        ([[1, 2], [1, "x"]], f"item 2, step 2, channel 1: got 'x'; {NUMBER}"),
        ([[1, -INF]], f"item 1, step 2, channel 1: got -inf; {FINITE}"),
        ([[[]]], f"item 1, step 1: got 0 values; expected one value or more. {MISSING_FIX}"),
        (
            [[]],
            "items: got no step; expected series with at least one step to learn from. "
            "Check that the right columns were read.",
        ),
        (
            [[1e200, -1e200]],
            "channel 1: got values too large to square; expected a finite deviation. "
            "Divide the channel by a large number first.",
        ),
        (
            [[{"x": 1}]],
            "item 1, step 1: got the channels x; expected a list of numbers. Name the channels to give rows as dicts.",
        ),
    ],
)
def test_items_that_cannot_be_learnt_from(items: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        SeriesFeatures().fit(items)
    assert str(caught.value) == text


def test_missing_as_an_error() -> None:
    features = SeriesFeatures(missing="error")
    text = "step 2, channel 1: got no value; expected a number. Use missing='hold' to carry the last value forward."
    with pytest.raises(DataError) as caught:
        features.fit([[1, 2], [3, None]])
    assert str(caught.value) == f"item 2, {text}"
    with pytest.raises(DataError) as caught:
        features.fit([[1, 2]]).transform([3, NAN])
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"missing": "mean"}, "missing: got 'mean'; expected one of 'hold', 'zero', 'error'."),
        ({"standardise": "yes"}, "standardise: got 'yes'; expected True or False."),
        ({"channels": "xy"}, "channels: got 'xy'; expected a list of names, one a channel."),
        ({"channels": ["x", "x"]}, "channels: got 'x'; expected different texts that are not empty."),
        (
            {"missing": "error", "indicators": "always"},
            "indicators: got 'always'; expected 'auto' or 'never'. With missing='error' there is nothing to indicate.",
        ),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        SeriesFeatures(**options)
    assert str(caught.value) == text


def test_not_fitted() -> None:
    features = SeriesFeatures()
    for use in (lambda: features.transform([1]), features.stream, features.to_dict, lambda: features.size):
        with pytest.raises(NotFittedError) as caught:
            use()
        assert str(caught.value) == "SeriesFeatures: not fitted yet. Call fit(training_items) first."


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            {"kind": "series", "last": [1.0], "steps": 1},
            "state of a series stream, 'last': got [1.0]; expected 2 finite numbers, null where none came yet.",
        ),
        (
            {"kind": "series", "last": [1.0, INF], "steps": 1},
            "state of a series stream, 'last': got [1.0, inf]; expected 2 finite numbers, null where none came yet.",
        ),
        (
            {"kind": "series", "last": [1.0, None], "steps": -2},
            "state of a series stream, 'steps': got -2; expected a whole number of 0 or more.",
        ),
    ],
)
def test_states_that_cannot_be(state: Any, text: str) -> None:
    stream = SeriesFeatures().fit([[[1, 2], [3, 5]]]).stream()
    with pytest.raises(InputError) as caught:
        stream.set_state(state)
    assert str(caught.value) == text
