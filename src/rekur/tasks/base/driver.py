"""The driver of every training: data, features and target, network, loop, scores, in this order."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rekur.data.sketch import Sketch
from rekur.errors import InputError, RekurError
from rekur.runtime.rival import Rival
from rekur.tasks.base.early import announce
from rekur.tasks.base.options import TRAIN_OPTIONS
from rekur.tasks.base.prepared import Prepared
from rekur.tasks.base.prior import Prior
from rekur.tasks.base.task import Task
from rekur.train import Checkpoints, History, Reporter, TrainOptions, TrainResult, train
from rekur.train.world import by_first

#: ends of a training behind which the chosen model is trained again
_CHOSEN = ("finished", "no better score", "time limit")


class Stages(ABC):
    """The stages of a training that depend on how its data are cut: into whole items, or into chunks of streams.

    Attributes:
        records: of the kept weights on the validation data, (N, S); None before :meth:`report`.
    """

    records: NDArray[np.float64] | None = None

    @abstractmethod
    def prepare(self, corpus: Any, valid: Any, prior: Prior | None) -> Prepared:
        """Learn features and target from the training data alone, and return both parts as the network reads them.

        Args:
            corpus: the training data.
            valid: the validation data; None holds a share of ``corpus`` out.
            prior: the run that is resumed with other data, whose features and target are taken; or the bundle whose
                features are taken if their kind and options are equal.
        """

    def sketch(self, prepared: Any) -> Sketch | None:
        """Return the sketch of the data, by which a saved model recognizes them; here none."""
        return None

    def examples_again(self, corpus: Any) -> Any:
        """Return the examples that the chosen model is trained on again, those that validated included.

        Args:
            corpus: the training data.

        Returns:
            what :meth:`prepare_again` takes; None where the model is not trained again, as here.
        """
        return None

    def prepare_again(self, examples: Any, valid: Any) -> Any:
        """Learn features and target from all examples, and return these as the network reads them.

        Args:
            examples: from :meth:`examples_again`.
            valid: the validation items of the first training.
        """
        raise NotImplementedError

    @abstractmethod
    def choose_options(self, prepared: Any) -> dict[str, Any]:
        """Return all options, those that were left open chosen by the training data."""

    @abstractmethod
    def make_network(self, prepared: Any, prior: Prior | None) -> nn.Module:
        """Return the untrained network, set up by the training data."""

    @abstractmethod
    def make_plan(self, network: Any, prepared: Any) -> tuple[Any, str]:
        """Return the plan of the training, and a description of its data in words."""

    @abstractmethod
    def report(self, trained: Trained, prepared: Any, plan: Any, reporter: Reporter) -> dict[str, Any]:
        """Return the scores of the kept weights on the validation data."""

    @abstractmethod
    def score_rival(self, prepared: Any) -> tuple[Rival | None, dict[str, Any]]:
        """Return a rival that is fitted on the training data, and its name and scores on the validation data.

        A rival that no bundle can hold is returned as None; without any, there are no scores.
        """


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a training is watched.

    Attributes:
        reporter: tells a person how it goes.
        history: takes one row an evaluation.
        checkpoints: keep the state of the training; None keeps nothing.
        on_evaluation: is given the row of each evaluation; training ends where it returns True.
        start_from: the bundle that training starts from; None for none.
    """

    reporter: Reporter
    history: History
    checkpoints: Checkpoints | None = None
    on_evaluation: Callable[[dict[str, Any]], bool] | None = None
    start_from: str | os.PathLike[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network that was trained.

    Attributes:
        network: it has the kept weights.
        result: how the training ended.
        options: of the loop.
    """

    network: Any
    result: TrainResult
    options: TrainOptions


@torch.inference_mode(False)
@torch.enable_grad()
def fit(task: Any, stages: Stages, corpus: Any, valid: Any, course: Course) -> None:
    """Train a task; what was learnt becomes its attributes.

    Args:
        task: an estimator, a :class:`Task`.
        stages: of its training.
        corpus: what to train on.
        valid: what to validate on; None holds a share of ``corpus`` out.
        course: how the training is watched.
    """
    reporter, checkpoints = course.reporter, course.checkpoints
    task.check_options()
    prior = _prior(task.task, course)
    prepared = stages.prepare(corpus, valid, prior)
    for note in prepared.notes:
        reporter.say(note)
    task.features_, task.target_, task.sketch_ = prepared.features, prepared.target, stages.sketch(prepared)
    task.history_ = course.history
    task.chosen_ = stages.choose_options(prepared)
    network = stages.make_network(prepared, prior)
    _check_outputs(prepared.target, network)
    if prior is not None and not prior.resumed:
        taken = prior.give(network, prepared.features, prepared.target)
        reporter.say(prior.sentence(taken, has_features=prepared.features.to_dict() == prior.features))
    task.model_ = network
    vars(task).pop("fingerprint_", None)  # it was of the model that is replaced
    plan, words = stages.make_plan(network, prepared)
    if checkpoints is not None:
        checkpoints.identify(
            task=task.task,
            model=task.model_.spec.to_dict(),
            options={name: task.chosen_[name] for name in task.run_options},
            data=prepared.fingerprint,
            reads=prepared.reads,
            prior="" if prior is None else prior.fingerprint,
        )
    task.monitor_ = (plan.monitor, plan.larger_is_better)
    options = TrainOptions(**{name: task.chosen_[name] for name in TRAIN_OPTIONS})
    again = None if prior is not None and prior.fingerprint else stages.examples_again(corpus)
    if again is not None:  # the other half is for training again
        options = replace(options, time_limit=options.time_limit / 2)
        reporter.say("Once a model is chosen, a new one trains as long on all items, those that validated included.")
    announce(network, plan, options, reporter, words, steps_option=task.steps_option)
    task.result_ = _train(task, network, plan, options, course)
    trained = Trained(network=network, result=task.result_, options=options)
    task.rival_, task.metrics_ = None, stages.report(trained, prepared, plan, reporter)
    if task.baseline and task.result_.stopped != "interrupted":
        _score_rival(task, stages, prepared)
    if again is not None and task.result_.best_epoch and task.result_.stopped in _CHOSEN:
        length, valid = by_first(partial(_length_of, task, plan, options)), prepared.valid
        del prepared, plan, trained  # memory holds no second copy of the data
        _train_again(task, stages, again, valid, length, course)


class _Length(NamedTuple):
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


def _length_of(task: Any, plan: Any, options: TrainOptions) -> _Length:
    """Return how long the training was of the weights that were kept; the first process has its course."""
    rows, result = task.history_.rows, task.result_
    row = rows[result.best_epoch - 1]
    total = options.steps or options.epochs * plan.steps_per_epoch
    if result.stopped == "time limit":
        total = rows[-1]["step"]
    average = options.average if row.get("averaged", True) else 0.0
    return _Length(plan.steps_per_epoch, row["step"], total, replace(options, average=average, time_limit=0.0))


def _train_again(task: Any, stages: Stages, examples: Any, valid: Any, length: _Length, course: Course) -> None:
    """Train a new network as long as the chosen one, on all examples, and put it into the place of that.

    Where it cannot be prepared, is interrupted or diverges, the chosen one stays.
    """
    reporter, chosen = course.reporter, {name: vars(task)[name] for name in ("features_", "target_", "model_")}
    try:
        prepared = stages.prepare_again(examples, valid)
        task.features_, task.target_ = prepared.features, prepared.target
        task.model_ = network = stages.make_network(prepared, None)
        plan, _ = stages.make_plan(network, prepared)
        share = plan.steps_per_epoch / length.steps
        steps, total = (max(1, round(share * each)) for each in (length.best, length.total))
        items, epochs = len(prepared.train), f"{length.best / length.steps:.3g}"
        reporter.say(f"Now the same on all {items:,} items, those that validated included; epochs: {epochs}.")
        options, course_of_it = replace(length.options, steps=total), replace(course, checkpoints=None)
        result = _train(task, network, plan, options, course_of_it, steps)
    except (RekurError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not isinstance(error, RekurError) and "memory" not in str(error):
            raise  # PyTorch has no error of its own for memory
        vars(task).update(chosen)
        why = str(error) or "memory ran out"
        reporter.say(f"warning: the model cannot be trained again, and stays as it was chosen: {why}")
        return
    seconds = task.result_.seconds + result.seconds
    task.result_ = replace(task.result_, seconds=seconds, events=(*task.result_.events, *result.events))
    if result.stopped == "finished":
        task.result_, task.sketch_ = replace(task.result_, trained_again=items), stages.sketch(prepared)
        task.rival_ = None if task.rival_ is None else task.rival_.again(prepared.target)
        return
    vars(task).update(chosen)
    reporter.say(f"warning: this training was {result.stopped}; the model before it is kept.")
    if result.stopped == "interrupted":
        task.result_ = replace(task.result_, stopped="interrupted")
        if course.checkpoints is not None:
            course.checkpoints.keep()


def fit_rival(task: Any, stages: Stages, corpus: Any, valid: Any) -> None:
    """Fit and score the rival of a trained task that has none.

    Args:
        task: an estimator, a :class:`Task`.
        stages: of its training.
        corpus: what it was trained on.
        valid: what it was validated on; None for a share of ``corpus``.
    """
    model = task.model_.spec.to_dict()
    prior = Prior(name="the model", features=task.features_.to_dict(), target=task.target_, model=model, weights=None)
    _score_rival(task, stages, stages.prepare(corpus, valid, prior))


def _score_rival(task: Any, stages: Stages, prepared: Prepared) -> None:
    """Fit a rival on the training data, and write its scores beside those of the model."""
    began = time.monotonic()
    task.rival_, scores = stages.score_rival(prepared)
    if scores:
        name, seconds = scores.pop("name"), round(time.monotonic() - began, 2)
        task.metrics_["rival"] = {"name": name, "seconds": seconds, **scores}


def _prior(task: str, course: Course) -> Prior | None:
    """Return the run that is resumed where its features cannot be learnt again, or the bundle that is started from."""
    identity = None if course.checkpoints is None else course.checkpoints.begun()
    if identity is not None:
        return Prior.of_run(identity, task)
    return None if course.start_from is None else Prior.of_bundle(course.start_from)


def _train(
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


def _check_outputs(target: Any, network: nn.Module) -> None:
    """Raise if the target needs one output a step and the network gives one row an item, or the reverse."""
    gives_steps = bool(getattr(network, "per_step", False))
    if target.per_step == gives_steps:
        return
    rows = ("one row of outputs an item", "one output a step")
    fix = "Read every step and use no pool." if target.per_step else "Pool the steps of an item."
    expected = f"{rows[target.per_step]}, which the target '{target.kind}' needs"
    raise InputError(f"network: got {rows[gives_steps]}; expected {expected}. {fix}")
