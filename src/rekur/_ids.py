"""Token ids: the reserved ones, and the keys of runs of ids.

The key of a run is a 64-bit hash. ``native/runs.h`` and ``export/c/parts/rows.c`` compute the same one.
"""

from __future__ import annotations

from typing import Any

#: fills batches; never predicted
PADDING = 0
#: stands for every token that the vocabulary lacks
UNKNOWN = 1
#: number of reserved ids; the first token of a vocabulary has this id
RESERVED = 2
#: read where a text begins
START = PADDING
#: read before the first token of a target text, and predicted behind its last one
BEGIN, END = 2, 3
#: number of reserved ids of a vocabulary with these two
RESERVED_OF_PAIRS = 4
#: odd multiplier of the hash (from the golden ratio), as a signed number
SPREAD = -7046029254386353131


def mix(keys: Any) -> Any:
    """Return 64-bit hashes of int64 keys, an array or a tensor; multiplication wraps around.

    Example:
        >>> import numpy as np
        >>> mix(np.array([0, 1])).tolist()
        [0, -2835158548275060938]
    """
    keys = keys * SPREAD
    return (keys ^ ((keys >> 29) & 0x7FFFFFFFF)) * SPREAD


def mark(keys: Any) -> Any:
    """Return the 31-bit marks that identify the runs with these keys."""
    return (keys >> 33) & 0x7FFFFFFF


def slot(keys: Any, slots: int) -> Any:
    """Return the memory slots of the runs with these keys; ``slots`` is a power of 2."""
    return (keys >> 12) & (slots - 1)


def entry(keys: Any, ids: Any) -> Any:
    """Return the memory entries of the runs with these keys and of the ids that followed them."""
    return (mark(keys) << 32) | ids
