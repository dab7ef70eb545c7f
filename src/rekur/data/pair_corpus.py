"""Pairs of texts as examples: a side that is blank leaves a pair out of training; evaluation keeps every item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rekur._numbers import counted
from rekur._values import CellError, is_missing, is_row, members
from rekur.data.cells import text_of
from rekur.data.corpus import Corpus
from rekur.data.example import Example
from rekur.errors import DataError, describe, printable

#: what pairs are read for
USES = ("training", "evaluation", "prediction")
#: lines that a message names
_FEW = 8
_NO_CELL = 'An empty text is written "".'


class Pair(NamedTuple):
    """A source with its references.

    Attributes:
        line: where it stands, from 1; of lists from 0.
        source: the text that is read.
        targets: the references; none in prediction.
        id: its name in results, or None.
    """

    line: int
    source: str
    targets: list[str]
    id: str | None = None


def pair_text(value: Any, thing: str, *, allow_missing: bool = False) -> str:
    """Return a text.

    Args:
        value: what stands there.
        thing: its name in messages.
        allow_missing: a missing text is an empty one.
    """
    if not allow_missing and not isinstance(value, str) and is_missing(value):
        raise CellError(f"{thing}: got nothing; expected a text. {_NO_CELL}")
    text = text_of(value, thing)
    if (shown := printable(text)) != text:
        raise CellError(describe(thing, shown, "text in whole characters of utf-8"))
    return text


def references_of(value: Any, thing: str, *, allow_missing: bool = False) -> list[str]:
    """Return the references in a cell: one text, or a list of texts."""
    if not is_row(value):
        return [pair_text(value, thing, allow_missing=allow_missing)]
    texts = [
        pair_text(each, f"{thing}, reference {number}", allow_missing=allow_missing)
        for number, each in enumerate(members(value), 1)
    ]
    if not texts and not allow_missing:
        raise CellError(f"{thing}: got an empty list; expected one reference or more. {_NO_CELL}")
    return texts or [""]


def corpus_of_pairs(
    read: Callable[[], Iterable[Pair]],
    names: tuple[str, str],
    place_of: Callable[[int], str],
    unit: str,
    use: str,
    notes: Callable[[], list[str]] = list,
) -> Corpus:
    """Return the corpus of pairs.

    Args:
        read: returns a new iterator over the pairs.
        names: of the sources and of the targets in messages.
        place_of: the line of a pair -> what stands behind the name in messages.
        unit: what lines are called, such as ``line``.
        use: what they are read for.
        notes: further sentences about them.
    """
    last = [_BlankSides(names, unit)]  # of the last whole pass

    def training() -> Iterator[Example]:
        blank = _BlankSides(names, unit)
        for pair in read():
            for target in pair.targets:
                if not blank.holds(pair.line, pair.source, target):
                    yield Example(pair.source, target, pair.line, pair.id)
        last[0] = blank
        if blank.count == blank.total:
            raise DataError(f"{names[0]}: got no pair with a text on both sides; expected two or more.")

    def whole() -> Iterator[Example]:
        for pair in read():
            references = tuple(pair.targets)
            label = None if not references else references[0] if len(references) == 1 else references
            yield Example(pair.source, label, pair.line, pair.id)

    def told() -> list[str]:
        return [*last[0].notes(), *notes()]

    return Corpus(training if use == "training" else whole, names[0], place_of, None, "text", told, names[1])


class _BlankSides:
    """Pairs with a blank side.

    Args:
        names: of the sources and of the targets.
        unit: what lines are called.
    """

    def __init__(self, names: tuple[str, str], unit: str) -> None:
        self._names, self._unit = names, unit
        self.count = self.total = 0
        self._lines: tuple[list[int], list[int]] = ([], [])

    def holds(self, line: int, source: str, target: str) -> bool:
        """Count a pair, and return whether a side of it is blank."""
        self.total += 1
        sides = [not text.strip() for text in (source, target)]
        for lines, is_blank in zip(self._lines, sides, strict=True):
            if is_blank and (not lines or lines[-1] != line):
                lines.append(line)
        self.count += any(sides)
        return any(sides)

    def notes(self) -> list[str]:
        """Return a sentence about the pairs that were left out."""
        if not self.count:
            return []
        sides = zip(("source", "target"), self._names, self._lines, strict=True)
        where = [f"{side} in {numbered(self._unit, lines)} of {name}" for side, name, lines in sides if lines]
        return [f"left out, as a side is empty: {self.count:,} of {counted(self.total, 'pair')} ({'; '.join(where)})."]


def numbered(unit: str, lines: Sequence[int]) -> str:
    """Return the first few of some lines in words.

    Example:
        >>> numbered("line", [2, 4]), numbered("row", [7])
        ('lines 2, 4', 'row 7')
    """
    shown = ", ".join(map(str, lines[:_FEW])) + (f", … ({len(lines):,} in all)" if len(lines) > _FEW else "")
    return f"{unit}{'' if len(lines) == 1 else 's'} {shown}"
