"""Byte-level byte-pair encoding: learn merges with ``tokenizers``, apply them with a few lines of our own."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np

from rekur._check import need
from rekur.features.vocabulary import Ids, Vocabulary

_CACHED_PIECES, _PIECES_A_LINE = 50_000, 1000


@functools.cache
def byte_names() -> tuple[str, ...]:
    """Return one visible character for each of the 256 bytes, by which merges can be written down as text.

    Reference: Radford et al. 2019, Language models are unsupervised multitask learners (GPT-2's table).

    Example:
        >>> byte_names()[ord("a")], byte_names()[ord(" ")]
        ('a', 'Ġ')
    """
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    return tuple(chr(byte if byte in visible else next(hidden)) for byte in range(256))


def spell(piece: str) -> str:
    """Return the names of a piece's UTF-8 bytes, joined."""
    names = byte_names()
    return "".join([names[byte] for byte in piece.encode("utf-8")])


def learn_merges(counts: Mapping[str, int], *, max_tokens: int, min_count: int) -> list[str]:
    """Return merges in the order in which they were learnt, each as ``"left right"``.

    Args:
        counts: how often each piece of text occurred in training.
        max_tokens: the most different tokens to have, the 256 bytes included.
        min_count: merge only pairs seen this often or more.
    """
    need("tokenizers", "train", "learning byte pairs (tokens='bpe')")
    models = need("tokenizers.models", "train", "learning byte pairs")
    splitters = need("tokenizers.pre_tokenizers", "train", "learning byte pairs")
    trainers = need("tokenizers.trainers", "train", "learning byte pairs")
    tokenizer = need("tokenizers", "train", "learning byte pairs").Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splitters.CharDelimiterSplit(" ")
    trainer = trainers.BpeTrainer(
        vocab_size=max_tokens,
        min_frequency=min_count,
        initial_alphabet=list(byte_names()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_spelt_lines(counts), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def _spelt_lines(counts: Mapping[str, int]) -> Iterator[str]:
    for piece, count in sorted(counts.items()):
        spelt = spell(piece)
        for start in range(0, count, _PIECES_A_LINE):
            yield " ".join([spelt] * min(_PIECES_A_LINE, count - start))


class BytePairs:
    """Applies merges: within a piece, the adjacent pair that was learnt first is joined, until none is left.

    Args:
        merges: in the order in which they were learnt, each as ``"left right"``.

    Example:
        >>> pairs = BytePairs(["a b", "ab c"])
        >>> [pairs.vocabulary.name(number) for number in pairs.ids(["abcab"])]
        ['abc', 'ab']
    """

    def __init__(self, merges: Sequence[str]) -> None:
        self.merges = tuple(merges)
        pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
        self._rank = {pair: rank for rank, pair in reversed(list(enumerate(pairs)))}
        joined = (left + right for left, right in pairs)
        self.vocabulary = Vocabulary(dict.fromkeys(chain(byte_names(), joined)))
        self._known: dict[str, list[int]] = {}

    def ids(self, pieces: Sequence[str]) -> Ids:
        """Return the token numbers of all pieces in a row, int32 (T,)."""
        return np.fromiter(chain.from_iterable(map(self._piece_ids, pieces)), np.int32)

    def _piece_ids(self, piece: str) -> list[int]:
        ids = self._known.pop(piece, None)
        if ids is None:
            ids = self.vocabulary.ids(self._merge(list(spell(piece)))).tolist()
            if len(self._known) >= _CACHED_PIECES:
                del self._known[next(iter(self._known))]
        self._known[piece] = ids  # put last: the first is the one not seen for longest
        return ids

    def _merge(self, parts: list[str]) -> list[str]:
        last = len(self.merges)
        while len(parts) > 1:
            ranks = [self._rank.get(pair, last) for pair in pairwise(parts)]
            best = min(ranks)
            if best == last:
                break
            first = ranks.index(best)
            parts[first : first + 2] = [parts[first] + parts[first + 1]]
        return parts
