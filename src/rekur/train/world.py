"""The processes that train together: how many there are, and what they tell each other."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from rekur.errors import WorkerError


class World(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: its number, from 0; process 0 writes and tells.
        size: how many there are.
        local: how many of them run on this machine.
    """

    rank: int = 0
    size: int = 1
    local: int = 1

    @property
    def machines(self) -> int:
        """How many machines take part."""
        return -(-self.size // self.local)


def current() -> World:
    """Return this process's place, as torchrun or SLURM's srun tell it; alone where neither started it.

    Example:
        >>> current().size
        1
    """
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        return World(int(env["RANK"]), int(env["WORLD_SIZE"]), int(env.get("LOCAL_WORLD_SIZE", env["WORLD_SIZE"])))
    if "SLURM_PROCID" in env and env.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        size = int(env.get("SLURM_NTASKS", "1"))
        return World(int(env["SLURM_PROCID"]), size, size // max(1, int(env.get("SLURM_NNODES", "1"))))
    return World()


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def add_up(values: NDArray[Any]) -> NDArray[Any]:
    """Return the sum over all processes of an array, the same in each; alone, the array itself."""
    if not _together():
        return values
    total = torch.from_numpy(np.ascontiguousarray(values)).to(_device())
    try:
        distributed.all_reduce(total)
    except RuntimeError as error:
        raise lost_worker(error) from error
    return np.asarray(total.cpu().numpy())


def gather(values: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return what each process gave, in the order of their numbers; alone, a list of one."""
    if not _together():
        return [values]
    found: list[Any] = [None] * distributed.get_world_size()
    try:
        distributed.all_gather_object(found, values)
    except RuntimeError as error:
        raise lost_worker(error) from error
    return found


def lost_worker(error: RuntimeError) -> WorkerError:
    """Return the error that says that another process is gone."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return WorkerError(
        f"processes: one of {distributed.get_world_size()} that train together does not answer any more ({reason}). "
        "See what it said last. The last checkpoint is whole: start the same command again to go on from it."
    )


def _device() -> torch.device:
    """Return where tensors must be to be exchanged."""
    return torch.device("cuda") if distributed.get_backend() == "nccl" else torch.device("cpu")
