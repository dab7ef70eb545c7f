"""What is printed: tables that are legible in every terminal, numbers that tell something, JSON and CSV in UTF-8."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.e2e.conftest import Run, write_lines, write_table

from rekur import Regressor
from rekur._numbers import shown, shown_interval

NAME = "naïve 😀"


@example(sys.float_info.max)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_shown_short_and_with_the_digits_that_tell_something(value: float) -> None:
    text = shown(value)
    assert len(text) <= 11
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.006)


def test_numbers_of_every_size_are_shown() -> None:
    texts = [shown(value) for value in (0.0, 0.9398, -0.0101, 12.3, 2.7e-7, 1e38, 1.2e305, 12345.678)]
    assert texts == ["0.0000", "0.9398", "-0.0101", "12.3000", "2.700e-07", "1.000e+38", "1.200e+305", "12,345.68"]
    assert (shown_interval(None), shown_interval([0.0, 1.0])) == ("", "0.0000 – 1.0000")


@pytest.mark.parametrize("unit", [1e-6, 1e12])
def test_errors_of_small_and_large_units_are_seen(
    unit: float, cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in files["walks"].read_text(encoding="utf-8").splitlines()]
    data = write_lines(tmp_path / "walks.jsonl", [{"x": row["x"], "wear": row["wear"] * unit} for row in rows])
    model = Regressor(epochs=1, hidden_size=4, seed=0)
    model.fit([row["x"] for row in rows], [row["wear"] * unit for row in rows]).save(tmp_path / "m")
    columns = ("--series", "x", "--label", "wear")
    done = cli("evaluate", tmp_path / "m", data, *columns, "--report", tmp_path / "page.html")
    rmse = cli("evaluate", tmp_path / "m", data, *columns, "--json").json["rmse"]
    row = next(line for line in done.out.splitlines() if line.strip().startswith("rmse"))
    numbers = [float(text) for text in re.findall(r"[\d.]+e[+-]\d+", row)]
    assert numbers[0] == pytest.approx(rmse, rel=1e-3)
    assert numbers[1] < numbers[0] < numbers[2]
    assert shown(rmse) in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "0.0000 – 0.0000" not in (tmp_path / "m" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", ["0", "1", "7", "20", "59", "x"])
def test_a_table_is_legible_in_a_narrow_terminal(
    columns: str, cli: Run, files: dict[str, Path], bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    done = cli("evaluate", bundles["words"], files["reviews"])
    assert done.code == 0
    for word in ("accuracy", "macro f1", "calibration error", "precision", "good", "bad"):
        assert word in done.out


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_results_for_programs_are_utf_8_in_every_console(
    encoding: str, rekur: Run, bundles: dict[str, Path], tmp_path: Path
) -> None:
    file = write_table(tmp_path / "new.csv", ("id", "review"), [(NAME, "a fine film")])
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = rekur("predict", bundles["words"], file, "--json", env=environment)
    assert (done.code, done.json["item"]) == (0, NAME)
    done = rekur("predict", bundles["words"], file, env=environment)
    assert [row["item"] for row in csv.DictReader(io.StringIO(done.out))] == [NAME]


def test_missing_values_are_null_in_json(cli: Run, bundles: dict[str, Path]) -> None:
    done = cli("stream", bundles["walks"], "--json", stdin=b"[null, 2]\n")
    assert _strict(done.out)["event"] == [None, 2.0]


def test_every_way_to_print_json_knows_no_nan(capfd: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    from rekur.cli import show

    values = {"a": float("nan"), "b": [np.float32("inf")], "c": {"d": np.array([1.0, np.nan])}, "e": np.int64(3)}
    show.as_json(values)
    show.as_json_line({**values, "f": "caf\udce9"})
    first, second = (_strict(line) for line in capfd.readouterr().out.splitlines())
    assert first == {"a": None, "b": [None], "c": {"d": [1.0, None]}, "e": 3}
    assert second["f"] == "caf\ufffd"


@pytest.mark.parametrize(
    "words",
    [
        ["predict"],
        ["cells", "--no-such"],
        ["fit", "classify", "--json", "x.csv"],
        ["data", "no.csv"],
        ["fit", "nothing"],
    ],
)
def test_a_failure_is_one_json_object(words: list[str], cli: Run) -> None:
    done = cli(*words, "--json")
    assert (done.code, len(done.out.splitlines())) == (2, 1)
    assert list(_strict(done.out)) == ["error", "exit_code"]
    assert done.json["exit_code"] == 2


def _strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)
