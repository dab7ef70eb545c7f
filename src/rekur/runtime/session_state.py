"""The state of a session as one versioned block of bytes: JSON and safetensors with a checksum.

The block is a magic word, the version (2 bytes), the sha256 of all the rest with the version, the length of the JSON
part (4 bytes), the JSON part, and arrays. Version 1 has no state of the target.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from rekur._tensors import Array, pack, unpack
from rekur.errors import InputError

VERSION = 2
#: what to do about a state that cannot be used
FRESH = "Push the sequence again into a new session."
_MAGIC = b"rekur-state\n"
_HEAD = len(_MAGIC) + 2 + 32 + 4
#: names of arrays that are part of a tree; the others are the program's, in order
_IN_TREE = "tree."
_MARK = "array"


def write_state(fields: Mapping[str, Any], arrays: list[Array]) -> bytes:
    """Return the bytes of a state; the same state always gives the same bytes.

    Args:
        fields: plain JSON, which may hold arrays.
        arrays: the state of the program.
    """
    named = {f"{index:06d}": array for index, array in enumerate(arrays)}
    tree = _without_arrays(fields, named)
    text = json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()
    rest = len(text).to_bytes(4, "little") + text + pack("state", named)
    version = VERSION.to_bytes(2, "little")
    return _MAGIC + version + hashlib.sha256(version + rest).digest() + rest


def read_state(data: Any) -> tuple[dict[str, Any], list[Array]]:
    """Return the fields and the arrays that :func:`write_state` took.

    Raises:
        InputError: the bytes are not a state, cut short, changed, or from a newer Rekur.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise refusal(f"a {type(data).__name__}", "the bytes that get_state() returned")
    data = bytes(data)
    if data[: len(_MAGIC)] != _MAGIC[: len(data)] or not data:
        raise refusal(_shown(data), "the bytes that get_state() returned")
    start = len(_MAGIC)
    version, checksum, rest = data[start : start + 2], data[start + 2 : start + 34], data[start + 34 :]
    if len(data) < _HEAD or hashlib.sha256(version + rest).digest() != checksum:
        expected = "a state with the checksum that it was saved with"
        raise refusal(_shown(data), expected, f"The bytes were cut short or changed. {FRESH}")
    if int.from_bytes(version, "little") > VERSION:
        got = f"version {int.from_bytes(version, 'little')}"
        raise refusal(got, f"version {VERSION} or lower", "It needs a newer Rekur.")
    length = int.from_bytes(rest[:4], "little")
    try:
        tree = json.loads(rest[4 : 4 + length])
        named = unpack(rest[4 + length :])
        fields = _with_arrays(tree, named)
    except (ValueError, KeyError, RecursionError) as error:
        raise refusal(_shown(data), "JSON and arrays", FRESH) from error
    if not isinstance(fields, dict):
        raise refusal(_shown(data), "JSON and arrays", FRESH)
    return fields, [named[name] for name in sorted(named) if not name.startswith(_IN_TREE)]


def refusal(got: str, expected: str, fix: str = "") -> InputError:
    """Return the error for a state that cannot be used."""
    text = f"state: got {got}; expected {expected}."
    return InputError(f"{text} {fix}" if fix else text)


def shapes(state: list[Array]) -> str:
    """Return types and shapes of arrays, for messages."""
    return ", ".join(f"{array.dtype}{list(array.shape)}" for array in state) or "none"


def _without_arrays(tree: Any, named: dict[str, Array]) -> Any:
    """Return the tree with the name of each array in its place; the arrays are added to ``named``."""
    if isinstance(tree, np.ndarray):
        name = f"{_IN_TREE}{len(named):06d}"
        named[name] = tree
        return {_MARK: name}
    if isinstance(tree, Mapping):
        return {key: _without_arrays(value, named) for key, value in tree.items()}
    return [_without_arrays(value, named) for value in tree] if isinstance(tree, list | tuple) else tree


def _with_arrays(tree: Any, named: Mapping[str, Array]) -> Any:
    if isinstance(tree, dict):
        if list(tree) == [_MARK] and str(tree[_MARK]).startswith(_IN_TREE):
            return named[tree[_MARK]]
        return {key: _with_arrays(value, named) for key, value in tree.items()}
    return [_with_arrays(value, named) for value in tree] if isinstance(tree, list) else tree


def _shown(data: bytes) -> str:
    return f"{len(data)} bytes that start with {data[:8].hex(' ')}" if data else "0 bytes"
