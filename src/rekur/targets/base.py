"""The contract of a target.

Axes: N items, K outputs of a step, S numbers of a record.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur.errors import InputError

#: the name in messages of an item with this number, from 0
PlaceOf = Callable[[int], str]
Records = NDArray[np.float64]


class Target(ABC):
    """What outputs mean: how labels become arrays, outputs become predictions, and both become records.

    A *record* is the row of numbers that an item contributes to scores; metrics are made of records and of nothing
    else, so that they can be gathered over processes, resampled for intervals and paired for comparisons.
    """

    #: the name of the kind, which is saved
    kind: ClassVar[str]
    #: how labels are read from a file: ``class``, ``classes`` or ``number``
    label_type: str
    #: the metric that selects, stops, compares and heads tables; a name in :data:`rekur.metrics.METRICS`
    decides: str
    #: the metrics that are followed during training
    followed: tuple[str, ...]

    @classmethod
    @abstractmethod
    def learn(cls, labels: Sequence[Any], *, place_of: PlaceOf | None = None, **options: Any) -> Self:
        """Return the target that training labels teach.

        Args:
            labels: one an item.
            place_of: how messages name an item.
            options: of the kind.

        Raises:
            InputError: the labels teach nothing.
        """

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of outputs K."""

    @property
    def output_names(self) -> list[str]:
        """The name of each output, (K,); empty if they have none."""
        return []

    @abstractmethod
    def encode(self, label: Any) -> Any:
        """Return what the loss compares the outputs of an item with: a number, or an array.

        Raises:
            InputError: the label is not one that the model can give.
        """

    def encode_items(self, labels: Sequence[Any], name: str, place_of: PlaceOf | None = None) -> NDArray[Any]:
        """Return the encoded labels of items, (N, …).

        Args:
            labels: one an item.
            name: of the labels in messages.
            place_of: how messages name an item instead.

        Raises:
            InputError: as for :meth:`encode`.
        """
        encoded = []
        for row, label in enumerate(labels):
            try:
                encoded.append(self.encode(label))
            except InputError as error:
                raise InputError(f"{place_of(row) if place_of else name}: {error}") from None
        return np.asarray(encoded)

    @abstractmethod
    def decode(self, outputs: NDArray[Any]) -> Any:
        """Return the prediction of an item from its outputs (K,), or of items from (N, K)."""

    @abstractmethod
    def present(self, prediction: Any) -> Any:
        """Return the prediction of an item as a person reads it."""

    def answer(self, outputs: NDArray[Any]) -> Any:
        """Return what a person reads from the outputs (K,) of an item: ``present(decode(outputs))``."""
        return self.present(self.decode(outputs))

    @abstractmethod
    def values(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return predictions as ``predict`` of scikit-learn does, from outputs (N, K)."""

    @abstractmethod
    def records(self, outputs: NDArray[Any], labels: Sequence[Any]) -> Records:
        """Return the records (N, S) of items.

        Args:
            outputs: of the items, (N, K).
            labels: their labels as they were read.
        """

    @abstractmethod
    def score(self, records: Records) -> dict[str, float]:
        """Return the metrics of any choice of records (N, S), repeated ones too."""

    @abstractmethod
    def report(self, records: Records) -> dict[str, Any]:
        """Return all that is told of records, as plain JSON: how many items, :meth:`score`, intervals and tables."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return what was learned, as plain JSON."""

    @classmethod
    @abstractmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the target that :meth:`to_dict` described."""
