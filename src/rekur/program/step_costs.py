"""The cost of a step of a program, op by op: multiply-adds, bytes of weights, bytes of state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rekur.program.cells import cell_from
from rekur.program.ops import SCALE, Op
from rekur.program.program import Program


@dataclass(frozen=True)
class Cost:
    """The cost of one op at each step.

    Args:
        part: ``body``, ``pool`` or ``head``; the head runs only when a prediction is read.
        op: the op.
        multiply_adds: one for each weight of a matrix, plus those of a matrix memory.
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
        >>> costs(Program("regress", Input("rows", 2), {}, (State("last", (2,)),), (), (last,), ()))[0].state_bytes
        8
    """
    sizes = {"input": program.input.size}
    states = {slot.name: slot.bytes for slot in program.state}
    listed = []
    for part, op in program.ops():
        state_bytes = sum(states[name] for name in op.state.values())
        listed.append(Cost(part, op, _multiply_adds(program, op, sizes), _weight_bytes(program, op), state_bytes))
        sizes[op.writes] = op.size
    return listed


def _multiply_adds(program: Program, op: Op, sizes: dict[str, int]) -> int:
    if op.kind == "recur":
        return cell_from(op.options, sizes[op.reads[0]], op.size).multiply_adds()
    if op.kind in ("embed", "ngrams", "recall", "layer_norm"):
        return 0
    if op.kind == "affine":
        return op.size * sizes[op.reads[0]]
    shapes = [program.weights[name].shape for name in op.weights.values()]
    return sum(math.prod(shape) for shape in shapes if len(shape) > 1)


def _weight_bytes(program: Program, op: Op) -> int:
    if op.kind == "embed":
        return _bytes(program, op.weights["table"], 1)
    if op.kind == "recall":
        return _bytes(program, op.weights["table"], len(op.options["orders"]))
    if op.kind == "ngrams":
        return sum(_bytes(program, op.weights[f"table_{order}"], 1) for order in op.options["orders"])
    rows = op.size if op.kind == "affine" else None
    return sum(_bytes(program, name, rows) for name in op.weights.values())


def _bytes(program: Program, name: str, rows: int | None) -> int:
    """Return the bytes of a number of rows of a weight, or of all, with their scales."""
    arrays = [program.weights[name]]
    if arrays[0].dtype == "int8":
        arrays.append(program.weights[name + SCALE])
    return sum(array.bytes if rows is None else array.bytes // array.shape[0] * rows for array in arrays)
