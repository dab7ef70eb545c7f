"""A weight of an export: the program's numbers (float32, int8 or bfloat16) in the order of a graph.

Axes: R rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rekur._tensors import Array


@dataclass(frozen=True)
class Matrix:
    """The numbers of a weight and their scales.

    Args:
        numbers: float32, int8, or the bits of bfloat16 as uint16.
        scale: the scale of each row (R, 1, …) of an int8 weight, else None.

    Example:
        >>> small = Matrix(np.array([[1, 2], [3, 4]], np.int8), np.array([[0.5], [2.0]], np.float32))
        >>> turned = small.map(np.transpose)
        >>> (turned.numbers * turned.scale).tolist()
        [[0.5, 6.0], [1.0, 8.0]]
    """

    numbers: Array
    scale: Array | None = None

    def map(self, change: Callable[[Array], Array]) -> Matrix:
        """Return the weight in another order.

        Args:
            change: reorders numbers (R, …), and scales (R, 1, …) in the same way.
        """
        scale = None if self.scale is None else np.ascontiguousarray(change(self.scale))
        return Matrix(np.ascontiguousarray(change(self.numbers)), scale)
