"""What the hand-written scans of all families share: their operands and the large products of a backward pass.

Axes: B batch, R rows that have a step, N real steps of the batch, D input features, H hidden, P output, g gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from rekur.scan.jobs import Work
from rekur.scan.plan import Plan


class Operands(NamedTuple):
    """All tensors but the inputs of one recurrence; gates stand in the order in which the family computes them.

    Attributes:
        w_x: input weights (gH, D).
        w_h: recurrent weights (gH, P).
        h0: outputs before the first step (B, P).
        bias: (gH,), or None.
        mask: (B, P), multiplies the previous output in the recurrent product only; or None.
        c0: cells before the first step (B, H), of families that have them; several tensors of them side by side.
        w_hr: projection (P, H), or None.
        peepholes: (3, H), or None.
        b_hn: (H,), the bias inside the reset product of a GRU, or None.
        bias_h: (gH,), the second bias of families that take a cell's two as they stand, or None.
        gain_x: (gH,), of the normalised input product; None where nothing is normalised.
        gain_h: (gH,), of the normalised recurrent product, or None.
        b_norm: (gH,), behind the normalised products, or None.
        gain_c: (H,), of the memory that is normalised before it is read, or None.
        bias_c: (H,), or None.
        stay_h: (B, T, P) zeros and ones, the outputs that stay as they were at a step; or None.
        stay_c: (B, T, H), the same of the cells, or None.
    """

    w_x: Tensor
    w_h: Tensor
    h0: Tensor
    bias: Tensor | None = None
    mask: Tensor | None = None
    c0: Tensor | None = None
    w_hr: Tensor | None = None
    peepholes: Tensor | None = None
    b_hn: Tensor | None = None
    gain_x: Tensor | None = None
    gain_h: Tensor | None = None
    b_norm: Tensor | None = None
    gain_c: Tensor | None = None
    bias_c: Tensor | None = None
    stay_h: Tensor | None = None
    stay_c: Tensor | None = None
    bias_h: Tensor | None = None

    def rows(self, plan: Plan) -> Operands:
        """Return the operands with states and mask of the rows that have a step only, and what stays as (N, …)."""
        return self._replace(
            h0=plan.take_rows(self.h0),
            c0=None if self.c0 is None else plan.take_rows(self.c0),
            mask=None if self.mask is None else plan.take_rows(self.mask),
            stay_h=None if self.stay_h is None else plan.pack(plan.layout(self.stay_h)),
            stay_c=None if self.stay_c is None else plan.pack(plan.layout(self.stay_c)),
        )

    def each(self, plan: Plan) -> list[Operands]:
        """Return what :meth:`rows` gave for each step: what stays at it as (rows active at that step, …)."""
        steps = [self] * plan.longest
        for name in ("stay_h", "stay_c"):
            stay = getattr(self, name)
            if stay is not None:
                steps = [o._replace(**{name: at}) for o, at in zip(steps, plan.each(stay), strict=True)]
        return steps


class Forward(NamedTuple):
    """The cells after each row's last step (R, H), of families that have them, and what backward needs."""

    last_cells: Tensor | None
    saved: tuple[Tensor, ...]


class Ran(NamedTuple):
    """A forward pass that was run, and the gradients that arrive at it.

    Attributes:
        outputs: of every step (N, P).
        saved: what the family kept.
        d_outputs: gradient of the outputs (N, P).
        d_cells: gradient of the cells after each row's last step (R, H), or None for zeros.
        needs_mask: whether the gradient of the mask is needed.
    """

    outputs: Tensor
    saved: tuple[Tensor, ...]
    d_outputs: Tensor
    d_cells: Tensor | None
    needs_mask: bool


class Backward(NamedTuple):
    """Gradients of everything but the input projection, whose pre-activations' gradients are given in blocks.

    Attributes:
        blocks: the gradient (N, k) of k pre-activations, and the number of the first of them; together all gH.
        others: the gradients of the operands by name, those of states and mask (R, …).
    """

    blocks: list[tuple[Tensor, int]]
    others: dict[str, Tensor]


#: what a family gives: the result, or work that gives it, whose jobs may run beside another's
Forwards = Forward | Work[Forward]
Backwards = Backward | Work[Backward]


class Results(NamedTuple):
    """[y, h] or [y, h, c]: outputs (B, T, P), the states (B, …) after each row's last step; and what backward needs."""

    found: list[Tensor]
    saved: tuple[Tensor, ...]


class Given(NamedTuple):
    """What a backward pass starts from.

    Attributes:
        x: the inputs (B, T, D).
        operands: as they were given.
        y: the outputs (B, T, P).
        saved: what the family kept.
        needed: whether the gradients of x and of each operand are needed.
    """

    x: Tensor
    operands: Operands
    y: Tensor
    saved: Sequence[Tensor]
    needed: Sequence[bool]


class Family(Protocol):
    """One family of cells, written out by hand.

    Attributes:
        name: under which operators know it.
        saved: of how many pieces of H each tensor consists that evaluate keeps for backward.
    """

    @property
    def name(self) -> str: ...

    @property
    def saved(self) -> tuple[int, ...]: ...

    def evaluate(self, plan: Plan, x: Tensor, operands: Operands, *, keep: bool) -> Work[Results]:
        """Give what all steps of x (B, T, D) come to; ``keep`` what backward needs."""

    def gradients(self, plan: Plan, given: Given, grads: Sequence[Tensor | None]) -> Work[list[Tensor | None]]:
        """Give the gradients of x and of all operands; those that are not needed may be None."""

    def step(
        self, operands: Operands, projected: Tensor, h: Tensor, seen: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the next output and cells in differentiable operations; ``seen`` is h under its mask."""


def project_into(into: Tensor, packed: Tensor, w_x: Tensor, bias: Tensor | None, start: int = 0) -> Tensor:
    """Write packed · w_xᵀ + bias into ``into`` (N, k), for the k pre-activations from ``start`` on."""
    end = start + into.shape[1]
    if bias is None:
        return torch.mm(packed, w_x[start:end].t(), out=into)
    return torch.addmm(bias[start:end], packed, w_x[start:end].t(), out=into)


def masks_of(plan: Plan, mask: Tensor | None) -> list[Tensor] | list[None]:
    """Return for each step the mask of the active rows, or None."""
    return [None] * plan.longest if mask is None else plan.active(mask)


def add_product(into: Tensor, left: Tensor, weight: Tensor, mask: Tensor | None) -> None:
    """Add the product of a step's gradient with the recurrent weight, as the mask lets it through, in place."""
    if mask is None:
        into.addmm_(left, weight)
    else:
        into.addcmul_(left @ weight, mask)


def masked(plan: Plan, outputs: Tensor, mask: Tensor | None) -> Tensor:
    """Return the outputs (N, P) as the recurrent product of the next step sees them."""
    return outputs if mask is None else outputs * plan.spread(mask)


def product_gradients(
    plan: Plan, operands: Operands, outputs: Tensor, d_product: Tensor, *, needs_mask: bool
) -> dict[str, Tensor]:
    """Return the gradients of ``w_h`` and, if it is needed, of ``mask``.

    Args:
        plan: the layout.
        operands: the operands.
        outputs: of every step (N, P).
        d_product: gradient of the recurrent product at every step (N, gH).
        needs_mask: whether the mask's is needed.
    """
    mask, first = operands.mask, operands.h0
    gradients = {}
    if mask is not None:
        if needs_mask:
            gradients["mask"] = plan.total((d_product @ operands.w_h) * plan.shifted(first, outputs))
        first = first * mask
    gradients["w_h"] = plan.outer_shifted(d_product, first, masked(plan, outputs, mask))
    return gradients


def recurrent_gradients(
    plan: Plan,
    operands: Operands,
    outputs: Tensor,
    d_product: Tensor,
    d_h0: Tensor | None = None,
    *,
    needs_mask: bool,
) -> dict[str, Tensor]:
    """Return what :func:`product_gradients` gives and the gradient of ``h0``; ``d_h0`` (R, P) comes to it otherwise."""
    to_first = d_product[: plan.rows] @ operands.w_h
    if operands.mask is not None:
        to_first *= operands.mask
    gradients = product_gradients(plan, operands, outputs, d_product, needs_mask=needs_mask)
    gradients["h0"] = to_first if d_h0 is None else to_first.add_(d_h0)
    return gradients
