"""Checks of the arguments of a scan.

Axes: B batch, T time, D input features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rekur.errors import InputError, ShapeError, describe
from rekur.scan.precision import is_mixed, weight_of

State = tuple[Tensor, ...]


def check_input(cell: Any, x: Any) -> None:
    """Raise unless x is (B, T, D) with the cell's D, in the dtype and on the device of its weights."""
    if not isinstance(x, Tensor):
        fix = "torch.fx cannot look inside: name it in Tracer.is_leaf_module." if isinstance(x, torch.fx.Proxy) else ""
        raise InputError(describe("x", type(x).__name__, "a torch.Tensor (B, T, D)", fix))
    if x.dim() != 3:
        fix = "One sequence is a batch of one: x.unsqueeze(0)." if x.dim() == 2 else ""
        raise ShapeError(describe("shape of x", _shape(x), "three axes (B, T, D)", fix))
    if x.shape[2] != cell.input_size:
        expected = f"(B, T, {cell.input_size}), as the cell's input_size says"
        raise ShapeError(describe("shape of x", _shape(x), expected))
    if not x.is_floating_point():
        fix = "Turn token ids into vectors by an embedding first; other numbers by x.float()."
        raise InputError(describe("dtype of x", x.dtype, "a floating-point dtype", fix))
    weight = weight_of(cell)
    if weight is not None and weight.device != x.device:
        fix = "Move one of them with .to(device)."
        raise InputError(describe("device of x", x.device, f"{weight.device}, where the cell is", fix))
    if weight is not None and weight.dtype != x.dtype and not is_mixed(x):
        fix = f"Use x.to({weight.dtype}), or cell.to({x.dtype})."
        raise InputError(describe("dtype of x", x.dtype, f"{weight.dtype}, the dtype of the cell's weights", fix))


def check_lengths(lengths: Any, x: Tensor) -> Tensor:
    """Return the lengths on the CPU as int64, or raise unless they are whole numbers (B,) in [0, T]."""
    batch_size, steps = x.shape[0], x.shape[1]
    if not isinstance(lengths, Tensor):
        fix = "Use torch.tensor(lengths)."
        raise InputError(describe("lengths", type(lengths).__name__, "an int64 torch.Tensor (B,)", fix))
    if lengths.dtype not in (torch.int64, torch.int32):
        fix = "Use lengths.long()."
        raise InputError(describe("dtype of lengths", lengths.dtype, "torch.int64", fix))
    if lengths.shape != (batch_size,):
        expected = f"({batch_size},), one length for each row of x"
        raise ShapeError(describe("shape of lengths", _shape(lengths), expected))
    here = lengths.detach().to("cpu", torch.int64)
    outside = ((here < 0) | (here > steps)).nonzero()
    if len(outside):
        row = int(outside[0])
        expected = f"whole numbers in [0, {steps}], as x has {steps} time steps"
        raise InputError(describe(f"lengths[{row}]", int(here[row]), expected))
    return here


def check_state(cell: Any, x: Tensor, state: Any) -> State:
    """Return the initial state, or raise unless its tensors have the shapes (B, …) of the cell's state."""
    if state is None:
        initial: State = cell.initial_state(x.shape[0], device=x.device, dtype=x.dtype)
        return initial
    sizes = cell.state_sizes()
    expected = ", ".join(f"({', '.join(('B', *map(str, size)))})" for size in sizes)
    if not isinstance(state, tuple | list) or not all(isinstance(s, Tensor) for s in state):
        fix = "Put a single tensor in a tuple: (h,)." if isinstance(state, Tensor) else ""
        raise InputError(describe("state", type(state).__name__, f"a tuple of tensors: {expected}", fix))
    if len(state) != len(sizes):
        raise ShapeError(describe("number of tensors in state", len(state), f"{len(sizes)}: {expected}"))
    for i, (tensor, size) in enumerate(zip(state, sizes, strict=True)):
        if tuple(tensor.shape) != (x.shape[0], *size):
            raise ShapeError(describe(f"shape of state[{i}]", _shape(tensor), f"{(x.shape[0], *size)}"))
        if tensor.dtype != x.dtype and not is_mixed(x):
            raise InputError(describe(f"dtype of state[{i}]", tensor.dtype, f"{x.dtype}, the dtype of x"))
        if tensor.device != x.device:
            raise InputError(describe(f"device of state[{i}]", tensor.device, f"{x.device}, where x is"))
    return tuple(state)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
