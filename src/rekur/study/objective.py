"""One trial: a task trained with given options, watched at each evaluation; the same here and on a cluster."""

from __future__ import annotations

import dataclasses
import inspect
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from rekur.errors import InputError, RekurError, describe
from rekur.features import FEATURES
from rekur.tasks import TASKS
from rekur.train import Silent

#: takes the number of an evaluation, from 1, and its cost; returns True to end the trial
Watch = Callable[[int, float], bool]
FEATURE_OPTIONS = frozenset(name for kind in FEATURES.values() for name in inspect.signature(kind).parameters)


@dataclasses.dataclass
class Outcome:
    """How one trial ended.

    Attributes:
        state: ``finished``, ``pruned``, ``failed`` or ``stopped`` (from outside).
        score: the best monitored score, of trials that finished.
        costs: of each evaluation; the score where smaller is better, its negative where larger is.
        monitor: the score that is compared.
        larger_is_better: whether it is to rise.
        chosen: every option as it was used.
        seconds: how long the trial took.
        ended: why training ended.
        error: what went wrong, of trials that failed.
        baseline: the baseline's scores, where they were made.
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
    baseline: dict[str, Any] | None = None

    @property
    def cost(self) -> float | None:
        """Return what the search makes small."""
        return None if self.score is None else -self.score if self.larger_is_better else self.score


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all trials of a search share, and what each of them needs; it travels to other machines.

    Attributes:
        task: a name in ``rekur.tasks.TASKS``.
        options: options that are the same in every trial.
        data: what the task learns from.
        valid: what trials are compared on; None for a share of ``data``, the same in every trial.
        columns: how a file was read, kept in the saved model.
    """

    task: str
    options: Mapping[str, Any]
    data: Any
    valid: Any
    columns: Mapping[str, Any]


def make_task(name: str, fixed: Mapping[str, Any], tried: Mapping[str, Any]) -> Any:
    """Return an untrained task with the options that are fixed and those that are tried."""
    options = {**fixed, **{key: value for key, value in tried.items() if key not in FEATURE_OPTIONS}}
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
    baseline: bool = False,
    time_limit: float = 0.0,
) -> tuple[Outcome, Any]:
    """Train once.

    Args:
        setting: what all trials share.
        tried: the options of this one.
        watch: hears of each evaluation and may end the trial.
        say: hears warnings.
        baseline: also score the baseline.
        time_limit: seconds that training may take at most, if the options do not say less; 0 for no limit.

    Returns:
        how it ended, and the trained task (None unless it finished).
    """
    began = time.monotonic()
    task = make_task(setting.task, setting.options, {**tried, "baseline": baseline})
    own_limit, own_baseline = task.time_limit, setting.options.get("baseline", True)
    task.set_params(time_limit=min([limit for limit in (own_limit, time_limit) if limit], default=0.0))
    outcome = Outcome("finished")

    def evaluated(row: dict[str, Any]) -> bool:
        outcome.monitor, outcome.larger_is_better = task.monitor_
        if outcome.monitor.startswith("train"):
            expected = "one of which some can be held out, to compare trials on"
            raise InputError(describe("text", "one that is learnt by heart", expected, "Add text, or use --valid."))
        value = float(row[outcome.monitor])
        outcome.costs.append(-value if outcome.larger_is_better else value)
        return watch(len(outcome.costs), outcome.costs[-1])

    try:
        task.fit_corpus(setting.data, setting.valid, reporter=_Warnings(say), on_evaluation=evaluated)
    except (RekurError, MemoryError) as error:
        outcome.state, outcome.error = "failed", error
    except RuntimeError as error:
        if "memory" not in str(error):
            raise  # a fault of ours, which must not look like a bad option
        outcome.state, outcome.error = "failed", error
    outcome.seconds = time.monotonic() - began
    if outcome.error is not None:
        return outcome, None
    task.set_params(baseline=own_baseline)  # it is scored once for all trials
    if task.result_.stopped != "time limit":  # a limit that was not reached is none of the model's options
        task.set_params(time_limit=own_limit)
        task.chosen_["time_limit"] = own_limit
    task.columns_ = dict(setting.columns)
    _tell_end(outcome, task)
    return outcome, task if outcome.state == "finished" else None


def _tell_end(outcome: Outcome, task: Any) -> None:
    """Put into the outcome what came of a training that went through, or that was ended from outside."""
    result = task.result_
    outcome.chosen = dict(task.chosen_)
    outcome.ended = result.stopped
    outcome.baseline = task.metrics_.get("baseline")
    if result.stopped in ("pruned", "interrupted"):
        outcome.state = "pruned" if result.stopped == "pruned" else "stopped"
    elif math.isfinite(result.best_score):
        outcome.score = float(result.best_score)
    else:
        outcome.state, outcome.error = "failed", RekurError("training: got no evaluation before it ended.")


class _Warnings(Silent):
    """Passes on what a person must know, and nothing else."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self._say = say

    def say(self, text: str) -> None:
        """Pass on warnings."""
        if self._say is not None and text.startswith("warning"):
            self._say(text)
