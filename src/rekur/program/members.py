"""A program of several members with fewer of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rekur._check import whole
from rekur._tensors import Array
from rekur.program.ops import SCALE, Op
from rekur.program.parts import MAIN
from rekur.program.program import Program


def members_of(program: Program) -> int:
    """Return the number of members whose answers a program averages; 1 where it averages none."""
    ops = program.main.ops if MAIN in program.parts else ()
    return next((len(op.reads) for op in ops if op.kind == "average"), 1)


def with_members(program: Program, weights: Mapping[str, Array], count: int) -> tuple[Program, dict[str, Array]]:
    """Return a program with its first members alone, and their weights.

    Args:
        program: the program.
        weights: name -> array.
        count: members to keep, from 1 to :func:`members_of`.

    Raises:
        InputError: the program has fewer.

    Example:
        >>> from rekur.program import Input, Op, State
        >>> pools = [Op(kind, ("input",), kind, 1, state={kind: kind}) for kind in ("last",)]
        >>> ops = (*pools, Op("average", ("last", "last"), "average", 1))
        >>> program = Program.of("regress", Input("rows", 1), {}, (State("last", (1,)),), ops)
        >>> members_of(program), [op.kind for op in with_members(program, {}, 1)[0].main.ops]
        (2, ['last'])
    """
    most = members_of(program)
    whole("members", count, 1, most)
    if count == most:
        return program, dict(weights)
    ops, renamed = list[Op](), dict[str, str]()
    for op in program.main.ops:
        op = replace(op, reads=tuple(renamed.get(name, name) for name in op.reads))
        if op.kind == "average" and len(op.reads) == most:
            op = replace(op, reads=op.reads[:count])
            if count == 1:
                renamed[op.writes] = op.reads[0]
                continue
        ops.append(op)
    outputs = {name: renamed.get(register, register) for name, register in program.main.outputs.items()}
    needed, used = set(outputs.values()), list[Op]()
    for op in reversed(ops):
        if op.writes in needed:
            used.insert(0, op)
            needed |= set(op.reads)
    states = {name for op in used for name in op.state.values()}
    state = tuple(slot for slot in program.state if slot.name in states)
    names = {name for op in used for name in op.weights.values()}
    names |= {slot.begins for slot in state if isinstance(slot.begins, str)}
    names |= {name + SCALE for name in names if name + SCALE in program.weights}
    part = replace(program.main, ops=tuple(used), outputs=outputs)
    shapes = {name: weight for name, weight in program.weights.items() if name in names}
    return Program(program.task, {MAIN: part}, shapes, state), {name: weights[name] for name in shapes}
