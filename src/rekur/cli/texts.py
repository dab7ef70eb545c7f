"""Text from files and from standard input, whole or by lines, for commands that take a little of it."""

from __future__ import annotations

import os
import queue
import shlex
import threading
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from rekur.data import files
from rekur.data.inputs import Input, Location, Stream, is_stream, name_of, open_input
from rekur.data.texts import TABLES, listed_files, open_texts
from rekur.errors import DataError, DataWarning, InputError, describe

ENCODING = "utf-8-sig"


def read_whole(file: Path) -> str:
    """Return the text of a file, or of standard input for ``-``; raise for a table or a binary file."""
    if _is_many(file):
        return "".join(piece for _, piece in open_texts([file]).pieces())
    with files.open_text(_opened(file), ENCODING) as text:
        whole = text.read()
    if not whole:
        raise _no_text(file)
    if "\0" in whole:
        raise DataError(files.nul_text(whole[:64].encode("utf-8", "surrogatepass")), name_of(file))
    return whole


def read_files(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the whole text of a file, or of each file of a folder or a pattern."""
    for each in listed_files(file) if _is_many(file) else [file]:
        yield str(each), read_whole(Path(str(each)))


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of every line that is not blank; ``-`` is standard input."""
    lines: Iterable[str] = _lines_of_many(file) if _is_many(file) else files.read_lines(_opened(file), ENCODING)
    number = 0
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line.rstrip("\r\n")
    if not number:
        raise _no_text(file)


def arriving_lines(name: str = "-") -> Iterator[str]:
    """Yield the lines of a stream in UTF-8 as they arrive, without their ends; only LF, or CR LF, ends a line.

    A line that is no text raises once those before it are out.
    """
    source = open_input(name, once=True)
    packed = source.packing
    if isinstance(source, Stream):
        source.keep_no_more()
    with files.open_bytes(source) as raw:
        for number, line in enumerate(raw, 1):
            whole = line.removesuffix(b"\n")
            try:
                text = (whole[:-1] if whole != line and whole.endswith(b"\r") else whole).decode()
            except UnicodeDecodeError:
                wrong = describe(
                    "text", repr(whole[:60])[2:-1], "text in utf-8", "To convert it: iconv -t utf-8 -f latin1"
                )
                raise DataError(wrong, source.name, number) from None
            if "\0" in text:
                raise DataError(files.nul_text(b"" if packed else line[:64]), source.name, number)
            yield text.removeprefix("\ufeff") if number == 1 else text


def _no_text(file: Path) -> InputError:
    return InputError(f"{name_of(file)}: got no text; expected some. Check that the right file was named.")


def _is_many(file: Path) -> bool:
    """Return whether a path names a folder, or no file, as a pattern does."""
    return not (is_stream(file) or file.is_file())


def _lines_of_many(file: Path) -> Iterator[str]:
    for each in listed_files(file):
        yield from files.read_lines(_opened(each), ENCODING)


def warn_of_files(option: str, texts: Sequence[str], fix: str) -> None:
    """Warn where a text that was given is the name of a file that is there.

    Args:
        option: by which the texts were given.
        texts: the texts.
        fix: how to name the file, with ``{}`` for its name.
    """
    for text in texts:
        if "\n" not in text and len(text) < 1000 and os.path.isfile(text):
            said = f"{option}: got '{text}', the name of a file; it is read as a text. {fix.format(shlex.quote(text))}"
            warnings.warn(said, DataWarning, stacklevel=2)


def _opened(file: Location | Input) -> Input:
    """Return a file of text to be read in one pass."""
    source = open_input(file, once=True)
    ending = files.inner_name(source).suffix
    if ending.lower() in TABLES:
        fix = "Put the column with the text into a .txt file."
        raise DataError(f"text: got a table ({ending}); expected running text. {fix}", source.name)
    return source


def measure(file: Input, encoding: str | None = None) -> dict[str, int]:
    """Return how much text a file holds, in one pass."""
    letters: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for _, piece in open_texts([file], encoding=encoding or "utf-8").pieces():
        letters.update(piece)
        words.update(piece.split())
    return {
        "characters": letters.total(),
        "different_characters": len(letters),
        "bytes": sum(count * len(letter.encode("utf-8", "surrogatepass")) for letter, count in letters.items()),
        "lines": letters["\n"],
        "words_between_spaces": words.total(),
        "different_words": len(words),
    }


Item = TypeVar("Item")


def chunks(items: Iterator[Item], size: int, *, arriving: bool) -> Iterator[list[Item]]:
    """Yield the items in lists of ``size``; of items that still arrive, lists of those that are there.

    Args:
        items: what to read.
        size: the most items of a list.
        arriving: reading may have to wait; it is done on a thread of its own, a little ahead.
    """
    if arriving:
        yield from _arrived(items, size)
        return
    while chunk := list(islice(items, size)):
        yield chunk


def _arrived(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    ready: queue.Queue[Any] = queue.Queue(maxsize=size)
    end = object()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for item in items:
                ready.put(item)
        except BaseException as error:  # it is raised where the items are used
            failures.append(error)
        ready.put(end)

    threading.Thread(target=read, daemon=True).start()
    more = True
    while more:
        chunk = [ready.get()]
        while chunk[-1] is not end and len(chunk) < size and not ready.empty():
            chunk.append(ready.get())
        if chunk[-1] is end:
            chunk.pop()
            more = False
        if chunk:
            yield chunk
    if failures:
        raise failures[0]
