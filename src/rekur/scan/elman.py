"""The simple recurrent network, hand-written.

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
    masks_of,
    project_into,
    recurrent_gradients,
)
from rekur.scan.packed import Packed
from rekur.scan.plan import Plan


class ElmanFamily(Packed):
    r""":math:`h_t = \phi(W_x x_t + b + W_h h_{t-1})`.

    Args:
        nonlinearity: φ, "tanh" or "relu".
    """

    saved = ()

    def __init__(self, nonlinearity: str) -> None:
        self.equations, self.is_tanh = nonlinearity, nonlinearity == "tanh"
        self.name = f"rnn_{nonlinearity}"

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Forwards:
        project_into(outputs, packed, operands.w_x, operands.bias)
        weight = operands.w_h.t().contiguous()
        squash = torch.Tensor.tanh_ if self.is_tanh else torch.Tensor.relu_
        each = plan.each(outputs)
        h_before = [operands.h0, *plan.going_on(each)]
        for h, now, mask in zip(h_before, each, masks_of(plan, operands.mask), strict=True):
            squash(now.addmm_(h if mask is None else h * mask, weight))
        return Forward(None, ())

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Backwards:
        outputs, d_outputs = ran.outputs, ran.d_outputs
        slope = (1 - outputs.square()) if self.is_tanh else (outputs > 0).to(outputs.dtype)
        d, slopes = plan.each(d_outputs), plan.each(slope)
        d[-1].mul_(slopes[-1])
        masks = masks_of(plan, operands.mask)
        steps = zip(plan.going_on(d), d[:-1], slopes[:-1], d[1:], masks[1:], strict=True)
        for going_on, here, factor, d_next, mask in reversed(list(steps)):
            add_product(going_on, d_next, operands.w_h, mask)
            here.mul_(factor)
        others = recurrent_gradients(plan, operands, outputs, d_outputs, needs_mask=ran.needs_mask)
        return Backward([(d_outputs, 0)], others)
