"""What pages and plots show of forecasts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur._calendar import SECOND, CalendarStep, StampForm
from rekur._history import History
from rekur.errors import InputError
from rekur.features.windows import Window
from rekur.study import figures
from rekur.study.page import svg
from rekur.study.plot_file import check_plot, is_plot, write_plot
from rekur.study.report import gallery_plots, model_plots
from rekur.targets.distribution import DistributionTarget
from rekur.targets.forecast_gallery import fan_of

LEVELS, H = (0.1, 0.5, 0.9), 4
TARGET = DistributionTarget(H, levels=LEVELS, unit=2.0)


def window(name: str = "a", origin: int = 40, steps: int = 44, **more: Any) -> Window:
    """Return a window of a series 0, 1, 2 …"""
    return Window(History(name, ("y",), np.arange(steps, dtype=float)[:, None], **more), 0, origin)


def quantiles(at: Window, error: float) -> Any:
    """Return a forecast that is too large by an error at each step."""
    middle = np.arange(at.origin, at.origin + H) + error
    return np.stack([middle - 1, middle, middle + 1])


def add(gallery: Any, at: Window, error: float, scale: float = 1.0) -> None:
    gallery.add(quantiles(at, error), at.truth(H), {"window": at, "level": 0.0, "scale": scale})


def test_the_worst_series_come_first_and_then_the_middle() -> None:
    gallery = TARGET.gallery()
    for number in range(9):
        add(gallery, window(f"s{number}"), number)
    add(gallery, window("s8", 30), 3.0)
    add(gallery, window("flat"), 3.0, scale=0.0)
    (table,) = gallery.tables()
    assert table.rows[:3] == [("s7", 1, 7.0, 7.0), ("s6", 1, 6.0, 6.0), ("s8", 2, 5.5, 5.5)]
    assert ("flat", 1, 3.0, 1.5) in table.rows
    titles = [fan.title for fan in gallery.fans()]
    assert titles[:3] == [f"s{number} from -3, MAE {number} (worst)" for number in (7, 6, 8)]
    assert len(titles) == 6
    assert all("middle" in title for title in titles[3:])
    assert gallery.worst() == []


def test_of_one_series_the_worst_origin_and_others_are_shown() -> None:
    gallery = TARGET.gallery()
    for origin, error in ((20, 1.0), (24, 9.0), (28, 2.0)):
        add(gallery, window(origin=origin), error)
    worst, *middle = gallery.fans()
    assert worst.past[-1] == 23
    assert worst.truth.tolist() == [24, 25, 26, 27]
    assert [fan.past[-1] for fan in middle] == [27, 19]


def test_a_window_without_truth_is_not_shown() -> None:
    gallery = TARGET.gallery()
    add(gallery, window(origin=44), 1.0)
    assert gallery.count == 1
    assert [*gallery.tables(), *gallery.fans()] == []


def test_times_are_dates_or_numbers_or_steps_behind_the_last() -> None:
    hour = 3600 * SECOND
    autumn = int(np.datetime64("2024-10-26T00:00", "ns").astype(int))
    form = StampForm("minute", clock="utc", offsets=((autumn, 7200), (autumn + 25 * hour, 3600)))
    dated = fan_of(window(start=autumn, step=CalendarStep("ns", hour), form=form), np.zeros((3, H)), LEVELS)
    assert (np.diff(dated.times) == np.timedelta64(1, "h")).all()
    assert str(dated.times[-H])[:16] == "2024-10-27T17:00"  # the clock at the origin
    numbered = fan_of(window(start=15, step=CalendarStep("number", 5, digits=1)), np.zeros((3, H)), LEVELS)
    assert numbered.times[-H:].tolist() == [21.5, 22.0, 22.5, 23.0]
    assert fan_of(window(origin=44), np.zeros((3, H)), LEVELS).times[-H:].tolist() == [1, 2, 3, 4]


def lines(figure: Any) -> dict[str, Any]:
    """Return the lines of the first panel by their labels."""
    return {str(line.get_label()): line for line in figure.axes[0].get_lines()}


def test_a_fan_begins_at_the_last_value_and_shows_gaps() -> None:
    at = window()
    at.history.values[30] = at.history.values[32] = np.nan
    figure = figures.fans([fan_of(at, quantiles(at, 1.0), LEVELS)])
    drawn = lines(figure)
    assert drawn["median"].get_ydata().tolist() == [39, 41, 42, 43, 44]
    assert drawn["truth"].get_ydata().tolist() == [40, 41, 42, 43]
    assert any(line.get_marker() == "." and line.get_ydata().tolist() == [31] for line in drawn.values())
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["past", "80 %", "median", "truth"]


def test_a_fan_without_truth_or_last_value_is_drawn() -> None:
    at = window(steps=40)
    at.history.values[39] = np.nan
    drawn = lines(figures.fans([fan_of(at, quantiles(at, 0.0)[:, :1], LEVELS)]))
    assert "truth" not in drawn
    assert drawn["median"].get_ydata().tolist() == [40]


def test_a_page_has_the_errors_by_step_and_the_fans() -> None:
    gallery = TARGET.gallery()
    add(gallery, window("<i>$a$ \x00"), 1.0)
    metrics = {"per_step": {"mae": [1.0, None, 2.0], "coverage": [0.9, None, 1.0], "smape": [1, 2, 3]}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots = [*gallery_plots(gallery), *model_plots(metrics, [])]
        shown = "".join(map(svg, plots))
    assert len(plots) == 3
    assert "&lt;i&gt;$a$" in shown
    assert "\x00" not in shown
    assert "Share of values within the 95 % interval by step of the horizon" in shown


@pytest.mark.parametrize("ending", [".png", ".svg", ".html", ".PNG"])
def test_a_plot_replaces_a_plot_and_nothing_else(ending: str, tmp_path: Path) -> None:
    path, fan = tmp_path / f"plot{ending}", fan_of(window(), np.zeros((3, H)), LEVELS)
    for _ in range(2):
        write_plot(path, "title", [fan])
    head = path.read_bytes()[:4096]
    assert is_plot(head) or ending == ".html"
    others = {".png": b"\x89PNG\r\n\x1a\n of a camera", ".svg": b"<svg></svg>", ".html": b"<!doctype html>mine"}
    path.write_bytes(others[ending.lower()])
    with pytest.raises(InputError, match="another file is there"):
        write_plot(path, "title", [fan])
    assert path.read_bytes() == others[ending.lower()]


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a file that ends in \.png, \.svg or \.html"):
        check_plot(tmp_path / "plot.pdf")
