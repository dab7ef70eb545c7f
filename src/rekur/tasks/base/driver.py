"""The driver of every training: data, features and target, network, loop, scores, in this order."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rekur.data.sketch import Sketch
from rekur.errors import InputError
from rekur.runtime.rival import Rival
from rekur.tasks.base.early import announce
from rekur.tasks.base.options import TRAIN_OPTIONS
from rekur.tasks.base.prepared import Prepared
from rekur.tasks.base.prior import Prior
from rekur.tasks.base.task import Task
from rekur.train import Checkpoints, History, Reporter, TrainOptions, TrainResult, train


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
    announce(network, plan, options, reporter, words, steps_option=task.steps_option)
    task.result_ = _train(task, network, plan, options, course)
    trained = Trained(network=network, result=task.result_, options=options)
    task.rival_, task.metrics_ = None, stages.report(trained, prepared, plan, reporter)
    if task.baseline and task.result_.stopped != "interrupted":
        _score_rival(task, stages, prepared)


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


def _train(task: Task, network: nn.Module, plan: Any, options: TrainOptions, course: Course) -> TrainResult:
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
