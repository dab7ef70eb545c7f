"""Examples on their way into a model: read in passes, split, turned into steps, never needing all items in memory."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.data.example import Example
from rekur.data.memory import as_sequences
from rekur.data.ragged import Ragged, Transforms, encode_items
from rekur.data.splitting import item_key, split
from rekur.errors import DataError, InputError

Ints = NDArray[np.int64]


class Corpus:
    """Examples that can be read again and again, such as the rows of a file.

    Args:
        read: returns a new iterator over the examples each time it is called.
        name: what to call it in messages, such as the file's name.
        place: an example's place in messages, with ``{line}`` for where it begins.
        channels: names of the channels of a series, where they have any.
    """

    def __init__(
        self,
        read: Callable[[], Iterable[Example]],
        name: str,
        place: str = ", line {line}",
        channels: Sequence[str] | None = None,
    ) -> None:
        self._read, self._place, self._line = read, place, 0
        self.name, self.channels = name, channels

    def __iter__(self) -> Iterator[Example]:
        for example in self._read():
            self._line = example.line
            yield example

    @contextmanager
    def naming_the_place(self) -> Iterator[None]:
        """Put the place of the example that was read last before what is wrong with its item."""
        try:
            yield
        except InputError as error:
            if isinstance(error, DataError) and error.path is not None:
                raise  # a reader's own, which knows the place
            raise InputError(f"{self.name}{self._place.format(line=self._line)}: {error}") from error

    def items(self, chosen: NDArray[np.bool_] | None = None) -> Iterator[Any]:
        """Yield the items, or those of the chosen examples."""
        for number, example in enumerate(self):
            if chosen is None or chosen[number]:
                yield example.item

    def steps(self, features: Transforms) -> Ragged:
        """Return the steps of every item, on disk where they are many."""
        with self.naming_the_place():
            return encode_items(self.items(), features)

    @classmethod
    def from_lists(cls, X: Any, y: Any, name: str = "X") -> Corpus:
        """Return the corpus of items ``X`` with labels ``y`` (None where there are none)."""
        items = as_sequences(X)
        labels = [None] * len(items) if y is None else list(y)
        if len(items) != len(labels):
            raise InputError(f"y: got {len(labels)} labels; expected one for each of the {len(items)} items in {name}.")
        examples = [Example(item, label, n, None) for n, (item, label) in enumerate(zip(items, labels, strict=True))]
        return cls(lambda: examples, name, "[{line}]")


@dataclasses.dataclass
class Encoded:
    """Items as steps, with their targets.

    Attributes:
        steps: all items, ragged.
        targets: one row an item; class numbers (N,), flags (N, K) or numbers (N,).
        rows: the items that count here; several views share one store.
    """

    steps: Ragged
    targets: NDArray[Any]
    rows: Ints

    @property
    def lengths(self) -> Ints:
        """Steps of each item that counts here."""
        return np.asarray(self.steps.lengths[self.rows])

    @property
    def truth(self) -> NDArray[Any]:
        """Targets of the items that count here."""
        return np.asarray(self.targets[self.rows])

    def fingerprint(self) -> str:
        """Return a sha256 of the steps and targets of the items that count here, in their order."""
        digest = hashlib.sha256(self.lengths.tobytes())
        digest.update(np.ascontiguousarray(self.truth).tobytes())
        for row in self.rows:
            digest.update(np.ascontiguousarray(self.steps[int(row)]).tobytes())
        return digest.hexdigest()


def read_labels(corpus: Corpus) -> tuple[list[Any], list[bytes]]:
    """Return every label, and a key of every item by which equal items are known; one pass, items are not kept."""
    labels, keys = [], []
    for example in corpus:
        labels.append(example.label)
        keys.append(item_key(example.item))
    if not labels:
        raise InputError(f"{corpus.name}: got no examples; expected at least two.")
    return labels, keys


def choose_rows(
    labels: Sequence[Any], keys: Sequence[bytes], fraction: float, seed: int, *, stratified: bool
) -> NDArray[np.bool_]:
    """Return True for the examples to train on and False for those to validate on.

    Equal items stay on one side. Where they have several labels, a label could then be left without a training item;
    such items are moved to training.
    """
    chosen = np.ones(len(labels), dtype=bool)
    chosen[split(labels if stratified else [None] * len(labels), fraction, seed, keys=keys).valid] = False
    if stratified:
        known = {name for label, use in zip(labels, chosen, strict=True) if use for name in _names(label)}
        held_out = zip(labels, keys, chosen, strict=True)
        moved = {key for label, key, use in held_out if not use and not known.issuperset(_names(label))}
        chosen |= np.array([key in moved for key in keys], dtype=bool)
    if chosen.all():
        raise InputError(
            f"examples: got {len(labels)}, of which none is left to validate on; expected more of each label. "
            "Add examples, or give items for validation."
        )
    return chosen


def _names(label: Any) -> Iterable[Any]:
    return label if isinstance(label, list | tuple | np.ndarray) else [label]
