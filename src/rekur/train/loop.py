"""The training loop: visible, on Lightning Fabric, never through a NaN, and able to go on where it was cut off."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from rekur.errors import DivergedError, SaveError, WorkerError
from rekur.train import world
from rekur.train.checkpoint import Checkpoints
from rekur.train.history import History
from rekur.train.optim import WeightAverage, copy_weights, rate_at
from rekur.train.options import TrainOptions
from rekur.train.plan import Plan
from rekur.train.progress import Reporter, Silent
from rekur.train.snapshot import RunState
from rekur.train.stopping import StopRequest
from rekur.train.waiting import Waiting

#: learning rates above this are unusual for AdamW
_HIGH_RATE = 0.1

Stopped = Literal["finished", "no better score", "time limit", "interrupted", "diverged", "pruned"]


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How a run ended; the model itself holds the best weights.

    Attributes:
        best_epoch: the evaluation whose weights were kept, from 1; 0 if there was none.
        best_score: the monitored score of the kept weights; at most the plan's tolerance worse than the best.
        stopped: why the run ended.
        seconds: how long it took, with what was done before it was gone on with.
        events: what happened on the way, such as a roll-back, in words.
        trained_again: the items, those that validated included, on which the model was trained again; 0 if it was not.
    """

    best_epoch: int
    best_score: float
    stopped: Stopped
    seconds: float
    events: tuple[str, ...]
    trained_again: int = 0


def train(
    model: nn.Module,
    plan: Plan,
    options: TrainOptions,
    *,
    history: History | None = None,
    reporter: Reporter | None = None,
    checkpoints: Checkpoints | None = None,
    on_evaluation: Callable[[dict[str, Any]], bool] | None = None,
    until: int = 0,
) -> TrainResult:
    """Train a model in place and leave the weights with the best validation score in it.

    A run that is gone on with gives what it would have given uninterrupted, to the last bit, on the same machine with
    the same number of threads and processes; but with a ``time_limit`` the rate follows the clock.

    Args:
        model: the model; afterwards on the CPU, in evaluation mode, with the best weights.
        plan: batches, loss and evaluation.
        options: rates, epochs, clipping, early stopping, precision.
        history: takes one row an evaluation; by default rows are dropped.
        reporter: tells a person; by default nobody.
        checkpoints: where to keep what is needed to go on, and whether to go on from there; None keeps nothing.
        on_evaluation: is given the row of each evaluation, of several processes in the first; training ends where it
            returns True.
        until: steps after which to end, though the rate falls as if all of them followed. Nothing is evaluated, and
            the average of the weights is kept, or the last ones without it. 0 for an ordinary run.

    Returns:
        how the run ended. Ctrl-C, SIGTERM and SIGHUP end it after the step it is at, with the best weights so far and
        a checkpoint; a second Ctrl-C raises KeyboardInterrupt at once. Where a checkpoint or a row of the history
        cannot be written, as on a full disk, the reporter is told, and training goes on.

    Raises:
        DivergedError: it became NaN, infinite or exploded before any evaluation, ``rescues`` + 1 times.
        CheckpointError: the checkpoints are of another run.
        WorkerError: a process of several is gone.
    """
    place = world.current()
    told = reporter if reporter is not None and place.rank == 0 else Silent()
    try:
        return _Run(model, plan, options, history or History(), told, checkpoints, on_evaluation, until).go()
    except RuntimeError as error:
        if place.size > 1 and world.is_loss(error):
            raise _lost_worker(place, error, checkpoints) from error
        raise


def _lost_worker(place: world.World, error: RuntimeError, checkpoints: Checkpoints | None) -> WorkerError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    last = checkpoints.last() if checkpoints is not None else None
    fix = f"then go on from {last}, which is whole" if last else "begin anew, since no checkpoint was written"
    return WorkerError(
        f"processes: got no answer from one of the {place.size} that train together ({reason}); expected all of them "
        f"to run until the end. See what it said last; {fix}."
    )


def how_to_calm(options: TrainOptions) -> str:
    """Return what to change so that a training like this one no longer diverges."""
    if options.learning_rate > _HIGH_RATE:
        return f"Lower learning_rate (now {options.learning_rate:g}); usual ones are 1e-4 to 1e-2."
    if options.weight_decay * options.learning_rate > 1:
        return f"Lower weight_decay (now {options.weight_decay:g}): times learning_rate it is to be far below 1."
    return "Lower the learning rate, or look for extreme values in the data."


def _not_finite(scores: dict[str, float]) -> str:
    """Return which score is not finite, in words; nothing if all are."""
    return next((f"{name.replace('_', ' ')} became {v}" for name, v in scores.items() if not math.isfinite(v)), "")


class _Run(RunState):
    """One call of :func:`train`."""

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        options: TrainOptions,
        history: History,
        reporter: Reporter,
        checkpoints: Checkpoints | None,
        on_evaluation: Callable[[dict[str, Any]], bool] | None,
        until: int,
    ) -> None:
        super().__init__(model, plan, options, reporter)
        self.history, self.checkpoints, self.on_evaluation = history, checkpoints, on_evaluation
        self.total = options.steps or plan.steps_per_epoch * options.epochs
        self.last, self.evaluates = until or self.total, not until
        self.stop, self.waiting = StopRequest(), Waiting()
        #: whether the last step is done, and evaluated where that was due
        self.settled = False
        self.unsaved: set[str] = set()
        if checkpoints is not None and checkpoints.resume:
            self._go_on(checkpoints)

    def go(self) -> TrainResult:
        stopped: Stopped = "finished"
        try:
            with self.stop, self.waiting:
                self._start()
                stopped = self._steps()
        except KeyboardInterrupt:
            if self.stop.urgent:
                raise
            if self.settled and self.place.size == 1:
                self._save()
            stopped = "interrupted"
        finally:
            self.reporter.finish()
        if self.checkpoints is not None and stopped not in ("interrupted", "diverged"):
            self.ended = stopped
            self.checkpoints.hold(self.done, *self.take())
        if self.best is not None:
            self.plain.load_state_dict(self.best)
        elif self.evaluates and self.events and stopped in ("diverged", "finished", "time limit"):
            times = "" if len(self.events) == 1 else f", {len(self.events)} times"
            raise DivergedError(
                f"training: {self.events[-1]}{times}, before the first evaluation. {how_to_calm(self.options)}"
            )
        elif self.average.decay:
            self.plain.load_state_dict(self.average.weights)
        self.plain.to("cpu").eval()
        row = self.rows[self.best_epoch - 1] if self.best_epoch else {}
        score = row.get(self.plan.monitor, -math.inf if self.plan.larger_is_better else math.inf)
        return TrainResult(self.best_epoch, score, stopped, self.seconds, tuple(self.events))

    def _start(self) -> None:
        """Tell how long the run is."""
        evaluations = -(-self.total // self.plan.evaluate_every) if self.evaluates else 0
        by_epoch = self.plan.evaluate_every == self.plan.steps_per_epoch
        self.reporter.start(
            self.last, evaluations, by_epoch=by_epoch, time_limit=self.options.time_limit, done=self.done
        )

    def _steps(self) -> Stopped:
        if self.ended:
            return cast(Stopped, self.ended)
        while self.done < self.last:
            for batch in self.plan.batches(self.epoch, self.batch):
                self.model.train()
                asked, late, due, alive = self._step(batch)
                self.waiting.look()
                if not alive:
                    return "diverged"
                ends = late or self.done == self.last
                if self.evaluates and (ends or self.done % self.plan.evaluate_every == 0):
                    ended = self._evaluate(batch, ends=ends)
                    if ended:
                        return ended
                    if self.options.patience and self.stale >= self.options.patience:
                        return "no better score"
                self.settled = True
                if ends:
                    return "time limit" if late else "finished"
                if asked or due:
                    self._save()
                if asked:
                    return "interrupted"
            self.epoch, self.batch = self.epoch + 1, 0
        return "finished"

    def _step(self, batch: Any) -> tuple[bool, bool, bool, bool]:
        """Do one step; return whether to stop, whether time is up, whether to save, and False if beyond rescue."""
        rate = rate_at(self._progress(), self.options) * self.guard.rate_scale
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.settled = False  # until the step is done, and evaluated where that is due
        self.done, self.batch = self.done + 1, self.batch + 1
        loss = self.plan.loss(self.model, self.fabric.to_device(batch))
        value, share, flags = self._agree(loss, batch)
        self.fabric.backward(loss * share if share != 1.0 else loss)
        bad = self.guard.why_bad(value, self._clip(), lambda: self._loss_again(batch, last_good=True))
        if bad is not None:
            return *(flags or self._flags()), self._rescue(bad)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.guard.good_step(value)
        self.average.update(self.plain)
        self.losses.append(value)
        self.reporter.step(self.done, value)
        return *(flags or self._flags()), True

    def _flags(self) -> tuple[bool, bool, bool]:
        """Return whether this process was asked to stop, whether time is up, and whether a checkpoint is due."""
        late = bool(self.options.time_limit) and self.seconds >= self.options.time_limit
        due = self.checkpoints is not None and self.checkpoints.due(self.done)
        return self.stop.asked, late, due

    def _agree(self, loss: Tensor, batch: Any) -> tuple[float, float, tuple[bool, bool, bool] | None]:
        """Return the mean loss of all processes, the share of this one's, and what all of them do after the step.

        Alone a process can see what to do after the step, and None is returned for it.
        """
        value = float(loss.detach())
        if self.place.size == 1:
            return value, 1.0, None
        weight, first = self.plan.weight(batch), self.place.rank == 0
        asked, late, due = self._flags()
        own = [value * weight if weight else 0.0, weight, asked, late and first, due and first]
        total = world.add_up(np.array([*own, self.seconds if first else 0.0], dtype=np.float64))
        self.clock = float(total[5])  # the first one's, for all: the rate may follow it
        terms = max(float(total[1]), 1e-12)
        # processes' gradients are averaged, so each counts by its share of the terms
        return float(total[0]) / terms, weight * self.place.size / terms, (total[2] > 0, total[3] > 0, total[4] > 0)

    def _loss_again(self, batch: Any, *, last_good: bool) -> float:
        """Return the mean loss of a batch in all processes, with the present weights or those of the last good state.

        Nothing is drawn at random, so that the run goes on as if this had not been asked.
        """
        carried, training = self.plan.get_state(), self.model.training
        self.plan.set_state({})
        self.model.eval()
        with torch.no_grad(), self.guard.last_good() if last_good else nullcontext():
            value, _, _ = self._agree(self.plan.loss(self.model, self.fabric.to_device(batch)), batch)
        self.model.train(training)
        self.plan.set_state(carried)
        return value

    def _clip(self) -> float:
        largest = self.options.clip or math.inf
        norm = self.fabric.clip_gradients(self.model, self.optimiser, max_norm=largest, error_if_nonfinite=False)
        value = float(norm) if norm is not None else 0.0
        # with 16-mixed, a gradient that overflowed is the scaler's to skip, and it does
        return 0.0 if self.options.precision == "16-mixed" and not math.isfinite(value) else value

    def _rescue(self, bad: str) -> bool:
        self.events.append(f"step {self.done}: {bad}")
        rescued = self.guard.rescue()
        self.average = WeightAverage(self.plain, self.options.average)
        self.plan.set_state({})  # what was carried may be as bad
        what = (
            f"went back to the last good state, learning rate now × {self.guard.rate_scale:g}"
            if rescued
            else "no rescues left; training stops"
        )
        self.reporter.say(f"warning: {self.events[-1]}; {what}.")
        return rescued

    def _evaluate(self, batch: Any, *, ends: bool) -> Stopped | None:
        """Score the weights and keep them if they are the best; return why training is to end here, or None.

        What the last step did to the weights no loss has shown yet: if they have grown much, its batch is tried again.
        """
        if self.guard.have_weights_grown():
            now = self._loss_again(batch, last_good=False)
            flaw = self.guard.why_bad(now, 0.0, lambda: self._loss_again(batch, last_good=True))
            if flaw is not None and not self._rescue(flaw):
                return "diverged"
        if self.events and not self.guard.applied:
            return None  # every step so far was undone: the untrained weights are no result
        scores, averaged = self._scores(ends)
        if broken := _not_finite(scores):
            self.losses.clear()
            return None if self._rescue(f"the {broken}") else "diverged"
        score = self._rank(scores)
        better = score > self.best_score
        if better or score >= self.best_score - self.plan.tolerance:
            with self.average.swapped_in(self.plain) if averaged else nullcontext():
                self.best, self.best_epoch = copy_weights(self.plain), len(self.rows) + 1
        self.best_score = max(self.best_score, score)
        self.stale = 0 if better else self.stale + 1
        mean = sum(self.losses) / len(self.losses) if self.losses else math.nan
        self.losses.clear()
        row = {
            "epoch": self.epoch,
            "step": self.done,
            "train_loss": mean,
            **scores,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "seconds": round(self.seconds, 3),
            **({"averaged": averaged} if self.average.decay else {}),
        }
        self.rows.append(row)
        pruned = world.by_first(lambda: self._tell(row))
        self.settled = True
        self.reporter.evaluated(row, best=better)
        return "pruned" if pruned else None

    def _scores(self, ends: bool) -> tuple[dict[str, float], bool]:
        """Return the scores of the average of the weights or of the weights themselves, and whether of the average.

        The average wins a tie. The weights themselves are scored until the average has won once, and at the end:
        before, too many of the steps that it remembers are early ones.
        """
        self.plain.eval()
        with torch.no_grad(), self.fabric.autocast():
            with self.average.swapped_in(self.plain):
                scores = self._score_weights()
            won = bool(self.rows) and self.rows[-1].get("averaged", True)
            if not self.average.decay or (won and not ends):
                return scores, True
            others = self._score_weights()
        wins = _not_finite(scores) or self._rank(others) > self._rank(scores)
        return (others, False) if wins and not _not_finite(others) else (scores, True)

    def _score_weights(self) -> dict[str, float]:
        """Return the scores of the weights that the model has, to the last bit the same in every process."""
        own = self.plan.evaluate(self.plain)
        return world.by_first(lambda: own)

    def _rank(self, scores: dict[str, float]) -> float:
        """Return the score that decides, with the sign that makes larger better."""
        return scores[self.plan.monitor] * (1 if self.plan.larger_is_better else -1)

    def _tell(self, row: dict[str, Any]) -> bool:
        self._attempt("history", lambda: self.history.add(row))
        return self.on_evaluation is not None and bool(self.on_evaluation(row))

    def _progress(self) -> float:
        """Return the share of the run that is behind us: of its steps, or of its time if that ends first."""
        share = self.done / self.total
        if self.options.time_limit:
            seconds = self.seconds if self.place.size == 1 else self.clock
            share = max(share, seconds / self.options.time_limit)
        return min(1.0, share)

    def _save(self) -> None:
        checkpoints = self.checkpoints
        if checkpoints is not None:
            state, tensors = self.take()
            self._attempt("checkpoint", lambda: world.by_first(lambda: checkpoints.save(self.done, state, tensors)))

    def _attempt(self, what: str, write: Callable[[], None]) -> None:
        """Write something that training can do without; where that fails, say so once until it works again."""
        try:
            write()
            self.unsaved.discard(what)
        except SaveError as error:
            if what not in self.unsaved:
                self.reporter.say(f"warning: {error} Training goes on.")
            self.unsaved.add(what)

    def _go_on(self, checkpoints: Checkpoints) -> None:
        found = world.by_first(checkpoints.newest)
        for note in checkpoints.notes:
            self.reporter.say(f"warning: {note}")
        if found is None:
            self.reporter.say("No checkpoint was written yet: training begins anew.")
            return
        self.restore(found)
        self._attempt("history", lambda: world.by_first(lambda: self.history.restore(self.rows)))
        self.reporter.say(f"Going on after step {self.done} of {self.total}.")
