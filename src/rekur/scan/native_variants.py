"""The variants of the gated cells in compiled kernels: options around their equations, in any combination.

Layer normalization, a mask in the recurrent product, zoneout, peepholes, a projected output, reset before the product.
A step is one product for a block of rows, then work on whole rows, so that a row can be normalized.

Axes: B batch, R non-empty rows, T time, N real steps of the batch, D input features, H hidden, P output, G gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rekur.scan import native
from rekur.scan.bptt import Prepared, both_biases, gru_operands
from rekur.scan.differentiable import gated_step
from rekur.scan.operands import Backward, Forward, Operands, Ran, Stepped, masked, product_gradients
from rekur.scan.packed import Packed
from rekur.scan.plan import Plan

State = tuple[Tensor, ...]

#: equations -> number of gates of the input product, and of blocks saved for backward
_GATES = {"tanh": (1, 1), "relu": (1, 1), "lstm": (4, 4), "gru": (3, 4), "gru_reset_before": (3, 3)}

#: operands that have the same name in the kernels
_SAME_NAMES = ("peepholes", "gain_x", "gain_h", "gain_c", "bias_c", "stay_h", "stay_c", "h0", "mask", "c0")


class Nest(NamedTuple):
    """A cell and the wrappers around it, from the inside out; None for a missing wrapper."""

    core: Any
    norm: Any = None
    dropout: Any = None
    zoneout: Any = None


def nest_of(cell: Any) -> Nest:
    """Return the wrappers around a cell that the kernels support, and the cell inside them."""
    wrappers = {}
    for name, kind in (("zoneout", "zoneout"), ("dropout", "recurrent_dropout"), ("norm", "layer_norm")):
        if getattr(cell, "kind", "") == kind:
            wrappers[name], cell = cell, cell.cell
    return Nest(cell, **wrappers)


def variant(cell: Any) -> bool:
    """Return whether the kernels of the variants support a cell.

    Example:
        >>> from rekur.cells import GRU, LayerNorm, Residual
        >>> variant(LayerNorm(GRU(3, 5))), variant(Residual(GRU(3, 5)))
        (True, False)
    """
    return getattr(nest_of(cell).core, "kind", "") in ("elman", "lstm", "lstm_peephole", "gru", "gru_reset_before")


def prepare_variant(cell: Any, x: Tensor, state: State) -> Prepared:
    """Return the family of a cell and its operands; in training it draws the masks of zoneout for every step.

    Args:
        cell: a cell for which :func:`variant` is true.
        x: inputs (B, T, D).
        state: the cell's initial state; the mask of recurrent dropout is its last tensor.
    """
    core, norm, dropout, zoneout = nest_of(cell)
    states = tuple(s.to(core.weight_hh.dtype) for s in state)
    operands = _operands(core, states) if norm is None else _normalised(norm, states)
    if dropout is not None and dropout.training:
        operands = operands._replace(mask=states[-1])
    rates = (0.0, 0.0) if zoneout is None else (zoneout.hidden, zoneout.memory)
    if zoneout is not None and zoneout.training:
        operands = operands._replace(
            stay_h=_drawn(x, states[0], rates[0]),
            stay_c=None if operands.c0 is None else _drawn(x, operands.c0, rates[1]),
        )
        rates = (0.0, 0.0)
    family = NativeVariant(
        equations=core.nonlinearity if core.kind == "elman" else str(core.kind).removesuffix("_peephole"),
        epsilon=0.0 if norm is None else norm.eps,
        stay_h=rates[0],
        stay_c=rates[1],
        projected=operands.w_hr is not None,
    )
    return family, operands


def _drawn(x: Tensor, state: Tensor, rate: float) -> Tensor | None:
    """Return a zoneout mask (B, T, H): 1 for units that keep their value; None for a rate of 0."""
    if rate == 0.0:
        return None
    return (noise(x.shape[0], x.shape[1], state) < rate).to(state.dtype)


def noise(batch_size: int, steps: int, state: Tensor) -> Tensor:
    """Return uniform numbers (B, T, H) in [0, 1) for a state (B, H)."""
    return torch.rand(batch_size, steps, state.shape[1], dtype=state.dtype, device=state.device)


def _operands(core: Any, states: State) -> Operands:
    if core.kind == "gru":
        return gru_operands(core, states)
    operands = Operands(core.weight_ih, core.weight_hh, states[0], both_biases(core))
    if core.kind not in ("lstm", "lstm_peephole"):
        return operands
    peepholes = None
    if core.kind == "lstm_peephole":
        peepholes = torch.stack([core.weight_ci, core.weight_cf, core.weight_co])
    return operands._replace(c0=states[1], w_hr=getattr(core, "weight_hr", None), peepholes=peepholes)


def _normalised(norm: Any, states: State) -> Operands:
    """Return the operands under layer normalization, where all biases are added after the normalized products."""
    plain = _operands(norm.cell, states)
    return plain._replace(
        bias=None,
        b_norm=plain.bias,
        gain_x=norm.gain_ih,
        gain_h=norm.gain_hh,
        gain_c=norm.gain_c,
        bias_c=norm.bias_c,
    )


@dataclass(frozen=True)
class NativeVariant(Packed):
    """A gated cell with its options.

    Args:
        equations: "tanh", "relu", "lstm", "gru" or "gru_reset_before".
        epsilon: of layer normalization; 0 without it.
        stay_h: the share of h that zoneout keeps at every step in evaluation.
        stay_c: the same for c.
        projected: whether the output is projected.
    """

    equations: str
    epsilon: float = 0.0
    stay_h: float = 0.0
    stay_c: float = 0.0
    projected: bool = False

    @property
    def name(self) -> str:
        return f"native_variant {self.equations} {self.epsilon} {self.stay_h} {self.stay_c} {int(self.projected)}"

    @classmethod
    def named(cls, name: str) -> NativeVariant:
        """Return the family of that name."""
        _, equations, epsilon, stay_h, stay_c, projected = name.split()
        return cls(equations, float(epsilon), float(stay_h), float(stay_c), projected == "1")

    @property
    def saved(self) -> tuple[int, ...]:
        gates, pieces = _GATES[self.equations]
        products = (gates, gates) if self.epsilon else ()
        return (*products, pieces, *((1,) if self.equations == "lstm" else ()), *((1,) if self.projected else ()))

    def forward(self, plan: Plan, packed: Tensor, operands: Operands, outputs: Tensor, *, keep: bool) -> Forward:
        gates, pieces = _GATES[self.equations]
        size = operands.w_x.shape[0] // gates
        raw = native.empty(packed, packed.shape[0], gates * size)
        native.project(raw, packed, operands.w_x, operands.bias, keep)
        arguments = self._arguments(plan, operands, size, raw=raw, y=outputs, keep=int(keep))
        if operands.mask is not None:
            arguments["seen"] = (operands.h0 * operands.mask).contiguous()
        if not keep:
            cells = None if operands.c0 is None else operands.c0.clone(memory_format=torch.contiguous_format)
            self._call("forward", arguments, cells=cells)
            return Forward(cells, ())
        made: dict[str, Tensor] = {}
        if self.epsilon:
            made |= {"raw": raw, "product": native.empty(raw, raw.shape[0], gates * size)}
        made["kept"] = raw if not self.epsilon and gates == pieces else native.empty(raw, raw.shape[0], pieces * size)
        if operands.c0 is not None:
            made["cells"] = native.empty(raw, raw.shape[0], size)
        if self.projected:
            made["hiddens"] = native.empty(raw, raw.shape[0], size)
        self._call("forward", {**arguments, **made})
        return Forward(None if operands.c0 is None else plan.at_last(made["cells"]), tuple(made.values()))

    def backward(self, plan: Plan, operands: Operands, ran: Ran) -> Backward:
        outputs, saved, d_outputs, d_cells, needs_mask = ran
        gates, _ = _GATES[self.equations]
        size = operands.w_x.shape[0] // gates
        made = dict(zip(self._saved_names(), saved, strict=True))
        d_raw = native.empty(outputs, outputs.shape[0], gates * size)
        apart = bool(self.epsilon) or self.equations == "gru"
        d_product = native.empty(outputs, outputs.shape[0], gates * size) if apart else d_raw
        d_y, d_h = d_outputs.contiguous(), torch.zeros_like(operands.h0, memory_format=torch.contiguous_format)
        sums = outputs.new_zeros(3 * gates * size + 6 * size)
        d_c = None
        if operands.c0 is not None:
            d_c = torch.zeros_like(made["cells"][: plan.rows]) if d_cells is None else d_cells.contiguous()
        arguments = self._arguments(plan, operands, size, y=outputs, keep=1)
        self._call(
            "backward", {**arguments, **made}, d_y=d_y, d_raw=d_raw, d_product=d_product, d_h=d_h, d_c=d_c, sums=sums
        )
        others = {"h0": d_h, **self._from_sums(operands, sums, size)}
        if d_c is not None:
            others["c0"] = d_c
        if self.projected:
            others["w_hr"] = d_y.t() @ made["hiddens"]
        if self.equations == "gru_reset_before":
            others |= _reset_gradients(plan, operands, outputs, made["kept"], d_raw, needs_mask)
        else:
            others |= product_gradients(plan, operands, outputs, d_product, needs_mask=needs_mask)
        return Backward([(d_raw, 0)], others)

    def _saved_names(self) -> tuple[str, ...]:
        products = ("raw", "product") if self.epsilon else ()
        cells = ("cells",) if self.equations == "lstm" else ()
        return (*products, "kept", *cells, *(("hiddens",) if self.projected else ()))

    def _from_sums(self, operands: Operands, sums: Tensor, size: int) -> dict[str, Tensor]:
        """Return the gradients of the present operands that the kernels summed over all steps."""
        width = operands.w_x.shape[0]
        sizes = {"gain_x": width, "gain_h": width, "b_norm": width, "b_hn": size, "gain_c": size, "bias_c": size}
        parts = torch.split(sums, [*sizes.values(), 3 * size])
        gradients = {**dict(zip(sizes, parts, strict=False)), "peepholes": parts[-1].view(3, size)}
        return {name: value for name, value in gradients.items() if getattr(operands, name) is not None}

    def _arguments(self, plan: Plan, operands: Operands, size: int, **more: Any) -> dict[str, Any]:
        """Return the arguments of the kernels for both passes."""
        first, active = native.places(plan)
        arrays = {
            "weight": operands.w_h,
            "projection": operands.w_hr,
            "bias_m": operands.b_hn,
            "bias_x": operands.b_norm,
            **{name: getattr(operands, name) for name in _SAME_NAMES},
        }
        return {
            "equations": self.equations,
            "first": first,
            "active": active,
            "rows": plan.rows,
            "hidden": size,
            "outputs": operands.h0.shape[1],
            "epsilon": self.epsilon,
            "rate_h": self.stay_h,
            "rate_c": self.stay_c,
            **{name: native.whole(tensor) for name, tensor in arrays.items()},
            **more,
        }

    def _call(self, which: str, arguments: dict[str, Any], **more: Tensor | None) -> None:
        native.kernel(f"variant_{which}", arguments["y"])({**arguments, **more}, torch.get_num_threads())

    def step(self, operands: Operands, projected: Tensor, h: Tensor, seen: Tensor, c: Tensor | None) -> Stepped:
        options = {"epsilon": self.epsilon, "stay_h": self.stay_h, "stay_c": self.stay_c}
        return gated_step(self.equations, operands, projected, h, seen, c, **options)


def _reset_gradients(
    plan: Plan, operands: Operands, outputs: Tensor, gates: Tensor, d_raw: Tensor, needs_mask: bool
) -> dict[str, Tensor]:
    """Return the gradients of w_h and mask for a reset before the product."""
    size, mask = outputs.shape[1], operands.mask
    first = operands.h0 if mask is None else operands.h0 * mask
    seen, reset = plan.shifted(first, masked(plan, outputs, mask)), gates[:, :size]
    d_gates, d_n = d_raw[:, : 2 * size], d_raw[:, 2 * size :]
    gradients = {"w_h": torch.cat([d_gates.t() @ seen, d_n.t() @ (reset * seen)])}
    if mask is not None and needs_mask:
        d_seen = (d_n @ operands.w_h[2 * size :]).mul_(reset).addmm_(d_gates, operands.w_h[: 2 * size])
        gradients["mask"] = plan.total(d_seen * plan.shifted(operands.h0, outputs))
    return gradients
