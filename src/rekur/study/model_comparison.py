"""Saved models beside each other on the same items: scores, differences and the answer in one sentence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from rekur._numbers import shown, shown_interval
from rekur.data.sketch import Seen
from rekur.errors import InputError, describe
from rekur.metrics import METRICS
from rekur.study.comparison import Table, gap_of, joined, turned
from rekur.study.statistics import compare_models
from rekur.study.verdicts import Comparison, Pair

#: what intervals do not tell
ONE_RUN = "One run of each model: intervals are over items; another seed of a training may turn the order."


@dataclasses.dataclass(frozen=True)
class ModelComparison:
    """Models that were scored on the same items.

    Attributes:
        task: the name of their task.
        metric: by which they are compared.
        items: how many items, or tokens, the first model was scored on.
        counted: the unit of ``items``, in the plural.
        names: of the models.
        statistics: scores, intervals, pairs and verdicts, by :func:`rekur.study.statistics.compare_models`.
        warnings: of models that had items of the test in training.
        rival: name and scores of a plain model on the same items; None where none was scored.
    """

    task: str
    metric: str
    items: int
    counted: str
    names: tuple[str, ...]
    statistics: Comparison
    warnings: tuple[str, ...] = ()
    rival: Mapping[str, Any] | None = None

    def ranked(self) -> list[int]:
        """Return the numbers of the models, the best first."""
        sign = -1 if self.statistics.larger_is_better else 1
        scores = [sign * (variant.mean or 0.0) for variant in self.statistics.variants]
        return sorted(range(len(scores)), key=scores.__getitem__)

    @cached_property
    def short_names(self) -> tuple[str, ...]:
        """The names without the folders that all have: of ``runs/lstm`` and ``runs/gru`` these are the last parts."""
        parts = [name.rstrip("/").split("/") for name in self.names]
        while min(map(len, parts)) > 1 and len({each[0] for each in parts}) == 1:
            parts = [each[1:] for each in parts]
        while min(map(len, parts)) > 1 and len({each[-1] for each in parts}) == 1:
            parts = [each[:-1] for each in parts]
        return tuple("/".join(each) for each in parts)

    def pair_name(self, pair: Pair) -> str:
        """Return the short names of a pair."""
        return f"{self.short_names[pair.first]} - {self.short_names[pair.second]}"

    def pair(self, first: int, second: int) -> Pair:
        """Return the pair of two models, said of ``first``."""
        pairs = {(pair.first, pair.second): pair for pair in self.statistics.pairs}
        return pairs[first, second] if first < second else turned(pairs[second, first])

    @property
    def answer(self) -> str:
        """The answer in one sentence."""
        best, *others = self.ranked()
        gaps = {other: gap_of(self.metric, self.pair(best, other)) for other in others}
        beaten = [other for other in others if self.pair(best, other).verdict == "better"]
        rest = [other for other in others if other not in beaten]
        names = self.short_names
        said = joined([f"{names[other]} by {gaps[other]}" for other in beaten]) if beaten else ""
        if not rest:
            return f"{names[best]} beats {said}."
        if beaten:
            unclear = joined([f"{names[other]} ({gaps[other]})" for other in rest])
            return f"{names[best]} beats {said}, but is not told apart from {unclear}."
        pair = self.pair(best, others[0])
        if not pair.difference:
            return f"No model is shown to be best: {names[best]} and {names[others[0]]} score alike."
        kind = "better by the margin" if pair.verdict == "same" else "shown to be best"
        lead = f"{names[best]} leads {names[others[0]]} by {gaps[others[0]]}"
        return f"No model is {kind}: {lead}; p {shown(pair.p_holm or 0.0)} after Holm."

    def tables(self) -> list[Table]:
        """Return the tables of models and of pairs."""
        score, best = self.metric.replace("_", " "), self.ranked()[0]
        models: list[list[Any]] = []
        for number in self.ranked():
            variant = self.statistics.variants[number]
            beside = "best" if number == best else self.pair(number, best).verdict
            models.append([self.short_names[number], variant.mean, shown_interval(variant.interval), beside])
        title = f"{score.capitalize()} on {self.items:,} {self.counted}"
        if self.rival is not None and self.metric in self.rival:
            models.append(["rival", self.rival[self.metric], "", ""])
            title = f"{title} (rival: {self.rival['name']})"
        pairs: list[list[Any]] = []
        for pair in self.statistics.pairs:
            pairs.append(
                [
                    self.pair_name(pair),
                    pair.difference,
                    shown_interval(pair.interval),
                    pair.p,
                    pair.p_holm,
                    pair.verdict,
                ]
            )
        margin = self.statistics.margin
        return [
            (
                title,
                ("model", score, "95 % interval", "beside the best"),
                models,
            ),
            (
                f"Differences (margin: {'none' if margin is None else shown(margin)})",
                ("first - second", "differs by", "95 % interval", "p", "p Holm", "first is"),
                pairs,
            ),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        models = [
            {"model": name, "score": variant.mean, "interval": variant.interval, "note": variant.note}
            for name, variant in zip(self.names, self.statistics.variants, strict=True)
        ]
        pairs = [
            {
                "first": self.names[pair.first],
                "second": self.names[pair.second],
                **{name: getattr(pair, name) for name in ("difference", "interval", "p", "p_holm", "verdict", "note")},
            }
            for pair in self.statistics.pairs
        ]
        return {
            "task": self.task,
            "answer": self.answer,
            "metric": self.metric,
            "larger_is_better": self.statistics.larger_is_better,
            self.counted: self.items,
            "margin": self.statistics.margin,
            "models": models,
            "pairs": pairs,
            **({} if self.rival is None else {"rival": dict(self.rival)}),
            "note": ONE_RUN,
        }


def check_comparable(names: Sequence[str], models: Sequence[Any]) -> None:
    """Raise unless models have the same task and the same answers.

    Args:
        names: of the models.
        models: as :func:`rekur.runtime.load` returns them.

    Raises:
        InputError: one differs from the first.
    """
    first = models[0]
    for name, model in zip(names, models, strict=True):
        if model.task != first.task:
            raise InputError(f"{name}: " + describe("task", model.task, f"{first.task}, as of {names[0]}"))
        ours, theirs = first.target_.answers, model.target_.answers
        if sorted(ours) != sorted(theirs):
            odd = next((each for each in theirs if each not in ours), None)
            got = f"no {next(each for each in ours if each not in theirs)!r}" if odd is None else repr(odd)
            raise InputError(f"{name}: what it answers: got {got}; expected the same as of {names[0]}.")


def compare_saved(
    names: Sequence[str], models: Sequence[Any], corpora: Sequence[Any], *, margin: float | None = None, seed: int = 0
) -> ModelComparison:
    """Return a comparison of models on the same items.

    Args:
        names: of the models.
        models: two or more, as :func:`rekur.runtime.load` returns them.
        corpora: the items with their labels, as each of them reads them.
        margin: differences inside it count as none.
        seed: of the groups of items.

    Raises:
        InputError: models differ in task or answers, they were scored on different items, there is only one, or these
            are the very items that a model was trained or validated on.
    """
    check_comparable(names, models)
    records, warnings = [], []
    for name, model, corpus in zip(names, models, corpora, strict=True):
        seen = Seen(model.sketch_)
        records.append(np.asarray(model.records_of(corpus, reads=seen.add)))
        if seen.share() == 1:
            expected = f"items that {name} was neither trained nor validated on"
            raise InputError(describe("FILE", corpus.name, expected, "Give another file."))
        if note := seen.note(name):
            warnings.append(note)
    target = models[0].target_
    for name, each in zip(names, records, strict=True):
        if len(each) != len(records[0]):
            expected = f"{len(records[0]):,}, as of {names[0]}"
            raise InputError(
                f"{name}: " + describe("scored items", len(each), expected, "Both must read the same file.")
            )
    if len(records[0]) < 2:
        raise InputError(describe("items", len(records[0]), "two or more", "Give a file with more of them."))
    metric = target.compares
    statistics = compare_models(
        records,
        lambda rows: float(target.score(rows).get(metric, math.nan)),
        larger_is_better=METRICS[metric].larger_is_better,
        margin=margin,
        limits=METRICS[metric].limits,
        seed=seed,
    )
    items, counted = target.count(records[0]), target.counted
    return ModelComparison(models[0].task, metric, items, counted, tuple(names), statistics, tuple(warnings))
