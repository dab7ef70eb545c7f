"""Cells through time: by ONNX's own operators if they have the same equations, else step by step in a Scan.

Axes: T time, B sequences, D input features, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rekur.export.onnx.equations import Equations
from rekur.export.onnx.frame import Frame
from rekur.export.onnx.graph import Axes, Value
from rekur.export.onnx.matrix import Matrix
from rekur.export.weights.layer import PEEPHOLES, reorder
from rekur.export.weights.nodes import gate_order
from rekur.program import Op
from rekur.program.cells import Cell, cell_from


def recur(frame: Frame, op: Op, reads: list[Value]) -> Value:
    """Return the outputs (T, B, O) of a recurrent op."""
    weights = {role: frame.matrix(name) for role, name in op.weights.items()}
    first = weights["weight_in" if "weight_in" in weights else "weight_ih"]
    cell = cell_from(op.options, first.numbers.shape[1], op.size)
    return (_by_operator if cell.bare and cell.form.operator else _by_scan)(frame, op, cell, weights, reads[0])


def _by_operator(frame: Frame, op: Op, cell: Cell, weights: Mapping[str, Matrix], x: Value) -> Value:
    graph, kind, gates = frame.graph, cell.form.operator, gate_order(cell.kind)

    def ordered(role: str) -> Matrix:
        return weights[role].map(lambda rows: reorder(rows, gates)[None])

    zeros = np.zeros((1, cell.gates * cell.hidden), np.float32)
    biases = [ordered(role).numbers if role in weights else zeros for role in ("bias_ih", "bias_hh")]
    reads: list[Value | None] = [x]
    reads += [graph.matrix(f"{op.writes}.{role}", ordered(role)) for role in ("weight_ih", "weight_hh")]
    biased = not {"bias_ih", "bias_hh"}.isdisjoint(weights)
    reads.append(graph.weight(f"{op.writes}.bias", np.concatenate(biases, axis=1)) if biased else None)
    reads.append(None if frame.lengths is None else frame.lengths.cast("int32"))
    names = [op.state[role] for role in cell.state()]
    reads += [frame.state(name).unsqueeze(0) if frame.live or frame.begins(name).any() else None for name in names]
    if cell.kind == "lstm_peephole":
        peeps = np.concatenate([weights[role].numbers for role in PEEPHOLES])[None]
        reads += [graph.weight(f"{op.writes}.peepholes", peeps)]
    attributes: dict[str, object] = {"hidden_size": cell.hidden}
    if op.options.get("reverse", False):
        attributes["direction"] = "reverse"
    if cell.kind == "rnn_relu":
        attributes["activations"] = ["Relu"]
    if kind == "GRU":
        attributes["linear_before_reset"] = int(cell.kind == "gru")
    y, *new_states = graph.nodes(kind, 1 + len(names), *reads, **attributes)
    if frame.live:
        frame.after |= {name: value.squeeze(0) for name, value in zip(names, new_states, strict=True)}
    return y.squeeze(1)


def _by_scan(frame: Frame, op: Op, cell: Cell, weights: Mapping[str, Matrix], x: Value) -> Value:
    graph, equations = frame.graph, Equations(frame.graph, cell, op.weights, weights)
    names = [op.state[role] for role in cell.state()]
    states = [frame.state(name) for name in names]
    if frame.live:
        y, new_states = equations.step([value.squeeze(0) for value, _ in equations.streams(x)], states)
        frame.after |= dict(zip(names, new_states, strict=True))
        return y.unsqueeze(0)
    reverse = bool(op.options.get("reverse", False))
    if reverse:
        x = graph.node("ReverseSequence", x, frame.lengths, batch_axis=1, time_axis=0)
    begins: list[tuple[Value, Axes]]
    begins = [(value, ("batch", *shape)) for value, shape in zip(states, cell.state().values(), strict=True)]
    streams: list[tuple[Value, Axes]] = [(value, ("batch", size)) for value, size in equations.streams(x)]
    y = graph.scan(op.writes, begins, streams).run(equations.step, ("batch", cell.output))
    return graph.node("ReverseSequence", y, frame.lengths, batch_axis=1, time_axis=0) if reverse else y
