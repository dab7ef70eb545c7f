"""Pairs of texts from aligned files, tables and memory: each line has its pair, and what is wrong is named by line."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur.data import Corpus, read_labels
from rekur.data.labelled import labelled
from rekur.data.memory import from_memory
from rekur.data.pairs import PairColumns, pairs_in_memory, read_pairs
from rekur.errors import DataError, InputError

NAMED = PairColumns(source="source", target="target")


def written(folder: Path, **texts: str) -> list[Path]:
    """Return files by their endings, whose line ends are written as they are."""
    files = []
    for ending, text in texts.items():
        files.append(folder / f"a.{ending}")
        files[-1].write_bytes(text.encode())
    return files


def pairs_of(corpus: Corpus) -> list[tuple[Any, Any, int]]:
    return [(pair.item, pair.label, pair.line) for pair in corpus]


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_lf_ends_a_line(tmp_path: Path) -> None:
    files = written(
        tmp_path, en="one\u2028two\nthree\x85four\nfive\vsix\fseven\neight\u2029\n", fr="un\ntrois\ncinq\nhuit\n"
    )
    assert pairs_of(read_pairs(files)) == [
        ("one\u2028two", "un", 1),
        ("three\x85four", "trois", 2),
        ("five\vsix\fseven", "cinq", 3),
        ("eight\u2029", "huit", 4),
    ]


def test_a_cr_belongs_to_the_line_end_only_before_lf(tmp_path: Path) -> None:
    files = written(tmp_path, en="Hours.\r Plan.\nRest.\nWork.", fr="Horaires.\r Planifier.\r\nRepos.\r\r\nTravail.")
    assert pairs_of(read_pairs(files)) == [
        ("Hours.\r Plan.", "Horaires.\r Planifier.", 1),
        ("Rest.", "Repos.\r", 2),
        ("Work.", "Travail.", 3),
    ]


def test_a_byte_order_mark_and_packing_are_taken_off(tmp_path: Path) -> None:
    files = written(tmp_path, en="\ufeffA dog.\n")
    packed = tmp_path / "a.fr.gz"
    packed.write_bytes(gzip.compress(b"Un chien.\n"))
    assert pairs_of(read_pairs([*files, packed])) == [("A dog.", "Un chien.", 1)]


def test_special_words_and_spaces_are_characters(tmp_path: Path) -> None:
    english = ["Press <unk> now", "The tag </s>", "<s> <pad> ||| b", "low@@ er", "▁under ##ing"]
    french = ["Pressez\u202f!", "« oui\u00a0»", "fu\u0308r ﬁn …", "٢", " a "]
    files = written(tmp_path, en="\n".join(english), fr="\n".join(french))
    assert [pair[:2] for pair in pairs_of(read_pairs(files))] == list(zip(english, french, strict=True))


# ── empty sides ──────────────────────────────────────────────────────────────────────────────────────────────────

BLANK = {"en": "A dog.\n\nA cat.\n   \nA bird.\n", "fr": "Un chien.\nDe trop.\nUn chat.\nEncore.\n\n"}


def test_training_leaves_out_pairs_with_an_empty_side_and_names_their_lines(tmp_path: Path) -> None:
    files = written(tmp_path, **BLANK)
    corpus = read_pairs(files)
    for _ in range(2):  # the second pass counts anew
        assert pairs_of(corpus) == [("A dog.", "Un chien.", 1), ("A cat.", "Un chat.", 3)]
    (note,) = corpus.notes()
    assert "3 of 5 pairs" in note
    assert f"source in lines 2, 4 of {files[0]}" in note
    assert f"target in line 5 of {files[1]}" in note


def test_evaluation_keeps_them(tmp_path: Path) -> None:
    corpus = read_pairs(written(tmp_path, **BLANK), use="evaluation")
    assert [pair[:2] for pair in pairs_of(corpus)][1:4:2] == [("", "De trop."), ("   ", "Encore.")]
    assert pairs_of(corpus)[4] == ("A bird.", "", 5)
    assert corpus.notes() == []


def test_many_lines_are_named_in_part(tmp_path: Path) -> None:
    corpus = read_pairs(written(tmp_path, en="a\n" + "\n" * 20, fr="b\n" * 21))
    assert len(list(corpus)) == 1
    assert "lines 2, 3, 4, 5, 6, 7, 8, 9, … (20 in all)" in corpus.notes()[0]


def test_pairs_that_are_all_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pair with a text on both sides"):
        list(read_pairs(written(tmp_path, en="\n\n", fr="a\nb\n")))


# ── files that do not fit ────────────────────────────────────────────────────────────────────────────────────────


def test_files_of_other_length_are_refused_at_once(tmp_path: Path) -> None:
    files = written(tmp_path, en="a\nb\nc\nd\n", fr="a\nb\nc\n")
    for first, second, counts in ((*files, (4, 3)), (*reversed(files), (3, 4))):
        with pytest.raises(DataError) as caught:
            read_pairs([first, second], use="evaluation")
        for part in (f"{counts[0]} lines in {first}", f"{counts[1]} lines in {second}", "empty line", "line end"):
            assert part in str(caught.value)


def test_the_likely_cause_of_another_length_is_named(tmp_path: Path) -> None:
    files = written(tmp_path, en="a\n\nc\u2028\n", fr="a\nc\n")
    with pytest.raises(DataError) as caught:
        read_pairs(files)
    assert f"{files[0]} has blank lines (line 2) and U+2028 inside of lines (line 3)." in str(caught.value)


def test_a_nul_is_refused_with_its_line(tmp_path: Path) -> None:
    files = written(tmp_path, en="A dog.\nA\0 cat.\nA bird.\n", fr="a\nb\nc\n")
    with pytest.raises(DataError, match=r"a.en, line 2: .*NUL"):
        read_pairs(files)


def test_bad_files(tmp_path: Path) -> None:
    english, french, table, empty = written(tmp_path, en="a\n", fr="b\n", tsv="source\ttarget\na\tb\n", txt="")
    bad = (
        ([english, tmp_path / "a.frr"], {}, "Did you mean"),
        ([english, empty], {}, "a.txt: lines: got 0"),
        ([english, tmp_path], {}, "got a folder"),
        ([english], {}, "got one file of text; expected two aligned files, or one table"),
        ([english, french, english], {}, "3 files"),
        ([table, table], {}, r"got a table \(.tsv\) as one of several files"),
        ([english, french], {"columns": NAMED}, "source column: got 'source'; expected none for text files"),
        ([english, french], {"separator": ","}, "separator"),
        ([english, french], {"format": "csv"}, "expected txt for two aligned files"),
        ([english, french], {"use": "prediction"}, "2 files"),
        ([english, french], {"use": "practice"}, "practice"),
        ([english, french], {"encoding": "utf-88"}, "encoding"),
    )
    for files, options, text in bad:
        with pytest.raises(InputError, match=text):
            read_pairs(files, **options)


def test_text_in_another_encoding_is_refused_by_line(tmp_path: Path) -> None:
    (english,) = written(tmp_path, en="a\nb\n")
    french = tmp_path / "a.fr"
    french.write_bytes("un\nété\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a.fr, line 2: .*latin-1"):
        read_pairs([english, french])
    assert pairs_of(read_pairs([english, french], encoding="latin-1"))[1][1] == "été"


def test_one_file_as_both_sides_is_said(tmp_path: Path) -> None:
    (english,) = written(tmp_path, en="a\n")
    assert "both source and target" in read_pairs([english, english]).notes()[0]


# ── prediction ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_prediction_has_an_item_a_line(tmp_path: Path) -> None:
    files = written(tmp_path, en="A dog.\n\n  \nlast")
    assert pairs_of(read_pairs(files, use="prediction")) == [
        ("A dog.", None, 1),
        ("", None, 2),
        ("  ", None, 3),
        ("last", None, 4),
    ]


def test_prediction_of_a_table_needs_no_targets(tmp_path: Path) -> None:
    (table,) = written(tmp_path, tsv="source\tid\nA dog.\tx\n\ty\n")
    corpus = read_pairs(table, PairColumns(source="source", target="absent", id="id"), use="prediction")
    assert [(pair.item, pair.label, pair.id) for pair in corpus] == [("A dog.", None, "x"), ("", None, "y")]


def test_a_blank_line_of_one_column_is_a_text(tmp_path: Path) -> None:
    (table,) = written(tmp_path, tsv="source\nA dog.\n\n \nA cat.\n")
    corpus = read_pairs(table, PairColumns(source="source"), use="prediction")
    assert [pair.item for pair in corpus] == ["A dog.", "", " ", "A cat."]


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────

QUOTES = 'source\ttarget\n"Yes, he said.\t"Oui, dit-il.\nNo.\tNon.\nA 36" screen\tUn écran\n"go"\t"va"\n'


def test_a_quote_of_a_tsv_is_a_character(tmp_path: Path) -> None:
    (table,) = written(tmp_path, tsv=QUOTES)
    assert pairs_of(read_pairs(table, NAMED)) == [
        ('"Yes, he said.', '"Oui, dit-il.', 2),
        ("No.", "Non.", 3),
        ('A 36" screen', "Un écran", 4),
        ('"go"', '"va"', 5),
    ]


def test_only_lf_ends_a_row_of_tsv(tmp_path: Path) -> None:
    (table,) = written(tmp_path, tsv="source\ttarget\r\na\rb\tc\u2028\x85d\r\n\n\tempty\r\n")
    assert pairs_of(read_pairs(table, NAMED)) == [("a\rb", "c\u2028\x85d", 2)]
    assert pairs_of(read_pairs(table, NAMED, use="evaluation"))[1] == ("", "empty", 4)


@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_columns_without_names_are_numbered(ending: str, tmp_path: Path) -> None:
    separator = {"tsv": "\t", "csv": ","}[ending]
    (table,) = written(tmp_path, **{ending: f"A dog.{separator}Un chien.\nA cat.{separator}Un chat.\n"})
    corpus = read_pairs(table, PairColumns(source="1", target="2"))
    assert pairs_of(corpus) == [("A dog.", "Un chien.", 1), ("A cat.", "Un chat.", 2)]
    assert "the first line is a pair" in corpus.notes()[0]
    assert pairs_of(read_pairs(table, PairColumns(source="2", target="1")))[0][0] == "Un chien."
    for columns, text in (
        (NAMED, "'A dog.', 'Un chien.'.*--source 1 --target 2"),
        (PairColumns(source="1", target="3"), "expected one of the columns '1', '2'"),
    ):
        with pytest.raises(InputError, match=text):
            read_pairs(table, columns)


def test_numbers_may_be_names(tmp_path: Path) -> None:
    (table,) = written(tmp_path, csv="0,1,2\nx,a,b\n")
    corpus = read_pairs(table, PairColumns(source="1", target="2"))
    assert pairs_of(corpus) == [("a", "b", 2)]
    assert corpus.notes() == []


def test_a_row_of_another_width_is_refused_by_line(tmp_path: Path) -> None:
    (table,) = written(tmp_path, tsv="a\tb\na\tb\tc\n")
    with pytest.raises(DataError, match="line 2: fields: got 3; expected 2"):
        list(read_pairs(table, PairColumns(source="1", target="2")))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet"])
def test_tables_of_every_format_give_the_same_pairs(name: str, tmp_path: Path) -> None:
    rows = [{"source": "A dog,\nbig.", "target": 'Un "chien".'}, {"source": "A cat.", "target": "Un chat."}]
    path = tmp_path / name
    if name == "a.csv":
        path.write_text('source,target\n"A dog,\nbig.","Un ""chien""."\nA cat.,Un chat.\n')
    elif name == "a.parquet":
        arrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows) if name == "a.json" else "".join(json.dumps(row) + "\n" for row in rows))
    texts = [tuple(row.values()) for row in rows]
    assert [pair[:2] for pair in pairs_of(read_pairs(path, NAMED))] == texts
    assert [pair[:2] for pair in pairs_of(read_pairs(from_memory(rows), NAMED))] == texts


def test_objects_in_a_column_have_keys(tmp_path: Path) -> None:
    rows = [{"translation": {"en": "A dog.", "fr": "Un chien."}}]
    (table,) = written(tmp_path, jsonl="".join(json.dumps(row) + "\n" for row in rows))
    for files in (table, from_memory(rows)):
        corpus = read_pairs(files, PairColumns(source="translation.en", target="translation.fr"))
        assert [pair[:2] for pair in pairs_of(corpus)] == [("A dog.", "Un chien.")]
    with pytest.raises(InputError, match="'en', 'fr'; expected 'de' among them"):
        list(read_pairs(table, PairColumns(source="translation.en", target="translation.de")))


def test_columns_must_be_named(tmp_path: Path) -> None:
    (table,) = written(tmp_path, csv="en,fr\na,b\n")
    for columns, text in (
        (PairColumns(), "--source: got none.*'en', 'fr'"),
        (PairColumns(source="en"), "--target: got none.*'en', 'fr'"),
        (PairColumns(source="en", target="en"), "another than that of the sources"),
        (PairColumns(source="en", target="fra"), "Did you mean 'fr'"),
        (PairColumns(source="en", target=["fr", "fr"]), "got 'fr' twice"),
    ):
        with pytest.raises(InputError, match=text):
            read_pairs(table, columns)


# ── references ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_reference_is_a_pair_in_training_and_all_are_one_label_in_evaluation(tmp_path: Path) -> None:
    (table,) = written(tmp_path, csv="en,fr,fr2\na,b,c\nd,e,\n")
    columns = PairColumns(source="en", target=["fr", "fr2"])
    corpus = read_pairs(table, columns)
    assert pairs_of(corpus) == [("a", "b", 2), ("a", "c", 2), ("d", "e", 3)]
    assert "1 of 4 pairs (target in line 3" in corpus.notes()[0]
    assert pairs_of(read_pairs(table, columns, use="evaluation")) == [("a", ("b", "c"), 2), ("d", ("e", ""), 3)]
    assert read_labels(read_pairs(table, columns, use="evaluation")).values[0] == ("b", "c")


def test_a_cell_may_hold_a_list_of_references(tmp_path: Path) -> None:
    rows = [{"source": "a", "target": ["b", "c"]}, {"source": "d", "target": "e"}]
    (table,) = written(tmp_path, jsonl="".join(json.dumps(row) + "\n" for row in rows))
    assert [pair[:2] for pair in pairs_of(read_pairs(table, NAMED))] == [("a", "b"), ("a", "c"), ("d", "e")]
    labels = [pair[1] for pair in pairs_of(read_pairs(table, NAMED, use="evaluation"))]
    assert labels == [("b", "c"), "e"]


@pytest.mark.parametrize("target", [None, [], ["a", None]])
def test_a_missing_reference_is_left_out_of_training_and_refused_in_evaluation(target: Any, tmp_path: Path) -> None:
    rows = [{"source": "a", "target": "b"}, {"source": "c", "target": target}]
    (table,) = written(tmp_path, jsonl="".join(json.dumps(row) + "\n" for row in rows))
    corpus = read_pairs(table, NAMED)
    assert len(list(corpus)) == (2 if target else 1)
    assert "target in line 2" in corpus.notes()[0]
    with pytest.raises(DataError, match=r"line 2: target.*got "):
        list(read_pairs(table, NAMED, use="evaluation"))


@pytest.mark.parametrize(
    ("cell", "text"), [("5", "got 5; expected text"), (r'"\ud83d"', "expected text in whole characters of utf-8")]
)
def test_a_cell_that_is_no_text_is_refused_by_line(cell: str, text: str, tmp_path: Path) -> None:
    (table,) = written(tmp_path, jsonl=f'{{"source": "a", "target": {cell}}}\n')
    with pytest.raises(DataError, match=f"line 1: target: .*{text}"):
        list(read_pairs(table, NAMED))


def test_a_file_whose_only_line_ends_are_cr_is_refused(tmp_path: Path) -> None:
    files = written(tmp_path, en="a\rb\rc\r", fr="d\ne\nf\n")
    for pair in (files, files[::-1]):
        with pytest.raises(DataError, match=r"a.en: line ends: got 3 CR and no LF; expected LF.* tr "):
            read_pairs(pair)
    with pytest.raises(DataError, match="got 3 CR and no LF"):
        read_pairs(files[:1], use="prediction")


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_lists_in_memory() -> None:
    assert pairs_of(pairs_in_memory(["a", "b"], ["c", ["d", "e"]])) == [("a", "c", 0), ("b", "d", 1), ("b", "e", 1)]
    corpus = pairs_in_memory(["a", ""], ["c", "d"])
    assert len(list(corpus)) == 1
    assert "source in item 1 of X" in corpus.notes()[0]
    assert pairs_of(pairs_in_memory(["a", ""], None, use="prediction")) == [("a", None, 0), ("", None, 1)]
    for X, y, text in (
        (["a"], ["b", "c"], "y: got 2 labels; expected one for each of the 1 items in X"),
        (["a"], None, "y: got"),
        (["a", 5], ["b", "c"], r"X\[1\]: got 5; expected text"),
        (["a"], [5], r"y\[0\]: got 5; expected text"),
        ("a text", ["b"], "X: got 'str'; expected a list of texts"),
    ):
        with pytest.raises(InputError, match=text):
            pairs_in_memory(X, y)


# ── pipes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pipes_are_read_once(tmp_path: Path) -> None:
    pipes = [tmp_path / "en", tmp_path / "fr"]
    for pipe, text in zip(pipes, ("a\nb\n", "c\nd\n"), strict=True):
        os.mkfifo(pipe)
        threading.Thread(target=pipe.write_text, args=(text,), daemon=True).start()
    corpus = read_pairs(pipes)
    assert pairs_of(corpus) == pairs_of(corpus) == [("a", "c", 1), ("b", "d", 2)]


def test_pipes_in_one_pass_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\nc\n")))
    (french,) = written(tmp_path, fr="c\nd\n")
    corpus = iter(read_pairs([Path("-"), french], use="evaluation", once=True))
    assert next(corpus).item == "a"
    with pytest.raises(DataError, match="3 lines in standard input and 2 lines"):
        list(corpus)


def test_one_stream_is_not_both_sides() -> None:
    with pytest.raises(InputError, match="one stream"):
        read_pairs([Path("-"), Path("-")])


def test_weights_are_those_of_the_items_whatever_examples_they_give() -> None:
    corpus = labelled(["a", "", "b", "c"], ["x", "y", ["u", "v"], "z"], kind="pairs")
    weighted = corpus.weighted(np.array([1.0, 2.0, 3.0, 0.0]))
    assert [(pair.item, pair.label, pair.weight) for pair in weighted] == [("a", "x", 1), ("b", "u", 3), ("b", "v", 3)]
