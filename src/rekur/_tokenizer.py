"""Running text as tokens with exact offsets, and documents as sequences; the same for any way the text arrives.

A *token* is a word, a number, or a single mark. Letters of scripts without blanks between words are tokens of their
own. What a person sees as one character is never cut: combining marks stay with their letter, and flags, skin tones
and joined pictures are one token. A *gap* is what stands between two tokens: blanks, line ends and invisible
characters. Tokens and gaps together are the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

#: the ends of lines of a document
LINE_ENDS = re.compile("\r\n|\r|\n")
#: rules that cut a document into sequences
CUTS = ("none", "line", "blank", "sentence")
#: ways with spans that do not fit the tokens of their text
BAD_SPANS = ("error", "drop")
#: the rule where none is chosen
USUAL_CUT = "sentence"

# Scripts whose words have no blanks between them, or, as in Korean, hold more than a span does: Thai, Lao, Tibetan,
# Myanmar, Khmer, Tai, Balinese, Javanese, kana, Bopomofo, Han, Yi, Hangul.
_UNSPACED = re.compile(
    "[\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\ua980-\ua9df\uaa60-\uaadf"
    "\u3005-\u3007\u3031-\u3035\u3040-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
# Letters that belong to the one before them: vowels and final consonants of decomposed Hangul, and the Thai and Lao AM.
_JOINED_LETTERS = frozenset([0x0E33, 0x0EB3, *range(0x1160, 0x1200), *range(0xD7B0, 0xD800)])
_TONES, _TAGS, _FLAG_LETTERS = range(0x1F3FB, 0x1F400), range(0xE0020, 0xE0080), range(0x1F1E6, 0x1F200)
_PICTURES = range(0x1F000, 0x1FB00)
#: invisible characters at which words end: the zero-width space, and a byte order mark
_INVISIBLE_BLANKS = frozenset([0x200B, 0xFEFF])
_JOINER = 0x200D

# Classes of characters: a blank, L letter, C letter that stands alone, M combining mark, D digit, S symbol or picture,
# T what changes a picture, R letter of a flag, J joiner, F invisible character, P any other mark.
_TOKEN = re.compile("L(?:F*[LMJ])*|C[MJ]*|D[DM]*|RR|S(?:[MT]|J+S?)*|[PRMT]M*")


class _Classes(dict[int, str]):
    """Code of a character -> its class; filled as characters occur."""

    def __missing__(self, code: int) -> str:
        self[code] = _class_of(code)
        return self[code]


def _class_of(code: int) -> str:
    character = chr(code)
    category = unicodedata.category(character)
    special = {_JOINER: "J"} | dict.fromkeys(_INVISIBLE_BLANKS, " ")
    if code in special or character.isspace():
        return special.get(code, " ")
    if category[0] == "M" or code in _JOINED_LETTERS:
        return "M"
    if code in _TONES or code in _TAGS:
        return "T"
    if code in _FLAG_LETTERS:
        return "R"
    if category[0] == "L" or category == "Nl":
        return "C" if _UNSPACED.match(character) else "L"
    if category == "So" or code in _PICTURES:
        return "S"
    return {"Nd": "D", "Cf": "F"}.get(category, "P")


_CLASSES = _Classes()


class Token(NamedTuple):
    """A token of a document.

    Attributes:
        text: its characters.
        start: the number of characters of the document before it.
        gap: the characters between it and the token before it.
        begins: whether a new sequence of the document begins with it; never for the first token.
    """

    text: str
    start: int
    gap: str = ""
    begins: bool = False


class Passage(list[str]):
    """The words of a part of a document.

    Args:
        tokens: the same with their places in the document; the first begins no further sequence.
    """

    def __init__(self, tokens: Iterable[Token]) -> None:
        self.tokens = list(tokens)
        self.tokens[:1] = [token._replace(begins=False) for token in self.tokens[:1]]
        super().__init__(token.text for token in self.tokens)


def tokenize(text: str, cut: str = "none") -> list[Token]:
    """Return the tokens of a document.

    Args:
        text: the document.
        cut: the rule that cuts it into sequences: ``"none"``; ``"line"``, at line ends; ``"blank"``, at blank lines;
            ``"sentence"``, at blank lines, and behind an end mark before a line end or a capital letter.

    Example:
        >>> [token.text for token in tokenize("take 200mg (daily).")]
        ['take', '200', 'mg', '(', 'daily', ')', '.']
        >>> [token.start for token in tokenize("It rains. Ada left.", "sentence") if token.begins]
        [10]
    """
    stream = TokenStream(cut)
    return stream.push(text) + stream.finish()


def is_gap(character: str) -> bool:
    """Return whether a character stands between tokens wherever it occurs: a blank, or an invisible character."""
    return _CLASSES[ord(character)] in " FJ"


def words_of(context: Iterable[Any]) -> list[str]:
    """Return the words of a context, whose entries are words, or tokens with their places.

    Example:
        >>> words_of(["Ada", Token("left", 4, " ")])
        ['Ada', 'left']
    """
    return [entry if isinstance(entry, str) else entry[0] for entry in context]


class TokenStream:
    """The tokens of a document whose text comes in pieces.

    A token is certain when a character that ends it has come. All that :meth:`push` returned and then :meth:`finish`
    does not depend on how the text is cut into pieces.

    Args:
        cut: as for :func:`tokenize`.
    """

    def __init__(self, cut: str = "none") -> None:
        self._rule = Rule(cut)
        self._text, self._offset = "", 0

    def push(self, piece: str) -> list[Token]:
        """Take the next piece of the text; return the tokens that are certain now."""
        text = self._text + piece
        classes = text.translate(_CLASSES)
        limit = len(classes.rstrip("F"))
        tokens, end = self._cut(text, classes, limit)
        self._text, self._offset = text[end:], self._offset + end
        return self._rule.push(tokens)

    def finish(self) -> list[Token]:
        """Return the tokens that would follow if the document ended here; changes nothing."""
        tokens, _ = self._cut(self._text, self._text.translate(_CLASSES), len(self._text) + 1)
        return self._rule.finish(tokens)

    def _cut(self, text: str, classes: str, limit: int) -> tuple[list[Token], int]:
        """Return the tokens that end before a limit, and the end of the last of them."""
        tokens, end = [], 0
        for match in _TOKEN.finditer(classes):
            if match.end() >= limit:
                break
            start = match.start()
            tokens.append(Token(text[start : match.end()], self._offset + start, text[end:start]))
            end = match.end()
        return tokens, end

    def get_state(self) -> dict[str, Any]:
        """Return the state, as plain JSON."""
        return {"text": self._text, "offset": self._offset, "rule": self._rule.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""
        self._text, self._offset = str(state["text"]), int(state["offset"])
        self._rule.set_state(state["rule"])


#: marks that end a sentence, and those that do so without a blank behind them
_END_MARKS = frozenset(".!?…‽؟۔।॥።።᙮᠃⸮。！？｡．")
_FULL_WIDTH = frozenset("。！？｡．")
#: quotation marks whose direction is told by the gap before them
_QUOTES = frozenset("\"'")


class Rule:
    """Marks the tokens with which a sequence of a document begins.

    Args:
        cut: as for :func:`tokenize`.
    """

    def __init__(self, cut: str) -> None:
        self.cut = cut
        self._held: list[Token] = []  # opening marks behind the end of a sentence: the next token decides
        self._last = ""
        #: whether the tokens so far end a sentence: 0 no, 1 if a capital follows, 2 whatever follows
        self._ended = 0

    def push(self, tokens: Sequence[Token]) -> list[Token]:
        """Take the next tokens; return those that are decided."""
        if self.cut == "none":
            return list(tokens)
        if self.cut != "sentence":
            least = 1 if self.cut == "line" else 2
            marked = []
            for token in tokens:
                begins = bool(self._last) and _line_ends(token.gap) >= least
                marked.append(token._replace(begins=True) if begins else token)
                self._last = token.text
            return marked
        decided: list[Token] = []
        for token in tokens:
            # between most tokens is one blank at most, and no end of a sentence stands before them
            if self._ended or len(token.gap) > 1 or self._held or token.text in _END_MARKS:
                self._sentence(token, decided)
            else:
                decided.append(token)
                self._last = token.text
        return decided

    def finish(self, tokens: Sequence[Token]) -> list[Token]:
        """Return the tokens that follow if the document ends after these; changes nothing."""
        twin = Rule(self.cut)
        twin.set_state(self.get_state())
        return twin.push(tokens) + twin._held

    def _sentence(self, token: Token, decided: list[Token]) -> None:
        """Take a token by the rule of sentences."""
        if self._held:
            if not token.gap and _opens(token):
                self._held.append(token)
                return
            first, *others = self._held
            decided += [first._replace(begins=not token.gap and _may_begin(token.text)), *others]
            self._held, self._ended, self._last = [], 0, self._held[-1].text
        begins = False
        if self._last and token.gap:
            line_ends = _line_ends(token.gap)
            begins = line_ends > 1 or bool(self._ended and line_ends)
            if not begins and self._ended:
                if _opens(token):
                    self._held = [token]
                    return
                begins = _may_begin(token.text)
        begins |= self._ended == 2 and not _closes(token) and token.text not in _END_MARKS
        decided.append(token._replace(begins=True) if begins else token)
        if token.text in _END_MARKS:
            initial = token.text == "." and not token.gap and len(self._last) == 1 and self._last.isupper()
            self._ended = 0 if initial else 2 if token.text in _FULL_WIDTH else 1
        elif not (self._ended and not token.gap and _closes(token)):
            self._ended = 0
        self._last = token.text

    def get_state(self) -> dict[str, Any]:
        """Return the state, as plain JSON."""
        return {"held": [list(token) for token in self._held], "last": self._last, "ended": self._ended}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""
        self._held = [Token(*entry) for entry in state["held"]]
        self._last, self._ended = str(state["last"]), int(state["ended"])


def _line_ends(gap: str) -> int:
    return len(LINE_ENDS.findall(gap))


def _may_begin(word: str) -> bool:
    """Return whether a sentence may begin with a word: a capital, or a letter of a script without capitals."""
    return unicodedata.category(word[0]) in ("Lu", "Lt", "Lo")


def _opens(token: Token) -> bool:
    """Return whether a mark opens a quotation or a bracket."""
    if token.text in _QUOTES:
        return bool(token.gap)
    return token.text in "¿¡" or unicodedata.category(token.text[0]) in ("Ps", "Pi")


def _closes(token: Token) -> bool:
    """Return whether a mark closes a quotation or a bracket."""
    if token.text in _QUOTES:
        return not token.gap
    return unicodedata.category(token.text[0]) in ("Pe", "Pf")
