"""The cross entropy of scores over a vocabulary, on the compiled kernels where they can run.

PyTorch writes the log-probabilities of all tokens, and two more arrays of that size for the gradient. The kernels keep
one number a row, and write the gradient alone.

Axes: N tokens, V columns of scores.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from rekur._kernels import kernels
from rekur.scan.differentiable import gradients_again
from rekur.scan.watch import seen_gradients, watcher


def cross_entropy(scores: Tensor, targets: Tensor, skip: int) -> Tensor:
    """Return the negative log-probability (N,) of targets, 0 for a row without a target.

    Args:
        scores: (N, V).
        targets: int64 (N,), columns; below ``skip``: no target.
        skip: number of first columns without a token, 0 or 1; their scores are minus infinity.
    """
    if _suits(scores, targets):
        return cast(Tensor, _CrossEntropy.apply(scores, targets, skip))  # type: ignore[no-untyped-call]
    return _in_torch(scores, targets, skip)


def _in_torch(scores: Tensor, targets: Tensor, skip: int) -> Tensor:
    return functional.cross_entropy(scores, targets, ignore_index=skip - 1, reduction="none")


def _suits(scores: Tensor, targets: Tensor) -> bool:
    """Return whether the kernels can run."""
    if not hasattr(kernels, "cross_entropy") or watcher((scores, targets)):
        return False
    return scores.device.type == "cpu" and scores.dtype == torch.float32 and targets.dtype == torch.int64


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, targets: Tensor, skip: int) -> Tensor:
        nats, totals = scores.new_empty(len(scores)), scores.new_empty(len(scores))
        _run(scores, targets, skip, totals=totals, nats=nats)
        ctx.save_for_backward(scores, targets, totals)
        ctx.skip = skip
        return nats

    @staticmethod
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor | None, None, None]:
        scores, targets, totals = ctx.saved_tensors
        if torch.is_grad_enabled() or seen_gradients((weights,)):
            again = gradients_again(lambda x: [_in_torch(x, targets, ctx.skip)], [scores], [True], [weights])
            return again[0], None, None
        gradient = torch.empty_like(scores, memory_format=torch.contiguous_format)
        _run(scores, targets, ctx.skip, totals=totals, weights=weights.contiguous(), gradient=gradient)
        return gradient, None, None


def _run(scores: Tensor, targets: Tensor, skip: int, **arrays: Tensor) -> None:
    values = {"rows": len(scores), "columns": scores.shape[1], "skip": skip, "scores": scores.detach().contiguous()}
    values |= {"targets": targets.contiguous(), **{name: array.detach() for name, array in arrays.items()}}
    kernels.cross_entropy(values, torch.get_num_threads())
