"""chrF2 as sacrebleu 2.6 defines it: the F-score of runs of 1 to 6 characters, blanks left out.

Axes: N texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.metrics.ngrams import Records, References, ngram_counts, records_in_blocks, sums_of_items

#: longest run of characters
ORDER = 6
#: how many times as much recall counts as precision
BETA = 2
#: columns of a record: for each length of runs those of the hypothesis, those of the reference, and the right ones
CHRF_COLUMNS = 3 * ORDER


def chrf_records(hypotheses: Sequence[str], references: Sequence[References]) -> Records:
    """Return the record of each hypothesis, (N, 18): what it contributes to chrF.

    For each n from 1 to 6 the runs of n characters in the hypothesis, those in the reference, and those in both; of
    several references the one with the best F-score counts, of equally good ones the first. Runs of the hypothesis
    that are longer than the reference do not count.

    Args:
        hypotheses: the texts that are scored, (N,).
        references: one right text, or several, of each, (N,).

    Raises:
        ShapeError: there are more or fewer references than hypotheses.
        InputError: a hypothesis has no reference, or a reference is no text.

    Example:
        >>> chrf_records(["a cat"], ["the cat"])[0, :6].astype(int).tolist()
        [4, 6, 3, 3, 5, 2]
    """
    return records_in_blocks(_chrf_records, hypotheses, references)


def _chrf_records(texts: list[Sequence[str]]) -> Records:
    number, sides = len(texts[0]), [[_characters(text) for text in side] for side in texts]
    every = np.zeros((len(sides) - 1, number, CHRF_COLUMNS))
    for n, (items, (guesses, *truths)) in enumerate(ngram_counts(sides, ORDER)):
        totals = sums_of_items(items, guesses, number)
        for records, truth in zip(every, truths, strict=True):
            records[:, 3 * n + 1] = sums_of_items(items, truth, number)
            records[:, 3 * n + 2] = sums_of_items(items, np.minimum(guesses, truth), number)
            records[:, 3 * n] = np.where(records[:, 3 * n + 1] > 0, totals, 0)
    if len(every) == 1:
        return np.asarray(every[0])
    best = np.array([[_f_score(row) for row in records.tolist()] for records in every]).argmax(axis=0)
    return np.asarray(every[best, np.arange(number)])


def _characters(text: str) -> NDArray[Any]:
    """Return the code points of a text without blanks."""
    return np.frombuffer("".join(text.split()).encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def chrf_score(records: Records, weights: NDArray[np.float64] | None = None) -> float:
    r"""Return the chrF of any choice of records, in [0, 100].

    .. math:: 100 \, \frac{(1 + \beta^2) P R}{\beta^2 P + R}, \qquad \beta = 2

    with the mean precision P and the mean recall R over the lengths of runs that both hypotheses and references have.

    Args:
        records: of :func:`chrf_records`, (N, 18).
        weights: how much each record counts, (N,), 0 or more; None for equally much.

    Reference: Popović 2015, doi:10.18653/v1/W15-3049.

    Example:
        >>> round(chrf_score(chrf_records(["This is cat"], ["This is a cat"])), 4)
        55.8286
    """
    return _f_score((records.sum(axis=0) if weights is None else weights @ records).tolist())


def _f_score(sums: Sequence[float]) -> float:
    """Return the score of a record, or of the sum of several; in the order of sacrebleu's operations."""
    precision, recall, lengths = 0.0, 0.0, 0
    for guesses, truths, right in zip(sums[::3], sums[1::3], sums[2::3], strict=True):
        if guesses and truths:
            precision += right / guesses
            recall += right / truths
            lengths += 1
    if not precision + recall:
        return 0.0
    precision, recall = precision / lengths, recall / lengths
    return 100 * ((1 + BETA**2) * precision * recall / (BETA**2 * precision + recall))


def chrf_signature(references: int | None = 1) -> str:
    """Return the signature that sacrebleu prints for this chrF.

    Args:
        references: of each hypothesis; None where they differ in number.

    Example:
        >>> chrf_signature()
        'nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0'
    """
    return f"nrefs:{references or 'var'}|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"
