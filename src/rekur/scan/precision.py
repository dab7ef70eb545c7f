"""Mixed precision in a scan: it applies only to the input projection, one large product over all steps.

Rounding errors of a recurrence accumulate: with 8 bits a decay of 0.999 is 1 or 0.996, and a small change to a memory
is lost. Under ``torch.autocast`` states, gates and recurrent products therefore keep the dtype of the cell's weights.

Axes: B batch, T time, D input features, P projected input.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor


def weight_of(cell: Any) -> Tensor | None:
    """Return one of the weights of a cell or of the cell inside it; None without weights."""
    while "cell" in cell._modules:
        cell = cell.cell
    weight: Tensor | None = getattr(cell, "weight_hh", None)  # may be an attribute: cells of drop-ins borrow weights
    return next((p for p in cell.parameters() if p.is_floating_point()), None) if weight is None else weight


def weights_of(cell: Any) -> list[Tensor]:
    """Return all weights of a cell, including those borrowed by cells of drop-ins."""
    return [*cell.parameters(), *(t for t in vars(cell).values() if isinstance(t, Tensor))]


def is_mixed(x: Tensor) -> bool:
    """Return whether autocast is on for the device of x; tensors without memory have none."""
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which autocast is off for the device of x."""
    return torch.autocast(x.device.type, enabled=False) if is_mixed(x) else contextlib.nullcontext()


def to_weights(cell: Any, x: Tensor) -> Tensor:
    """Return x, under autocast in the dtype of the cell's weights: an earlier layer may have changed its dtype."""
    if not is_mixed(x):
        return x
    weight = weight_of(cell)
    return x.to(torch.float32 if weight is None else weight.dtype)


def project(cell: Any, x: Tensor) -> Tensor:
    """Return the cell's projection (…, P) of x (…, D), in the dtype of x.

    Under autocast the product inside has autocast's dtype, unless the cell's ``keeps_precision`` is true.
    """
    with full_precision(x) if getattr(cell, "keeps_precision", False) else contextlib.nullcontext():
        projected: Tensor = cell.project(x)
    return projected.to(x.dtype) if is_mixed(x) else projected
