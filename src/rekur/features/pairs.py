"""Pairs of texts to token numbers and back: a source and its target, by one vocabulary or two.

Axes: T tokens, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from rekur import _check
from rekur._ids import END, RESERVED, RESERVED_OF_PAIRS
from rekur.errors import InputError, describe
from rekur.features import codecs, cut
from rekur.features.base import VERSION, Encoded, Phrase, check_items
from rekur.features.byte_pairs import byte_names, learn_merges, spell
from rekur.features.joining import Decoder
from rekur.features.saved import check_head, damaged, field, texts
from rekur.features.tokens import TokenFeatures, check_text, no_tokens
from rekur.features.vocabulary import Ids

TOKENS = ("bpe", "word", "char")
_PLURAL = {"bpe": "byte pairs", "word": "words", "char": "characters"}
_DEFAULT_MAX = {"bpe": 8_000, "word": 20_000, "char": 20_000}
#: training characters for each byte pair that is learnt by default: of fewer, most pairs would be rare
_CHARACTERS_A_PAIR = 640
_DEFAULT_MIN = {"bpe": 2, "word": 2, "char": 1}
_OPTIONS = ("tokens", "shared", "max_vocabulary", "min_count", "max_length")
_SIDES = ("source", "target")
_AS_WRITTEN = codecs.Folding(lowercase=False, zero_digits=False)
#: by how much the numbers of a codec's tokens rise, as begin and end stand before them
_SHIFT = RESERVED_OF_PAIRS - RESERVED


class PairFeatures(TokenFeatures):
    """Pairs of texts as token numbers: 0 padding, 1 unknown, 2 begin, 3 end, then bytes, then learned tokens.

    Nothing is normalized, and units beyond a vocabulary are spelled in UTF-8 bytes: the text of the tokens of a text
    is the text, and no number stands for unknown. An item is a source; targets have methods of their own.

    Args:
        tokens: ``"bpe"``, byte pairs merged inside pieces of text (learning them needs ``rekur[train]``); ``"word"``,
            words and marks with the space before them; or ``"char"``, Unicode characters.
        shared: one vocabulary for both sides.
        max_vocabulary: the most token numbers V of a vocabulary, all reserved ones and bytes included; default None:
            for byte pairs one merge for each 640 training characters and 8 000 in all at most, else 20 000.
        min_count: how often a token (or a pair to be merged) must occur in training to be known; default None: 1 for
            characters, else 2.
        max_length: the most tokens of a side, from its start; None for no bound.

    Example:
        >>> features = PairFeatures("word", min_count=1).fit([("a dog", "un chien"), ("a cat", "un chat")])
        >>> features.transform("a dog").tolist(), features.transform_target("un chien").tolist()
        ([101, 264], [260, 263, 3])
        >>> features.decode_target([260, 263, 3])
        'un chien'
    """

    kind: ClassVar[str] = "pairs"

    def __init__(
        self,
        tokens: str = "bpe",
        *,
        shared: bool = True,
        max_vocabulary: int | None = None,
        min_count: int | None = None,
        max_length: int | None = None,
    ) -> None:
        low = len(byte_names()) + RESERVED_OF_PAIRS
        self.tokens = _check.choice("tokens", tokens, TOKENS)
        self.shared = _check.flag("shared", shared)
        self.max_vocabulary = None if max_vocabulary is None else _check.whole("max_vocabulary", max_vocabulary, low)
        self.min_count = None if min_count is None else _check.whole("min_count", min_count, 1)
        self.max_length = None if max_length is None else _check.whole("max_length", max_length, 1)
        self._learnt: dict[str, list[str]] = {}
        self._codecs: dict[str, codecs.Codec] = {}

    def __repr__(self) -> str:
        options = [f"{name}={getattr(self, name)!r}" for name in _OPTIONS]
        return f"PairFeatures({', '.join(option for option in options if not option.endswith('=None'))})"

    @property
    def size(self) -> int:
        """Vocabulary size V of sources, with the reserved numbers."""
        return self._codec("source").vocabulary.size + _SHIFT

    @property
    def target_size(self) -> int:
        """Vocabulary size V of targets, with the reserved numbers."""
        return self._codec("target").vocabulary.size + _SHIFT

    @property
    def vocabulary_(self) -> tuple[str, ...]:
        """The tokens of sources in the order of their numbers, from 2 on; begin and end have no name."""
        return ("",) * _SHIFT + self._codec("source").vocabulary.tokens

    def fit(self, items: Iterable[tuple[str, str]]) -> Self:
        """Learn the vocabularies from training pairs, in one pass.

        Args:
            items: pairs of a source and its target.

        Raises:
            InputError: an item is no pair of texts, or all are empty.
        """
        self.n_truncated = 0
        counts = {side: Counter[str]() for side in _SIDES}
        for number, item in enumerate(check_items(items), start=1):
            if not isinstance(item, tuple | list) or len(item) != len(_SIDES):
                raise InputError(describe(f"item {number}", item, "a pair: a source and its target"))
            for side, text in zip(_SIDES, item, strict=True):
                counts[side].update(self._units(check_text(text, f"{side} of item {number}")))
        if self.shared:
            counts = dict.fromkeys(_SIDES, counts["source"] + counts["target"])
        for side in _SIDES:
            if not counts[side]:
                raise InputError(describe(f"{side} texts", Phrase("no character"), "texts to learn from"))
        self._settle({side: self._learn(counts[side]) for side in (_SIDES[:1] if self.shared else _SIDES)})
        return self

    def encode(self, item: Any) -> Encoded:
        """Return the inputs of a source by name, and as its context a dict with the ``source``.

        A blank source has no tokens, so that nothing is written for it.
        """
        is_blank = isinstance(item, str) and not item.strip()
        return Encoded({"steps": no_tokens() if is_blank else self.transform(item)}, {"source": item})

    def transform_target(self, text: str) -> Ids:
        """Return the token numbers of a target, int32 (T,), the last of them the end."""
        ids = self._codec("target").whole(_text(text, "target")) + np.int32(_SHIFT)
        self._count_cut(0, len(ids))
        return np.append(self._clip(ids), np.int32(END))

    def decode_target(self, ids: Sequence[int] | Ids) -> str:
        """Return the text of a target's token numbers; reserved ones give nothing.

        Args:
            ids: (T,) token numbers in [0, V).
        """
        push, finish = self.target_decoder()
        return push(np.asarray(ids, np.int64).reshape(-1).tolist()) + finish()

    def target_decoder(self) -> Decoder:
        """Return what turns a target's token numbers into text a few at a time; see :meth:`decode_target`."""
        return self._decoder("target")

    def _decoder(self, side: str) -> Decoder:
        push, finish = self._codec(side).decoder()
        return Decoder(lambda ids: push([number - _SHIFT for number in ids if number >= RESERVED_OF_PAIRS]), finish)

    def source_pieces(self, ids: Sequence[int] | Ids) -> list[str]:
        """Return the text that each token number of a source adds, (T,); a cut character belongs to its last byte."""
        return _pieces(self._decoder("source"), ids)

    def target_pieces(self, ids: Sequence[int] | Ids) -> list[str]:
        """Return the text that each token number of a target adds, (T,); reserved ones add nothing.

        Example:
            >>> features = PairFeatures("char").fit([("ab", "ba")])
            >>> features.target_pieces(features.transform_target("ba"))
            ['b', 'a', '']
        """
        return _pieces(self._decoder("target"), ids)

    def describe(self) -> list[tuple[str, str]]:
        """Return (what, how) pairs that tell a person how a pair is read."""
        rows = [("tokens", f"{_PLURAL[self.tokens]}; others are spelled in bytes, and nothing is normalized")]
        if self.shared:
            rows.append(("vocabulary", f"{self.size:,} tokens for both sides"))
        else:
            rows.append(("vocabulary", f"{self.size:,} tokens of sources, {self.target_size:,} of targets"))
        return rows + self._length_row()

    def to_dict(self) -> dict[str, Any]:
        """Return everything that was learnt, as plain JSON."""
        self._codec("source")
        options = {name: getattr(self, name) for name in _OPTIONS}
        return {"kind": self.kind, "version": VERSION, "options": options, "learnt": dict(self._learnt)}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the features that :meth:`to_dict` described.

        Raises:
            BundleError: a field is missing or damaged, or the version is newer than is known.
        """
        checked = check_head(saved, cls.kind)
        options, learnt = field(checked, "options", dict), field(checked, "learnt", dict)
        if set(options) != set(_OPTIONS):
            raise damaged("options", ", ".join(sorted(options)), ", ".join(sorted(_OPTIONS)))
        features = cls(**options)
        sides = _SIDES[:1] if features.shared else _SIDES
        if set(learnt) != set(sides):
            raise damaged("learnt", ", ".join(sorted(learnt)), ", ".join(sides))
        names_of = {side: texts(learnt, side) for side in sides}
        for name in (name for names in names_of.values() for name in names):
            if not (codecs.is_merge(name) if features.tokens == "bpe" else name and set(name) <= set(byte_names())):
                raise damaged("learnt", name, "names of bytes")
        features._settle(names_of)
        return features

    def _advance(self, rest: str, event: Any) -> tuple[Ids, str]:
        ids, rest = self._codec("source").advance(rest + _text(event, "event"))
        return ids + np.int32(_SHIFT), rest

    def _finish(self, rest: str) -> Ids:
        return self._whole(rest)

    def _whole(self, item: Any) -> Ids:
        return self._codec("source").whole(_text(item, "text")) + np.int32(_SHIFT)

    def _units(self, text: str) -> Sequence[str]:
        """Return the units of a training text that are counted: characters or pieces."""
        whole = cut.whole_characters(text)
        return whole if self.tokens == "char" else cut.pieces().cut(whole)

    def _learn(self, counts: Counter[str]) -> list[str]:
        """Return the merges of byte pairs, or the spelled names of words or characters, most frequent first."""
        least = _DEFAULT_MIN[self.tokens] if self.min_count is None else self.min_count
        bytes_ = set(byte_names())
        most = _DEFAULT_MAX[self.tokens] if self.max_vocabulary is None else self.max_vocabulary
        if self.tokens == "bpe":
            if self.max_vocabulary is None:
                characters = sum(len(piece) * count for piece, count in counts.items())
                most = min(most, RESERVED_OF_PAIRS + len(bytes_) + characters // _CHARACTERS_A_PAIR)
            return learn_merges(counts, max_tokens=most - RESERVED_OF_PAIRS, min_count=least)
        ranked = sorted((-count, unit) for unit, count in counts.items() if count >= least)
        names = [name for _, unit in ranked if (name := spell(unit)) not in bytes_]
        return names[: most - RESERVED_OF_PAIRS - len(bytes_)]

    def _settle(self, learnt: dict[str, list[str]]) -> None:
        self._learnt, self._codecs = learnt, {}
        for side, names in learnt.items():
            if self.tokens == "bpe":
                self._codecs[side] = codecs.PairCodec(names, _AS_WRITTEN)
            else:
                self._codecs[side] = codecs.SpelledCodec(names, by_character=self.tokens == "char")

    def _codec(self, side: str) -> codecs.Codec:
        if not self._codecs:
            raise self._not_fitted()
        return self._codecs["source" if self.shared else side]


def _pieces(decoder: Decoder, ids: Sequence[int] | Ids) -> list[str]:
    push, finish = decoder
    pieces = [push([int(number)]) for number in ids]
    return [*pieces[:-1], pieces[-1] + finish()] if pieces else []


def _text(text: Any, name: str) -> str:
    return cut.whole_characters(check_text(text, name))
