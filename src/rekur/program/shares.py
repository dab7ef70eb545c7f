"""The pool of shares of fixed convolutions above biases, ready to run: outputs are counted as steps come.

Axes: R rows, N packed steps, D numbers of a step, F shares.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rekur._shares import PIECE, Shares, columns_at_once
from rekur._tensors import Array
from rekur.program.ops import Op
from rekur.program.packed import Packed
from rekur.program.pools import PoolStage
from rekur.program.stages import StateArrays


class SharePool(PoolStage):
    """The share of the outputs of each convolution above each bias.

    An output is counted once the steps that the widest convolution reads have come; those near the last step are
    counted, with zeros behind it, when the pool is read.
    """

    def __init__(self, op: Op, weights: Mapping[str, Array], threads: int) -> None:
        super().__init__(op, weights, threads)
        dilations, counts = (np.array(op.options[name], np.int64) for name in ("dilations", "counts"))
        channels = np.asarray(weights["channels"] > 0.5, np.uint8)
        self._shares = Shares(dilations, counts, channels, np.asarray(weights["bias"], np.float32))

    def take(self, x: Array, packed: Packed, state: StateArrays) -> None:
        history, above, count = (self._of(role, state) for role in ("before", "above", "count"))
        reach, rows = self._shares.reach, x[packed.by_row]
        above, new_history = above.copy(), history.copy()
        most = columns_at_once(packed.steps, x.shape[1])
        for first in range(0, packed.rows, most):
            part = slice(first, min(first + most, packed.rows))
            lengths = packed.lengths[part]
            windows = np.zeros((x.shape[1], 2 * reach + int(lengths.max()), len(lengths)), np.float32)
            windows[:, : 2 * reach] = history[part].transpose(2, 1, 0)
            for column, (start, length) in enumerate(zip(packed.starts[part], lengths, strict=True)):
                windows[:, 2 * reach : 2 * reach + length, column] = rows[start : start + length].T
                new_history[first + column] = windows[:, length : length + 2 * reach, column].T
            begin = count[part, 0] - reach
            above[part] += self._counted(windows, begin, begin + lengths, np.full(len(lengths), 1 << 62))
        self._put(state, before=new_history, above=above, count=count + packed.lengths[:, None])

    def read(self, state: StateArrays) -> Array:
        history, above, count = (self._of(role, state) for role in ("before", "above", "count"))
        reach, steps = self._shares.reach, count[:, 0]
        totals = above.copy()
        most = columns_at_once(reach, history.shape[2])
        for first in range(0, len(history), most):
            part = slice(first, first + most)
            windows = np.pad(history[part].transpose(2, 1, 0), ((0, 0), (0, reach), (0, 0)))
            totals[part] += self._counted(windows, steps[part] - reach, steps[part], steps[part])
        outputs = np.stack([self._shares.outputs_of(int(each)) for each in steps]) if len(steps) else totals
        return np.asarray(totals / np.maximum(outputs, 1), np.float32)

    def _counted(self, windows: Array, begin: Array, stop: Array, lengths: Array) -> Array:
        """Return the numbers of outputs above the biases, (R, F), of windows (D, reach + T + reach, R)."""
        reach, total = self._shares.reach, np.zeros((windows.shape[2], self._shares.size), np.int64)
        for start in range(0, windows.shape[1] - 2 * reach, PIECE):
            piece = np.ascontiguousarray(windows[:, start : start + PIECE + 2 * reach])
            total += self._shares.count(piece, begin + start, stop, lengths)
        return total
