"""``rekur predict --plot`` and pages of ``rekur evaluate --report`` for forecasts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.e2e.conftest import SMALL, Run

from rekur.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a wide table of 15 series of 60 days, and a model of it."""
    folder = tmp_path_factory.mktemp("plots")
    random = np.random.default_rng(0)
    names = [f"s{number}" for number in range(15)]
    rows = [",".join(["day", *names])]
    for step in range(60):
        values = 20 + 5 * np.sin(2 * np.pi * step / 7) + random.normal(0, 0.5, len(names))
        rows.append(f"{np.datetime64('2024-01-01') + step}," + ",".join(f"{value:.2f}" for value in values))
    (folder / "days.csv").write_text("\n".join(rows) + "\n")
    fit = ["fit", "forecast", str(folder / "days.csv"), "--time", "day", "--horizon", "7", "--out", str(folder / "m")]
    assert main([*fit, *SMALL, "--no-baseline"]) == 0
    return folder


def test_the_first_series_is_drawn_or_those_that_are_named(cli: Run, folder: Path, tmp_path: Path) -> None:
    plain = cli("predict", folder / "m", "--json")
    done = cli("predict", folder / "m", "--json", "--plot", tmp_path / "p.html")
    assert (done.code, done.out) == (0, plain.out)
    assert f"Plot in {tmp_path / 'p.html'}." in done.err
    page = (tmp_path / "p.html").read_text()
    assert ("Forecasts of s0" in page, page.count("<svg")) == (True, 1)
    named = ["--plot-series", "s3", "--plot-series", "s12"]
    done = cli("predict", folder / "m", folder / "days.csv", "--plot", tmp_path / "p.html", *named)
    assert done.code == 0, done.err
    page = (tmp_path / "p.html").read_text()
    assert ("Forecasts of s3, s12" in page, page.count("<svg")) == (True, 4)
    assert page.index("s3, from 2024-02-23, with what came true") < page.index("s12, from 2024-02-23")


def test_newer_rows_alone_are_the_truth_of_an_earlier_forecast(cli: Run, folder: Path, tmp_path: Path) -> None:
    head = (folder / "days.csv").read_text().splitlines()[0]
    rows = [f"{np.datetime64('2024-03-01') + step}," + ",".join(["21"] * 15) for step in range(3)]
    (tmp_path / "next.csv").write_text("\n".join([head, *rows]) + "\n")
    done = cli("predict", folder / "m", tmp_path / "next.csv", "--plot", tmp_path / "p.html")
    assert done.code == 0, done.err
    page = (tmp_path / "p.html").read_text()
    assert ("s0, from 2024-03-01, with what came true" in page, page.count("<svg")) == (True, 2)


def test_a_plot_has_twelve_forecasts_at_most(cli: Run, folder: Path, tmp_path: Path) -> None:
    names = [word for number in range(15) for word in ("--plot-series", f"s{number}")]
    done = cli("predict", folder / "m", "--plot", tmp_path / "p.svg", *names)
    assert "The first 12 of 15 forecasts are drawn." in done.err
    assert (tmp_path / "p.svg").read_bytes().startswith(b"<svg")


def test_what_cannot_be_drawn_is_refused(cli: Run, folder: Path, tmp_path: Path) -> None:
    done = cli("predict", folder / "m", "--plot", tmp_path / "p.png", "--plot-series", "s99")
    assert done.code == 2
    assert "--plot-series: got 's99'; expected the name of a series that was forecast." in done.err
    assert len(done.out.splitlines()) == 1 + 15 * 7
    for path in (tmp_path / "p.pdf", folder / "days.csv"):
        done = cli("predict", folder / "m", folder / "days.csv", "--plot", path)
        assert (done.code, done.out) == (2, "")
        assert "ends in .png, .svg or .html" in done.err
    done = cli("predict", folder / "m", "--plot-series", "s1")
    assert done.code == 2
    assert "--plot-series: got 's1'; expected none without --plot." in done.err
    assert not [*tmp_path.iterdir()]


def test_models_of_other_tasks_draw_nothing(
    cli: Run, bundles: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    done = cli("predict", bundles["words"], files["reviews"], "--plot", tmp_path / "p.png")
    assert (done.code, done.out) == (2, "")
    assert "--plot: got it; expected none for a model of the task classify." in done.err


def test_a_report_shows_forecasts(cli: Run, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    done = cli("evaluate", folder / "m", folder / "days.csv", "--rolling", "--report", page)
    assert done.code == 0, done.err
    text = page.read_text()
    assert "Series with the largest errors" in text
    assert text.count("(worst)") == text.count("(in the middle)") == 3
    assert "Mean absolute error by step of the horizon" in text
    assert "Most unsure" not in text  # forecasts are drawn, not listed
