"""What mixed precision may touch in a scan: the input projection, one large product over all steps. Nothing else.

What runs step by step feeds on itself: with 8 bits a decay of 0.999 is 1 or 0.996, and a small change to a memory is
lost. Under ``torch.autocast`` states, gates and recurrent products therefore stay in the dtype of the cell's weights.

Axes: B batch, T time, D input features, P projected input.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor


def weight_of(cell: Any) -> Tensor | None:
    """Return one of the weights of a cell or of the cell inside it, or None where it has none."""
    while "cell" in cell._modules:
        cell = cell.cell
    weight: Tensor | None = getattr(cell, "weight_hh", None)  # an attribute: the cells of the drop-ins borrow theirs
    return next((p for p in cell.parameters() if p.is_floating_point()), None) if weight is None else weight


def weights_of(cell: Any) -> list[Tensor]:
    """Return all weights of a cell, those that the cells of the drop-ins borrow too."""
    return [*cell.parameters(), *(t for t in vars(cell).values() if isinstance(t, Tensor))]


def is_mixed(x: Tensor) -> bool:
    """Return whether autocast is on where x is; there is none for tensors without memory."""
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which autocast is off where x is."""
    return torch.autocast(x.device.type, enabled=False) if is_mixed(x) else contextlib.nullcontext()


def to_weights(cell: Any, x: Tensor) -> Tensor:
    """Return x in the dtype of the cell's weights under autocast, where a layer before may have left it in another."""
    if not is_mixed(x):
        return x
    weight = weight_of(cell)
    return x.to(torch.float32 if weight is None else weight.dtype)


def project(cell: Any, x: Tensor) -> Tensor:
    """Return what the cell projects (…, P) of x (…, D), in the dtype of x.

    Under autocast the product inside is of its dtype, unless the cell says that it ``keeps_precision``.
    """
    with full_precision(x) if getattr(cell, "keeps_precision", False) else contextlib.nullcontext():
        projected: Tensor = cell.project(x)
    return projected.to(x.dtype) if is_mixed(x) else projected
