"""The attention of rows to memories: each row reads the steps of its own source, and there is no padding.

Axes: N rows, P sources, S steps of a source, H numbers of a query, M numbers of a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rekur import _kernels
from rekur._tensors import Array
from rekur.program import arithmetic
from rekur.program.ops import Op
from rekur.program.packed import Packed
from rekur.program.stages import Stage, StateArrays


@dataclass(frozen=True)
class Sources:
    """The steps of sources, and the source that each row reads.

    Attributes:
        starts: index of the first step of each source, int64 (P,).
        lengths: steps of each source, int64 (P,).
        of_rows: the source of each row, int64 (N,).
    """

    starts: Array
    lengths: Array
    of_rows: Array

    def select(self, rows: Array) -> Sources:
        """Return the sources of some rows, (k,); no step is copied."""
        return replace(self, of_rows=self.of_rows[rows])


@dataclass(frozen=True)
class Memory:
    """A register that holds the steps of all sources.

    Attributes:
        steps: float32 (ΣS, D).
        sources: where each source is among them.
    """

    steps: Array
    sources: Sources


class Attend(Stage):
    r"""The mean of a source's values, weighted by the softmax of the scores of its keys.

    .. math:: e_s = \alpha\, q^\top k_s \;\text{or}\; \alpha\, v^\top \tanh(q + k_s), \quad
              c = \sum_s \mathrm{softmax}(e)_s\, m_s

    A source without steps gives zeros.
    """

    def run(self, reads: list[Any], packed: Packed, state: StateArrays) -> Array:
        query, keys, values = reads
        scale, weight = float(self.op.options.get("scale", 1.0)), self.weights.get("weight")
        kernel = getattr(_kernels.kernels, "attend", None)  # kernels that were compiled earlier lack it
        if kernel is None:
            return _in_numpy(query, keys, values, weight, scale)
        context = np.empty((len(query), values.steps.shape[1]), np.float32)
        sources = keys.sources
        arguments = {
            "rows": len(query),
            "size": query.shape[1],
            "values": values.steps.shape[1],
            "steps": len(keys.steps),
            "scale": scale,
            "query": np.ascontiguousarray(query),
            "keys": keys.steps,
            "memory": values.steps,
            "weight": weight,
            "starts": sources.starts,
            "lengths": sources.lengths,
            "sources": sources.of_rows,
            "context": context,
        }
        kernel(arguments, self.threads)
        return context


def _in_numpy(query: Array, keys: Memory, values: Memory, weight: Array | None, scale: float) -> Array:
    sources = keys.sources
    context = np.zeros((len(query), values.steps.shape[1]), np.float32)
    order = np.argsort(sources.of_rows, kind="stable")
    firsts = np.flatnonzero(np.diff(sources.of_rows[order], prepend=-1))
    for rows in np.split(order, firsts[1:]) if len(order) else ():
        source = sources.of_rows[rows[0]]
        steps = slice(sources.starts[source], sources.starts[source] + sources.lengths[source])
        if sources.lengths[source]:
            context[rows] = _shares(query[rows], keys.steps[steps], weight, scale) @ values.steps[steps]
    return context


def attention_shares(op: Op, weights: Mapping[str, Array], query: Array, keys: Memory) -> list[Array]:
    """Return the share of each step of its source in the mean that each row reads: one array (S,) a row.

    Args:
        op: of the kind ``attend``.
        weights: role -> array, of the op.
        query: (N, H).
        keys: of the sources.
    """
    sources, shares = keys.sources, []
    for row, source in zip(query, sources.of_rows, strict=True):
        steps = keys.steps[sources.starts[source] : sources.starts[source] + sources.lengths[source]]
        scale = float(op.options.get("scale", 1.0))
        shares.append(_shares(row[None], steps, weights.get("weight"), scale)[0] if len(steps) else steps[:, 0])
    return shares


def _shares(query: Array, keys: Array, weight: Array | None, scale: float) -> Array:
    """Return the softmax (R, S) of the scores of keys (S, H) for queries (R, H)."""
    scores = query @ keys.T if weight is None else np.tanh(query[:, None] + keys) @ weight[0]
    return arithmetic.softmax(np.float32(scale) * scores)
