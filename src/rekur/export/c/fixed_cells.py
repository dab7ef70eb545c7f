"""The recurrent cells of a program as calls of C functions on whole numbers.

Axes: D input features, H hidden, O output, G gates.
"""

from __future__ import annotations

from rekur.errors import InputError, describe
from rekur.export.c.fixed import MEMORY, UNIT, WIDE, FixedModel, Kind, bound_of_product, long_of, product
from rekur.export.c.fixed_ops import normalise
from rekur.export.c.recurrent import joined_bias
from rekur.export.c.section import Section, at
from rekur.program import Op
from rekur.program.cells import Cell, cell_from

_UNIT, _BUFFERED = Kind("int16_t", UNIT), Kind("int32_t", UNIT)


def recur(model: FixedModel, section: Section, op: Op) -> None:
    """Add the calls of a step of a cell."""
    cell = cell_from(op.options, model.width(op.reads[0]), op.size)
    bound = bound_of_product(model, op, "weight_ih", "bias_ih", model.bounds.get(op.reads[0]))
    if cell.form.linear:
        bound = None if bound is None else max(bound, model.begins(op, "h"))
        kind = long_of(bound)
    elif cell.kind == "rnn_relu" or cell.output != cell.hidden:
        bound, kind = None, Kind()
    else:
        bound, kind = 1.0, _UNIT
        if (begins := model.begins(op, "h")) > 1:
            fix = "Export it with activations='exact' or 'table' (--activations exact)."
            expected = "at most 1 in size, as the cell gives it"
            raise InputError(describe(f"number that the state '{op.state['h']}' begins with", begins, expected, fix))
    model.states[op.state["h"]] = kind
    if "c" in op.state:
        model.states[op.state["c"]] = Kind(bits=MEMORY)
    families = {"rnn": _rnn, "lstm": _lstm, "gru": _gru, "gru_reset_before": _gru_reset_before, "min": _min}
    families[cell.form.family](model, section, op, cell)
    slot = next(slot for slot in model.program.state if slot.name == op.state["h"])
    section.alias(op, model.state(op, "h"), begins_zero=slot.begins == 0.0)
    model.kinds[op.writes] = kind
    if bound is not None:
        model.bounds[op.writes] = bound


def _add_x(model: FixedModel, section: Section, op: Op, cell: Cell, y: str, rows: int) -> None:
    matrix, kind = model.matrix(op, "weight_ih"), model.kind(op.reads[0])
    product(model, section, y, matrix, (0, rows), (0, cell.input), section.read(op.reads[0]), kind)


def _add_h(model: FixedModel, section: Section, op: Op, cell: Cell, y: str, first: int, rows: int) -> None:
    matrix, kind = model.matrix(op, "weight_hh"), model.states[op.state["h"]]
    product(model, section, y, matrix, (first, rows), (0, cell.output), model.state(op, "h"), kind)


def _sums(model: FixedModel, section: Section, op: Op, cell: Cell) -> str:
    """Add the sums of all gates (bias, product with x, product with h), and return their C expression."""
    if cell.norm:
        return _normalised_sums(model, section, op, cell)
    rows = cell.gates * cell.hidden
    y = section.scratch(rows)
    model.start(section, y, _bias(model, op), rows)
    _add_x(model, section, op, cell, y, rows)
    _add_h(model, section, op, cell, y, 0, rows)
    return y


def _normalised_sums(model: FixedModel, section: Section, op: Op, cell: Cell) -> str:
    """Add the sums of all gates with normalized products; a GRU's gate n keeps its two products apart."""
    rows = cell.gates * cell.hidden
    y = section.scratch(2 * rows)
    z = at(y, rows)
    for sums, way in ((y, "ih"), (z, "hh")):
        section.call("fixed_zero", sums, rows)
        if way == "ih":
            _add_x(model, section, op, cell, sums, rows)
        else:
            _add_h(model, section, op, cell, sums, 0, rows)
        gain, bits = model.short(op, f"gain_{way}")
        first = 0
        for size in cell.norm_groups:
            normalise(section, at(sums, first), size, cell.norm, gain, bits, first)
            first += size
        if f"bias_{way}" in op.weights:
            section.call("fixed_add", sums, model.vector(op, f"bias_{way}"), rows)
    section.call("fixed_add", y, z, cell.norm_groups[0])
    return y


def _bias(model: FixedModel, op: Op, split: int | None = None) -> str:
    """Return the C name of :func:`joined_bias`."""
    total = joined_bias(model.weights, op, split)
    return "NULL" if total is None else model.whole(f"{op.writes}.bias", total)


def _keep(model: FixedModel, section: Section, op: Op, role: str, value: str, stays: float, size: int) -> None:
    """Write the new value of a state; with zoneout a share ``stays`` of the old one remains."""
    state, kind = model.state(op, role), model.states[op.state[role]]
    if stays or kind.type == "int16_t":
        part = "fixed_keep" if kind.type == "int16_t" else "fixed_keep_wide"
        section.call(part, state, value, round(stays * 2**15), size)
    else:
        section.call("fixed_copy", state, value, size)


def _rnn(model: FixedModel, section: Section, op: Op, cell: Cell) -> None:
    y = _sums(model, section, op, cell)
    section.call("fixed_apply_tanh" if cell.kind == "rnn" else "fixed_apply_relu", y, cell.hidden)
    _keep(model, section, op, "h", y, cell.stay[0], cell.hidden)


def _lstm(model: FixedModel, section: Section, op: Op, cell: Cell) -> None:
    size, c = cell.hidden, model.state(op, "c")
    y = _sums(model, section, op, cell)
    show, read, more = at(y, 3 * size), y, MEMORY - WIDE
    if cell.kind == "lstm_peephole":
        for index, gate in enumerate("if"):
            _peephole(model, section, op, at(y, index * size), c, gate, size)
    section.call("fixed_lstm_memory", y, c, size)
    if cell.kind == "lstm_peephole":
        _peephole(model, section, op, show, y, "o", size)
    if cell.norm:
        read, more = at(y, size), 0
        section.call("fixed_move_point", read, y, WIDE - MEMORY, size)
        normalise(section, read, size, cell.norm, *model.short(op, "gain_c"))
        section.call("fixed_add", read, model.vector(op, "bias_c"), size)
    section.call("fixed_lstm_output", show, read, more, size)
    _keep(model, section, op, "c", y, cell.stay[1], size)
    value = show
    if "weight_hr" in op.weights:
        value = y
        section.call("fixed_zero", y, cell.output)
        matrix = model.matrix(op, "weight_hr")
        product(model, section, y, matrix, (0, cell.output), (0, size), show, _BUFFERED)
    _keep(model, section, op, "h", value, cell.stay[0], cell.output)


def _peephole(model: FixedModel, section: Section, op: Op, y: str, c: str, gate: str, size: int) -> None:
    factors, bits = model.short(op, f"weight_c{gate}")
    section.call("fixed_peephole", y, c, factors, bits + MEMORY - WIDE, size)


def _gru(model: FixedModel, section: Section, op: Op, cell: Cell) -> None:
    size, h = cell.hidden, model.state(op, "h")
    if cell.norm:
        y = _sums(model, section, op, cell)
        section.call("fixed_copy", at(y, 3 * size), at(y, 5 * size), size)
    else:
        y, split = section.scratch(4 * size), 2 * size
        new, inner = at(y, 3 * size), "NULL"
        model.start(section, y, _bias(model, op, split), 3 * size)
        if "bias_hh" in op.weights:
            inner = model.whole(f"{op.writes}.bias.new", model.weights[op.weights["bias_hh"]][split:])
        model.start(section, new, inner, size)
        _add_x(model, section, op, cell, y, 3 * size)
        _add_h(model, section, op, cell, y, 0, split)
        _add_h(model, section, op, cell, new, split, size)
    section.call("fixed_gru", y, h, size)
    _keep(model, section, op, "h", y, cell.stay[0], size)


def _gru_reset_before(model: FixedModel, section: Section, op: Op, cell: Cell) -> None:
    size, h = cell.hidden, model.state(op, "h")
    y = section.scratch(3 * size)
    model.start(section, y, _bias(model, op), 3 * size)
    _add_x(model, section, op, cell, y, 3 * size)
    _add_h(model, section, op, cell, y, 0, 2 * size)
    section.call("fixed_gru_reset", y, h, size)
    matrix = model.matrix(op, "weight_hh")
    product(model, section, at(y, 2 * size), matrix, (2 * size, size), (0, size), y, _BUFFERED)
    section.call("fixed_gru_reset_new", y, h, size)
    _keep(model, section, op, "h", y, cell.stay[0], size)


def _min(model: FixedModel, section: Section, op: Op, cell: Cell) -> None:
    rows, h = cell.gates * cell.hidden, model.state(op, "h")
    y = section.scratch(rows)
    model.start(section, y, model.vector(op, "bias_ih"), rows)
    _add_x(model, section, op, cell, y, rows)
    section.call(f"fixed_{cell.kind}", y, h, model.states[op.state["h"]].bits - WIDE, cell.hidden)
    _keep(model, section, op, "h", y, cell.stay[0], cell.hidden)
