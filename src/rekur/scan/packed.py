"""Base class of families that run over packed steps, with the shared code around the steps.

Axes: B batch, R non-empty rows, T time, N real steps of the batch, D input features, P output, g gates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rekur.scan.differentiable import gated_step
from rekur.scan.jobs import Work, done
from rekur.scan.operands import Backward, BackwardInputs, Backwards, Forwards, Operands, Ran, Results, Stepped
from rekur.scan.plan import Plan


class Packed:
    """A family of cells whose steps are packed, run, and unpacked.

    Attributes:
        equations: as in :func:`rekur.scan.differentiable.gated_step`.
    """

    equations: str

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Forwards:
        """Run all steps of ``packed`` (N, D) into ``outputs`` (N, P); ``keep`` saves tensors for backward."""
        raise NotImplementedError

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Backwards:
        """Return all gradients; those in ``ran`` are overwritten. States and mask of ``operands`` are (R, …)."""
        raise NotImplementedError

    def step(self, operands: Operands, projected: Tensor, h: Tensor, seen: Tensor, c: Tensor | None) -> Stepped:
        """Return the next output and cells in differentiable operations; ``seen`` is the masked h."""
        return gated_step(self.equations, operands, projected, h, seen, c)

    def evaluate(self, plan: Plan, x: Tensor, operands: Operands, *, keep: bool) -> Work[Results]:
        """Compute the outputs (B, T, P), the states after each row's last step, and the tensors for backward."""
        packed = plan.pack(plan.layout(x))
        size = operands.h0.shape[1]
        outputs = packed.new_empty(packed.shape[0], size)
        made = yield from done(self.forward(plan, packed, operands.rows(plan), outputs, keep=keep))
        results = [plan.restore(plan.unpack(outputs)), plan.put_rows(operands.h0, plan.at_last(outputs))]
        if made.last_cells is not None and operands.c0 is not None:
            results.append(plan.put_rows(operands.c0, made.last_cells))
        return Results(results, made.saved)

    def gradients(
        self, plan: Plan, inputs: BackwardInputs, grads: Sequence[Tensor | None]
    ) -> Work[list[Tensor | None]]:
        """Compute the gradients of the inputs and of all operands; those that are not needed may be None."""
        operands, needed = inputs.operands, inputs.needed
        outputs = plan.pack(plan.layout(inputs.y))
        d_y, d_h, d_c = (*grads, None)[:3]
        if d_y is None:
            d_outputs = torch.zeros_like(outputs)
        else:
            d_outputs = plan.pack(plan.layout(d_y))
            d_outputs = d_outputs.clone() if d_outputs.data_ptr() == d_y.data_ptr() else d_outputs
        if d_h is not None:
            plan.add_at_last(d_outputs, plan.take_rows(d_h))
        d_cells = None if d_c is None else plan.take_rows(d_c).clone()
        needs_mask = needed[1 + Operands._fields.index("mask")]
        ran = Ran(outputs, tuple(inputs.saved), d_outputs, d_cells, needs_mask)
        result = yield from done(self.backward(plan, operands.rows(plan), ran))
        others = result.others
        for name, direct in (("h0", d_h), ("c0", d_c), ("mask", None)):
            if name in others:
                base = torch.zeros_like(getattr(operands, name)) if direct is None else direct
                others[name] = plan.put_rows(base, others[name])
        packed = plan.pack(plan.layout(inputs.x))
        d_x, d_w_x, d_bias = _input_gradients(packed, operands, result, needed)
        d_x = None if d_x is None else plan.restore(plan.unpack(d_x))
        by_name = {**others, "w_x": d_w_x, "bias": d_bias}
        return [d_x, *(by_name.get(name) for name in Operands._fields)]


def _input_gradients(
    packed: Tensor, operands: Operands, result: Backward, needed: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    w_x = operands.w_x
    d_packed = None
    d_w_x = torch.empty_like(w_x) if needed[1] else None
    d_bias = None if operands.bias is None else torch.empty_like(operands.bias)
    for block, start in result.blocks:
        end = start + block.shape[1]
        if needed[0]:
            part = block @ w_x[start:end] if d_packed is None else d_packed.addmm_(block, w_x[start:end])
            d_packed = part
        if d_w_x is not None:
            torch.mm(block.t(), packed, out=d_w_x[start:end])
        if d_bias is not None:
            torch.sum(block, 0, out=d_bias[start:end])
    return d_packed, d_w_x, d_bias
