"""The result of a comparison: runs, variants, pairs, and the answer in one sentence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rekur._numbers import counted, shown, shown_interval
from rekur.metrics import METRICS
from rekur.study.comparison_folder import Run
from rekur.study.costs import Costs, Goal, Rows, cost_table, costs_of, goal_of
from rekur.study.variants import VariantSpec
from rekur.study.verdicts import Comparison, Pair

Table = tuple[str, Sequence[str], list[list[Any]]]
#: times of training that differ by less, as a share, are not spoken of
SAME_TIME = 0.1
#: from this share of its width on, an interval that is not around the difference is written with both ends
ASKEW = 0.02


@dataclasses.dataclass(frozen=True)
class ComparisonResult:
    """The result of a comparison.

    Attributes:
        task: the name of the task.
        metric: the deciding metric of the task's target; empty if no run has finished.
        split: what scores are of: ``validation``, ``test``, or ``out-of-fold`` where each item is scored by a network
            that did not see it.
        items: how many items, or tokens, each run was scored on; 0 if no run has finished.
        counted: the unit of ``items``, in the plural.
        variants: the variants, as they were trained.
        runs: one an attempted run, in the order of variants and seeds.
        statistics: means, intervals, pairs and verdicts, by :func:`rekur.study.statistics.compare`.
        rival: name and scores of a plain model on the same data; None without one.
        equal: the size that all variants share: ``parameters`` or ``hidden``.
        timed: whether training was limited by time, so that its duration says nothing.
        ended: ``finished`` or ``interrupted``.
        folder: where the runs are kept; None if they are not.
        stopping: why no more seeds were taken, where their number was left open; else empty.
        histories: (variant, seed) -> what was measured during a run, a row each evaluation.
        reach: the validation score whose time is told; None for one that runs of all variants reach.
    """

    task: str
    metric: str
    split: str
    items: int
    counted: str
    variants: tuple[VariantSpec, ...]
    runs: tuple[Run, ...]
    statistics: Comparison
    rival: dict[str, Any] | None
    equal: str
    timed: bool
    ended: str
    folder: Path | None
    stopping: str = ""
    histories: Mapping[tuple[int, int], Rows] = dataclasses.field(default_factory=dict, repr=False)
    reach: float | None = None

    @property
    def larger_is_better(self) -> bool:
        """Whether larger scores are better."""
        return not self.metric or METRICS[self.metric].larger_is_better

    def runs_of(self, variant: int) -> list[Run]:
        """Return the runs of a variant that finished."""
        return [run for run in self.runs if run.variant == variant and run.state == "finished"]

    def seconds(self, variant: int) -> float | None:
        """Return the mean duration of training of a variant; None if no run finished."""
        times = [run.seconds for run in self.runs_of(variant)]
        return math.fsum(times) / len(times) if times else None

    @cached_property
    def goal(self) -> Goal:
        """The validation score whose time is told."""
        return goal_of(self.histories, self.metric, larger_is_better=self.larger_is_better, score=self.reach)

    def seconds_to_goal(self, run: Run) -> float | None:
        """Return the seconds after which a run had reached the goal; None if it did not."""
        return self.goal.seconds(self.histories.get((run.variant, run.seed), ()))

    def costs(self, variant: int) -> Costs:
        """Return what a variant costs."""
        runs = self.runs_of(variant)
        return costs_of(runs, [self.seconds_to_goal(run) for run in runs])

    def in_order(self) -> list[int]:
        """Return the numbers of all variants, the best mean first and those without a score last."""
        ranked = self.ranked()
        return [*ranked, *(number for number in range(len(self.variants)) if number not in ranked)]

    def ranked(self) -> list[int]:
        """Return the numbers of the variants that have a score, the best mean first."""
        means = {number: each.mean for number, each in enumerate(self.statistics.variants) if each.mean is not None}
        return sorted(means, key=lambda number: -means[number] if self.larger_is_better else means[number])

    def pair(self, first: int, second: int) -> Pair:
        """Return the pair of two variants, said of ``first``."""
        for pair in self.statistics.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.first, pair.second) == (second, first):
                return turned(pair)
        raise KeyError((first, second))

    def named(self, note: str) -> str:
        """Return a note of the statistics with the names of variants in place of their numbers."""
        for number, variant in enumerate(self.variants):
            note = note.replace(f"variant {number}:", f"{variant.name}:")
        return note

    @property
    def answer(self) -> str:
        """The answer in one sentence."""
        return answer_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        names = [variant.name for variant in self.variants]
        variants: list[dict[str, Any]] = []
        for number, (spec, summary) in enumerate(zip(self.variants, self.statistics.variants, strict=True)):
            costs = dataclasses.asdict(self.costs(number))
            costs[f"{self.counted}_per_second"] = costs.pop("per_second")
            note = "; ".join(filter(None, [summary.note, spec.note]))
            row = {"variant": spec.name, "options": spec.options, **dataclasses.asdict(summary), "note": note}
            variants.append({**row, **costs})
        pairs = [
            {
                **dataclasses.asdict(pair),
                "first": names[pair.first],
                "second": names[pair.second],
                "note": self.named(pair.note),
            }
            for pair in self.statistics.pairs
        ]
        rows = []
        for run in self.runs:
            row = {**dataclasses.asdict(run), "variant": names[run.variant], "core_parameters": run.core}
            row["seconds_to_score"] = self.seconds_to_goal(run)
            row[f"{self.counted}_per_second"] = run.per_second
            rows.append({name: value for name, value in row.items() if name not in ("core", "attempt", "per_second")})
        return {
            "task": self.task,
            "answer": self.answer,
            "metric": self.metric,
            "larger_is_better": self.larger_is_better,
            "split": self.split,
            self.counted: self.items,
            "equal": self.equal,
            "margin": self.statistics.margin,
            "reach": {"metric": self.goal.name, "score": self.goal.score},
            "ended": self.ended,
            **({"stopping": self.stopping} if self.stopping else {}),
            "variants": variants,
            "pairs": pairs,
            "rival": self.rival,
            "runs": rows,
        }

    # ── tables ───────────────────────────────────────────────────────────────────────────────────────────────

    def tables(self) -> list[Table]:
        """Return the tables of variants, of costs, of pairs, and of runs that failed."""
        tables = [self.variant_table()]
        if self.ranked():
            tables.append(self.cost_table())
        if len(self.variants) > 1 and any(pair.p is not None for pair in self.statistics.pairs):
            tables.append(self.pair_table())
        failed = [run for run in self.runs if run.state == "failed"]
        if failed:
            rows: list[list[Any]] = [[self.variants[run.variant].name, str(run.seed), run.reason] for run in failed]
            tables.append(("Runs that failed", ("variant", "seed", "why"), rows))
        return tables

    def variant_table(self) -> Table:
        """Return the table of scores."""
        ranked = self.ranked()
        rows: list[list[Any]] = []
        for number in self.in_order():
            summary = self.statistics.variants[number]
            against = "" if not ranked else "best mean" if number == ranked[0] else self._against(number, ranked[0])
            beats = "" if number not in ranked[1:] else self._beats(number, ranked[0])
            count = f"{summary.n} of {summary.n + summary.failed}" if summary.failed else f"{summary.n}"
            name = self.variants[number].name
            rows.append([name, summary.mean, shown_interval(summary.interval), against, beats, count])
        score = self.metric.replace("_", " ")
        title = f"{self.split.capitalize()}: {score} on {self.items:,} {self.counted}" if ranked else "Variants"
        if self.rival is not None and self.metric in self.rival:
            rows.append(["rival", self.rival[self.metric], "", "", "", ""])
            title = f"{title} (rival: {self.rival['name']})"
        return title, ("variant", score, "95 % interval", "beside the best", "beats it", "runs"), rows

    def cost_table(self) -> Table:
        """Return the table of costs."""
        rows = [(self.variants[k].name, self.costs(k), len(self.runs_of(k))) for k in self.in_order()]
        return cost_table(rows, self.goal, self.counted)

    def _beats(self, variant: int, best: int) -> str:
        """Return the probability of improvement over the best variant."""
        share = self.pair(variant, best).improvement
        return "" if share is None else f"{share:.0%}"

    def _against(self, variant: int, best: int) -> str:
        pair = self.pair(variant, best)
        if pair.difference is None:
            return "no common seed"
        if pair.verdict in ("undecided", "same"):
            return pair.verdict
        return f"{self.amount(pair.difference)} {pair.verdict or 'worse, one seed'}"

    def pair_table(self) -> Table:
        """Return the table of differences."""
        rows: list[list[Any]] = []
        for pair in self.statistics.pairs:
            if pair.p is None:
                continue
            name = f"{self.variants[pair.first].name} - {self.variants[pair.second].name}"
            interval = shown_interval(pair.interval)
            rows.append([name, pair.difference, interval, pair.p, pair.p_holm, pair.p_sign_flip, pair.verdict])
        margin = self.statistics.margin
        title = f"Differences (margin: {'none' if margin is None else shown(margin)})"
        head = ("first - second", "differs by", "95 % interval", "p", "p Holm", "p flip", "first is")
        return title, head, rows

    def amount(self, difference: float) -> str:
        """Return the size of a difference of scores in its unit, such as ``0.4 points``."""
        return amount_of(self.metric, difference)


def amount_of(metric: str, difference: float) -> str:
    """Return the size of a difference of scores in the unit of the metric, such as ``0.4 points``."""
    value, unit = abs(difference), METRICS[metric].unit
    if unit.startswith("points"):
        scale = 1 if unit == "points of 100" else 100
        digits = 1 if scale * value >= 0.095 or not value else 2
        return f"{scale * value:.{digits}f} points"
    return f"{shown(value)}{'' if unit == '%' else f' {unit}'}"


def gap_of(metric: str, pair: Pair) -> str:
    """Return a difference with the half of its interval, such as ``0.4 ± 0.3 points``."""
    if pair.difference is None:
        return "no common seed"
    amount = amount_of(metric, pair.difference)
    if pair.interval is None:
        return amount
    number, _, unit = amount.partition(" ")
    low, high = (end - pair.difference for end in pair.interval)
    if abs(low + high) > ASKEW * (high - low):  # as where it was cut at the largest difference
        ends = [f"{'-' if end < 0 else ''}{amount_of(metric, end).partition(' ')[0]}" for end in pair.interval]
        return f"{number} ({ends[0]} to {ends[1]}) {unit}".rstrip()
    half = amount_of(metric, (high - low) / 2).partition(" ")[0]
    return f"{number} ± {half} {unit}".rstrip()


def turned(pair: Pair) -> Pair:
    """Return a pair as said of its second variant."""
    ends = None if pair.interval is None else (-pair.interval[1], -pair.interval[0])
    return dataclasses.replace(
        pair,
        first=pair.second,
        second=pair.first,
        difference=None if pair.difference is None else -pair.difference,
        interval=ends,
        improvement=None if pair.improvement is None else 1 - pair.improvement,
        verdict={"better": "worse", "worse": "better"}.get(pair.verdict or "", pair.verdict),
    )


# ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────────


def answer_of(result: ComparisonResult) -> str:
    """Return the answer of a comparison in one sentence, with the caveats that belong to it."""
    ranked, names = result.ranked(), [variant.name for variant in result.variants]
    if not ranked and result.ended == "interrupted":
        return "No answer yet: no seed has run with all variants."
    if not ranked:
        return f"No answer: none of the {counted(len(result.runs), 'run')} has finished."
    best, others = ranked[0], ranked[1:]
    if not others:
        return f"No answer: only {names[best]} has runs that finished{_failures(result)}."
    pairs = {other: result.pair(best, other) for other in others}
    beaten = [other for other in others if pairs[other].verdict == "better"]
    if all(pair.verdict is None for pair in pairs.values()):
        gap = pairs[others[0]].difference
        ahead = "" if gap is None else f" ({result.amount(gap)} before {names[others[0]]})"
        return (
            f"No answer from one seed: {names[best]} has the best {_score(result)}{ahead}; runs of other seeds differ."
            f"{_rival_ahead(result, best)}"
        )
    open_ = [other for other in others if other not in beaten]
    if not open_:
        sentence = f"{names[best]} beats {_each(result, pairs, beaten)}{_speed(result, best, others)}"
    elif beaten:
        sentence = f"{names[best]} beats {_each(result, pairs, beaten)}, but is not told apart from " + joined(
            [f"{names[other]} ({gap_of(result.metric, pairs[other])})" for other in open_]
        )
    else:
        pair = pairs[others[0]]
        lead = "" if pair.difference is None else f" by {gap_of(result.metric, pair)}"
        if pair.difference == 0 and pair.verdict == "undecided":
            said = f"{names[best]} and {names[others[0]]} score alike in {counted(pair.n, 'seed')}"
            return f"No variant is shown to be best: {said}{_failures(result)}.{_rival_ahead(result, best)}"
        p = "" if pair.p_holm is None else f"; p {shown(pair.p_holm)} after Holm"
        if all(each.verdict == "same" for each in pairs.values()):
            sentence = f"No variant is better by the margin: {names[best]} leads {names[others[0]]}{lead}"
        else:
            seeds = counted(pair.n, "seed")
            sentence = f"No variant is shown to be best: {names[best]} leads {names[others[0]]}{lead} in {seeds}{p}"
    return f"{sentence}{_failures(result)}.{_rival_ahead(result, best)}"


def _rival_ahead(result: ComparisonResult, best: int) -> str:
    """Return a sentence on a rival whose score is better than the best mean; an empty text without one."""
    score, mean = (result.rival or {}).get(result.metric), result.statistics.variants[best].mean
    if result.rival is None or score is None or mean is None:
        return ""
    if (score > mean) if result.larger_is_better else (score < mean):
        return f" All lose to the rival, {result.rival['name']}: {_score(result)} {shown(score)}."
    return ""


def _score(result: ComparisonResult) -> str:
    return f"{result.split} {result.metric.replace('_', ' ')}"


def _each(result: ComparisonResult, pairs: dict[int, Pair], others: Sequence[int]) -> str:
    """Return variants with the differences to them, such as ``lstm by 0.4 ± 0.3 points in 5 of 6 seeds``."""
    gaps = {other: f"{gap_of(result.metric, pairs[other])}{_wins(result, pairs[other])}" for other in others}
    return joined([f"{result.variants[other].name} by {gap}" for other, gap in gaps.items()])


def joined(parts: Sequence[str]) -> str:
    """Return parts of a sentence, the last two joined by ``and``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _wins(result: ComparisonResult, pair: Pair) -> str:
    """Return in how many of the common seeds the first variant is ahead."""
    scores = [{run.seed: run.score for run in result.runs_of(number)} for number in (pair.first, pair.second)]
    common = scores[0].keys() & scores[1].keys()
    sign = 1 if result.larger_is_better else -1
    wins = sum(sign * ((scores[0][seed] or 0.0) - (scores[1][seed] or 0.0)) > 0 for seed in common)
    return f" in {wins} of {counted(pair.n, 'seed')}"


def _speed(result: ComparisonResult, best: int, others: Sequence[int]) -> str:
    """Return how fast the best variant trains beside a single other one."""
    ours, theirs = result.seconds(best), result.seconds(others[0])
    if len(others) > 1 or result.timed or not ours or not theirs:
        return ""
    ratio = theirs / ours
    if abs(math.log(ratio)) < math.log(1 + SAME_TIME):
        return ""
    return f" and trains {ratio:.1f} × as fast" if ratio > 1 else f" but takes {1 / ratio:.1f} × the time to train"


def _failures(result: ComparisonResult) -> str:
    """Return which runs failed, in words."""
    parts = [
        f"{summary.failed} of {counted(summary.n + summary.failed, 'run')} of {spec.name} failed"
        for spec, summary in zip(result.variants, result.statistics.variants, strict=True)
        if summary.failed
    ]
    return f" ({'; '.join(parts)})" if parts else ""
