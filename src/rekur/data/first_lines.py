"""The format of a file without an ending, told by its first lines; lines that fit no format, or two, are refused."""

from __future__ import annotations

import csv
import json
import re
import warnings
from itertools import islice

from rekur.data.annotations import is_pair
from rekur.data.delimited import allow_long_fields
from rekur.data.files import nul_text, open_text
from rekur.data.inputs import Input
from rekur.errors import DataError, DataWarning, describe

#: the number of lines that are read, and the most characters of a line
_LINES, _LONGEST = 20, 1 << 20
_TS = re.compile(r"@(?:problemname|timestamps|missing|univariate|dimensions?|equallength|classlabel|targetlabel)\b")
_FASTA = re.compile(r">\S.*\n\s*[A-Za-z*.\-]+\r?(?:\n|$)")
_UNIVERSAL = re.compile(r"1(?:-[0-9]+)?(?:\t[^\t]+){9}\r?\n?$")
_SEPARATOR = re.compile(r'"?sep=', re.IGNORECASE)
_BLANK_INSIDE = re.compile(r"\S\s+\S")
_PARQUET = "PAR1"


def told_format(file: Input, encoding: str, otherwise: str | None = None) -> str:
    """Return the format that the first lines of a file have.

    Args:
        file: the file; its beginning is read.
        encoding: of the text.
        otherwise: the format of lines that fit none; None refuses them.

    Raises:
        DataError: it is empty, or its lines fit no format, or more than one.
    """
    lines = _first_lines(file, encoding)
    if not any(line.strip() for line in lines):
        raise DataError("lines: got 0; expected 1 or more.", file.name)
    format = _format(lines) or otherwise
    if format is None:
        expected = "lines from which one format can be told"
        first = next(line for line in lines if line.strip()).rstrip("\r\n")
        fix = "Name the format, as with --format csv, or --format txt for one text a line."
        raise DataError(describe("format", first, expected, fix), file.name)
    if format == "txt" and format != otherwise:
        text = "format: got none; its first lines look like one text a line. If they are not, name the format."
        warnings.warn(f"{file.name}: {text}", DataWarning, stacklevel=2)
    return format


def is_table(file: Input, encoding: str) -> bool:
    """Return whether the first lines of a file look like a table or like JSON objects."""
    lines = _first_lines(file, encoding)
    return any(line.strip() for line in lines) and _format(lines) in ("csv", "tsv", "jsonl", "json", "parquet")


def _first_lines(file: Input, encoding: str) -> list[str]:
    if not file.packing and file.beginning == _PARQUET.encode():
        return [_PARQUET]
    with open_text(file, encoding) as text:
        lines = list(islice(iter(lambda: text.readline(_LONGEST), ""), _LINES))
    if (binary := next((number for number, line in enumerate(lines, 1) if "\0" in line), 0)) > 0:
        first = "".join(lines)[:64].encode("utf-8", "surrogatepass")
        raise DataError(nul_text(first), file.name, binary)
    return lines


def is_json_table(lines: list[str]) -> bool:
    """Return whether lines begin an array of JSON objects, or hold one object each.

    Example:
        >>> is_json_table(['[{"a": 1},']), is_json_table(["[1, 2]"]), is_json_table(['{"a": 1}'])
        (True, False, True)
    """
    start = "".join(lines).lstrip()
    if start.startswith("["):
        return start[1:].lstrip().startswith("{") or _begins_with_pairs(start)
    first = start.partition("\n")[0]
    if len(first) >= _LONGEST:
        return re.match(r'\{\s*"', first) is not None
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _begins_with_pairs(start: str) -> bool:
    """Return whether JSON begins with a text and an object with its spans, or with an array of such pairs."""
    for at in (0, 1):
        try:
            if is_pair(json.JSONDecoder().raw_decode(start[at:].lstrip())[0]):
                return True
        except (ValueError, RecursionError):
            pass
    return False


def _format(lines: list[str]) -> str | None:
    if lines == [_PARQUET]:
        return "parquet"
    start = "".join(lines).lstrip()
    plain = [line for line in lines if line.strip() and not line.startswith(("#", "%"))]
    if start[0] in "[{" and is_json_table(lines):
        return "json" if start[0] == "[" else "jsonl"
    if plain and _TS.match(plain[0].strip().lower()):
        return "ts"
    if plain and (_UNIVERSAL.match(plain[0]) or lines[0].startswith("# global.columns =")):
        return "conllu"
    if _FASTA.match(start):
        return "fasta"
    if _SEPARATOR.match(start):
        return "csv"
    if _width(lines, "\t") > 1:
        return "tsv"
    if any(_width(lines, separator) > 1 and not _is_prose(start, separator) for separator in ",;|"):
        return "csv"
    if any(_width(lines, separator) > 1 for separator in ",;|") or not _BLANK_INSIDE.search(start.partition("\n")[0]):
        return None  # sentences or a table; one name a line, or a table with one column
    return "txt"


def _width(lines: list[str], separator: str) -> int:
    """Return the number of fields that all rows have; 0 if they differ, or if there are fewer than two rows."""
    rows: list[list[str]] = []
    allow_long_fields()
    try:
        for row in csv.reader(lines, delimiter=separator, strict=True):
            if len(row) > 1 or (row and row[0].strip()):
                rows.append(row)
    except csv.Error:  # a field that continues after the lines that are read, or a stray quote
        if len(lines) < _LINES:
            return 0
    widths = {len(row) for row in rows}
    return widths.pop() if len(rows) > 1 and len(widths) == 1 else 0


def _is_prose(start: str, separator: str) -> bool:
    """Return whether a blank follows every separator of the first line, as in a sentence."""
    first = start.partition("\n")[0]
    return re.search(re.escape(separator) + r"\S", first) is None
