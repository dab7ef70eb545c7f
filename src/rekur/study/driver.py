"""The course of a search: it chooses the next trial and records results, all in one SQLite file.

If the process dies, the file suffices to resume: a trial that was running is marked as failed and tried once more.
The next options depend on the file and the seed alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rekur import _check
from rekur._clock import duration
from rekur._numbers import shown
from rekur.errors import InputError
from rekur.study.objective import Outcome
from rekur.study.space import Space
from rekur.study.study_file import StudyFile
from rekur.study.trials import Trial, best_first, shown_options

if TYPE_CHECKING:
    import optuna

#: trials drawn at random before the search learns from them, and finished ones before any is pruned
RANDOM_TRIALS, UNPRUNED_TRIALS = 8, 4
#: share of its evaluations that every trial may make
UNPRUNED_SHARE = 0.2
#: up to this number of combinations, a search tries none twice
MOST_COMBINATIONS = 2_000
_STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}


@dataclasses.dataclass
class Job:
    """A running trial.

    Attributes:
        number: of the trial, from 0.
        trial: Optuna's trial.
        options: the tried options; empty for the defaults.
        defaults: whether it is the trial of the defaults.
    """

    number: int
    trial: optuna.Trial
    options: dict[str, Any]
    defaults: bool


class Driver:
    """Chooses trials, watches them and records their results, wherever they run.

    Args:
        folder: the search's folder; it exists.
        identity: the settings that identify this search; a folder with another search is refused.
        space: the searched options.
        trials: the total number, including trials of earlier runs.
        seed: of the drawn options.
        time_limit: seconds for the whole search; 0 for no limit.
        say: receives one line for each trial.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        space: Space,
        *,
        trials: int,
        seed: int,
        time_limit: float,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.space, self.most, self.seed, self.say = folder, space, trials, seed, say
        self.deadline = time.monotonic() + time_limit if time_limit else math.inf
        self.ended = "finished"
        self._late: set[int] = set()
        self._finished: list[int] = []
        self._optuna: Any = _check.need("optuna", "tune", "a search")
        self.file = StudyFile(folder, identity)
        self.study = self.file.study
        for trial in self.file.all("RUNNING"):
            self.file.fail(trial.number, reason="the process ended while it ran", outside="died")

    # ── choosing trials ──────────────────────────────────────────────────────────────────────────────────────

    def next(self) -> Job | None:
        """Return the trial to run now; None at the end of the search, with the reason in ``ended``."""
        counted = self._counted()
        self._finished = [len(trial.intermediate_values) for trial in counted if trial.state.name == "COMPLETE"]
        if self.ended != "finished" or len(counted) >= self.most:
            return None
        if self.left() <= self._usual_seconds():
            self.ended = "time limit"
            return None
        broken = self._to_repeat()
        if broken:
            return self._repeat(broken[0])
        if not any(self.file.notes(trial).get("defaults") for trial in counted):
            return self._begin({}, {}, defaults=True)
        return self._draw()

    def left(self) -> float:
        """Return the remaining seconds of the time limit."""
        return self.deadline - time.monotonic()

    @property
    def has_limit(self) -> bool:
        """Whether the search has a time limit."""
        return self.deadline < math.inf

    def _draw(self) -> Job | None:
        untried = self._untried()
        if untried == []:
            self.ended = "every combination was tried"
            return None
        number = len(self.file.all())
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        self.study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
        trial = self.study.ask({name: dimension.distribution() for name, dimension in self.space.items()})
        options = {name: dimension.value(trial.params[name]) for name, dimension in self.space.items()}
        if untried is None or options in untried:
            return self._begun(trial, options, defaults=False)
        self.file.fail(trial.number)
        options = random.Random(seed).choice(untried)
        return self._begin(options, options, defaults=False)

    def _untried(self) -> list[dict[str, Any]] | None:
        """Return the untried combinations; None if there are too many to list."""
        if math.prod(dimension.count() for dimension in self.space.values()) > MOST_COMBINATIONS:
            return None
        tried = [trial.options for trial in self.trials()]
        listed = itertools.product(*[dimension.values() for dimension in self.space.values()])
        every = [dict(zip(self.space, values, strict=True)) for values in listed]
        return [options for options in every if options not in tried]

    def _repeat(self, old: optuna.trial.FrozenTrial) -> Job:
        notes = self.file.notes(old)
        attempt = notes["attempt"] + (notes["outside"] == "died")
        job = self._begin(old.params, notes["options"], defaults=notes["defaults"], attempt=attempt)
        self.file.set(job.number, repeats=old.number)
        return job

    def _begin(self, params: Mapping[str, Any], options: dict[str, Any], *, defaults: bool, attempt: int = 1) -> Job:
        """Start a trial with given options."""
        trial = self.study.ask()
        self.file.set_params(trial.number, params, self.space)
        return self._begun(trial, options, defaults=defaults, attempt=attempt)

    def _begun(self, trial: optuna.Trial, options: dict[str, Any], *, defaults: bool, attempt: int = 1) -> Job:
        self.file.set(trial.number, options=options, defaults=defaults, attempt=attempt)
        return Job(trial.number, trial, options, defaults)

    # ── recording results ────────────────────────────────────────────────────────────────────────────────────

    def watch(self, job: Job, evaluation: int, cost: float) -> bool:
        """Record one evaluation; return True if the trial should end now."""
        job.trial.report(cost, evaluation)
        if self.left() <= 0 and not job.defaults:
            self._late.add(job.number)
            return True
        if len(self._finished) < UNPRUNED_TRIALS:
            return False
        usual = max(self._finished)
        self.study.pruner = self._optuna.pruners.MedianPruner(
            n_startup_trials=UNPRUNED_TRIALS, n_warmup_steps=max(2, round(UNPRUNED_SHARE * usual))
        )
        return bool(job.trial.should_prune())

    def tell(self, job: Job, outcome: Outcome, save: Callable[[Path], Any]) -> None:
        """Record the outcome of a trial; a model that is the best so far is saved first.

        Raises:
            InputError: the defaults are impossible with these data, so every trial would be.
        """
        if outcome.state == "stopped":
            self.drop(job, "it was stopped", "stopped")
            self.ended = "interrupted"
            return
        if job.number in self._late and outcome.state == "pruned":
            self.drop(job, "the time was up", "stopped")
            self.ended = "time limit"
            return
        reason = str(outcome.error) if outcome.error is not None else outcome.ended
        self.file.set(job.number, seconds=outcome.seconds, chosen=outcome.chosen, score=outcome.score, reason=reason)
        if outcome.monitor:
            self.study.set_user_attr("monitor", [outcome.monitor, outcome.larger_is_better])
        if job.defaults and outcome.state == "finished":
            self._note_defaults(job, outcome)
        better = False
        if outcome.cost is not None:
            ranked = best_first(self.trials())
            better = not ranked or outcome.cost < float(ranked[0].cost or 0.0)
            if better:
                save(self.folder / "best")
            self.study.tell(job.trial, outcome.cost)
        else:
            self.study.tell(job.trial, state=self.file.state("PRUNED" if outcome.state == "pruned" else "FAIL"))
        if job.defaults and isinstance(outcome.error, InputError):
            raise outcome.error
        self.say(self._line(job.number, better))

    def drop(self, job: Job, reason: str, outside: str) -> None:
        """Record that a trial was ended from outside: ``died`` (tried once more) or ``stopped`` (tried again)."""
        self.file.fail(job.number, reason=reason, outside=outside)
        again = outside == "stopped" or self.file.notes(self.file.all()[job.number])["attempt"] == 1
        failed = "" if outside == "stopped" else "failed: "
        self.say(f"trial {job.number:>3}  {failed}{reason}" + ("; it will be tried again" if again else ""))

    def stop(self) -> None:
        """Record that the search was stopped, together with every running trial."""
        self.ended = "interrupted"
        for trial in self.file.all("RUNNING"):
            self.file.fail(trial.number, reason="it was stopped", outside="stopped")
            self.say(f"trial {trial.number:>3}  it was stopped; it will be tried again")

    def _note_defaults(self, job: Job, outcome: Outcome) -> None:
        """Record the values of the defaults, so that the search learns from them too."""
        chosen = {**outcome.chosen, **(outcome.chosen.get("feature_options") or {})}
        options = {name: chosen[name] for name in self.space if chosen.get(name) is not None}
        self.file.set(job.number, options=options)
        self.file.set_params(job.number, options, self.space)

    def _line(self, number: int, better: bool) -> str:
        trial = self._read(self.file.all()[number])
        options = ("the defaults: " if trial.defaults else "") + shown_options(trial.options)
        if trial.state == "failed":
            return f"trial {number:>3}  failed: {trial.reason}  {options}  {duration(trial.seconds)}"
        result = f"{self.monitor[0].replace('_', ' ')} {shown(trial.score)}" if trial.score is not None else "pruned"
        if trial.state == "pruned":
            count = len(trial.evaluations)
            result = f"pruned after {count} evaluation{'s' if count > 1 else ''}"
        rest = self.most - len(self._counted())
        times = [past.seconds for past in self.trials() if past.seconds]
        wait = min(rest * statistics.mean(times), self.left()) if times else 0.0
        left = f"  about {duration(wait)} left" if rest > 0 and wait > 0 else ""
        return f"trial {number:>3}  {result}  {options}  {duration(trial.seconds)}{left}{'  *' if better else ''}"

    # ── reading results ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def monitor(self) -> tuple[str, bool]:
        """The compared score, and whether larger is better."""
        name, larger = self.study.user_attrs.get("monitor", ("", False))
        return name, larger

    def trials(self) -> list[Trial]:
        """Return the counted trials, in order."""
        return [self._read(frozen) for frozen in self._counted()]

    def importance(self) -> dict[str, float]:
        """Return the share of the scores' variance that each option explains; empty for few trials."""
        if len(self.file.all("COMPLETE")) < RANDOM_TRIALS:
            return {}
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        try:
            shares = self._optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        except (ValueError, RuntimeError):  # no option, or no score, that differs
            return {}
        return {name: float(share) for name, share in shares.items()}

    def _counted(self) -> list[optuna.trial.FrozenTrial]:
        """Return the counted trials: those that ran and need no repetition."""
        trials = self.file.all()
        repeated = {self.file.notes(trial).get("repeats") for trial in trials} | {
            trial.number for trial in self._to_repeat()
        }
        return [trial for trial in trials if trial.number not in repeated and "options" in self.file.notes(trial)]

    def _to_repeat(self) -> list[optuna.trial.FrozenTrial]:
        trials = self.file.all()
        repeated = {self.file.notes(trial).get("repeats") for trial in trials}
        waiting = []
        for trial in trials:
            notes = self.file.notes(trial)
            again = notes.get("outside") == "stopped" or (notes.get("outside") == "died" and notes.get("attempt") == 1)
            if again and "options" in notes and trial.number not in repeated:
                waiting.append(trial)
        return waiting

    def _usual_seconds(self) -> float:
        times = [trial.seconds for trial in self.trials() if trial.state == "finished"]
        return statistics.median(times) if times and self.has_limit else 0.0

    def _read(self, frozen: optuna.trial.FrozenTrial) -> Trial:
        notes = self.file.notes(frozen)
        sign = -1 if self.monitor[1] else 1
        return Trial(
            number=frozen.number,
            state=_STATES.get(frozen.state.name, "running"),  # type: ignore[arg-type]
            score=notes.get("score"),
            options=notes["options"],
            seconds=notes.get("seconds", 0.0),
            evaluations=tuple(sign * frozen.intermediate_values[step] for step in sorted(frozen.intermediate_values)),
            reason=notes.get("reason", ""),
            defaults=notes["defaults"],
            chosen=notes.get("chosen", {}),
            cost=frozen.value if frozen.state.name == "COMPLETE" else None,
        )
