"""PyTorch's own fused layers, run on the weights of a cell: cuDNN on a GPU, oneDNN on a CPU.

Axes: B batch, T time, N real steps of the batch, D input features, H hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rekur.scan.plan import Plan

State = tuple[Tensor, ...]

#: kinds of cells that PyTorch has a layer for
KINDS = ("elman", "lstm", "gru")


def vendor(cell: Any, x: Tensor, state: State, plan: Plan) -> tuple[Tensor, State]:
    """Run a cell through PyTorch's layer.

    Args:
        cell: its ``kind`` is one of :data:`KINDS`.
        x: inputs (B, T, D).
        state: (h,) or (h, c), before the first step.
        plan: where the real steps are.

    Returns:
        outputs (B, T, O), zero beyond each row's length, and the state after each row's last step.
    """
    weights = [cell.weight_ih, cell.weight_hh]
    has_biases = cell.bias_ih is not None
    if has_biases:
        weights += [cell.bias_ih, cell.bias_hh]
    if getattr(cell, "weight_hr", None) is not None:
        weights.append(cell.weight_hr)
    elif x.is_cuda:
        weights = _one_piece(weights)
    initial = [plan.take_rows(s).unsqueeze(0) for s in state]
    hidden: Any = tuple(initial) if cell.kind == "lstm" else initial[0]
    train = torch.is_grad_enabled()
    function = _function(cell)
    inputs = plan.layout(x)
    if plan.index is None:
        y, *after = function(inputs, hidden, weights, has_biases, 1, 0.0, train, False, False)
    else:
        sizes = torch.tensor(plan.sizes)
        packed = inputs.reshape(-1, x.shape[2]).index_select(0, plan.index)
        out, *after = function(packed, sizes, hidden, weights, has_biases, 1, 0.0, train, False)
        flat = out.new_zeros(plan.batch_size * plan.steps, out.shape[1]).index_copy(0, plan.index, out)
        y = flat.view(plan.batch_size, plan.steps, -1)
    rows = (plan.put_rows(s.to(a.dtype), a.squeeze(0)) for s, a in zip(state, after, strict=True))
    return plan.layout(y), tuple(rows)


def _function(cell: Any) -> Any:
    if cell.kind == "elman":
        return torch.rnn_tanh if cell.nonlinearity == "tanh" else torch.rnn_relu
    return torch.lstm if cell.kind == "lstm" else torch.gru


def _one_piece(weights: list[Tensor]) -> list[Tensor]:
    """Return views of one piece of memory with all weights, as cuDNN wants them."""
    flat = torch.cat([w.reshape(-1) for w in weights])
    parts = torch.split(flat, [w.numel() for w in weights])
    return [part.view_as(w) for part, w in zip(parts, weights, strict=True)]
