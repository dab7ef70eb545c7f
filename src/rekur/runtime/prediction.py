"""Predictions for items and their evaluation, whatever computes the outputs, and a count of odd items; no PyTorch.

Axes: N items, K outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur import data
from rekur._ids import UNKNOWN
from rekur.data.documents import SPAN_SCHEME, holds_documents, passages
from rekur.data.encoded import encode_all, joined
from rekur.data.example import warn, warn_of_a_file
from rekur.data.histories import categories_of
from rekur.data.memory import refuse_texts
from rekur.data.parts import cut_parts
from rekur.errors import InputError
from rekur.features.base import Features
from rekur.runtime.rival import RivalMixin, rival_records
from rekur.runtime.search import Search, SearchTally
from rekur.targets import Target
from rekur.targets.gallery import Gallery


class OddItems:
    """Counts items that are empty or unknown, so that it is told how many predictions say nothing.

    Text and symbols are unknown where a token is, and no token with a letter or digit is known; words that are
    read with their parts are never unknown. A series is empty where all its values are missing.

    Args:
        features: what made the steps.

    Example:
        >>> from rekur.features import TextFeatures
        >>> features = TextFeatures("word").fit(["good film"])
        >>> odd = OddItems(features)
        >>> odd.add(["", "zz!", "good"], [features.transform(text) for text in ("", "zz!", "good")])
        >>> odd.sentence("a.csv")
        'a.csv: 1 of 3 items is empty, 1 holds nothing that the model knows; what is said of them tells little.'
    """

    def __init__(self, features: Features) -> None:
        self.items = self.empty = self.unknown = 0
        self._known = features.tells()

    def add(self, items: Sequence[Any] | None, steps: Any, outputs: Any = None) -> None:
        """Take items with their steps; None for items where only the steps are there. Outputs say nothing here."""
        for row in range(len(steps)):
            ids = steps[row]
            if self._known is not None and ids.ndim == 2:  # the first column has the words
                ids = ids[:, 0]
            self.items += 1
            if len(ids) == 0 or (items is not None and _is_blank(items[row])):
                self.empty += 1
            elif self._known is not None and (ids == UNKNOWN).any():
                self.unknown += not (len(self._known) > ids.max() and self._known[ids].any())

    def sentence(self, name: str) -> str:
        """Return what a person should know of the items; nothing where there is nothing."""
        told = [f"{self.empty} of {self.items} items {_verb(self.empty, 'is', 'are')} empty"] if self.empty else []
        if self.unknown:
            of = "" if told else f" of {self.items} items"
            told.append(f"{self.unknown}{of} {_verb(self.unknown, 'holds', 'hold')} nothing that the model knows")
        return f"{name}: {', '.join(told)}; what is said of them tells little." if told else ""


def _verb(count: int, one: str, several: str) -> str:
    return one if count == 1 else several


def _is_blank(item: Any) -> bool:
    if isinstance(item, str):
        return not item.strip()
    return isinstance(item, np.ndarray) and item.dtype.kind == "f" and bool(np.isnan(item).all())


class PredictionMixin(RivalMixin, ABC):
    """Predicts and evaluates items; the class that inherits says how steps become outputs.

    Attributes:
        features_: turn an item into steps.
        target_: the meaning of the outputs.
        search_: how texts are searched, for a target that a search finds.
        stride: steps between the parts of an item that are evaluated; None for the last one alone.
        bad_spans: ``error`` if an evaluation refuses spans that do not fit their text, ``drop`` if it leaves them out.
    """

    features_: Features
    target_: Target
    search_: Search
    bad_spans: str = "error"
    stride: int | None = None

    @abstractmethod
    def outputs_of_steps(self, steps: Any) -> Any:
        """Return the outputs of items that are steps already, (N, K); for a target of steps one (T, K) an item."""

    def scores(self, X: Any) -> Any:
        """Return the model's raw outputs for a list of items, in their order.

        Returns:
            (N, K); for a target of steps one array (T, K) an item.
        """
        warn_of_a_file(X, "rekur.data.open_source and rekur.data.examples give the items of a file.")
        return self.outputs_of_items(*self.encode(X))

    def outputs_of_items(self, steps: Any, contexts: Sequence[Any]) -> Any:
        """Return the outputs of items that are steps, with their contexts; each sequence of a text by itself."""
        begins = [self.features_.begins(context) for context in contexts]
        if not any(begins):
            return self.outputs_of_steps(steps)
        parts = (part for row, each in enumerate(begins) for part in np.split(steps[row], each))
        outputs = iter(self.outputs_of_steps(data.Ragged.from_iter(parts)))
        return [np.concatenate(list(islice(outputs, len(each) + 1))) for each in begins]

    def encode(self, X: Any) -> tuple[data.Ragged, list[Any]]:
        """Return the steps of a list of items, in their order, and the context of each."""
        inputs, contexts = encode_all(self._items(X), self.features_)
        return joined(inputs), contexts

    def windows(self, X: Any) -> Iterator[dict[str, Any]]:
        """Yield the windows that a forecaster reads of series, as plain JSON, such as exports take them.

        Args:
            X: series, as :meth:`predict` takes them, or a corpus of them.

        Returns:
            for each ``series``, ``time`` (H,), ``steps`` (S, D), ``ahead`` (A, E), ``level`` and ``scale``.

        Raises:
            InputError: the model reads no windows.
        """
        features: Any = self.features_
        if not features.cuts_items:
            raise InputError(f"windows: got a model that reads {features.kind}; expected one that forecasts.")
        parts = self.parts_to_predict(X).items() if isinstance(X, data.Corpus) else self.to_predict(X)
        yield from map(features.as_json, features.encode_many(parts))

    def _items(self, X: Any) -> Iterable[Any]:
        """Return what a network reads of a list of items."""
        if self.features_.cuts_items:
            return self.to_predict(X)
        items = data.as_sequences(X, self.features_.kind, channels=self._channels())
        if not self.features_.reads_texts:
            refuse_texts(items)
        return items

    def to_predict(self, X: Any) -> list[Any]:
        """Return the parts that a network reads of items, to predict them; parts are taken as they are."""
        if isinstance(X, list) and X and self.features_.is_part(X[0]):
            return X
        return list(self.parts_to_predict(self._corpus(X, None)).items())

    def _corpus(self, X: Any, y: Any) -> data.Corpus:
        """Return items in memory with their labels, to be scored."""
        from rekur.data.labelled import labelled

        if self.features_.cuts_items:
            columns = getattr(self, "columns_", {}).get("columns")
            names = getattr(self.features_, "columns", ())
            read: dict[str, Any] = {"columns": columns, "categories": categories_of(names) if names else None}
            return labelled(X, y, kind=self.features_.kind, use="evaluation", **read)
        how: dict[str, Any] = {"channels": self._channels(), "per_step": self.target_.per_step}
        return labelled(X, y, kind=self.features_.kind, use="evaluation", **how)

    def predict(self, X: Any) -> Any:
        """Return the prediction for each item.

        Returns:
            (N,), the most probable label, or the number in the unit of the data; with ``multi_label`` flags (N, K); of
            a tagger one list an item: the tags of words, or of a text the spans, each a dict with ``start``, ``end``,
            ``label``, ``text`` and ``probability``; of a translator a list of texts.
        """
        warn_of_a_file(X, "rekur.data.open_source and rekur.data.examples give the items of a file.")
        steps, contexts = self.encode(X)
        values = self.target_.values(self.outputs_of_items(steps, contexts), contexts)
        return values if self.target_.per_step or self.target_.ragged else np.asarray(values)

    def present(self, X: Any) -> list[Any]:
        """Return the prediction of each item as a session gives it: of a classifier with all probabilities."""
        return self.present_steps(*self.encode(X))

    def present_steps(self, steps: data.Ragged, contexts: Sequence[Any]) -> list[Any]:
        """Return the same for items that are steps already, with their contexts."""
        return self.present_outputs(self.outputs_of_items(steps, contexts), contexts)

    def present_outputs(self, outputs: Any, contexts: Sequence[Any]) -> list[Any]:
        """Return the same for the outputs of items, with their contexts."""
        return [self.target_.answer(each, context) for each, context in zip(outputs, contexts, strict=True)]

    def formatted_outputs(
        self, outputs: Any, contexts: Sequence[Any], output_format: str, items: Sequence[Any]
    ) -> Iterator[str]:
        """Yield the predictions of items, whose outputs are there already, as text; see ``Target.output_formats``."""
        for each, context, item in zip(outputs, contexts, items, strict=True):
            yield self.target_.formatted(self.target_.decode(each, context), context, output_format, item)

    def evaluate(self, X: Any, y: Any = None) -> dict[str, Any]:
        """Return all metrics on items with labels, as plain JSON.

        Raises:
            InputError: a label was never seen in training.
        """
        return self.evaluate_corpus(self._corpus(X, y))

    def evaluate_corpus(
        self,
        corpus: data.Corpus,
        gallery: Gallery | None = None,
        *,
        reads: Callable[[data.EncodedItems], None] | None = None,
    ) -> dict[str, Any]:
        """Return all metrics on the examples of a corpus, as plain JSON, with those of a rival that is kept.

        Args:
            corpus: items with labels.
            gallery: is given every item, for a page.
            reads: is given the items as the network reads them, block by block.

        Raises:
            InputError: an item or a label cannot be used.
        """
        tally, rival, records, others = self.tally(scored=True), self.rival(), [], []
        for items in self._blocks(corpus):
            if reads is not None:
                reads(items)
            outputs = self.outputs_of_items(items.steps, items.contexts)
            tally.add(None, items.steps, outputs)
            records.append(self.target_.records(outputs, items.labels, items.contexts))
            if gallery is not None:
                for each, label, context in zip(outputs, items.labels, items.contexts, strict=True):
                    gallery.add(self.target_.decode(each, context), label, context)
            if rival is not None:
                others.append(rival_records(rival, items, self.target_))
        if told := tally.sentence(corpus.name):
            warn(told)
        report = self.target_.report(np.concatenate(records))
        if rival is not None:
            report["rival"] = {"name": rival.name, **self.target_.score(np.concatenate(others))}
        return report

    def tally(self, *, scored: bool = False) -> OddItems | SearchTally:
        """Return what counts the items that a person should know of.

        Args:
            scored: whether the predictions are scored.
        """
        if self.target_.ragged:
            return SearchTally(self.features_, self.search_, scored=scored)
        return OddItems(self.features_)

    def records_of(
        self, corpus: data.Corpus, *, reads: Callable[[data.EncodedItems], None] | None = None
    ) -> NDArray[np.float64]:
        """Return the record of each example of a corpus, (N, S); see :class:`rekur.targets.Target`.

        Items are run in blocks, whose outputs are not kept.

        Args:
            corpus: items with labels.
            reads: is given the items as the network reads them, block by block.

        Raises:
            InputError: an item or a label cannot be used.
        """
        return np.concatenate([self._records(items, reads) for items in self._blocks(corpus)])

    def _records(
        self, items: data.EncodedItems, reads: Callable[[data.EncodedItems], None] | None
    ) -> NDArray[np.float64]:
        if reads is not None:
            reads(items)
        outputs = self.outputs_of_items(items.steps, items.contexts)
        return self.target_.records(outputs, items.labels, items.contexts)

    def _blocks(self, corpus: data.Corpus) -> Iterator[data.EncodedItems]:
        """Yield the examples of a corpus, encoded, block by block."""
        corpus = corpus.by_name(self._channels())
        parts = self.parts_of(corpus)
        labels = data.read_labels(parts)
        if parts is not corpus:
            for note in parts.notes()[len(corpus.notes()) + 1 :]:
                warn(f"{corpus.name}: {note}")
        corpus = parts
        self.target_.check_labels(labels.values, corpus.name, labels.place_of)
        first = 0
        for inputs, contexts in corpus.blocks(self.features_):
            last = first + len(contexts)
            rows = np.arange(len(contexts))
            yield data.EncodedItems(inputs, np.empty(0), rows, labels.values[first:last], contexts)
            first = last

    def encode_corpus(self, corpus: data.Corpus) -> data.EncodedItems:
        """Return the items of a corpus that are scored, as the network reads them, without labels."""
        inputs, contexts = self.parts_of(corpus.by_name(self._channels())).encode(self.features_)
        return data.EncodedItems(inputs, np.empty(0), np.arange(len(contexts)), contexts=contexts)

    def parts_of(self, corpus: data.Corpus) -> data.Corpus:
        """Return the parts that are scored: passages with tags of texts with spans, or windows of series."""
        if self.features_.cuts_items:
            return cut_parts(corpus, partial(self.features_.parts, use="evaluation", stride=self.stride))
        cut = self.features_.text_cut
        if cut is None or not holds_documents(corpus):
            return corpus
        return passages(corpus, cut, self.bad_spans, getattr(self.target_, "scheme", SPAN_SCHEME))

    def parts_to_predict(self, corpus: data.Corpus) -> data.Corpus:
        """Return the parts of items that a network reads to predict them; here the items themselves."""
        if not self.features_.cuts_items:
            return corpus
        return cut_parts(corpus, partial(self.features_.parts, use="prediction"))

    def _channels(self) -> Sequence[str] | None:
        """Return the names of the channels of series, where they had any in training."""
        return getattr(self.features_, "channels", None)
