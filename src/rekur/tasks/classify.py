"""Classify: one label, or several, for a whole sequence.

Axes: N items, K classes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from torch import Tensor
from torch.nn import functional

from rekur import _check
from rekur.errors import InputError, describe, did_you_mean
from rekur.metrics import classification_scores, multilabel_scores
from rekur.tasks.base import SequenceEstimator
from rekur.tasks.corpus import Encoded
from rekur.tasks.start import bayes_start

#: validation items below which the loss, not the share that is right, decides which weights are kept
FEW_ITEMS = 200


class Prediction(NamedTuple):
    """What a classifier says of one sequence.

    Attributes:
        label: the most probable label; with ``multi_label`` the list of all labels of 0.5 or more.
        probability: of the label; with ``multi_label`` of the most probable one.
        probabilities: of every label.
    """

    label: Any
    probability: float
    probabilities: dict[str, float]


class Classifier(ClassifierMixin, SequenceEstimator):  # type: ignore[misc]
    r"""A recurrent network that gives a sequence its label.

    .. math:: p = \mathrm{softmax}(z), \qquad
        \mathcal{L} = -\sum_k w_k \left((1-\varepsilon)\,[k=y] + \varepsilon / K\right) \log p_k

    Args:
        multi_label: an item may have any number of labels, each judged by itself (sigmoid in place of softmax).
        class_weight: weight of a class in the loss: ``balanced`` for the inverse of its frequency, None for 1.
        label_smoothing: share :math:`\varepsilon` of the target spread over all classes, in [0, 1).
        bayes_start: times the naive-Bayes log-count ratios with which the embedding of words starts; 0 for none.
        options: the options of every task, see :class:`rekur.tasks.SequenceEstimator`.

    Attributes:
        classes_: the labels, in order; (K,).
        metrics_: scores of the kept weights on the validation items, with a baseline beside them.
        history_: one row an evaluation.
        chosen_: the options as they were used.

    Example:
        >>> texts = ["good film", "great fun", "bad film", "awful bore"] * 5
        >>> model = Classifier(epochs=3, hidden_size=8, baseline=False).fit(texts, [1, 1, 0, 0] * 5)
        >>> model.predict_proba(["good fun"]).shape
        (1, 2)
    """

    task: ClassVar[str] = "classify"

    def __init__(
        self,
        *,
        multi_label: bool = False,
        class_weight: str | None = None,
        label_smoothing: float | None = None,
        bayes_start: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**self._check_options(options))
        self.multi_label = multi_label
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.bayes_start = bayes_start

    @property
    def label_type(self) -> str:  # type: ignore[override]
        """Return how labels are read from a file."""
        return "classes" if self.multi_label else "class"

    # ── targets ──────────────────────────────────────────────────────────────────────────────────────────────

    def _learn_targets(self, labels: list[Any]) -> None:
        _check.flag("multi_label", self.multi_label)
        if self.class_weight is not None:
            _check.choice("class_weight", self.class_weight, ("balanced",))
        if self.label_smoothing is not None:
            _check.number("label_smoothing", self.label_smoothing, 0, 1, open_high=True)
        if self.bayes_start is not None:
            _check.number("bayes_start", self.bayes_start, 0)
        counts = Counter(one for label in labels for one in self._each(label))
        _check_types(counts)
        values = sorted(counts, key=lambda value: (str(type(value)), value))
        if len(values) < (1 if self.multi_label else 2):
            only = f"only the label {values[0]!r}" if values else "no labels"
            raise InputError(
                f"labels: got {only} in {len(labels)} training examples; expected at least two different ones. "
                "Choose another label column, or add examples of the other classes."
            )
        self.classes_ = np.array(values)
        self._index = {value: k for k, value in enumerate(values)}
        frequency = np.array([counts[value] for value in values], dtype=np.float64)
        weight = np.ones(len(values))
        if self.class_weight == "balanced":
            weight = len(labels) / (len(values) * frequency)
        self._weight = torch.tensor(weight, dtype=torch.float32)

    def _encode_targets(self, labels: list[Any], name: str) -> NDArray[Any]:
        if not self.multi_label:
            return np.array([self._number(self._each(label)[0], name) for label in labels], dtype=np.int64)
        flags = np.zeros((len(labels), len(self.classes_)), dtype=np.float32)
        for row, label in enumerate(labels):
            flags[row, [self._number(one, name) for one in self._each(label)]] = 1
        return flags

    def _each(self, label: Any) -> list[Any]:
        """Return the labels of one item."""
        if self.multi_label:
            if isinstance(label, str) or not hasattr(label, "__iter__"):
                raise InputError(describe("label", label, "a list of labels, since multi_label is on"))
            if isinstance(label, np.ndarray) and label.dtype.kind in "biuf":
                fix = "From flags: [[name for name, on in zip(names, row) if on] for row in y]."
                raise InputError(describe("label", label, "a list of labels, not a row of numbers", fix))
            return [_plain(one) for one in label]
        if hasattr(label, "__iter__") and not isinstance(label, str):
            fix = "For several labels an item, use multi_label=True."
            raise InputError(describe("label", label, "one label", fix))
        if label is None or label != label or (isinstance(label, str) and not label.strip()):
            raise InputError(describe("label", label, "a label for every item", "Give it one, or leave it out."))
        return [_plain(label)]

    def _number(self, label: Any, name: str) -> int:
        known = self._index.get(label)
        if known is None:
            expected = "one of the labels seen in training, " + ", ".join(repr(c) for c in self._index)
            raise InputError(
                f"{name}: " + describe("label", label, expected, did_you_mean(str(label), map(str, self._index)))
            )
        return known

    def _output_size(self) -> int:
        return len(self.classes_)

    # ── loss and metrics ─────────────────────────────────────────────────────────────────────────────────────

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        weight = self._weight.to(scores.device) if self.class_weight else None
        smoothing = self.chosen_["label_smoothing"] if torch.is_grad_enabled() else 0.0
        if self.multi_label:
            smooth = targets * (1 - smoothing) + smoothing / 2
            return functional.binary_cross_entropy_with_logits(scores, smooth, weight=weight)
        return functional.cross_entropy(scores, targets, weight=weight, label_smoothing=smoothing)

    def _metrics(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, Any]:
        names = [str(c) for c in self.classes_]
        measure = multilabel_scores if self.multi_label else classification_scores
        return measure(targets.astype(np.int64), self._probabilities(scores), names)

    def _quick_metrics(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        if self.multi_label:
            guess, truth = scores >= 0, targets > 0
            hits = 2 * float((guess & truth).sum())
            return {"micro_f1": hits / max(1.0, float(guess.sum() + truth.sum()))}
        return {"accuracy": float((scores.argmax(axis=1) == targets).mean())}

    def _monitor(self, items: int) -> tuple[str, bool, float]:
        # the share that is right says more than the loss, which one sure mistake spoils; of few items it says little
        if items < FEW_ITEMS:
            return super()._monitor(items)
        # the standard error of a share of 0.9; one-standard-error rule, Breiman et al. 1984
        return ("valid_micro_f1" if self.multi_label else "valid_accuracy"), True, 0.3 / math.sqrt(items)

    def _start(self, train_set: Encoded) -> None:
        if self.chosen_["bayes_start"] and self.model_.embedding is not None:
            bayes_start(self.model_.embedding.weight, train_set, len(self.classes_), self.chosen_["bayes_start"])

    def _probabilities(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        wide = scores.astype(np.float64)
        if self.multi_label:
            return np.asarray(1.0 / (1.0 + np.exp(-wide)))
        wide = np.exp(wide - wide.max(axis=-1, keepdims=True))
        return np.asarray(wide / wide.sum(axis=-1, keepdims=True))

    def _present(self, scores: NDArray[Any]) -> Prediction:
        given = self._probabilities(scores)
        shares = {str(c): float(p) for c, p in zip(self.classes_, given, strict=True)}
        best = int(given.argmax())
        label: Any = _plain(self.classes_[best])
        if self.multi_label:
            label = [_plain(c) for c, p in zip(self.classes_, given, strict=True) if p >= 0.5]
        return Prediction(label, float(given[best]), shares)

    # ── predicting ───────────────────────────────────────────────────────────────────────────────────────────

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K), in the order of ``classes_``."""
        return self._probabilities(self.scores(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable label of each item, (N,); with ``multi_label`` flags (N, K)."""
        given = self.predict_proba(X)
        if self.multi_label:
            return np.asarray((given >= 0.5).astype(np.int64))
        return np.asarray(self.classes_[given.argmax(axis=1)])

    def present(self, X: Any) -> list[Prediction]:
        """Return the prediction of each item with all probabilities, as a session gives it."""
        return [self._present(row) for row in self.scores(X)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of items that got the right label; with ``multi_label`` all the right ones and no other.

        Args:
            X: items.
            y: their labels, as for ``fit``; one that was never seen in training counts as missed.
            sample_weight: weights of the items, (N,).
        """
        given = [p.label if self.multi_label else [p.label] for p in self.present(X)]
        right = [set(labels) == set(self._each(label)) for labels, label in zip(given, y, strict=True)]
        return float(np.average(right, weights=sample_weight))

    # ── saving ───────────────────────────────────────────────────────────────────────────────────────────────

    def _target_state(self) -> dict[str, Any]:
        return {"labels": [_plain(c) for c in self.classes_], "multi_label": self.multi_label}

    def _restore_targets(self, saved: dict[str, Any]) -> None:
        self.classes_ = np.array(saved["labels"])
        self._index = {value: k for k, value in enumerate(saved["labels"])}
        self._weight = torch.ones(len(self.classes_))


def _check_types(labels: Iterable[Any]) -> None:
    """Raise unless all labels are of one type that JSON keeps."""
    found = sorted({type(label).__name__ for label in labels})
    if len(found) > 1 or not {"str", "int", "float", "bool"}.issuperset(found):
        expected = "labels of one type: text, whole numbers, numbers or True and False"
        raise InputError(f"labels: got labels of the type {' and '.join(found)}; expected {expected}.")


def _plain(label: Any) -> Any:
    """Return a NumPy scalar as the Python value it holds."""
    return label.item() if isinstance(label, np.generic) else label
