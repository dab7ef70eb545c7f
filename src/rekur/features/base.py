"""What features are: a map from a raw item to steps, fitted on training items only, saved, and able to stream."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

#: int32 (T,) token numbers, or float32 (T, D) values
Steps = NDArray[Any]


class FeatureStream(ABC):
    """One live sequence: raw events in, steps out as soon as they are certain.

    For every way to cut an item into events, all that :meth:`push` returned, followed by :meth:`pending`,
    equals ``features.transform(item)``.
    """

    @abstractmethod
    def push(self, event: Any) -> Steps:
        """Take one raw event and return the steps that are now certain, maybe none."""

    @abstractmethod
    def pending(self) -> Steps:
        """Return the steps that would follow if the sequence ended here; changes nothing."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Return what is remembered, as plain JSON."""

    @abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""


class Features(ABC):
    """A map from a raw item to steps; learnt on training items by :meth:`fit`, then never changed."""

    kind: ClassVar[str]
    #: True where steps are token numbers in [0, size), False where they are rows of ``size`` numbers
    is_discrete: ClassVar[bool]

    @property
    @abstractmethod
    def size(self) -> int:
        """Vocabulary size V, or number of values D a step."""

    @abstractmethod
    def fit(self, items: Iterable[Any]) -> Self:
        """Learn from training items, in one pass."""

    @abstractmethod
    def transform(self, item: Any) -> Steps:
        """Return the steps of one whole item: int32 (T,) or float32 (T, D)."""

    @abstractmethod
    def stream(self) -> FeatureStream:
        """Return a new live sequence."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return everything that was learnt, as plain JSON."""

    @classmethod
    @abstractmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the features that :meth:`to_dict` described."""

    @abstractmethod
    def describe(self) -> list[tuple[str, str]]:
        """Return (what, how) pairs that tell a person what is done to an item."""

    def save(self, folder: Path) -> None:
        """Write ``features.json`` into an existing folder."""
        text = json.dumps({"kind": self.kind, **self.to_dict()}, ensure_ascii=False, indent=1)
        (folder / "features.json").write_text(text + "\n", encoding="utf-8")


def empty_steps(size: int | None) -> Steps:
    """Return no steps: int32 (0,) where ``size`` is None, else float32 (0, size)."""
    return np.empty(0, np.int32) if size is None else np.empty((0, size), np.float32)
