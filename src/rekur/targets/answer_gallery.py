"""What pages show of models that write texts."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from rekur.metrics.bleu import REFERENCE_TOKENS, TOKENS
from rekur.metrics.translation import hypothesis_records, hypothesis_scores
from rekur.targets.gallery import MOST_ITEMS, Attend, Gallery, Grid, Points, Table, WorstItem

#: rows of a table, and items that are drawn for the middle and for plots
_MOST_ROWS, _MOST_DRAWN = 10, 1000
#: best, middle and worst items each whose attention is drawn, and the most characters of their texts
_GRIDS, _GRID_CHARACTERS = 2, 200
#: items that are scored at once, and different texts that are counted
_BLOCK = 256
_MOST_TEXTS = 100_000
#: tokens of the reference up to which an item belongs to a row
_LENGTHS = (10, 20, 30, 50)


class _Shown(NamedTuple):
    """A text with its references.

    Attributes:
        chrf: its score.
        order: higher for an earlier item.
        cells: the item from 1, the score, the source, the prediction, and the references.
        lengths: tokens of the reference and of the prediction.
    """

    chrf: float
    order: int
    cells: tuple[Any, ...]
    lengths: tuple[float, float]


class AnswerGallery(Gallery):
    """The best, the median and the worst texts by chrF, scores by length, and texts that come again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._random = np.random.default_rng(0)
        self._waiting: list[tuple[str, Any, str]] = []
        self._best: list[_Shown] = []
        self._lowest: list[tuple[float, int, _Shown]] = []
        self._drawn: list[_Shown] = []
        self._scores: list[float] = []
        self._texts = Counter[str]()
        self._sums: dict[int, tuple[int, Any]] = {}

    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        """Take an answer, its reference or references, and a context, maybe with the ``source``."""
        source = context.get("source", "") if isinstance(context, dict) else ""
        self._waiting.append((prediction.text, label, source))
        self.count += 1
        if len(self._waiting) == _BLOCK:
            self._score()

    def _score(self) -> None:
        """Score the items that wait, all at once."""
        if not self._waiting:
            return
        texts, labels, sources = zip(*self._waiting, strict=True)
        self._waiting = []
        for row, record in enumerate(hypothesis_records(texts, labels)):
            references = labels[row] if isinstance(labels[row], str) else " / ".join(labels[row])
            self._take(record[None], sources[row], texts[row], references)

    def _take(self, record: Any, source: str, text: str, references: str) -> None:
        number, chrf = len(self._scores), hypothesis_scores(record)["chrf"]
        length, guess_length = record[0, [REFERENCE_TOKENS, TOKENS]].tolist()
        shown = _Shown(chrf, -number, (number + 1, chrf, source, text, references), (length, guess_length))
        heapq.heappush(self._best, shown)
        if len(self._best) > _MOST_ROWS:
            heapq.heappop(self._best)
        if self._is_drawable(shown):
            heapq.heappush(self._lowest, (-chrf, -number, shown))
            if len(self._lowest) > _GRIDS:
                heapq.heappop(self._lowest)
        if len(self._drawn) < _MOST_DRAWN:
            self._drawn.append(shown)
        elif (chosen := int(self._random.integers(number + 1))) < _MOST_DRAWN:  # each item with the same chance
            self._drawn[chosen] = shown
        if chrf < 100 and self._ranks(100 - chrf):
            facts = [("chrF", chrf), ("predicted", text), ("reference", references)]
            self._rank(100 - chrf, WorstItem(number, facts))
        self._scores.append(chrf)
        if text in self._texts or len(self._texts) < _MOST_TEXTS:
            self._texts[text] += 1
        row = int(np.searchsorted(_LENGTHS, length))
        count, sums = self._sums.get(row, (0, 0.0))
        self._sums[row] = count + 1, sums + record

    def worst(self) -> list[WorstItem]:
        """Return the texts with the lowest chrF, the worst first."""
        self._score()
        return super().worst()

    def tables(self) -> Iterator[Table]:
        """Yield scores by length, the best and the median texts, and the texts that are predicted several times."""
        self._score()
        if not self.count:
            return
        rows = []
        for row, (count, sums) in sorted(self._sums.items()):
            low, high = (0, *(length + 1 for length in _LENGTHS))[row], (*_LENGTHS, "")[row]
            scores = hypothesis_scores(sums)
            rows.append((f"{low} – {high}", count, scores["bleu"], scores["chrf"], scores["length_ratio"]))
        yield Table("Scores by length", ["tokens of the reference", "items", "BLEU", "chrF", "length ratio"], rows)
        head = ["item", "chrF", "source", "predicted", "reference"]
        best = {shown.order: shown.cells for shown in sorted(self._best, reverse=True)}
        yield Table("The best texts", head, [*best.values()])
        if middle := [shown.cells for shown in self._middle() if shown.order not in best]:
            yield Table("Texts in the middle", head, middle[:_MOST_ROWS])
        repeated = [(text, count) for text, count in self._texts.most_common(MOST_ITEMS) if count > 1]
        if repeated:
            rows_of_texts = [(text, count, count / self.count) for text, count in repeated]
            yield Table("Texts that come several times", ["predicted", "items", "share"], rows_of_texts)

    def plots(self) -> Iterator[Points]:
        """Yield lengths of predictions over those of references."""
        self._score()
        if self._drawn:
            references, predictions = map(list, zip(*(shown.lengths for shown in self._drawn), strict=True))
            names = ("tokens of the reference", "tokens of the prediction")
            yield Points("Lengths", names, references, predictions, diagonal=True)

    def grids(self, attend: Attend) -> Iterator[Grid]:
        """Yield the attention of some of the best, the middle and the worst texts."""
        self._score()
        groups = {
            "best": sorted(self._best, reverse=True),
            "in the middle": self._middle(),
            "worst": [shown for *_, shown in sorted(self._lowest, reverse=True)],
        }
        chosen: dict[int, tuple[str, _Shown]] = {}
        for group, items in groups.items():
            drawable = [shown for shown in items if self._is_drawable(shown) and shown.order not in chosen]
            chosen |= {shown.order: (group, shown) for shown in drawable[:_GRIDS]}
        cells = [shown.cells for _, shown in chosen.values()]
        grids = attend([source for _, _, source, _, _ in cells], [text for *_, text, _ in cells]) if cells else ()
        for grid, (group, shown) in zip(grids, chosen.values(), strict=True):
            number, chrf, *_ = shown.cells
            yield grid._replace(title=f"Attention in item {number}, chrF {chrf:.1f} ({group})")

    def _middle(self) -> list[_Shown]:
        """Return the drawn texts, those next to the median first."""
        median = float(np.median(self._scores)) if self._scores else 0.0
        return sorted(self._drawn, key=lambda shown: (abs(shown.chrf - median), -shown.order))

    @staticmethod
    def _is_drawable(shown: _Shown) -> bool:
        """Return whether source and text are short enough for a picture, and not blank."""
        _, _, source, text, _ = shown.cells
        return all(each.strip() and len(each) <= _GRID_CHARACTERS for each in (source, text))
