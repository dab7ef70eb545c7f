"""What is said of series in time before training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rekur._history import History
from rekur.cli.data import command
from rekur.data.histories import HistoryColumns, read_histories
from rekur.data.history_description import describe_histories


def history(name: str, values: list[float]) -> History:
    return History(name, ("y",), np.asarray(values, np.float64)[:, None])


def test_lengths_gaps_and_odd_series_are_counted() -> None:
    nothing = np.nan
    series = [history("a", [1, nothing, nothing, 2, nothing, 3]), history("b", [5, 5, 5]), history("c", [0, 0, 7, 0])]
    description = describe_histories(series, ["a note."])
    assert (description.series, description.steps, description.missing, description.gaps) == (3, 13, 3, 1)
    assert (description.lengths, description.longest_gap) == ({"min": 3, "median": 4, "max": 6}, 2)
    assert dict(description.overview())["missing"] == "3 of 13 steps (23.1 %), in 1 series; longest gap 2"
    assert description.warnings() == [
        "a note.",
        "1 series has only one value: 'b'.",
        "1 series has zeros in half of the steps or more: 'c'.",
    ]
    assert json.loads(json.dumps(description.to_dict()))["values"] == {"min": 0, "mean": 2.8, "max": 7}


def daily(count: int, columns: str = "ds,y") -> str:
    days = np.datetime64("2024-01-01") + np.arange(count)
    values = 10 + 5 * np.sin(2 * np.pi * np.arange(count) / 7) + np.random.default_rng(0).normal(size=count)
    return f"{columns}\n" + "".join(f"{day},{value:.3f}\n" for day, value in zip(days, values, strict=True))


def run(tmp_path: Path, text: str, *options: str) -> dict[str, object]:
    file = tmp_path / "a.csv"
    file.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(command, [str(file), *options, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_the_command_shows_step_stamps_and_seasons(tmp_path: Path) -> None:
    for options in ((), ("--time", "ds", "--series", "y")):
        told = run(tmp_path, daily(140), *options)["in_time"]
        assert isinstance(told, dict)
        assert (told["step"], told["first"], told["last"], told["missing"]) == ("1 day", "2024-01-01", "2024-05-19", 0)
        assert told["periods"] == [7]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("text,label\ngood,1\nbad,0\n", ()),
        ("name,a,b,c\nx,1,2,3\ny,4,5,6\n", ()),
        (
            "who,at,x,ill\na,1,2,no\na,2,3,no\nb,1,5,yes\nb,2,6,yes\n",
            ("--group", "who", "--time", "at", "--series", "x", "--label", "ill"),
        ),
    ],
)
def test_other_tables_are_no_series_in_time(tmp_path: Path, text: str, options: tuple[str, ...]) -> None:
    assert "in_time" not in run(tmp_path, text, *options)


def test_what_a_forecaster_would_refuse_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("at,x\n1,2\n2,3\n2,4\n3,5\n", encoding="utf-8")
    done = CliRunner().invoke(command, [str(file), "--time", "at", "--series", "x"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "No series in time:" in done.stdout
    assert "at: got '2' again, as in line 3" in " ".join(done.stdout.split())


def test_a_horizon_shows_how_series_are_cut(tmp_path: Path) -> None:
    told = run(tmp_path, daily(140), "--time", "ds", "--horizon", "7")
    assert set(told) == {"in_time", "split", "command"}
    assert "1 series of 140 steps; " in str(told["split"])
    assert str(told["command"]).endswith("--time ds --horizon 7 --out runs/a")
    assert str(run(tmp_path, daily(12), "--time", "ds", "--horizon", "30")["split"]).startswith(
        "Training refuses them: "
    )
    text = daily(40).replace("ds,y", "ds,y,promo").replace("\n2", ",1\n2").replace("promo,1", "promo")
    known = run(tmp_path, f"{text.rstrip()},1\n2024-02-10,,1\n", "--time", "ds", "--series", "y", "--future", "promo")
    assert known["in_time"]["known_horizon"] == 1  # type: ignore[index]
    file = tmp_path / "a.csv"
    done = CliRunner().invoke(command, [str(file), "--horizon", "2", "--label", "y"])
    assert "--label: got a value; expected none for series in time" in str(done.exception)


def test_a_table_with_dates_is_asked_for_its_values_or_gives_the_command_that_forecasts(tmp_path: Path) -> None:
    told = run(tmp_path, daily(140))
    assert told["question"] == ""
    assert str(told["command"]).endswith("a.csv --series y --time ds --out runs/a")
    text = "".join(f"{shop},{day},{k % 7}.5,{k % 3}\n" for shop in "ab" for k, day in enumerate(["2024-01-01"] * 60))
    told = run(tmp_path, "shop,day,sales,promo\n" + text)
    assert "in_time" not in told
    question = "The column 'day' holds dates: of series in time say --time 'day', --series with each column of values"
    assert question in str(told["question"])


def test_a_known_horizon_and_covariates_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("ds,y,promo\n1,2,0\n2,3,1\n3,,1\n", encoding="utf-8")
    columns = HistoryColumns(time="ds", series="y", future=["promo"])
    overview = dict(describe_histories(read_histories(file, columns)).overview())
    assert (overview["future covariates"], overview["known horizon"]) == ("'promo'", "1 row")
