"""fastText's model files: the words, the matrix of words and n-grams, and the hash that finds an n-gram's row.

Axes: V words, E features of a vector, G n-gram buckets.
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from rekur.errors import DataError, describe

FASTTEXT_MAGIC = struct.pack("<i", 793712314)
_END_OF_SENTENCE = "</s>"


class NGrams(NamedTuple):
    """The n-grams of a fastText model.

    Args:
        buckets: their vectors, float32 (G, E).
        shortest: characters of the shortest n-gram, at least 1.
        longest: characters of the longest n-gram.
    """

    buckets: np.ndarray
    shortest: int
    longest: int

    def rows(self, word: str) -> list[int]:
        """Return the rows of ``buckets`` of a word's n-grams, the word standing between "<" and ">"."""
        if word == _END_OF_SENTENCE:
            return []
        text = f"<{word}>"
        rows = []
        for start in range(len(text)):
            for length in range(self.shortest, min(self.longest, len(text) - start) + 1):
                alone = length == 1 and (start == 0 or start == len(text) - 1)
                if not alone:
                    gram = text[start : start + length].encode("utf-8", "surrogateescape")
                    rows.append(fnv1a(gram) % len(self.buckets))
        return rows

    def vector(self, word: str) -> np.ndarray | None:
        """Return the mean vector (E,) of a word's n-grams; None for a word without any."""
        rows = self.rows(word)
        return self.buckets[rows].mean(axis=0, dtype=np.float32) if rows else None


def fnv1a(data: bytes) -> int:
    """Return fastText's hash: FNV-1a of 32 bits, but with bytes read as signed numbers.

    Example:
        >>> fnv1a(b"a") == 0xE40C292C
        True
    """
    value = 2166136261
    for byte in data:
        signed = byte if byte < 128 else byte | 0xFFFFFF00
        value = ((value ^ signed) * 16777619) & 0xFFFFFFFF
    return value


def read_model(
    file: IO[bytes],
    path: Path,
    wanted: frozenset[str] | None,
    limit: int | None,
) -> tuple[list[str], np.ndarray, NGrams | None]:
    """Read a fastText model: words, their vectors (V, E) with the n-grams added, and the n-grams.

    Raises:
        DataError: the file is cut off, of an unknown version, or quantised.
    """
    magic, version = _numbers(file, path, "<2i")
    if struct.pack("<i", magic) != FASTTEXT_MAGIC or version not in (11, 12):
        raise DataError(describe("version of fastText's format", version, "11 or 12"), path)
    (size, _, _, _, _, _, _, model, bucket, shortest, longest, _) = _numbers(file, path, "<12i")
    _numbers(file, path, "<d")
    if version == 11 and model == 3:
        longest = 0  # classifiers of that version had no n-grams of characters
    total, count, _, _, pruned = _numbers(file, path, "<3i2q")
    words = [_word(file, path) for _ in range(total)]
    (quantised,) = _numbers(file, path, f"<{8 * max(pruned, 0)}x?")
    if quantised or pruned > 0:
        fix = "Use the model before it was quantised."
        raise DataError(describe("fastText model", "quantised", "one that is not", fix), path)
    rows, columns = _numbers(file, path, "<2q")
    if columns != size or rows < count + (bucket if longest else 0):
        raise DataError(describe("shape of the matrix", (rows, columns), f"({count + bucket}, {size})"), path)
    matrix = _matrix(file, path, rows, size)
    ngrams = NGrams(matrix[count:rows], max(shortest, 1), longest) if longest and bucket else None
    entries = list(enumerate(words[:count]))[:limit]
    kept = {word: row for row, word in reversed(entries) if wanted is None or word in wanted}
    kept = dict(reversed(kept.items()))
    vectors = np.empty((len(kept), size), np.float32)
    for index, (word, row) in enumerate(kept.items()):
        grams = [] if ngrams is None else ngrams.rows(word)
        vectors[index] = matrix[[row, *(count + gram for gram in grams)]].mean(axis=0, dtype=np.float32)
    return list(kept), vectors, ngrams


def _matrix(file: IO[bytes], path: Path, rows: int, size: int) -> np.ndarray:
    """Return the float32 matrix that stands here: mapped from the file, or read where it is gzipped."""
    start, length = file.tell(), 4 * rows * size
    if isinstance(getattr(file, "raw", None), io.FileIO):
        if os.fstat(file.fileno()).st_size < start + length:
            raise _cut_off(path)
        return np.memmap(path, "<f4", "r", start, (rows, size))
    data = file.read(length)
    if len(data) < length:
        raise _cut_off(path)
    return np.frombuffer(data, "<f4").reshape(rows, size)


def _word(file: IO[bytes], path: Path) -> str:
    """Read one entry of the dictionary: the word, a zero byte, its count and its type."""
    word = bytearray()
    while (byte := file.read(1)) != b"\0":
        if not byte or len(word) > 100_000:
            raise _cut_off(path)
        word += byte
    _numbers(file, path, "<qb")
    return word.decode("utf-8", "surrogateescape")


def _numbers(file: IO[bytes], path: Path, layout: str) -> tuple[Any, ...]:
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise _cut_off(path)
    return struct.unpack(layout, data)


def _cut_off(path: Path) -> DataError:
    return DataError("fastText model: got the end of the file; expected more. Download it again.", path)
