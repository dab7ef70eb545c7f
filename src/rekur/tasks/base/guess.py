"""Whether a trained model is better than a guess that reads nothing: class shares, the mean, how often tokens occur.

Axes: N items or tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rekur.data import EncodedItems, Ragged
from rekur.errors import DivergedError
from rekur.metrics import METRICS
from rekur.tasks.base.plan import Measure, Measured
from rekur.train import Reporter, TrainOptions, TrainResult
from rekur.train.loop import how_to_calm

#: times the loss of a guess from which a model is worse on however few items, and from which it is no model
_WORSE, _EXPLODED = 2.0, 10.0
#: standard errors by which a model is worse where that is no chance, and losses that a standard error takes
_ERRORS, _FEW = 1.96, 5


@dataclass(frozen=True, kw_only=True)
class Guess:
    """The losses of a model and of a guess on the same data.

    Attributes:
        name: what is guessed, such as ``the class shares of the training items``.
        measure: what ``shown`` makes of a mean loss.
        split: what both were scored on.
        model: losses of the model, (N,).
        guess: losses of the guess, (N,).
        training: the mean loss of the guess on the training data.
        shown: returns a mean loss in the unit that a person reads.
        more_hits: whether the model still gives more right answers than the guess.
    """

    name: str
    measure: str
    split: str
    model: NDArray[np.float64]
    guess: NDArray[np.float64]
    training: float
    shown: Callable[[float], float] = float
    more_hits: bool = False

    def check(self, result: TrainResult, options: TrainOptions, reporter: Reporter) -> None:
        """Say so if the model is worse than the guess: a warning if that is more than chance.

        Raises:
            DivergedError: the run diverged, or its loss is beyond any use, and the guess is better.
        """
        model, guess = float(self.model.mean()), float(self.guess.mean())
        if result.stopped in ("interrupted", "pruned") or model <= guess:
            return
        compared = (
            f"the {self.measure} on the {self.split}, {self.shown(model):.4g}, is worse than that of predicting "
            f"{self.name}, {self.shown(guess):.4g}"
        )
        typical = max(guess, self.training)  # of a few items a guess may be right by luck
        if not self.more_hits and (result.stopped == "diverged" or not model <= _EXPLODED * typical):
            events = f"{result.events[-1]}; " if result.events else ""
            raise DivergedError(f"training: {events}{compared}, so no model was kept. {how_to_calm(options)}")
        difference = self.model - self.guess
        error = float(difference.std()) / math.sqrt(len(difference)) if len(difference) >= _FEW else math.inf
        fix = "Train longer, or at another learning rate."
        if model - guess > _ERRORS * error or model > _WORSE * typical:
            reporter.say(f"warning: {compared}. {fix}")
        else:  # it may be chance
            reporter.say(f"{compared[0].upper()}{compared[1:]}. {fix}")


def guess_of_items(measure: Measure, measured: Measured, train_set: EncodedItems, valid_set: EncodedItems) -> Guess:
    """Return the comparison of a model with the guess that its head makes of the training targets.

    Args:
        measure: of the model's outputs.
        measured: of the validation items by the model.
        train_set: the guess is made from its targets.
        valid_set: the validation items.
    """
    head, target = measure.head, measure.target
    if target.ragged:
        return _guess_of_tokens(measure, measured, train_set, valid_set)
    guess = head.guess(train_set.truth)

    def guessed(items: EncodedItems) -> Any:
        if target.per_step:
            return [np.broadcast_to(guess, (length, len(guess))) for length in items.lengths.tolist()]
        return np.broadcast_to(guess, (len(items), len(guess)))

    def losses(terms: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(terms[:, 0] / (terms[:, 1].mean() or 1.0))

    by_guess = measure.of_outputs(guessed(valid_set), valid_set, valid_set.rows)
    more_hits, decides = False, target.decides
    if METRICS[decides].larger_is_better:
        more_hits = measure.scores(measured, valid_set)[decides] > measure.scores(by_guess, valid_set)[decides]
    training = losses(head.terms(guessed(train_set), train_set.targets_of(train_set.rows)))
    return Guess(
        name=head.guess_name,
        measure=head.loss_name,
        split="validation items",
        model=losses(measured.terms),
        guess=losses(by_guess.terms),
        training=float(training.mean()),
        shown=head.shown,
        more_hits=more_hits,
    )


def _guess_of_tokens(measure: Measure, measured: Measured, train_set: EncodedItems, valid_set: EncodedItems) -> Guess:
    """Return the comparison of a model of token sequences with the shares of the tokens in the training targets."""
    head = measure.head
    nats, valid = -head.guess(train_set.truth), cast(Ragged, valid_set.targets_of(valid_set.rows))
    terms = head.terms([nats[valid[row]] for row in range(len(valid))], valid)
    model, guess = (np.asarray(each[:, 0] / each[:, 1].mean()) for each in (measured.terms, terms))
    return Guess(
        name=head.guess_name,
        measure=head.loss_name,
        split="validation items",
        model=model,
        guess=guess,
        training=float(nats[train_set.truth].mean()),
    )
