"""Items of which a model can say little: empty ones, and ones that hold nothing the model knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rekur._ids import UNKNOWN
from rekur.features.base import Features


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
        self._known: Any = None  # token number -> whether it is a known word, letter or code
        # of an unknown word, its parts are known
        if features.is_discrete and len(getattr(features, "columns", ("word",))) == 1:
            names = getattr(features, "vocabulary_", None)
            words = [features.kind == "symbols" or any(map(str.isalnum, name)) for name in names or ()]
            self._known = np.array([False] * (UNKNOWN + 1) + words)

    def add(self, items: Sequence[Any] | None, steps: Any) -> None:
        """Take items with their steps; None for items where only the steps are there."""
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
