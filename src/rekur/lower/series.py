"""A convolutional network of series as a program of one list of ops; members stand beside each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from rekur.errors import InputError, describe
from rekur.lower.branch import lower_branch, mix
from rekur.lower.builder import Arrays, Builder
from rekur.lower.lower_encoder import lower_stack
from rekur.lower.pools import lower_pool
from rekur.models import SeriesNetwork
from rekur.models.branch_spec import GRID
from rekur.models.linear_base import LEVELS, LIMIT, LinearBase
from rekur.models.series_network import EPSILON, SeriesMember
from rekur.nn.windows import StepNorm, WindowConv
from rekur.program import Input, Op, Program


def lower_series(building: Builder, model: SeriesNetwork, task: str) -> tuple[Program, Arrays]:
    """Return the program of a convolutional network of series, and its weights; norms are part of the convolutions."""
    spec = model.spec
    scaled = _scaled(building, model)
    members = [each for each in model.members if isinstance(each, SeriesMember)]
    outputs = []
    for index, member in enumerate(members):
        building.prefix = f"{index}." if len(members) > 1 or model.branch is not None else ""
        outputs.append(_member(building, scaled, member, f"members.{index}"))
    building.prefix = ""
    size = spec.output_size
    lines = [] if model.base is None else _base(building, model.base)
    outputs = [_sum(building, pair, size) for pair in zip(outputs, lines, strict=True)] if lines else outputs
    if model.branch is not None:
        parts = [_answers(building, outputs, spec.joint, size)]
        building.prefix = "ridge."
        ridges = lower_branch(building, model.branch)
        if lines:
            base = _answers(building, lines, spec.joint, size)
            ridges = [_sum(building, (ridge, base), size) for ridge in ridges]
        parts.append(_answers(building, ridges, spec.joint, size))
        building.prefix = ""
        mixed = mix(building, parts, model.branch.spec.quarters / GRID, _answer_size(spec.joint, size))
        _scores(building, mixed, spec.joint, size)
    elif len(members) > 1:
        _scores(building, _answers(building, outputs, spec.joint, size), spec.joint, size)
    return building.program(task, Input("rows", spec.input_size)), building.arrays


def _scaled(building: Builder, model: SeriesNetwork) -> str:
    """Add the ops that average steps in blocks and scale them, and return their register."""
    spec, register = model.spec, "input"
    if spec.block > 1:
        register = _sample(building, register, "averaged", spec.input_size, "mean", spec.block)
    parts = [register] if spec.scale != "series" else []
    if spec.scale != "global":
        options = {"epsilon": EPSILON}
        parts.append(building.add(Op("standardize", (register,), "series", spec.input_size, options=options)))
    register = parts[0]
    if len(parts) > 1:
        register = building.add(Op("concat", tuple(parts), "both", spec.read_size))
    return building.add(Op("clip", (register,), "scaled", spec.read_size, options={"limit": LIMIT}))


def _member(building: Builder, reads: str, member: SeriesMember, path: str) -> str:
    """Add the ops of one network, and return the register that holds its scores."""
    spec, size = member.spec, member.spec.channels
    first, each = [], size // len(spec.widths)
    for index, conv in enumerate(member.convs):
        channels = member.norm, index * each
        first.append(_conv(building, reads, f"conv.{index}", conv, channels, f"{path}.convs.{index}"))
    register = building.add(Op("concat", tuple(first), "conv", size)) if len(first) > 1 else first[0]
    register = _relu(building, register, "conv.relu", size)
    if spec.stride > 1:
        register = _sample(building, register, "sampled", size, "max", spec.stride)
    inner = register
    for index, (conv, norm) in enumerate(zip(member.block, member.block_norms, strict=True)):
        inner = _conv(building, inner, f"block.{index}", conv, (norm, 0), f"{path}.block.{index}")
        if not index:
            inner = _relu(building, inner, "block.relu", size)
    register = _relu(building, building.add(Op("add", (register, inner), "block", size)), "read", size)
    hidden = lower_stack(building, register, member.recurrent)
    prefix = building.prefix
    building.prefix = f"{prefix}block."
    pooled = lower_pool(building, register, member.pool)
    building.prefix = f"{prefix}layer."
    hidden = lower_pool(building, hidden, member.recurrent_pool)
    building.prefix = prefix
    joined = building.add(Op("concat", (pooled, hidden), "joined", member.head.in_features))
    return building.affine(joined, "scores", member.head, factor=spec.spread)


def _base(building: Builder, base: LinearBase) -> list[str]:
    """Add a linear base, and return the register of each member's."""
    building.prefix = "base."
    size = base.pool_of_negative.size
    register = building.add(Op("clip", ("input",), "cut", size, options={"limit": LIMIT}))
    turned, pooled = _matrix(building, register, "turned", -np.eye(size)), lower_pool(building, register, base.pool)
    building.prefix = "base.turned."
    pools = pooled, lower_pool(building, turned, base.pool_of_negative)
    building.prefix = "base."
    levels = building.add(Op("concat", pools, "levels", LEVELS * size))
    lines = []
    for index, (matrix, offset) in enumerate(zip(base.matrices.cpu(), base.offsets.cpu(), strict=True)):
        weights = {
            role: building.array(f"base.{role}.{index}", array.float().numpy())
            for role, array in (("weight", matrix[:, : LEVELS * size]), ("bias", offset))
        }
        line = building.add(Op("affine", (levels,), f"{index}.line", len(offset), weights))
        if base.steps:
            line = _sum(building, (line, _ends(building, register, matrix, base.steps, index)), len(offset))
        lines.append(line)
    building.prefix = ""
    return lines


def _ends(building: Builder, reads: str, matrix: Tensor, steps: int, index: int) -> str:
    """Add a sum of the last steps by the columns of a base's matrix, as the last output of a convolution."""
    size, inputs = len(matrix), matrix.shape[1] // (LEVELS + steps)
    window = matrix[:, LEVELS * inputs :].reshape(size, steps, inputs).transpose(1, 2).float().numpy()
    arrays = {"weight": np.ascontiguousarray(window), "bias": np.zeros(size, np.float32)}
    weights = {role: building.array(f"base.steps.{role}.{index}", array) for role, array in arrays.items()}
    state = {"before": building.remember(f"{index}.before", (steps - 1, inputs))} if steps > 1 else {}
    every = building.add(Op("conv", (reads,), f"{index}.window", size, weights, state))
    last = {"last": building.remember(f"{index}.last", (size,))}
    return building.add(Op("last", (every,), f"{index}.ends", size, state=last))


def _sum(building: Builder, parts: tuple[str, str], size: int) -> str:
    return building.add(Op("add", parts, f"{parts[0].removeprefix(building.prefix)}.sum", size))


def _conv(building: Builder, reads: str, writes: str, conv: object, norm: tuple[object, int], path: str) -> str:
    """Add a convolution with the norm behind it, whose channels from a number on are its own."""
    if not (isinstance(conv, WindowConv) and isinstance(norm[0], StepNorm)):
        raise InputError(describe(path, type(conv).__name__, "a WindowConv with a StepNorm"))
    outputs, inputs, width = conv.weight.shape
    factor, summand = (part[norm[1] : norm[1] + outputs].detach().cpu().float() for part in norm[0].folded())
    weight = conv.weight.detach().cpu().float() * factor[:, None, None]
    weights = {
        "weight": building.array(f"{path}.scaled", weight.numpy()),
        "bias": building.array(f"{path}.bias", summand.numpy()),
    }
    options = {"ahead": conv.ahead} if conv.ahead else {}
    state = {}
    if width > 1 and not conv.ahead:
        state["before"] = building.remember(f"{writes}.before", (width - 1, inputs))
    return building.add(Op("conv", (reads,), writes, outputs, weights, state, options))


def _relu(building: Builder, reads: str, writes: str, size: int) -> str:
    return building.add(Op("activation", (reads,), writes, size, options={"function": "relu"}))


def _sample(building: Builder, reads: str, writes: str, size: int, function: str, steps: int) -> str:
    state = {
        "window": building.remember(f"{writes}.window", (size,)),
        "seen": building.remember(f"{writes}.seen", (1,), "int64"),
    }
    options = {"function": function, "steps": steps}
    return building.add(Op("sample", (reads,), writes, size, {}, state, options))


def _answer_size(joint: str, size: int) -> int:
    """Return the numbers of an answer: of flags the shares of yes, then those of no, so that both keep their digits."""
    return 2 * size if joint == "sigmoid" else size


def _answers(building: Builder, outputs: list[str], joint: str, size: int) -> str:
    """Add the average of members' answers, and return its register: numbers, or shares."""
    answers, count = list(outputs), _answer_size(joint, size)
    for index, register in enumerate(outputs):
        if joint == "softmax":
            answers[index] = building.add(Op("softmax", (register,), f"{index}.shares", size))
        elif joint == "sigmoid":
            sides = _matrix(building, register, f"{index}.sides", np.concatenate([np.eye(size), -np.eye(size)]))
            options = {"function": "sigmoid"}
            answers[index] = building.add(Op("activation", (sides,), f"{index}.shares", count, options=options))
    return answers[0] if len(answers) == 1 else building.add(Op("average", tuple(answers), "average", count))


def _scores(building: Builder, answers: str, joint: str, size: int) -> str:
    """Add the scores that mean these answers, and return their register."""
    if joint == "outputs":
        return answers
    logs = Op("activation", (answers,), "logs", _answer_size(joint, size), options={"function": "log"})
    register = building.add(logs)
    return (
        register
        if joint == "softmax"
        else _matrix(building, register, "scores", np.eye(size, 2 * size) - np.eye(size, 2 * size, size))
    )


def _matrix(building: Builder, reads: str, writes: str, weight: Any) -> str:
    """Add a product with a matrix of zeros, ones and minus ones."""
    role = {"weight": building.array(f"{building.prefix}{writes}.signs", weight.astype(np.float32))}
    return building.add(Op("affine", (reads,), writes, len(weight), role))
