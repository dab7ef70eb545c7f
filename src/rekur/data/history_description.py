"""A description of series with time, before a forecaster is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rekur._history import History
from rekur._numbers import counted
from rekur.data.periods import find_periods

#: share of zeros from which on a series is one of few events
_MOSTLY_ZERO = 0.5
_NAMED = 3


@dataclass
class HistoryDescription:
    """What series with time hold; made by :func:`describe_histories`.

    Attributes:
        series: how many there are.
        channels: the names of the channels; of series with different ones, those of the first.
        step: from row to row, such as ``"1 hour"``; ``"1 row"`` without stamps.
        first: the first stamp of all; empty without stamps.
        last: the last stamp with a value.
        lengths: min, median and max of the steps of a series.
        steps: of all series and channels.
        missing: how many of them have no value.
        gaps: series with missing steps.
        longest_gap: steps in a row without a value, at most.
        periods: lengths of seasons in steps, rising.
        known_horizon: least rows behind the last value with future covariates.
        covariates: names by role: ``past``, ``future``, ``static``.
        values: min, mean and max.
        constant: names of series with one value only.
        mostly_zero: names of series in which half of the values are 0 or more.
        notes: sentences that were told while the series were read.
    """

    series: int
    channels: list[str]
    step: str
    first: str
    last: str
    lengths: dict[str, int]
    steps: int
    missing: int
    gaps: int
    longest_gap: int
    periods: list[int]
    known_horizon: int
    covariates: dict[str, list[str]]
    values: dict[str, float]
    constant: list[str]
    mostly_zero: list[str]
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return asdict(self)

    def overview(self) -> list[tuple[str, str]]:
        """Return (name, value) pairs for a table."""
        rows = [("series", f"{self.series:,}")]
        if len(self.channels) > 1:
            rows.append(("channels", f"{len(self.channels)}: {_shown(self.channels)}"))
        rows.append(("step", self.step))
        rows += [("stamps", f"{self.first} to {self.last}")] if self.first else []
        size = self.lengths
        same = size["min"] == size["max"]
        lengths = f"{size['min']:,}" if same else f"min {size['min']:,}, median {size['median']:,}, max {size['max']:,}"
        rows.append(("steps of a series", lengths))
        rows.append(("missing", self._shown_missing()))
        rows.append(("seasons", self._shown_periods()))
        for role, names in self.covariates.items():
            rows += [(f"{role} covariates", _shown(names))] if names else []
        if self.covariates["future"]:
            rows.append(("known horizon", counted(self.known_horizon, "row")))
        rows.append(("values", ", ".join(f"{name} {value:.6g}" for name, value in self.values.items())))
        return rows

    def warnings(self) -> list[str]:
        """Return one sentence for each thing to check."""
        sentences = list(self.notes)
        for names, text in (
            (self.constant, "only one value"),
            (self.mostly_zero, "zeros in half of the steps or more"),
        ):
            if names:
                count = "1 series has" if len(names) == 1 else f"{len(names):,} series have"
                sentences.append(f"{count} {text}: {_shown(names)}.")
        return sentences

    def _shown_missing(self) -> str:
        if not self.missing:
            return f"0 of {self.steps:,} steps"
        share = f"{self.missing / self.steps:.1%}".replace("%", " %")
        where = f", in {self.gaps:,} series" if self.series > 1 else ""
        return f"{self.missing:,} of {self.steps:,} steps ({share}){where}; longest gap {self.longest_gap:,}"

    def _shown_periods(self) -> str:
        return f"{' and '.join(f'{period:,}' for period in self.periods)} steps" if self.periods else "none"


def describe_histories(histories: Sequence[History], notes: Sequence[str] = ()) -> HistoryDescription:
    """Return a description of series.

    Args:
        histories: one or more.
        notes: sentences that were told while they were read.

    Example:
        >>> history = History("a", ("y",), np.array([[1.0], [np.nan], [4.0]]))
        >>> dict(describe_histories([history]).overview())["missing"]
        '1 of 3 steps (33.3 %); longest gap 1'
    """
    lengths = np.asarray([len(history) for history in histories])
    columns = [(history, k) for history in histories for k in range(len(history.channels))]
    values = np.concatenate([history.values.ravel() for history in histories])
    missing = np.isnan(values)
    first, last = (_extreme(histories, end=end) for end in (False, True))
    head = histories[0]
    return HistoryDescription(
        series=len(histories),
        channels=list(head.channels),
        step=str(head.step),
        first=first,
        last=last,
        lengths={name: int(getattr(np, name)(lengths)) for name in ("min", "median", "max")},
        steps=len(values),
        missing=int(missing.sum()),
        gaps=sum(bool(np.isnan(history.values).any()) for history in histories),
        longest_gap=max(_longest_gap(history.values[:, k]) for history, k in columns),
        periods=list(find_periods([h.values[:, k] for h, k in columns], head.step.periods())),
        known_horizon=min(history.known_horizon for history in histories),
        covariates={role: list(getattr(head, f"{role}_names")) for role in ("past", "future", "static")},
        values={name: float(getattr(np, f"nan{name}")(values)) for name in ("min", "mean", "max")},
        constant=[_name(h, k) for h, k in columns if np.nanmin(h.values[:, k]) == np.nanmax(h.values[:, k])],
        mostly_zero=[_name(h, k) for h, k in columns if _zeros(h.values[:, k]) >= _MOSTLY_ZERO],
        notes=list(notes),
    )


def _extreme(histories: Sequence[History], *, end: bool) -> str:
    """Return the first or the last stamp of all series; empty without stamps."""
    if histories[0].step.unit == "row":
        return ""
    steps = [len(history) - 1 if end else 0 for history in histories]
    stamps = [int(history.step.add(history.start, k)) for history, k in zip(histories, steps, strict=True)]
    k = int(np.argmax(stamps) if end else np.argmin(stamps))
    return histories[k].stamp(steps[k])


def _longest_gap(values: Any) -> int:
    """Return how many values in a row are missing at most."""
    present = np.flatnonzero(~np.isnan(values))
    edges = np.concatenate([[-1], present, [len(values)]])
    return int(np.diff(edges).max()) - 1


def _zeros(values: Any) -> float:
    present = values[~np.isnan(values)]
    return float(np.mean(present == 0)) if len(present) and present.any() else 0.0


def _name(history: History, channel: int) -> str:
    name = history.channels[channel]
    return f"{history.name}, {name}" if history.name and len(history.channels) > 1 else history.name or name


def _shown(names: Sequence[str]) -> str:
    """Return names in quotes, cut after a few."""
    text = ", ".join(f"'{name}'" for name in names[:_NAMED])
    return text if len(names) <= _NAMED else f"{text} and {len(names) - _NAMED:,} more"
