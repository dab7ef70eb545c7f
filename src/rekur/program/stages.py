"""The ops of a body and a head, ready to run.

Axes: R rows, N packed steps, D size of an input row, O size of an output row, K steps of a window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rekur import _ids
from rekur._tensors import Array
from rekur.program import arithmetic
from rekur.program.cells import cell_from
from rekur.program.ops import Op
from rekur.program.packed import Packed
from rekur.program.recur import make_recur

#: name of a state -> array (R, …)
StateArrays = dict[str, Array]


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
        """Return the outputs for packed steps (N, O), and update ``state``."""
        return self.rows(reads)

    def rows(self, reads: list[Array]) -> Array:
        """Return the outputs for independent rows (N, O)."""
        raise NotImplementedError

    def ids(self, reads: list[Array]) -> Array:
        """Return the ids (N,) of the column that the op reads."""
        ids = reads[0]
        return ids if ids.ndim == 1 else ids[:, self.op.options.get("column", 0)]


class Embed(Stage):
    """A vector for each id; ids beyond the table are read as unknown."""

    def rows(self, reads: list[Array]) -> Array:
        ids, table = self.ids(reads), self.weights["table"]
        if "vocabulary" in self.op.options:
            ids = np.where(ids < len(table), ids, _ids.UNKNOWN)
        return np.asarray(table[ids])


class Affine(Stage):
    """A product with a matrix."""

    def __init__(self, op: Op, weights: Mapping[str, Array], threads: int) -> None:
        super().__init__(op, weights, threads)
        weight = weights["weight"]
        self._double = weight.T.astype(np.float64) if weight.shape[1] > arithmetic.MANY else None

    def rows(self, reads: list[Array]) -> Array:
        if self._double is not None:
            y = reads[0].astype(np.float64) @ self._double
            return np.asarray(y + self.weights.get("bias", np.float32(0)), np.float32)
        return arithmetic.affine(reads[0], self.weights["weight"], self.weights.get("bias"), self.threads)


class Activation(Stage):
    """A function of each number."""

    def rows(self, reads: list[Array]) -> Array:
        return arithmetic.FUNCTIONS[self.op.options["function"]](reads[0])


class LayerNorm(Stage):
    """Each row minus its mean, divided by its standard deviation."""

    def rows(self, reads: list[Array]) -> Array:
        even = arithmetic.layer_norm(reads[0], self.op.options["epsilon"])
        return np.asarray(even * self.weights["gain"] + self.weights["bias"])


class Add(Stage):
    """The sum of two registers."""

    def rows(self, reads: list[Array]) -> Array:
        return np.asarray(reads[0] + reads[1])


class Concat(Stage):
    """The concatenation of registers."""

    def rows(self, reads: list[Array]) -> Array:
        return np.concatenate(reads, axis=1)


class Average(Stage):
    """The mean of registers."""

    def rows(self, reads: list[Array]) -> Array:
        return np.asarray(sum(reads[1:], reads[0]) / np.float32(len(reads)))


class Slice(Stage):
    """Some numbers of each row."""

    def rows(self, reads: list[Array]) -> Array:
        return np.ascontiguousarray(reads[0][:, self.op.options["first"] : self.op.options["end"]])


class Mix(Stage):
    r"""The mean of K candidates of each point, :math:`\sum_k \mathrm{softmax}_k(g + p)\, c_k`.

    The prior weights p are those of the first points, and then they are repeated.
    """

    def rows(self, reads: list[Array]) -> Array:
        gate, prior, candidates = (each.reshape(len(each), -1, self.op.options["candidates"]) for each in reads)
        repeated = np.tile(prior, (1, gate.shape[1] // prior.shape[1], 1))
        return np.asarray((arithmetic.softmax(gate + repeated) * candidates).sum(axis=-1))


class Quantiles(Stage):
    """Rising quantiles of each point: its median, and on both sides sums of softplus increments times its error."""

    def rows(self, reads: list[Array]) -> Array:
        median, error, increments = (each.reshape(*reads[0].shape, -1) for each in reads)
        below = self.op.options["below"]
        steps = arithmetic.softplus(increments) * error
        lower = median - steps[..., :below][..., ::-1].cumsum(axis=-1)[..., ::-1]
        upper = median + steps[..., below:].cumsum(axis=-1)
        return np.concatenate([lower, median, upper], axis=-1).reshape(len(median), -1)


class Softmax(Stage):
    """The softmax of each row."""

    def rows(self, reads: list[Array]) -> Array:
        return arithmetic.softmax(reads[0])


class LogSoftmax(Stage):
    """The logarithm of the softmax of each row."""

    def rows(self, reads: list[Array]) -> Array:
        return arithmetic.log_softmax(reads[0])


class Clusters(Stage):
    """Log-probabilities of all tokens: the frequent ones, then those of each cluster plus the cluster's own."""

    def rows(self, reads: list[Array]) -> Array:
        first, *inside = reads
        frequent = first.shape[1] - len(inside)
        parts = [part + first[:, frequent + index, None] for index, part in enumerate(inside)]
        return np.concatenate([first[:, :frequent], *parts], axis=1)


class Padding(Stage):
    """The scores of all tokens, with minus infinity for padding in front."""

    def rows(self, reads: list[Array]) -> Array:
        rows, size = reads[0].shape
        padded = np.empty((rows, size + 1), np.float32)
        padded[:, 0] = -np.inf
        padded[:, 1:] = reads[0]
        return padded


class NGrams(Stage):
    """The sum of the vectors of the n-grams that end at each step."""

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        ids, orders, name = self.ids(reads), self.op.options["orders"], self.op.state["before"]
        ids = ids.astype(np.int64)
        key = _ids.mix(ids)
        total = np.zeros((len(ids), self.op.size), np.float32)
        for earlier in range(1, max(orders)):
            key = _ids.mix(key ^ back(ids, state[name], packed, earlier))
            if earlier + 1 in orders:
                total = total + self.weights[f"table_{earlier + 1}"][self._rows(earlier + 1, key)]
        state[name] = last_steps(ids, state[name], packed)
        return np.asarray(total)

    def _rows(self, order: int, keys: Array) -> Array:
        runs = self.weights[f"runs_{order}"]
        if not len(runs):
            return np.zeros_like(keys)
        index = np.minimum(np.searchsorted(runs, keys), len(runs) - 1)
        return np.where(runs[index] == keys, index + 1, 0)


class Recall(Stage):
    """For each step and order, the vector of the token that followed the last occurrence of the run ending there."""

    def run(self, reads: list[Array], packed: Packed, state: StateArrays) -> Array:
        ids, orders, slots = self.ids(reads).astype(np.int64), self.op.options["orders"], self.op.options["slots"]
        history, memory = (state[self.op.state[role]] for role in ("before", "memory"))
        window = [back(ids, history, packed, steps) for steps in range(max(orders) + 1)]
        followers, new_memory = np.empty((len(ids), len(orders)), np.int64), memory.copy()
        for index, order in enumerate(orders):
            read, written = run_key(window[:order]), run_key(window[1 : order + 1])
            entries = _ids.entry(written, ids)
            writes = (packed.row, _ids.slot(written, slots))
            seen = _latest(entries, writes, (packed.row, _ids.slot(read, slots)), memory[:, index])
            followers[:, index] = np.where(seen >> 32 == _ids.mark(read), seen & 0xFFFFFFFF, 0)
            new_memory[writes[0], index, writes[1]] = entries  # the last of several writes to a slot wins
        state[self.op.state["before"]], state[self.op.state["memory"]] = last_steps(ids, history, packed), new_memory
        return np.asarray(self.weights["table"][followers].reshape(len(ids), -1))


class Recurrent(Stage):
    """A cell through time, forwards or backwards."""

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
        y, new_state = self._recur.run(x, packed, [state[name] for name in self.names])
        state.update(zip(self.names, new_state, strict=True))
        return y if mirrored is None else y[mirrored]


class Shift(Stage):
    """The same rows: what reads the output leaves out as many of the first ones as it looks ahead."""

    def rows(self, reads: list[Array]) -> Array:
        return reads[0]


STAGES: dict[str, type[Stage]] = {
    "shift": Shift,
    "embed": Embed,
    "ngrams": NGrams,
    "recall": Recall,
    "recur": Recurrent,
    "affine": Affine,
    "activation": Activation,
    "layer_norm": LayerNorm,
    "add": Add,
    "concat": Concat,
    "average": Average,
    "slice": Slice,
    "mix": Mix,
    "quantiles": Quantiles,
    "softmax": Softmax,
    "log_softmax": LogSoftmax,
    "clusters": Clusters,
    "padding": Padding,
}


def back(x: Array, history: Array | None, packed: Packed, steps: int) -> Array:
    """Return the step that is ``steps`` earlier than each; ``history`` (R, K - 1, …) has those before the first."""
    if steps == 0 or history is None:
        return x
    places, there = packed.back(steps)
    shifted = x[places]
    old = ~there
    shifted[old] = history[packed.row[old], history.shape[1] + packed.times[old] - steps]
    return np.asarray(shifted)


def last_steps(x: Array, history: Array, packed: Packed) -> Array:
    """Return the last steps of each row, in the shape of ``history`` (R, K - 1, …)."""
    keep = history.shape[1]
    last = np.empty_like(history)
    rows = np.arange(packed.rows)
    for index in range(keep):
        time = packed.lengths - keep + index
        new = time >= 0
        last[new, index] = x[packed.first[time[new]] + rows[new]]
        last[~new, index] = history[rows[~new], keep + time[~new]]
    return last


def _latest(entries: Array, writes: tuple[Array, Array], reads: tuple[Array, Array], memory: Array) -> Array:
    """Return the entry that each step reads (N,); each step writes one slot before it reads one, in order of time.

    Args:
        entries: the entry that each step writes (N,).
        writes: the rows and slots of these writes (N,).
        reads: the rows and slots of the reads (N,).
        memory: the slots before the first step (R, S).
    """
    seen = memory[reads]
    slots = memory.shape[1]
    group = np.stack([row * slots + slot for row, slot in (writes, reads)], axis=1).reshape(-1)
    index = np.argsort(group, kind="stable")  # by slot, then in order of time, each step's write before its read
    is_write = index % 2 == 0
    latest = np.maximum.accumulate(np.where(is_write, np.arange(len(index)), -1))
    written = ~is_write & (latest >= 0) & (group[index[latest]] == group[index])
    seen[index[written] // 2] = entries[index[latest[written]] // 2]
    return np.asarray(seen)


def run_key(tokens: Sequence[Array]) -> Array:
    """Return the 64-bit key of runs of tokens, the last token first."""
    key: Array = _ids.mix(tokens[0])
    for token in tokens[1:]:
        key = _ids.mix(key ^ token)
    return key
