"""Sequences over an alphabet: letters, codes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rekur.errors import DataError, InputError, NotFittedError
from rekur.features import SymbolFeatures


def test_letters_fold_and_leave_out_space() -> None:
    features = SymbolFeatures().fit(["acgt\nAC"])
    assert features.vocabulary_ == ("A", "C", "G", "T")
    assert features.transform("t G\nnA").tolist() == [5, 4, 1, 2]
    assert features.decode([5, 1, 0, 2]) == "T\ufffdA"
    assert features.describe() == [
        ("symbols", "single letters"),
        ("small letters", "read as capitals"),
        ("vocabulary", "4: A, C, G, T"),
        ("known", "100.0 % of the symbols in training"),
    ]


def test_codes_keep_their_case() -> None:
    features = SymbolFeatures(";").fit(["a1; B2;;a1", " a1 "])
    assert features.vocabulary_ == ("a1", "B2")
    assert features.transform("b2; B2 ").tolist() == [1, 3]
    assert features.describe()[:2] == [("symbols", "codes, cut at each ';'"), ("small letters", "kept")]
    stream = features.stream()
    assert [stream.push(part).tolist() for part in ("a", "1", " ; B2")] == [[], [], [2]]
    assert stream.pending().tolist() == [3]
    assert features.decode([2, 3]) == "a1;B2"


def test_lists_of_codes_and_whole_numbers() -> None:
    features = SymbolFeatures(max_length=2).fit([np.array([7, 7, 8]), ["x", 7]])
    assert features.vocabulary_ == ("7", "x")
    assert features.transform(["7", 9, "x"]).tolist() == [2, 1]
    assert features.n_truncated == 1
    stream = features.stream()
    assert [stream.push(event).tolist() for event in ("x", 7)] == [[3], [2]]


def test_the_vocabulary_is_bounded_and_in_order() -> None:
    assert SymbolFeatures(max_vocabulary=4).fit(["bbaaacc"]).vocabulary_ == ("A", "B")
    assert SymbolFeatures(min_count=3).fit(["bbaaacc"]).vocabulary_ == ("A",)


def test_a_million_letters() -> None:
    features = SymbolFeatures().fit(["ACGT"])
    assert features.transform("ACGTN" * 200_000).shape == (1_000_000,)


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (["AC", ["A"]], "item 2: got ['A']; expected letters, as the items before it."),
        ([["A"], "AC"], "item 2: got 'AC'; expected codes, as the items before it."),
        ([5], "item 1: got an int; expected a text or a list of codes."),
        ([["a", {}]], "item 1, step 2: got a dict; expected a code: a text or a whole number."),
        ([["a", None]], "item 1, step 2: got nothing; expected a code: a text or a whole number."),
        ([""], "items: got no symbol; expected sequences to learn from. Check that the right column was read."),
    ],
)
def test_items_that_cannot_be_learnt_from(items: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        SymbolFeatures().fit(items)
    assert str(caught.value) == text


def test_too_high_a_count() -> None:
    with pytest.raises(InputError) as caught:
        SymbolFeatures(min_count=5).fit(["aab"])
    assert str(caught.value) == (
        "min_count: got 5; expected a number of times that some symbol occurs in training, at most 2. "
        "Use min_count=2 (--min-count 2)."
    )


def test_what_cannot_be_transformed() -> None:
    letters, codes = SymbolFeatures().fit(["AC"]), SymbolFeatures().fit([["A", "C"]])
    with pytest.raises(InputError) as caught:
        letters.transform(["A"])
    assert str(caught.value) == "sequence: got a list; expected a text of letters."
    with pytest.raises(InputError) as caught:
        codes.transform("A C")
    assert str(caught.value) == (
        "sequence: got 'A C'; expected a list of codes. "
        "Put the codes into a list, or say what separates them: separator=' '."
    )


def test_a_wrong_separator_is_noticed() -> None:
    features = SymbolFeatures(",").fit(["a,b"])
    code = "x" * 1001
    expected = "expected codes of at most 1000 characters between separators. Check the separator."
    stream = features.stream()
    for use, thing in ((lambda: features.transform(code), "sequence"), (lambda: stream.push(code), "event")):
        with pytest.raises(DataError) as caught:
            use()
        assert str(caught.value) == f"{thing}: got '{'x' * 79}… (1003 characters); {expected}"
    assert stream.get_state() == {"kind": "symbols", "rest": "", "steps": 0}


def test_a_list_into_an_unfinished_code() -> None:
    stream = SymbolFeatures(",").fit(["a,b"]).stream()
    stream.push("a,b")
    with pytest.raises(InputError) as caught:
        stream.push(["a"])
    assert str(caught.value) == "event: got a list; expected a text. Push ',' first, to end the code 'b'."


def test_options_and_fitting() -> None:
    with pytest.raises(InputError) as caught:
        SymbolFeatures("")
    assert str(caught.value) == "separator: got ''; expected a text that is not empty, or None."
    with pytest.raises(NotFittedError) as unfitted:
        SymbolFeatures().transform("A")
    assert str(unfitted.value) == "SymbolFeatures: not fitted yet. Call fit(training_items) first."
