"""Any way in which an item arrives gives the steps of the whole item, bit for bit, for every kind and option."""

from __future__ import annotations

import json
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur._history import History
from rekur.features import (
    FEATURES,
    Features,
    PairFeatures,
    SeriesFeatures,
    SymbolFeatures,
    TextFeatures,
    WindowFeatures,
    WordFeatures,
    cut,
    load,
)
from rekur.features.windows import Window

# Characters at which tokens begin, end, grow or are folded in a special way, besides all others.
SPECIAL = "aZé 'ʼ’-.,3٣_!\n\t\u00a0\u200b\u200d\ufeff\u0301\ufe0f\u20e3漢カ❤👩🏽🇫🇷\ud83dİΣßक्ष\u2010①❶"
TEXTS = st.lists(
    st.one_of(st.sampled_from(SPECIAL), st.characters(), st.sampled_from(["don't", "3.14", "ab" * 40, " " * 70]))
).map("".join)
TRAINING = ["Don't stop: 3.14 isn't 3. The cat sat, the CAT sat.", "a é 漢字 ❤️ 👩🏽 the cat's İΣ", "The the a a cat"]

TEXT_OPTIONS: list[dict[str, Any]] = [
    {"tokens": "word", "min_count": 1},
    {"tokens": "word", "lowercase": False, "digits": "zero", "max_length": 5},
    {"tokens": "word", "words": "spaces", "lowercase": False, "digits": "keep"},
    {"tokens": "word", "words": "marks", "lines": True, "max_length": 9},
    {"tokens": "word", "words": "auto", "lines": False},
    {"tokens": "char"},
    {"tokens": "char", "lowercase": True, "digits": "zero", "max_length": 7},
    {"tokens": "byte", "max_length": 9},
    {"tokens": "byte", "lowercase": True},
    {"tokens": "bpe", "max_vocabulary": 300},
    {"tokens": "bpe", "max_vocabulary": 280, "lowercase": True, "digits": "zero", "max_length": 6},
    {"tokens": "auto"},
]
FITTED = [TextFeatures(**options).fit(TRAINING) for options in TEXT_OPTIONS]
IDS = [repr(features) for features in FITTED]


def parts_of(item: Any, cuts: list[int]) -> list[Any]:
    """Return the item cut at these places, taken modulo its length."""
    places = [0, *sorted(place % (len(item) + 1) for place in cuts), len(item)]
    return [item[a:b] for a, b in pairwise(places)]


def lived(features: Features, events: list[Any]) -> np.ndarray[Any, Any]:
    """Return what a stream gives, saved to JSON and put into a new stream after every event."""
    stream, steps = features.stream(), []
    for event in events:
        steps.append(stream.push(event))
        state = json.loads(json.dumps(stream.get_state()))
        stream = features.stream()
        stream.set_state(state)
    return np.concatenate([*steps, stream.pending()])


def check_live(features: Features, item: Any, events: list[Any]) -> None:
    whole = features.transform(item)
    live = lived(features, events)
    assert live.dtype == whole.dtype
    np.testing.assert_array_equal(live, whole)


@pytest.mark.parametrize("features", FITTED, ids=IDS)
@draws(40)
@given(text=TEXTS, cuts=st.lists(st.integers(0, 10_000), max_size=8))
@example(text="don't", cuts=[3, 4])
@example(text="3.5 3. 3.x", cuts=[1, 2, 5, 9])
@example(text="👩\u200d🏽👩\u200dx🇫🇷🇫", cuts=list(range(12)))
@example(text="x" * 63 + "-" + "y" * 64, cuts=[63, 64, 65])
@example(text=" " * 63 + "a" + " " * 64 + "a" + " " * 65 + "a", cuts=[62, 63, 64, 65, 127, 128, 129])
@example(text="-".join("ab" * 50), cuts=[63, 64, 65, 66])
def test_text_any_cut_is_the_whole(features: TextFeatures, text: str, cuts: list[int]) -> None:
    check_live(features, text, parts_of(text, cuts))
    check_live(features, text, list(text))


CUTTERS = [cut.words(), cut.words(lines=True), cut.spaced(lines=True), cut.pieces()]


@draws(50)
@given(text=TEXTS)
def test_pieces_are_the_whole_text_and_tokens_are_bounded(text: str) -> None:
    assert "".join(cut.pieces().cut(text)) == text
    for cutter in CUTTERS:
        tokens = cutter.cut(text)
        assert all(0 < len(token) <= cut.LONGEST for token in tokens)
        # The quick way through findall and the way through spans agree.
        assert tokens == [text[start:end] for start, end in cutter._spans(text)]


@pytest.mark.parametrize("cutter", CUTTERS, ids=["words", "words and lines", "spaces", "pieces"])
@draws(25)
@given(text=TEXTS)
def test_what_is_held_back_is_bounded(cutter: cut.Cutter, text: str) -> None:
    rest = ""
    for character in text * 3:
        _, rest = cutter.cut_certain(rest + character)
        assert len(rest) <= cut.LONGEST + 1


@pytest.mark.parametrize("cutter", CUTTERS, ids=["words", "words and lines", "spaces", "pieces"])
@draws(25)
@given(text=TEXTS)
def test_what_is_certain_and_the_rest_are_the_whole(cutter: cut.Cutter, text: str) -> None:
    certain, rest = cutter.cut_certain(text)
    assert certain + cutter.cut(rest) == cutter.cut(text)
    # The quick way for texts without long tokens, and the definition.
    spans = takewhile(lambda span: cutter._is_certain(text, *span), cutter._spans(text))
    assert certain == [text[start:end] for start, end in spans]


@pytest.mark.parametrize("features", FITTED, ids=IDS)
@draws(25)
@given(numbers=st.lists(st.integers(0, 10_000), max_size=40), cuts=st.lists(st.integers(0, 10_000), max_size=6))
@example(numbers=list(range(2, 300)), cuts=list(range(0, 300, 7)))
def test_decoding_in_parts_is_decoding_the_whole(features: TextFeatures, numbers: list[int], cuts: list[int]) -> None:
    ids = [number % features.size for number in numbers]
    push, finish = features.decoder()
    assert "".join(map(push, parts_of(ids, cuts))) + finish() == features.decode(ids)
    push, finish = features.decoder()
    assert "".join(push([number]) for number in ids) + finish() == features.decode(ids)


@pytest.mark.parametrize("tokens", ["char", "byte", "bpe"])
@draws(40)
@given(text=TEXTS)
def test_a_text_comes_back_as_it_was(tokens: str, text: str) -> None:
    known = TextFeatures(tokens).fit([text or "a"] * 2)
    assert known.decode(known.transform(text)) == cut.whole_characters(text)


@draws(40)
@given(words=st.lists(st.sampled_from(["a", "b.", ",", "@-@", "=", "\n", '"']), max_size=30))
def test_words_cut_at_spaces_come_back_with_single_spaces(words: list[str]) -> None:
    features = TextFeatures("word", words="spaces").fit(['a b. , @-@ = \n "'])
    text = " ".join(words)
    written = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    assert features.decode(features.transform(text)) == written
    assert features.transform(written).tolist() == features.transform(text).tolist()


SYMBOLS = [
    SymbolFeatures().fit(["ACGT", "aacc"]),
    SymbolFeatures(fold_case=False, max_length=4).fit(["ACGT", "aacc"]),
    SymbolFeatures(" ").fit(["a b", "B a"]),
    SymbolFeatures("->", fold_case=True, max_length=3).fit(["a->b->c", " A -> b"]),
    SymbolFeatures("aab", min_count=1).fit(["caabd"]),
]


@pytest.mark.parametrize("features", SYMBOLS, ids=repr)
@draws(40)
@given(
    text=st.text(st.one_of(st.sampled_from("aAbBcCdACGT->  \n\u3000ßµ"), st.characters()), max_size=30),
    cuts=st.lists(st.integers(0, 10_000), max_size=6),
)
def test_symbols_any_cut_is_the_whole(features: SymbolFeatures, text: str, cuts: list[int]) -> None:
    check_live(features, text, parts_of(text, cuts))
    check_live(features, text, list(text))


@draws(20)
@given(codes=st.lists(st.sampled_from(["in", "out", "x", 3, 44])), cuts=st.lists(st.integers(0, 99), max_size=4))
def test_lists_of_codes_any_cut_is_the_whole(codes: list[Any], cuts: list[int]) -> None:
    features = SymbolFeatures().fit([["in", "out", 3]])
    check_live(features, codes, parts_of(codes, cuts))
    check_live(features, codes, codes)


NUMBERS = st.one_of(st.none(), st.just(float("nan")), st.floats(-1e6, 1e6), st.integers(-5, 5))
SERIES_OPTIONS: list[dict[str, Any]] = [
    {},
    {"standardise": False},
    {"missing": "zero", "indicators": "always"},
    {"indicators": "never", "channels": ["x", "y"]},
]


@pytest.mark.parametrize("options", SERIES_OPTIONS, ids=str)
@draws(25)
@given(
    rows=st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=12),
    cuts=st.lists(st.integers(0, 99), max_size=4),
)
def test_series_any_cut_is_the_whole(options: dict[str, Any], rows: list[Any], cuts: list[int]) -> None:
    features = SeriesFeatures(**options).fit([[[1.0, None], [2.5, 7.0], [-4.0, 8.0]]])
    check_live(features, rows, parts_of(rows, cuts))
    check_live(features, rows, rows)
    array = np.array(rows, np.float64).reshape(-1, 2)
    check_live(features, array, list(array))


@draws(25)
@given(values=st.lists(NUMBERS, max_size=12), cuts=st.lists(st.integers(0, 99), max_size=4))
def test_one_channel_any_cut_is_the_whole(values: list[Any], cuts: list[int]) -> None:
    features = SeriesFeatures().fit([[1, None, 2, 4]])
    check_live(features, values, parts_of(values, cuts))
    check_live(features, values, values)


@draws(25)
@given(
    items=st.lists(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2), min_size=1), min_size=1),
)
def test_moments_do_not_depend_on_how_steps_are_shared_out(items: list[Any]) -> None:
    rows = np.array([row for item in items for row in item])
    features = SeriesFeatures().fit(iter(items))
    np.testing.assert_allclose(features.mean_, rows.mean(axis=0), rtol=1e-9, atol=1e-9)
    varies = np.ptp(rows, axis=0) > 1e-3
    np.testing.assert_allclose(features.scale_[varies], rows.std(axis=0)[varies], rtol=1e-6)
    assert (features.scale_[np.ptp(rows, axis=0) == 0] == 1).all()


WORDS = [
    WordFeatures(min_count=1).fit([["The", "cat's", "3.14"], ["the", "end"]]),
    WordFeatures(fold_case=False, prefixes=0, suffixes=2, shape=False, buckets=7).fit([["a", "a", "B"]]),
    WordFeatures(min_count=1, prefixes=3, suffixes=0, max_vocabulary=3).fit([["漢字", "é"]]),
]
WORD = st.text(st.one_of(st.sampled_from("aZé3-.漢İΣß\ud83d"), st.characters()), min_size=1, max_size=12)


@pytest.mark.parametrize("features", WORDS, ids=repr)
@draws(40)
@given(
    words=st.lists(st.one_of(st.sampled_from(["The", "cat's", "a"]), WORD.filter(lambda word: not word.isspace()))),
    cuts=st.lists(st.integers(0, 10_000), max_size=6),
)
def test_words_any_cut_is_the_whole(features: WordFeatures, words: list[str], cuts: list[int]) -> None:
    check_live(features, words, parts_of(words, cuts))
    check_live(features, words, words)
    ids = features.transform(words)
    assert ids.shape == (len(words), len(features.sizes))
    assert (ids > 0).all()
    assert (ids < features.sizes).all()
    alone = [WordFeatures.from_dict(features.to_dict()).transform([word]) for word in words]
    np.testing.assert_array_equal(np.concatenate([ids[:0], *alone]), ids)


PAIRS = [PairFeatures(tokens, min_count=1).fit(zip(TRAINING, TRAINING, strict=True)) for tokens in ("bpe", "char")]
WINDOWS = WindowFeatures(4, 4, 2, (2,)).fit([Window(History("a", ("y",), np.arange(9.0)[:, None]), 0, 9)])
EVERY: list[Features] = [
    *FITTED,
    *SYMBOLS,
    SeriesFeatures(["x", "y"]).fit([[[1, 0.1], [None, 0.7]]]),
    *WORDS,
    *PAIRS,
    WINDOWS,
]


def test_every_kind_is_listed() -> None:
    assert {features.kind for features in EVERY} == set(FEATURES)


def item_for(features: Features) -> Any:
    """Return an item of four steps or more that the features take."""
    if isinstance(features, WordFeatures):
        return ["The", "cat's", "unseen", "3.14", "漢"]
    if isinstance(features, WindowFeatures):
        return [0.3, None, 0.1, 5, 0.2]
    return [[0.3, None], [0.1, 5]] if isinstance(features, SeriesFeatures) else "The cat's 3.14 ACGTaa->b a"


@pytest.mark.parametrize("features", EVERY, ids=repr)
def test_saved_is_loaded(features: Features, tmp_path: Any) -> None:
    features.save(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is type(features)
    assert loaded.size == features.size
    assert json.dumps(loaded.to_dict()) == json.dumps(features.to_dict())
    item = item_for(features)
    np.testing.assert_array_equal(loaded.transform(item), features.transform(item))
    again = tmp_path / "again"
    again.mkdir()
    loaded.save(again)
    assert (again / "features.json").read_bytes() == (tmp_path / "features.json").read_bytes()


@pytest.mark.parametrize("features", EVERY, ids=repr)
def test_copy_and_reset(features: Features) -> None:
    item = item_for(features)
    head, tail = item[: len(item) // 2], item[len(item) // 2 :]
    stream = features.stream()
    first = stream.push(head)
    twin = stream.copy()
    rest = np.concatenate([stream.push(tail), stream.pending()])
    np.testing.assert_array_equal(np.concatenate([twin.push(tail), twin.pending()]), rest)
    assert twin.get_state() == stream.get_state()
    np.testing.assert_array_equal(np.concatenate([first, rest]), features.transform(head + tail))
    stream.reset()
    assert stream.get_state() == features.stream().get_state()
    assert stream.pending().shape == features.transform(head[:0]).shape


def test_only_training_items_are_learnt_from() -> None:
    """Reading other items changes nothing of what was learnt."""
    for features in EVERY:
        before = json.dumps(features.to_dict())
        stream = features.stream()
        item: Any = [[9e3, None]] * 3 if isinstance(features, SeriesFeatures) else "unseen Unseen UNSEEN"
        item = item.split() if isinstance(features, WordFeatures) else item
        item = [9e3, None, -2.0] if isinstance(features, WindowFeatures) else item
        features.transform(item)
        stream.push(item)
        assert json.dumps(features.to_dict()) == before
