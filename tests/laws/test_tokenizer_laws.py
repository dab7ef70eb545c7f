"""Laws of tokens: offsets are exact, tokens and gaps are the text, and pieces give what the whole gives."""

from __future__ import annotations

import itertools
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur._tokenizer import CUTS, Token, TokenStream, is_gap, tokenize

many = draws(300)

#: characters and clusters of many scripts, marks, blanks, and what is invisible
PARTS = st.sampled_from(
    [
        *"aZéß.?!,\"'()“”¿-_/0123９٣ \n\r\t\u00a0\u2028\u3000\u200b\u200c\u200d\u00ad\ufeff\x00\x1c",
        *[
            "\r\n",
            "\n\n",
            "王",
            "ア",
            "กำ",
            "서",
            "नि",
            "e\u0301",
            "\u0301",
            "👩\u200d👧",
            "🇳🇴",
            "🇳",
            "👍🏽",
            "1️⃣",
            "\ud83d",
        ],
        *["Ada", "200mg", "U.S. ", "end. Then ", "“Go.” ", "。", "ᄒ\u1161\u11ab"],
    ]
)
TEXTS = st.lists(PARTS | st.characters(), max_size=14).map("".join)


@many
@given(text=TEXTS, cut=st.sampled_from(CUTS))
def test_tokens_and_gaps_are_the_text(text: str, cut: str) -> None:
    rebuilt, end = "", 0
    for token in tokenize(text, cut):
        assert token.start == end + len(token.gap)
        assert token.text == text[token.start : token.start + len(token.text)] != ""
        assert not is_gap(token.text[0])
        rebuilt += token.gap + token.text
        end = token.start + len(token.text)
    assert rebuilt == text[:end]
    assert all(map(is_gap, text[end:]))


@many
@given(text=TEXTS)
def test_no_token_is_cut_inside_a_character_or_joins_letters_and_digits(text: str) -> None:
    for token in tokenize(text):
        categories = [unicodedata.category(character) for character in token.text]
        assert token.start == 0 or categories[0][0] != "M" or is_gap(text[token.start - 1])
        assert not ({"Lu", "Ll", "Lo"} & set(categories) and "Nd" in categories)


@many
@given(text=TEXTS, cut=st.sampled_from(CUTS), sizes=st.lists(st.integers(1, 5), min_size=1))
def test_pieces_give_what_the_whole_gives(text: str, cut: str, sizes: list[int]) -> None:
    stream, tokens, start = TokenStream(cut), list[Token](), 0
    for number in range(len(text)):
        size = sizes[number % len(sizes)]
        tokens += stream.push(text[start : start + size])
        start += size
        assert tokens + stream.finish() == tokenize(text[:start], cut)
        state = json.loads(json.dumps(stream.get_state()))
        stream = TokenStream(cut)
        stream.set_state(state)
        if start >= len(text):
            break
    assert tokens + stream.finish() == tokenize(text, cut)


@many
@given(text=TEXTS, cut=st.sampled_from(CUTS))
def test_a_sequence_alone_is_not_cut_again(text: str, cut: str) -> None:
    tokens = tokenize(text, cut)
    starts = [0, *(token.start for token in tokens if token.begins), len(text)]
    for start, end in itertools.pairwise(starts):
        assert not any(token.begins for token in tokenize(text[start:end], cut))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("AHU-G1-V", "AHU - G 1 - V"),
        ("take 200mg (1988)", "take 200 mg ( 1988 )"),
        ("it's don't_x", "it ' s don ' t _ x"),
        ("王小明在沪。", "王 小 明 在 沪 。"),
        ("สวัสดี กำลัง", "ส วั ส ดี กำ ลั ง"),
        ("서울에서", "서 울 에 서"),
        ("नमस्ते दुनिया।", "नमस्ते दुनिया ।"),
        ("e\u0301te\u0301 о\u0306", "e\u0301te\u0301 о\u0306"),
        ("👩\u200d👩\u200d👧🇳🇴🇸🇪👍🏽 1️⃣", "👩\u200d👩\u200d👧 🇳🇴 🇸🇪 👍🏽 1️⃣"),
        ("کتاب\u200cها خوب", "کتاب\u200cها خوب"),
        ("10\u00a0000 a\u200bb", "10 000 a b"),
    ],
)
def test_words_of_many_scripts(text: str, tokens: str) -> None:
    assert [token.text for token in tokenize(text)] == tokens.split(" ")


@pytest.mark.parametrize(
    ("cut", "text", "sequences"),
    [
        ("none", "A b.\n\nC", ["A b.\n\nC"]),
        ("line", "A b\r\nc\n\nD", ["A b", "c", "D"]),
        ("blank", "A b\nc\n \nD", ["A b\nc", "D"]),
        ("sentence", "It rains. Ada left! why? No", ["It rains.", "Ada left! why?", "No"]),
        ("sentence", "M. Berg of the U.S. Navy. ok", ["M. Berg of the U.S. Navy. ok"]),
        ("sentence", "one\ntwo.\nthree\n\nfour", ["one\ntwo.", "three", "four"]),
        ("sentence", "He said “Go.” Then (Yes. No.) “Ok”", ["He said “Go.”", "Then (Yes.", "No.)", "“Ok”"]),
        ("sentence", 'He left. "Then" 3.5 up. (She too.)', ["He left.", '"Then" 3.5 up.', "(She too.)"]),
        ("sentence", "他走了。他笑了！好", ["他走了。", "他笑了！", "好"]),
        ("sentence", "¿Qué? ¡No! wait", ["¿Qué?", "¡No! wait"]),
    ],
)
def test_rules_cut_documents(cut: str, text: str, sequences: list[str]) -> None:
    tokens = tokenize(text, cut)
    starts = [0, *(token.start for token in tokens if token.begins), len(text)]
    assert [text[a:b].strip() for a, b in itertools.pairwise(starts)] == sequences
