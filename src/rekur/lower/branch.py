"""A ridge branch as ops of a program: shares of fixed convolutions, and a matrix for each member."""

from __future__ import annotations

from typing import Any

import numpy as np

from rekur._shares import SHARE, TALLIES
from rekur.lower.builder import Builder
from rekur.models.share_branch import ShareBranch
from rekur.program import Op


def lower_branch(building: Builder, branch: ShareBranch) -> list[str]:
    """Add the ops of a branch, and return the registers that hold the scores of its members."""
    spec, register = branch.spec, "input"
    if spec.stride > 1:
        state = {
            "window": building.remember("blocks.window", (spec.input_size,)),
            "seen": building.remember("blocks.seen", (1,), "int64"),
        }
        options = {"function": "mean", "steps": spec.stride}
        register = building.add(Op("sample", (register,), "blocks", spec.input_size, {}, state, options))
    shares = branch.shares()
    state = {
        "before": building.remember("before", (2 * shares.reach, spec.input_size)),
        "count": building.remember("count", (1,), "int64"),
    }
    state |= {role: building.remember(role, (spec.pairs,), "int64") for role in TALLIES[spec.numbers]}
    weights = building.weights({"bias": branch.bias, "channels": branch.channels})
    options_of_pool: dict[str, Any] = {"dilations": list(spec.dilations), "counts": list(spec.biases)}
    if spec.numbers != SHARE:
        options_of_pool["numbers"] = spec.numbers
    pooled = building.add(Op("shares", (register,), "pooled", spec.size, weights, state, options_of_pool))
    scores = []
    for member in range(spec.members):
        matrix, offset = (each[member].detach().cpu().float().numpy() for each in (branch.matrices, branch.offsets))
        roles = {
            "weight": building.array(f"branch.matrices.{member}", matrix),
            "bias": building.array(f"branch.offsets.{member}", offset),
        }
        scores.append(building.add(Op("affine", (pooled,), f"{member}.scores", spec.output_size, roles)))
    return scores


def mix(building: Builder, parts: list[str], share: float, size: int) -> str:
    """Add the weighted mean of two registers of answers, and return its own.

    Args:
        building: the program.
        parts: the registers.
        share: weight of the second one, in [0, 1].
        size: numbers of an answer.
    """
    both = building.add(Op("concat", tuple(parts), "answers", 2 * size))
    weights = np.concatenate([(1 - share) * np.eye(size), share * np.eye(size)], axis=1).astype(np.float32)
    return building.add(Op("affine", (both,), "mixed", size, {"weight": building.array("branch.mix", weights)}))
