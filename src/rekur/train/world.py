"""The processes that train together: how many there are, and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rekur.errors import RekurError

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")


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

    A job of SLURM counts as one process where srun did not start this one.

    Example:
        >>> current().size
        1
    """
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        return World(int(env["RANK"]), int(env["WORLD_SIZE"]), int(env.get("LOCAL_WORLD_SIZE", env["WORLD_SIZE"])))
    if "SLURM_STEP_NUM_TASKS" in env and env.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        size = int(env["SLURM_STEP_NUM_TASKS"])
        return World(int(env["SLURM_PROCID"]), size, size // max(1, int(env.get("SLURM_NNODES", "1"))))
    return World()


def connected() -> bool:
    """Return whether this process has a connection to others."""
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def disconnect() -> None:
    """End the connection, if there is one."""
    from torch import distributed

    if connected():
        distributed.destroy_process_group()


def _together() -> bool:
    from torch import distributed

    return connected() and distributed.get_world_size() > 1


def add_up(values: NDArray[Any]) -> NDArray[Any]:
    """Return the sum over all processes of an array, the same in each; alone, the array itself."""
    if not _together():
        return values
    import torch
    from torch import distributed

    total = torch.from_numpy(np.array(values)).to(_device())
    distributed.all_reduce(total)
    return np.asarray(total.cpu().numpy())


def gather(value: Value) -> list[Value]:
    """Return the value of each process, in the order of their numbers; alone, a list of one."""
    if not _together():
        return [value]
    from torch import distributed

    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def by_first(act: Callable[[], Value]) -> Value:
    """Have the first process do something for all, and return what it returned, or raise what it raised, in each."""
    if not _together():
        return act()
    from torch import distributed

    told: list[Any] = [None, None]
    if distributed.get_rank() == 0:
        try:
            told[0] = act()
        except RekurError as error:
            told[1] = error
    distributed.broadcast_object_list(told)
    if told[1] is not None:
        raise told[1]
    value: Value = told[0]
    return value


def is_loss(error: RuntimeError) -> bool:
    """Return whether an error says that another process does not answer any more."""
    if isinstance(error, RekurError):
        return False
    from torch import distributed

    words = ("connection", "gloo", "nccl", "socket", "process group", "timed out", "broken pipe")
    return isinstance(error, distributed.DistError) or any(word in str(error).lower() for word in words)


def _device() -> torch.device:
    """Return where tensors must be to be exchanged."""
    import torch
    from torch import distributed

    return torch.device("cuda") if distributed.get_backend() == "nccl" else torch.device("cpu")
