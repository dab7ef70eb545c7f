"""A weight as an export keeps it: the program's own numbers, int8 and bfloat16 among them, in the order of a graph.

Axes: R rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rekur._tensors import Array


@dataclass(frozen=True)
class Matrix:
    """The numbers of a weight, and the scales that go with them.

    Args:
        numbers: float32, int8, or the bits of bfloat16 as uint16.
        scale: of int8 what a row is multiplied with (R, 1, …), else None.

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
            change: takes numbers (R, …) in the order of the program, or scales (R, 1, …), and moves them alike.
        """
        scale = None if self.scale is None else np.ascontiguousarray(change(self.scale))
        return Matrix(np.ascontiguousarray(change(self.numbers)), scale)
