"""The recurrent cells of a program as calls of C functions.

Axes: D input features, H hidden, O output, K heads, E = H/K units of a head, G gates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from rekur.export.c.constants import Array
from rekur.export.c.ops import FloatModel, number
from rekur.export.c.section import Section, at
from rekur.program import Op
from rekur.program.cells import Cell, cell_from
from rekur.program.cells_numpy import log_decay


def recur(model: FloatModel, section: Section, op: Op) -> None:
    """Add the calls of a step of a cell."""
    cell = cell_from(op.options, model.width(op.reads[0]), op.size)
    x = section.read(op.reads[0])
    _FAMILIES[cell.form.family](model, section, op, cell, x)
    if "h" not in op.state:
        return
    slot = next(slot for slot in model.program.state if slot.name == op.state["h"])
    section.alias(op, model.state(op, "h"), begins_zero=slot.begins == 0.0)


def _sums(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> str:
    """Add the sums of all gates (bias, product with x, product with h); return their C expression."""
    rows, h = cell.gates * cell.hidden, model.state(op, "h")
    if cell.norm:
        return _normalised_sums(model, section, op, cell, x)
    y = section.scratch(rows)
    model.start(section, y, _bias(model, op), rows)
    section.call("add_product", y, model.matrix(op, "weight_ih"), 0, rows, 0, cell.input, x)
    section.call("add_product", y, model.matrix(op, "weight_hh"), 0, rows, 0, cell.output, h)
    return y


def _normalised_sums(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> str:
    """Add the sums of all gates with normalized products; a GRU's gate n keeps its two products apart."""
    rows, h = cell.gates * cell.hidden, model.state(op, "h")
    y = section.scratch(2 * rows)
    z = at(y, rows) if y == "buffer" else f"{y} + {rows}"
    for sums, way, width, source in ((y, "ih", cell.input, x), (z, "hh", cell.output, h)):
        section.call("zero", sums, rows)
        section.call("add_product", sums, model.matrix(op, f"weight_{way}"), 0, rows, 0, width, source)
        first = 0
        for size in cell.norm_groups:
            gain = at(model.vector(op, f"gain_{way}"), first)
            section.call("normalise", at(sums, first), size, number(cell.norm), gain)
            first += size
        if f"bias_{way}" in op.weights:
            section.call("add", sums, model.vector(op, f"bias_{way}"), rows)
    section.call("add", y, z, cell.norm_groups[0])
    if cell.kind == "gru":
        section.call("copy", z, at(z, 2 * cell.hidden), cell.hidden)
    return y


def joined_bias(weights: Mapping[str, Array], op: Op, split: int | None = None) -> Array | None:
    """Return the sum of both biases, from ``split`` on the input's bias alone; None for a cell without biases."""
    roles = [role for role in ("bias_ih", "bias_hh") if role in op.weights]
    if not roles:
        return None
    total = np.zeros(len(weights[op.weights[roles[0]]]), np.float32)
    for role in roles:
        end = split if role == "bias_hh" else None
        total[:end] += weights[op.weights[role]][:end]
    return total


def _bias(model: FloatModel, op: Op, split: int | None = None) -> str:
    """Return the C name of :func:`joined_bias`."""
    total = joined_bias(model.weights, op, split)
    return "NULL" if total is None else model.constants.array(f"{op.writes}.bias", total)


def _keep(section: Section, state: str, value: str, stays: float, size: int) -> None:
    """Write the new value of a state; with zoneout a share ``stays`` of the old one remains."""
    if stays:
        section.call("blend", state, value, number(stays), size)
    else:
        section.call("copy", state, value, size)


def _rnn(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> None:
    y = _sums(model, section, op, cell, x)
    section.call("apply_tanh" if cell.kind == "rnn" else "apply_relu", y, cell.hidden)
    _keep(section, model.state(op, "h"), y, cell.stay[0], cell.hidden)


def _lstm(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> None:
    size, h, c = cell.hidden, model.state(op, "h"), model.state(op, "c")
    y = _sums(model, section, op, cell, x)
    show = at(y, 3 * size)
    if cell.kind == "lstm_peephole":
        section.call("lstm_peepholes", y, c, *(model.vector(op, f"weight_c{gate}") for gate in "if"), size)
    section.call("lstm_memory", y, c, size)
    if cell.kind == "lstm_peephole":
        section.call("lstm_peephole_show", y, model.vector(op, "weight_co"), size)
    read = y
    if cell.norm:
        read = at(y, size)
        section.call("copy", read, y, size)
        section.call("normalise", read, size, number(cell.norm), model.vector(op, "gain_c"))
        section.call("add", read, model.vector(op, "bias_c"), size)
    section.call("lstm_output", show, read, size)
    _keep(section, c, y, cell.stay[1], size)
    value = show
    if "weight_hr" in op.weights:
        value = y
        section.call("zero", y, cell.output)
        section.call("add_product", y, model.matrix(op, "weight_hr"), 0, cell.output, 0, size, show)
    _keep(section, h, value, cell.stay[0], cell.output)


def _gru(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> None:
    size, h = cell.hidden, model.state(op, "h")
    if cell.norm:
        y = _sums(model, section, op, cell, x)
    else:
        matrix = model.matrix(op, "weight_hh")
        y, split = section.scratch(4 * size), 2 * size
        new = at(y, 3 * size)
        model.start(section, y, _bias(model, op, split), 3 * size)
        inner = "NULL"
        if "bias_hh" in op.weights:
            inner = model.constants.array(f"{op.writes}.bias.new", model.weights[op.weights["bias_hh"]][split:])
        model.start(section, new, inner, size)
        section.call("add_product", y, model.matrix(op, "weight_ih"), 0, 3 * size, 0, cell.input, x)
        section.call("add_product", y, matrix, 0, split, 0, size, h)
        section.call("add_product", new, matrix, split, size, 0, size, h)
    section.call("gru", y, h, size)
    _keep(section, h, y, cell.stay[0], size)


def _gru_reset_before(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> None:
    size, h, matrix = cell.hidden, model.state(op, "h"), model.matrix(op, "weight_hh")
    y = section.scratch(3 * size)
    model.start(section, y, _bias(model, op), 3 * size)
    section.call("add_product", y, model.matrix(op, "weight_ih"), 0, 3 * size, 0, cell.input, x)
    section.call("add_product", y, matrix, 0, 2 * size, 0, size, h)
    section.call("gru_reset", y, h, size)
    section.call("add_product", at(y, 2 * size), matrix, 2 * size, size, 0, size, y)
    section.call("gru_reset_new", y, h, size)
    _keep(section, h, y, cell.stay[0], size)


def _min(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> None:
    rows, h = cell.gates * cell.hidden, model.state(op, "h")
    y = section.scratch(rows)
    model.start(section, y, model.vector(op, "bias_ih"), rows)
    section.call("add_product", y, model.matrix(op, "weight_ih"), 0, rows, 0, cell.input, x)
    section.call(cell.kind, y, h, cell.hidden)
    _keep(section, h, y, cell.stay[0], cell.hidden)


def _rglru(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> None:
    size, h, v = cell.hidden, model.state(op, "h"), x
    if "weight_in" in op.weights:
        v = section.scratch(size)
        section.call("zero", v, size)
        section.call("add_product", v, model.matrix(op, "weight_in"), 0, size, 0, cell.input, x)
    y = section.scratch(2 * size)
    model.start(section, y, model.vector(op, "bias_ih"), 2 * size)
    section.call("add_product", y, model.matrix(op, "weight_ih"), 0, 2 * size, 0, size, v)
    decay = log_decay(model.weights[op.weights["decay"]])
    section.call("rglru", y, v, model.constants.array(f"{op.weights['decay']}.log", decay), h, size)
    _keep(section, h, y, cell.stay[0], size)


def _slstm(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> None:
    size, each, rows = cell.hidden, cell.hidden // cell.heads, 4 * cell.hidden
    y, state = section.scratch(rows), [model.state(op, role) for role in "hcnm"]
    model.start(section, y, _bias(model, op), rows)
    section.call("add_product", y, model.matrix(op, "weight_ih"), 0, rows, 0, cell.input, x)
    for gate in range(4 if cell.heads > 1 else 1):
        for head in range(cell.heads):
            first, units = (gate * size + head * each, each) if cell.heads > 1 else (0, rows)
            source = at(state[0], head * each)
            section.call("add_product", at(y, first), model.matrix(op, "weight_hh"), first, units, 0, each, source)
    section.call("slstm", y, *state, size)


def _mlstm(model: FloatModel, section: Section, op: Op, cell: Cell, x: str) -> None:
    size, each = cell.hidden, cell.hidden // cell.heads
    rows = 4 * size + 2 * cell.heads
    written = section.write(op)
    y = section.scratch(rows)
    memory, n, m = (model.state(op, role) for role in "Cnm")
    model.start(section, y, model.vector(op, "bias_ih"), rows)
    section.call("add_product", y, model.matrix(op, "weight_ih"), 0, rows, 0, cell.input, x)
    for head in range(cell.heads):
        parts = [at(y, part * size + head * each) for part in range(4)]
        gates = [f"({y})[{4 * size + part * cell.heads + head}]" for part in range(2)]
        states = (at(memory, head * each * each), at(n, head * each), at(m, head))
        scale = number(1 / math.sqrt(each))
        section.call("mlstm", at(written, head * each), *states, *parts, *gates, scale, each)


_FAMILIES: dict[str, Callable[[FloatModel, Section, Op, Cell, str], None]] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "gru": _gru,
    "gru_reset_before": _gru_reset_before,
    "min": _min,
    "rglru": _rglru,
    "slstm": _slstm,
    "mlstm": _mlstm,
}
