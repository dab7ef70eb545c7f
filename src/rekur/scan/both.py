"""Both directions of a layer over one batch, at the same time where that is faster, each on half of the threads.

Axes: B batch, T time, D input features, O output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rekur.scan import native
from rekur.scan.bptt import Prepared, backward, given_of, no_view
from rekur.scan.check import check_input, check_lengths, check_state
from rekur.scan.choose import choose
from rekur.scan.jobs import run_beside
from rekur.scan.operands import Family, Operands, Results
from rekur.scan.plan import Plan, ragged_plan, whole_plan
from rekur.scan.precision import full_precision, to_weights
from rekur.scan.run import as_state, prepare_cell, scan

State = tuple[Tensor, ...]


def scan_both(
    cells: tuple[Any, Any],
    x: Tensor,
    states: Sequence[State | None] = (None, None),
    *,
    lengths: Tensor | None = None,
    path: str = "auto",
) -> tuple[tuple[Tensor, State], tuple[Tensor, State]]:
    """Run one cell forwards and another backwards through time, as two calls of :func:`rekur.scan.scan` would.

    Where both are of one kind and run on the compiled kernels, they do so at the same time, unless the weights of one
    are so many that both threads had better share them.

    Args:
        cells: the cell that reads each row from its first step, and the one that reads it from its last real step.
        x: inputs (B, T, D).
        states: the state of each before the first step that it reads.
        lengths: int64 (B,), the real steps of each row; None where every row has T.
        path: as in :func:`rekur.scan.scan`.

    Returns:
        of each cell its outputs (B, T, O) and the state after each row's last step read.

    Example:
        >>> from rekur.cells import GRU
        >>> (ahead, _), (back, _) = scan_both((GRU(3, 5), GRU(3, 5)), torch.ones(2, 4, 3))
        >>> ahead.shape, back.shape
        (torch.Size([2, 4, 5]), torch.Size([2, 4, 5]))
    """
    plans = None
    if not torch.compiler.is_compiling() and torch.get_num_threads() > 1:
        for cell in cells:
            check_input(cell, x)
        plans = _plans(cells, x, None if lengths is None else check_lengths(lengths, x), path)
    if plans is None:
        ahead = scan(cells[0], x, states[0], lengths=lengths, path=path)
        return ahead, scan(cells[1], x, states[1], lengths=lengths, reverse=True, path=path)
    given = to_weights(cells[0], x)
    before = []
    for cell, state in zip(cells, states, strict=True):
        before.append(tuple(s.to(given.dtype) for s in check_state(cell, x, state)))
    with full_precision(given):
        prepared = [prepare_cell(cell, "native", given, own) for cell, own in zip(cells, before, strict=True)]
        (y, after), (y_back, after_back) = _run(prepared, given, plans)
    return (y, as_state(after, before[0])), (y_back, as_state(after_back, before[1]))


def _plans(cells: tuple[Any, Any], x: Tensor, lengths: Tensor | None, path: str) -> tuple[Plan, Plan] | None:
    """Return where each direction finds its steps; None where the two cannot run at the same time."""
    if x.shape[0] == 0 or x.shape[1] == 0 or (lengths is not None and not bool(lengths.any())):
        return None
    kinds = {(cell.kind, getattr(getattr(cell, "cell", None), "kind", "")) for cell in cells}
    if len(kinds) > 1 or not native.plain(cells[0]):
        return None
    given = to_weights(cells[0], x)
    if any(choose(cell, given, lengths, path=path).path != "native" for cell in cells):
        return None
    if lengths is None or bool((lengths == x.shape[1]).all()):
        return whole_plan(x.shape[0], x.shape[1]), whole_plan(x.shape[0], x.shape[1], reverse=True)
    ahead = ragged_plan(lengths, x.shape[1], x.device)
    return ahead, ragged_plan(lengths, x.shape[1], x.device, reverse=True)


def _run(prepared: list[Prepared], x: Tensor, plans: tuple[Plan, Plan]) -> list[tuple[Tensor, State]]:
    """Return for each direction its outputs (B, T, O), and the state after each row's last step read."""
    families = tuple(family for family, _ in prepared)
    tensors = [t for _, operands in prepared for t in (x, *operands)]
    with full_precision(x):
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
            found = list(_Both.apply(families, plans, *tensors))  # type: ignore[no-untyped-call]
        else:
            with torch.no_grad():
                found = [t for results in _evaluate(families, plans, tensors, keep=False) for t in results.found]
    (y, *after), (y_back, *after_back) = _halves(found)
    return [(y, tuple(after)), (y_back, tuple(after_back))]


def _evaluate(
    families: tuple[Family, ...], plans: tuple[Plan, Plan], tensors: Sequence[Any], *, keep: bool
) -> tuple[Results, ...]:
    works = []
    for family, plan, (x, *operands) in zip(families, plans, _halves(tensors), strict=True):
        works.append(family.evaluate(plan, x, Operands(*operands), keep=keep))
    return run_beside(*works)


def _halves(values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    return values[: len(values) // 2], values[len(values) // 2 :]


class _Both(torch.autograd.Function):
    """(x, operands) of each direction -> (y, h) or (y, h, cells) of each."""

    @staticmethod
    def forward(
        ctx: Any, families: tuple[Family, ...], plans: tuple[Plan, Plan], *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        both = _evaluate(families, plans, tensors, keep=True)
        both = tuple(made._replace(found=[no_view(t) for t in made.found]) for made in both)
        ctx.families, ctx.plans = families, plans
        kept = [(*own, made.found[0], *made.saved) for own, made in zip(_halves(tensors), both, strict=True)]
        ctx.save_for_backward(*kept[0], *kept[1])
        ctx.set_materialize_grads(False)
        return tuple(t for made in both for t in made.found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # looked at once: computing twice allows no more
        givens = map(given_of, _halves(saved), _halves(ctx.needs_input_grad[2:]))
        with full_precision(saved[0]):
            works = [backward(*own) for own in zip(ctx.families, ctx.plans, givens, _halves(grads), strict=True)]
            ahead, back = run_beside(*works)
        return None, None, *ahead, *back
