"""scikit-learn's own checks of estimators, with every check that does not hold and why."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

from rekur import Classifier, LanguageModel, Regressor
from rekur._options import documented

QUICK: dict[str, Any] = {"learning_rate": 0.03, "average": 0.0, "dropout": 0.0, "input_dropout": 0.0, "baseline": False}
ITEMS: dict[str, Any] = {**QUICK, "hidden_size": 16, "input_noise": 0.0}

ANY_LENGTH = "sequences have any number of steps, so that no number of features is learnt or checked"
FRAME = "a data frame may hold one series or one in each row: it is refused, with both ways to give it"
OWN_WORDS = "the input is refused in other words, with its likely fix"
#: check -> why it does not hold
OF_ITEMS = {
    "check_n_features_in": ANY_LENGTH,
    "check_n_features_in_after_fitting": ANY_LENGTH,
    "check_sample_weights_pandas_series": FRAME,
    "check_complex_data": OWN_WORDS,
    "check_estimators_empty_data_messages": OWN_WORDS,
    "check_fit2d_1sample": OWN_WORDS,
    "check_fit2d_predict1d": OWN_WORDS,
    "check_supervised_y_2d": "a column of labels is refused by name; scikit-learn warns and flattens it",
    "check_sample_weight_equivalence_on_dense_data": (
        "a repeated item is drawn into other batches than one of weight 2; weight 0 is the same as leaving out"
    ),
}
OF_REGRESSORS = {**OF_ITEMS, "check_regressor_data_not_an_array": FRAME}
OF_CLASSIFIERS = {
    **OF_ITEMS,
    "check_classifier_data_not_an_array": FRAME,
    "check_classifiers_train": ANY_LENGTH,
    "check_class_weight_classifiers": (
        "with weights of 1000 and 0.0001 a constant guess has almost no loss, and a model far worse than a guess is "
        "refused"
    ),
}


@documented
class OfArrays(LanguageModel):
    """A language model of arrays: a row of numbers is a text."""

    def fit(self, X: Any, y: Any = None, **more: Any) -> OfArrays:
        super().fit(self._texts(X, reset=True), **more)
        return self

    def score(self, X: Any, y: Any = None) -> float:
        return super().score(self._texts(X, reset=False))

    def _texts(self, X: Any, *, reset: bool) -> list[str]:
        return [" ".join(f"{number:.1f}" for number in row) for row in validate_data(self, X, reset=reset)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        return tags


OF_TEXTS: dict[str, str] = {}


@pytest.mark.parametrize(
    ("estimator", "exceptions"),
    [
        pytest.param(Classifier(epochs=8, **ITEMS), OF_CLASSIFIERS, id="classifier", marks=pytest.mark.slow),
        pytest.param(
            Regressor(epochs=20, pooling="last", kernel_size=10, **{**ITEMS, "hidden_size": 32, "learning_rate": 0.02}),
            OF_REGRESSORS,
            id="regressor",
            marks=pytest.mark.slow,
        ),
        pytest.param(OfArrays(epochs=1, hidden_size=8, **QUICK), OF_TEXTS, id="language model"),
    ],
)
def test_every_check_of_scikit_learn_holds_but_those_listed(estimator: Any, exceptions: dict[str, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    failed = {each["check_name"]: repr(each["exception"]) for each in results if each["status"] == "failed"}
    assert {name: text for name, text in failed.items() if name not in exceptions} == {}
    assert set(exceptions) - set(failed) == set()
    assert len(results) > 30


def test_fit_takes_weights_as_scikit_learn_does() -> None:
    for estimator in (Classifier, Regressor):
        assert list(inspect.signature(estimator.fit).parameters)[:4] == ["self", "X", "y", "sample_weight"]
