"""Long short-term memory, hand-written: plain, projected, with peepholes.

Axes: R active rows, N real steps of the batch, H hidden, P output. Gates have the order o, i, f, g: the three sigmoids
are adjacent in the forward pass, and so are the three that meet the cell's gradient in the backward pass.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from rekur.scan.differentiable import gated_step
from rekur.scan.operands import (
    Backward,
    Forward,
    Operands,
    Ran,
    Stepped,
    add_product,
    masks_of,
    project_into,
    recurrent_gradients,
)
from rekur.scan.packed import Packed
from rekur.scan.plan import Plan

_sigmoid_slope = torch.ops.aten.sigmoid_backward.grad_input
_tanh_slope = torch.ops.aten.tanh_backward.grad_input


class LSTMFamily(Packed):
    r""":math:`c_t = f \odot c_{t-1} + i \odot g`, :math:`h_t = W_{hr}(o \odot \tanh c_t)`.

    Peepholes (3, H) have the order o, i, f.
    """

    name = "lstm"
    saved = (4, 1, 1)

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Forward:
        size = operands.w_x.shape[0] // 4
        gates = packed.new_empty(packed.shape[0], 4 * size)
        project_into(gates, packed, operands.w_x, operands.bias)
        if keep:
            cells, tanh_cells = (packed.new_empty(packed.shape[0], size) for _ in range(2))
            self._run(plan, operands, gates, plan.each(cells), plan.each(tanh_cells), outputs)
            return Forward(plan.at_last(cells), (gates, cells, tanh_cells))
        cells = _cells(operands).clone()
        self._run(plan, operands, gates, plan.active(cells), plan.active(torch.empty_like(cells)), outputs)
        return Forward(cells, ())

    def _run(
        self,
        plan: Plan,
        operands: Operands,
        gates: Tensor,
        cells: list[Tensor],
        tanh_cells: list[Tensor],
        outputs: Tensor,
    ) -> None:
        size = gates.shape[1] // 4
        weight, peepholes = operands.w_h.t().contiguous(), operands.peepholes
        projection = None if operands.w_hr is None else operands.w_hr.t().contiguous()
        o, i, f, g = (plan.each(part) for part in torch.split(gates, size, 1))
        early = plan.each(gates[:, : 3 * size] if peepholes is None else gates[:, size : 3 * size])
        pairs = early if peepholes is None else plan.each(torch.unflatten(gates[:, size : 3 * size], 1, (2, size)))
        h = plan.each(outputs)
        steps = zip(
            plan.each(gates), early, pairs, o, i, f, g, cells, tanh_cells, h, masks_of(plan, operands.mask), strict=True
        )
        h_before = [operands.h0, *plan.going_on(h)]
        c_before = [_cells(operands), *plan.going_on(cells)]
        for t, (gate, sigmoids, pair, o_t, i_t, f_t, g_t, c, tanh_c, h_t, mask) in enumerate(steps):
            gate.addmm_(h_before[t] if mask is None else h_before[t] * mask, weight)
            if peepholes is not None:
                pair.addcmul_(c_before[t].unsqueeze(1), peepholes[1:])
            sigmoids.sigmoid_()
            torch.mul(f_t, c_before[t], out=c)
            c.addcmul_(i_t, g_t.tanh_())
            if peepholes is not None:
                o_t.addcmul_(c, peepholes[0]).sigmoid_()
            torch.tanh(c, out=tanh_c)
            if projection is None:
                torch.mul(o_t, tanh_c, out=h_t)
            else:
                torch.mm(o_t * tanh_c, projection, out=h_t)

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Backward:
        outputs, (gates, cells, tanh_cells), d_outputs, d_cells, needs_mask = ran
        c_before = plan.shifted(_cells(operands), cells)
        if d_cells is None:
            d_cells = torch.zeros_like(cells[: plan.rows])
        d_gates, c_slope = _slopes(gates, c_before, tanh_cells)
        self._run_back(plan, operands, gates, d_gates, c_slope, d_outputs, d_cells)
        others = recurrent_gradients(plan, operands, outputs, d_gates, needs_mask=needs_mask)
        others["c0"] = d_cells
        d_o, d_i, d_f, _ = d_gates.chunk(4, 1)
        if operands.peepholes is not None:
            sums = [(d_o * cells).sum(0), (d_i * c_before).sum(0), (d_f * c_before).sum(0)]
            others["peepholes"] = torch.stack(sums)
        if operands.w_hr is not None:
            others["w_hr"] = d_outputs.t() @ (gates[:, : cells.shape[1]] * tanh_cells)
        return Backward([(d_gates, 0)], others)

    def _run_back(
        self,
        plan: Plan,
        operands: Operands,
        gates: Tensor,
        d_gates: Tensor,
        c_slope: Tensor,
        d_outputs: Tensor,
        d_cells: Tensor,
    ) -> None:
        size = gates.shape[1] // 4
        peepholes, projection = operands.peepholes, operands.w_hr
        forget, c_slopes = plan.each(gates[:, 2 * size : 3 * size]), plan.each(c_slope)
        d_h, d_all, d_c = plan.each(d_outputs), plan.each(d_gates), plan.active(d_cells)
        d_o = plan.each(d_gates[:, :size])
        d_ifg = plan.each(torch.unflatten(d_gates[:, size:], 1, (3, size)))
        d_c_wide = plan.active(d_cells.unsqueeze(1))
        d_h_going_on, masks = plan.going_on(d_h), masks_of(plan, operands.mask)
        for t in range(plan.longest - 1, -1, -1):
            if t + 1 < plan.longest:
                add_product(d_h_going_on[t], d_all[t + 1], operands.w_h, masks[t + 1])
            d_hidden = d_h[t] if projection is None else d_h[t] @ projection
            d_o[t].mul_(d_hidden)
            d_c[t].addcmul_(d_hidden, c_slopes[t])
            if peepholes is not None:
                d_c[t].addcmul_(d_o[t], peepholes[0])
            d_ifg[t].mul_(d_c_wide[t])
            d_c[t].mul_(forget[t])
            if peepholes is not None:
                d_c[t].add_((d_ifg[t][:, :2] * peepholes[1:]).sum(1))

    def step(self, operands: Operands, projected: Tensor, h: Tensor, seen: Tensor, c: Tensor | None) -> Stepped:
        size, peepholes = projected.shape[1] // 4, operands.peepholes
        if peepholes is not None:
            peepholes = peepholes.roll(-1, 0)
        ordered = operands._replace(w_h=operands.w_h.roll(-size, 0), peepholes=peepholes)
        return gated_step("lstm", ordered, projected.roll(-size, 1), h, seen, c)


def _slopes(gates: Tensor, c_before: Tensor, tanh_cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors for the serial pass: those of the gates (N, 4H), and those from h to c (N, H)."""
    o, i, f, g = gates.chunk(4, 1)
    factors, c_slope = torch.empty_like(gates), torch.empty_like(tanh_cells)
    to_o, to_i, to_f, to_g = factors.chunk(4, 1)
    _sigmoid_slope(tanh_cells, o, grad_input=to_o)
    _sigmoid_slope(g, i, grad_input=to_i)
    _sigmoid_slope(c_before, f, grad_input=to_f)
    _tanh_slope(i, g, grad_input=to_g)
    _tanh_slope(o, tanh_cells, grad_input=c_slope)
    return factors, c_slope


def _cells(operands: Operands) -> Tensor:
    return cast(Tensor, operands.c0)
