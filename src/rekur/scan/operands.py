"""The operands of the hand-written scans, and the large products of their backward passes.

Axes: B batch, R non-empty rows, N real steps of the batch, D input features, H hidden, P output, g gates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from rekur.scan.jobs import Work
from rekur.scan.plan import Plan


class Operands(NamedTuple):
    """All tensors of a recurrence except the inputs; gates have the order in which the family computes them.

    Attributes:
        w_x: input weights (gH, D).
        w_h: recurrent weights (gH, P).
        h0: initial outputs (B, P).
        bias: (gH,), or None.
        mask: (B, P), multiplies the previous output in the recurrent product only; or None.
        c0: initial cells (B, H), for families that have them; several tensors are concatenated.
        w_hr: projection (P, H), or None.
        peepholes: (3, H), or None.
        b_hn: (H,), the bias inside the reset product of a GRU, or None.
        bias_h: (gH,), the second bias for families that keep a cell's two biases apart, or None.
        gain_x: (gH,), of the normalized input product; None without normalization.
        gain_h: (gH,), of the normalized recurrent product, or None.
        b_norm: (gH,), added after the normalized products, or None.
        gain_c: (H,), of the normalized memory, or None.
        bias_c: (H,), of the normalized memory, or None.
        stay_h: (B, T, P), 1 for outputs that keep their value at a step, else 0; or None.
        stay_c: (B, T, H), the same for the cells, or None.
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
        """Return the operands with states and mask of the non-empty rows (R, …), and packed stay masks (N, …)."""
        states = {name: plan.take_rows(t) for name, t in self._present("h0", "c0", "mask")}
        return self._replace(**states, **{n: plan.pack(plan.layout(t)) for n, t in self._present("stay_h", "stay_c")})

    def each(self, plan: Plan) -> list[Operands]:
        """Return the result of :meth:`rows` for each step, with stay masks (rows active at that step, …)."""
        steps = [self] * plan.longest
        for name, stay in self._present("stay_h", "stay_c"):
            steps = [o._replace(**{name: at}) for o, at in zip(steps, plan.each(stay), strict=True)]
        return steps

    def _present(self, *names: str) -> Iterator[tuple[str, Tensor]]:
        return ((name, getattr(self, name)) for name in names if getattr(self, name) is not None)


class Forward(NamedTuple):
    """The cells after each row's last step (R, H), for families that have them, and the tensors saved for backward."""

    last_cells: Tensor | None
    saved: tuple[Tensor, ...]


class Ran(NamedTuple):
    """The results of a forward pass with their gradients.

    Attributes:
        outputs: of every step (N, P).
        saved: the tensors saved for backward.
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
    """The gradients of a family, before those of the input projection.

    Attributes:
        blocks: (gradient (N, k) of k pre-activations, index of the first); together they cover all gH.
        others: operand -> gradient; those of states and mask are (R, …).
    """

    blocks: list[tuple[Tensor, int]]
    others: dict[str, Tensor]


#: the result of a family, or a work that returns it and may run in parallel with another
Forwards = Forward | Work[Forward]
Backwards = Backward | Work[Backward]


#: the next output and cells
Stepped = tuple[Tensor, Tensor | None]


class Results(NamedTuple):
    """[y, h] or [y, h, c]: outputs (B, T, P), states (B, …) after each row's last step; and tensors for backward."""

    tensors: list[Tensor]
    saved: tuple[Tensor, ...]


class BackwardInputs(NamedTuple):
    """The inputs of a backward pass.

    Attributes:
        x: the inputs (B, T, D).
        operands: the operands of the forward pass.
        y: the outputs (B, T, P).
        saved: the tensors saved for backward.
        needed: whether the gradients of x and of each operand are needed.
    """

    x: Tensor
    operands: Operands
    y: Tensor
    saved: Sequence[Tensor]
    needed: Sequence[bool]


class Family(Protocol):
    """One hand-written family of cells.

    Attributes:
        name: its name for operators.
        saved: the width, in multiples of H, of each tensor that ``evaluate`` saves for backward.
    """

    @property
    def name(self) -> str: ...

    @property
    def saved(self) -> tuple[int, ...]: ...

    def evaluate(self, plan: Plan, x: Tensor, operands: Operands, *, keep: bool) -> Work[Results]:
        """Run all steps of x (B, T, D); ``keep`` saves tensors for backward."""

    def gradients(
        self, plan: Plan, inputs: BackwardInputs, grads: Sequence[Tensor | None]
    ) -> Work[list[Tensor | None]]:
        """Compute the gradients of x and of all operands; those that are not needed may be None."""

    def step(self, operands: Operands, projected: Tensor, h: Tensor, seen: Tensor, c: Tensor | None) -> Stepped:
        """Return the next output and cells in differentiable operations; ``seen`` is the masked h."""


def project_into(into: Tensor, packed: Tensor, w_x: Tensor, bias: Tensor | None, start: int = 0) -> Tensor:
    """Write packed · w_xᵀ + bias into ``into`` (N, k), for the k pre-activations from ``start`` on."""
    end = start + into.shape[1]
    if bias is None:
        return torch.mm(packed, w_x[start:end].t(), out=into)
    return torch.addmm(bias[start:end], packed, w_x[start:end].t(), out=into)


def masks_of(plan: Plan, mask: Tensor | None) -> list[Tensor] | list[None]:
    """Return the mask of the active rows for each step, or a list of None."""
    return [None] * plan.longest if mask is None else plan.active(mask)


def add_product(into: Tensor, left: Tensor, weight: Tensor, mask: Tensor | None) -> None:
    """Add the masked product of a step's gradient with the recurrent weight, in place."""
    if mask is None:
        into.addmm_(left, weight)
    else:
        into.addcmul_(left @ weight, mask)


def masked(plan: Plan, outputs: Tensor, mask: Tensor | None) -> Tensor:
    """Return the outputs (N, P) after the mask of the recurrent product."""
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
    """Return :func:`product_gradients` and the gradient of ``h0``; ``d_h0`` (R, P) is its part from other paths."""
    to_first = d_product[: plan.rows] @ operands.w_h
    if operands.mask is not None:
        to_first *= operands.mask
    gradients = product_gradients(plan, operands, outputs, d_product, needs_mask=needs_mask)
    gradients["h0"] = to_first if d_h0 is None else to_first.add_(d_h0)
    return gradients
