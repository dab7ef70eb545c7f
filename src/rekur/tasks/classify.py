"""Classify: one label, or several, for a whole sequence.

Axes: N items, K classes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from torch import Tensor
from torch.nn import functional

from rekur import _check
from rekur._numbers import counted
from rekur.data import Encoded
from rekur.data.example import warn
from rekur.data.label_forms import alike_labels
from rekur.data.memory import plain_labels
from rekur.errors import InputError
from rekur.runtime import ClassAnswers
from rekur.runtime.answers import labels_of, weights_of
from rekur.tasks.base import SequenceEstimator
from rekur.tasks.start import bayes_start

#: types of labels that JSON keeps
_TYPES = {"str", "int", "float", "bool"}
#: validation items below which the loss, not the share that is right, decides which weights are kept
FEW_ITEMS = 200
#: characters that often stand between several labels of a cell
SEPARATORS = ",;|/\t"


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
    answers_: ClassAnswers
    guess_name = "the class shares of the training items"
    loss_name = "log loss"

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

    def _learn_targets(self, labels: list[Any], place_of: Callable[[int], str] | None = None) -> None:
        _check.flag("multi_label", self.multi_label)
        if self.class_weight is not None:
            _check.choice("class_weight", self.class_weight, ("balanced",))
        if self.label_smoothing is not None:
            _check.number("label_smoothing", self.label_smoothing, 0, 1, open_high=True)
        if self.bayes_start is not None:
            _check.number("bayes_start", self.bayes_start, 0)
        counts = _counted(labels, self.multi_label, place_of)
        texts = {label: count for label, count in counts.items() if isinstance(label, str)}
        if place_of is not None and (alike := alike_labels(texts)):
            warn(alike)
        joined = next((label for label in texts if any(mark in label for mark in SEPARATORS)), None)
        if joined is not None and self.multi_label and max(map(len, labels)) == 1:
            fix = "If such cells hold several, name what separates them: label_separator."
            warn(f"No item has more than one label, and a label is {joined!r}. {fix}")
        values = sorted(counts, key=lambda value: (str(type(value)), value))
        if len(values) < (1 if self.multi_label else 2):
            only = f"only the label {values[0]!r}" if values else "no labels"
            raise InputError(
                f"labels: got {only} in {counted(len(labels), 'training example')}; expected at least two different "
                "ones. Choose another label column, or add examples of the other classes."
            )
        self.answers_ = ClassAnswers(values, multi_label=self.multi_label)
        frequency = np.array([counts[value] for value in values], dtype=np.float64)
        weight = np.ones(len(values))
        if self.class_weight == "balanced":
            weight = len(labels) / (len(values) * frequency)
        self._weight = torch.tensor(weight, dtype=torch.float32)

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, in order; (K,)."""
        return self.answers_.classes

    # ── loss and metrics ─────────────────────────────────────────────────────────────────────────────────────

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        weight = self._weight.to(scores.device) if self.class_weight else None
        smoothing = self.chosen_["label_smoothing"] if torch.is_grad_enabled() else 0.0
        if self.multi_label:
            smooth = targets * (1 - smoothing) + smoothing / 2
            return functional.binary_cross_entropy_with_logits(scores, smooth, weight=weight)
        return functional.cross_entropy(scores, targets, weight=weight, label_smoothing=smoothing)

    def _guess(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        if self.multi_label:
            share = np.clip(targets.mean(axis=0, dtype=np.float64), 1e-6, 1 - 1e-6)
            return np.asarray(np.log(share / (1 - share)))
        counts = np.bincount(targets, minlength=self.answers_.size)
        return np.asarray(np.log(np.maximum(counts * self._weight.double().numpy(), 1e-6)))

    def _losses(self, scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        wide = scores.astype(np.float64)
        if self.multi_label:
            return np.asarray((np.logaddexp(0, wide) - targets * wide).mean(axis=1))
        weight = self._weight.double().numpy()[targets]
        nats = np.logaddexp.reduce(wide, axis=1) - wide[np.arange(len(wide)), targets]
        return np.asarray(nats * weight / weight.mean())

    def _has_more_hits(self, scores: NDArray[Any], guess: NDArray[Any], targets: NDArray[Any]) -> bool:
        hits = [next(iter(self._quick_metrics(each, targets).values())) for each in (scores, guess)]
        return hits[0] > hits[1]

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

    # ── predicting ───────────────────────────────────────────────────────────────────────────────────────────

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K), in the order of ``classes_``."""
        return self.answers_.probabilities(self.scores(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of items that got the right label; with ``multi_label`` all the right ones and no other.

        Args:
            X: items.
            y: their labels, as for ``fit``; one that was never seen in training counts as missed.
            sample_weight: weights of the items, (N,).
        """
        predicted = [p.label if self.multi_label else [p.label] for p in self.present(X)]
        truth = self.answers_.true_labels(plain_labels(y, "y", count=len(predicted)), "y")
        right = [set(labels) == true_labels for labels, true_labels in zip(predicted, truth, strict=True)]
        return float(np.average(right, weights=weights_of(sample_weight, len(right))))


def _counted(labels: list[Any], multi_label: bool, place_of: Callable[[int], str] | None) -> Counter[Any]:
    """Return how often each label is given; raise unless all are of one type that JSON keeps."""
    counts: Counter[Any] = Counter()
    types: set[str] = set()
    for row, label in enumerate(labels):
        try:
            values = labels_of(label, multi_label=multi_label)
        except InputError as error:
            raise InputError(f"{place_of(row)}: {error}" if place_of else str(error)) from None
        types |= {type(value).__name__ for value in values}
        if not types <= _TYPES:
            break
        counts.update(values)
    if len(types) > 1 or not types <= _TYPES:
        expected = "labels of one type: text, whole numbers, numbers or True and False"
        raise InputError(f"labels: got labels of the type {' and '.join(sorted(types))}; expected {expected}.")
    return counts
