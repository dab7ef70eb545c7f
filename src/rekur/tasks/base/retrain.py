"""The training of a network, and that of a second one: longer than the first, or on all items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from rekur._clock import duration
from rekur.errors import RekurError, SaveError
from rekur.tasks.base.stages import Course, Longer, Stages, Trained
from rekur.tasks.base.task import Task
from rekur.train import History, Reporter, TrainOptions, TrainResult, train
from rekur.train.world import by_first

_Value = TypeVar("_Value")


def train_network(
    task: Task, network: nn.Module, plan: Any, options: TrainOptions, course: Course, until: int = 0
) -> TrainResult:
    """Train a network; everything random follows from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        return train(
            network,
            plan,
            options,
            history=course.history,
            reporter=course.reporter,
            checkpoints=course.checkpoints,
            on_evaluation=course.on_evaluation,
            until=until,
        )


def train_longer(
    task: Any, stages: Stages, prepared: Any, first: tuple[Trained, Any], course: Course
) -> tuple[Trained, Any]:
    """Train new networks as long as a longer training may help and does; return the last, and the plan of its training.

    Each is compared with the one before by its loss on held-out data. Where it cannot be trained, is interrupted or
    diverges, the one before stays.

    Args:
        task: an estimator, a :class:`Task`.
        stages: of its training.
        prepared: the data.
        first: the first network, and the plan of its training.
        course: how the trainings are watched.
    """
    chosen: tuple[Trained, Any] | None = first
    while chosen is not None:
        last = chosen
        longer = by_first(partial(stages.longer, last[0].network, last[1])) if last[0].ended else None
        chosen = None if longer is None else _train_longer(task, stages, prepared, last, longer, course)
    return last


def _train_longer(
    task: Any, stages: Stages, prepared: Any, shorter: tuple[Trained, Any], longer: Longer, course: Course
) -> tuple[Trained, Any] | None:
    """Return a new network that is trained longer, and its plan; None where the one before stays."""
    reporter, trained = course.reporter, shorter[0]
    first, limit = trained.result, trained.options.time_limit
    left = limit - first.seconds
    if limit and left < first.seconds:
        return None
    takes = duration(min(longer.factor * first.seconds, left) if limit else longer.factor * first.seconds)
    reporter.say(f"{longer.reason}. A new one trains {longer.factor:.2g} times as long, about {takes}.")
    if course.checkpoints is not None:  # a machine that stops costs no more than the longer training
        _unless_unwritten(course.checkpoints.keep, reporter)
    of_first, history = {name: vars(task)[name] for name in ("chosen_", "model_", "result_")}, History()
    task.chosen_ = {**task.chosen_, "epochs": longer.epochs}
    options = replace(trained.options, epochs=longer.epochs, time_limit=left if limit else 0.0)

    def train_new() -> tuple[Trained, Any]:
        task.model_ = network = stages.make_network(prepared, None)
        plan_of_new, _ = stages.make_plan(network, prepared)
        result = train_network(task, network, plan_of_new, options, replace(course, history=history, checkpoints=None))
        return Trained(network=network, result=result, options=options), plan_of_new

    new = _attempt(train_new, reporter, "no network can be trained longer, and the one before stays")
    if new is not None and _has_ended(new[0], reporter) and _is_better(new, shorter, longer, reporter):
        task.result_ = _with_time_of(task.result_, new[0].result)
        write = partial(course.history.restore, history.rows)
        by_first(partial(_unless_unwritten, write, reporter))
        return new
    vars(task).update(of_first)
    if new is not None:
        stopped: Any = "interrupted" if new[0].result.stopped == "interrupted" else task.result_.stopped
        task.result_ = replace(_with_time_of(new[0].result, task.result_), stopped=stopped)
    return None


def _has_ended(new: Trained, reporter: Reporter) -> bool:
    """Return whether a longer training went to its end; say so where it did not."""
    if not new.ended:
        reporter.say(f"warning: this training was {new.result.stopped}; the network before it is kept.")
    return new.ended


def _is_better(new: tuple[Trained, Any], shorter: tuple[Trained, Any], longer: Longer, reporter: Reporter) -> bool:
    """Return whether a network that was trained longer has the lower loss on held-out data; say so."""
    losses = [by_first(partial(longer.loss, trained.network, plan)) for trained, plan in (new, shorter)]
    is_better = losses[0] < losses[1]
    which = "the new network stays" if is_better else "the network before stays"
    reporter.say(f"Held-out loss {losses[0]:.4g}, before {losses[1]:.4g}: {which}.")
    return is_better


def _with_time_of(other: TrainResult, result: TrainResult) -> TrainResult:
    """Return a result with the time and the events of another training too."""
    return replace(result, seconds=other.seconds + result.seconds, events=(*other.events, *result.events))


def _unless_unwritten(write: Callable[[], None], reporter: Reporter) -> None:
    """Write something that a training can do without; where that fails, say so."""
    try:
        write()
    except SaveError as error:
        reporter.say(f"warning: {error} Training goes on.")


def _attempt(work: Callable[[], _Value], reporter: Reporter, failed: str) -> _Value | None:
    """Return what a second training gives; None, and a warning, where data, memory or divergence forbid it.

    Args:
        work: the training.
        reporter: told where it fails.
        failed: what becomes of it then, as a clause.
    """
    try:
        return work()
    except (RekurError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not isinstance(error, RekurError) and "memory" not in str(error):
            raise  # PyTorch has no error of its own for memory
        reporter.say(f"warning: {failed}: {str(error) or 'memory ran out'}")
        return None


class Length(NamedTuple):
    """How long a training was.

    Attributes:
        steps: of an epoch.
        best: steps of the weights that were kept.
        total: steps by which the rate fell.
        options: of the loop; without an average where the weights themselves were kept.
    """

    steps: int
    best: int
    total: int
    options: TrainOptions


def length_of(task: Any, plan: Any, options: TrainOptions) -> Length:
    """Return how long the training was of the weights that were kept; the first process has its course."""
    rows, result = task.history_.rows, task.result_
    row = rows[result.best_epoch - 1]
    total = options.steps or options.epochs * plan.steps_per_epoch
    if result.stopped == "time limit":
        total = rows[-1]["step"]
    average = options.average if row.get("averaged", True) else 0.0
    return Length(plan.steps_per_epoch, row["step"], total, replace(options, average=average, time_limit=0.0))


def train_again(task: Any, stages: Stages, examples: Any, valid: Any, length: Length, course: Course) -> None:
    """Train a new network as long as the chosen one, on all examples, and put it into the place of that.

    Where it cannot be prepared, is interrupted or diverges, the chosen one stays.
    """
    reporter, chosen = course.reporter, {name: vars(task)[name] for name in ("features_", "target_", "model_")}

    def train_new() -> tuple[TrainResult, Any]:
        prepared = stages.prepare_again(examples, valid)
        task.features_, task.target_ = prepared.features, prepared.target
        task.model_ = network = stages.make_network(prepared, None)
        plan, _ = stages.make_plan(network, prepared)
        share = plan.steps_per_epoch / length.steps
        steps, total = (max(1, round(share * each)) for each in (length.best, length.total))
        items, epochs = len(prepared.train), f"{length.best / length.steps:.3g}"
        reporter.say(f"Now the same on all {items:,} items, those that validated included; epochs: {epochs}.")
        options, course_of_it = replace(length.options, steps=total), replace(course, checkpoints=None)
        return train_network(task, network, plan, options, course_of_it, steps), prepared

    new = _attempt(train_new, reporter, "the model cannot be trained again, and stays as it was chosen")
    if new is None:
        vars(task).update(chosen)
        return
    result, prepared = new
    task.result_ = _with_time_of(result, task.result_)
    if result.stopped == "finished":
        task.result_ = replace(task.result_, trained_again=len(prepared.train))
        task.sketch_ = stages.sketch(prepared)
        task.rival_ = None if task.rival_ is None else task.rival_.again(prepared.target)
        return
    vars(task).update(chosen)
    reporter.say(f"warning: this training was {result.stopped}; the model before it is kept.")
    if result.stopped == "interrupted":
        task.result_ = replace(task.result_, stopped="interrupted")
        if course.checkpoints is not None:
            course.checkpoints.keep()
