"""Tags of a sentence from scores of each step, such that every tag may follow the one before it.

Axes: T steps, K tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._schemes import OUTSIDE, SCHEMES, Parsed, Scheme
from rekur.errors import InputError, ShapeError, describe

Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Transitions:
    """Which tag may follow which, begin a sentence and end it.

    Attributes:
        legal: whether the tag of the column may follow the tag of the row, bool (K, K).
        first: whether a tag may stand at the first step, bool (K,).
        last: whether a tag may stand at the last step, bool (K,).
    """

    legal: NDArray[np.bool_]
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """The number of tags K."""
        return len(self.first)

    @property
    def is_free(self) -> bool:
        """Whether every sequence of tags is legal."""
        return bool(self.legal.all() and self.first.all() and self.last.all())

    def allows(self, path: Sequence[int] | NDArray[np.int64]) -> bool:
        """Return whether a sequence of tag numbers is legal.

        Example:
            >>> transitions = legal_transitions(["O", "B-A", "I-A"], SCHEMES["BIO2"])
            >>> transitions.allows([1, 2, 0]), transitions.allows([0, 2])
            (True, False)
        """
        tags = np.asarray(path, np.int64)
        if not len(tags):
            return True
        inside = bool(self.legal[tags[:-1], tags[1:]].all())
        return inside and bool(self.first[tags[0]]) and bool(self.last[tags[-1]])


def legal_transitions(tags: Sequence[str], scheme: Scheme = SCHEMES["none"]) -> Transitions:
    """Return the transitions that a scheme allows.

    A tag from which no sentence can end, such as ``B-A`` in BIOES without ``E-A``, is never legal.

    Args:
        tags: the K tags in the order of the scores.
        scheme: of the tags; without spans everything is legal.

    Raises:
        InputError: a tag is none of the scheme, or stands there twice, or no tag can stand alone.

    Example:
        >>> legal_transitions(["O", "B-A", "I-A"], SCHEMES["BIO2"]).legal.astype(int).tolist()
        [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    """
    if len(set(tags)) < len(tags):
        twice = next(tag for tag in tags if list(tags).count(tag) > 1)
        raise InputError(describe("tags", twice, "each tag once"))
    size = len(tags)
    if not scheme.has_spans:
        return Transitions(np.ones((size, size), bool), np.ones(size, bool), np.ones(size, bool))
    parsed = [scheme.parse(tag) for tag in tags]
    legal = np.array([[_may_follow(scheme, previous, tag) for tag in parsed] for previous in parsed], bool)
    first = np.array([_may_follow(scheme, (OUTSIDE, ""), tag) for tag in parsed], bool)
    last = np.array([not (_has_ends(scheme) and letter in "BI") for letter, _ in parsed], bool)
    ends = last
    while True:  # tags from which an end can be reached
        more = ends | (legal & ends).any(axis=1)
        if (more == ends).all():
            break
        ends = more
    first = first & ends
    if not (first & last).any():
        got = ", ".join(tags)
        raise InputError(describe(f"tags of {scheme.name}", got, "one or more that can stand alone, such as 'O'"))
    return Transitions(legal & ends & ends[:, None], first, last)


def _has_ends(scheme: Scheme) -> bool:
    """Return whether the last word of a span has a letter of its own."""
    return scheme.letters[1] != scheme.letters[2]


def _may_follow(scheme: Scheme, previous: Parsed, tag: Parsed) -> bool:
    letter, label = tag
    is_same = previous[0] != OUTSIDE and previous[1] == label
    if scheme.name == "IO":
        return True
    if scheme.name == "BIO1":
        return letter != "B" or is_same
    if scheme.name == "BIO2":
        return letter != "I" or is_same
    if previous[0] in "BI":
        return letter in "IE" and is_same
    return letter in "OBS"


class GreedyTags:
    """The best legal tag of each step, from left to right; scores may come in pieces.

    Each tag has the highest score of those that may follow the tag before it; of equal scores the first counts. A tag
    that may not be the last is held back until the next step comes; if none comes, the best tag that may be the last
    stands in its place. The tags do not depend on how the scores are cut.

    Args:
        transitions: which tags are legal.

    Example:
        >>> tags = GreedyTags(legal_transitions(["O", "B-A", "E-A", "S-A"], SCHEMES["BIOES"]))
        >>> tags.push(np.array([[0.0, 3.0, 1.0, 2.0]])).tolist()  # B-A waits for an E-A
        []
        >>> tags.finish().tolist()
        [3]
    """

    def __init__(self, transitions: Transitions) -> None:
        self._transitions = transitions
        # the last row holds the tags that may be the first
        self._legal = [row.tolist() for row in (*transitions.legal, transitions.first)]
        self._choices = [np.flatnonzero(row) for row in (*transitions.legal, transitions.first)]
        self._may_be_last = transitions.last.tolist()
        self.reset()

    def reset(self) -> None:
        """Forget the sentence."""
        self._tag = -1
        self._held: NDArray[np.float64] | None = None

    def push(self, scores: Scores) -> NDArray[np.int64]:
        """Take the scores of the next steps, and return the tags that will not change.

        Args:
            scores: (T, K), numbers or minus infinity; T may be 0.

        Raises:
            ShapeError: of another shape.
            InputError: a score is NaN or infinity.
        """
        rows = _checked(scores, self._transitions.size)
        if not len(rows):
            return np.empty(0, np.int64)
        if self._held is not None:
            rows = np.concatenate([self._held[None], rows])
        tag, path = self._tag, []
        for step, best in enumerate(rows.argmax(axis=1).tolist()):
            tag = best if self._legal[tag][best] else self._best(rows[step], self._choices[tag])
            path.append(tag)
        self._held = None
        if not self._may_be_last[tag]:
            path.pop()
            self._held = rows[-1]
        self._tag = path[-1] if path else self._tag
        return np.array(path, np.int64)

    def finish(self) -> NDArray[np.int64]:
        """Return the tag that was held back, if there is one; the next scores begin another sentence."""
        path = []
        if self._held is not None:
            choices = self._choices[self._tag]
            path.append(self._best(self._held, choices[self._transitions.last[choices]]))
        self.reset()
        return np.array(path, np.int64)

    def get_state(self) -> dict[str, Any]:
        """Return the state as plain JSON."""
        return {"tag": self._tag, "held": None if self._held is None else self._held.tolist()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state of :meth:`get_state`."""
        self._tag = int(state["tag"])
        self._held = None if state["held"] is None else np.array(state["held"], np.float64)

    @staticmethod
    def _best(row: NDArray[np.float64], choices: NDArray[np.intp]) -> int:
        return int(choices[row[choices].argmax()])


def viterbi(scores: Scores, transitions: Transitions, weights: Scores | None = None) -> NDArray[np.int64]:
    r"""Return the legal sequence of tags with the highest total score, exactly.

    .. math:: \arg\max_{k_1 \dots k_T \text{ legal}} \; \sum_t s_{t, k_t} + \sum_{t > 1} w_{k_{t-1}, k_t}

    Sums are in double precision. Minus infinity counts as less than any sum of numbers, so where no legal sequence
    avoids it, one with the fewest is returned. Of equal sequences it is the one whose last tag is the lowest, then the
    tag before it, and so on.

    Args:
        scores: (T, K), such as log-probabilities; T may be 0.
        transitions: which tags are legal.
        weights: the score of each tag (column) after another (row), (K, K); None is 0 for all.

    Returns:
        (T,), in [0, K).

    Raises:
        ShapeError: of another shape.
        InputError: a score is NaN or infinity.

    Example:
        >>> transitions = legal_transitions(["O", "B-A", "I-A"], SCHEMES["BIO2"])
        >>> viterbi(np.array([[1.0, 0.9, 0.0], [0.0, 0.0, 2.0]]), transitions).tolist()
        [1, 2]
    """
    rows = _checked(scores, transitions.size)
    if weights is None and transitions.is_free:
        best: NDArray[np.int64] = rows.argmax(axis=1).astype(np.int64)
        return best
    if not len(rows):
        return np.empty(0, np.int64)
    links = np.zeros(transitions.legal.shape)
    if weights is not None:
        links = _checked(weights, transitions.size)
        if len(links) != transitions.size:
            raise ShapeError(describe("weights", links.shape, f"the shape {transitions.legal.shape}"))
    rows, links = _finite(rows, links)
    links = np.ascontiguousarray(np.where(transitions.legal, links, -np.inf).T)
    every = np.arange(transitions.size)
    pointers = np.empty(rows.shape, np.int32)
    total = np.where(transitions.first, rows[0], -np.inf)
    for step in range(1, len(rows)):
        sums = links + (total - total.max())
        pointers[step] = previous = sums.argmax(axis=1)
        total = sums[every, previous] + rows[step]
    path = np.empty(len(rows), np.int64)
    path[-1] = np.where(transitions.last, total, -np.inf).argmax()
    for step in range(len(rows) - 1, 0, -1):
        path[step - 1] = pointers[step, path[step]]
    return path


def _checked(scores: Scores, size: int) -> NDArray[np.float64]:
    """Return scores as float64 (T, K)."""
    rows = np.asarray(scores, np.float64)
    if rows.ndim != 2 or rows.shape[1] != size:
        raise ShapeError(describe("scores", rows.shape, f"the shape (T, {size})"))
    if rows.size and not rows.max() < np.inf:  # also NaN
        step, tag = np.argwhere(~(rows < np.inf))[0].tolist()
        raise InputError(
            describe(f"scores: step {step}, tag {tag}", float(rows[step, tag]), "a number or minus infinity")
        )
    return rows


def _finite(rows: NDArray[np.float64], links: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores and weights with a number in place of minus infinity that no sum of the others can outweigh."""
    impossible, forbidden = np.isneginf(rows), np.isneginf(links)
    if not impossible.any() and not forbidden.any():
        return rows, links
    high = np.where(impossible, -np.inf, rows).max(axis=1, initial=-np.inf)
    low = np.where(impossible, np.inf, rows).min(axis=1, initial=np.inf)
    high, low = (np.where(np.isfinite(ends), ends, 0.0) for ends in (high, low))
    weights = np.where(forbidden, 0.0, links)
    spread = float((high - low).sum() + len(rows) * (weights.max() - weights.min()) + 1)
    return np.where(impossible, low[:, None] - spread, rows), np.where(forbidden, weights.min() - spread, links)
