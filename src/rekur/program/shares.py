"""The pool of shares of fixed convolutions above biases, ready to run: outputs are counted as steps come.

Axes: R rows, N packed steps, D numbers of a step, F shares.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rekur._shares import Shares, Times
from rekur._tensors import Array
from rekur.program.ops import Op
from rekur.program.packed import Packed
from rekur.program.pools import PoolStage
from rekur.program.stages import StateArrays

#: the length of a series that goes on
_ENDLESS = 1 << 62


class SharePool(PoolStage):
    """The share of the outputs of each convolution above each bias.

    An output is counted once the steps that the widest convolution reads have come; those near the last step are
    counted, with zeros behind it, when the pool is read.
    """

    def __init__(self, op: Op, weights: Mapping[str, Array], threads: int) -> None:
        super().__init__(op, weights, threads)
        dilations, counts = (np.array(op.options[name], np.int64) for name in ("dilations", "counts"))
        channels = np.asarray(weights["channels"] > 0.5, np.uint8)
        self._shares = Shares(dilations, counts, channels, np.ascontiguousarray(weights["bias"], np.float32))

    def take(self, x: Array, packed: Packed, state: StateArrays) -> None:
        history, above, count = (self._of(role, state) for role in ("before", "above", "count"))
        reach, steps, rows = self._shares.reach, count[:, 0], x[packed.by_row]
        series = [
            np.concatenate([past, rows[start : start + length]])
            for past, start, length in zip(history, packed.starts, packed.lengths, strict=True)
        ]
        now = steps + packed.lengths
        times = Times(steps - 2 * reach, np.maximum(steps - reach, 0), now - reach, np.full_like(now, _ENDLESS))
        above = self._shares.counted(series, times, above, self.threads)
        history = np.stack([each[-2 * reach :] for each in series]) if series else history
        self._put(state, before=history, above=above, count=now[:, None])

    def read(self, state: StateArrays) -> Array:
        history, above, count = (self._of(role, state) for role in ("before", "above", "count"))
        reach, steps = self._shares.reach, count[:, 0]
        times = Times(steps - 2 * reach, np.maximum(steps - reach, 0), steps, steps)
        return self._shares.divided(list(history), times, above, self.threads)
