"""A sketch of the data that a model was trained on, by which other data are recognized later; it holds no item.

Axes: N items or stretches of tokens.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur.data.encoded import EncodedItems
from rekur.data.overlap import item_digests, token_hashes
from rekur.data.streams import Tokens

Hashes = NDArray[np.uint64]
#: hashes that a sketch keeps at most, and tokens that are hashed at a time
_MOST, _BLOCK = 512, 2**20
#: share of other data from which on it is told that a training had it, and share of a text that is all of it
TOLD_SHARE, ALL_OF_TEXT = 0.1, 0.95


@dataclass(frozen=True)
class Sketch:
    """The smallest hashes of all items, or stretches of tokens, of a training.

    Which items have the smallest hashes is chance, so that the share of other items with small hashes that are found
    among them is the share of all.

    Attributes:
        length: tokens of a stretch; 0 where items are whole.
        hashes: the smallest different ones, rising, (N,).
        every: whether these are the hashes of all items.
        wholes: digests of all training items, of all validation items, and of both together, in any order.

    Reference: Cohen and Kaplan 2007, doi:10.1145/1281100.1281133 (bottom-k sketches).

    Example:
        >>> texts = [np.array([4, 5]), np.array([6])]
        >>> from rekur.data.ragged import Ragged
        >>> items = EncodedItems({"steps": Ragged.from_iter(texts)}, np.zeros(2), np.arange(2))
        >>> sketch = Sketch.of_items([items, items])
        >>> sketch.share(items), sketch.is_whole(items)
        (1.0, True)
    """

    length: int
    hashes: Hashes
    every: bool
    wholes: tuple[str, ...]

    @classmethod
    def of_items(cls, parts: Sequence[EncodedItems]) -> Self:
        """Return the sketch of the items to train on and of those to validate on, as the network reads them."""
        hashes = [_item_hashes(part) for part in parts]
        smallest, every = _smallest(hashes)
        wholes = tuple(dict.fromkeys(whole_of(each) for each in (*([part] for part in hashes), hashes)))
        return cls(0, smallest, every, wholes)

    @classmethod
    def of_texts(cls, parts: Sequence[Tokens], length: int) -> Self:
        """Return the sketch of a text to train on and of one to validate on.

        Args:
            parts: the texts.
            length: tokens that two texts rarely share by chance; a power of 2.
        """
        smallest, every = _smallest(hashes for part in parts for hashes in _stretch_hashes(part, length))
        return cls(length, smallest, every, ())

    def share(self, other: EncodedItems | Tokens) -> float | None:
        """Return about how large a part of other data this training has read; None where the sketch cannot tell.

        Args:
            other: read by the same features.
        """
        counted = [self.found(hashes) for hashes in self.hashes_of(other)]
        looked, hits = (sum(column) for column in zip(*counted, strict=True)) if counted else (0, 0)
        return hits / looked if looked else None

    def found(self, hashes: Hashes) -> tuple[int, int]:
        """Return how many of other data's hashes this sketch tells of, and how many of these it has."""
        limit = np.uint64(2**64 - 1) if self.every or not len(self.hashes) else self.hashes[-1]
        small = hashes[hashes <= limit]
        return len(small), int(np.isin(small, self.hashes).sum())

    def is_whole(self, other: EncodedItems) -> bool:
        """Return whether other items are all of those of this training, or of its validation, or of both."""
        return whole_of([_item_hashes(other)]) in self.wholes

    def hashes_of(self, other: EncodedItems | Tokens) -> Iterable[Hashes]:
        """Yield the hashes of other data, read by the same features."""
        if isinstance(other, Tokens):
            return _stretch_hashes(other, self.length) if self.length else ()
        return () if self.length else (_item_hashes(other),)

    def to_dict(self) -> dict[str, Any]:
        """Return the sketch as plain JSON."""
        packed = base64.b64encode(self.hashes.astype("<u8").tobytes()).decode()
        return {"length": self.length, "every": self.every, "wholes": list(self.wholes), "hashes": packed}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return the sketch from :meth:`to_dict`.

        Raises:
            ValueError: the saved values are none of a sketch.
        """
        try:
            packed = np.frombuffer(base64.b64decode(saved["hashes"], validate=True), "<u8").astype(np.uint64)
            length, every, wholes = saved["length"], saved["every"], saved["wholes"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"no {error}") from None
        if type(length) is not int or not 0 <= length <= 2**16 or not isinstance(every, bool):
            raise ValueError(f"length {length!r} and every {every!r}")
        if not isinstance(wholes, list) or not all(isinstance(each, str) for each in wholes):
            raise ValueError(f"wholes {wholes!r}")
        return cls(length, packed, every, tuple(wholes))


class Seen:
    """Counts how many items of other data a training had, while they are read.

    Args:
        sketch: of the training; None where it is not known, and nothing is found.

    Example:
        >>> seen = Seen(None)
        >>> seen.share(), seen.note("runs/lstm")
        (0.0, '')
    """

    def __init__(self, sketch: Sketch | None) -> None:
        self._sketch, self._looked, self._hits = sketch, 0, 0
        self._hashes: list[Hashes] = []

    def add(self, data: EncodedItems | Tokens) -> None:
        """Count data, as the model reads them."""
        if self._sketch is None:
            return
        for hashes in self._sketch.hashes_of(data):
            looked, hits = self._sketch.found(hashes)
            self._looked, self._hits = self._looked + looked, self._hits + hits
            if not self._sketch.length:
                self._hashes.append(hashes)

    def share(self) -> float:
        """Return the share of the data that the model was trained or validated on, about; 1 only if it is all."""
        if self._sketch is None or not self._looked:
            return 0.0
        share = self._hits / self._looked
        is_text = self._sketch.length > 0
        is_all = share >= ALL_OF_TEXT if is_text else whole_of(self._hashes) in self._sketch.wholes
        return 1.0 if is_all else min(share, 0.99)

    def note(self, name: str) -> str:
        """Return a warning that a model had a share of the data in training; an empty text for few of them."""
        share = self.share()
        if share < TOLD_SHARE:
            return ""
        part = "all" if share == 1 else f"about {share:.0%}"
        return (
            f"warning: {name} was trained or validated on {part} of the test; "
            "such scores tell how well a model remembers, not how good it is on new data."
        )


def _item_hashes(items: EncodedItems) -> Hashes:
    """Return a hash of the steps of each item, (N,)."""
    joined = b"".join(digest[:8] for digest in item_digests(items))
    return np.frombuffer(joined, "<u8").astype(np.uint64)


def _stretch_hashes(tokens: Tokens, length: int) -> Iterator[Hashes]:
    """Yield hashes of the stretches of ``length`` tokens of a text, block by block."""
    for start in range(0, len(tokens.ids) - length + 1, _BLOCK):
        hashes = token_hashes(tokens.ids[start : start + _BLOCK + length - 1], length)
        # neighbours in value are mixed, so that the smallest are drawn by chance (the last step of SplitMix64)
        hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        yield hashes ^ (hashes >> np.uint64(31))


def _smallest(parts: Iterable[Hashes]) -> tuple[Hashes, bool]:
    """Return the smallest different hashes, rising, and whether these are all."""
    smallest, every = np.zeros(0, np.uint64), True
    for hashes in parts:
        merged = np.unique(np.concatenate([smallest, hashes]))
        every = every and len(merged) <= _MOST
        smallest = merged[:_MOST]
    return smallest, every


def whole_of(parts: Sequence[Hashes]) -> str:
    """Return a digest of all hashes, in any order."""
    return hashlib.sha256(np.sort(np.concatenate(parts)).astype("<u8").tobytes()).hexdigest()
