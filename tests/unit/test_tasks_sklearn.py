"""Tasks as scikit-learn's estimators: parameters, pipelines, searches, labels that keep their type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from rekur import Classifier, LanguageModel, Regressor
from rekur.errors import InputError, NotFittedError
from rekur.targets import LabelTarget
from rekur.tasks import load

SMALL: dict[str, Any] = {"epochs": 2, "hidden_size": 6, "embedding_size": 6, "baseline": False}
OF_ROWS = {name: value for name, value in SMALL.items() if name != "embedding_size"}
TEXTS = [
    f"{('great', 'fine')[i % 4 // 2]} film {i}" if i % 2 else f"{('awful', 'dull')[i % 4 // 2]} film {i}"
    for i in range(24)
]
LABELS = [i % 2 for i in range(24)]


def series(count: int = 24) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    return [rng.normal(i % 2, 0.1, size=(int(rng.integers(3, 7)), 2)) for i in range(count)]


@pytest.mark.parametrize("estimator", [Classifier, Regressor])
def test_parameters_are_stored_unchanged_and_cloned(estimator: Any) -> None:
    features = {"tokens": "char"}
    model = estimator(hidden_size=7, feature_options=features, dropout=0.25)
    params = model.get_params()
    assert params["feature_options"] is features
    assert (params["hidden_size"], params["dropout"], params["cell"]) == (7, 0.25, None)
    twin = clone(model)
    assert twin is not model
    assert twin.get_params() == params
    assert twin.set_params(hidden_size=9).hidden_size == 9
    assert model.hidden_size == 7
    assert repr(model).startswith(estimator.__name__)


def test_kinds_of_estimator() -> None:
    assert is_classifier(Classifier())
    assert is_regressor(Regressor())


def test_before_fit_everything_says_so(tmp_path: Path) -> None:
    text = (
        "Classifier: got a model that was never trained; expected a trained one. "
        "Call fit first, or load a saved model with rekur.load."
    )
    model = Classifier()
    for act in (
        lambda: model.predict(["a"]),
        lambda: model.predict_proba(["a"]),
        lambda: model.evaluate(["a"], [1]),
        lambda: model.stream(),
        lambda: model.save(tmp_path / "m"),
    ):
        with pytest.raises(NotFittedError) as caught:
            act()
        assert str(caught.value) == text
    with pytest.raises(SklearnNotFittedError):
        check_is_fitted(model)
    check_is_fitted(Classifier(**SMALL).fit(TEXTS, LABELS))


def test_cross_validation_on_texts_and_on_arrays() -> None:
    assert cross_val_score(Classifier(**SMALL), TEXTS, LABELS, cv=2).shape == (2,)
    assert cross_val_score(Classifier(**OF_ROWS), series(), LABELS, cv=2).shape == (2,)
    numbers = [float(x.mean()) for x in series()]
    assert cross_val_score(Regressor(**OF_ROWS), series(), numbers, cv=2).shape == (2,)


def test_search_over_options() -> None:
    search = GridSearchCV(Classifier(**SMALL), {"cell": ["gru", "mingru"], "hidden_size": [4]}, cv=2)
    search.fit(TEXTS, LABELS)
    assert search.best_params_["cell"] in ("gru", "mingru")
    assert search.best_estimator_.predict(TEXTS[:3]).shape == (3,)


class Upper(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    def fit(self, X: Any, y: Any = None) -> Upper:
        return self

    def transform(self, X: list[str]) -> list[str]:
        return [x.upper() for x in X]


def test_at_the_end_of_a_pipeline() -> None:
    pipeline = Pipeline([("upper", Upper()), ("model", Classifier(**SMALL))])
    pipeline.set_params(model__hidden_size=5).fit(TEXTS, LABELS)
    assert pipeline.predict_proba(TEXTS).shape == (24, 2)
    assert 0 <= pipeline.score(TEXTS, LABELS) <= 1


def test_it_learns_what_is_plain() -> None:
    model = Classifier(epochs=40, hidden_size=16, embedding_size=16, baseline=False, seed=1)
    assert model.fit(TEXTS, LABELS).score(TEXTS, LABELS) >= 0.95
    X = series(60)
    means = [float(x[:, 0].mean()) for x in X]
    assert Regressor(epochs=60, hidden_size=16, baseline=False).fit(X, means).score(X, means) > 0.9


def test_probabilities_sum_to_one() -> None:
    model = Classifier(**SMALL).fit(TEXTS, ["a", "b", "c"] * 8)
    given = model.predict_proba(TEXTS)
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-12)
    assert model.classes_[given.argmax(axis=1)].tolist() == model.predict(TEXTS).tolist()
    assert [p.label for p in model.present(TEXTS)] == model.predict(TEXTS).tolist()


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([3, 10], "i"),
        (["no", "yes"], "U"),
        ([False, True], "b"),
        ([1.0, 2.0], "f"),
        ([np.int64(3), np.int64(10)], "i"),
        ([np.str_("no"), np.str_("yes")], "U"),
    ],
)
def test_labels_keep_their_type_through_save_and_load(labels: list[Any], kind: str, tmp_path: Path) -> None:
    model = Classifier(**SMALL).fit(TEXTS, labels * 12)
    loaded = load(model.save(tmp_path / "m"))
    for one in (model, loaded):
        assert one.classes_.dtype.kind == kind
        assert one.classes_.tolist() == [np.asarray(label).item() for label in labels]
        assert one.predict(TEXTS).dtype.kind == kind
        assert type(one.present(TEXTS)[0].label) is type(np.asarray(labels[0]).item())
    assert loaded.score(TEXTS, labels * 12) == model.score(TEXTS, labels * 12)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (
            [1, "1"],
            "labels: got labels of the type int and str; expected labels of one type: "
            "text, whole numbers, numbers or True and False.",
        ),
        ([1, None], "y[1]: label: got None; expected a label for every item. Give it one, or leave it out."),
        (
            [0.5, 2.0],
            "labels: got 0.5; expected text, whole numbers, or True and False. Unknown label type: continuous. "
            "Learn numbers with rekur.Regressor, or give classes as text.",
        ),
        ([1.0, float("nan")], "y[1]: label: got nan; expected a label for every item. Give it one, or leave it out."),
        ([1, [2]], "y[1]: label: got [2]; expected one label. For several labels an item, use multi_label=True."),
        (
            [7, 7],
            "labels: got only the label 7 in 24 training examples; expected at least two different ones. "
            "Choose another label column, or add examples of the other classes.",
        ),
    ],
)
def test_labels_that_cannot_be_used(labels: list[Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        Classifier(**SMALL).fit(TEXTS, labels * 12)
    assert str(caught.value) == text


def test_a_misspelt_option() -> None:
    with pytest.raises(InputError) as caught:
        Classifier(hiden_size=3)
    text = str(caught.value)
    assert text.startswith("Classifier option: got 'hiden_size'; expected one of 'accelerator', 'augment', 'average', ")
    assert text.endswith(". Did you mean 'hidden_size'?")
    with pytest.raises(InputError, match=r"Regressor option: got 'multi_label'; expected one of "):
        Regressor(multi_label=True)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dropout": 1.5}, "dropout: got 1.5; expected a number in [0, 1)."),
        ({"kind": "txt"}, "kind: got 'txt'; expected one of 'auto', 'text', 'series', 'symbols'. Did you mean 'text'?"),
        ({"batch_size": 0}, "batch_size: got 0; expected a whole number of 1 or more."),
        ({"valid_fraction": 1.0}, "valid_fraction: got 1.0; expected a number in [0, 0.9]."),
        ({"seed": -1}, "seed: got -1; expected a whole number of 0 or more."),
        ({"bidirectional": "yes"}, "bidirectional: got 'yes'; expected True or False."),
        ({"baseline": 1}, "baseline: got 1; expected True or False."),
        ({"class_weight": "equal"}, "class_weight: got 'equal'; expected one of 'balanced'."),
        ({"class_weight": {}}, "class_weight: got {}; expected 'balanced', or a weight for one label or more."),
        ({"class_weight": {1: -1}}, "class_weight of 1: got -1; expected a number above 0."),
        ({"class_weight": {2: 3.0}}, "class_weight: got '2'; expected one of '0', '1'."),
        ({"label_smoothing": 1}, "label_smoothing: got 1; expected a number in [0, 1)."),
        (
            {"cell": "mingru", "recurrent_dropout": 0.2},
            "recurrent_dropout: got 0.2; expected 0 with the cell 'mingru'. "
            "Its state enters no product that could be masked; use dropout instead.",
        ),
        ({"accelerator": "mps"}, "accelerator: got 'mps'; expected one that this machine has. Use 'auto' or 'cpu'."),
    ],
)
def test_wrong_options_are_found_before_training(change: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        Classifier(**{**SMALL, **change}).fit(TEXTS, LABELS)
    assert str(caught.value) == text


def test_lists_of_different_lengths_and_no_list_at_all() -> None:
    for X, y, text in (
        (TEXTS, LABELS[:-1], "y: got 23 labels; expected one for each of the 24 items in X."),
        ("one text", [1], "X: got 'str'; expected a list of sequences. Put it into a list."),
        ([], [], "X: got 0 sequences; expected 1 or more."),
    ):
        with pytest.raises(InputError) as caught:
            Classifier(**SMALL).fit(X, y)
        assert str(caught.value) == text


def test_a_label_that_was_never_seen() -> None:
    model = Classifier(**SMALL).fit(TEXTS, ["no", "yes"] * 12)
    with pytest.raises(InputError) as caught:
        model.evaluate(TEXTS[:2], ["no", "yess"])
    assert str(caught.value) == (
        "y[1]: label: got 'yess'; expected one of the labels seen in training, 'no', 'yes'. Did you mean 'yes'?"
    )


def test_equal_items_with_different_labels_do_not_leave_a_label_untrained() -> None:
    X = [f"text {i % 12}" for i in range(24)]
    y = ["a"] * 11 + ["b"] + ["a"] * 11 + ["c"]  # b and c are labels of one and the same text
    for seed in range(5):
        model = Classifier(**{**SMALL, "epochs": 1}, seed=seed, valid_fraction=0.4).fit(X, y)
        assert model.classes_.tolist() == ["a", "b", "c"]


def test_class_weight_and_label_smoothing_change_the_loss() -> None:
    import torch

    from rekur.models.heads import LabelHead

    X, y = TEXTS, [0] * 18 + [1] * 6
    weights = np.array([24 / (2 * 18), 24 / (2 * 6)])
    outputs, targets = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    right, wrong = float(np.log1p(np.exp(-2))), float(np.log1p(np.exp(2)))
    assert float(LabelHead(2).loss(outputs, targets)) == pytest.approx((right + wrong) / 2)
    expected = (weights * [right, wrong]).sum() / weights.sum()
    assert float(LabelHead(2, weight=weights).loss(outputs, targets)) == pytest.approx(expected)
    expected = 0.9 * (right + wrong) / 2 + 0.1 * (right + wrong) / 2
    assert float(LabelHead(2, smoothing=0.2).loss(outputs, targets)) == pytest.approx(expected)
    losses = [
        Classifier(**{**SMALL, "epochs": 1}, **more).fit(X, y, X_valid=X, y_valid=y).history_.rows[0]["train_loss"]
        for more in (
            {"label_smoothing": 0.0},
            {"label_smoothing": 0.0, "class_weight": "balanced"},
            {"label_smoothing": 0.2},
        )
    ]
    assert len(set(losses)) == 3


def test_class_weights_of_a_dict(tmp_path: Path) -> None:
    """They count as the same weights of ``balanced`` do, survive JSON, and are 1 for classes without one."""
    labels = ["no"] * 18 + ["yes"] * 6

    def losses(weights: Any) -> list[Any]:
        model = Classifier(**SMALL, class_weight=weights).fit(TEXTS, labels, X_valid=TEXTS, y_valid=labels)
        return [row["train_loss"] for row in model.history_.rows]

    balanced = {"no": 24 / (2 * 18), "yes": 24 / (2 * 6)}
    assert losses(balanced) == losses("balanced")
    assert losses({"yes": 1.0}) == losses({"no": 1.0, "yes": 1.0})
    assert losses({"yes": 3.0}) != losses({"yes": 1.0})
    model = Classifier(**SMALL, class_weight={1: 3.0}).fit(TEXTS, LABELS)
    loaded = load(model.save(tmp_path / "m"))
    assert np.array_equal(clone(loaded).fit(TEXTS, LABELS).scores(TEXTS), model.scores(TEXTS))


@pytest.mark.parametrize("estimator", [Classifier, Regressor])
def test_weights_of_items_count_in_the_loss(estimator: Any) -> None:
    def scores(weights: Any, X: Any = TEXTS, y: Any = LABELS) -> Any:
        return estimator(**SMALL).fit(X, y, weights).scores(TEXTS)

    # an item of weight 0 teaches nothing, and only ratios count
    kept = scores(None, TEXTS[4:], LABELS[4:])
    np.testing.assert_allclose(scores([0.0] * 4 + [2.0] * 20), kept, rtol=1e-5, atol=1e-6)
    weights = [1.0, 5.0] * 12
    assert not np.allclose(scores(weights), scores(None), rtol=1e-3)
    np.testing.assert_allclose(scores([4 * weight for weight in weights]), scores(weights), rtol=1e-5, atol=1e-6)
    for wrong, text in (([1.0], "sample_weight: got 1; expected 24, one for each item."), ([-1.0] * 24, "got -1.0; ")):
        with pytest.raises(InputError) as caught:
            scores(wrong)
        assert text in str(caught.value)


def test_weights_of_items_in_a_search() -> None:
    search = GridSearchCV(Classifier(**SMALL), {"hidden_size": [4, 5]}, cv=2)
    assert search.fit(TEXTS, LABELS, sample_weight=[1.0, 2.0] * 12).best_params_["hidden_size"] in (4, 5)


TAGS = [["up"], ["down", "odd"], [], ["up", "odd"]] * 6


def test_several_labels_an_item(tmp_path: Path) -> None:
    model = Classifier(multi_label=True, **{**SMALL, "epochs": 40}, seed=1).fit(TEXTS, TAGS)
    assert model.classes_.tolist() == ["down", "odd", "up"]
    flags = model.predict(TEXTS)
    assert flags.shape == (24, 3)
    assert set(np.unique(flags)) <= {0, 1}
    for row, shown in zip(flags, model.present(TEXTS), strict=True):
        assert shown.label == model.classes_[row.astype(bool)].tolist()
        assert shown.probability == max(shown.probabilities.values())
    truth = [[name in tags for name in model.classes_] for tags in TAGS]
    assert model.score(TEXTS, TAGS) == pytest.approx(float((flags == truth).all(axis=1).mean()))
    assert model.evaluate(TEXTS, TAGS)["subset_accuracy"] == pytest.approx(model.score(TEXTS, TAGS))
    loaded = load(model.save(tmp_path / "m"))
    assert loaded.score(TEXTS, TAGS) == model.score(TEXTS, TAGS)


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (["up"] * 24, "y[0]: label: got 'up'; expected a list of labels, since multi_label is on."),
        (
            np.eye(2, dtype=int).repeat(12, axis=0),
            "y[0]: label: got [1 0]; expected a list of labels, not a row of numbers. "
            "From flags: [[name for name, on in zip(names, row) if on] for row in y].",
        ),
    ],
)
def test_what_several_labels_are_not(y: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        Classifier(multi_label=True, **SMALL).fit(TEXTS, y)
    assert str(caught.value) == text


def test_arrays_frames_and_lists_are_the_same() -> None:
    import pandas as pd

    X = np.stack([np.full((4, 2), float(i % 2)) + np.random.default_rng(i).normal(size=(4, 2)) for i in range(24)])
    a = Classifier(**OF_ROWS).fit(X, np.array(LABELS))
    b = Classifier(**OF_ROWS).fit(list(X), LABELS)
    c = Classifier(**OF_ROWS).fit([x.tolist() for x in X], pd.Series(LABELS))
    assert np.array_equal(a.scores(X), b.scores(X))
    assert np.array_equal(a.scores(X), c.scores(X))
    text = Classifier(**SMALL).fit(pd.Series(TEXTS), pd.Series(LABELS))
    assert np.array_equal(text.scores(TEXTS), Classifier(**SMALL).fit(TEXTS, LABELS).scores(TEXTS))


def test_fitting_again_starts_anew() -> None:
    model = Classifier(**OF_ROWS).fit(TEXTS, LABELS)
    first = model.scores(TEXTS)
    model.fit(series(), LABELS)
    model.fit(TEXTS, LABELS)
    assert np.array_equal(model.scores(TEXTS), first)


def test_the_random_state_of_others_is_left_alone() -> None:
    import torch

    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    Classifier(**SMALL).fit(TEXTS, LABELS)
    after = torch.rand(3), np.random.rand(3)
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


def test_recurrent_dropout_is_refused_for_the_cells_that_cannot_take_it_and_only_for_them() -> None:
    from rekur.cells import CELLS
    from rekur.models import SequenceSpec, build

    for cell in CELLS:
        spec = {"discrete": True, "input_size": 9, "output_size": 2, "cell": cell, "hidden_size": 8}
        outcomes = []
        for act in (
            lambda spec=spec: build(SequenceSpec(**spec, recurrent_dropout=0.2)),
            lambda cell=cell: Classifier(cell=cell, recurrent_dropout=0.2).check_options(),
        ):
            try:
                act()
                outcomes.append(True)
            except InputError:
                outcomes.append(False)
        assert outcomes[0] == outcomes[1], cell


@pytest.mark.parametrize("scores", [[np.nan, 0.0], [0.0, np.nan], [np.nan, np.nan]])
def test_scores_of_a_broken_model_are_shown_as_they_are(scores: list[float]) -> None:
    shown = LabelTarget(["bad", "good"], multi_label=False).answer(np.array(scores, np.float32))
    assert np.isnan(list(shown.probabilities.values())).all()


def test_scikit_learn_is_told_what_is_read() -> None:
    from sklearn.utils import get_tags

    tags = get_tags(Classifier(multi_label=True))
    assert (tags.estimator_type, tags.classifier_tags.multi_label, tags.target_tags.required) == (
        "classifier",
        True,
        True,
    )
    assert not get_tags(Classifier()).classifier_tags.multi_label
    assert get_tags(Regressor()).estimator_type == "regressor"
    for model in (Classifier(), Regressor()):
        reads = get_tags(model).input_tags
        assert all((reads.two_d_array, reads.three_d_array, reads.string, reads.allow_nan))
    reads = get_tags(LanguageModel()).input_tags
    assert (reads.one_d_array, reads.two_d_array, reads.string) == (True, False, True)


def test_a_model_that_was_never_trained_raises_the_error_of_scikit_learn_too() -> None:
    from sklearn.exceptions import NotFittedError as Theirs
    from sklearn.utils.validation import check_is_fitted

    from rekur.errors import NotFittedError

    for model in (Classifier(), Regressor(), LanguageModel()):
        with pytest.raises(Theirs) as caught:
            _ = model.model_
        assert isinstance(caught.value, NotFittedError)
        assert "Call fit first" in str(caught.value)
        with pytest.raises(Theirs):
            check_is_fitted(model)
