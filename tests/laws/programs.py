"""Programs with columns of ids, a look-ahead and an output at every step, and their values in float64.

Axes: T time, C columns of ids, D numbers of a row, H hidden, K numbers of an output.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np
from hypothesis import strategies as st

from rekur.program import Input, Op, Program, State, Weight

Array = np.ndarray[Any, Any]
HIDDEN, CLASSES = 6, 4
#: drawn options of :func:`tagger`
TAGGERS: dict[str, Any] = {
    "columns": st.sampled_from([(9,), (11, 5, 4), ()]),
    "delay": st.integers(0, 3),
    "kernel_size": st.sampled_from([1, 3]),
    "unseen": st.integers(0, 3),
    "head": st.sampled_from([(), ("softmax",), ("log_softmax",), ("layer_norm", "activation"), ("padding",)]),
}


class Tagger:
    """A program under construction.

    Args:
        columns: size of the vocabulary of each column; none for rows of 4 numbers.
        delay: steps of the look-ahead.
        kernel_size: steps of a convolution; 1 for none.
        unseen: ids of the first column that its table lacks, the last ones.
        bidirectional: also read from the end.
        head: ops behind the product with the classes.
        pool: a pool in place of an output at every step.
        classes: numbers of an output.
        seed: of the weights.
    """

    def __init__(
        self,
        columns: tuple[int, ...] = (11, 5, 4),
        *,
        delay: int = 0,
        kernel_size: int = 1,
        unseen: int = 0,
        bidirectional: bool = False,
        head: tuple[str, ...] = (),
        pool: str = "",
        classes: int = CLASSES,
        seed: int = 0,
    ) -> None:
        self._random = np.random.default_rng(seed)
        self.weights: dict[str, Array] = {}
        self._state: list[State] = []
        self._ops: list[Op] = []
        reads, size = self._embedded(columns, unseen) if columns else ("input", 4)
        if kernel_size > 1:
            reads, size = self._convolved(reads, size, kernel_size), HIDDEN
        sides = [self._recurrent(reads, size, side) for side in (("ahead", "back") if bidirectional else ("ahead",))]
        reads, size = sides[0], HIDDEN * len(sides)
        if bidirectional:
            reads = self._add("concat", tuple(sides), "sides", size)
        if delay:
            reads = self._add("shift", (reads,), "later", size, state={"seen": (1,)}, options={"steps": delay})
        if pool:
            reads = self._add(pool, (reads,), pool, size, state={"last": (size,)} if pool == "last" else {})
        weights = {"weight": self._weight("classes", classes, size), "bias": self._weight("classes.bias", classes)}
        reads = self._add("affine", (reads,), "scores", classes, weights)
        for kind in head:
            reads = self._headed(kind, reads)
        source = Input("ids", len(columns), columns) if columns else Input("rows", 4)
        shapes = {name: Weight(array.shape) for name, array in self.weights.items()}
        self.program = Program.of("tag", source, shapes, tuple(self._state), tuple(self._ops))

    def _embedded(self, columns: tuple[int, ...], unseen: int) -> tuple[str, int]:
        """Give the first column a table of its own, and the others parts of one table."""
        first = {"table": self._weight("words", columns[0] - unseen, 5)}
        options: dict[str, Any] = {"column": 0} if len(columns) > 1 else {}
        if unseen:
            options["vocabulary"] = columns[0] - unseen
        names = [self._add("embed", ("input",), "words", 5, first, options=options)]
        if len(columns) == 1:
            return names[0], 5
        shared = {"table": self._weight("parts", sum(columns[1:]), 3)}
        ends = list(accumulate(columns[1:]))
        for column, (size, end) in enumerate(zip(columns[1:], ends, strict=True), start=1):
            options = {"column": column, "rows": [end - size, end]}
            names.append(self._add("embed", ("input",), f"part.{column}", 3, shared, options=options))
        size = 5 + 3 * len(ends)
        return self._add("concat", tuple(names), "embedding", size), size

    def _convolved(self, reads: str, size: int, kernel_size: int) -> str:
        weights = {"weight": self._weight("conv", HIDDEN, size, kernel_size), "bias": self._weight("conv.bias", HIDDEN)}
        return self._add("conv", (reads,), "conv", HIDDEN, weights, {"before": (kernel_size - 1, size)})

    def _recurrent(self, reads: str, size: int, name: str) -> str:
        shapes = {"weight_ih": (3 * HIDDEN, size), "weight_hh": (3 * HIDDEN, HIDDEN)}
        shapes |= {"bias_ih": (3 * HIDDEN,), "bias_hh": (3 * HIDDEN,)}
        weights = {role: self._weight(f"{name}.{role}", *shape) for role, shape in shapes.items()}
        options = {"cell": "gru", "hidden": HIDDEN, **({"reverse": True} if name == "back" else {})}
        return self._add("recur", (reads,), name, HIDDEN, weights, {"h": (HIDDEN,)}, options)

    def _headed(self, kind: str, reads: str) -> str:
        if kind == "activation":
            return self._add(kind, (reads,), kind, CLASSES, options={"function": "tanh"})
        if kind == "layer_norm":
            weights = {"gain": self._weight("gain", CLASSES), "bias": self._weight("norm.bias", CLASSES)}
            return self._add(kind, (reads,), kind, CLASSES, weights, options={"epsilon": 1e-5})
        return self._add(kind, (reads,), kind, CLASSES + (kind == "padding"))

    def _weight(self, name: str, *shape: int) -> str:
        self.weights[name] = (self._random.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)
        return name

    def _add(
        self,
        kind: str,
        reads: tuple[str, ...],
        writes: str,
        size: int,
        weights: Mapping[str, str] | None = None,
        state: Mapping[str, tuple[int, ...]] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        names = {}
        for role, shape in (state or {}).items():
            names[role] = f"{writes}.{role}"
            self._state.append(State(names[role], shape, "int64" if role == "seen" else "float32"))
        self._ops.append(Op(kind, reads, writes, size, weights or {}, names, options or {}))
        return writes


def tagger(*args: Any, **options: Any) -> tuple[Program, dict[str, Array]]:
    """Return a program and its weights; the arguments are those of :class:`Tagger`."""
    built = Tagger(*args, **options)
    return built.program, built.weights


def values(program: Program, weights: Mapping[str, Array], x: Array) -> Array:
    """Return the outputs of a sequence in float64, by the definition of each op: (T, K), or (K,) with a pool."""
    delay = sum(op.options["steps"] for op in program.main.ops if op.kind == "shift")
    registers = {"input": np.concatenate([x, np.zeros((delay, *x.shape[1:]), x.dtype)])}
    for op in program.main.ops:
        reads = [registers[name] for name in op.reads]
        arrays = {role: weights[name].astype(np.float64) for role, name in op.weights.items()}
        registers[op.writes] = op_value(op, reads, arrays)
    return registers[program.output]


def op_value(op: Op, reads: list[Array], weights: Mapping[str, Array], begin: Array | None = None) -> Array:
    """Return what an op writes, in float64 by its definition.

    Args:
        op: the op.
        reads: what it reads.
        weights: role -> array.
        begin: the state before the first step, of a recurrent op.
    """
    x = reads[0]
    if op.kind == "embed":
        table = weights["table"][slice(*op.options.get("rows", [None]))]
        ids = x[:, op.options.get("column", 0)]
        return np.asarray(table[np.where(ids < op.options.get("vocabulary", np.inf), ids, 1)])
    if op.kind == "concat":
        return np.concatenate(reads, axis=-1)
    if op.kind == "conv":
        window = weights["weight"].shape[2]
        padded = np.concatenate([np.zeros((window - 1, x.shape[1])), x])
        seen = [padded[k : k + len(x)] @ weights["weight"][:, :, k].T for k in range(window)]
        return np.asarray(sum(seen) + weights["bias"])
    if op.kind == "recur":
        return _gru(x[::-1], weights)[::-1] if op.options.get("reverse") else _gru(x, weights, begin)
    if op.kind == "attend":
        return _attended(op, *reads, weights)
    if op.kind == "mean":
        return x.mean(axis=0) if len(x) else np.zeros(op.size)
    if op.kind == "shift":
        return x[op.options["steps"] :]
    if op.kind == "last":
        return x[-1] if len(x) else np.zeros(op.size)
    if op.kind == "affine":
        product = x @ weights["weight"][slice(*op.options.get("rows", [None]))].T
        return np.asarray(product + weights.get("bias", 0))
    if op.kind == "layer_norm":
        even = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + op.options["epsilon"])
        return np.asarray(even * weights["gain"] + weights["bias"])
    if op.kind == "activation":
        return np.tanh(x)
    if op.kind == "padding":
        return np.concatenate([np.full((*x.shape[:-1], 1), -np.inf), x], axis=-1)
    logs = x - np.log(np.exp(x).sum(-1, keepdims=True))
    return logs if op.kind == "log_softmax" else np.exp(logs)


def _attended(op: Op, query: Array, keys: Array, memory: Array, weights: Mapping[str, Array]) -> Array:
    if not len(memory):
        return np.zeros((len(query), op.size))
    scores = query @ keys.T
    if op.options["score"] == "additive":
        scores = np.tanh(query[:, None] + keys) @ weights["weight"][0]
    shares = np.exp(op.options.get("scale", 1.0) * scores)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True) @ memory)


def _gru(x: Array, weights: Mapping[str, Array], begin: Array | None = None) -> Array:
    h, rows = np.zeros(HIDDEN) if begin is None else begin, np.zeros((len(x), HIDDEN))
    for index, row in enumerate(x):
        left = weights["weight_ih"] @ row + weights["bias_ih"]
        right = weights["weight_hh"] @ h + weights["bias_hh"]
        reset, update = np.split(1 / (1 + np.exp(-(left + right)[: 2 * HIDDEN])), 2)
        candidate = np.tanh(left[2 * HIDDEN :] + reset * right[2 * HIDDEN :])
        rows[index] = h = update * h + (1 - update) * candidate
    return rows
