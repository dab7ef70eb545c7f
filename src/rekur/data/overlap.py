"""Validation data that are training data too, found by content.

Axes: N items or tokens.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rekur.data.corpus import Encoded
from rekur.data.streams import Tokens

#: stretches of a validation text that are looked for in the training text, and the share of them that is worth a word
_STRETCHES, _SHARE = 1000, 0.1
#: tokens of the training text that are looked at together
_BLOCK = 2**20


def shared_items(train: Encoded, valid: Encoded) -> str | None:
    """Return a warning where validation items are training items too, or None.

    Items are equal if a model reads the same steps, wherever they come from.

    Args:
        train: items to train on.
        valid: items to validate on.
    """
    ours, theirs = Counter(_items(train)), Counter(_items(valid))
    count = sum(number for digest, number in theirs.items() if digest in ours)
    if ours == theirs:
        return _warning("the validation items are the training items")
    return _share("item", count, len(valid.rows)) if count else None


def shared_texts(train: Tokens, valid: Tokens, length: int) -> str | None:
    """Return a warning where a validation text is, or is in, the training text, or None.

    Args:
        train: text to train on.
        valid: text to validate on.
        length: tokens that two texts rarely share by chance; a power of 2.
    """
    if np.array_equal(train.ids, valid.ids):
        return _warning("the validation text is the training text")
    ours, theirs = set(_documents(train)), list(_documents(valid))
    count = sum(digest in ours for digest in theirs)
    if count:
        return _share("document", count, len(theirs))
    share = _shared_stretches(train.ids, valid.ids, length)
    if share < _SHARE:
        return None
    return _warning(f"about {share:.0%} of the validation text stands in the training text too")


def _warning(what: str) -> str:
    return f"warning: {what}; such scores tell how well the model remembers, not how good it is on new data."


def _share(what: str, count: int, total: int) -> str:
    """Return the warning for so many of all items or documents."""
    if total == 1:
        return _warning(f"the validation {what} is a training {what} too")
    if count == total:
        return _warning(f"all {total} validation {what}s are training {what}s too")
    share = f"{count} of {total} validation {what}s ({max(0.01, count / total):.0%})"
    return _warning(f"{share} are training {what}s too" if count > 1 else f"{share} is a training {what} too")


def _items(encoded: Encoded) -> Iterator[bytes]:
    for row in encoded.rows:
        steps = np.ascontiguousarray(encoded.steps[int(row)])
        yield hashlib.blake2b(steps.tobytes(), digest_size=16).digest()


def _documents(tokens: Tokens) -> Iterator[bytes]:
    ends = [*tokens.starts[1:], len(tokens.ids)]
    for start, end in zip(tokens.starts, ends, strict=True):
        yield hashlib.blake2b(tokens.ids[start:end].tobytes(), digest_size=16).digest()


def _shared_stretches(train: NDArray[np.int32], valid: NDArray[np.int32], length: int) -> float:
    """Return the share of a text's stretches of so many tokens, evenly spread, that are in another text too."""
    if min(len(train), len(valid)) < length:
        return 0.0
    starts = np.unique(np.linspace(0, len(valid) - length, _STRETCHES).astype(np.int64))
    wanted = np.array([_hashes(valid[start : start + length], length)[0] for start in starts])
    seen = np.zeros(len(wanted), dtype=bool)
    for start in range(0, len(train) - length + 1, _BLOCK):
        seen |= np.isin(wanted, _hashes(train[start : start + _BLOCK + length - 1], length))
    return float(seen.mean())


def _hashes(ids: NDArray[np.int32], length: int) -> NDArray[np.uint64]:
    """Return a hash of every stretch of ``length`` tokens, a power of 2, modulo 2⁶⁴."""
    hashes, factor, width = ids.astype(np.uint64) + np.uint64(1), 0x9E3779B97F4A7C15, 1
    while width < length:
        hashes = hashes[:-width] * np.uint64(factor) + hashes[width:]
        factor, width = factor * factor % 2**64, 2 * width
    return hashes
