"""Newer rows of series behind a forecaster's bundle, and bad input of forecasts, from the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run

from rekur.cli.main import main
from rekur.targets.distribution import DistributionTarget

SMALL = ["--epochs", "1", "--hidden-size", "4", "--quiet", "--no-baseline"]
LONG = ["--group", "shop", "--time", "day", "--series", "sales"]


def sales(shop: str, first: int, count: int) -> str:
    """Return rows of a shop, the same for a day whatever the first is."""
    random = np.random.default_rng(len(shop))
    noise = random.normal(0, 0.3, 200)
    days = [
        f"{shop},{np.datetime64('2024-01-01') + k},{20 + 5 * np.sin(k * 2 * np.pi / 7) + noise[k]:.3f}\n"
        for k in range(first, first + count)
    ]
    return "".join(days)


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of two shops."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "train.csv").write_text("shop,day,sales\n" + sales("007", 0, 70) + sales("north", 3, 70))
    train, out = str(folder / "train.csv"), str(folder / "m")
    assert main(["fit", "forecast", train, *LONG, "--horizon", "7", "--out", out, *SMALL[:-1]]) == 0
    return folder


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of series in rows, and what follows them."""
    folder = tmp_path_factory.mktemp("rows")
    for name, first, count in (("train", 0, 70), ("test", 70, 7), ("whole", 0, 77)):
        rows = ["V1," + ",".join(f"V{k}" for k in range(2, count + 2))]
        for series in ("H1", "H2"):
            values = [
                f"{30 + 9 * np.sin((k + len(rows)) * 2 * np.pi / 7) + k % 3:.3f}" for k in range(first, first + count)
            ]
            rows.append(",".join([series, *values]))
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    train, out = str(folder / "train.csv"), str(folder / "m")
    assert main(["fit", "forecast", train, "--horizon", "7", "--lookback", "14", "--out", out, *SMALL]) == 0
    return folder


def test_newer_rows_go_on_from_the_bundle(cli: Run, long: Path) -> None:
    newer, whole = long / "newer.csv", long / "whole.csv"
    newer.write_text("shop,day,sales\n" + sales("north", 73, 7) + sales("007", 70, 1) + sales("west", 40, 35))
    whole.write_text("shop,day,sales\n" + sales("north", 3, 77) + sales("007", 0, 71) + sales("west", 40, 35))
    done = cli("predict", long / "m", newer, "--json")
    assert done.code == 0, done.err
    assert "newer.csv: series that continue their kept values: north, 007." in done.err
    assert "newer.csv: series that the bundle does not know are forecast all the same: west." in done.err
    assert [line["time"][0] for line in lines_of(done.out)] == ["2024-03-21", "2024-03-12", "2024-03-16"]
    expected = cli("predict", long / "m", whole, "--json")
    assert done.out == expected.out
    assert "continue" not in expected.err


def test_an_evaluation_scores_newer_rows_alone(cli: Run, long: Path) -> None:
    newer, whole = long / "next.csv", long / "both.csv"
    newer.write_text("shop,day,sales\n" + sales("007", 70, 9) + sales("north", 73, 5))
    whole.write_text("shop,day,sales\n" + sales("007", 0, 79) + sales("north", 3, 75))
    ours = cli("evaluate", long / "m", newer, "--json")
    assert (ours.json["items"], ours.json["steps"]) == (2, 12)
    assert "series with fewer new steps than the horizon of 7 are scored on these: north." in ours.err
    rolled = cli("evaluate", long / "m", newer, "--rolling", "--stride", "1", "--json").json
    assert (rolled["items"], rolled["steps"]) == (4, 26)
    newer.write_text("shop,day,sales\n" + sales("007", 70, 9) + sales("north", 73, 7))
    whole.write_text("shop,day,sales\n" + sales("007", 0, 79) + sales("north", 3, 77))
    ours, theirs = (cli("evaluate", long / "m", file, "--json").json for file in (newer, whole))
    assert (ours["mae"], ours["rmse"], ours["smape"]) == (theirs["mae"], theirs["rmse"], theirs["smape"])


def test_short_rows_without_stamps_continue_the_series_of_their_name(cli: Run, wide: Path) -> None:
    ours, theirs = (cli("predict", wide / "m", wide / f"{name}.csv", "--json") for name in ("test", "whole"))
    assert ours.out == theirs.out
    assert lines_of(ours.out)[0]["time"] == [str(step) for step in range(1, 8)]
    rule = "series without time stamps that are shorter than the look-back of 14 steps continue the kept series"
    assert rule in ours.err
    assert cli("predict", wide / "m", wide / "train.csv", "--json").out == cli("predict", wide / "m", "--json").out
    ours, theirs = (cli("evaluate", wide / "m", wide / f"{name}.csv", "--json").json for name in ("test", "whole"))
    assert (ours["items"], ours["steps"], ours["mae"]) == (2, 14, theirs["mae"])


def test_an_evaluation_names_a_loss_first(cli: Run, long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = ("evaluate", long / "m", long / "train.csv")
    rival = cli(*evaluate, "--json").json["rival"]
    assert rival["name"]
    monkeypatch.setattr(DistributionTarget, "decode", lambda self, outputs, context: np.full((7, self.horizon), 1e3))
    done = cli(*evaluate)
    assert done.out.splitlines()[0].startswith("This model loses: owa ")
    assert rival["name"] in done.out.splitlines()[0]


def test_the_card_says_how_to_predict_and_how_live_windows_are_made(long: Path) -> None:
    card = (long / "m" / "README.md").read_text()
    assert "- live: the last 91 steps are kept, and a window is computed anew after each value" in card
    assert "\nrekur predict m\nrekur predict m FILE\nrekur stream m\n" in card


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────

SERIES = ("--time", "t", "--series", "y")


def write(path: Path, stamps: list[Any], values: list[Any]) -> Path:
    path.write_text("t,y\n" + "".join(f"{stamp},{value}\n" for stamp, value in zip(stamps, values, strict=True)))
    return path


def dates(first: str, count: int, step: int = 1) -> list[Any]:
    return [np.datetime64(first) + step * k for k in range(count)]


def season(count: int) -> list[float]:
    return [round(20 + 5 * np.sin(k * 2 * np.pi / 7) + k % 3, 3) for k in range(count)]


def refused(cli: Run, folder: Path, *words: Any) -> str:
    """Return what is said of files that cannot be used; nothing is left behind."""
    done = cli(*words)
    assert done.code == 2, done.out
    assert "Traceback" not in done.err
    assert not (folder / "out").exists()
    return done.err


def fit(file: Path, *options: Any) -> tuple[Any, ...]:
    return ("fit", "forecast", file, *options, "--out", file.parent / "out", *SMALL)


def test_a_series_of_three_steps(cli: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "three.csv", [0, 1, 2], [1, 2, 4])
    err = refused(cli, tmp_path, *fit(file, *SERIES, "--horizon", "1"))
    assert "steps of the longest series: got 3; expected 4 or more for any horizon, and a part of them validates" in err
    file = write(tmp_path / "long.csv", [*range(30)], season(30))
    err = refused(cli, tmp_path, *fit(file, *SERIES, "--horizon", "9", "--embargo", "20"))
    assert "horizon: got 9; expected 4 at most" in err
    assert cli(*fit(file, *SERIES, "--horizon", "4", "--embargo", "20")).code == 0


def test_mixed_frequencies(cli: Run, tmp_path: Path) -> None:
    stamps = dates("2024-01-01", 40) + dates("2024-02-16", 20, 7)
    err = refused(cli, tmp_path, *fit(write(tmp_path / "mixed.csv", stamps, season(60)), *SERIES, "--horizon", "3"))
    assert "mixed.csv, line " in err
    assert "a step of 1 week" in err
    assert "expected 1 day, as elsewhere" in err


def test_a_gap_longer_than_the_look_back(cli: Run, tmp_path: Path) -> None:
    stamps = dates("2024-01-01", 45) + dates("2024-03-06", 4)
    file = write(tmp_path / "gap.csv", stamps, season(49))
    done = cli(*fit(file, *SERIES, "--horizon", "3", "--lookback", "6"))
    assert done.code == 0, done.err
    assert "20 of 69 steps missing, first 2024-02-15" in done.err
    (line,) = lines_of(cli("predict", tmp_path / "out", "--json").out)
    assert line["time"][0] == "2024-03-10"
    assert all(10 < value < 40 for value in line["forecast"])
    assert "NaN" not in cli("evaluate", tmp_path / "out", file, "--rolling", "--stride", "1", "--json").out


def test_two_series_of_one_name(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "twice.csv"
    head = "V1," + ",".join(f"V{k}" for k in range(2, 42)) + "\n"
    file.write_text(head + "".join(f"{name}," + ",".join(map(str, season(40))) + "\n" for name in ("a", "b", "a")))
    err = refused(cli, tmp_path, *fit(file, "--horizon", "3"))
    assert "twice.csv, line 4: V1: got 'a'; expected another name; line 2 has it too" in err
    long = tmp_path / "long.csv"
    long.write_text("id,t,y\n" + "".join(f"a,{k},{y}\n" for k, y in enumerate(season(30))) * 2)
    err = refused(cli, tmp_path, *fit(long, "--group", "id", *SERIES, "--horizon", "3"))
    assert "line 32: t: got '0' of series 'a' again, as in line 2" in err


def test_a_time_zone_that_changes(cli: Run, tmp_path: Path) -> None:
    hours = np.datetime64("2024-03-29T00:00") + np.arange(72) * np.timedelta64(1, "h")
    stamps = [f"{hour}+01:00" for hour in hours[:50]] + [
        f"{hour + np.timedelta64(1, 'h')}+02:00" for hour in hours[50:]
    ]
    assert cli(*fit(write(tmp_path / "zone.csv", stamps, season(72)), *SERIES, "--horizon", "3")).code == 0
    newer = write(tmp_path / "newer.csv", ["2024-03-31T19:00-04:00"], [22])
    done = cli("predict", tmp_path / "out", newer, "--json")
    assert "series that continue their kept values." in done.err
    assert lines_of(done.out)[0]["time"][0] == "2024-03-31T20:00-04:00"
    local = write(tmp_path / "local.csv", [*hours[:40], *stamps[40:]], season(72))
    err = refused(cli, tmp_path / "none", *fit(local, *SERIES, "--horizon", "3", "--overwrite"))
    assert "line 42" in err
    assert "offset" in err


def test_last_rows_that_hold_future_covariates_must_be_as_many_as_the_horizon(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "promo.csv"
    rows = "".join(f"{k},{y},{k % 2}\n" for k, y in enumerate(season(40)))
    file.write_text("t,y,promo\n" + rows + "40,,1\n41,,0\n42,,1\n")
    columns = (*SERIES, "--future", "promo")
    err = refused(cli, tmp_path, *fit(file, *columns, "--horizon", "4"))
    assert "line 44: known horizon: got 3 rows behind the last value; expected 4, the steps to forecast" in err
    assert cli(*fit(file, *columns, "--horizon", "3")).code == 0
    newer = tmp_path / "newer.csv"
    newer.write_text("t,y,promo\n40,22,1\n41,,0\n42,,1\n43,,0\n")
    (whole,) = lines_of(cli("predict", tmp_path / "out", newer, "--json").out)
    assert whole["time"] == ["41", "42", "43"]
    events = b'{"value": 22, "time": 40, "promo": [1, 0, 1, 0]}\n{"value": 23, "promo": [0]}\n'
    live = cli("stream", tmp_path / "out", "--continue", "--json", stdin=events)
    first, second, _ = lines_of(live.out)
    np.testing.assert_allclose(first["tentative"]["forecast"], whole["forecast"], rtol=1e-6)
    assert ("waits_for" in first, second["tentative"]) == (False, None)
    assert second["waits_for"] == "'promo' is known at 2 of the 3 steps ahead"
    assert "23.0\tno forecast: 'promo' is known" in cli("stream", tmp_path / "out", "--continue", stdin=events).out
    for ahead, got in (("41,,0\n42,,1\n", "got 2 rows"), ("", "got 0 rows")):
        newer.write_text("t,y,promo\n40,22,1\n" + ahead)
        assert got in refused(cli, tmp_path / "none", "predict", tmp_path / "out", newer)
    assert cli("evaluate", tmp_path / "out", newer, "--json").json["steps"] == 1


def test_infinite_values(cli: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "good.csv", [*range(40)], season(40))
    assert cli(*fit(file, *SERIES, "--horizon", "3")).code == 0
    for value in ("inf", "-Infinity", "1e999"):
        newer = write(tmp_path / "infinite.csv", [40, 41], [20, value])
        err = refused(cli, tmp_path / "none", "predict", tmp_path / "out", newer)
        assert "infinite.csv, line 3: y" in err


def test_negative_values_under_a_logarithm(cli: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "good.csv", [*range(40)], season(40))
    assert cli(*fit(file, *SERIES, "--horizon", "3")).code == 0
    newer = write(tmp_path / "below.csv", [*range(40, 60)], [-value for value in season(20)])
    done = cli("predict", tmp_path / "out", newer, "--json")
    assert done.code == 0, done.err
    (line,) = lines_of(done.out)
    assert np.isfinite([*line["quantiles"].values()]).all()
    assert "below.csv: series have values below 0, but the model forecasts none." in done.err
    assert "NaN" not in cli("evaluate", tmp_path / "out", newer, "--json").out


def test_columns_that_training_found_are_those_of_other_files(cli: Run, tmp_path: Path) -> None:
    rows = [f"{np.datetime64('2024-01-01') + k},{k % 7 + k / 9:.2f}" for k in range(60)]
    (tmp_path / "train.csv").write_text("\n".join(["day,kwh", *rows]) + "\n")
    train = cli("fit", "forecast", tmp_path / "train.csv", "--horizon", "7", "--out", tmp_path / "m", *SMALL)
    assert train.code == 0, train.err
    (tmp_path / "new.csv").write_text("day,kwh,heat\n2024-03-01,4.1,20\n2024-03-02,5.2,21\n")
    newer = cli("predict", tmp_path / "m", tmp_path / "new.csv", "--json")
    assert newer.code == 0, newer.err
    assert "holds the time stamps" not in newer.err
    (line,) = lines_of(newer.out)
    assert (line["series"], line["time"][0]) == ("kwh", "2024-03-03")
    (tmp_path / "bad.csv").write_text("day,kwh\n2024-03-01,many\n")
    bad = cli("predict", tmp_path / "m", tmp_path / "bad.csv")
    assert (bad.code, bad.out) == (2, "")
    assert "bad.csv, line 2: kwh: got 'many'; expected a number" in bad.err


def test_forecasts_come_live_and_say_where_values_fall(cli: Run, long: Path, tmp_path: Path) -> None:
    rows = [line.split(",") for line in sales("north", 73, 9).splitlines()]
    rows.pop(4)
    events = [{"series": shop, "time": day, "value": float(value)} for shop, day, value in rows]
    (tmp_path / "new.csv").write_text("shop,day,sales\n" + "".join(",".join(row) + "\n" for row in rows))
    whole = json.loads(cli("predict", long / "m", tmp_path / "new.csv", "--json").out)
    told = "".join(json.dumps(event) + "\n" for event in events).encode()
    live = cli("stream", long / "m", "--continue", "--score", "--json", stdin=told)
    assert live.code == 0, live.err
    *updates, last = lines_of(live.out)
    assert [each["event"] for each in updates] == events
    assert updates[-1]["tentative"]["time"] == whole["time"]
    np.testing.assert_allclose(updates[-1]["tentative"]["forecast"], whole["forecast"], rtol=1e-6)
    assert all(0 <= each["quantile"] <= 1 and 0 <= each["probability"] <= 1 for each in updates)
    assert (last["finished"], last["steps"], last["final"]) == (True, 8, updates[-1]["tentative"])
    far = cli("stream", long / "m", "--continue", "--score", stdin=b'{"series": "north", "value": 900}\n\n4\n')
    assert far.code == 2
    assert "quantile 1" in far.out
    assert "— new sequence —" in far.out
    assert "standard input, line 3: event: series: got none; expected a name, as there are '007', 'north'" in far.err
    plain = cli("stream", long / "m", stdin=b'{"value": 4, "time": "2024-01-01"}\nNA\n4\n5 6\n')
    assert plain.out.splitlines() == ["2024-01-01 4.0", "NA", "4\t2024-01-04: 4 (4 – 4)"]
    assert "line 4: line: got '5 6'; expected a number" in plain.err
    for line, text in ((b"[4]", "a number"), (b'{"value": 1, "value": 2}', "each name once"), (b'{"a": 1', "a number")):
        assert f"expected {text}" in cli("stream", long / "m", stdin=line).err


def test_options_of_live_forecasts_are_refused_for_others(cli: Run, bundles: dict[str, Path], tmp_path: Path) -> None:
    for flag in ("--continue", "--score"):
        done = cli("stream", bundles["words"], flag, stdin=b"a\n")
        assert (done.code, done.out) == (2, "")
        assert f"{flag}: got it; expected none for a model of the task classify. It is for forecasts." in done.err
    (tmp_path / "train.csv").write_text("shop,day,sales\n" + sales("007", 0, 70))
    out = tmp_path / "m"
    train = cli(
        "fit", "forecast", tmp_path / "train.csv", *LONG, "--horizon", "7", "--out", out, "--no-history", *SMALL
    )
    assert train.code == 0, train.err
    done = cli("stream", out, "--continue", stdin=b"4\n")
    assert done.code == 2
    assert "keeps no series. Push earlier values." in done.err
