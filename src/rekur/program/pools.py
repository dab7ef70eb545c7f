"""The pools of a program, ready to run: they take chunks of steps, and return one row at any time.

Axes: R rows, N packed steps, D numbers of a step.
"""

from __future__ import annotations

import numpy as np

from rekur._tensors import Array
from rekur.program import arithmetic
from rekur.program.packed import Packed
from rekur.program.stages import Stage, StateArrays

#: sequences, on average over time, from which on it is faster to add up step by step
_MANY = 16


class PoolStage(Stage):
    """A pool with its weights."""

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        """Return the result of each sequence so far (R, D), after further steps."""
        self.take(reads[0], packed, state)
        return self.read(state)

    def take(self, x: Array, packed: Packed, state: StateArrays) -> None:
        """Update ``state`` with further steps (N, D)."""
        raise NotImplementedError

    def read(self, state: StateArrays) -> Array:
        """Return the result of each sequence so far (R, D)."""
        raise NotImplementedError

    def _of(self, role: str, state: StateArrays) -> Array:
        return state[self.op.state[role]]

    def _put(self, state: StateArrays, **arrays: Array) -> None:
        for role, array in arrays.items():
            state[self.op.state[role]] = array


class Last(PoolStage):
    """The last step."""

    def take(self, x: Array, packed: Packed, state: StateArrays) -> None:
        self._put(state, last=x[packed.last])

    def read(self, state: StateArrays) -> Array:
        return self._of("last", state)


class Ends(PoolStage):
    """The first half of the last step, joined with the second half of the first step."""

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        half = reads[0].shape[1] // 2
        return np.concatenate([reads[0][packed.last, :half], reads[0][: packed.rows, half:]], axis=1)


class Mean(PoolStage):
    """The mean over all steps."""

    def take(self, x: Array, packed: Packed, state: StateArrays) -> None:
        mean, count = self._of("mean", state), self._of("count", state)
        new = _sums(x, packed) / packed.lengths[:, None].astype(np.float32)
        total = count + packed.lengths[:, None]
        share = (packed.lengths[:, None] / total).astype(np.float32)
        self._put(state, mean=mean + (new - mean) * share, count=total)

    def read(self, state: StateArrays) -> Array:
        return self._of("mean", state)


def _sums(x: Array, packed: Packed) -> Array:
    """Return the sum of the steps (N, D) of each sequence, (R, D), added up step after step whatever the batch."""
    if packed.total < _MANY * packed.steps:
        rows, ends = x[packed.by_row], packed.starts + packed.lengths
        return np.stack([_sum(rows[first:end]) for first, end in zip(packed.starts, ends, strict=True)])
    sums = x[: packed.rows].copy()
    for first, active in zip(packed.first[1:].tolist(), packed.active[1:].tolist(), strict=True):
        sums[:active] += x[first : first + active]
    return sums


def _sum(rows: Array) -> Array:
    """Return the sum of rows (T, D), (D,), added up one after the other: NumPy adds a single column up in parts."""
    return np.asarray(np.add.accumulate(rows)[-1] if rows.shape[1] == 1 else rows.sum(axis=0))


class Max(PoolStage):
    """The largest value of each number over all steps."""

    def take(self, x: Array, packed: Packed, state: StateArrays) -> None:
        largest, count = self._of("largest", state), self._of("count", state)
        new = np.maximum.reduceat(x[packed.by_row], packed.starts, axis=0)
        self._put(
            state,
            largest=np.where(count > 0, np.maximum(largest, new), new),
            count=count + packed.lengths[:, None],
        )

    def read(self, state: StateArrays) -> Array:
        return self._of("largest", state)


class Attention(PoolStage):
    """A weighted mean over all steps; its softmax is stored as a running maximum, sum and weighted sum."""

    def take(self, x: Array, packed: Packed, state: StateArrays) -> None:
        total, mass, top = (self._of(role, state) for role in ("total", "mass", "top"))
        x = x[packed.by_row]
        hidden = np.tanh(arithmetic.affine(x, self.weights["weight"], self.weights["bias"], self.threads))
        scores = arithmetic.affine(hidden, self.weights["score"], None, self.threads)
        new_top = np.maximum.reduceat(scores, packed.starts, axis=0)
        begun = mass > 0
        new_top = np.where(begun, np.maximum(top, new_top), new_top)
        old_share = np.where(begun, np.exp(np.where(begun, top, new_top) - new_top), np.float32(0))
        shares = np.exp(scores - np.repeat(new_top, packed.lengths, axis=0))
        self._put(
            state,
            total=total * old_share + np.add.reduceat(shares * x, packed.starts, axis=0),
            mass=mass * old_share + np.add.reduceat(shares, packed.starts, axis=0),
            top=new_top,
        )

    def read(self, state: StateArrays) -> Array:
        mass = self._of("mass", state)
        return np.asarray(self._of("total", state) / np.where(mass > 0, mass, np.float32(1)))


POOLS: dict[str, type[PoolStage]] = {"last": Last, "ends": Ends, "mean": Mean, "max": Max, "attention": Attention}
