"""Texts to token numbers: what tokens are, what is known, and what is refused."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from rekur.errors import InputError, NotFittedError
from rekur.features import TextFeatures, cut
from rekur.features.byte_pairs import BytePairs, byte_names, spell

CORPUS = [
    "Rain fell on the river, and the rain's sound fell with it.",
    "The river ran 1234 metres; the runner ran 12.5 — naïve, isn't it? ❤️❤️",
    "running runner rain rainy river rivers  \n\n  falling fallen fell",
    "漢字かな交じり文 the the the of of and and",
]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop.", ["Don't", "stop", "."]),
        ("dogs' ‘tails’", ["dogs", "'", "‘", "tails", "’"]),
        ("state-of-the-art - e-", ["state-of-the-art", "-", "e", "-"]),
        ("3.14, 1,000.5; 2. .5", ["3.14", ",", "1,000.5", ";", "2", ".", ".", "5"]),
        ("covid-19 x86 2nd a_b", ["covid-19", "x86", "2nd", "a_b"]),
        ("wow!!", ["wow", "!", "!"]),
        ("👩‍👩‍👧🇫🇷🇩🇪👍🏽❤️x", ["👩‍👩‍👧", "🇫🇷", "🇩🇪", "👍🏽", "❤️", "x"]),
        ("漢字abc", ["漢", "字", "abc"]),
        ("e\u0301te\u0301 हिन्दी", ["e\u0301te\u0301", "हिन्दी"]),
        (" \u200b\ufeff\t\n", []),
        ("a" * 130, ["a" * 64, "a" * 64, "aa"]),
    ],
)
def test_words(text: str, tokens: list[str]) -> None:
    assert cut.words().cut(text) == tokens


def test_pieces_keep_the_space_before_them() -> None:
    text = "It's  the 12345th  \n day!!"
    assert cut.pieces().cut(text) == ["It", "'s", " ", " the", " 123", "45", "th", "  \n", " day", "!!"]


def test_numbers_go_by_frequency_then_alphabet() -> None:
    features = TextFeatures("word", min_count=1).fit(["b a c", "c B a", "c d"])
    assert features.vocabulary_ == ("c", "a", "b", "d")
    assert features.size == 6
    assert features.transform("d C e").tolist() == [5, 2, 1]
    assert features.transform("d C e").dtype == np.int32
    assert features.decode([0, 2, 1, 5]) == "c \ufffd d"


def test_limits_of_the_vocabulary() -> None:
    items = ["a a a b b c"]
    assert TextFeatures("word").fit(items).vocabulary_ == ("a", "b", "c")
    assert TextFeatures("word", min_count=2).fit(items).vocabulary_ == ("a", "b")
    limited = TextFeatures("word", min_count=1, max_vocabulary=4).fit(items)
    assert limited.vocabulary_ == ("a", "b")
    assert limited.known_share_ == pytest.approx(5 / 6)


def test_order_of_items_does_not_matter() -> None:
    shuffled = random.Random(0).sample(CORPUS, len(CORPUS))
    for tokens in ("word", "char", "bpe", "auto"):
        first, second = (TextFeatures(tokens).fit(iter(items)).to_dict() for items in (CORPUS, shuffled))
        assert json.dumps(first) == json.dumps(second)


def test_characters_fold_one_by_one() -> None:
    features = TextFeatures("char", lowercase=True, digits="zero").fit(["abcİσ0"])
    assert features.decode(features.transform("ABC٣9İΣ")) == "abc00İσ"
    assert features.transform("ABCİΣ𝒳").shape == (6,)


def test_half_characters_are_replaced() -> None:
    features = TextFeatures("byte")
    assert features.transform("\ud83d").tolist() == features.transform("\ufffd").tolist()


def test_bytes_need_no_fit() -> None:
    features = TextFeatures("byte")
    assert features.size == 258
    assert features.transform("aé").tolist() == [2 + 97, 2 + 0xC3, 2 + 0xA9]
    assert features.decode(features.transform("naïve 漢")) == "naïve 漢"


@pytest.mark.parametrize(
    ("items", "tokens", "reason"),
    [
        (["one two three", "x"], "word", "1 of 2 training texts have 3 or more words"),
        (["one two", "x", "a b c"], "char", "1 of 3 training texts have 3 or more words"),
        (["ACGTACGTACGT"] * 3, "char", "0 of 3 training texts have 3 or more words"),
    ],
)
def test_auto_says_what_it_chose_and_why(items: list[str], tokens: str, reason: str) -> None:
    features = TextFeatures(min_count=1).fit(items)
    assert features.tokens_ == tokens
    named = {"word": "words", "char": "characters"}[tokens]
    assert features.describe()[0] == ("tokens", f"{named}, {reason}")


def test_max_length_counts_what_it_cuts() -> None:
    features = TextFeatures("char", max_length=3).fit(["abcdef"])
    assert features.vocabulary_ == ("a", "b", "c")
    assert features.transform("abc").tolist() == [2, 3, 4]
    assert features.n_truncated == 0
    assert features.transform("abca").tolist() == [2, 3, 4]
    stream = features.stream()
    assert [stream.push(part).tolist() for part in ("ab", "ca", "b")] == [[2, 3], [4], []]
    assert features.n_truncated == 2
    assert features.describe()[-1] == ("length", "at most 3 steps; 2 longer items cut off so far")


def test_describe() -> None:
    features = TextFeatures("word", min_count=2).fit(["A cat is a cat 11 22"])
    assert features.describe() == [
        ("tokens", "words, as asked"),
        ("capitals", "read as small letters"),
        ("digits", "each read as 0"),
        ("vocabulary", "3 words, seen 2 times or more in training"),
        ("known", "85.7 % of the tokens in training"),
    ]
    assert repr(features) == "TextFeatures(tokens='word', min_count=2)"


@pytest.mark.parametrize("tokens", ["word", "char", "byte", "bpe"])
def test_a_million_characters(tokens: str) -> None:
    text = ("The quick brown fox isn't lazy; " * 31_250)[:1_000_000]
    features = TextFeatures(tokens).fit(CORPUS)
    steps = features.transform(text)
    assert len(steps) >= 31_250 * 7
    assert len(features.transform("x" * 1_000_000)) >= 1_000_000 // cut.LONGEST


def test_byte_pairs_agree_with_tokenizers() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    features = TextFeatures("bpe", max_vocabulary=400).fit(CORPUS * 3)
    merges = features.to_dict()["learnt"]["merges"]
    assert len(merges) > 50
    vocabulary = {token: number for number, token in enumerate(features.vocabulary_, 2)}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    peer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=pairs))
    peer.pre_tokenizer = tokenizers.pre_tokenizers.CharDelimiterSplit(" ")
    draw = random.Random(1)
    pieces = [piece for text in CORPUS for piece in cut.pieces().cut(text)]
    letters = "rainfelthv 漢é'❤\n"
    pieces += ["".join(draw.choices(letters, k=draw.randrange(1, 60))) for _ in range(300)]
    ours = BytePairs(merges)
    for piece in pieces:
        assert ours.ids([piece]).tolist() == peer.encode(spell(piece)).ids
    for text in CORPUS:
        assert features.decode(features.transform(text)) == text


def test_byte_pairs_agree_where_a_token_is_made_in_two_ways() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    draw = random.Random(2)
    for _ in range(30):
        tokens, merges = list("abc"), []
        for _ in range(12):
            left, right = draw.choices(tokens, k=2)
            if f"{left} {right}" not in merges and len(left + right) < 9:
                merges.append(f"{left} {right}")
                tokens.append(left + right)
        ours = BytePairs(merges)
        vocabulary = {token: number for number, token in enumerate(ours.vocabulary.tokens, 2)}
        pairs = [tuple(merge.split(" ")) for merge in merges]
        peer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=pairs))
        for _ in range(20):
            piece = "".join(draw.choices("abc", k=draw.randrange(1, 40)))
            assert ours.ids([piece]).tolist() == peer.encode(piece).ids


def test_the_memory_for_pieces_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rekur.features.byte_pairs._CACHED_PIECES", 2)
    pairs = BytePairs(["a b"])
    for piece in ("a", "b", "a", "ab"):
        pairs.ids([piece])
    assert list(pairs._known) == ["a", "ab"]


def test_byte_names_are_those_of_tokenizers() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    assert sorted(byte_names()) == sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    split = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert split.pre_tokenize_str(" naïve\n漢")[0][0] == spell(" naïve\n漢")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"tokens": "words"},
            "tokens: got 'words'; expected one of 'auto', 'word', 'char', 'byte', 'bpe'. Did you mean 'word'?",
        ),
        ({"lowercase": 1}, "lowercase: got 1; expected True or False."),
        ({"digits": "none"}, "digits: got 'none'; expected one of 'keep', 'zero'."),
        ({"max_vocabulary": 2}, "max_vocabulary: got 2; expected a whole number of 3 or more."),
        (
            {"tokens": "bpe", "max_vocabulary": 100},
            "max_vocabulary: got 100; expected a whole number of 258 or more.",
        ),
        ({"min_count": 0}, "min_count: got 0; expected a whole number of 1 or more."),
        ({"max_length": 0}, "max_length: got 0; expected a whole number of 1 or more."),
        ({"words": "space"}, "words: got 'space'; expected one of 'auto', 'marks', 'spaces'. Did you mean 'spaces'?"),
        ({"lines": 1}, "lines: got 1; expected True or False."),
        (
            {"tokens": "char", "words": "spaces"},
            "words: got 'spaces'; expected None where tokens='char'. Only words are cut at marks or spaces.",
        ),
        (
            {"tokens": "bpe", "lines": True},
            "lines: got True; expected None where tokens='bpe'. Only words are cut at marks or spaces.",
        ),
        (
            {"tokens": "byte", "min_count": 2},
            "min_count: got 2; expected None where tokens='byte'. All 256 bytes are always known.",
        ),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        TextFeatures(**options)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ("one text", "items: got 'one text'; expected a list of training items. Put a single item into a list."),
        (3, "items: got an int; expected a list of training items. Put a single item into a list."),
        (["a", 5], "item 2: got an int; expected a text."),
        (
            [None],
            "item 1: got None; expected a text. A missing text is best left out, or given as ''.",
        ),
        ([], "items: got no token; expected texts to learn from. Check that the right column was read."),
        ([" "], "items: got no token; expected texts to learn from. Check that the right column was read."),
    ],
)
def test_items_that_cannot_be_learnt_from(items: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        TextFeatures("word").fit(items)
    assert str(caught.value) == text


def test_not_fitted() -> None:
    features = TextFeatures("word")
    text = "TextFeatures: not fitted yet. Call fit(training_items) first."
    uses = [lambda: features.transform("a"), features.stream, features.to_dict, features.describe]
    for use in (*uses, lambda: features.size, lambda: features.decode([2])):
        with pytest.raises(NotFittedError) as caught:
            use()
        assert str(caught.value) == text


def test_what_cannot_be_transformed() -> None:
    features = TextFeatures("char").fit(["ab"])
    with pytest.raises(InputError) as caught:
        features.transform(3)
    assert str(caught.value) == "text: got an int; expected a text."
    with pytest.raises(InputError) as caught:
        features.stream().push(["a"])
    assert str(caught.value) == "event: got a list; expected a text."
    with pytest.raises(InputError) as caught:
        features.decode([9])
    assert str(caught.value) == "token number: got 9; expected a whole number in [0, 3]."


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ([], "state of a text stream: got a list; expected a dict. {fix}"),
        ({}, "state of a text stream: got the keys of an empty dict; expected the keys kind, rest, steps. {fix}"),
        (
            {"kind": "text", "rest": "", "steps": 0, "more": 1},
            "state of a text stream: got the keys kind, more, rest, steps; expected the keys kind, rest, steps. {fix}",
        ),
        (
            {"kind": "series", "rest": "", "steps": 0},
            "state of a text stream: got 'series'; expected kind 'text'. {fix}",
        ),
        (
            {"kind": "text", "rest": None, "steps": 0},
            "state of a text stream: got 'rest' as NoneType; expected 'rest' as str. {fix}",
        ),
        (
            {"kind": "text", "rest": "", "steps": -1},
            "state of a text stream, 'steps': got -1; expected a whole number of 0 or more.",
        ),
        (
            {"kind": "text", "rest": "two words", "steps": 0},
            "state of a text stream, 'rest': got 'two words'; expected text that these features would hold back. "
            "The state belongs to other features, or was edited.",
        ),
    ],
)
def test_states_that_cannot_be(state: Any, text: str) -> None:
    stream = TextFeatures("word", min_count=1).fit(["a"]).stream()
    stream.push("begu")
    with pytest.raises(InputError) as caught:
        stream.set_state(state)
    assert str(caught.value) == text.format(fix="Use what get_state() of such a stream returned.")
    assert stream.get_state() == {"kind": "text", "rest": "begu", "steps": 0}


def test_a_count_that_no_word_reaches() -> None:
    with pytest.raises(InputError) as caught:
        TextFeatures("word", min_count=2).fit(["a b c"])
    assert str(caught.value) == (
        "min_count: got 2; expected a number of times that some word occurs in training, at most 1. "
        "Use min_count=1 (--min-count 1)."
    )


@pytest.mark.parametrize(
    ("tokens", "digits", "same"), [("word", None, True), ("char", None, False), ("word", "keep", False)]
)
def test_digits_of_words_are_read_as_zero_unless_kept(tokens: str, digits: str | None, same: bool) -> None:
    features = TextFeatures(tokens, digits=digits).fit(["call 12 or 34"])
    assert np.array_equal(features.transform("12"), features.transform("34")) == same
