"""Text from files and from standard input, whole or by lines, for commands that take a little of it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rekur.errors import DataError, InputError, describe


def read_whole(file: Path) -> str:
    """Return the text of a file; one that is none is an error."""
    from rekur.data import open_texts

    return "".join(piece for _, piece in open_texts([file]).pieces())


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of every line that is not blank; ``-`` is standard input."""
    if str(file) == "-":
        for number, line in enumerate(sys.stdin.buffer, start=1):
            yield from _line(number, _decoded(line, number))
        return
    rest, number = "", 0
    from rekur.data import open_texts

    for _, piece in open_texts([file]).pieces():
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            number += 1
            yield from _line(number, line)
    yield from _line(number + 1, rest)


def read_whole_input() -> str:
    """Return the text of standard input."""
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            describe("standard input", f"the byte 0x{data[error.start]:02x} at {error.start}", "text in utf-8")
        ) from None


def measure(file: Path, encoding: str | None = None) -> dict[str, int]:
    """Return how much text a file holds, in one pass."""
    from rekur.data import open_texts

    letters: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for _, piece in open_texts([file], **({} if encoding is None else {"encoding": encoding})).pieces():
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


def _line(number: int, text: str) -> Iterator[tuple[int, str]]:
    text = text.rstrip("\r\n")
    if text.strip():
        yield number, text


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise DataError(describe("text", repr(line)[2:-1], "text in utf-8"), "standard input", number) from None
