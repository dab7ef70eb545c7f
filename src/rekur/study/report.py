"""A report of one model: scores, plots and training, in a single HTML file that opens offline."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rekur._files import write_file
from rekur._numbers import shown_interval
from rekur._paths import check_file
from rekur.metrics import METRICS
from rekur.study import figures
from rekur.study.page import Answer, Worst, answer_part, is_report, page, plots_part, table_part, worst_part
from rekur.targets.gallery import Attend, Gallery

#: scores that are drawn by step of the horizon
_OF_STEPS = {"mae": "Mean absolute error", "coverage": "Share of values within the widest interval"}
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
    tables: Sequence[Table],
    plots: Sequence[Figure],
    details: Sequence[Table] = (),
    answer: Answer | None = None,
    worst: Worst | None = None,
) -> None:
    """Write a self-contained page.

    Args:
        path: the HTML file; it replaces a report from Rekur, but no other file.
        title: of the page.
        tables: (heading, column names, rows) of each table.
        plots: figures, inserted as SVG.
        details: further tables, at the end.
        answer: the score that decides, with the rival, at the head of the page.
        worst: items that the model gets wrong, below the plots.

    Raises:
        InputError: the path is a folder, or a file that is not a report from Rekur.
        SaveError: the file cannot be written; an older one is unchanged.
    """
    parts = [] if answer is None else [answer_part(answer)]
    parts += [table_part(*table) for table in tables]
    if plots:
        parts.append(plots_part(plots))
    if worst is not None and worst.items:
        parts.append(worst_part(worst))
    parts += [table_part(*table) for table in details]
    write_file(path, page(title, parts).encode("utf-8"), overwrite=is_report, kind="a report of Rekur's")


def answer_of(metrics: dict[str, Any], decides: str) -> Answer | None:
    """Return the score that decides, with that of the rival on the same items; None where it is missing.

    Args:
        metrics: what a model's ``evaluate`` returned.
        decides: name of the score.
    """
    if decides not in metrics:
        return None
    rival = metrics.get("rival", {})
    answer = Answer(decides, metrics[decides], shown_interval(metrics.get(f"{decides}_interval")))
    if decides not in rival:
        return answer
    lost = METRICS[decides].lost(rival[decides], metrics[decides])
    is_better = None if lost == 0 else lost < 0
    low, high = metrics.get(f"{decides}_interval") or (math.inf, -math.inf)
    return answer._replace(
        rival=rival["name"],
        rival_score=rival[decides],
        is_better=is_better,
        may_be_chance=is_better is not None and low <= rival[decides] <= high,
    )


def gallery_plots(gallery: Gallery, attend: Attend | None = None) -> list[Figure]:
    """Return the plots of a gallery.

    Args:
        gallery: the gallery.
        attend: returns the attention of pairs of texts; None for plots without it.
    """
    grids = [] if attend is None else [figures.shades(*grid) for grid in gallery.grids(attend)]
    fans = [figures.fans([fan]) for fan in gallery.fans()]
    return [*(figures.points(*plot) for plot in gallery.plots()), *fans, *grids]


def model_plots(metrics: dict[str, Any], history: Sequence[dict[str, Any]]) -> list[Figure]:
    """Return the plots for which a model's metrics and history have data."""
    plots = []
    if "confusion" in metrics:
        plots.append(figures.confusion(metrics["confusion"], [c["label"] for c in metrics["per_class"]]))
    if "calibration" in metrics:
        plots.append(figures.calibration(metrics["calibration"], metrics["calibration_error"]))
    per_step = metrics.get("per_step", {})
    for name, title in _OF_STEPS.items():
        if name in per_step:
            plots.append(figures.by_step(title, per_step[name], is_share=METRICS[name].unit == "points"))
    if history:
        names = ("valid_loss", "valid_accuracy", "valid_entity_f1", "valid_micro_f1", "valid_rmse", "valid_bleu")
        scored = [name for name in names if name in history[0]] or ["train_loss"]  # of a text learnt by heart
        plots += [figures.learning_curves({"this model": history}, name) for name in scored]
    return plots
