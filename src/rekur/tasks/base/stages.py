"""What a training is made of: the stages that depend on its data, how it is watched, and what it gives."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from rekur.data.sketch import Sketch
from rekur.runtime.rival import Rival
from rekur.tasks.base.prepared import Prepared
from rekur.tasks.base.prior import Prior
from rekur.train import Checkpoints, History, Reporter, TrainOptions, TrainResult


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

    def first_options(self, prepared: Any) -> dict[str, Any]:
        """Return options of the first training where longer ones may follow; none, as here, for those of any."""
        return {}

    def longer(self, network: Any, plan: Any) -> Longer | None:
        """Return a longer training, where a network may gain by it; None, as here, for none.

        Args:
            network: trained.
            plan: of its training.
        """
        return None

    @abstractmethod
    def report(self, trained: Trained, prepared: Any, plan: Any, reporter: Reporter) -> dict[str, Any]:
        """Return the scores of the kept weights on the validation data."""

    @abstractmethod
    def score_rival(self, prepared: Any) -> tuple[Rival | None, dict[str, Any]]:
        """Return a rival that is fitted on the training data, and its name and scores on the validation data.

        A rival that no bundle can hold is returned as None; without any, there are no scores.
        """


class Longer(NamedTuple):
    """A training that takes longer than the one before it.

    Attributes:
        epochs: of it.
        factor: how many times as long it takes.
        reason: the sentence that says why, without its stop.
        loss: returns the loss on held-out data of a trained network, by the plan of its training.
    """

    epochs: int
    factor: float
    reason: str
    loss: Callable[[Any, Any], float]


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

    @property
    def ended(self) -> bool:
        """Whether it was trained to the end of its time."""
        return self.result.stopped in ("finished", "time limit")
