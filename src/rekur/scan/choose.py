"""The choice of a scan for a cell and a batch, and its reason.

Axes: B batch, T time, D input features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rekur._check import choice
from rekur.errors import InputError, describe
from rekur.scan import bptt, linear, native, native_variants, vendor

#: every scan: the definition, compiled kernels, hand-written in PyTorch, three for linear cells, fused layers
PATHS = ("loop", "native", "bptt", *linear.METHODS, "vendor")

# up to _NARROW numbers per step in a batch of at least _LONG steps, a CPU spends its time between the steps
_NARROW, _LONG = 1024, 64
# measured: (max B·H, share of real steps above which oneDNN's LSTM is faster)
_ONEDNN = ((2048, 0.0), (8192, 0.75), (float("inf"), 0.95))


@dataclass(frozen=True)
class Choice:
    """A scan and why it was chosen.

    Attributes:
        path: one of :data:`PATHS`.
        reason: a short text for tables.
    """

    path: str
    reason: str


def choose(cell: Any, x: Tensor, lengths: Tensor | None = None, *, path: str = "auto") -> Choice:
    """Return the scan that will run ``cell`` on ``x``.

    Args:
        cell: the cell.
        x: inputs (B, T, D).
        lengths: (B,) real steps of each row; None if every row has T.
        path: "auto", or one of :data:`PATHS` to force it.

    Raises:
        InputError: the path is unknown, or cannot run this cell; the text says why and lists those that can.

    Example:
        >>> from rekur.cells import GRU
        >>> choose(GRU(3, 5), torch.zeros(2, 7, 3)).path
        'native'
    """
    choice("path", path, ("auto", *PATHS))
    if path == "auto":
        return _automatic(cell, x, lengths)
    refusal = _refusal(cell, path)
    if refusal:
        able = ", ".join(f"'{name}'" for name in runnable(cell))
        raise InputError(describe("path", path, f"one that can run this {type(cell).__name__}: {able}", refusal))
    return Choice(path, "asked for")


def runnable(cell: Any) -> tuple[str, ...]:
    """Return the scans that can run ``cell``.

    Example:
        >>> from rekur.cells import GRU, MinGRU
        >>> runnable(GRU(3, 5)), runnable(MinGRU(3, 5))
        (('loop', 'native', 'bptt', 'vendor'), ('loop', 'native', 'sequential', 'chunked', 'associative'))
    """
    return tuple(name for name in PATHS if not _refusal(cell, name))


def drops_in_product(cell: Any) -> bool:
    """Return whether a cell is recurrent dropout around another cell; its mask is the last tensor of the state."""
    return _kind(cell) == "recurrent_dropout"


def is_linear(cell: Any) -> bool:
    """Return whether a cell is linear in its state."""
    return _kind(cell) == "linear"


def _automatic(cell: Any, x: Tensor, lengths: Tensor | None) -> Choice:
    if not _refusal(cell, "native") and not (is_linear(cell) and torch.compiler.is_compiling()):
        return Choice("native", "compiled kernels: one call for all steps, rows that ended cost nothing")
    able = runnable(cell)
    if "vendor" in able and x.is_cuda and _cudnn_takes(x):
        return Choice("vendor", "cuDNN's fused layer")
    if "vendor" in able and _learns(cell, x) and _onednn_pays(cell, x, lengths):
        return Choice("vendor", "oneDNN's fused LSTM: the batch is narrow or has little padding")
    if "bptt" in able:
        return Choice("bptt", "written out by hand: rows that ended cost nothing, weight gradients are one product")
    if "sequential" in able:
        if x.is_cuda or (x.shape[0] * cell.hidden_size <= _NARROW and x.shape[1] >= _LONG):
            return Choice(
                "chunked", "linear in the state: about 2·√T rounds of wide steps, where single ones are narrow"
            )
        return Choice("sequential", "linear in the state: one multiply-add a step")
    return Choice("loop", _refusal(cell, "bptt"))


def _refusal(cell: Any, path: str) -> str:
    """Return why ``path`` cannot run ``cell``, or an empty string."""
    name, kind = type(cell).__name__, _kind(cell)
    if path == "loop":
        return ""
    if path == "native":
        return native.refusal(cell, is_linear(cell) or native.plain(cell) or native_variants.variant(cell))
    if path == "bptt":
        inner = _kind(cell.cell) if kind == "recurrent_dropout" else kind
        return "" if inner in bptt.KINDS else f"The equations of {name} are not written out by hand."
    if path == "vendor":
        return "" if kind in vendor.KINDS else f"PyTorch has no fused layer with the equations of {name}."
    return "" if kind == "linear" else f"{name} is not linear in its state."


def _kind(cell: Any) -> str:
    return str(getattr(cell, "kind", ""))


def _cudnn_takes(x: Tensor) -> bool:
    cudnn: Any = torch.backends.cudnn
    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return bool(cudnn.is_available() and cudnn.enabled) and x.dtype in kinds


def _learns(cell: Any, x: Tensor) -> bool:
    if torch.compiler.is_compiling():
        return False  # the fused layers are not made for it
    return torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in cell.parameters()))


def _onednn_pays(cell: Any, x: Tensor, lengths: Tensor | None) -> bool:
    """Return whether oneDNN is faster, although it also computes the padding."""
    if not vendor.onednn_lstm(cell, x):
        return False
    if lengths is None:
        return True
    needed = next(share for width, share in _ONEDNN if x.shape[0] * cell.hidden_size <= width)
    return bool(lengths.sum() >= needed * x.shape[0] * x.shape[1])
