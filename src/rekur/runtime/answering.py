"""What everything that answers questions about whole sequences can do, whatever computes the scores; no PyTorch.

Axes: N items, K scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from rekur import data
from rekur.data.example import warn, warn_of_a_file
from rekur.features.base import Features
from rekur.runtime.answers import Answers
from rekur.runtime.odd_items import OddItems


class Answering(ABC):
    """Items in, predictions and metrics out; whoever inherits says how items become scores.

    Attributes:
        features_: what turns an item into steps.
        answers_: what the scores mean.
    """

    features_: Features
    answers_: Answers

    @abstractmethod
    def _scores_of_steps(self, steps: Any) -> NDArray[Any]:
        """Return the scores (N, K) of items that are steps already."""

    def scores(self, X: Any) -> NDArray[Any]:
        """Return the model's raw scores (N, K) of a list of items, in their order."""
        warn_of_a_file(X, "rekur.data.open_source and rekur.data.examples give the items of a file.")
        return self._scores_of_steps(self.steps_of(X))

    def steps_of(self, X: Any) -> data.Ragged:
        """Return the steps of a list of items, in their order."""
        items = data.as_sequences(X, self.features_.kind, channels=self._channels())
        return data.encode_items(items, self.features_)

    def scores_of_items(self, items: Iterable[Any]) -> NDArray[Any]:
        """Return the model's raw scores (N, K) of items that are read once."""
        return self._scores_of_steps(data.encode_items(items, self.features_))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the prediction for each item, (N,): its most probable label, or its number in the unit of the data;
        with ``multi_label`` flags (N, K)."""
        return self.answers_.predict(self.scores(X))

    def present(self, X: Any) -> list[Any]:
        """Return the prediction of each item as a session gives it: of a classifier with all probabilities."""
        return self.present_steps(self.steps_of(X))

    def present_steps(self, steps: data.Ragged) -> list[Any]:
        """Return the same for items that are steps already."""
        return [self.answers_.present(row) for row in self._scores_of_steps(steps)]

    def evaluate(self, X: Any, y: Any) -> dict[str, Any]:
        """Return all metrics on items with labels, as plain JSON.

        Raises:
            InputError: a label was never seen in training.
        """
        kind, channels = self.features_.kind, self._channels()
        return self.evaluate_corpus(data.Corpus.from_lists(X, y, kind=kind, channels=channels))

    def evaluate_corpus(self, corpus: data.Corpus) -> dict[str, Any]:
        """Return all metrics on the examples of a corpus, as plain JSON."""
        corpus = corpus.by_name(self._channels())
        labels = data.read_labels(corpus)
        targets = self.answers_.encode(labels.values, corpus.name, labels.place_of)
        steps = corpus.steps(self.features_)
        odd = OddItems(self.features_)
        odd.add(None, steps)
        if told := odd.sentence(corpus.name):
            warn(told)
        return self.answers_.metrics(self._scores_of_steps(steps), targets)

    def _channels(self) -> Sequence[str] | None:
        """Return the names of the channels of series, where they had any in training."""
        return getattr(self.features_, "channels", None)
