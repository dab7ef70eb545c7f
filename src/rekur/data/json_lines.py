"""JSON tables: one object a line, or one array of objects."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TextIO

from rekur._numbers import counted
from rekur.data.annotations import as_object, is_annotation, is_pair, reason_to_leave_out
from rekur.data.files import open_text, read_lines
from rekur.data.inputs import Input
from rekur.data.source import Row, Source
from rekur.errors import describe

# Rows in which the names of the columns are looked up: objects may leave keys out.
_ROWS_LOOKED_AT = 100
_BLOCK = 1 << 16
_LONGEST_TOKEN = 100  # an error this near to the end of what was read may only mean that more must be read
#: keys of the start and of the end of a span of a text
_BOUNDS = (("start", "end"), ("start_offset", "end_offset"))
_BLANKS = re.compile(r"[ \t\r\n]*")


class _Twice(ValueError):
    """An object has a key twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object, or raise if it has a key twice; a plain decoder would keep only the last value."""
    value = dict(pairs)
    if len(value) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _Twice(describe("JSON", key, "every key of an object once; this one comes twice"))
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_once)
_EXACT = json.JSONDecoder(object_pairs_hook=_once, parse_float=Decimal)


class JsonRows(Source):
    """A file of JSON objects; the columns are the keys of the first hundred.

    A file that begins with ``[`` is one array, and its rows are counted; otherwise each line is an object, or a text
    with an object in a list. Rows of annotation tools are read as :func:`rekur.data.annotations.as_object` says.
    A key that an object lacks is absent from its row. Both are read in a stream.

    Args:
        file: what to read, maybe packed.
        format: ``"jsonl"`` or ``"json"``.
        encoding: the encoding of the text.
    """

    def __init__(self, file: Input, format: str, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self.name, self.format = file.name, format
        self._left_out = Counter[str]()
        self._is_array = self._begins_an_array()
        if self._is_array:
            self.unit = "row"
        first = list(itertools.islice(self.rows(), _ROWS_LOOKED_AT))
        if not first:
            raise self.error("rows: got 0; expected 1 JSON object or more.")
        self.columns = list(dict.fromkeys(key for row in first for key in row))
        if len(first) == 1 and (key := _wrapped_rows(first[0])):
            expected = "one object for each row"
            fix = f"Save that list alone, as with jq '.{key}'."
            raise self.error(f"JSON: got one object whose '{key}' is a list of rows; expected {expected}. {fix}")

    def rows(self) -> Iterator[Row]:
        """Yield each object as a row."""
        for number, value in self._array() if self._is_array else self._lines():
            value = as_object(value)
            if not isinstance(value, dict):
                got = json.dumps(value, ensure_ascii=False)
                raise self.error(describe("row", got, 'a JSON object such as {"text": …, "label": …}'), number)
            yield Row(value, number)

    def labelled_rows(self, label: str) -> Iterator[Row]:
        """Yield the rows that a tool for annotation does not say to leave out."""
        left_out = Counter[str]()
        for row in self.rows():
            if reason := reason_to_leave_out(row, label):
                left_out[reason] += 1
            else:
                yield row
        self._left_out = left_out

    def notes(self) -> list[str]:
        """Return a sentence about the rows that were left out."""
        reasons = [f"{count:,} {reason}" for reason, count in self._left_out.items()]
        total = counted(self._left_out.total(), "text")
        return [f"Left out, as the file says so: {total} ({', '.join(reasons)})."] if reasons else []

    @property
    def _decoder(self) -> json.JSONDecoder:
        return _EXACT if self.keeps_digits else _DECODER

    def _begins_an_array(self) -> bool:
        with open_text(self._file, self._encoding) as text:
            first = next((line.strip() for line in text if line.strip()), "")
        if not first.startswith('["'):
            return first.startswith("[")
        try:
            return not is_pair(json.loads(first))
        except (ValueError, RecursionError):
            return True

    def _lines(self) -> Iterator[tuple[int, Any]]:
        for number, line in enumerate(read_lines(self._file, self._encoding), 1):
            if line.strip():
                try:
                    value = self._decoder.decode(line)
                except (ValueError, RecursionError) as error:
                    raise self.error(_bad_json(line, error), number) from error
                yield number, value

    def _array(self) -> Iterator[tuple[int, Any]]:
        """Yield the members of one array, holding one block of the file, or more where a member is longer."""
        with open_text(self._file, self._encoding) as text:
            buffer, at = _to_mark(text, "", 0)
            buffer, at = _to_mark(text, buffer, at + 1)
            number = 0
            while buffer[at : at + 1] != "]":
                if number and buffer[at : at + 1] != ",":
                    raise self.error(describe("JSON", buffer[at:], "',' or ']' after an object"), number)
                buffer, at = _to_mark(text, buffer, at + bool(number))
                number += 1
                value, buffer, at = self._member(text, buffer, at, number)
                yield number, value
                buffer, at = _to_mark(text, buffer, at)
            buffer, at = _to_mark(text, buffer, at + 1)
            if at < len(buffer):
                raise self.error(describe("JSON", buffer[at:], "nothing after the array"))

    def _member(self, text: TextIO, buffer: str, at: int, number: int) -> tuple[Any, str, int]:
        """Return the value at ``at``, the buffer and the place behind the value; read on if it is cut."""
        block = _BLOCK
        while True:
            try:
                value, end = self._decoder.raw_decode(buffer, at)
                return value, buffer, end
            except (ValueError, RecursionError) as error:
                more = text.read(block) if _may_be_cut(error, buffer) else ""
                if not more:
                    raise self.error(_bad_json(buffer, error, at, in_array=True), number) from error
                buffer, at, block = buffer[at:] + more, 0, block * 2


def _to_mark(text: TextIO, buffer: str, at: int) -> tuple[str, int]:
    """Pass over blanks, reading on at the buffer's end; at the file's end nothing is left behind the place."""
    while True:
        at = _BLANKS.match(buffer, at).end()  # type: ignore[union-attr]
        if at < len(buffer):
            return buffer, at
        more = text.read(_BLOCK)
        if not more:
            return buffer, at
        buffer, at = more, 0


def _may_be_cut(error: Exception, buffer: str) -> bool:
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos > len(buffer) - _LONGEST_TOKEN


def _bad_json(text: str, error: Exception, at: int = 0, *, in_array: bool = False) -> str:
    if isinstance(error, _Twice):
        return str(error)
    why = "Nested too deep."
    if isinstance(error, json.JSONDecodeError):
        why = f"{error.msg.removesuffix(' at')} at character {error.pos - at + 1}."
        why = f"{why} {_json_fix(text, error.pos, at, in_array)}".rstrip()
    elif isinstance(error, ValueError):  # Python reads no whole number that is longer
        why = f"A number has more than {sys.get_int_max_str_digits():,} digits."
    return describe("JSON", text[at:].strip(), "one whole object in JSON", why)


#: what stands where JSON breaks off -> the fix
_FIXES = (
    (re.compile(r"//|/\*|#"), "JSON has no comments: take them out."),
    (re.compile(r"'"), 'JSON has double quotes only: write "…".'),
    (re.compile(r"[\u201c-\u201f\u00ab\u2018\u2019]"), 'JSON has straight quotes only: write "…".'),
    (re.compile(r"(?:True|False|None)\b"), "JSON has true, false and null; json.dumps in Python writes them."),
    (re.compile(r"[+-]?(?:inf|nan)\b", re.IGNORECASE), "A missing number is null."),
    (re.compile(r"[+-]?\.?\d"), "Numbers have a digit before the point, no plus sign and no zero in front."),
    (re.compile(r"[A-Za-z_]\w*\s*:"), 'Names of values stand in double quotes: "name": ….'),
)


def _json_fix(text: str, broken: int, start: int, in_array: bool) -> str:
    """Return how to mend JSON that breaks off at a character of a text, as far as it is known."""
    rest, head = text[broken:], text[start:broken].rstrip()
    if head.endswith(",") and rest[:1] in ("}", "]"):
        return f"Take out the comma before {rest[0]}."
    if not rest.strip():
        return "" if in_array else "Write each object on one line, or all of them in one array: [{…}, {…}]."
    return next((fix for pattern, fix in _FIXES if pattern.match(rest)), "")


def _wrapped_rows(row: dict[str, Any]) -> str:
    """Return the key of the list of rows, where a file has a single object that holds them; "" otherwise.

    A list of spans is no list of rows: the object is then a text with its spans. Rows may lie one object deeper.
    """
    if any(isinstance(value, str) and len(value.split()) > 1 for value in row.values()):
        return ""  # a text beside them, so it is a row itself
    keys = [key for key, value in row.items() if isinstance(value, list) and value and all(map(_may_be_row, value))]
    if keys or len(row) > 1:
        return keys[0] if len(keys) == 1 else ""
    ((key, value),) = row.items()
    inner = _wrapped_rows(value) if isinstance(value, dict) and value else ""
    return f"{key}.{inner}" if inner else ""


def _may_be_row(value: Any) -> bool:
    return is_pair(value) or (isinstance(value, dict) and not _is_span(value))


def _is_span(value: dict[str, Any]) -> bool:
    """Return whether an object stands for spans of a text, by its keys: a start and an end, or what holds them."""
    return (
        is_annotation(value)
        or isinstance(value.get("value"), dict)
        or any({start, end} <= value.keys() for start, end in _BOUNDS)
    )
