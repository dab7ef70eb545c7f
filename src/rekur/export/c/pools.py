"""The pools of a program as calls of C functions."""

from __future__ import annotations

import numpy as np

from rekur._convolutions import KERNELS, SIDE
from rekur.export.c.ops import FloatModel
from rekur.export.c.section import Register, Section
from rekur.program import Op

#: the pools that C code has
POOLS = frozenset({"last", "mean", "max", "attention", "shares"})


def take(model: FloatModel, section: Section, op: Op) -> None:
    """Add a step to a pool's state."""
    x = section.read(op.reads[0])
    if op.kind == "last":
        if not is_state(section.registers[op.reads[0]]):
            section.call("copy", model.state(op, "last"), x, op.size)
    elif op.kind == "mean":
        section.call("take_mean", model.state(op, "mean"), model.state(op, "count"), x, op.size)
    elif op.kind == "max":
        section.call("take_largest", model.state(op, "largest"), model.state(op, "count"), x, op.size)
    elif op.kind == "shares":
        window, count = (model.state(op, role) for role in ("before", "count"))
        section.call("take_shares", window, *_tallies(model, op), count, x, *_of_shares(model, section, op))
    else:
        hidden = model.weights[op.weights["weight"]].shape[0]
        y = section.scratch(hidden)
        model.start(section, y, model.vector(op, "bias"), hidden)
        section.call("add_product", y, model.matrix(op, "weight"), 0, hidden, 0, op.size, x)
        section.call("apply_tanh", y, hidden)
        section.uses.add("inner")
        score = f"inner({model.vector(op, 'score')}, {y}, {hidden})"
        states = (model.state(op, role) for role in ("total", "mass", "top"))
        section.call("attend", *states, score, x, op.size)


def is_state(register: Register) -> bool:
    """Return whether a register is a state itself, so that a pool of the last step need not copy it."""
    return register.begins_zero


def result(model: FloatModel, section: Section, op: Op, last: Register | None) -> None:
    """Set a pool's register to its result so far; ``last`` is the register that already holds it, if any."""
    if op.kind == "attention":
        section.call("divide", section.write(op), model.state(op, "total"), f"*{model.state(op, 'mass')}", op.size)
    elif op.kind == "shares":
        window, count = (model.state(op, role) for role in ("before", "count"))
        *room, bank = _of_shares(model, section, op)
        room.append(section.scratch(len(KERNELS) * max(op.options["counts"])))
        section.call("read_shares", section.write(op), window, *_tallies(model, op), f"*{count}", *room, bank)
    elif last is not None:
        section.alias(op, last.pointer)
    else:
        section.alias(op, model.state(op, {"last": "last", "mean": "mean", "max": "largest"}[op.kind]))


def _tallies(model: FloatModel, op: Op) -> list[str]:
    """Return the C expressions of the tallies of outputs above each bias; null for those that are not asked."""
    types = {"above": "uint32_t", "places": "uint64_t", "run": "uint32_t", "longest": "uint32_t"}
    return [model.state(op, role) if role in op.state else f"({kind} *)0" for role, kind in types.items()]


def _of_shares(model: FloatModel, section: Section, op: Op) -> tuple[str, str, str]:
    """Return the C expressions of room for outputs and for taps, and of the convolutions with their biases."""
    name, width = op.weights["bias"], model.width(op.reads[0])
    dilations, counts = (np.array(op.options[role], np.int32) for role in ("dilations", "counts"))
    flags = (model.weights[op.weights["channels"]] != 0).astype(np.uint8)
    arrays = {"dilations": dilations, "counts": counts, "channels": flags.reshape(-1), "biases": model.weights[name]}
    reach, pairs = SIDE * int(dilations.max()), len(model.weights[name])
    bank = model.constants.struct(f"{name}.bank", "share_bank", arrays, len(dilations), reach, width, pairs)
    return section.scratch(len(KERNELS)), section.scratch(width * (2 * SIDE + 1)), f"&{bank}"
