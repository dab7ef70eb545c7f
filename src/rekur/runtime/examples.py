"""Items that were scored, as people see them: the most surely wrong, and those that a model is unsure of."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from rekur._tokenizer import Passage
from rekur.targets import Target
from rekur.targets.gallery import MOST_ITEMS, ErrorGallery, Gallery, Token, WorstError

#: cells of a row that are no facts about the error
_PLACES = ("item", "where", "input")


class Part(NamedTuple):
    """An example of a corpus, as it was scored.

    Attributes:
        id: what the source calls it; None without a name.
        line: its row or line.
        start: the first character of a part of a text, as messages have it; else empty.
        item: as it was read.
    """

    id: str | None
    line: str
    start: str
    item: Any

    @property
    def name(self) -> str:
        """What a person calls it."""
        return (self.line if self.id is None else self.id) + self.start


def numbered_parts(task: Any, corpus: Any, numbers: Container[int], last: int) -> Iterator[tuple[int, Part]]:
    """Yield some of the examples that are scored, with their numbers from 0; the corpus is read again.

    Args:
        task: the trained task.
        corpus: what it was scored on.
        numbers: of the examples.
        last: the largest of them.
    """
    for number, example in enumerate(islice(task.parts_of(corpus), last + 1)):
        if number in numbers:
            line = corpus.place_of(example.line).removeprefix(f"{corpus.name}, ")
            is_passage = isinstance(example.item, Passage)
            start = f", character {example.item.tokens[0].start + 1}" if is_passage else ""
            yield number, Part(None if example.id is None else str(example.id), line, start, example.item)


def content(item: Any) -> str:
    """Return what an item holds as text: of numbers how many, and the first."""
    if isinstance(item, str):
        return item
    if hasattr(item, "shape"):
        return f"{' × '.join(map(str, item.shape))} numbers: {' '.join(f'{value:.4g}' for value in item.ravel()[:40])}"
    return " ".join(map(str, item[:100]))


class ShownItem(NamedTuple):
    """An item with facts about it.

    Attributes:
        name: what a person calls it.
        facts: (name, value) pairs.
        content: of the item, as text; empty where there are tokens.
        tokens: the sentence with both taggings.
    """

    name: str
    facts: Sequence[tuple[str, Any]]
    content: str
    tokens: Sequence[Token | None] = ()


class Examples:
    """Collects the items that people look at first.

    Args:
        target: of the model.
        most: items of each kind.

    Attributes:
        gallery: what a page shows beside them; None for a target without one.
        members: the collections that are given every item.
    """

    def __init__(self, target: Target, most: int = MOST_ITEMS) -> None:
        self.gallery = target.gallery()
        self._wrong, self._unsure = ErrorGallery(target.errors, most), ErrorGallery(target.doubts, most)
        self._most = most
        self.members: list[Gallery] = [*([] if self.gallery is None else [self.gallery]), self._wrong, self._unsure]

    @property
    def drawn(self) -> Gallery | None:
        """The gallery, if a page draws its items; then nothing is listed beside it."""
        return self.gallery if self.gallery is not None and next(self.gallery.fans(), None) is not None else None

    def wrong(self, task: Any, corpus: Any) -> list[ShownItem]:
        """Return the items that are most surely wrong; none where they are drawn.

        Args:
            task: the trained task.
            corpus: what was scored; it is read again.
        """
        if self.drawn is not None:
            return []
        worst = [] if self.gallery is None else self.gallery.worst()[: self._most]
        if not any(item.tokens for item in worst):
            return _shown(self._wrong.rows(), task, corpus)
        names = _parts(task, corpus, {item.number for item in worst})
        return [ShownItem(names[item.number].name, item.facts, "", item.tokens) for item in worst]

    def unsure(self, task: Any, corpus: Any) -> list[ShownItem]:
        """Return the items that the model is the least sure of, right or wrong; none where they are drawn."""
        return [] if self.drawn is not None else _shown(self._unsure.rows(), task, corpus)


def _parts(task: Any, corpus: Any, numbers: set[int]) -> Mapping[int, Part]:
    return dict(numbered_parts(task, corpus, numbers, max(numbers))) if numbers else {}


def _shown(rows: Sequence[WorstError], task: Any, corpus: Any) -> list[ShownItem]:
    """Return rows of errors as items; the corpus is read again where rows do not say what stands in it."""
    parts, items = _parts(task, corpus, {row.number for row in rows if "item" not in row.cells}), []
    for row in rows:
        part = parts.get(row.number)
        name = f"{row.cells.get('where', '')}" if part is None else part.name
        held = row.cells["input"] if "input" in row.cells or part is None else content(part.item)
        facts = [(key.replace("_", " "), value) for key, value in row.cells.items() if key not in _PLACES]
        items.append(ShownItem(name, facts, held))
    return items
