"""The scores of taggers, made of one record a sentence; entities are counted as seqeval counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._schemes import Scheme
from rekur.errors import ShapeError, describe

#: columns of a record
HITS, PREDICTED, TRUE, RIGHT, TOKENS, STRICT_HITS, STRICT_PREDICTED, STRICT_TRUE = range(8)


def tag_record(predicted: Sequence[str], truth: Sequence[str], scheme: Scheme | None = None) -> NDArray[np.int64]:
    """Return what a sentence contributes to the scores.

    The columns are right spans, predicted spans, true spans, right tokens, tokens, and the three numbers of spans again
    by the strict rule. A span is right if its start, end and label are those of a true one.

    Args:
        predicted: the predicted tag of each token.
        truth: the true tags.
        scheme: of both; with None, or a scheme without spans, all numbers of spans are 0.

    Returns:
        int64 (8,).

    Raises:
        ShapeError: the two differ in length.
        InputError: a tag is none of the scheme.

    Example:
        >>> from rekur.metrics import SCHEMES
        >>> tag_record(["B-PER", "O", "I-LOC"], ["B-PER", "O", "B-LOC"], SCHEMES["BIO2"]).tolist()
        [2, 2, 2, 2, 3, 1, 1, 2]
    """
    if len(predicted) != len(truth):
        raise ShapeError(describe("predicted tags", len(predicted), f"{len(truth)}, one a true tag"))
    right = sum(guess == tag for guess, tag in zip(predicted, truth, strict=True))
    counts = [0] * 6
    if scheme is not None and scheme.has_spans:
        counts = []
        for strict in (False, True):
            guesses, spans = set(scheme.spans(predicted, strict=strict)), set(scheme.spans(truth, strict=strict))
            counts += [len(guesses & spans), len(guesses), len(spans)]
    return np.array([*counts[:3], right, len(truth), *counts[3:]], np.int64)


def tag_scores(records: NDArray[np.integer[Any]], *, has_spans: bool) -> dict[str, float]:
    r"""Return the scores of any choice of records, each as often as it stands there.

    .. math:: F_1 = \frac{2 \, \mathrm{right}}{\mathrm{predicted} + \mathrm{true}}

    Args:
        records: of :func:`tag_record`, (N, 8).
        has_spans: whether tags mark spans.

    Returns:
        ``accuracy`` of tokens and ``sentence_accuracy``, the share of sentences with every tag right; with spans also
        ``entity_precision``, ``entity_recall``, ``entity_f1`` (seqeval's default) and ``entity_f1_strict`` (its strict
        mode). A share of nothing is 0.

    Example:
        >>> from rekur.metrics import SCHEMES
        >>> pairs = [(["B-A", "O"], ["B-A", "O"]), (["O"], ["B-A"])]
        >>> records = [tag_record(predicted, truth, SCHEMES["BIO2"]) for predicted, truth in pairs]
        >>> scores = tag_scores(np.stack(records), has_spans=True)
        >>> scores["sentence_accuracy"], scores["entity_precision"], scores["entity_recall"]
        (0.5, 1.0, 0.5)
    """
    sentences = records[records[:, TOKENS] > 0]
    whole = int((sentences[:, RIGHT] == sentences[:, TOKENS]).sum())
    sums = [int(number) for number in records.sum(axis=0)]
    scores = {
        "accuracy": _share(sums[RIGHT], sums[TOKENS]),
        "sentence_accuracy": _share(whole, len(sentences)),
    }
    if has_spans:
        scores |= {
            "entity_precision": _share(sums[HITS], sums[PREDICTED]),
            "entity_recall": _share(sums[HITS], sums[TRUE]),
            "entity_f1": _share(2 * sums[HITS], sums[PREDICTED] + sums[TRUE]),
            "entity_f1_strict": _share(2 * sums[STRICT_HITS], sums[STRICT_PREDICTED] + sums[STRICT_TRUE]),
        }
    return scores


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
