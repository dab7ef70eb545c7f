"""A training that starts from a bundle takes what means the same, says so, and resumes without the bundle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rekur
from rekur import Classifier, LanguageModel, Regressor
from rekur._history import History
from rekur.errors import BundleError
from rekur.features import FEATURES, restore
from rekur.features.windows import Window
from rekur.tasks.base.prior import Prior
from rekur.train import Checkpoints, Silent

#: weights that do not move, so that what was taken is seen in them
STILL: dict[str, Any] = {
    "epochs": 1,
    "hidden_size": 5,
    "embedding_size": 4,
    "learning_rate": 1e-30,
    "weight_decay": 0.0,
    "baseline": False,
    "bayes_start": 0.0,
}
OF_ROWS = {name: value for name, value in STILL.items() if name not in ("embedding_size", "bayes_start")}
TEXTS = ["good film", "great fun", "bad film", "awful bore", "fine plot", "poor plot"] * 6
LABELS = ["up", "up", "down", "down", "up", "down"] * 6


class Listener(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def classifier(**options: Any) -> Classifier:
    return Classifier(**{**STILL, **options})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = classifier(epochs=3, learning_rate=0.02, seed=5).fit(TEXTS, LABELS, X_valid=TEXTS, y_valid=LABELS)
    return model.save(tmp_path_factory.mktemp("prior") / "m")


def corpus(texts: list[str], labels: list[Any]) -> rekur.data.Corpus:
    return rekur.data.Corpus.from_lists(texts, labels)


def started(bundle: Path, model: Any, texts: list[str], labels: list[Any]) -> tuple[set[str], str]:
    """Return the names of the weights that are those of the bundle, and the sentence that says so."""
    listener = Listener()
    data = corpus(texts, labels)
    model.fit_corpus(data, data, reporter=listener, start_from=bundle)
    weights = Prior.of_bundle(bundle).weights
    assert weights is not None
    ours = {name: value.numpy() for name, value in model.model_.state_dict().items()}
    same = {name for name, value in ours.items() if np.array_equal(value, weights.get(name))}
    (sentence,) = [text for text in listener.said if text.startswith("From ")]
    return same, sentence


def test_the_same_data_take_everything(bundle: Path) -> None:
    model = classifier()
    same, sentence = started(bundle, model, TEXTS, LABELS)
    assert same == set(model.model_.state_dict())
    assert sentence == f"From {bundle}: features and {len(same)} weights taken."


def test_other_texts_are_read_with_the_features_of_the_bundle(bundle: Path) -> None:
    model = classifier(kernel_size=0)  # of longer texts the default is another
    same, _ = started(bundle, model, [f"{text} indeed" for text in TEXTS], LABELS)
    assert same == set(model.model_.state_dict())
    assert model.features_.to_dict() == Prior.of_bundle(bundle).features


def test_other_labels_begin_the_scores_anew(bundle: Path) -> None:
    names = {"up": "gut", "down": "schlecht"}
    model = classifier()
    same, sentence = started(bundle, model, TEXTS, [names[label] for label in LABELS])
    assert set(model.model_.state_dict()) - same == {"head.weight", "head.bias"}
    assert sentence.endswith("weights taken; new: head.weight, head.bias.")
    assert model.classes_.tolist() == ["gut", "schlecht"]


def test_a_vocabulary_in_another_order_is_never_taken(bundle: Path) -> None:
    model = classifier(feature_options={"lowercase": True})
    old = Prior.of_bundle(bundle)
    same, sentence = started(bundle, model, [text.translate(str.maketrans("ow", "wo")) for text in TEXTS], LABELS)
    assert old.weights is not None
    assert model.features_.to_dict() != old.features
    assert model.model_.embedding.weight.shape == old.weights["embedding.weight"].shape
    assert set(model.model_.state_dict()) - same == {"embedding.weight"}
    assert "no features and" in sentence


def test_another_size_is_new_and_the_rest_is_taken(bundle: Path) -> None:
    model = classifier(num_layers=2, seed=1)
    same, _ = started(bundle, model, TEXTS, LABELS)
    assert {name for name in model.model_.state_dict() if ".layers.1." in name}.isdisjoint(same)
    assert {"embedding.weight", "head.weight"} <= same


def test_a_bundle_of_which_nothing_fits_is_a_warning(bundle: Path) -> None:
    listener, draw = Listener(), np.random.default_rng(0)
    series = [draw.normal(n % 2, 0.1, (3, 2)) for n in range(20)]
    model = Classifier(**{**OF_ROWS, "hidden_size": 3})
    data = rekur.data.Corpus.from_lists(series, ["ab"[n % 2] for n in range(20)])
    model.fit_corpus(data, data, reporter=listener, start_from=bundle)
    assert f"warning: nothing of {bundle} fits this model: everything is new." in listener.said


def test_a_number_in_another_unit_keeps_its_scores(tmp_path: Path) -> None:
    series = [np.random.default_rng(n).normal(0, 1, (3, 2)) for n in range(30)]
    first = Regressor(**{**OF_ROWS, "learning_rate": 0.01}).fit(series, [float(item.sum()) for item in series])
    path = first.save(tmp_path / "m")
    second = Regressor(**OF_ROWS).fit(series, [100 * float(item.sum()) for item in series], start_from=path)
    assert torch.equal(second.model_.head.weight, first.model_.head.weight)
    assert second.target_scale_ == pytest.approx(100 * first.target_scale_)


def test_a_tagger_starts_from_a_tagger_or_from_the_layers_of_a_language_model(tmp_path: Path) -> None:
    words = [text.split() for text in TEXTS]
    tags = [["a" if len(word) > 4 else "b" for word in item] for item in words]
    still: dict[str, Any] = {**{name: value for name, value in STILL.items() if name != "bayes_start"}, "cell": "gru"}
    size: dict[str, Any] = {"projection_size": 4, "part_size": 2, "bidirectional": False}
    first = rekur.Tagger(**{**still, **size, "learning_rate": 0.01}).fit(words, tags)
    second = rekur.Tagger(**still, **size).fit(
        words, [[tag + "x" for tag in row] for row in tags], start_from=first.save(tmp_path / "tagger")
    )
    assert torch.equal(second.model_.encoder.embedding.words.weight, first.model_.encoder.embedding.words.weight)
    assert not torch.equal(second.model_.head.weight, first.model_.head.weight)
    language = LanguageModel(**{**still, "embedding_size": 4, "num_layers": 2}).fit(" ".join(TEXTS) * 9)
    listener, data = Listener(), rekur.data.Corpus.from_lists(words, tags, kind="words")
    third = rekur.Tagger(**still, **size, seed=3)
    third.fit_corpus(data, data, reporter=listener, start_from=language.save(tmp_path / "language"))
    assert torch.equal(
        third.model_.encoder.recurrent.layers[1].cell.weight_hh, language.model_.layers[1].cell.weight_hh
    )
    (sentence,) = [text for text in listener.said if text.startswith("From ")]
    assert "no features and 8 weights taken; new: encoder.embedding.words.weight, " in sentence.replace(
        "encoder.replacement, ", ""
    )


@pytest.mark.parametrize("same_text", [True, False])
def test_runs_of_tokens_number_the_rows_of_their_table(tmp_path: Path, same_text: bool) -> None:
    options: dict[str, Any] = {"hidden_size": 4, "embedding_size": 4, "ngrams": (2,), "baseline": False, "steps": 2}
    text = "the cat sat on the mat. " * 60
    first = LanguageModel(**options).fit(text)
    path = first.save(tmp_path / "m")
    other = text if same_text else "tom sat at the mast, the cat on it. " * 60
    still = {**options, "learning_rate": 1e-30, "weight_decay": 0.0, "steps": 1, "average": 0.0}
    second = LanguageModel(**still).fit(other, X_valid=other, start_from=path)
    assert second.features_.to_dict() == first.features_.to_dict()
    assert torch.equal(second.model_.embedding.weight, first.model_.embedding.weight)
    (ours,), (theirs,) = (list(model.model_.ngram_embedding.tables.parameters()) for model in (second, first))
    assert (ours.shape == theirs.shape and torch.equal(ours, theirs)) == same_text


@pytest.mark.parametrize("kind", FEATURES)
def test_options_of_features_are_those_they_were_made_with(kind: str) -> None:
    items: dict[str, Any] = {
        "text": ["good film"],
        "series": [np.ones((3, 1))],
        "symbols": ["ACGT"],
        "words": [["good", "film"]],
        "pairs": [("good film", "bon film")],
    }
    items["windows"] = [Window(History("a", ("y",), np.arange(40.0)[:, None]), 0, 30)]
    features = FEATURES[kind](8, 4, 4) if kind == "windows" else FEATURES[kind]()
    before = features.options
    assert before
    features.fit(items[kind])
    assert features.options == before
    assert restore(features.to_dict()).options == before


def test_a_run_that_started_from_a_bundle_resumes_without_it(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    texts = [f"{text} indeed" for text in TEXTS]

    def run(folder: Path, *, resume: bool = False, stop: bool = False, start_from: Path | None = None) -> Classifier:
        checkpoints = Checkpoints(folder, every=1, resume=resume)
        model = classifier(epochs=2, learning_rate=0.01)
        listener: Any = _Stopping() if stop else Listener()
        try:
            return model.fit_corpus(
                corpus(texts, LABELS), checkpoints=checkpoints, reporter=listener, start_from=start_from
            )
        finally:
            checkpoints.close()

    whole = run(tmp_path / "a", start_from=bundle)
    with pytest.raises(_Stopped):
        run(tmp_path / "b", stop=True, start_from=copy)
    shutil.rmtree(copy)
    resumed = run(tmp_path / "b", resume=True)
    for name, value in whole.model_.state_dict().items():
        assert torch.equal(value, resumed.model_.state_dict()[name]), name
    assert resumed.features_.to_dict() == Prior.of_bundle(bundle).features
    assert resumed.metrics_ == whole.metrics_


class _Stopped(Exception):
    """The training was cut off."""


class _Stopping(Listener):
    """Cuts a training off after its second step."""

    def step(self, step: int, loss: float) -> None:
        if step == 3:
            raise _Stopped


def test_a_folder_without_a_bundle_is_refused_before_data_are_read(tmp_path: Path) -> None:
    def read() -> Any:
        raise AssertionError("read")

    with pytest.raises(BundleError):
        classifier().fit_corpus(rekur.data.Corpus(read, "file"), start_from=tmp_path / "none")
