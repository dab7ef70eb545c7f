"""Pools as ONNX operators: over whole sequences at once, and as the update of a running state.

Axes: T time, B sequences, D numbers of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

import numpy as np

from rekur._convolutions import KERNELS, SIDE
from rekur._shares import ALL, SHARE
from rekur._tensors import Array
from rekur.export.onnx.frame import Frame
from rekur.export.onnx.graph import Graph, Value
from rekur.program import Op

_LOWEST = float(np.finfo(np.float32).min)


def pool(frame: Frame, op: Op, reads: list[Value]) -> Value:
    """Return the output of a pool (B, D): over whole sequences (T, B, D), or over its state and one step (1, B, D)."""
    if frame.live:
        return LIVE[op.kind](frame, op, reads[0].squeeze(0))
    return WHOLE[op.kind](frame, op, reads[0])


def _some(frame: Frame, row: Value) -> Value:
    """Return rows (B, D), zeros for sequences without a step."""
    some = frame.graph.node("Greater", frame.lengths, np.array(0, np.int64))
    return frame.graph.node("Where", some.unsqueeze(1), row, 0.0)


def _last(frame: Frame, op: Op, x: Value) -> Value:
    graph, lengths = frame.graph, frame.lengths
    ones = np.array(1, np.int64)
    last = graph.node("Max", graph.node("Sub", lengths, ones), np.array(0, np.int64))
    rows = graph.node("Range", np.array(0, np.int64), frame.rows.squeeze(0), ones)
    places = graph.node("Concat", last.unsqueeze(1), rows.unsqueeze(1), axis=1)
    return _some(frame, graph.node("GatherND", x, places))


def _ends(frame: Frame, op: Op, x: Value) -> Value:
    half = op.size // 2
    first = x.slice(0, 1, 0).squeeze(0).slice(half, None, 1)
    return frame.graph.node("Concat", _last(frame, op, x.slice(0, half, 2)), _some(frame, first), axis=1)


def _mean(frame: Frame, op: Op, x: Value) -> Value:
    total = frame.graph.node("Where", frame.mask, x, 0.0).reduce("Sum", 0)
    steps = frame.graph.node("Max", frame.lengths, np.array(1, np.int64))
    return total / steps.cast("float32").unsqueeze(1)


def _max(frame: Frame, op: Op, x: Value) -> Value:
    return _some(frame, frame.graph.node("Where", frame.mask, x, _LOWEST).reduce("Max", 0))


def _scores(frame: Frame, op: Op, x: Value) -> Value:
    weight, bias, score = (frame.weight(op, role) for role in ("weight", "bias", "score"))
    return (x @ frame.graph.turned(weight) + bias).apply("Tanh") @ frame.graph.turned(score)


def _attention(frame: Frame, op: Op, x: Value) -> Value:
    graph = frame.graph
    scores = graph.node("Where", frame.mask, _scores(frame, op, x), _LOWEST)
    shares = graph.node("Softmax", scores, axis=0)
    return graph.node("Where", frame.mask, shares * x, 0.0).reduce("Sum", 0)


def _shares(frame: Frame, op: Op, x: Value) -> Value:
    graph, biases = frame.graph, frame.weights[op.weights["bias"]]
    channels, lengths = frame.weights[op.weights["channels"]] != 0, cast(Value, frame.lengths)
    x = graph.node("Where", frame.mask, x, 0.0)
    times = graph.node("Range", np.array(0, np.int64), graph.node("Shape", x, end=1).squeeze(0), np.array(1, np.int64))
    columns: list[list[Value]] = [[] for _ in range(op.options.get("numbers", SHARE))]
    first = 0
    for number, (dilation, count) in enumerate(zip(op.options["dilations"], op.options["counts"], strict=True)):
        side, combinations = SIDE * dilation, slice(number * len(KERNELS), (number + 1) * len(KERNELS))
        ends = np.array([side, 0, 0, side, 0, 0], np.int64)
        padded = graph.node("Pad", x, ends, np.zeros((), np.float32))
        taps = [padded.slice(tap * dilation, (tap - 2 * SIDE) * dilation or None, 0) - x for tap in range(2 * SIDE + 1)]
        outputs = _outputs(graph, taps, channels[combinations])
        margin, whole = np.array(side, np.int64), (number + np.arange(len(KERNELS))) % 2 == 0
        late = graph.node("GreaterOrEqual", times, margin).unsqueeze(1)
        early = graph.node("Less", times.unsqueeze(1), graph.node("Sub", lengths, margin))
        inside = graph.node("And", late, early).unsqueeze(2)
        counts = graph.node("Or", graph.node("And", frame.mask, whole), graph.node("And", inside, ~whole))
        outputs = graph.node("Where", counts, outputs, _LOWEST)
        end = first + len(KERNELS) * count
        above = graph.node("Greater", outputs.unsqueeze(3), biases[first:end].reshape(len(KERNELS), count))
        fringes = np.where(whole, 0, 2 * side).astype(np.int64)
        steps = graph.node("Max", graph.node("Sub", lengths.unsqueeze(1), fringes), np.array(1, np.int64))
        steps = steps.cast("float32").unsqueeze(2)
        flags = above.cast("float32")
        numbers = [flags.reduce("Sum", 0) / steps]
        if len(columns) == ALL:
            places = graph.node("Sub", times.unsqueeze(1), np.where(whole, 0, side).astype(np.int64)).cast("float32")
            weights = (places * 2.0 + 1.0).unsqueeze(1).unsqueeze(3)
            numbers += [(flags * weights).reduce("Sum", 0) / (steps * steps), _longest(graph, flags) / steps]
        for column, each in zip(columns, numbers, strict=True):
            column.append(each.reshape(-1, end - first))
        first = end
    return graph.node("Concat", *(each for column in columns for each in column), axis=1)


def _longest(graph: Graph, flags: Value) -> Value:
    """Return the longest run of ones in time of flags (T, B, 84, b): the most of them behind as many zeros."""
    zeros = graph.node("CumSum", flags * -1.0 + 1.0, np.array(0, np.int64)).cast("int64")
    one_more = np.array([0, 0, 0, 0, 1, 0, 0, 0], np.int64)
    nothing = graph.node("Pad", flags * 0.0, one_more, np.zeros((), np.float32))
    return graph.node("ScatterElements", nothing, zeros, flags, axis=0, reduction="add").reduce("Max", 0)


def _outputs(graph: Graph, taps: list[Value], channels: Array) -> Value:
    """Return the outputs (T, B, 84) of all kernels, added up in the order in which :mod:`rekur._shares` does it.

    Args:
        graph: the graph.
        taps: the nine steps of a kernel less the middle one, (T, B, D); exactly 0 where a series is constant.
        channels: 1 where a convolution reads a channel, (84, D).
    """
    three = np.array(3, np.float32)
    taps = [tap * three for tap in taps]
    total = taps[0]
    for tap in taps[1:]:
        total = total + tap
    mean, width = total / np.array(9, np.float32), channels.shape[1]
    columns = graph.node("Concat", *(tap - mean for tap in taps), axis=2)
    nothing = (2 * SIDE + 1) * width  # a further column, of zeros
    columns = graph.node("Pad", columns, np.array([0, 0, 0, 0, 0, 1], np.int64), np.zeros((), np.float32))
    outputs: Value | None = None
    for number in range(int(channels.sum(axis=1).max())):
        there, channel = channels.sum(axis=1) > number, np.argsort(~channels, axis=1, kind="stable")[:, number]
        for each in np.array(KERNELS).T:
            term = graph.node("Gather", columns, np.where(there, each * width + channel, nothing), axis=2)
            outputs = term if outputs is None else outputs + term
    return outputs if outputs is not None else taps[0]


def _next_last(frame: Frame, op: Op, x: Value) -> Value:
    frame.after[op.state["last"]] = x
    return x


def _counted(frame: Frame, op: Op) -> tuple[Value, Value]:
    """Return the count of steps (B, 1) including this one, and whether there was an earlier one."""
    graph, count = frame.graph, frame.state(op.state["count"])
    frame.after[op.state["count"]] = now = graph.node("Add", count, np.array(1, np.int64))
    return now, graph.node("Greater", count, np.array(0, np.int64))


def _next_mean(frame: Frame, op: Op, x: Value) -> Value:
    count, _ = _counted(frame, op)
    mean = frame.state(op.state["mean"])
    frame.after[op.state["mean"]] = now = mean + (x - mean) / count.cast("float32")
    return now


def _next_max(frame: Frame, op: Op, x: Value) -> Value:
    _, begun = _counted(frame, op)
    larger = frame.graph.node("Max", frame.state(op.state["largest"]), x)
    frame.after[op.state["largest"]] = now = frame.graph.node("Where", begun, larger, x)
    return now


def _next_attention(frame: Frame, op: Op, x: Value) -> Value:
    graph, score = frame.graph, _scores(frame, op, x)
    total, mass, top = (frame.state(op.state[role]) for role in ("total", "mass", "top"))
    begun = graph.node("Greater", mass, 0.0)
    now = graph.node("Where", begun, graph.node("Max", top, score), score)
    decay = graph.node("Where", begun, (graph.node("Where", begun, top, now) - now).apply("Exp"), 0.0)
    share = (score - now).apply("Exp")
    total, mass = total * decay + share * x, mass * decay + share
    frame.after |= {op.state["total"]: total, op.state["mass"]: mass, op.state["top"]: now}
    return total / mass


Emit = Callable[[Frame, Op, Value], Value]
WHOLE: Mapping[str, Emit] = MappingProxyType(
    {"last": _last, "ends": _ends, "mean": _mean, "max": _max, "attention": _attention, "shares": _shares}
)
LIVE: Mapping[str, Emit] = MappingProxyType(
    {"last": _next_last, "mean": _next_mean, "max": _next_max, "attention": _next_attention}
)
