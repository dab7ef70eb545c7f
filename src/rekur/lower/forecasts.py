"""A network that forecasts as a program with the parts ``encode`` and ``ahead``."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import NamedTuple

from rekur.lower.builder import Arrays, Builder
from rekur.lower.lower_encoder import lower_encoder, lower_stack
from rekur.models import Forecaster, ForecasterSpec
from rekur.models.forecaster import ForecasterMember
from rekur.program import Input, Op, Program
from rekur.program.parts import AHEAD, ENCODE, INPUT, OUTPUT


class _Blocks(NamedTuple):
    """The registers of the blocks of a row of the horizon.

    Attributes:
        read: what the decoder reads.
        candidates: plain forecasts.
        prior: logarithms of their weights.
        error: expected errors of the plain combination.
    """

    read: str
    candidates: str
    prior: str
    error: str


def lower_forecaster(building: Builder, model: Forecaster, task: str) -> tuple[Program, Arrays]:
    """Return the program of a network that forecasts, and its weights; members are ops beside each other."""
    spec = model.spec
    members = [each for each in model.members if isinstance(each, ForecasterMember)]
    prefixes = [f"{index}." for index in range(len(members))] if len(members) > 1 else [""]
    for prefix, member in zip(prefixes, members, strict=True):
        building.prefix = prefix
        lower_encoder(building, member.encoder)
    parts = {ENCODE: building.part({INPUT: Input("rows", spec.input_size)}, {})}
    states = tuple(building.state)
    building.prefix = ""
    blocks, outputs = _blocks(building, spec), []
    for prefix, member in zip(prefixes, members, strict=True):
        building.prefix = prefix
        outputs.append(_segment(building, member, blocks))
    building.prefix, output = "", outputs[0]
    if len(outputs) > 1:
        output = building.add(Op("average", tuple(outputs), "average", building.ops[-1].size))
    parts[AHEAD] = building.part({INPUT: Input("rows", spec.ahead_width)}, {OUTPUT: output})
    # the decoder's cells begin with the states of the encoder's, which have their names
    return Program(task, parts, building.weight_shapes(), states), building.arrays


def _blocks(building: Builder, spec: ForecasterSpec) -> _Blocks:
    """Add the ops that cut a row of the horizon into its blocks."""
    points = spec.segment * spec.channels
    sizes = spec.ahead_size, points * spec.candidates, spec.channels * spec.candidates, points
    names = "known", "candidates", "prior", "error"
    for name, (first, end) in zip(names, pairwise(accumulate(sizes, initial=0)), strict=True):
        if end > first:
            building.add(Op("slice", (INPUT,), name, end - first, options={"first": first, "end": end}))
    options = {"function": "asinh"}
    read = building.add(Op("activation", ("candidates",), "candidates.scaled", sizes[1], options=options))
    if spec.ahead_size:
        read = building.add(Op("concat", ("known", read), "read", sizes[0] + sizes[1]))
    return _Blocks(read, *names[1:])


def _segment(building: Builder, member: ForecasterMember, blocks: _Blocks) -> str:
    """Add the ops of a step of one segment, and return the register that holds its quantiles."""
    spec = member.spec
    points = spec.segment * spec.channels
    hidden = lower_stack(building, blocks.read, member.decoder)
    z = building.add(Op("concat", (hidden, blocks.read), "hidden", member.gate.in_features))
    factor = 1 - spec.shrinkage
    gate = building.affine(z, "gate", member.gate, factor=factor)
    options = {"candidates": spec.candidates}
    mixed = building.add(Op("mix", (gate, blocks.prior, blocks.candidates), "mixed", points, options=options))
    correction = building.affine(z, "correction", member.correction, factor=factor)
    median = building.add(Op("add", (mixed, correction), "median", points))
    increments = building.affine(z, "increments", member.increments)
    size, options = points * len(spec.quantiles), {"below": spec.median}
    return building.add(Op("quantiles", (median, blocks.error, increments), "quantiles", size, options=options))
