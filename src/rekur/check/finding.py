"""The arrays that a proof compares, and its finding: the largest difference and its location."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from rekur._tensors import Array
from rekur.check.subject import Subject
from rekur.errors import RekurError
from rekur.export.difference import differences


class NotApplicable(Exception):
    """A proof does not apply to the model; the text says why."""


class Pair(NamedTuple):
    """Two arrays that should be equal.

    Attributes:
        where: their owner, such as ``item 3``.
        found: the result of one way.
        wanted: the result of the other way, of the same shape.
        axes: names of the axes, such as ``("row", "column")``; an index of a score is shown as its label. An array
            of scores with two axes has steps first.
    """

    where: str
    found: Array
    wanted: Array
    axes: tuple[str, ...] = ("score",)


@dataclass(frozen=True)
class Check:
    """One proof.

    Args:
        name: its name.
        says: the statement that it proves.
        run: yields pairs of arrays that should be equal, or raises :class:`NotApplicable`.
        tolerance: the largest accepted difference: absolute; in rows with numbers above 1 in size, along the last axis,
            relative to the largest.

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
        """Return the finding; a proof that raises an error does not hold."""
        largest, where = -1.0, ""
        try:
            for pair in self.run(subject):
                difference, location = _largest(pair, getattr(subject, "scores", ()), getattr(subject, "unit", "score"))
                if difference > largest:
                    largest, where = difference, location
        except NotApplicable as error:
            return Finding(self.name, self.says, None, self.tolerance, str(error))
        except Exception as error:  # any error that the model causes in a library refutes the proof
            kind = "" if isinstance(error, RekurError) else f"{type(error).__name__}: "
            return Finding(self.name, self.says, math.inf, self.tolerance, f"{kind}{error}")
        if largest < 0:
            return Finding(self.name, self.says, None, self.tolerance, "there was nothing to compare")
        return Finding(self.name, self.says, largest, self.tolerance, where if largest else "")


@dataclass(frozen=True)
class Finding:
    """The result of a proof.

    Attributes:
        name: of the proof.
        says: the statement that it proves.
        difference: the largest difference; None if the proof does not apply.
        tolerance: the largest accepted difference.
        where: the location of the largest difference, or why the proof does not apply.
    """

    name: str
    says: str
    difference: float | None
    tolerance: float
    where: str

    @property
    def holds(self) -> bool | None:
        """Whether the proof holds; None if it does not apply."""
        return None if self.difference is None else self.difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {**asdict(self), "holds": self.holds}


def _largest(pair: Pair, scores: Sequence[str], unit: str) -> tuple[float, str]:
    """Return the largest difference of a pair and its location; infinite if shapes differ or only one is NaN.

    Args:
        pair: the arrays.
        scores: names of scores.
        unit: what a number along the axis ``score`` is of.
    """
    if pair.found.shape != pair.wanted.shape:
        return math.inf, f"{pair.where}: {pair.found.shape} instead of {pair.wanted.shape}"
    if not pair.found.size:
        return 0.0, pair.where
    apart = differences(pair.found, pair.wanted)
    apart[np.isnan(pair.found) & np.isnan(pair.wanted)] = 0
    index = np.unravel_index(int(apart.argmax()), apart.shape)
    axes = ("step", *pair.axes) if pair.axes == ("score",) and len(index) == 2 else pair.axes
    axes = tuple(unit if axis == "score" else axis for axis in axes)
    named = [
        f"{axis} '{scores[at]}'" if axis == "score" and at < len(scores) else f"{axis} {at}"
        for axis, at in zip(axes, map(int, index), strict=True)
    ]
    return float(apart[index]), ", ".join([pair.where, *named])
