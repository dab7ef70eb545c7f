"""Columns beside the values of series, from the shell: what is known ahead, what is missing, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run

from rekur import load
from rekur.cli.main import main
from rekur.tasks import load as load_trained

SMALL = ["--epochs", "1", "--hidden-size", "4", "--quiet", "--no-baseline"]
COLUMNS = ["--group", "shop", "--time", "day", "--series", "sales", "--future", "promo", "--past", "rain"]
STATIC = ["--static", "region"]
HEAD = "shop,day,sales,promo,rain,region\n"
H = 3


def days(shop: str, first: int, count: int, *, ahead: int = 0) -> str:
    """Return rows of a shop, the same for a day whatever the first is; the last ones without sales."""
    random = np.random.default_rng(len(shop))
    promo, rain = random.random(200) < 0.3, random.normal(2, 1, 200)
    region = {"a": "north", "bb": "south"}.get(shop, "south")
    rows = ""
    for k in range(first, first + count):
        sales = f"{20 + 5 * np.sin(k * 2 * np.pi / 7) + 4 * promo[k]:.3f}" if k < first + count - ahead else ""
        wet = "" if k % 11 == 0 else f"{rain[k]:.2f}"
        rows += f"{shop},{np.datetime64('2024-01-01') + k},{sales},{int(promo[k])},{wet},{region}\n"
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of two shops, whose promotions end with their sales, and with one without history."""
    folder = tmp_path_factory.mktemp("promo")
    (folder / "train.csv").write_text(HEAD + days("a", 0, 60) + days("bb", 2, 58))
    fit = ["fit", "forecast", str(folder / "train.csv"), *COLUMNS, *STATIC, "--horizon", str(H), *SMALL]
    assert main([*fit, "--out", str(folder / "m")]) == 0
    assert main([*fit, "--out", str(folder / "bare"), "--no-history"]) == 0
    return folder


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_is_known_ahead_is_asked_for_by_name(cli: Run, folder: Path) -> None:
    assert "rekur predict m FILE\n" in (folder / "m" / "README.md").read_text()
    assert "rekur predict m\n" not in (folder / "m" / "README.md").read_text()
    done = cli("predict", folder / "m", "--json")
    assert done.code == 2
    assert "series 'a': 'promo', which is known ahead: got nothing at 3 of the 3 steps to forecast" in done.err
    assert "first at 2024-03-01; expected a value at each. Add rows behind the last value that have it" in done.err
    (folder / "two.csv").write_text(HEAD + days("a", 50, 12, ahead=2))
    done = cli("predict", folder / "m", folder / "two.csv", "--json")
    assert done.code == 2
    assert "known horizon of series 'a': got 2 rows behind the last value; expected 3" in done.err


def test_rows_without_a_value_are_the_horizon(cli: Run, folder: Path) -> None:
    (folder / "ahead.csv").write_text(HEAD + days("a", 60, H, ahead=H) + days("bb", 60, H, ahead=H))
    (folder / "whole.csv").write_text(HEAD + days("a", 0, 63, ahead=H) + days("bb", 2, 61, ahead=H))
    ours, theirs = (cli("predict", folder / "m", folder / name, "--json") for name in ("ahead.csv", "whole.csv"))
    assert ours.code == 0, ours.err
    assert "ahead.csv: series that continue their kept values: a, bb." in ours.err
    assert ours.out == theirs.out
    assert lines_of(ours.out)[0]["time"] == ["2024-03-01", "2024-03-02", "2024-03-03"]
    text = (folder / "whole.csv").read_text()
    lines = text.splitlines(keepends=True)
    shop, day, sales, promo, rest = lines[61].split(",", 4)
    lines[61] = ",".join([shop, day, sales, str(1 - int(promo)), rest])
    (folder / "other.csv").write_text("".join(lines))
    other, first = (lines_of(done.out) for done in (cli("predict", folder / "m", folder / "other.csv", "--json"), ours))
    assert other[0]["forecast"] != first[0]["forecast"]
    assert other[1]["forecast"] == first[1]["forecast"]


def test_rows_without_a_value_of_other_series_are_refused(cli: Run, folder: Path) -> None:
    (folder / "new.csv").write_text(HEAD + days("ccc", 60, H, ahead=H))
    done = cli("predict", folder / "m", folder / "new.csv")
    assert done.code == 2
    assert "new.csv, line 2: series 'ccc': got 0 values; expected 2 or more" in done.err
    (folder / "late.csv").write_text(HEAD + days("a", 62, H, ahead=H))
    done = cli("predict", folder / "m", folder / "late.csv")
    assert done.code == 2
    assert "'promo', which is known ahead: got nothing at 2 of the 3 steps to forecast, first at 2024-03-01" in done.err


def test_categories_are_those_of_training_also_without_history(cli: Run, folder: Path) -> None:
    (folder / "one.csv").write_text(HEAD + days("a", 30, 30 + H, ahead=H))
    done = cli("predict", folder / "bare", folder / "one.csv", "--json")
    assert done.code == 0, done.err
    (folder / "west.csv").write_text((folder / "one.csv").read_text().replace("north", "west"))
    for bundle in ("bare", "m"):
        done = cli("predict", folder / bundle, folder / "west.csv")
        assert done.code == 2
        assert "west.csv, line 2: region: got 'west'; expected one of 'north', 'south', as in training" in done.err


def test_the_engine_the_network_and_what_was_loaded_agree(folder: Path) -> None:
    text = (HEAD + days("a", 0, 63, ahead=H)).splitlines()
    names, *rows = (line.split(",") for line in text)
    table = {name: [row[k] or None for row in rows] for k, name in enumerate(names)}
    table |= {name: [None if x is None else float(x) for x in table[name]] for name in ("sales", "promo", "rain")}
    ours, theirs = load(folder / "m").predict(table), load_trained(folder / "m").predict(table)
    assert ours.shape == (1, H)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_all_origins_are_scored_with_what_was_known_ahead(cli: Run, folder: Path) -> None:
    (folder / "next.csv").write_text(HEAD + days("a", 60, 9) + days("bb", 60, 9))
    rolled = cli("evaluate", folder / "m", folder / "next.csv", "--rolling", "--stride", "1", "--json")
    assert rolled.code == 0, rolled.err
    assert rolled.json["steps"] == 2 * 7 * H


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────


def refused(cli: Run, folder: Path, text: str, *options: str) -> str:
    """Return what is said of a file that cannot be trained on; nothing is left behind."""
    file = folder / "bad.csv"
    file.write_text(HEAD + text)
    done = cli("fit", "forecast", file, *COLUMNS, *options, "--horizon", H, "--out", folder / "out", *SMALL)
    assert done.code == 2, done.out
    assert "Traceback" not in done.err
    assert not (folder / "out").exists()
    return done.err


def test_a_covariate_that_is_missing_in_the_future(cli: Run, tmp_path: Path) -> None:
    text = days("a", 0, 43, ahead=H)
    lines = text.splitlines()
    cells = lines[41].split(",")
    lines[41] = ",".join([*cells[:3], "", *cells[4:]])
    err = refused(cli, tmp_path, "\n".join(lines) + "\n")
    assert "line 43: promo of series 'a' at 2024-02-11: got nothing; expected a value in each row behind" in err


def test_a_text_among_numbers(cli: Run, tmp_path: Path) -> None:
    lines = days("a", 0, 43).splitlines()
    cells = lines[20].split(",")
    for column, name in ((3, "promo"), (4, "rain")):
        wrong = [*lines[:20], ",".join([*cells[:column], "some", *cells[column + 1 :]]), *lines[21:]]
        err = refused(cli, tmp_path, "\n".join(wrong) + "\n")
        assert f"line 22: {name}: got 'some'; expected a number" in err
        infinite = [line.replace("some", "inf") for line in wrong]
        assert f"line 22: {name}" in refused(cli, tmp_path, "\n".join(infinite) + "\n")


def test_a_static_value_that_changes_within_a_series(cli: Run, tmp_path: Path) -> None:
    lines = days("a", 0, 43).splitlines()
    lines[20] = lines[20].replace("north", "south")
    err = refused(cli, tmp_path, "\n".join(lines) + "\n", *STATIC)
    assert "line 22: region" in err
    assert "of series 'a': got another value than in line 2; expected one value in all rows of a series." in err


def test_a_constant_covariate_is_said_and_not_read(cli: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "flat.csv", tmp_path / "m"
    lines = [line.split(",") for line in days("a", 0, 43, ahead=H).splitlines()]
    forecasts = []
    for promo in ("1", "7"):  # the horizon alone differs
        rows = [[*cells[:3], "1" if k < 40 else promo, *cells[4:]] for k, cells in enumerate(lines)]
        file.write_text(HEAD + "".join(",".join(cells) + "\n" for cells in rows))
        done = cli("fit", "forecast", file, *COLUMNS, "--horizon", H, "--out", out, *SMALL[:4], "--overwrite")
        assert done.code == 0, done.err
        assert "warning: 'promo' is always the same before the first origin, and so not read." in done.err
        forecasts.append(cli("predict", out, "--json").out)
    assert forecasts[0] == forecasts[1]


def test_other_columns_than_in_training_are_refused(cli: Run, folder: Path) -> None:
    (folder / "more.csv").write_text(HEAD + days("a", 30, 30 + H, ahead=H))
    done = cli("predict", folder / "m", folder / "more.csv", "--future", "rain", "--past", "promo")
    assert done.code == 2
    assert "got" in done.err
    assert "Traceback" not in done.err


def test_static_texts_of_series_in_rows(cli: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "rows.csv", tmp_path / "m"
    values = [[f"{10 + shop + k % 5 + k % 3}" for k in range(40)] for shop in range(4)]
    head = ["name", "kind", *(f"v{k}" for k in range(40))]
    rows = [[f"s{shop}", "big" if shop > 1 else "small", *row] for shop, row in enumerate(values)]
    file.write_text("\n".join(",".join(row) for row in [head, *rows]) + "\n")
    columns = ["--id", "name", "--values", "v0..v39", "--static", "kind"]
    done = cli("fit", "forecast", file, *columns, "--horizon", "3", "--out", out, *SMALL[:4])
    assert done.code == 0, done.err
    assert "static: 'kind=big', 'kind=small'" in done.err
    assert len(lines_of(cli("predict", out, "--json").out)) == 4
    file.write_text(file.read_text().replace("small", "tiny"))
    done = cli("predict", out, file)
    assert done.code == 2
    assert "rows.csv, line 2: kind: got 'tiny'; expected one of 'big', 'small', as in training" in done.err
