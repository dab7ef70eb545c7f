"""One input gives the same rows and texts whichever way it comes in, and is opened once."""

from __future__ import annotations

import gc
import io
import json
import os
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from tests.ways_in import PACKERS, WAYS, given, keeps_its_name

from rekur.data import open_source, open_texts
from rekur.errors import DataError, DataWarning, InputError, SaveError

TABLE = [{"text": f"a film, number {i}\nof two lines", "label": "good" if i % 3 else "bad"} for i in range(300)]


def _parquet() -> bytes:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    out = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(TABLE), out)
    return out.getvalue()


FORMATS: dict[str, bytes] = {
    ".csv": ("text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in TABLE)).encode(),
    ".tsv": ("label\ttext\n" + "".join(f"{row['label']}\t{i} it was\n" for i, row in enumerate(TABLE))).encode(),
    ".jsonl": "".join(json.dumps(row) + "\n" for row in TABLE).encode(),
    ".json": json.dumps(TABLE, indent=1).encode(),
    ".txt": b"a good film\n\nit was, all in all, bad\nfine it was\n",
    ".fasta": "".join(f">s{i}|{'ab'[i % 2]}\nACGT\nTTA\n" for i in range(150)).encode(),
    ".conllu": b"# text = Ada left\n" + b"1\tAda\tAda\tPROPN\t_\t_\t0\troot\t_\t_\n\n" * 90,
    ".conllup": b"# global.columns = ID FORM NER\n" + b"1\tAda\tB-PER\n2\tran\tO\n\n" * 90,
    ".ts": b"# about\n@problemName x\n@classLabel true a b\n@data\n" + b"1,2,?:4,5,6:a\n7:8:b\n" * 40,
}


def rows(source: Any) -> list[str]:
    return [f"{row.line}: {dict(row)}" for row in source.rows()]


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.filterwarnings("ignore:.*first lines look like one text a line")
def test_rows_are_the_same_in_every_way(ending: str, packing: str, tmp_path: Path) -> None:
    (tmp_path / f"whole{ending}").write_bytes(FORMATS[ending])
    source = open_source(tmp_path / f"whole{ending}")
    expected = (source.format, source.columns, rows(source))
    content = PACKERS[packing](FORMATS[ending])
    for way in WAYS:
        for once in (False, True):
            with given(way, tmp_path / "in", ending + packing, content) as name:
                source = open_source(name, once=once)
                assert (source.format, source.columns, rows(source)) == expected, (way, once)
                if not once:
                    assert rows(source) == expected[2], way


@pytest.mark.parametrize("way", WAYS)
def test_parquet_in_every_way(way: str, tmp_path: Path) -> None:
    with given(way, tmp_path, ".parquet", _parquet()) as name:
        assert [dict(row) for row in open_source(name, once=True).rows()] == TABLE


@pytest.mark.parametrize(("way", "packing"), list(zip(WAYS * 2, cycle(PACKERS), strict=False)))
def test_texts_are_the_same_in_every_way(way: str, packing: str, tmp_path: Path) -> None:
    text = "\ufeffIt was, all in all, a good film.\r\nAnd it was long.\n" * 9000
    cases: list[dict[str, str]] = [{}, {"document": "line"}]
    for options in cases:
        with given(way, tmp_path / "in", f".txt{packing}", PACKERS[packing](text.encode())) as name:
            texts = open_texts(name, **options)
            pieces = list(texts.pieces())
            assert list(texts.pieces()) == pieces
        assert "".join(piece for _, piece in pieces) == text[1:]
        assert pieces[-1][0] == (0 if not options else 17_999)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_wrong_is_told_in_the_same_words(way: str, tmp_path: Path) -> None:
    cases = {
        ".csv": b"text,label\n" + b"fine film,1\n" * 5000 + b"un caf\xe9 noir et un th\xe9,2\n" + b"fine,1\n" * 3,
        ".jsonl": b'{"a": 1}\n{"a": 2,}\n',
        ".tsv": b"text\tlabel\na\tb\tc\n" + b"a\tb\n" * 30,
        ".fasta": b">a\nACGT\n>\nCC\n",
    }
    for ending, content in cases.items():
        said = []
        for each in ("file", way):
            with given(each, tmp_path / "in", ending, content) as name, pytest.raises(DataError) as caught:
                rows(open_source(name, once=True, format=ending[1:]))
            said.append(str(caught.value).partition(name if name != "-" else "standard input")[2])
        assert said[0] == said[1] != "", ending


def test_a_place_is_named_after_one_pass(tmp_path: Path) -> None:
    for lines in (0, 1, 681, 682, 683, 5000):  # the bad byte is before, on and behind the edge of a block of 8192
        content = b"text,label\n" + b"fine film,1\n" * lines + b"un caf\xe9 noir,2\nx,1\n"
        (tmp_path / "a.csv").write_bytes(content)
        with pytest.raises(DataError) as caught:
            rows(open_source(tmp_path / "a.csv"))
        text = rf"{tmp_path}/a.csv, line {lines + 2}: text: got 'un caf\xe9 noir,2'; expected text in utf-8. "
        assert str(caught.value).startswith(text)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".txt", ".fasta", ".ts"])
def test_an_empty_input_is_told_like_an_empty_file(way: str, ending: str, tmp_path: Path) -> None:
    said = []
    for each in ("file", way):
        with given(each, tmp_path / "in", ending, b"") as name, pytest.raises(DataError) as caught:
            open_source(name, format=None if keeps_its_name(each) else ending[1:])
        said.append(str(caught.value).partition(": ")[2])
    assert said[0] == said[1]
    with given("-", tmp_path, "", b"\n \n") as name, pytest.raises(DataError) as caught:
        open_source(name)
    assert str(caught.value) == "standard input: lines: got 0; expected 1 or more."


def test_a_format_that_two_fit_is_asked_for(tmp_path: Path) -> None:
    for content, first in ((b"good\nbad\n", "good"), (b"Yes, it was.\nNo, it was not.\n", "Yes, it was.")):
        with given("-", tmp_path, "", content) as name, pytest.raises(DataError) as caught:
            open_source(name)
        assert str(caught.value) == (
            f"standard input: format: got '{first}'; expected lines from which one format can be told. "
            "Name the format, as with --format csv, or --format txt for one text a line."
        )
        with given("-", tmp_path, "", content) as name:
            assert len(rows(open_source(name, format="txt"))) == 2
    with given("-", tmp_path, "", b"it was good\nit was bad\n") as name, pytest.warns(DataWarning) as warned:
        assert open_source(name).format == "txt"
    assert str(warned[0].message) == (
        "standard input: format: got none; its first lines look like one text a line. If they are not, name the format."
    )


def test_a_stream_is_read_on_as_it_comes_and_only_once(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as out:
        out.write(b"text,label\ngood,1\n")
        source = open_source(f"/dev/fd/{reading}", format="csv", once=True)
        found = source.rows()
        assert dict(next(found)) == {"text": "good", "label": "1"}
        out.write(b"bad,0\n")
        assert dict(next(found)) == {"text": "bad", "label": "0"}  # nothing waits for more
    assert list(found) == []
    os.close(reading)
    with pytest.raises(InputError) as caught:
        list(source.rows())
    expected = "got a second pass over a stream; expected one. Save it in a file to read it again."
    assert str(caught.value) == f"/dev/fd/{reading}: {expected}"


def test_a_live_text_is_read_after_its_first_line() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as out:
        out.write(b"a\n")  # shorter than what tells a packed file
        found = open_source(f"/dev/fd/{reading}", format="txt", once=True).rows()
        assert next(found)["text"] == "a"
    os.close(reading)


def test_a_packed_stream_is_read_on_as_it_comes(tmp_path: Path) -> None:
    import zlib

    packer = zlib.compressobj(wbits=31)
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as out:
        out.write(packer.compress(b"text,label\ngood,1\n") + packer.flush(zlib.Z_SYNC_FLUSH))
        found = open_source(f"/dev/fd/{reading}", format="csv", once=True).rows()
        assert next(found)["text"] == "good"
        out.write(packer.compress(b"bad,0\n") + packer.flush())
        assert next(found)["text"] == "bad"
    os.close(reading)


def test_memory_does_not_grow_with_a_stream() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as out:
            out.write(b"text,label\n")
            for _ in range(20_000):
                out.write(b"word " * 40 + b",1\n")

    threading.Thread(target=write, daemon=True).start()
    source = open_source(f"/dev/fd/{reading}", format="csv", once=True)
    tracemalloc.start()
    assert sum(1 for _ in source.rows()) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    os.close(reading)
    assert peak < 2_000_000  # of 4 MB


def test_a_copy_goes_with_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with given("-", tmp_path / "in", "", FORMATS[".csv"]) as name:
        source = open_source(name)
    assert len(list(tmp_path.glob("rekur-*"))) == 1
    assert len(rows(source)) == len(TABLE)
    del source
    gc.collect()
    assert not list(tmp_path.glob("rekur-*"))


def test_no_room_for_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with given("-", tmp_path / "in", "", FORMATS[".csv"]) as name, pytest.raises(SaveError) as caught:
        open_source(name)
    assert str(caught.value).startswith(f"standard input: copy in {tmp_path}/gone/rekur-")
    assert str(caught.value).endswith("room for all of it. Set TMPDIR to a folder that can be written.")


def test_a_stream_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError) as caught:
        open_source("-", format="csv")
    assert str(caught.value) == "standard input: file: got a closed one; expected one that can be read."


def test_one_stream_for_two_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    for paths, shown in ((["-", "-"], "standard input"), ([tmp_path / "a.txt"] * 2, f"{tmp_path}/a.txt")):
        with pytest.raises(InputError) as caught:
            open_texts(paths)
        assert str(caught.value) == (
            f"files: got {shown} and {shown}, which are one stream; expected it once. "
            "Save it in a file to read it twice."
        )


def test_a_pipe_that_does_not_block(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def write() -> Iterator[None]:
        with os.fdopen(writing, "wb", buffering=0) as out:
            for part in (b"text,la", b"bel\ngood", b",1\n"):
                time.sleep(0.02)
                out.write(part)
        yield

    threading.Thread(target=lambda: list(write()), daemon=True).start()
    assert rows(open_source(f"/dev/fd/{reading}", format="csv")) == ["2: {'text': 'good', 'label': '1'}"]
    os.close(reading)
