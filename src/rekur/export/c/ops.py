"""The ops of a program as calls of C functions.

Axes: D numbers of a row that is read, O numbers of a row that is written, K steps of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rekur._ids import UNKNOWN
from rekur.export.c.constants import Array, Constants, Names
from rekur.export.c.section import Section, at
from rekur.program import Op, Program
from rekur.program.arithmetic import MANY
from rekur.program.ops import SCALE

#: columns of a long product that are added up by themselves, and then exactly
_ADDED = 64


@dataclass
class Model:
    """The data that the ops of an export share.

    Attributes:
        program: the exported program.
        weights: name -> array; int8 arrays have scales.
        constants: the arrays of the export.
        fields: the C names of states.
    """

    program: Program
    weights: Mapping[str, Array]
    constants: Constants
    fields: Names
    #: of the names of C functions
    prefix: ClassVar[str] = ""
    #: the function that adds a number to each of a row
    cluster: ClassVar[str] = "cluster"
    #: the score of padding
    lowest: ClassVar[str] = "-FLT_MAX"

    def state(self, op: Op, role: str) -> str:
        """Return the C expression of a state."""
        return f"state->{self.fields.of(op.state[role])}"

    def width(self, name: str) -> int:
        """Return the size of a register's row."""
        return self.program.types[name].size

    def read(self, section: Section, name: str, target: str | None = None) -> str:
        """Return the C expression of a row, copied to ``target`` if that is another one."""
        pointer = section.read(name)
        if target in (None, pointer):
            return pointer
        section.call(f"{self.prefix}copy", target, pointer, self.width(name))
        return str(target)

    def update(self, section: Section, op: Op) -> str:
        """Copy the first input of an op to its register, in place if possible."""
        return section.update(op)

    def start(self, section: Section, y: str, bias: str, size: int) -> None:
        """Start sums from a bias, or from zeros."""
        if bias == "NULL":
            section.call(f"{self.prefix}zero", y, size)
        else:
            section.call(f"{self.prefix}copy", y, bias, size)


@dataclass
class FloatModel(Model):
    """The data that the ops of an export in floating point share.

    Attributes:
        shared: weights stored column by column for products, even if their rows are also looked up.
    """

    shared: frozenset[str]

    def matrix(self, op: Op, role: str) -> str:
        """Return the C expression of a weight for products."""
        name = op.weights[role]
        array = self.weights[name]
        if array.ndim == 3:  # the numbers of a step side by side, step after step
            array = np.ascontiguousarray(array.transpose(0, 2, 1))
        return f"&{self.constants.matrix(name, array, self._scales(name))}"

    def table(self, op: Op, role: str) -> tuple[str, str]:
        """Return the C names of a weight for lookups, and of the scales of its rows."""
        name = op.weights[role]
        return self.constants.table(name, self.weights[name], self._scales(name))

    def vector(self, op: Op, role: str) -> str:
        """Return the C name of a weight as a vector; NULL without one."""
        if role not in op.weights:
            return "NULL"
        name = op.weights[role]
        values, scales = self.weights[name].reshape(-1), self._scales(name)
        if scales is not None:  # the one row of an attention's scores
            values = np.asarray(values * scales, np.float32)
        return self.constants.array(name, values)

    def _scales(self, name: str) -> Array | None:
        return self.weights[name + SCALE] if self.program.weights[name].dtype == "int8" else None


def id_of(model: Model, section: Section, op: Op) -> str:
    """Return the C expression of the id that an op reads.

    Args:
        model: the data that the ops of an export share.
        section: the section of the op.
        op: the op.
    """
    name = section.read(op.reads[0])
    return f"{name}[{op.options.get('column', 0)}]" if model.program.input.kind == "ids" else name


def row_of(model: Model, section: Section, op: Op) -> str:
    """Return the C expression of the row that an embedding looks up; the arguments are those of :func:`id_of`."""
    row, first, size = id_of(model, section, op), op.options.get("rows", [0])[0], op.options.get("vocabulary")
    if size is not None:
        row = f"({row} < {size} ? {row} : {UNKNOWN})"
    return f"({row} + {first})" if first else row


def _embed(model: FloatModel, section: Section, op: Op) -> None:
    token = row_of(model, section, op)
    if op.weights["table"] not in model.shared:
        table, scales = model.table(op, "table")
        if not scales:
            section.alias(op, f"({table} + {token} * {op.size})")
            return
    y = section.write(op)
    section.call("zero", y, op.size)
    name, arguments = _vector(model, op, token, op.size)
    section.call(name, y, *arguments)


def _vector(model: FloatModel, op: Op, row: str, size: int) -> tuple[str, list[Any]]:
    """Return the part that adds a row of an op's table to an array, and its arguments after that array."""
    if op.weights["table"] in model.shared:
        return "add_row", [model.matrix(op, "table"), row, size]
    table, scales = model.table(op, "table")
    pointer = f"{table} + {row} * {size}"
    return ("add_scaled", [pointer, f"{scales}[{row}]", size]) if scales else ("add", [pointer, size])


def _recall(model: FloatModel, section: Section, op: Op) -> None:
    y, size = section.write(op), op.size // len(op.options["orders"])
    name, arguments = _vector(model, op, "row", size)
    section.call("zero", y, op.size)
    section.uses |= {"recall", name}
    section.lines += recalled(model, section, op, f"{name}({y} + {{}}, {', '.join(map(str, arguments))});")


def recalled(model: Model, section: Section, op: Op, add: str) -> list[str]:
    """Return the lines that look up the followers of the last tokens, and add their vectors.

    Args:
        model: the data that the ops of an export share.
        section: the section of the lines.
        op: the op.
        add: the call that adds a row, with ``{}`` for the offset of each order.
    """
    token, history, memory = id_of(model, section, op), model.state(op, "before"), model.state(op, "memory")
    orders, slots = op.options["orders"], op.options["slots"]
    keep, size = max(orders), op.size // len(orders)
    lines = ["{", f"    int32_t window[{keep + 1}];", "    int row, i;"]
    lines += [f"    for (i = 0; i < {keep}; ++i) {{", f"        window[i] = {history}[i];", "    }"]
    lines.append(f"    window[{keep}] = {token};")
    for index, order in enumerate(orders):
        lines.append(f"    row = recall({memory} + {index * slots}, {slots}, window + {keep + 1}, {order});")
        lines.append(f"    {add.format(index * size)}")
    lines += [f"    for (i = 0; i < {keep}; ++i) {{", f"        {history}[i] = window[i + 1];", "    }", "}"]
    return lines


def _ngrams(model: FloatModel, section: Section, op: Op) -> None:
    def add(order: int, y: str) -> str:
        table, scales = model.table(op, f"table_{order}")
        part = "add_scaled" if scales else "add"
        section.uses.add(part)
        return f"{part}({y}, {table} + row * {op.size}, {f'{scales}[row], ' if scales else ''}{op.size});"

    ngrams(model, section, op, add)


def ngrams(model: Model, section: Section, op: Op, add: Callable[[int, str], str]) -> None:
    """Add the lines that look up the n-grams that end at a step, and add their vectors.

    Args:
        model: the data that the ops of an export share.
        section: the section of the op.
        op: the op.
        add: returns the call that adds the row of an order to the output, from the order and the output.
    """
    token, history, y = id_of(model, section, op), model.state(op, "before"), section.write(op)
    keep = max(op.options["orders"]) - 1
    model.start(section, y, "NULL", op.size)
    section.uses.add("mix_key")
    lines = ["{", f"    uint64_t key = mix_key((uint64_t){token});", "    int row, i;"]
    for back in range(1, keep + 1):
        lines.append(f"    key = mix_key(key ^ (uint64_t){history}[{keep - back}]);")
        if (order := back + 1) in op.options["orders"]:
            call, name, row = add(order, y), op.weights[f"runs_{order}"], "0"
            if len(model.weights[name]):
                section.uses.add("find_key")
                row = f"find_key({model.constants.array(name, model.weights[name])}, {len(model.weights[name])}, key)"
            lines += [f"    row = {row};", f"    {call}"]
    lines += [f"    for (i = 0; i < {keep - 1}; ++i) {{", f"        {history}[i] = {history}[i + 1];", "    }"]
    section.lines += [*lines, f"    {history}[{keep - 1}] = {token};", "}"]


def _conv(model: FloatModel, section: Section, op: Op) -> None:
    x, y, width = section.read(op.reads[0]), section.write(op), model.width(op.reads[0])
    steps, matrix = model.weights[op.weights["weight"]].shape[2] - 1, model.matrix(op, "weight")
    model.start(section, y, model.vector(op, "bias"), op.size)
    if steps:
        window = model.state(op, "before")
        section.call("add_product", y, matrix, 0, op.size, 0, steps * width, window)
        section.call("add_product", y, matrix, 0, op.size, steps * width, width, x)
        section.call("shift", window, x, steps, width)
    else:
        section.call("add_product", y, matrix, 0, op.size, 0, width, x)


def _affine(model: FloatModel, section: Section, op: Op) -> None:
    x, y = section.read(op.reads[0]), section.write(op)
    model.start(section, y, model.vector(op, "bias"), op.size)
    first, width, matrix = op.options.get("rows", [0])[0], model.width(op.reads[0]), model.matrix(op, "weight")
    if width <= MANY:
        section.call("add_product", y, matrix, first, op.size, 0, width, x)
        return
    section.uses |= {"add", "add_exactly", "add_product", "zero"}
    sums, lost, size = section.scratch(op.size), section.scratch(op.size), op.size
    count = f"{width} - at < {_ADDED} ? {width} - at : {_ADDED}"
    lines = [
        "{",
        "    int at;",
        f"    zero({lost}, {size});",
        f"    for (at = 0; at < {width}; at += {_ADDED}) {{",
        f"        zero({sums}, {size});",
    ]
    lines.append(f"        add_product({sums}, {matrix}, {first}, {size}, at, {count}, {x} + at);")
    section.lines += [*lines, f"        add_exactly({y}, {lost}, {sums}, {size});", "    }"]
    section.lines += [f"    add({y}, {lost}, {size});", "}"]


def _activation(model: FloatModel, section: Section, op: Op) -> None:
    section.call(f"apply_{op.options['function']}", section.update(op), op.size)


def _clip(model: FloatModel, section: Section, op: Op) -> None:
    section.call("clip", section.update(op), number(op.options["limit"]), op.size)


def _average(model: FloatModel, section: Section, op: Op) -> None:
    y = section.write(op)
    section.call("zero", y, op.size)
    for name in op.reads:
        section.call("add", y, model.read(section, name), op.size)
    section.call("divide", y, y, number(len(op.reads)), op.size)


def _sample(model: FloatModel, section: Section, op: Op) -> None:
    """Write the code that adds a step to a window; what reads its steps runs where the window ends."""
    x, y = section.read(op.reads[0]), section.write(op)
    part = f"window_{op.options['function']}"
    section.uses.add(part)
    arguments = [model.state(op, "window"), model.state(op, "seen"), x, y, op.size, op.options["steps"]]
    section.lines.append(f"{section.gate_of(op)} = {part}({', '.join(map(str, arguments))});")


def _layer_norm(model: FloatModel, section: Section, op: Op) -> None:
    y = section.update(op)
    section.call("normalise", y, op.size, number(op.options["epsilon"]), model.vector(op, "gain"))
    section.call("add", y, model.vector(op, "bias"), op.size)


def add(model: Model, section: Section, op: Op) -> None:
    """Add a sum of two registers."""
    other = model.read(section, op.reads[1])
    section.call(f"{model.prefix}add", model.update(section, op), other, op.size)


def concat(model: Model, section: Section, op: Op) -> None:
    """Add a concatenation of registers."""
    y, offset = section.write(op), 0
    for name in op.reads:
        model.read(section, name, at(y, offset))
        offset += model.width(name)


def _softmax(model: Model, section: Section, op: Op) -> None:
    section.call(f"{model.prefix}{op.kind}", model.update(section, op), op.size)


def _clusters(model: Model, section: Section, op: Op) -> None:
    first, *inside = op.reads
    y, levels = section.write(op), model.read(section, first)
    frequent = offset = model.width(first) - len(inside)
    section.call(f"{model.prefix}copy", y, levels, frequent)
    for index, name in enumerate(inside):
        log_mass, size = f"({levels})[{frequent + index}]", model.width(name)
        section.call(model.cluster, at(y, offset), model.read(section, name), log_mass, size)
        offset += size


def _padding(model: Model, section: Section, op: Op) -> None:
    y = section.write(op)
    model.read(section, op.reads[0], at(y, 1))
    section.lines.append(f"({y})[0] = {model.lowest};")


def number(value: float) -> str:
    """Return a number as a C literal of type float.

    Example:
        >>> number(1e-5), number(2)
        ('9.99999975e-06f', '2.0f')
    """
    text = f"{float(np.float32(value)):.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


#: ops with the same calls in floating and fixed point
SHARED: dict[str, Callable[[Any, Section, Op], None]] = {
    "add": add,
    "concat": concat,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "clusters": _clusters,
    "padding": _padding,
}
OPS: dict[str, Callable[[FloatModel, Section, Op], None]] = {
    **SHARED,
    "embed": _embed,
    "ngrams": _ngrams,
    "recall": _recall,
    "conv": _conv,
    "affine": _affine,
    "activation": _activation,
    "average": _average,
    "clip": _clip,
    "sample": _sample,
    "layer_norm": _layer_norm,
}
