"""Rooflines: how fast a recurrent layer can be on a machine whose product and memory have such rates.

Axes: B batch, T time, G gates, H hidden.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch

matplotlib.use("agg")
from matplotlib import pyplot

COLOURS = {"rnn": "#2a78b5", "gru": "#d1495b", "lstm": "#3b8f5a"}
INK, PALE = "#333333", "#999999"
FLOAT = 4


class Point(NamedTuple):
    """A cell at one size.

    Attributes:
        cell: "rnn", "gru" or "lstm".
        intensity: floating-point operations for each byte that must move.
        rates: GFLOP/s by rival.
    """

    cell: str
    intensity: float
    rates: dict[str, float]


class Steps(NamedTuple):
    """A rival's steps of one stream, by hidden size.

    Attributes:
        name: the rival.
        microseconds: by hidden size.
    """

    name: str
    microseconds: dict[int, float]


def training_bytes(gates: int, batch: int, steps: int, hidden: int, threads: int) -> float:
    """Return the bytes that a training step moves to and from the caches at least, I = H, float32.

    Each thread has its rows of the batch and reads the recurrent weights (G·H²) once a step, forward and backward.
    What stands in long arrays is counted as often as it is read or written: the G gates of a step 8 times (written by
    the input's product, read and replaced by the recurrence, forward and backward; read by three products of
    gradients), inputs, outputs and their gradients 7 times together.
    """
    weights = 2 * threads * steps * gates * hidden**2
    arrays = batch * steps * hidden * (8 * gates + 7)
    return float(FLOAT * (weights + arrays))


def step_bytes(gates: int, hidden: int, width: float) -> float:
    """Return the bytes of the weights that one step of one stream reads, I = H, ``width`` bytes a weight."""
    return 2 * gates * hidden**2 * width


def bandwidths(threads: int) -> dict[str, float]:
    """Return bytes a second read from a core's own cache and from memory, by a product of two vectors."""
    found = {}
    for name, numbers in (("L2 cache", 2**18 * threads), ("memory", 2**26)):
        left, right = torch.randn(2, numbers // 2)
        count = max(1, 2**26 // numbers)
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(count):
                torch.dot(left, right)
            best = min(best, (time.perf_counter() - start) / count)
        found[name] = FLOAT * numbers / best
    return found


def draw_training(path: Path, groups: dict[str, list[Point]], peak: float, roofs: dict[str, float]) -> None:
    """Draw rates of training over operations a byte: our points filled, the others' hollow.

    Args:
        path: where to write the picture; its suffix says the format.
        groups: points by size.
        peak: GFLOP/s of a large product.
        roofs: bytes a second by where they come from.
    """
    figure, axes = pyplot.subplots(figsize=(9.6, 5.2), layout="constrained")
    everything = [point for points in groups.values() for point in points]
    rates = [rate for point in everything for rate in point.rates.values()]
    left, right = min(p.intensity for p in everything) / 3.5, max(p.intensity for p in everything) * 1.6
    low = min(rates) / 1.6
    for style, (name, rate) in zip(("-", "--"), roofs.items(), strict=True):
        bend = peak / (rate / 1e9)
        start = max(left, low / (rate / 1e9))
        ends = [start, max(start, min(bend, right)), right]
        label = f"{name}: {rate / 1e9:.0f} GB/s"
        axes.plot(ends, [min(peak, x * rate / 1e9) for x in ends], style, color=INK, linewidth=1.4, label=label)
    axes.text(right, peak * 1.04, f"large product: {peak:.0f} GFLOP/s ", ha="right", va="bottom", color=INK)
    markers = {"rekur": "o", "torch": "v", "flax": "s"}
    for place, (size, points) in enumerate(sorted(groups.items(), key=lambda group: group[1][0].intensity)):
        for point in points:
            colour = COLOURS[point.cell]
            axes.plot(
                [point.intensity] * 2, [min(point.rates.values()), max(point.rates.values())], color=colour, lw=0.6
            )
            for name, rate in point.rates.items():
                face = colour if name == "rekur" else "white"
                axes.plot(point.intensity, rate, markers[name], color=colour, markerfacecolor=face, markersize=7)
        middle = (points[0].intensity * points[-1].intensity) ** 0.5
        lines = size.replace(" ", "\n")
        bottom = low / (5.5 if place % 2 else 2.5)  # at two heights, since sizes may stand close to each other
        axes.text(middle, bottom, lines, ha="center", va="bottom", color=INK, fontsize=8)
    for cell in dict.fromkeys(point.cell for point in everything):
        axes.plot([], [], "o", color=COLOURS[cell], label={"rnn": "RNN"}.get(cell, cell.upper()))
    for name in dict.fromkeys(name for point in everything for name in point.rates):
        axes.plot([], [], markers[name], color=INK, markerfacecolor=INK if name == "rekur" else "white", label=name)
    axes.set(xlim=(left, right), ylim=(low / 6, peak * 1.7), xscale="log", yscale="log")
    axes.set(xlabel="floating-point operations for each byte that must move", ylabel="GFLOP/s, forward and backward")
    plain_ticks(axes.xaxis, left, right)
    plain_ticks(axes.yaxis, low / 1.5, peak * 1.7)
    finish(figure, axes, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw_steps(path: Path, panels: dict[str, Sequence[Steps]], roofs: dict[str, float], gates: dict[str, int]) -> None:
    """Draw the time of one step over the hidden size, a panel for each cell, with the floors of float32 weights.

    Args:
        path: where to write the picture; its suffix says the format.
        panels: rivals by cell.
        roofs: bytes a second by where they come from.
        gates: gates of each cell.
    """
    figure, panes = pyplot.subplots(
        1, len(panels), figsize=(4.6 * len(panels) + 0.8, 4.8), layout="constrained", squeeze=False, sharey=True
    )
    styles: dict[str, dict[str, Any]] = {
        "rekur": {"color": "#d1495b", "marker": "o"},
        "rekur bf16": {"color": "#e08a3c", "marker": "o"},
        "rekur int8": {"color": "#c9a227", "marker": "o"},
        "torch": {"color": "#2a78b5", "marker": "v", "markerfacecolor": "white"},
        "ONNX Runtime": {"color": "#3b8f5a", "marker": "s", "markerfacecolor": "white"},
    }
    for axes, (cell, rivals) in zip(panes[0], panels.items(), strict=True):
        sizes = sorted({hidden for rival in rivals for hidden in rival.microseconds})
        for style, (name, rate) in zip(("-", "--"), roofs.items(), strict=True):
            floor = [1e6 * step_bytes(gates[cell], hidden, FLOAT) / rate for hidden in sizes]
            label = f"float32 weights from {name}, {rate / 1e9:.0f} GB/s"
            axes.plot(sizes, floor, style, color=PALE, linewidth=1.2, label=label)
        for rival in rivals:
            axes.plot(
                list(rival.microseconds), list(rival.microseconds.values()), label=rival.name, **styles[rival.name]
            )
        axes.set(xscale="log", yscale="log", xlabel="hidden size", title=cell.upper())
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        times = [taken for rival in rivals for taken in rival.microseconds.values()]
        plain_ticks(axes.yaxis, min(times), max(times))
        finish(figure, axes, loc="upper left")
    panes[0][0].set_ylabel("µs a step, one stream, one thread")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def plain_ticks(axis: Any, low: float, high: float) -> None:
    """Set ticks at 1, 2, 5, 10 and so on, or at 1, 10, 100 over a wide range, written as plain numbers."""
    steps = (1, 2, 5) if high / low < 300 else (1,)
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def finish(figure: Any, axes: Any, **place: Any) -> None:
    """Give a plot its grid and legend."""
    figure.set_facecolor("white")
    axes.grid(True, which="major", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8, **place)
