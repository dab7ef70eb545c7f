"""The contract of a rival, a plain model of the same training items, and its scores beside those of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur._tensors import Array
from rekur.data import EncodedItems, Tokens
from rekur.targets import Target

Floats = NDArray[np.float64]


class Rival(ABC):
    """A plain model that predicts items; records, scores and intervals are those of the model's target."""

    #: the name of the kind, which is saved
    kind: ClassVar[str]
    #: the name in tables
    name: str

    @abstractmethod
    def predictions(self, items: Any) -> Sequence[Any]:
        """Return the prediction of each item that counts, as :meth:`rekur.targets.Target.decode` gives it.

        Args:
            items: encoded as the network reads them: :class:`rekur.data.EncodedItems`, or of texts
                :class:`rekur.data.Tokens`, which are one item.
        """

    def again(self, target: Target) -> Rival | None:
        """Return the rival beside the model that was trained again, whose target this is; None where it has none."""
        return self

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """Return the parts for a bundle, as plain JSON and arrays; None keeps nothing."""
        return None

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        raise NotImplementedError


class RivalMixin:
    """A model beside which a rival may stand."""

    def rival(self) -> Rival | None:
        """Return the plain model that is scored on the same data; None without one."""
        return getattr(self, "rival_", None)


def rival_records(rival: Rival, items: EncodedItems | Tokens, target: Target) -> Floats:
    """Return the records of a rival's predictions for the items that count, one item after the other."""
    if isinstance(items, Tokens):
        labels, contexts = [None], [items.context]
    else:
        labels, contexts = items.labels_of(items.rows), items.contexts_of(items.rows)
    return target.records_of_predictions(rival.predictions(items), labels, contexts)


def rival_scores(rival: Rival, items: EncodedItems, target: Target) -> dict[str, float]:
    """Return the scores of a rival's predictions for the items that count, each with its weight."""
    if items.weights is None:
        return target.score(rival_records(rival, items, target))
    each = zip(rival.predictions(items), items.labels_of(items.rows), items.contexts_of(items.rows), strict=True)
    parts = [target.records_of_predictions([guess], [label], [context]) for guess, label, context in each]
    numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return target.score(np.concatenate(parts), items.record_weights(numbers))


def rival_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of the rival in the metrics of a model, where those of an earlier Rekur say ``baseline``.

    Example:
        >>> rival_metrics({"accuracy": 0.9, "baseline": {"name": "3-gram"}})
        {'name': '3-gram'}
    """
    return dict(metrics.get("rival") or metrics.get("baseline") or {})
