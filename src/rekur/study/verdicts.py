"""What a comparison says of variants and of their pairs: means, differences, intervals, p, and a verdict in a word."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from rekur._numbers import counted, shown
from rekur.errors import InputError, describe
from rekur.study.influences import Array

#: rounding errors, relative to the largest score of a pair
ROUNDING = 1e-12
#: the limits of scores that can have any value
UNLIMITED = (-math.inf, math.inf)


@dataclass(frozen=True)
class Variant:
    """The runs of one variant.

    Attributes:
        mean: mean score of the runs that finished; None if all failed.
        interval: 95 % interval of the mean; None with fewer than two runs.
        n: number of runs that finished.
        failed: number of runs that failed.
        note: the caveats, in words; may be empty.
    """

    mean: float | None
    interval: tuple[float, float] | None
    n: int
    failed: int
    note: str = ""

    def __str__(self) -> str:
        mean = "no mean" if self.mean is None else shown(self.mean)
        return f"{mean}{_brackets(self.interval)}, {counted(self.n, 'run')}{_bracketed(self.note)}"


@dataclass(frozen=True)
class Pair:
    """The difference between two variants, over the seeds that both finished.

    Attributes:
        first: index of the first variant.
        second: index of the second variant.
        n: number of seeds that both finished.
        difference: mean score of the first minus that of the second; None without a common seed.
        interval: 95 % interval of the difference, not corrected for the number of pairs; None with fewer than two
            seeds, and where it would have no width though the variants may differ.
        p: two-sided p of no difference, from the same statistic as ``interval``; None with fewer than two seeds.
        p_holm: ``p`` after Holm's correction over all pairs; it decides.
        p_sign_flip: two-sided p of the sign-flip test over seeds.
        improvement: probability of improvement: the share of all pairs of runs, one of each variant, in which the
            first scores better; None without a common seed.
        verdict: "better", "worse" or "undecided", said of the first; "same" if the interval lies inside the margin;
            None with fewer than two seeds.
        note: the caveats, in words; may be empty.
        floor: the half of the interval that any number of seeds would leave, since it is due to the examples; 0 without
            records.
    """

    first: int
    second: int
    n: int
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None
    p_sign_flip: float | None = None
    improvement: float | None = None
    verdict: str | None = None
    note: str = ""
    floor: float = 0.0

    def __str__(self) -> str:
        difference = "no difference" if self.difference is None else shown(self.difference)
        tests = {"p": self.p, "after Holm": self.p_holm, "sign flip": self.p_sign_flip}
        values = "".join(f", {name} {shown(p)}" for name, p in tests.items() if p is not None)
        return f"{difference}{_brackets(self.interval)}{values}: {self.verdict or 'no verdict'}{_bracketed(self.note)}"


@dataclass(frozen=True)
class Comparison:
    """Variants and all their pairs; ``str`` gives a text with one line each.

    Attributes:
        variants: one a row of the scores.
        pairs: (0, 1), (0, 2), …, (1, 2), ….
        larger_is_better: the direction of the score.
        margin: differences inside it count as none; None if no margin was stated.
    """

    variants: tuple[Variant, ...]
    pairs: tuple[Pair, ...]
    larger_is_better: bool
    margin: float | None

    def __str__(self) -> str:
        lines = [f"variant {index}: {variant}" for index, variant in enumerate(self.variants)]
        lines += [f"{pair.first} - {pair.second}: {pair}" for pair in self.pairs]
        if self.pairs:
            margin = "none, so no pair is called the same" if self.margin is None else shown(self.margin)
            lines.append(f"margin: {margin}")
        return "\n".join(lines)


def check_limits(table: Array, limits: tuple[float, float]) -> None:
    """Raise if a score lies outside the limits, but for rounding."""
    low, high = limits
    rounding = ROUNDING * max(1.0, *(abs(end) for end in limits if math.isfinite(end)), 0.0)
    outside = table[(table < low - rounding) | (table > high + rounding)]
    if len(outside):
        raise InputError(describe("score", float(outside[0]), f"a number in [{low:g}, {high:g}]"))


def edge_error(limits: tuple[float, float], items: int) -> float:
    """Return the least standard error of a score between limits, which items that are all answered alike leave; else 0.

    Example:
        >>> edge_error((0, 1), 98), edge_error(UNLIMITED, 98)
        (0.01, 0.0)
    """
    reach = limits[1] - limits[0]
    return reach / (items + 2) if math.isfinite(reach) else 0.0


def cut_intervals(comparison: Comparison, limits: tuple[float, float]) -> Comparison:
    """Return a comparison whose intervals end where scores, and their differences, can be at most."""
    low, high = limits

    def within(ends: tuple[float, float] | None, least: float, most: float) -> tuple[float, float] | None:
        return None if ends is None else (min(max(ends[0], least), most), max(min(ends[1], most), least))

    return dataclasses.replace(
        comparison,
        variants=tuple(
            dataclasses.replace(each, interval=within(each.interval, low, high)) for each in comparison.variants
        ),
        pairs=tuple(
            dataclasses.replace(each, interval=within(each.interval, low - high, high - low))
            for each in comparison.pairs
        ),
    )


def _brackets(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{shown(interval[0])}, {shown(interval[1])}]"


def _bracketed(note: str) -> str:
    return f" ({note})" if note else ""
