"""What a search may write: reserved tokens, limits of the length, repeated runs of tokens.

Axes: N searches, B live rows, T tokens so far, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._ids import PADDING, START, UNKNOWN
from rekur.decode.steps import Ids, Scores
from rekur.errors import InputError, describe

#: a limit without a ratio: tokens for each token of the source, and further ones
_SLOPE, _FURTHER = 3, 20
#: most tokens that a ratio allows
_LONGEST = 1 << 40
#: largest log-probability that is taken for rounding of 0
_ROUNDING = 1e-3
#: the log-probability of an end that is forced where the model gives it none
NEVER = float(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a search may write.

    Args:
        end: the token that ends a sequence.
        begin: the token that is read first.
        never: tokens that are never written; the first token is among them unless it is the end.
        no_repeat: n, so that no run of n tokens comes twice in a sequence; 0 for no such rule.

    Raises:
        InputError: a number is negative, or the end is never to be written.
    """

    end: int
    begin: int = START
    never: tuple[int, ...] = (PADDING, UNKNOWN)
    no_repeat: int = 0

    def __post_init__(self) -> None:
        for name in ("end", "begin", "no_repeat"):
            object.__setattr__(self, name, _check.whole(name, getattr(self, name), 0))
        never = {_check.whole("never", number, 0) for number in _check.several("never", self.never)}
        if self.end in never:
            raise InputError(describe("never", self.end, "tokens other than the end"))
        object.__setattr__(self, "never", tuple(sorted(never)))


def length_limits(
    lengths: Sequence[int] | NDArray[Any],
    *,
    min_ratio: float = 0.0,
    max_ratio: float | None = None,
    max_length: int | None = None,
) -> tuple[Ids, Ids]:
    """Return the least and the most tokens (N,) that may be written for sources of these lengths.

    Args:
        lengths: tokens of each source, (N,).
        min_ratio: least tokens for each token of the source, 0 or more.
        max_ratio: most tokens for each token of the source, above 0; by default 3 and 20 further ones, which is
            enough for a model that has learned to end.
        max_length: most tokens of any sequence, 1 or more.

    Raises:
        InputError: an option is out of range, or the ratios exclude each other.

    Example:
        >>> least, most = length_limits([4, 10], min_ratio=0.5, max_ratio=1.5)
        >>> least.tolist(), most.tolist()
        ([2, 5], [6, 15])
    """
    sizes = np.asarray(lengths, np.int64)
    least = np.ceil(np.minimum(_check.number("min_ratio", min_ratio, 0) * sizes, _LONGEST)).astype(np.int64)
    if max_ratio is None:
        most = _SLOPE * sizes + _FURTHER
    else:
        if (ratio := _check.positive("max_ratio", max_ratio)) < min_ratio:
            raise InputError(describe("max_ratio", max_ratio, f"{min_ratio:g} or more, the min_ratio"))
        most = np.maximum(np.floor(np.minimum(ratio * sizes, _LONGEST)).astype(np.int64), 1)
    if max_length is not None:
        most = np.minimum(most, _check.whole("max_length", max_length, 1))
    return np.minimum(least, most), most


class Masks:
    """The rules of one run, applied to the log-probabilities of its live rows.

    Args:
        rules: what may be written.
        batch: searches N.
        least: fewest tokens of a sequence, one number or (N,).
        most: most tokens of a sequence, one number or (N,).

    Raises:
        InputError: a limit is out of range.
    """

    def __init__(self, rules: Rules, batch: int, least: Any, most: Any) -> None:
        self.rules = rules
        self.most = _limits("most", most, batch, 1)
        self.least = _limits("least", least, batch, 0)
        if wrong := np.flatnonzero(self.least > self.most).tolist():
            n = wrong[0]
            raise InputError(describe("least", int(self.least[n]), f"at most {self.most[n]}, the most tokens"))
        self._never = [number for number in sorted({*rules.never, rules.begin}) if number != rules.end]

    def apart(self, size: int) -> list[int]:
        """Return the tokens that are not listed, of V: the end, and those that are never written.

        Raises:
            InputError: the vocabulary lacks the end.
        """
        if size <= self.rules.end:
            raise InputError(describe("vocabulary of the model", size, f"more than {self.rules.end}, the end"))
        return [self.rules.end, *(number for number in self._never if number < size)]

    def limits(self, numbers: Ids, length: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which searches (B,) may end after this number of tokens, and which must."""
        return self.least[numbers] <= length, self.most[numbers] <= length

    def apply(self, scores: Scores, history: Ids, numbers: Ids) -> Allowed:
        """Return what may follow in each row.

        Args:
            scores: log-probabilities (B, V); they are changed until :meth:`Allowed.restore` is called.
            history: the tokens of each row so far, (B, T).
            numbers: of the search of each row, (B,).

        Raises:
            InputError: the vocabulary lacks the end, or a log-probability is NaN or above 0.
        """
        rules, (rows, length) = self.rules, history.shape
        if scores.ndim != 2 or len(scores) != rows or scores.shape[1] <= rules.end:
            expected = f"({rows}, V) with V above {rules.end}, the end"
            raise InputError(describe("shape of the log-probabilities", scores.shape, expected))
        if not scores.flags.writeable or not scores.flags.c_contiguous or scores.dtype not in (np.float32, np.float64):
            scores = np.array(scores, np.float32)
        columns = self.apart(scores.shape[1])
        plain = scores[:, columns]
        changed: list[tuple[Any, NDArray[Any]]] = []
        if rules.no_repeat:
            repeated = _repeated(history, rules.no_repeat)
            changed.append((repeated, scores[repeated]))
            scores[repeated] = -np.inf
        changed.append(((slice(None), columns), plain))
        scores[:, columns] = -np.inf
        return Allowed(scores, plain[:, 0].astype(np.float64), *self.limits(numbers, length), changed)


class Allowed(NamedTuple):
    """What may follow in each of B rows.

    Attributes:
        scores: log-probabilities (B, V), -inf for the end and for what may not follow.
        end: log-probabilities of the end, (B,).
        may_end: whether the row may end, (B,); where nothing else may follow it ends in any case.
        is_last: whether the row has reached its limit, so that nothing but the end may follow, (B,).
        changed: indices of the scores that were changed, and their values.
    """

    scores: Scores
    end: NDArray[np.float64]
    may_end: NDArray[np.bool_]
    is_last: NDArray[np.bool_]
    changed: list[tuple[Any, NDArray[Any]]]

    def ends(self, largest: NDArray[Any]) -> Ends:
        """Return how rows may end.

        Args:
            largest: the largest of the scores of each row, (B,).

        Raises:
            InputError: one is NaN or above 0.
        """
        return Ends.of(largest, self.end, self.may_end, self.is_last)

    def restore(self) -> None:
        """Give the scores their values back."""
        for index, values in self.changed:
            self.scores[index] = values


class Ends(NamedTuple):
    """How each of B rows may end.

    Attributes:
        scores: log-probabilities of the end (B,), -inf where it may not follow, finite where it must.
        must_end: whether only the end may follow, (B,).
        is_cut: whether the end comes too early: something else was likelier at the limit, or nothing was allowed, (B,).
    """

    scores: NDArray[np.float64]
    must_end: NDArray[np.bool_]
    is_cut: NDArray[np.bool_]

    @classmethod
    def of(
        cls, largest: NDArray[Any], end: NDArray[np.float64], may_end: NDArray[np.bool_], is_last: NDArray[np.bool_]
    ) -> Ends:
        """Return how rows may end.

        Args:
            largest: the largest log-probability of what else may follow, (B,).
            end: log-probabilities of the end, (B,).
            may_end: whether the row may end, (B,).
            is_last: whether it must, (B,).

        Raises:
            InputError: a log-probability is NaN or above 0.
        """
        check_log_probabilities(largest)
        check_log_probabilities(end)
        must_end = is_last | (largest == -np.inf)
        is_cut = must_end & ((largest > end) | (largest == -np.inf))
        scores = np.where(may_end | must_end, end, -np.inf)
        scores[must_end] = np.maximum(scores[must_end], NEVER)
        return cls(scores, must_end, is_cut)


def check_log_probabilities(largest: NDArray[Any]) -> None:
    """Raise if the largest log-probability of a row is no log-probability.

    Raises:
        InputError: one is NaN, infinite or above 0.
    """
    if np.isnan(largest).any():
        fix = "The model's weights may be damaged, or its training diverged."
        raise InputError(f"log-probabilities of the next token: got NaN; expected numbers of at most 0. {fix}")
    if (top := float(largest.max(initial=-np.inf))) > _ROUNDING:
        fix = "A step function gives log-probabilities, not scores."
        raise InputError(describe("log-probability of the next token", top, "numbers of at most 0", fix))


def _limits(name: str, value: Any, batch: int, low: int) -> Ids:
    limits = np.asarray(value)
    if limits.dtype.kind not in "iu" or limits.shape not in ((), (batch,)):
        raise InputError(describe(name, value, f"a whole number of {low} or more, or {batch} of them"))
    if limits.size and (lowest := int(limits.min())) < low:
        raise InputError(describe(name, lowest, f"a whole number of {low} or more"))
    return np.broadcast_to(limits.astype(np.int64), (batch,))


def _repeated(history: Ids, size: int) -> tuple[Ids, Ids]:
    """Return rows and tokens (R,) that would complete a run of ``size`` tokens a second time."""
    rows, length = history.shape
    overlap = size - 1
    if length < size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    same = np.ones((rows, length - overlap), np.bool_)
    for offset in range(overlap):
        same &= history[:, offset : length - overlap + offset] == history[:, length - overlap + offset, None]
    row, position = np.nonzero(same)
    return row, history[row, position + overlap]
