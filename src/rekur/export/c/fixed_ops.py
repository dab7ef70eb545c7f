"""The ops of a program as calls of C functions on whole numbers.

Axes: D numbers of a row that is read, O numbers of a row that is written, K steps of a window.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rekur.export.c.fixed import (
    LONG,
    LONG_ENOUGH,
    UNIT,
    WIDE,
    FixedModel,
    Kind,
    bound_of_product,
    kind_of,
    long_of,
    product,
)
from rekur.export.c.ops import SHARED, add, concat, ngrams, recalled, row_of
from rekur.export.c.pools import POOLS
from rekur.export.c.section import Register, Section, at
from rekur.program import Op


def _bound(model: FixedModel, op: Op, bound: float | None) -> None:
    """Note the bound on the size of numbers that an op writes, if it is known."""
    if bound is not None:
        model.bounds[op.writes] = bound


def _embed(model: FixedModel, section: Section, op: Op) -> None:
    table, y = model.matrix(op, "table"), section.write(op)
    section.call("fixed_zero", y, op.size)
    section.call("fixed_add_row", y, f"&{table.name}", row_of(model, section, op), op.size, table.bits - WIDE)
    _bound(model, op, float(np.abs(model.floats(op, "table")).max()))


def _recall(model: FixedModel, section: Section, op: Op) -> None:
    table, y, size = model.matrix(op, "table"), section.write(op), op.size // len(op.options["orders"])
    section.call("fixed_zero", y, op.size)
    section.uses |= {"recall", "fixed_add_row"}
    add = f"fixed_add_row({y} + {{}}, &{table.name}, row, {size}, {table.bits - WIDE});"
    section.lines += recalled(model, section, op, add)
    _bound(model, op, float(np.abs(model.floats(op, "table")).max()))


def _ngrams(model: FixedModel, section: Section, op: Op) -> None:
    bounds = list[float]()

    def add_row(order: int, y: str) -> str:
        table = model.matrix(op, f"table_{order}")
        bounds.append(float(np.abs(model.floats(op, f"table_{order}")).max()))
        return f"fixed_add_row({y}, &{table.name}, row, {op.size}, {table.bits - WIDE});"

    section.uses.add("fixed_add_row")
    ngrams(model, section, op, add_row)
    _bound(model, op, sum(bounds))


def _conv(model: FixedModel, section: Section, op: Op) -> None:
    width, matrix = model.width(op.reads[0]), model.matrix(op, "weight")
    y, bound = section.write(op), model.bounds.get(op.reads[0])
    x, steps = model.read(section, op.reads[0]), model.weights[op.weights["weight"]].shape[2] - 1
    model.start(section, y, model.vector(op, "bias"), op.size)
    if steps:
        window = model.state(op, "before")
        bound = None if bound is None else max(bound, model.begins(op, "before"))
        kind = model.states[op.state["before"]] = kind_of(bound)
        product(model, section, y, matrix, (0, op.size), (0, steps * width), window, kind)
        if kind.type == "int16_t":
            section.call("fixed_shift_16", window, x, kind.bits - WIDE, steps, width)
        else:
            section.call("fixed_shift", window, x, steps, width)
    product(model, section, y, matrix, (0, op.size), (steps * width, width), x, Kind())
    _bound(model, op, bound_of_product(model, op, "weight", "bias", bound))


def _affine(model: FixedModel, section: Section, op: Op) -> None:
    x, y = section.read(op.reads[0]), section.write(op)
    model.start(section, y, model.vector(op, "bias"), op.size)
    rows = (op.options.get("rows", [0])[0], op.size)
    columns = (0, model.width(op.reads[0]))
    product(model, section, y, model.matrix(op, "weight"), rows, columns, x, model.kind(op.reads[0]))
    _bound(model, op, bound_of_product(model, op, "weight", "bias", model.bounds.get(op.reads[0])))


def _activation(model: FixedModel, section: Section, op: Op) -> None:
    function = op.options["function"]
    y = model.update(section, op)
    section.call(f"fixed_apply_{function}", y, op.size)
    if function == "relu":
        _bound(model, op, model.bounds.get(op.reads[0]))
        return
    section.call("fixed_move_point", y, y, WIDE - UNIT, op.size)
    _bound(model, op, 1.0)


def _layer_norm(model: FixedModel, section: Section, op: Op) -> None:
    y = model.update(section, op)
    normalise(section, y, op.size, op.options["epsilon"], *model.short(op, "gain"))
    section.call("fixed_add", y, model.vector(op, "bias"), op.size)
    gain, bias = (np.abs(model.weights[op.weights[role]]) for role in ("gain", "bias"))
    _bound(model, op, float((gain * np.sqrt(op.size) + bias).max()))


def normalise(section: Section, y: str, size: int, epsilon: float, gain: str, bits: int, first: int = 0) -> None:
    """Add the call that normalizes numbers, with the gains from index ``first`` on."""
    section.call("fixed_normalise", y, size, f"{round(epsilon * 2**32)}u", at(gain, first), bits)


def _add(model: FixedModel, section: Section, op: Op) -> None:
    add(model, section, op)
    bounds = [model.bounds.get(name) for name in op.reads]
    _bound(model, op, None if None in bounds else sum(bound for bound in bounds if bound is not None))


def _concat(model: FixedModel, section: Section, op: Op) -> None:
    concat(model, section, op)
    bounds = [model.bounds.get(name) for name in op.reads]
    _bound(model, op, None if None in bounds else max(bound for bound in bounds if bound is not None))


# ── pools ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _as_it_is(model: FixedModel, op: Op, role: str) -> tuple[Kind, str]:
    """Give a pool's state the format of its input, and return it with the suffix of the matching parts."""
    kind = model.states[op.state[role]] = model.kind(op.reads[0])
    return kind, "_16" if kind.type == "int16_t" else ""


def take(model: FixedModel, section: Section, op: Op) -> None:
    """Add a step to a pool's state."""
    x = section.read(op.reads[0])
    if op.kind == "last":
        _, ending = _as_it_is(model, op, "last")
        if not section.registers[op.reads[0]].begins_zero:
            section.call(f"fixed_copy{ending}", model.state(op, "last"), x, op.size)
    elif op.kind == "max":
        _, ending = _as_it_is(model, op, "largest")
        state, count = model.state(op, "largest"), model.state(op, "count")
        section.call(f"fixed_take_largest{ending}", state, count, x, op.size)
    elif op.kind == "mean":
        section.uses.add("fixed_count")
        _approach(model, section, op, "mean", f"fixed_count({model.state(op, 'count')})")
    else:
        _attend(model, section, op, x)


def _approach(model: FixedModel, section: Section, op: Op, role: str, share: str) -> None:
    """Move a mean over steps towards a step by a share, with enough bits that rounding does not add up."""
    bound, wide, state = model.bounds.get(op.reads[0]), model.read(section, op.reads[0]), model.state(op, role)
    long = long_of(bound)
    if long.bits >= LONG_ENOUGH:
        model.states[op.state[role]] = long
        section.call("fixed_approach", state, wide, long.bits - WIDE, share, op.size)
    else:
        model.states[op.state[role]] = Kind("int64_t", LONG)
        section.call("fixed_approach_long", state, wide, share, op.size)


def _attend(model: FixedModel, section: Section, op: Op, x: str) -> None:
    hidden = model.weights[op.weights["weight"]].shape[0]
    y = section.scratch(hidden)
    model.start(section, y, model.vector(op, "bias"), hidden)
    columns = (0, op.size)
    product(model, section, y, model.matrix(op, "weight"), (0, hidden), columns, x, model.kind(op.reads[0]))
    section.call("fixed_apply_tanh", y, hidden)
    factors, bits = model.short(op, "score")
    section.uses.add("fixed_inner")
    score = f"fixed_inner({factors}, {y}, {hidden}, {bits + UNIT - WIDE})"
    model.states |= {op.state["mass"]: Kind("uint32_t"), op.state["top"]: Kind()}
    section.uses.add("fixed_weigh")
    mass, top = model.state(op, "mass"), model.state(op, "top")
    _approach(model, section, op, "total", f"fixed_weigh({mass}, {top}, {score})")


def result(model: FixedModel, section: Section, op: Op, last: Register | None) -> None:
    """Set a pool's register to its result so far; ``last`` is the register that already holds it, if any."""
    role = {"last": "last", "mean": "mean", "max": "largest", "attention": "total"}[op.kind]
    kind = model.kind(op.reads[0]) if last is not None else model.states[op.state[role]]
    pointer = last.pointer if last is not None else model.state(op, role)
    if op.reads[0] in model.bounds:
        model.bounds[op.writes] = model.bounds[op.reads[0]]
    if kind.type == "int64_t":
        section.call("fixed_from_long", section.write(op), pointer, op.size)
        return
    section.registers[op.writes] = Register(pointer, op.size, len(model.program.main.ops))
    model.kinds[op.writes] = kind


OPS: dict[str, Callable[[FixedModel, Section, Op], None]] = {
    **SHARED,
    "embed": _embed,
    "ngrams": _ngrams,
    "recall": _recall,
    "conv": _conv,
    "affine": _affine,
    "activation": _activation,
    "layer_norm": _layer_norm,
    "add": _add,
    "concat": _concat,
}
#: every op with a fixed-point form, except cells
KNOWN = frozenset({*OPS, *POOLS} - {"shares"})
