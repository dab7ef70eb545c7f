"""``rekur fit forecast``, ``predict`` and ``evaluate`` from the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run

from rekur.cli.main import main

SMALL = ["--epochs", "2", "--hidden-size", "4", "--quiet"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of 70 days with a season of a week, the second from a later day on."""
    random = np.random.default_rng(0)
    rows = ["shop,day,sales"]
    first = np.datetime64("2024-01-01")
    for shop, start in (("007", 0), ("north", 3)):
        for step in range(70):
            sales = 20 + 5 * np.sin(2 * np.pi * (start + step) / 7) + random.normal(0, 0.3)
            rows.append(f"{shop},{first + start + step},{sales:.3f}")
    path = tmp_path_factory.mktemp("series") / "sales.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def bundle(table: Path) -> Path:
    out = table.parent / "m"
    columns = ["--group", "shop", "--time", "day", "--series", "sales"]
    assert main(["fit", "forecast", str(table), *columns, "--horizon", "7", "--out", str(out), *SMALL]) == 0
    return out


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_forecast_goes_on_from_the_end_of_each_series(cli: Run, bundle: Path, table: Path) -> None:
    done = cli("predict", bundle, "--json")
    assert done.code == 0, done.err
    first, second = lines_of(done.out)
    assert list(first) == ["series", "time", "forecast", "quantiles"]
    assert (first["series"], second["series"]) == ("007", "north")
    assert first["time"] == [f"2024-03-{day}" for day in range(11, 18)]
    assert second["time"][0] == "2024-03-14"
    assert list(first["quantiles"]) == ["0.025", "0.1", "0.25", "0.5", "0.75", "0.9", "0.975"]
    bands = np.array(list(first["quantiles"].values()))
    assert (np.diff(bands, axis=0) >= 0).all()
    assert first["quantiles"]["0.5"] == first["forecast"]
    assert 10 < min(first["forecast"]) < max(first["forecast"]) < 30
    assert cli("predict", bundle, table, "--json").out == done.out


def test_csv_has_a_row_a_step(cli: Run, bundle: Path) -> None:
    done = cli("predict", bundle)
    head, *rows = done.out.splitlines()
    assert head == "series,time,forecast,0.025,0.1,0.25,0.5,0.75,0.9,0.975"
    assert len(rows) == 14
    assert rows[0].startswith("007,2024-03-11,")


def test_without_history_a_prediction_needs_a_file(cli: Run, table: Path, tmp_path: Path) -> None:
    columns = ["--group", "shop", "--time", "day"]
    fit = cli("fit", "forecast", table, *columns, "--out", tmp_path / "m", "--no-history", *SMALL)
    assert fit.code == 0, fit.err
    assert not (tmp_path / "m" / "series.json").exists()
    done = cli("predict", tmp_path / "m", "--json")
    assert done.code == 2
    assert "FILE: got none; expected a file with the last values of each series" in done.err
    assert len(lines_of(cli("predict", tmp_path / "m", table, "--json").out)) == 2


def test_an_evaluation_scores_the_last_horizon_or_rolls(cli: Run, bundle: Path, table: Path) -> None:
    last = cli("evaluate", bundle, table, "--json").json
    assert (last["items"], last["steps"]) == (2, 14)
    assert {"smape", "mase", "owa", "rmse", "mae", "pinball", "crps", "coverage", "width", "per_step"} <= set(last)
    assert len(last["per_step"]["mae"]) == 7
    assert last["rival"]["name"]
    rolled = cli("evaluate", bundle, table, "--rolling", "--stride", "1", "--json").json
    assert rolled["items"] > 20
    done = cli("evaluate", bundle, table, "--stride", "1")
    assert done.code == 2
    assert "--stride: got 1; expected none without --rolling" in done.err


def test_the_table_of_scores_names_rivals_and_a_loss(cli: Run, table: Path, tmp_path: Path) -> None:
    columns = ["--group", "shop", "--time", "day", "--series", "sales"]
    done = cli("fit", "forecast", table, *columns, "--horizon", "7", "--out", tmp_path / "m", "--epochs", "1")
    assert done.code == 0, done.err
    assert "repeat last" in done.out
    assert "seasonal naive 7" in done.out
    assert "2 series of 70 steps; seasons of 7 steps" in done.err
    assert "░" in done.err


def test_columns_beside_the_values_are_read_and_told(cli: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "promo.csv", tmp_path / "m"
    random = np.random.default_rng(0)
    rows, ahead = [], []
    for shop, size, step in ((shop, size, step) for shop, size in (("a", 3), ("b", 9)) for step in range(80)):
        promo = int(random.random() < 0.3)
        rows.append(f"{shop},{step},{10 + size + 6 * promo},{promo},{size},5\n")
        ahead.append(f"{shop},{step},,{promo},{size},5\n")
    head = "shop,t,y,promo,size,tax\n"
    file.write_text(head + "".join([*rows[:76], *ahead[76:80], *rows[80:156], *ahead[156:]]))
    columns = ["--group", "shop", "--time", "t", "--series", "y", "--future", "promo", "--static", "size"]
    fit = ["fit", "forecast", file, *columns, "--past", "tax", "--horizon", "4", "--out", out, "--lookback", "8"]
    done = cli(*fit, "--epochs", "20", "--hidden-size", "8", "--no-baseline", "--learning-rate", "0.02")
    assert done.code == 0, done.err
    assert "known until now: 'tax'; known ahead: 'promo'; static: 'size'" in done.err
    assert "warning: 'tax' is always the same before the first origin, and so not read." in done.err
    first, second = lines_of(cli("predict", out, "--json").out)
    promos = np.array([float(row.split(",")[3]) for row in [*ahead[76:80], *ahead[156:]]])
    forecasts = np.array([*first["forecast"], *second["forecast"]])
    assert first["time"] == ["76", "77", "78", "79"]
    assert np.corrcoef(forecasts - np.repeat([13, 19], 4), promos)[0, 1] > 0.8


def bad(cli: Run, tmp_path: Path, text: str, *options: str) -> str:
    """Return what is said of a file that cannot be trained on; nothing is left behind."""
    file = tmp_path / "bad.csv"
    file.write_text(text)
    done = cli("fit", "forecast", file, *options, "--out", tmp_path / "m", *SMALL)
    assert done.code == 2, done.out
    assert "Traceback" not in done.err
    assert not (tmp_path / "m").exists()
    return done.err


def rows(values: list[Any], name: str = "a") -> str:
    return "".join(f"{name},{step},{value}\n" for step, value in enumerate(values))


SERIES = ("--group", "id", "--time", "t", "--series", "y")
HEAD = "id,t,y\n"


def test_a_horizon_longer_than_the_series(cli: Run, tmp_path: Path) -> None:
    err = bad(cli, tmp_path, HEAD + rows([*range(30)]), *SERIES, "--horizon", "40")
    assert "horizon: got 40; expected 14 at most, as the longest series has 30 steps" in err


def test_a_series_of_one_value(cli: Run, tmp_path: Path) -> None:
    err = bad(cli, tmp_path, HEAD + rows([*range(30)]) + rows([4], "b"), *SERIES, "--horizon", "3")
    assert "'b'" in err
    assert "1 value" in err


def test_infinite_values_and_texts(cli: Run, tmp_path: Path) -> None:
    for value in ("inf", "many"):
        err = bad(cli, tmp_path, HEAD + rows([*range(20), value, *range(9)]), *SERIES, "--horizon", "3")
        assert "line 22" in err
        assert value in err


def test_a_value_whose_square_is_no_number_is_named(cli: Run, tmp_path: Path) -> None:
    err = bad(cli, tmp_path, HEAD + rows([*range(20), 1e300, *range(9)]), *SERIES, "--horizon", "3")
    assert "bad.csv, line 22: y of series 'a' at 20: got 1e+300; expected a number from -1e+30 to 1e+30" in err
    file = tmp_path / "lists.jsonl"
    file.write_text(json.dumps({"id": "x", "y": [*range(12), -2e30]}) + "\n")
    done = cli("fit", "forecast", file, "--id", "id", "--series", "y", "--horizon", "3", "--out", tmp_path / "m")
    assert done.code == 2
    assert "lists.jsonl, line 1: y of series 'x' at step 13: got -2e+30" in done.err


def test_the_look_back_is_that_which_was_asked_for(cli: Run, table: Path, tmp_path: Path) -> None:
    columns = ["--group", "shop", "--time", "day", "--series", "sales", "--horizon", "7", "--lookback", "9"]
    done = cli("fit", "forecast", table, *columns, "--out", tmp_path / "m", "--epochs", "1", "--hidden-size", "4")
    assert done.code == 0, done.err
    assert "seasons of 7 steps; 9 steps forecast 7" in done.err
    features = json.loads((tmp_path / "m" / "features" / "features.json").read_text())
    assert features["options"]["lookback"] == features["learnt"]["plain"]["lookback"] == 9


def test_series_that_are_mostly_zeros_are_named_and_scored_by_mase(cli: Run, tmp_path: Path) -> None:
    file, values = tmp_path / "parts.csv", [step % 4 if step % 3 == 0 else 0 for step in range(60)]
    file.write_text(HEAD + rows(values, "screws") + rows([step % 12 + 1 for step in range(60)], "nails"))
    done = cli("fit", "forecast", file, *SERIES, "--horizon", "3", "--out", tmp_path / "m", *SMALL[:-1])
    assert done.code == 0, done.err
    assert "warning: 'screws' is mostly zeros: read MASE" in done.err
    assert '"decides": "mase"' in (tmp_path / "m" / "config.json").read_text()


def test_a_constant_series_and_one_of_zeros(cli: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "flat.csv", tmp_path / "m"
    usual = [20 + step % 5 + step % 3 for step in range(40)]
    file.write_text(HEAD + rows([7] * 40, "flat") + rows([0] * 40, "none") + rows(usual, "usual"))
    done = cli("fit", "forecast", file, *SERIES, "--horizon", "3", "--out", out, *SMALL, "--json")
    assert done.code == 0, done.err
    flat, none, _ = lines_of(cli("predict", out, "--json").out)
    assert flat["forecast"] == flat["quantiles"]["0.025"] == [7, 7, 7]
    assert none["forecast"] == [0, 0, 0]
    done = cli("evaluate", out, file)
    assert "MASE leaves out 2 items" in done.out
    assert "each season exactly.\n" in done.out
    assert "nan" not in done.out
    for text in (done.out, cli("evaluate", out, file, "--json").out):
        assert "NaN" not in text
        assert "Infinity" not in text


def test_a_short_series_beside_long_ones_is_forecast(cli: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "short.csv", tmp_path / "m"
    file.write_text(HEAD + rows([step % 7 + 10 for step in range(60)]) + rows([40, 41, 40, 41, 40], "c"))
    done = cli("fit", "forecast", file, *SERIES, "--horizon", "7", "--out", out, *SMALL[:-1])
    assert "'c' is shorter than 14 steps: those before count as missing" in done.err
    _, short = lines_of(cli("predict", out, "--json").out)
    assert short["time"] == [str(step) for step in range(5, 12)]
    assert 30 < min(short["forecast"]) < max(short["forecast"]) < 50
