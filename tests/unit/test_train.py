"""The training loop: it learns, stops, keeps the best, and is never taken through a NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rekur.errors import DivergedError, InputError
from rekur.train import History, Silent, Stateless, TrainOptions, train
from rekur.train.optim import WeightAverage, make_optimiser, rate_at


class Line(Stateless):
    """A plan: fit y = 3x - 1 with one linear layer; steps listed in ``bad`` give what ``spoil`` makes of the loss."""

    monitor = "valid_loss"
    larger_is_better = False
    tolerance = 0.0

    def __init__(self, steps: int = 20, bad: tuple[int, ...] = (), spoil: float = math.nan) -> None:
        self.evaluate_every = self.steps_per_epoch = steps
        self.bad, self.spoil, self.calls = bad, spoil, 0
        self.scores: list[float] = []
        self.interrupt_at = 0

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        random = torch.Generator().manual_seed(epoch)
        for number in range(self.steps_per_epoch):
            x = torch.randn(16, 1, generator=random)
            if number >= start:
                yield x, 3 * x - 1

    def weight(self, batch: Any) -> float:
        return float(len(batch[0]))

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        self.calls += 1
        if self.calls == self.interrupt_at:
            raise KeyboardInterrupt
        loss = nn.functional.mse_loss(model(batch[0]), batch[1])
        return loss * self.spoil if self.calls in self.bad else loss

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        x = torch.linspace(-1, 1, 9).unsqueeze(1)
        loss = float(nn.functional.mse_loss(model(x), 3 * x - 1))
        self.scores.append(loss)
        return {"valid_loss": loss}


def line_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(1, 1)


def options(**changes: Any) -> TrainOptions:
    return TrainOptions(**{"epochs": 5, "learning_rate": 0.1, "accelerator": "cpu", **changes})


def test_it_learns_and_leaves_the_best_weights() -> None:
    model, plan = line_model(), Line()
    result = train(model, plan, options(epochs=20))
    assert result.stopped == "finished"
    assert result.best_score == min(plan.scores)
    x = torch.linspace(-1, 1, 9).unsqueeze(1)
    assert float(nn.functional.mse_loss(model(x), 3 * x - 1).detach()) == result.best_score < 1e-3
    assert not model.training


def test_two_runs_with_one_seed_are_the_same() -> None:
    models = [line_model(), line_model()]
    for model in models:
        train(model, Line(), options())
    assert torch.equal(models[0].weight, models[1].weight)


@pytest.mark.parametrize("spoil", [math.nan, math.inf, 1e6])
def test_a_bad_step_is_rolled_back_slowed_down_and_said(spoil: float) -> None:
    model, plan = line_model(), Line(bad=(45,), spoil=spoil)
    said = _Listener()
    result = train(model, plan, options(), reporter=said)
    assert len(result.events) == 1
    assert result.events[0].startswith("step 45: the loss ")
    assert said.texts == [f"warning: {result.events[0]}; went back to the last good state, learning rate now × 0.5."]
    assert result.best_score < 0.1
    assert bool(torch.isfinite(model.weight).all())


def test_beyond_the_last_rescue_it_stops_with_the_best_weights() -> None:
    model = line_model()
    result = train(model, Line(bad=tuple(range(30, 500))), options(rescues=2))
    assert result.stopped == "diverged"
    assert len(result.events) == 3
    assert result.best_epoch == 1
    assert bool(torch.isfinite(model.weight).all())


def test_diverging_before_any_evaluation_is_an_error() -> None:
    with pytest.raises(DivergedError) as caught:
        train(line_model(), Line(bad=tuple(range(1, 500))), options(rescues=1))
    assert str(caught.value) == (
        "training: step 2: the loss became nan, 2 times, before the first evaluation. "
        "Lower the learning rate, or look for extreme values in the data."
    )


def test_it_stops_early_when_the_score_no_longer_falls() -> None:
    plan = Line()
    plan.evaluate = lambda model: {"valid_loss": 1.0}  # type: ignore[method-assign]
    result = train(line_model(), plan, options(epochs=50, patience=3))
    assert result.stopped == "no better score"
    assert plan.calls == 4 * plan.steps_per_epoch


def test_later_weights_within_the_tolerance_are_kept_instead() -> None:
    plan = Line()
    scores = iter([0.5, 0.9, 0.85, 0.7, 0.95, 0.94, 0.5])
    plan.monitor, plan.larger_is_better, plan.tolerance = "accuracy", True, 0.06
    plan.evaluate = lambda model: {"accuracy": next(scores)}  # type: ignore[method-assign]
    result = train(line_model(), plan, options(epochs=7, patience=0))
    assert (result.best_epoch, result.best_score) == (6, 0.94)


def test_ctrl_c_keeps_the_best_so_far() -> None:
    plan = Line()
    plan.interrupt_at = 50
    result = train(line_model(), plan, options())
    assert result.stopped == "interrupted"
    assert result.best_score == min(plan.scores)


def test_a_time_limit_ends_in_good_order() -> None:
    result = train(line_model(), Line(steps=10_000), options(epochs=1000, time_limit=0.3))
    assert result.stopped == "time limit"
    assert result.best_epoch == 1


def test_history_is_written_as_it_grows(tmp_path: Path) -> None:
    history = History(tmp_path)
    train(line_model(), Line(), options(epochs=3), history=history)
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == history.rows
    assert [row["step"] for row in rows] == [20, 40, 60]
    assert set(rows[0]) == {"epoch", "step", "train_loss", "valid_loss", "learning_rate", "seconds"}


def test_history_for_tensorboard(tmp_path: Path) -> None:
    history = History(tmp_path, tensorboard=True)
    history.add({"epoch": 1, "step": 5, "valid_loss": 0.5})
    history.close()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_the_rate_rises_then_falls() -> None:
    given = options(learning_rate=1.0, warmup=0.1)
    assert rate_at(0.0, given) == 0.0
    assert rate_at(0.05, given) == pytest.approx(0.5)
    assert rate_at(0.1, given) == 1.0
    assert rate_at(0.55, given) == pytest.approx(0.5)
    assert rate_at(0.55, options(learning_rate=1.0, schedule="linear", warmup=0.1)) == pytest.approx(0.5)
    assert rate_at(0.9, options(learning_rate=1.0, schedule="constant", warmup=0.1)) == 1.0


def test_weight_decay_is_for_matrices_only() -> None:
    groups = make_optimiser(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)), options(weight_decay=0.5)).param_groups
    assert [(g["weight_decay"], [p.dim() for p in g["params"]]) for g in groups] == [(0.5, [2]), (0.0, [1, 1, 1])]


def test_the_average_lags_behind_and_goes_in_and_out() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = WeightAverage(model, 0.9)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average.update(model)
    with average.swapped_in(model):
        assert model.weight.item() == pytest.approx(1 - 2 / 11)
    assert model.weight.item() == 1.0


@pytest.mark.parametrize(
    ("last", "kept"),
    [((0.5, 0.65), -2), ((0.65, 0.5), -1), ((0.5, 0.5), -2), ((math.nan, 0.5), -1), ((0.5, math.nan), -2)],
)
def test_of_the_average_and_the_weights_themselves_the_better_are_kept(last: tuple[float, float], kept: int) -> None:
    """The weights themselves are scored until the average has won once, and at the end."""
    model, plan, history = line_model(), Line(), History()
    scores = iter([0.9, 0.8, 0.7, 0.75, 0.6, *last])
    scored: list[float] = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        scored.append(model.weight.item())  # type: ignore[operator,union-attr]
        return {"valid_loss": next(scores)}

    plan.evaluate = evaluate  # type: ignore[method-assign]
    result = train(model, plan, options(epochs=4, average=0.99), history=history)
    assert [row["valid_loss"] for row in history.rows] == [0.8, 0.7, 0.6, 0.5]
    assert [row["averaged"] for row in history.rows] == [False, True, True, kept == -2]
    assert (result.best_epoch, result.best_score, len(scored)) == (4, 0.5, 7)
    assert model.weight.item() == scored[kept]
    assert scored[-1] != scored[-2]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epochs": 0}, "epochs: got 0; expected a whole number of 1 or more."),
        ({"learning_rate": 0}, "learning_rate: got 0; expected a number above 0."),
        ({"warmup": 1.0}, "warmup: got 1.0; expected a number in [0, 1)."),
        (
            {"schedule": "cosin"},
            "schedule: got 'cosin'; expected one of 'cosine', 'linear', 'constant'. Did you mean 'cosine'?",
        ),
    ],
)
def test_wrong_options_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        options(**change)
    assert str(caught.value) == text


class _Listener(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, text: str) -> None:
        self.texts.append(text)
