"""Running text: files, folders, patterns and columns as documents, read in pieces that together are the whole."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from rekur._check import choice
from rekur.data.cells import is_missing
from rekur.data.files import begins_like, check_encoding, check_exists, open_bytes, open_text
from rekur.data.read import open_source
from rekur.errors import DataError, InputError, describe, did_you_mean

_HEAD = 2**12
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

    Args:
        items: one text for each document.
        name: what to call them in messages.

    Raises:
        InputError: an item is not a text.
    """
    kept = [items] if isinstance(items, str) else list(items)
    for number, item in enumerate(kept):
        if not isinstance(item, str):
            raise InputError(describe(f"{name}[{number}]", type(item).__name__, "a text"))

    def read() -> Iterator[Piece]:
        for number, item in enumerate(kept):
            for start in range(0, len(item), PIECE):
                yield number, item[start : start + PIECE]

    return Texts(name, read)


def open_texts(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    document: str = "file",
    encoding: str = "utf-8",
    column: str | None = None,
) -> Texts:
    """Return the documents of files.

    A file may be packed (.gz, .bz2, .xz, .zst, or the only one in a .zip). Nothing is read yet but what stands where.

    Args:
        paths: files, folders (with all files below them that are not hidden, in order of their names) and patterns
            such as ``books/**/*.txt``.
        document: what a document is: a ``file``, a ``line``, or what stands between ``blank`` lines; line ends and
            blank lines belong to the document before them.
        encoding: of the text, by Python's names.
        column: for tables (.csv, .tsv, .jsonl, .parquet): the column with the texts; each row is a document, and
            ends with a line end as a line of a file does. Rows without text are left out.

    Raises:
        DataError: a file is missing, is not text, or is in another encoding; the latter two when it is read.
        InputError: an option is not known, no file was found, or one was named twice.

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
    twice = [file for file, count in Counter(file.resolve() for file in files).items() if count > 1]
    if twice:
        raise InputError(f"files: got {twice[0]} twice; expected each once. Does a pattern find it too?")
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
            fix = "Hidden files are found only where the pattern names the dot."
            raise InputError(describe("pattern", str(path), "one that fits at least one file", fix))
        return files
    check_exists(place)
    return [place]


def _read(files: list[Path], document: str, encoding: str) -> Iterator[Piece]:
    number = -1
    for file in files:
        blocks = _blocks(file, encoding)
        if document == "file":
            number += 1
            yield from ((number, block) for block in blocks)
            continue
        kept: list[str] = []
        size = 0
        for begins, line in _lines(blocks, document):
            if kept and (begins or size > PIECE):
                yield number, "".join(kept)
                kept, size = [], 0
            number += begins
            kept.append(line)
            size += len(line)
        if kept:
            yield number, "".join(kept)


def _blocks(file: Path, encoding: str) -> Iterator[str]:
    """Yield a file's text in pieces that end with a line where one ends in time."""
    rest = ""
    with open_text(file, encoding) as text:
        head: bytes = text.buffer.peek(_HEAD)[:_HEAD]  # type: ignore[attr-defined]
        if b"\0" in head and "16" not in encoding and "32" not in encoding:
            raise _binary(file, head.index(b"\0"), begins_like(head))
        while block := text.read(PIECE):
            if "\0" in block:
                raise _binary(file, _zero_byte(file))
            block = rest + block
            cut = block.rfind("\n") + 1 or len(block)
            rest = block[cut:]
            yield block[:cut]
    if rest:
        yield rest


def _lines(blocks: Iterator[str], document: str) -> Iterator[tuple[bool, str]]:
    """Yield whether a document begins, and the next line with its end; a very long line comes in parts."""
    begins, in_line, full, blank, held = True, False, False, False, ""
    for block in blocks:
        # not splitlines: it cuts at characters that end no line of a file
        *whole, rest = (held + block).split("\n")
        held = ""
        for line in chain((line + "\n" for line in whole), [rest] if rest else []):
            if document == "blank" and not in_line:
                empty = not line.strip()
                if empty and line[-1] != "\n":
                    held = line  # what comes next tells whether the line is blank
                    break
                begins = begins or (full and blank and not empty)
                full, blank = (full and not begins) or not empty, empty
            yield begins, line
            in_line = line[-1] != "\n"
            begins = document == "line" and not in_line
    if held:
        yield begins, held


def _binary(file: Path, offset: int, fix: str = "") -> DataError:
    fix = fix or "Name text files only, as with a pattern such as '*.txt'."
    return DataError(f"text: got a zero byte at byte {offset:,}; expected text. {fix}", file)


def _zero_byte(file: Path) -> int:
    """Return where in the file, unpacked, the first zero byte is."""
    passed = 0
    with open_bytes(file) as raw:
        while block := raw.read(PIECE):
            if b"\0" in block:
                return passed + block.index(b"\0")
            passed += len(block)
    return passed


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
                value = row.get(column)
                if isinstance(value, list | dict | bool):
                    raise source.error(describe(f"column '{column}'", value, "a text"), row.line)
                if not is_missing(value):
                    yield number, f"{value}\n"
                    number += 1

    return read
