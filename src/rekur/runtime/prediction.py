"""Predictions for items and their evaluation, whatever computes the outputs; no PyTorch.

Axes: N items, K outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur import data
from rekur.data.example import warn, warn_of_a_file
from rekur.features.base import Features
from rekur.runtime.odd_items import OddItems
from rekur.targets import Target


class PredictionMixin(ABC):
    """Predicts and evaluates items; the class that inherits says how steps become outputs.

    Attributes:
        features_: turn an item into steps.
        target_: the meaning of the outputs.
    """

    features_: Features
    target_: Target

    @abstractmethod
    def outputs_of_steps(self, steps: Any) -> NDArray[Any]:
        """Return the outputs (N, K) of items that are steps already."""

    def scores(self, X: Any) -> NDArray[Any]:
        """Return the model's raw scores (N, K) of a list of items, in their order."""
        warn_of_a_file(X, "rekur.data.open_source and rekur.data.examples give the items of a file.")
        return self.outputs_of_steps(self.steps_of(X))

    def steps_of(self, X: Any) -> data.Ragged:
        """Return the steps of a list of items, in their order."""
        items = data.as_sequences(X, self.features_.kind, channels=self._channels())
        return data.encode_items(items, self.features_)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the prediction for each item, (N,): its most probable label, or its number in the unit of the data;
        with ``multi_label`` flags (N, K)."""
        return np.asarray(self.target_.values(self.scores(X)))

    def present(self, X: Any) -> list[Any]:
        """Return the prediction of each item as a session gives it: of a classifier with all probabilities."""
        return self.present_steps(self.steps_of(X))

    def present_steps(self, steps: data.Ragged) -> list[Any]:
        """Return the same for items that are steps already."""
        return [self.target_.answer(row) for row in self.outputs_of_steps(steps)]

    def evaluate(self, X: Any, y: Any) -> dict[str, Any]:
        """Return all metrics on items with labels, as plain JSON.

        Raises:
            InputError: a label was never seen in training.
        """
        kind, channels = self.features_.kind, self._channels()
        return self.evaluate_corpus(data.Corpus.from_lists(X, y, kind=kind, channels=channels))

    def evaluate_corpus(self, corpus: data.Corpus) -> dict[str, Any]:
        """Return all metrics on the examples of a corpus, as plain JSON."""
        odd = OddItems(self.features_)
        records = self.records_of(corpus, odd)
        if told := odd.sentence(corpus.name):
            warn(told)
        return self.target_.report(records)

    def records_of(self, corpus: data.Corpus, odd: OddItems | None = None) -> NDArray[np.float64]:
        """Return the record of each example of a corpus, (N, S); see :class:`rekur.targets.Target`.

        Items are run in blocks, whose outputs are not kept.

        Args:
            corpus: items with labels.
            odd: counts the items of which a model can say little.

        Raises:
            InputError: an item or a label cannot be used.
        """
        corpus = corpus.by_name(self._channels())
        labels = data.read_labels(corpus)
        self.target_.check_labels(labels.values, corpus.name, labels.place_of)
        records: list[NDArray[np.float64]] = []
        first = 0
        for inputs, contexts in corpus.blocks(self.features_):
            (steps,) = inputs.values()
            if odd is not None:
                odd.add(None, steps)
            outputs, part = self.outputs_of_steps(steps), labels.values[first : first + len(steps)]
            records.append(self.target_.records(outputs, part, contexts))
            first += len(steps)
        return np.concatenate(records)

    def _channels(self) -> Sequence[str] | None:
        """Return the names of the channels of series, where they had any in training."""
        return getattr(self.features_, "channels", None)
