"""Reports: the answer, tables, plots and examples, in a single HTML file that opens offline."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rekur._files import write_file
from rekur._kernels import processors
from rekur._numbers import shown, shown_interval
from rekur._paths import check_file
from rekur._version import __version__
from rekur.metrics import METRICS
from rekur.runtime.examples import ShownItem
from rekur.study import figures
from rekur.study.page import Card, Head, is_report, notes_part, page, plots_part, repeat_part, table_part
from rekur.study.page_items import items_part
from rekur.targets.gallery import Attend, Gallery

#: scores that are drawn by step of the horizon, and the value that each is to have
_OF_STEPS = {"mae": "Mean absolute error", "coverage": "Share of values within the 95 % interval"}
_GOALS = {"coverage": 0.95}
#: a heading, the names of columns, and rows
Table = tuple[str, Sequence[str], Iterable[Sequence[Any]]]


def check_report(path: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise early the errors of :func:`write_report`; write nothing.

    Args:
        path: the HTML file to be written.
        inputs: input files, which are never replaced.

    Raises:
        InputError: the file exists and is not a report from Rekur.
        SaveError: there is no permission to write.
    """
    check_file(path, overwrite=is_report, kind="a report of Rekur's", inputs=inputs)


def write_report(
    path: Path,
    *,
    title: str,
    tables: Sequence[Table] = (),
    plots: Sequence[Figure] = (),
    small_plots: tuple[str, Sequence[Figure]] = ("", ()),
    details: Sequence[Table] = (),
    head: Head | None = None,
    wrong: Sequence[ShownItem] = (),
    unsure: Sequence[ShownItem] = (),
    notes: Sequence[str] = (),
    repeat: tuple[str, Sequence[tuple[str, str]]] | None = None,
) -> None:
    """Write a self-contained page.

    Args:
        path: the HTML file; it replaces a report from Rekur, but no other file.
        title: of the page.
        tables: (heading, column names, rows) of each table.
        plots: figures, inserted as SVG.
        small_plots: a heading, and figures that stand below it, three in a row where there is room.
        details: further tables, at the end.
        head: the question and the answer, with the rival.
        wrong: items that the model gets wrong, below the plots.
        unsure: items that it is unsure of.
        notes: the caveats.
        repeat: the command, which may be empty, and (name, value) pairs such as versions.

    Raises:
        InputError: the path is a folder, or a file that is not a report from Rekur.
        SaveError: the file cannot be written; an older one is unchanged.
    """
    parts = [table_part(*table) for table in tables]
    if plots:
        parts.append(plots_part(plots))
    if small_plots[1]:
        parts.append(plots_part(small_plots[1], small_plots[0], small=True))
    parts += examples_parts(wrong, unsure)
    if notes:
        parts.append(notes_part("What to keep in mind", notes))
    if repeat is not None:
        parts.append(repeat_part(*repeat))
    parts += [table_part(*table) for table in details]
    write_page(path, title, head, parts)


def write_page(path: Path, title: str, head: Head | None, parts: Sequence[str]) -> None:
    """Write a page of parts that are HTML already; see :func:`write_report`."""
    write_file(path, page(title, head, parts).encode("utf-8"), overwrite=is_report, kind="a report of Rekur's")


def examples_parts(
    wrong: Sequence[ShownItem], unsure: Sequence[ShownItem], model: str = "", drawn: Gallery | None = None
) -> list[str]:
    """Return the sections of items that are wrong, of those that the model is unsure of, and of those that are drawn.

    Args:
        wrong: the most surely wrong first.
        unsure: the least sure first.
        model: a sentence that names the model; may be empty.
        drawn: a gallery whose items are drawn; None for none.
    """
    parts = [items_part("Most surely wrong", wrong, model)] if wrong else []
    if unsure:
        parts.append(items_part("Most unsure, right or wrong", unsure, model))
    if drawn is not None:
        parts += [table_part(*table, note=model) for table in drawn.tables()]
        parts.append(plots_part(gallery_plots(drawn), "Examples", model))
    return parts


def machine_facts() -> list[tuple[str, str]]:
    """Return the versions and the machine of this process, as (name, value) pairs."""
    return [
        ("rekur", __version__),
        ("python", platform.python_version()),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("processors", str(processors())),
    ]


def answer_of(metrics: dict[str, Any], decides: str, question: str) -> Head | None:
    """Return the head of a page about a model: the score that decides, beside that of the rival on the same items.

    Args:
        metrics: what a model's ``evaluate`` returned.
        decides: name of the score; without it there is no head.
        question: that the page answers.
    """
    if decides not in metrics:
        return None
    rival, name, score = metrics.get("rival", {}), decides.replace("_", " "), metrics[decides]
    ends = metrics.get(f"{decides}_interval")
    below = f"95 % interval {shown_interval(ends)}" if ends else ""
    cards = [Card(f"this model, {name}", shown(score), below)]
    told = f"{name.capitalize()} {shown(score)}"
    if decides not in rival:
        return Head(question, f"{told}. No rival was scored on these items.", "", cards)
    cards.append(Card(f"rival, {name}", shown(rival[decides]), rival["name"], is_rival=True))
    lost = METRICS[decides].lost(rival[decides], score)
    told = f"{told}, against {shown(rival[decides])} of the rival ({rival['name']})"
    if lost == 0:
        return Head(question, f"{told}: this model scores as well as the rival.", "", cards)
    kind = "better" if lost < 0 else "worse"
    told = f"{told}: this model scores {kind}."
    low, high = ends or (math.inf, -math.inf)
    if low <= rival[decides] <= high:
        chance = "The rival's score lies within the interval: the difference may be chance."
        return Head(question, f"{told} {chance}", "", cards)
    return Head(question, told, kind, cards)


def gallery_plots(gallery: Gallery, attend: Attend | None = None) -> list[Figure]:
    """Return the plots of a gallery.

    Args:
        gallery: the gallery.
        attend: returns the attention of pairs of texts; None for plots without it.
    """
    grids = [] if attend is None else [figures.shades(*grid) for grid in gallery.grids(attend)]
    fans = [figures.fans([fan]) for fan in gallery.fans()]
    return [*(figures.points(*plot) for plot in gallery.plots()), *fans, *grids]


def model_plots(metrics: dict[str, Any], history: Sequence[dict[str, Any]], decides: str = "") -> list[Figure]:
    """Return the plots for which a model's metrics and history have data.

    Args:
        metrics: what ``evaluate`` returned.
        history: the rows of its training.
        decides: name of the score that is drawn over time; may be empty.
    """
    plots = []
    if "confusion" in metrics:
        plots.append(figures.confusion(metrics["confusion"], [c["label"] for c in metrics["per_class"]]))
    if "calibration" in metrics:
        plots.append(figures.calibration(metrics["calibration"], metrics["calibration_error"]))
    per_step = metrics.get("per_step", {})
    for name, title in _OF_STEPS.items():
        if name in per_step:
            is_share = METRICS[name].unit == "points"
            plots.append(figures.by_step(title, per_step[name], is_share=is_share, goal=_GOALS.get(name)))
    if history:
        plots.append(figures.learning_curves({"": history}, decides))
    return plots
