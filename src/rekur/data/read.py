"""Opening a file of sequences: its ending decides how it is read, or its first lines where it has none."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rekur._check import choice
from rekur.data.conll import Conll
from rekur.data.conllu import ConllU
from rekur.data.delimited import Delimited, check_separator
from rekur.data.fasta import Fasta
from rekur.data.files import ENDINGS, FORMATS, check_encoding, check_exists, inner_name, likely_file
from rekur.data.first_lines import told_format
from rekur.data.inputs import Input, Stream, is_stream, open_input
from rekur.data.json_lines import JsonRows
from rekur.data.log_folder import LogFolder
from rekur.data.parquet import Parquet
from rekur.data.plain import ClassFolders, Lines
from rekur.data.source import Source
from rekur.data.timeseries import TimeSeries
from rekur.errors import DataError, InputError, describe


def open_source(
    path: str | os.PathLike[str] | Input,
    *,
    format: str | None = None,
    encoding: str = "utf-8",
    separator: str | None = None,
    once: bool = False,
    otherwise: str | None = None,
    long: bool = False,
    quotes: bool = True,
    numbers: Collection[str] = (),
) -> Source:
    """Open a file, or a folder with one folder of .txt files a class, as rows with named columns.

    Rows are read when asked for, in a stream, so a file may be larger than memory. The beginning of the file
    is read at once and what is wrong there is raised here; what is wrong further on, when it is reached.

    A pipe, a FIFO, a socket or standard input is opened once, and copied to a temporary file that lasts as long as
    the source.

    Args:
        path: the file or folder, or ``"-"`` for standard input; a file may be packed (.gz, .bz2, .xz, .zst, or the
            only one in a .zip).
        format: one of :data:`FORMATS`; ``None`` decides by the ending (:data:`ENDINGS`), or by the first lines where
            the name has none.
        encoding: of the text, by Python's names; a byte order mark is taken off utf-8.
        separator: of csv and tsv, one character or ``"tab"``; ``None`` is what a first line ``sep=`` says, or the
            format's own.
        once: rows are read in one pass, so that a pipe is not copied.
        otherwise: the format of a file without an ending whose first lines are those of no other; ``None`` refuses it.
        long: a folder holds tables with one row an event, and each is a sequence.
        quotes: whether quotes may stand around a field of tsv; without them only LF ends a row of tsv.
        numbers: columns of csv and tsv named by their numbers, from 1; a first line without these names is then a row.

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
    if not isinstance(path, str | os.PathLike | Input):
        raise InputError(describe("path", type(path).__name__, "the path of a file or folder"))
    if format is not None:
        choice("format", format, FORMATS)
    encoding = check_encoding(encoding)
    separator = check_separator(separator)
    if not (isinstance(path, Input) or is_stream(path)):
        check_exists(Path(path))
        if Path(path).is_dir():
            how: dict[str, Any] = {"format": format, "encoding": encoding, "separator": separator, "once": once}
            return _open_folder(Path(path), how, long=long)
    if format == "folder":
        raise DataError("folder: got a file; expected a folder with one folder for each class.", str(path))
    file = open_input(path, once=once, movable=format == "parquet")
    format = format or _format(file, encoding, otherwise)
    _check_separator(separator, format)
    if format in ("csv", "tsv"):
        source: Source = Delimited(file, format, encoding, separator, quotes=quotes, numbers=numbers)
    else:
        source = _source(file, format, encoding)
    if isinstance(file, Stream):
        file.keep_no_more()
    return source


def _open_folder(path: Path, how: dict[str, Any], *, long: bool) -> Source:
    """Return the tables of a folder as one long table, or its classes; ``how`` are the arguments for each file."""
    if long:
        return LogFolder(path, how["format"], lambda file: open_source(file, **how))
    _check_separator(how["separator"], _check_folder(path, how["format"]))
    return ClassFolders(path, how["encoding"])


def _source(file: Input, format: str, encoding: str) -> Source:
    if format == "parquet" and encoding != "utf-8-sig":
        raise InputError(describe("encoding", encoding, "none for a parquet file", "Its texts are always utf-8."))
    if format in ("jsonl", "json"):
        return JsonRows(file, format, encoding)
    if format == "parquet":
        return Parquet(file)
    if format in ("conllu", "conll"):
        return (ConllU if format == "conllu" else Conll)(file, encoding)
    if format == "fasta":
        return Fasta(file, encoding)
    return TimeSeries(file, encoding) if format == "ts" else Lines(file, encoding)


def _format(file: Input, encoding: str, otherwise: str | None) -> str:
    """Return the format that a file's ending names, or its first lines where it has none."""
    ending = inner_name(file).suffix
    if not ending:
        return told_format(file, encoding, otherwise)
    if ending.lower() not in ENDINGS:
        fix = "Name its format, as with --format csv."
        if ending.lower() in (".xlsx", ".xls", ".ods"):
            fix = "Save the table as csv (UTF-8)."
        raise DataError(describe("file ending", ending, f"one of {', '.join(ENDINGS)}", fix), file.name)
    return ENDINGS[ending.lower()]


def _check_folder(path: Path, format: str | None) -> str:
    if format not in (None, "folder"):
        raise DataError(f"file: got a folder; expected a {format} file.{likely_file(path)}", path)
    return "folder"


def _check_separator(separator: str | None, format: str) -> None:
    if separator is not None and format not in ("csv", "tsv"):
        raise InputError(describe("separator", separator, f"none for a {format} file", "Only csv and tsv have one."))
