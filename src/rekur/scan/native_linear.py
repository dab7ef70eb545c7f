"""Cells that are linear in their state on the compiled kernels: one multiply-add per step, fused with the gates.

For the minimal cells and the RG-LRU the kernels compute a and b from the input product where they are used, forward and
again backward, so that neither is stored. For any other cell they take a and b.

Whole batches are read row by row; ragged ones step by step. In inference the kernels also compute the input product of
their own cells, so that the bits of a row do not depend on the rest of the batch.

Axes: B batch, R non-empty rows, T time, N real steps of the batch, D input features, G gates, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rekur.scan import native
from rekur.scan.differentiable import gradients_again, recurrence
from rekur.scan.operands import project_into
from rekur.scan.plan import Plan
from rekur.scan.precision import full_precision, is_mixed, project
from rekur.scan.watch import seen_gradients

State = tuple[Tensor, ...]


class Form(NamedTuple):
    """A form of a linear recurrence: its name in the kernels, and the function from its operands to a and b."""

    name: str
    pair: Callable[..., tuple[Tensor, Tensor]]


class FormOperands(NamedTuple):
    """The operands of a form.

    Attributes:
        gates: (N, G·H), the input product; a itself (N, H) for the plain form.
        value: (N, H), of an RG-LRU; b itself for the plain form; None if it is the last block of ``gates``.
        decay: (H,), the logarithm of an RG-LRU's decay at an open gate; else None.
        h0: the initial states (R, H).
    """

    gates: Tensor
    value: Tensor | None
    decay: Tensor | None
    h0: Tensor


def takes(x: Tensor) -> bool:
    """Return whether the kernels can run over such inputs."""
    suits = x.device.type == "cpu" and x.dtype in native.DTYPES
    return native.available() and suits and not torch.compiler.is_compiling()


def form_of(cell: Any) -> Form:
    """Return the form of a cell, "plain" if the kernels cannot compute its a and b.

    Example:
        >>> from rekur.cells import MinGRU
        >>> form_of(MinGRU(3, 5)).name
        'mingru'
    """
    return Form(cell.form, cell.pair) if getattr(cell, "form", "") else PLAIN


def _as_they_are(a: Tensor, b: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return a, a if b is None else b


PLAIN = Form("plain", _as_they_are)


def native_linear(cell: Any, x: Tensor, state: State, plan: Plan) -> tuple[Tensor, State] | None:
    """Run a cell that is linear in its state; return None if the kernels lack the dtype of a and b.

    Args:
        cell: as in :func:`rekur.scan.linear.linear_scan`.
        x: inputs (B, T, D) that :func:`takes` accepts.
        state: the initial (h,).
        plan: the layout of the real steps.

    Returns:
        outputs (B, T, O), zero beyond each row's length, and the state after each row's last step.
    """
    packed = plan.turned(x).reshape(-1, x.shape[2]) if plan.index is None else plan.pack(x)
    h0, form = plan.take_rows(state[0]), form_of(cell)
    if form is not PLAIN and cell.weight_ih.dtype == x.dtype == h0.dtype:
        y, last = _run(form, plan, _operands_of(cell, form, packed, h0))
    else:
        projected = project(cell, packed)
        with full_precision(x):
            a, b = cell.linear_form(projected)
            if torch.promote_types(torch.promote_types(a.dtype, b.dtype), h0.dtype) not in native.DTYPES:
                return None
            h, last = _run_pair(plan, a.expand_as(b), b, h0)
            y = cell.readout(h, projected)
    if plan.index is None:
        y = plan.turned(y.reshape(plan.batch_size, plan.steps, *y.shape[1:]))
    else:
        y = plan.unpack(y)
    return y, (plan.put_rows(state[0].to(last.dtype), last),)


def _operands_of(cell: Any, form: Form, packed: Tensor, h0: Tensor) -> FormOperands:
    if form.name != "rglru":
        return FormOperands(_product(cell, packed, cell.weight_ih, cell.bias_ih), None, None, h0)
    v = packed if cell.weight_in is None else _product(cell, packed, cell.weight_in, None)
    return FormOperands(_product(cell, v, cell.weight_ih, cell.bias_ih), v, cell.log_decay(), h0)


def _product(cell: Any, packed: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return packed · weightᵀ + bias; without gradients the bits of a row do not depend on the other rows."""
    operands = [t for t in (packed, *cell.parameters()) if t.requires_grad]
    if not torch.is_grad_enabled() or not operands:
        return native.product(packed, weight, bias)
    if is_mixed(packed):
        return F.linear(packed, weight, bias).to(packed.dtype)
    made: Tensor = _Product.apply(packed, weight, bias)  # type: ignore[no-untyped-call]
    return made


def _run_pair(plan: Plan, a: Tensor, b: Tensor, h0: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), h0.dtype)
    single = [t if t.dim() == 2 else t.flatten(1) for t in (a.to(dtype), b.to(dtype), h0.to(dtype))]
    h, last = _run(PLAIN, plan, FormOperands(single[0], single[1], None, single[2]))
    return h.view(b.shape), last.view(h0.shape)


def _run(form: Form, plan: Plan, operands: FormOperands) -> tuple[Tensor, Tensor]:
    """Return h of all steps (N, H) and after each row's last (R, H)."""
    made: tuple[Tensor, Tensor] = _Scan.apply(form, plan, *operands)  # type: ignore[no-untyped-call]
    return made


class _Product(torch.autograd.Function):
    """(x, weight, bias) -> x · weightᵀ + bias, in memory that is reused by later calls."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return project_into(native.empty(x, x.shape[0], weight.shape[0]), x, weight, bias)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        d_x = None
        if to_x:
            seen = torch.is_grad_enabled() or seen_gradients((d,))
            d_x = d @ weight if seen else torch.mm(d, weight, out=native.empty(x, x.shape[0], x.shape[1]))
        return d_x, d.t() @ x if to_weight else None, d.sum(0) if to_bias else None


class _Scan(torch.autograd.Function):
    """(operands of a form) -> (h, the last h)."""

    @staticmethod
    def forward(
        ctx: Any, form: Form, plan: Plan, gates: Tensor, value: Tensor | None, decay: Tensor | None, h0: Tensor
    ) -> tuple[Tensor, Tensor]:
        h, last = (
            native.empty(gates, gates.shape[0], h0.shape[1]),
            torch.empty_like(h0, memory_format=torch.contiguous_format),
        )
        arrays = _arrays(form, plan, FormOperands(gates, value, decay, h0), outputs=h, last=last)
        native.kernel("linear_forward", h0)(arrays, torch.get_num_threads())
        ctx.form, ctx.plan = form, plan
        ctx.save_for_backward(gates, value, decay, h0, h)
        ctx.set_materialize_grads(False)
        return h, last

    @staticmethod
    def backward(ctx: Any, d_h: Tensor | None, d_last: Tensor | None) -> tuple[Tensor | None, ...]:
        *tensors, h = ctx.saved_tensors
        operands = FormOperands(*tensors)
        if d_h is None and d_last is None:
            return (None,) * 6
        if torch.is_grad_enabled() or seen_gradients((d_h, d_last)):
            run = partial(_steps, ctx.form, ctx.plan)
            return None, None, *gradients_again(run, operands, ctx.needs_input_grad[2:], (d_h, d_last))
        return None, None, *_gradients(ctx.form, ctx.plan, operands, h, d_h, d_last)


def _gradients(
    form: Form, plan: Plan, operands: FormOperands, h: Tensor, d_h: Tensor | None, d_last: Tensor | None
) -> tuple[Tensor | None, ...]:
    gates, value, decay, h0 = operands
    d_gates = native.empty(gates, gates.shape[0], gates.shape[1])
    d_value = None if value is None else native.empty(value, value.shape[0], value.shape[1])
    d_decay = None if decay is None else torch.zeros_like(decay)
    d_h0 = torch.zeros_like(h0) if d_last is None else d_last.clone()
    d_h0 = d_h0.contiguous()
    arrays = _arrays(form, plan, operands, outputs=h, d_outputs=native.whole(d_h), d_h=d_h0, d_decay=d_decay)
    arrays |= _strided("d_gates", "d_value", d_gates, d_value, h.shape[1])
    native.kernel("linear_backward", h0)(arrays, torch.get_num_threads())
    return d_gates, d_value, d_decay, d_h0


def _arrays(form: Form, plan: Plan, operands: FormOperands, **more: Tensor | None) -> dict[str, Any]:
    """Return the arguments of the kernels for both passes."""
    if plan.index is None:
        first, active = np.arange(plan.steps), np.full(plan.steps, plan.batch_size)
    else:
        first, active = native.places(plan)
    gates, value, decay, h0 = operands
    return {
        "form": form.name,
        "first": first.astype(np.int64),
        "active": active.astype(np.int64),
        "stride": plan.steps if plan.index is None else 1,
        "rows": plan.rows,
        "hidden": h0.shape[1],
        "decay": native.whole(decay),
        "h0": native.whole(h0),
        **_strided("gates", "value", gates, value, h0.shape[1]),
        **more,
    }


def _strided(of_gates: str, of_value: str, gates: Tensor, value: Tensor | None, size: int) -> dict[str, Any]:
    """Return gates and value with the strides of their rows; a value of None is the last block of the gates."""
    same = gates.stride(0) == 0
    rows = gates[0].contiguous() if same else gates.contiguous()
    width = gates.shape[1]
    inputs = rows.view(-1)[width - size :] if value is None else value.contiguous()
    return {
        of_gates: rows,
        f"{of_gates}_stride": 0 if same else width,
        of_value: inputs,
        f"{of_value}_stride": width if value is None else size,
    }


def _steps(form: Form, plan: Plan, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return h of all steps and after each row's last, in differentiable operations."""
    operands = FormOperands(*tensors)  # type: ignore[arg-type]
    a, b = form.pair(*(t for t in operands[:3] if t is not None))
    if plan.index is None:
        a_rows, b_rows = (t.view(plan.batch_size, plan.steps, -1) for t in (a, b))
        outputs = recurrence(operands.h0, a_rows.unbind(1), b_rows.unbind(1))
        return torch.stack(outputs, 1).flatten(0, 1), outputs[-1]
    h = torch.cat(recurrence(operands.h0, plan.each(a), plan.each(b)))
    return h, plan.at_last(h)
