"""Files that are no text, or almost what they should be: the message says what they are and how to mend them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run, write_table


def read(cli: Run, content: bytes, *words: str, name: str = "a.csv", folder: Path) -> str:
    (folder / name).write_bytes(content)
    done = cli("data", folder / name, *words)
    assert done.code == 2, done.out
    return done.err.removeprefix(f"rekur: {folder / name}")


ENCODED: dict[str, tuple[bytes, tuple[str, ...], str]] = {
    "picture": (b"\x89PNG\r\n\x1a\n\x00\xff", (), "The file begins like PNG, which is a picture and no text."),
    "program": (b"\x7fELF\x02\x01\x01\xff", (), "The file begins like ELF, which is a program and no text."),
    "something binary": (b"abc\x01\xff\xfe", (), "It is no text, since it holds control characters. Name a text file."),
    "quotes of Windows": (
        "t,y\n“fine”,1\n".encode("cp1252"),
        (),
        "Try encoding 'windows-1252' (--encoding windows-1252).",
    ),
    "quotes further on": (
        ("t,y\n" + "é,1\n" * 9000 + "“fine”,1\n").encode("cp1252"),
        (),
        "Try encoding 'windows-1252' (--encoding windows-1252).",
    ),
    "Western letters": ("t,y\ncafé,1\n".encode("latin-1"), (), "Try encoding 'latin-1' (--encoding latin-1)."),
    "Cyrillic": (
        "t,y\nпривет мир,1\n".encode("cp1251"),
        (),
        "Name the encoding that it was saved in, such as --encoding windows-1251, gb18030 or shift_jis.",
    ),
    "utf-8 as ascii": ("t,y\ncafé,1\n".encode(), ("--encoding", "ascii"), "Try encoding 'utf-8' (--encoding utf-8)."),
    "utf-8 as utf-16": ("t,y\ncafé,1\n".encode(), ("--encoding", "utf-16"), "Try encoding 'utf-8' (--encoding utf-8)."),
    "two bytes without a mark": (
        "t,y\nfine,1\n".encode("utf-16-le"),
        (),
        "The file begins like utf-16-le: try encoding 'utf-16-le' (--encoding utf-16-le).",
    ),
    "two bytes, large end first": (
        "t,y\nfine,1\n".encode("utf-16-be"),
        (),
        "The file begins like utf-16-be: try encoding 'utf-16-be' (--encoding utf-16-be).",
    ),
    "two bytes without their mark": (
        "t,y\nfine,1\n".encode("utf-16-le"),
        ("--encoding", "utf-16"),
        "The file begins like utf-16-le: try encoding 'utf-16-le' (--encoding utf-16-le).",
    ),
    "a zero in a text": (b"t,y\nfi\0ne and dandy,1\n", (), "Take it out, or name a text file."),
    "one wrong byte": ("t,y\ncafé,1\n".encode() + b"th\xe9,2\n", (), "The text above it is utf-8: mend this line."),
}


@pytest.mark.parametrize("name", ENCODED)
def test_encodings(name: str, cli: Run, tmp_path: Path) -> None:
    content, words, fix = ENCODED[name]
    assert read(cli, content, *words, folder=tmp_path).endswith(f" {fix}\n")


JSON: dict[str, tuple[str, str]] = {
    "comment": ('// rows\n{"t": "a"}\n', "JSON has no comments: take them out."),
    "comment behind": ('{"t": "a", /* b */ "y": 1}\n', "JSON has no comments: take them out."),
    "single quotes": ("{'t': 'a'}\n", 'JSON has double quotes only: write "…".'),
    "curly quotes": ("{“t”: 1}\n", 'JSON has straight quotes only: write "…".'),
    "names of Python": ('{"t": None}\n', "JSON has true, false and null; json.dumps in Python writes them."),
    "trailing comma": ('{"t": "a",}\n', "Take out the comma before }."),
    "no quotes": ("{t: 1}\n", 'Names of values stand in double quotes: "name": ….'),
    "several lines": ('{\n"t": "a"}\n', "Write each object on one line, or all of them in one array: [{…}, {…}]."),
    "rows inside": ('{"data": [{"t": "a"}, {"t": "b"}]}\n', "Save that list alone, as with jq '.data'."),
    "pairs inside": ('{"classes": ["A"], "b": [["c d", {"entities": []}]]}\n', "as with jq '.b'."),
    "rows further inside": ('{"a": {"b": [{"c": "d"}]}}\n', "as with jq '.a.b'."),
    "readings inside": ('{"log": [{"start": 1, "value": 2}]}\n', "Save that list alone, as with jq '.log'."),
}


@pytest.mark.parametrize("name", JSON)
def test_json(name: str, cli: Run, tmp_path: Path) -> None:
    content, fix = JSON[name]
    text = read(cli, content.encode(), name="a.jsonl", folder=tmp_path)
    assert text.endswith(f"{fix}\n")
    assert "at at" not in text


def test_labels_that_are_no_classes(cli: Run, tmp_path: Path) -> None:
    def fit(rows: list[Any]) -> str:
        file = write_table(tmp_path / "a.csv", ("t", "y"), rows)
        done = cli("fit", "classify", file, "--text", "t", "--label", "y", "--out", tmp_path / "m", "--quiet")
        assert done.code == 2
        return done.err

    assert fit([(f"text {n}", n + 0.25) for n in range(30)]) == (
        "rekur: labels: got 30 different ones in 30 examples; expected classes with 2 or more. They look like numbers; "
        "to predict a number: rekur fit regress (Regressor).\n"
    )
    assert fit([("the same", "ab"[n % 2]) for n in range(30)]) == (
        "rekur: examples: got 30 whose items are all equal; expected items that differ. "
        "Check that the right column was read.\n"
    )


def test_ten_thousand_columns(cli: Run, tmp_path: Path) -> None:
    names = [f"column{n}" for n in range(10_000)]
    file = write_table(tmp_path / "wide.csv", names, [range(10_000)] * 2)
    for words in (("fit", "language", file, "--text", "zz"), ("fit", "classify", file, "--text", "zz", "--label", "q")):
        done = cli(*words, "--out", tmp_path / "m")
        assert (done.code, len(done.err) < 700) == (2, True)


def test_parquet(cli: Run, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    from datetime import timedelta

    def write(**columns: Any) -> Path:
        parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
        return tmp_path / "a.parquet"

    done = cli("data", write(t=[b"a film"] * 3, y=[1, 2, 1]), "--text", "t", "--label", "y")
    assert (done.code, "got b'a film'; expected text. Save it as text, as value.decode()" in done.err) == (2, True)
    done = cli("data", tmp_path / "a.parquet", "--encoding", "latin-1")
    assert (done.code, "expected none for a parquet file" in done.err) == (2, True)
    for unit in ("s", "us", "ns"):
        waits = arrow.array([timedelta(minutes=n) for n in (3, 1, 2)], arrow.duration(unit))
        file = write(who=["a"] * 3, at=waits, x=[3.0, 1.0, 2.0], y=["b"] * 3)
        done = cli("data", file, "--series", "x", "--group", "who", "--time", "at", "--label", "y")
        assert done.code == 0, done.err
    done = cli("data", file, "--series", "at", "--group", "who", "--label", "y")
    assert (done.code, "Give a duration as a number, such as its seconds." in done.err) == (2, True)
