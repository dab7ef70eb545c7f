"""How much more or less likely each label of spans is made after training, so that F1 on validation is highest.

Axes: N sentences, T tokens, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._schemes import OUTSIDE
from rekur.data import EncodedItems
from rekur.metrics.spans import HITS, PREDICTED, TRUE, records_by_sentence
from rekur.targets import TagsTarget

#: changes of a shift that are tried, first for all labels the first, then for all of them the others
_CHANGES = (1.0, 0.5)
#: true spans below which nothing is tried; sentences, tokens (about) and labels that are looked at, at most
_FEWEST_SPANS, _MOST_SENTENCES, _MOST_TOKENS, _MOST_LABELS = 50, 2000, 50_000, 16
#: gain of entity F1 that a change must bring, times the root of the number of true spans
_LEAST_GAIN = 0.1
#: how far the best output of a label may lie below the best of all where a change can matter
_REACH = 0.5


def label_shifts(outputs: Sequence[NDArray[Any]], target: TagsTarget, items: EncodedItems) -> dict[str, float]:
    r"""Return by how much the outputs of each label are raised, of ``O`` too, for the highest entity F1.

    .. math:: z'_{t,k} = z_{t,k} + m_{\mathrm{label}(k)}

    Cross entropy weighs every token alike, and most are outside: where spans are rare, a network that is trained by it
    finds too few of them. Labels that are rarer or more frequent than in training need another threshold too. Shifts
    are changed one by one, as long as each change brings more than chance would.

    Args:
        outputs: one (T, K) a sentence, N of them.
        target: the meaning of the outputs.
        items: the same N validation sentences.

    Returns:
        the shifts that are not 0, by label; none where tags mark no spans, or where there are few.
    """
    labels = outputs_of_labels(target)
    if not labels:
        return {}
    search = _Search(outputs, target, items)
    if search.spans < _FEWEST_SPANS:
        return {}
    frequent = sorted(labels, key=lambda label: -search.frequency(labels[label]))[:_MOST_LABELS]
    least, shifts = _LEAST_GAIN / search.spans**0.5, dict.fromkeys(labels, 0.0)
    for size in _CHANGES:
        for label in frequent:
            for change in (-size, size):
                if search.change(labels[label], change, least):
                    shifts[label] += change
    return {label: shift for label, shift in shifts.items() if shift}


def outputs_of_labels(target: TagsTarget) -> dict[str, NDArray[np.intp]]:
    """Return the numbers of the outputs of each label of spans, and of ``O``; none where tags mark no spans."""
    if not target.scheme.has_spans:
        return {}
    labels = [target.inner.parse(tag)[1] or OUTSIDE for tag in target.tags]
    return {label: np.flatnonzero([each == label for each in labels]) for label in dict.fromkeys(labels)}


class _Search:
    """Outputs of sentences that are changed step by step, and the spans that each sentence then has."""

    def __init__(self, outputs: Sequence[NDArray[Any]], target: TagsTarget, items: EncodedItems) -> None:
        share = min(1.0, _MOST_TOKENS / max(1, sum(map(len, outputs))))
        count = min(_MOST_SENTENCES, max(1, round(share * len(outputs))))
        picked = np.linspace(0, len(outputs) - 1, count).astype(np.int64)
        self._target = target
        self._rows = [outputs[item].astype(np.float64) for item in picked]
        self._labels, self._contexts = items.labels_of(items.rows[picked]), items.contexts_of(items.rows[picked])
        self._counts = self._counted(range(len(picked)), self._rows)
        self._score = _f1(self._counts)

    @property
    def spans(self) -> int:
        """The number of true spans."""
        return int(self._counts[:, 2].sum())

    def frequency(self, columns: NDArray[np.intp]) -> float:
        """Return in how many tokens the best output is among these."""
        return float(sum(np.isin(rows.argmax(axis=1), columns).sum() for rows in self._rows))

    def change(self, columns: NDArray[np.intp], change: float, least: float) -> bool:
        """Raise outputs by ``change`` if F1 gains ``least`` by that, and return whether it does."""
        if self._score + least > 1:
            return False
        reach = max(change, 0.0) + _REACH
        near = [
            number
            for number, rows in enumerate(self._rows)
            if len(rows) and (rows[:, columns].max(axis=1) > rows.max(axis=1) - reach).any()
        ]
        if not near:
            return False
        changed = [self._rows[number].copy() for number in near]
        for rows in changed:
            rows[:, columns] += change
        counts = self._counts.copy()
        counts[near] = self._counted(near, changed)
        if _f1(counts) < self._score + least:
            return False
        self._counts, self._score = counts, _f1(counts)
        for rows in self._rows:
            rows[:, columns] += change
        return True

    def _counted(self, numbers: Sequence[int], rows: Sequence[NDArray[np.float64]]) -> NDArray[np.int64]:
        """Return the spans that are right, predicted and true in these sentences, (N, 3)."""
        labels, contexts = ([each[number] for number in numbers] for each in (self._labels, self._contexts))
        records = self._target.records(rows, labels, contexts)
        counts: NDArray[np.int64] = records_by_sentence(records)[:, [HITS, PREDICTED, TRUE]]
        return counts


def _f1(counts: NDArray[np.int64]) -> float:
    hits, predicted, true = counts.sum(axis=0)
    return float(2 * hits / max(1, predicted + true))
