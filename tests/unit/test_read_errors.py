"""What is wrong with a file is said whole: the file, the line, what is there, what should be, and what to do."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest

from rekur.data import open_source
from rekur.errors import DataError, InputError


def message(folder: Path, name: str, content: str | bytes, **options) -> str:
    """Return the error of opening and reading a file, without its folder."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        for _ in open_source(path, **options).rows():
            pass
    return str(caught.value).replace(f"{folder}/", "")


def test_missing_file_with_a_near_name(tmp_path):
    (tmp_path / "reviews.csv").touch()
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "revews.csv")
    expected = "file: got 'revews.csv'; expected a file that exists. Did you mean 'reviews.csv'?"
    assert str(caught.value).replace(f"{tmp_path}/", "") == expected
    assert caught.value.path == tmp_path / "revews.csv"


def test_missing_file_with_no_near_name(tmp_path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "reviews.csv")
    got = f"file: got '{tmp_path}/reviews.csv'; expected a file that exists."
    assert str(caught.value) == f"{got} In '{tmp_path}' there is a.csv."


def test_missing_folder(tmp_path):
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "dat" / "reviews.csv")
    got = f"file: got '{tmp_path}/dat/reviews.csv'; expected a file that exists."
    assert str(caught.value) == f"{got} There is no folder '{tmp_path}/dat'."


def test_a_folder_where_a_file_was_expected(tmp_path):
    (tmp_path / "train.csv").touch()
    with pytest.raises(DataError) as caught:
        open_source(tmp_path)
    expected = "expected a file, or a folder with one folder for each class."
    fix = f"Did you mean the file '{tmp_path}/train.csv'?"
    more = "A folder of tables, each a sequence, is read with --time COL or --group file."
    assert str(caught.value) == f"{tmp_path}: file: got a folder without folders; {expected} {fix} {more}"
    with pytest.raises(DataError) as caught:
        open_source(tmp_path, format="csv")
    assert str(caught.value) == f"{tmp_path}: file: got a folder; expected a csv file. {fix}"


def test_a_class_folder_without_texts(tmp_path):
    (tmp_path / "pos").mkdir()
    with pytest.raises(DataError) as caught:
        open_source(tmp_path)
    expected = "class folder: got 'pos' without .txt files; expected 1 or more."
    assert str(caught.value) == f"{tmp_path}: {expected}"


def test_wrong_encoding_in_a_class_folder_names_the_file(tmp_path):
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos" / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError) as caught:
        list(open_source(tmp_path).rows())
    text = r"text: got 'caf\xe9'; expected text in utf-8. Try encoding 'latin-1' (--encoding latin-1)."
    assert str(caught.value) == f"{tmp_path}/pos/a.txt, line 1: {text}"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        # nothing there
        ("a.csv", "", "a.csv: lines: got 0; expected a header line and one row or more."),
        ("a.tsv", "\n \n", "a.tsv: lines: got 0; expected a header line and one row or more."),
        ("a.csv", "text,label\n", "a.csv: rows: got 0 below the header; expected 1 or more."),
        ("a.jsonl", "\n", "a.jsonl: rows: got 0; expected 1 JSON object or more."),
        ("a.json", "[]", "a.json: rows: got 0; expected 1 JSON object or more."),
        ("a.txt", "", "a.txt: lines: got 0; expected 1 or more."),
        ("a.fa", "", "a.fa: records: got 0; expected 1 or more, each under a line that begins with '>'."),
        ("a.ts", "@univariate true\n@data\n", "a.ts: cases: got 0 after @data; expected 1 or more."),
        # encodings and packings
        (
            "a.csv",
            "text,label\nok,1\nun café,2\n".encode("latin-1"),
            r"a.csv, line 3: text: got 'un caf\xe9,2'; expected text in utf-8. "
            "Try encoding 'latin-1' (--encoding latin-1).",
        ),
        (
            "a.csv",
            "text,label\nok,1\n".encode("utf-16"),
            r"a.csv, line 1: text: got '\xff\xfet\x00e\x00x\x00t\x00,'; expected text in utf-8. "
            "The file begins like utf-16: try encoding 'utf-16' (--encoding utf-16).",
        ),
        (
            "a.tsv",
            "text\tlabel\na\0b\t1\n",
            "a.tsv, line 2: text: got a NUL character; expected text. Take it out, or name a text file.",
        ),
        (
            "a.csv.gz",
            gzip.compress(b"text,label\n" + b"good,b\n" * 1000, mtime=0)[:50],
            "a.csv.gz: packing: got 'Compressed file ended before the end-of-stream marker was reached'; "
            "expected a whole gzip file. Download or pack it again; if it is not packed at all, rename it.",
        ),
        (
            "a.csv.gz",
            "text,label\nok,1\n",
            "a.csv.gz: packing: got 'Not a gzipped file (b'te')'; "
            "expected a whole gzip file. Download or pack it again; if it is not packed at all, rename it.",
        ),
        (
            "a.csv.bz2",
            "text,label\nok,1\n",
            "a.csv.bz2: packing: got 'Invalid data stream'; "
            "expected a whole bzip2 file. Download or pack it again; if it is not packed at all, rename it.",
        ),
        (
            "a.zip",
            "text",
            "a.zip: packing: got 'File is not a zip file'; "
            "expected a whole zip file. Download or pack it again; if it is not packed at all, rename it.",
        ),
        (
            "a.dat",
            "x",
            "a.dat: file ending: got '.dat'; expected one of .csv, .tsv, .jsonl, .ndjson, .json, .parquet, .txt, "
            ".fa, .fasta, .fna, .faa, .ts, .conllu, .conllup, .cupt, .conll, .bio, .iob, .iob2, .bioes. "
            "Name its format, as with --format csv.",
        ),
        (
            "a.xlsx",
            "x",
            "a.xlsx: file ending: got '.xlsx'; expected one of .csv, .tsv, .jsonl, .ndjson, .json, .parquet, .txt, "
            ".fa, .fasta, .fna, .faa, .ts, .conllu, .conllup, .cupt, .conll, .bio, .iob, .iob2, .bioes. "
            "Save the table as csv (UTF-8).",
        ),
        # tables
        (
            "a.csv",
            "text,label,text\na,b,c\n",
            "a.csv, line 1: column names: got 'text' for columns 1 and 3; expected a name of its own for each column. "
            "Rename one of them.",
        ),
        (
            "a.csv",
            "text,label\na,b\na, b,c\n",
            "a.csv, line 3: fields: got 3; expected 2, as in the header. "
            'Put fields that hold a comma in double quotes ("…").',
        ),
        (
            "a.csv",
            'text,label\n"a\nb",c\nd\n',
            "a.csv, line 4: fields: got 1; expected 2, as in the header. "
            "Add the fields that are missing, or join lines that belong to one row.",
        ),
        (
            "a.tsv",
            "text\tlabel\na\tb\tc\n",
            "a.tsv, line 2: fields: got 3; expected 2, as in the header. "
            "Take tabs out of fields, or quote the fields and add --format csv --separator tab.",
        ),
        (
            "a.csv",
            '1,"so good"\n0,bad\n',
            "a.csv, line 1: header: got '1'; expected a column name, not a number. "
            "Put a line with the columns' names on top.",
        ),
        (
            "a.csv",
            "text;label\na;b\n",
            "a.csv, line 1: header: got 'text;label'; expected names with comma between. "
            "Try separator ';' (--separator ';').",
        ),
        (
            "a.csv",
            'text,label\na,b\n"c,d\ne,f\n',
            "a.csv, line 3: quotes: got a double quote that is opened here and not closed; expected pairs. "
            'Close it, or write "" for a quote inside a quoted field.',
        ),
        (
            "a.csv",
            'text,label\n"so" he said,b\n',
            "a.csv, line 2: quotes: got text after a closing double quote; expected the separator. "
            'Write "" for a quote inside a quoted field.',
        ),
        (
            "a.csv",
            "a fine film,pos\nso bad,neg\nso good,pos\n",
            "a.csv, line 1: header: got 'pos'; expected a name, not a value that comes again in its column. "
            "Put a line with the columns' names on top; if this is that line, rename the column.",
        ),
        (
            "a.tsv",
            "pos\ta fine film\n" + "pos\tso good\n" * 150 + "neg\tso bad\n",  # sorted by class
            "a.tsv, line 1: header: got 'pos'; expected a name, not a value that comes again in its column. "
            "Put a line with the columns' names on top; if this is that line, rename the column.",
        ),
        (
            "a.csv",
            "text,label\n" + "good,1\nbad,2\n" * 100 + "text,label\nfine,1\n",
            "a.csv, line 202: row: got the header again; expected values. "
            "Were files put behind one another? Take this line out.",
        ),
        ("a.csv", "sep=\na,b\n1,2\n", "a.csv, line 1: sep=: got ''; expected one character, as in sep=;."),
        ("a.csv", '"sep=ab"\na,b\n1,2\n', "a.csv, line 1: sep=: got 'ab'; expected one character, as in sep=;."),
        # JSON
        (
            "a.jsonl",
            '{"review": "x"}\n{"review": "x", "review": "y"}\n',
            "a.jsonl, line 2: JSON: got 'review'; expected every key of an object once; this one comes twice.",
        ),
        (
            "a.json",
            '[{"a": {"b": 1, "c": 2, "b": 1}}]',
            "a.json, row 1: JSON: got 'b'; expected every key of an object once; this one comes twice.",
        ),
        (
            "a.jsonl",
            '{"x": [' + "9" * 5000 + "]}\n",
            'a.jsonl, line 1: JSON: got \'{"x": [' + "9" * 72 + "… (5011 characters); "
            "expected one whole object in JSON. A number has more than 4,300 digits.",
        ),
        (
            "a.jsonl",
            '{"x": ' + "[" * 100_000 + "\n",
            'a.jsonl, line 1: JSON: got \'{"x": ' + "[" * 73 + "… (100008 characters); "
            "expected one whole object in JSON. Nested too deep.",
        ),
        (
            "a.jsonl",
            '{"a": 1}\n{"a": 2,}\n',
            "a.jsonl, line 2: JSON: got '{\"a\": 2,}'; expected one whole object in JSON. "
            "Expecting property name enclosed in double quotes at character 9. Take out the comma before }.",
        ),
        (
            "a.jsonl",
            '{"a": 1}\n["a"]\n',
            'a.jsonl, line 2: row: got \'["a"]\'; expected a JSON object such as {"text": …, "label": …}.',
        ),
        (
            "a.json",
            '[{"a": 1}, {"a": 2',
            "a.json, row 2: JSON: got '{\"a\": 2'; expected one whole object in JSON. "
            "Expecting ',' delimiter at character 8.",
        ),
        (
            "a.json",
            '[{"a": 1} {"a": 2}]',
            "a.json, row 1: JSON: got '{\"a\": 2}]'; expected ',' or ']' after an object.",
        ),
        ("a.json", '[{"a": 1}] x', "a.json: JSON: got 'x'; expected nothing after the array."),
        (
            "a.parquet",
            "no",
            "a.parquet: content: got 'Parquet file size is 2 bytes, smaller than the minimum file footer (8 bytes)'; "
            "expected a whole parquet file. Write it again.",
        ),
        # FASTA
        ("a.fa", "ACGT\n", "a.fa, line 1: first line: got 'ACGT'; expected a header that begins with '>'."),
        ("a.fa", ">a\nA\n>\nC\n", "a.fa, line 3: header: got '>' alone; expected a name after it."),
        # .ts
        (
            "a.ts",
            "1,2,3:a\n",
            "a.ts, line 1: header: got no line '@data'; expected one before the first case. "
            "Is it a .ts file of the UEA and UCR archives?",
        ),
        (
            "a.ts",
            "@classLables true a\n@data\n1:a\n",
            "a.ts, line 1: header: got '@classLables'; expected one of @problemName, @timeStamps, @dimensions, "
            "@classLabel, @targetLabel, @data, ….",
        ),
        (
            "a.ts",
            "@\n@data\n1:a\n",
            "a.ts, line 1: header: got '@'; expected one of @problemName, @timeStamps, @dimensions, "
            "@classLabel, @targetLabel, @data, ….",
        ),
        (
            "a.ts",
            "@dimensions 1\n@dimension 1\n@data\n1:a\n",
            "a.ts, line 2: header: got @dimension again; expected it once. Take one of the lines out.",
        ),
        (
            "a.ts",
            "@univariate true\n@dimensions 2\n@data\n1:2\n",
            "a.ts: @univariate: got 'true'; expected false with @dimensions 2. Correct one of them.",
        ),
        (
            "a.ts",
            "@equalLength true\n@data\n1,2\n\n1,2\n1,2,3\n",
            "a.ts, line 6: steps: got 3; expected 2, as line 3 has. Write @equalLength false if cases may differ.",
        ),
        (
            "a.ts",
            "@seriesLength 2\n@data\n1,2\n1\n",
            "a.ts, line 4: steps: got 1; expected 2, as @seriesLength says. "
            "Write @equalLength false if cases may differ.",
        ),
        (
            "a.ts",
            "@equalLength true\n@seriesLength 2\n@data\n1\n",
            "a.ts, line 4: steps: got 1; expected 2, as @seriesLength says. "
            "Write @equalLength false if cases may differ.",
        ),
        (
            "a.ts",
            "@missing false\n@data\n1,?\n",
            "a.ts, line 3: value: got a missing one; expected none, as @missing false says. Write @missing true.",
        ),
        ("a.ts", "@timeStamps maybe\n@data\n1:a\n", "a.ts, line 1: @timeStamps: got 'maybe'; expected true or false."),
        (
            "a.ts",
            "@classLabel true a b\n@data\n1,2:a\n3:c\n",
            "a.ts, line 4: label: got 'c'; expected one of those after @classLabel: 'a', 'b'.",
        ),
        (
            "a.ts",
            "@classLabel true a b\n@data\n1,2:3,4:a\n3:b\n",
            "a.ts, line 4: channels: got 1; expected 2, as in the header or the first case.",
        ),
        (
            "a.ts",
            "@classLabel true a b\n@data\n1,2:3:a\n",
            "a.ts, line 3: channel 2: steps: got 1; expected 2, as in channel 1.",
        ),
        (
            "a.ts",
            "@classLabel true a b\n@data\n1,x:3,4:a\n",
            "a.ts, line 3: channel 1, step 2: got 'x'; expected a number.",
        ),
        (
            "a.ts",
            "@classLabel true a b\n@data\n1,2:inf,4:a\n",
            "a.ts, line 3: channel 2, step 1: got 'inf'; expected a finite number.",
        ),
        (
            "a.ts",
            "@timeStamps true\n@classLabel true a\n@data\n(0,1),(0,2):a\n",
            "a.ts, line 4: channel 1: time: got '0'; expected a time once only.",
        ),
        (
            "a.ts",
            "@timeStamps true\n@classLabel true a\n@data\n1,2:a\n",
            "a.ts, line 4: channel 1: got '1,2'; expected (time,value),(time,value),….",
        ),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, expected):
    assert message(tmp_path, name, content) == expected


def test_zip_with_several_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "a.zip")
    expected = f"{tmp_path}/a.zip: files in the zip: got 2; expected 1. Unpack it and name one of its files."
    assert str(caught.value) == expected


def test_parquet_garbled_in_the_middle(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.table({"x": [f"some text {i}" for i in range(5000)]}), tmp_path / "whole.parquet")
    content = bytearray((tmp_path / "whole.parquet").read_bytes())
    content[40:4000] = b"\xff" * 3960
    got = message(tmp_path, "a.parquet", bytes(content))
    assert got.startswith("a.parquet: content: got '")
    assert got.endswith("'; expected a whole parquet file. Write it again.")


def test_a_quote_left_open_does_not_read_the_whole_file(tmp_path):
    text = 'text,label\n"a,b\n' + "c,d\n" * 60_000
    assert message(tmp_path, "a.csv", text) == (
        "a.csv, line 2: quotes: got a double quote that is opened here and not closed; expected pairs. "
        'Close it, or write "" for a quote inside a quoted field.'
    )


def test_bad_json_deep_in_a_long_array_is_found_at_once(tmp_path):
    text = "[" + json.dumps({"a": "x" * 100}) + ', {"a": oops}' + ", {}" * 200_000 + "]"
    got = message(tmp_path, "a.json", text)
    assert got.startswith('a.json, row 2: JSON: got \'{"a": oops}, {}, {}')
    assert got.endswith("expected one whole object in JSON. Expecting value at character 7.")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"format": "cvs"},
            "format: got 'cvs'; expected one of 'csv', 'tsv', 'jsonl', 'json', 'parquet', 'txt', 'fasta', 'ts', "
            "'conllu', 'conll', 'folder'. "
            "Did you mean 'csv'?",
        ),
        (
            {"encoding": "utf-9"},
            "encoding: got 'utf-9'; expected the name of a text encoding, such as 'utf-8', 'latin-1' or 'utf-16'.",
        ),
        ({"separator": ",,"}, "separator: got ',,'; expected one character such as ',' or ';', or 'tab'."),
        (
            {"format": "txt", "separator": ";"},
            "separator: got ';'; expected none for a txt file. Only csv and tsv have one.",
        ),
        ({"format": "folder"}, "a.csv: folder: got a file; expected a folder with one folder for each class."),
    ],
)
def test_options(tmp_path, options, expected):
    assert message(tmp_path, "a.csv", "a,b\n1,2\n", **options) == expected


def test_a_path_that_is_none():
    with pytest.raises(InputError) as caught:
        open_source(["a.csv"])
    assert str(caught.value) == "path: got 'list'; expected the path of a file or folder."


def test_a_separator_that_contradicts_the_file(tmp_path):
    (tmp_path / "a.csv").write_text("sep=;\na;b\n1;2\n")
    with pytest.raises(DataError) as caught:
        open_source(tmp_path / "a.csv", separator=",")
    text = "separator: got ','; expected semicolon, as line 1 says. Leave --separator out, or take line 1 out."
    assert str(caught.value) == f"{tmp_path}/a.csv, line 1: {text}"


def test_a_class_folder_with_something_that_is_no_file(tmp_path):
    (tmp_path / "pos").mkdir()
    os.mkfifo(tmp_path / "pos" / "a.txt")
    with pytest.raises(DataError) as caught:
        open_source(tmp_path)
    text = "class folder: got something that is no file; expected text files."
    assert str(caught.value) == f"{tmp_path}/pos/a.txt: {text}"
