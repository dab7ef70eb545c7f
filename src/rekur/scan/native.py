"""Families of cells that run entirely in compiled kernels, one call for all steps and rows, forward or backward.

The results of a row are the same bits whatever else is in the batch, however the sequence is cut, and with or without
training: every sum of a forward pass has a fixed order.

Axes: B batch, T time, N real steps of the batch, D input features, H hidden, K heads, E = H/K units of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from rekur._kernels import kernels
from rekur.scan.differentiable import gated_step
from rekur.scan.jobs import Work
from rekur.scan.operands import BackwardInputs, Family, Operands, Results, Stepped, project_into
from rekur.scan.plan import Plan
from rekur.scan.precision import weight_of

# smallest size of an array whose memory is kept for the next one
_LARGE = 1 << 19
#: dtypes of the kernels
DTYPES = (torch.float32, torch.float64)
#: kind of recurrence -> width, in multiples of H, of each tensor that is saved for backward
SAVED: Mapping[str, tuple[int, ...]] = {"tanh": (), "relu": (), "lstm": (4, 1), "gru": (4,), "slstm": (4, 3)}


def available() -> bool:
    """Return whether the compiled kernels are installed."""
    return kernels is not None


class NativeLayer:
    """One kind of recurrence on the kernels.

    Gates have PyTorch's order, those of an sLSTM i, f, z, o; the two biases are those of the cell. The cells of an
    sLSTM are c, n and m, concatenated.

    Args:
        kind: one of :data:`SAVED`.
    """

    def __init__(self, kind: str) -> None:
        self.kind, self.name, self.saved = kind, f"native_{kind}", SAVED[kind]

    def evaluate(self, plan: Plan, x: Tensor, operands: Operands, *, keep: bool) -> Work[Results]:
        """Run all steps of x (B, T, D); ``keep`` saves tensors for backward."""
        batch, steps, size = x.shape[0], x.shape[1], operands.h0.shape[1]
        real = batch * steps if plan.lengths is None else int(plan.lengths.sum())
        y = _like_input(x, size)
        states = [torch.empty_like(s, memory_format=torch.contiguous_format) for s in _states(operands)]
        saved = tuple(empty(y, real, count * size) for count in self.saved) if keep else ()
        arguments = self._arguments(plan, x, operands, y)
        arguments |= {"keep": keep, "bias": whole(operands.bias), "bias_h": whole(operands.bias_h)}
        arguments |= dict(zip(("h_last", "c_last"), states, strict=False))
        yield kernel("forward", x)(arguments | _saved_by_name(saved))
        return Results([y, *states], saved)

    def gradients(
        self, plan: Plan, inputs: BackwardInputs, grads: Sequence[Tensor | None]
    ) -> Work[list[Tensor | None]]:
        """Compute the gradients of x and of all operands; those that are not needed may be None."""
        x, operands = inputs.x, inputs.operands
        d_y, d_h, d_c = (*grads, None)[:3]
        needed = dict(zip(("x", *Operands._fields), inputs.needed, strict=True))
        gradients: dict[str, Tensor] = {"h0": torch.zeros_like(operands.h0, memory_format=torch.contiguous_format)}
        if operands.c0 is not None:
            gradients["c0"] = torch.zeros_like(operands.c0, memory_format=torch.contiguous_format)
            if d_c is not None:
                gradients["c0"].copy_(d_c)
        if needed["x"]:
            gradients["x"] = _like_input(x, x.shape[2])
        for name in ("w_x", "w_h", "bias", "bias_h"):
            if needed[name]:
                tensor = getattr(operands, name)
                gradients[name] = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        if needed["mask"]:
            gradients["mask"] = torch.zeros_like(cast(Tensor, operands.mask), memory_format=torch.contiguous_format)
        values = self._arguments(plan, x, operands, inputs.y)
        values |= {"d_y": None if d_y is None else strided(d_y), "d_last": whole(d_h)}
        values |= {f"d_{_KERNEL_NAMES.get(name, name)}": tensor for name, tensor in gradients.items()}
        yield kernel("backward", x)(values | _saved_by_name(inputs.saved))
        return [gradients.get(name) for name in ("x", *Operands._fields)]

    def _arguments(self, plan: Plan, x: Tensor, operands: Operands, y: Tensor) -> dict[str, Any]:
        """Return the arguments of the kernels for both passes."""
        size = operands.h0.shape[1]
        return {
            "kind": self.kind,
            "batch": x.shape[0],
            "steps": x.shape[1],
            "input": x.shape[2],
            "hidden": size,
            "heads": size // operands.w_h.shape[1],
            "reverse": plan.reverse,
            "lengths": whole(plan.lengths),
            "x": strided(x),
            "y": strided(y),
            "weight_x": whole(operands.w_x),
            "weight": whole(operands.w_h),
            "h0": whole(operands.h0),
            "c0": whole(operands.c0),
            "mask": whole(operands.mask),
        }

    def step(self, operands: Operands, projected: Tensor, h: Tensor, seen: Tensor, c: Tensor | None) -> Stepped:
        """Return the next output and cells in differentiable operations; ``seen`` is the masked h."""
        return gated_step(self.kind, operands, projected, h, seen, c)


#: operands that have another name in the kernels
_KERNEL_NAMES = {"w_x": "weight_x", "w_h": "weight"}


def _states(operands: Operands) -> list[Tensor]:
    return [s for s in (operands.h0, operands.c0) if s is not None]


def _saved_by_name(saved: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return name -> saved tensor: none, the gates, or the gates and the cells."""
    return dict(zip(("gates", "cells"), saved, strict=False))


def _like_input(x: Tensor, size: int) -> Tensor:
    """Return new memory (B, T, size), time-major if x is."""
    batch, steps = x.shape[0], x.shape[1]
    if x.stride(0) < x.stride(1):
        return empty(x, steps * batch, size).view(steps, batch, size).transpose(0, 1)
    return empty(x, batch * steps, size).view(batch, steps, size)


def kernel(name: str, like: Tensor) -> Any:
    """Return the kernel of that name for the dtype of ``like``."""
    return getattr(kernels, f"{name}_{'single' if like.dtype == torch.float32 else 'double'}")


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
    r"""Return :math:`x W^\top + b`; the bits of a row do not depend on the other rows.

    Args:
        x: (N, D), float32 or float64 on the CPU.
        weight: (C, D).
        bias: (C,), or None.
        out: memory for the result, (N, C) with a contiguous last axis; by default new memory.

    Example:
        >>> x, weight = torch.randn(5, 3), torch.randn(2, 3)
        >>> not available() or bool((product(x, weight)[3] == product(x[3:4], weight)[0]).all())
        True
    """
    if out is None:
        out = x.new_empty(x.shape[0], weight.shape[0])
    span = 0 if out.numel() == 0 else (out.shape[0] - 1) * out.stride(0) + out.shape[1]
    target = out.as_strided((span,), (1,))
    kernels.product(whole(x), whole(weight), whole(bias), target, out.stride(0), torch.get_num_threads())
    return out


def _prepared(kind: str, cell: Any, state: tuple[Tensor, ...]) -> tuple[Family, Operands]:
    c0 = torch.cat(state[1:], 1) if len(state) > 2 else state[1] if len(state) == 2 else None
    operands = Operands(cell.weight_ih, cell.weight_hh, state[0], cell.bias_ih, c0=c0, bias_h=cell.bias_hh)
    return NativeLayer(kind), operands


#: kind of cell -> function that returns its family and operands
KINDS: Mapping[str, Callable[[Any, tuple[Tensor, ...]], tuple[Family, Operands]]] = {
    "elman": lambda cell, state: _prepared(cell.nonlinearity, cell, state),
    **{kind: partial(_prepared, kind) for kind in ("lstm", "gru", "slstm")},
}


def plain(cell: Any) -> bool:
    """Return whether a cell, or the one inside recurrent dropout, is in :data:`KINDS`."""
    inner = cell.cell if getattr(cell, "kind", "") == "recurrent_dropout" else cell
    return getattr(inner, "kind", "") in KINDS and getattr(inner, "weight_hr", None) is None


def refusal(cell: Any, supported: bool) -> str:
    """Return why the kernels cannot run ``cell``, or an empty string; ``supported`` says if they have its equations."""
    if not available():
        return "The compiled kernels are not installed: `rekur doctor` says why."
    if not supported:
        return f"There is no kernel for the equations of {type(cell).__name__}."
    weight = weight_of(cell)
    if weight is not None and (weight.device.type != "cpu" or weight.dtype not in DTYPES):
        return f"The kernels run float32 and float64 on a CPU; the weights are {weight.dtype} on {weight.device}."
    return ""


def project(into: Tensor, packed: Tensor, w_x: Tensor, bias: Tensor | None, keep: bool) -> None:
    """Write packed · w_xᵀ + bias into ``into``: in training by PyTorch, else by :func:`product`."""
    if keep:
        project_into(into, packed, w_x, bias)
    else:
        product(packed, w_x, bias, out=into)


def whole(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor, or a contiguous copy, as the kernels need it."""
    return None if tensor is None else tensor.resolve_neg().contiguous()


def strided(tensor: Tensor) -> Tensor:
    """Return the tensor, or a contiguous copy if its last axis is not contiguous."""
    tensor = tensor.resolve_neg()
    return tensor if tensor.shape[-1] < 2 or tensor.stride(-1) == 1 else tensor.contiguous()


def empty(like: Tensor, rows: int, columns: int) -> Tensor:
    """Return new memory (rows, columns) of the dtype of ``like``, from the kernels' own store if it is large."""
    if rows * columns < _LARGE:
        return like.new_empty(rows, columns)
    made: Tensor = kernel("empty", like)(rows * columns).view(rows, columns)
    return made.fill_(math.nan) if torch.are_deterministic_algorithms_enabled() else made


def places(plan: Plan) -> tuple[Any, Any]:
    """Return the index of each step's first row (T,) and its number of rows (T,)."""
    if plan.index is None:
        steps = np.arange(plan.steps, dtype=np.int64)
        return steps * plan.batch_size, np.full_like(steps, plan.batch_size)
    active = np.asarray(plan.sizes, dtype=np.int64)
    return active.cumsum() - active, active
