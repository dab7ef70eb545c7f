"""How much less likely "outside" is made after training, so that spans are found as often as pays on validation.

Axes: N sentences, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._schemes import OUTSIDE
from rekur.data import EncodedItems
from rekur.metrics.spans import TRUE
from rekur.targets import TagsTarget

#: margins to try, from the nearest to 0 on: of equal scores the first counts
_MARGINS = (0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, 2.5, 3.0)
#: true spans below which nothing is tried, and sentences that are looked at, at most
_FEWEST_SPANS, _MOST_SENTENCES = 50, 2000
#: gain of entity F1 below which the network stays as it is
_LEAST_GAIN = 0.01


def outside_margin(outputs: Sequence[NDArray[Any]], target: TagsTarget, items: EncodedItems) -> float:
    r"""Return the margin m that the output of ``O`` is lowered by for the highest entity F1.

    .. math:: z'_{t,\mathrm{O}} = z_{t,\mathrm{O}} - m

    Cross entropy weighs every token alike, and most are outside: where spans are rare, a network that is trained by it
    finds too few of them.

    Args:
        outputs: one (T, K) a sentence, N of them.
        target: the meaning of the outputs.
        items: the same N validation sentences.

    Returns:
        a number in [-1, 3]; 0 where tags mark no spans, where there are few, or where nothing is gained.
    """
    outside = outside_output(target)
    if outside is None:
        return 0.0
    picked = np.linspace(0, len(outputs) - 1, min(len(outputs), _MOST_SENTENCES)).astype(np.int64)
    labels, contexts = items.labels_of(items.rows[picked]), items.contexts_of(items.rows[picked])
    scores: dict[float, float] = {}
    for margin in _MARGINS:
        rows = [outputs[item].astype(np.float64) for item in picked]
        for each in rows:
            each[:, outside] -= margin
        records = target.records(rows, labels, contexts)
        if records[:, TRUE].sum() < _FEWEST_SPANS:
            return 0.0
        scores[margin] = target.score(records)["entity_f1"]
    best = max(scores, key=lambda margin: scores[margin])
    return best if scores[best] - scores[0.0] >= _LEAST_GAIN else 0.0


def outside_output(target: TagsTarget) -> int | None:
    """Return the number of the output that means no span; None where tags mark none."""
    return target.tags.index(OUTSIDE) if target.scheme.has_spans and OUTSIDE in target.tags else None
