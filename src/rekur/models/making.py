"""The context in which models are created: float32, trainable tensors, and initial weights from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rekur import _check


@contextmanager
def making(seed: int | None) -> Iterator[None]:
    """Create weights in float32 and outside inference mode, regardless of PyTorch's settings.

    Args:
        seed: of the initial weights; PyTorch's random state is restored afterwards. None uses and advances that state.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(_check.seed("seed", seed))
            yield
    finally:
        torch.set_default_dtype(default)
