"""Losses that have no weight in common, each computed with its gradients by a thread of its own.

Axes: M losses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Barrier
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Part(NamedTuple):
    """A loss by itself.

    Attributes:
        weights: all that the loss depends on; no other part has any of them.
        loss: computes the loss, and draws nothing at random.
    """

    weights: list[nn.Parameter]
    loss: Callable[[], Tensor]


def losses_of(parts: Sequence[Part]) -> Tensor:
    """Return the losses (M,) of parts, whose gradients are computed at once, as many side by side as threads allow.

    The results are the same bits for any number of threads up to that of the parts.

    Args:
        parts: one or more.

    Example:
        >>> weight = nn.Parameter(torch.tensor(3.0))
        >>> losses = losses_of([Part([weight], lambda: weight**2)])
        >>> losses.sum().backward()
        >>> losses.tolist(), weight.grad
        ([9.0], tensor(6.))
    """
    threads = torch.get_num_threads()
    able = torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    if len(parts) == 1 or not able or any(weight.device.type != "cpu" for part in parts for weight in part.weights):
        return torch.stack([part.loss() for part in parts])
    losses: Tensor = _Losses.apply(  # type: ignore[no-untyped-call]
        parts, threads, *(weight for part in parts for weight in part.weights)
    )
    return losses


class _Losses(torch.autograd.Function):
    """The losses of parts; the gradients are known when they are."""

    @staticmethod
    def forward(ctx: Any, parts: Sequence[Part], threads: int, *weights: Tensor) -> Tensor:
        workers = min(len(parts), threads)
        if workers == 1:
            done = [_with_gradients(part) for part in parts]
        else:
            futures = [_pool(workers, threads // workers).submit(_with_gradients, part) for part in parts]
            wait(futures)
            done = [future.result() for future in futures]
        losses, ctx.gradients = zip(*done, strict=True)
        return torch.stack(losses)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_losses: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the weights, scaled by those of the losses."""
        scaled: list[Tensor | None] = []
        for d_loss, gradients in zip(d_losses, ctx.gradients, strict=True):
            scaled += [None if gradient is None else gradient * d_loss for gradient in gradients]
        return None, None, *scaled


def _with_gradients(part: Part) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """Return the loss of a part and the gradients of its weights; the gradient of an unused weight is None."""
    with torch.enable_grad():
        loss = part.loss()
        return loss.detach(), torch.autograd.grad(loss, part.weights, allow_unused=True)


def _set_threads(threads: int) -> None:
    """Let PyTorch run on that many threads in this one."""
    torch.get_num_threads()  # at its first call a thread takes the number of all others
    torch.set_num_threads(threads)


@cache
def _pool(workers: int, threads: int) -> ThreadPoolExecutor:
    """Return threads that wait for work; PyTorch runs on ``threads`` in each.

    They stay: what PyTorch prepares for an operation it prepares for each thread.
    """
    of_others = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "rekur-part", initializer=_set_threads, initargs=(threads,))
    ready = Barrier(workers + 1)
    for _ in range(workers):
        pool.submit(ready.wait)
    ready.wait()
    torch.set_num_threads(of_others)  # a new thread takes the number that was set last
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # no thread but the one that forked lives on in the child
