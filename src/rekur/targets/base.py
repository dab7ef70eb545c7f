"""The contract of a target, and of its stream.

Axes: N items, T steps, K outputs of a step, S numbers of a record.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur.data.ragged import Ragged
from rekur.errors import InputError
from rekur.features.base import Features
from rekur.metrics.stats import bootstrap_interval, score_interval
from rekur.metrics.table import METRICS
from rekur.targets.gallery import ErrorRow, Gallery

#: the name in messages of an item with this number, from 0
PlaceOf = Callable[[int], str]
Outputs = NDArray[Any]
Records = NDArray[np.float64]


class TargetStream(ABC):
    """One prediction from outputs that come in pieces.

    For every way to cut the outputs of an item, the pieces that :meth:`push` and :meth:`finish` return, joined by
    :meth:`Target.join`, are the prediction of the whole.
    """

    @abstractmethod
    def push(self, outputs: Outputs, context: Any = None) -> tuple[Any, Any]:
        """Take the next outputs (R, K), R >= 0, and what became known of the context.

        Returns:
            the piece of the prediction that is certain now, None if there is none, and its context.
        """

    def finish(self) -> tuple[Any, Any]:
        """Return what was held back, once no more outputs follow, and its context."""
        return None, None

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Return everything remembered, as plain JSON and arrays."""

    @abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""


class LastRow(TargetStream):
    """The last row of outputs so far is the prediction.

    Args:
        target: decodes a row (K,).
    """

    def __init__(self, target: Target) -> None:
        self._target, self._context = target, None

    def push(self, outputs: Outputs, context: Any = None) -> tuple[Any, Any]:
        """Return the prediction of the last of these rows; None without rows."""
        self._context = join_contexts(self._context, context)
        return self.rest(outputs)

    def rest(self, outputs: Outputs, context: Any = None) -> tuple[Any, Any]:
        """Return what :meth:`push` would, without taking the rows."""
        joined = join_contexts(self._context, context)
        return (self._target.decode(outputs[-1], joined), joined) if len(outputs) else (None, None)

    def get_state(self) -> dict[str, Any]:
        """Return the context so far."""
        return {"context": copy.deepcopy(self._context)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put the context back."""
        self._context = copy.deepcopy(state["context"])


class Target(ABC):
    """The meaning of outputs: labels to arrays, outputs to predictions, and both to records.

    A *record* is the row of numbers that an item contributes to scores; metrics are made of records and of nothing
    else, so that they can be gathered over processes, resampled for intervals and paired for comparisons. The
    *context* of an item is what its features remember of it for decoding, showing and scoring.

    A subclass defines :meth:`decode` where an item has one row of outputs (K,), and :meth:`stream` where it has one
    output a step (T, K).
    """

    #: the name of the kind, which is saved
    kind: ClassVar[str]
    #: whether an item has one output a step, (T, K), and not one row, (K,)
    per_step: ClassVar[bool] = False
    #: the encoded label of a step without one, which adds nothing to a loss; None where every step has a label
    no_target: ClassVar[float | None] = None
    #: whether encoded labels differ in length, (T, …), where no output belongs to each step
    ragged: ClassVar[bool] = False
    #: the unit of :meth:`count`, in the plural
    counted: ClassVar[str] = "items"
    #: the name of the column, or key, with the name of an item in predictions
    item_name: ClassVar[str] = "item"
    #: how labels are read from a file: ``class``, ``classes`` or ``number``
    label_type: str
    #: the metric that selects, stops, compares and heads tables; a name in :data:`rekur.metrics.METRICS`
    decides: str
    #: the metrics that are followed during training
    followed: tuple[str, ...]
    #: what the answers of several networks are averaged as: ``outputs``, or shares by ``softmax`` or ``sigmoid``
    joint: str = "outputs"
    #: fitted on the training items; None where they are unknown
    features: Features | None = None

    @classmethod
    @abstractmethod
    def learn(
        cls, labels: Sequence[Any], features: Features | None = None, *, place_of: PlaceOf | None = None, **options: Any
    ) -> Self:
        """Return the target that training labels teach.

        Args:
            labels: one an item.
            features: fitted on the items; None to check only what the labels say by themselves.
            place_of: the name of an item in messages; warnings are given only with it.
            options: of the kind.

        Raises:
            InputError: the labels teach nothing.
        """

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of outputs K of a row."""

    @property
    def output_names(self) -> list[str]:
        """The name of each output, (K,); empty if they have none."""
        return []

    @property
    def answers(self) -> list[str]:
        """What a model can answer, by which models are comparable: of equal answers they have equal records."""
        return self.output_names

    @property
    def compares(self) -> str:
        """The metric by which models of equal answers are compared, whatever they read."""
        return self.decides

    def notes(self) -> list[str]:
        """Return sentences that a person is told of the labels before a training."""
        return []

    def verdict(self, metrics: dict[str, Any], rival: dict[str, Any]) -> str:
        """Return the sentence that comes before the scores, such as that a rival is better; empty for none.

        Args:
            metrics: of the model.
            rival: name and scores of the strongest rival; empty without one.
        """
        return ""

    # ── labels ───────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def encode(self, label: Any, context: Any = None) -> Any:
        """Return what the loss compares the outputs of an item with: a number, an array, or one row a step (T, …).

        Raises:
            InputError: the label is not one that the model can give.
        """

    def encode_items(
        self,
        labels: Sequence[Any],
        contexts: Sequence[Any] | None = None,
        name: str = "labels",
        place_of: PlaceOf | None = None,
    ) -> NDArray[Any] | Ragged:
        """Return the encoded labels of items: an array (N, …), or ragged rows (T, …) of a target of steps.

        Args:
            labels: one an item.
            contexts: one an item; None if the features give none.
            name: of the labels in messages.
            place_of: the name of an item in messages, instead.

        Raises:
            InputError: as for :meth:`encode`.
        """
        encoded = []
        for row, label in enumerate(labels):
            try:
                encoded.append(self.encode(label, contexts[row] if contexts else None))
            except InputError as error:
                raise InputError(f"{place_of(row) if place_of else name}: {error}") from None
        return Ragged.from_iter(encoded) if self.per_step or self.ragged else np.asarray(encoded)

    def check_labels(self, labels: Sequence[Any], name: str, place_of: PlaceOf | None = None) -> None:
        """Raise for a label that the model cannot give, before any item is encoded or run.

        Raises:
            InputError: as for :meth:`encode`, as far as it is known without contexts.
        """
        if not self.per_step:
            self.encode_items(labels, None, name, place_of)

    # ── predictions ──────────────────────────────────────────────────────────────────────────────────────────

    def stream(self) -> TargetStream:
        """Return a new stream: outputs in, pieces of a prediction out. Here the last row of outputs holds."""
        return LastRow(self)

    def decode(self, outputs: Outputs, context: Any = None) -> Any:
        """Return the prediction of an item from its outputs: all that its stream returns, joined."""
        stream = self.stream()
        return self.join([stream.push(outputs, context)[0], stream.finish()[0]])

    def join(self, pieces: Sequence[Any]) -> Any:
        """Return the prediction that pieces add up to: lists and texts are joined, else the last piece holds.

        Pieces that are None say nothing; None is returned if all do.
        """
        pieces = [piece for piece in pieces if piece is not None]
        if pieces and isinstance(pieces[0], list):
            return [entry for piece in pieces for entry in piece]
        if pieces and isinstance(pieces[0], str):
            return "".join(pieces)
        return pieces[-1] if pieces else None

    @abstractmethod
    def present(self, prediction: Any, context: Any = None) -> Any:
        """Return a prediction as a person reads it."""

    def present_piece(self, piece: Any, context: Any = None) -> Any:
        """Return a piece of a prediction, with its context, as a session gives it; here as a whole prediction."""
        return self.present(piece, context)

    @property
    def output_formats(self) -> tuple[str, ...]:
        """The formats in which predictions can be written; the first is the usual one."""
        return ("csv", "jsonl")

    def columns(self, presented: dict[str, Any]) -> list[str]:
        """Return the names of the columns of :meth:`table`, also where an item has no rows there."""
        return [*next(iter(self.table(presented)), {})]

    def table(self, presented: dict[str, Any]) -> Iterable[dict[str, Any]]:
        """Return the rows that an item has in a table, name -> cell.

        Args:
            presented: what :meth:`present` returned, as plain JSON.
        """
        return [{name: cell for name, cell in presented.items() if name != "probabilities"}]

    def formatted(self, prediction: Any, context: Any, output_format: str, item: Any = None) -> str:
        """Return the prediction of an item as text.

        Args:
            prediction: as :meth:`decode` returns it.
            context: of the item.
            output_format: one of :attr:`output_formats` that is neither csv nor jsonl.
            item: as it was read; None where it is unknown.

        Raises:
            InputError: the format cannot hold it.
        """
        raise NotImplementedError

    def answer(self, outputs: Outputs, context: Any = None) -> Any:
        """Return what a person reads from the outputs of an item: ``present(decode(outputs))``."""
        return self.present(self.decode(outputs, context), context)

    def values(self, outputs: Sequence[Any] | Outputs, contexts: Sequence[Any] | None = None) -> Any:
        """Return predictions as ``predict`` of scikit-learn does, from the outputs of items."""
        return [self.decode(each, contexts[row] if contexts else None) for row, each in enumerate(outputs)]

    # ── scores ───────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def record(self, prediction: Any, label: Any, context: Any = None) -> Records:
        """Return the record of an item, (S,), or (R, S) where R, which depends on the label alone, may be above 1.

        Args:
            prediction: as :meth:`decode` returns it.
            label: as it was read.
            context: of the item.
        """

    def records(
        self, outputs: Sequence[Any] | Outputs, labels: Sequence[Any], contexts: Sequence[Any] | None = None
    ) -> Records:
        """Return the records of items one after the other, (N, S) where each has one row.

        Args:
            outputs: of the items: an array (N, K), or one (T, K) an item for a target of steps.
            labels: their labels as they were read.
            contexts: one an item; None if the features give none.
        """
        predictions = [self.decode(each, contexts[row] if contexts else None) for row, each in enumerate(outputs)]
        return self.records_of_predictions(predictions, labels, contexts)

    def records_of_predictions(
        self, predictions: Sequence[Any], labels: Sequence[Any], contexts: Sequence[Any] | None = None
    ) -> Records:
        """Return the records of items whose predictions are known, such as those of a rival."""
        rows = [
            np.atleast_2d(self.record(prediction, labels[row], contexts[row] if contexts else None))
            for row, prediction in enumerate(predictions)
        ]
        return np.ascontiguousarray(np.concatenate(rows), np.float64)

    def count(self, records: Records) -> int:
        """Return the number of items, or of tokens, that the records hold; :attr:`counted` names them."""
        return len(records)

    @abstractmethod
    def score(self, records: Records, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Return the metrics of any choice of records (N, S), repeated ones too.

        Args:
            records: of items.
            weights: how much each record counts, (N,), 0 or more; None for equally much.
        """

    @abstractmethod
    def report(self, records: Records) -> dict[str, Any]:
        """Return all that is told of records, as plain JSON: how many items, :meth:`score`, intervals and tables."""

    def weighted_report(self, records: Records, weights: NDArray[np.float64]) -> dict[str, Any]:
        """Return :meth:`report` with weighted scores and intervals; its tables count each record once.

        Args:
            records: of items, (N, S).
            weights: how much each record counts, (N,), 0 or more.
        """
        scores = self.score(records, weights)
        report = {**self.report(records), **scores, "weighted": True}
        for name in scores:
            if report.get(f"{name}_interval") is not None:
                report[f"{name}_interval"] = self._weighted_interval(name, records, weights)
        return report

    def _weighted_interval(self, name: str, records: Records, weights: NDArray[np.float64]) -> tuple[float, float]:
        interval = score_interval if METRICS[name].unit == "points" else bootstrap_interval
        # a score that none of the drawn records tells something of is absent, and a share of nothing is 0
        return interval(lambda rows: self.score(records[rows], weights[rows]).get(name, 0.0), len(records))

    def gallery(self) -> Gallery | None:
        """Return a new collection of what a page shows of scored items; None if scores are all."""
        return None

    def errors(self, prediction: Any, label: Any, context: Any = None) -> Iterable[ErrorRow]:
        """Return the rows of an item in a file of errors: none where it is right, several of a long one.

        All rows of a target have cells of the same names. Here every presented prediction that differs from its label
        is as wrong as any other.

        Args:
            prediction: as :meth:`decode` returns it.
            label: as it was read.
            context: of the item.
        """
        presented = self.present(prediction, context)
        if presented != label:
            yield ErrorRow(1.0, lambda: {"truth": label, "prediction": presented})

    def doubts(self, prediction: Any, label: Any, context: Any = None) -> Iterable[ErrorRow]:
        """Return the row of an item, right or wrong, whose severity says how unsure the model is; here none."""
        return ()

    # ── saving ───────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return what was learned, as plain JSON."""

    @classmethod
    @abstractmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the target that :meth:`to_dict` described."""


def join_contexts(first: Any, second: Any) -> Any:
    """Return the context of two pieces that follow each other: lists are joined, of dicts the later one holds.

    Example:
        >>> join_contexts(["a"], ["b"]), join_contexts({"scale": 1.0}, None)
        (['a', 'b'], {'scale': 1.0})
    """
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    return first if second is None else second
