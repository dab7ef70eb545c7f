"""Long sequences in pieces: chunks across which a state is carried, windows that overlap, and lanes of training.

Axes: N items, T steps, B lanes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: steps up to which a sequence is run at once, and those of the chunks or windows of a longer one
LONG, CHUNK = 16_384, 8_192
#: steps on either side of a window that are only read
MARGIN = 1_024


class Window(NamedTuple):
    """A part of a sequence that is run by itself.

    Attributes:
        start: the first step that is read.
        end: behind the last step that is read.
        first: the first step whose output counts.
        last: behind the last step whose output counts.
    """

    start: int
    end: int
    first: int
    last: int


def windows(steps: int, *, margin: int = MARGIN) -> Iterator[Window]:
    """Yield windows whose outputs add up to those of a long sequence.

    Args:
        steps: of the sequence.
        margin: steps on either side that are read beside those whose output counts; 0 where a state is carried.

    Example:
        >>> [tuple(window) for window in windows(20_000)]
        [(0, 9216, 0, 8192), (7168, 17408, 8192, 16384), (15360, 20000, 16384, 20000)]
    """
    for first in range(0, steps, CHUNK):
        last = min(steps, first + CHUNK)
        yield Window(max(0, first - margin), min(steps, last + margin), first, last)


class Part(NamedTuple):
    """A part of an item.

    Attributes:
        item: number of the item, from 0.
        start: its first step.
        length: number of steps.
    """

    item: int
    start: int
    length: int


def parts_of(lengths: NDArray[np.int64], longest: int) -> list[Part]:
    """Return items cut into parts of at most ``longest`` steps.

    Example:
        >>> [tuple(part) for part in parts_of(np.array([5, 2]), 3)]
        [(0, 0, 3), (0, 3, 2), (1, 0, 2)]
    """
    return [
        Part(item, start, min(longest, length - start))
        for item, length in enumerate(lengths.tolist())
        for start in range(0, length, longest)
    ]


class Lanes:
    """Items as B lanes side by side, in chunks; a state can be carried from chunk to chunk of a lane.

    An item that would be longer than a lane is cut, and a state begins anew at the cut, as it does with each item. In
    each epoch the parts of a lane come in another order.

    Args:
        lengths: steps of the items, (N,).
        count: number of lanes B.
        chunk: steps of a chunk.
        seed: of the order.

    Example:
        >>> lanes = Lanes(np.array([5, 2]), count=2, chunk=3, seed=0)
        >>> len(lanes), [[tuple(part) for part, _ in chunk] for chunk in lanes.epoch(1)]
        (2, [[(0, 0, 3), (1, 0, 2)], [(0, 3, 1), (0, 4, 1)]])
    """

    def __init__(self, lengths: NDArray[np.int64], *, count: int, chunk: int, seed: int) -> None:
        self.count, self.chunk, self._seed = count, chunk, seed
        each = -(-int(lengths.sum()) // count)
        self._lanes: list[list[Part]] = [[] for _ in range(count)]
        chunks = np.zeros(count, np.int64)
        for part in sorted(parts_of(lengths, max(1, each)), key=lambda part: -part.length):
            lane = int(chunks.argmin())
            self._lanes[lane].append(part)
            chunks[lane] += -(-part.length // chunk)
        self._chunks = int(chunks.max())

    def __len__(self) -> int:
        """Return the number of chunks of an epoch."""
        return self._chunks

    def epoch(self, epoch: int, start: int = 0) -> Iterator[list[tuple[Part, bool]]]:
        """Yield the chunks of an epoch from number ``start`` on: a part for each lane, and whether a state begins."""
        random = np.random.Generator(np.random.PCG64([self._seed, epoch]))
        lanes = [[self._lanes[k][i] for i in random.permutation(len(self._lanes[k]))] for k in range(self.count)]
        rows = [list(self._cut(lane)) for lane in lanes]
        for number in range(start, self._chunks):
            yield [row[number] if number < len(row) else (Part(0, 0, 0), True) for row in rows]

    def _cut(self, lane: list[Part]) -> Iterator[tuple[Part, bool]]:
        for part in lane:
            for start in range(0, part.length, self.chunk):
                length = min(self.chunk, part.length - start)
                yield Part(part.item, part.start + start, length), start == 0
