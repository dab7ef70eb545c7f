"""Files of taggers in every form that is read, with the words, spans and sentences that are right, and the refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import write_lines

from rekur import Tagger
from rekur._tokenizer import tokenize
from rekur.cli.saved import corpus_of
from rekur.data import read_labels
from rekur.errors import InputError
from rekur.features import WordFeatures
from rekur.targets import Tag, TagsTarget

#: the numbers and tags of a sentence of CoNLL-U, whose last word stands in the fourth line
CELLS = [("1", "B-PER"), ("2-3", "_"), ("2", "O"), ("3", "X-DAY")]


def learned(path: Path, **columns: str) -> tuple[list[list[str]], list[list[tuple[int, int, str]]], str]:
    """Return words and spans of each sentence of a file, and the note on the scheme."""
    corpus = corpus_of(path, columns, {}, label_type="tags")
    labels = read_labels(corpus)
    target = TagsTarget.learn(labels.values, None, place_of=labels.place_of)
    spans = [target.scheme.spans(tags) if target.scheme.has_spans else [] for tags in labels.values]
    return [list(example.item) for example in corpus], spans, target.notes()[0]


@pytest.mark.parametrize(
    ("content", "words", "spans", "note"),
    [
        (
            "-DOCSTART- -X- O\n\nNorse N I-MISC\nGods N B-MISC\nmet V O\n\n"
            "-DOCSTART- -X- O\n\nBonn N I-LOC\nRome N B-LOC\n",
            [["Norse", "Gods", "met"], ["Bonn", "Rome"]],
            [[(0, 1, "MISC"), (1, 2, "MISC")], [(0, 1, "LOC"), (1, 2, "LOC")]],
            "BIO1: 4 of 4 spans begin with I-, or with B- after another of their label",
        ),
        (
            "Jean I-PER\nValjean I-PER\nest O\n\nLe O\nMans I-LOC\nRenault I-ORG\n",
            [["Jean", "Valjean", "est"], ["Le", "Mans", "Renault"]],
            [[(0, 2, "PER")], [(1, 2, "LOC"), (2, 3, "ORG")]],
            "BIO1 or IO: tags have I- and no B-",
        ),
        (
            "Al\tB-PER\nK.\tI-PER\nDe\tL-PER\nin\tO\nPau\tU-LOC\n",
            [["Al", "K.", "De", "in", "Pau"]],
            [[(0, 3, "PER"), (4, 5, "LOC")]],
            "BILOU: tags have L- and U-",
        ),
        (
            "李\tB-NAME\n小\tM-NAME\n龙\tE-NAME\n到\tO\n京\tS-LOC\n",
            [["李", "小", "龙", "到", "京"]],
            [[(0, 3, "NAME"), (4, 5, "LOC")]],
            "BMES: tags have M- and E- and S-",
        ),
        (
            "#now\tO\nin\tO\n#Bonn\tB-loc\n\n#\tO\n#1\tO\n",
            [["#now", "in", "#Bonn"], ["#", "#1"]],
            [[(2, 3, "loc")], []],
            "BIO2: 1 of 1 spans begin with B-",
        ),
        (
            "20\u00a0000\tB-NUM\na\u2028b\tO\nc\u0085d\tO\ne\u3000f\tO\ng\u00adh\u202fi\tO\n",
            [["20\u00a0000", "a\u2028b", "c\u0085d", "e\u3000f", "g\u00adh\u202fi"]],
            [[(0, 1, "NUM")]],
            "BIO2: 1 of 1 spans begin with B-",
        ),
        (
            "\ufeffEve\tB-PER\r\nran\tO\r\n \t \r\n\r\nBonn\tB-LOC\t\r\nis\tO",
            [["Eve", "ran"], ["Bonn", "is"]],
            [[(0, 1, "PER")], [(0, 1, "LOC")]],
            "BIO2: 2 of 2 spans begin with B-",
        ),
    ],
)
def test_columns_are_read_right(tmp_path: Path, content: str, words: Any, spans: Any, note: str) -> None:
    path = tmp_path / "a.conll"
    path.write_bytes(content.encode())
    assert learned(path, text="1", label="3" if "DOCSTART" in content else "2") == (
        words,
        spans,
        f"scheme of tags: {note}",
    )


TWO, SPAN = {"t": ["a", "b"], "y": ["O", "N"]}, {"t": ["a", "b"], "y": ["B-X", "O"]}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([TWO, {"t": ["a"], "y": [True]}], "line 2: y, tag 1: got True; expected a text, or a whole number. Write two"),
        ([TWO, {"t": ["a"], "y": [1]}], "line 2: got tags of the types int and str; expected tags of one type:"),
        (
            [TWO, {"t": ["a"], "y": ["B-\ud83d"]}],
            "line 2: label: got 'B-\\ud83d'; expected text in whole characters. Write",
        ),
        (
            [SPAN, {"t": ["a", "b"], "y": ["O", "Q-X"]}],
            "line 2, tag 2: tag: got 'Q-X'; expected 'O' or a label behind",
        ),
        ([TWO, {"t": ["a", "b"], "y": ["B-X", "N"]}], "line 1, tag 2: tag: got 'N'; expected 'O' or a label behind"),
        ([TWO, {"t": [], "y": []}], "line 2: t: got nothing; expected one word or more."),
    ],
)
def test_bad_tags_are_refused_with_their_line(tmp_path: Path, rows: list[Any], text: str) -> None:
    path = write_lines(tmp_path / "a.jsonl", rows)
    with pytest.raises(InputError) as caught:
        learned(path, text="t", label="y")
    assert str(caught.value).removeprefix(f"{path}, ").startswith(text)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            "# id 1\nAda B-PER\n\n# id 2\nOslo O\n",
            "line 1: line: got '# id 1'; expected a word and its tags. Only CoNLL-U",
        ),
        ("Ada B-PER\nran O\n\n# id 2\nOslo O\n", "line 4: columns: got 3; expected 2, as in line 1. Only CoNLL-U has"),
        (
            "# a b\nAda _ B-PER\n\n# c d\nOslo _ O\n",
            "line 1: line: got '# a b'; expected a word and its tags. Only CoNLL-U",
        ),
        ("Ada B-PER|B-X\nran O\n", "line 1: tag: got 'B-PER|B-X'; expected one tag a word. Make a file for each kind"),
        ("Ada B-PER\n\u00a0\tO\n", "line 2: column 1: got '\u00a0'; expected one character or more that is no blank."),
        ("Ada B-PER\n\u3000\tO\n", "line 2: column 1: got '\u3000'; expected one character or more that is no blank."),
    ],
)
def test_columns_are_refused_with_their_line(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "a.conll"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        learned(path)
    assert str(caught.value).removeprefix(f"{path}, ").startswith(text)


def test_a_word_of_blanks_is_none_wherever_it_stands(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [TWO, {"t": ["a", "\u00a0"], "y": ["O", "N"]}])
    with pytest.raises(InputError, match="line 2: t, word 2: got '\u00a0'; expected one character or more that is no"):
        learned(path, text="t", label="y")


@pytest.mark.parametrize("name", ["a.iob2", "a.bio"])
def test_other_endings_of_columns(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Ada B-PER\nran O\n", encoding="utf-8")
    assert learned(tmp_path / name)[1] == [[(0, 1, "PER")]]


def test_lines_in_a_text_file_are_no_words(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Ada B-PER\nran O\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"A file of lines has no tags.*Add --format conll"):
        learned(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.conll", "Ada B-PER\nleft O\n\nin O\nOslo B-LOC\ntoday X-DAY\n", 6),
        ("a.conllu", "".join(f"{n}\tw\t_\t{t}\t_\t_\t_\t_\t_\t_\n" for n, t in CELLS), 4),
    ],
)
def test_a_bad_tag_is_named_by_its_own_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    path = tmp_path / name
    path.write_text(text)
    corpus = corpus_of(path, {"label": "upos"} if name == "a.conllu" else {}, {}, label_type="tags")
    labels = read_labels(corpus)
    with pytest.raises(InputError) as caught:
        TagsTarget.learn(labels.values, None, place_of=labels.place_of)
    assert str(caught.value).startswith(f"{path}, line {line}: tag: got 'X-")
    good = TagsTarget.learn([["B-PER", "B-LOC", "O"]])
    with pytest.raises(InputError) as caught:
        good.check_labels(labels.values, corpus.name, labels.place_of)
    assert str(caught.value).startswith(f"{path}, line {line}: tag: got 'X-")


def test_one_line_that_holds_a_list(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps([TWO, {"t": ["c"], "y": ["O"]}]) + "\n", encoding="utf-8")
    assert learned(path, text="t", label="y")[0] == [["a", "b"], ["c"]]
    path.write_text('["a", "b"]\n', encoding="utf-8")
    with pytest.raises(InputError, match="row 1: row: got"):
        learned(path, text="t", label="y")


def test_a_very_long_sentence() -> None:
    model = Tagger(epochs=1, hidden_size=4, projection_size=4, baseline=False, feature_options={"buckets": 50})
    model.fit(["Ada left. ", "in Oslo"] * 4, [[(0, 3, "PER")], [(3, 7, "LOC")]] * 4)
    words = ["Ada", "left"] * 25_000
    (tags,) = model.predict([words])
    assert len(tags) == 50_000


def test_texts_come_out_in_the_formats_of_other_tools() -> None:
    target = TagsTarget.learn([["B-LOC", "I-LOC", "O"]])
    target.features = WordFeatures(cut="sentence")
    text = " In New  York. Ada left."
    context: list[Any] = list(tokenize(text, "sentence"))
    tags = [Tag(name, 0.9) for name in ["O", "B-LOC", "I-LOC", "O", "O", "O", "O"]]
    assert json.loads(target.formatted(tags, context, "spans")) == {"text": text, "spans": [[4, 13, "LOC"]]}
    part = json.loads(target.formatted(tags[1:4], context[1:4], "spans"))
    assert part == {"text": "New  York.", "spans": [[0, 9, "LOC"]]}
    exact = f"{text} \n"
    assert json.loads(target.formatted(tags, context, "spans", exact)) == {"text": exact, "spans": [[4, 13, "LOC"]]}
    assert target.formatted(tags, context, "conll").count("\n\n") == 2
    assert np.prod([0.9, 0.9]) == target.spans(tags, context)[0]["probability"]
