"""The plots of a comparison: learning curves with bands over seeds, and scores over what they cost.

Axes: R runs of a variant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rekur.study.comparison import ComparisonResult
from rekur.study.costs import Costs, Rows, followed_score
from rekur.study.figures import COLOURS, INK, line_label, new_figure

#: width and height of a plot in inches, so that letters stay readable on a telephone
_WIDTH, _HEIGHT = 4.7, 3.3
#: variants that a plot names
_MOST_NAMED = 8
_LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 9.5, "loc": "outside lower center", "columnspacing": 1.4}
#: marks of variants, so that one is seen behind another
_MARKERS = "osD^vPX"


def curves(result: ComparisonResult) -> list[Figure]:
    """Return the learning curves: the loss of training and validation in one plot, and the validation score.

    A line is the mean over seeds, and the band about it reaches from the lowest run to the highest.
    """
    name, _ = followed_score(result.histories.values(), result.metric, larger_is_better=result.larger_is_better)
    losses = (("train_loss", "--"), ("valid_loss", "-"))
    panels: list[tuple[str, str, tuple[tuple[str, str], ...]]] = [("Loss", "loss", losses)]
    if name != "valid_loss":
        panels.append(("Validation", name.removeprefix("valid_").replace("_", " "), ((name, "-"),)))
    return [_curves(result, *panel) for panel in panels]


def _curves(result: ComparisonResult, title: str, label: str, columns: Sequence[tuple[str, str]]) -> Figure:
    figure, axes = new_figure(_WIDTH, _HEIGHT)
    drawn: list[Any] = []
    for number, variant in enumerate(result.variants):
        runs = [rows for (which, _), rows in result.histories.items() if which == number]
        for column, style in columns:
            band = band_of(runs, column)
            if band is None:
                continue
            x, low, mean, high = band
            colour = COLOURS[number % len(COLOURS)]
            marker = "o" if len(x) == 1 else ""
            (line,) = axes.plot(x, mean, style, color=colour, linewidth=1.6, marker=marker, markersize=4)
            if style == "-":
                line.set_label(line_label(variant.name))
                drawn.append(line)
                axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
    handles = drawn[:_MOST_NAMED]
    if len(columns) > 1:
        handles += [
            axes.plot([], [], style, color="0.5", label=name)[0]
            for name, style in (("training", "--"), ("validation", "-"))
        ]
    rival = (result.rival or {}).get(result.metric)
    if len(columns) == 1 and rival is not None and result.split != "test":  # of other items it is no goal here
        handles.append(axes.axhline(rival, color=INK, linestyle=":", linewidth=1.2, label="rival"))
    figure.legend(handles=handles, ncols=_columns(len(handles)), **_LEGEND)
    axes.grid(axis="y", color=INK, alpha=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=7))
    axes.set(xlabel="epoch", ylabel=label, title=title)
    return figure


def band_of(runs: Sequence[Rows], column: str) -> tuple[Any, Any, Any, Any] | None:
    """Return the mean and the extremes of a column over runs, as far as half of them go.

    Args:
        runs: the rows of each, R.
        column: such as ``valid_loss``.

    Returns:
        epochs (E,), the lowest value, the mean and the highest (E,); None where no run has a value.

    Example:
        >>> runs = [[{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}], [{"epoch": 1, "loss": 4.0}]]
        >>> [each.tolist() for each in band_of(runs, "loss")]
        [[1.0, 2.0], [2.0, 1.0], [3.0, 1.0], [4.0, 1.0]]
    """
    lines = [[(row["epoch"], row[column]) for row in rows if _is_number(row.get(column))] for rows in runs]
    lines = [line for line in lines if line]
    points = []
    for number in range(max(map(len, lines), default=0)):
        there = [line[number] for line in lines if len(line) > number]
        if 2 * len(there) < len(lines):
            break
        epochs, values = np.array(there, dtype=float).T
        points.append((epochs.mean(), values.min(), values.mean(), values.max()))
    return tuple(np.array(points).T) if points else None


def _columns(entries: int) -> int:
    """Return the columns of a legend, so that its last line is as long as the others, or nearly."""
    return entries if entries <= 4 else -(-entries // -(-entries // 4))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def scores_by_cost(result: ComparisonResult) -> list[Figure]:
    """Return the score of each variant with its interval, over the time of training, the size and the latency."""
    of_steps = all(result.costs(number).step_seconds is not None for number in result.ranked())
    costs: list[tuple[str, str, float, Callable[[Costs], float | None]]] = [
        ("Time to train", "seconds", 1.0, lambda each: each.seconds),
        ("Size", "bundle, kB", 1e-3, lambda each: each.bundle_bytes),
        ("Latency", "a step, µs", 1e6, lambda each: each.step_seconds)
        if of_steps
        else ("Latency", "an item, ms", 1e3, lambda each: each.item_seconds),
    ]
    return [figure for cost in costs if (figure := _score_by(result, *cost)) is not None]


def _score_by(
    result: ComparisonResult, title: str, name: str, scale: float, cost: Callable[[Costs], float | None]
) -> Figure | None:
    points = [
        (number, scale * value) for number in result.ranked() if (value := cost(result.costs(number))) is not None
    ]
    if not points:
        return None
    figure, axes = new_figure(_WIDTH, _HEIGHT)
    for number, x in points:
        summary, colour = result.statistics.variants[number], COLOURS[number % len(COLOURS)]
        y, label = summary.mean or 0.0, line_label(result.variants[number].name)
        if summary.interval is not None:
            axes.plot([x, x], summary.interval, color=colour, linewidth=1.2, alpha=0.6)
        mark = _MARKERS[number % len(_MARKERS)]
        axes.plot([x], [y], mark, color=colour, label=label, alpha=0.85, fillstyle="none" if number % 2 else "full")
    rival = (result.rival or {}).get(result.metric)
    if rival is not None:
        axes.axhline(rival, color=INK, linestyle=":", linewidth=1.2, label="rival")
    handles, labels = axes.get_legend_handles_labels()
    handles, labels = handles[-_MOST_NAMED:], labels[-_MOST_NAMED:]
    figure.legend(handles, labels, ncols=_columns(len(handles)), **_LEGEND)
    axes.grid(axis="y", color=INK, alpha=0.1)
    largest = max(x for _, x in points)
    axes.set_xlim(0, 1.25 * largest)
    score = result.metric.replace("_", " ")
    axes.set(xlabel=name, ylabel=score, title=title)
    return figure
