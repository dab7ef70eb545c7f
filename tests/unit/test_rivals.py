"""Rivals: a linear model predicts without scikit-learn as with it, is kept in a bundle, and is scored again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rekur
from rekur import Classifier, LanguageModel, Regressor
from rekur.data import Corpus, EncodedItems, Ragged, texts_in_memory
from rekur.errors import BundleError
from rekur.runtime import saved_rivals
from rekur.runtime.item_vectors import grams_of, summary_of
from rekur.runtime.ngram import NGram
from rekur.runtime.rival import Rival, rival_metrics, rival_records
from rekur.runtime.rivals import FrequentTags
from rekur.runtime.saved_rivals import rival_files
from rekur.runtime.span_rival import SpanDictionary
from rekur.targets import LabelTarget, NumberTarget, TagsTarget
from rekur.tasks import NeuralCache
from rekur.tasks.base import linear_rival
from rekur.tasks.base.card import card
from rekur.tasks.base.linear_rival import fit_linear_rival, fit_window_rival
from rekur.tasks.base.ridge import PENALTIES

SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 4, "embedding_size": 4}
WORDS = ["good", "great", "fine", "bad", "dull", "poor", "film", "plot"]


def texts(count: int = 60) -> tuple[list[str], list[str]]:
    draw = np.random.default_rng(0)
    items = [" ".join(draw.choice(WORDS, 6)) for _ in range(count)]
    return items, ["up" if "good" in item else "down" if "bad" in item else "so so" for item in items]


def tokens(count: int, seed: int) -> list[Any]:
    draw = np.random.default_rng(seed)
    return [draw.integers(2, 9, int(draw.integers(0, 9))) for _ in range(count)]


def series(count: int, seed: int) -> list[Any]:
    draw = np.random.default_rng(seed)
    return [draw.normal(0, 1, (int(draw.integers(0, 6)), 2)).astype(np.float32) for _ in range(count)]


def encoded(items: list[Any], targets: Any = None, labels: Any = ()) -> EncodedItems:
    targets = np.empty(0) if targets is None else np.asarray(targets)
    return EncodedItems({"steps": Ragged.from_iter(items)}, targets, np.arange(len(items)), labels)


@pytest.mark.parametrize("classes", [2, 3])
def test_tokens_and_labels_are_scored_as_by_scikit_learn(classes: int) -> None:
    train, test = tokens(80, 0), tokens(30, 1)
    truth = np.array([int(item.sum()) % classes if len(item) else 0 for item in train])
    target = LabelTarget(list("abcd")[: classes + 1], multi_label=False)  # the last label has no training item
    rival = fit_linear_rival(encoded(train, truth), target)
    theirs = make_pipeline(
        TfidfVectorizer(analyzer=grams_of, sublinear_tf=True), LogisticRegression(C=10.0, max_iter=2000)
    ).fit(train, truth)
    ours = np.asarray(rival.predictions(encoded(test)))
    np.testing.assert_allclose(ours[:, :classes], theirs.predict_proba(test), atol=1e-6)
    assert ours[:, classes].max() < 1e-6


def test_flags_are_scored_apart_and_those_of_all_or_no_items_are_certain() -> None:
    train = tokens(60, 0)
    flags = np.array([[4 in item, True, False] for item in train], np.float32)
    rival = fit_linear_rival(encoded(train, flags), LabelTarget(list("abc"), multi_label=True))
    shares = np.asarray(rival.predictions(encoded(tokens(20, 1))))
    np.testing.assert_allclose(shares[:, 1:], [[1.0, 0.0]] * 20, atol=1e-5)
    model = make_pipeline(
        TfidfVectorizer(analyzer=grams_of, sublinear_tf=True), LogisticRegression(C=10, max_iter=2000)
    )
    theirs = model.fit(train, flags[:, 0]).predict_proba(tokens(20, 1))[:, 1]
    np.testing.assert_allclose(shares[:, 0], theirs, atol=1e-6)


def test_series_and_numbers_are_scored_as_by_scikit_learn() -> None:
    train, test = series(50, 0), series(20, 1)
    truth = np.array([float(item.sum()) for item in train])
    target = NumberTarget(1.0, 2.0)
    rival = fit_linear_rival(encoded(train, truth.astype(np.float32)), target)
    theirs = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
    theirs.fit(np.stack([summary_of(item) for item in train]), truth.astype(np.float32))
    guess = theirs.predict(np.stack([summary_of(item) for item in test]))
    np.testing.assert_allclose(rival.predictions(encoded(test)), 1.0 + 2.0 * guess, rtol=1e-4, atol=1e-5)


def test_groups_are_left_out_to_choose_the_penalty_of_a_rival() -> None:
    draw, groups = np.random.default_rng(0), np.repeat(np.arange(8), 6)
    levels = draw.normal(size=(8, 1, 2))[groups]
    items = [np.float32(level + draw.normal(0, 0.1, (9, 2))) for level in levels]
    truth, target = draw.normal(size=8)[groups], NumberTarget(0.0, 1.0)
    table = np.stack([summary_of(item) for item in items])
    for folds in (None, groups % 5, np.where(groups == 0, -1, groups)):  # the last ones are folds of their own
        train = encoded(items, truth.astype(np.float32))
        train.groups = None if folds is None else groups
        train.folds = None if folds is None or (folds >= 0).all() else folds
        parts = None if folds is None else PredefinedSplit(np.unique(folds, return_inverse=True)[1])
        ridge = RidgeCV(PENALTIES, cv=parts, scoring="neg_mean_squared_error")
        theirs = make_pipeline(StandardScaler(), ridge).fit(table, truth.astype(np.float32))
        ours = fit_linear_rival(train, target).predictions(encoded(items))
        np.testing.assert_allclose(ours, theirs.predict(table), rtol=1e-4, atol=1e-5)


def test_a_bundle_keeps_its_rival_and_evaluate_scores_it_on_the_same_items(tmp_path: Path) -> None:
    X, y = texts()
    model = Classifier(**SMALL).fit(X, y, X_valid=X[:20], y_valid=y[:20])
    scores = model.metrics_["rival"]
    assert (scores["name"], scores["items"]) == ("TF-IDF of 1- to 3-grams + logistic regression", 20)
    small = rekur.load(model.save(tmp_path / "m"))
    assert json.loads((tmp_path / "m" / "metrics.json").read_text())["rival"] == scores
    again = small.evaluate(X[:20], y[:20])
    assert {name: value for name, value in again["rival"].items() if name != "name"} == {
        name: value for name, value in scores.items() if name in again and name != "items"
    }
    trained = rekur.tasks.load(tmp_path / "m")
    assert trained.evaluate(X, y)["rival"] == small.evaluate(X, y)["rival"] == model.evaluate(X, y)["rival"]
    trained.save(tmp_path / "copy")
    for name in ("rival.json", "rival.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "m" / name).read_bytes()


def test_a_number_has_a_rival_too_and_records_are_those_of_its_target(tmp_path: Path) -> None:
    X = series(40, 3)
    model = Regressor(epochs=1, hidden_size=4).fit(X, [float(len(item)) for item in X])
    assert model.rival_ is not None
    items = encoded(X[:5], labels=[1.0] * 5)
    records = rival_records(model.rival_, items, model.target_)
    assert records[:, 0].tolist() == [1.0] * 5
    loaded = rekur.load(model.save(tmp_path / "m")).rival()
    assert loaded is not None
    np.testing.assert_array_equal(loaded.predictions(items), model.rival_.predictions(items))


def test_the_rival_of_texts_is_kept_and_scored_on_the_same_texts(tmp_path: Path) -> None:
    train, valid = "the cat sat on the mat. " * 60, "the mat sat on the cat. " * 6
    model = LanguageModel(hidden_size=4, embedding_size=4, epochs=1, batch_size=4).fit(train, X_valid=valid)
    scores = model.metrics_["rival"]
    assert (scores["name"], scores["tokens"]) == ("5-gram", model.metrics_["tokens"])
    small = rekur.load(model.save(tmp_path / "m"))
    trained = rekur.tasks.load(tmp_path / "m")
    again = small.evaluate(valid)["rival"]
    assert again == {name: scores[name] for name in again}
    assert {"name", "loss", "perplexity", "bits_per_character"} <= set(again)
    other = ["a cat on a mat", "dog"]  # tokens that training lacks, and runs that it lacks
    assert small.evaluate(other)["rival"] == trained.evaluate(other)["rival"] == model.evaluate(other)["rival"]
    texts_ = texts_in_memory([valid], name="valid")
    assert trained.evaluate_corpus(texts_, cache=NeuralCache())["rival"] == again
    trained.save(tmp_path / "copy")
    for name in ("rival.json", "rival.safetensors"):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "m" / name).read_bytes()


def test_counts_are_kept_in_few_bytes_and_give_the_same() -> None:
    ids = np.random.default_rng(0).integers(2, 9, 3000)
    ids[1000:1700] = 4  # a count above 255
    model, test = NGram(3, 9).fit(ids), np.random.default_rng(1).integers(1, 9, 200)
    arrays = model.to_arrays()
    assert (arrays["seen_0"].dtype, arrays["kinds_1"].dtype) == (np.uint16, np.uint8)
    np.testing.assert_array_equal(NGram.from_arrays(3, 9, arrays).nats(test), model.nats(test))
    with pytest.raises(ValueError, match="counts that fit each other"):
        NGram.from_arrays(3, 9, {**arrays, "seen_1": arrays["seen_1"][1:]})


WEIGHTS = np.random.default_rng(5).integers(1, 5, 60).astype(float)


def test_a_rival_is_fitted_with_the_weights_of_items() -> None:
    train, test = tokens(60, 0), tokens(30, 1)
    truth = np.array([int(item.sum()) % 2 if len(item) else 0 for item in train])
    items = encoded(train, truth)
    items.weights = WEIGHTS / WEIGHTS.mean()
    rival = fit_linear_rival(items, LabelTarget(["a", "b"], multi_label=False))
    table = TfidfVectorizer(analyzer=grams_of, sublinear_tf=True)
    theirs = LogisticRegression(C=10.0, max_iter=2000).fit(table.fit_transform(train), truth, items.weights)
    ours = np.asarray(rival.predictions(encoded(test)))
    np.testing.assert_allclose(ours, theirs.predict_proba(table.transform(test)), atol=1e-6)
    numbers = encoded(series(60, 2), np.arange(60.0))
    numbers.weights = items.weights
    scaler = StandardScaler()
    rows = np.stack([summary_of(numbers.steps[row]) for row in range(60)])
    rows = scaler.fit_transform(rows, sample_weight=items.weights)
    ridge = RidgeCV(PENALTIES, scoring="neg_mean_squared_error").fit(rows, np.arange(60.0), items.weights)
    guesses = fit_linear_rival(numbers, NumberTarget(0.0, 1.0)).predictions(numbers)
    np.testing.assert_allclose(guesses, ridge.predict(rows), rtol=1e-3, atol=1e-3)


def test_scores_of_a_model_and_of_its_rival_are_weighted_alike() -> None:
    X, y = texts()
    model = Classifier(**SMALL).fit(X, y, sample_weight=WEIGHTS)
    assert model.rival_ is not None
    labels = dict(zip(X, y, strict=True))
    corpus = Corpus.labelled(X, y, kind="text").weighted(WEIGHTS)
    prepared = model.make_stages().prepare(corpus, None, None)
    items = prepared.valid
    rows = [int(row) for row in items.rows]
    for metrics, guesses in (
        (model.metrics_, model.predict_proba([X[row] for row in rows])),
        (model.metrics_["rival"], model.rival_.predictions(items)),
    ):
        right = [model.classes_[np.argmax(guess)] == labels[X[row]] for guess, row in zip(guesses, rows, strict=True)]
        assert metrics["accuracy"] == pytest.approx(np.average(right, weights=WEIGHTS[rows]))
    assert model.metrics_["weighted"] is True
    card_ = card("m", model._config(), model.features_, model.metrics_)
    assert "Items are weighted by `sample_weight`, for this model and the other alike." in card_
    assert "weighted" not in Classifier(**SMALL).fit(X, y).metrics_
    assert "weighted" not in Classifier(**SMALL).fit(X, y, WEIGHTS, X_valid=X, y_valid=y).metrics_


def test_the_most_frequent_tag_counts_by_weight() -> None:
    sentences = [(["so"], ["A"]), (["so"], ["A"]), (["so"], ["B"])]
    target = TagsTarget.learn([tags for _, tags in sentences])
    assert FrequentTags.fit(sentences, target).tags_of(["so"])[0].name == "A"
    (tag,) = FrequentTags.fit(sentences, target, [0.5, 0.5, 2.0]).tags_of(["so"])
    assert (tag.name, tag.probability) == ("B", 0.6667)


def test_a_large_rival_or_none_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = texts()
    model = Classifier(**SMALL).fit(X, y)
    assert set(rival_files(model.rival_)) == {"rival.json", "rival.safetensors"}
    monkeypatch.setattr(saved_rivals, "MOST_BYTES", 1000)
    assert rival_files(model.rival_) == rival_files(None) == {}
    small = rekur.load(model.save(tmp_path / "m"))
    assert "rival" not in small.evaluate(X, y)
    assert "rival" in small.metrics_
    alone = Classifier(**SMALL, baseline=False).fit(X, y)
    assert alone.rival_ is None
    assert "rival" not in alone.metrics_


def test_metrics_of_an_earlier_version_name_the_rival_baseline() -> None:
    assert rival_metrics({"baseline": {"name": "x"}}) == rival_metrics({"rival": {"name": "x"}}) == {"name": "x"}
    assert rival_metrics({}) == {}


@pytest.mark.parametrize("text", ['{"kind": "other"}', '{"kind": "linear"}', "[]"])
def test_a_rival_that_this_version_cannot_read_is_refused(text: str, tmp_path: Path) -> None:
    X, y = texts()
    model = Classifier(**SMALL).fit(X, y)
    model.rival_ = _Odd(text)
    with pytest.raises(BundleError, match=r"rival\.json: got a rival without"):
        rekur.load(model.save(tmp_path / "m")).evaluate(X, y)


class _Odd(Rival):
    kind = "odd"

    def __init__(self, text: str) -> None:
        self._text = text

    def predictions(self, items: EncodedItems) -> Any:
        raise NotImplementedError

    def to_saved(self) -> Any:
        saved = json.loads(self._text)
        return (saved if isinstance(saved, dict) else {"kind": saved}), {}


def test_a_span_of_the_dictionary_that_a_sentence_cuts_off_is_none() -> None:
    labels = [["B-LOC", "I-LOC", "O", "B-PER"]]
    rival = SpanDictionary.fit([(["New", "York", "met", "New"], labels[0])], TagsTarget.learn(labels))
    assert [tag.name for tag in rival.tags_of(["in", "New"])] == ["O", "B-PER"]
    assert [tag.name for tag in rival.tags_of(["New", "York"])] == ["B-LOC", "I-LOC"]


def test_a_class_so_rare_that_a_draw_misses_it_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_rival, "MOST_ITEMS", 20)
    X = series(60, 3)
    truth = np.zeros(60, np.int64)
    truth[31] = 1
    rival = fit_linear_rival(encoded(X, truth), LabelTarget(["a", "b"], multi_label=False))
    assert np.shape(rival.predictions(encoded(X))) == (60, 2)
    steps = [np.full((50, 1), row, np.float32) for row in range(60)]
    labels = [np.zeros(50, np.int64) for _ in range(60)]
    labels[31][7] = 1
    target = TagsTarget.learn(labels, plain=True)
    classes = Ragged.from_iter([target.encode(label) for label in labels])
    items = EncodedItems({"steps": Ragged.from_iter(steps)}, classes, np.arange(60), labels)
    tags = fit_window_rival(items, target, earlier=1, later=1).predictions(items)
    assert [len(each) for each in tags] == [50] * 60
