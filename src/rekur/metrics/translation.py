"""Scores of generated texts against references, made of one record a text.

Axes: N texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.metrics.bleu import (
    BLEU_COLUMNS,
    DISTINCT,
    REFERENCE_TOKENS,
    TOKENS,
    TOTAL,
    bleu_records,
    bleu_score,
    bleu_signature,
)
from rekur.metrics.chrf import CHRF_COLUMNS, chrf_records, chrf_score, chrf_signature
from rekur.metrics.ngrams import References
from rekur.metrics.scores import FEWEST_ITEMS
from rekur.metrics.stats import bootstrap_interval, share_interval

#: columns of a record: those of BLEU, those of chrF, whether the text is a reference, and the number of references
_CHRF = slice(BLEU_COLUMNS, BLEU_COLUMNS + CHRF_COLUMNS)
EXACT, REFERENCES = _CHRF.stop, _CHRF.stop + 1

Records = NDArray[np.float64]
Weights = NDArray[np.float64] | None


def hypothesis_records(hypotheses: Sequence[str], references: Sequence[References]) -> Records:
    """Return the record of each hypothesis, (N, 34): what it contributes to the scores.

    The columns are those of :func:`bleu_records` and of :func:`chrf_records`, 1 where the hypothesis is a reference to
    the character, and the number of its references.

    Args:
        hypotheses: the texts that are scored, (N,).
        references: one right text, or several, of each, (N,).

    Raises:
        ShapeError: there are more or fewer references than hypotheses.
        InputError: a hypothesis has no reference, or a reference is no text.
    """
    columns = [bleu_records(hypotheses, references), chrf_records(hypotheses, references)]
    texts = [[each] if isinstance(each, str) else each for each in references]
    exact = [hypothesis in each for hypothesis, each in zip(hypotheses, texts, strict=True)]
    return np.column_stack([*columns, exact, [len(each) for each in texts]])


def hypothesis_scores(records: Records, weights: Weights = None) -> dict[str, float]:
    r"""Return the scores of any choice of records.

    Args:
        records: of :func:`hypothesis_records`, (N, 34).
        weights: how much each record counts, (N,), 0 or more; None for equally much.

    Returns:
        ``bleu`` and ``chrf`` in [0, 100]; ``exact_match``, the share of texts that are a reference;
        ``length_ratio``, tokens of hypotheses / tokens of references (0 without any); ``distinct_1`` and
        ``distinct_2``, the share of tokens, and of pairs of tokens, that occur for the first time in their text (0
        without any).

    Example:
        >>> records = hypothesis_records(["no no no", "yes"], ["no", "yes"])
        >>> scores = hypothesis_scores(records)
        >>> scores["exact_match"], scores["length_ratio"], scores["distinct_1"]
        (0.5, 2.0, 0.5)
    """
    sums = (records.sum(axis=0) if weights is None else weights @ records).tolist()
    total = float(len(records) if weights is None else weights.sum())
    return {
        "bleu": bleu_score(records, weights),
        "chrf": chrf_score(records[:, _CHRF], weights),
        "exact_match": _share(sums[EXACT], total),
        "length_ratio": _share(sums[TOKENS], sums[REFERENCE_TOKENS]),
        "distinct_1": _share(sums[DISTINCT], sums[TOTAL]),
        "distinct_2": _share(sums[DISTINCT + 1], sums[TOTAL + 1]),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def hypothesis_report(records: Records) -> dict[str, Any]:
    """Return all that is told of generated texts, as plain JSON.

    Args:
        records: of :func:`hypothesis_records`, (N, 34).

    Returns:
        ``items``; ``hypothesis_tokens`` and ``reference_tokens``; the scores of :func:`hypothesis_scores`, with 95 %
        intervals of ``bleu``, ``chrf`` and ``exact_match`` over other samples of texts (None for fewer than 5); and the
        signatures that sacrebleu prints for ``bleu`` and ``chrf``.
    """
    report: dict[str, Any] = {
        "items": len(records),
        "hypothesis_tokens": int(records[:, TOKENS].sum()),
        "reference_tokens": int(records[:, REFERENCE_TOKENS].sum()),
    }
    enough = len(records) >= FEWEST_ITEMS
    intervals = {
        "bleu": lambda: bootstrap_interval(lambda rows: bleu_score(records[rows]), len(records)),
        "chrf": lambda: bootstrap_interval(lambda rows: chrf_score(records[rows, _CHRF]), len(records)),
        "exact_match": lambda: share_interval(float(records[:, EXACT].sum()), len(records)),
    }
    for name, score in hypothesis_scores(records).items():
        report[name] = score
        if name in intervals:
            report[f"{name}_interval"] = intervals[name]() if enough else None
    references = set(records[:, REFERENCES].astype(int).tolist())
    count = references.pop() if len(references) == 1 else None
    report["bleu_signature"], report["chrf_signature"] = bleu_signature(count), chrf_signature(count)
    return report
