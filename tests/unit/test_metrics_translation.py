"""BLEU, chrF and the other scores of generated texts, held against sacrebleu 2.6."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekur.errors import InputError, ShapeError
from rekur.metrics import (
    METRICS,
    bleu_records,
    bleu_score,
    chrf_records,
    chrf_score,
    hypothesis_records,
    hypothesis_report,
    hypothesis_scores,
    tokenize_13a,
)

#: what is told apart: hypotheses, references, BLEU, chrF, tokens of both
CORPORA: list[tuple[list[str], list[Any], float, float, int, int]] = [
    (["The cat sat there."], ["The cat sat there."], 100.0, 100.0, 5, 5),
    (["good night"], ["good night"], 0.0, 100.0, 2, 2),  # no run of four words
    (["This is cat"], ["This is a cat"], 0.0, 55.8286, 3, 4),
    (["The man had bitten him."], ["The man bit him first."], 19.3049, 34.614, 6, 6),
    (["the Dog bit the man."], ["The dog bit the man."], 50.8133, 73.0771, 6, 6),
    (["The dog bit the man ."], ["The dog bit the man."], 100.0, 100.0, 6, 6),
    (['He said "go" now.'], ["He said “go” now."], 18.5751, 45.4033, 7, 5),
    (["ein Haus fu\u0308r alle da"], ["ein Haus f\xfcr alle da"], 30.2138, 70.9651, 5, 5),
    (["Tu viens demain avec lui ?"], ["Tu viens demain avec lui\u202f?"], 100.0, 100.0, 6, 6),
    (["The dog bit the man.", ""], ["The dog bit the man.", "It was good."], 51.3417, 69.5981, 6, 10),
    ([""], ["It was good."], 0.0, 0.0, 0, 4),
    (["The dog bit the man.", "Oh"], ["The dog bit the man.", ""], 96.2195, 100.0, 7, 6),
    (["Tom &amp; Ann &quot;here&quot; again"], ['Tom & Ann "here" again'], 100.0, 34.7585, 7, 7),
    (["The dog bit the man again and again and again."], ["The dog bit the man."], 36.7206, 72.1414, 11, 6),
    (["b c d e f", "a b c d"], ["b c d e g", "a b c d"], 79.8408, 64.254, 9, 9),
    (["犬が走る"], ["犬が走った"], 0.0, 37.7366, 1, 1),
    (
        ["The dog bit the man.", "It was not odd.", "He left."],
        [
            ["The dog bit the man.", "The dog had bit the man."],
            ["It was not unexpected.", "No one was surprised."],
            ["He went away.", "He left."],
        ],
        76.4662,
        71.5517,
        14,
        14,
    ),
]


@pytest.mark.parametrize(("hypotheses", "references", "bleu", "chrf", "tokens", "reference_tokens"), CORPORA)
def test_small_corpora_have_the_scores_of_sacrebleu(
    hypotheses: list[str], references: list[Any], bleu: float, chrf: float, tokens: int, reference_tokens: int
) -> None:
    report = hypothesis_report(hypothesis_records(hypotheses, references))
    assert (round(report["bleu"], 4), round(report["chrf"], 4)) == (bleu, chrf)
    assert (report["hypothesis_tokens"], report["reference_tokens"]) == (tokens, reference_tokens)
    backwards = hypothesis_records(hypotheses[::-1], references[::-1])
    assert hypothesis_scores(backwards)["bleu"] == pytest.approx(report["bleu"], abs=1e-12)


def test_any_unicode_has_the_tokens_and_scores_of_sacrebleu() -> None:
    cases = json.loads((Path(__file__).parents[1] / "oracles" / "sacrebleu.json").read_text(encoding="utf-8"))
    assert len(cases) == 40
    assert {each["signatures"][0].split("|")[0] for each in cases} == {"nrefs:1", "nrefs:2", "nrefs:3", "nrefs:var"}
    for case in cases:
        assert [" ".join(tokenize_13a(text)) for text in case["hypotheses"]] == case["tokens"]
        report = hypothesis_report(hypothesis_records(case["hypotheses"], case["references"]))
        assert report["bleu"] == pytest.approx(case["bleu"], abs=1e-8)
        assert report["chrf"] == pytest.approx(case["chrf"], abs=1e-8)
        assert [report["hypothesis_tokens"], report["reference_tokens"]] == case["lengths"]
        assert [report["bleu_signature"], report["chrf_signature"]] == case["signatures"]


TEXTS = st.text("ab .,-1\u202f犬", max_size=12)


@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=3)), max_size=5), st.data())
def test_records_of_items_stand_for_themselves(pairs: list[tuple[str, list[str]]], data: st.DataObject) -> None:
    """The record of an item does not depend on others, and whole weights count as repetitions do."""
    hypotheses, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    records = hypothesis_records(hypotheses, references)
    each = [hypothesis_records([text], [others]) for text, others in pairs]
    np.testing.assert_array_equal(records, np.concatenate([records[:0], *each]))
    times = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs))), np.int64)
    repeated = hypothesis_scores(np.repeat(records, times, axis=0))
    assert hypothesis_scores(records, times.astype(np.float64)) == pytest.approx(repeated)


def test_of_two_references_equally_close_the_shorter_counts() -> None:
    for references in (["a b", "a b c d"], ["a b c d", "a b"]):
        assert bleu_records(["a b c"], [references])[0, :2].tolist() == [3, 2]


def test_many_items_are_compared_block_by_block() -> None:
    hypotheses = ["a b c", "b c", "c"] * 200
    references = [[hypothesis[:number], "a c"][: 1 + number // 300] for number, hypothesis in enumerate(hypotheses)]
    records = hypothesis_records(hypotheses, references)
    for row in (0, 255, 256, 299, 300, 599):
        alone = hypothesis_records(hypotheses[row : row + 1], references[row : row + 1])
        np.testing.assert_array_equal(records[row], alone[0])


def test_other_scores_and_intervals() -> None:
    pairs = [("no no no", ["no"]), ("yes yes", ["yes yes", "yes"]), ("", "?"), ("a\u202f!", "a !"), ("b", "b")]
    report = hypothesis_report(hypothesis_records(*zip(*pairs, strict=True)))  # type: ignore[arg-type]
    assert report["exact_match"] == 2 / 5  # to the character
    assert report["length_ratio"] == 8 / 7
    assert report["distinct_1"] == 5 / 8
    assert report["distinct_2"] == 3 / 4
    for name in ("bleu", "chrf", "exact_match"):
        low, high = report[f"{name}_interval"]
        assert low <= report[name] <= high
    assert set(hypothesis_scores(np.zeros((0, 34)))) <= set(METRICS)
    assert hypothesis_report(hypothesis_records(["a"], ["a"]))["bleu_interval"] is None


def test_no_texts_score_nothing() -> None:
    assert (bleu_score(bleu_records([], [])), chrf_score(chrf_records([], []))) == (0.0, 0.0)


@pytest.mark.parametrize("references", [[], ["a", "b"]])
def test_every_hypothesis_needs_references(references: list[str]) -> None:
    with pytest.raises(ShapeError, match=rf"references: got {len(references)}; expected 1"):
        hypothesis_records(["a"], references)


@pytest.mark.parametrize("label", [[], [3], None, 7])
def test_references_are_texts(label: Any) -> None:
    with pytest.raises(InputError, match=r"reference 1: label: got .*expected a text, or a list"):
        hypothesis_records(["a"], [label])
