"""Lists of words as columns of ids: the columns, the message for each bad item, and what is saved."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from rekur.errors import BundleError, InputError, NotFittedError
from rekur.features import WordFeatures, restore
from rekur.features.words import shape_of

SENTENCES = [["The", "cat", "sat"], ["the", "CAT"], ["A", "dog"]]


def test_words_are_numbered_by_frequency_and_rare_ones_are_unknown() -> None:
    features = WordFeatures().fit(SENTENCES)
    assert features.vocabulary_ == ("cat", "the")
    assert features.transform(["the", "Cat", "dog"])[:, 0].tolist() == [3, 2, 1]
    cased = WordFeatures(fold_case=False, min_count=1).fit(SENTENCES)
    assert {"The", "the", "cat", "CAT"} < set(cased.vocabulary_)
    assert WordFeatures(max_vocabulary=3).fit(SENTENCES).vocabulary_ == ("cat",)


def test_columns_and_their_sizes() -> None:
    features = WordFeatures(prefixes=1, suffixes=2, buckets=100).fit(SENTENCES)
    assert features.columns == ("word", "prefix 1", "suffix 1", "suffix 2", "shape")
    assert features.sizes == (4, 100, 100, 100, 100)
    ids = features.transform(["running", "Jumping", "rug"])
    assert ids.dtype == np.int32
    assert ids[0, 2] == ids[1, 2] == ids[2, 2]
    assert ids[0, 3] == ids[1, 3] != ids[2, 3]
    assert ids[0, 1] == ids[2, 1] != ids[1, 1]
    assert ids[0, 4] == ids[2, 4] != ids[1, 4]


def test_ids_are_the_same_on_every_machine() -> None:
    features = WordFeatures(prefixes=2, suffixes=2, buckets=5000).fit([["Zürich", "zürich"]])
    assert features.transform(["Zürich", "漢字", "a"]).tolist() == IDS


IDS = [
    [2, 4591, 2844, 3927, 2517, 4686],
    [1, 1557, 4076, 2834, 2371, 4950],
    [1, 3774, 3774, 3774, 3774, 3725],
]


def test_a_short_word_counts_as_it_stands() -> None:
    features = WordFeatures(min_count=1, prefixes=3, suffixes=0, shape=False).fit([["ab"]])
    assert len(set(features.transform(["ab"])[0, 2:].tolist())) == 1
    assert features.transform(["ab"])[0, 3] != features.transform(["abc"])[0, 3]


@pytest.mark.parametrize(
    ("word", "shape"),
    [("Ada", "Xxx"), ("iPhone", "xXxx"), ("2,000.50", "d,dd.dd"), ("U.S.", "X.X."), ("!!!!", "!!"), ("漢字", "xx")],
)
def test_shapes(word: str, shape: str) -> None:
    assert shape_of(word) == shape


def test_the_shape_of_a_long_word_is_cut() -> None:
    assert len(shape_of("a1" * 10_000)) == 24
    assert WordFeatures().fit([["a1" * 10_000] * 2]).transform(["a1" * 10_000]).shape == (1, 10)


def test_a_stream_takes_a_word_or_a_list() -> None:
    features = WordFeatures().fit(SENTENCES)
    stream = features.stream()
    assert stream.push("cat").tolist() == features.transform(["cat"]).tolist()
    assert stream.push([]).shape == stream.pending().shape == (0, 10)
    assert stream.push(["the", "dog"]).shape == (2, 10)
    with pytest.raises(InputError, match=r"^event: got an int; expected a list of words\.$"):
        stream.push(5)


def test_the_context_of_a_step_is_its_word() -> None:
    features = WordFeatures().fit(SENTENCES)
    encoded = features.encode(["the", "Dog"])
    assert encoded.context == ["the", "Dog"]
    np.testing.assert_array_equal(encoded.inputs["steps"], features.transform(["the", "Dog"]))
    stream = features.stream()
    assert [stream.encode(event).context for event in ("the", ["Dog", "sat"], [])] == [["the"], ["Dog", "sat"], []]
    assert stream.finish().inputs["steps"].shape == (0, 10)


def test_more_words_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    features = WordFeatures().fit(SENTENCES)
    words = [f"word{number}" for number in range(50)]
    whole = features.transform(words)
    monkeypatch.setattr("rekur.features.words._MOST_REMEMBERED", 60)
    again = WordFeatures.from_dict(features.to_dict())
    for _ in range(2):
        assert again.transform([*words, "cat"])[:50].tolist() == whole.tolist()
        assert again.transform([f"other{number}" for number in range(50)]).shape == (50, 10)


def test_what_is_told() -> None:
    features = WordFeatures().fit(SENTENCES)
    assert features.describe() == [
        ("capitals", "read as small letters, but for the shape"),
        ("vocabulary", "2: cat, the"),
        ("known", "57.1 % of the words in training"),
        (
            "parts of words",
            "prefixes of 1 to 4 characters and suffixes of 1 to 4 characters and shape, hashed into 5,000 ids each",
        ),
    ]
    plain = WordFeatures(fold_case=False, prefixes=0, suffixes=1, shape=False).fit([["a", "a"]])
    assert plain.describe()[-1] == ("parts of words", "suffixes of 1 character, hashed into 5,000 ids each")
    bare = WordFeatures(prefixes=0, suffixes=0, shape=False).fit([["a", "a"]])
    assert [subject for subject, _ in bare.describe()] == ["capitals", "vocabulary", "known"]
    assert bare.transform(["a", "b"]).tolist() == [[2], [1]]


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (["the cat"], "item 1: got 'the cat'; expected a list of words. Put its words into a list."),
        ([["a"], 5], "item 2: got an int; expected a list of words."),
        ([["a", 5]], "item 1, word 2: got an int; expected a text."),
        ([["a", None]], "item 1, word 2: got nothing; expected a text."),
        ([["a", ""]], "item 1, word 2: got ''; expected one character or more that is no blank."),
        ([["a", " \t"]], "item 1, word 2: got ' \t'; expected one character or more that is no blank."),
        ([[]], "items: got no word; expected lists of words to learn from. Check that the right column was read."),
    ],
)
def test_items_that_cannot_be_learned_from(items: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        WordFeatures().fit(items)
    assert str(caught.value) == text


def test_words_that_all_occur_once_are_told_apart_by_their_parts() -> None:
    features = WordFeatures().fit([["a", "b"]])
    assert features.size == 2
    ids = features.transform(["a", "b"])
    assert ids[:, 0].tolist() == [1, 1]
    assert ids[0].tolist() != ids[1].tolist()
    with pytest.raises(InputError) as caught:
        WordFeatures(prefixes=0, suffixes=0, shape=False).fit([["a", "b"]])
    assert str(caught.value) == (
        "min_count: got 2; expected a number of times that some word occurs in training, at most 1. "
        "Use min_count=1 (--min-count 1)."
    )


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("prefixes", 9, "a whole number in [0, 8]"),
        ("suffixes", -1, "a whole number in [0, 8]"),
        ("buckets", 2, "a whole number in [3, 1048576]"),
        ("min_count", 0, "a whole number of 1 or more"),
        ("max_vocabulary", 2, "a whole number of 3 or more"),
        ("shape", 1, "True or False"),
        ("fold_case", None, "True or False"),
    ],
)
def test_ranges_of_options(option: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError, match=f"^{option}: got .*; expected "):
        WordFeatures(**{option: value})
    with pytest.raises(InputError) as caught:
        WordFeatures(**{option: value})
    assert expected in str(caught.value)


def test_not_fitted() -> None:
    with pytest.raises(NotFittedError):
        WordFeatures().transform(["a"])
    with pytest.raises(NotFittedError):
        WordFeatures().stream()


def test_saved_options_that_are_damaged() -> None:
    saved = WordFeatures().fit(SENTENCES).to_dict()
    with pytest.raises(BundleError, match="'options'"):
        restore({**saved, "options": {**saved["options"], "prefixes": 99}})
    with pytest.raises(BundleError, match="'options'"):
        restore({**saved, "options": {"prefixes": 1}})


def test_words_of_training_are_seen_letter_for_letter_however_rare() -> None:
    features = WordFeatures(min_count=2).fit([["The", "cat", "the"], ["\ud83dx"]])
    words = ["The", "the", "THE", "cat", "cats", "\ud83dx"]
    for each in (features, WordFeatures.from_dict(json.loads(json.dumps(features.to_dict())))):
        seen = each.seen(words)
        assert seen is not None
        assert seen.tolist() == [True, True, False, True, False, True]
        assert each.seen(None) is None
    earlier = features.to_dict()
    del earlier["learnt"]["seen"]
    assert WordFeatures.from_dict(earlier).seen(words) is None
    for bad in ("AAA", "?", 5):
        with pytest.raises(BundleError, match=r"features\.json, 'seen': got "):
            WordFeatures.from_dict({**earlier, "learnt": {**earlier["learnt"], "seen": bad}})
