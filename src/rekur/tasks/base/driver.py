"""The driver of every training: data, features and target, network, loop, scores, in this order."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from rekur.errors import InputError
from rekur.tasks.base.early import announce
from rekur.tasks.base.options import TRAIN_OPTIONS
from rekur.tasks.base.prepared import Prepared
from rekur.tasks.base.prior import Prior
from rekur.tasks.base.retrain import length_of, train_again, train_longer, train_network
from rekur.tasks.base.stages import Course, Stages, Trained
from rekur.train import TrainOptions
from rekur.train.world import by_first

#: ends of a training behind which the chosen model is trained again
_CHOSEN = ("finished", "no better score", "time limit")


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
    once = prior is not None or course.on_evaluation is not None  # trials are compared by one training each
    task.chosen_ |= {} if once else stages.first_options(prepared)
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
    task.result_ = train_network(task, network, plan, options, course)
    trained = Trained(network=network, result=task.result_, options=options)
    if not once:
        trained, plan = train_longer(task, stages, prepared, (trained, plan), course)
    task.rival_, task.metrics_ = None, stages.report(trained, prepared, plan, reporter)
    if task.baseline and task.result_.stopped != "interrupted":
        _score_rival(task, stages, prepared)
    if again is not None and task.result_.best_epoch and task.result_.stopped in _CHOSEN:
        length, valid = by_first(partial(length_of, task, plan, trained.options)), prepared.valid
        del prepared, plan, trained  # memory holds no second copy of the data
        train_again(task, stages, again, valid, length, course)


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


def _check_outputs(target: Any, network: nn.Module) -> None:
    """Raise if the target needs one output a step and the network gives one row an item, or the reverse."""
    gives_steps = bool(getattr(network, "per_step", False))
    if target.per_step == gives_steps:
        return
    rows = ("one row of outputs an item", "one output a step")
    fix = "Read every step and use no pool." if target.per_step else "Pool the steps of an item."
    expected = f"{rows[target.per_step]}, which the target '{target.kind}' needs"
    raise InputError(f"network: got {rows[gives_steps]}; expected {expected}. {fix}")
