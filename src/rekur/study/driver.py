"""The course of a search: which trial comes next, and what came of it; all of it is kept in one SQLite file.

Whatever happens to the process, the file says how to go on: a trial that was running is marked as failed and tried
once more. What is drawn next depends on the file and the seed alone.
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
from rekur._numbers import shown
from rekur.errors import InputError
from rekur.study.objective import FEATURE_OPTIONS, Outcome
from rekur.study.space import Space
from rekur.study.study_file import StudyFile
from rekur.study.trials import Trial, best_first, clock, shown_options

if TYPE_CHECKING:
    import optuna

#: trials drawn at random before the search learns from them, and finished ones before any is pruned
RANDOM_TRIALS, UNPRUNED_TRIALS = 8, 4
#: share of its evaluations that every trial may make
UNPRUNED_SHARE = 0.2
#: spaces of so many combinations at most are searched without trying one twice
MOST_COMBINATIONS = 2_000
_STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}


@dataclasses.dataclass
class Job:
    """A trial that runs.

    Attributes:
        number: of the trial, from 0.
        trial: as Optuna knows it.
        options: what it tries; empty for the defaults.
        defaults: whether it is the trial of the defaults.
    """

    number: int
    trial: optuna.Trial
    options: dict[str, Any]
    defaults: bool


class Driver:
    """Asks, watches and tells; where trials run is none of its business.

    Args:
        folder: the search's folder; it exists.
        identity: what this search is; a folder that holds another one is refused.
        space: what is searched.
        trials: how many in all, those of earlier runs among them.
        seed: of what is drawn.
        time_limit: seconds for the whole search; 0 for none.
        say: hears one line a trial.
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
        for one in self.file.all("RUNNING"):
            self.file.fail(one.number, reason="the process ended while it ran", outside="died")

    # ── what comes next ──────────────────────────────────────────────────────────────────────────────────────

    def next(self) -> Job | None:
        """Return the trial to run now; None if there is none, and ``ended`` then says why."""
        counted = self._counted()
        self._finished = [len(one.intermediate_values) for one in counted if one.state.name == "COMPLETE"]
        if self.ended != "finished" or len(counted) >= self.most:
            return None
        if self.left() <= self._usual_seconds():
            self.ended = "time limit"
            return None
        broken = self._to_repeat()
        if broken:
            return self._repeat(broken[0])
        if not any(self.file.known(one).get("defaults") for one in counted):
            return self._begin({}, {}, defaults=True)
        return self._draw()

    def left(self) -> float:
        """Return the seconds that are left of the time limit."""
        return self.deadline - time.monotonic()

    @property
    def has_limit(self) -> bool:
        """Whether the search must end at some time."""
        return self.deadline < math.inf

    def _draw(self) -> Job | None:
        untried = self._untried()
        if untried == []:
            self.ended = "every combination was tried"
            return None
        number = len(self.file.all())
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        self.study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
        trial = self.study.ask({name: one.distribution() for name, one in self.space.items()})
        options = {name: one.value(trial.params[name]) for name, one in self.space.items()}
        if untried is None or options in untried:
            return self._begun(trial, options, defaults=False)
        self.file.fail(trial.number)
        options = random.Random(seed).choice(untried)
        return self._begin(options, options, defaults=False)

    def _untried(self) -> list[dict[str, Any]] | None:
        """Return the combinations that were not tried; None if there are too many to list."""
        if math.prod(one.count() for one in self.space.values()) > MOST_COMBINATIONS:
            return None
        tried = [trial.options for trial in self.trials()]
        listed = itertools.product(*[one.values() for one in self.space.values()])
        every = [dict(zip(self.space, values, strict=True)) for values in listed]
        return [options for options in every if options not in tried]

    def _repeat(self, old: optuna.trial.FrozenTrial) -> Job:
        known = self.file.known(old)
        attempt = known["attempt"] + (known["outside"] == "died")
        job = self._begin(old.params, known["options"], defaults=known["defaults"], attempt=attempt)
        self.file.set(job.number, repeats=old.number)
        return job

    def _begin(self, params: Mapping[str, Any], options: dict[str, Any], *, defaults: bool, attempt: int = 1) -> Job:
        """Begin a trial whose options are known."""
        trial = self.study.ask()
        self.file.set_params(trial.number, params, self.space)
        return self._begun(trial, options, defaults=defaults, attempt=attempt)

    def _begun(self, trial: optuna.Trial, options: dict[str, Any], *, defaults: bool, attempt: int = 1) -> Job:
        self.file.set(trial.number, options=options, defaults=defaults, attempt=attempt)
        return Job(trial.number, trial, options, defaults)

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────

    def watch(self, job: Job, evaluation: int, cost: float) -> bool:
        """Take in one evaluation; return True if the trial is to end now."""
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
        """Take in how a trial ended; a model that is the best so far is saved before the study knows of it.

        Raises:
            InputError: the defaults themselves are impossible with these data, so every trial would be.
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
            self._know_defaults(job, outcome)
        better = False
        if outcome.cost is not None:
            before = best_first(self.trials())
            better = not before or outcome.cost < float(before[0].cost or 0.0)
            if better:
                save(self.folder / "best")
            self.study.tell(job.trial, outcome.cost)
        else:
            self.study.tell(job.trial, state=self.file.state("PRUNED" if outcome.state == "pruned" else "FAIL"))
        if job.defaults and isinstance(outcome.error, InputError):
            raise outcome.error
        self.say(self._line(job.number, better))

    def drop(self, job: Job, reason: str, outside: str) -> None:
        """Note that a trial was ended from outside: ``died`` (tried once more) or ``stopped`` (tried again)."""
        self.file.fail(job.number, reason=reason, outside=outside)
        again = outside == "stopped" or self.file.known(self.file.all()[job.number])["attempt"] == 1
        failed = "" if outside == "stopped" else "failed: "
        self.say(f"trial {job.number:>3}  {failed}{reason}" + ("; it will be tried again" if again else ""))

    def stop(self) -> None:
        """Note that the search was stopped, and every trial that runs with it."""
        self.ended = "interrupted"
        for one in self.file.all("RUNNING"):
            self.file.fail(one.number, reason="it was stopped", outside="stopped")
            self.say(f"trial {one.number:>3}  it was stopped; it will be tried again")

    def _know_defaults(self, job: Job, outcome: Outcome) -> None:
        """Note what the defaults are here, so that the search learns from them too."""
        known = {**outcome.chosen, **(outcome.chosen.get("feature_options") or {})}
        options = {name: known[name] for name in self.space if known.get(name) is not None}
        self.file.set(job.number, options=options)
        self.file.set_params(job.number, options, self.space)
        if outcome.baseline is not None:
            self.study.set_user_attr("baseline", outcome.baseline)

    def _line(self, number: int, better: bool) -> str:
        trial = self._read(self.file.all()[number])
        options = ("the defaults: " if trial.defaults else "") + shown_options(trial.options)
        if trial.state == "failed":
            return f"trial {number:>3}  failed: {trial.reason}  {options}  {clock(trial.seconds)}"
        what = f"{self.monitor[0].replace('_', ' ')} {shown(trial.score)}" if trial.score is not None else "pruned"
        if trial.state == "pruned":
            count = len(trial.evaluations)
            what = f"pruned after {count} evaluation{'s' if count > 1 else ''}"
        rest = self.most - len(self._counted())
        times = [one.seconds for one in self.trials() if one.seconds]
        wait = min(rest * statistics.mean(times), self.left()) if times else 0.0
        left = f"  about {clock(wait)} left" if rest > 0 and wait > 0 else ""
        return f"trial {number:>3}  {what}  {options}  {clock(trial.seconds)}{left}{'  *' if better else ''}"

    # ── what is known ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def monitor(self) -> tuple[str, bool]:
        """Return the score that is compared, and whether larger is better."""
        name, larger = self.study.user_attrs.get("monitor", ("", False))
        return name, larger

    def trials(self) -> list[Trial]:
        """Return the trials that count, in order."""
        return [self._read(one) for one in self._counted()]

    def baseline_for(self, trial: Trial) -> dict[str, Any] | None:
        """Return the baseline's scores where they hold for a trial: where it reads items as the defaults do."""
        found: dict[str, Any] | None = self.study.user_attrs.get("baseline")
        return None if FEATURE_OPTIONS & set(trial.options) else found

    def importance(self) -> dict[str, float]:
        """Return the share of the scores' variance that each option explains; empty for few trials."""
        if len(self.file.all("COMPLETE")) < RANDOM_TRIALS:
            return {}
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        try:
            found = self._optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        except (ValueError, RuntimeError):  # no option, or no score, that differs
            return {}
        return {name: float(share) for name, share in found.items()}

    def _counted(self) -> list[optuna.trial.FrozenTrial]:
        """Return the trials that count: not those that are or will be repeated, nor those never run."""
        found = self.file.all()
        repeated = {self.file.known(one).get("repeats") for one in found} | {one.number for one in self._to_repeat()}
        return [one for one in found if one.number not in repeated and "options" in self.file.known(one)]

    def _to_repeat(self) -> list[optuna.trial.FrozenTrial]:
        found = self.file.all()
        repeated = {self.file.known(one).get("repeats") for one in found}
        waiting = []
        for one in found:
            known = self.file.known(one)
            again = known.get("outside") == "stopped" or (known.get("outside") == "died" and known.get("attempt") == 1)
            if again and "options" in known and one.number not in repeated:
                waiting.append(one)
        return waiting

    def _usual_seconds(self) -> float:
        times = [one.seconds for one in self.trials() if one.state == "finished"]
        return statistics.median(times) if times and self.has_limit else 0.0

    def _read(self, one: optuna.trial.FrozenTrial) -> Trial:
        known = self.file.known(one)
        sign = -1 if self.monitor[1] else 1
        return Trial(
            number=one.number,
            state=_STATES.get(one.state.name, "running"),  # type: ignore[arg-type]
            score=known.get("score"),
            options=known["options"],
            seconds=known.get("seconds", 0.0),
            evaluations=tuple(sign * one.intermediate_values[step] for step in sorted(one.intermediate_values)),
            reason=known.get("reason", ""),
            defaults=known["defaults"],
            chosen=known.get("chosen", {}),
            cost=one.value if one.state.name == "COMPLETE" else None,
        )
