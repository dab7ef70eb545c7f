"""The pool of shares of fixed convolutions above biases, ready to run: outputs are counted as steps come.

Axes: R rows, N packed steps, D numbers of a step, F shares.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rekur._convolutions import Times
from rekur._shares import SHARE, TALLIES, Shares
from rekur._tensors import Array
from rekur.program.ops import Op
from rekur.program.packed import Packed
from rekur.program.pools import PoolStage
from rekur.program.stages import StateArrays

#: the length of a series that goes on
_ENDLESS = 1 << 62


class SharePool(PoolStage):
    """The share of the outputs of each convolution above each bias, and maybe where they are.

    An output is counted once the steps that the widest convolution reads have come; those near the last step are
    counted, with zeros behind it, when the pool is read.
    """

    def __init__(self, op: Op, weights: Mapping[str, Array], threads: int) -> None:
        super().__init__(op, weights, threads)
        dilations, counts = (np.array(op.options[name], np.int64) for name in ("dilations", "counts"))
        channels, numbers = np.asarray(weights["channels"] > 0.5, np.uint8), op.options.get("numbers", SHARE)
        bias = np.ascontiguousarray(weights["bias"], np.float32)
        self._shares = Shares(dilations, counts, channels, bias, numbers)
        self._tallies = TALLIES[numbers]

    def take(self, x: Array, packed: Packed, state: StateArrays) -> None:
        history, count = (self._of(role, state) for role in ("before", "count"))
        reach, steps, rows = self._shares.reach, count[:, 0], x[packed.by_row]
        series = [
            np.concatenate([past, rows[start : start + length]])
            for past, start, length in zip(history, packed.starts, packed.lengths, strict=True)
        ]
        now = steps + packed.lengths
        times = Times(steps - 2 * reach, np.maximum(steps - reach, 0), now - reach, np.full_like(now, _ENDLESS))
        tallies = self._shares.counted(series, times, self._joined(state), self.threads)
        history = np.stack([each[-2 * reach :] for each in series]) if series else history
        parts = np.split(tallies, len(self._tallies), axis=1)
        self._put(state, before=history, count=now[:, None], **dict(zip(self._tallies, parts, strict=True)))

    def read(self, state: StateArrays) -> Array:
        history, count = (self._of(role, state) for role in ("before", "count"))
        reach, steps = self._shares.reach, count[:, 0]
        times = Times(steps - 2 * reach, np.maximum(steps - reach, 0), steps, steps)
        return self._shares.divided(list(history), times, self._joined(state), self.threads)

    def _joined(self, state: StateArrays) -> Array:
        """Return the tallies of all sequences, (R, S)."""
        parts = [self._of(role, state) for role in self._tallies]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
