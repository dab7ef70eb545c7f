"""Classify: one label, or several, for a whole sequence.

Axes: N items, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

from rekur import _check
from rekur._options import documented
from rekur.data import EncodedItems
from rekur.data.memory import plain_labels
from rekur.models.heads import Head, LabelHead
from rekur.targets import LabelTarget, Target
from rekur.targets.labels import weights_of
from rekur.tasks.base.items import SequenceEstimator
from rekur.tasks.base.plan import Monitor
from rekur.tasks.classify.naive_bayes import bayes_start
from rekur.tasks.classify.options import ClassifyOptions

#: validation items below which the loss, not the share that is right, decides which weights are kept
FEW_ITEMS = 200


@documented
class Classifier(ClassifyOptions, ClassifierMixin, SequenceEstimator):  # type: ignore[misc]
    r"""A recurrent network that gives a sequence its label.

    .. math:: p = \mathrm{softmax}(z), \qquad
        \mathcal{L} = -\sum_k w_k \left((1-\varepsilon)\,[k=y] + \varepsilon / K\right) \log p_k

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
    target: ClassVar[str] = "label"
    stratified: ClassVar[bool] = True
    target_: LabelTarget

    # ── what the driver asks ─────────────────────────────────────────────────────────────────────────────────

    def target_options(self) -> dict[str, Any]:
        """Return whether an item may have several labels."""
        return {"multi_label": self.multi_label}

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the cross entropy with the weights and the smoothing of the options."""
        targets, count = train_set.truth, target.size
        weight = None
        if self.class_weight == "balanced":
            frequency = targets.sum(axis=0) if self.multi_label else np.bincount(targets, minlength=count)
            weight = len(targets) / (count * np.maximum(frequency.astype(np.float64), 1.0))
        elif self.class_weight is not None:
            weight = _weights_of_classes(self.class_weight, target.output_names)
        smoothing = self.chosen_["label_smoothing"]
        return LabelHead(count, multi_label=self.multi_label, weight=weight, smoothing=smoothing)

    def make_monitor(self, target: Target, valid_set: EncodedItems) -> Monitor:
        """Return the metric that decides, or of few items the loss."""
        # the share that is right says more than the loss, which one sure mistake spoils; of few items it says little
        items = len(valid_set)
        if items < FEW_ITEMS:
            return super().make_monitor(target, valid_set)
        # the standard error of a share of 0.9; one-standard-error rule, Breiman et al. 1984
        return Monitor(f"valid_{target.decides}", True, 0.3 / math.sqrt(items))

    def start_network(self, network: Any, target: Target, train_set: EncodedItems) -> None:
        """Start the embedding at what counting says of each token, beside the trained vectors."""
        super().start_network(network, target, train_set)
        if self.chosen_["bayes_start"] and network.embedding is not None:
            tokens = network.spec.input_size
            bayes_start(network.embedding.weight, train_set, tokens, target.size, self.chosen_["bayes_start"])

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, in order; (K,)."""
        return self.target_.classes

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: the inputs, and whether an item may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.multi_label
        return tags

    # ── predicting ───────────────────────────────────────────────────────────────────────────────────────────

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K), in the order of ``classes_``."""
        return self.target_.decode(self.scores(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of items that got the right label; with ``multi_label`` all the right ones and no other.

        Args:
            X: items.
            y: their labels, as for ``fit``; one that was never seen in training counts as missed.
            sample_weight: weights of the items, (N,).
        """
        predicted = [p.label if self.multi_label else [p.label] for p in self.present(X)]
        truth = self.target_.true_labels(plain_labels(y, "y", count=len(predicted)), "y")
        right = [set(labels) == true_labels for labels, true_labels in zip(predicted, truth, strict=True)]
        return float(np.average(right, weights=weights_of(sample_weight, len(right))))


def _weights_of_classes(weights: Any, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the weight of each class, (K,); 1 where none is set.

    Args:
        weights: label -> weight; JSON and the command line have labels as text.
        names: the classes as text.

    Raises:
        InputError: a label was not seen in training.
    """
    by_name = {str(label): float(weight) for label, weight in weights.items()}
    for label in by_name:
        _check.choice("class_weight", label, names)
    return np.array([by_name.get(name, 1.0) for name in names])
