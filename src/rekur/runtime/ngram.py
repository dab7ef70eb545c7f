"""The rival of language models: counts of the last few tokens, smoothed.

Axes: N tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rekur._tensors import Array

Ints = NDArray[np.integer]
Keys = NDArray[np.uint64]

#: tokens that are counted at most, from the start of the training text
MOST_TOKENS = 10_000_000


class _Counts(NamedTuple):
    """How often each context was seen, with how many different tokens after it, and each context with its token."""

    contexts: Keys
    seen: NDArray[np.int64]
    kinds: NDArray[np.int64]
    pairs: Keys
    pair_seen: NDArray[np.int64]


class NGram:
    r"""A model of the next token by the last n - 1, with Witten and Bell's smoothing.

    .. math:: p_n(w \mid c) = \frac{\#(c, w) + K(c)\, p_{n-1}(w \mid c')}{\#(c) + K(c)}, \qquad p_0 = 1/V

    with K(c) the number of different tokens seen after c, and c' the context c without its first token.

    Args:
        order: tokens n that are looked at, the predicted one among them; 1 or more.
        vocabulary_size: number of token numbers V; 0 is never predicted.

    Reference:
        Witten and Bell, The Zero-Frequency Problem, 1991.

    Example:
        >>> model = NGram(3, 5).fit(np.array([2, 3, 4] * 50))
        >>> bool(model.nats(np.array([2, 3, 4] * 5)).mean() < 0.3)
        True
    """

    def __init__(self, order: int, vocabulary_size: int) -> None:
        self.order, self.vocabulary_size = order, vocabulary_size
        self._counts: list[_Counts] = []

    def fit(self, ids: Ints) -> NGram:
        """Count the training tokens (N,)."""
        ids = np.asarray(ids[:MOST_TOKENS])
        self._counts = [self._count(ids, length) for length in range(self.order)]
        return self

    def nats(self, ids: Ints) -> NDArray[np.float64]:
        """Return the negative log-probability of each token (N,), given those before it."""
        ids = np.asarray(ids)
        probability = np.full(len(ids), 1.0 / max(1, self.vocabulary_size - 1))
        for length, counts in enumerate(self._counts):
            contexts, pairs = _keys(ids, length)
            seen, kinds = _look_up(contexts, counts.contexts, counts.seen, counts.kinds)
            (hits,) = _look_up(pairs, counts.pairs, counts.pair_seen)
            mixed = (hits + kinds * probability) / np.maximum(seen + kinds, 1)
            probability = np.where(seen > 0, mixed, probability)
        return np.asarray(-np.log(probability))

    def to_arrays(self) -> dict[str, Array]:
        """Return the counts, in as few bytes as hold them."""
        return {
            f"{name}_{length}": array.astype(np.min_scalar_type(array.max()))
            for length, counts in enumerate(self._counts)
            for name, array in counts._asdict().items()
        }

    @classmethod
    def from_arrays(cls, order: int, vocabulary_size: int, arrays: Mapping[str, Array]) -> Self:
        """Return the model with the counts that :meth:`to_arrays` returned.

        Raises:
            KeyError: an array is missing.
            ValueError: arrays do not fit each other.
        """
        model = cls(order, vocabulary_size)
        for length in range(order):
            contexts, seen, kinds, pairs, pair_seen = (arrays[f"{name}_{length}"] for name in _Counts._fields)
            if not contexts.shape == seen.shape == kinds.shape or pairs.shape != pair_seen.shape or 0 in pairs.shape:
                raise ValueError("counts that fit each other")
            seen, kinds, pair_seen = (each.astype(np.int64) for each in (seen, kinds, pair_seen))
            model._counts.append(_Counts(contexts.astype(np.uint64), seen, kinds, pairs.astype(np.uint64), pair_seen))
        return model

    def _count(self, ids: Ints, length: int) -> _Counts:
        contexts, pairs = _keys(ids, length)
        pair_keys, first, pair_seen = np.unique(pairs, return_index=True, return_counts=True)
        context_keys, owner, seen = np.unique(contexts, return_inverse=True, return_counts=True)
        kinds = np.bincount(owner[first], minlength=len(context_keys))
        return _Counts(context_keys, seen, kinds, pair_keys, pair_seen)


def _keys(ids: Ints, length: int) -> tuple[Keys, Keys]:
    """Return a number for the ``length`` tokens before each token, and one for these with the token itself."""
    wide = ids.astype(np.uint64) + np.uint64(1)
    contexts = np.full(len(ids), length + 1, dtype=np.uint64)
    for back in range(length, 0, -1):
        shifted = np.zeros(len(ids), dtype=np.uint64)
        shifted[back:] = wide[: len(ids) - back] if back < len(ids) else shifted[back:]
        contexts = _mix(contexts, shifted)
    return contexts, _mix(contexts, wide)


def _mix(key: Keys, value: Keys) -> Keys:
    """Join two numbers to one of 64 bits; two that meet by chance are rarer than any count that matters."""
    mixed = (key ^ (value * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))


def _look_up(keys: Keys, table: Keys, *values: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the values of keys, 0 for those that the sorted table does not hold."""
    rows = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    present = table[rows] == keys
    return [np.where(present, value[rows], 0) for value in values]
