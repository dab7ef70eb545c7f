"""PyTorch loops over time for cells that torch.nn does not have, as well written as one can without leaving PyTorch.

The product with the input is one for all steps, and biases are added there; the loop has one product a step. Each
loop runs as it is, under ``torch.jit.script``, and with five steps at a time under ``torch.compile``.

Axes: T time, B batch, G gates, H hidden, D input features.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loop = Callable[..., Tensor]
#: steps that torch.compile takes at a time: all of them take minutes to compile
UNROLLED = 5
EPS = 1e-5


def norm_lstm_steps(
    projected: Tensor, h: Tensor, c: Tensor, w_h: Tensor, gain_h: Tensor, bias_h: Tensor, gain_c: Tensor, bias_c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM with layer normalisation over projected (T, B, 4H); return outputs (T, B, H), h and c."""
    outputs = []
    weight = w_h.t()
    width, size = [w_h.shape[0]], [w_h.shape[1]]
    for u in projected.unbind(0):
        gates = F.layer_norm(torch.mm(h, weight), width, gain_h, bias_h, 1e-5) + u
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(F.layer_norm(c, size, gain_c, bias_c, 1e-5))
        outputs.append(h)
    return torch.stack(outputs), h, c


def dropped_gru_steps(
    projected: Tensor, h: Tensor, mask: Tensor, w_h: Tensor, bias_n: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a GRU whose state is masked in its product over projected (T, B, 3H); return outputs (T, B, H), h, mask."""
    outputs = []
    weight = w_h.t()
    size = w_h.shape[1]
    for u in projected.unbind(0):
        v = torch.mm(h * mask, weight)
        r, z = torch.sigmoid(u[:, : 2 * size] + v[:, : 2 * size]).chunk(2, 1)
        n = torch.tanh(u[:, 2 * size :] + r * (v[:, 2 * size :] + bias_n))
        h = n + z * (h - n)
        outputs.append(h)
    return torch.stack(outputs), h, mask


def norm_lstm(cell: torch.nn.Module, steps: Loop) -> Callable[[Tensor, Tensor | None], Tensor]:
    """Return a function of x (B, T, D) that runs ``rekur.cells.LayerNorm`` around an LSTM by ``steps``."""
    inner = cell.cell

    def run(x: Tensor, mask: Tensor | None = None) -> Tensor:  # it has none, but is called like the other
        products = F.linear(x.transpose(0, 1), inner.weight_ih)
        projected = F.layer_norm(products, [products.shape[-1]], cell.gain_ih, inner.bias_ih, EPS)
        zeros = x.new_zeros(x.shape[0], inner.hidden_size)
        given = (inner.weight_hh, cell.gain_hh, inner.bias_hh, cell.gain_c, cell.bias_c)
        return in_parts(steps, projected, zeros, zeros, *given).transpose(0, 1)

    return run


def dropped_gru(cell: torch.nn.Module, steps: Loop) -> Callable[[Tensor, Tensor | None], Tensor]:
    """Return a function of x (B, T, D) that runs ``rekur.cells.RecurrentDropout`` around a GRU by ``steps``."""
    inner, dropout = cell.cell, cell.dropout

    def run(x: Tensor, mask: Tensor | None = None) -> Tensor:
        size = inner.hidden_size
        gates = inner.bias_hh[: 2 * size]
        bias = inner.bias_ih + F.pad(gates, (0, size))
        projected = F.linear(x.transpose(0, 1), inner.weight_ih, bias)
        zeros = x.new_zeros(x.shape[0], size)
        if mask is None:
            mask = F.dropout(torch.ones_like(zeros), dropout)
        return in_parts(steps, projected, zeros, mask, inner.weight_hh, inner.bias_hh[2 * size :]).transpose(0, 1)

    return run


def in_parts(steps: Loop, projected: Tensor, *given: Tensor) -> Tensor:
    """Run ``steps`` over all of T, in parts if it wants them; return outputs (T, B, H)."""
    length = getattr(steps, "length", projected.shape[0])
    first, second, *weights = given
    if length < projected.shape[0]:  # else the first part, whose state needs no gradient, would be compiled by itself
        second = second.clone().requires_grad_() if second is first else second
        first = first.clone().requires_grad_()
    outputs = []
    for part in projected.split(length):
        y, first, second = steps(part, first, second, *weights)
        outputs.append(y)
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def forms(steps: Loop, total: int, *, compiled: bool) -> tuple[dict[str, Loop], str]:
    """Return a loop in each form that runs here, by name, and which one is left out and why.

    Args:
        steps: the loop.
        total: T; what is compiled must divide it.
        compiled: whether torch.compile is wanted, which takes most of a minute for each size.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = {"loop": steps, "jit.script": torch.jit.script(steps)}
    if not compiled:
        return found, "torch.compile is left out with --quick"
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        return found, "torch.compile finds no C++ compiler"
    length = next(n for n in range(UNROLLED, 0, -1) if total % n == 0)
    torch.compiler.reset()  # what it made for other sizes counts against a limit
    made = torch.compile(steps, dynamic=False)

    def some_steps(*given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, first, second = made(*given)
        return y, first, second

    some_steps.length = length  # type: ignore[attr-defined]
    return {**found, "compile": some_steps}, ""
