"""Hypotheses and their references, and the n-grams that they share.

Axes: N items, S sides (hypotheses, first references, …), M symbols, G n-grams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.errors import InputError, ShapeError, describe

#: one right text, or several
References = str | Sequence[str]
Ints = NDArray[np.int64]
Records = NDArray[np.float64]
#: items that are compared at once, so that memory does not grow with their number
_BLOCK = 256


def records_in_blocks(
    record: Callable[[list[Sequence[str]]], Records], hypotheses: Sequence[str], references: Sequence[References]
) -> Records:
    """Return the records of items, (N, …), that are compared block by block.

    Args:
        record: takes the sides of a block: hypotheses, the first reference of each, the second, …; an item with fewer
            references than others repeats its first one.
        hypotheses: (N,).
        references: one right text, or several, of each hypothesis, (N,).

    Raises:
        ShapeError: there are more or fewer references than hypotheses.
        InputError: a hypothesis has no reference, or a reference is no text.

    Example:
        >>> records_in_blocks(lambda sides: print(sides) or np.zeros((2, 1)), ["", ""], ["a", ["b", "c"]]).shape
        [['', ''], ['a', 'b'], ['a', 'c']]
        (2, 1)
    """
    if len(references) != len(hypotheses):
        raise ShapeError(describe("references", len(references), f"{len(hypotheses)}, one a hypothesis"))
    rows = [[label] if isinstance(label, str) else label for label in references]
    for row, texts in enumerate(rows):
        if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
            expected = "a text, or a list of one text or more"
            raise InputError(f"reference {row + 1}: {describe('label', references[row], expected)}")
    blocks = []
    for start in range(0, max(1, len(rows)), _BLOCK):
        block = rows[start : start + _BLOCK]
        width = max(map(len, block), default=1)
        sides = [[texts[side] if side < len(texts) else texts[0] for texts in block] for side in range(width)]
        blocks.append(record([hypotheses[start : start + _BLOCK], *sides]))
    return np.concatenate(blocks)


def ngram_counts(sides: Sequence[Sequence[NDArray[Any]]], order: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield, for n from 1 to ``order``, the distinct n-grams of items: the item of each, (G,), and its counts, (S, G).

    Args:
        sides: the symbols of each item on each side, whole numbers in [0, 2³¹); every side has N items.
        order: longest n-gram.

    Example:
        >>> hypotheses, references = [np.array([7, 7, 9])], [np.array([7, 9])]
        >>> [counts.tolist() for _, counts in ngram_counts([hypotheses, references], 2)]
        [[[2, 1], [1, 1]], [[1, 1], [0, 1]]]
    """
    texts = [text for side in sides for text in side]
    lengths = np.array([len(text) for text in texts], np.int64)
    symbols = np.concatenate([np.empty(0, np.int64), *texts]).astype(np.int64)
    text_of = np.repeat(np.arange(len(texts)), lengths)
    side_of, item_of = np.divmod(text_of, max(1, len(sides[0])))
    ends, starts = np.cumsum(lengths)[text_of], np.arange(len(symbols))
    grams, size = item_of.copy(), int(symbols.max(initial=0)) + 1  # the n-gram that starts at each symbol
    for n in range(1, order + 1):
        starts = starts[starts + n <= ends[starts]]
        distinct, inverse = np.unique(grams[starts] * size + symbols[starts + n - 1], return_inverse=True)
        grams[starts] = inverse
        items = np.zeros(len(distinct), np.int64)
        items[inverse] = item_of[starts]
        counts = np.zeros((len(sides), len(distinct)), np.int64)
        for side, row in enumerate(counts):
            row += np.bincount(inverse[side_of[starts] == side], minlength=len(distinct))
        yield items, counts


def sums_of_items(items: Ints, counts: Ints, number: int) -> Ints:
    """Return the sum of counts of each item, (N,).

    Args:
        items: the item of each count, (G,).
        counts: (G,).
        number: of items N.
    """
    return np.bincount(items, counts, number).astype(np.int64)
