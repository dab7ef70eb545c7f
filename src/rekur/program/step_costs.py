"""The cost of a step of a program, op by op: multiply-adds, bytes of weights, bytes of state."""

from __future__ import annotations

from dataclasses import dataclass

from rekur.program.ops import SCALE, Op
from rekur.program.parts import AHEAD, MAIN, is_pool
from rekur.program.program import Program
from rekur.program.rules import RULES


@dataclass(frozen=True)
class Cost:
    """The cost of one op at each step.

    Args:
        part: ``body`` (from steps to steps), ``pool`` (from steps to a row) or ``head`` (on rows), which runs only when
            a prediction is read; ``encode`` or ``decode`` of a program that is searched.
        op: the op.
        multiply_adds: one for each weight of a matrix, plus those of a matrix memory; of an op that runs once for
            several steps its share.
        weight_bytes: bytes of weights that a step reads, in the program's precision.
        state_bytes: bytes of its state.
    """

    part: str
    op: Op
    multiply_adds: int
    weight_bytes: int
    state_bytes: int


def costs(program: Program) -> list[Cost]:
    """Return the cost of every op, in the order in which they run.

    Example:
        >>> from rekur.program import Input, Op, Program, State
        >>> last = Op("last", ("input",), "last", 2, state={"last": "last"})
        >>> costs(Program.of("regress", Input("rows", 2), {}, (State("last", (2,)),), (last,)))[0].state_bytes
        8
    """
    states = {slot.name: slot.bytes for slot in program.state}
    return [_cost(program, name, op, states) for name, part in program.parts.items() for op in part.ops]


def _cost(program: Program, part: str, op: Op, states: dict[str, int]) -> Cost:
    rule = RULES[op.kind]
    section = "pool" if is_pool(op) else "head" if program.reads_rows(op, part) else "body"
    shapes = [program.weights[name].shape for name in op.weights.values()]
    source = program.types_of(part)[op.reads[0]]
    return Cost(
        section if part == MAIN else part,
        op,
        -(-rule.multiply_adds(op, source.size, shapes) // source.stride),
        sum(_bytes(program, name, rule.rows_read(op, role)) for role, name in op.weights.items()),
        0 if part == AHEAD else sum(states[name] for name in op.state.values()),  # it has the states of ``encode``
    )


def _bytes(program: Program, name: str, rows: int | None) -> int:
    """Return the bytes of a number of rows of a weight, or of all, with their scales."""
    arrays = [program.weights[name]]
    if arrays[0].dtype == "int8":
        arrays.append(program.weights[name + SCALE])
    return sum(array.bytes if rows is None else array.bytes // array.shape[0] * rows for array in arrays)
