r"""Shares of fixed convolutions above biases: numbers of a series that a linear model can read.

There are 84 kernels of length 9, three weights of 2 and six of -1 each, so that a constant gives 0. A convolution has
a kernel, a dilation, and a set of channels whose sum it reads; a share is the part of its outputs above a bias.

.. math:: u_t = \sum_{j=0}^{8} w_j \sum_{c \in C} x_{t + (j - 4) d,\, c}, \qquad
    s = \frac{|\{t : u_t > b\}|}{|\{t\}|}

Half of the convolutions read zeros before the first step and behind the last, and have an output for each step; the
others have one for each step with four dilations on both sides.

Axes: N series, T steps, D channels, J dilations, F shares.

Reference: Dempster, Schmidt and Webb 2021, MiniRocket, https://arxiv.org/abs/2012.08791.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur import _kernels
from rekur._tensors import Array

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: the steps of each kernel that have the weight 2
KERNELS = tuple(itertools.combinations(range(9), 3))
#: steps of a kernel on each side of its center
SIDE = 4
#: shares in all, about
SHARES = 10_000
#: most dilations of a kernel
_MOST_DILATIONS = 32
#: most channels whose sum a convolution reads
_MOST_CHANNELS = 9
#: outputs of a convolution that are held at once, and inputs, so that they stay in the cache
_OUTPUTS, _INPUTS = 1 << 15, 1 << 18
#: most outputs of one series that are computed at once in NumPy
PIECE = 1 << 14
#: steps of a series, above which shares are those of means of blocks
LONG = 4096
#: outputs that are nearer to each other, as a share of the largest, are alike but for rounding
_NEAR = 1e-5
#: the golden ratio, whose multiples spread evenly
_GOLDEN = (math.sqrt(5) + 1) / 2
#: the kernel that counts; None without kernels
_count_above: Any = getattr(_kernels.kernels, "count_above", None)


@dataclass(frozen=True)
class Shares:
    """Convolutions with their biases; shares are ordered by dilation, kernel and bias.

    Attributes:
        dilations: (J,), rising.
        counts: biases of each kernel at a dilation, (J,).
        channels: 1 where a convolution reads a channel, (J · 84, D).
        biases: (F,).
    """

    dilations: Ints
    counts: Ints
    channels: NDArray[np.uint8]
    biases: Floats

    @property
    def size(self) -> int:
        """Number of shares F."""
        return len(self.biases)

    @property
    def reach(self) -> int:
        """Steps on each side of a step that the widest convolution reads."""
        return SIDE * int(self.dilations.max())

    def of(self, series: Sequence[Array]) -> Floats:
        """Return the shares (N, F) of series (T, D); all are 0 where a convolution has no output."""
        lengths = np.array([len(each) for each in series], np.int64)
        first = np.zeros_like(lengths)
        return self.divided(series, Times(first, first, lengths, lengths))

    def divided(
        self, series: Sequence[Array], times: Times, earlier: Ints | None = None, threads: int | None = None
    ) -> Floats:
        """Return the shares (N, F) of series that end; the arguments are those of :meth:`counted`."""
        if _count_above is not None:
            return np.asarray(self._natively("shares", np.float32, series, times, earlier, threads))
        fringes = np.where(self.is_whole(), 0, 2 * SIDE * self.dilations[:, None]).reshape(-1)
        outputs = times.lengths[:, None] - np.repeat(fringes, np.repeat(self.counts, len(KERNELS)))
        return np.asarray(self.counted(series, times, earlier) / np.maximum(outputs, 1), np.float32)

    def is_whole(self) -> NDArray[np.bool_]:
        """Return True for each dilation and kernel with an output for every step, (J, 84)."""
        return np.asarray((np.arange(len(self.dilations))[:, None] + np.arange(len(KERNELS))) % 2 == 0)

    def counted(
        self, series: Sequence[Array], times: Times, earlier: Ints | None = None, threads: int | None = None
    ) -> Ints:
        """Return the number of outputs above each bias, (N, F).

        Args:
            series: steps (T, D) of each; zeros stand around them.
            times: of the steps, and of the outputs that are counted.
            earlier: numbers that are added, (N, F).
            threads: most threads of the kernels; None for all processors.
        """
        if _count_above is not None:
            return np.asarray(self._natively("totals", np.int64, series, times, earlier, threads))
        totals = np.zeros((len(series), self.size), np.int64) if earlier is None else earlier.copy()
        for pieces in _batches(times, self.channels.shape[1]):
            windows, first, stop = _windows(series, times.first, pieces, self.reach)
            numbers = [piece.number for piece in pieces]
            np.add.at(totals, numbers, self.count(windows, first, stop, times.lengths[numbers]))
        return totals

    def _natively(
        self, result: str, kind: Any, series: Sequence[Array], times: Times, earlier: Any, threads: Any
    ) -> Any:
        """Return what the kernels count, an array (N, F) of a kind: to the last output what NumPy does."""
        sizes = np.array([len(each) for each in series], np.int64)
        steps = np.concatenate([np.empty((0, self.channels.shape[1]), np.float32), *series])
        values = {
            "rows": len(series),
            "channels": self.channels.shape[1],
            "dilations": self.dilations,
            "counts": self.counts,
            "flags": self.channels,
            "biases": self.biases,
            "steps": len(steps),
            "values": np.ascontiguousarray(steps, np.float32),
            "starts": np.cumsum(sizes) - sizes,
            "sizes": sizes,
            **times._asdict(),
            "before": None if earlier is None else np.ascontiguousarray(earlier, np.int64),
            result: np.empty((len(series), self.size), kind),
        }
        _count_above(values, _kernels.processors() if threads is None else threads)
        return values[result]

    def count(self, windows: Floats, first: Ints, stop: Ints, lengths: Ints) -> Ints:
        """Return the number of outputs above each bias, (B, F), of the steps of windows that count.

        Args:
            windows: (D, reach + T + reach, B).
            first: the step of its series at which a window begins behind its reach, (B,).
            stop: the step behind its last, (B,).
            lengths: steps of the series, (B,).
        """
        steps, batch = windows.shape[1] - 2 * self.reach, windows.shape[2]
        rows = min(255, steps)  # a sum of 255 flags fits in a byte
        width = -(-steps // rows)
        flat = np.full((rows * width, batch), -np.inf, np.float32)
        outputs, flags = flat[:steps], np.empty((int(self.counts.max()), rows, width * batch), bool)
        times = first + np.arange(steps)[:, None]
        counted, at, whole = np.empty((batch, self.size), np.int64), 0, self.is_whole()
        for number, (dilation, count) in enumerate(zip(self.dilations.tolist(), self.counts.tolist(), strict=True)):
            fringe = SIDE * dilation
            inside = times < stop
            penalties = [_penalty(inside & (times >= margin) & (times < lengths - margin)) for margin in (fringe, 0)]
            convolve = _Convolutions(windows, self.reach, dilation)
            for kernel in range(len(KERNELS)):
                convolve.into(outputs, kernel, self.channels[number * len(KERNELS) + kernel])
                outputs += penalties[int(whole[number, kernel])]
                above = flags[:count]
                biases = self.biases[at : at + count, None, None]
                np.greater(flat.reshape(rows, width * batch), biases, out=above)
                sums = np.add.reduce(above.view(np.uint8), axis=1, dtype=np.uint8)
                counted[:, at : at + count] = sums.reshape(count, width, batch).sum(axis=1, dtype=np.int64).T
                at += count
        return counted

    def to_arrays(self) -> dict[str, Array]:
        """Return all parts by name."""
        return {
            "dilations": self.dilations,
            "counts": self.counts,
            "channels": self.channels,
            "biases": self.biases,
        }


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


class _Convolutions:
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


@dataclass(frozen=True)
class _Piece:
    """Steps of a series whose outputs are computed together."""

    number: int
    first: int
    stop: int


def _batches(times: Times, channels: int) -> Iterator[list[_Piece]]:
    """Yield pieces that are computed together, those of similar length."""
    pieces = [
        _Piece(number, first, min(first + PIECE, stop))
        for number, (start, stop) in enumerate(zip(times.begin.tolist(), times.end.tolist(), strict=True))
        for first in range(start, stop, PIECE)
    ]
    pieces.sort(key=lambda piece: piece.stop - piece.first)
    batch: list[_Piece] = []
    for piece in pieces:
        if batch and len(batch) >= min(_OUTPUTS, _INPUTS // channels) // (piece.stop - piece.first):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _windows(series: Sequence[Array], begin: Ints, pieces: list[_Piece], reach: int) -> tuple[Floats, Ints, Ints]:
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


def _penalty(counts: NDArray[np.bool_]) -> Floats:
    """Return 0 for steps that count, and minus infinity for others."""
    return np.where(counts, np.float32(0), np.float32(-np.inf))


def draw_shares(series: Sequence[Array], seed: int = 0, *, size: int = SHARES) -> Shares:
    """Return convolutions with biases drawn from training series: quantiles of the outputs of random ones.

    Args:
        series: (T, D), one at least that is not empty.
        seed: of the draws.
        size: shares in all, about; 84 or more.
    """
    random = np.random.default_rng(seed)
    filled = [each for each in series if len(each)]
    width = filled[0].shape[1]
    dilations, counts = dilations_of(reference_length([len(each) for each in filled]), size)
    channels = np.zeros((len(dilations) * len(KERNELS), width), np.uint8)
    most = math.log2(min(width, _MOST_CHANNELS) + 1)
    for row in channels:
        chosen = int(2 ** random.uniform(0, most))
        row[random.choice(width, chosen, replace=False)] = 1
    bank = Shares(dilations, counts, channels, np.empty(len(KERNELS) * int(counts.sum()), np.float32))
    drawn = random.integers(0, len(filled), len(channels))
    _draw_biases(bank, filled, drawn)
    return bank


def _draw_biases(bank: Shares, series: Sequence[Array], drawn: Any) -> None:
    """Write the quantiles of the outputs of a series for each convolution, (J · 84,), as its biases."""
    levels = np.arange(1, bank.size + 1) * _GOLDEN % 1
    starts = np.concatenate([[0], np.cumsum(np.repeat(bank.counts, len(KERNELS)))])
    no_start = np.zeros(len(series), np.int64)
    for number in np.unique(drawn).tolist():
        length = min(len(series[number]), PIECE)
        windows, *_ = _windows(series, no_start, [_Piece(number, 0, length)], bank.reach)
        outputs = np.empty((length, 1), np.float32)
        combinations = np.flatnonzero(drawn == number)
        for dilation in np.unique(combinations // len(KERNELS)).tolist():
            convolve = _Convolutions(windows, bank.reach, int(bank.dilations[dilation]))
            for row in combinations[combinations // len(KERNELS) == dilation].tolist():
                convolve.into(outputs, row % len(KERNELS), bank.channels[row])
                part = slice(starts[row], starts[row + 1])
                bank.biases[part] = _between(outputs[:, 0], levels[part])


def _between(outputs: Floats, levels: Any) -> Any:
    """Return quantiles of outputs (T,), each moved between two outputs of the series.

    No output of the series changes its side, and none is so near that rounding moves it to the other one. The way is
    the golden section's and not half, so that outputs of other series on one grid, such as of flags, are apart too.
    """
    ordered = np.sort(outputs).astype(np.float64)
    near = _NEAR * max(1e-30, float(np.abs(ordered).max()))
    ranks = levels * (len(ordered) - 1)  # linear between them, as np.quantile has it, in half the time
    lower = ranks.astype(np.int64)
    share = ranks - lower
    low, high = ordered[lower], ordered[np.minimum(lower + 1, len(ordered) - 1)]
    quantiles = np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
    above = np.searchsorted(ordered, quantiles + near, side="right")
    lower = ordered[np.maximum(above - 1, 0)]
    upper = np.where(above < len(ordered), ordered[np.minimum(above, len(ordered) - 1)], lower + 2 * near)
    return lower + (upper - lower) * (2 - _GOLDEN)


def reference_length(lengths: Sequence[int]) -> int:
    """Return the length that sets the dilations: nine series in ten are not longer."""
    return int(np.quantile(lengths, 0.9, method="lower"))


def stride_of(lengths: Array) -> int:
    """Return the steps of a block, so that nine series in ten have no more than :data:`LONG` of them."""
    return -(-max(1, reference_length(np.asarray(lengths).tolist())) // LONG)


def in_blocks(steps: Array, stride: int) -> Array:
    """Return the means of blocks of steps (T, D): the first step by itself, then each ``stride`` steps.

    Example:
        >>> in_blocks(np.array([[1.0], [3.0], [5.0], [9.0]]), 2).tolist()
        [[1.0], [4.0]]
    """
    if stride == 1 or not len(steps):
        return steps
    blocks = (len(steps) - 1) // stride
    numbers: NDArray[Any] = steps
    means = numbers[1 : 1 + blocks * stride].reshape(blocks, stride, numbers.shape[1]).mean(axis=1, dtype=np.float64)
    return np.concatenate([numbers[:1], means]).astype(np.float32)


def dilations_of(steps: int, size: int = SHARES) -> tuple[Ints, Ints]:
    """Return exponentially spread dilations whose kernels fit into a series, and the biases of each, (J,).

    Example:
        >>> dilations, counts = dilations_of(100)
        >>> dilations.tolist(), int(counts.sum())
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 119)
    """
    biases = max(1, size // len(KERNELS))
    tried = min(biases, _MOST_DILATIONS)
    largest = math.log2(max(steps - 1, 2 * SIDE) / (2 * SIDE))
    dilations, times = np.unique(np.logspace(0, largest, tried, base=2).astype(np.int64), return_counts=True)
    counts = (times * biases / tried).astype(np.int64)
    counts[np.arange(biases - int(counts.sum())) % len(counts)] += 1
    return dilations, counts
