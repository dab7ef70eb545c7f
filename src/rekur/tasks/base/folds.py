"""Folds of training items: each is scored by a model that learnt from the others.

Axes: N items.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur.data import EncodedItems, choose_folds
from rekur.data.corpus import Corpus, Labels, labels_in
from rekur.data.shared_steps import find_stretches
from rekur.runtime.rival import Rival
from rekur.tasks.base.task import ItemTask

#: the name of the split of items that were each scored by a network that did not see them
OUT_OF_FOLD = "out-of-fold"


class FoldedRival(Rival):
    """A rival that predicts each item as the one of its fold does, which was fitted on the other folds.

    Args:
        name: in tables.
        of_folds: the rival of each fold.
    """

    kind = "folded"

    def __init__(self, name: str, of_folds: list[Rival]) -> None:
        self.name, self._of_folds = name, of_folds

    def predictions(self, items: EncodedItems) -> Sequence[Any]:
        """Return the prediction of each item that counts."""
        made: dict[int, Any] = {}
        for fold, rival in enumerate(self._of_folds):
            rows = items.rows[items.folds[items.rows] == fold] if items.folds is not None else items.rows
            if len(rows):
                made |= zip(rows.tolist(), rival.predictions(dataclasses.replace(items, rows=rows)), strict=True)
        predictions: Any = [made[row] for row in items.rows.tolist()]
        if isinstance(predictions[0], np.ndarray | np.generic):
            predictions = np.asarray(predictions)
        in_order: Sequence[Any] = predictions
        return in_order


def by_stretches(corpus: Corpus, labels: Labels, count: int, task: ItemTask) -> tuple[Labels, list[str]]:
    """Return labels whose groups are stretches of time where series share steps, and the notes that tell of it.

    Args:
        corpus: the items.
        labels: of them; those that have groups, or are parts of documents, stay as they are.
        count: of folds; 0 for a share that is held out.
        task: says the share, and whether labels are classes.
    """
    if labels.groups is not None or labels.documents is not None or task.kind_of(corpus) != "series":
        return labels, []
    classes = [tuple(labels_in(value)) if task.stratified else () for value in labels.values]
    stretches = find_stretches(corpus.items(), classes, count or max(2, round(1 / task.valid_fraction)))
    return (labels, []) if stretches is None else (labels._replace(groups=stretches.names), [stretches.note()])


def folds_of(labels: Labels, count: int, task: ItemTask) -> NDArray[np.int64]:
    """Return the fold of each example, -1 for none."""
    seed = task.seed if task.split_seed is None else task.split_seed
    how: dict[str, Any] = {"stratified": task.stratified, "documents": labels.documents, "groups": labels.groups}
    return choose_folds(labels.values, labels.keys, count, seed, **how)


def notes_of_folds(folds: NDArray[np.int64], labels: Labels) -> list[str]:
    """Return what a person is told of folds."""
    count, of = int(folds.max()) + 1, ""
    if labels.groups is not None:
        of = f" of {counted(len(set(labels.groups)), 'group')}"
    notes = [
        f"{count} folds{of}: a network for each, which learns from the others; scores are of items it did not see."
    ]
    scored = {name for row in np.flatnonzero(folds >= 0) for name in labels_in(labels.values[row])}
    apart = [set(labels_in(labels.values[row])) - scored for row in np.flatnonzero(folds < 0)]
    if apart:
        alone = sorted({str(name) for names in apart for name in names})
        shown = ", ".join(f"'{name}'" for name in alone[:10]) + (f" and {len(alone) - 10} more" if alone[10:] else "")
        others = sum(not names for names in apart)
        beside = counted(others, "example") + (" beside" if alone else " whose classes stand nowhere else")
        named = [f"having one example or group: {shown}"] if alone else []
        notes.append(
            f"In no score, {', and '.join([*named, *([beside] if others else [])])}; every network learns from it."
        )
    return notes
