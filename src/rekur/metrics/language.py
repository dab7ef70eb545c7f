"""Scores of language models, comparable across tokenizations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

#: blocks of the text from whose losses the interval is computed, and fewest tokens for an interval
BLOCKS, FEWEST_TOKENS = 50, 20


class Measured(Protocol):
    """The size of a text, such as ``rekur.data.Tokens``."""

    characters: int
    bytes: int
    unknown: int


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


def language_scores(each: NDArray[np.floating[Any]], text: Measured) -> dict[str, Any]:
    r"""Return the scores of a text as plain JSON.

    .. math:: \mathrm{loss} = \frac{1}{N} \sum_i -\ln p_i, \quad \mathrm{perplexity} = e^{\mathrm{loss}}, \quad
        \mathrm{bits\ per\ character} = \frac{\sum_i -\log_2 p_i}{\mathrm{characters}}

    The loss and the perplexity are per token, and so depend on the tokenization; bits per character and per byte do
    not. Unknown tokens count as one symbol: with ``unknown_share`` above 0 the bits are those of a simpler text.
    With fewer than 20 tokens the intervals are None.

    Args:
        each: the negative log-probability of every token, in nats, (N,).
        text: the size of the text.
    """
    total, count = float(np.sum(each, dtype=np.float64)), len(each)
    loss = total / count
    bits = total / math.log(2)
    ends = _interval(each, loss) if count >= FEWEST_TOKENS else None
    return {
        "tokens": count,
        "characters": text.characters,
        "bytes": text.bytes,
        "nats": total,
        "loss": loss,
        "loss_interval": ends,
        "perplexity": math.exp(min(loss, 700.0)),
        "perplexity_interval": None if ends is None else [math.exp(min(end, 700.0)) for end in ends],
        "bits_per_character": bits / max(1, text.characters),
        "bits_per_byte": bits / max(1, text.bytes),
        "unknown_share": text.unknown / count,
    }


def _interval(each: NDArray[np.floating[Any]], loss: float) -> list[float]:
    """Return the 95 % interval of the mean loss of a text, from the means of its blocks."""
    blocks = [float(block.mean()) for block in np.array_split(each, min(BLOCKS, len(each)))]
    error = 1.96 * float(np.std(blocks, ddof=1)) / math.sqrt(len(blocks))
    return [max(0.0, loss - error), loss + error]
