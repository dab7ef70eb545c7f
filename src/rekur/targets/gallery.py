"""What a page shows of the items that a model was scored on, beside the scores: tables, plots, and the worst items.

A gallery is given every item and remembers sums and a few items, however many there are.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

#: worst items that are shown, and rows of a file of errors
MOST_ITEMS, MOST_ERRORS = 20, 10_000
#: characters of a text in such a row
MOST_CHARACTERS = 400


class Table(NamedTuple):
    """A table of a page.

    Attributes:
        title: above it.
        head: the name of each column.
        rows: a cell a column.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Points(NamedTuple):
    """A plot of points around a line.

    Attributes:
        title: above it.
        names: of both axes.
        x: of each point.
        y: of each point.
        diagonal: the line is that of equal values, and not that of 0.
    """

    title: str
    names: tuple[str, str]
    x: Sequence[float]
    y: Sequence[float]
    diagonal: bool


class Grid(NamedTuple):
    """A table of shares that is shown as shades, such as an attention.

    Attributes:
        title: above it.
        columns: the name of each column, (S,).
        rows: the name of each row, (T,).
        shares: from 0 to 1, (T, S).
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[str]
    shares: Any


class Fan(NamedTuple):
    """A plot of a forecast behind what was known.

    Attributes:
        title: above it.
        times: of the known steps and of the horizon, (P + H,): dates of NumPy, or numbers.
        past: the last known values, (P,), NaN where missing.
        quantiles: of the horizon, (Q, H), rising.
        levels: their probabilities, (Q,), rising, 0.5 among them.
        truth: of the horizon, (H,), NaN where it is missing.
    """

    title: str
    times: Any
    past: Any
    quantiles: Any
    levels: Sequence[float]
    truth: Any


#: what a model attends to in sources (N,) when it writes texts (N,): a grid for each
Attend = Callable[[Sequence[str], Sequence[str]], Sequence[Grid]]


class Token(NamedTuple):
    """A token of a sentence with both of its tags; None for a gap where tokens are left out.

    Attributes:
        text: of the token.
        true: its tag.
        predicted: the tag that the model gives it.
    """

    text: str
    true: str
    predicted: str


class WorstItem(NamedTuple):
    """An item that the model gets wrong.

    Attributes:
        number: of the item, from 0.
        facts: (name, value) pairs about the error.
        tokens: the sentence with both taggings; empty where the item itself is to be shown.
    """

    number: int
    facts: Sequence[tuple[str, Any]]
    tokens: Sequence[Token | None] = ()


class Gallery(ABC):
    """Collects what a page shows of scored items; a target fills it by subclassing.

    Attributes:
        count: the number of items so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._worst: list[tuple[float, int, WorstItem]] = []

    @abstractmethod
    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        """Take the next item.

        Args:
            prediction: as the target decodes it.
            label: as it was read.
            context: of the item.
        """

    def tables(self) -> Iterator[Table]:
        """Yield the tables."""
        yield from ()

    def plots(self) -> Iterator[Points]:
        """Yield the plots."""
        yield from ()

    def fans(self) -> Iterator[Fan]:
        """Yield some of the forecasts."""
        yield from ()

    def grids(self, attend: Attend) -> Iterator[Grid]:
        """Yield what a model attended to in some of the items.

        Args:
            attend: returns the attention of pairs of texts.
        """
        yield from ()

    def worst(self) -> list[WorstItem]:
        """Return the worst items, the worst one first."""
        return [item for *_, item in sorted(self._worst, key=lambda each: (-each[0], -each[1]))]

    def _rank(self, badness: float, item: WorstItem) -> None:
        """Remember an item if few are worse; of equally bad ones the first."""
        heapq.heappush(self._worst, (badness, -item.number, item))
        if len(self._worst) > MOST_ITEMS:
            heapq.heappop(self._worst)

    def _ranks(self, badness: float) -> bool:
        """Return whether an item so bad would be remembered."""
        return len(self._worst) < MOST_ITEMS or badness > self._worst[0][0]


class ErrorRow(NamedTuple):
    """An item, or a part of one, that the model gets wrong.

    Attributes:
        severity: how surely wrong it is; at least 0, and larger for a worse error.
        cells: makes the cells of its row, name -> value. ``truth`` and ``prediction`` come first where there are such;
            ``item``, ``where`` and ``input`` stand for what the file says of the item.
    """

    severity: float
    cells: Callable[[], dict[str, Any]]


#: the rows of an item that is wrong, from its prediction, its label and its context
ErrorsOf = Callable[[Any, Any, Any], Iterable[ErrorRow]]


class WorstError(NamedTuple):
    """One of the worst errors.

    Attributes:
        severity: how surely wrong it is.
        number: of its item, from 0.
        cells: of its row, name -> value.
    """

    severity: float
    number: int
    cells: dict[str, Any]


class ErrorGallery(Gallery):
    """The most surely wrong items, however many there are.

    Args:
        errors_of: returns the rows of an item, as :meth:`rekur.targets.Target.errors` does.
        most: rows that are remembered.

    Attributes:
        wrong: the number of rows so far, those that are forgotten too.

    Example:
        >>> errors = ErrorGallery(lambda prediction, label, context: [ErrorRow(prediction, dict)], most=2)
        >>> for severity in (0.25, 0.75, 0.5):
        ...     errors.add(severity, None)
        >>> [error.number for error in errors.rows()], errors.wrong
        ([1, 2], 3)
    """

    def __init__(self, errors_of: ErrorsOf, most: int = MOST_ERRORS) -> None:
        super().__init__()
        self.wrong = 0
        self._errors_of, self._most = errors_of, most
        self._rows: list[tuple[float, int, WorstError]] = []

    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        """Take the next item."""
        for severity, cells in self._errors_of(prediction, label, context):
            rank = math.inf if math.isnan(severity) else float(severity)  # a model that diverged
            if len(self._rows) < self._most or rank > self._rows[0][0]:
                heapq.heappush(self._rows, (rank, -self.wrong, WorstError(rank, self.count, cells())))
                if len(self._rows) > self._most:
                    heapq.heappop(self._rows)
            self.wrong += 1
        self.count += 1

    def rows(self) -> list[WorstError]:
        """Return the worst errors, the worst one first; of equal ones the first."""
        return [error for *_, error in sorted(self._rows, key=lambda row: (-row[0], -row[1]))]


class Galleries(Gallery):
    """Several collections that are given the same items."""

    def __init__(self, members: Sequence[Gallery]) -> None:
        super().__init__()
        self._members = members

    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        """Give the next item to all of them."""
        for member in self._members:
            member.add(prediction, label, context)
        self.count += 1


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text, cut where it is long.

    Example:
        >>> shortened("a long text", 7)
        'a long…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"
