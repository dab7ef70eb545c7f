"""CoNLL files: one word a line with its tags, a blank line behind each sentence."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, pairwise
from typing import Any

from rekur._numbers import counted
from rekur.data.files import read_lines
from rekur.data.first_lines import is_json_table
from rekur.data.inputs import Input
from rekur.data.source import Row, Source, Tagged, check_column
from rekur.errors import InputError, describe

#: a cell that says that its value is missing
MISSING = "_"
_DOCUMENT = "-DOCSTART-"
_NO_COMMENTS = "Only CoNLL-U has comments; here # begins a word: take lines out that are none."
_LINES_LOOKED_AT = 100
_BLANKS = re.compile(r"[ \t]+")
#: the number of a word, of a range of words or of an empty node
NUMBER = re.compile(r"([0-9]+)(?:([-.])([0-9]+))?")
#: what a number with such a mark in it belongs to
OTHERS = {"-": "multi-word ranges", ".": "empty nodes"}
_WORD, _COMMENT = "words", "comments"
_WORD_NAMES = frozenset(["word", "words", "token", "tokens", "form", "text"])
_TAG_NAMES = frozenset(
    ["tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "pos", "pos_tag", "upos", "xpos"]
)


class Sentence(Row):
    """One sentence: a list for each column, with a cell a word.

    Attributes:
        lines: the line of each word, from 1; ``line`` is the first of them.
    """

    __slots__ = ("lines",)

    def __init__(self, values: Any, lines: list[int]) -> None:
        super().__init__(values, lines[0])
        self.lines = lines


class ColumnSource(Source):
    """A file with one word a line; a row is a :class:`Sentence`.

    Attributes:
        word_column: the column of the words where no other is named.
        tag_column: the column of the tags where no other is named; empty where one must be named.
        sentence_columns: the columns with one value a sentence.
        left_out: what stands in the file and is no word, and how often, as of the last whole pass.
    """

    word_column = ""
    tag_column = ""
    sentence_columns: tuple[str, ...] = ()

    def __init__(self, file: Input, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self.name = file.name
        self.left_out = Counter[str]()

    @property
    def usual_columns(self) -> Mapping[str, str]:  # type: ignore[override]
        """Return the columns of words and tags by their roles."""
        label = {"label": self.tag_column} if self.tag_column else {}
        return {"text": self.word_column, **label}

    def notes(self) -> list[str]:
        """Return a sentence that says what stands in the file and is no word."""
        counts = [counted(count, name.removesuffix("s")) for name, count in self.left_out.items()]
        return [f"Left out, as they are no words: {' and '.join(counts)}."] if counts else []

    @abstractmethod
    def rows(self) -> Iterator[Sentence]:
        """Yield each sentence."""

    def chosen(self, words: str | int | None = None, tags: str | int | None = None) -> tuple[str, str]:
        """Return the columns of words and tags, each by default the one that such files have it in.

        Args:
            words: the column of the words; None is ``word_column``.
            tags: the column of the tags; None is ``tag_column``.

        Raises:
            DataError: there is no such column, or none is named and the format has no usual one.
        """
        word_column = self.word_column if words is None else str(words)
        if tags is None and not self.tag_column:
            others = [name for name in self.columns if name not in (word_column, *self.sentence_columns)]
            expected = f"one of {', '.join(others)}"
            raise self.error(describe("label column", "none", expected, "Name it, as with --label upos."))
        return word_column, self.tag_column if tags is None else str(tags)

    def tagged(self, words: str | int | None = None, tags: str | int | None = "", name: str = "") -> Iterator[Tagged]:
        """Return an iterator over the sentences as words and tags.

        Args:
            words: the column of the words, by its name or its number from 1; None is ``word_column``.
            tags: the column of the tags; an empty text is ``tag_column``, None reads none.
            name: the column with the names of sentences; by default the key of the format.

        Raises:
            DataError: there is no such column; when it is reached, a word without a tag.
            InputError: both are one column.
        """
        if tags is None:
            word_column, tag_column = self.word_column if words is None else str(words), ""
        else:
            word_column, tag_column = self.chosen(words, None if tags == "" else tags)
        for role, column in (("text", word_column), ("label", tag_column)):
            if role == "text" or column:
                check_column(self, role, column)
                if column in self.sentence_columns:
                    raise self.error(describe(f"{role} column", column, "one with a value for each word"))
        if word_column == tag_column:
            raise InputError(describe("label column", tag_column, "another than that of the words"))
        self._check_words(word_column)
        return self._tagged(word_column, tag_column, name or self.key)

    def _tagged(self, word_column: str, tag_column: str, name: str) -> Iterator[Tagged]:
        for row in self.rows():
            words, tags = row[word_column], row[tag_column] if tag_column else None
            for kind, cells in (("word", words), (tag_column, tags or ())):
                if None in cells:
                    text = f"{kind}: got '{MISSING}', which says that it is missing; expected one for each word."
                    raise self.error(text, row.lines[cells.index(None)])
            yield Tagged(words, tags, row.lines, row.get(name) if name in self.sentence_columns else None)

    def _check_words(self, column: str) -> None:
        """Raise where a column can hold no words."""

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the text of each line; only LF and CRLF end one."""
        number, pending = 1, ""
        for piece in read_lines(self._file, self._encoding):
            if piece.endswith("\r"):  # a lone CR, which may stand in a word
                if number == 1:
                    raise self.error("line ends: got CR alone; expected LF or CRLF. Convert the file.", 1)
                pending += piece
                continue
            text = pending + piece
            yield number, text.removesuffix("\n").removesuffix("\r")
            number, pending = number + 1, ""
        if pending:
            yield number, pending.removesuffix("\r")


class Conll(ColumnSource):
    """A file of two or more columns with blanks or tabs between, without a header; columns are named from ``"1"`` on.

    The first column holds the words and the last the tags where no others are named. Only blanks, tabs, LF and CRLF
    cut, for other spaces occur in words. A line that tabs
    alone cut into as many fields as the file has columns is cut by them alone, for a word may hold a blank. A line that
    begins with ``-DOCSTART-`` ends a sentence and is no word. ``#`` begins a comment only in a file whose first column
    numbers the words of each sentence; ranges of words (``3-4``) and empty nodes (``8.1``) are no words there either.

    Args:
        file: what to read, maybe packed.
        encoding: the encoding of the text.
    """

    format = "conll"

    def __init__(self, file: Input, encoding: str) -> None:
        super().__init__(file, encoding)
        first = list(islice(self._contents(), _LINES_LOOKED_AT))
        words = [(number, text) for number, text in first if _kind_of_numbered(text) == _WORD]
        least = 3 if len(words) == len(first) else 2  # two numbers alone may be words
        self._numbers_words = _highest_count(_first_cell(text) for _, text in words) >= least
        first = words if self._numbers_words else first
        if not first:
            raise self.error("words: got 0; expected 1 or more, each with its tag on a line of its own.")
        self._width, self._like = self._check_beginning(first)
        self.columns = [str(number + 1) for number in range(self._width)]
        self.word_column, self.tag_column = self.columns[0], self.columns[-1]

    def rows(self) -> Iterator[Sentence]:
        """Yield each sentence; raise for a line with another number of columns than the file has."""
        left_out = Counter[str]()
        sentence: list[list[str]] = []
        lines: list[int] = []
        for number, text in self._lines():
            if text.strip(" \t") and not text.startswith(_DOCUMENT):
                kind = _kind_of_numbered(text) if self._numbers_words else _WORD
                if kind == _WORD:
                    sentence.append(self._fields(text, number))
                    lines.append(number)
                else:
                    left_out[kind] += kind != _COMMENT
                continue
            left_out["document marks"] += text.startswith(_DOCUMENT)
            if sentence:
                yield self._sentence(sentence, lines)
                sentence, lines = [], []
        if sentence:
            yield self._sentence(sentence, lines)
        self.left_out = +left_out

    def _sentence(self, sentence: list[list[str]], lines: list[int]) -> Sentence:
        columns = zip(*sentence, strict=True)
        return Sentence({name: list(cells) for name, cells in zip(self.columns, columns, strict=True)}, lines)

    def _contents(self) -> Iterator[tuple[int, str]]:
        for number, text in self._lines():
            if text.strip(" \t") and not text.startswith(_DOCUMENT):
                yield number, text

    def _cut(self, text: str) -> list[str]:
        """Return the fields of a line, cut at tabs if that gives the file's number of columns, else at blanks too."""
        at_tabs = [field.strip(" ") for field in text.rstrip(" \t").split("\t")]
        return at_tabs if len(at_tabs) == self._width else _BLANKS.split(text.strip(" \t"))

    def _fields(self, text: str, number: int) -> list[str]:
        fields = self._cut(text)
        if len(fields) != self._width:
            fix = "Add the missing columns." if len(fields) < self._width else "Is a blank line or a line end missing?"
            fix = _NO_COMMENTS if text.startswith("#") else fix
            expected = f"{self._width}, as in line {self._like}"
            raise self.error(describe("columns", len(fields), expected, fix), number)
        for column, field in enumerate(fields, 1):
            if not field.strip():
                expected = "one character or more that is no blank"
                raise self.error(describe(f"column {column}", field, expected), number)
        return fields

    def _check_beginning(self, lines: list[tuple[int, str]]) -> tuple[int, int]:
        """Return the number of columns, and a line that has it; raise where the beginning is none of a CoNLL file."""
        number, start = lines[0]
        if is_json_table([start]):
            raise self.error(describe("format", start, "a word and its tags", "Name the format jsonl."), number)
        if any(_is_universal(text) for _, text in lines):
            fix = "Name the format conllu."
            raise self.error(describe("format", "CoNLL-U", "columns without numbers of words and comments", fix))
        starts = [text for (last, _), (line, text) in pairwise([(-1, ""), *lines]) if last < line - 1]
        if len(starts) > 1 and all(text.startswith("# ") for text in starts):
            raise self.error(describe("line", start, "a word and its tags", _NO_COMMENTS), number)
        both = [len(_BLANKS.split(text.strip(" \t"))) for _, text in lines]
        tabs = [text.rstrip(" \t").count("\t") + 1 for _, text in lines]
        widths = tabs if len(set(both)) > 1 and len(set(tabs)) == 1 and tabs[0] > 1 else both
        width = Counter(widths).most_common(1)[0][0]
        if width < 2:
            fix = "Is it a CoNLL file?"
            expected = "2 or more with blanks or tabs between, the word and its tags"
            raise self.error(describe("columns", width, expected, fix), number)
        names = _BLANKS.split(start.strip(" \t").lower())
        if names[0] in _WORD_NAMES and names[-1] in _TAG_NAMES:
            fix = "Take the line out."
            raise self.error(describe("line", start, "a word and its tags, not names of columns", fix), number)
        return width, lines[widths.index(width)][0]

    def _check_words(self, column: str) -> None:
        if column == self.columns[0] and self._numbers_words:
            fix = "Name the column of the words, as with --text 2."
            raise self.error(describe("text column", "1, which numbers the words", "words", fix))


def _is_universal(text: str) -> bool:
    """Return whether a line is a word of CoNLL-U."""
    fields = text.split("\t")
    return len(fields) == 10 and NUMBER.fullmatch(fields[0]) is not None


def _first_cell(text: str) -> str:
    return _BLANKS.split(text.strip(" \t"), maxsplit=1)[0]


def _kind_of_numbered(text: str) -> str:
    """Return what a line of a file that numbers its words is."""
    if text.startswith("#"):
        return _COMMENT
    number = NUMBER.fullmatch(_first_cell(text))
    return _WORD if number is None or number[2] is None else OTHERS[number[2]]


def _highest_count(cells: Iterable[str]) -> int:
    """Return how far cells count up from 1, again and again; 0 if they do not."""
    last = highest = 0
    for cell in cells:
        if cell not in ("1", str(last + 1)):
            return 0
        last = int(cell)
        highest = max(highest, last)
    return highest
