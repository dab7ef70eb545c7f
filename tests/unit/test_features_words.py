"""Words of texts that are cut already, line ends as tokens, and words written as one would write them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from rekur.errors import BundleError
from rekur.features import TextFeatures, cut, restore

DATA = Path(os.environ.get("REKUR_DATA", Path(__file__).parents[3] / "shared" / "data"))
CUT = " = Title = \n \n The <unk> , 1 @,@ 000 of it , isn 't here . \n"
PLAIN = "The unknown, 1,000 of it, isn't here.\nSo it is.\n"


def words_of(features: TextFeatures, text: str) -> list[str]:
    return [features.vocabulary_[number - 2] for number in features.transform(text)]


def test_words_between_spaces_and_line_ends() -> None:
    features = TextFeatures("word", words="spaces", lowercase=False, digits="keep").fit([CUT])
    assert words_of(features, "The\n\n= <unk> 1 @,@ 000\u00a0,\t.\r\n") == [
        *("The", "\n", "\n", "=", "<unk>", "1", "@,@", "000", ",", ".", "\n")
    ]
    assert features.words_ == "spaces"
    assert features.decode(features.transform(CUT)) == "= Title =\n\nThe <unk> , 1 @,@ 000 of it , isn 't here .\n"
    assert features.describe() == [
        ("tokens", "words, as asked"),
        ("words", "cut at spaces alone"),
        ("line ends", "tokens of their own"),
        ("capitals", "kept"),
        ("vocabulary", "15 words, seen once or more in training"),
        ("known", "100.0 % of the tokens in training"),
    ]


def test_line_ends_are_left_out_where_asked() -> None:
    spaces = TextFeatures("word", words="spaces", lines=False).fit([CUT])
    assert "\n" not in spaces.vocabulary_
    marks = TextFeatures("word", lines=True).fit([PLAIN])
    assert words_of(marks, "So\r\n\nis.") == ["so", "\n", "\n", "is", "."]
    assert "\n" not in TextFeatures("word").fit([PLAIN]).vocabulary_


def test_a_word_longer_than_the_bound_goes_on_as_the_next() -> None:
    features = TextFeatures("word", words="spaces").fit(["x" * 150])
    assert [len(word) for word in words_of(features, "x" * 150)] == [64, 64, 22]


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        (CUT, "spaces", "as asked; cut at spaces, as 3 of 4 commas and full stops stand alone"),
        (PLAIN, "marks", "as asked; cut at marks, as 0 of 5 commas and full stops stand alone"),
        ("no marks at all", "marks", "as asked; cut at marks, as 0 of 0 commas and full stops stand alone"),
    ],
)
def test_auto_looks_whether_the_text_is_cut_already(text: str, words: str, reason: str) -> None:
    features = TextFeatures("word", words="auto").fit(iter([text]))
    assert (features.words_, features.reason_) == (words, reason)
    assert features.vocabulary_ == TextFeatures("word", words=words).fit([text]).vocabulary_
    again = restore(features.to_dict())
    assert isinstance(again, TextFeatures)
    assert (again.words_, again.describe()) == (words, features.describe())
    assert again.transform(text).tolist() == features.transform(text).tolist()


@pytest.mark.parametrize(
    "text",
    [
        'He said: "No, no!" (twice), and left...\nThen "yes" again; 50% of it, $5.',
        "“Is it?” she asked [so it was told]. «Oui», ‘ja’…",
        "and/or, it's a state-of-the-art 3.14 — or not?\n\n- one\n- two -- three",
        "漢字かな交じり文。「はい」 and English, 日本。",
        "'Tis so.",
    ],
)
def test_words_are_written_as_one_would_write_them(text: str) -> None:
    features = TextFeatures("word", lowercase=False, digits="keep", lines=True).fit([text])
    written = features.decode(features.transform(text))
    assert written == text
    assert features.transform(written).tolist() == features.transform(text).tolist()


def test_a_quote_that_was_left_open_ends_with_its_line() -> None:
    features = TextFeatures("word", lines=True).fit(['a " b\n'])
    assert features.decode(features.transform('a " b\n" a "')) == 'a "b\n"a"'


def test_files_from_before_there_were_ways_to_cut_words() -> None:
    features = TextFeatures("word").fit([PLAIN])
    saved = features.to_dict()
    for name in ("words", "lines"):
        del saved["options"][name]
    del saved["learnt"]["words"]
    assert restore(saved).to_dict() == features.to_dict()


def test_a_way_of_cutting_that_does_not_fit_the_options() -> None:
    saved = TextFeatures("word", words="spaces").fit([CUT]).to_dict()
    saved["learnt"]["words"] = "marks"
    with pytest.raises(BundleError) as caught:
        restore(saved)
    assert str(caught.value) == (
        "features.json, 'words': got 'marks'; expected 'marks' or 'spaces', as in the options. "
        "The file is damaged or was edited; save the model again."
    )


def test_a_large_vocabulary() -> None:
    names = [f"w{number}" for number in range(60_000)]
    features = TextFeatures("word", words="spaces", digits="keep", max_vocabulary=100_000).fit([" ".join(names)])
    assert features.size == 60_002
    assert len(np.unique(features.transform(" ".join(names)))) == 60_000


def test_unknown_parts_are_named_once() -> None:
    features = TextFeatures("word", words="spaces").fit(["a b"])
    assert features.unknown("a X b\nx") == ["x", "\n"]
    assert TextFeatures("byte").unknown("é") == []


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "wikitext2").is_dir(), reason="wikitext2 is not in $REKUR_DATA")
def test_words_of_wikitext_are_counted_as_in_the_literature() -> None:
    texts = {
        part: (DATA / "wikitext2" / f"{part}.txt").read_text(encoding="utf-8") for part in ("train", "valid", "test")
    }
    options = {"lowercase": False, "digits": "keep", "max_vocabulary": 50_000, "words": "auto"}
    features = TextFeatures("word", **options).fit([texts["train"]])
    assert features.words_ == "spaces"
    assert len(features.vocabulary_) == 33_278
    assert "\n" in features.vocabulary_
    assert {part: len(features.transform(text)) for part, text in texts.items()} == {
        "train": 2_088_628,
        "valid": 217_646,
        "test": 245_569,
    }
    assert not (features.transform(texts["test"]) == 1).any()


def test_no_accent_is_missed_where_they_are_looked_for() -> None:
    everywhere = {code for code in range(0x110000) if unicodedata.category(chr(code))[0] == "M"}
    looked = {code for part in cut._MARKED for code in part}
    assert everywhere <= looked
