"""What the variants of a comparison cost: time to train and to reach a score, memory, bytes, and how fast they run."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rekur._clock import short_time
from rekur._numbers import shown, shown_size
from rekur.study.comparison_folder import Run

Rows = Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Goal:
    """A validation score, and how long each run takes to reach it.

    Attributes:
        name: the column of the histories, such as ``valid_accuracy``.
        larger_is_better: its direction.
        score: the score; None where no run has one.
    """

    name: str
    larger_is_better: bool
    score: float | None

    def seconds(self, rows: Rows) -> float | None:
        """Return the seconds of training after which a run had reached the score; None if it never did."""
        if self.score is None:
            return None
        for row in rows:
            value = row.get(self.name)
            if value is not None and (value >= self.score if self.larger_is_better else value <= self.score):
                return float(row["seconds"])
        return None

    def __str__(self) -> str:
        score = "" if self.score is None else f" {shown(self.score)}"
        return f"{self.name.removeprefix('valid_').replace('_', ' ')}{score}"


def followed_score(histories: Iterable[Rows], metric: str, *, larger_is_better: bool) -> tuple[str, bool]:
    """Return the column of histories that says how good a run is on the validation data, and its direction.

    Args:
        histories: of all runs.
        metric: the deciding metric; where histories do not have it, the loss stands for it.
        larger_is_better: the direction of the metric.
    """
    if any(f"valid_{metric}" in row for rows in histories for row in rows):
        return f"valid_{metric}", larger_is_better
    return "valid_loss", False


def goal_of(
    histories: Mapping[tuple[int, int], Rows], metric: str, *, larger_is_better: bool, score: float | None = None
) -> Goal:
    """Return the goal of a comparison.

    Args:
        histories: (variant, seed) -> rows of a run.
        metric: the deciding metric.
        larger_is_better: its direction.
        score: to be reached; by default the worst of the variants' medians of the best score of a run, which half of
            the runs of each variant reach at least.

    Example:
        >>> rows = {(k, 0): [{"valid_accuracy": share, "seconds": 2.0}] for k, share in enumerate((0.5, 0.75))}
        >>> goal = goal_of(rows, "accuracy", larger_is_better=True)
        >>> str(goal), goal.seconds(rows[1, 0])
        ('accuracy 0.5000', 2.0)
    """
    name, larger = followed_score(histories.values(), metric, larger_is_better=larger_is_better)
    pick, worst = (max, min) if larger else (min, max)
    best: dict[int, list[float]] = {}
    for (variant, _), rows in histories.items():
        values = [row[name] for row in rows if row.get(name) is not None and math.isfinite(row[name])]
        if values:
            best.setdefault(variant, []).append(pick(values))
    middle = statistics.median_low if larger else statistics.median_high
    reached = worst(map(middle, best.values())) if best else None
    return Goal(name, larger, reached if score is None else score)


@dataclasses.dataclass(frozen=True)
class Costs:
    """What a variant costs.

    Attributes:
        seconds: of training, the mean of its runs; None if none finished.
        seconds_to_score: until the goal was reached, the mean of the runs that did; None if none did.
        reached: how many did.
        parameters: trained weights.
        core_parameters: those outside embeddings and the output layer.
        peak_memory: the most bytes of a process that trained it; None where the system does not say.
        bundle_bytes: of a saved model, the mean.
        step_seconds: of one step of a live sequence, the median of its runs; None if it needs whole items.
        item_seconds: of one item by itself, the median.
        per_second: items or tokens a second where many are run at once, the median.
    """

    seconds: float | None = None
    seconds_to_score: float | None = None
    reached: int = 0
    parameters: int | None = None
    core_parameters: int | None = None
    peak_memory: int | None = None
    bundle_bytes: int | None = None
    step_seconds: float | None = None
    item_seconds: float | None = None
    per_second: float | None = None

    @property
    def latency(self) -> float | None:
        """Seconds of one step; of a model that needs whole items, of one item."""
        return self.item_seconds if self.step_seconds is None else self.step_seconds


def costs_of(runs: Sequence[Run], times: Sequence[float | None]) -> Costs:
    """Return the costs of a variant.

    Args:
        runs: those that finished.
        times: the seconds in which each reached the goal; None where it did not.
    """
    if not runs:
        return Costs()
    quick = [seconds for seconds in times if seconds is not None]
    memory, size = (_numbers(runs, name) for name in ("peak_memory", "bundle_bytes"))
    speeds = {
        name: statistics.median(values) if (values := _numbers(runs, name)) else None
        for name in ("step_seconds", "item_seconds", "per_second")
    }
    return Costs(
        statistics.fmean(run.seconds for run in runs),
        statistics.fmean(quick) if quick else None,
        len(quick),
        runs[0].parameters,
        runs[0].core,
        int(max(memory)) if memory else None,
        round(statistics.fmean(size)) if size else None,
        **speeds,
    )


def _numbers(runs: Sequence[Run], name: str) -> list[float]:
    return [value for run in runs if (value := getattr(run, name)) is not None]


def cost_table(
    rows: Sequence[tuple[str, Costs, int]], goal: Goal, counted: str
) -> tuple[str, Sequence[str], list[list[str]]]:
    """Return the table of costs: a title, the names of columns, and a row for each variant.

    Args:
        rows: name, costs and number of finished runs of each variant.
        goal: that is reached.
        counted: the unit of items that are run, in the plural.
    """
    kinds = {costs.step_seconds is not None for _, costs, _ in rows if costs.latency is not None}
    name_of_latency = "latency" if len(kinds) > 1 else "an item" if kinds == {False} else "a step"
    cells = [
        [
            name,
            "" if costs.seconds is None else short_time(costs.seconds),
            reached(costs, runs),
            "" if costs.peak_memory is None else shown_size(costs.peak_memory),
            "" if costs.core_parameters is None else f"{costs.core_parameters:,}",
            "" if costs.bundle_bytes is None else shown_size(costs.bundle_bytes),
            latency(costs, with_unit=len(kinds) > 1),
            "" if costs.per_second is None else f"{costs.per_second:,.0f}",
        ]
        for name, costs, runs in rows
    ]
    goal_name = "to score" if goal.score is None else f"to {shown(goal.score)}"
    head = ("variant", "to train", goal_name, "memory", "weights", "bundle", name_of_latency)
    return "Costs", (*head, f"{counted}/s"), cells


def reached(costs: Costs, runs: int) -> str:
    """Return how long a variant takes to reach the goal, and how many of its runs do, where that are not all."""
    if costs.seconds_to_score is None:
        return "never" if runs else ""
    part = "" if costs.reached == runs else f" ({costs.reached}/{runs})"
    return f"{short_time(costs.seconds_to_score)}{part}"


def latency(costs: Costs, *, with_unit: bool) -> str:
    """Return the latency of a variant, with the word ``step`` or ``item`` where variants differ in that."""
    if costs.latency is None:
        return ""
    unit = "" if not with_unit else " an item" if costs.step_seconds is None else " a step"
    return f"{short_time(costs.latency)}{unit}"
