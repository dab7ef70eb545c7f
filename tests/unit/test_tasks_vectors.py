"""Trained word vectors of classifiers and regressors: what is read by them, what is kept, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from tests.unit.test_prior import Listener
from tests.unit.test_vectors import as_binary

import rekur
from rekur import Classifier, Regressor, Tagger
from rekur.data import Corpus
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
    features, embedding = classifier.features_, classifier.model_.embedding
    ids = {word: int(features.transform(word)[0]) for word in ("good", "fine", "film", "2024", "zzz")}
    assert embedding.weight.shape == (features.trained_size, SMALL["embedding_size"])
    table = embedding(torch.arange(features.size)).detach().numpy()
    norm = float(np.sqrt(np.square(MATRIX).sum(axis=1).mean()))
    for word, vector in {"good": [2, 0], "fine": [2, 0], "2024": [0, 2], "film": [0, 0], "zzz": [0, 0]}.items():
        np.testing.assert_array_equal(table[ids[word], 4:], (np.array(vector) / norm).astype(np.float16))
    np.testing.assert_array_equal(table[ids["fine"], :4], table[ids["zzz"], :4])
    assert not np.array_equal(table[ids["good"], :4], table[ids["zzz"], :4])


def test_a_bundle_stores_the_vectors_in_float16_and_learned_ones_of_training_alone(
    classifier: Classifier, tmp_path: Path
) -> None:
    folder = classifier.save(tmp_path / "m")
    stored = safetensors.numpy.load_file(folder / "model.safetensors")
    features = classifier.features_
    assert stored["embedding.vectors.weight"].dtype == np.float16
    assert stored["embedding.vectors.weight"].shape == (features.size, 2)
    assert stored["embedding.words.weight"].shape == (features.trained_size, 4)
    assert all(value.dtype == np.float32 for name, value in stored.items() if name != "embedding.vectors.weight")
    again = rekur.tasks.load(folder).model_.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in classifier.model_.state_dict().items())


def test_a_bundle_holds_the_vectors(classifier: Classifier, tmp_path: Path) -> None:
    folder = classifier.save(tmp_path / "m")
    expected = classifier.predict_proba(UNSEEN)
    assert not np.allclose(expected[0], expected[1])
    for model in (rekur.load(folder), rekur.tasks.load(folder)):
        np.testing.assert_allclose(model.predict_proba(UNSEEN), expected, atol=1e-5)
        assert any("of 6 words" in text for _, text in model.features_.describe())
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
    features = TextFeatures("word", lowercase=False, vector_words=["the", "Oslo", "The"], vector_size=3).fit(
        ["The cat", "THE cat"]
    )
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
    expected = "none without words" if option == "vectors" else "none for series. It is for words."
    for kind in ("series", "auto"):
        with pytest.raises(InputError, match=f"^{option}: got .*; expected {re.escape(expected)}"):
            Tagger(kind=kind, **{option: value}).fit(rows, tags)


@pytest.fixture(scope="module")
def bundle(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier.save(tmp_path_factory.mktemp("prior") / "m")


def started(folder: Path, model: Any, texts: list[str] = TEXTS) -> str:
    """Return the sentence that says what a training took from a bundle."""
    listener, corpus = Listener(), Corpus.from_lists(texts, LABELS)
    model.fit_corpus(corpus, corpus, reporter=listener, start_from=folder)
    (sentence,) = [text for text in listener.said if text.startswith("From ")]
    return sentence


STILL = {**SMALL, "epochs": 1, "learning_rate": 1e-30, "weight_decay": 0.0, "bayes_start": 0.0}


def test_a_training_from_a_bundle_reads_words_by_its_vectors(classifier: Classifier, bundle: Path) -> None:
    model = Classifier(**STILL)
    sentence = started(bundle, model, [text.replace("tonight", "today") for text in TEXTS])
    assert sentence == f"From {bundle}: features, the trained vectors of 6 words and 8 weights taken."
    for name, value in classifier.model_.state_dict().items():
        assert torch.equal(value, model.model_.state_dict()[name]), name
    assert model.predict(UNSEEN[:2]).tolist() == [1, 0]


def test_the_same_file_of_vectors_is_taken_and_another_is_new(bundle: Path, file: Path, tmp_path: Path) -> None:
    assert started(bundle, Classifier(**STILL, vectors=str(file))).endswith("6 words and 8 weights taken.")
    for words, matrix, features in ((WORDS, MATRIX[::-1], "features"), (WORDS[::-1], MATRIX, "no features")):
        (tmp_path / "other.bin").write_bytes(as_binary(words, matrix))
        model = Classifier(**STILL, vectors=str(tmp_path / "other.bin"))
        sentence = started(bundle, model)
        assert sentence.startswith(f"From {bundle}: {features}, none of the trained vectors of 6 words and ")
        assert "embedding.vectors.weight" in sentence.split("new: ")[1]
        rows = model.features_.vector_rows()[model.features_.transform("good")]
        norm = float(np.sqrt(np.square(MATRIX).sum(axis=1).mean()))
        vector = model.model_.embedding.vectors.weight[int(model.features_.transform("good")[0])]
        np.testing.assert_allclose(vector.numpy(), matrix[rows[0]] / norm, rtol=1e-3)


def test_other_features_take_no_vectors(bundle: Path) -> None:
    model = Classifier(**STILL, feature_options={"lowercase": False})
    assert f"From {bundle}: no features, none of the trained vectors of 6 words and " in started(bundle, model)
    assert model.model_.spec.vector_size == 0


def test_a_tagger_from_a_tagger_takes_its_vectors(file: Path, tmp_path: Path) -> None:
    words, options = [text.split() for text in TEXTS], {**SMALL, "epochs": 1}
    del options["average"]
    tags = [["a" if word == "good" else "b" for word in item] for item in words]
    first = Tagger(**options, vectors=str(file)).fit(words, tags)
    second = Tagger(**options).fit(words, tags, start_from=first.save(tmp_path / "m"))
    vectors = second.model_.encoder.embedding.vectors.weight
    assert torch.equal(vectors, first.model_.encoder.embedding.vectors.weight)
    assert bool(vectors[2:].any())
