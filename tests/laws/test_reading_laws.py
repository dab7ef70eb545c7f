"""One input has one answer: a cell of a file, a list in Python and a live event read the same values or refuse."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur.data import Columns, as_sequences, examples, from_memory, open_source
from rekur.data.groups import sortable
from rekur.errors import InputError
from rekur.features import SeriesFeatures

FEATURES = SeriesFeatures(standardise=False).fit([[1.0, 2.0, None]])
#: texts that look like numbers, and some that are
MARKS = ["", "NA", "n/a", "?", "null", "None", "nan", "-nan", "true", "1j", "[1]", "1:2", "--1", "1e", ".", "5."]
ODD = ["1_0", "1.5", "+2", "-3e1", "1e400", "inf", "0x1", "1 0", "1\u00a0000", "1\u202f000", "1'000", "\u0663", "½"]
PIECES = st.one_of(
    st.sampled_from([*MARKS, *ODD]), st.integers(-(10**18), 10**18).map(str), st.floats(-1e30, 1e30).map(repr)
)


def read(function: Callable[[], Any]) -> Any:
    """Return what was read as plain lists with None for NaN, or that it was refused."""
    try:
        values = np.asarray(function(), np.float64)
    except InputError:
        return "refused"
    return [None if np.isnan(value) else float(value) for value in values.ravel()]


def of_file(folder: Path, name: str, text: str) -> Any:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read(lambda: first_item(path))


def first_item(path: Path) -> Any:
    return next(examples(open_source(path), Columns(series="x"), empty="keep")).item


def live_value(piece: str) -> float:
    """Return the value that a live event of one channel holds, NaN where its indicator says that it is missing."""
    value, missing = FEATURES.stream().push([piece])[0]
    return float("nan") if missing else float(value)


@draws(80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, min_size=1, max_size=5))
@example(pieces=["1_0", "2"])
@example(pieces=["1", "", "3"])
def test_texts_of_numbers_read_alike_in_cells_lists_and_live(pieces: list[str], tmp_path: Path) -> None:
    from_list = read(lambda: as_sequences([pieces], "series")[0])
    assert of_file(tmp_path, "a.jsonl", json.dumps({"x": pieces}) + "\n") == from_list
    assert read(lambda: as_sequences([json.dumps(pieces)], "series")[0]) == from_list
    whole = read(lambda: FEATURES.transform(pieces)[:, 0])
    assert (whole == "refused") == (from_list == "refused")
    for between in (",", ";", " , ", "\t"):
        cell = between.join(pieces)
        if not cell.strip() or cell.startswith("[") or (len(pieces) == 1 and between == "\t"):
            continue
        path = tmp_path / "a.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["x"], [cell]])
        assert read(lambda path=path: first_item(path)) == from_list, between
        assert read(lambda cell=cell: as_sequences([cell], "series")[0]) == from_list, between
    live = [read(lambda piece=piece: live_value(piece)) for piece in pieces]
    assert ("refused" in live) == (from_list == "refused")
    if from_list != "refused":
        assert live == [[None if value is None else float(np.float32(value))] for value in from_list]


@draws(30)
@given(rows=st.lists(st.tuples(*2 * [st.one_of(st.none(), st.integers(-99, 99))]), min_size=1, max_size=5))
def test_missing_values_are_missing_however_they_are_given(rows: list[tuple[int | None, int | None]]) -> None:
    torch = pytest.importorskip("torch")
    pandas = pytest.importorskip("pandas")
    plain = np.array([[np.nan if value is None else value for value in row] for row in rows], np.float64)
    mask = np.isnan(plain)
    masked = np.ma.masked_array(np.where(mask, -9999, plain).astype(np.int64), mask)
    forms = [
        [list(row) for row in rows],
        masked,
        list(masked),
        [list(row) for row in masked],
        masked.astype(np.float64),
        torch.tensor(plain, requires_grad=True),
        list(torch.tensor(plain)),
        pandas.DataFrame(plain, columns=["a", "b"]),
        pandas.DataFrame({"a": pandas.array([r[0] for r in rows], "Int64"), "b": [r[1] for r in rows]}),
        [["NA" if value is None else str(value) for value in row] for row in rows],
        plain.astype(object),
    ]
    for form in forms:
        np.testing.assert_array_equal(as_sequences([form], "series")[0], plain)
    features = SeriesFeatures(missing="hold", indicators="always").fit([np.arange(6.0).reshape(3, 2)])
    expected = features.transform(plain)
    stacked = [as_sequences(np.ma.stack([masked, masked]), "series")[1], *forms]
    for form in stacked:
        np.testing.assert_array_equal(features.transform(form), expected)
        stream = features.stream()
        np.testing.assert_array_equal(stream.push(form), expected)
    stream = features.stream()
    np.testing.assert_array_equal(np.concatenate([stream.push(row) for row in masked]), expected)


FINITE = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=12).map(str),
    st.sampled_from(["0", "-0.0", "1e3", "1000", "1000.0", "1e-400", "0.1", "0.10000000000000000001"]),
)


@draws(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(TIMES, min_size=1, max_size=6), row_limit=st.sampled_from([0, 3, 100]))
def test_rows_are_ordered_by_the_exact_time(times: list[str], row_limit: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,x\n" + "".join(f"{time},{row}\n" for row, time in enumerate(times)))
    told: list[str] = []
    options: dict[str, Any] = {"row_limit": row_limit, "tell": told.append}
    [whole] = examples(open_source(path), Columns(series=["x"], time="t"), **options)
    exact = [Fraction(time) for time in times]
    assert whole.item.ravel().tolist() == sorted(range(len(times)), key=lambda row: exact[row])
    assert bool(told) == (len(set(exact)) < len(exact))


@draws(100)
@given(
    a=st.one_of(
        st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.decimals(-(10**30), 10**30, places=9)
    ),
    b=st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_bytes_of_numbers_compare_as_the_numbers(a: Any, b: Any) -> None:
    assert (sortable(a) < sortable(b)) == (Fraction(a) < Fraction(b))
    assert (sortable(a) == sortable(b)) == (Fraction(a) == Fraction(b))


def numbers_between(least: int, most: int) -> st.SearchStrategy[list[int]]:
    """Return lists of distinct whole numbers."""
    return st.lists(st.integers(least, most), min_size=1, max_size=5, unique=True)


@draws(30)
@given(
    ids=numbers_between(0, 2**64 - 1) | numbers_between(-(2**63), 2**63 - 1) | numbers_between(-(2**63), 2**64 - 1),
    kind=st.sampled_from(["csv", "list", "pandas", "parquet"]),
)
def test_whole_numbers_of_64_bits_stay_apart_as_groups(ids: list[int], kind: str, tmp_path_factory: Any) -> None:
    rows = [{"g": number, "x": place} for place, number in enumerate(ids)]
    if kind == "csv":
        path = tmp_path_factory.mktemp("ids") / "a.csv"
        path.write_text("g,x\n" + "".join(f"{row['g']},{row['x']}\n" for row in rows))
        source = open_source(path)
    elif kind == "list":
        source = from_memory(rows)
    else:
        dtype = "uint64" if min(ids) >= 0 else "int64"
        assume(dtype == "uint64" or max(ids) < 2**63)  # no column of a frame holds both
        frame = pytest.importorskip("pandas").DataFrame(rows).astype({"g": dtype})
        path = tmp_path_factory.mktemp("ids") / "a.parquet"
        if kind == "parquet":
            frame.to_parquet(path)
        source = open_source(path) if kind == "parquet" else from_memory(frame)
    found = list(examples(source, Columns(series=["x"], group="g")))
    assert [e.id for e in found] == [str(number) for number in ids]
