"""Files as documents: which are found, how they are cut, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from rekur.data import open_texts, texts_in_memory
from rekur.errors import DataError, InputError

TUNES = "\n \nX:1\nabc\n\n \nX:2\ndef\n\n\n"


def read(*args: object, **options: object) -> list[tuple[int, str]]:
    return list(open_texts(*args, **options).pieces())  # type: ignore[arg-type]


@pytest.fixture
def books(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "deep/er/c.txt", ".hidden.txt", ".git/d.txt", "e.md"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{name}\n", encoding="utf-8")
    return tmp_path


def test_folders_and_patterns_name_files_in_order(books: Path) -> None:
    names = ["a.txt", "b.txt", "deep/er/c.txt", "e.md"]
    assert read(books) == [(number, f"{name}\n") for number, name in enumerate(names)]
    assert [text for _, text in read([f"{books}/**/*.txt"])] == ["a.txt\n", "b.txt\n", "deep/er/c.txt\n"]
    assert [text for _, text in read([books / "e.md", str(books / "*.txt")])] == ["e.md\n", "a.txt\n", "b.txt\n"]
    assert open_texts([books / "a.txt", books / "b.txt"]).name == f"{books / 'a.txt'} and 1 more"


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    file = tmp_path / "a[1].txt"
    file.write_text("one", encoding="utf-8")
    assert read(file) == [(0, "one")]


def test_documents() -> None:
    texts = texts_in_memory(["ab", "", "c"])
    assert list(texts.pieces()) == list(texts.pieces()) == [(0, "ab"), (2, "c")]
    assert list(texts_in_memory("one text").pieces()) == [(0, "one text")]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("file", [TUNES]),
        ("line", ["\n", " \n", "X:1\n", "abc\n", "\n", " \n", "X:2\n", "def\n", "\n", "\n"]),
        ("blank", ["\n \nX:1\nabc\n\n \n", "X:2\ndef\n\n\n"]),
    ],
)
def test_what_a_document_is(tmp_path: Path, document: str, expected: list[str]) -> None:
    file = tmp_path / "tunes.abc"
    file.write_text(TUNES, encoding="utf-8", newline="")
    assert read(file, document=document) == list(enumerate(expected))


def test_packed_files_and_byte_order_marks(tmp_path: Path) -> None:
    data = "\ufeffnaïve\r\ntext\n".encode()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.txt", data)
    contents = {
        "a.txt": data,
        "b.txt.gz": gzip.compress(data),
        "c.txt.bz2": bz2.compress(data),
        "d.txt.xz": lzma.compress(data),
        "e.zip": zipped.getvalue(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert read(tmp_path) == [(number, "naïve\r\ntext\n") for number in range(5)]
    (tmp_path / "utf16.txt").write_text("ab\n", encoding="utf-16")
    assert read(tmp_path / "utf16.txt", encoding="utf-16") == [(0, "ab\n")]


def test_files_packed_with_zstandard(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    packer = zstandard.ZstdCompressor()
    lines = [f"line {number}\n" for number in range(100_000)]
    frames = [packer.compress("".join(part).encode()) for part in (lines[:99_990], lines[99_990:])]
    file = tmp_path / "a.txt.zst"
    file.write_bytes(b"".join(frames))
    assert "".join(text for _, text in read(file)) == "".join(lines)
    for content, why in ((frames[0][:-9], "the end before the end of a frame"), (frames[0] + b"more", "")):
        file.write_bytes(content)
        with pytest.raises(DataError) as caught:
            read(file)
        fix = "Download or pack it again; if it is not packed at all, rename it."
        assert str(caught.value).startswith(f"{file}: packing: got '{why}")
        assert str(caught.value).endswith(f"'; expected a whole zstd file. {fix}")


def test_columns_of_tables(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text('id,text\n1,good\n2,\n3,"two\nlines"\n', encoding="utf-8")
    lines = tmp_path / "b.jsonl"
    rows = [{"text": "x"}, {"text": None}, {"id": 3}, {"text": 0}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert read([table, lines], column="text") == [(0, "good\n"), (1, "two\nlines\n"), (2, "x\n"), (3, "0\n")]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_text("no line end in sight " * 500_000, encoding="utf-8")
    for document in ("file", "line", "blank"):
        tracemalloc.start()
        pieces = [(number, len(text)) for number, text in open_texts(file, document=document).pieces()]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert {number for number, _ in pieces} == {0}
        assert sum(length for _, length in pieces) == 10_500_000
        assert peak < 5_000_000


def test_what_cannot_be_found(books: Path) -> None:
    (books / "empty").mkdir()
    cases = {
        "nothing": (
            InputError,
            f"pattern: got '{books}/*.rst'; expected one that fits at least one file. "
            "Hidden files are found only where the pattern names the dot.",
            [f"{books}/*.rst"],
        ),
        "folder": (DataError, f"{books}/empty: folder: got no files in it; expected at least one.", [books / "empty"]),
        "none": (InputError, "files: got 'none'; expected at least one.", []),
        "twice": (
            InputError,
            f"files: got {books}/a.txt twice; expected each once. Does a pattern find it too?",
            [books / "a.txt", f"{books}/*.txt"],
        ),
        "missing": (
            DataError,
            f"file: got '{books}/aa.txt'; expected a file that exists. "
            f"Did you mean '{books}/a.txt' or '{books}/b.txt'?",
            [books / "aa.txt"],
        ),
    }
    for kind, text, paths in cases.values():
        with pytest.raises(kind) as caught:
            open_texts(paths)
        assert str(caught.value) == text


def test_options_that_cannot_be(books: Path) -> None:
    table = books / "t.csv"
    table.write_text("text,label\na,b\n", encoding="utf-8")
    cases = [
        (
            {"document": "page"},
            "document: got 'page'; expected one of 'file', 'line', 'blank'.",
        ),
        (
            {"document": "line", "column": "text"},
            "document: got 'line'; expected 'file' with a column, whose rows are the documents.",
        ),
        (
            {"column": "texts"},
            f"{table}: column: got 'texts'; expected one of 'text', 'label'. Did you mean 'text'?",
        ),
        (
            {"encoding": "utf-9"},
            "encoding: got 'utf-9'; expected the name of a text encoding, such as 'utf-8', 'latin-1' or 'utf-16'.",
        ),
    ]
    for options, text in cases:
        with pytest.raises(InputError) as caught:
            open_texts(table, **options)  # type: ignore[arg-type]
        assert str(caught.value) == text


@pytest.mark.parametrize("length", [10, 3_000_000])
def test_binary_files_are_refused_with_the_place(tmp_path: Path, length: int) -> None:
    file = tmp_path / "image.bin"
    file.write_bytes("é\n".encode() * (length // 3) + b"\0\1\2")
    with pytest.raises(DataError) as caught:
        read(file)
    assert str(caught.value) == (
        f"{file}: text: got a zero byte at byte {length // 3 * 3:,}; expected text. Name text files only, as with a "
        "pattern such as '*.txt'."
    )


def test_other_encodings_are_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(DataError) as caught:
        read(file)
    fix = "Try encoding 'latin-1' (--encoding latin-1)."
    assert str(caught.value) == rf"{file}, line 2: text: got 'na\xefve'; expected text in utf-8. {fix}"
    packed = tmp_path / "b.txt"
    packed.write_bytes(gzip.compress(b"text"))
    with pytest.raises(DataError) as caught:
        read(packed)
    fix = "The file begins like gzip: rename it so that it ends in .gz."
    assert str(caught.value) == f"{packed}: text: got a zero byte at byte 3; expected text. {fix}"
    wide = tmp_path / "wide.txt"
    wide.write_text("text", encoding="utf-16")
    with pytest.raises(DataError) as caught:
        read(wide)
    fix = "The file begins like utf-16: try encoding 'utf-16' (--encoding utf-16)."
    assert str(caught.value) == f"{wide}: text: got a zero byte at byte 3; expected text. {fix}"


def test_empty_texts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    for texts, name in ((open_texts(tmp_path), f"{tmp_path}/empty.txt"), (texts_in_memory(["", ""], "X"), "X")):
        with pytest.raises(InputError) as caught:
            list(texts.pieces())
        assert str(caught.value) == f"{name}: got no text; expected some. Check that the right file was named."


def test_items_that_are_no_texts() -> None:
    with pytest.raises(InputError) as caught:
        texts_in_memory(["a", 3], "X")  # type: ignore[list-item]
    assert str(caught.value) == "X[1]: got 'int'; expected a text."


def test_a_row_that_holds_no_text(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a"}\n{"text": ["b"]}\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read(file, column="text")
    assert str(caught.value) == f"{file}, line 2: column 'text': got ['b']; expected a text."
