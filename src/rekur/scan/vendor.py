"""PyTorch's own fused layers with the weights of a cell: cuDNN on a GPU, oneDNN on a CPU.

Axes: B batch, T time, N real steps of the batch, D input features, H hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rekur.scan.gather import put, take
from rekur.scan.plan import Plan
from rekur.scan.watch import tracing

State = tuple[Tensor, ...]

#: kinds of cells with a fused layer in PyTorch
KINDS = ("elman", "lstm", "gru")

# size of a gate's pre-activation at which its sigmoid is exactly 0 or 1
_SHUT = 1e6


def vendor(cell: Any, x: Tensor, state: State, plan: Plan) -> tuple[Tensor, State]:
    """Run a cell through PyTorch's layer.

    Args:
        cell: a cell with a ``kind`` in :data:`KINDS`.
        x: inputs (B, T, D).
        state: the initial (h,) or (h, c).
        plan: the layout of the real steps.

    Returns:
        outputs (B, T, O), zero beyond each row's length, and the state after each row's last step.
    """
    if plan.index is not None and onednn_lstm(cell, x):
        return _lstm_held_at_end(cell, x, state, plan)
    has_biases = cell.bias_ih is not None
    weights = [cell.weight_ih, cell.weight_hh, *_biases(cell)]
    if getattr(cell, "weight_hr", None) is not None:
        weights.append(cell.weight_hr)
    elif x.is_cuda:
        weights = _one_piece(weights)
    initial = [plan.take_rows(s).unsqueeze(0) for s in state]
    hidden: Any = tuple(initial) if cell.kind == "lstm" else initial[0]
    train = torch.is_grad_enabled() or tracing()
    function = _function(cell)
    inputs = plan.layout(x)
    if plan.index is None:
        y, *states = function(inputs, hidden, weights, has_biases, 1, 0.0, train, False, False)
    else:
        sizes = torch.tensor(plan.sizes)
        packed = plan.pack(inputs)
        out, *states = function(packed, sizes, hidden, weights, has_biases, 1, 0.0, train, False)
        y = plan.unpack(out)
    rows = (plan.put_rows(s.to(a.dtype), a.squeeze(0)) for s, a in zip(state, states, strict=True))
    return plan.restore(y), tuple(rows)


def onednn_lstm(cell: Any, x: Tensor) -> bool:
    """Return whether oneDNN has a fused layer for ``cell`` on ``x``."""
    mkldnn: Any = torch.backends.mkldnn
    plain = cell.kind == "lstm" and getattr(cell, "weight_hr", None) is None
    here = x.device.type == "cpu" and x.dtype == torch.float32
    return plain and here and bool(mkldnn.is_available() and mkldnn.enabled)


def _lstm_held_at_end(cell: Any, x: Tensor, state: State, plan: Plan) -> tuple[Tensor, State]:
    """Run a ragged LSTM as one padded batch in which rows keep their memory after their end.

    An extra input, 1 in the padding and 0 elsewhere, sets the input gate to exactly 0 and the forget gate to exactly 1:
    c does not change, and only the gradient through c passes.
    """
    rows, steps = plan.rows, plan.longest
    places = plan.places()
    ended = torch.ones(rows * steps, 1, dtype=x.dtype).index_fill_(0, places, 0.0)
    inputs = torch.cat([put(plan.pack(x), places, rows * steps), ended], 1).view(steps, rows, -1)
    gates = torch.tensor([-_SHUT, _SHUT, 0.0, 0.0], dtype=x.dtype).repeat_interleave(cell.hidden_size)
    weights = [torch.cat([cell.weight_ih, gates[:, None]], 1), cell.weight_hh, *_biases(cell)]
    hidden = [plan.take_rows(s).unsqueeze(0) for s in state]
    train = torch.is_grad_enabled() or tracing()
    out, _, c = torch.lstm(inputs, hidden, weights, cell.bias_ih is not None, 1, 0.0, train, False, False)
    packed = take(out.flatten(0, 1), places)
    h = plan.put_rows(state[0], plan.at_last(packed))
    return plan.unpack(packed), (h, plan.put_rows(state[1], c.squeeze(0)))


def _biases(cell: Any) -> list[Tensor]:
    return [] if cell.bias_ih is None else [cell.bias_ih, cell.bias_hh]


def _function(cell: Any) -> Any:
    if cell.kind == "elman":
        return torch.rnn_tanh if cell.nonlinearity == "tanh" else torch.rnn_relu
    return torch.lstm if cell.kind == "lstm" else torch.gru


def _one_piece(weights: list[Tensor]) -> list[Tensor]:
    """Return the weights as views of one block of memory, as cuDNN requires."""
    flat = torch.cat([w.reshape(-1) for w in weights])
    parts = torch.split(flat, [w.numel() for w in weights])
    return [part.view_as(w) for part, w in zip(parts, weights, strict=True)]
