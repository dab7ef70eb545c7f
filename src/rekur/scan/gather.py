"""Gather and scatter of rows: each is the derivative of the other, since no row is taken twice.

Axes: N taken rows, M rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rekur.scan.watch import watcher


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Return ``rows[index]`` (N, …) of rows (M, …); ``index`` int64 (N,) has no repetition."""
    if watcher((rows,)):
        return rows.index_select(0, index)
    taken: Tensor = _Take.apply(rows, index)  # type: ignore[no-untyped-call]
    return taken


def put(rows: Tensor, index: Tensor, count: int) -> Tensor:
    """Return (M, …) with ``rows`` (N, …) at ``index`` and zeros elsewhere; ``count`` is M."""
    if watcher((rows,)):
        return rows.new_zeros(count, *rows.shape[1:]).index_copy(0, index, rows)
    spread: Tensor = _Put.apply(rows, index, count)  # type: ignore[no-untyped-call]
    return spread


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor) -> Tensor:
        ctx.index, ctx.count = index, rows.shape[0]
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return put(grad, ctx.index, ctx.count), None


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, count: int) -> Tensor:
        ctx.index = index
        return rows.new_zeros(count, *rows.shape[1:]).index_copy_(0, index, rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return take(grad, ctx.index), None, None
