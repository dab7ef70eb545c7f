"""Back-propagation through time by hand: a serial loop of in-place steps, everything else as few large products.

PyTorch's own unrolled layers form the gradient of the recurrent weight step by step and launch more operations a step.
Here a step is one product and a few pointwise operations on memory allocated once; the input projection, all weight
gradients and the gradient of the inputs are one product each over all real steps of the batch.

Axes: B batch, R rows that have a step, T time, N real steps of the batch, D input features, H hidden, P output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rekur.scan.elman import ElmanFamily
from rekur.scan.gru import GRUFamily, GRUResetBeforeFamily
from rekur.scan.jobs import Work, done, run
from rekur.scan.lstm import LSTMFamily
from rekur.scan.operands import Backward, Family, Operands, Ran
from rekur.scan.plan import Plan

State = tuple[Tensor, ...]
Prepared = tuple[Family, Operands]


def bptt(prepared: Prepared, x: Tensor, plan: Plan) -> tuple[Tensor, State]:
    """Run a cell of a family that is written out by hand.

    Args:
        prepared: the family and its operands.
        x: inputs (B, T, D).
        plan: where the real steps are.

    Returns:
        outputs (B, T, P), zero beyond each row's length, and the state after each row's last step.
    """
    family, operands = prepared
    with torch.autocast(device_type=x.device.type, enabled=False):
        inputs = plan.layout(x.to(operands.w_h.dtype))
        tensors = (inputs, *operands)
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
            y, *after = _Bptt.apply(family, plan, *tensors)  # type: ignore[no-untyped-call]
        else:
            with torch.no_grad():
                (y, *after), _ = run(evaluate(family, plan, inputs, operands, keep=False))
    return plan.layout(y), tuple(after)


def prepare(
    cell: Any, state: State, mask: Tensor | None, kinds: Mapping[str, Callable[[Any, State], Prepared]]
) -> Prepared:
    """Return the family of a cell and its operands, all in the dtype of the weights.

    Args:
        cell: its ``kind`` is one of ``kinds``.
        state: (h,) or (h, c), before the first step.
        mask: (B, P), multiplies the previous output inside the recurrent product; None for no mask.
        kinds: how the weights of each kind of cell become operands.
    """
    dtype = cell.weight_hh.dtype
    family, operands = kinds[str(cell.kind)](cell, tuple(s.to(dtype) for s in state))
    return family, operands if mask is None else operands._replace(mask=mask.to(dtype))


def _elman(cell: Any, state: State) -> Prepared:
    return ElmanFamily(cell.nonlinearity), Operands(cell.weight_ih, cell.weight_hh, state[0], both_biases(cell))


def _lstm(cell: Any, state: State) -> Prepared:
    bias = both_biases(cell)
    operands = Operands(
        _output_gate_first(cell.weight_ih),
        _output_gate_first(cell.weight_hh),
        state[0],
        None if bias is None else _output_gate_first(bias),
        c0=state[1],
        w_hr=getattr(cell, "weight_hr", None),
    )
    return LSTMFamily(), operands


def _lstm_peephole(cell: Any, state: State) -> Prepared:
    family, operands = _lstm(cell, state)
    return family, operands._replace(peepholes=torch.stack([cell.weight_co, cell.weight_ci, cell.weight_cf]))


def _gru(cell: Any, state: State) -> Prepared:
    return GRUFamily(), gru_operands(cell, state)


def gru_operands(cell: Any, state: State) -> Operands:
    """Return the operands of a GRU, whose second bias of the candidate stands inside the reset product."""
    bias, b_hn = cell.bias_ih, None
    if bias is not None:
        split = 2 * cell.hidden_size
        b_hn = cell.bias_hh[split:]
        bias = torch.cat([bias[:split] + cell.bias_hh[:split], bias[split:]])
    return Operands(cell.weight_ih, cell.weight_hh, state[0], bias, b_hn=b_hn)


def _gru_reset_before(cell: Any, state: State) -> Prepared:
    return GRUResetBeforeFamily(), Operands(cell.weight_ih, cell.weight_hh, state[0], both_biases(cell))


#: how the weights of each kind of cell become operands
KINDS: dict[str, Callable[[Any, State], Prepared]] = {
    "elman": _elman,
    "lstm": _lstm,
    "lstm_peephole": _lstm_peephole,
    "gru": _gru,
    "gru_reset_before": _gru_reset_before,
}


def both_biases(cell: Any) -> Tensor | None:
    """Return the sum of a cell's two biases, if it has them."""
    return None if cell.bias_ih is None else cell.bias_ih + cell.bias_hh


def _output_gate_first(weight: Tensor) -> Tensor:
    """Return the blocks i, f, g, o as o, i, f, g."""
    i, f, g, o = weight.chunk(4)
    return torch.cat([o, i, f, g])


def evaluate(
    family: Family, plan: Plan, x: Tensor, operands: Operands, *, keep: bool
) -> Work[tuple[list[Tensor], tuple[Tensor, ...]]]:
    """Give [y, h] or [y, h, c], and what backward needs: packed inputs, packed outputs and the family's own."""
    packed = plan.pack(x)
    size = operands.h0.shape[1]
    if plan.index is None:
        y = packed.new_empty(plan.steps, plan.batch_size, size)
        outputs = y.view(-1, size)
    else:
        y = outputs = packed.new_empty(packed.shape[0], size)
    made = yield from done(family.forward(plan, packed, operands.rows(plan), outputs, keep=keep))
    results = [y if plan.index is None else plan.unpack(outputs)]
    results.append(plan.put_rows(operands.h0, plan.at_last(outputs)))
    if made.last_cells is not None and operands.c0 is not None:
        results.append(plan.put_rows(operands.c0, made.last_cells))
    return results, (packed, y, *made.saved)


class _Bptt(torch.autograd.Function):
    """(x, operands) -> (y, h) or (y, h, c)."""

    @staticmethod
    def forward(ctx: Any, family: Family, plan: Plan, x: Tensor, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        work = evaluate(family, plan, x, Operands(*tensors), keep=True)  # type: ignore[arg-type]
        results, kept = run(work)
        ctx.family, ctx.plan = family, plan
        ctx.save_for_backward(x, *tensors, *kept)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        count = 1 + len(Operands._fields)
        saved = ctx.saved_tensors  # looked at once: computing twice allows no more
        given, kept = saved[:count], saved[count:]
        with torch.autocast(device_type=given[0].device.type, enabled=False):
            work = backward(ctx.family, ctx.plan, given, kept, grads, ctx.needs_input_grad[2:])
            return None, None, *run(work)


def backward(
    family: Family,
    plan: Plan,
    given: Sequence[Tensor | None],
    kept: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> Work[list[Tensor | None]]:
    """Give the gradients of x and of all operands, which are ``given``, as autograd asks for them."""
    if all(g is None for g in grads):
        return [None] * len(given)
    if torch.is_grad_enabled():
        return _differentiable_gradients(family, plan, given, grads, needed)
    operands = Operands(*given[1:])  # type: ignore[arg-type]
    return (yield from gradients(family, plan, operands, kept, grads, needed))


def gradients(
    family: Family,
    plan: Plan,
    operands: Operands,
    kept: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> Work[list[Tensor | None]]:
    """Give the gradients of the inputs and of all operands; those that are not needed may be None."""
    packed, y, *saved = kept
    outputs = y.flatten(0, 1) if plan.index is None else y
    d_y, d_h, d_c = (*grads, None)[:3]
    if d_y is None:
        d_outputs = torch.zeros_like(outputs)
    else:
        d_outputs = plan.pack(d_y)
        d_outputs = d_outputs.clone() if d_outputs.data_ptr() == d_y.data_ptr() else d_outputs
    if d_h is not None:
        plan.add_at_last(d_outputs, plan.take_rows(d_h))
    d_cells = None if d_c is None else plan.take_rows(d_c).clone()
    inner = operands.rows(plan)
    needs_mask = needed[1 + Operands._fields.index("mask")]
    ran = Ran(outputs, tuple(saved), d_outputs, d_cells, needs_mask)
    result = yield from done(family.backward(plan, inner, ran))
    others = result.others
    for name, direct in (("h0", d_h), ("c0", d_c), ("mask", None)):
        if name in others:
            base = torch.zeros_like(getattr(operands, name)) if direct is None else direct
            others[name] = plan.put_rows(base, others[name])
    d_x, d_w_x, d_bias = _input_gradients(plan, packed, operands, result, needed)
    by_name = {**others, "w_x": d_w_x, "bias": d_bias}
    return [d_x, *(by_name.get(name) for name in Operands._fields)]


def _input_gradients(
    plan: Plan, packed: Tensor, operands: Operands, result: Backward, needed: Sequence[bool]
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
    return (None if d_packed is None else plan.unpack(d_packed)), d_w_x, d_bias


def _differentiable_gradients(
    family: Family,
    plan: Plan,
    given: Sequence[Tensor | None],
    grads: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients as functions that can be differentiated again, by running the steps anew."""
    # Views: if one operand was computed from another, only its direct effect belongs to it.
    views = [None if t is None else t.view_as(t) for t in given]
    results = _steps(family, plan, views[0], Operands(*views[1:]))  # type: ignore[arg-type]
    pairs = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None]
    wanted = [v for v, need in zip(views, needed, strict=True) if v is not None and need]
    found = iter(
        torch.autograd.grad([r for r, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True)
    )
    return [next(found) if v is not None and need else None for v, need in zip(views, needed, strict=True)]


def _steps(family: Family, plan: Plan, x: Tensor, operands: Operands) -> list[Tensor]:
    """Return what :func:`evaluate` returns, in differentiable operations."""
    rows = operands.rows(plan)
    packed = plan.pack(x) @ operands.w_x.t()
    if operands.bias is not None:
        packed = packed + operands.bias
    h, c = rows.h0, rows.c0
    outputs, cells = [], []
    for step, size, given in zip(plan.each(packed), plan.sizes, rows.each(plan), strict=True):
        h, c = h[:size], None if c is None else c[:size]
        seen = h if rows.mask is None else h * rows.mask[:size]
        h, c = family.step(given, step, h, seen, c)
        outputs.append(h)
        if c is not None:
            cells.append(c)
    results = [plan.unpack(torch.cat(outputs)), plan.put_rows(operands.h0, plan.at_last(torch.cat(outputs)))]
    if operands.c0 is not None:
        results.append(plan.put_rows(operands.c0, plan.at_last(torch.cat(cells))))
    return results
