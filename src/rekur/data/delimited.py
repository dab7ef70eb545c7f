"""Tables with a separator: csv (fields may be quoted, over several lines) and tsv (one row a line)."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Collection, Iterator

from rekur.data.files import lf_lines, read_lines
from rekur.data.inputs import Input
from rekur.data.source import Row, Source, check_names
from rekur.errors import InputError, describe

# A quote that was opened and not closed would read the rest of the file into one field.
_MOST_LINES_IN_A_FIELD = 20_000
_LONGEST_FIELD = 2**31 - 1
_ROWS_CHECKED = 100
#: a name without digits, and a number or a date
_WORD, _FIGURES = re.compile(r"[^\W\d][^\d]*"), re.compile(r"[+-]?[0-9][0-9.,:/+TZ -]*")
_SEPARATOR_LINE = re.compile(r'"?sep=(.{0,4}?)"?', re.IGNORECASE)


class Delimited(Source):
    """A csv or tsv file: a header line, then one row of text cells after another.

    In csv a field in double quotes may hold separators, line ends and doubled quotes (RFC 4180). In tsv
    quotes are ordinary characters, unless they stand around a whole field in which all others are doubled.
    Blank lines are passed over. All values are text. A first line ``sep=;``, which Excel writes and reads, names the
    separator.

    Args:
        file: what to read, maybe packed.
        format: ``"csv"`` or ``"tsv"``.
        encoding: the encoding of the text.
        separator: one character; ``None`` is what a line ``sep=`` says, else ``","`` for csv and a tab for tsv.
        quotes: whether quotes may stand around a field of tsv; without them every quote is a character, and only LF
            ends a row.
        numbers: columns named by their numbers, from 1; where the first line does not hold these names, it is a row.
    """

    def __init__(
        self,
        file: Input,
        format: str,
        encoding: str,
        separator: str | None = None,
        *,
        quotes: bool = True,
        numbers: Collection[str] = (),
    ) -> None:
        self._file, self._encoding, self._quotes = file, encoding, quotes
        self.name, self.format = file.name, format
        told = self._told_separator(separator)
        self._first_line = 2 if told else 1
        self._separator = told or separator or ("\t" if format == "tsv" else ",")
        records = self._records()
        line, header = next(records, (1, []))
        if not header:
            raise self.error("lines: got 0; expected a header line and one row or more.")
        self.has_header = not numbers or {name.strip() for name in header}.issuperset(numbers)
        if not self.has_header:
            self.columns = [str(number) for number in range(1, len(header) + 1)]
            return
        _, first = next(records, (0, []))
        self.columns = self._check_header(header, first, line)
        if not first:
            raise self.error("rows: got 0 below the header; expected 1 or more.")

    def rows(self) -> Iterator[Row]:
        """Yield each row with the line it begins on; raise for a row of another width than the header."""
        records = self._records()
        header_line, header = next(records) if self.has_header else (0, [])
        columns, width = self.columns, len(self.columns)
        check = _HeaderCheck(columns)
        for line, cells in records:
            if self.has_header and check.is_open and (name := check.repeated(cells)) is not None:
                raise self.error(_value_as_name(name), header_line)
            if cells == header and width > 1:
                fix = "Were files put behind one another? Take this line out."
                raise self.error(f"row: got the header again; expected values. {fix}", line)
            if len(cells) != width:
                expected = f"{width}, as in the {'header' if self.has_header else 'first row'}"
                raise self.error(describe("fields", len(cells), expected, self._width_fix(len(cells))), line)
            yield Row(zip(columns, cells, strict=True), line)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        records = self._plain_records() if self.format == "tsv" else self._quoted_records()
        width = 0
        for line, cells in records:
            # a blank line of one column of plain texts is a text
            if len(cells) > 1 or (cells and cells[0].strip()) or (width == 1 and not self._quotes):
                width = width or len(cells)
                yield line, cells

    def _plain_records(self) -> Iterator[tuple[int, list[str]]]:
        separator = self._separator
        if not self._quotes:
            lines = enumerate(lf_lines(self._file, self._encoding), 1)
            yield from ((number, text.split(separator)) for number, text in lines if number >= self._first_line)
            return
        for number, text in self._lines():
            cells = text.rstrip("\r\n").split(separator)
            yield number, [_unquoted(c) for c in cells] if '"' in text else cells

    def _quoted_records(self) -> Iterator[tuple[int, list[str]]]:
        allow_long_fields()
        start = self._first_line

        def guarded() -> Iterator[str]:
            for number, text in self._lines():
                if number - start > _MOST_LINES_IN_A_FIELD:
                    raise self.error(_OPEN_QUOTE, start)
                yield text

        reader = csv.reader(guarded(), delimiter=self._separator, strict=True)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                open_at_end = "unexpected end" in str(error)
                raise self.error(_OPEN_QUOTE if open_at_end else _LOOSE_QUOTE, start) from error
            yield start, cells
            start = reader.line_num + self._first_line

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the text of every line except a first line ``sep=``."""
        lines = enumerate(read_lines(self._file, self._encoding), 1)
        return itertools.islice(lines, self._first_line - 1, None)

    def _told_separator(self, separator: str | None) -> str | None:
        """Return the separator that a first line ``sep=;`` names, or None without such a line."""
        first = next(read_lines(self._file, self._encoding), "").rstrip("\r\n")
        if not (match := _SEPARATOR_LINE.fullmatch(first)):
            return None
        told = "\t" if match[1].lower() in ("tab", "\\t") else match[1]
        if len(told) != 1 or told in '"\0':
            raise self.error(describe("sep=", told, "one character, as in sep=;"), 1)
        if separator not in (None, told):
            fix = "Leave --separator out, or take line 1 out."
            raise self.error(describe("separator", separator, f"{_word(told)}, as line 1 says", fix), 1)
        return told

    def _check_header(self, header: list[str], first: list[str], line: int) -> list[str]:
        names = [name.strip() for name in header]
        if len(names) == 1:
            for other, word in ((";", ";"), ("\t", "tab"), ("|", "|"), (",", ",")):
                if other != self._separator and other in names[0]:
                    text = describe("header", names[0], f"names with {_word(self._separator)} between")
                    raise self.error(f"{text} Try separator '{word}' (--separator '{word}').", line)
        numeric = [name for name in names if _is_number(name)]
        if numeric and not _counts_up(numeric) and not _is_above(names, first):
            fix = "Put a line with the columns' names on top."
            raise self.error(describe("header", numeric[0], "a column name, not a number", fix), line)
        return check_names(self, names, line)

    def _width_fix(self, got: int) -> str:
        if got < len(self.columns):
            return "Add the fields that are missing, or join lines that belong to one row."
        if self.format == "tsv":
            return "Take tabs out of fields, or quote the fields and add --format csv --separator tab."
        return f'Put fields that hold a {_word(self._separator)} in double quotes ("…").'


def allow_long_fields() -> None:
    """Raise the csv module's limit of 131072 characters a field."""
    if csv.field_size_limit() < _LONGEST_FIELD:
        csv.field_size_limit(_LONGEST_FIELD)


class _HeaderCheck:
    """Looks for signs that the header is a row of data, because the table has no line with column names.

    Such a sign is a name that occurs again in its own column beside other values, as the class of a first row does.
    A column that holds only its name and blanks is no sign: it records answers that were ticked.
    """

    def __init__(self, names: list[str]) -> None:
        self._values = {number: {name} for number, name in enumerate(names) if name}
        self._names = names
        self._again: set[int] = set()
        self._rows = 0

    @property
    def is_open(self) -> bool:
        """Whether more rows can still show a sign."""
        return bool(self._values)

    def repeated(self, cells: list[str]) -> str | None:
        """Read one more row; return a name that turns out to be a value, else None."""
        for number, values in self._values.items():
            cell = cells[number].strip() if number < len(cells) else ""
            if cell == self._names[number]:
                self._again.add(number)
            elif cell:
                values.add(cell)
            if number in self._again and len(values) > 1:
                return self._names[number]
        self._rows += 1
        if self._rows == _ROWS_CHECKED:  # from here on only columns that hold nothing but their name
            self._values = {number: self._values[number] for number in self._again}
        return None


def _value_as_name(name: str) -> str:
    fix = "Put a line with the columns' names on top; if this is that line, rename the column."
    return describe("header", name, "a name, not a value that comes again in its column", fix)


_OPEN_QUOTE = (
    "quotes: got a double quote that is opened here and not closed; expected pairs. "
    'Close it, or write "" for a quote inside a quoted field.'
)
_LOOSE_QUOTE = (
    'quotes: got text after a closing double quote; expected the separator. Write "" for a quote inside a quoted field.'
)


def check_separator(separator: str | None) -> str | None:
    """Return the separator as one character; ``tab`` and ``\\t`` are words for the tab.

    Example:
        >>> check_separator("tab")
        '\\t'
    """
    if separator is None:
        return None
    if separator in ("tab", "\\t"):
        return "\t"
    if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n\0':
        raise InputError(describe("separator", separator, "one character such as ',' or ';', or 'tab'"))
    return separator


def _word(separator: str) -> str:
    return {",": "comma", "\t": "tab", ";": "semicolon"}.get(separator, f"'{separator}'")


def _unquoted(cell: str) -> str:
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        inner = cell[1:-1].replace('""', "")
        if '"' not in inner:
            return cell[1:-1].replace('""', '"')
    return cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not text.lower().lstrip("+-").startswith(("n", "i"))  # nan, inf: may be names


def _is_above(names: list[str], first: list[str]) -> bool:
    """Return whether a word stands above a number or a date, as it does in a header alone."""
    return any(_WORD.fullmatch(name) and _FIGURES.fullmatch(cell) for name, cell in zip(names, first, strict=False))


def _counts_up(numbers: list[str]) -> bool:
    """Whether numbers in a header are names such as 0, 1, 2, as data frames write them."""
    if len(numbers) < 2 or not all(n.isdecimal() for n in numbers):
        return False
    first = int(numbers[0])
    return [int(n) for n in numbers] == list(range(first, first + len(numbers)))
