"""Families of cells whose serial part runs in compiled kernels, one call for all steps and rows.

The products that need no state (of the inputs, of the weights' gradients) stay PyTorch's while training. In inference
they are the kernels' own too: there the sum of every number runs in one order, so that a row's result is the same bits
whatever else is in the batch and however the sequence was cut.

Axes: B batch, R rows that have a step, T time, N real steps of the batch, D input features, H hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from rekur._kernels import kernels
from rekur.scan.bptt import both_biases, gru_operands
from rekur.scan.elman import ElmanFamily
from rekur.scan.gru import GRUFamily
from rekur.scan.jobs import Work
from rekur.scan.operands import Backward, Family, Forward, Operands, Ran, product_gradients, project_into
from rekur.scan.plan import Plan

# numbers of an array whose memory is worth keeping for the next one
_LARGE = 1 << 19
#: dtypes that the kernels know
DTYPES = (torch.float32, torch.float64)


def available() -> bool:
    """Return whether the compiled kernels are installed."""
    return kernels is not None


class NativeElman(ElmanFamily):
    """The simple recurrent network on the kernels.

    Args:
        nonlinearity: "tanh" or "relu".
    """

    def __init__(self, nonlinearity: str) -> None:
        super().__init__(nonlinearity)
        self.nonlinearity = nonlinearity
        self.name = f"native_rnn_{nonlinearity}"

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Work[Forward]:
        project(outputs, packed, operands.w_x, operands.bias, keep)
        yield from run_forward(self.nonlinearity, plan, operands, outputs, outputs, None, keep=keep)
        return Forward(None, ())

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Work[Backward]:
        outputs = ran.outputs
        d_gates = empty(outputs, outputs.shape[1])
        d_h0 = yield from run_backward(
            self.nonlinearity, plan, operands, outputs, outputs, None, ran.d_outputs, d_gates, None
        )
        others = product_gradients(plan, operands, outputs, d_gates, needs_mask=ran.needs_mask)
        return Backward([(d_gates, 0)], {**others, "h0": d_h0})


class NativeLSTM:
    """Long short-term memory on the kernels; gates stand in PyTorch's order i, f, g, o."""

    name = "native_lstm"
    saved = (4, 1)

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Work[Forward]:
        size = outputs.shape[1]
        gates = empty(packed, 4 * size)
        project(gates, packed, operands.w_x, operands.bias, keep)
        cells = empty(outputs, size) if keep else cast(Tensor, operands.c0).clone(memory_format=torch.contiguous_format)
        yield from run_forward("lstm", plan, operands, gates, outputs, cells, keep=keep)
        return Forward(plan.at_last(cells), (gates, cells)) if keep else Forward(cells, ())

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Work[Backward]:
        outputs, (gates, cells), d_outputs, d_cells, needs_mask = ran
        d_gates = empty(gates, gates.shape[1])
        d_c = torch.zeros_like(cells[: plan.rows]) if d_cells is None else d_cells.contiguous()
        d_h0 = yield from run_backward("lstm", plan, operands, gates, outputs, cells, d_outputs, d_gates, d_c)
        others = product_gradients(plan, operands, outputs, d_gates, needs_mask=needs_mask)
        return Backward([(d_gates, 0)], {**others, "h0": d_h0, "c0": d_c})

    def step(
        self, operands: Operands, projected: Tensor, h: Tensor, seen: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        i, f, g, o = torch.addmm(projected, seen, operands.w_h.t()).chunk(4, 1)
        after = torch.sigmoid(f) * cast(Tensor, c) + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(after), after


class NativeGRU(GRUFamily):
    """The gated recurrent unit, reset after the product, on the kernels; pieces stand r, z, n, m."""

    name = "native_gru"
    saved = (4,)

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Work[Forward]:
        size = outputs.shape[1]
        gates = empty(packed, 4 * size)
        project(gates[:, : 3 * size], packed, operands.w_x, operands.bias, keep)
        yield from run_forward("gru", plan, operands, gates, outputs, None, keep=keep)
        return Forward(None, (gates,) if keep else ())

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Work[Backward]:
        outputs, (gates,), d_outputs, _, needs_mask = ran
        size = outputs.shape[1]
        d_gates = empty(gates, gates.shape[1])
        d_h0 = yield from run_backward("gru", plan, operands, gates, outputs, None, d_outputs, d_gates, None)
        others = {"h0": d_h0, **self._product_gradients(plan, operands, outputs, d_gates, needs_mask)}
        if operands.b_hn is not None:
            others["b_hn"] = d_gates[:, 3 * size :].sum(0)
        return Backward([(d_gates[:, : 3 * size], 0)], others)

    def _product_gradients(
        self, plan: Plan, operands: Operands, outputs: Tensor, d_gates: Tensor, needs_mask: bool
    ) -> dict[str, Tensor]:
        """Return the gradients of w_h and mask; of its two parts the product's gradient has another between."""
        split = 2 * outputs.shape[1]
        parts = [(d_gates[:, :split], operands.w_h[:split]), (d_gates[:, -outputs.shape[1] :], operands.w_h[split:])]
        found = [
            product_gradients(plan, operands._replace(w_h=w_h), outputs, d, needs_mask=needs_mask) for d, w_h in parts
        ]
        gradients = {"w_h": torch.cat([part["w_h"] for part in found])}
        if "mask" in found[0]:
            gradients["mask"] = found[0]["mask"] + found[1]["mask"]
        return gradients


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
    r"""Return :math:`x W^\top + b`, each row the same bits whatever rows stand around it.

    Args:
        x: (N, D), float32 or float64 on the CPU.
        weight: (C, D).
        bias: (C,), or None.
        out: where to write, (N, C) with its last axis contiguous; by default new memory.

    Example:
        >>> x, weight = torch.randn(5, 3), torch.randn(2, 3)
        >>> not available() or bool((product(x, weight)[3] == product(x[3:4], weight)[0]).all())
        True
    """
    if out is None:
        out = x.new_empty(x.shape[0], weight.shape[0])
    span = 0 if out.numel() == 0 else (out.shape[0] - 1) * out.stride(0) + out.shape[1]
    target = memory_of(out.as_strided((span,), (1,)))
    kernels.product(array(x), array(weight), array(bias), target, out.stride(0), torch.get_num_threads())
    return out


def _elman(cell: Any, state: tuple[Tensor, ...]) -> tuple[Family, Operands]:
    operands = Operands(cell.weight_ih, cell.weight_hh, state[0], both_biases(cell))
    return NativeElman(cell.nonlinearity), operands


def _lstm(cell: Any, state: tuple[Tensor, ...]) -> tuple[Family, Operands]:
    return NativeLSTM(), Operands(cell.weight_ih, cell.weight_hh, state[0], both_biases(cell), c0=state[1])


def _gru(cell: Any, state: tuple[Tensor, ...]) -> tuple[Family, Operands]:
    return NativeGRU(), gru_operands(cell, state)


#: how the weights of each kind of cell become operands
KINDS: Mapping[str, Callable[[Any, tuple[Tensor, ...]], tuple[Family, Operands]]] = {
    "elman": _elman,
    "lstm": _lstm,
    "gru": _gru,
}


def plain(cell: Any) -> bool:
    """Tell whether a cell, or the one inside recurrent dropout, is of :data:`KINDS`."""
    inner = cell.cell if getattr(cell, "kind", "") == "recurrent_dropout" else cell
    return getattr(inner, "kind", "") in (*KINDS, "slstm") and getattr(inner, "weight_hr", None) is None


def refusal(cell: Any, known: bool) -> str:
    """Return why the kernels cannot run ``cell``, whose equations they know or not, or an empty string."""
    if not available():
        return "The compiled kernels are not installed: `rekur doctor` says why."
    if not known:
        return f"There is no kernel for the equations of {type(cell).__name__}."
    inner = cell
    while hasattr(inner, "cell"):
        inner = inner.cell
    weight = getattr(inner, "weight_hh", None)  # an attribute: the cells of the drop-ins borrow theirs
    weight = next(inner.parameters(), None) if weight is None else weight
    if weight is not None and (weight.device.type != "cpu" or weight.dtype not in DTYPES):
        return f"The kernels run float32 and float64 on a CPU; the weights are {weight.dtype} on {weight.device}."
    return ""


def project(into: Tensor, packed: Tensor, w_x: Tensor, bias: Tensor | None, keep: bool) -> None:
    """Write packed · w_xᵀ + bias into ``into``: while training PyTorch's product, else one that keeps a row's bits."""
    if keep:
        project_into(into, packed, w_x, bias)
    else:
        product(packed, w_x, bias, out=into)


def array(tensor: Tensor | None) -> Any:
    """Return a tensor's numbers as the kernels take them: a contiguous array, the tensor's own memory if it is so."""
    return None if tensor is None else tensor.detach().contiguous().numpy()


def memory_of(tensor: Tensor | None) -> Any:
    """Return a tensor's own memory as an array, to be written: handing a tensor itself on takes many times as long."""
    return None if tensor is None else tensor.detach().numpy()


def empty(like: Tensor, columns: int) -> Tensor:
    """Return new memory (N, columns) for ``like`` (N, …), of the kernels' own store where it is much."""
    rows = like.shape[0]
    if rows * columns < _LARGE:
        return like.new_empty(rows, columns)
    make = kernels.empty_single if like.dtype == torch.float32 else kernels.empty_double
    made: Tensor = make(rows * columns).view(rows, columns)
    return made.fill_(math.nan) if torch.are_deterministic_algorithms_enabled() else made


def places(plan: Plan) -> tuple[Any, Any]:
    """Return where each step's rows begin (T,) and how many there are (T,)."""
    if plan.index is None:
        steps = np.arange(plan.steps, dtype=np.int64)
        return steps * plan.batch_size, np.full_like(steps, plan.batch_size)
    active = np.asarray(plan.sizes, dtype=np.int64)
    return active.cumsum() - active, active


def run_forward(
    kind: str,
    plan: Plan,
    operands: Operands,
    gates: Tensor,
    outputs: Tensor,
    cells: Tensor | None,
    *,
    keep: bool,
    heads: int = 1,
    memory: Tensor | None = None,
) -> Work[None]:
    """Run all steps: fill ``outputs``, ``cells`` and, where it is kept for backward, ``gates``."""
    first, active = places(plan)
    mask, h0 = operands.mask, operands.h0
    yield kernels.forward(
        kind,
        first,
        active,
        1,
        plan.rows,
        outputs.shape[1],
        array(operands.w_h),
        array(operands.b_hn),
        array(h0),
        array(h0 if mask is None else h0 * mask),
        array(mask),
        array(operands.c0) if keep else None,
        memory_of(gates),
        memory_of(outputs),
        memory_of(cells),
        None if mask is None else memory_of(outputs.new_empty(2, *h0.shape)),
        keep,
        heads=heads,
        memory=memory_of(memory),
    )


def run_backward(
    kind: str,
    plan: Plan,
    operands: Operands,
    gates: Tensor,
    outputs: Tensor,
    cells: Tensor | None,
    d_outputs: Tensor,
    d_gates: Tensor,
    d_cells: Tensor | None,
    heads: int = 1,
) -> Work[Tensor]:
    """Fill ``d_gates`` and ``d_cells``, which comes with the gradient of the last cells; return that of h0 (R, H)."""
    first, active = places(plan)
    d_h0 = torch.zeros_like(operands.h0, memory_format=torch.contiguous_format)
    yield kernels.backward(
        kind,
        first,
        active,
        1,
        plan.rows,
        outputs.shape[1],
        array(operands.w_h),
        array(operands.h0),
        array(operands.c0),
        array(operands.mask),
        memory_of(gates),
        memory_of(outputs),
        memory_of(cells),
        array(d_outputs),
        memory_of(d_gates),
        memory_of(d_h0),
        memory_of(d_cells),
        heads=heads,
    )
    return d_h0
