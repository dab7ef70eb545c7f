"""Saved features: what is refused, and that nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rekur.errors import BundleError, InputError, MissingDependencyError, SaveError
from rekur.features import SeriesFeatures, SymbolFeatures, TextFeatures, load, make_features, restore

FIX = "The file is damaged or was edited; save the model again."
WORDS = TextFeatures("word", min_count=1).fit(["a b"]).to_dict()
PAIRS = TextFeatures("bpe", min_count=2).fit(["ab ab ab"]).to_dict()
SERIES = SeriesFeatures(["x"]).fit([[1, 2]]).to_dict()
SYMBOLS = SymbolFeatures().fit(["AC"]).to_dict()


def changed(saved: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a deep copy with one entry replaced, or left out where the value is ``...``."""
    copied: dict[str, Any] = json.loads(json.dumps(saved))
    *way, last = path.split(".")
    place = copied
    for name in way:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copied


@pytest.mark.parametrize(
    ("saved", "text"),
    [
        ([], "features.json: got a list; expected a JSON object."),
        ({}, f"features.json, 'kind': got nothing; expected a value of type str. {FIX}"),
        (
            changed(WORDS, "kind", "test"),
            "features.json, 'kind': got 'test'; expected one of 'text', 'series', 'symbols', 'words', 'pairs', "
            "'windows'. "
            "Did you mean 'text'?",
        ),
        (
            changed(WORDS, "kind", "audio"),
            "features.json, 'kind': got 'audio'; expected one of 'text', 'series', 'symbols', 'words', 'pairs', "
            "'windows'. "
            "It may be of a newer Rekur: pip install --upgrade rekur",
        ),
        (
            changed(WORDS, "version", 2),
            "features.json, 'version': got 2; expected 1 or less. "
            "It was written by a newer Rekur: pip install --upgrade rekur",
        ),
        (changed(WORDS, "version", 0), f"features.json, 'version': got 0; expected a whole number in [1, 1]. {FIX}"),
        (changed(WORDS, "version", True), f"features.json, 'version': got a bool; expected a value of type int. {FIX}"),
        (changed(WORDS, "learnt", ...), f"features.json, 'learnt': got nothing; expected a value of type dict. {FIX}"),
        (
            changed(WORDS, "options", {"tokens": "word"}),
            "features.json, 'options': got 'tokens'; "
            f"expected digits, lines, lowercase, max_length, max_vocabulary, min_count, tokens, words. {FIX}",
        ),
        (
            changed(WORDS, "options.min_count", 0),
            "features.json, 'options': got min_count: got 0; expected a whole number of 1 or more; "
            f"expected options as they were saved. {FIX}",
        ),
        (
            changed(WORDS, "learnt.tokens", "char"),
            f"features.json, 'tokens': got 'char'; expected what fits 'word'. {FIX}",
        ),
        (
            changed(WORDS, "learnt.vocabulary", ["a", "a"]),
            f"features.json, 'vocabulary': got 'a'; expected each text once. {FIX}",
        ),
        (
            changed(WORDS, "learnt.vocabulary", [1]),
            f"features.json, 'vocabulary': got an int in the list; expected texts only. {FIX}",
        ),
        (
            changed(PAIRS, "learnt.merges", ["a\u0001 b"]),
            f"features.json, 'merges': got 'a\\x01 b'; expected two names of bytes with a space between. {FIX}",
        ),
        (
            changed(SERIES, "learnt.mean", [1.0, 2.0]),
            f"features.json, 'mean': got 2 numbers; expected 1 numbers. {FIX}",
        ),
        (
            changed(SERIES, "learnt.mean", [float("nan")]),
            f"features.json, 'mean': got nan; expected finite numbers only. {FIX}",
        ),
        (changed(SERIES, "learnt.scale", [0.0]), f"features.json, 'scale': got 0.0; expected numbers above 0. {FIX}"),
        (
            changed(SERIES, "learnt.indicated", [1]),
            f"features.json, 'indicated': got [1]; expected whole numbers in [0, 0], rising. {FIX}",
        ),
        (
            changed(SYMBOLS, "learnt.vocabulary", ["AC"]),
            f"features.json, 'vocabulary': got 'AC'; expected single letters. {FIX}",
        ),
        (
            changed(SYMBOLS, "learnt.form", "words"),
            "features.json, 'form': got 'words'; expected 'letters' or 'codes', and 'codes' with a separator. " + FIX,
        ),
    ],
)
def test_damaged_files(saved: Any, text: str) -> None:
    with pytest.raises(BundleError) as caught:
        restore(saved)
    assert str(caught.value) == text


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_garbled_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "features.json"
    path.write_bytes(content)
    with pytest.raises(BundleError) as caught:
        load(tmp_path)
    text = f"{path}: got text that is not JSON; expected JSON. The file is damaged; save the model again."
    assert str(caught.value) == text


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        load(tmp_path / "no")
    text = "got No such file or directory; expected a file to read. Give the folder of a saved model's features."
    assert str(caught.value) == f"{tmp_path / 'no' / 'features.json'}: {text}"


def test_no_folder_to_save_into(tmp_path: Path) -> None:
    with pytest.raises(SaveError) as caught:
        TextFeatures("byte").save(tmp_path / "no")
    path = tmp_path / "no" / "features.json"
    assert str(caught.value) == (
        f"{path}: got 'No such file or directory'; expected a file that can be written. "
        "Make room, or choose another folder."
    )


def test_make_features() -> None:
    assert repr(make_features("symbols", separator=" ")) == "SymbolFeatures(separator=' ', min_count=1)"
    with pytest.raises(InputError) as caught:
        make_features("txt")
    expected = "expected one of 'text', 'series', 'symbols', 'words', 'pairs', 'windows'. Did you mean 'text'?"
    assert str(caught.value) == f"features: got 'txt'; {expected}"
    with pytest.raises(InputError) as caught:
        make_features("series", standardize=True)
    assert str(caught.value) == (
        "option of series features: got 'standardize'; "
        "expected one of 'channels', 'standardise', 'missing', 'indicators'. Did you mean 'standardise'?"
    )


def test_learning_byte_pairs_needs_tokenizers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(MissingDependencyError) as caught:
        TextFeatures("bpe").fit(["ab ab"])
    assert str(caught.value) == (
        "learning byte pairs (tokens='bpe'): needs the package 'tokenizers', which is not installed. "
        'pip install "rekur[train]"'
    )
    assert restore(PAIRS).transform("ab").tolist() == [258]
