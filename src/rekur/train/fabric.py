"""Lightning Fabric, set up for one process or for those that a launcher started."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from rekur.errors import InputError, describe
from rekur.train.options import TrainOptions
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
