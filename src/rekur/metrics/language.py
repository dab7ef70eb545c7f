"""Scores of language models, comparable across tokenizations.

Axes: N tokens, R stretches of text.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur.metrics.stats import bootstrap_interval

#: fewest stretches from which an interval is computed
FEWEST_STRETCHES = 10
_LARGEST_EXPONENT = 700.0


class Scored(NamedTuple):
    """The probability of a text.

    Attributes:
        text: the text.
        log_probability: natural logarithm of the probability of all its tokens.
        tokens: number of tokens.
        characters: number of characters.
        each: the natural logarithm of each token's probability, (T,).
        pieces: the tokens as text.
    """

    text: str
    log_probability: float
    tokens: int
    characters: int
    each: NDArray[np.float32]
    pieces: tuple[str, ...]


def text_records(
    nats: NDArray[np.floating[Any]], unknown: NDArray[np.bool_], stretches: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the record of each stretch of text, (R, 5): nats, tokens, characters, bytes, unknown tokens.

    Args:
        nats: the negative log-probability of every token, (N,).
        unknown: whether a token is the unknown one, (N,).
        stretches: tokens, characters and bytes of each stretch, (R, 3), in the order of the text.

    Example:
        >>> nats, unknown = np.array([1.0, 2.0, 4.0]), np.array([False, True, False])
        >>> text_records(nats, unknown, np.array([[2, 5, 5], [1, 3, 6]])).tolist()
        [[3.0, 2.0, 5.0, 5.0, 1.0], [4.0, 1.0, 3.0, 6.0, 0.0]]
    """
    count = len(stretches)
    stretch = np.repeat(np.arange(count), stretches[:, 0])
    sums = np.bincount(stretch, nats.astype(np.float64), count)
    return np.column_stack([sums, stretches, np.bincount(stretch[unknown], minlength=count)]).astype(np.float64)


def text_scores(records: NDArray[np.float64]) -> dict[str, float]:
    r"""Return the scores of any choice of records.

    .. math:: \mathrm{loss} = \frac{1}{N} \sum_i -\ln p_i, \quad \mathrm{perplexity} = e^{\mathrm{loss}}, \quad
        \mathrm{bits\ per\ character} = \frac{\sum_i -\log_2 p_i}{\mathrm{characters}}

    The loss and the perplexity are per token and depend on the tokenization; bits per character and per byte do not.
    Unknown tokens count as one symbol: with ``unknown_share`` above 0 the bits are those of a simpler text.

    Args:
        records: as :func:`text_records` returns them, (R, 5).
    """
    nats, tokens, characters, size, unknown = records.sum(axis=0).tolist()
    loss, bits = nats / max(1.0, tokens), nats / math.log(2)
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, _LARGEST_EXPONENT)),
        "bits_per_character": bits / max(1.0, characters),
        "bits_per_byte": bits / max(1.0, size),
        "unknown_share": unknown / max(1.0, tokens),
    }


def text_report(records: NDArray[np.float64]) -> dict[str, Any]:
    """Return the scores of a text as plain JSON: its size, :func:`text_scores`, and 95 % intervals.

    Intervals come from resampled records; they are None for fewer than 10.

    Args:
        records: as :func:`text_records` returns them, (R, 5).
    """
    nats, tokens, characters, size, _ = records.sum(axis=0).tolist()
    scores, ends = text_scores(records), None
    if len(records) >= FEWEST_STRETCHES:
        ends = list(bootstrap_interval(lambda rows: text_scores(records[rows])["loss"], len(records)))
    return {
        "tokens": int(tokens),
        "characters": int(characters),
        "bytes": int(size),
        "nats": nats,
        "loss": scores["loss"],
        "loss_interval": ends,
        "perplexity": scores["perplexity"],
        "perplexity_interval": None if ends is None else [math.exp(min(end, _LARGEST_EXPONENT)) for end in ends],
        **{name: scores[name] for name in ("bits_per_character", "bits_per_byte", "unknown_share")},
    }
