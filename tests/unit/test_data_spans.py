"""Texts with spans of characters: the shapes that are read, and the spans that are refused, dropped or mended."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from rekur.cli.saved import corpus_of
from rekur.data import Columns, Corpus, choose_rows, describe, open_source, read_labels
from rekur.data.columns import summarise
from rekur.data.documents import passages, running_text
from rekur.data.spans import Span, spans_of
from rekur.errors import InputError
from rekur.features import WordFeatures
from rekur.targets import TagsTarget

TEXT = "Ana lives in Oslo"
BOTH = [(0, 3, "PER"), (13, 17, "LOC")]


def written(folder: Path, *rows: dict[str, Any] | list[Any], name: str = "a.jsonl") -> Path:
    path = folder / name
    lines = (row if isinstance(row, dict) else {"text": row[0], "spans": row[1]} for row in rows)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def read(path: Path, label: str = "spans", cut: str = "sentence", bad_spans: str = "error") -> Corpus:
    """Return the passages of a file."""
    return passages(corpus_of(path, {"text": "text", "label": label}, {}, label_type="tags"), cut, bad_spans)


def spans_in(corpus: Corpus) -> list[list[tuple[int, int, str]]]:
    """Return the spans of each passage, in characters of its document."""
    found = []
    for example in corpus:
        spans: list[tuple[int, int, str]] = []
        for token, tag in zip(example.item.tokens, example.label, strict=True):
            end = token.start + len(token.text)
            if tag[0] == "B":
                spans.append((token.start, end, tag[2:]))
            elif tag[0] == "I":
                spans[-1] = (spans[-1][0], end, tag[2:])
        found.append(spans)
    return found


@pytest.mark.parametrize(
    ("label", "cell"),
    [
        ("spans", [[0, 3, "PER"], [13, 17, "LOC"]]),
        ("label", [[0, 3, "PER"], [13, 17, "LOC"]]),
        ("entities", [{"id": 4, "label": "PER", "start_offset": 0, "end_offset": 3}]),
        ("label", [{"start": 0, "end": 3, "text": "Ana", "labels": ["PER"]}]),
        ("spans", [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}]),
        ("ents", [{"start": 0, "end": 3, "label": "PER"}]),
        ("label", [{"value": {"start": 0, "end": 3, "text": "Ana", "labels": ["PER"]}, "type": "labels", "id": "x"}]),
        ("annotations", {"entities": [[0, 3, "PER"], [13, 17, "LOC"]]}),
        ("spans", '[[0, 3, "PER"]]'),
        ("spans", [{"start": 0, "end": 3, "type": "PER", "score": 0.5}]),
        ("spans", [{"begin": 0, "end": 3, "label": "PER"}]),
        ("slots", [{"start": 0, "end": 3, "slot": "PER"}]),
        ("annotation", [{"label": ["PER"], "points": [{"start": 0, "end": 3, "text": "Ana"}]}]),
    ],
)
def test_shapes_of_many_tools_mean_the_same(tmp_path: Path, label: str, cell: Any) -> None:
    (spans,) = spans_in(read(written(tmp_path, {"text": TEXT, label: cell}), label))
    assert spans == BOTH[: len(spans)] != []


def test_cells_of_csv_and_parquet_hold_spans_too(tmp_path: Path) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["text", "spans"], [TEXT, json.dumps(BOTH)], ["fine", ""]])
    (tmp_path / "a.csv").write_text(buffer.getvalue(), encoding="utf-8")
    assert spans_in(read(tmp_path / "a.csv")) == [BOTH, []]
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"text": TEXT, "spans": [{"start": a, "end": b, "label": name} for a, b, name in BOTH]}]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert spans_in(read(tmp_path / "a.parquet")) == [BOTH]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ([[0, 3]], "spans, span 1: got [0, 3]; expected [start, end, label], or an object with start, end and label"),
        ([[0, 3, "A"], {"start": 1}], "spans, span 2: got the keys start; expected end or end_offset."),
        (
            [{"start": 0, "end": 3}],
            "spans, span 1: got no label; expected one as 'label', or as 'labels' with one entry",
        ),
        ([{"start": 0, "end": 3, "labels": ["A", "B"]}], "spans, span 1: labels: got ['A', 'B']; expected one label a"),
        ([[0, 3, None]], "spans, span 1: label: got None; expected a text of one character or more."),
        ([[-1, 3, "A"]], "spans, span 1: start: got -1; expected a number of characters, 0 or more."),
        ([[True, 3, "A"]], "spans, span 1: start: got True; expected a number of characters, 0 or more."),
        ([["0", 3, "A"]], "spans, span 1: start: got '0'; expected a number of characters, 0 or more."),
        ("[[0, 3", "spans: got '[[0, 3'; expected a list of spans"),
        (["O"], "text: got 'Ana lives in Oslo'; expected a list of words. Cut it into words, or give its spans"),
        ("good", "text: got 'Ana lives in Oslo'; expected a list of words. Cut it into words, or give its spans"),
    ],
)
def test_other_shapes_are_refused_with_their_line(tmp_path: Path, cell: Any, text: str) -> None:
    path = written(tmp_path, [TEXT, []], [TEXT, cell])
    with pytest.raises(InputError) as caught:
        spans_in(read(path))
    assert str(caught.value).startswith(f"{path}, line 2: {text}")


def refusal(path: Path) -> str:
    """Return why a file is refused, without its name."""
    with pytest.raises(InputError) as caught:
        spans_in(read(path))
    return str(caught.value).removeprefix(f"{path}, ")


def test_overlaps_are_named_and_nothing_is_chosen_in_silence(tmp_path: Path) -> None:
    nested = ["Queen Ada II of Norland", [[0, 12, "PER"], [6, 12, "PER"]]]
    crossing = ["keep the working memory footprint", [[9, 23, "TERM"], [17, 33, "TERM"]]]
    twice, two_labels = ["in Oslo", [[3, 7, "LOC"], [3, 7, "LOC"]]], ["in Rome", [[3, 7, "LOC"], [3, 7, "ORG"]]]
    fix = "Correct them, or leave them out: bad_spans='drop' (--bad-spans drop)."
    assert refusal(written(tmp_path, nested, crossing, twice, two_labels)) == (
        "line 1: span 2: got [6, 12, PER], 'Ada II', which lies inside [0, 12, PER]; expected spans that share no "
        f"word. 3 of 8 spans do not fit (line 1, line 2, line 4). {fix}"
    )
    assert "got [17, 33, TERM], 'memory footprint', which overlaps [9, 23, TERM];" in refusal(
        written(tmp_path, crossing)
    )
    assert "got [3, 7, ORG], 'Rome', which has two labels, LOC and ORG;" in refusal(written(tmp_path, two_labels))
    corpus = read(written(tmp_path, twice))
    assert spans_in(corpus) == [[(3, 7, "LOC")]]
    assert corpus.notes()[1:] == ["1 span equal to an earlier one of the text: each counts once."]
    corpus = read(written(tmp_path, nested, crossing, twice, two_labels), bad_spans="drop")
    assert spans_in(corpus) == [[(0, 12, "PER")], [(9, 23, "TERM")], [(3, 7, "LOC")], [(3, 7, "LOC")]]
    assert corpus.notes()[1] == "Left out, as they do not fit: 3 of 8 spans."


def test_other_units_are_told_by_their_words(tmp_path: Path) -> None:
    text, units = "😀 Ana lives in Oslo", [[3, 6, "PER"], [16, 20, "LOC"]]
    objects = [
        {"start": a, "end": b, "label": name, "text": word}
        for (a, b, name), word in zip(units, ["Ana", "Oslo"], strict=True)
    ]
    right = [TEXT, [{"start": 0, "end": 3, "label": "PER", "text": "Ana"}]]
    told = refusal(written(tmp_path, right, [text, objects]))
    assert told.startswith("line 2: span 1: got [3, 6, PER], which holds 'na '; expected 'Ana', as its text says.")
    assert "2 of 3 spans do not fit. Offsets count UTF-16 units." in told
    assert "Offsets count UTF-16 units." in refusal(written(tmp_path, right, [text, units]))
    text, units = "Zoë wohnt in Köln.", [[0, 4, "PER"], [14, 19, "LOC"]]
    assert "1 of 2 spans does not fit. Offsets count bytes." in refusal(written(tmp_path, [text, units]))
    text, units = "Zoë wohnt in Köln", [[14, 19, "LOC"]]
    told = refusal(written(tmp_path, [text, units]))
    assert told.startswith("line 1: span 1: got [14, 19, LOC], which ends behind the text; expected an end in [0, 17].")
    assert "1 of 1 span does not fit. Perhaps offsets count bytes. Count characters of the text, not bytes" in told
    assert told.endswith("Correct it, or leave it out: bad_spans='drop' (--bad-spans drop).")
    text, span = "Zoë wohnt in Köln", {"start": 14, "end": 19, "label": "LOC", "text": "Köln"}
    assert "1 of 1 span does not fit. Offsets count bytes." in refusal(written(tmp_path, [text, [span]]))


def test_ends_that_are_included_are_told(tmp_path: Path) -> None:
    rows: list[Any] = [["Greetings from India", [[15, 19, "LOC"]]], [TEXT, [[0, 2, "PER"], [13, 16, "LOC"]]]]
    assert refusal(written(tmp_path, *rows)) == (
        "line 1: span 1: got [15, 19, LOC], 'Indi', which cuts the word 'India'; expected whole words. "
        "3 of 3 spans do not fit (line 1, line 2). Ends are included. "
        "An end stands behind the last character: add 1 to each."
    )
    assert "Ends are included." in refusal(written(tmp_path, ["I am I", [[0, 0, "X"], [5, 5, "X"]]]))
    assert "Offsets count from 1." in refusal(written(tmp_path, [TEXT, [[1, 3, "PER"], [14, 17, "LOC"]]]))
    points = {"label": ["PER"], "points": [{"start": 0, "end": 2, "text": "Ana"}]}
    assert "Ends are included." in refusal(written(tmp_path, [TEXT, [points]]))
    mixed = written(tmp_path, ["Greetings from India", [[15, 19, "LOC"]]], [TEXT, [[13, 17, "LOC"]]])
    assert refusal(mixed).endswith(
        "1 of 2 spans does not fit. Correct it, or leave it out: bad_spans='drop' (--bad-spans drop)."
    )


@pytest.mark.parametrize(
    ("text", "spans", "cause"),
    [
        (
            "Ana\r\nlives\r\nin Oslo",
            [[0, 3, "PER"], [10, 12, "IN"], [13, 17, "LOC"]],
            "Offsets count a line end, which is CR and LF, as",
        ),
        (
            "Ana\nlives\nin Oslo",
            [[0, 3, "PER"], [12, 14, "IN"], [15, 19, "LOC"]],
            "Offsets count a line end, which is LF alone, as two.",
        ),
        (
            "Zoe\u0308 lives in Ko\u0308ln",
            [[0, 3, "PER"], [13, 17, "LOC"]],
            "Offsets count letters without their combining",
        ),
        (f" \n{TEXT}", [[0, 3, "PER"], [13, 17, "LOC"]], "Offsets count in the text without the blanks at its start."),
    ],
)
def test_other_texts_are_told_by_their_words(tmp_path: Path, text: str, spans: list[Any], cause: str) -> None:
    assert f"2 of {len(spans)} spans do not fit. {cause}" in refusal(written(tmp_path, [text, spans]))
    moved = spans[-1:]
    assert f"1 of 1 span does not fit. Perhaps o{cause[1:]}" in refusal(written(tmp_path, [text, moved]))


def test_the_text_of_a_span_may_be_composed(tmp_path: Path) -> None:
    span = {"start": 0, "end": 9, "label": "PER", "text": "Zo\u00eb K."}
    assert spans_in(read(written(tmp_path, ["Zoe\u0308 \n K. left", [span]]))) == [[(0, 9, "PER")]]


def test_spans_inside_words_of_other_tools_are_taken(tmp_path: Path) -> None:
    rows: list[Any] = [
        ["AHU-G1-V-1-1-Ctrl-Md", [[0, 12, "EQUIP"], [13, 20, "POINT"]]],
        ["take 200mg daily", [[5, 8, "DOSE"], [8, 10, "UNIT"]]],
        ["The film (1988) stars Ann", [[10, 14, "YEAR"]]],
    ]
    assert spans_in(read(written(tmp_path, *rows))) == [list(map(tuple, spans)) for _, spans in rows]


def test_blanks_at_the_ends_of_spans_are_cut_off_and_counted(tmp_path: Path) -> None:
    rows: list[Any] = [["The film stars Frank James as lead", [[14, 26, "PER"]]], ["in Oslo\n", [[3, 8, "LOC"]]]]
    corpus = read(written(tmp_path, *rows))
    assert spans_in(corpus) == [[(15, 26, "PER")], [(3, 7, "LOC")]]
    assert corpus.notes()[1:] == ["Blanks at the ends of 2 spans were cut off."]
    told = refusal(written(tmp_path, *rows, ["a   b", [[1, 4, "X"]]]))
    assert told.startswith("line 3: span 1: got [1, 4, X], which holds blanks alone; expected one word or more.")


def test_invisible_characters_of_a_word_stay_in_its_span(tmp_path: Path) -> None:
    rows: list[Any] = [
        ["\u0d28\u0d4d\u200d \u200eOslo\u200f", [[0, 3, "A"], [4, 10, "B"]]],
        ["Oslo\u200f.", [[0, 4, "B"]]],
    ]
    assert spans_in(read(written(tmp_path, *rows))) == [[(0, 3, "A"), (5, 9, "B")], [(0, 4, "B")]]


def test_a_cut_inside_a_span_joins_the_two_parts(tmp_path: Path) -> None:
    rows: list[Any] = [["Dr. Ada left. Then Mr. Berg came.\n\nOslo", [[0, 7, "PER"], [19, 27, "PER"]]]]
    corpus = read(written(tmp_path, *rows))
    assert [" ".join(example.item) for example in corpus] == ["Dr . Ada left .", "Then Mr . Berg came .", "Oslo"]
    assert corpus.notes()[1:] == [
        "2 cuts inside a span: both parts are one sequence in training, and two when the model predicts."
    ]
    assert spans_in(corpus) == [[(0, 7, "PER")], [(19, 27, "PER")], []]
    # outputs are made for each sequence of a passage by itself: its first word begins none of its own
    begins = WordFeatures().begins
    assert [begins(example.item.tokens) for example in corpus] == [[2], [3], []]
    assert [begins(example.item.tokens) for example in running_text(["One.\n", "\nTwo."], "blank")] == [[], []]
    counts = {cut: len(list(read(written(tmp_path, *rows), cut=cut))) for cut in ("none", "line", "blank")}
    assert counts == {"none": 1, "line": 2, "blank": 2}


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        ("Ada", [0, 3, "PER"], ["Ada"]),
        ("Ada\0left", [0, 3, "PER"], ["Ada", "\0", "left"]),
        ("in\r\nNew\r\nYork\r\n", [4, 13, "new york"], ["in", "New", "York"]),
        ("e\u0301ta", [0, 4, "B-new-york"], ["e\u0301ta"]),
        ("\u0301a b", [0, 1, "a:b\tc"], ["\u0301", "a", "b"]),
        ("\ufeffAda", [1, 4, "0"], ["Ada"]),
        ("Ada \ud800", [4, 5, "O"], ["Ada", "\ud800"]),
    ],
)
def test_odd_texts_and_labels_keep_their_spans(tmp_path: Path, text: str, span: list[Any], words: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": text, "spans": [span]}) + "\n")
    corpus = read(path)
    assert [word for example in corpus for word in example.item] == words
    assert spans_in(corpus) == [[tuple(span)]]
    labels = [example.label for example in corpus]
    assert TagsTarget.learn([*labels, ["O"]]).scheme.name == "BIO2"


def test_items_of_two_kinds_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [TEXT, []], {"text": ["Ana"], "spans": ["O"]})
    assert refusal(path) == "line 2: got a list of words; expected a text, as in the items before it."
    assert refusal(written(tmp_path, [TEXT, []], [" ", []])) == (
        "line 2: got a text without words; expected one word or more. Take it out, or fill it."
    )


def test_spans_in_memory() -> None:
    corpus = passages(Corpus.from_lists([TEXT, "fine"], [BOTH, []], kind="words"), "sentence")
    assert spans_in(corpus) == [BOTH, []]
    assert spans_of([Span(0, 3, "PER")]) == [Span(0, 3, "PER")]
    with pytest.raises(InputError, match=r"^X\[0\]: span 1: got \[0, 2, PER\], 'An', which cuts the word 'Ana';"):
        spans_in(passages(Corpus.from_lists([TEXT], [[(0, 2, "PER")]], kind="words"), "sentence"))


def test_the_parts_of_a_document_stay_together() -> None:
    texts = [f"Ana {number} left. She is in Oslo. It rains." for number in range(30)]
    for count, together in ((30, True), (10, False)):
        corpus = passages(Corpus.from_lists(texts[:count], [[(0, 3, "PER")]] * count, kind="words"), "sentence")
        labels = read_labels(corpus)
        assert (labels.documents is not None) == together
        chosen = choose_rows(labels.values, labels.keys, 0.2, 0, stratified=False, documents=labels.documents)
        sides = chosen.reshape(count, 3)
        assert 0 < sides.sum() < sides.size
        assert not together or (sides.all(axis=1) | ~sides.any(axis=1)).all()


def test_a_column_of_spans_is_told(tmp_path: Path) -> None:
    _, columns = summarise(open_source(written(tmp_path, [TEXT, BOTH], [TEXT, []])))
    assert columns[1].type == "spans"


def test_a_file_of_texts_with_spans_is_described(tmp_path: Path) -> None:
    rows = [[f"Ana {number} lives in Oslo", [[0, 3, "PER"]]] for number in range(3)]
    source = open_source(written(tmp_path, *rows, [TEXT, []]))
    columns = Columns(text="text", label="spans")
    for described in (describe(source), describe(source, columns), describe(source, columns, label_type="tags")):
        assert described.chosen is not None
        assert (described.chosen.text, described.chosen.label) == ("text", "spans")
        assert (described.label_type, described.classes, described.scheme) == ("spans", {"PER": 3}, "")
        assert described.warnings == []
    answered = ({"text": text, "spans": spans, "answer": "accept"} for text, spans in rows)
    question = describe(open_source(written(tmp_path, *answered, name="b.jsonl"))).question
    assert question == "Which column is the label? Say --label with one of 'spans', 'answer'."
