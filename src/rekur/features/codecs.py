"""One way each to turn text into token numbers and back; each says how much of a text so far is certain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np

from rekur._ids import RESERVED
from rekur.features import cut
from rekur.features.byte_pairs import BytePairs, byte_names, spell
from rekur.features.joining import ByteJoiner, Decoder, Joiner, MarkedGaps, SpacedGaps
from rekur.features.tokens import no_tokens
from rekur.features.vocabulary import CharacterTable, Ids, Vocabulary


class Folding(NamedTuple):
    """Differences between texts that are not read."""

    lowercase: bool
    zero_digits: bool

    def characters(self, text: str) -> str:
        """Return text folded one character at a time."""
        return cut.fold_characters(text, lowercase=self.lowercase, zero_digits=self.zero_digits)

    def words(self, words: list[str]) -> list[str]:
        """Return words folded one by one."""
        if self.lowercase:
            words = [word.lower() for word in words]
        return [word if word.isalpha() else self._zeros(word) for word in words] if self.zero_digits else words

    def _zeros(self, word: str) -> str:
        return cut.fold_characters(word, lowercase=False, zero_digits=True)


class Codec(Protocol):
    """A way to turn text into token numbers."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The known tokens."""

    def whole(self, text: str) -> Ids:
        """Return the token numbers of a whole text, int32 (T,)."""

    def advance(self, text: str) -> tuple[Ids, str]:
        """Return the token numbers that no further text can change, and the text they leave over."""

    def decoder(self) -> Decoder:
        """Return what turns token numbers back into text, a few at a time."""


#: characters whose numbers are kept in the form in which a live text gives them
_MOST_ALONE = 1024


class WordCutting(NamedTuple):
    """How text is cut into words: at ``marks`` too, or at ``spaces`` alone; and whether line ends are tokens."""

    by: str = "marks"
    lines: bool = False

    @property
    def cutter(self) -> cut.Cutter:
        """What cuts."""
        return cut.spaced(self.lines) if self.by == "spaces" else cut.words(self.lines)

    def gaps(self) -> SpacedGaps | MarkedGaps:
        """Return what stands between the words of a text."""
        return SpacedGaps() if self.by == "spaces" else MarkedGaps()


class WordCodec:
    """Words; unknown ones have the number 1."""

    def __init__(self, vocabulary: Vocabulary, folding: Folding, cutting: WordCutting) -> None:
        self.vocabulary, self._folding, self._cutting = vocabulary, folding, cutting
        self._joiner = Joiner(vocabulary)

    def whole(self, text: str) -> Ids:
        """Return the token numbers of a whole text."""
        return self.vocabulary.ids(self._folding.words(self._cutting.cutter.cut(text)))

    def advance(self, text: str) -> tuple[Ids, str]:
        """Return what is certain, and the last word while it may still grow."""
        words, rest = self._cutting.cutter.cut_certain(text)
        return self.vocabulary.ids(self._folding.words(words)), rest

    def decoder(self) -> Decoder:
        """Return what joins words, with spaces between where they are written."""
        return self._joiner.spaced(self._cutting.gaps())


class CharacterCodec:
    """Unicode characters, looked up all at once; every one is certain when it comes."""

    def __init__(self, vocabulary: Vocabulary, folding: Folding) -> None:
        self.vocabulary, self._folding = vocabulary, folding
        self._table, self._joiner = CharacterTable(vocabulary), Joiner(vocabulary)
        self._alone: dict[str, Ids] = {}  # characters that came one by one, as a live text does

    def whole(self, text: str) -> Ids:
        """Return the token numbers of a whole text."""
        return self._table.ids(self._folding.characters(text))

    def advance(self, text: str) -> tuple[Ids, str]:
        """Return all numbers, which are not to be written to; nothing is left over."""
        if (known := self._alone.get(text)) is not None:
            return known, ""
        ids = self.whole(text)
        if len(text) == 1 and len(self._alone) < _MOST_ALONE:
            ids.flags.writeable = False
            self._alone[text] = ids
        return ids, ""

    def decoder(self) -> Decoder:
        """Return what joins characters."""
        return self._joiner.plain()


class ByteCodec:
    """UTF-8 bytes: byte b has the number b + 2."""

    def __init__(self, folding: Folding) -> None:
        self.vocabulary, self._folding = Vocabulary(byte_names()), folding
        self._joiner = ByteJoiner(self.vocabulary)

    def whole(self, text: str) -> Ids:
        """Return the token numbers of a whole text."""
        raw = np.frombuffer(self._folding.characters(text).encode("utf-8"), np.uint8)
        return raw.astype(np.int32) + np.int32(RESERVED)

    def advance(self, text: str) -> tuple[Ids, str]:
        """Return all numbers; nothing is left over."""
        return self.whole(text), ""

    def decoder(self) -> Decoder:
        """Return what spells text from bytes; the bytes of a character that is not whole yet wait."""
        return self._joiner.decoder()


class PairCodec:
    """Byte pairs, merged inside pieces of text."""

    def __init__(self, merges: Sequence[str], folding: Folding) -> None:
        self.pairs, self._folding = BytePairs(merges), folding
        self._joiner = ByteJoiner(self.pairs.vocabulary)

    @property
    def vocabulary(self) -> Vocabulary:
        """The 256 bytes, then the merged tokens in the order in which they were learnt."""
        return self.pairs.vocabulary

    def whole(self, text: str) -> Ids:
        """Return the token numbers of a whole text."""
        return self.pairs.ids(cut.pieces().cut(self._folding.characters(text)))

    def advance(self, text: str) -> tuple[Ids, str]:
        """Return what is certain, and the last piece while it may still grow."""
        pieces, rest = cut.pieces().cut_certain(self._folding.characters(text))
        return (self.pairs.ids(pieces) if pieces else no_tokens()), rest

    def decoder(self) -> Decoder:
        """Return what spells text from bytes; the bytes of a character that is not whole yet wait."""
        return self._joiner.decoder()


class SpelledCodec:
    """Words or characters; the others are spelled in their UTF-8 bytes, so that every text has a way back.

    Args:
        names: known units, each written in the names of its bytes.
        by_character: whether units are characters, and not the pieces that byte pairs are made of.
    """

    def __init__(self, names: Iterable[str], *, by_character: bool) -> None:
        self.vocabulary, self._by_character = Vocabulary(dict.fromkeys(chain(byte_names(), names))), by_character
        self._numbers = {name: number for number, name in enumerate(self.vocabulary.tokens, RESERVED)}
        self._joiner = ByteJoiner(self.vocabulary)

    def whole(self, text: str) -> Ids:
        """Return the token numbers of a whole text."""
        return self._ids(text if self._by_character else cut.pieces().cut(text))

    def advance(self, text: str) -> tuple[Ids, str]:
        """Return the certain numbers, and the last piece while it may still grow."""
        if self._by_character:
            return self._ids(text), ""
        pieces, rest = cut.pieces().cut_certain(text)
        return self._ids(pieces), rest

    def decoder(self) -> Decoder:
        """Return what spells text from bytes; the bytes of a character that is not whole yet wait."""
        return self._joiner.decoder()

    def _ids(self, units: Iterable[str]) -> Ids:
        numbers = self._numbers
        names = (spell(unit) for unit in units)
        return np.fromiter(
            (numbers[each] for name in names for each in ((name,) if name in numbers else name)), np.int32
        )


def units(tokens: str, text: str, folding: Folding, cutting: WordCutting | None = None) -> Sequence[str]:
    """Return the units of a training text that are counted: words, characters, or pieces for byte pairs."""
    if tokens == "word":
        return folding.words((cutting or WordCutting()).cutter.cut(text))
    folded = folding.characters(text)
    return cut.pieces().cut(folded) if tokens == "bpe" else folded


def is_merge(text: str) -> bool:
    """Return whether ``text`` is two non-empty runs of byte names with a space between."""
    sides = text.split(" ")
    return len(sides) == 2 and all(side and set(side) <= set(byte_names()) for side in sides)
