"""CoNLL-U and CoNLL-U Plus: one numbered word a line, comments before each sentence, a blank line behind it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rekur.data.conll import MISSING, NUMBER, OTHERS, ColumnSource, Sentence
from rekur.data.inputs import Input
from rekur.data.source import Source, check_names
from rekur.errors import describe

#: the columns of CoNLL-U behind the number of the word
UNIVERSAL = ("form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
#: the columns in which a lone ``_`` says that there is none, and not that the value is missing
_MAY_BE_NONE = ("form", "lemma", "feats", "deps", "misc")
#: the first line of CoNLL-U Plus
_COLUMNS = re.compile(r"# *global\.columns *=(.*)")


class ConllU(ColumnSource):
    """A file of Universal Dependencies; columns are :data:`UNIVERSAL`, and ``sent_id`` and ``text`` of the comments.

    In CoNLL-U Plus the first line names the columns, as in ``# global.columns = ID FORM UPOS NER``; those of CoNLL-U
    get small letters.

    Tabs alone cut. Ranges of words (``3-4``) and empty nodes (``8.1``) are no words; they are counted in ``left_out``.
    A ``_`` is a missing value, None, but for form, lemma, feats, deps and misc. ``sent_id`` and ``text`` are None where
    there is no such comment.

    Args:
        file: what to read, maybe packed.
        encoding: the encoding of the text.

    Reference: https://universaldependencies.org/format.html and https://universaldependencies.org/ext-format.html
    """

    format, key, word_column = "conllu", "sent_id", "form"
    sentence_columns = ("sent_id", "text")

    def __init__(self, file: Input, encoding: str) -> None:
        super().__init__(file, encoding)
        self._fields = self._named(next(self._lines(), (1, ""))[1])
        self._names = [name for name in self._fields if name != "id"]
        self.columns = [*self._names, *self.sentence_columns]
        if next(self.rows(), None) is None:
            raise self.error("sentences: got 0; expected 1 or more.")

    def _named(self, first: str) -> list[str]:
        """Return the names of the columns, which the first line may state."""
        universal = ["id", *UNIVERSAL]
        if (stated := _COLUMNS.fullmatch(first)) is None:
            return universal
        names = [name.lower() if name.lower() in universal else name for name in stated[1].split()]
        if not {"id", "form"} <= set(names):
            fix = "Without numbers of words and comments it is a file of the format conll."
            raise self.error(describe("global.columns", stated[1].strip(), "ID and FORM among them", fix), 1)
        check_names(self, [*names, *self.sentence_columns], 1)
        return names

    def rows(self) -> Iterator[Sentence]:
        """Yield each sentence; raise for a line with missing columns, and for numbers that do not count up."""
        left_out = Counter[str]()
        comments: dict[str, str] = {}
        sentence = _Numbered(self, self._fields)
        for number, text in self._lines():
            if text.startswith("#"):
                name, is_pair, value = text[1:].partition("=")
                if is_pair and name.strip() in self.sentence_columns:
                    comments[name.strip()] = value.strip(" \t")
            elif text.strip(" \t"):
                sentence.add(text, number)
            else:
                if sentence.is_begun:
                    yield self._sentence(sentence, comments)
                    left_out.update(sentence.left_out)
                sentence, comments = _Numbered(self, self._fields), {}
        if sentence.is_begun:
            yield self._sentence(sentence, comments)
            left_out.update(sentence.left_out)
        self.left_out = +left_out

    def _sentence(self, sentence: _Numbered, comments: dict[str, str]) -> Sentence:
        words, lines = sentence.finish()
        values: dict[str, Any] = {
            name: list(cells) for name, cells in zip(self._names, zip(*words, strict=True), strict=True)
        }
        for name in self._names:
            if name not in _MAY_BE_NONE and (MISSING in values[name] or "" in values[name]):
                values[name] = [None if cell in (MISSING, "") else cell for cell in values[name]]
        return Sentence({**values, **{name: comments.get(name) for name in self.sentence_columns}}, lines)


class _Numbered:
    """The lines of one sentence of CoNLL-U; checks that the numbers of its words count up from 1.

    Args:
        source: whose lines they are.
        columns: the names of the columns, with ``id`` and ``form``.
    """

    def __init__(self, source: Source, columns: Sequence[str]) -> None:
        self._source = source
        self._width, self._id, self._form = len(columns), columns.index("id"), columns.index("form")
        self._words: list[list[str]] = []
        self._lines: list[int] = []
        self._range_end = self._range_line = self._empty = self._last_line = 0
        self.left_out = Counter[str]()

    @property
    def is_begun(self) -> bool:
        """Whether a line came."""
        return self._last_line > 0

    def add(self, text: str, line: int) -> None:
        """Take a line."""
        fields = text.split("\t")
        width = self._width
        if len(fields) != width:
            fix = f"Take those behind column {width} out."
            fix = "Write '_' where there is nothing." if len(fields) < width else fix
            fix = "Put tabs between them." if len(fields) == 1 else fix
            raise self._source.error(describe("columns", len(fields), f"{width} with tabs between", fix), line)
        self._last_line = line
        if fields[self._id] == str(len(self._words) + 1):
            self._add_word(fields, line)
            return
        self._add_other(fields[self._id], line)

    def _add_word(self, fields: list[str], line: int) -> None:
        form = fields[self._form]
        if not form.strip():
            raise self._source.error(describe("form", form, "one character or more that is no blank"), line)
        self._words.append([*fields[: self._id], *fields[self._id + 1 :]])
        self._lines.append(line)
        self._empty = 0

    def _add_other(self, name: str, line: int) -> None:
        """Count a range or an empty node; raise for any other number than that of the next word."""
        match = NUMBER.fullmatch(name)
        expected, fix = "a number such as 3, 3-4 or 3.1", ""
        if match is not None:
            count, first, second = len(self._words), int(match[1]), int(match[3] or 0)
            if match[2] == "-":
                if first == count + 1 and second > first > self._range_end:
                    self._range_end, self._range_line = second, line
                    self.left_out[OTHERS["-"]] += 1
                    return
                expected = f"a range of new words from {count + 1} on"
            elif match[2] == ".":
                if (first, second) == (count, self._empty + 1):
                    self._empty += 1
                    self.left_out[OTHERS["."]] += 1
                    return
                expected = f"{count}.{self._empty + 1}"
            else:
                expected = str(count + 1)
                fix = "Put a blank line before it." if first == 1 else "Is a line missing, or twice there?"
        raise self._source.error(describe("id", name, expected, fix), line)

    def finish(self) -> tuple[list[list[str]], list[int]]:
        """Return the fields and the line of each word."""
        if not self._words:
            raise self._source.error("words: got 0 in a sentence; expected 1 or more.", self._last_line)
        if self._range_end > len(self._words):
            expected = f"a range that ends at {len(self._words)} or before, the last word of the sentence"
            raise self._source.error(describe("id", f"…-{self._range_end}", expected), self._range_line)
        return self._words, self._lines
