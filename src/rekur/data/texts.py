"""Running text: files, folders, patterns and columns as documents, read in pieces that together are the whole."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from rekur._check import choice
from rekur._values import is_missing
from rekur.data.files import ENDINGS, begins_like, check_encoding, check_exists, inner_name, open_bytes, open_text
from rekur.data.first_lines import is_table
from rekur.data.inputs import PACKED, Input, Location, Stream, is_stream, open_input, refuse_twice
from rekur.data.read import open_source
from rekur.data.source import shown_names
from rekur.errors import DataError, InputError, RekurError, describe, did_you_mean

_HEAD = 2**12
DOCUMENTS = ("file", "line", "blank")
#: endings of files that are always tables; a .json file is one where it holds objects
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
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
    texts = [items] if isinstance(items, str) else list(items)
    for number, item in enumerate(texts):
        if not isinstance(item, str):
            raise InputError(describe(f"{name}[{number}]", type(item).__name__, "a text"))
    if texts and all(map(names_file, texts)):
        fix = "Read it: rekur.data.open_texts gives what fit_corpus and evaluate_corpus take."
        raise InputError(describe(name, texts[0], "a text, not the name of a file", fix))

    def read() -> Iterator[Piece]:
        for number, item in enumerate(texts):
            for start in range(0, len(item), PIECE):
                yield number, item[start : start + PIECE]

    return Texts(name, read)


def names_file(text: str) -> bool:
    """Return whether a text names a file: one that exists, or one word with the ending of a data file.

    Example:
        >>> names_file("book.txt"), names_file("It was a book.txt"), names_file("hello")
        (True, False, False)
    """
    if not text or len(text) > 4096 or text != text.strip() or "\n" in text:
        return False
    try:
        if Path(text).is_file() or (Path(text).is_dir() and os.sep in text):
            return True
    except (OSError, ValueError):  # not a valid path
        return False
    ending = Path(text).suffix.lower()
    return len(text.split()) == 1 and (ending in ENDINGS or ending in PACKED)


def open_texts(
    paths: Sequence[Location | Input] | Location | Input,
    *,
    document: str = "file",
    encoding: str = "utf-8",
    column: str | None = None,
    once: bool = False,
) -> Texts:
    """Return the documents of files.

    A file may be packed (.gz, .bz2, .xz, .zst, or the only one in a .zip). Of files little is read yet; a pipe, a FIFO,
    a socket or standard input is opened once, and copied to a temporary file that lasts as long as the texts.

    Args:
        paths: files, folders (with all files below them that are not hidden, in order of their names), patterns
            such as ``books/**/*.txt``, and ``-`` for standard input.
        document: what a document is: a ``file``, a ``line``, or what stands between ``blank`` lines; line ends and
            blank lines belong to the document before them.
        encoding: of the text, by Python's names.
        column: for tables (.csv, .tsv, .jsonl, .json, .parquet): the column with the texts; each row is a document,
            and ends with a line end as a line of a file does. Rows without text are left out.
        once: they are read in one pass, so that a pipe is not copied.

    Raises:
        DataError: a file is missing, is a table without ``column``, is not text, or is in another encoding; the latter
            two when it is read.
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
    named = [paths] if isinstance(paths, str | os.PathLike | Input) else list(paths)
    listed = [file for path in named for file in listed_files(path)]
    if not listed:
        raise InputError(describe("files", "none", "at least one"))
    refuse_twice(listed)
    files = [open_input(file, once=once) for file in listed]
    resolved = Counter(file.path.resolve() for file in files if file.path is not None)
    if twice := [path for path, count in resolved.items() if count > 1]:
        raise InputError(f"files: got {twice[0]} twice; expected each once. Does a pattern find it too?")
    name = files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
    if column is not None:
        if document != "file":
            raise InputError(describe("document", document, "'file' with a column, whose rows are the documents"))
        return Texts(name, _rows_of(files, column, encoding))
    for file in files:
        if holds_table(file, encoding):
            raise _table_as_text(file, encoding)
    return Texts(name, lambda: _read(files, document, encoding))


def holds_table(file: Input, encoding: str = "utf-8") -> bool:
    """Return whether a file is a table, one of whose columns may hold text: by its ending, or by its first lines."""
    ending = inner_name(file).suffix.lower()
    return ending in TABLES or (ending in ("", ".json") and is_table(file, encoding))


def _table_as_text(file: Input, encoding: str) -> DataError:
    """Return the error that says which columns a table has that was to be read as running text."""
    try:
        columns = shown_names(open_source(file, encoding=encoding).columns)
    except RekurError:
        columns = ""
    got = f"a table with the columns {columns}" if columns else "a table"
    fix = "Name the column with the text (--text). To read all as it stands, put it into a file that ends in .txt."
    return DataError(f"text: got {got}; expected running text. {fix}", file.name)


def listed_files(path: Location | Input) -> list[Location | Input]:
    """Return the files that a path names: itself, those below a folder, or those that fit a pattern."""
    if isinstance(path, Input) or is_stream(path):
        return [path]
    root = Path(path)
    if root.is_dir():
        below = sorted(entry for entry in root.rglob("*") if entry.is_file())
        files = [f for f in below if not any(part.startswith(".") for part in f.relative_to(root).parts)]
        if not files:
            raise DataError("folder: got no files in it; expected at least one.", root)
        return [*files]
    if not root.exists() and glob.has_magic(str(path)):
        files = sorted(file for file in map(Path, glob.glob(str(path), recursive=True)) if file.is_file())
        if not files:
            fix = "Hidden files are found only where the pattern names the dot."
            raise InputError(describe("pattern", str(path), "one that fits at least one file", fix))
        return [*files]
    check_exists(root)
    return [root]


def _read(files: list[Input], document: str, encoding: str) -> Iterator[Piece]:
    number = -1
    for file in files:
        blocks = _blocks(file, encoding)
        if document == "file":
            number += 1
            yield from ((number, block) for block in blocks)
            continue
        lines: list[str] = []
        size = 0
        for begins, line in _lines(blocks, document):
            if lines and (begins or size > PIECE):
                yield number, "".join(lines)
                lines, size = [], 0
            number += begins
            lines.append(line)
            size += len(line)
        if lines:
            yield number, "".join(lines)


def _blocks(file: Input, encoding: str) -> Iterator[str]:
    """Yield a file's text in pieces that end with a line where one ends in time."""
    with open_bytes(file) as raw:
        head = raw.read(_HEAD)
    if b"\0" in head and "16" not in encoding and "32" not in encoding:
        raise _binary(file, head.index(b"\0"), begins_like(head))
    if isinstance(file, Stream):
        file.keep_no_more()
    rest = ""
    with open_text(file, encoding) as text:
        while block := text.read(PIECE):
            if "\0" in block:
                raise _binary(file, text.buffer.zero)  # type: ignore[attr-defined]
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


def _binary(file: Input, offset: int, fix: str = "") -> DataError:
    fix = fix or "Name text files only, as with a pattern such as '*.txt'."
    return DataError(f"text: got a zero byte at byte {offset:,}; expected text. {fix}", file.name)


def _rows_of(files: list[Input], column: str, encoding: str) -> Callable[[], Iterator[Piece]]:
    sources = [open_source(file, encoding=encoding) for file in files]
    for source in sources:
        if column not in source.columns:
            expected = f"one of {shown_names(source.columns)}"
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
