"""CoNLL and CoNLL-U: words, tags and lines; what is no word is left out and counted; what is broken is named."""

from __future__ import annotations

import gzip
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from rekur.data.conll import ColumnSource, Conll
from rekur.data.conllu import ConllU
from rekur.data.inputs import open_input
from rekur.data.source import Tagged
from rekur.errors import DataError, InputError

UD = """\
# sent_id = s1
# text = Vamos al mar.
1\tVamos\tir\tVERB\t_\tNumber=Plur\t0\troot\t_\t_
2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_
2\ta\ta\tADP\t_\t_\t4\tcase\t_\t_
3\tel\tel\tDET\t_\t_\t4\tdet\t_\t_
4\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\tSpaceAfter=No
5\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_

# newpar
# sent_id = s2
1\tAna\tAna\tPROPN\t_\t_\t2\tnsubj\t_\t_
2\ttoma\ttomar\tVERB\t_\t_\t0\troot\t_\t_
2.1\ttoma\ttomar\tVERB\t_\t_\t_\t_\t2:conj\t_
2.2\tten con ten\t_\tNOUN\t_\t_\t_\t_\t2:obj\t_
3\t10 000\t10 000\tNUM\t_\t_\t2\tobj\t_\t_
"""


def source(folder: Path, content: str | bytes, name: str = "a.conll") -> ColumnSource:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    kind = ConllU if ".conllu" in name else Conll
    return kind(open_input(path), "utf-8-sig")


def read(folder: Path, content: str | bytes, name: str = "a.conll", **columns: str | int) -> list[Tagged]:
    return list(source(folder, content, name).tagged(**columns))


def pairs(sentences: list[Tagged]) -> list[list[tuple[str, str]]]:
    return [list(zip(sentence.words, sentence.tags, strict=True)) for sentence in sentences]


def message(folder: Path, content: str | bytes, name: str = "a.conll", **columns: str | int) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, content, name, **columns)
    return str(caught.value).replace(f"{folder}/", "")


def test_universal_words_are_those_with_a_number_of_their_own(tmp_path: Path) -> None:
    opened = source(tmp_path, UD, "a.conllu")
    assert (opened.format, opened.key, opened.columns[:3]) == ("conllu", "sent_id", ["form", "lemma", "upos"])
    sentences = list(opened.tagged(tags="upos"))
    assert pairs(sentences) == [
        [("Vamos", "VERB"), ("a", "ADP"), ("el", "DET"), ("mar", "NOUN"), (".", "PUNCT")],
        [("Ana", "PROPN"), ("toma", "VERB"), ("10 000", "NUM")],
    ]
    assert [sentence.id for sentence in sentences] == ["s1", "s2"]
    assert [sentence.lines for sentence in sentences] == [[3, 5, 6, 7, 8], [12, 13, 16]]
    assert opened.left_out == {"multi-word ranges": 1, "empty nodes": 2}
    assert list(opened.tagged(tags="upos")) == sentences  # again
    assert opened.left_out == {"multi-word ranges": 1, "empty nodes": 2}


def test_universal_columns_by_name_and_comments(tmp_path: Path) -> None:
    opened = source(tmp_path, UD, "a.conllu")
    first, second = opened.rows()
    assert (first["sent_id"], first["text"], first.line) == ("s1", "Vamos al mar.", 3)
    assert (second["sent_id"], second["text"]) == ("s2", None)
    assert first["xpos"] == [None] * 5  # says that it is missing
    assert first["feats"] == ["Number=Plur", "_", "_", "_", "_"]  # has no features
    assert first["deprel"] == ["root", "case", "det", "obl", "punct"]
    assert first["head"] == ["0", "4", "4", "1", "1"]
    assert first["misc"][3] == "SpaceAfter=No"
    assert next(opened.tagged(words="lemma", tags="feats")).words == ["ir", "a", "el", "mar", "."]


PLUS = """\
# global.columns = ID FORM UPOS PARSEME:MWE
# sent_id = s1
1\tAna\tPROPN\t*
2-3\tdel\t_\t*
2\tgives\tVERB\t1:VPC
3\tup\tADV\t1
"""


def test_the_first_line_of_conllu_plus_names_the_columns(tmp_path: Path) -> None:
    opened = source(tmp_path, PLUS, "a.conllup")
    assert opened.columns == ["form", "upos", "PARSEME:MWE", "sent_id", "text"]
    (sentence,) = opened.tagged(tags="PARSEME:MWE")
    assert (sentence.words, sentence.tags, sentence.id) == (["Ana", "gives", "up"], ["*", "1:VPC", "1"], "s1")
    assert opened.left_out == {"multi-word ranges": 1}
    swapped = PLUS.replace("ID FORM UPOS", "UPOS ID FORM").replace("1\tAna\tPROPN", "PROPN\t1\tAna")
    swapped = "".join(swapped.splitlines(keepends=True)[:3])
    assert pairs(list(source(tmp_path, swapped, "a.conllup").tagged(tags="upos"))) == [[("Ana", "PROPN")]]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("ID FORM", "FORM", "line 1: global.columns: got 'FORM UPOS PARSEME:MWE'; expected ID and FORM among them."),
        ("UPOS", "FORM", "line 1: column names: got 'form' for columns 2 and 3;"),
        ("up\tADV", "up", "line 6: columns: got 3; expected 4 with tabs between. Write '_' where there is nothing."),
        ("\t*\n2-3", "\t_\n2-3", "line 3: PARSEME:MWE: got '_', which says that it is missing; expected one for each"),
    ],
)
def test_bad_conllu_plus_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    told = message(tmp_path, PLUS.replace(old, new), "a.conllup", tags="PARSEME:MWE")
    assert told.startswith(f"a.conllup, {expected}")


NUMBERED = """\
# sent_id = a
# text = Where is #one
1\tWhere\tO\t-
2\tis\tO\t-
3\t#one\tB-PER\tann

# sent_id = b
1-2\tdel\t_\t_
1\tde\tO\t-
2\tel\tO\t-
2.1\tx\t_\t_
"""


def test_a_file_that_numbers_its_words_has_comments(tmp_path: Path) -> None:
    opened = source(tmp_path, NUMBERED, "a.iob2")
    sentences = list(opened.tagged(words="2", tags="3"))
    assert pairs(sentences) == [[("Where", "O"), ("is", "O"), ("#one", "B-PER")], [("de", "O"), ("el", "O")]]
    assert [sentence.lines for sentence in sentences] == [[3, 4, 5], [9, 10]]
    assert opened.left_out == {"multi-word ranges": 1, "empty nodes": 1}
    assert message(tmp_path, NUMBERED).startswith("a.conll: text column: got '1, which numbers the words'; expected")
    short = "# a\n1 Ada X\n2 ran Y\n"
    assert pairs(list(source(tmp_path, short).tagged(words="2"))) == [[("Ada", "X"), ("ran", "Y")]]
    assert pairs(read(tmp_path, "1 X\n2 Y\n")) == [[("1", "X"), ("2", "Y")]]  # words that are numbers
    assert pairs(read(tmp_path, "#1 X\n1 Y\n\n1-2 X\n1.5 Y\n")) == [
        [("#1", "X"), ("1", "Y")],
        [("1-2", "X"), ("1.5", "Y")],
    ]


def test_a_comment_belongs_to_the_sentence_below_it(tmp_path: Path) -> None:
    word = "1\ta\ta\tX\t_\t_\t0\troot\t_\t_\n"
    text = f"# sent_id = lost\n\n{word}\n\n\n# sent_id = b\n{word}"
    assert [row["sent_id"] for row in source(tmp_path, text, "a.conllu").rows()] == [None, "b"]


def test_a_universal_label_must_be_named_and_be_there(tmp_path: Path) -> None:
    assert message(tmp_path, UD, "a.conllu").startswith(
        "a.conllu: label column: got 'none'; expected one of lemma, upos"
    )
    assert "Did you mean 'upos'?" in message(tmp_path, UD, "a.conllu", tags="upso")
    expected = "a.conllu: label column: got 'text'; expected one with a value for each word."
    assert message(tmp_path, UD, "a.conllu", tags="text") == expected
    expected = "label column: got 'form'; expected another than that of the words."
    assert message(tmp_path, UD, "a.conllu", tags="form") == expected
    expected = "a.conllu, line 3: xpos: got '_', which says that it is missing; expected one for each word."
    assert message(tmp_path, UD, "a.conllu", tags="xpos") == expected


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("3\tel", "4\tel", 6, "id: got '4'; expected 3. Is a line missing, or twice there?"),
        ("3\tel", "2\tel", 6, "id: got '2'; expected 3. Is a line missing, or twice there?"),
        ("5\t.", "1\t.", 8, "id: got '1'; expected 5. Put a blank line before it."),
        ("3\tel", "x\tel", 6, "id: got 'x'; expected a number such as 3, 3-4 or 3.1."),
        ("3\tel", "٣\tel", 6, "id: got '٣'; expected a number such as 3, 3-4 or 3.1."),
        ("2-3", "3-4", 4, "id: got '3-4'; expected a range of new words from 2 on."),
        ("2-3", "2-2", 4, "id: got '2-2'; expected a range of new words from 2 on."),
        ("3\tel", "3-5\tel", 6, "id: got '3-5'; expected a range of new words from 3 on."),
        ("2-3", "2-9", 4, "id: got '…-9'; expected a range that ends at 5 or before, the last word of the sentence."),
        ("2.1", "2.2", 14, "id: got '2.2'; expected 2.1."),
        ("2.2", "3.1", 15, "id: got '3.1'; expected 2.2."),
        ("1\tVamos\tir\tVERB", "1\tVamos\tVERB", 3, "columns: got 9; expected 10 with tabs between."),
        ("1\tVamos\tir\tVERB\t_", "1 Vamos ir VERB _", 3, "columns: got 6; expected 10 with tabs between."),
        ("1\tVamos", "1\t ", 3, "form: got ' '; expected one character or more that is no blank."),
        ("VERB\t_\tNumber=Plur", "_\t_\t_", 3, "upos: got '_', which says that it is missing; expected one"),
        ("VERB\t_\tNumber=Plur", "\t_\t_", 3, "upos: got '_', which says that it is missing; expected one"),
    ],
)
def test_a_broken_line_of_universal(tmp_path: Path, old: str, new: str, line: int, expected: str) -> None:
    text = message(tmp_path, UD.replace(old, new, 1), "a.conllu", tags="upos")
    assert text.startswith(f"a.conllu, line {line}: {expected}")


def test_columns_with_blanks_where_tabs_should_be(tmp_path: Path) -> None:
    text = message(tmp_path, UD.replace("\t", " "), "a.conllu", tags="upos")
    assert text == "a.conllu, line 3: columns: got 1; expected 10 with tabs between. Put tabs between them."


@pytest.mark.parametrize("text", ["", "\n\n", "# sent_id = a\n\n# text = b\n"])
def test_universal_without_a_sentence(tmp_path: Path, text: str) -> None:
    assert message(tmp_path, text, "a.conllu", tags="upos") == "a.conllu: sentences: got 0; expected 1 or more."


def test_a_sentence_of_nodes_alone(tmp_path: Path) -> None:
    text = UD + "\n0.1\tx\tx\tX\t_\t_\t_\t_\t_\t_\n"
    expected = "a.conllu, line 18: words: got 0 in a sentence; expected 1 or more."
    assert message(tmp_path, text, "a.conllu", tags="upos") == expected


def test_the_first_column_holds_the_words_and_the_last_the_tags(tmp_path: Path) -> None:
    text = "Ada NNP I-NP B-PER\nleft VBD I-VP O\n\n\nOslo NNP I-NP B-LOC"
    opened = source(tmp_path, text)
    assert (opened.format, opened.columns) == ("conll", ["1", "2", "3", "4"])
    assert pairs(list(opened.tagged())) == [[("Ada", "B-PER"), ("left", "O")], [("Oslo", "B-LOC")]]
    assert pairs(list(opened.tagged(tags=2)))[0] == [("Ada", "NNP"), ("left", "VBD")]
    assert pairs(list(opened.tagged(words="2", tags="3")))[0] == [("NNP", "I-NP"), ("VBD", "I-VP")]
    assert [sentence.lines for sentence in opened.tagged()] == [[1, 2], [5]]
    assert (
        message(tmp_path, text, tags=5)
        == "a.conll: label column: got '5'; expected one of the columns '1', '2', '3', '4'."
    )
    assert message(tmp_path, text, tags=0).startswith("a.conll: label column: got '0'")
    assert message(tmp_path, text, tags=1) == "label column: got '1'; expected another than that of the words."


def test_document_marks_end_sentences_and_are_no_words(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O\n\nEU NNP I-ORG\n-DOCSTART- -X- -X- O\nOslo NNP I-LOC\n-DOCSTART-\n"
    opened = source(tmp_path, text)
    assert pairs(list(opened.tagged())) == [[("EU", "I-ORG")], [("Oslo", "I-LOC")]]
    assert opened.left_out == {"document marks": 3}


def test_a_hash_begins_a_word(tmp_path: Path) -> None:
    text = "#monday\tO\n#\tO\n\n#Oslo\tB-loc\n"
    assert pairs(read(tmp_path, text)) == [[("#monday", "O"), ("#", "O")], [("#Oslo", "B-loc")]]


@pytest.mark.parametrize(
    "mark", ["\u00a0", "\u202f", "\u2028", "\u2029", "\u0085", "\u3000", "\u00ad", "\x0b", "\x0c", "\x1c", "\r"]
)
def test_spaces_and_line_ends_of_unicode_do_not_cut(tmp_path: Path, mark: str) -> None:
    word = f"10{mark}000"
    assert pairs(read(tmp_path, f"a\tO\n{word}\tB-NUM\n\nb\tO\n")) == [[("a", "O"), (word, "B-NUM")], [("b", "O")]]
    universal = f"1\t{word}\t_\tNUM\t_\t_\t0\troot\t_\t_\n"
    assert pairs(read(tmp_path, f"# a\n{universal}", "a.conllu", tags="upos")) == [[(word, "NUM")]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_blank_lines_and_a_byte_order_mark(tmp_path: Path, end: str) -> None:
    lines = ["\ufeffAda\tB-PER", "left\tO", " \t", "", "Oslo\tB-LOC\t", "is\tO ", "", "fine\tO"]
    sentences = read(tmp_path, end.join(lines))
    assert pairs(sentences) == [[("Ada", "B-PER"), ("left", "O")], [("Oslo", "B-LOC"), ("is", "O")], [("fine", "O")]]
    assert [sentence.lines for sentence in sentences] == [[1, 2], [5, 6], [8]]
    universal = ("\ufeff" + UD).replace("\n", end).encode()
    assert read(tmp_path, universal, "a.conllu", tags="upos") == read(tmp_path, UD, "b.conllu", tags="upos")


def test_a_last_line_cut_inside_its_end(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, "Ada\tO\r\nleft\tO\r")) == [[("Ada", "O"), ("left", "O")]]


def test_line_ends_of_old_machines_are_refused(tmp_path: Path) -> None:
    expected = "a.conll, line 1: line ends: got CR alone; expected LF or CRLF. Convert the file."
    assert message(tmp_path, "Ada\tO\rleft\tO\r\rOslo\tO\r") == expected


def test_blanks_in_words_of_a_file_with_tabs(tmp_path: Path) -> None:
    first = "New York\tB-LOC\nis\tO\n"
    assert pairs(read(tmp_path, first)) == [[("New York", "B-LOC"), ("is", "O")]]
    assert pairs(read(tmp_path, "is\tO\nNew York\tB-LOC\n")) == [[("is", "O"), ("New York", "B-LOC")]]
    many = "is\tO\n" * 200 + "New York\tB-LOC\n"
    assert pairs(read(tmp_path, many))[0][-1] == ("New York", "B-LOC")


def test_blanks_and_tabs_may_be_mixed(tmp_path: Path) -> None:
    text = "Ada  NNP \t B-PER\nleft VBD O\nis\tVBZ O\n"
    assert pairs(read(tmp_path, text)) == [[("Ada", "B-PER"), ("left", "O"), ("is", "O")]]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (
            "Ada B-PER\nleft O\n\nOslo B-LOC\nis\nfine O\n",
            5,
            "columns: got 1; expected 2, as in line 1. Add the missing columns.",
        ),
        ("is\nAda B-PER\nleft O\n", 1, "columns: got 1; expected 2, as in line 2. Add the missing columns."),
        ("a O\nb O x\n", 2, "columns: got 3; expected 2, as in line 1. Is a blank line or a line end missing?"),
        (
            "Ada\tB-PER\nwent\tO\n \tO\nOslo\tB-LOC\n",
            3,
            "column 1: got ''; expected one character or more that is no blank.",
        ),
        ("Ada\tO\n\tO\n", 2, "column 1: got ''; expected one character or more that is no blank."),
        ("Ada\tNNP\tO\nb\t\tO\n", 2, "column 2: got ''; expected one character or more that is no blank."),
        ("Ada\tO\nleft\t\n", 2, "columns: got 1; expected 2, as in line 1. Add the missing columns."),
        ("a O\n" * 150 + "b\n", 151, "columns: got 1; expected 2, as in line 1. Add the missing columns."),
        (
            "token\tner_tag\nAda\tO\n",
            1,
            "line: got 'token\tner_tag'; expected a word and its tags, not names of columns.",
        ),
        ('{"tokens": ["a"], "tags": ["O"]}\n', 1, 'format: got \'{"tokens": ["a"], "tags": ["O"]}\'; expected a word'),
        (
            "text,label\ngood,1\n",
            1,
            "columns: got 1; expected 2 or more with blanks or tabs between, the word and its tags.",
        ),
        ("Ada\n\nOslo\n", 1, "columns: got 1; expected 2 or more"),
    ],
)
def test_a_broken_line(tmp_path: Path, text: str, line: int, expected: str) -> None:
    assert message(tmp_path, text).startswith(f"a.conll, line {line}: {expected}")


def test_an_empty_field_never_shifts_a_column(tmp_path: Path) -> None:
    """A word of two parts makes up for the missing column, if blanks and tabs both cut."""
    text = message(tmp_path, "Ada\tNNP\tO\nNew York\t\tO\n")
    assert text == "a.conll, line 2: column 2: got ''; expected one character or more that is no blank."


@pytest.mark.parametrize("text", ["", "\n \t\n", "-DOCSTART- -X- O\n\n"])
def test_a_file_without_words(tmp_path: Path, text: str) -> None:
    expected = "a.conll: words: got 0; expected 1 or more, each with its tag on a line of its own."
    assert message(tmp_path, text) == expected


def test_universal_files_are_named(tmp_path: Path) -> None:
    expected = "a.conll: format: got 'CoNLL-U'; expected columns without numbers of words and comments."
    assert message(tmp_path, UD) == f"{expected} Name the format conllu."


def test_a_first_column_that_counts_is_no_word(tmp_path: Path) -> None:
    text = "1\tAda\tB-PER\n2\tis\tO\n3\tfine\tO\n"
    assert message(tmp_path, text).endswith("expected words. Name the column of the words, as with --text 2.")
    assert pairs(read(tmp_path, text, words=2)) == [[("Ada", "B-PER"), ("is", "O"), ("fine", "O")]]


def test_text_in_another_encoding(tmp_path: Path) -> None:
    for name in ("a.conll", "a.conllu"):
        content = UD if name == "a.conllu" else "mar\tO\nfin\tO\n"
        text = message(
            tmp_path, content.replace("mar", "marée").encode("latin-1"), name, tags=2 if name == "a.conll" else "upos"
        )
        assert text.startswith(f"{name}, line {2 if name == 'a.conllu' else 1}: text: got '"), text
        assert "expected text in utf-8. Try encoding 'latin-1'" in text


def test_packed_files(tmp_path: Path) -> None:
    assert read(tmp_path, gzip.compress(UD.encode()), "a.conllu.gz", tags="upos") == read(
        tmp_path, UD, "a.conllu", tags="upos"
    )


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe.conllu"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(f"{UD}\n" * 3,))
    writer.start()
    file = open_input(path, once=True)
    opened = ConllU(file, "utf-8-sig")
    file.keep_no_more()  # type: ignore[attr-defined]
    assert [len(sentence.words) for sentence in opened.tagged(tags="upos")] == [5, 3] * 3
    writer.join(10)
    with pytest.raises(InputError, match="second pass over a stream"):
        next(opened.tagged(tags="upos"))


def test_a_sentence_of_many_words(tmp_path: Path) -> None:
    (sentence,) = read(tmp_path, "a\tO\n" * 50_000)
    assert len(sentence.words) == sentence.lines[-1] == 50_000


def test_an_error_knows_its_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, "a O\nb\n")
    assert (caught.value.path, caught.value.line) == (str(tmp_path / "a.conll"), 2)


@pytest.mark.parametrize(
    ("name", "sentences", "words"), [("train", 12544, 204577), ("dev", 2001, 25147), ("test", 2077, 25094)]
)
def test_a_treebank(real_data: Path, name: str, sentences: int, words: int) -> None:
    path = real_data / "ud_english_ewt" / f"en_ewt-ud-{name}.conllu"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    opened = ConllU(open_input(path), "utf-8-sig")
    counts = Counter[str]()
    number = 0
    for sentence in opened.tagged(tags="upos"):
        counts.update(sentence.tags)
        number += 1
    assert (number, counts.total(), len(counts)) == (sentences, words, 17)
    with path.open(encoding="utf-8") as lines:
        ranges = sum("-" in line.split("\t", 1)[0] for line in lines if line[:1].isdigit())
    assert opened.left_out == {"multi-word ranges": ranges}


@pytest.mark.parametrize(
    ("name", "sentences", "words"), [("train", 3394, 62730), ("valid", 1009, 15733), ("test", 1287, 23394)]
)
def test_entities_of_short_messages(real_data: Path, name: str, sentences: int, words: int) -> None:
    path = real_data / "wnut17_ner" / f"{name}.conll"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    read_all = list(Conll(open_input(path), "utf-8-sig").tagged())
    assert (len(read_all), sum(len(sentence.words) for sentence in read_all)) == (sentences, words)
    assert {tag[:2] for sentence in read_all for tag in sentence.tags} == {"O", "B-", "I-"}
