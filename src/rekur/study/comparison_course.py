"""Carry out a comparison: train the runs that are not done yet, one after the other, and make its result."""

from __future__ import annotations

import dataclasses
import math
import statistics as averages
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rekur._clock import duration
from rekur._memory import begin_peak, peak_memory
from rekur._numbers import shown
from rekur.data.sketch import Seen
from rekur.errors import InputError, describe
from rekur.metrics import METRICS
from rekur.models import count_core, count_parameters
from rekur.runtime.bundle import read_bundle
from rekur.study import seeds
from rekur.study.comparison import ComparisonResult
from rekur.study.comparison_examples import page_facts
from rekur.study.comparison_folder import ATTEMPTS, RESULT, ComparisonFolder, Records, Run
from rekur.study.comparison_page import write_comparison
from rekur.study.measures import bundle_bytes, load_model, speed_of
from rekur.study.objective import Setting, run_trial
from rekur.study.run_search import fingerprint
from rekur.study.statistics import compare as compare_scores
from rekur.study.variants import Sizing, VariantSpec, make_equal
from rekur.study.verdicts import Comparison
from rekur.targets import Target
from rekur.tasks import load
from rekur.tasks.base.driver import fit_rival

Say = Callable[[str], None]
_RIVAL = "rival.json"


class Course:
    """The course of a comparison.

    Args:
        setting: task, options and data of all runs.
        test: test data; None if scores are those of the validation data.
        variants: the compared options.
        first_seeds: one a run of each variant; the first also draws the validation share.
        say: receives lines for a person.
        margin: differences inside it count as none; None without one.
        auto: whether seeds are added while intervals are wide.
        reach: the validation score whose time is told.
        command: that the page tells.
    """

    def __init__(
        self,
        setting: Setting,
        test: Any,
        variants: list[VariantSpec],
        first_seeds: list[int],
        say: Say,
        *,
        margin: float | None = None,
        auto: bool = False,
        reach: float | None = None,
        command: str = "",
    ) -> None:
        self.setting, self.test, self.variants, self.seeds, self.say = setting, test, variants, first_seeds, say
        self.margin, self.auto, self.stopping = margin, auto, ""
        self.ended, self.reach, self.command = "finished", reach, command
        self._times: list[float] = []
        self._items: int | None = None
        self._warned: set[str] = set()

    # ── training ─────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, folder: ComparisonFolder, equal: str) -> None:
        """Train all variants with all seeds, as far as that is not done."""
        sizing = Sizing(self.setting, self.seeds[0], self._warn)
        self.variants = make_equal(self.variants, sizing, equal)
        for spec in self.variants:
            if spec.note:
                self.say(f"{spec.name}: {spec.note}.")
        del sizing  # and the data that it prepared
        try:
            while self._train_all(folder) and self._adds_seeds(folder):
                pass
        except KeyboardInterrupt:
            self.ended = "interrupted"

    def _train_all(self, folder: ComparisonFolder) -> bool:
        """Train the variants and seeds that are not done; return False if it was stopped."""
        done = folder.runs()
        waiting = [key for key in self._order() if not self._is_done(folder, done.get(key))]
        for number, (variant, seed) in enumerate(waiting):
            earlier = done.get((variant, seed))
            attempt = 1 if earlier is None else earlier.attempt + 1
            if attempt > ATTEMPTS:
                reason = f"its process ended while it ran, {ATTEMPTS} times"
                folder.write(Run(variant, seed, "failed", reason=reason, attempt=attempt - 1))
                continue
            if not self._train(folder, variant, seed, attempt, rest=len(waiting) - number - 1):
                self.ended = "interrupted"
                return False
        return True

    def _adds_seeds(self, folder: ComparisonFolder) -> bool:
        """Add a block of seeds where intervals of the validation scores are still too wide; return whether it did."""
        if not self.auto:
            return False
        runs, finished = self._runs(folder)
        target = load_model(folder.model(*finished[0])).target_ if finished else None
        records = self._records(folder, finished, on_test=False)
        statistics = self._statistics(runs, records, target)
        self.stopping = seeds.enough(statistics, "" if target is None else target.decides, len(self.seeds))
        if self.stopping:
            return False
        more = range(self.seeds[-1] + 1, self.seeds[0] + min(len(self.seeds) + seeds.BLOCK, seeds.MOST))
        self.seeds.extend(more)
        self.say(f"Intervals are still wide: seeds {more[0]} to {more[-1]} are added.")
        return True

    @staticmethod
    def _is_done(folder: ComparisonFolder, run: Run | None) -> bool:
        if run is None or run.state == "running":
            return False
        return run.state == "failed" or folder.records(run.variant, run.seed, "validation") is not None

    def _order(self) -> Iterator[tuple[int, int]]:
        """Yield (variant, seed) of all runs: seed by seed, the variants of each in a random order."""
        for seed in self.seeds:
            order = np.random.default_rng([self.seeds[0], seed]).permutation(len(self.variants))
            for variant in order.tolist():
                yield variant, seed

    def _train(self, folder: ComparisonFolder, variant: int, seed: int, attempt: int, *, rest: int) -> bool:
        """Train and record one run; return False if it was stopped."""
        spec, began = self.variants[variant], time.monotonic()
        folder.write(Run(variant, seed, "running", attempt=attempt))
        options, counts = {**spec.options, "seed": seed}, begin_peak()
        outcome, task = run_trial(self.setting, options, lambda *_: False, say=self._warn, split_seed=self.seeds[0])
        memory = peak_memory() if counts else None
        if outcome.state == "stopped":
            folder.write(Run(variant, seed, "running", attempt=attempt - 1))
            return False
        error = outcome.error
        reason = outcome.ended if error is None else f"{error}".strip() or type(error).__name__
        if task is not None and (reason_of_end := _failure(task)):
            task, reason = None, reason_of_end
        seconds = round(outcome.seconds if task is None else task.result_.seconds, 3)
        run = Run(variant, seed, "failed", seconds=seconds, reason=reason, attempt=attempt)
        if task is not None and outcome.records is not None:
            self._check_items(spec.name, seed, len(outcome.records))
            score = float(task.target_.score(outcome.records)[task.target_.decides])
            folder.write_records(variant, seed, "validation", outcome.records)
            task.save(folder.model(variant, seed), overwrite=True)
            sizes = {"parameters": count_parameters(task.model_), "core": count_core(task.model_)}
            run = Run(variant, seed, "finished", score, seconds, reason=reason, attempt=attempt, **sizes)
            run = self._measured(dataclasses.replace(run, peak_memory=memory), folder.model(variant, seed))
        folder.write(run)
        self._times.append(time.monotonic() - began)
        self._tell(run, "" if task is None else task.target_.decides, rest)
        return True

    def _check_items(self, name: str, seed: int, items: int) -> None:
        """Raise if a run was scored on more or fewer items than those before it."""
        if self._items not in (None, items):
            expected = f"{self._items:,}, as in the runs before it"
            fix = "An option that decides which items are scored cannot be varied."
            raise InputError(describe(f"{name}, seed {seed}: scored items", items, expected, fix))
        self._items = items

    def _measured(self, run: Run, model: Path) -> Run:
        """Return a run with the size and the speed of its model."""
        speed = speed_of(load_model(model), self.setting.data if self.setting.valid is None else self.setting.valid)
        return dataclasses.replace(run, bundle_bytes=bundle_bytes(model), **vars(speed))

    def _warn(self, text: str) -> None:
        """Pass on a warning, once."""
        if text.startswith("warning") and text not in self._warned:
            self._warned.add(text)
            self.say(text)

    def _tell(self, run: Run, metric: str, rest: int) -> None:
        total = len(self.seeds) * len(self.variants)
        result = f"failed: {run.reason}" if run.score is None else f"{metric.replace('_', ' ')} {shown(run.score)}"
        left = f"  about {duration(rest * averages.mean(self._times))} left" if rest else ""
        name = self.variants[run.variant].name
        self.say(f"run {total - rest:>3} of {total}  {name}, seed {run.seed}  {result}  {duration(run.seconds)}{left}")

    # ── the result ───────────────────────────────────────────────────────────────────────────────────────────

    def result(self, folder: ComparisonFolder, equal: str, *, out: Path | None, has_rival: bool) -> ComparisonResult:
        """Score what was trained, and return the result; without an interruption also on the test data."""
        runs, finished = self._runs(folder)
        on_test = self.test is not None and self.ended == "finished"
        split, records, target = "test" if on_test else "validation", self._records(folder, finished, on_test), None
        if finished:
            model = load_model(folder.model(*finished[0]))
            target = model.target_
            split = split if on_test else str(model.metrics_.get("split", split))
            if on_test:
                seen = Seen(model.sketch_)
                seen.add(model.encode_corpus(self.test))
                self._warn(seen.note("each model"))
            for key in finished:
                score = float(target.score(records[key])[target.decides])
                runs[key] = dataclasses.replace(runs[key], score=score)
        rival = self._rival(folder, finished, on_test) if has_rival and finished and self.ended == "finished" else None
        result = ComparisonResult(
            task=self.setting.task,
            metric="" if target is None else target.decides,
            split=split,
            items=0 if target is None else target.count(records[finished[0]]),
            counted="items" if target is None else target.counted,
            variants=tuple(self.variants),
            runs=tuple(runs[key] for key in sorted(runs)),
            statistics=self._statistics(runs, records, target),
            rival=rival,
            equal=equal,
            timed=bool(self.setting.options.get("time_limit")),
            ended=self.ended,
            folder=out,
            stopping=seeds.told(self.stopping) if self.stopping else "",
            histories={key: read_bundle(folder.model(*key)).history() for key in finished},
            reach=self.reach,
        )
        if out is not None:
            folder.write_notes(RESULT, result.to_dict())
            scored = self.test if on_test else self.setting.valid
            facts = page_facts(result, folder, self.setting, scored, self.seeds[0])
            write_comparison(result, folder.path, dataclasses.replace(facts, command=self.command))
        return result

    def _runs(self, folder: ComparisonFolder) -> tuple[dict[tuple[int, int], Run], list[tuple[int, int]]]:
        """Return (variant, seed) -> run of all runs that ended, and the keys of those that finished."""
        runs = {key: run for key, run in folder.runs().items() if run.state != "running" and key[1] in self.seeds}
        return runs, [key for key, run in sorted(runs.items()) if run.state == "finished"]

    def _records(
        self, folder: ComparisonFolder, finished: Sequence[tuple[int, int]], on_test: bool
    ) -> dict[tuple[int, int], Records]:
        """Return the records of the finished runs; those on the test data are made where they are missing."""
        mark = fingerprint(self.test) if on_test else ""
        split = "test" if on_test else "validation"
        records = {}
        for key in finished:
            saved = folder.records(*key, split, mark)
            if saved is None:
                saved = load_model(folder.model(*key)).records_of(self.test)
                folder.write_records(*key, split, saved, mark)
            records[key] = saved
        return records

    def _statistics(
        self,
        runs: Mapping[tuple[int, int], Run],
        records: Mapping[tuple[int, int], Records],
        target: Target | None,
    ) -> Comparison:
        """Return the statistics of the seeds that all variants have run, over examples too where there are several."""
        numbers = range(len(self.variants))
        whole = [seed for seed in self.seeds if all((variant, seed) in runs for variant in numbers)]
        keys = [[(variant, seed) for seed in whole or self.seeds[:1]] for variant in numbers]
        scores = [[runs[key].score if whole else None for key in row] for row in keys]
        how: dict[str, Any] = {"margin": self.margin, "seed": self.seeds[0]}
        how["penalty"] = seeds.PENALTY if self.auto else 1.0
        if target is None or not whole:
            return compare_scores(scores, **how)
        name = target.decides
        how |= {"larger_is_better": METRICS[name].larger_is_better, "limits": METRICS[name].limits}
        if min(map(len, records.values())) < 2:
            return compare_scores(scores, **how)
        table = [[records.get(key) for key in row] for row in keys]
        return compare_scores(scores, table, score=lambda rows: float(target.score(rows)[name]), **how)

    def _rival(
        self, folder: ComparisonFolder, finished: Sequence[tuple[int, int]], on_test: bool
    ) -> dict[str, Any] | None:
        """Return name and scores of the rival of the task, which is fitted and scored once."""
        split = "test" if on_test else "validation"
        mark = fingerprint(self.test) if on_test else ""
        saved = folder.notes(_RIVAL)
        if saved.get("split") == split and saved.get("data") == mark:
            rival: dict[str, Any] | None = saved["rival"]
            return rival
        model = load(folder.model(*finished[0]))
        model.split_seed = self.seeds[0]
        fit_rival(model, model.make_stages(), self.setting.data, self.setting.valid)
        rival = model.metrics_.get("rival")
        if on_test and rival is not None:
            rival = model.evaluate_corpus(self.test).get("rival")
        if rival is not None:
            rival = {name: value for name, value in rival.items() if _is_plain(value)}
        folder.write_notes(_RIVAL, {"split": split, "data": mark, "rival": rival})
        return rival


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))


def _failure(task: Any) -> str:
    """Return why a training counts as failed though it has weights; an empty text if it does not."""
    result, rows = task.result_, task.history_.rows
    if result.stopped == "diverged":
        return f"training diverged: {result.events[-1] if result.events else 'no reason is known'}"
    if result.stopped == "time limit" and rows and rows[-1]["step"] <= 1:
        limit = task.chosen_.get("time_limit")
        return describe("time_limit", limit, "time for more than one step of training", "Give more time.")
    return ""
