"""Trained word vectors of language models: where words begin, what a tied output layer has of them, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.test_prior import Listener
from tests.unit.test_vectors import as_text

import rekur
from rekur import LanguageModel
from rekur.data import texts_in_memory
from rekur.errors import InputError

TEXT = "The good cat sat on the mat . The bad dog sat on the rug .\n" * 30
WORDS = ["the", "good", "bad", "cat", "Dog", "fish"]
MATRIX = np.array([[3, 1, 0], [3, 2, 0], [3, -2, 0], [3, 0, 1], [3, 0, 9], [3, 0, 5]], np.float32)
STILL: dict[str, Any] = {"tokens": "word", "epochs": 1, "hidden_size": 6, "embedding_size": 8, "baseline": False}
STILL |= {"learning_rate": 1e-30, "weight_decay": 0.0, "average": 0.0}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text(as_text(WORDS, MATRIX), encoding="utf-8")
    return path


@pytest.mark.parametrize("tied", [True, False])
def test_words_begin_with_their_vectors_and_others_as_they_were_drawn(file: Path, tied: bool) -> None:
    started = LanguageModel(**STILL, tied=tied, vectors=str(file)).fit(TEXT)
    plain = LanguageModel(**STILL, tied=tied).fit(TEXT)
    weight, drawn = (model.model_.embedding.weight.detach().numpy() for model in (started, plain))
    rows = {word: row for row, word in enumerate(started.features_.vocabulary_, 2)}
    pairs = {"The": "the", "the": "the", "good": "good", "bad": "bad", "cat": "cat"}
    matrix = np.stack([MATRIX[WORDS.index(name)] for name in pairs.values()])
    matrix /= np.sqrt(np.square(matrix).sum(axis=1).mean())
    for word, vector in zip(pairs, matrix, strict=True):
        np.testing.assert_allclose(weight[rows[word], :3], vector, atol=1e-6)
        np.testing.assert_array_equal(weight[rows[word], 3:], drawn[rows[word], 3:])
    for row in (0, 1, rows["dog"], rows["mat"]):
        np.testing.assert_array_equal(weight[row], drawn[row])


def test_they_are_trained_on_saved_and_said(file: Path, tmp_path: Path) -> None:
    listener, corpus = Listener(), texts_in_memory([TEXT])
    model = LanguageModel(**{**STILL, "learning_rate": 0.01}, vectors=str(file))
    model.fit_corpus(corpus, reporter=listener)
    assert f"trained vectors: 5 of the {len(model.features_.vocabulary_)} words of training have one" in listener.said
    begun = LanguageModel(**STILL, vectors=str(file)).fit(TEXT).model_.embedding.weight
    assert not torch.equal(begun, model.model_.embedding.weight)
    folder = model.save(tmp_path / "m")
    assert rekur.load(folder).evaluate([TEXT])["loss"] == pytest.approx(model.evaluate([TEXT])["loss"], abs=1e-4)
    listener.said.clear()
    LanguageModel(**STILL, vectors=str(file)).fit_corpus(corpus, reporter=listener, start_from=folder)
    (sentence,) = [text for text in listener.said if text.startswith("From ")]
    assert "new" not in sentence


def test_an_embedding_is_as_large_as_the_vectors(tmp_path: Path) -> None:
    wide = tmp_path / "wide.txt"
    wide.write_text(as_text(WORDS[:2], np.ones((2, 300), np.float32)), encoding="utf-8")
    options = {name: value for name, value in STILL.items() if name != "embedding_size"}
    assert LanguageModel(**options, vectors=str(wide)).fit(TEXT).chosen_["embedding_size"] == 300
    with pytest.raises(InputError, match=r"^embedding_size: got 8; expected 300 or more, as the trained vectors have."):
        LanguageModel(**STILL, vectors=str(wide)).fit(TEXT)


@pytest.mark.parametrize("tokens", ["char", "byte", "bpe"])
def test_other_tokens_have_no_vectors(file: Path, tokens: str) -> None:
    with pytest.raises(InputError, match=r"^vectors: got .*; expected none without words as tokens: tokens='word'"):
        LanguageModel(**{**STILL, "tokens": tokens}, vectors=str(file)).fit(TEXT)


def test_vectors_of_other_words_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(as_text(["chat", "chien"], MATRIX[:2]), encoding="utf-8")
    message = r"^vectors: got none of the \d+ words of training; expected vectors of words that occur there."
    with pytest.raises(InputError, match=message):
        LanguageModel(**STILL, vectors=str(other)).fit(TEXT)
    texts = [f"{word} film number {number}" for number, word in enumerate(["good", "bad"] * 6)]
    for model in (rekur.Classifier(vectors=str(other)), rekur.Regressor(vectors=str(other))):
        with pytest.raises(InputError, match=message):
            model.fit(texts, [1, 0] * 6)
    with pytest.raises(InputError, match=message):
        rekur.Tagger(vectors=str(other)).fit([text.split() for text in texts], [["a", "b", "a", "b"]] * 12)
