"""The hand-written scans as operators of PyTorch, for ``torch.compile`` and ``torch.export``.

To these a scan is one opaque operation with a known shape and gradient, including lengths; eager code calls the same
functions directly. An operator cannot have optional results or results of unknown size, so the tensors saved for
backward have B·T rows; a ragged batch fills the first N.

Axes: B batch, T time, N real steps of the batch, D input features, H hidden, P output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from rekur.scan.bptt import Prepared
from rekur.scan.check import check_lengths
from rekur.scan.elman import ElmanFamily
from rekur.scan.gru import GRUFamily, GRUResetBeforeFamily
from rekur.scan.jobs import run
from rekur.scan.lstm import LSTMFamily
from rekur.scan.native import SAVED, NativeLayer
from rekur.scan.native_variants import NativeVariant
from rekur.scan.operands import BackwardInputs, Family, Operands
from rekur.scan.plan import Plan, ragged_plan, whole_plan
from rekur.scan.watch import records_gradients

State = tuple[Tensor, ...]

#: every family by name, since an operator takes only a name; the names of variants contain their numbers
_WRITTEN: tuple[Family, ...] = (
    ElmanFamily("tanh"),
    ElmanFamily("relu"),
    LSTMFamily(),
    GRUFamily(),
    GRUResetBeforeFamily(),
    *map(NativeLayer, SAVED),
)
FAMILIES = {family.name: family for family in _WRITTEN}


def _family(name: str) -> Family:
    return FAMILIES[name] if name in FAMILIES else NativeVariant.named(name)


def operate(prepared: Prepared, x: Tensor, lengths: Tensor | None, reverse: bool) -> tuple[Tensor, State]:
    """Run a prepared cell over x (B, T, D) as one operator.

    Args:
        prepared: the family and its operands.
        x: inputs (B, T, D), in the dtype of the weights.
        lengths: int64 (B,), or None if every row has T; the operator checks it when it runs.
        reverse: whether each row is read from its last real step to its first.

    Returns:
        outputs (B, T, P), and the state after the last step read.
    """
    family, operands = prepared
    keep = records_gradients() and any(t is not None and t.requires_grad for t in (x, *operands))
    y, *rest = torch.ops.rekur.scan(family.name, x, lengths, reverse, keep, *operands)
    return y, tuple(rest[: 1 if operands.c0 is None else 2])


def _plan(x: Tensor, lengths: Tensor | None, reverse: bool) -> Plan | None:
    """Return the plan, or None if all rows are empty."""
    if x.shape[0] == 0 or x.shape[1] == 0:
        return None
    if lengths is None:
        return whole_plan(x.shape[0], x.shape[1], reverse=reverse)
    real = check_lengths(lengths, x)
    return ragged_plan(real, x.shape[1], x.device, reverse=reverse) if bool(real.any()) else None


#: what the operators take and give; written out, since older versions of PyTorch cannot read it off annotations
_TENSORS = ", ".join(f"Tensor{'?' if name in Operands._field_defaults else ''} {name}" for name in Operands._fields)
_SCAN = f"(str family, Tensor x, Tensor? lengths, bool reverse, bool keep, {_TENSORS}) -> Tensor[]"
_SCAN_BACKWARD = (
    "(str family, Tensor x, Tensor? lengths, bool reverse, Tensor?[] operands, Tensor y, Tensor[] saved, "
    "Tensor[] grads, bool[] needed) -> Tensor[]"
)


@torch.library.custom_op("rekur::scan", mutates_args=(), schema=_SCAN)
def _scan(
    family: str, x: Tensor, lengths: Tensor | None, reverse: bool, keep: bool, *tensors: Tensor | None
) -> list[Tensor]:
    operands = Operands(*tensors)  # type: ignore[arg-type]
    plan = _plan(x, lengths, reverse)
    fake = _fake_scan(family, x, lengths, reverse, keep, *operands)
    if plan is None:
        results = [torch.zeros_like(fake[0]), *(s.clone() for s in (operands.h0, operands.c0) if s is not None)]
        return [*results, *(torch.zeros_like(t) for t in fake[len(results) :])]
    (y, *states), saved = run(_family(family).evaluate(plan, x, operands, keep=keep))
    y = y.contiguous()
    padded = [] if not keep else [_as_large_as(t, like) for t, like in zip(saved, fake[1 + len(states) :], strict=True)]
    return [y, *states, *padded]


def _as_large_as(tensor: Tensor, like: Tensor) -> Tensor:
    if tensor.shape == like.shape:
        return tensor
    larger = torch.zeros_like(like)
    larger[: len(tensor)] = tensor
    return larger


@_scan.register_fake
def _fake_scan(
    family: str, x: Tensor, lengths: Tensor | None, reverse: bool, keep: bool, *operands: Tensor | None
) -> list[Tensor]:
    named = Operands(*operands)  # type: ignore[arg-type]
    rows, steps = x.shape[0], x.shape[1]
    y = x.new_empty(rows, steps, named.h0.shape[1])
    states = [torch.empty_like(s, memory_format=torch.contiguous_format) for s in (named.h0, named.c0) if s is not None]
    hidden = named.h0.shape[1] if named.w_hr is None else named.w_hr.shape[1]
    pieces = _family(family).saved if keep else ()
    return [y, *states, *(x.new_empty(rows * steps, count * hidden) for count in pieces)]


@torch.library.custom_op("rekur::scan_backward", mutates_args=(), schema=_SCAN_BACKWARD)
def _scan_backward(
    family: str,
    x: Tensor,
    lengths: Tensor | None,
    reverse: bool,
    operands: Sequence[Tensor | None],
    y: Tensor,
    saved: Sequence[Tensor],
    grads: Sequence[Tensor],
    needed: Sequence[bool],
) -> list[Tensor]:
    plan = _plan(x, lengths, reverse)
    named = Operands(*operands)  # type: ignore[arg-type]
    if plan is None:
        gradients = [torch.zeros_like(t) for t in _fake_backward(family, x, lengths, reverse, operands, needed)]
        for index, grad in zip((1 + Operands._fields.index(name) for name in ("h0", "c0")), grads[1:], strict=False):
            if needed[index]:  # the states pass through unchanged
                gradients[index] = grad.contiguous().clone()
        return gradients
    count = int(lengths.sum()) if lengths is not None else x.shape[0] * x.shape[1]
    inputs = BackwardInputs(x, named, y, [tensor[:count] for tensor in saved], tuple(needed))
    got = run(_family(family).gradients(plan, inputs, grads))
    return [x.new_empty(0) if g is None or not need else _owned(g) for g, need in zip(got, needed, strict=True)]


def _owned(gradient: Tensor) -> Tensor:
    """Return a copy of a gradient: results of an operator must not share memory."""
    return gradient.contiguous().clone()


@_scan_backward.register_fake
def _fake_backward(
    family: str, x: Tensor, lengths: Any, reverse: bool, operands: Sequence[Tensor | None], *rest: Any
) -> list[Tensor]:
    *_, needed = rest
    pairs = zip([x, *operands], needed, strict=True)
    return [
        x.new_empty(0) if t is None or not need else torch.empty_like(t, memory_format=torch.contiguous_format)
        for t, need in pairs
    ]


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.family, x, lengths, ctx.reverse, ctx.kept, *operands = inputs
    states = 1 if operands[5] is None else 2
    ctx.states = states
    ctx.save_for_backward(x, lengths, *operands, output[0], *output[1 + states :])


def _backward(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    x, lengths, *rest = ctx.saved_tensors
    count = len(Operands._fields)
    operands, y, saved = rest[:count], rest[count], rest[count + 1 :]
    if not ctx.kept:  # a trace recorded under no_grad saved nothing for backward
        y, *rest = torch.ops.rekur.scan(ctx.family, x, lengths, ctx.reverse, True, *operands)
        saved = rest[ctx.states :]
    shapes = [y, *(s for s in (operands[2], operands[5]) if s is not None)]
    dense = [torch.zeros_like(s) if g is None else g for g, s in zip(grads, shapes, strict=False)]
    needed = [ctx.needs_input_grad[1], *ctx.needs_input_grad[5:]]
    gradients = torch.ops.rekur.scan_backward(ctx.family, x, lengths, ctx.reverse, operands, y, saved, dense, needed)
    d_x, *others = (g if need else None for g, need in zip(gradients, needed, strict=True))
    return (None, d_x, None, None, None, *others)


_scan.register_autograd(_backward, setup_context=_keep_for_backward)


def _work(operands: Sequence[Any], x: Any) -> tuple[int, list[int]]:
    """Return the number of steps of all rows, and the multiply-adds per step of the input product and each other."""
    shapes = dict(zip(Operands._fields, operands, strict=True))
    others = [math.prod(shapes[name]) for name in ("w_h", "w_hr") if shapes[name] is not None]
    return x[0] * x[1], [math.prod(shapes["w_x"]), *others]


@register_flop_formula(torch.ops.rekur.scan)
def _flops(family: str, x: Any, lengths: Any, reverse: bool, keep: bool, *operands: Any, **more: Any) -> int:
    """Return the floating-point operations of all products, including the padding."""
    steps, work = _work(operands, x)
    return int(2 * steps * sum(work))


@register_flop_formula(torch.ops.rekur.scan_backward)
def _flops_backward(
    family: str, x: Any, lengths: Any, reverse: bool, operands: Sequence[Any], *rest: Any, **more: Any
) -> int:
    """Return the floating-point operations of the backward products, including the padding."""
    *_, needed = rest
    steps, (of_x, *others) = _work(operands, x)
    return int(2 * steps * (of_x * sum(needed[:2]) + 2 * sum(others)))
