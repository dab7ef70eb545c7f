"""The state of a run as JSON and tensors, and back."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rekur.errors import CheckpointError
from rekur.train import world
from rekur.train.checkpoint import Checkpoint
from rekur.train.guard import Guard
from rekur.train.optim import WeightAverage, optimiser_state, optimiser_tensors, under
from rekur.train.plan import Plan
from rekur.train.progress import Reporter


class Run(Protocol):
    """The parts of a training run that a checkpoint stores or needs."""

    done: int
    epoch: int
    batch: int
    stale: int
    best: dict[str, Tensor] | None
    best_epoch: int
    best_score: float
    events: list[str]
    losses: list[float]
    rows: list[dict[str, Any]]
    ended: str
    began: float
    clock: float
    plain: nn.Module
    plan: Plan
    guard: Guard
    average: WeightAverage
    reporter: Reporter
    optimiser: Any
    fabric: Any

    @property
    def place(self) -> Any:
        """The rank of this process and the number of processes."""

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""

    def seed_anew(self) -> None:
        """Seed the random numbers of this process and step."""


def take(run: Run) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the state from which a run can resume, as plain JSON and as tensors.

    Every process must call this: each has its own random state and a part of the carried state.
    """
    guard_numbers, guard_tensors = run.guard.get_state()
    state = {
        "step": run.done,
        "epoch": run.epoch,
        "batch": run.batch,
        "processes": run.place.size,
        "seconds": run.seconds,
        "best_epoch": run.best_epoch,
        "best_score": run.best_score.hex(),
        "has_best": run.best is not None,
        "stale": run.stale,
        "events": run.events,
        "losses": [loss.hex() for loss in run.losses],
        "rows": run.rows,
        "average_updates": run.average.updates,
        "guard": guard_numbers,
        "scaler": run.fabric._precision.state_dict(),
        "ended": run.ended,
    }
    tensors = {f"model/{name}": value for name, value in run.plain.state_dict().items()}
    tensors |= _named("optimiser/", optimiser_tensors(run.optimiser.state_dict()))
    tensors |= _named("average/", run.average.weights) | _named("guard/", guard_tensors)
    tensors |= _named("best/", run.best or {})
    parts = world.gather({**_named("random/", _random_state(run)), **_named("plan/", run.plan.get_state())})
    for rank, part in enumerate(parts):
        tensors |= _named(f"random/{rank}/", under("random/", part))
    carried = [under("plan/", part) for part in parts]
    # the first axis is the rows of the batch, and processes have them in order: concatenate them
    tensors |= {f"plan/{name}": torch.cat([part[name].cpu() for part in carried]) for name in carried[0]}
    return state, tensors


def restore(run: Run, saved: Checkpoint) -> None:
    """Restore a run from a checkpoint."""
    state, tensors = saved.state, saved.tensors
    _check_model(run, under("model/", tensors))
    run.plain.load_state_dict(under("model/", tensors))
    run.optimiser.load_state_dict(optimiser_state(under("optimiser/", tensors), run.optimiser))
    run.guard.set_state(state["guard"], under("guard/", tensors))
    run.fabric._precision.load_state_dict(state["scaler"])
    run.average.updates = state["average_updates"]
    for name, value in under("average/", tensors).items():
        run.average.weights[name].copy_(value)
    run.done, run.epoch, run.batch = state["step"], state["epoch"], state["batch"]
    run.ended = state.get("ended", "")
    run.best_epoch, run.stale = state["best_epoch"], state["stale"]
    run.best_score = float.fromhex(state["best_score"])
    run.best = under("best/", tensors) if state["has_best"] else None
    run.events, run.rows = list(state["events"]), list(state["rows"])
    run.losses = [float.fromhex(loss) for loss in state["losses"]]
    run.began, run.clock = run.began - state["seconds"], state["seconds"]
    if saved.data_changed:
        run.batch = 0
        run.reporter.say("warning: the data are not those of the checkpoint; their epoch begins anew.")
    else:
        _restore_carried(run, under("plan/", tensors))
    if state["processes"] == run.place.size:
        _set_random_state(run, under(f"random/{run.place.rank}/", tensors))
    else:
        run.seed_anew()
        text = f"{state['processes']} processes before, {run.place.size} now: random draws will differ"
        run.reporter.say(f"warning: {text}.")


def _restore_carried(run: Run, carried: dict[str, Tensor]) -> None:
    """Give the plan its rows of the state that is carried from batch to batch."""
    rank, size = run.place.rank, run.place.size
    run.plan.set_state({name: tensor.chunk(size)[rank] if size > 1 else tensor for name, tensor in carried.items()})


def _check_model(run: Run, saved: dict[str, Tensor]) -> None:
    """Raise if the weights of the model differ from those of the checkpoint."""
    ours, theirs = ({name: tuple(t.shape) for name, t in of.items()} for of in (run.plain.state_dict(), saved))
    for name in {**ours, **theirs}:
        if ours.get(name) != theirs.get(name):
            got, expected = (f"shape {of[name]}" if name in of else "none" for of in (ours, theirs))
            raise CheckpointError(
                f"model, weights {name}: got {got}; expected {expected}, as it was begun. "
                "Give the model of then, or begin anew in another folder."
            )


def _random_state(run: Run) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if (device := run.fabric.device).type != "cpu":
        state[device.type] = torch.get_device_module(device).get_rng_state()
    return state


def _set_random_state(run: Run, state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if (device := run.fabric.device).type in state and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state[device.type])


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in tensors.items()}
