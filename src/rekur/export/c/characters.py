"""Tables of characters for an export: their tokens, their folding, and the classes by which words are cut."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

import numpy as np

from rekur._ids import RESERVED, UNKNOWN
from rekur.export.c.constants import Array
from rekur.features import cut

_CODES = 0x110000
_HALVES = range(0xD800, 0xE000)
#: classes of characters; each is one bit next to the character's code
KINDS = tuple(cut.character_classes())
_MASK = (1 << 64) - 1
_SPREAD = 0x9E3779B97F4A7C15


@functools.cache
def _all() -> tuple[str, Array]:
    codes = np.array([code for code in range(_CODES) if code not in _HALVES], np.int64)
    return "".join(map(chr, codes.tolist())), codes


def matching(inside: str) -> Array:
    """Return a mask of the characters that a class of a regular expression matches.

    Example:
        >>> np.flatnonzero(matching("a-c")).tolist()
        [97, 98, 99]
    """
    text, codes = _all()
    mask = np.zeros(_CODES, bool)
    for match in re.finditer(f"[{inside}]+", text):
        mask[codes[match.start() : match.end()]] = True
    return mask


def class_table() -> Array:
    """Return the runs of characters with equal classes: uint32 (N,), each the first character with its class bits."""
    kinds = np.zeros(_CODES, np.uint32)
    for bit, inside in enumerate(cut.character_classes().values()):
        kinds |= matching(inside).astype(np.uint32) << np.uint32(bit)
    first = np.flatnonzero(np.concatenate([[True], kinds[1:] != kinds[:-1]]))
    return (first.astype(np.uint32) << np.uint32(len(KINDS))) | kinds[first]


def runs_of(values: Mapping[int, int]) -> list[tuple[int, int, int, int]]:
    """Return character -> value as runs: first, last, value of the first, whether the value rises.

    Example:
        >>> runs_of({65: 97, 66: 98, 67: 99, 100: 5, 101: 5})
        [(65, 67, 97, 1), (100, 101, 5, 0)]
    """
    runs: list[list[int]] = []
    for code, value in sorted(values.items()):
        if runs and runs[-1][1] == code - 1:
            first, last, begins, rises = runs[-1]
            if value == begins + (code - first) * rises:
                runs[-1][1] = code
                continue
            if first == last and value in (begins, begins + 1):
                runs[-1][1:] = [code, begins, value - begins]
                continue
        runs.append([code, code, value, 0])
    return [(first, last, value, rises) for first, last, value, rises in runs]


def spaces() -> dict[int, int]:
    """Return 1 for each character that is a space."""
    return dict.fromkeys(np.flatnonzero(matching(r"\s")).tolist(), 1)


def folded(*, lowercase: bool = False, capitals: bool = False, zero_digits: bool = False) -> Mapping[int, str]:
    """Return every character that changes by folding -> the folded one."""
    text, _ = _all()
    changed = {}
    for character in text:
        new = character.lower() if lowercase else character.upper() if capitals else character
        if new != character and len(new) == 1:
            changed[ord(character)] = new
    if zero_digits:
        changed |= dict.fromkeys((code for code in np.flatnonzero(matching(r"\d")).tolist() if code != 48), "0")
    return changed


def hash_of(word: str) -> int:
    """Return the 64-bit hash of a word in an export.

    Example:
        >>> hash_of("") == 0 != hash_of("a")
        True
    """
    value = 0
    for character in word:
        value = ((value ^ ord(character)) * _SPREAD) & _MASK
        value ^= value >> 29
    return value


def hashes_of(words: Iterable[str]) -> tuple[Array, Array] | None:
    """Return the sorted hashes of words and their tokens, from 2 for the first word; None if two hashes are equal."""
    token_of_hash = {hash_of(word): token for token, word in enumerate(words, start=RESERVED)}
    keys = sorted(token_of_hash)
    tokens = np.array([token_of_hash[key] for key in keys])
    if len(keys) != max(token_of_hash.values(), default=UNKNOWN) - UNKNOWN:
        return None
    return np.array(keys, np.uint64), tokens.astype(np.uint16 if len(keys) < 65_000 else np.uint32)
