"""Every format gives the same rows, packed or not, in a stream and again."""

import bz2
import gzip
import json
import lzma
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rekur.data import open_source
from rekur.data.source import Source


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def rows(source: Source) -> list[tuple[int, dict]]:
    first = [(row.line, dict(row)) for row in source.rows()]
    assert [(row.line, dict(row)) for row in source] == first  # again
    return first


def test_csv_with_quotes_line_ends_and_a_byte_order_mark(tmp_path):
    text = '\ufefftext,label\r\n"a, ""b""",1\r\n\r\n"two\nlines",2\r\nlast,3'
    source = open_source(write(tmp_path / "a.csv", text))
    assert (source.format, source.columns) == ("csv", ["text", "label"])
    assert rows(source) == [
        (2, {"text": 'a, "b"', "label": "1"}),
        (4, {"text": "two\nlines", "label": "2"}),
        (6, {"text": "last", "label": "3"}),
    ]


def test_csv_with_another_separator_and_encoding(tmp_path):
    path = write(tmp_path / "a.csv", "text;label\ncafé, crème;1\n", "latin-1")
    source = open_source(path, encoding="latin-1", separator=";")
    assert rows(source) == [(2, {"text": "café, crème", "label": "1"})]


def test_csv_with_a_field_longer_than_the_csv_module_allows(tmp_path):
    long = "1 " * 200_000
    assert rows(open_source(write(tmp_path / "a.csv", f"x,y\n{long},b\n")))[0][1]["x"] == long


def test_csv_with_an_index_and_numbered_columns_as_data_frames_write_it(tmp_path):
    assert open_source(write(tmp_path / "a.csv", ",0,1,2\n7,a,b,c\n")).columns == ["", "0", "1", "2"]


def test_tsv_takes_quotes_as_characters_unless_they_enclose_a_field(tmp_path):
    path = write(tmp_path / "a.tsv", 'label\ttext\n1\t"so" he said, "no"\n0\t"he said ""no"""\n0\t"\n')
    assert [row["text"] for _, row in rows(open_source(path))] == ['"so" he said, "no"', 'he said "no"', '"']


def test_tsv_with_quoted_tabs_is_read_as_csv(tmp_path):
    path = write(tmp_path / "a.tsv", 'label\ttext\n1\t"a\tb"\n')
    assert rows(open_source(path, format="csv", separator="tab")) == [(2, {"label": "1", "text": "a\tb"})]


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_line_that_names_the_separator(tmp_path, line, encoding):
    path = write(tmp_path / "a.csv", f'{line}\r\ntext;label\r\n"a;\r\nb";1\r\n\r\nc;2\r\n', encoding)
    for separator in (None, ";"):
        source = open_source(path, separator=separator, encoding=encoding)
        assert rows(source) == [(3, {"text": "a;\r\nb", "label": "1"}), (6, {"text": "c", "label": "2"})]


def test_a_line_that_names_a_tab_or_a_comma(tmp_path):
    for name, separator in (("a.csv", "\t"), ("a.tsv", ","), ("a.csv", ","), ("a.tsv", "\t"), ("a.csv", "|")):
        path = write(tmp_path / name, f"sep={separator}\nx{separator}y\n1{separator}2\n")
        assert rows(open_source(path)) == [(3, {"x": "1", "y": "2"})]


def test_a_name_that_comes_again_below_it(tmp_path):
    ticked = "who,red,blue\n" + "".join(f"p{i},{'red' * (i % 2)},{'blue' * (i % 3 > 0)}\n" for i in range(300))
    assert len(rows(open_source(write(tmp_path / "a.csv", ticked)))) == 300
    words = "word\n" + "".join(f"{w}\n" for w in ("a", "the", "it")) * 40 + "word\n"
    assert len(rows(open_source(write(tmp_path / "b.csv", words)))) == 121  # far below: a word like others


def test_jsonl_with_nested_lists_and_keys_left_out(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"x": [[1, 2], [3, null]], "label": 1}\n\n{"x": [], "note": "é"}\n')
    source = open_source(path)
    assert source.columns == ["x", "label", "note"]
    assert rows(source) == [(1, {"x": [[1, 2], [3, None]], "label": 1}), (3, {"x": [], "note": "é"})]


def test_json_array_longer_than_a_block(tmp_path):
    items = [{"text": "x" * (i * 37 % 5000), "n": i, "inner": {"a": [i]}} for i in range(200)]
    for indent in (None, 2):
        source = open_source(write(tmp_path / "a.json", "\n " + json.dumps(items, indent=indent) + "\n"))
        assert [row for _, row in rows(source)] == items
    assert source.format == "json"


def test_json_array_with_a_member_longer_than_a_block(tmp_path):
    items = [{"x": list(range(60_000))}, {"x": ["é" * 100_000]}]
    assert [row for _, row in rows(open_source(write(tmp_path / "a.json", json.dumps(items))))] == items


def test_json_with_one_object_a_line(tmp_path):
    assert rows(open_source(write(tmp_path / "a.json", '{"a": 1}\n{"a": 2}\n'))) == [(1, {"a": 1}), (2, {"a": 2})]


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = arrow.table({"x": [[[1.0, 2.0]], [[3.0, None]]], "label": ["a", "b"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    source = open_source(tmp_path / "a.parquet")
    assert source.columns == ["x", "label"]
    expected = [(1, {"x": [[1.0, 2.0]], "label": "a"}), (2, {"x": [[3.0, None]], "label": "b"})]
    assert rows(source) == expected


def test_txt_keeps_blank_lines(tmp_path):
    source = open_source(write(tmp_path / "a.txt", "one\n\nthree\u2028still\r\n"))
    assert rows(source) == [(1, {"text": "one"}), (2, {"text": ""}), (3, {"text": "three\u2028still"})]


def test_folder_with_one_folder_a_class(tmp_path):
    for name, text in (("pos/b.txt", "good"), ("pos/a.txt", "fine\n"), ("neg/a.txt", "bad"), (".git/x", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, text)
    source = open_source(tmp_path)
    assert (source.format, source.columns) == ("folder", ["text", "label"])
    expected = [{"text": "bad", "label": "neg"}, {"text": "fine\n", "label": "pos"}, {"text": "good", "label": "pos"}]
    assert [row for _, row in rows(source)] == expected


def test_fasta(tmp_path):
    path = write(tmp_path / "a.fa", ";old comment\n>s1 some words\nACGT\nAC GT\n\n>s2\nTT\n")
    source = open_source(path)
    assert source.columns == ["id", "description", "sequence"]
    assert rows(source) == [
        (2, {"id": "s1", "description": "some words", "sequence": "ACGTACGT"}),
        (6, {"id": "s2", "description": "", "sequence": "TT"}),
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (">s1|x label=EI more", {"id": "s1|x", "label": "EI"}),
        (">s1|label=EI", {"id": "s1|label=EI", "label": "EI"}),
        (">s1|EI", {"id": "s1", "label": "EI"}),
        (">sp|P1|HUMAN kinase", {"id": "sp|P1|HUMAN", "part1": "sp", "part2": "P1", "part3": "HUMAN"}),
    ],
)
def test_fasta_labels(tmp_path, header, expected):
    [(_, row)] = rows(open_source(write(tmp_path / "a.fasta", f"{header}\nACGT\n")))
    assert {name: value for name, value in row.items() if name not in ("description", "sequence")} == expected


def test_zstandard_with_a_long_window_several_frames_and_one_to_skip(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    wide = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    packer = zstandard.ZstdCompressor(
        compression_params=wide
    ).compressobj()  # a window is asked for where no size is said
    content = packer.compress(b"text,label\ngood,1\n") + packer.flush()
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
    (tmp_path / "a.csv.zst").write_bytes(skipped + content + skipped + zstandard.compress(b"bad,0\n") + skipped)
    expected = [(2, {"text": "good", "label": "1"}), (3, {"text": "bad", "label": "0"})]
    assert rows(open_source(tmp_path / "a.csv.zst")) == expected
    (tmp_path / "a").write_bytes((tmp_path / "a.csv.zst").read_bytes())
    assert rows(open_source(tmp_path / "a")) == expected


TS_HEAD = "# about\n@problemName x\n@timeStamps {timed}\n@missing true\n@univariate false\n"


def test_ts_of_variable_length_with_missing_values(tmp_path):
    head = TS_HEAD.format(timed="false")
    path = write(tmp_path / "a.ts", head + "@classLabel true a b\n@data\n1,2,?:4,5,6:a\n7:8:b\n")
    source = open_source(path)
    assert source.columns == ["series", "label"]
    (first, second) = source.rows()
    np.testing.assert_array_equal(first["series"], [[1, 4], [2, 5], [np.nan, 6]])
    np.testing.assert_array_equal(second["series"], [[7, 8]])
    assert (first["label"], second["label"], first.line, second.line) == ("a", "b", 8, 9)


def test_ts_with_targets(tmp_path):
    path = write(tmp_path / "a.ts", "@univariate true\n@targetLabel true\n@data\n1,2:0.5\n")
    [row] = open_source(path).rows()
    assert (row["series"].tolist(), row["label"]) == ([[1.0], [2.0]], 0.5)


def test_ts_with_times(tmp_path):
    head = TS_HEAD.format(timed="true") + "@classLabel false\n@data\n"
    body = "(2010-01-02 00:00:00,2),(2010-01-01 00:00:00,1):(2010-01-02 00:00:00,5),(2010-01-03 00:00:00,?)\n"
    [row] = open_source(write(tmp_path / "a.ts", head + body)).rows()
    nan = np.nan
    np.testing.assert_array_equal(row["series"], [[1, nan], [2, 5], [nan, nan]])
    assert "label" not in row


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zip"])
def test_packed_files_are_unpacked_on_the_fly(tmp_path, ending):
    content = b"text,label\ngood,1\n"
    path = tmp_path / f"a.csv.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside/a.csv", content)
            archive.writestr("__MACOSX/._a.csv", b"x")
    else:
        path.write_bytes({"gz": gzip, "bz2": bz2, "xz": lzma}[ending].compress(content))
    source = open_source(path)
    assert (source.format, rows(source)) == ("csv", [(2, {"text": "good", "label": "1"})])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    with (tmp_path / name).open("w") as file:
        if name == "a.csv":
            file.write("text,label\n" + ("word " * 40 + ",1\n") * 20_000)
        else:
            line = json.dumps({"text": "word " * 40})
            file.write("[" * (name == "a.json") + (line + ",\n" * (name == "a.json") + "\n") * 19_999 + line)
            file.write("]" * (name == "a.json"))
    source = open_source(tmp_path / name)
    tracemalloc.start()
    assert sum(1 for _ in source.rows()) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # of a file of 4 MB


@pytest.mark.parametrize(
    ("name", "columns", "count"),
    [
        ("sms_spam/train.tsv", ["label", "text"], 4466),
        ("rt_polarity/train.tsv", ["label", "text"], 8530),
        ("splice_dna/test.tsv", ["label", "id", "sequence"], 320),
        ("indoor_movement/valid.jsonl", ["id", "group", "label", "x"], 32),
        ("japanese_vowels/JapaneseVowels_TEST.ts", ["series", "label"], 370),
    ],
)
def test_real_files(real_data, name, columns, count):
    source = open_source(real_data / name)
    assert source.columns == columns
    assert sum(1 for _ in source.rows()) == count
