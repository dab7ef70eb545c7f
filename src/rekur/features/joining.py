"""Token numbers back to text, a few at a time: what was given out never changes, what is not certain waits."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rekur.features.byte_pairs import byte_names
from rekur.features.cut import is_unspaced
from rekur.features.vocabulary import Vocabulary

_REPLACEMENT = "\ufffd"

#: marks that stand behind a word without a space, those that stand before one, and those that do both
_CLOSING = frozenset(".,;:!?)]}’”»…%°")
_OPENING = frozenset("([{‘“«„$€£#¿¡")
_BETWEEN = frozenset("/")
# The same mark opens and closes: which, is told by whether one is open in this line.
_QUOTES = frozenset("\"'")
_RUNS = frozenset("-=*_~")


class Decoder(NamedTuple):
    """Token numbers on their way to text: all that was pushed, then what is finished, is the whole text.

    Attributes:
        push: takes the next token numbers (k,), returns the text that is certain.
        finish: returns the text that was held back, once no more tokens follow.
    """

    push: Callable[[Sequence[int]], str]
    finish: Callable[[], str]


class SpacedGaps:
    """What stands before each word of a text that is cut at spaces."""

    def __init__(self) -> None:
        self._before = ""

    def before(self, word: str) -> str:
        """Return what stands before the next word: a space, or nothing beside a line's end."""
        before, self._before = self._before, word
        return " " if before and before != "\n" != word else ""


class MarkedGaps:
    """What stands before each word of a text that is cut at marks too, as one would write it.

    Example:
        >>> gaps = MarkedGaps()
        >>> "".join(gaps.before(word) + word for word in ["(", '"', "No", ",", "no", '"', ",", "I", "said", ")"])
        '("No, no", I said)'
    """

    def __init__(self) -> None:
        self._before = ""
        self._open: set[str] = set()

    def before(self, word: str) -> str:
        """Return what stands before the next word: a space or nothing."""
        before, self._before = self._before, word
        if word == "\n":
            self._open.clear()
            return ""
        opened = before in _OPENING or before in self._open
        if word in _QUOTES:
            if word in self._open:
                self._open.discard(word)
                return ""
            self._open.add(word)
        if not before or before == "\n" or opened or word in _CLOSING or before in _BETWEEN or word in _BETWEEN:
            return ""
        if (word == before and word in _RUNS) or (is_unspaced(before[-1]) and is_unspaced(word[0])):
            return ""
        return " "


class Joiner:
    """Joins words or characters.

    Args:
        vocabulary: of the tokens.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._names = ("", _REPLACEMENT, *vocabulary.tokens)

    def plain(self) -> Decoder:
        """Return what joins tokens with nothing between."""
        names = self._names
        return Decoder(lambda numbers: "".join([names[number] for number in numbers]), lambda: "")

    def spaced(self, gaps: SpacedGaps | MarkedGaps) -> Decoder:
        """Return what joins words with gaps between."""
        names = self._names

        def push(numbers: Sequence[int]) -> str:
            words = [names[number] for number in numbers]
            return "".join([gaps.before(word) + word for word in words if word])

        return Decoder(push, lambda: "")


class ByteJoiner:
    """Spells text from the bytes of tokens.

    Args:
        vocabulary: of tokens written in the names of their bytes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        value = {name: byte for byte, name in enumerate(byte_names())}
        tokens = (bytes([value[character] for character in token]) for token in vocabulary.tokens)
        self._bytes = (b"", _REPLACEMENT.encode(), *tokens)

    def decoder(self) -> Decoder:
        """Return what spells text; the bytes of a character that is not whole yet wait."""
        table, decoder = self._bytes, codecs.getincrementaldecoder("utf-8")(errors="replace")
        return Decoder(
            lambda numbers: decoder.decode(b"".join([table[number] for number in numbers])),
            lambda: decoder.decode(b"", final=True),
        )
