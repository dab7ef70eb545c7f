"""Validation data that also occur in the training data, found by content.

Axes: N items or tokens.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.data.encoded import EncodedItems
from rekur.data.streams import Tokens

#: how many stretches of a validation text are looked up in the training text, and the share that gives a warning
_STRETCHES, _SHARE = 1000, 0.1
#: tokens of the training text that are hashed at a time
_BLOCK = 2**20


def shared_items(train: EncodedItems, valid: EncodedItems) -> str | None:
    """Return a warning if validation items are training items too, else None.

    Items are equal if a model reads the same steps from them.

    Args:
        train: items to train on.
        valid: items to validate on.
    """
    ours, theirs = Counter(item_digests(train)), Counter(item_digests(valid))
    count = sum(number for digest, number in theirs.items() if digest in ours)
    if ours == theirs:
        return _warning("the validation items are the training items")
    return _share("item", count, len(valid.rows)) if count else None


def shared_texts(train: Tokens, valid: Tokens, length: int) -> str | None:
    """Return a warning if a validation text is the training text or a part of it, else None.

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


def _warning(finding: str) -> str:
    return f"warning: {finding}; such scores tell how well the model remembers, not how good it is on new data."


def _share(noun: str, count: int, total: int) -> str:
    """Return the warning that ``count`` of ``total`` items or documents are shared."""
    if total == 1:
        return _warning(f"the validation {noun} is a training {noun} too")
    if count == total:
        return _warning(f"all {total} validation {noun}s are training {noun}s too")
    share = f"{count} of {total} validation {noun}s ({max(0.01, count / total):.0%})"
    return _warning(f"{share} are training {noun}s too" if count > 1 else f"{share} is a training {noun} too")


def item_digests(encoded: EncodedItems) -> Iterator[bytes]:
    """Yield 16 bytes for each item that counts, equal for items with the same steps for a model."""
    for row in encoded.rows:
        steps = np.ascontiguousarray(encoded.first[int(row)])
        yield hashlib.blake2b(steps.tobytes(), digest_size=16).digest()


def _documents(tokens: Tokens) -> Iterator[bytes]:
    ends = [*tokens.starts[1:], len(tokens.ids)]
    for start, end in zip(tokens.starts, ends, strict=True):
        yield hashlib.blake2b(tokens.ids[start:end].tobytes(), digest_size=16).digest()


def _shared_stretches(train: NDArray[np.int32], valid: NDArray[np.int32], length: int) -> float:
    """Return the share of evenly spread stretches of ``length`` tokens that are in the training text too."""
    if min(len(train), len(valid)) < length:
        return 0.0
    starts = np.unique(np.linspace(0, len(valid) - length, _STRETCHES).astype(np.int64))
    hashes = np.array([token_hashes(valid[start : start + length], length)[0] for start in starts])
    seen = np.zeros(len(hashes), dtype=bool)
    for start in range(0, len(train) - length + 1, _BLOCK):
        seen |= np.isin(hashes, token_hashes(train[start : start + _BLOCK + length - 1], length))
    return float(seen.mean())


def token_hashes(ids: NDArray[np.integer[Any]], length: int) -> NDArray[np.uint64]:
    """Return a hash of every stretch of ``length`` tokens, a power of 2, modulo 2⁶⁴."""
    hashes, factor, width = ids.astype(np.uint64) + np.uint64(1), 0x9E3779B97F4A7C15, 1
    while width < length:
        hashes = hashes[:-width] * np.uint64(factor) + hashes[width:]
        factor, width = factor * factor % 2**64, 2 * width
    return hashes
