"""Fixed convolutions of nine taps, computed in NumPy for windows of many series at once.

There are 84 kernels, three weights of 2 and six of -1 each, so that a constant gives 0.

Axes: N series, T steps, D channels, B batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._tensors import Array

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: the steps of each kernel that have the weight 2
KERNELS = tuple(itertools.combinations(range(9), 3))
#: steps of a kernel on each side of its center
SIDE = 4
#: outputs of a convolution that are held at once, and inputs, so that they stay in the cache
_OUTPUTS, _INPUTS = 1 << 15, 1 << 18
#: most outputs of one series that are computed at once
PIECE = 1 << 14


class Times(NamedTuple):
    """Times of N series.

    Attributes:
        first: of the first step that is given, (N,); it may be below 0.
        begin: of the first output that is counted, (N,), 0 or later.
        end: behind the last one, (N,); none is counted where it is not later.
        lengths: steps of the whole series, (N,).
    """

    first: Ints
    begin: Ints
    end: Ints
    lengths: Ints


class Span(NamedTuple):
    """The outputs of windows that there are for a kernel, (B,) each.

    Attributes:
        places: of a window's first step among the outputs of the kernel, (B,); it may be below 0.
        begin: the first step of a window with an output, (B,).
        end: the step behind the last one, (B,).
        steps: T.
    """

    places: Ints
    begin: Ints
    end: Ints
    steps: int

    @classmethod
    def of(cls, first: Ints, stop: Ints, lengths: Ints, margin: int, steps: int) -> Span:
        """Return that of windows that begin at a step of series, whose outputs have a margin on both sides."""
        begin = np.maximum(margin - first, 0)
        return cls(first - margin, begin, np.maximum(np.minimum(stop, lengths - margin) - first, begin), steps)

    def follow(self, above: NDArray[np.bool_], tallies: Ints) -> None:
        """Bring the tallies of biases up to date, in place.

        Args:
            above: 1 where an output of a window is above a bias, (biases, T, B).
            tallies: of each window and bias, (B, 1 or 4, biases), in the order of :data:`rekur._shares.TALLIES`.
        """
        times = np.arange(self.steps)[:, None]
        late = times >= self.begin
        above = above & late & (times < self.end)
        tallies[:, 0] += above.sum(axis=1).T
        if tallies.shape[1] == 1 or not self.steps:
            return
        tallies[:, 1] += (above * (times + self.places)).sum(axis=1).T
        last = np.maximum.accumulate(np.where(above | ~late, -1, times), axis=1)  # the last step that is not above
        runs = times - np.maximum(last, self.begin - 1) + np.where(last < 0, tallies[:, 2].T[:, None], 0)
        tallies[:, 3] = np.maximum(tallies[:, 3], (runs * above).max(axis=1).T)
        ends = np.take_along_axis(runs, np.clip(self.end - 1, 0, self.steps - 1)[None, None], axis=1)[:, 0]
        tallies[:, 2] = np.where(self.end > self.begin, ends, tallies[:, 2].T).T


class Convolutions:
    """The convolutions of windows (D, reach + T + reach, B) at a dilation."""

    def __init__(self, windows: Floats, reach: int, dilation: int) -> None:
        steps = windows.shape[1] - 2 * reach
        center = windows[:, reach : reach + steps]
        first = reach - SIDE * dilation
        starts = [first + tap * dilation for tap in range(2 * SIDE + 1)]
        # differences from the center, which are exactly 0 where a series is constant
        taps = np.stack([windows[:, start : start + steps] - center for start in starts], axis=1)
        taps *= 3
        total = taps[:, 0].copy()
        for tap in range(1, 2 * SIDE + 1):  # always in this order: a series has the same shares in any batch
            total += taps[:, tap]
        taps -= total[:, None] / 9
        self._taps = taps
        self._pairs: dict[tuple[int, int], Floats] = {}

    def into(self, outputs: Floats, kernel: int, channels: NDArray[np.uint8]) -> None:
        """Write the outputs (T, B) of a kernel over the channels whose flag is 1."""
        first, second, third = KERNELS[kernel]
        if len(channels) == 1 and channels[0]:
            pair = self._pairs.get((first, second))
            if pair is None:
                pair = self._pairs[first, second] = self._taps[0, first] + self._taps[0, second]
            np.add(pair, self._taps[0, third], out=outputs)
            return
        outputs.fill(0)
        for channel in np.flatnonzero(channels):
            for tap in KERNELS[kernel]:
                outputs += self._taps[channel, tap]


class Piece(NamedTuple):
    """Steps of a series whose outputs are computed together."""

    number: int
    first: int
    stop: int
    turn: int = 0


def batches(times: Times, channels: int) -> Iterator[list[Piece]]:
    """Yield pieces that are computed together, those of similar length; the first of each series, then the second."""
    pieces = [
        Piece(number, first, min(first + PIECE, stop), (first - start) // PIECE)
        for number, (start, stop) in enumerate(zip(times.begin.tolist(), times.end.tolist(), strict=True))
        for first in range(start, stop, PIECE)
    ]
    pieces.sort(key=lambda piece: (piece.turn, piece.stop - piece.first))
    batch: list[Piece] = []
    for piece in pieces:
        full = len(batch) >= min(_OUTPUTS, _INPUTS // channels) // (piece.stop - piece.first)
        if batch and (full or batch[0].turn < piece.turn):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def windows_of(series: Sequence[Array], begin: Ints, pieces: list[Piece], reach: int) -> tuple[Floats, Ints, Ints]:
    """Return windows (D, reach + T + reach, B) with zeros around the series, and first step and end of each, (B,).

    Series (T, D) begin at times (N,).
    """
    steps = max(piece.stop - piece.first for piece in pieces)
    width = series[pieces[0].number].shape[1]
    windows = np.zeros((width, steps + 2 * reach, len(pieces)), np.float32)
    for column, piece in enumerate(pieces):
        at = piece.first - reach - int(begin[piece.number])
        rows = series[piece.number][max(0, at) : at + steps + 2 * reach]
        start = max(0, -at)
        windows[:, start : start + len(rows), column] = np.asarray(rows, np.float32).T
    first, stop = zip(*((piece.first, piece.stop) for piece in pieces), strict=True)
    return windows, np.array(first, np.int64), np.array(stop, np.int64)
