"""The state of a run, taken apart into numbers and tensors, and put together again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rekur.train import world
from rekur.train.checkpoint import Checkpoint
from rekur.train.optim import optimiser_state, optimiser_tensors, under

if TYPE_CHECKING:
    from rekur.train.loop import _Run


def take(run: _Run) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return all that a run needs to go on, as plain JSON and as tensors.

    With several processes every one must call this: each has a random state and a part of the carried state.
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
    }
    tensors = {f"model/{name}": value for name, value in run.plain.state_dict().items()}
    tensors |= _named("optimiser/", optimiser_tensors(run.optimiser.state_dict()))
    tensors |= _named("average/", run.average.weights) | _named("guard/", guard_tensors)
    tensors |= _named("best/", run.best or {})
    parts = world.gather({**_named("random/", _random_state()), **_named("plan/", run.plan.get_state())})
    for rank, part in enumerate(parts):
        tensors |= _named(f"random/{rank}/", under("random/", part))
    carried = [under("plan/", part) for part in parts]
    # rows of the batch are the first axis, and processes have them in order: the whole is theirs joined
    tensors |= {f"plan/{name}": torch.cat([part[name].cpu() for part in carried]) for name in carried[0]}
    return state, tensors


def restore(run: _Run, saved: Checkpoint) -> None:
    """Put a run where the checkpoint says that it was."""
    state, tensors = saved.state, saved.tensors
    run.plain.load_state_dict(under("model/", tensors))
    run.optimiser.load_state_dict(optimiser_state(under("optimiser/", tensors), run.optimiser))
    run.guard.set_state(state["guard"], under("guard/", tensors))
    run.average.updates = state["average_updates"]
    for name, value in under("average/", tensors).items():
        run.average.weights[name].copy_(value)
    run.done, run.epoch, run.batch = state["step"], state["epoch"], state["batch"]
    run.best_epoch, run.stale = state["best_epoch"], state["stale"]
    run.best_score = float.fromhex(state["best_score"])
    run.best = under("best/", tensors) if state["has_best"] else None
    run.events, run.rows = list(state["events"]), list(state["rows"])
    run.losses = [float.fromhex(loss) for loss in state["losses"]]
    run.began -= state["seconds"]
    if saved.data_changed:
        run.batch = 0
        run.reporter.say("warning: the data are not those of the checkpoint; their epoch begins anew.")
    else:
        _restore_carried(run, under("plan/", tensors))
    if state["processes"] == run.place.size:
        _set_random_state(under(f"random/{run.place.rank}/", tensors))
    else:
        text = f"{state['processes']} processes before, {run.place.size} now: what is drawn at random will differ"
        run.reporter.say(f"warning: {text}.")


def _restore_carried(run: _Run, carried: dict[str, Tensor]) -> None:
    """Give the plan its rows of what is carried from batch to batch."""
    rank, size = run.place.rank, run.place.size
    run.plan.set_state({name: tensor.chunk(size)[rank] if size > 1 else tensor for name, tensor in carried.items()})


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in tensors.items()}
