"""What a proof compares, and what it finds: the largest difference, and where it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from rekur._tensors import Array
from rekur.check.subject import Subject
from rekur.errors import RekurError
from rekur.ship.difference import differences


class NotApplicable(Exception):
    """A proof says that there is nothing to prove, and why."""


class Pair(NamedTuple):
    """Two arrays that should be equal.

    Attributes:
        where: what they belong to, such as ``item 3``.
        found: what one way gave.
        wanted: what the other way gave, of the same shape.
        axes: what the axes count, such as ``("step", "score")``; the last one of scores is shown by their names.
    """

    where: str
    found: Array
    wanted: Array
    axes: tuple[str, ...] = ("score",)


@dataclass(frozen=True)
class Check:
    """One proof.

    Args:
        name: by which it is called.
        says: what is true where it holds.
        run: gives pairs of arrays that should be equal, or raises :class:`NotApplicable`.
        tolerance: the largest difference at which it holds: absolute; in rows with numbers above 1 in size, along the
            last axis, a share of the largest.

    Example:
        >>> def same(subject):
        ...     yield Pair("the whole", np.array([1.0, 2.0]), np.array([1.0, 2.5]))
        >>> finding = Check("same", "both are equal", same, 0.1).on(Subject.__new__(Subject))
        >>> finding.holds, round(finding.difference, 3), finding.where
        (False, 0.2, 'the whole, score 1')
    """

    name: str
    says: str
    run: Callable[[Subject], Iterator[Pair]]
    tolerance: float = 1e-5

    def on(self, subject: Subject) -> Finding:
        """Return what the proof finds; an error on the way is a proof that does not hold."""
        largest, where = -1.0, ""
        try:
            for pair in self.run(subject):
                difference, place = _largest(pair, getattr(subject, "scores", ()))
                if difference > largest:
                    largest, where = difference, place
        except NotApplicable as error:
            return Finding(self.name, self.says, None, self.tolerance, str(error))
        except Exception as error:  # whatever the model makes a library raise, it is a proof that does not hold
            kind = "" if isinstance(error, RekurError) else f"{type(error).__name__}: "
            return Finding(self.name, self.says, math.inf, self.tolerance, f"{kind}{error}")
        if largest < 0:
            return Finding(self.name, self.says, None, self.tolerance, "there was nothing to compare")
        return Finding(self.name, self.says, largest, self.tolerance, where if largest else "")


@dataclass(frozen=True)
class Finding:
    """What a proof found.

    Attributes:
        name: of the proof.
        says: what is true where it holds.
        difference: the largest; None where there was nothing to prove.
        tolerance: the largest at which it holds.
        where: where the largest difference is, or why there was nothing to prove.
    """

    name: str
    says: str
    difference: float | None
    tolerance: float
    where: str

    @property
    def holds(self) -> bool | None:
        """Whether the proof holds; None where there was nothing to prove."""
        return None if self.difference is None else self.difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {**asdict(self), "holds": self.holds}


def _largest(pair: Pair, scores: Sequence[str]) -> tuple[float, str]:
    """Return the largest difference of a pair, infinite where one has no number or another shape, and where it is."""
    if pair.found.shape != pair.wanted.shape:
        return math.inf, f"{pair.where}: {pair.found.shape} instead of {pair.wanted.shape}"
    if not pair.found.size:
        return 0.0, pair.where
    apart = differences(pair.found, pair.wanted)
    apart[np.isnan(pair.found) & np.isnan(pair.wanted)] = 0
    place = np.unravel_index(int(apart.argmax()), apart.shape)
    named = [
        f"{axis} '{scores[at]}'" if axis == "score" and at < len(scores) else f"{axis} {at}"
        for axis, at in zip(pair.axes, map(int, place), strict=True)
    ]
    return float(apart[place]), ", ".join([pair.where, *named])
