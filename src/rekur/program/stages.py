"""The ops of a body and a head, ready to run.

Axes: R rows, N packed steps, D numbers of a row that is read, O of one that is written, K steps of a window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rekur._tensors import Array
from rekur.program import arithmetic
from rekur.program.cells import cell_from
from rekur.program.ops import Op
from rekur.program.packed import Packed
from rekur.program.recur import make_recur

#: name of a state -> array (R, …)
StateArrays = dict[str, Array]

#: an odd number whose multiples spread over 64 bits, as in rekur.nn.ngram
SPREAD = np.int64(-7046029254386353131)


class Stage:
    """An op with its weights.

    Args:
        op: the op.
        weights: role -> array.
        threads: most threads of its products.
    """

    def __init__(self, op: Op, weights: Mapping[str, Array], threads: int) -> None:
        self.op, self.weights, self.threads = op, weights, threads

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        """Return what the op writes for packed steps (N, O), and put its new state into ``state``."""
        return self.rows(reads)

    def rows(self, reads: list[Array]) -> Array:
        """Return what the op writes for rows that stand for themselves (N, O)."""
        raise NotImplementedError


class Embed(Stage):
    """A vector for each token."""

    def rows(self, reads: list[Array]) -> Array:
        return np.asarray(self.weights["table"][reads[0]])


class Affine(Stage):
    """A product with a matrix."""

    def rows(self, reads: list[Array]) -> Array:
        return arithmetic.affine(reads[0], self.weights["weight"], self.weights.get("bias"), self.threads)


class Activation(Stage):
    """A function of each number."""

    def rows(self, reads: list[Array]) -> Array:
        return arithmetic.FUNCTIONS[self.op.options["function"]](reads[0])


class LayerNorm(Stage):
    """Each row less its mean, over its standard deviation."""

    def rows(self, reads: list[Array]) -> Array:
        even = arithmetic.layer_norm(reads[0], self.op.options["epsilon"])
        return np.asarray(even * self.weights["gain"] + self.weights["bias"])


class Add(Stage):
    """The sum of two registers."""

    def rows(self, reads: list[Array]) -> Array:
        return np.asarray(reads[0] + reads[1])


class Concat(Stage):
    """Registers side by side."""

    def rows(self, reads: list[Array]) -> Array:
        return np.concatenate(reads, axis=1)


class Softmax(Stage):
    """Shares that add up to 1."""

    def rows(self, reads: list[Array]) -> Array:
        return arithmetic.softmax(reads[0])


class LogSoftmax(Stage):
    """Logarithms of shares that add up to 1."""

    def rows(self, reads: list[Array]) -> Array:
        return arithmetic.log_softmax(reads[0])


class Clusters(Stage):
    """Log-probabilities of all tokens: of the frequent ones, then of each cluster's, given its own."""

    def rows(self, reads: list[Array]) -> Array:
        first, *inside = reads
        frequent = first.shape[1] - len(inside)
        parts = [part + first[:, frequent + place, None] for place, part in enumerate(inside)]
        return np.concatenate([first[:, :frequent], *parts], axis=1)


class Padding(Stage):
    """Minus infinity, the score of padding, before the scores of all other tokens."""

    def rows(self, reads: list[Array]) -> Array:
        rows, size = reads[0].shape
        padded = np.empty((rows, size + 1), np.float32)
        padded[:, 0] = -np.inf
        padded[:, 1:] = reads[0]
        return padded


class Conv(Stage):
    """A convolution over this step and those before it."""

    def __init__(self, op: Op, weights: Mapping[str, Array], threads: int) -> None:
        super().__init__(op, weights, threads)
        size, _, self._window = weights["weight"].shape
        self._matrix = np.ascontiguousarray(weights["weight"].transpose(0, 2, 1)).reshape(size, -1)

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        window, name = self._window, self.op.state.get("before", "")
        before = state.get(name)
        seen = [_back(reads[0], before, packed, steps) for steps in range(window - 1, -1, -1)]
        if before is not None:
            state[name] = _kept(reads[0], before, packed)
        return arithmetic.affine(np.concatenate(seen, axis=1), self._matrix, self.weights["bias"], self.threads)


class NGrams(Stage):
    """The sum of vectors for the runs of tokens that end at each step."""

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        ids, orders, name = reads[0], self.op.options["orders"], self.op.state["before"]
        ids = ids.astype(np.int64)
        key = _mix(ids)
        total = np.zeros((len(ids), self.op.size), np.float32)
        for back in range(1, max(orders)):
            key = _mix(key ^ _back(ids, state[name], packed, back))
            if back + 1 in orders:
                total = total + self.weights[f"table_{back + 1}"][self._rows(back + 1, key)]
        state[name] = _kept(ids, state[name], packed)
        return np.asarray(total)

    def _rows(self, order: int, keys: Array) -> Array:
        known = self.weights[f"runs_{order}"]
        if not len(known):
            return np.zeros_like(keys)
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[place] == keys, place + 1, 0)


class Recall(Stage):
    """The vectors of the tokens that followed the runs that end at each step when they stood in the sequence last."""

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        ids, orders, slots = reads[0].astype(np.int64), self.op.options["orders"], self.op.options["slots"]
        before, memory = (state[self.op.state[role]] for role in ("before", "memory"))
        window = [_back(ids, before, packed, back) for back in range(max(orders) + 1)]
        found, after = np.empty((len(ids), len(orders)), np.int64), memory.copy()
        for place, order in enumerate(orders):
            read, written = run_key(window[:order]), run_key(window[1 : order + 1])
            entries = (mark_of(written) << 32) | ids
            writes = (packed.row, written >> 12 & (slots - 1))
            seen = _latest(entries, writes, (packed.row, read >> 12 & (slots - 1)), memory[:, place])
            found[:, place] = np.where(seen >> 32 == mark_of(read), seen & 0xFFFFFFFF, 0)
            after[writes[0], place, writes[1]] = entries  # of several for one slot the last one stays
        state[self.op.state["before"]], state[self.op.state["memory"]] = _kept(ids, before, packed), after
        return np.asarray(self.weights["table"][found].reshape(len(ids), -1))


class Recurrent(Stage):
    """A cell through time, from the first step on or from the last."""

    def __init__(self, op: Op, weights: Mapping[str, Array], threads: int) -> None:
        super().__init__(op, weights, threads)
        self.cell = cell_from(op.options, weights["weight_ih"].shape[1], op.size)
        if "weight_in" in weights:
            self.cell = cell_from(op.options, weights["weight_in"].shape[1], op.size)
        self.names = [op.state[role] for role in self.cell.state()]
        self._recur = make_recur(self.cell, weights, threads)

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        x = reads[0]
        reverse = self.op.options.get("reverse", False)
        mirrored = packed.mirrored if reverse else None
        if mirrored is not None:
            x = x[mirrored]
        y, after = self._recur.run(x, packed, [state[name] for name in self.names])
        state.update(zip(self.names, after, strict=True))
        return y if mirrored is None else y[mirrored]


STAGES: dict[str, type[Stage]] = {
    "embed": Embed,
    "ngrams": NGrams,
    "recall": Recall,
    "conv": Conv,
    "recur": Recurrent,
    "affine": Affine,
    "activation": Activation,
    "layer_norm": LayerNorm,
    "add": Add,
    "concat": Concat,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
    "clusters": Clusters,
    "padding": Padding,
}


def _back(x: Array, before: Array | None, packed: Packed, steps: int) -> Array:
    """Return what stood so many steps before each, in ``before`` (R, K - 1, …) where that is before the first."""
    if steps == 0 or before is None:
        return x
    places, there = packed.back(steps)
    found = x[places]
    old = ~there
    found[old] = before[packed.row[old], before.shape[1] + packed.times[old] - steps]
    return np.asarray(found)


def _kept(x: Array, before: Array, packed: Packed) -> Array:
    """Return the last steps of each row, as many as ``before`` (R, K - 1, …) holds."""
    keep = before.shape[1]
    kept = np.empty_like(before)
    rows = np.arange(packed.rows)
    for place in range(keep):
        time = packed.lengths - keep + place
        new = time >= 0
        kept[new, place] = x[packed.first[time[new]] + rows[new]]
        kept[~new, place] = before[rows[~new], keep + time[~new]]
    return kept


def _latest(entries: Array, writes: tuple[Array, Array], reads: tuple[Array, Array], memory: Array) -> Array:
    """Return what each step finds in a slot (N,), where each first writes into one: steps in the order of time.

    Args:
        entries: what each step writes (N,).
        writes: the rows and the slots into which it does (N,).
        reads: those from which it reads (N,).
        memory: what stands in the slots before (R, S).
    """
    seen = memory[reads]
    slots = memory.shape[1]
    group = np.stack([row * slots + slot for row, slot in (writes, reads)], axis=1).reshape(-1)
    index = np.argsort(group, kind="stable")  # step after step for each slot, each with its writing before its reading
    is_write = index % 2 == 0
    latest = np.maximum.accumulate(np.where(is_write, np.arange(len(index)), -1))
    known = ~is_write & (latest >= 0) & (group[index[latest]] == group[index])
    seen[index[known] // 2] = entries[index[latest[known]] // 2]
    return np.asarray(seen)


def run_key(tokens: Sequence[Array]) -> Array:
    """Return a number of 64 bits for runs of tokens, the last first, as in rekur.nn.ngram."""
    key = _mix(tokens[0])
    for token in tokens[1:]:
        key = _mix(key ^ token)
    return key


def mark_of(key: Array) -> Array:
    """Return the number of 31 bits by which a run is known again, as in rekur.nn.recall."""
    return np.asarray(key >> 33 & 0x7FFFFFFF)


def _mix(key: Array) -> Array:
    """Return numbers of 64 bits in which every bit of the key has a say; multiplication wraps around."""
    key = key * SPREAD
    return np.asarray((key ^ ((key >> 29) & 0x7FFFFFFFF)) * SPREAD)
