"""The ops that map steps or rows as ONNX operators.

Axes: T time, B sequences, D numbers of a row that is read, O of one that is written, V tokens, K steps of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from rekur._ids import SPREAD, UNKNOWN
from rekur._tensors import Array
from rekur.export.onnx.frame import Frame
from rekur.export.onnx.graph import Value
from rekur.export.onnx.recur import recur
from rekur.program import Op
from rekur.program.arithmetic import LEAST_SHARE, MANY

_LOWEST = float(np.finfo(np.float32).min)
_FUNCTIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "asinh": "Asinh"}


def _embed(frame: Frame, op: Op, reads: list[Value]) -> Value:
    name, ids = op.weights["table"], frame.ids(op, reads[0])
    if "vocabulary" in op.options:
        seen = frame.graph.node("Less", ids, np.array(op.options["vocabulary"], np.int64))
        ids = frame.graph.node("Where", seen, ids, np.array(UNKNOWN, np.int64))
    if "rows" in op.options and op.options["rows"][0]:
        ids = frame.graph.node("Add", ids, np.array(op.options["rows"][0], np.int64))
    return frame.graph.rows(name, frame.matrix(name), ids)


def _shift(frame: Frame, op: Op, reads: list[Value]) -> Value:
    """Return the same rows: the outputs of the first steps are left out at the end."""
    if frame.live:
        seen = op.state["seen"]
        longer = frame.graph.node("Add", frame.state(seen), np.array(1, np.int64))
        frame.after[seen] = frame.graph.node("Min", longer, np.array(op.options["steps"], np.int64))
    return reads[0]


def _affine(frame: Frame, op: Op, reads: list[Value]) -> Value:
    weight = frame.weight(op, "weight")
    if "rows" in op.options:
        first, end = op.options["rows"]
        matrix = weight.slice(first, end, 0).transpose(1, 0)
    else:
        matrix = frame.graph.turned(weight)
    x, bias = reads[0], frame.weight(op, "bias") if "bias" in op.weights else None
    if frame.weights[op.weights["weight"]].shape[1] > MANY:
        product = x.cast("float64") @ matrix.cast("float64")
        return (product if bias is None else product + bias.cast("float64")).cast("float32")
    product = x @ matrix
    return product if bias is None else product + bias


def _activation(frame: Frame, op: Op, reads: list[Value]) -> Value:
    graph, x, function = frame.graph, reads[0], op.options["function"]
    if function == "log":
        return graph.node("Max", x, LEAST_SHARE).apply("Log")
    return x.apply(_FUNCTIONS[function])


def _clip(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return frame.graph.node("Clip", reads[0], -op.options["limit"], op.options["limit"])


def _standardize(frame: Frame, op: Op, reads: list[Value]) -> Value:
    graph = frame.graph
    count = graph.node("Max", frame.lengths, np.array(1, np.int64)).cast("float32").unsqueeze(1)

    def mean(x: Value) -> Value:
        return graph.node("Where", frame.mask, x, 0.0).reduce("Sum", 0) / count

    x = reads[0] - mean(reads[0]).unsqueeze(0)
    deviation = graph.node("Max", mean(x * x).apply("Sqrt"), op.options["epsilon"])
    return x / deviation.unsqueeze(0)


def _sample(frame: Frame, op: Op, reads: list[Value]) -> Value:
    """Pool windows that end at the steps 0, K, 2K, …; those of real steps hold no padding."""
    steps = op.options["steps"]
    kind = "MaxPool" if op.options["function"] == "max" else "AveragePool"
    sizes = {"kernel_shape": [steps], "strides": [steps], "pads": [steps - 1, 0]}
    return frame.graph.node(kind, reads[0].transpose(1, 2, 0), **sizes).transpose(2, 0, 1)


def _layer_norm(frame: Frame, op: Op, reads: list[Value]) -> Value:
    gain, bias = frame.weight(op, "gain"), frame.weight(op, "bias")
    epsilon = op.options["epsilon"]
    return frame.graph.node("LayerNormalization", reads[0], gain, bias, axis=-1, epsilon=epsilon)


def _add(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return reads[0] + reads[1]


def _concat(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return frame.graph.node("Concat", *reads, axis=-1)


def _average(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return frame.graph.node("Mean", *reads)


def _slice(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return reads[0].slice(op.options["first"], op.options["end"], -1)


def _mixed(frame: Frame, op: Op, reads: list[Value]) -> Value:
    count = op.options["candidates"]
    channels = frame.program.types_of(frame.part)[op.reads[1]].size // count
    gate, prior, candidates = (value.reshape(0, 0, -1, channels, count) for value in reads)
    mixed = frame.graph.node("Softmax", gate + prior, axis=-1) * candidates
    return mixed.reduce("Sum", -1).reshape(0, 0, op.size)


def _quantiles(frame: Frame, op: Op, reads: list[Value]) -> Value:
    graph, last = frame.graph, np.array(-1, np.int64)
    points, below = frame.program.types_of(frame.part)[op.reads[0]].size, op.options["below"]
    median, error, increments = (value.reshape(0, 0, points, -1) for value in reads)
    steps = increments.apply("Softplus") * error
    lower = median - graph.node("CumSum", steps.slice(0, below, -1), last, reverse=1)
    upper = median + graph.node("CumSum", steps.slice(below, None, -1), last)
    return graph.node("Concat", lower, median, upper, axis=-1).reshape(0, 0, op.size)


def _softmax(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return frame.graph.node("Softmax", reads[0], axis=-1)


def _log_softmax(frame: Frame, op: Op, reads: list[Value]) -> Value:
    return frame.graph.node("LogSoftmax", reads[0], axis=-1)


def _clusters(frame: Frame, op: Op, reads: list[Value]) -> Value:
    first, *inside = reads
    frequent = op.size - sum(frame.program.types[name].size for name in op.reads[1:])
    head, *each = first.split(frequent, *(len(inside) * [1]))
    parts = [part + log_mass for part, log_mass in zip(inside, each, strict=True)]
    return frame.graph.node("Concat", head, *parts, axis=-1)


def _padding(frame: Frame, op: Op, reads: list[Value]) -> Value:
    ends = np.array([1, 0], np.int64)
    return frame.graph.node("Pad", reads[0], ends, -np.inf, np.array([-1], np.int64))


def _with_earlier(frame: Frame, name: str, x: Value) -> Value:
    """Return steps with the window of earlier steps in front, along time, and update the window."""
    keep = frame.begins(name).shape[0]
    window = frame.state(name)
    axes = (1, 0) if frame.begins(name).ndim == 1 else (1, 0, 2)
    joined = frame.graph.node("Concat", window.transpose(*axes), x, axis=0)
    if frame.live:
        frame.after[name] = joined.slice(-keep, None, 0).transpose(*axes)
    return joined


def _conv(frame: Frame, op: Op, reads: list[Value]) -> Value:
    x, ahead, pads = reads[0], op.options.get("ahead", 0), {}
    if "before" in op.state:
        x = _with_earlier(frame, op.state["before"], x)
    if ahead:  # what lies in the padding is zero, as beyond the end of a whole sequence
        x = frame.graph.node("Where", frame.mask, x, 0.0)
        pads = {"pads": [frame.weights[op.weights["weight"]].shape[2] - 1 - ahead, ahead]}
    weight, bias = frame.weight(op, "weight"), frame.weight(op, "bias")
    return frame.graph.node("Conv", x.transpose(1, 2, 0), weight, bias, **pads).transpose(2, 0, 1)


def _ngrams(frame: Frame, op: Op, reads: list[Value]) -> Value:
    graph, orders, name = frame.graph, op.options["orders"], op.state["before"]
    keep, ids = max(orders) - 1, frame.ids(op, reads[0])
    joined = _with_earlier(frame, name, ids)
    key, total = _mix(ids), None
    for back in range(1, max(orders)):
        key = _mix(graph.node("BitwiseXor", key, joined.slice(keep - back, -back, 0)))
        order = back + 1
        if order in orders:
            vectors = _vectors_of(frame, op, order, key)
            total = vectors if total is None else total + vectors
    return ids if total is None else total


def _recall(frame: Frame, op: Op, reads: list[Value]) -> Value:
    """Store each step's token as the follower of the run before it, then look up the follower of the run it ends."""
    graph, keep, slots = frame.graph, max(op.options["orders"]), op.options["slots"]
    ids = frame.ids(op, reads[0])
    joined = _with_earlier(frame, op.state["before"], ids)
    window = [ids, *(joined.slice(keep - back, -back, 0) for back in range(1, keep + 1))]
    followers, memories = [], []
    for index, order in enumerate(op.options["orders"]):
        read, written = _run_key(window[:order]), _run_key(window[1 : order + 1])
        entries = graph.node("BitwiseOr", _move_bits(_mark(written), 32, "LEFT"), ids)
        reads_at, writes_at = (_bits(_move_bits(key, 12, "RIGHT"), slots - 1) for key in (read, written))
        if frame.live:
            memory = graph.node("Gather", frame.state(op.state["memory"]), np.array(index, np.int64), axis=1)
            turned = [value.transpose(1, 0) for value in (writes_at, entries, reads_at)]
            memory = graph.node("ScatterElements", memory, turned[0], turned[1], axis=1)
            seen = graph.node("GatherElements", memory, turned[2], axis=1).transpose(1, 0)
            memories.append(memory.unsqueeze(1))
        else:
            seen = _latest(frame, entries, writes_at, reads_at)
        same = graph.node("Equal", _move_bits(seen, 32, "RIGHT"), _mark(read))
        followers.append(graph.node("Where", same, _bits(seen, 0xFFFFFFFF), np.array(0, np.int64)).unsqueeze(-1))
    if memories:
        frame.after[op.state["memory"]] = graph.node("Concat", *memories, axis=1)
    name = op.weights["table"]
    rows = graph.rows(name, frame.matrix(name), graph.node("Concat", *followers, axis=-1))
    return rows.reshape(0, 0, op.size)


def _latest(frame: Frame, entries: Value, writes: Value, reads: Value) -> Value:
    """Return the entry that each step reads (T, B), 0 for an empty slot; compare each step with all earlier ones."""
    graph, none = frame.graph, np.array(-1, np.int64)
    times = graph.node("Range", np.array(0, np.int64), frame.steps.squeeze(0), np.array(1, np.int64))
    earlier = graph.node("LessOrEqual", times.unsqueeze(0), times.unsqueeze(1)).unsqueeze(2)
    same = graph.node("And", graph.node("Equal", writes.unsqueeze(0), reads.unsqueeze(1)), earlier)
    last = graph.node("Where", same, times.unsqueeze(0, 2), none).reduce("Max", 1)
    entry = graph.node("GatherElements", entries, graph.node("Max", last, np.array(0, np.int64)), axis=0)
    return graph.node("Where", graph.node("Less", last, np.array(0, np.int64)), np.array(0, np.int64), entry)


def _run_key(tokens: list[Value]) -> Value:
    """Return a 64-bit key for runs of tokens, the last token first."""
    key = _mix(tokens[0])
    for token in tokens[1:]:
        key = _mix(key.graph.node("BitwiseXor", key, token))
    return key


def _mark(key: Value) -> Value:
    return _move_bits(key, 33, "RIGHT")


def _bits(value: Value, mask: int) -> Value:
    return value.graph.node("BitwiseAnd", value, np.array(mask, np.int64))


def _move_bits(value: Value, places: int, direction: str) -> Value:
    """Return numbers with their bits shifted, filled with 0."""
    graph = value.graph
    moved = graph.node("BitShift", value.cast("uint64"), np.array(places, np.uint64), direction=direction)
    return moved.cast("int64")


def _mix(key: Value) -> Value:
    """Return 64-bit hashes of keys; multiplication wraps around."""
    graph = key.graph
    spread = np.array(SPREAD, np.int64)
    key = graph.node("Mul", key, spread)
    return graph.node("Mul", graph.node("BitwiseXor", key, _move_bits(key, 29, "RIGHT")), spread)


def _vectors_of(frame: Frame, op: Op, order: int, key: Value) -> Value:
    """Return the vector of each run by a lookup in buckets of keys; unknown runs get row 0 of the table."""
    graph, name = frame.graph, op.weights[f"table_{order}"]
    table, run_keys = frame.matrix(name), frame.weights[op.weights[f"runs_{order}"]]
    if not len(run_keys):
        return graph.rows(name, table, graph.node("Sub", key, key))
    places, starts, most = _buckets(run_keys)
    # repeat the last key so that every lookup reads a whole bucket; the vector of unknown runs is the table's last row
    keys, none = run_keys[np.append(places, places[-1:].repeat(most))], np.array(len(places), np.int32)
    rows_of = np.append(places + 1, 0)
    bucket = graph.node("BitwiseAnd", key, np.array(len(starts) - 1, np.int64))
    first = graph.node("Gather", graph.weight(f"{op.writes}.starts_{order}", starts), bucket, axis=0)
    near = graph.node("Add", first.unsqueeze(-1), np.arange(most, dtype=np.int32))
    there = graph.node("Gather", graph.weight(f"{op.writes}.keys_{order}", keys), near, axis=0)
    same = graph.node("Equal", there, key.unsqueeze(-1))
    row = graph.node("Where", same, near, none).reduce("Min", -1)
    return graph.rows(f"{name}.by_bucket", table.map(lambda rows: rows[rows_of]), row)


def _buckets(run_keys: Array) -> tuple[Array, Array, int]:
    """Sort keys into buckets by their last bits, one or two keys in each on average.

    Returns:
        the indices of the keys, bucket by bucket; the start of each bucket; the size of the largest bucket.
    """
    _, places = np.unique(run_keys, return_index=True)
    count = 1 << (len(places).bit_length() - 1)
    buckets = run_keys[places] & np.int64(count - 1)
    sizes = np.bincount(buckets, minlength=count)
    starts = np.cumsum(sizes) - sizes
    return places[np.argsort(buckets, kind="stable")], starts.astype(np.int32), int(sizes.max())


def _attend(frame: Frame, op: Op, reads: list[Value]) -> Value:
    """Return the context of each row (1, B, D). Rows of one source attend together, so no memory is copied."""
    graph, (rows, keys, values) = frame.graph, reads
    size = op.size
    query_size = frame.program.types_of(frame.part)[op.reads[0]].size
    shape = graph.node("Concat", frame.grid, np.array([query_size], np.int64), axis=0)
    zeros = graph.node("Expand", np.zeros(1, np.float32), shape)
    query = graph.node("ScatterND", zeros, frame.places, rows.squeeze(0))
    if "weight" in op.weights:
        joined = (query.unsqueeze(2) + keys.unsqueeze(1)).apply("Tanh")
        scores = (joined @ graph.turned(frame.weight(op, "weight"))).squeeze(3)
    else:
        scores = query @ keys.transpose(0, 2, 1)
    scores = graph.node("Where", frame.steps_there, scores * float(op.options.get("scale", 1.0)), _LOWEST)
    shares = graph.node("Where", frame.steps_there, graph.node("Softmax", scores, axis=-1), 0.0)
    context = graph.node("GatherND", shares @ values, frame.places)
    return context.reshape(-1, size).unsqueeze(0)


Emit = Callable[[Frame, Op, list[Value]], Value]
STEPS: Mapping[str, Emit] = MappingProxyType(
    {
        "embed": _embed,
        "shift": _shift,
        "ngrams": _ngrams,
        "recall": _recall,
        "conv": _conv,
        "sample": _sample,
        "standardize": _standardize,
        "clip": _clip,
        "recur": recur,
        "affine": _affine,
        "activation": _activation,
        "layer_norm": _layer_norm,
        "add": _add,
        "concat": _concat,
        "average": _average,
        "slice": _slice,
        "mix": _mixed,
        "quantiles": _quantiles,
        "softmax": _softmax,
        "log_softmax": _log_softmax,
        "clusters": _clusters,
        "padding": _padding,
        "attend": _attend,
    }
)
