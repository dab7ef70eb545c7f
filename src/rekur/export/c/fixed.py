"""A program as C without floating point: the formats of its rows and states, and its constants.

A row in the buffer has 32-bit numbers with 16 bits after the point. A state has 16-bit numbers if a bound is known. A
sum of products of 8-bit weights with 16-bit numbers has 32 bits; the sizes of the weights show that it cannot overflow.

Axes: R rows of a matrix, C numbers of a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from rekur.errors import InputError, describe
from rekur.export.c.constants import Array, Constants
from rekur.export.c.ops import Model
from rekur.export.c.section import Section, at
from rekur.program import Op, Program
from rekur.program.cells import FORMS
from rekur.program.ops import SCALE

#: bits after the point of rows in the buffer and of scores, of states within [-1, 1], and of an LSTM's memory
WIDE, UNIT, MEMORY = 16, 15, 20
#: bits after the point of a mean over steps in 64 bits, and the fewest with which 32 bits are enough
LONG, LONG_ENOUGH = 40, 30
#: largest sum of sizes of 8-bit numbers whose products with 16-bit numbers fit 32 bits
_SUM = 65535
#: upper limit of a row's scale, so that a product can be shifted down
_SCALE = 8192.0


@dataclass(frozen=True)
class Kind:
    """A fixed-point format.

    Args:
        type: the C type.
        bits: bits after the point.
    """

    type: str = "int32_t"
    bits: int = WIDE

    @property
    def wide(self) -> bool:
        """Whether it is the format of rows in the buffer."""
        return self == Kind()


@dataclass(frozen=True)
class Matrix:
    """A matrix of 8-bit numbers.

    Args:
        numbers: (R, C).
        factors: the whole number of each row.
        bits: a row's scale is its factor / 2 ** bits.
        name: its name in C.
    """

    numbers: Array
    factors: Array
    bits: int
    name: str

    def pieces(self, first: int, rows: int, column: int, columns: int) -> list[tuple[int, int]]:
        """Return runs of columns (first, count) whose sums of products with 16-bit numbers fit 32 bits."""
        sizes = np.abs(self.numbers[first : first + rows, column : column + columns].astype(np.int64)).cumsum(axis=1)
        runs, begins = list[tuple[int, int]](), 0
        while begins < columns:
            sums_before = sizes[:, begins - 1 : begins] if begins else 0
            ends = int(np.searchsorted((sizes - sums_before).max(axis=0), _SUM, side="right"))
            runs.append((column + begins, ends - begins))
            begins = ends
        return runs


class FixedConstants(Constants):
    """The constant arrays of an export in fixed point."""

    def factors(self, name: str, numbers: Array, scales: Array) -> Matrix:
        """Add a matrix of 8-bit numbers (R, C) with a scale for each row, and return it."""
        scales = np.where(np.abs(numbers).max(axis=1, initial=0) > 0, scales, 0).astype(np.float64)
        top = float(scales.max(initial=0))
        if not top < _SCALE:
            expected = f"numbers below {127 * _SCALE:,.0f}, as fixed point needs"
            raise InputError(describe(f"weight '{name}'", f"{127 * top:.3g}", expected, "Export it in float32."))
        bits = min(46, 30 - math.floor(math.log2(top))) if top else 46
        factors = np.minimum(np.rint(np.ldexp(scales, bits)), 2**31 - 1).astype(np.int32)
        c_name, key = self._names.of(name), f"{name} as a matrix"
        if key not in self._written:
            self._written[key] = ""
            values = self.array(f"{name}.values", numbers.reshape(-1))
            ends = f"{values}, {self.array(f'{name}.factors', factors)}, {numbers.shape[1]}"
            self._matrices.append(f"static const fixed_matrix {c_name} = {{{ends}}};\n")
        return Matrix(numbers, factors, bits, c_name)


@dataclass
class FixedModel(Model):
    """The data that the ops of a fixed-point export share; its matrices are int8.

    Attributes:
        kinds: the formats of rows outside the buffer: register -> kind.
        states: the formats of states: state -> kind.
        bounds: the known bounds on the size of numbers in a row: register -> bound.
        narrow: the length of the longest row that is converted to 16 bits.
    """

    constants: FixedConstants
    kinds: dict[str, Kind] = field(default_factory=dict)
    states: dict[str, Kind] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)
    narrow: int = 0
    prefix = "fixed_"
    cluster = "fixed_add_each"
    lowest = "INT32_MIN"

    def matrix(self, op: Op, role: str) -> Matrix:
        """Return a weight for products or lookups."""
        name = op.weights[role]
        numbers = self.weights[name]
        if numbers.ndim == 3:  # the numbers of a step side by side, step after step
            numbers = numbers.transpose(0, 2, 1)
        flat = np.ascontiguousarray(numbers.reshape(len(numbers), -1))
        return self.constants.factors(name, flat, self.weights[name + SCALE])

    def floats(self, op: Op, role: str) -> Array:
        """Return the float values of a weight (R, C)."""
        name = op.weights[role]
        flat = self.weights[name].reshape(len(self.weights[name]), -1).astype(np.float64)
        return flat * self.weights[name + SCALE][:, None] if name + SCALE in self.weights else flat

    def whole(self, name: str, values: Array, bits: int = WIDE) -> str:
        """Return the C name of numbers in 32 bits."""
        check_range(name, values, 2.0 ** (31 - bits))
        whole = np.rint(np.ldexp(values.astype(np.float64).reshape(-1), bits))
        return self.constants.array(name, np.clip(whole, -(2**31) + 1, 2**31 - 1).astype(np.int32))

    def vector(self, op: Op, role: str) -> str:
        """Return the C name of a weight in 32 bits; NULL without one."""
        return self.whole(op.weights[role], self.weights[op.weights[role]]) if role in op.weights else "NULL"

    def short(self, op: Op, role: str) -> tuple[str, int]:
        """Return the C name of a vector of 16-bit numbers, and their bits after the point."""
        values, name = self.floats(op, role).reshape(-1), op.weights[role]
        check_range(name, values, _SCALE)
        bits = kind_of(float(np.abs(values).max(initial=0)), 30).bits
        return self.constants.array(name, shortened(values, bits)), bits

    def begins(self, op: Op, role: str) -> float:
        """Return the bound on the size of a state before the first step."""
        slot = next(slot for slot in self.program.state if slot.name == op.state[role])
        first = self.weights[slot.begins] if isinstance(slot.begins, str) else slot.begins
        return float(np.abs(first).max(initial=0))

    def begins_with(self, name: str, kind: Kind) -> str:
        """Return the C name of the initial values of a state."""
        if kind.type == "int16_t":
            return self.constants.array(name, shortened(self.weights[name].reshape(-1), kind.bits))
        return self.whole(name, self.weights[name], kind.bits)

    def kind(self, name: str) -> Kind:
        """Return the format of a row."""
        return self.kinds.get(name, Kind())

    def read(self, section: Section, name: str, target: str | None = None) -> str:
        """Return the C expression of a row in the buffer's format, converted to ``target`` or a scratch row."""
        kind = self.kind(name)
        if kind.wide:
            return super().read(section, name, target)
        pointer, size = section.read(name), self.width(name)
        y = target if target is not None else section.scratch(size)
        part = "fixed_widen" if kind.type == "int16_t" else "fixed_move_point"
        section.call(part, y, pointer, WIDE - kind.bits, size)
        return y

    def update(self, section: Section, op: Op) -> str:
        """Copy the first input of an op to its register in the buffer's format, in place if possible."""
        if self.kind(op.reads[0]).wide:
            return section.update(op)
        return self.read(section, op.reads[0], section.write(op))


def check_range(name: str, values: Array, end: float) -> None:
    """Check that the numbers of a weight are below a limit in size.

    Raises:
        InputError: one is too large or not finite.
    """
    wrong = values.reshape(-1)[~(np.abs(values.reshape(-1)) < end)]
    if len(wrong):
        expected = f"numbers between -{end:,.0f} and {end:,.0f}, as fixed point needs"
        fix = "Export it with activations='exact' (--activations exact)."
        raise InputError(describe(f"a number of the weight '{name}'", float(wrong[0]), expected, fix))


def tables() -> dict[str, Array]:
    """Return the tables of the parts: tanh at steps of 1/32, and powers of two from 1 to 1/2."""
    tangent = shortened(np.tanh(np.arange(257) / 32), UNIT)
    powers = np.rint(np.ldexp(np.exp2(-np.arange(32) / 32), 30)).astype(np.uint32)
    return {"fixed_tangent_table": tangent, "fixed_power_table": powers}


def kind_of(bound: float | None, most: int = UNIT) -> Kind:
    """Return the 16-bit format of numbers within a bound; 32 bits if the bound is unknown or above 8.

    Example:
        >>> kind_of(1.0), kind_of(2.5), kind_of(100.0)
        (Kind(type='int16_t', bits=15), Kind(type='int16_t', bits=13), Kind(type='int32_t', bits=16))
    """
    if bound is None or (bound > 8 and most == UNIT):
        return Kind()
    bits = most if bound == 0 else min(most, math.floor(math.log2(32767 / bound)))
    return Kind("int16_t", UNIT if bound == 1 and most == UNIT else bits)


def long_of(bound: float | None) -> Kind:
    """Return the 32-bit format of numbers within a bound, with as many bits after the point as fit.

    Example:
        >>> long_of(1.0), long_of(100.0), long_of(None)
        (Kind(type='int32_t', bits=30), Kind(type='int32_t', bits=23), Kind(type='int32_t', bits=16))
    """
    if bound is None:
        return Kind()
    return Kind(bits=max(WIDE, 30 - math.ceil(math.log2(max(bound, 1)))))


def shortened(values: Array, bits: int) -> Array:
    """Return numbers in 16 bits.

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
    """Add the product of a block of a matrix with x to sums; ``rows`` and ``columns`` are (first, count)."""
    bits = matrix.bits + kind.bits - WIDE
    part = "fixed_add_product" if kind.type == "int16_t" else "fixed_add_wide_product"
    for column, count in matrix.pieces(*rows, *columns):
        if kind.type == "int32_t":
            model.narrow = max(model.narrow, count)
        column_start = at(x, column - columns[0])
        section.call(part, y, f"&{matrix.name}", rows[0], rows[1], column, count, column_start, bits)


def bound_of_product(model: FixedModel, op: Op, role: str, bias: str, bound: float | None) -> float | None:
    """Return the bound on the product of a matrix with numbers within ``bound``; None if that is unknown."""
    if bound is None:
        return None
    rows = np.abs(model.floats(op, role)).sum(axis=1)[slice(*op.options.get("rows", [None]))]
    more = np.abs(model.weights[op.weights[bias]]) if bias in op.weights else 0.0
    return float((rows * bound + more).max(initial=0))


def check_known(program: Program, supported: frozenset[str]) -> None:
    """Check that every op and cell has a fixed-point form.

    Raises:
        InputError: one has none.
    """
    fix = "Export it with activations='exact' or 'table' (--activations exact)."
    for op in program.main.ops:
        if op.kind == "recur":
            reason = FORMS[op.options["cell"]].unbounded
            if reason:
                bounded = ", ".join(cell for cell, form in FORMS.items() if not form.unbounded)
                expected = f"one of {bounded}: {reason}"
                raise InputError(describe("cell in fixed point", op.options["cell"], expected, fix))
        elif op.kind not in supported:
            raise InputError(describe("op in fixed point", op.kind, f"one of {', '.join(sorted(supported))}", fix))
