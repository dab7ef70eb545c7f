"""How every model is made: in float32, as trainable tensors, and with first weights that follow from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rekur import _check


@contextmanager
def making(seed: int | None) -> Iterator[None]:
    """Make weights inside in float32 and outside of inference mode, whatever PyTorch is set to.

    Args:
        seed: of the first weights; PyTorch's random state is put back afterwards. None takes that state as it is.
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
