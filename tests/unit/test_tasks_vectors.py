"""Trained word vectors of classifiers and regressors: what is read by them, what is kept, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.test_vectors import as_binary

import rekur
from rekur import Classifier, Regressor, Tagger
from rekur.errors import InputError
from rekur.features import TextFeatures, restore

NOUNS = ("film", "plot", "cast", "scene", "song", "tale")
TEXTS = [f"{word} {noun} tonight" for noun in NOUNS for word in ("good", "bad")]
LABELS = [1, 0] * len(NOUNS)
WORDS = ["good", "Fine", "bad", "awful", "fine", "1999"]
MATRIX = np.array([[2, 0], [2, 0], [-2, 0], [-2, 0], [9, 9], [0, 2]], np.float32)
SMALL: dict[str, Any] = {"epochs": 40, "hidden_size": 8, "embedding_size": 4, "learning_rate": 0.02, "baseline": False}
SMALL |= {"token_dropout": 0.5, "input_dropout": 0.0, "dropout": 0.0, "average": 0.0, "patience": 0}
UNSEEN = ["fine film", "awful film", "zzz film"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "vectors.bin"
    path.write_bytes(as_binary(WORDS, MATRIX))
    return path


@pytest.fixture(scope="module")
def classifier(file: Path) -> Classifier:
    return Classifier(**SMALL, vectors=str(file)).fit(TEXTS, LABELS, X_valid=TEXTS[:4], y_valid=LABELS[:4])


def test_words_that_training_lacks_are_read_by_their_vectors(classifier: Classifier) -> None:
    assert classifier.predict(UNSEEN[:2]).tolist() == [1, 0]
    features = classifier.features_
    known, unseen = features.transform("fine good")[::-1], features.trained_size
    assert known[0] < unseen <= known[1]


def test_vectors_are_not_trained_and_the_rest_of_an_unseen_word_is_that_of_an_unknown_one(
    classifier: Classifier,
) -> None:
    features, table = classifier.features_, classifier.model_.embedding.weight.detach().numpy()
    ids = {word: int(features.transform(word)[0]) for word in ("good", "fine", "film", "2024", "zzz")}
    assert table.shape == (features.size, SMALL["embedding_size"] + 2)
    norm = float(np.sqrt(np.square(MATRIX).sum(axis=1).mean()))
    for word, vector in {"good": [2, 0], "fine": [2, 0], "2024": [0, 2], "film": [0, 0], "zzz": [0, 0]}.items():
        np.testing.assert_allclose(table[ids[word], 4:], np.array(vector) / norm, atol=1e-6)
    np.testing.assert_array_equal(table[ids["fine"], :4], table[ids["zzz"], :4])
    assert not np.array_equal(table[ids["good"], :4], table[ids["zzz"], :4])


def test_a_bundle_holds_the_vectors(classifier: Classifier, tmp_path: Path) -> None:
    folder = classifier.save(tmp_path / "m")
    expected = classifier.predict_proba(UNSEEN)
    assert not np.allclose(expected[0], expected[1])
    for model in (rekur.load(folder), rekur.tasks.load(folder)):
        np.testing.assert_allclose(model.predict_proba(UNSEEN), expected, atol=1e-5)
        assert any("of 6 words" in text for _, text in model.features_.describe())
    live = rekur.load(folder).stream()
    live = rekur.load(folder).stream()
    for part in ("fi", "ne", " film"):
        live.push(part)
    answer = live.prediction()
    assert (answer.label, answer.probability) == (1, pytest.approx(float(expected[0, 1]), abs=1e-5))


def test_a_regressor_reads_them_too(file: Path) -> None:
    numbers = [float(label) for label in LABELS]
    model = Regressor(**SMALL, vectors=str(file)).fit(TEXTS, numbers, X_valid=TEXTS[:4], y_valid=numbers[:4])
    fine, awful = model.predict(UNSEEN[:2])
    assert fine > awful + 0.3


def test_features_with_vectors_are_saved() -> None:
    features = TextFeatures("word", lowercase=False, vector_words=["the", "Oslo", "The"]).fit(["The cat", "THE cat"])
    assert features.vocabulary_ == ("cat", "THE", "The", "the", "Oslo")
    assert features.vector_rows().tolist() == [-1, -1, -1, 0, 2, 0, 1]
    again = restore(json.loads(json.dumps(features.to_dict())))
    assert (again.options, again.to_dict()) == (features.options, features.to_dict())
    assert again.transform("Oslo the dog").tolist() == features.transform("Oslo the dog").tolist() == [6, 5, 1]


@pytest.mark.parametrize(
    ("options", "items"),
    [
        ({"feature_options": {"tokens": "char"}}, TEXTS),
        ({"feature_options": {"tokens": "bpe"}}, TEXTS),
        ({"kind": "symbols"}, TEXTS),
        ({}, [[0.5, float(label)] for label in LABELS]),
        ({}, [word[:4] for word in TEXTS]),
    ],
)
def test_other_tokens_than_words_have_no_vectors(file: Path, options: dict[str, Any], items: list[Any]) -> None:
    for estimator in (Classifier, Regressor):
        with pytest.raises(InputError, match=r"^vectors: got .*; expected none w"):
            estimator(vectors=str(file), **options).fit(items, LABELS, X_valid=items[:4], y_valid=LABELS[:4])


def test_words_with_vectors_come_from_the_option_alone() -> None:
    with pytest.raises(InputError, match="feature option: got 'vector_words'"):
        Classifier(feature_options={"vector_words": ["good"]}).fit(TEXTS, LABELS)


@pytest.mark.parametrize(("option", "value"), [("word_dropout", 0.1), ("token_dropout", 0.1), ("vectors", "glove")])
def test_a_tagger_of_rows_has_no_option_of_words(option: str, value: Any) -> None:
    rows, tags = [np.full((4, 2), number, np.float32) for number in range(4)], [["a", "b", "a", "b"]] * 4
    for kind in ("series", "auto"):
        with pytest.raises(InputError, match=f"^{option}: got .*; expected none without words"):
            Tagger(kind=kind, **{option: value}).fit(rows, tags)
