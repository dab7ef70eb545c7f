"""The ops of a body and a head as ONNX operators.

Axes: T time, B sequences, D numbers of a row that is read, O of one that is written, V tokens, K steps of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from rekur._tensors import Array
from rekur.program import Op
from rekur.program.stages import SPREAD
from rekur.ship.to_onnx.frame import Frame
from rekur.ship.to_onnx.graph import Value
from rekur.ship.to_onnx.recur import recur

_FUNCTIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def _embed(frame: Frame, op: Op, reads: list[Value]) -> Value:
    name = op.weights["table"]
    return frame.graph.rows(name, frame.matrix(name), reads[0])


def _affine(frame: Frame, op: Op, reads: list[Value]) -> Value:
    weight = frame.weight(op, "weight")
    if "rows" in op.options:
        first, end = op.options["rows"]
        matrix = weight.slice(first, end, 0).transpose(1, 0)
    else:
        matrix = frame.graph.turned(weight)
    product = reads[0] @ matrix
    return product + frame.weight(op, "bias") if "bias" in op.weights else product


def _activation(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return reads[0].apply(_FUNCTIONS[op.options["function"]])


def _layer_norm(frame: Frame, op: Op, reads: list[Value]) -> Value:
    gain, bias = frame.weight(op, "gain"), frame.weight(op, "bias")
    epsilon = op.options["epsilon"]
    return frame.graph.node("LayerNormalization", reads[0], gain, bias, axis=-1, epsilon=epsilon)


def _add(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return reads[0] + reads[1]


def _concat(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return frame.graph.node("Concat", *reads, axis=-1)


def _softmax(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return frame.graph.node("Softmax", reads[0], axis=-1)


def _log_softmax(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return frame.graph.node("LogSoftmax", reads[0], axis=-1)


def _clusters(frame: Frame, op: Op, reads: list[Value]) -> Value:
    first, *inside = reads
    frequent = op.size - sum(frame.sizes[name] for name in op.reads[1:])
    head, *each = first.split(frequent, *(len(inside) * [1]))
    parts = [part + own for part, own in zip(inside, each, strict=True)]
    return frame.graph.node("Concat", head, *parts, axis=-1)


def _padding(frame: Frame, op: Op, reads: list[Value]) -> Value:
    ends = np.array([1, 0], np.int64)
    return frame.graph.node("Pad", reads[0], ends, -np.inf, np.array([-1], np.int64))


def _with_earlier(frame: Frame, name: str, x: Value) -> Value:
    """Return steps with those before the first in front of them, along time, and keep the last ones."""
    keep = frame.begins(name).shape[0]
    before = frame.state(name)
    axes = (1, 0) if frame.begins(name).ndim == 1 else (1, 0, 2)
    joined = frame.graph.node("Concat", before.transpose(*axes), x, axis=0)
    if frame.live:
        frame.after[name] = joined.slice(-keep, None, 0).transpose(*axes)
    return joined


def _conv(frame: Frame, op: Op, reads: list[Value]) -> Value:
    x = reads[0]
    if "before" in op.state:
        x = _with_earlier(frame, op.state["before"], x)
    weight, bias = frame.weight(op, "weight"), frame.weight(op, "bias")
    return frame.graph.node("Conv", x.transpose(1, 2, 0), weight, bias).transpose(2, 0, 1)


def _ngrams(frame: Frame, op: Op, reads: list[Value]) -> Value:
    graph, orders, name = frame.graph, op.options["orders"], op.state["before"]
    keep = max(orders) - 1
    joined = _with_earlier(frame, name, reads[0])
    key, total = _mix(reads[0]), None
    for back in range(1, max(orders)):
        key = _mix(graph.node("BitwiseXor", key, joined.slice(keep - back, -back, 0)))
        order = back + 1
        if order in orders:
            rows = _row_of(frame, op.writes, order, key, frame.weights[op.weights[f"runs_{order}"]])
            table = op.weights[f"table_{order}"]
            found = graph.rows(table, frame.matrix(table), rows)
            total = found if total is None else total + found
    return reads[0] if total is None else total


def _mix(key: Value) -> Value:
    """Return numbers of 64 bits in which every bit of the key has a say; multiplication wraps around."""
    graph = key.graph
    spread = np.array(SPREAD, np.int64)
    key = graph.node("Mul", key, spread)
    high = graph.node("BitShift", key.cast("uint64"), np.array(29, np.uint64), direction="RIGHT").cast("int64")
    return graph.node("Mul", graph.node("BitwiseXor", key, high), spread)


def _row_of(frame: Frame, place: str, order: int, key: Value, known: Array) -> Value:
    """Return the row of each run in its table, 0 for those that are not known: a look into a table of buckets."""
    graph = frame.graph
    keys, rows = _buckets(known)
    bucket = graph.node("BitwiseAnd", key, np.array(len(keys) - 1, np.int64))
    kept = graph.weight(f"{place}.keys_{order}", keys), graph.weight(f"{place}.rows_{order}", rows)
    there, row = (graph.node("Gather", table, bucket, axis=0) for table in kept)
    same = graph.node("Equal", there, key.unsqueeze(-1))
    return graph.node("Where", same, row, np.array(0, np.int64)).reduce("Sum", -1)


def _buckets(known: Array) -> tuple[Array, Array]:
    """Return keys, each in the bucket that its last bits name, and 1 + the place of each in ``known``, 0 for none."""
    known, first = np.unique(known, return_index=True)
    count = 1 << max(0, len(known) - 1).bit_length()
    buckets = known & np.int64(count - 1)
    order = np.argsort(buckets, kind="stable")
    sizes = np.bincount(buckets, minlength=count)
    within = np.arange(len(known)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    keys, rows = (np.zeros((count, max(1, int(sizes.max(initial=1)))), np.int64) for _ in range(2))
    keys[buckets[order], within], rows[buckets[order], within] = known[order], first[order] + 1
    return keys, rows


Emit = Callable[[Frame, Op, list[Value]], Value]
STEPS: Mapping[str, Emit] = MappingProxyType(
    {
        "embed": _embed,
        "ngrams": _ngrams,
        "conv": _conv,
        "recur": recur,
        "affine": _affine,
        "activation": _activation,
        "layer_norm": _layer_norm,
        "add": _add,
        "concat": _concat,
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "clusters": _clusters,
        "padding": _padding,
    }
)
