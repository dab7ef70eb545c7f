"""The state of a run: on Lightning Fabric, as JSON and tensors, and back."""

from __future__ import annotations

import atexit
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rekur.errors import CheckpointError, InputError, describe
from rekur.train import world
from rekur.train.checkpoint import Checkpoint
from rekur.train.guard import Guard
from rekur.train.optim import WeightAverage, make_optimiser, optimiser_state, optimiser_tensors, under
from rekur.train.options import TrainOptions
from rekur.train.plan import Plan
from rekur.train.progress import Reporter
from rekur.train.world import World, connected, disconnect


def make_fabric(model: nn.Module, options: TrainOptions, place: World) -> Any:
    """Return a Fabric; where there are several processes, it has connected them.

    Args:
        model: what is to be trained. A module in it some of whose weights may have no share in a batch, such as those
            of rare words, says so by an attribute ``partly_used = True``: several processes then look which have.
        options: accelerator and precision.
        place: this process among those that train together.
    """
    from lightning_fabric import Fabric  # here, because it is slow to import and only training needs it
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    how: dict[str, Any] = {"accelerator": options.accelerator, "precision": options.precision}
    if place.size == 1:  # whatever a cluster's variables say
        with _without_greeting():
            return _with_exact_targets(Fabric(devices=1, plugins=[LightningEnvironment()], **how))
    if "SLURM_STEP_NUM_TASKS" in os.environ and "SLURM_NTASKS_PER_NODE" not in os.environ:
        fix = f"Add --ntasks-per-node={place.local}."
        raise InputError(describe("SLURM", place.size, "tasks that are given as so many a node", fix))
    looks = any(getattr(module, "partly_used", False) for module in model.modules())
    strategy = "ddp_find_unused_parameters_true" if looks else "ddp"
    with _without_greeting():
        fabric = Fabric(devices=place.local, num_nodes=place.machines, strategy=strategy, **how)
        if not connected():
            atexit.register(disconnect)  # before the interpreter ends, lest the threads of the connection outlive it
        fabric.launch()
    return _with_exact_targets(fabric)


def _with_exact_targets(fabric: Any) -> Any:
    """Return the Fabric, changed so that a mixed precision does not round the field ``targets`` of a batch."""
    convert = fabric._precision.convert_input

    def convert_input(data: Any) -> Any:
        (args, _), (converted, named) = data, convert(data)
        pairs = zip(converted, args, strict=True)
        return tuple(new._replace(targets=old.targets) if hasattr(old, "targets") else new for new, old in pairs), named

    fabric._precision.convert_input = convert_input
    return fabric


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Leave out what Lightning tells at its start: who wants no progress wants none of it."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


#: attributes that a checkpoint stores as they are
_PLAIN = ("epoch", "batch", "stale", "best_epoch", "events", "rows", "ended")


class RunState:
    """The parts of a training run that a checkpoint stores.

    Args:
        model: the model.
        plan: batches, loss and evaluation.
        options: rates, epochs, precision.
        reporter: tells a person.
    """

    def __init__(self, model: nn.Module, plan: Plan, options: TrainOptions, reporter: Reporter) -> None:
        self.plain, self.plan, self.options, self.reporter = model, plan, options, reporter
        self.place = world.current()
        self.fabric = make_fabric(model, options, self.place)
        self.model, self.optimiser = self.fabric.setup(model, make_optimiser(model, options))
        self.guard = Guard(model, self.optimiser, rescues=options.rescues)
        self.average = WeightAverage(model, options.average)
        self.done, self.epoch, self.batch = 0, 1, 0
        if self.place.size > 1:
            self.seed_anew()
        self.best: dict[str, Tensor] | None = None
        self.best_epoch, self.best_score, self.stale = 0, -math.inf, 0
        self.events: list[str] = []
        self.losses: list[float] = []
        self.rows: list[dict[str, Any]] = []
        self.began, self.clock, self.ended = time.monotonic(), 0.0, ""

    @property
    def seconds(self) -> float:
        """The time that the run has taken so far."""
        return time.monotonic() - self.began

    def seed_anew(self) -> None:
        """Draw from now on what no other process draws, nor this one at another step."""
        torch.manual_seed(self.options.seed + 1_000_003 * self.place.rank + 7_919 * self.done)

    def take(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the state from which a run can resume, as plain JSON and as tensors.

        Every process must call this: each has its own random state and a part of the carried state.
        """
        guard_numbers, guard_tensors = self.guard.get_state()
        state = {
            **{name: getattr(self, name) for name in _PLAIN},
            "step": self.done,
            "processes": self.place.size,
            "seconds": self.seconds,
            "best_score": self.best_score.hex(),
            "has_best": self.best is not None,
            "losses": [loss.hex() for loss in self.losses],
            "average_updates": self.average.updates,
            "guard": guard_numbers,
            "scaler": self.fabric._precision.state_dict(),
        }
        tensors = {f"model/{name}": value for name, value in self.plain.state_dict().items()}
        tensors |= _named("optimiser/", optimiser_tensors(self.optimiser.state_dict()))
        tensors |= _named("average/", self.average.weights) | _named("guard/", guard_tensors)
        tensors |= _named("best/", self.best or {})
        parts = world.gather({**_named("random/", self._random_state()), **_named("plan/", self.plan.get_state())})
        for rank, part in enumerate(parts):
            tensors |= _named(f"random/{rank}/", under("random/", part))
        carried = [under("plan/", part) for part in parts]
        # the first axis is the rows of the batch, and processes have them in order: concatenate them
        tensors |= {f"plan/{name}": torch.cat([part[name].cpu() for part in carried]) for name in carried[0]}
        return state, tensors

    def restore(self, saved: Checkpoint) -> None:
        """Restore a run from a checkpoint."""
        state, tensors = saved.state, saved.tensors
        self._check_model(under("model/", tensors))
        self.plain.load_state_dict(under("model/", tensors))
        self.optimiser.load_state_dict(optimiser_state(under("optimiser/", tensors), self.optimiser))
        self.guard.set_state(state["guard"], under("guard/", tensors))
        self.fabric._precision.load_state_dict(state["scaler"])
        self.average.updates = state["average_updates"]
        for name, value in under("average/", tensors).items():
            self.average.weights[name].copy_(value)
        for name in _PLAIN:
            setattr(self, name, state[name])
        self.done, self.best_score = state["step"], float.fromhex(state["best_score"])
        self.best = under("best/", tensors) if state["has_best"] else None
        self.losses = [float.fromhex(loss) for loss in state["losses"]]
        self.began, self.clock = self.began - state["seconds"], state["seconds"]
        rank, size = self.place.rank, self.place.size
        if saved.data_changed:
            self.batch = 0
            self.reporter.say("warning: the data are not those of the checkpoint; their epoch begins anew.")
        else:  # the plan gets its rows of the state that is carried from batch to batch
            carried = under("plan/", tensors)
            self.plan.set_state({name: rows.chunk(size)[rank] if size > 1 else rows for name, rows in carried.items()})
        if state["processes"] == size:
            self._set_random_state(under(f"random/{rank}/", tensors))
        else:
            self.seed_anew()
            text = f"{state['processes']} processes before, {size} now: random draws will differ"
            self.reporter.say(f"warning: {text}.")

    def _check_model(self, saved: dict[str, Tensor]) -> None:
        """Raise if the weights of the model differ from those of the checkpoint."""
        ours, theirs = ({name: tuple(t.shape) for name, t in of.items()} for of in (self.plain.state_dict(), saved))
        for name in {**ours, **theirs}:
            if ours.get(name) != theirs.get(name):
                got, expected = (f"shape {of[name]}" if name in of else "none" for of in (ours, theirs))
                raise CheckpointError(
                    f"model, weights {name}: got {got}; expected {expected}, as it was begun. "
                    "Give the model of then, or begin anew in another folder."
                )

    def _random_state(self) -> dict[str, Tensor]:
        state = {"cpu": torch.get_rng_state()}
        if (device := self.fabric.device).type != "cpu":
            state[device.type] = torch.get_device_module(device).get_rng_state()
        return state

    def _set_random_state(self, state: dict[str, Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if (device := self.fabric.device).type in state and device.type != "cpu":
            torch.get_device_module(device).set_rng_state(state[device.type])


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in tensors.items()}
