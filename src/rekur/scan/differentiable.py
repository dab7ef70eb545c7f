"""The hand-written families in differentiable operations, for gradients that are differentiated again.

Axes: B batch rows at a step, H hidden, P output, g gates, K heads, E = H/K units of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from rekur.scan.operands import Operands, Stepped


def gradients_again(
    run: Callable[..., Sequence[Tensor]],
    tensors: Sequence[Tensor | None],
    needed: Sequence[bool],
    grads: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Return the gradients of tensors by running the steps again in operations of PyTorch.

    They can be differentiated again if needed, and ``grads`` may belong to many backward passes at once.

    Args:
        run: tensors -> results.
        tensors: the arguments of ``run``; None for those that are absent.
        needed: whether the gradient of each is needed.
        grads: the gradient of each result; None for zeros.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views: if one operand was computed from another, only its direct effect belongs to it.
        views = [None if t is None else t.view_as(t) for t in tensors]
        results = run(*views)
    pairs = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None]
    leaves = [v for v, need in zip(views, needed, strict=True) if v is not None and need]
    gradients = iter(
        torch.autograd.grad([r for r, _ in pairs], leaves, [g for _, g in pairs], create_graph=again, allow_unused=True)
    )
    return [next(gradients) if v is not None and need else None for v, need in zip(views, needed, strict=True)]


def recurrence(h: Tensor, a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
    """Return h_t = a_t ⊙ h_{t-1} + b_t of each step (rows active at it, H), from the initial h (R, H)."""
    outputs = []
    for a_t, b_t in zip(a, b, strict=True):
        h = torch.addcmul(b_t, a_t, h[: a_t.shape[0]])
        outputs.append(h)
    return outputs


def gated_step(
    equations: str,
    operands: Operands,
    projected: Tensor,
    h: Tensor,
    seen: Tensor,
    c: Tensor | None,
    *,
    epsilon: float = 0.0,
    stay_h: float = 0.0,
    stay_c: float = 0.0,
) -> Stepped:
    """Return the next output (B, P) and cells (B, H) of a gated cell.

    Args:
        equations: "tanh", "relu", "lstm" (blocks i, f, g, o), "gru", "gru_reset_before" or "slstm".
        operands: the operands at this step.
        projected: the input product with its bias (B, gH).
        h: the previous output.
        seen: the same under the mask of the recurrent product.
        c: the previous cells.
        epsilon: of layer normalization; 0 without it.
        stay_h: the share of h that zoneout keeps.
        stay_c: the same for c.
    """
    if equations == "slstm":
        return _exponential_step(operands, projected, seen, cast(Tensor, c))
    if equations == "gru_reset_before":
        return _zoned(h, _reset_before(operands, projected, h, seen), operands.stay_h, stay_h), None
    from_state = F.linear(seen, operands.w_h, operands.bias_h)
    if epsilon:
        groups = [2, 1] if equations == "gru" else [1]
        projected = _plus(_normalized(projected, operands.gain_x, epsilon, groups), operands.b_norm)
        from_state = _normalized(from_state, operands.gain_h, epsilon, groups)
    if equations == "lstm":
        new_h, memory = _lstm(operands, projected + from_state, cast(Tensor, c), epsilon)
        c = _zoned(cast(Tensor, c), memory, operands.stay_c, stay_c)
    elif equations == "gru":
        new_h = _gru(operands, projected, from_state, h)
    else:
        new_h = (torch.tanh if equations == "tanh" else torch.relu)(projected + from_state)
    return _zoned(h, new_h, operands.stay_h, stay_h), c


def _normalized(rows: Tensor, gain: Tensor | None, epsilon: float, groups: Sequence[int] = (1,)) -> Tensor:
    """Normalize rows, each group of blocks by itself."""
    size = rows.shape[1] // sum(groups)
    parts = torch.split(rows, [count * size for count in groups], 1)
    return torch.cat([F.layer_norm(part, part.shape[1:], eps=epsilon) for part in parts], 1) * cast(Tensor, gain)


def _lstm(operands: Operands, total: Tensor, c_before: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    i, f, g, o = total.chunk(4, 1)
    peepholes = operands.peepholes
    if peepholes is not None:
        i, f = i + peepholes[0] * c_before, f + peepholes[1] * c_before
    new_c = torch.sigmoid(f) * c_before + torch.sigmoid(i) * torch.tanh(g)
    if peepholes is not None:
        o = o + peepholes[2] * new_c
    gain = operands.gain_c
    read = new_c if gain is None else _plus(_normalized(new_c, gain, epsilon), operands.bias_c)
    hidden = torch.sigmoid(o) * torch.tanh(read)
    return (hidden if operands.w_hr is None else hidden @ operands.w_hr.t()), new_c


def _gru(operands: Operands, projected: Tensor, from_state: Tensor, h: Tensor) -> Tensor:
    x_r, x_z, x_n = projected.chunk(3, 1)
    h_r, h_z, h_n = from_state.chunk(3, 1)
    n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * _plus(h_n, operands.b_hn))
    return n + torch.sigmoid(x_z + h_z) * (h - n)


def _reset_before(operands: Operands, projected: Tensor, h: Tensor, seen: Tensor) -> Tensor:
    size = h.shape[1]
    x_rz, x_n = projected[:, : 2 * size], projected[:, 2 * size :]
    r, z = torch.sigmoid(torch.addmm(x_rz, seen, operands.w_h[: 2 * size].t())).chunk(2, 1)
    n = torch.tanh(torch.addmm(x_n, r * seen, operands.w_h[2 * size :].t()))
    return n + z * (h - n)


def _exponential_step(operands: Operands, projected: Tensor, seen: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    heads = seen.shape[1] // operands.w_h.shape[1]
    weights = torch.unflatten(operands.w_h, 0, (4, heads, -1)).unbind(1)
    products = [part @ weight.flatten(0, 1).t() for weight, part in zip(weights, seen.chunk(heads, 1), strict=True)]
    gates = torch.cat([torch.unflatten(product, 1, (4, -1)) for product in products], 2).flatten(1)
    log_i, forget, new, show = _plus(projected + gates, operands.bias_h).chunk(4, 1)
    memory, sums, largest = cells.chunk(3, 1)
    log_f = F.logsigmoid(forget) + largest
    m = torch.maximum(log_f, log_i)
    i, f = torch.exp(log_i - m), torch.exp(log_f - m)
    memory, sums = f * memory + i * torch.tanh(new), f * sums + i
    return torch.sigmoid(show) * (memory / sums), torch.cat([memory, sums, m], 1)


def _plus(tensor: Tensor, bias: Tensor | None) -> Tensor:
    return tensor if bias is None else tensor + bias


def _zoned(old: Tensor, new: Tensor, stay: Tensor | None, rate: float) -> Tensor:
    if stay is not None:
        return stay * old + (1 - stay) * new
    return new + rate * (old - new) if rate else new
