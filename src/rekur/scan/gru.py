"""The gated recurrent unit, hand-written: with the reset after the product, and before it.

Axes: R active rows, N real steps of the batch, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rekur.scan.operands import (
    Backward,
    Backwards,
    Forward,
    Forwards,
    Operands,
    Ran,
    add_product,
    masked,
    masks_of,
    project_into,
    recurrent_gradients,
)
from rekur.scan.packed import Packed
from rekur.scan.plan import Plan

_sigmoid_slope = torch.ops.aten.sigmoid_backward.grad_input
_tanh_slope = torch.ops.aten.tanh_backward.grad_input


class GRUFamily(Packed):
    r""":math:`n = \tanh(W_n x_t + b + r \odot (U_n h_{t-1} + b_{hn}))`, :math:`h_t = n + z \odot (h_{t-1} - n)`.

    Four blocks of size H are adjacent: r, z, m (the factor of r) and n. One product with h fills the first three, and
    in the backward pass all four are the same gradient times a precomputed factor.
    """

    name = equations = "gru"
    saved = (4,)

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Forwards:
        size = outputs.shape[1]
        gates = packed.new_empty(packed.shape[0], 4 * size)
        project_into(gates[:, : 2 * size], packed, operands.w_x, operands.bias)
        project_into(gates[:, 3 * size :], packed, operands.w_x, operands.bias, 2 * size)
        gates[:, 2 * size : 3 * size] = 0.0 if operands.b_hn is None else operands.b_hn
        weight = operands.w_h.t().contiguous()
        r, z, m, n = (plan.each(part) for part in torch.split(gates, size, 1))
        products, sigmoids = plan.each(gates[:, : 3 * size]), plan.each(gates[:, : 2 * size])
        each = plan.each(outputs)
        h_before = [operands.h0, *plan.going_on(each)]
        steps = zip(h_before, products, sigmoids, r, z, m, n, each, masks_of(plan, operands.mask), strict=True)
        for h, product, sigmoid, r_t, z_t, m_t, n_t, h_t, mask in steps:
            product.addmm_(h if mask is None else h * mask, weight)
            sigmoid.sigmoid_()
            n_t.addcmul_(r_t, m_t).tanh_()
            torch.lerp(n_t, h, z_t, out=h_t)
        return Forward(None, (gates,) if keep else ())

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Backwards:
        outputs, (gates,), d_outputs, _, needs_mask = ran
        size = outputs.shape[1]
        r, z, m, n = gates.chunk(4, 1)
        d_gates = torch.empty_like(gates)
        to_r, to_z, to_m, to_n = d_gates.chunk(4, 1)
        _tanh_slope(1 - z, n, grad_input=to_n)
        torch.mul(to_n, r, out=to_m)
        _sigmoid_slope(m, r, grad_input=to_r)
        to_r *= to_n
        _sigmoid_slope(plan.shifted(operands.h0, outputs) - n, z, grad_input=to_z)
        d_h, d_h_wide = plan.each(d_outputs), plan.each(d_outputs.unsqueeze(1))
        d_four = plan.each(torch.unflatten(d_gates, 1, (4, size)))
        d_product, update = plan.each(d_gates[:, : 3 * size]), plan.each(z)
        d_four[-1].mul_(d_h_wide[-1])
        masks = masks_of(plan, operands.mask)
        later = zip(d_h[1:], d_product[1:], update[1:], masks[1:], strict=True)
        steps = zip(plan.going_on(d_h), d_h_wide[:-1], d_four[:-1], later, strict=True)
        for d_going_on, d_wide, four, (d_after, product, z_after, mask) in reversed(list(steps)):
            add_product(d_going_on, product, operands.w_h, mask)
            d_going_on.addcmul_(d_after, z_after)
            four.mul_(d_wide)
        together, around = d_gates[:, : 3 * size], d_h[0] * update[0]
        others = recurrent_gradients(plan, operands, outputs, together, around, needs_mask=needs_mask)
        if operands.b_hn is not None:
            others["b_hn"] = to_m.sum(0)
        return Backward([(d_gates[:, : 2 * size], 0), (to_n, 2 * size)], others)


class GRUResetBeforeFamily(Packed):
    r""":math:`n = \tanh(W_n x_t + b + U_n (r \odot h_{t-1}))`, :math:`h_t = n + z \odot (h_{t-1} - n)`."""

    name = equations = "gru_reset_before"
    saved = (3,)

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Forward:
        size = outputs.shape[1]
        gates = packed.new_empty(packed.shape[0], 3 * size)
        project_into(gates, packed, operands.w_x, operands.bias)
        weight = operands.w_h[: 2 * size].t().contiguous()
        candidate = operands.w_h[2 * size :].t().contiguous()
        r, z, n = (plan.each(part) for part in torch.split(gates, size, 1))
        sigmoids, each = plan.each(gates[:, : 2 * size]), plan.each(outputs)
        h_before = [operands.h0, *plan.going_on(each)]
        steps = zip(h_before, sigmoids, r, z, n, each, masks_of(plan, operands.mask), strict=True)
        for h, sigmoid, r_t, z_t, n_t, h_t, mask in steps:
            seen = h if mask is None else h * mask
            sigmoid.addmm_(seen, weight).sigmoid_()
            torch.mul(r_t, seen, out=h_t)
            n_t.addmm_(h_t, candidate).tanh_()
            torch.lerp(n_t, h, z_t, out=h_t)
        return Forward(None, (gates,) if keep else ())

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Backward:
        outputs, (gates,), d_outputs, _, needs_mask = ran
        size = outputs.shape[1]
        r, z, n = gates.chunk(3, 1)
        first = operands.h0 if operands.mask is None else operands.h0 * operands.mask
        h_before = plan.shifted(operands.h0, outputs)
        seen = plan.shifted(first, masked(plan, outputs, operands.mask))
        d_gates = torch.empty_like(gates)
        to_r, to_z, to_n = d_gates.chunk(3, 1)
        _sigmoid_slope(seen, r, grad_input=to_r)
        _sigmoid_slope(h_before - n, z, grad_input=to_z)
        _tanh_slope(1 - z, n, grad_input=to_n)
        d_h0, d_seen = self._run_back(plan, operands, gates, d_gates, d_outputs)
        d_w_h = torch.cat([d_gates[:, : 2 * size].t() @ seen, to_n.t() @ (r * seen)])
        others = {"w_h": d_w_h, "h0": d_h0}
        if operands.mask is not None and needs_mask:
            others["mask"] = plan.total(d_seen * h_before)
        return Backward([(d_gates, 0)], others)

    def _run_back(
        self, plan: Plan, operands: Operands, gates: Tensor, d_gates: Tensor, d_outputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Multiply the factors in ``d_gates`` to gradients; return the gradients of h0 and of every masked h."""
        size = d_outputs.shape[1]
        weight, candidate = operands.w_h[: 2 * size], operands.w_h[2 * size :]
        reset, update = plan.each(gates[:, :size]), plan.each(gates[:, size : 2 * size])
        d_r, d_n = plan.each(d_gates[:, :size]), plan.each(d_gates[:, 2 * size :])
        d_rz, d_zn = plan.each(d_gates[:, : 2 * size]), plan.each(torch.unflatten(d_gates[:, size:], 1, (2, size)))
        d_h, d_h_wide = plan.each(d_outputs), plan.each(d_outputs.unsqueeze(1))
        all_d_seen = torch.empty_like(d_outputs)
        d_seen = plan.each(all_d_seen)
        going_on, masks = plan.going_on(d_h), masks_of(plan, operands.mask)
        d_h0 = torch.empty_like(operands.h0)
        for t in range(plan.longest - 1, -1, -1):
            d_zn[t].mul_(d_h_wide[t])
            torch.mm(d_n[t], candidate, out=d_seen[t])
            d_r[t].mul_(d_seen[t])
            d_seen[t].mul_(reset[t]).addmm_(d_rz[t], weight)
            mask = masks[t]
            into = torch.mul(d_h[t], update[t], out=d_h0) if t == 0 else going_on[t - 1].addcmul_(d_h[t], update[t])
            into.add_(d_seen[t]) if mask is None else into.addcmul_(d_seen[t], mask)
        return d_h0, all_d_seen
