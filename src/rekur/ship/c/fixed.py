"""A program as C without floating point: which numbers its rows and states are, and the constants that they need.

A row in the buffer is of 32-bit numbers with 16 bits after the point. A state is of 16-bit numbers where it is known to
stay within a bound. A sum of products of 8-bit weights with 16-bit numbers has 32 bits and cannot overflow, which is
made sure of here by the weights themselves.

Axes: R rows of a matrix, C numbers of a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rekur.errors import InputError, describe
from rekur.program import Op, Program
from rekur.program.ops import SCALE
from rekur.ship.c.constants import Array, Constants, Names
from rekur.ship.c.section import Section, at

#: bits after the point of rows in the buffer and of scores, of states within [-1, 1], and of an LSTM's memory
WIDE, UNIT, MEMORY = 16, 15, 20
#: bits after the point of a mean over steps in 64 bits, and those that are enough for one in 32
LONG, LONG_ENOUGH = 40, 30
#: what the sizes of 8-bit numbers may add up to, times 16-bit numbers, in 32 bits
_SUM = 65535
#: what a row's scale may be at most, so that a product can be shifted down
_SCALE = 8192.0
_CELLS = ("rnn", "rnn_relu", "lstm", "lstm_peephole", "gru", "gru_reset_before", "mingru", "minlstm")
#: cells that are not written in fixed point, with the reason
REFUSED: Mapping[str, str] = {
    "rglru": "it forgets less at a step than its bits could tell",
    "slstm": "its gates are exponentials without a bound",
    "mlstm": "its gates are exponentials without a bound",
}


@dataclass(frozen=True)
class Kind:
    """How numbers are written.

    Args:
        type: the C type.
        bits: bits after the point.
    """

    type: str = "int32_t"
    bits: int = WIDE

    @property
    def wide(self) -> bool:
        """Whether they are as rows in the buffer are."""
        return self == Kind()


@dataclass(frozen=True)
class Matrix:
    """A matrix of 8-bit numbers.

    Args:
        numbers: (R, C).
        factors: whole number of each row.
        bits: a row's scale is its factor over two to the power of these.
        name: in C.
    """

    numbers: Array
    factors: Array
    bits: int
    name: str

    def pieces(self, first: int, rows: int, column: int, columns: int) -> list[tuple[int, int]]:
        """Return (first column, columns) of runs of columns whose products with 16-bit numbers 32 bits hold."""
        sizes = np.abs(self.numbers[first : first + rows, column : column + columns].astype(np.int64)).cumsum(axis=1)
        found, begins = list[tuple[int, int]](), 0
        while begins < columns:
            before = sizes[:, begins - 1 : begins] if begins else 0
            ends = int(np.searchsorted((sizes - before).max(axis=0), _SUM, side="right"))
            found.append((column + begins, ends - begins))
            begins = ends
        return found


class FixedConstants(Constants):
    """The constant arrays of an export in fixed point."""

    def factors(self, name: str, numbers: Array, scales: Array) -> Matrix:
        """Return a matrix of 8-bit numbers (R, C) with the scale of each row."""
        scales = np.where(np.abs(numbers).max(axis=1, initial=0) > 0, scales, 0).astype(np.float64)
        top = float(scales.max(initial=0))
        if not top < _SCALE:
            expected = f"numbers below {127 * _SCALE:,.0f}, as fixed point needs"
            raise InputError(describe(f"weight '{name}'", f"{127 * top:.3g}", expected, "Export it in float32."))
        bits = min(46, 30 - math.floor(math.log2(top))) if top else 46
        factors = np.minimum(np.rint(np.ldexp(scales, bits)), 2**31 - 1).astype(np.int32)
        known, key = self._names.of(name), f"{name} as a matrix"
        if key not in self._written:
            self._written[key] = ""
            values = self.array(f"{name}.values", numbers.reshape(-1))
            ends = f"{values}, {self.array(f'{name}.factors', factors)}, {numbers.shape[1]}"
            self._matrices.append(f"static const fixed_matrix {known} = {{{ends}}};\n")
        return Matrix(numbers, factors, bits, known)


@dataclass
class FixedModel:
    """What the ops of an export in fixed point share.

    Attributes:
        program: what is exported, its matrices int8.
        weights: name -> array.
        constants: the arrays of the export.
        fields: the C names of states.
        kinds: how rows are written that are not in the buffer: register -> kind.
        states: how states are written: state -> kind.
        bounds: what no number of a row is above in size: register -> bound, where one is known.
        narrow: the most numbers of a row that is put into 16 bits.
    """

    program: Program
    weights: Mapping[str, Array]
    constants: FixedConstants
    fields: Names
    kinds: dict[str, Kind] = field(default_factory=dict)
    states: dict[str, Kind] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)
    narrow: int = 0

    def matrix(self, op: Op, role: str) -> Matrix:
        """Return a weight that is multiplied, or whose rows are looked up."""
        name = op.weights[role]
        numbers = self.weights[name]
        if numbers.ndim == 3:  # the numbers of a step side by side, step after step
            numbers = numbers.transpose(0, 2, 1)
        flat = np.ascontiguousarray(numbers.reshape(len(numbers), -1))
        return self.constants.factors(name, flat, self.weights[name + SCALE])

    def floats(self, op: Op, role: str) -> Array:
        """Return the numbers that a weight stands for, as (R, C)."""
        name = op.weights[role]
        flat = self.weights[name].reshape(len(self.weights[name]), -1).astype(np.float64)
        return flat * self.weights[name + SCALE][:, None] if name + SCALE in self.weights else flat

    def whole(self, name: str, values: Array, bits: int = WIDE) -> str:
        """Return the C name of numbers as 32-bit ones."""
        check_range(name, values, 2.0 ** (31 - bits))
        whole = np.rint(np.ldexp(values.astype(np.float64).reshape(-1), bits))
        return self.constants.array(name, np.clip(whole, -(2**31) + 1, 2**31 - 1).astype(np.int32))

    def short(self, op: Op, role: str) -> tuple[str, int]:
        """Return the C name of a vector as 16-bit numbers, and their bits after the point."""
        values, name = self.floats(op, role).reshape(-1), op.weights[role]
        check_range(name, values, _SCALE)
        bits = kind_of(float(np.abs(values).max(initial=0)), 30).bits
        return self.constants.array(name, shortened(values, bits)), bits

    def state(self, op: Op, role: str) -> str:
        """Return the C expression of a state."""
        return f"state->{self.fields.of(op.state[role])}"

    def begins(self, op: Op, role: str) -> float:
        """Return what no number of a state is above in size before the first step."""
        slot = next(slot for slot in self.program.state if slot.name == op.state[role])
        first = self.weights[slot.begins] if isinstance(slot.begins, str) else slot.begins
        return float(np.abs(first).max(initial=0))

    def begins_with(self, name: str, kind: Kind) -> str:
        """Return the C name of the numbers that a state begins with."""
        if kind.type == "int16_t":
            return self.constants.array(name, shortened(self.weights[name].reshape(-1), kind.bits))
        return self.whole(name, self.weights[name], kind.bits)

    def width(self, name: str) -> int:
        """Return the numbers of a row of a register."""
        return {"input": self.program.input.size, **{op.writes: op.size for _, op in self.program.ops()}}[name]

    def kind(self, name: str) -> Kind:
        """Return how a row is written."""
        return self.kinds.get(name, Kind())


def check_range(name: str, values: Array, end: float) -> None:
    """Check that numbers of a weight are within a range.

    Raises:
        InputError: one is not, or is not finite.
    """
    wrong = values.reshape(-1)[~(np.abs(values.reshape(-1)) < end)]
    if len(wrong):
        expected = f"numbers between -{end:,.0f} and {end:,.0f}, as fixed point needs"
        fix = "Export it with activations='exact' (--activations exact)."
        raise InputError(describe(f"a number of the weight '{name}'", float(wrong[0]), expected, fix))


def tables() -> dict[str, Array]:
    """Return the tables that parts read: of the hyperbolic tangent 32 for each 1, and powers of two from 1 to 1/2."""
    tangent = shortened(np.tanh(np.arange(257) / 32), UNIT)
    powers = np.rint(np.ldexp(np.exp2(-np.arange(32) / 32), 30)).astype(np.uint32)
    return {"fixed_tangent_table": tangent, "fixed_power_table": powers}


def kind_of(bound: float | None, most: int = UNIT) -> Kind:
    """Return how numbers within a bound are written in 16 bits, or in 32 where none is known or it is above 8.

    Example:
        >>> kind_of(1.0), kind_of(2.5), kind_of(100.0)
        (Kind(type='int16_t', bits=15), Kind(type='int16_t', bits=13), Kind(type='int32_t', bits=16))
    """
    if bound is None or (bound > 8 and most == UNIT):
        return Kind()
    bits = most if bound == 0 else min(most, math.floor(math.log2(32767 / bound)))
    return Kind("int16_t", UNIT if bound == 1 and most == UNIT else bits)


def long_of(bound: float | None) -> Kind:
    """Return how numbers within a bound are written in 32 bits, with as many after the point as there is room for.

    Example:
        >>> long_of(1.0), long_of(100.0), long_of(None)
        (Kind(type='int32_t', bits=30), Kind(type='int32_t', bits=23), Kind(type='int32_t', bits=16))
    """
    if bound is None:
        return Kind()
    return Kind(bits=max(WIDE, 30 - math.ceil(math.log2(max(bound, 1)))))


def shortened(values: Array, bits: int) -> Array:
    """Return numbers as 16-bit ones.

    Example:
        >>> shortened(np.array([0.5, -1.0, 1.0]), 15).tolist()
        [16384, -32768, 32767]
    """
    return np.clip(np.rint(np.ldexp(values.astype(np.float64), bits)), -(2**15), 2**15 - 1).astype(np.int16)


def product(
    model: FixedModel,
    section: Section,
    y: str,
    matrix: Matrix,
    rows: tuple[int, int],
    columns: tuple[int, int],
    x: str,
    kind: Kind,
) -> None:
    """Add to sums some rows and columns of a matrix, each given by the first and how many, times x."""
    bits = matrix.bits + kind.bits - WIDE
    part = "fixed_add_product" if kind.type == "int16_t" else "fixed_add_wide_product"
    for column, count in matrix.pieces(*rows, *columns):
        if kind.type == "int32_t":
            model.narrow = max(model.narrow, count)
        place = at(x, column - columns[0])
        section.call(part, y, f"&{matrix.name}", rows[0], rows[1], column, count, place, bits)


def read_wide(model: FixedModel, section: Section, name: str, target: str | None = None) -> str:
    """Return where a row lies as 32-bit numbers with 16 bits after the point, converted where it is not so."""
    place, kind, size = section.read(name), model.kind(name), model.width(name)
    if kind.wide and target in (None, place):
        return place
    y = target if target is not None else section.scratch(size)
    if kind.wide:
        section.call("fixed_copy", y, place, size)
    else:
        part = "fixed_widen" if kind.type == "int16_t" else "fixed_move_point"
        section.call(part, y, place, WIDE - kind.bits, size)
    return y


def update(model: FixedModel, section: Section, op: Op) -> str:
    """Give the register of an op the numbers of the first that it reads, in place where it can be."""
    if model.kind(op.reads[0]).wide:
        return section.update(op)
    return read_wide(model, section, op.reads[0], section.write(op))


def start(section: Section, y: str, bias: str, size: int) -> None:
    """Begin sums: with a bias, or with zeros."""
    if bias == "NULL":
        section.call("fixed_zero", y, size)
    else:
        section.call("fixed_copy", y, bias, size)


def bound_of_product(model: FixedModel, op: Op, role: str, bias: str, bound: float | None) -> float | None:
    """Return what no sum of products with a matrix is above in size, where that is known of what it multiplies."""
    if bound is None:
        return None
    rows = np.abs(model.floats(op, role)).sum(axis=1)[slice(*op.options.get("rows", [None]))]
    more = np.abs(model.weights[op.weights[bias]]) if bias in op.weights else 0.0
    return float((rows * bound + more).max(initial=0))


def check_known(program: Program, known: frozenset[str]) -> None:
    """Check that every op and cell can be written in fixed point.

    Raises:
        InputError: one cannot be.
    """
    fix = "Export it with activations='exact' or 'table' (--activations exact)."
    for _, op in program.ops():
        if op.kind == "recur" and op.options["cell"] not in _CELLS:
            cell = op.options["cell"]
            expected = f"one of {', '.join(_CELLS)}: {REFUSED[cell]}"
            raise InputError(describe("cell in fixed point", cell, expected, fix))
        if op.kind != "recur" and op.kind not in known:
            raise InputError(describe("op in fixed point", op.kind, f"one of {', '.join(sorted(known))}", fix))
