"""A comparison: every variant trained with the same seeds on the same data, and tested by one statistic."""

from __future__ import annotations

import json
import math
import statistics as averages
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from rekur import _check
from rekur._clock import duration
from rekur._numbers import shown
from rekur.data import Corpus
from rekur.errors import InputError, describe
from rekur.metrics import METRICS
from rekur.models import count_core, count_parameters
from rekur.runtime import load as load_bundle
from rekur.study.comparison import ComparisonResult
from rekur.study.comparison_folder import ATTEMPTS, RESULT, ComparisonFolder, Records, Run
from rekur.study.objective import Setting, run_trial
from rekur.study.run_search import fingerprint, kind_of, read_data
from rekur.study.statistics import Comparison
from rekur.study.statistics import compare as compare_scores
from rekur.study.variants import EQUAL, Sizing, VariantSpec, make_equal, make_variants
from rekur.targets import Target
from rekur.tasks import TASKS, load
from rekur.tasks.base.driver import fit_rival

Say = Callable[[str], None]
_RIVAL = "rival.json"
#: options that a comparison sets itself
_OWN = ("seed", "baseline")


def compare(
    task: str,
    X: Any,
    y: Any = None,
    *,
    X_valid: Any = None,
    y_valid: Any = None,
    X_test: Any = None,
    y_test: Any = None,
    cells: Sequence[str] = (),
    vary: Mapping[str, str | Sequence[Any]] | None = None,
    equal: str | None = None,
    seeds: int = 6,
    margin: float | None = None,
    out: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    columns: Mapping[str, Any] | None = None,
    say: Say | None = None,
) -> ComparisonResult:
    """Train variants of a task with the same seeds on the same data, and say which differences are real.

    Every variant has the same budget: the options ``steps``, ``epochs`` or ``time_limit`` hold for each run. Run s of
    every variant reads the same data in the same order; all runs are scored on the same items. The runs of a seed
    follow each other in a random order, so that a busy machine slows all variants alike. A run that fails is reported,
    and the others continue. The same call continues an earlier one in the folder ``out``, even a killed one.

    Args:
        task: ``classify``, ``regress`` or another name in ``rekur.tasks.TASKS``.
        X: items, as for ``fit``, or a :class:`rekur.data.Corpus`.
        y: their labels; None with a corpus.
        X_valid: validation items, which choose the weights of each run; by default a share of ``X``, the same in
            every run.
        y_valid: their labels.
        X_test: test items, which give the scores; they are read once, after all runs. By default validation items do.
        y_test: their labels.
        cells: names of cells.
        vary: option -> values, such as ``{"dropout": "0,0.3"}``; all combinations with the cells are variants.
        equal: ``parameters`` for hidden sizes with equal numbers of weights outside embeddings and the output layer,
            within 2 %; ``hidden`` for equal hidden sizes; by default the first, unless ``vary`` has ``hidden_size``.
        seeds: runs of each variant; 1 or more.
        margin: differences inside it count as none; by default no pair is called the same.
        out: folder of the comparison; by default nothing is saved.
        options: options of every run; their ``seed`` is that of the first run.
        columns: how a file was read, saved with the models.
        say: receives one line for each run; by default nothing is shown.

    Returns:
        the result. Ctrl-C ends the comparison and still returns it.

    Raises:
        InputError: an option, a variant or an item is invalid, or the folder holds another comparison.

    Example:
        >>> texts, labels = ["aa b", "aa", "c dd", "c"] * 8, [0, 0, 1, 1] * 8
        >>> result = compare("classify", texts, labels, cells=["rnn", "gru"], seeds=2,
        ...     options={"epochs": 1, "hidden_size": 4})
        >>> len(result.runs), len(result.statistics.pairs)
        (4, 1)
    """
    _check.choice("task", task, list(TASKS))
    _check.whole("seeds", seeds, low=1)
    margin = None if margin is None else _check.positive("margin", margin)
    varied = {name.replace("-", "_"): values for name, values in (vary or {}).items()}
    if equal is None:
        equal = "hidden" if "hidden_size" in varied else "parameters"
    _check.choice("equal", equal, EQUAL)
    fixed = {name: value for name, value in (options or {}).items() if value is not None}
    first_seed = _check.seed("seed", fixed.get("seed", 0))
    kind = None if fixed.get("kind") in (None, "auto") else fixed["kind"]
    train = read_data(task, X, y, "X", kind)
    kind, channels = (train.kind, train.channels) if isinstance(train, Corpus) else (None, None)
    valid = read_data(task, X_valid, y_valid, "X_valid", kind, channels)
    test = read_data(task, X_test, y_test, "X_test", kind, channels)
    setting = Setting(
        task, {name: value for name, value in fixed.items() if name != "seed"}, train, valid, columns or {}
    )
    variants = make_variants(setting, kind_of(setting), cells, varied)
    has_rival = bool(fixed.get("baseline", True))
    identity = _identity(setting, variants, equal, first_seed, test)
    course = _Course(setting, test, variants, list(range(first_seed, first_seed + seeds)), say or (lambda text: None))
    with _opened(out, identity) as folder:
        course.run(folder, equal)
        return course.result(folder, equal, margin, out=None if out is None else Path(out), has_rival=has_rival)


def _identity(setting: Setting, variants: Sequence[VariantSpec], equal: str, seed: int, test: Any) -> dict[str, Any]:
    """Return the settings that identify a comparison, as plain JSON."""
    marks = {
        name: None if data is None else fingerprint(data) for name, data in (("valid", setting.valid), ("test", test))
    }
    mark = fingerprint(setting.data)
    for name, fix in (("test", "Give other items, or leave it out."), ("valid", "Leave it out for a share.")):
        if marks[name] == mark:
            raise InputError(describe(name, "the training data", "items that no run is trained on", fix))
    if test is not None and marks["test"] == marks["valid"]:
        fix = "Leave it out: then scores are those of the validation data."
        raise InputError(describe("test", "the validation data", "items that choose no weights", fix))
    plain = {
        "task": setting.task,
        "variants": ",".join(variant.name for variant in variants),
        "equal": equal,
        "seed": seed,
        "options": {name: value for name, value in setting.options.items() if name not in ("verbose", *_OWN)},
        "data": mark,
        **marks,
        "format": 1,
    }
    identity: dict[str, Any] = json.loads(json.dumps(plain))
    return identity


@contextmanager
def _opened(out: str | Path | None, identity: Mapping[str, Any]) -> Iterator[ComparisonFolder]:
    """Open the folder of a comparison, or one that is removed afterwards."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="rekur-compare-") as passing:
            folder = ComparisonFolder(Path(passing), identity)
            try:
                yield folder
            finally:
                folder.close()
        return
    path = Path(out).absolute()
    made = [each for each in (path, *path.parents) if not each.exists()]
    try:
        folder = ComparisonFolder(path, identity)
        try:
            yield folder
        finally:
            folder.close()
    finally:
        for each in made:
            with suppress(OSError):  # it is not empty
                each.rmdir()


class _Course:
    """The course of a comparison.

    Args:
        setting: task, options and data of all runs.
        test: test data; None if scores are those of the validation data.
        variants: the compared options.
        seeds: one a run of each variant; the first also draws the validation share.
        say: receives lines for a person.
    """

    def __init__(self, setting: Setting, test: Any, variants: list[VariantSpec], seeds: list[int], say: Say) -> None:
        self.setting, self.test, self.variants, self.seeds, self.say = setting, test, variants, seeds, say
        self.ended = "finished"
        self._times: list[float] = []
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
        done = folder.runs()
        waiting = [key for key in self._order() if not self._is_done(folder, done.get(key))]
        try:
            for number, (variant, seed) in enumerate(waiting):
                earlier = done.get((variant, seed))
                attempt = 1 if earlier is None else earlier.attempt + 1
                if attempt > ATTEMPTS:
                    reason = f"its process ended while it ran, {ATTEMPTS} times"
                    folder.write(Run(variant, seed, "failed", reason=reason, attempt=attempt - 1))
                    continue
                if not self._train(folder, variant, seed, attempt, rest=len(waiting) - number - 1):
                    self.ended = "interrupted"
                    return
        except KeyboardInterrupt:
            self.ended = "interrupted"

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
        options = {**spec.options, "seed": seed}
        outcome, task = run_trial(self.setting, options, lambda *_: False, say=self._warn, split_seed=self.seeds[0])
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
            score = float(task.target_.score(outcome.records)[task.target_.decides])
            folder.write_records(variant, seed, "validation", outcome.records)
            task.save(folder.model(variant, seed), overwrite=True)
            sizes = {"parameters": count_parameters(task.model_), "core": count_core(task.model_)}
            run = Run(variant, seed, "finished", score, seconds, reason=reason, attempt=attempt, **sizes)
        folder.write(run)
        self._times.append(time.monotonic() - began)
        self._tell(run, "" if task is None else task.target_.decides, rest)
        return True

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

    def result(
        self, folder: ComparisonFolder, equal: str, margin: float | None, *, out: Path | None, has_rival: bool
    ) -> ComparisonResult:
        """Score what was trained, and return the result; without an interruption also on the test data."""
        runs = {key: run for key, run in folder.runs().items() if run.state != "running" and key[1] in self.seeds}
        finished = [key for key, run in sorted(runs.items()) if run.state == "finished"]
        on_test = self.test is not None and self.ended == "finished"
        split, records, target = "test" if on_test else "validation", self._records(folder, finished, on_test), None
        if finished:
            target = load_bundle(folder.model(*finished[0])).target_
            for key in finished:
                score = float(target.score(records[key])[target.decides])
                runs[key] = Run(**{**vars(runs[key]), "score": score})
        rival = self._rival(folder, finished, on_test) if has_rival and finished and self.ended == "finished" else None
        result = ComparisonResult(
            task=self.setting.task,
            metric="" if target is None else target.decides,
            split=split,
            items=0 if target is None else target.count(records[finished[0]]),
            counted="items" if target is None else target.counted,
            variants=tuple(self.variants),
            runs=tuple(runs[key] for key in sorted(runs)),
            statistics=self._statistics(runs, records, target, margin),
            rival=rival,
            equal=equal,
            timed=bool(self.setting.options.get("time_limit")),
            ended=self.ended,
            folder=out,
        )
        if out is not None:
            folder.write_notes(RESULT, result.to_dict())
        return result

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
                saved = load_bundle(folder.model(*key)).records_of(self.test)
                folder.write_records(*key, split, saved, mark)
            records[key] = saved
        return records

    def _statistics(
        self,
        runs: Mapping[tuple[int, int], Run],
        records: Mapping[tuple[int, int], Records],
        target: Target | None,
        margin: float | None,
    ) -> Comparison:
        """Return the statistics of the seeds that all variants have run, over examples too where there are several."""
        numbers = range(len(self.variants))
        whole = [seed for seed in self.seeds if all((variant, seed) in runs for variant in numbers)]
        keys = [[(variant, seed) for seed in whole or self.seeds[:1]] for variant in numbers]
        scores = [[runs[key].score if whole else None for key in row] for row in keys]
        how: dict[str, Any] = {"margin": margin, "seed": self.seeds[0]}
        if target is None or not whole:
            return compare_scores(scores, **how)
        name = target.decides
        how["larger_is_better"] = METRICS[name].larger_is_better
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
