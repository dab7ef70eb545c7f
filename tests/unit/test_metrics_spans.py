"""Spans of tags against values worked out by hand, and scores against those of seqeval."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rekur.data.conll import Conll
from rekur.data.inputs import open_input
from rekur.errors import InputError, ShapeError
from rekur.metrics import SCHEMES, detect_scheme, tag_records, tag_report, tag_scores
from rekur.metrics.spans import records_by_sentence

#: tags, their spans by the default rule, and by the strict one, as seqeval 1.2.2 has both
READ: dict[str, list[tuple[str, list[tuple[int, int, str]], list[tuple[int, int, str]]]]] = {
    "BIO2": [
        ("", [], []),
        ("O O", [], []),
        ("B-A I-A O B-B", [(0, 2, "A"), (3, 4, "B")], [(0, 2, "A"), (3, 4, "B")]),
        ("B-A B-A I-A", [(0, 1, "A"), (1, 3, "A")], [(0, 1, "A"), (1, 3, "A")]),
        ("I-A I-A O I-B", [(0, 2, "A"), (3, 4, "B")], []),
        ("B-A I-B I-B", [(0, 1, "A"), (1, 3, "B")], [(0, 1, "A")]),
        ("I-A B-A I-B", [(0, 1, "A"), (1, 2, "A"), (2, 3, "B")], [(1, 2, "A")]),
        ("B I O I", [(0, 2, ""), (3, 4, "")], [(0, 2, "")]),
        ("B-G-C I-G-C I-G", [(0, 2, "G-C"), (2, 3, "G")], [(0, 2, "G-C")]),
    ],
    "BIO1": [
        ("I-A I-A O I-B", [(0, 2, "A"), (3, 4, "B")], [(0, 2, "A"), (3, 4, "B")]),
        ("I-A B-A I-A", [(0, 1, "A"), (1, 3, "A")], [(0, 1, "A"), (1, 3, "A")]),
        ("I-A I-B", [(0, 1, "A"), (1, 2, "B")], [(0, 1, "A"), (1, 2, "B")]),
        # a B- that does not come after its label is passed over, and the I- behind it begins a span
        ("B-A", [(0, 1, "A")], []),
        ("B-A I-A", [(0, 2, "A")], [(1, 2, "A")]),
        ("I-A B-B", [(0, 1, "A"), (1, 2, "B")], [(0, 1, "A")]),
        ("B-A B-A", [(0, 1, "A"), (1, 2, "A")], [(1, 2, "A")]),
        ("O B-A I-B", [(1, 2, "A"), (2, 3, "B")], [(2, 3, "B")]),
        # and a B- before a B- of another label has no end
        ("I-A B-A B-B", [(0, 1, "A"), (1, 2, "A"), (2, 3, "B")], [(0, 1, "A")]),
    ],
    "BIOES": [
        ("B-A I-A E-A S-B O", [(0, 3, "A"), (3, 4, "B")], [(0, 3, "A"), (3, 4, "B")]),
        ("B-A E-A B-A E-A", [(0, 2, "A"), (2, 4, "A")], [(0, 2, "A"), (2, 4, "A")]),
        ("B-A I-A O", [(0, 2, "A")], []),
        ("B-A I-A", [(0, 2, "A")], []),
        ("I-A E-A", [(0, 2, "A")], []),
        ("E-A E-A", [(0, 1, "A"), (1, 2, "A")], []),
        ("S-A E-A I-A", [(0, 1, "A"), (1, 2, "A"), (2, 3, "A")], [(0, 1, "A")]),
        ("B-A E-B", [(0, 1, "A"), (1, 2, "B")], []),
        ("B-A B-A E-A", [(0, 1, "A"), (1, 3, "A")], [(1, 3, "A")]),
    ],
    "BILOU": [
        ("B-A I-A L-A U-B U-B", [(0, 3, "A"), (3, 4, "B"), (4, 5, "B")], [(0, 3, "A"), (3, 4, "B"), (4, 5, "B")]),
        ("B-A O L-A", [(0, 1, "A"), (2, 3, "A")], []),
    ],
    "BMES": [("B-A M-A E-A O S-B", [(0, 3, "A"), (4, 5, "B")], [(0, 3, "A"), (4, 5, "B")])],
    "BMEWO": [("B-A M-A E-A O W-B", [(0, 3, "A"), (4, 5, "B")], [(0, 3, "A"), (4, 5, "B")])],
    "IO": [("I-A I-A I-B O I-B", [(0, 2, "A"), (2, 3, "B"), (4, 5, "B")], [(0, 2, "A"), (2, 3, "B"), (4, 5, "B")])],
    "none": [("NN VB O", [], [])],
}
CASES = [(name, *case) for name, cases in READ.items() for case in cases]


@pytest.mark.parametrize(("name", "tags", "default", "strict"), CASES)
def test_spans(name: str, tags: str, default: list[tuple[int, int, str]], strict: list[tuple[int, int, str]]) -> None:
    assert SCHEMES[name].spans(tags.split()) == default
    assert SCHEMES[name].spans(tags.split(), strict=True) == strict


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("BIO1", "I-A I-A B-A O I-B I-A"),
        ("BIO2", "B-A I-A B-A O B-B B-A"),
        ("BIOES", "B-A E-A S-A O S-B S-A"),
        ("BILOU", "B-A L-A U-A O U-B U-A"),
        ("BMES", "B-A E-A S-A O S-B S-A"),
        ("BMEWO", "B-A E-A W-A O W-B W-A"),
        ("IO", "I-A I-A I-A O I-B I-A"),
    ],
)
def test_tags_of_spans(name: str, tags: str) -> None:
    spans = [(0, 2, "A"), (2, 3, "A"), (4, 5, "B"), (5, 6, "A")]
    assert SCHEMES[name].tags(reversed(spans), 6) == tags.split()
    if name != "IO":  # cannot tell the first two apart
        assert SCHEMES[name].spans(tags.split()) == SCHEMES[name].spans(tags.split(), strict=True) == spans


def test_tags_of_long_spans_and_of_none() -> None:
    assert SCHEMES["BMES"].tags([(1, 5, "A")], 6) == ["O", "B-A", "M-A", "M-A", "E-A", "O"]
    assert SCHEMES["BIO2"].tags([(0, 3, "")], 3) == ["B", "I", "I"]
    assert SCHEMES["BIO2"].tags([], 2) == ["O", "O"]


@pytest.mark.parametrize("spans", [[(0, 2, "A"), (1, 3, "B")], [(1, 1, "A")], [(2, 5, "A")], [(-1, 1, "A")]])
def test_spans_that_no_tags_can_mark(spans: list[tuple[int, int, str]]) -> None:
    with pytest.raises(InputError, match=r"span: got \("):
        SCHEMES["BIO2"].tags(spans, 4)


def test_a_scheme_without_spans_marks_none() -> None:
    with pytest.raises(InputError, match="scheme: got 'none'; expected one with spans"):
        SCHEMES["none"].tags([(0, 1, "A")], 1)


def test_all_tags_of_labels() -> None:
    assert SCHEMES["BIO1"].tag_set(["B", "A", "B"]) == ["O", "B-A", "I-A", "B-B", "I-B"]
    assert SCHEMES["IO"].tag_set(["A"]) == ["O", "I-A"]
    assert SCHEMES["BMES"].tag_set([""], outside=False) == ["B", "M", "E", "S"]
    assert SCHEMES["BIOES"].tag_set(["A"]) == ["O", "B-A", "I-A", "E-A", "S-A"]


@pytest.mark.parametrize("tag", ["Q-A", "E-A", "A", "B-", "-A", "b-A", "", "B_A", "OO"])
def test_a_tag_of_no_scheme_is_named(tag: str) -> None:
    with pytest.raises(InputError) as caught:
        SCHEMES["BIO2"].spans(["B-A", tag])
    assert str(caught.value) == f"tag: got '{tag}'; expected 'O' or a label behind B-, I-, as in BIO2."


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (["B-A I-A O", "B-B"], "BIO2: 2 of 2 spans begin with B-"),
        (["B-A I-A O B-A", "I-B O B-B"], "BIO2: 3 of 4 spans begin with B-"),
        (["O B-A"], "BIO2: 1 of 1 spans begin with B-"),
        (["I-A I-A B-A", "O I-B"], "BIO1: 3 of 3 spans begin with I-, or with B- after another of their label"),
        (["I-A I-A", "O I-B"], "BIO1 or IO: tags have I- and no B-"),
        (["B-A E-A O S-B"], "BIOES: tags have E- and S-"),
        (["O S-B"], "BIOES: tags have S-"),
        (["B-A I-A L-A O U-B"], "BILOU: tags have L- and U-"),
        (["U-B U-B"], "BILOU: tags have U-"),
        (["B-A M-A E-A O S-B"], "BMES: tags have M- and E- and S-"),
        (["B-A M-A E-A O W-B"], "BMEWO: tags have M- and W- and E-"),
        (["B M E S B E"], "BMES: tags have M- and E- and S-"),
        (["B I O"], "BIO2: 1 of 1 spans begin with B-"),
        (["DET NOUN"], "none: no tag has a letter such as B- before a label"),
        (["O O"], "none: no tag has a letter such as B- before a label"),
        ([], "none: no tag has a letter such as B- before a label"),
        (["O PER LOC"], "none: no tag has a letter such as B- before a label"),
        (["NN -LRB- HYPH S-"], "none: no tag has a letter such as B- before a label"),
        # letters that are classes: a pronoun is O in one set of tags, a helix H in another
        (["N O V A"], "none: no tag has a letter such as B- before a label"),
        (["H B E G I T S"], "none: no tag has a letter such as B- before a label"),
        (["I M O"], "none: no tag has a letter such as B- before a label"),
        (["B S"], "none: no tag has a letter such as B- before a label"),
        (["S-BAR NN VB"], "none: no tag has a letter such as B- before a label"),
        (["S-1 S-2 none"], "none: no tag has a letter such as B- before a label"),
        (["0 1 5"], "none: no tag has a letter such as B- before a label"),
    ],
)
def test_schemes_are_detected(sentences: list[str], expected: str) -> None:
    assert str(detect_scheme([text.split() for text in sentences])) == expected


def test_detection_counts_what_the_scheme_does_not_allow() -> None:
    assert detect_scheme([["B-A", "O", "I-A", "B-A"]])[2:] == (3, 1)
    assert detect_scheme([["I-A", "O", "I-A", "O", "B-A"]])[2:] == (3, 1)
    assert detect_scheme([["B-A", "E-A", "E-A", "S-A", "B-A"]])[2:] == (4, 2)
    assert detect_scheme(iter([["B-A"], ["I-A"], ["B-A"]]))[2:] == (3, 1)  # read once


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-A Q-B", "tag: got 'Q-B'; expected 'O' or a label behind B-, I-, E-, S-, L-, U-, M- or W-"),
        ("O X-A Y-B", "tag: got 'X-A'; expected 'O' or a label behind B-"),
        ("O B-A LOC", "tag: got 'LOC'; expected 'O' or a label behind B-"),
        ("O b-a i-a", "tag: got 'b-a'; expected 'O', and a capital letter and a hyphen before a label, as in 'B-PER'."),
        ("o B_A I_A", "tag: got 'B_A'; expected 'O', and a capital letter"),
        ("o B-A I-A", "tag: got 'o'; expected 'O' for a word outside of spans, beside tags such as 'B-A'. Rewrite it."),
        ("o B-A i-A", "tag: got 'i-A'; expected 'O', and a capital letter and a hyphen before a label"),
        ("O A-B A-I", "tag: got 'A-B'; expected 'O'"),
        ("O PER-B PER-I", "tag: got 'PER-B'; expected 'O', and a capital letter and a hyphen before a label"),
        ("O B-A L-A E-A", "tags: got 'L-A' and 'E-A'; expected the letters of one scheme, such as B, I, L, U."),
        ("O B-A M-A I-A", "tags: got 'M-A' and 'I-A'; expected the letters of one scheme, such as B, M, E, S, W."),
        ("O B- I-", "tag: got 'B-'; expected 'O', and a capital letter and a hyphen before a label"),
        ("0 B-A I-A", "tag: got '0'; expected 'O' for a word outside of spans, beside tags such as 'B-A'. Rewrite it."),
        ("I-A None I-B", "tag: got 'None'; expected 'O' for a word outside of spans, beside tags such as 'I-A'."),
        ("O I-A E-A", "tags: got 'E-A' and no B-; expected BIO1, BIO2, BIOES, BILOU or BMES."),
    ],
)
def test_tags_that_nearly_mark_spans_are_refused(tags: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        detect_scheme([tags.split()])
    assert str(caught.value).startswith(expected)


#: scheme, true tags, predicted tags, (precision, recall, F1) of seqeval's default, F1 of its strict mode, accuracy
SCORED = [
    ("BIO2", "B-P I-P", "I-P I-P", (1.0, 1.0, 1.0), 0.0, 0.5),
    ("BIO2", "B-A B-B O B-A", "O B-B B-C B-A", (2 / 3, 2 / 3, 2 / 3), 2 / 3, 0.5),
    ("BIOES", "B-M E-M B-M E-M", "B-M I-M I-M E-M", (0.0, 0.0, 0.0), 0.0, 0.5),
    ("BIOES", "B-P E-P S-P", "B-P I-P S-P", (1.0, 1.0, 1.0), 2 / 3, 2 / 3),
    ("BIOES", "B-L I-L E-L", "B-L E-L S-L", (0.0, 0.0, 0.0), 0.0, 1 / 3),
    ("BIO2", "O O O", "O B-L O", (0.0, 0.0, 0.0), 0.0, 2 / 3),
    ("BIO2", "O O", "O O", (0.0, 0.0, 0.0), 0.0, 1.0),
    ("BIO2", "B I O B", "B I O O", (1.0, 0.5, 2 / 3), 2 / 3, 0.75),
    ("BIO2", "B-L I-L O", "B-L I-O O", (0.0, 0.0, 0.0), 0.0, 2 / 3),
    ("BIO2", "O I-L B-L O", "O B-L B-L O", (1.0, 1.0, 1.0), 2 / 3, 0.75),
    ("BIO2", "B-G-C I-G-C O", "B-G-C I-G-C O", (1.0, 1.0, 1.0), 1.0, 1.0),
]


@pytest.mark.parametrize(("name", "true", "predicted", "entity", "strict", "accuracy"), SCORED)
def test_scores_are_those_of_seqeval(
    name: str, true: str, predicted: str, entity: tuple[float, float, float], strict: float, accuracy: float
) -> None:
    records = tag_records(predicted.split(), true.split(), SCHEMES[name])
    scores = tag_scores(records, has_spans=True)
    names = ("entity_precision", "entity_recall", "entity_f1")
    assert tuple(scores[key] for key in names) == pytest.approx(entity)
    assert (scores["entity_f1_strict"], scores["accuracy"]) == pytest.approx((strict, accuracy))
    assert scores["sentence_accuracy"] == (accuracy == 1.0)


def test_scores_of_any_tags_are_those_of_seqeval() -> None:
    cases = json.loads((Path(__file__).parents[1] / "oracles" / "seqeval.json").read_text(encoding="utf-8"))
    assert len(cases) == 160
    for case in cases:
        pairs = zip(case["predicted"], case["true"], strict=True)
        records = np.concatenate([tag_records(p.split(), t.split(), SCHEMES[case["scheme"]]) for p, t in pairs])
        scores = tag_scores(records, has_spans=True)
        names = ("entity_precision", "entity_recall", "entity_f1")
        assert [scores[name] for name in names] == pytest.approx(case.get("default", [scores[name] for name in names]))
        assert (scores["entity_f1_strict"], scores["accuracy"]) == pytest.approx((case["strict"][2], case["accuracy"]))


def test_records_add_up() -> None:
    """The scores of several sentences are those of their sums, as seqeval's micro averages are."""
    records = np.concatenate(
        [tag_records(p.split(), t.split(), SCHEMES["BIO2"]) for n, t, p, *_ in SCORED if n == "BIO2"]
    )
    assert records.sum(axis=0).tolist() == [7, 11, 10, 18, 25, 5, 9, 9, 8, 2, 0, 0]
    scores = tag_scores(records, has_spans=True)
    assert scores == {
        "accuracy": 18 / 25,
        "sentence_accuracy": 2 / 8,
        "entity_precision": 7 / 11,
        "entity_recall": 7 / 10,
        "entity_f1": 14 / 21,
        "entity_f1_strict": 10 / 18,
    }
    assert tag_scores(np.concatenate([records, records]), has_spans=True) == scores
    assert tag_scores(records[:0], has_spans=True) == dict.fromkeys(scores, 0.0)


def test_tags_that_mark_no_spans_have_no_scores_of_entities() -> None:
    records = np.concatenate([tag_records(["NN", "VB"], ["NN", "NN"]), tag_records([], []), tag_records(["O"], ["O"])])
    assert records[0].tolist() == [0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0]
    assert tag_scores(records, has_spans=False) == {"accuracy": 2 / 3, "sentence_accuracy": 1 / 2}


def test_each_label_has_precision_recall_and_f1() -> None:
    names = {"PER": 0, "LOC": 1}
    pairs = [("B-PER I-PER O B-LOC", "B-PER I-PER O O"), ("B-LOC O", "B-LOC O"), ("B-ORG", "B-LOC")]
    records = np.concatenate([tag_records(p.split(), t.split(), SCHEMES["BIO2"], names=names) for t, p in pairs])
    report = tag_report(records, list(names), has_spans=True)
    person, place = report["per_class"]
    assert person == {"label": "PER", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    assert place == {"label": "LOC", "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    flat = tag_records(["N", "V", "N", "X"], ["N", "N", "Y", "V"], names={"N": 0, "V": 1})
    rows = tag_report(flat, ["N", "V"], has_spans=False)["per_class"]
    assert rows[0] == {"label": "N", "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert rows[1] == {"label": "V", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_seen_and_unseen_words_are_scored_apart() -> None:
    seen = np.array([True, True, False, False])
    records = tag_records(["N", "N", "N", "V"], ["N", "V", "N", "N"], seen=seen)
    scores = tag_scores(records, has_spans=False)
    assert (scores["seen_accuracy"], scores["unseen_accuracy"], scores["accuracy"]) == (0.5, 0.5, 0.5)
    assert "unseen_accuracy" not in tag_scores(tag_records(["N"], ["N"], seen=seen[:1]), has_spans=False)
    assert tag_report(records, [], has_spans=False)["unseen_tokens"] == 2


def test_a_long_sentence_has_a_record_for_each_stretch_and_the_scores_of_one() -> None:
    draw, bio = np.random.default_rng(0), ["B-A", "I-A", "O", "B-B"]
    truth, predicted = draw.choice(bio, 2500).tolist(), draw.choice(bio, 2500).tolist()
    records = tag_records(predicted, truth, SCHEMES["BIO2"], names={"A": 0, "B": 1}, seen=draw.random(2500) < 0.5)
    assert len(records) == 3
    assert records[:, 4].tolist() == [1000, 1000, 500]
    spans = [set(SCHEMES["BIO2"].spans(tags)) for tags in (predicted, truth)]
    assert records.sum(axis=0)[:5].tolist() == [
        len(spans[0] & spans[1]),
        *map(len, spans),
        sum(map(str.__eq__, predicted, truth)),
        2500,
    ]
    whole = records_by_sentence(np.concatenate([records, records[:1], records]))
    assert whole.tolist() == [records.sum(axis=0).tolist(), records[0].tolist(), records.sum(axis=0).tolist()]
    report = tag_report(records, ["A", "B"], has_spans=True)
    assert report["items"] == 1
    low, high = report["accuracy_interval"]
    assert high - low < 0.1  # of one sentence, by its stretches


def test_every_score_has_an_interval_over_sentences() -> None:
    draw = np.random.default_rng(0)
    rows = [draw.choice(["B-A", "O"], (2, 8)).tolist() for _ in range(60)]
    records = np.concatenate([tag_records(p, t, SCHEMES["BIO2"], seen=draw.random(8) < 0.8) for p, t in rows])
    report = tag_report(records, [], has_spans=True)
    scores = tag_scores(records, has_spans=True)
    assert len(scores) == 8
    for name, score in scores.items():
        low, high = report[f"{name}_interval"]
        assert low < score < high or score == low == 0


def test_an_unseen_label_counts_as_wrong() -> None:
    truth, predicted = ["B-PER", "O", "B-ORG", "O"], ["B-PER", "O", "B-LOC", "O"]
    scores = tag_scores(tag_records(predicted, truth, SCHEMES["BIO2"]), has_spans=True)
    assert (scores["accuracy"], scores["entity_recall"]) == (0.75, 0.5)


def test_lists_of_different_length() -> None:
    with pytest.raises(ShapeError, match="predicted tags: got 1; expected 2, one a true tag"):
        tag_records(["O"], ["O", "O"], SCHEMES["BIO2"])


def test_entities_of_short_messages(real_data: Path) -> None:
    path = real_data / "wnut17_ner" / "train.conll"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    sentences = [sentence.tags for sentence in Conll(open_input(path), "utf-8-sig").tagged()]
    choice = detect_scheme(sentences)
    begun = Counter(tag for tags in sentences for tag in tags if tag.startswith("B-"))
    assert (choice.scheme.name, choice.irregular) == ("BIO2", choice.spans - begun.total())
    inner = SCHEMES["BIOES"]
    for tags in sentences:
        spans = choice.scheme.spans(tags)
        assert inner.spans(inner.tags(spans, len(tags)), strict=True) == spans
