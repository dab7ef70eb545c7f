"""Vocabularies: which tokens are known, and the number of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rekur._ids import RESERVED, UNKNOWN
from rekur.errors import OptionError, describe
from rekur.features.base import Phrase

Ids = NDArray[np.int32]


def telling(tokens: Iterable[str]) -> NDArray[np.bool_]:
    """Return whether a token of each number tells something: it is known, and has a letter or a digit, (V,).

    Args:
        tokens: the known tokens in the order of their numbers, from 2 on.

    Example:
        >>> telling(["good", "!"]).tolist()
        [False, False, True, False]
    """
    return np.array([False] * RESERVED + [any(map(str.isalnum, token)) for token in tokens])


def rows_among(words: Sequence[str], tokens: Iterable[str]) -> list[int]:
    """Return the place of each token among words, or that of its small letters; -1 for one that is not there.

    Example:
        >>> rows_among(["good", "bad", "good"], ["Good", "film"])
        [0, -1]
    """
    rows = {word: row for row, word in reversed([*enumerate(words)])}
    return [
        rows.get(token, -1) if token.islower() else rows.get(token, rows.get(token.lower(), -1)) for token in tokens
    ]


def vectors_note(count: int, total: int) -> str:
    """Return how many words of training have a trained vector, in words.

    Args:
        count: words that have one.
        total: all words.

    Raises:
        OptionError: none has.

    Example:
        >>> vectors_note(3, 4)
        'trained vectors: 3 of the 4 words of training have one'
    """
    if not count:
        got, fix = Phrase(f"none of the {total:,} words of training"), "Are they of the same language?"
        raise OptionError(describe("vectors", got, "vectors of words that occur there", fix))
    return f"trained vectors: {count:,} of the {total:,} words of training have one"


class Vocabulary:
    """Known tokens in order; the first has number 2, after padding (0) and unknown (1).

    Example:
        >>> vocabulary = Vocabulary.from_counts({"b": 2, "a": 2, "c": 5, "d": 1}, max_size=10, min_count=2)
        >>> vocabulary.tokens, vocabulary.size
        (('c', 'a', 'b'), 5)
        >>> vocabulary.ids(["a", "d"]).tolist()
        [3, 1]
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = tuple(tokens)
        self._ids = {token: number for number, token in enumerate(self.tokens, RESERVED)}

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], *, max_size: int | None, min_count: int) -> Vocabulary:
        """Keep the most frequent tokens; equally frequent ones in the order of their characters."""
        kept = sorted((-count, token) for token, count in counts.items() if count >= min_count)
        room = None if max_size is None else max_size - RESERVED
        return cls(token for _, token in kept[:room])

    @property
    def size(self) -> int:
        """Return V, with padding and unknown."""
        return len(self.tokens) + RESERVED

    def ids(self, tokens: Iterable[str]) -> Ids:
        """Return the number of each token, int32 (T,)."""
        known = self._ids
        return np.fromiter((known.get(token, UNKNOWN) for token in tokens), np.int32)

    def name(self, number: int) -> str | None:
        """Return the token of a number, or None for padding, unknown and what is out of range."""
        return self.tokens[number - RESERVED] if RESERVED <= number < self.size else None

    def share_known(self, counts: Mapping[str, int]) -> float:
        """Return the share in [0, 1] of counted tokens that are in the vocabulary."""
        total = sum(counts.values())
        return sum(counts.get(token, 0) for token in self.tokens) / total if total else 0.0


class CharacterTable:
    """The numbers of single characters, looked up for a whole text at once.

    Args:
        vocabulary: of single characters.
        drop_spaces: leave white space out of the result.
    """

    def __init__(self, vocabulary: Vocabulary, *, drop_spaces: bool = False) -> None:
        codes = [ord(token) for token in vocabulary.tokens]
        spaces = [code for code in range(0x3001) if chr(code).isspace()] if drop_spaces else []
        self._drop_spaces = drop_spaces
        # One entry more than the last known character: all characters past it are looked up there.
        self._table = np.full(max(codes + spaces, default=0) + 2, UNKNOWN, np.int32)
        self._table[codes] = np.arange(RESERVED, vocabulary.size)
        self._table[spaces] = -1

    def ids(self, text: str) -> Ids:
        """Return the number of each character, int32 (T,)."""
        codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
        ids: Ids = self._table[np.minimum(codes, len(self._table) - 1)]
        return ids[ids >= 0] if self._drop_spaces else ids
