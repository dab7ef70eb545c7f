"""Items as their network reads them: named inputs, targets and contexts.

Axes: N items, T steps.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rekur.data.ragged import Ragged

Ints = NDArray[np.int64]


class EncodedItem(Protocol):
    """One item: its inputs by name, and its context."""

    @property
    def inputs(self) -> Mapping[str, NDArray[Any]]: ...
    @property
    def context(self) -> Any: ...


class Encodes(Protocol):
    """What turns an item into inputs and a context; ``rekur.features`` do."""

    def encode_many(self, items: Iterable[Any], /) -> Iterable[EncodedItem]: ...


def encode_all(items: Iterable[Any], features: Encodes) -> tuple[dict[str, Ragged], list[Any]]:
    """Return the inputs of items by name, on disk where they are many, and their contexts (N,)."""
    contexts: list[Any] = []

    def inputs() -> Iterable[Mapping[str, NDArray[Any]]]:
        for encoded in features.encode_many(items):
            contexts.append(encoded.context)
            yield encoded.inputs

    return Ragged.from_named(inputs()), contexts


class NamedInputs(Ragged):
    """Several inputs of items: the first, which says how long an item is, and beside it all of them by name.

    Example:
        >>> inputs = Ragged.from_named([{"steps": np.zeros((3, 1)), "ahead": np.zeros((2, 4))}])
        >>> joined(inputs).lengths.tolist(), list(joined(inputs).named)
        ([3], ['steps', 'ahead'])
    """

    named: Mapping[str, Ragged]

    def take(self, indices: Ints | list[int]) -> Self:
        """Return the items with these numbers, in this order, over the same values."""
        taken = super().take(indices)
        taken.named = {name: each.take(indices) for name, each in self.named.items()}
        return taken


def joined(inputs: Mapping[str, Ragged]) -> Ragged:
    """Return the only input of items, or several as :class:`NamedInputs`."""
    first = next(iter(inputs.values()))
    if len(inputs) == 1:
        return first
    made = NamedInputs(first.values, np.array([0, len(first.values)]))
    made.starts, made.lengths, made._file = first.starts, first.lengths, first._file
    made.named = inputs
    return made


def named(steps: Ragged) -> Mapping[str, Ragged]:
    """Return inputs by name; of a single one the name is ``steps``."""
    return steps.named if isinstance(steps, NamedInputs) else {"steps": steps}


@dataclasses.dataclass
class EncodedItems:
    """Items as named inputs, with targets and contexts.

    Attributes:
        inputs: name -> ragged input of all items.
        targets: what the loss compares outputs with: class numbers (N,), flags (N, K), numbers (N,), or where there
            is an output at each step one row (T, …) an item, ragged.
        rows: the items that count here; several views share one store.
        labels: the labels of all items as they were read.
        contexts: what decoding, showing and scoring need of each item; empty if they need nothing.
        begins: the steps of each item at which further sequences begin, which are run by themselves; empty if each
            item is one sequence.
        weights: how much each item counts in the loss and in scores, with a mean of 1 in training, (N,); None for 1.
        folds: the fold of each item, (N,), whose member of a network did not see it in training; -1 for an item that
            all members saw. None where items are run by the average of all members.
        groups: the number of the group of each item, (N,), whose items are alike, such as those of one person or of one
            stretch of time; None where no two items are.
    """

    inputs: Mapping[str, Ragged]
    targets: NDArray[Any] | Ragged
    rows: Ints
    labels: Sequence[Any] = ()
    contexts: Sequence[Any] = ()
    begins: Sequence[Sequence[int]] = ()
    weights: NDArray[np.float64] | None = None
    folds: Ints | None = None
    groups: Ints | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def steps(self) -> Ragged:
        """The only input of all items, or several joined."""
        return joined(self.inputs)

    @property
    def first(self) -> Ragged:
        """The first input of all items, whose steps say how long an item is."""
        return next(iter(self.inputs.values()))

    @property
    def lengths(self) -> Ints:
        """Steps of each item that counts here."""
        return np.asarray(self.first.lengths[self.rows])

    @property
    def truth(self) -> NDArray[Any]:
        """Targets of the items that count here; those of steps stand one after the other."""
        if not isinstance(self.targets, Ragged):
            return np.asarray(self.targets[self.rows])
        rows = [self.targets[int(row)] for row in self.rows]
        return np.concatenate(rows) if rows else np.asarray(self.targets.values[:0])

    def record_weights(self, records: Sequence[int] | Ints) -> NDArray[np.float64] | None:
        """Return the weights of records, (R,); None where all count equally.

        Args:
            records: the place in ``rows`` of the item of each record, (R,).
        """
        return None if self.weights is None else np.asarray(self.weights[self.rows][records])

    def targets_of(self, rows: Ints) -> NDArray[Any] | Ragged:
        """Return the targets of the items with these numbers, in this order."""
        return self.targets.take(rows) if isinstance(self.targets, Ragged) else np.asarray(self.targets[rows])

    def labels_of(self, rows: Ints) -> list[Any]:
        """Return the labels of the items with these numbers, in this order."""
        return [self.labels[row] for row in rows]

    def contexts_of(self, rows: Ints) -> list[Any]:
        """Return the contexts of the items with these numbers, in this order; None for each without one."""
        return [self.contexts[row] if len(self.contexts) else None for row in rows]

    def begins_of(self, rows: Ints) -> list[Sequence[int]]:
        """Return the steps at which further sequences of these items begin, in this order."""
        return [self.begins[row] if len(self.begins) else () for row in rows]

    def fingerprint(self) -> str:
        """Return a sha256 of the lengths, targets, groups and inputs of the items that count here, in their order."""
        digest = hashlib.sha256(self.lengths.tobytes())
        digest.update(np.ascontiguousarray(self.truth).tobytes())
        if self.groups is not None:
            digest.update(self.groups[self.rows].tobytes())
        if self.weights is not None:
            digest.update(np.ascontiguousarray(self.weights[self.rows]).tobytes())
        for ragged in self.inputs.values():
            for row in self.rows:
                digest.update(np.ascontiguousarray(ragged[int(row)]).tobytes())
        return digest.hexdigest()
