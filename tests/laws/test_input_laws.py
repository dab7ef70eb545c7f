"""One input, one answer: however a pipe is cut and packed, it gives the rows, or the error, that the file gives."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws
from tests.ways_in import PACKERS

from rekur.data import open_source, open_texts
from rekur.errors import RekurError

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)
ROWS = st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8)


def written(format: str, rows: list[tuple[str, str]]) -> bytes:
    """Return rows as a file of a format; texts may break the rules of one, such as a tab in tsv."""
    if format == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([("a", "b"), *rows])
        return out.getvalue().encode()
    if format == "tsv":
        return "".join(f"{a}\t{b}\n" for a, b in [("a", "b"), *rows]).encode()
    if format == "jsonl":
        return "".join(json.dumps({"a": a, "b": b}, ensure_ascii=False) + "\n" for a, b in rows).encode()
    if format == "json":
        return json.dumps([{"a": a, "b": b} for a, b in rows], indent=1).encode()
    if format == "fasta":
        return "".join(f">{a}\n{b}\n" for a, b in rows).encode()
    return "".join(f"{a}{b}\n" for a, b in rows).encode()


def answer(location: str, format: str, once: bool) -> Any:
    """Return the columns and rows of an input, or what is wrong with it."""
    try:
        source = open_source(location, format=format, once=once)
        return source.columns, [(row.line, dict(row)) for row in source.rows()]
    except RekurError as error:
        return str(error).replace(location, "INPUT")


def piped(content: bytes, cuts: list[int]) -> int:
    """Return a descriptor from which the content is read in pieces."""
    reading, writing = os.pipe()
    ends = sorted({cut % (len(content) + 1) for cut in cuts} | {len(content)})

    def write() -> None:
        with suppress(OSError), os.fdopen(writing, "wb", buffering=0) as out:
            start = 0
            for end in ends:
                out.write(content[start:end])
                start = end

    threading.Thread(target=write, daemon=True).start()
    return reading


@draws(30)
@given(
    rows=ROWS,
    format=st.sampled_from(["csv", "tsv", "jsonl", "json", "txt", "fasta"]),
    packing=st.sampled_from([*PACKERS]),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    damage=st.one_of(st.none(), st.tuples(st.integers(0, 200), st.sampled_from([b"\xe9", b'"', b"\0", b"\n"]))),
    once=st.booleans(),
)
def test_a_pipe_gives_what_the_file_gives(
    rows: list[tuple[str, str]],
    format: str,
    packing: str,
    cuts: list[int],
    damage: tuple[int, bytes] | None,
    once: bool,
) -> None:
    content = written(format, rows)
    if damage is not None:
        place = damage[0] % (len(content) + 1)
        content = content[:place] + damage[1] + content[place:]
    packed = PACKERS[packing](content)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "input")  # without an ending, as a pipe has none
        file.write_bytes(packed)
        expected = answer(str(file), format, once)
    reading = piped(packed, cuts)
    try:
        assert answer(f"/dev/fd/{reading}", format, once) == expected
    finally:
        os.close(reading)


@given(text=st.text(st.characters(codec="utf-8"), max_size=200), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_a_text_from_a_pipe_is_the_text(text: str, cuts: list[int]) -> None:
    def read(location: str) -> Any:
        try:
            return list(open_texts(location, document="line", once=True).pieces())
        except RekurError as error:
            return str(error).replace(location, "INPUT")

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        file = Path(folder, "input")
        file.write_text(text, encoding="utf-8", newline="")
        expected = read(str(file))
        reading = piped(file.read_bytes(), cuts)
        try:
            assert read(f"/dev/fd/{reading}") == expected
        finally:
            os.close(reading)
