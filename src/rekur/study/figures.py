"""The plots: confusion, calibration, learning curves, forecasts. Each returns a Matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from rekur.errors import printable
from rekur.targets.gallery import Fan

INK = "#22313f"
ACCENT = "#2a78b5"
#: colours that stay apart for colour-blind readers (Okabe and Ito 2008)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")

#: forecasts up to which each has the whole width
_PANELS_BELOW_EACH_OTHER = 3

#: from nothing to blue: what stands behind is seen through small shares, light or dark
_SHARES = LinearSegmentedColormap.from_list("shares", [(0.16, 0.47, 0.71, 0.0), (0.16, 0.47, 0.71, 1.0)])


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Return how often each class (row) was given each label (column), as shares of the row.

    Args:
        counts: items of truth (row) and prediction (column), (K, K).
        labels: names of the K classes.
    """
    table = np.asarray(counts, dtype=float)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    size = min(9.0, 2.6 + 0.42 * len(labels))
    figure, axes = new_figure(size + 0.8, size)
    image = axes.imshow(share, cmap=_SHARES, vmin=0, vmax=1)
    if len(labels) <= 20:
        for row, column in np.ndindex(*table.shape):
            if table[row, column]:
                colour = "white" if share[row, column] > 0.55 else INK
                axes.text(column, row, f"{int(table[row, column])}", ha="center", va="center", color=colour, fontsize=8)
    names = [line_label(label) for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="prediction", ylabel="truth", title="Confusion (items; colour: share of the row)")
    figure.colorbar(image, ax=axes, fraction=0.046)
    return figure


def line_label(label: str, most: int = 24) -> str:
    """Return a label, cut, in which a dollar sign is one and begins no formula."""
    text = printable(label)
    return (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")


def shades(title: str, columns: Sequence[str], rows: Sequence[str], shares: Any) -> Figure:
    """Return shares as shades, such as what a model attends to.

    Args:
        title: above them.
        columns: the name of each column, (S,).
        rows: the name of each row, (T,).
        shares: from 0 to 1, (T, S).
    """
    figure, axes = new_figure(min(9.0, 2.2 + 0.24 * len(columns)), min(9.0, 1.6 + 0.24 * len(rows)))
    axes.imshow(shares, cmap=_SHARES, vmin=0, vmax=1, aspect="auto")
    across, down = ([line_label(_shown(name), 12) for name in names] for names in (columns, rows))
    axes.set_xticks(range(len(across)), across, rotation=90, fontsize=8)
    axes.set_yticks(range(len(down)), down, fontsize=8)
    axes.xaxis.tick_top()
    axes.set_title(title, fontsize=10)
    return figure


def _shown(name: str) -> str:
    """Return the name of a token without the space before it; blanks and what would turn the text are marks."""
    text = name.strip() or "␣" * bool(name)
    return "".join(letter if letter.isprintable() else "·" for letter in text)


def calibration(curve: Sequence[tuple[float, float, int]], error: float) -> Figure:
    """Return how often predictions of a given confidence are right.

    Args:
        curve: (mean confidence, share that is right, count) of each bin.
        error: the expected calibration error, for the title.
    """
    figure, axes = new_figure(5.0, 4.4)
    confidence, right, count = (np.asarray(column, dtype=float) for column in zip(*curve, strict=True))
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="perfect")
    axes.plot(confidence, right, marker="o", color=ACCENT, label="this model")
    axes.bar(confidence, count / count.sum(), width=0.06, color=ACCENT, alpha=0.18, label="share of items")
    axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_title(f"Calibration (expected error {error:.3f})")
    axes.legend(frameon=False, loc="upper left")
    return figure


def learning_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]], score: str = "") -> Figure:
    """Return the loss of training and validation of runs, and a validation score of theirs in a plot below.

    Args:
        runs: the name of each, which may be empty -> its rows, as ``history_.rows`` has them.
        score: name of the score, such as ``accuracy``; without a row that has it there is no second plot.
    """
    panels: list[tuple[str, tuple[tuple[str, str, str], ...]]] = [
        ("loss", (("train_loss", "training", "--"), ("valid_loss", "validation", "-")))
    ]
    if any(row.get(f"valid_{score}") is not None for rows in runs.values() for row in rows):
        panels.append((score.replace("_", " "), ((f"valid_{score}", "validation", "-"),)))
    figure = Figure(figsize=(5.2, 1.2 + 2.2 * len(panels)), layout="constrained")
    plots = figure.subplots(len(panels), 1, squeeze=False, sharex=True).flat
    for axes, (name, lines) in zip(plots, panels, strict=True):
        _tidy(axes)
        for number, (run, rows) in enumerate(runs.items()):
            colour = COLOURS[number % len(COLOURS)] if len(runs) > 1 else ACCENT
            for column, part, style in lines:
                values = [(row["epoch"], row[column]) for row in rows if row.get(column) is not None]
                if values:
                    marker = "o" if len(values) == 1 else ""  # a single point makes no line
                    label = f"{line_label(run)}, {part}" if run else part
                    axes.plot(*zip(*values, strict=True), color=colour, linestyle=style, label=label, marker=marker)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.set_ylabel(name)
        axes.legend(frameon=False)
    axes.set_xlabel("epoch")
    figure.suptitle("How training went", fontsize=11)
    return figure


def points(title: str, names: tuple[str, str], x: Sequence[float], y: Sequence[float], diagonal: bool) -> Figure:
    """Return points around the line of equal values, or around that of 0.

    Args:
        title: above them.
        names: of both axes.
        x: of each point, (N,).
        y: of each point, (N,).
        diagonal: draw the line of equal values.
    """
    figure, axes = new_figure(5.4, 4.4)
    axes.scatter(x, y, s=14, color=ACCENT, alpha=0.5 if len(x) > 50 else 0.9, linewidths=0)
    if diagonal:
        low, high = min(*x, *y), max(*x, *y)
        axes.plot([low, high], [low, high], color="0.55", linestyle="--", linewidth=1)
    elif min(y) <= 0:
        axes.axhline(0, color="0.55", linestyle="--", linewidth=1)
    axes.set(xlabel=names[0], ylabel=names[1], title=title)
    return figure


def by_step(name: str, scores: Sequence[float | None], *, is_share: bool, goal: float | None = None) -> Figure:
    """Return a score of each step of the horizon.

    Args:
        name: of the score.
        scores: (H,), None where undefined.
        is_share: the score lies between 0 and 1, and so does the axis.
        goal: a score that is drawn as a broken line; None for none.
    """
    figure, axes = new_figure(6.4, 3.6)
    if goal is not None:
        axes.axhline(goal, color="0.55", linestyle="--", linewidth=1)
    _line(axes, np.arange(1, len(scores) + 1), np.array(scores, dtype=float), color=ACCENT)
    axes.set_ylim(0, 1.02 if is_share else None)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set(xlabel="step of the horizon", title=f"{name} by step of the horizon")
    return figure


def fans(shown: Sequence[Fan]) -> Figure:
    """Return forecasts as bands of quantiles behind what was known, with the truth where it is there.

    Args:
        shown: one or more, a panel each.
    """
    columns = 1 if len(shown) <= _PANELS_BELOW_EACH_OTHER else 2
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(6.6 * columns, 3.1 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.remove()
    entries: dict[str, Any] = {}
    for axes, fan in zip(panels, shown, strict=False):
        _draw_fan(axes, fan)
        handles, labels = axes.get_legend_handles_labels()
        entries |= zip(labels, handles, strict=True)
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=len(entries), frameon=False)
    return figure


def _draw_fan(axes: Any, fan: Fan) -> None:
    """Draw what was known, the bands from it on, the median and the truth."""
    times, past, count = np.asarray(fan.times), np.asarray(fan.past), len(fan.past)
    ahead, quantiles = times[count:], np.asarray(fan.quantiles)
    if count and not np.isnan(past[-1]):  # bands begin at the last value, so that one step is a band too
        ahead = times[count - 1 :]
        quantiles = np.column_stack([np.full(len(quantiles), past[-1]), quantiles])
    _line(axes, times[:count], past, color=INK, label="past")
    pairs = len(fan.levels) // 2
    for k in range(pairs):
        share = f"{100 * (fan.levels[-1 - k] - fan.levels[k]):.3g} %"
        alpha = 0.45 * (k + 1) / pairs
        for low, high in [(k, k + 1), (-2 - k, -1 - k)] if k + 1 < pairs else [(k, -1 - k)]:
            axes.fill_between(
                ahead, quantiles[low], quantiles[high], color=ACCENT, alpha=alpha, linewidth=0, label=share
            )
    _line(axes, ahead, quantiles[list(fan.levels).index(0.5)], color=ACCENT, label="median")
    if not np.isnan(fan.truth).all():
        _line(axes, times[count:], np.asarray(fan.truth), color=COLOURS[1], label="truth")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(line_label(_shown(fan.title), 80), fontsize=10)
    axes.margins(x=0.01)
    if times.dtype.kind == "M":
        locator = AutoDateLocator(maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _line(axes: Any, x: Any, y: Any, *, color: str, label: str = "") -> None:
    """Draw a line with gaps where values are missing; a value between two gaps is a point."""
    axes.plot(x, y, color=color, linewidth=1.4, label=label or None)
    missing = np.pad(np.isnan(y), 1, constant_values=True)
    alone = ~missing[1:-1] & missing[:-2] & missing[2:]
    if alone.any():
        axes.plot(x[alone], y[alone], color=color, marker=".", linestyle="")


def new_figure(width: float, height: float) -> tuple[Figure, Any]:
    """Return a figure that draws without a display, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _tidy(axes)
    return figure, axes


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
