r"""Shares of fixed convolutions above biases: numbers of a series that a linear model can read.

There are 84 kernels of length 9, three weights of 2 and six of -1 each, so that a constant gives 0. A convolution has
a kernel, a dilation, and a set of channels whose sum it reads; a share is the part of its n outputs above a bias.

.. math:: u_t = \sum_{j=0}^{8} w_j \sum_{c \in C} x_{t + (j - 4) d,\, c}, \qquad
    s = \frac{|\{i : u_i > b\}|}{n}

Two more numbers tell where the outputs above a bias are: a share in which outputs weigh more the later they are, and
the longest run of outputs above the bias, as a share of all.

.. math:: l = \sum_{i : u_i > b} \frac{2 i + 1}{n^2}, \qquad
    r = \frac{1}{n} \max \{k : u_i, \dots, u_{i + k - 1} > b\}

Half of the convolutions read zeros before the first step and behind the last, and have an output for each step; the
others have one for each step with four dilations on both sides.

Axes: N series, T steps, D channels, J dilations, P biases, F numbers of a series, S tallies of a series.

References: Dempster, Schmidt and Webb 2021, MiniRocket, https://arxiv.org/abs/2012.08791; runs and places are among
the numbers of Tan, Dempster, Bergmeir and Webb 2022, MultiRocket, https://arxiv.org/abs/2102.00457.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur import _kernels
from rekur._convolutions import KERNELS, PIECE, SIDE, Convolutions, Piece, Span, Times, batches, windows_of
from rekur._tensors import Array

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: numbers of a series in all, about
SHARES = 10_000
#: numbers of a bias: its share alone, or all of them
SHARE, ALL = 1, 3
#: the tallies of a bias while steps come, by its numbers: the count of outputs above it, the sum of their places, the
#: current run of them, and the longest run
TALLIES = {SHARE: ("above",), ALL: ("above", "places", "run", "longest")}
#: most dilations of a kernel
_MOST_DILATIONS = 32
#: most channels whose sum a convolution reads
_MOST_CHANNELS = 9
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
    """Convolutions with their biases; the P shares are ordered by dilation, kernel and bias.

    Behind the shares stand the P shares weighted by time, then the P longest runs, where there are three numbers.

    Attributes:
        dilations: (J,), rising.
        counts: biases of each kernel at a dilation, (J,).
        channels: 1 where a convolution reads a channel, (J · 84, D).
        biases: (P,).
        numbers: of each bias, 1 or 3.
    """

    dilations: Ints
    counts: Ints
    channels: NDArray[np.uint8]
    biases: Floats
    numbers: int = SHARE

    @property
    def size(self) -> int:
        """Numbers of a series F."""
        return self.numbers * len(self.biases)

    @property
    def tallies(self) -> int:
        """Number of tallies of a series S: those of :data:`TALLIES`, one after the other, each of all biases."""
        return len(TALLIES[self.numbers]) * len(self.biases)

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
        """Return the numbers (N, F) of series that end; the arguments are those of :meth:`counted`."""
        if _count_above is not None:
            return np.asarray(self._natively("shares", self.size, np.float32, series, times, earlier, threads))
        fringes = np.where(self.is_whole(), 0, 2 * SIDE * self.dilations[:, None]).reshape(-1)
        outputs = times.lengths[:, None] - np.repeat(fringes, np.repeat(self.counts, len(KERNELS)))
        outputs, counted = np.maximum(outputs, 1), self.counted(series, times, earlier)
        if self.numbers == SHARE:
            return np.asarray(counted / outputs, np.float32)
        count, places, _, longest = np.split(counted, 4, axis=1)
        late = (2 * places + count) / outputs.astype(np.float64) ** 2
        return np.asarray(np.concatenate([count / outputs, late, longest / outputs], axis=1), np.float32)

    def is_whole(self) -> NDArray[np.bool_]:
        """Return True for each dilation and kernel with an output for every step, (J, 84)."""
        return np.asarray((np.arange(len(self.dilations))[:, None] + np.arange(len(KERNELS))) % 2 == 0)

    def counted(
        self, series: Sequence[Array], times: Times, earlier: Ints | None = None, threads: int | None = None
    ) -> Ints:
        """Return the tallies of the outputs above each bias, (N, S).

        Args:
            series: steps (T, D) of each; zeros stand around them.
            times: of the steps, and of the outputs that are counted.
            earlier: tallies of earlier outputs, (N, S).
            threads: most threads of the kernels; None for all processors.
        """
        if _count_above is not None:
            return np.asarray(self._natively("totals", self.tallies, np.int64, series, times, earlier, threads))
        totals = np.zeros((len(series), self.tallies), np.int64) if earlier is None else earlier.copy()
        for pieces in batches(times, self.channels.shape[1]):
            windows, first, stop = windows_of(series, times.first, pieces, self.reach)
            rows = [piece.number for piece in pieces]
            totals[rows] = self._count(windows, first, stop, times.lengths[rows], totals[rows])
        return totals

    def _natively(
        self, result: str, size: int, kind: Any, series: Sequence[Array], times: Times, earlier: Any, threads: Any
    ) -> Any:
        """Return what the kernels count, an array (N, ``size``) of a kind: to the last output what NumPy does."""
        sizes = np.array([len(each) for each in series], np.int64)
        steps = np.concatenate([np.empty((0, self.channels.shape[1]), np.float32), *series])
        values = {
            "rows": len(series),
            "channels": self.channels.shape[1],
            "numbers": self.numbers,
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
            result: np.empty((len(series), size), kind),
        }
        _count_above(values, _kernels.processors() if threads is None else threads)
        return values[result]

    def _count(self, windows: Floats, first: Ints, stop: Ints, lengths: Ints, earlier: Ints) -> Ints:
        """Return the tallies of the outputs above each bias, (B, S), after the steps of windows.

        Args:
            windows: (D, reach + T + reach, B).
            first: the step of its series at which a window begins behind its reach, (B,).
            stop: the step behind its last, (B,).
            lengths: steps of the series, (B,).
            earlier: tallies of the steps before them, (B, S).
        """
        steps, whole, at = windows.shape[1] - 2 * self.reach, self.is_whole(), 0
        outputs, tallies = np.empty((steps, len(first)), np.float32), earlier.reshape(len(first), -1, len(self.biases))
        for number, (dilation, count) in enumerate(zip(self.dilations.tolist(), self.counts.tolist(), strict=True)):
            margins = (SIDE * dilation, 0)
            spans = [Span.of(first, stop, lengths, margin, steps) for margin in margins]
            convolve = Convolutions(windows, self.reach, dilation)
            for kernel in range(len(KERNELS)):
                convolve.into(outputs, kernel, self.channels[number * len(KERNELS) + kernel])
                biases = self.biases[at : at + count, None, None]
                spans[int(whole[number, kernel])].follow(outputs > biases, tallies[:, :, at : at + count])
                at += count
        return tallies.reshape(earlier.shape)

    def to_arrays(self) -> dict[str, Array]:
        """Return all parts by name."""
        return {
            "dilations": self.dilations,
            "counts": self.counts,
            "channels": self.channels,
            "biases": self.biases,
        }


def draw_shares(series: Sequence[Array], seed: int = 0, *, size: int = SHARES, numbers: int = SHARE) -> Shares:
    """Return convolutions with biases drawn from training series: quantiles of the outputs of random ones.

    Args:
        series: (T, D), one at least that is not empty.
        seed: of the draws.
        size: about how many numbers a series has; at least 84 times ``numbers``.
        numbers: of a bias, 1 or 3.
    """
    random = np.random.default_rng(seed)
    filled = [each for each in series if len(each)]
    width = filled[0].shape[1]
    dilations, counts = dilations_of(reference_length([len(each) for each in filled]), size // numbers)
    channels = np.zeros((len(dilations) * len(KERNELS), width), np.uint8)
    most = math.log2(min(width, _MOST_CHANNELS) + 1)
    for row in channels:
        chosen = int(2 ** random.uniform(0, most))
        row[random.choice(width, chosen, replace=False)] = 1
    biases = np.empty(len(KERNELS) * int(counts.sum()), np.float32)
    bank = Shares(dilations, counts, channels, biases, numbers)
    drawn = random.integers(0, len(filled), len(channels))
    _draw_biases(bank, filled, drawn)
    return bank


def _draw_biases(bank: Shares, series: Sequence[Array], drawn: Any) -> None:
    """Write the quantiles of the outputs of a series for each convolution, (J · 84,), as its biases."""
    levels = np.arange(1, len(bank.biases) + 1) * _GOLDEN % 1
    starts = np.concatenate([[0], np.cumsum(np.repeat(bank.counts, len(KERNELS)))])
    no_start = np.zeros(len(series), np.int64)
    for number in np.unique(drawn).tolist():
        length = min(len(series[number]), PIECE)
        windows, *_ = windows_of(series, no_start, [Piece(number, 0, length)], bank.reach)
        outputs = np.empty((length, 1), np.float32)
        combinations = np.flatnonzero(drawn == number)
        for dilation in np.unique(combinations // len(KERNELS)).tolist():
            convolve = Convolutions(windows, bank.reach, int(bank.dilations[dilation]))
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
