"""A program as a C header and a C source: a state, and functions that take a step and read the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rekur.errors import InputError, NotStreamableError, describe
from rekur.export.c import fixed, fixed_cells, fixed_ops
from rekur.export.c.constants import Array, Constants, Names
from rekur.export.c.ops import OPS, FloatModel, Model
from rekur.export.c.parts import assemble
from rekur.export.c.pools import POOLS, result, take
from rekur.export.c.recurrent import recur
from rekur.export.c.section import Register, Section
from rekur.program import Op, Program, State, costs, in_precision
from rekur.program.parts import INPUT, is_pool
from rekur.program.stepwise import stepwise

PRECISIONS = ("float32", "int8")
ACTIVATIONS = ("exact", "table", "fixed")
#: numbers that the arrays of an export hold at most; a compiler takes some 5 s and 320 MB for each million of them
MOST_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Style:
    """The form of a program in C.

    Args:
        name: the prefix of its functions, its state and its files.
        precision: of matrices and tables: ``float32``, or ``int8`` with a scale for each row.
        activations: ``exact``; ``table`` for tanh and sigmoid by a table of 16-bit numbers; or ``fixed`` for a whole
            step in fixed point.
    """

    name: str
    precision: str = "float32"
    activations: str = "exact"

    @property
    def fixed(self) -> bool:
        """Whether a step is in fixed point."""
        return self.activations == "fixed"

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants of parts to use."""
        return (self.precision, "table" if self.activations == "table" else "exact")


@dataclass
class Extra:
    """The code around the program in an export: raw input, labels.

    Attributes:
        members: of the state: (C type, name, length); length 0 for a scalar.
        reset: statements that reset the members.
        declarations: of public functions.
        definitions: of public functions.
        uses: parts that the functions call.
        variants: of these parts.
        macros: definitions that these parts need.
        preamble: code that these parts need.
    """

    members: list[tuple[str, str, int]] = field(default_factory=list)
    reset: list[str] = field(default_factory=list)
    declarations: str = ""
    definitions: str = ""
    uses: set[str] = field(default_factory=set)
    variants: tuple[str, ...] = ()
    macros: str = ""
    preamble: str = ""

    def add(self, other: Extra) -> None:
        """Add the public functions of another extra."""
        self.declarations += other.declarations
        self.definitions += other.definitions
        self.uses |= other.uses


@dataclass(frozen=True)
class Lowered:
    """The program as C code.

    Attributes:
        program: the program, in the precision of the style.
        weights: its weights: name -> array.
        style: its form.
        constants: its arrays.
        step: the code of a step.
        read: the code that reads the output.
        fields: members of the state: (type, name, length, initial value).
        narrow: length of a second buffer of 16-bit numbers.
        per_step: whether the output is that of the newest step, and not of the sequence so far.
        delay: steps by which that output is behind the input.
    """

    program: Program
    weights: Mapping[str, Array]
    style: Style
    constants: Constants
    step: Section
    read: Section
    fields: tuple[tuple[str, str, int, str], ...]
    narrow: int = 0
    per_step: bool = False
    delay: int = 0

    @property
    def buffer(self) -> int:
        """Length of the activation buffer."""
        return max(self.step.size, self.read.size)

    @property
    def buffer_bytes(self) -> int:
        """Bytes of all buffers; fixed point has one more, for scores before their conversion to float."""
        return 4 * self.buffer + 2 * self.narrow + (4 * self.program.output_size if self.style.fixed else 0)

    @property
    def multiply_adds(self) -> tuple[int, int]:
        """Multiply-adds of a step, and of reading the output."""
        op_costs = costs(self.program)
        head = sum(cost.multiply_adds for cost in op_costs if cost.part == "head")
        return sum(cost.multiply_adds for cost in op_costs) - head, head


def lower_to_c(program: Program, weights: Mapping[str, Array], style: Style) -> Lowered:
    """Return a causal program as C code, with its weights in the precision of the style.

    Raises:
        NotStreamableError: a step of the program needs a later one, its texts are found by search, or it forecasts.
        InputError: the style is int8 and the program is bfloat16, or int8 only in part; or its weights are too many.
    """
    if program.searches:
        expected = "a model with an output for its input or for each step: C does not search"
        raise NotStreamableError(
            describe("program", "one whose texts a search finds", expected, "Export it with --to onnx.")
        )
    if program.forecasts:
        expected = "a model with an output for its input or for each step"
        raise NotStreamableError(describe("program", "one that forecasts", expected, "It has lower_forecasts."))
    if not program.causal:
        how = "with --causal" if program.per_step else "without --bidirectional; of series with --causal"
        fix = f"Train a model that reads forward only ({how}), or export it with --to onnx."
        raise NotStreamableError(describe("program", "one that reads from the end", "a causal one", fix))
    if flaw := too_large(program):
        raise InputError(f"{flaw} Export it with --to onnx, or train a model with fewer words.")
    program, weights = in_precision(program, weights, style.precision)
    if program.per_step:
        lowered = lower_to_c(stepwise(program), weights, style)
        return replace(lowered, per_step=True, delay=program.delay)
    if kind := lacking(program):
        raise InputError(describe("op", kind, "one that C code has", "Export it with --to onnx."))
    if style.precision == "int8":
        check_int8(program)
    if style.fixed:
        return _lower_fixed(program, weights, style)
    multiplied = {op.weights["weight"] for op in program.main.ops if op.kind == "affine"}
    model = FloatModel(program, weights, Constants(), Names(), frozenset(multiplied))
    step = _step(model, _FLOAT)
    read, elided = _read(model, step, _FLOAT)
    fields = tuple(field_of(model, slot) for slot in program.state if slot.name not in elided)
    if "tangent_table" in assemble(step.uses | read.uses, style.variants)[1]:
        model.constants.array("tangent_table", hyperbolic_table())
    return Lowered(program, weights, style, model.constants, step, read, fields)


def hyperbolic_table() -> Array:
    """Return tanh at steps of 1/32 as 16-bit numbers."""
    return np.asarray(np.rint(np.tanh(np.arange(257) / 32) * 32767), np.int16)


def lacking(program: Program) -> str:
    """Return the first kind of op of a program that C code lacks; empty if it has all."""
    ops = (stepwise(program) if program.per_step else program).main.ops
    return next((op.kind for op in ops if op.kind not in (POOLS if is_pool(op) else _FLOAT.ops)), "")


def too_large(program: Program) -> str:
    """Return the flaw of a program with too many weights for C; empty if there is none.

    Example:
        >>> from rekur.program import Input, State, Weight
        >>> ops = (Op("last", ("input",), "last", 2, state={"last": "last"}),)
        >>> too_large(Program.of("regress", Input("rows", 2), {}, (State("last", (2,)),), ops))
        ''
    """
    numbers = sum(int(np.prod(weight.shape)) for weight in program.weights.values())
    if numbers <= MOST_NUMBERS:
        return ""
    expected = f"at most {MOST_NUMBERS:,}, which a C compiler takes in less than a minute"
    return f"numbers of the weights: got {numbers:,}; expected {expected}."


def _lower_fixed(program: Program, weights: Mapping[str, Array], style: Style) -> Lowered:
    fixed.check_known(program, fixed_ops.KNOWN)
    model = fixed.FixedModel(program, weights, fixed.FixedConstants(), Names())
    step = _step(model, _FIXED)
    read, elided = _read(model, step, _FIXED)
    fields = tuple(_fixed_field(model, slot) for slot in program.state if slot.name not in elided)
    used = assemble(step.uses | read.uses, style.variants)[1]
    for name, values in fixed.tables().items():
        if name in used:
            model.constants.array(name, values)
    return Lowered(program, weights, style, model.constants, step, read, fields, model.narrow + model.narrow % 2)


@dataclass(frozen=True)
class _Dialect:
    """The functions that write ops.

    Attributes:
        ops: op kind -> the function that writes it.
        take: adds a step to a pool.
        result: reads a pool.
    """

    ops: Mapping[str, Callable[[Any, Section, Op], None]]
    take: Callable[[Any, Section, Op], None]
    result: Callable[[Any, Section, Op, Register | None], None]


_FLOAT = _Dialect({**OPS, "recur": recur}, take, result)
_FIXED = _Dialect({**fixed_ops.OPS, "recur": fixed_cells.recur}, fixed_ops.take, fixed_ops.result)


def _step(model: Model, dialect: _Dialect) -> Section:
    program = model.program
    ops = [op for op in program.main.ops if not program.reads_rows(op)]
    pointer = {"tokens": "token", "ids": "ids", "rows": "x"}[program.input.kind]
    inputs = {INPUT: Register(pointer, program.input.size, len(ops))}
    section = Section(ops, inputs, {}, f"{model.prefix}copy")
    for number, op in enumerate(ops):
        section.begin(number, op, said(op))
        start = len(section.lines)
        (dialect.take if is_pool(op) else dialect.ops[op.kind])(model, section, op)
        section.gated(op, start)
    return section


def _read(model: Model, step: Section, dialect: _Dialect) -> tuple[Section, set[str]]:
    """Return the code that reads the output, and the states that are not needed."""
    program = model.program
    ops = [op for op in program.main.ops if program.types[op.writes].kind == "row"]
    section = Section(ops, {}, _homes(program), f"{model.prefix}copy")
    elided = set()
    for number, op in enumerate(ops):
        section.begin(number, op, said(op))
        if is_pool(op):
            source = step.registers[op.reads[0]]
            last_row = source if op.kind == "last" and source.begins_zero else None
            if last_row is not None:
                elided.add(op.state["last"])
            dialect.result(model, section, op, last_row)
        else:
            dialect.ops[op.kind](model, section, op)
    if section.registers[program.output].pointer != "output":
        model.read(section, program.output, "output")
    return section, elided


def _homes(program: Program) -> dict[str, str]:
    """Return the registers of rows that can be written directly to the output."""
    made = {op.writes: op for op in program.main.ops if program.reads_rows(op)}
    read = [name for op in program.main.ops if program.types[op.writes].kind == "row" for name in op.reads]
    homes: dict[str, str] = {}
    name, pointer = program.output, "output"
    while name in made:
        homes[name] = pointer
        op = made[name]
        if op.kind == "padding":
            pointer = "output + 1"
        elif op.kind not in ("activation", "layer_norm", "softmax", "log_softmax", "add"):
            break
        name = op.reads[0]
        if read.count(name) > 1:
            break
    return homes


def field_of(model: Model, slot: State) -> tuple[str, str, int, str]:
    """Return the member of a C state for a state of the program: type, name, length, initial value."""
    size, name = int(np.prod(slot.shape)), model.fields.of(slot.name)
    if slot.dtype == "int64":
        return _whole_type(model.program, slot), name, size, "0"
    if isinstance(slot.begins, str):
        array = model.weights[slot.begins].astype(np.float32).reshape(-1)
        return "float", name, size, f"{model.constants.array(slot.begins, array)}[i]"
    return "float", name, size, f"{float(np.float32(slot.begins)):.9g}f" if slot.begins else "0.0f"


def _fixed_field(model: fixed.FixedModel, slot: State) -> tuple[str, str, int, str]:
    size, name = int(np.prod(slot.shape)), model.fields.of(slot.name)
    if slot.dtype == "int64":
        return _whole_type(model.program, slot), name, size, "0"
    kind = model.states[slot.name]
    if isinstance(slot.begins, str):
        return kind.type, name, size, f"{model.begins_with(slot.begins, kind)}[i]"
    return kind.type, name, size, str(round(slot.begins * 2**kind.bits))


def _whole_type(program: Program, slot: State) -> str:
    """Return the C type of a state of whole numbers: tokens, the memory of followers, sums of places, or counts."""
    roles = {name: role for op in program.main.ops for role, name in op.state.items()}
    return {"before": "int32_t", "memory": "uint64_t", "places": "uint64_t"}.get(roles[slot.name], "uint32_t")


def said(op: Op) -> str:
    """Return what an op is, for a comment."""
    words = [op.kind, *(str(op.options[name]) for name in ("cell", "function", "rows") if name in op.options)]
    return f"{' '.join(words)} of {', '.join(op.reads)}"


def check_int8(program: Program) -> None:
    """Check that every matrix is int8: the functions of an export accept one type."""
    starts = {slot.begins for slot in program.state}
    for name, weight in program.weights.items():
        if len(weight.shape) > 1 and weight.dtype != "int8" and name not in starts:
            fix = "Export it in float32."
            raise InputError(describe(f"type of the weight '{name}'", weight.dtype, "'int8', as other matrices", fix))
