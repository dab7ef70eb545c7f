"""Checks of the arguments of the layers with the names of torch.nn's, with errors of the types that torch raises.

Axes: B batch, T time, D input features, H hidden, P projected hidden, L layers.
"""

from __future__ import annotations

import numbers
from typing import Any

from torch import Tensor, nn

from rekur.errors import InputError, ShapeError, describe
from rekur.scan.precision import is_mixed


def check_input(layer: nn.RNNBase, x: Tensor) -> None:
    """Raise unless x (B, T, D) has the layer's number of features and dtype."""
    weight: Any = layer._flat_weights[0]
    if x.dtype != weight.dtype and not is_mixed(x):
        fix = f"Use input.to({weight.dtype}), or move the layer with .to({x.dtype})."
        raise ShapeError(describe("dtype of input", x.dtype, f"{weight.dtype}, that of the weights", fix))
    if x.shape[2] != layer.input_size:
        fix = "Is batch_first as it should be?" if layer.input_size in x.shape[:2] else ""
        expected = f"{layer.input_size}, the layer's input_size"
        raise ShapeError(describe("features of input", x.shape[2], expected, fix))


def check_hidden(layer: nn.RNNBase, x: Tensor, hx: Any, single: bool) -> tuple[Tensor, ...]:
    """Return the tensors of hx, or zeros for None; raise unless they fit x (B, T, D).

    Args:
        layer: the layer.
        x: inputs (B, T, D).
        hx: the argument of ``forward``.
        single: whether hx belongs to one sequence, (L·dirs, H), instead of a batch, (L·dirs, B, H).
    """
    names = ("hx[0]", "hx[1]") if layer.mode == "LSTM" else ("hx",)
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [layer.proj_size or layer.hidden_size, layer.hidden_size][: len(names)]
    if hx is None:
        shapes = [(count, size) if single else (count, x.shape[0], size) for size in sizes]
        return tuple(x.new_zeros(shape) for shape in shapes)
    if len(names) > 1 and (isinstance(hx, Tensor) or len(hx) != len(names)):
        got = "a tensor" if isinstance(hx, Tensor) else f"{len(hx)} tensors"
        raise ShapeError(f"hx: got {got}; expected the pair (h, c).")
    if len(names) == 1 and not isinstance(hx, Tensor):
        raise ShapeError(f"hx: got {type(hx).__name__}; expected one tensor.")
    state = tuple(hx) if len(names) > 1 else (hx,)
    for name, tensor, size in zip(names, state, sizes, strict=True):
        shape = (count, size) if single else (count, x.shape[0], size)
        if tuple(tensor.shape) != shape:
            expected = f"{shape}, that is (layers·directions, {'' if single else 'B, '}H)"
            raise ShapeError(describe(f"shape of {name}", tuple(tensor.shape), expected))
        if tensor.dtype != x.dtype and not is_mixed(x):
            raise ShapeError(describe(f"dtype of {name}", tensor.dtype, f"{x.dtype}, that of input"))
    return state


def refuse_unknown(layer: str, options: dict[str, Any]) -> None:
    """Raise for an option that the layer does not have."""
    for name, value in options.items():
        if name == "proj_size":
            raise InputError(describe("proj_size", value, f"no projection in {layer}", "Only an LSTM has one."))
        raise TypeError(describe(f"option of {layer}", name, f"an option of torch.nn.{layer}"))


def check_options(
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    batch_first: bool,
    dropout: Any,
    proj_size: int = 0,
) -> None:
    """Raise for values that torch refuses, with the same type of error; some are a TypeError."""
    if isinstance(dropout, bool) or not isinstance(dropout, numbers.Real) or not 0 <= float(dropout) <= 1:
        raise InputError(describe("dropout", dropout, "a number in [0, 1]"))
    for name, flag in (("bias", bias), ("batch_first", batch_first)):
        if not isinstance(flag, bool):
            raise TypeError(describe(name, flag, "True or False"))
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, int):
            raise TypeError(describe(name, size, "a whole number of 1 or more"))
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if size < 1:
            raise InputError(describe(name, size, "a whole number of 1 or more"))
    if not 0 <= proj_size < hidden_size:
        raise InputError(describe("proj_size", proj_size, "a whole number in [0, hidden_size)"))
