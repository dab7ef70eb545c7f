"""Hand-written back-propagation through time: a serial loop of in-place steps, everything else as few large products.

PyTorch's own unrolled layers form the gradient of the recurrent weight step by step and launch more operations per
step. Here a step is one product and a few pointwise operations on preallocated memory; the input projection, all weight
gradients and the gradient of the inputs are one product each over all real steps of the batch.

Axes: B batch, R non-empty rows, T time, N real steps of the batch, D input features, H hidden, P output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rekur.scan.differentiable import gradients_again
from rekur.scan.elman import ElmanFamily
from rekur.scan.gru import GRUFamily, GRUResetBeforeFamily
from rekur.scan.jobs import Work, run_all
from rekur.scan.layout import BATCH_FIRST, Layout
from rekur.scan.lstm import LSTMFamily
from rekur.scan.operands import BackwardInputs, Family, Operands, Results
from rekur.scan.plan import Plan
from rekur.scan.precision import full_precision
from rekur.scan.watch import seen_gradients

State = tuple[Tensor, ...]
Prepared = tuple[Family, Operands]


def bptt(prepared: Prepared, x: Tensor, plan: Plan, layout: Layout = BATCH_FIRST) -> tuple[Tensor, State]:
    """Run a cell of a hand-written family.

    Args:
        prepared: the family and its operands.
        x: inputs (B, T, D).
        plan: the layout of the real steps.
        layout: the axes of the results.

    Returns:
        outputs (B, T, P), zero beyond each row's length, and the state after each row's last step, none of them views.
    """
    (result,) = directions([prepared], x.to(prepared[1].w_h.dtype), (plan,), layout)
    return result


def directions(
    prepared: Sequence[Prepared], x: Tensor, plans: Sequence[Plan], layout: Layout
) -> list[tuple[Tensor, State]]:
    """Run a cell, or two of one kind in parallel, each by its plan; return what :func:`bptt` returns of each."""
    families = tuple(family for family, _ in prepared)
    tensors = [t for _, operands in prepared for t in (x, *operands)]
    with full_precision(x):
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
            results = _Directions.apply(families, plans, layout, *tensors)  # type: ignore[no-untyped-call]
        else:
            with torch.no_grad():
                evaluated = _evaluate(families, plans, tensors, keep=False)
                results = [no_view(t) for each in evaluated for t in layout.arrange(each.tensors)]
    return [(y, tuple(states)) for y, *states in _parts(results, len(families))]


def _evaluate(
    families: Sequence[Family], plans: Sequence[Plan], tensors: Sequence[Any], *, keep: bool
) -> list[Results]:
    inputs = zip(families, plans, _parts(tensors, len(families)), strict=True)
    return run_all(
        [family.evaluate(plan, x, Operands(*operands), keep=keep) for family, plan, (x, *operands) in inputs]
    )


def _parts(values: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """Return ``count`` parts of equal length."""
    size = len(values) // count
    return [values[start : start + size] for start in range(0, len(values), size)]


def prepare(
    cell: Any, state: State, mask: Tensor | None, kinds: Mapping[str, Callable[[Any, State], Prepared]]
) -> Prepared:
    """Return the family of a cell and its operands, all in the dtype of the weights.

    Args:
        cell: a cell with a ``kind`` in ``kinds``.
        state: the initial (h,) or (h, c).
        mask: (B, P), multiplies the previous output inside the recurrent product; None for no mask.
        kinds: kind of cell -> function that returns its family and operands.
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
    """Return the operands of a GRU; the second bias of its candidate is inside the reset product."""
    bias, b_hn = cell.bias_ih, None
    if bias is not None:
        split = 2 * cell.hidden_size
        b_hn = cell.bias_hh[split:]
        bias = torch.cat([bias[:split] + cell.bias_hh[:split], bias[split:]])
    return Operands(cell.weight_ih, cell.weight_hh, state[0], bias, b_hn=b_hn)


def _gru_reset_before(cell: Any, state: State) -> Prepared:
    return GRUResetBeforeFamily(), Operands(cell.weight_ih, cell.weight_hh, state[0], both_biases(cell))


#: kind of cell -> function that returns its family and operands
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


class _Directions(torch.autograd.Function):
    """(x, operands) of each direction -> (y, h) or (y, h, c) of each."""

    @staticmethod
    def forward(
        ctx: Any, families: Sequence[Family], plans: Sequence[Plan], layout: Layout, *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        evaluated = _evaluate(families, plans, tensors, keep=True)
        arranged = [[no_view(t) for t in layout.arrange(each.tensors)] for each in evaluated]
        ctx.families, ctx.plans, ctx.layout = families, plans, layout
        ctx.outputs = [Unchanged(outputs) for outputs, *_ in arranged]
        pairs = zip(_parts(tensors, len(families)), evaluated, strict=True)
        ctx.save_for_backward(*(t for part, each in pairs for t in (*part, each.tensors[0], *each.saved)))
        ctx.set_materialize_grads(False)
        return tuple(t for each in arranged for t in each)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # read once: activation checkpointing allows a single read
        count = len(ctx.families)
        inputs = map(backward_inputs, _parts(saved, count), _parts(ctx.needs_input_grad[3:], count))
        restored = map(ctx.layout.restore, _parts(grads, count))
        with full_precision(saved[0]):
            gradients = run_all([*map(backward, ctx.families, ctx.plans, inputs, restored, ctx.outputs)])
        return None, None, None, *(gradient for each in gradients for gradient in each)


def no_view(tensor: Tensor) -> Tensor:
    """Return a tensor with the same memory that is not a view: only such an output may be changed in place."""
    return tensor.data


class Unchanged:
    """Whether outputs are unchanged since the forward pass, without keeping their memory alive.

    Backward reads outputs, and changed ones would give wrong gradients. They are saved under another version counter,
    so autograd does not report a change; this class detects it.
    """

    def __init__(self, outputs: Tensor) -> None:
        counter = outputs.detach()  # shares the counter of changes in place,
        counter.data = _NOTHING  # without its memory
        self._counter, self._version = counter, counter._version

    def __bool__(self) -> bool:
        return self._counter._version == self._version


_NOTHING = torch.empty(0)


def backward_inputs(saved: Sequence[Any], needed: Sequence[bool]) -> BackwardInputs:
    """Return the inputs of a backward pass from a flat list: x, the operands, y and the saved tensors."""
    count = 1 + len(Operands._fields)
    return BackwardInputs(saved[0], Operands(*saved[1:count]), saved[count], saved[count + 1 :], needed)


def backward(
    family: Family, plan: Plan, inputs: BackwardInputs, grads: Sequence[Tensor | None], unchanged: Unchanged
) -> Work[list[Tensor | None]]:
    """Compute the gradients of x and of all operands for autograd."""
    if all(g is None for g in grads):
        return [None] * len(inputs.needed)
    if torch.is_grad_enabled() or seen_gradients(grads):
        tensors = (inputs.x, *inputs.operands)
        return gradients_again(partial(_steps, family, plan), tensors, inputs.needed, grads)
    if not unchanged:  # the outputs were overwritten: compute them again
        results, saved = yield from family.evaluate(plan, inputs.x, inputs.operands, keep=True)
        inputs = inputs._replace(y=results[0], saved=saved)
    return (yield from family.gradients(plan, inputs, grads))


def _steps(family: Family, plan: Plan, x: Tensor, *tensors: Tensor | None) -> list[Tensor]:
    """Return the results of a family's ``evaluate``, in differentiable operations."""
    operands = Operands(*tensors)  # type: ignore[arg-type]
    rows = operands.rows(plan)
    packed = plan.pack(plan.layout(x)) @ operands.w_x.t()
    if operands.bias is not None:
        packed = packed + operands.bias
    h, c = rows.h0, rows.c0
    outputs, cells = [], []
    for step, size, operands_t in zip(plan.each(packed), plan.sizes, rows.each(plan), strict=True):
        h, c = h[:size], None if c is None else c[:size]
        seen = h if rows.mask is None else h * rows.mask[:size]
        h, c = family.step(operands_t, step, h, seen, c)
        outputs.append(h)
        if c is not None:
            cells.append(c)
    results = [
        plan.restore(plan.unpack(torch.cat(outputs))),
        plan.put_rows(operands.h0, plan.at_last(torch.cat(outputs))),
    ]
    if operands.c0 is not None:
        results.append(plan.put_rows(operands.c0, plan.at_last(torch.cat(cells))))
    return results
