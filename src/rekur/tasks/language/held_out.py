"""Texts split for validation before anything is learnt from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.data.streams import Pieces
from rekur.errors import InputError

#: fewest documents of which whole ones are held out; with fewer, the end of the text is
MANY_DOCUMENTS = 20


class Part:
    """A part of texts: some of the documents, or a stretch of characters.

    Args:
        texts: the whole.
        name: what to call the part in messages.
        documents: True for the documents that belong to it, (documents,); None for all.
        start: first character that belongs to it, counted over all documents.
        end: the character after the last; None for the end.
    """

    def __init__(
        self,
        texts: Pieces,
        name: str,
        *,
        documents: NDArray[np.bool_] | None = None,
        start: int = 0,
        end: int | None = None,
    ) -> None:
        self._texts, self.name = texts, name
        self._documents, self._start, self._end = documents, start, end

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Yield the number of the document and the next piece of its text, as far as they belong to the part."""
        numbers = None if self._documents is None else np.cumsum(self._documents) - 1
        seen = 0
        for document, piece in self._texts.pieces():
            if self._documents is not None and numbers is not None:
                if self._documents[document]:
                    yield int(numbers[document]), piece
                continue
            first, seen = seen, seen + len(piece)
            end = seen if self._end is None else min(seen, self._end)
            if max(first, self._start) < end:
                yield document, piece[max(0, self._start - first) : end - first]


def is_shorter(texts: Pieces, characters: int) -> bool:
    """Return whether texts have fewer characters than this, all documents together."""
    total = 0
    for _, piece in texts.pieces():
        total += len(piece)
        if total >= characters:
            return False
    return True


def hold_out(texts: Pieces, fraction: float, seed: int) -> tuple[Part, Part]:
    """Return texts to train on and texts to validate on.

    Of twenty documents or more, whole ones are held out, drawn at random; of fewer, the end of the text, from the
    beginning of a line on, if one is near. Documents that are equal stay on one side.

    Args:
        texts: all of them; read twice.
        fraction: share of the characters to validate on, in (0, 1).
        seed: of the draw.

    Raises:
        InputError: nothing is left for one of the two.
    """
    sizes: list[int] = []
    marks: list[Any] = []
    for document, piece in texts.pieces():
        while document >= len(sizes):
            sizes.append(0)
            marks.append(hashlib.blake2b(digest_size=16))
        sizes[document] += len(piece)
        marks[document].update(piece.encode("utf-8", "surrogatepass"))
    total = sum(sizes)
    name = f"the validation part of {texts.name}"
    if len(sizes) >= MANY_DOCUMENTS:
        held = _draw(np.array(sizes), [mark.digest() for mark in marks], fraction * total, seed)
        train, valid = Part(texts, texts.name, documents=~held), Part(texts, name, documents=held)
        empty = held.all() or not held.any()
    else:
        cut = _line_start(texts, round((1 - fraction) * total), total)
        train, valid = Part(texts, texts.name, end=cut), Part(texts, name, start=cut)
        empty = cut in (0, total)
    if empty:
        raise InputError(
            f"{texts.name}: got {total} characters; expected enough to hold some out for validation. "
            "Add text, or give texts to validate on."
        )
    return train, valid


def _draw(sizes: NDArray[np.int64], marks: list[bytes], characters: float, seed: int) -> NDArray[np.bool_]:
    """Return which documents are held out, so that about ``characters`` characters are."""
    order = np.random.default_rng(seed).permutation(len(sizes))
    held = np.zeros(len(sizes), dtype=bool)
    equal: dict[bytes, list[int]] = {}
    for document, mark in enumerate(marks):
        equal.setdefault(mark, []).append(document)
    taken = 0
    for document in order:
        if taken >= characters:
            break
        if not held[document]:
            held[equal[marks[document]]] = True
            taken += int(sizes[equal[marks[document]]].sum())
    return held


def _line_start(texts: Pieces, start: int, total: int) -> int:
    """Return where the first line after ``start`` characters begins, or ``start`` itself if none begins soon."""
    seen = 0
    for _, piece in texts.pieces():
        if seen + len(piece) > start:
            offset = piece.find("\n", max(0, start - seen)) + 1
            line = seen + offset if offset else start
            return line if line < total and line - start <= max(1000, total // 100) else start
        seen += len(piece)
    return start
