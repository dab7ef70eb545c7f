"""The parts of a program: a list of ops with named inputs and outputs, and the types of their registers.

Axes: T time, C columns of ids, D numbers of a step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rekur._check import choice
from rekur._check import whole as whole_number
from rekur.errors import InputError, describe
from rekur.program.op_checks import Register
from rekur.program.ops import SCALE, SMALL, Op, State, Widths
from rekur.program.rules import RULES, apply_rule

#: the part of a program that maps an item to its output
MAIN = "main"
#: the parts of a program that is searched: one reads a source, the other steps through a target
ENCODE, DECODE = "encode", "decode"
#: the second part of a program that forecasts: one step for each segment of a horizon, all from the state of ``encode``
AHEAD = "ahead"
#: the register of the program's input
INPUT = "input"
#: the name of the program's output
OUTPUT = "output"
#: kinds of input
INPUTS = ("tokens", "rows", "ids", "memory")
#: types of weights
DTYPES = ("float32", "int64", *SMALL)
_BYTES = {"float32": 4, "int64": 8, "int8": 1, "bfloat16": 2}


@dataclass(frozen=True)
class Input:
    """The form of an input step.

    Args:
        kind: ``tokens`` (a whole number in [0, size)), ``rows`` (``size`` numbers), ``ids`` (``size`` whole numbers,
            one of each column), or ``memory`` (the rows of ``size`` numbers that an output of the part ``encode`` has).
        size: size of the vocabulary, of a row, or the number of columns.
        columns: of ``ids``, the size of the vocabulary of each column; else empty.

    Example:
        >>> Input("ids", 2, (100, 8)).register
        Register(kind='ids', size=2, columns=(100, 8), delay=0, stride=1)
    """

    kind: str
    size: int
    columns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        choice("kind of the input", self.kind, INPUTS)
        whole_number("size of the input", self.size, low=1)
        if len(self.columns) != (self.size if self.kind == "ids" else 0):
            expected = f"{self.size} of them, one for each id" if self.kind == "ids" else f"none for {self.kind}"
            raise InputError(describe("columns of the input", len(self.columns), expected))
        for column in self.columns:
            whole_number("size of a column of the input", column, low=1)

    @property
    def register(self) -> Register:
        """The type of the register that holds the input."""
        if self.kind == "rows":
            return Register("steps", self.size)
        if self.kind == "memory":
            return Register("memory", self.size)
        columns = self.columns or (self.size,)
        return Register("ids", len(columns), columns)

    def to_json(self) -> dict[str, Any]:
        """Return the input as plain JSON."""
        written: dict[str, Any] = {"kind": self.kind, "size": self.size}
        return {**written, "columns": list(self.columns)} if self.columns else written


@dataclass(frozen=True)
class Weight:
    """The shape and type of a named weight.

    Args:
        shape: its axes, each 1 or more.
        dtype: ``float32``; ``int64`` for tables of keys; for matrices also ``bfloat16``, and ``int8`` with the scales
            of the rows in another weight, named after the matrix with ``.scale`` added.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def bytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * _BYTES[self.dtype]


@dataclass(frozen=True)
class Part:
    """A list of ops with named inputs and outputs.

    Args:
        inputs: name -> form; the name is that of the register too.
        ops: in the order in which they run; each reads registers and writes one.
        outputs: name -> register.
    """

    inputs: Mapping[str, Input]
    ops: tuple[Op, ...]
    outputs: Mapping[str, str]


def register_types(part: Part, paths: list[str], widths: Widths) -> dict[str, Register]:
    """Check the ops of a part, and return the type of each register.

    Args:
        part: the part.
        paths: path of each op in the program, for messages.
        widths: the weights and states of the program.
    """
    registers = {name: source.register for name, source in part.inputs.items()}
    for path, op in zip(paths, part.ops, strict=True):
        register = apply_rule(path, op, registers, widths)
        if op.writes in registers:
            fix = "Each op writes its own register."
            raise InputError(describe(f"{path}.writes", op.writes, "a register that no op before it writes", fix))
        if op.size != register.size:
            raise InputError(
                describe(f"{path}.size", op.size, f"{register.size}, as its weights and what it reads say")
            )
        registers[op.writes] = register
    return registers


def is_pool(op: Op) -> bool:
    """Return whether an op reduces all steps to one row."""
    return op.kind in RULES and RULES[op.kind].gives == "row"


def check_names(parts: Mapping[str, Part], types: Mapping[str, Mapping[str, Register]], state: Sequence[State]) -> None:
    """Check the inputs and outputs of parts, and what of one part another reads.

    Args:
        parts: ``main``, or ``encode`` and ``decode`` or ``ahead``.
        types: part -> register -> its type.
        state: of the program.
    """
    for name, part in parts.items():
        sources = [source for source, form in part.inputs.items() if form.kind != "memory" or name != DECODE]
        _only(f"inputs of the part '{name}'", sources, INPUT)
        if part.inputs[INPUT].kind == "memory":
            raise InputError(describe(f"input of the part '{name}'", "memory", "tokens, ids or rows"))
        if name != ENCODE:
            _only(f"outputs of the part '{name}'", part.outputs, OUTPUT)
        elif AHEAD in parts and part.outputs:
            expected = f"none, since the part '{AHEAD}' begins with its states"
            raise InputError(describe(f"outputs of the part '{name}'", ", ".join(part.outputs), expected))
        for output, register in part.outputs.items():
            path = f"outputs.{output}" if name == MAIN else f"{name}.outputs.{output}"
            choice(path, register, [op.writes for op in part.ops])
    _check_reads(parts, types, state)


def _only(thing: str, names: Iterable[str], name: str) -> None:
    if list(names) != [name]:
        raise InputError(describe(thing, ", ".join(names) or "none", f"'{name}' alone"))


def _check_reads(
    parts: Mapping[str, Part], types: Mapping[str, Mapping[str, Register]], state: Sequence[State]
) -> None:
    """Check that the second part reads all outputs of ``encode``, with their sizes, and no others."""
    outputs = {} if ENCODE not in parts else {n: types[ENCODE][r] for n, r in parts[ENCODE].outputs.items()}
    expected = {slot.name: slot.output for slot in state if slot.output}
    memories = {name: form for name, form in parts[DECODE].inputs.items() if name != INPUT} if outputs else {}
    for slot in state:
        if not slot.output:
            continue
        thing = f"output that the state '{slot.name}' begins with"
        output = outputs[choice(thing, slot.output, list(outputs))]
        if (output.kind, (output.size,)) != ("row", slot.shape) or slot.dtype != "float32":
            got = f"a {output.kind} of {output.size}"
            raise InputError(describe(thing, got, f"a row of float32 {slot.shape}, as the state"))
        if slot.name not in {name for op in parts[DECODE].ops for name in op.state.values()}:
            raise InputError(describe(f"state '{slot.name}'", "one of the part 'encode'", "one of the part 'decode'"))
    for name, form in memories.items():
        thing = f"memory '{name}' of the part '{DECODE}'"
        output = outputs[choice(thing, name, list(outputs))]
        if (output.kind, output.size) != ("steps", form.size):
            raise InputError(describe(thing, f"{output.kind} of {output.size}", f"steps of {form.size}"))
    for name in outputs:
        if name not in memories and name not in expected.values():
            raise InputError(describe(f"outputs of the part '{ENCODE}'", name, f"what the part '{DECODE}' reads"))


def check_weights_and_states(weights: Mapping[str, Weight], state: tuple[State, ...]) -> Widths:
    """Check shapes and types of weights and states, and return them for the checks of ops."""
    for name, weight in weights.items():
        choice(f"type of the weight '{name}'", weight.dtype, DTYPES)
        _check_shape(f"weight '{name}'", weight.shape, low=0 if weight.dtype == "int64" else 1)
        if weight.dtype in SMALL:
            _check_small(name, weights)
    _check_states(state, weights)
    return Widths(
        {name: weight.shape for name, weight in weights.items()},
        {name: weight.dtype for name, weight in weights.items()},
        {slot.name: slot for slot in state},
    )


def _check_shape(thing: str, shape: Any, low: int = 1) -> None:
    if not isinstance(shape, tuple) or not shape:
        raise InputError(describe(f"shape of the {thing}", shape, "one or more axes"))
    for size in shape:
        whole_number(f"an axis of the {thing}", size, low=low)


def _check_small(name: str, weights: Mapping[str, Weight]) -> None:
    """Check the shape of a low-precision matrix, and the scales of an int8 one."""
    weight, scale = weights[name], weights.get(name + SCALE)
    if len(weight.shape) < 2:
        fix = f"Only matrices are {weight.dtype}; a vector is float32."
        raise InputError(
            describe(f"shape of the {weight.dtype} weight '{name}'", weight.shape, "two or more axes", fix)
        )
    if weight.dtype == "int8" and (scale is None or scale != Weight(weight.shape[:1])):
        got = "none" if scale is None else f"{scale.dtype} {scale.shape}"
        expected = f"float32 {weight.shape[:1]}, a number for each row of '{name}'"
        raise InputError(describe(f"weight '{name}{SCALE}'", got, expected))


def _check_states(state: tuple[State, ...], weights: Mapping[str, Weight]) -> None:
    seen: set[str] = set()
    for slot in state:
        _check_shape(f"state '{slot.name}'", slot.shape)
        if slot.name in seen:
            raise InputError(describe("state", slot.name, "each name once"))
        seen.add(slot.name)
        if isinstance(slot.begins, str):
            weight = weights.get(slot.begins)
            if weight is None:
                choice(f"weight that the state '{slot.name}' begins with", slot.begins, list(weights))
            elif weight.shape != slot.shape:
                expected = f"{slot.shape}, as the state '{slot.name}' that begins with it"
                raise InputError(describe(f"shape of the weight '{slot.begins}'", weight.shape, expected))
            elif weight.dtype in SMALL:
                expected = f"'{slot.dtype}', as the state '{slot.name}' that begins with it"
                raise InputError(describe(f"type of the weight '{slot.begins}'", weight.dtype, expected))
