"""Opening a file of sequences: the ending decides how it is read."""

from __future__ import annotations

import os
from pathlib import Path

from rekur._check import choice
from rekur.data.delimited import Delimited, check_separator
from rekur.data.fasta import Fasta
from rekur.data.files import ENDINGS, FORMATS, check_encoding, check_exists, inner_name, likely_file
from rekur.data.json_lines import JsonRows
from rekur.data.parquet import Parquet
from rekur.data.plain import ClassFolders, Lines
from rekur.data.source import Source
from rekur.data.timeseries import TimeSeries
from rekur.errors import DataError, InputError, describe


def open_source(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    encoding: str = "utf-8",
    separator: str | None = None,
) -> Source:
    """Open a file, or a folder with one folder of .txt files a class, as rows with named columns.

    Rows are read when asked for, in a stream, so a file may be larger than memory. The beginning of the file
    is read at once and what is wrong there is raised here; what is wrong further on, when it is reached.

    Args:
        path: the file or folder; a file may be packed (.gz, .bz2, .xz, .zst, or the only one in a .zip).
        format: one of :data:`FORMATS`; ``None`` decides by the ending (:data:`ENDINGS`).
        encoding: of the text, by Python's names; a byte order mark is taken off utf-8.
        separator: of csv and tsv, one character or ``"tab"``; ``None`` is the format's own.

    Returns:
        a :class:`~rekur.data.source.Source` with ``name``, ``format``, ``columns`` and ``rows()``.

    Raises:
        InputError: for an unknown format, encoding or separator.
        DataError: for a file that is missing, empty, garbled, in another encoding, or of an unknown ending.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "reviews.tsv")
        >>> _ = file.write_text("label\\ttext\\n1\\tgood\\n")
        >>> source = open_source(file)
        >>> source.format, source.columns, list(source.rows())
        ('tsv', ['label', 'text'], [{'label': '1', 'text': 'good'}])
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(describe("path", type(path).__name__, "the path of a file or folder"))
    place = Path(path)
    if format is not None:
        choice("format", format, FORMATS)
    encoding = check_encoding(encoding)
    separator = check_separator(separator)
    check_exists(place)
    format = _check_kind(place, format or _guess(place))
    if separator is not None and format not in ("csv", "tsv"):
        raise InputError(describe("separator", separator, f"none for a {format} file", "Only csv and tsv have one."))
    if format in ("csv", "tsv"):
        return Delimited(place, format, encoding, separator)
    if format in ("jsonl", "json"):
        return JsonRows(place, format, encoding)
    if format == "parquet":
        return Parquet(place)
    if format == "folder":
        return ClassFolders(place, encoding)
    if format == "fasta":
        return Fasta(place, encoding)
    return TimeSeries(place, encoding) if format == "ts" else Lines(place, encoding)


def _guess(path: Path) -> str:
    if path.is_dir():
        return "folder"
    name = Path(inner_name(path))
    format = ENDINGS.get(name.suffix.lower())
    if format is None:
        got = name.suffix or "no ending"
        fix = "Name its format, as with --format csv."
        if got.lower() in (".xlsx", ".xls", ".ods"):
            fix = "Save the table as csv (UTF-8)."
        raise DataError(describe("file ending", got, f"one of {', '.join(ENDINGS)}", fix), path)
    return format


def _check_kind(path: Path, format: str) -> str:
    if path.is_dir() and format != "folder":
        raise DataError(f"file: got a folder; expected a {format} file.{likely_file(path)}", path)
    if path.is_file() and format == "folder":
        raise DataError("folder: got a file; expected a folder with one folder for each class.", path)
    return format
