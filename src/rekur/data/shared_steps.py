"""Series that share steps with others, as windows of one recording do: found by content, and cut by time.

Axes: N series, T steps, D channels, S steps of all series.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur.data.overlap import token_hashes

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

#: most steps in a row that are looked up in other series, and how many such places of a series are kept
_RUN, _PLACES = 8, 24
#: steps of all series up to which shared ones are looked for
_MOST_STEPS = 10_000_000
#: share of the series that must share steps, and of the pairs whose places in time may contradict others
_SHARE, _CONTRADICT = 0.1, 0.01


class Stretches(NamedTuple):
    """Series of stretches of time, which stay on one side of a split.

    Attributes:
        names: the stretch of each series, (N,); one that shares no steps is a stretch of its own.
        sharing: number of series that share steps with others.
        pieces: number of stretches of such series.
    """

    names: list[str]
    sharing: int
    pieces: int

    def note(self) -> str:
        """Return the sentence that tells a person of them."""
        return (
            f"{self.sharing:,} of {len(self.names):,} series share steps with others, as windows of one recording do. "
            f"They are held out in {self.pieces:,} stretches of time: held out at random they would score too well."
        )


def find_stretches(items: Iterable[Any], classes: Sequence[Hashable], count: int) -> Stretches | None:
    """Return the stretches of time of series that share steps; None where few do.

    Series share steps where the end of one is the beginning of the other, or one is a part of the other. Those that
    share steps, directly or by others between them, are one recording. Series of one class and one recording are cut in
    the order of time into stretches that hold about the share 1 / ``count`` of all series of the class at most.

    Args:
        items: series (T, D) of floats.
        classes: the class of each, (N,).
        count: stretches that series of one recording are cut into, 2 or more.

    Example:
        >>> log = np.random.default_rng(0).normal(size=(60, 1))
        >>> stretches = find_stretches([log[start : start + 20] for start in range(40)], [None] * 40, 4)
        >>> stretches.sharing, stretches.pieces
        (40, 4)
    """
    rows = _hashes_of_rows(items)
    if rows is None or len(rows) < 2:
        return None
    lengths = np.array([len(each) for each in rows], np.int64)
    recordings = _recordings(rows, lengths, _pairs(np.concatenate(rows), lengths))
    if recordings is None:
        return None
    recording, begins = recordings
    sizes = np.bincount(recording)
    sharing = sizes[recording] > 1
    if sharing.sum() < max(2, _SHARE * len(rows)):
        return None
    return _cut(recording, begins, sharing, classes, count)


def _hashes_of_rows(items: Iterable[Any]) -> list[Hashes] | None:
    """Return a number for each step of each series, equal for equal steps; None where there are too many steps."""
    rows, steps = [], 0
    factors: Hashes | None = None
    for item in items:
        values = np.ascontiguousarray(np.asarray(item, np.float64) + 0.0)  # -0 becomes 0
        if factors is None:
            width = values.shape[1] if values.ndim == 2 else 0
            factors = np.random.default_rng(0).integers(1, 2**63, width, np.uint64) | np.uint64(1)
        if values.ndim != 2 or values.shape[1] != len(factors):
            return None  # refused later, by those that read channels
        values[np.isnan(values)] = np.nan  # of one bit pattern
        mixed = values.view(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * factors
        mixed = (mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
        rows.append(mixed)
        steps += len(mixed)
        if steps > _MOST_STEPS:
            return None
    return rows


class _Pairs(NamedTuple):
    """Pairs of series; the second seems to begin inside the first, (P,) each.

    Attributes:
        early: the number of the first series.
        late: the number of the second one.
        shift: steps by which the second begins later.
    """

    early: Ints
    late: Ints
    shift: Ints


def _pairs(codes: Hashes, lengths: Ints) -> _Pairs:
    """Return the pairs of series in which the same steps stand in a row, once in each, and are not all alike.

    Args:
        codes: of the steps of all series, (S,).
        lengths: of the series, (N,).
    """
    typical = int(np.median(lengths))
    run = min(_RUN, 1 << max(1, (typical // 2).bit_length() - 1))
    if len(codes) < run:
        return _Pairs(*np.empty((3, 0), np.int64))
    hashes = token_hashes(codes, run)
    series = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    changes = np.concatenate([[0], np.cumsum(codes[1:] != codes[:-1])])
    size = len(hashes)
    inside = series[:size] == series[run - 1 :]
    moving = changes[run - 1 :] - changes[:size] >= run // 2
    mixed = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    sampled = (mixed >> np.uint64(40)) % np.uint64(max(1, typical // _PLACES)) == 0
    chosen = np.flatnonzero(inside & moving & sampled)
    hashes, series, places = hashes[chosen], series[chosen], places[chosen]
    order = np.lexsort((-places, series, hashes))
    hashes, series, places = hashes[order], series[order], places[order]
    same = (hashes[1:] == hashes[:-1]) & (series[1:] == series[:-1])
    repeated = np.zeros(len(hashes), bool)  # steps that a series has twice say nothing of time
    repeated[1:] |= same
    repeated[:-1] |= same
    hashes, series, places = hashes[~repeated], series[~repeated], places[~repeated]
    order = np.lexsort((series, -places, hashes))
    hashes, series, places = hashes[order], series[order], places[order]
    equal = np.flatnonzero(hashes[1:] == hashes[:-1])
    linked = np.stack([series[equal], series[equal + 1], places[equal] - places[equal + 1]])
    return _Pairs(*np.unique(linked, axis=1))


def _recordings(rows: list[Hashes], lengths: Ints, pairs: _Pairs) -> tuple[Ints, Ints] | None:
    """Return the recording of each series and where in it that begins, (N,) each; None where places contradict.

    Args:
        rows: codes of the steps of each series.
        lengths: of the series, (N,).
        pairs: those that may share steps.
    """
    parent, ahead = list(range(len(rows))), [0] * len(rows)

    def root(number: int) -> tuple[int, int]:
        """Return the first series of a recording, and how many steps later this one begins."""
        path, total = [], 0
        while parent[number] != number:
            path.append(number)
            number = parent[number]
        for each in reversed(path):
            total += ahead[each]
            parent[each], ahead[each] = number, total
        return number, total

    agreed = contradicted = 0
    for early, late, shift in zip(*(each.tolist() for each in pairs), strict=True):
        shared = int(min(lengths[early] - shift, lengths[late]))
        if 2 * shared < min(lengths[early], lengths[late], 2 * _RUN):
            continue
        if not np.array_equal(rows[early][shift : shift + shared], rows[late][:shared]):
            continue
        (first, begin), (second, begin_of_late) = root(early), root(late)
        if first == second:
            contradicted += begin_of_late != begin + shift
        else:
            parent[second], ahead[second] = first, begin + shift - begin_of_late
        agreed += 1
    if contradicted > _CONTRADICT * max(1, agreed):
        return None
    roots = [root(number) for number in range(len(rows))]
    recording = np.unique([each for each, _ in roots], return_inverse=True)[1]
    return recording, np.array([begin for _, begin in roots], np.int64)


def _cut(
    recording: Ints, begins: Ints, sharing: NDArray[np.bool_], classes: Sequence[Hashable], count: int
) -> Stretches:
    """Return the stretches of series whose place in a recording is known."""
    numbers: dict[Hashable, int] = {}
    class_of = np.array([numbers.setdefault(each, len(numbers)) for each in classes], np.int64)
    totals = np.bincount(class_of[sharing], minlength=len(numbers))
    names, stretches = [f"series {number}" for number in range(len(recording))], 0
    order = np.lexsort((begins, class_of, recording))
    order = order[sharing[order]]
    borders = np.flatnonzero(np.diff(recording[order]) | np.diff(class_of[order])) + 1
    for part in np.split(order, borders):
        pieces = min(len(part), -(-count * len(part) // totals[class_of[part[0]]]))
        for stretch in np.array_split(part, pieces):
            for row in stretch:
                names[row] = f"stretch {stretches}"
            stretches += 1
    return Stretches(names, int(sharing.sum()), stretches)
