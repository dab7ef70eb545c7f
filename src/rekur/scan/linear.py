"""Scans of an elementwise linear recurrence: sequential, in chunks, in a logarithmic number of rounds, or compiled.

    h_t = a_t ⊙ h_{t-1} + b_t

With d_t the total gradient of h_t, the gradients follow from the same recurrence run backwards:
d_t = g_t + a_{t+1} ⊙ d_{t+1}, and a_t has d_t ⊙ h_{t-1}, b_t has d_t, h_0 has a_1 ⊙ d_1.

Axes: B batch, R non-empty rows, T time, N real steps of the batch, D input features, H hidden, C chunks,
K steps of a chunk.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rekur.scan import native_linear
from rekur.scan.differentiable import gradients_again, recurrence
from rekur.scan.gather import put, take
from rekur.scan.plan import Plan, whole_plan
from rekur.scan.precision import full_precision, project
from rekur.scan.watch import seen_gradients

State = tuple[Tensor, ...]

#: ways to run the recurrence
METHODS = ("sequential", "chunked", "associative")


def linear_scan(cell: Any, x: Tensor, state: State, plan: Plan, method: str) -> tuple[Tensor, State]:
    """Run a cell with the state h_t = a_t ⊙ h_{t-1} + b_t.

    Args:
        cell: has ``linear_form(projected) -> (a, b)`` and ``readout(h, projected) -> y``.
        x: inputs (B, T, D).
        state: the initial (h,).
        plan: the layout of the real steps.
        method: one of :data:`METHODS`, or "native" for the compiled kernels, if they can run over x.

    Returns:
        outputs (B, T, O), zero beyond each row's length, and the state after each row's last step.
    """
    if method == "native":
        made = native_linear.native_linear(cell, x, state, plan) if native_linear.takes(x) else None
        if made is not None:
            return made
        method = "sequential"
    projected = project(cell, plan.pack(plan.layout(x)))
    with full_precision(x):
        a, b = cell.linear_form(projected)
        h0 = plan.take_rows(state[0])
        dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), h0.dtype)
        a, b, h0 = a.expand_as(b).to(dtype), b.to(dtype), h0.to(dtype)
        h = _recurrence(plan, a, b, h0, method) if method == "sequential" else _scan_padded(plan, a, b, h0, method)
        y = plan.unpack(cell.readout(h, projected))
        return plan.restore(y), (plan.put_rows(state[0].to(h.dtype), plan.at_last(h)),)


def _scan_padded(plan: Plan, a: Tensor, b: Tensor, h0: Tensor, method: str) -> Tensor:
    """Run the recurrence over a padded batch; padding has a = 1 and b = 0, so that it leaves the state unchanged."""
    if plan.index is None:
        return _recurrence(plan, a, b, h0, method)
    steps, rows = plan.longest, plan.rows
    places = plan.places()
    at_end = torch.ones(steps * rows, 1, dtype=a.dtype, device=a.device).index_fill_(0, places, 0.0)
    all_a, all_b = put(a, places, steps * rows) + at_end, put(b, places, steps * rows)
    return take(_recurrence(whole_plan(rows, steps), all_a, all_b, h0, method), places)


def _recurrence(plan: Plan, a: Tensor, b: Tensor, h0: Tensor, method: str) -> Tensor:
    h: Tensor = _Linear.apply(method, plan, a, b, h0)  # type: ignore[no-untyped-call]
    return h


class _Linear(torch.autograd.Function):
    """(a, b, h0) -> h, with a, b and h (N, H) and h0 (R, H)."""

    @staticmethod
    def forward(ctx: Any, method: str, plan: Plan, a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
        h = _solve(method, plan, a, b, h0)
        ctx.method, ctx.plan = method, plan
        ctx.save_for_backward(a, b, h0, h)
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b, h0, h = ctx.saved_tensors
        plan = ctx.plan
        if torch.is_grad_enabled() or seen_gradients((grad,)):
            return None, None, *gradients_again(partial(_steps, plan), (a, b, h0), ctx.needs_input_grad[2:], (grad,))
        d = _solve_back(ctx.method, plan, a, grad)
        return None, None, d * plan.shifted(h0, h), d, a[: plan.rows] * d[: plan.rows]


def _solve(method: str, plan: Plan, a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    if method == "sequential":
        h = torch.empty_like(b, memory_format=torch.contiguous_format)
        each = plan.each(h)
        steps = zip(plan.each(b), plan.each(a), [h0, *plan.going_on(each)], each, strict=True)
        for b_t, a_t, h_before, h_t in steps:
            torch.addcmul(b_t, a_t, h_before, out=h_t)
        return h
    shape = (plan.steps, plan.batch_size, *b.shape[1:])
    solve = _chunked if method == "chunked" else _associative
    return solve(a.view(shape), b.view(shape), h0).flatten(0, 1)


def _solve_back(method: str, plan: Plan, a: Tensor, grad: Tensor) -> Tensor:
    """Return d_t = g_t + a_{t+1} ⊙ d_{t+1}."""
    if method == "sequential":
        d = grad.clone(memory_format=torch.contiguous_format)
        each = plan.each(d)
        steps = zip(plan.going_on(each), each[1:], plan.each(a)[1:], strict=True)
        for here, d_next, a_after in reversed(list(steps)):
            here.addcmul_(a_after, d_next)
        return d
    rows = plan.rows
    a_after = torch.cat([a[rows:], torch.ones_like(a[:rows])])
    shape = (plan.steps, rows, *a.shape[1:])
    solve = _chunked if method == "chunked" else _associative
    d = solve(a_after.view(shape).flip(0), grad.reshape(shape).flip(0), torch.zeros_like(a[:rows]))
    return d.flip(0).flatten(0, 1)


def _chunked(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Run all chunks of about √T steps in parallel from zero, then propagate the true states: ≈ 2√T rounds.

    The products of a inside a chunk are never divisors, so a may be zero.
    """
    steps = a.shape[0]
    length = max(1, math.isqrt(steps))
    count = -(-steps // length)
    missing = count * length - steps
    if missing:
        a = torch.cat([a, a.new_ones(missing, *a.shape[1:])])
        b = torch.cat([b, b.new_zeros(missing, *b.shape[1:])])
    h, decay = (t.reshape(count, length, *t.shape[1:]).clone() for t in (b, a))
    for k in range(1, length):
        h[:, k].addcmul_(decay[:, k], h[:, k - 1])
        decay[:, k].mul_(decay[:, k - 1])
    starts = [h0]
    for c in range(count - 1):
        starts.append(torch.addcmul(h[c, -1], decay[c, -1], starts[-1]))
    h.addcmul_(decay, torch.stack(starts).unsqueeze(1))
    return h.flatten(0, 1)[:steps]


def _associative(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Combine pairs of steps at distance 1, 2, 4, …: log₂ T rounds of T steps each."""
    b = torch.cat([torch.addcmul(b[:1], a[:1], h0), b[1:]])
    distance = 1
    while distance < a.shape[0]:
        b = torch.cat([b[:distance], torch.addcmul(b[distance:], a[distance:], b[:-distance])])
        a = torch.cat([a[:distance], a[distance:] * a[:-distance]])
        distance *= 2
    return b


def _steps(plan: Plan, a: Tensor, b: Tensor, h0: Tensor) -> list[Tensor]:
    """Return [h] (N, H) in differentiable operations."""
    return [torch.cat(recurrence(h0, plan.each(a), plan.each(b)))]
