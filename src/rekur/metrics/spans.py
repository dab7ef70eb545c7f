"""The scores of taggers, made of records of sentences; entities are counted as seqeval counts them.

Axes: N sentences, T tokens, R records, K names of tags or of labels of spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._schemes import Scheme
from rekur.errors import ShapeError, describe
from rekur.metrics.scores import per_class
from rekur.metrics.stats import score_interval

#: columns of a record; behind them stand right, predicted and true ones of each name
HITS, PREDICTED, TRUE, RIGHT, TOKENS, STRICT_HITS, STRICT_PREDICTED, STRICT_TRUE = range(8)
SENTENCES, WHOLE, UNSEEN_RIGHT, UNSEEN = range(8, 12)
#: the number of these columns
COLUMNS = 12
#: tokens of a stretch: a longer sentence, such as a recording, has a record for each
STRETCH = 1000
#: sentences below which stretches are resampled for intervals
FEW_SENTENCES = 20

Records = NDArray[Any]


def tag_records(
    predicted: Sequence[Any],
    truth: Sequence[Any],
    scheme: Scheme | None = None,
    *,
    names: Mapping[Any, int] | None = None,
    seen: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Return what a sentence contributes to the scores: one record, or one for each 1,000 tokens of a longer one.

    The first columns are right spans, predicted spans, true spans, right tokens, tokens, and the three numbers of spans
    again by the strict rule; then 1 in the first record of a sentence, 1 there if all of its tags are right, right
    unseen tokens and unseen tokens. A span is right if its start, end and label are those of a true one, and counts
    where it starts.

    Args:
        predicted: the predicted tag of each token, (T,).
        truth: the true tags, (T,).
        scheme: of both; with None, or a scheme without spans, all numbers of spans are 0.
        names: the labels of spans, or without spans the tags, that have three columns each, by their number in [0, K).
        seen: whether training had each token, (T,); None for unknown.

    Returns:
        int64 (R, 12 + 3K).

    Raises:
        ShapeError: the two differ in length.
        InputError: a tag is none of the scheme.

    Example:
        >>> from rekur.metrics import SCHEMES
        >>> tag_records(["B-PER", "O", "I-LOC"], ["B-PER", "O", "B-LOC"], SCHEMES["BIO2"]).tolist()
        [[2, 2, 2, 2, 3, 1, 1, 2, 1, 0, 0, 0]]
    """
    count, names = len(truth), names or {}
    if len(predicted) != count:
        raise ShapeError(describe("predicted tags", len(predicted), f"{count}, one a true tag"))
    rows = max(1, -(-count // STRETCH))
    records = np.zeros((rows, COLUMNS + 3 * len(names)), np.int64)
    stretch = np.arange(count) // STRETCH
    right = np.fromiter((guess == tag for guess, tag in zip(predicted, truth, strict=True)), np.bool_, count)
    records[:, TOKENS] = np.bincount(stretch, minlength=rows)
    records[:, RIGHT] = np.bincount(stretch[right], minlength=rows)
    records[0, [SENTENCES, WHOLE]] = 1, count > 0 and right.all()
    if seen is not None:
        records[:, UNSEEN] = np.bincount(stretch[~seen], minlength=rows)
        records[:, UNSEEN_RIGHT] = np.bincount(stretch[~seen & right], minlength=rows)
    if scheme is not None and scheme.has_spans:
        _count_spans(records, predicted, truth, scheme, names)
    elif names:
        guesses_of = np.array([names.get(guess, -1) for guess in predicted], np.int64)
        truth_of = np.array([names.get(tag, -1) for tag in truth], np.int64)
        for column, numbers in enumerate((np.where(right, truth_of, -1), guesses_of, truth_of)):
            named = numbers >= 0
            np.add.at(records, (stretch[named], COLUMNS + 3 * numbers[named] + column), 1)
    return records


def _count_spans(
    records: NDArray[np.int64], predicted: Sequence[Any], truth: Sequence[Any], scheme: Scheme, names: Mapping[Any, int]
) -> None:
    """Add the spans of a sentence to its records: right, predicted and true ones, by both rules and by label."""
    for strict, first in ((True, STRICT_HITS), (False, HITS)):
        guesses, spans = set(scheme.spans(predicted, strict=strict)), set(scheme.spans(truth, strict=strict))
        for column, part in enumerate((guesses & spans, guesses, spans)):
            for start, _, label in part:
                records[start // STRETCH, first + column] += 1
                if not strict and label in names:
                    records[start // STRETCH, COLUMNS + 3 * names[label] + column] += 1


def records_by_sentence(records: NDArray[Any]) -> NDArray[Any]:
    """Return one record a sentence, (N, …), from those of its stretches, (R, …)."""
    starts = np.flatnonzero(records[:, SENTENCES])
    return np.add.reduceat(records, starts, axis=0) if len(starts) < len(records) else records


class _Share(NamedTuple):
    """A score that is one sum divided by another.

    Attributes:
        part: what each record adds to the upper sum, (R,).
        whole: what each record adds to the lower sum, (R,).
        units: the number of tokens, sentences or spans that the score is about.
    """

    part: Records
    whole: Records
    units: int

    def of(self, rows: Any = slice(None)) -> float:
        """Return the score of some records; 0 for a share of nothing."""
        whole = self.whole[rows].sum().item()
        return self.part[rows].sum().item() / whole if whole else 0.0


def _shares(records: Records, *, has_spans: bool) -> dict[str, _Share]:
    """Return every score of records by name."""
    first = records[:, SENTENCES] * (records[:, TOKENS] > 0)
    pairs = {
        "accuracy": (records[:, RIGHT], records[:, TOKENS]),
        "sentence_accuracy": (records[:, WHOLE], first),
    }
    if records[:, UNSEEN].any():
        seen = records[:, RIGHT] - records[:, UNSEEN_RIGHT], records[:, TOKENS] - records[:, UNSEEN]
        pairs |= {"seen_accuracy": seen, "unseen_accuracy": (records[:, UNSEEN_RIGHT], records[:, UNSEEN])}
    shares = {name: _Share(part, whole, int(whole.sum())) for name, (part, whole) in pairs.items()}
    if has_spans:
        hits, predicted, true = (records[:, column] for column in (HITS, PREDICTED, TRUE))
        strict = records[:, STRICT_PREDICTED] + records[:, STRICT_TRUE]
        shares |= {
            "entity_precision": _Share(hits, predicted, int(predicted.sum())),
            "entity_recall": _Share(hits, true, int(true.sum())),
            "entity_f1": _Share(2 * hits, predicted + true, int(true.sum())),
            "entity_f1_strict": _Share(2 * records[:, STRICT_HITS], strict, int(records[:, STRICT_TRUE].sum())),
        }
    return shares


def tag_scores(records: Records, *, has_spans: bool) -> dict[str, float]:
    r"""Return the scores of any choice of records, each as often as it stands there.

    .. math:: F_1 = \frac{2 \, \mathrm{right}}{\mathrm{predicted} + \mathrm{true}}

    Args:
        records: of :func:`tag_records`, (R, 12 + 3K).
        has_spans: whether tags mark spans.

    Returns:
        ``accuracy`` of tokens and ``sentence_accuracy``, the share of sentences with every tag right; where unseen
        tokens are among them ``seen_accuracy`` and ``unseen_accuracy``; with spans also ``entity_precision``,
        ``entity_recall``, ``entity_f1`` (seqeval's default) and ``entity_f1_strict`` (its strict mode). A share of
        nothing is 0.

    Example:
        >>> from rekur.metrics import SCHEMES
        >>> pairs = [(["B-A", "O"], ["B-A", "O"]), (["O"], ["B-A"])]
        >>> records = [tag_records(predicted, truth, SCHEMES["BIO2"]) for predicted, truth in pairs]
        >>> scores = tag_scores(np.concatenate(records), has_spans=True)
        >>> scores["sentence_accuracy"], scores["entity_precision"], scores["entity_recall"]
        (0.5, 1.0, 0.5)
    """
    return {name: share.of() for name, share in _shares(records, has_spans=has_spans).items()}


def tag_report(records: Records, names: Sequence[Any], *, has_spans: bool) -> dict[str, Any]:
    """Return all that is told of a tagger, as plain JSON.

    Args:
        records: of :func:`tag_records`, (R, 12 + 3K).
        names: the K names of its last columns, in their order.
        has_spans: whether tags mark spans.

    Returns:
        ``items``, ``tokens``, ``unseen_tokens`` where there are any, the scores of :func:`tag_scores`, each with its
        95 % interval over other samples of sentences, and ``per_class``: precision, recall, F1 and support of each
        label of spans, or of each tag.

    Example:
        >>> records = tag_records(["N", "V"], ["N", "N"], names={"N": 0, "V": 1})
        >>> [(row["label"], row["recall"]) for row in tag_report(records, ["N", "V"], has_spans=False)["per_class"]]
        [('N', 0.5), ('V', 0.0)]
    """
    sums = records.sum(axis=0)
    report: dict[str, Any] = {"items": int(sums[SENTENCES]), "tokens": int(sums[TOKENS])}
    if sums[UNSEEN]:
        report["unseen_tokens"] = int(sums[UNSEEN])
    drawn = records_by_sentence(records) if report["items"] >= FEW_SENTENCES else records
    for name, share in _shares(drawn, has_spans=has_spans).items():
        report[name] = share.of()
        if share.units:
            report[f"{name}_interval"] = score_interval(share.of, len(drawn), units=share.units)
    counts = sums[COLUMNS:].reshape(-1, 3)
    if len(counts):
        report["per_class"] = per_class(list(map(str, names)), *counts.T)
    return report
