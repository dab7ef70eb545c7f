"""Signs of pairs that do not belong together: lines that slipped, and sides that are swapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

#: the warning of pairs that fit with the sides swapped
SWAPPED = "sources look like the targets of training, and targets like its sources. Are they swapped?"
SWAPPED_SOURCES = "the texts look like the targets of training, and not like its sources. Is it the right file?"

Floats = NDArray[np.float64]

#: how far lines are looked for, the fewest that are told of, and how many standard errors the gain must have
_FARTHEST, _FEWEST, _CERTAIN = 3, 15, 7.0
#: lines between those that are compared by chance
_FAR = (5, 6, 7, 8, 9)
#: share of equal lengths from which a shift is taken for a dialogue
_AGAIN = 0.3
#: the largest difference of two logarithms of lengths that counts
_MOST = 2.0
#: pairs whose letters are compared, letters that are kept a side, and letters from which on they tell something
_PAIRS, _LETTERS, _FEWEST_LETTERS = 1000, 80, 200
#: nats a letter by which the other order must fit better
_GAIN = 0.01
#: times that one side is longer than the other to be clearly longer, and pairs from which on it is sure
_LONGER, _FEWEST_RATIOS = 1.5, 20


class Shift(NamedTuple):
    """A stretch of lines whose lengths fit better with the targets of other lines.

    Attributes:
        first: its first line, from 1.
        last: its last line.
        by: how many lines later the fitting target stands.
    """

    first: int
    last: int
    by: int

    def sentence(self, source: str, target: str) -> str:
        """Return what a person is told.

        Args:
            source: the name of the sources.
            target: the name of the targets.
        """
        lines = "line" if abs(self.by) == 1 else "lines"
        where = f"{abs(self.by)} {lines} {'later' if self.by > 0 else 'earlier'}"
        lost, added = (source, target) if self.by > 0 else (target, source)
        return (
            f"lines {self.first:,} to {self.last:,}: the lengths of sources fit the targets {where} better. "
            f"Was a line lost in {lost}, or added in {added}, near line {self.first:,}?"
        )


def find_shift(sources: Sequence[int], targets: Sequence[int]) -> Shift | None:
    """Return the stretch in which the lengths of pairs fit best where one side is shifted; None if none is certain.

    The misfit of line i at shift s is |log(1 + t[i + s]) − log(1 + s[i]) − m|, with the median m of pairs as they are.

    Args:
        sources: characters of each source, (N,).
        targets: of each target, (N,).

    Example:
        >>> sources = np.random.default_rng(0).integers(5, 100, 80).tolist()
        >>> targets = [length + 3 for length in sources]
        >>> find_shift(sources, targets), find_shift(sources, [*targets[:20], 35, *targets[20:-1]])
        (None, Shift(first=22, last=79, by=1))
    """
    x, y = (np.log1p(np.asarray(lengths, np.float64)) for lengths in (sources, targets))
    both = (x > 0) & (y > 0)
    if len(x) < 2 * _FEWEST or not both.any():
        return None
    middle = float(np.median((y - x)[both]))
    misfit = np.minimum(np.abs(y - x - middle), _MOST)
    best: tuple[float, Shift] | None = None
    for by in (shift for size in range(1, _FARTHEST + 1) for shift in (size, -size)):
        gain = np.zeros(len(x))
        first, last = max(0, -by), len(x) - max(0, by)
        shifted = np.minimum(np.abs(y[first + by : last + by] - x[first:last] - middle), _MOST)
        gain[first:last] = misfit[first:last] - shifted
        start, end = _largest_sum(gain - 0.1 * misfit.mean())
        if _is_dialogue(x, y, start, end, by):
            continue
        part = gain[start:end]
        if (
            end - start < _FEWEST
            or not _is_certain(part)
            or not _is_certain(_over_chance(x, y, start, end, by, middle))
        ):
            continue
        if best is None or part.sum() > best[0]:
            best = float(part.sum()), Shift(start + 1, end, by)
    return None if best is None else best[1]


def _is_certain(gains: Floats) -> bool:
    return bool(gains.sum() >= _CERTAIN * gains.std() * np.sqrt(len(gains)))


def _over_chance(x: Floats, y: Floats, start: int, end: int, by: int, middle: float) -> Floats:
    """Return by how much each line of a stretch fits its shifted target better than targets of farther lines."""
    rows = np.arange(max(start, -by), min(end, len(y) - max(0, by)))
    shifted = np.minimum(np.abs(y[rows + by] - x[rows] - middle), _MOST)
    far = [np.minimum(np.abs(np.roll(y[rows + by], each) - x[rows] - middle), _MOST) for each in _FAR]
    return np.asarray(np.mean(far, axis=0) - shifted)


def _is_dialogue(x: Floats, y: Floats, start: int, end: int, by: int) -> bool:
    """Return whether a shift finds texts again, as in a dialogue whose turns are targets first and sources then."""
    rows = np.arange(start, end)
    rows = rows[(rows + by >= 0) & (rows + by < len(y))]
    return bool(len(rows)) and float((y[rows + by] == x[rows]).mean()) > _AGAIN


def _largest_sum(values: Floats) -> tuple[int, int]:
    """Return the start and the end of the stretch with the largest sum."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    lowest = np.minimum.accumulate(sums)
    end = int(np.argmax(sums - lowest))
    return int(np.argmin(sums[: end + 1])), end


class Sides(NamedTuple):
    """How often each letter stands in sources and in targets, digits as one, and how their lengths compare.

    Attributes:
        source: letter -> how often.
        target: the same of the targets.
        lengths: of pairs with a text on both sides their number, ``pairs``, and the characters of ``source`` and
            ``target``.
    """

    source: Counter[str]
    target: Counter[str]
    lengths: Mapping[str, int] = MappingProxyType({})

    @classmethod
    def of(cls, pairs: Iterable[Any]) -> Self:
        """Return the letters and the lengths of the first pairs.

        Args:
            pairs: examples whose label is a text, several texts or None.
        """
        source, target, lengths = Counter[str](), Counter[str](), Counter[str]()
        for pair in islice(pairs, _PAIRS):
            source.update(_letters(pair.item))
            label = pair.label or ()
            for text in (label,) if isinstance(label, str) else label:
                target.update(_letters(text))
                if pair.item.strip() and text.strip():
                    lengths.update({"pairs": 1, "source": len(pair.item), "target": len(text)})
        source, target = (Counter(dict(each.most_common(_LETTERS))) for each in (source, target))
        return cls(source, target, dict(lengths))

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain JSON."""
        return {"source": dict(self.source), "target": dict(self.target), "lengths": dict(self.lengths)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_dict` gave."""
        source, target = (Counter(saved[side]) for side in ("source", "target"))
        return cls(source, target, saved.get("lengths", {}))

    @property
    def tell(self) -> bool:
        """Whether others can be compared with these: by letters, or by clearly longer texts on one side."""
        return self._has_letters or self._longer_side != 0

    @property
    def _has_letters(self) -> bool:
        return min(sum(self.source.values()), sum(self.target.values())) >= _FEWEST_LETTERS

    @property
    def _longer_side(self) -> int:
        """Which texts are clearly longer: -1 the sources, 1 the targets, 0 neither."""
        if self.lengths.get("pairs", 0) < _FEWEST_RATIOS:
            return 0
        source, target = self.lengths["source"], self.lengths["target"]
        return int(target > _LONGER * source) - int(source > _LONGER * target)

    def are_swapped(self, others: Sides) -> bool:
        """Return whether other pairs fit these better with sources and targets swapped: by letters, else by lengths.

        Without targets, the letters of sources alone are compared.

        Example:
            >>> ours = Sides(Counter("the dog and the cat" * 20), Counter("le chien et le chat" * 20))
            >>> ours.are_swapped(ours), ours.are_swapped(Sides(ours.target, ours.source))
            (False, True)
            >>> long = Sides(Counter(), Counter(), {"pairs": 50, "source": 900, "target": 300})
            >>> long.are_swapped(Sides(Counter(), Counter(), {"pairs": 50, "source": 300, "target": 900}))
            True
        """
        gain = self._gain(others)
        if abs(gain) > _GAIN:
            return gain > 0
        return self._longer_side * others._longer_side < 0

    def _gain(self, others: Sides) -> float:
        """Return by how many nats a letter other pairs fit better with their sides swapped; 0 where they are few."""
        straight = crossed = total = 0.0
        if not self._has_letters:
            return 0.0
        for ours, crossing, theirs in (
            (self.source, self.target, others.source),
            (self.target, self.source, others.target),
        ):
            count = sum(theirs.values())
            if count < _FEWEST_LETTERS:
                if count or theirs is others.source:
                    return 0.0
                continue  # without targets
            straight += _log_likelihood(theirs, ours)
            crossed += _log_likelihood(theirs, crossing)
            total += count
        return (crossed - straight) / total


def _letters(text: str) -> Iterator[str]:
    """Yield the letters of a text, small, and 0 for each digit."""
    return ("0" if letter.isdigit() else letter for letter in text.lower() if letter.isalnum())


def _log_likelihood(letters: Counter[str], model: Counter[str]) -> float:
    """Return the log-likelihood of letters by the shares that they have in others, each counted once more."""
    alphabet = letters.keys() | model.keys()
    total = sum(model.values()) + len(alphabet)
    return float(sum(count * np.log((model[letter] + 1) / total) for letter, count in letters.items()))
