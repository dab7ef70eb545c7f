"""The records of tagged items, and the scores and reports that are made of them.

Axes: N items, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur._schemes import Scheme
from rekur.data.cells import tags_of
from rekur.errors import InputError
from rekur.metrics.spans import HITS, PREDICTED, RIGHT, TOKENS, TRUE, tag_record, tag_scores
from rekur.metrics.stats import score_interval
from rekur.targets.base import Records, Target


class TagScores(Target):
    """The half of a target of tags that scores: predictions and labels to records, records to scores and reports.

    A prediction is a sequence of tags with a ``name``, one a step.
    """

    #: of the labels
    scheme: Scheme

    def record(self, prediction: Sequence[Any], label: Any, context: Any = None) -> Records:
        """Return the record of an item, (8,); see :func:`rekur.metrics.tag_record`."""
        truth = tags_of(label, "label")
        if len(truth) != len(prediction):
            got = f"{counted(len(prediction), 'token')} and {counted(len(truth), 'tag')}"
            raise InputError(f"tokens and tags: got {got}; expected one tag a token.")
        return tag_record([tag.name for tag in prediction], truth, self.scheme).astype(np.float64)

    def records_of_predictions(
        self, predictions: Sequence[Any], labels: Sequence[Any], contexts: Sequence[Any] | None = None
    ) -> Records:
        """Return the records of items whose predictions are known, (N, 8)."""
        rows = [self.record(prediction, label) for prediction, label in zip(predictions, labels, strict=True)]
        return np.array(rows, np.float64).reshape(len(rows), 8)

    def score(self, records: Records) -> dict[str, float]:
        """Return ``accuracy`` of tokens and ``sentence_accuracy``, and where tags mark spans those of entities."""
        return tag_scores(records.astype(np.int64), has_spans=self.scheme.has_spans)

    def report(self, records: Records) -> dict[str, Any]:
        """Return the number of items and tokens, the scores, and the intervals of accuracy and entity F1."""
        scores: dict[str, Any] = {"items": len(records), "tokens": int(records[:, TOKENS].sum())}
        for name, value in self.score(records).items():
            scores[name] = value
            if name in ("accuracy", "entity_f1") and len(records):
                hits, totals = ([RIGHT], [TOKENS]) if name == "accuracy" else ([HITS, HITS], [PREDICTED, TRUE])
                share = _ratio(records[:, hits].sum(axis=1), records[:, totals].sum(axis=1))
                units = int(records[:, TOKENS if name == "accuracy" else TRUE].sum())
                scores[f"{name}_interval"] = score_interval(share, len(records), units=units)
        return scores


def _ratio(numerators: NDArray[Any], denominators: NDArray[Any]) -> Callable[[NDArray[np.intp]], float]:
    """Return a function from indices to the share of sums; 0 for no denominator."""

    def share(index: NDArray[np.intp]) -> float:
        total = denominators[index].sum()
        return float(numerators[index].sum() / total) if total else 0.0

    return share
