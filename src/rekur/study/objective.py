"""One trial: a task trained with given options and watched at each evaluation; in this process or on a cluster."""

from __future__ import annotations

import dataclasses
import inspect
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rekur.errors import InputError, RekurError, describe
from rekur.features import FEATURES
from rekur.tasks import TASKS
from rekur.tasks.base.driver import fit
from rekur.tasks.base.stages import Course
from rekur.train import History, Silent

#: (number of an evaluation from 1, cost) -> True to end the trial
Watch = Callable[[int, float], bool]
FEATURE_OPTIONS = frozenset(name for kind in FEATURES.values() for name in inspect.signature(kind).parameters)


@dataclasses.dataclass
class Outcome:
    """How one trial ended.

    Attributes:
        state: ``finished``, ``pruned``, ``failed`` or ``stopped`` (from outside).
        score: the best monitored score of a finished trial.
        costs: one for each evaluation: the score, negated if larger is better.
        monitor: the compared score.
        larger_is_better: whether larger scores are better.
        chosen: the value of every option.
        seconds: duration of the trial.
        ended: why training ended.
        error: the error of a failed trial.
        records: of a finished trial on the validation data, (N, S).
    """

    state: Literal["finished", "pruned", "failed", "stopped"]
    score: float | None = None
    costs: list[float] = dataclasses.field(default_factory=list)
    monitor: str = ""
    larger_is_better: bool = False
    chosen: dict[str, Any] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    ended: str = ""
    error: RekurError | RuntimeError | MemoryError | None = None
    records: NDArray[np.float64] | None = None

    @property
    def cost(self) -> float | None:
        """The number that the search minimizes."""
        return None if self.score is None else -self.score if self.larger_is_better else self.score


@dataclasses.dataclass(frozen=True)
class Setting:
    """The data and options that all trials of a search share; workers on other machines receive a copy.

    Attributes:
        task: a name in ``rekur.tasks.TASKS``.
        options: options that are the same in every trial.
        data: training data.
        valid: validation data; None for a share of ``data``, the same in every trial.
        columns: how a file was read, saved with the model.
    """

    task: str
    options: Mapping[str, Any]
    data: Any
    valid: Any
    columns: Mapping[str, Any]


def make_task(name: str, fixed: Mapping[str, Any], tried: Mapping[str, Any]) -> Any:
    """Return an untrained task with the fixed and the tried options."""
    usual = TASKS[name].studied
    options = {**usual, **fixed, **{key: value for key, value in tried.items() if key not in FEATURE_OPTIONS}}
    features = {key: value for key, value in tried.items() if key in FEATURE_OPTIONS}
    if features:
        options["feature_options"] = {**(options.get("feature_options") or {}), **features}
    return TASKS[name](**options)


def run_trial(
    setting: Setting,
    tried: Mapping[str, Any],
    watch: Watch,
    *,
    say: Callable[[str], None] | None = None,
    time_limit: float = 0.0,
    split_seed: int | None = None,
) -> tuple[Outcome, Any]:
    """Run one trial.

    Args:
        setting: the data and options of all trials.
        tried: the options of this trial.
        watch: receives each evaluation and may end the trial.
        say: receives warnings.
        time_limit: most seconds of training, unless the options have a shorter limit; 0 for no limit.
        split_seed: of the share that is held out for validation; by default the seed of the options.

    Returns:
        the outcome, and the trained task (None unless the trial finished).
    """
    began = time.monotonic()
    task = make_task(setting.task, setting.options, tried)
    task.set_params(**task.in_trials)
    task.split_seed, stages = split_seed, task.make_stages()
    own_limit, own_baseline = task.time_limit, setting.options.get("baseline", True)
    task.set_params(time_limit=min([limit for limit in (own_limit, time_limit) if limit], default=0.0))
    outcome = Outcome("finished")

    def evaluated(row: dict[str, Any]) -> bool:
        outcome.monitor, outcome.larger_is_better = task.monitor_
        if outcome.monitor.startswith("train"):
            expected = "text with a part that can be held out for comparing trials"
            raise InputError(describe("text", "one that is learnt by heart", expected, "Add text, or use --valid."))
        value = float(row[outcome.monitor])
        outcome.costs.append(-value if outcome.larger_is_better else value)
        return watch(len(outcome.costs), outcome.costs[-1])

    try:
        course = Course(reporter=_Warnings(say), history=History(), on_evaluation=evaluated)
        fit(task, stages, setting.data, setting.valid, course)
    except (RekurError, MemoryError) as error:
        outcome.state, outcome.error = "failed", error
    except RuntimeError as error:
        if "memory" not in str(error):
            raise  # a bug in Rekur, which must not look like a bad option
        outcome.state, outcome.error = "failed", error
    outcome.seconds, outcome.records = time.monotonic() - began, stages.records
    if outcome.error is not None:
        return outcome, None
    task.set_params(baseline=own_baseline)  # the search scores that of the winner
    if task.result_.stopped != "time limit":  # a limit that training did not reach is not an option of the model
        task.set_params(time_limit=own_limit)
        task.chosen_["time_limit"] = own_limit
    task.columns_ = dict(setting.columns)
    _tell_end(outcome, task)
    return outcome, task if outcome.state == "finished" else None


def _tell_end(outcome: Outcome, task: Any) -> None:
    """Fill the outcome of a training that ran to its end or was ended from outside."""
    result = task.result_
    outcome.chosen = dict(task.chosen_)
    outcome.ended = result.stopped
    if result.stopped in ("pruned", "interrupted"):
        outcome.state = "pruned" if result.stopped == "pruned" else "stopped"
    elif math.isfinite(result.best_score):
        outcome.score = float(result.best_score)
    else:
        outcome.state, outcome.error = "failed", RekurError("training: got no evaluation before it ended.")


class _Warnings(Silent):
    """Passes on warnings only."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self._say = say

    def say(self, text: str) -> None:
        """Pass on warnings."""
        if self._say is not None and text.startswith("warning"):
            self._say(text)
