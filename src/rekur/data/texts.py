"""Running text: files, folders, patterns and columns as documents, read in pieces that together are the whole."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rekur._check import choice
from rekur.data.files import check_encoding, check_exists, open_text
from rekur.data.read import open_source
from rekur.errors import DataError, InputError, describe, did_you_mean

DOCUMENTS = ("file", "line", "blank")
#: characters of a piece, about; the memory that reading takes
PIECE = 2**18

Piece = tuple[int, str]


class Texts:
    """Documents that can be read again and again, in pieces.

    Args:
        name: what to call them in messages.
        read: returns a new iterator over (number of the document, piece of its text) each time it is called.

    Example:
        >>> list(texts_in_memory(["one", "two"]).pieces())
        [(0, 'one'), (1, 'two')]
    """

    def __init__(self, name: str, read: Callable[[], Iterator[Piece]]) -> None:
        self.name, self._read = name, read

    def pieces(self) -> Iterator[Piece]:
        """Yield the number of the document and the next piece of its text; numbers rise from 0."""
        empty = True
        for number, piece in self._read():
            if piece:
                empty = False
                yield number, piece
        if empty:
            raise InputError(f"{self.name}: got no text; expected some. Check that the right file was named.")

    def __repr__(self) -> str:
        return f"Texts({self.name!r})"


def texts_in_memory(items: Iterable[str], name: str = "texts") -> Texts:
    """Return documents that are in memory already.

    Raises:
        InputError: an item is not a text.
    """
    kept = list(items)
    for number, item in enumerate(kept):
        if not isinstance(item, str):
            raise InputError(describe(f"{name}[{number}]", type(item).__name__, "a text"))
    return Texts(name, lambda: iter(list(enumerate(kept))))


def open_texts(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    document: str = "file",
    encoding: str = "utf-8",
    column: str | None = None,
) -> Texts:
    """Return the documents of files.

    A file may be packed (.gz, .bz2, .xz, or the only one in a .zip). Nothing is read yet but what stands where.

    Args:
        paths: files, folders (with all files below them that are not hidden, in order of their names) and patterns
            such as ``books/**/*.txt``.
        document: what a document is: a ``file``, a ``line``, or what stands between ``blank`` lines; line ends and
            blank lines belong to the document before them.
        encoding: of the text, by Python's names.
        column: for tables (.csv, .tsv, .jsonl, .parquet): the column with the texts; each row is a document.

    Raises:
        DataError: a file is missing, is not text, or is in another encoding; the latter two when it is read.
        InputError: an option is not known, or no file was found.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "tunes.abc")
        >>> _ = file.write_text("X:1\\nabc\\n\\nX:2\\ndef\\n")
        >>> list(open_texts(file, document="blank").pieces())
        [(0, 'X:1\\nabc\\n\\n'), (1, 'X:2\\ndef\\n')]
    """
    choice("document", document, DOCUMENTS)
    encoding = check_encoding(encoding)
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files = [file for path in given for file in _found(path)]
    if not files:
        raise InputError(describe("files", "none", "at least one"))
    name = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    if column is not None:
        if document != "file":
            raise InputError(describe("document", document, "'file' with a column, of which each row is a document"))
        return Texts(name, _rows_of(files, column, encoding))
    return Texts(name, lambda: _read(files, document, encoding))


def _found(path: str | os.PathLike[str]) -> list[Path]:
    """Return the files that a path names: itself, those below a folder, or those that fit a pattern."""
    place = Path(path)
    if place.is_dir():
        below = sorted(entry for entry in place.rglob("*") if entry.is_file())
        files = [f for f in below if not any(part.startswith(".") for part in f.relative_to(place).parts)]
        if not files:
            raise DataError("folder: got no files in it; expected at least one.", place)
        return files
    if not place.exists() and glob.has_magic(str(path)):
        files = sorted(Path(found) for found in glob.glob(str(path), recursive=True) if Path(found).is_file())
        if not files:
            raise InputError(describe("pattern", str(path), "one that fits at least one file"))
        return files
    check_exists(place)
    return [place]


def _read(files: list[Path], document: str, encoding: str) -> Iterator[Piece]:
    number = 0
    for file in files:
        if document == "file":
            for piece in _blocks(file, encoding):
                yield number, piece
            number += 1
            continue
        for lines in _documents(_lines(file, encoding), document):
            yield number, lines
            number += 1


def _blocks(file: Path, encoding: str) -> Iterator[str]:
    """Yield a file's text in pieces that end with a line where one ends in time."""
    rest, offset = "", 0
    with open_text(file, encoding) as text:
        while block := text.read(PIECE):
            _refuse_binary(file, block, offset)
            offset += len(block)
            block = rest + block
            cut = block.rfind("\n") + 1 or len(block)
            rest = block[cut:]
            yield block[:cut]
    if rest:
        yield rest


def _lines(file: Path, encoding: str) -> Iterator[str]:
    # not splitlines: it cuts at characters that end no line of a file
    for block in _blocks(file, encoding):
        *whole, rest = block.split("\n")
        yield from (line + "\n" for line in whole)
        if rest:
            yield rest


def _documents(lines: Iterator[str], document: str) -> Iterator[str]:
    """Yield each document whole: they are short."""
    if document == "line":
        yield from lines
        return
    kept: list[str] = []
    blank = False
    for line in lines:
        empty = not line.strip()
        if blank and not empty and any(kept):
            yield "".join(kept)
            kept = []
        kept.append(line)
        blank = empty
    if kept:
        yield "".join(kept)


def _refuse_binary(file: Path, block: str, offset: int) -> None:
    place = block.find("\0")
    if place >= 0:
        fix = "Name text files only, as with a pattern such as '*.txt'; is it packed, or in another encoding?"
        got = f"a NUL character at character {offset + place}"
        raise DataError(f"text: got {got}; expected text. {fix}", file)


def _rows_of(files: list[Path], column: str, encoding: str) -> Callable[[], Iterator[Piece]]:
    sources = [open_source(file, encoding=encoding) for file in files]
    for source in sources:
        if column not in source.columns:
            expected = "one of " + ", ".join(f"'{name}'" for name in source.columns)
            raise source.error(describe("column", column, expected, did_you_mean(column, source.columns)))

    def read() -> Iterator[Piece]:
        number = 0
        for source in sources:
            for row in source.rows():
                yield number, str(row[column] or "")
                number += 1

    return read
