"""How a translator is measured: the loss of known targets, and scores of texts that are searched.

Axes: N items, B batch, T target tokens, V target vocabulary.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rekur._ids import PADDING
from rekur.data import EncodedItems, Ragged
from rekur.models import Batch, EncoderDecoder
from rekur.models.heads import Floats, Head
from rekur.runtime.search import search, search_of
from rekur.tasks.base.plan import Ints, Measure, Measured
from rekur.train.footprint import to_device

#: validation pairs that are searched and scored after each pass
SAMPLE = 1_000
#: pairs whose targets are scored side by side
_TOGETHER = 200


class TextHead(Head):
    """The negative log-probability of target tokens; the network computes it, as it has the scores of all tokens.

    Args:
        size: number of target tokens V.

    Example:
        >>> TextHead(6).terms([np.array([0.5, 0.25])], None).tolist()
        [[0.75, 2.0]]
    """

    loss_name, guess_name = "log loss", "how often each token occurs in the training targets"

    def __init__(self, size: int) -> None:
        self._size = size

    def loss(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean of outputs that are losses of tokens, (B, T)."""
        total = outputs if weights is None else outputs * weights[:, None]
        return total.sum() / (targets != PADDING).sum().clamp(min=1)

    def terms(self, outputs: Any, targets: Any) -> Floats:
        """Return the summed loss of the tokens of each item, and their number, (N, 2), from losses (T,) an item."""
        return np.array([[rows.sum(), len(rows)] for rows in outputs], np.float64).reshape(-1, 2)

    def guess(self, targets: NDArray[Any]) -> Floats:
        """Return the log-probability of each token by its share of all targets, (V,); each counts once more."""
        counts = np.bincount(targets, minlength=self._size) + 1.0
        return np.asarray(np.log(counts / counts.sum()))


class SearchMeasure(Measure):
    """Measures known targets by their loss, and the texts that a search finds by the records of the target."""

    sample = SAMPLE

    def count(self, batch: Batch) -> int:
        """Return the number of target tokens of a batch."""
        return int((cast(Tensor, batch.targets) != PADDING).sum())

    def of_model(self, model: Any, items: EncodedItems, rows: Ints) -> Measured:
        """Return the measures of these rows of pairs, in this order."""
        outputs = search(model.steps(), items.steps.take(rows), search_of(self.target.features))
        records = self.target.records(outputs, items.labels_of(rows), items.contexts_of(rows))
        terms = self.head.terms(_nats(model, items, rows), None)
        if items.weights is not None:
            terms = terms * items.weights[rows, None]
        return Measured(terms, records, np.arange(len(rows)))


def _nats(model: EncoderDecoder, items: EncodedItems, rows: Ints) -> list[NDArray[np.float32]]:
    """Return the negative log-probability of each token of the targets of these pairs, (T,) a pair."""
    device, targets = next(model.parameters()).device, cast(Ragged, items.targets)
    nats: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(rows)
    order = np.argsort(targets.lengths[rows], kind="stable")[::-1]
    for start in range(0, len(order), _TOGETHER):
        indices = order[start : start + _TOGETHER]
        batch = to_device(Batch.of_items(items, rows[indices]), device)
        with torch.no_grad():
            outputs = model(batch)[0].float().cpu().numpy()
        for index, row in zip(indices.tolist(), outputs, strict=True):
            nats[index] = row[: int(targets.lengths[rows[index]])]
    return nats
