"""Training windows with plain forecasts that were fitted on other series: as good as those of windows to come.

A plain forecast of a window that it was fitted on is too good, and a network that learns to weigh such ones trusts them
too much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from rekur._filled_series import BLOCK
from rekur.features.base import Encoded

#: parts of the series, each left out by the plain forecasts of its windows; and series from which on that is done
FOLDS, FEWEST_SERIES = 4, 16


def fold_numbers(histories: Sequence[Any]) -> dict[int, int] | None:
    """Return the number of the fold of each history by its id; None where they are too few.

    Args:
        histories: one for each channel.
    """
    numbers = {each: number % FOLDS for number, each in enumerate(dict.fromkeys(id(history) for history in histories))}
    return numbers if len(numbers) >= FEWEST_SERIES else None


class FoldedWindows:
    """Encodes windows, each by the features of its fold.

    Args:
        folds: features that encode many windows, one for each fold.
        fold_of: the number of the fold of a window.
    """

    def __init__(self, folds: Sequence[Any], fold_of: Callable[[Any], int]) -> None:
        self._folds, self._fold_of = folds, fold_of

    def encode_many(self, items: Iterable[Any]) -> Iterator[Encoded]:
        """Yield the inputs and the context of each window, in their order."""
        remaining = iter(items)
        while block := list(islice(remaining, BLOCK)):
            numbers = [self._fold_of(item) for item in block]
            encoded: dict[int, Encoded] = {}
            for fold, features in enumerate(self._folds):
                rows = [row for row, number in enumerate(numbers) if number == fold]
                encoded |= zip(rows, features.encode_many([block[row] for row in rows]), strict=True)
            yield from (encoded[row] for row in range(len(block)))
