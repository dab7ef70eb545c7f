"""What every task shares, whatever it predicts: options as scikit-learn keeps them, saving, and being fitted or not."""

from __future__ import annotations

import math
import os
import platform
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import sklearn.exceptions
import torch
from sklearn.base import BaseEstimator

from rekur import _check
from rekur._tensors import Array
from rekur._version import __version__
from rekur.data.sketch import Sketch
from rekur.errors import InputError, NotFittedError, describe, printable
from rekur.features import Features
from rekur.lower import program_files
from rekur.models import count_parameters
from rekur.runtime import layout, write_bundle
from rekur.runtime.rival import Rival
from rekur.runtime.saved_rivals import rival_files
from rekur.targets import Target
from rekur.tasks.base.card import card
from rekur.tasks.base.driver import fit
from rekur.tasks.base.stages import Course, Stages
from rekur.tasks.base.task import Task
from rekur.train import Checkpoints, History, Lines, Reporter, Silent, TrainResult
from rekur.train.world import current


class UntrainedError(NotFittedError, sklearn.exceptions.NotFittedError):  # type: ignore[misc]
    """A model was used before ``fit``; the error of scikit-learn's too, so that its tools recognize it."""


class Estimator(Task, BaseEstimator):  # type: ignore[misc]
    """A task: its constructor stores options, ``fit`` learns, and what was learnt ends in an underscore."""

    model_: Any
    features_: Features
    target_: Target
    metrics_: dict[str, Any]
    rival_: Rival | None
    sketch_: Sketch | None = None
    history_: History
    result_: TrainResult
    monitor_: tuple[str, bool]
    fingerprint_: str

    @abstractmethod
    def _restore_model(self, spec: dict[str, Any]) -> None:
        """Make the untrained model of a specification."""

    @abstractmethod
    def make_stages(self) -> Stages:
        """Return the stages of a training: of whole items, or of streams in chunks."""

    def fit_corpus(
        self,
        corpus: Any,
        valid: Any = None,
        *,
        reporter: Reporter | None = None,
        history: History | None = None,
        checkpoints: Checkpoints | None = None,
        on_evaluation: Callable[[dict[str, Any]], bool] | None = None,
        start_from: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on data that are read in passes, such as files larger than memory.

        Args:
            corpus: what to train on: a :class:`rekur.data.Corpus`, or of a language model texts as
                :func:`rekur.data.open_texts` gives them.
            valid: what to validate on; by default a share of ``corpus`` is held out.
            reporter: tells a person how it goes.
            history: takes one row an evaluation.
            checkpoints: keep the state of the training; see :class:`rekur.train.Checkpoints`.
            on_evaluation: is given the row of each evaluation; training ends where it returns True.
            start_from: a bundle to start from. Its features are taken if their kind and options are equal, and a
                weight if its name, its shape and what numbers its rows are equal; the target is learnt anew. The
                reporter is told what was taken.
        """
        course = Course(
            reporter=self._reporter(reporter),
            history=history or History(),
            checkpoints=checkpoints,
            on_evaluation=on_evaluation,
            start_from=start_from,
        )
        fit(self, self.make_stages(), corpus, valid, course)
        return self

    def set_params(self, **params: Any) -> Self:
        """Set options by name, as in scikit-learn.

        Raises:
            InputError: there is no option of that name.
        """
        _check.no_unknown(f"{type(self).__name__} option", params, self._get_param_names())
        super().set_params(**params)
        return self

    def _reporter(self, reporter: Reporter | None) -> Reporter:
        """Return whom to tell; of several processes the first one tells."""
        if current().rank:
            return Silent()
        return reporter or (Lines() if self.verbose else Silent())

    def save(self, folder: str | Path, *, overwrite: bool = False, carry_over: bool = False) -> Path:
        """Write the model as a bundle: a folder of JSON and safetensors, whole or not at all.

        Args:
            folder: must not exist yet, unless ``overwrite``.
            overwrite: replace a bundle that is there.
            carry_over: keep other files that are there, instead of refusing the folder.
        """
        if not isinstance(folder, str | os.PathLike):
            raise InputError(describe("folder", folder, "the path of a folder"))
        folder, config = Path(folder), self._config()
        weights = {name: np.ascontiguousarray(value.numpy()) for name, value in self.model_.state_dict().items()}
        fixed = {name for name, weight in self.model_.named_parameters() if not weight.requires_grad}
        written = write_bundle(
            folder,
            config=config,
            weights={name: _halved(value) if name in fixed else value for name, value in weights.items()},
            features=self.features_,
            metrics=self.metrics_,
            history_rows=self.history_.rows,
            card=card(printable(folder.name), config, self.features_, self.metrics_),
            files={
                **program_files(self.model_, weights, self.task),
                **rival_files(self.rival_),
                **self.kept_files(),
            },
            overwrite=overwrite,
            carry_over=carry_over,
        )
        self.fingerprint_ = written.fingerprint
        return folder

    def kept_files(self) -> dict[str, bytes]:
        """Return further files of the bundle, by default none."""
        return {}

    def _config(self) -> dict[str, Any]:
        """Return the configuration of the bundle: task, model, target, options, and how training went."""
        result = self.result_
        return {
            "task": self.task,
            "model": self.model_.spec.to_dict(),
            "targets": {"kind": self.target_.kind, **self.target_.to_dict()},
            "options": _with_text_keys(self.get_params(deep=False)),
            "columns": getattr(self, "columns_", {}),
            "training": {
                "chosen": _with_text_keys(self.chosen_),
                "best_epoch": result.best_epoch,
                "best_score": result.best_score if math.isfinite(result.best_score) else None,
                "stopped": result.stopped,
                "seconds": round(result.seconds, 2),
                "events": list(result.events),
                **({"trained_again": result.trained_again} if result.trained_again else {}),
                "parameters": count_parameters(self.model_),
                "versions": {
                    "rekur": __version__,
                    "torch": torch.__version__,
                    "python": platform.python_version(),
                },
            },
            **({} if self.sketch_ is None else {layout.TRAINED_ON: self.sketch_.to_dict()}),
        }

    def __getattr__(self, name: str) -> Any:
        """Say that what ends in an underscore is learnt, where it is not there yet."""
        if name.endswith("_") and not name.startswith("_") and "model_" not in vars(self):
            raise UntrainedError(
                f"{type(self).__name__}: got a model that was never trained; expected a trained one. "
                "Call fit first, or load a saved model with rekur.load."
            )
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __sklearn_is_fitted__(self) -> bool:
        return "model_" in vars(self)


def _halved(fixed: Array) -> Array:
    """Return a weight that training does not change in float16 where that holds its numbers exactly."""
    half = fixed.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), fixed) else fixed


def _with_text_keys(options: dict[str, Any]) -> dict[str, Any]:
    """Return options as JSON has them: the keys of a dict, such as labels, are text."""
    return {
        name: {str(key): inner for key, inner in value.items()} if isinstance(value, dict) else value
        for name, value in options.items()
    }
