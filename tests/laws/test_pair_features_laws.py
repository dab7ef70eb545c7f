"""Laws of pairs of texts: the text of a text's tokens is the text, live is whole, and a bundle gives the same back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur._ids import END, RESERVED_OF_PAIRS
from rekur.errors import BundleError, InputError
from rekur.features import PairFeatures, restore

PAIRS = [("The dog isn't  here.", "Le chien n’est pas là !"), ("the cats", "les « chats »"), ("the dogs", "les chiens")]
OPTIONS: list[dict[str, Any]] = [
    {"tokens": tokens, "shared": shared, "min_count": 1}
    for tokens in ("bpe", "word", "char")
    for shared in (True, False)
]
FITTED = [PairFeatures(**options).fit(PAIRS) for options in OPTIONS]
each = pytest.mark.parametrize("features", FITTED, ids=map(repr, FITTED))
SPECIAL = [
    "</s>",
    "<unk>",
    "<pad>",
    "▁",
    "@@ ",
    "⁇",
    "\u202f",
    "\u00a0",
    "e\u0301",
    "é",
    "ﬁ",
    "２",
    "\r",
    "\u2028",
    "\0",
]
TEXTS = st.lists(st.sampled_from(SPECIAL) | st.characters() | st.sampled_from(["the", " dog", "  "])).map("".join)


@each
@given(text=TEXTS)
@example(text=" a  b\t ")
@example(text="\ud83d")
@draws(60)
def test_the_text_of_the_tokens_of_a_text_is_the_text(features: PairFeatures, text: str) -> None:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    ids = features.transform_target(text)
    assert ids[-1] == END
    assert (ids[:-1] >= RESERVED_OF_PAIRS).all()
    assert (ids < features.target_size).all()
    assert features.decode_target(ids) == whole
    assert (features.transform(text) >= RESERVED_OF_PAIRS).all()
    push, finish = features.target_decoder()
    assert "".join([push([number]) for number in ids.tolist()]) + finish() == whole


@each
@given(text=TEXTS, data=st.data())
@draws(40)
def test_a_source_in_pieces_has_the_tokens_of_the_whole(features: PairFeatures, text: str, data: st.DataObject) -> None:
    stream, start, ids = features.stream(), 0, []
    while start < len(text):
        end = data.draw(st.integers(start + 1, len(text)))
        ids += stream.push(text[start:end]).tolist()
        start = end
    assert [*ids, *stream.pending().tolist()] == features.transform(text).tolist()


@each
def test_saved_features_give_the_same(features: PairFeatures) -> None:
    again = restore(json.loads(json.dumps(features.to_dict())))
    assert isinstance(again, PairFeatures)
    assert again.to_dict() == features.to_dict()
    for source, target in [*PAIRS, ("ünseen 漢", "x")]:
        assert np.array_equal(again.transform(source), features.transform(source))
        assert np.array_equal(again.transform_target(target), features.transform_target(target))


def test_sides_that_share_a_vocabulary_learn_from_both() -> None:
    shared, apart = (PairFeatures("word", shared=shared, min_count=1).fit(PAIRS) for shared in (True, False))
    assert shared.size == shared.target_size > max(apart.size, apart.target_size)
    assert len(shared.transform(" chiens")) == 1 < len(apart.transform(" chiens"))
    assert len(apart.transform_target(" chiens")) == 2


def test_long_sides_are_cut_and_counted() -> None:
    features = PairFeatures("char", max_length=3).fit(PAIRS)
    assert features.decode_target(features.transform_target("les chats")) == "les"
    assert len(features.transform("the dog")) == 3
    assert features.n_truncated == 2


def test_a_blank_source_has_no_tokens() -> None:
    assert [len(FITTED[0].encode(text).inputs["steps"]) for text in ("", " ", "\u202f\u2028")] == [0, 0, 0]
    assert len(FITTED[0].encode(" a").inputs["steps"]) > 0


@pytest.mark.parametrize(
    ("options", "pairs", "text"),
    [
        ({"tokens": "byte"}, PAIRS, "tokens: got 'byte'"),
        ({"max_vocabulary": 200}, PAIRS, "max_vocabulary: got 200"),
        ({}, ["a text"], "item 1: got 'a text'; expected a pair"),
        ({}, [("a", None)], "target of item 1: got None"),
        ({}, [], "source texts: got no character"),
    ],
)
def test_what_is_refused(options: dict[str, Any], pairs: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        PairFeatures(**options).fit(pairs)


@pytest.mark.parametrize("change", [{"source": ["a\n"]}, {"source": ["a b", "a b"]}, {}, {"target": []}])
def test_damaged_files_are_refused(change: dict[str, Any]) -> None:
    saved = {**FITTED[0].to_dict(), "learnt": change}
    with pytest.raises(BundleError):
        restore(saved)
