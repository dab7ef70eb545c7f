"""The axes of a scan's results.

Axes: B batch, T time, O output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Layout(NamedTuple):
    """The axes of outputs and states.

    Attributes:
        time_first: whether outputs are (T, B, O), contiguous, instead of (B, T, O).
        layered: whether states are (1, B, …), as in ``torch.nn``, instead of (B, …).
    """

    time_first: bool = False
    layered: bool = False

    def arrange(self, results: Sequence[Tensor]) -> list[Tensor]:
        """Return outputs (B, T, O) and states (B, …) in this layout, the states as views."""
        y, *states = results
        y = y.transpose(0, 1).contiguous() if self.time_first else y
        return [y, *(s.unsqueeze(0) for s in states)] if self.layered else [y, *states]

    def restore(self, results: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return the gradients of the arguments of :meth:`arrange` from those of its results."""
        y, *states = results
        y = y.transpose(0, 1) if self.time_first and y is not None else y
        return [y, *(s.squeeze(0) if self.layered and s is not None else s for s in states)]


#: outputs (B, T, O) and states (B, …)
BATCH_FIRST = Layout()


def owned(tensor: Tensor) -> Tensor:
    """Return the tensor, or a copy of a view, since PyTorch forbids to detach or change such a view in place."""
    return tensor if torch.compiler.is_compiling() or not tensor._is_view() else tensor.clone()
