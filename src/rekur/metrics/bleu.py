"""BLEU as sacrebleu 2.6 defines it: tokens of mteval-v13a, mixed case, exponential smoothing.

Axes: N texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rekur.metrics.ngrams import Records, References, ngram_counts, records_in_blocks, sums_of_items

#: longest n-gram
ORDER = 4
#: columns of a record: tokens of the hypothesis and of its closest reference; then, for n = 1, 2, 3, 4 each, the right
#: n-grams, all n-grams of the hypothesis, and its distinct ones
TOKENS, REFERENCE_TOKENS, RIGHT, TOTAL, DISTINCT = 0, 1, 2, 2 + ORDER, 2 + 2 * ORDER
#: the number of these columns
BLEU_COLUMNS = 2 + 3 * ORDER

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
#: ASCII punctuation that is always a token of its own: all but the apostrophe, comma, hyphen and full stop
_MARKS = str.maketrans({mark: f" {mark} " for mark in '!"#$%&()*+/:;<=>?@[\\]^_`{|}~'})
#: full stops and commas that no digit precedes, those that no digit follows, and hyphens behind a digit
_SEPARATED = (
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])-"), r"\1 - "),
)


def tokenize_13a(text: str) -> list[str]:
    """Return the tokens of a text by the rules of mteval-v13a, which WMT uses.

    Punctuation of ASCII is cut off, but not within numbers; some HTML entities are characters; case stays.

    Example:
        >>> tokenize_13a("It's 1,000.50 euros (10-12%).")
        ["It's", '1,000.50', 'euros', '(', '10', '-', '12', '%', ')', '.']
    """
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    text = f" {text} ".translate(_MARKS)
    for pattern, separated in _SEPARATED:
        text = pattern.sub(separated, text)
    return text.split()


def bleu_records(hypotheses: Sequence[str], references: Sequence[References]) -> Records:
    """Return the record of each hypothesis, (N, 14): what it contributes to BLEU.

    The columns are the tokens of the hypothesis and those of the closest reference in length, of two the shorter; for
    n = 1 to 4 the right n-grams, each at most as often as in the reference that has it most often; for n = 1 to 4 all
    n-grams; and for n = 1 to 4 the distinct ones.

    Args:
        hypotheses: the texts that are scored, (N,).
        references: one right text, or several, of each, (N,).

    Raises:
        ShapeError: there are more or fewer references than hypotheses.
        InputError: a hypothesis has no reference, or a reference is no text.

    Example:
        >>> bleu_records(["the the cat"], ["the cat"]).astype(int).tolist()
        [[3, 2, 2, 1, 0, 0, 3, 2, 1, 0, 2, 2, 1, 0]]
    """
    return records_in_blocks(_bleu_records, hypotheses, references)


def _bleu_records(texts: list[Sequence[str]]) -> Records:
    number, numbers = len(texts[0]), dict[str, int]()
    cut = [[tokenize_13a(text) for text in side] for side in texts]
    sides = [
        [np.array([numbers.setdefault(token, len(numbers)) for token in tokens], np.int64) for tokens in side]
        for side in cut
    ]
    records = np.zeros((number, BLEU_COLUMNS))
    tokens, *lengths = np.array([[len(text) for text in side] for side in sides]).reshape(len(sides), number)
    # the least distance, and of equally close references the shortest
    closest = np.lexsort((lengths, np.abs(np.subtract(lengths, tokens))), axis=0)[0] if number else []
    records[:, TOKENS], records[:, REFERENCE_TOKENS] = tokens, np.asarray(lengths)[closest, np.arange(number)]
    for n, (items, (guesses, *truths)) in enumerate(ngram_counts(sides, ORDER)):
        right = np.minimum(guesses, np.max(truths, axis=0))
        for column, counts in ((RIGHT, right), (TOTAL, guesses), (DISTINCT, guesses > 0)):
            records[:, column + n] = sums_of_items(items, counts, number)
    return records


def bleu_score(records: Records, weights: NDArray[np.float64] | None = None) -> float:
    r"""Return the BLEU of any choice of records, in [0, 100].

    .. math:: 100 \, \min(1, e^{1 - r / h}) \prod_{n=1}^4 p_n^{1/4}

    with h tokens of hypotheses, r of references and the share :math:`p_n` of right n-grams. Where no n-gram of an order
    is right, its share is 1/2, 1/4, … of one right n-gram (exponential smoothing).

    Args:
        records: of :func:`bleu_records`, (N, 14) or wider.
        weights: how much each record counts, (N,), 0 or more; None for equally much.

    Reference: Papineni et al. 2002, doi:10.3115/1073083.1073135; Post 2018, arXiv 1804.08771.

    Example:
        >>> records = bleu_records(["The man had bitten him."], ["The man bit him first."])
        >>> round(bleu_score(records), 4)
        19.3049
    """
    columns = records[:, :DISTINCT]
    sums = (columns.sum(axis=0) if weights is None else weights @ columns).tolist()
    rights, totals = sums[RIGHT:TOTAL], sums[TOTAL:]
    if not any(rights) or not all(totals):
        return 0.0
    logarithms, smoothed = 0.0, 1.0
    for right, total in zip(rights, totals, strict=True):
        if not right:
            smoothed /= 2
        logarithms += math.log((right or smoothed) / total)
    shortness = min(0.0, 1 - sums[REFERENCE_TOKENS] / sums[TOKENS])
    return 100 * math.exp(shortness + logarithms / ORDER)


def bleu_signature(references: int | None = 1) -> str:
    """Return the signature that sacrebleu prints for this BLEU.

    Args:
        references: of each hypothesis; None where they differ in number.

    Example:
        >>> bleu_signature()
        'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0'
    """
    return f"nrefs:{references or 'var'}|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
