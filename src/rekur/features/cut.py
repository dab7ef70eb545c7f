"""Cut text into words, or into the pieces that byte pairs are made of, the same for any way the text arrives.

Where a token ends depends on nothing before its first character and on at most ``LONGEST`` characters from
there, so a token that has come into view in full is certain, and a stream never remembers more than that.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata

#: the most characters that one word or piece has; a longer one goes on as the next
LONGEST = 64

_HALVES = re.compile("[\ud800-\udfff]")
_DIGIT = re.compile(r"\d")

# Scripts written without spaces: each of their characters is a word of its own.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_FLAG_LETTER = "\U0001f1e6-\U0001f1ff"
_PICTURE = (
    "\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f1e5\U0001f200-\U0001faff"
)
# What changes the picture before it: presentation, key cap, skin colour, the letters of a region's flag.
_PICTURE_ENDING = "\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_JOINER = "\u200d"


class Cutter:
    """Cuts text at the matches of a pattern, and knows which of them further text could still change.

    Args:
        pattern: what a token is. It looks no further past its end than one character, or than two where the
            first matches ``joiner``. Characters at which it does not match are dropped.
        joiner: the pattern of a character that is part of a token only by grace of the one after it.
    """

    def __init__(self, pattern: str, joiner: str = r"(?!)") -> None:
        self._pattern = re.compile(pattern)
        self._joiner = re.compile(joiner)

    @property
    def pattern(self) -> str:
        """What a token is, as a regular expression."""
        return self._pattern.pattern

    def cut(self, text: str) -> list[str]:
        """Return all tokens of a whole text."""
        tokens: list[str] = self._pattern.findall(text)
        if max(map(len, tokens), default=0) < LONGEST - 1:
            return tokens
        return [text[start:end] for start, end in self._spans(text)]

    def cut_certain(self, text: str) -> tuple[list[str], str]:
        """Return the tokens that no further text can change, and the text from the first that it can."""
        tokens: list[str] = self._pattern.findall(text)
        if max(map(len, tokens), default=0) < LONGEST - 1:
            return self._without_uncertain(text, tokens)
        certain: list[str] = []
        for start, end in self._spans(text):
            if not self._is_certain(text, start, end):
                return certain, text[start:]
            certain.append(text[start:end])
        return certain, ""

    def _without_uncertain(self, text: str, tokens: list[str]) -> tuple[list[str], str]:
        """Return the same, given all tokens of the text, none of them long: only the last can be uncertain."""
        kept, rest, limit = len(tokens), "", len(text)
        for number in range(len(tokens) - 1, -1, -1):
            # No token holds what stands between tokens, so the last place where it could be is where it is.
            start = text.rfind(tokens[number], 0, limit)
            end = start + len(tokens[number])
            if not self._is_certain(text, start, end):
                kept, rest = number, text[start:]
            elif end + 1 < len(text):
                break
            limit = start
        return tokens[:kept], rest

    def _is_certain(self, text: str, start: int, end: int) -> bool:
        if start + LONGEST <= len(text) or end + 1 < len(text):
            return True
        return end < len(text) and self._joiner.match(text, end) is None

    def _spans(self, text: str) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        position = 0
        while position < len(text):
            for match in self._pattern.finditer(text, position):
                start, end = match.span()
                if end - start >= LONGEST - 1:  # the bound may have a say: look again through the window
                    position = self._cut_long(text, start, end, spans)
                    break
                spans.append((start, end))
            else:
                break
        return spans

    def _cut_long(self, text: str, start: int, end: int, spans: list[tuple[int, int]]) -> int:
        while start < end:
            match = self._pattern.match(text, start, start + LONGEST)
            if match is None:
                break
            spans.append(match.span())
            start = match.end()
        return start


@functools.cache
def words(lines: bool = False) -> Cutter:
    """Return the cutter into words, numbers, emoji and single marks; with ``lines`` every line end is one too.

    A word is letters, digits and accents with single apostrophes or hyphens inside; points and commas stand
    inside where a digit is on both sides. An emoji is one token with all that is joined to it. Characters of
    Chinese and Japanese are tokens one by one, and so is everything else that is not a space.
    """
    marks = _marks()
    run = rf"(?:[^\W{_UNSPACED}]++|[{marks}\u200c{_JOINER}]++)++"
    hyphen, point = r"['’\-\u2010\u2011]", r"(?<=\d)[.,]"
    word = rf"{run}(?:(?:{hyphen}|{point}(?=\d)){run})*+"
    picture = rf"[{_PICTURE}][{_PICTURE_ENDING}]*+"
    emoji = rf"[{_FLAG_LETTER}]{{2}}|{picture}(?:{_JOINER}{picture})*+"
    unspaced = rf"[{_UNSPACED}][{marks}]*+"
    single = r"[^\s\u200b\ufeff]|\n" if lines else r"[^\s\u200b\ufeff]"
    return Cutter(rf"{emoji}|{word}|{unspaced}|{single}", rf"{hyphen}|{point}|{_JOINER}")


def character_classes() -> dict[str, str]:
    """Return the kinds of characters by which words are cut, each as the inside of a regular expression's class.

    Example:
        >>> bool(re.match(f"[{character_classes()['picture']}]", "☂"))
        True
    """
    return {
        "word": rf"^\W{_UNSPACED}",
        "accent": _marks(),
        "joiner": f"\u200c{_JOINER}",
        "digit": r"\d",
        "picture": _PICTURE,
        "ending": _PICTURE_ENDING,
        "flag": _FLAG_LETTER,
        "unspaced": _UNSPACED,
        "dropped": r"\s\u200b\ufeff",
        "hyphen": r"'’\-\u2010\u2011",
    }


@functools.cache
def spaced(lines: bool = False) -> Cutter:
    """Return the cutter into what stands between spaces; with ``lines`` every line end is a token too."""
    return Cutter(r"\S+|\n" if lines else r"\S+")


@functools.cache
def pieces() -> Cutter:
    """Return the cutter into the pieces inside which byte pairs are merged; together they are the whole text.

    A piece is letters, up to three digits, or marks, each with the space before it, or a run of spaces.
    """
    marks = _marks() + "\u200c" + _JOINER
    letters = rf"(?:[^\W\d_]++|[{marks}]++)++"
    others = rf"(?:[^\w\s{marks}]++|_++)++"
    return Cutter(rf"[ '’]?{letters}| ?\d{{1,3}}| ?{others}|\s+(?!\S)|\s+")


def is_unspaced(character: str) -> bool:
    """Return whether a character belongs to Chinese or Japanese, which are written without spaces."""
    return character >= "\u3000" and _without_spaces().match(character) is not None


@functools.cache
def _without_spaces() -> re.Pattern[str]:
    return re.compile(rf"[{_UNSPACED}\u3001-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff65]")


def whole_characters(text: str) -> str:
    """Return ``text`` with each half of a character that stands alone (a lone surrogate) made U+FFFD."""
    return text if text.isascii() else _HALVES.sub("\ufffd", text)


def fold_characters(text: str, *, lowercase: bool, zero_digits: bool) -> str:
    """Return ``text`` folded one character at a time, so that it has as many characters as before."""
    if lowercase:
        text = text.lower() if text.isascii() else text.translate(_LOWER)
    return _DIGIT.sub("0", text) if zero_digits else text


class _CharacterMap(dict[int, int]):
    """Characters mapped one to one, worked out as they come; those that would become several stay."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method

    def __missing__(self, code: int) -> int:
        folded: str = getattr(chr(code), self._method)()
        self[code] = ord(folded) if len(folded) == 1 else code
        return self[code]


_LOWER = _CharacterMap("lower")
_UPPER = _CharacterMap("upper")


def upper_characters(text: str) -> str:
    """Return ``text`` in capitals, one character at a time, so that it has as many characters as before."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


_MARKS = {"Mn", "Mc", "Me"}
#: where they may be: not in Latin, Han, Hangul, Tangut, halves of characters, private use and most later planes
_MARKED = (
    range(0x300, 0x3400),
    range(0xA000, 0xAC00),
    range(0xD7A4, 0xD800),
    range(0xF900, 0x17000),
    range(0x18B00, 0x1EA00),
    range(0xE0100, 0xE01F0),
)


@functools.cache
def _marks() -> str:
    """Return the inside of a character class of all accents and vowel signs, which ``\\w`` leaves out."""
    codes = list(itertools.chain.from_iterable(_MARKED))
    found = map(_MARKS.__contains__, map(unicodedata.category, map(chr, codes)))  # no line of Python a character
    ranges: list[list[int]] = []
    for code in itertools.compress(codes, found):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
