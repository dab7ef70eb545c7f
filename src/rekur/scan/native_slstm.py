"""The sLSTM on the compiled kernels: exponential gates, heads whose products stay within their own units.

Axes: B batch, R rows that have a step, T time, N real steps of the batch, H hidden, K heads, E = H/K units of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from rekur.scan import native
from rekur.scan.bptt import Prepared, both_biases
from rekur.scan.jobs import Work
from rekur.scan.operands import Backward, Forward, Operands, Ran, product_gradients
from rekur.scan.plan import Plan


class NativeSLSTM:
    """LSTM with exponential gates; these stand i, f, z, o. Its cells are c, n and m side by side, (R, 3·H)."""

    name = "native_slstm"
    saved = (4, 3)

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Work[Forward]:
        size = outputs.shape[1]
        before = cast(Tensor, operands.c0)
        gates = native.empty(packed, 4 * size)
        native.project(gates, packed, operands.w_x, operands.bias, keep)
        cells = native.empty(outputs, 3 * size) if keep else before.clone(memory_format=torch.contiguous_format)
        memory = before[:, 2 * size :].clone(memory_format=torch.contiguous_format)
        yield from native.run_forward(
            "slstm", plan, _ready(operands), gates, outputs, cells, keep=keep, heads=_heads(operands), memory=memory
        )
        last = plan.at_last(cells) if keep else cells
        last[:, 2 * size :] = memory
        return Forward(last, (gates, cells) if keep else ())

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Work[Backward]:
        outputs, (gates, cells), d_outputs, d_cells, needs_mask = ran
        d_gates = native.empty(gates, gates.shape[1])
        d_c = torch.zeros_like(cells[: plan.rows]) if d_cells is None else d_cells.contiguous()
        d_h0 = yield from native.run_backward(
            "slstm", plan, _ready(operands), gates, outputs, cells, d_outputs, d_gates, d_c, heads=_heads(operands)
        )
        others = _product_gradients(plan, operands, outputs, d_gates, needs_mask)
        return Backward([(d_gates, 0)], {**others, "h0": d_h0, "c0": d_c})

    def step(
        self, operands: Operands, projected: Tensor, h: Tensor, seen: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        products = [inner @ weight.flatten(0, 1).t() for weight, inner in _each_head(operands, seen)]
        gates = torch.cat([torch.unflatten(product, 1, (4, -1)) for product in products], 2).flatten(1)
        log_i, keep, new, show = (projected + gates).chunk(4, 1)
        memory, weights, largest = cast(Tensor, c).chunk(3, 1)
        kept = F.logsigmoid(keep) + largest
        m = torch.maximum(kept, log_i)
        i, f = torch.exp(log_i - m), torch.exp(kept - m)
        memory, weights = f * memory + i * torch.tanh(new), f * weights + i
        return torch.sigmoid(show) * (memory / weights), torch.cat([memory, weights, m], 1)


def _heads(operands: Operands) -> int:
    return operands.h0.shape[1] // operands.w_h.shape[1]


def _ready(operands: Operands) -> Operands:
    """Return the operands with the weights of one head after another's, as the kernels take them."""
    by_head = torch.unflatten(operands.w_h, 0, (4, _heads(operands), -1)).transpose(0, 1)
    return operands._replace(w_h=by_head.flatten(0, 2))


def _each_head(operands: Operands, outputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Give for each head its weights (4, E, E) and its part (…, E) of ``outputs`` (…, H)."""
    heads = _heads(operands)
    weights = torch.unflatten(operands.w_h, 0, (4, heads, -1))
    return zip(weights.unbind(1), outputs.chunk(heads, -1), strict=True)


def _product_gradients(
    plan: Plan, operands: Operands, outputs: Tensor, d_gates: Tensor, needs_mask: bool
) -> dict[str, Tensor]:
    """Return the gradients of w_h and mask, head by head."""
    heads = _heads(operands)
    masks = [None] * heads if operands.mask is None else operands.mask.chunk(heads, 1)
    parts = torch.unflatten(d_gates, 1, (4, heads, -1)).unbind(2)
    firsts = operands.h0.chunk(heads, 1)
    found = []
    for (weight, inner), d_part, first, mask in zip(_each_head(operands, outputs), parts, firsts, masks, strict=True):
        own = operands._replace(w_h=weight.flatten(0, 1), h0=first, mask=mask)
        found.append(product_gradients(plan, own, inner, d_part.flatten(1), needs_mask=needs_mask))
    w_h = torch.stack([torch.unflatten(part["w_h"], 0, (4, -1)) for part in found], 1)
    gradients = {"w_h": w_h.flatten(0, 2)}
    if "mask" in found[0]:
        gradients["mask"] = torch.cat([part["mask"] for part in found], 1)
    return gradients


def prepare_slstm(cell: Any, state: tuple[Tensor, ...]) -> Prepared:
    """Return the family of an sLSTM and its operands.

    Args:
        cell: a :class:`rekur.cells.SLSTM`.
        state: h, c, n, m before the first step, each (B, H).
    """
    cells = torch.cat(state[1:4], 1)
    return NativeSLSTM(), Operands(cell.weight_ih, cell.weight_hh, state[0], both_biases(cell), c0=cells)
