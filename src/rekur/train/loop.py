"""The training loop: visible, on Lightning Fabric, and never through a NaN."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from rekur.errors import DivergedError
from rekur.train.guard import Guard
from rekur.train.history import History
from rekur.train.optim import WeightAverage, copy_weights, make_optimiser, rate_at
from rekur.train.options import TrainOptions
from rekur.train.progress import Reporter, Silent

Stopped = Literal["finished", "no better score", "time limit", "interrupted", "diverged"]


class Plan(Protocol):
    """What a task gives the loop: batches, a loss, an evaluation, and which score decides.

    Attributes:
        steps_per_epoch: batches in an epoch.
        monitor: the score by which weights are kept.
        larger_is_better: whether it is to rise or to fall.
        tolerance: how much worse than the best a later score may be for its weights to be kept instead; the standard
            error of the score, say. The rate falls to the end, so later weights are the better settled ones.
    """

    steps_per_epoch: int
    monitor: str
    larger_is_better: bool
    tolerance: float

    def batches(self, epoch: int) -> Iterator[Any]:
        """Yield the batches of one epoch; the same for the same number."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the mean loss of a batch, a scalar."""
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return scores on validation data, among them ``monitor``; the model is in evaluation mode."""
        ...


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How a run ended; the model itself holds the best weights.

    Attributes:
        best_epoch: the evaluation whose weights were kept; 0 if there was none.
        best_score: the best monitored score; that of the kept weights is at most the plan's tolerance worse.
        stopped: why the run ended.
        seconds: how long it took.
        events: what happened on the way, such as a roll-back, in words.
    """

    best_epoch: int
    best_score: float
    stopped: Stopped
    seconds: float
    events: tuple[str, ...]


def train(
    model: nn.Module,
    plan: Plan,
    options: TrainOptions,
    *,
    history: History | None = None,
    reporter: Reporter | None = None,
) -> TrainResult:
    """Train a model in place and leave the weights with the best validation score in it.

    Args:
        model: the model; afterwards on the CPU, in evaluation mode, with the best weights.
        plan: batches, loss and evaluation.
        options: rates, epochs, clipping, early stopping, precision.
        history: takes one row an evaluation; by default rows are dropped.
        reporter: tells a person; by default nobody.

    Returns:
        how the run ended. Ctrl-C ends it in good order, with the best weights so far.

    Raises:
        DivergedError: it became NaN, infinite or exploded before any evaluation, ``rescues`` + 1 times.
    """
    return _Run(model, plan, options, history or History(), reporter or Silent()).go()


class _Run:
    """One call of :func:`train`."""

    def __init__(
        self, model: nn.Module, plan: Plan, options: TrainOptions, history: History, reporter: Reporter
    ) -> None:
        self.plan, self.options, self.history, self.reporter = plan, options, history, reporter
        self.plain = model
        from lightning_fabric import Fabric  # here, because it is slow to import and only training needs it

        self.fabric = Fabric(accelerator=options.accelerator, devices=1, precision=options.precision)  # type: ignore[arg-type]
        self.model, self.optimiser = self.fabric.setup(model, make_optimiser(model, options))
        self.guard = Guard(model, self.optimiser, rescues=options.rescues)
        self.average = WeightAverage(model, options.average)
        self.total = plan.steps_per_epoch * options.epochs
        self.done = 0
        self.best: dict[str, Tensor] | None = None
        self.best_epoch, self.best_score = 0, -math.inf
        self.stale = 0
        self.events: list[str] = []
        self.losses: list[float] = []
        self.began = time.monotonic()

    def go(self) -> TrainResult:
        self.reporter.start(self.total, self.options.epochs)
        stopped: Stopped = "finished"
        try:
            stopped = self._epochs()
        except KeyboardInterrupt:
            stopped = "interrupted"
        finally:
            self.reporter.finish()
        if self.best is not None:
            self.plain.load_state_dict(self.best)
        elif stopped == "diverged":
            raise DivergedError(
                f"training: {self.events[-1]}, {self.options.rescues + 1} times, before the first evaluation. "
                "Lower the learning rate, or look for extreme values in the data."
            )
        elif self.average.decay:
            self.plain.load_state_dict(self.average.weights)
        self.plain.to("cpu").eval()
        seconds = time.monotonic() - self.began
        score = self.best_score if self.plan.larger_is_better else -self.best_score
        return TrainResult(self.best_epoch, score, stopped, seconds, tuple(self.events))

    def _epochs(self) -> Stopped:
        for epoch in range(1, self.options.epochs + 1):
            self.model.train()
            for batch in self.plan.batches(epoch):
                if not self._step(batch):
                    return "diverged"
                if self._out_of_time():
                    self._evaluate(epoch)
                    return "time limit"
            self._evaluate(epoch)
            if self.options.patience and self.stale >= self.options.patience:
                return "no better score"
        return "finished"

    def _step(self, batch: Any) -> bool:
        """Do one step; return False if the run is beyond rescue."""
        rate = rate_at(self._progress(), self.options) * self.guard.rate_scale
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.plan.loss(self.model, self.fabric.to_device(batch))
        self.fabric.backward(loss)
        norm = self._clip()
        value = float(loss.detach())
        bad = self.guard.why_bad(value, norm)
        if bad is not None:
            return self._rescue(bad)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.guard.good_step()
        self.average.update(self.plain)
        self.losses.append(value)
        self.done += 1
        self.reporter.step(self.done, value)
        return True

    def _clip(self) -> float:
        largest = self.options.clip or math.inf
        norm = self.fabric.clip_gradients(self.model, self.optimiser, max_norm=largest, error_if_nonfinite=False)
        value = float(norm) if norm is not None else 0.0
        # with 16-mixed, a gradient that overflowed is the scaler's to skip, and it does
        return 0.0 if self.options.precision == "16-mixed" and not math.isfinite(value) else value

    def _rescue(self, bad: str) -> bool:
        self.events.append(f"step {self.done + 1}: {bad}")
        rescued = self.guard.rescue()
        self.average = WeightAverage(self.plain, self.options.average)
        what = (
            f"went back to the last good state, learning rate now × {self.guard.rate_scale:g}"
            if rescued
            else "no rescues left; training stops"
        )
        self.reporter.say(f"warning: {self.events[-1]}; {what}.")
        return rescued

    def _evaluate(self, epoch: int) -> None:
        self.model.eval()
        with torch.no_grad(), self.average.swapped_in(self.plain):
            scores = self.plan.evaluate(self.model)
            score = scores[self.plan.monitor] * (1 if self.plan.larger_is_better else -1)
            better = score > self.best_score
            if better or score >= self.best_score - self.plan.tolerance:
                self.best, self.best_epoch = copy_weights(self.plain), epoch
        self.best_score = max(self.best_score, score)
        self.stale = 0 if better else self.stale + 1
        mean = sum(self.losses) / len(self.losses) if self.losses else math.nan
        self.losses.clear()
        row = {
            "epoch": epoch,
            "step": self.done,
            "train_loss": mean,
            **scores,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self.began, 3),
        }
        self.history.add(row)
        self.reporter.evaluated(row, best=better)

    def _progress(self) -> float:
        """Return the share of the run that is behind us: of its steps, or of its time if that ends first."""
        share = self.done / self.total
        if self.options.time_limit:
            share = max(share, (time.monotonic() - self.began) / self.options.time_limit)
        return min(1.0, share)

    def _out_of_time(self) -> bool:
        return bool(self.options.time_limit) and time.monotonic() - self.began >= self.options.time_limit
