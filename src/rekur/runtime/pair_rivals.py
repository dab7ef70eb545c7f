"""Rivals of models that read one text and write another: its copy, and a translation word for word.

Axes: N pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur._tensors import Array
from rekur.data import EncodedItems
from rekur.errors import InputError, describe
from rekur.runtime.rival import Rival
from rekur.targets import Answer, Target

#: marks and blanks, which stay as they are; any other character is of a word, combining ones too
_MARK = r"\s!-/:-@\[-`{-\xbf\u2010-\u205e\u3001-\u3030\uff01-\uff0f\uff1a-\uff20"
#: a word with its apostrophes and hyphens
_WORD = re.compile(f"[^{_MARK}]+(?:['’-][^{_MARK}]+)*")
#: rounds of expectation maximization
_ROUNDS = 5
#: above this number of cells only every second pair is learnt from, every fourth, …
_MOST_CELLS = 8_000_000
#: words of a text that are learnt from, the first ones
_MOST_WORDS = 1000
#: stands in each source beside its words, for target words that no source word explains
_NO_WORD = ""


def _sources(items: EncodedItems) -> list[str]:
    """Return the source of each item that counts; it stands in the context."""
    contexts = items.contexts_of(items.rows)
    for context in contexts:
        if not isinstance(context, Mapping) or "source" not in context:
            raise InputError(describe("context", type(context).__name__, "a dict with 'source', the text that is read"))
    return [context["source"] for context in contexts]


class CopyRival(Rival):
    """The source itself as its target."""

    kind = "copy"
    name = "copy of the source"

    def predictions(self, items: EncodedItems) -> Sequence[Answer]:
        """Return the source of each item."""
        return [Answer(source) for source in _sources(items)]

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return nothing: nothing is learnt."""
        return {}, {}

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival."""
        return cls()


class LexiconRival(Rival):
    r"""The likeliest target word for each source word, in the order of the source.

    A word that training lacks is looked up in small letters and keeps a capital, or is copied; marks and blanks stay
    as they are. The lexicon is that of IBM model 1, learnt by five rounds of expectation maximization:

    .. math:: t(f \mid e) \propto \sum_{\text{pairs}} \sum_{f_j = f} \sum_{e_i = e}
        \frac{t(f_j \mid e_i)}{\sum_k t(f_j \mid e_k)}

    Args:
        words: source word -> target word.

    Reference: Brown et al. 1993, The mathematics of statistical machine translation, aclanthology.org/J93-2003.
    """

    kind = "lexicon"
    name = "word-for-word lexicon"

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    @classmethod
    def fit(cls, pairs: Iterable[tuple[str, str]], weights: Iterable[float] | None = None) -> Self:
        """Return the rival of training pairs.

        Of equally likely target words the one that comes first in training counts.

        Args:
            pairs: sources and targets; read once.
            weights: how much each pair counts; None for equally much.

        Example:
            >>> pairs = [("the dog", "le chien"), ("the cat", "le chat"), ("a dog", "un chien")]
            >>> LexiconRival.fit(pairs).translate("The cat, a dog!")
            'Le chat, un chien!'
        """
        return cls(_learn_lexicon(pairs, repeat(1.0) if weights is None else weights))

    def translate(self, source: str) -> str:
        """Return a source with each of its words replaced."""
        return _WORD.sub(lambda match: self._translated(match.group()), source)

    def _translated(self, word: str) -> str:
        if (translation := self._words.get(word)) is not None:
            return translation
        small = self._words.get(word.lower())
        if small is None:
            return word
        return small[:1].upper() + small[1:] if word[:1].isupper() else small

    def predictions(self, items: EncodedItems) -> Sequence[Answer]:
        """Return the translation of the source of each item."""
        return [Answer(self.translate(source)) for source in _sources(items)]

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the lexicon."""
        return {"words": dict(self._words)}, {}

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        return cls(saved["words"])


def _learn_lexicon(pairs: Iterable[tuple[str, str]], weights: Iterable[float]) -> dict[str, str]:
    """Return the likeliest target word of each source word."""
    sources, targets, weights_of_pairs = _words_of_pairs(pairs, weights)
    source_words, source_ids, source_lengths = _numbered(sources)
    target_words, target_ids, target_lengths = _numbered(targets)
    # each target word has a cell for each source word of its pair
    pair_of = np.repeat(np.arange(len(targets)), target_lengths)
    sizes = source_lengths[pair_of]
    starts = np.cumsum(sizes) - sizes
    if not len(sizes):
        return {}
    first = (np.cumsum(source_lengths) - source_lengths)[pair_of]
    cells = source_ids[np.arange(sizes.sum()) + np.repeat(first - starts, sizes)] * len(target_words)
    cells += np.repeat(target_ids, sizes)
    distinct, cell = np.unique(cells, return_inverse=True)
    words, translations = np.divmod(distinct, len(target_words))
    share, weights_of_words = np.ones(len(distinct)), weights_of_pairs[pair_of]
    for _ in range(_ROUNDS):
        expected = share[cell]
        expected *= np.repeat(weights_of_words / np.add.reduceat(expected, starts), sizes)
        totals = np.bincount(cell, expected, len(distinct))
        share = totals / np.bincount(words, totals)[words]
    by_word = np.lexsort((translations, -share.round(9), words))  # equal but for rounding
    best = by_word[np.unique(words[by_word], return_index=True)[1]]
    lexicon = {source_words[words[row]]: target_words[translations[row]] for row in best.tolist()}
    del lexicon[_NO_WORD]
    return lexicon


def _words_of_pairs(
    pairs: Iterable[tuple[str, str]], weights: Iterable[float]
) -> tuple[list[list[str]], list[list[str]], NDArray[np.float64]]:
    """Return the words of sources and of targets, and the weights, of as many pairs as are learnt from."""
    chosen: list[tuple[list[str], list[str], float]] = []
    every, cells = 1, 0
    for number, ((source, target), weight) in enumerate(zip(pairs, weights)):  # noqa: B905
        if number % every or not weight:
            continue
        words, translations = (_WORD.findall(text)[:_MOST_WORDS] for text in (source, target))
        chosen.append(([_NO_WORD, *words], translations, weight))
        cells += (1 + len(words)) * len(translations)
        while cells > _MOST_CELLS and len(chosen) > 1:
            chosen, every = chosen[::2], 2 * every
            cells = sum(len(each[0]) * len(each[1]) for each in chosen)
    return [each[0] for each in chosen], [each[1] for each in chosen], np.array([each[2] for each in chosen])


def _numbered(texts: list[list[str]]) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return different words in the order of their first occurrence, the numbers of all words, and the lengths."""
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(word, len(numbers)) for text in texts for word in text], np.int64)
    return list(numbers), ids, np.array([len(text) for text in texts], np.int64)
