"""A program that forecasts as C code: a step of the past, and a segment of the horizon behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rekur.errors import InputError, describe
from rekur.export.c.constants import Array, Constants, Names
from rekur.export.c.ops import OPS, FloatModel
from rekur.export.c.parts import assemble
from rekur.export.c.recurrent import recur
from rekur.export.c.section import Register, Section, at
from rekur.export.c.source import Style, check_int8, field_of, hyperbolic_table, said, too_large
from rekur.program import Op, Program, costs, in_precision
from rekur.program.ops import SCALE
from rekur.program.parts import AHEAD, ENCODE, INPUT, Part


def _slice(model: FloatModel, section: Section, op: Op) -> None:
    source, first = section.registers[op.reads[0]], op.options["first"]
    if source.offset is None:
        section.alias(op, f"({source.pointer} + {first})" if first else source.pointer)
    else:
        section.call("copy", section.write(op), at(source.pointer, first), op.size)


def _mix(model: FloatModel, section: Section, op: Op) -> None:
    gate, prior, candidates = (section.read(name) for name in op.reads)
    count = op.options["candidates"]
    section.call("mix", section.write(op), gate, prior, candidates, op.size, model.width(op.reads[1]) // count, count)


def _quantiles(model: FloatModel, section: Section, op: Op) -> None:
    median, error, increments = (section.read(name) for name in op.reads)
    points, below = model.width(op.reads[0]), op.options["below"]
    above = model.width(op.reads[2]) // points - below
    section.call("quantiles", section.write(op), median, error, increments, points, below, above)


_OPS = {**OPS, "recur": recur, "slice": _slice, "mix": _mix, "quantiles": _quantiles}


@dataclass(frozen=True)
class Forecasting:
    """The network of a program that forecasts, as C code.

    Attributes:
        program: the program, in the precision of the style.
        weights: its weights: name -> array.
        style: its form.
        constants: its arrays.
        past: the code that takes a step of the past.
        ahead: the code that tells a segment of the horizon.
        fields: members of the state of the network: (type, name, length, initial value).
    """

    program: Program
    weights: Mapping[str, Array]
    style: Style
    constants: Constants
    past: Section
    ahead: Section
    fields: tuple[tuple[str, str, int, str], ...]

    @property
    def buffer(self) -> int:
        """Length of the activation buffer."""
        return max(self.past.size, self.ahead.size)

    @property
    def multiply_adds(self) -> tuple[int, int]:
        """Multiply-adds of a step of the past, and of a segment of the horizon."""
        of_parts = [sum(cost.multiply_adds for cost in costs(self.program) if cost.part == p) for p in (ENCODE, AHEAD)]
        return of_parts[0], of_parts[1]


def lower_forecasts(
    program: Program, weights: Mapping[str, Array], style: Style, constants: Constants | None = None
) -> Forecasting:
    """Return a program that forecasts as C code, with its weights in the precision of the style.

    Args:
        program: the program.
        weights: name -> array.
        style: the form of the export.
        constants: arrays that stand beside its own; None for none.

    Raises:
        InputError: fixed point is asked for, C code lacks an op, or the weights are too many or int8 only in part.
    """
    if style.fixed:
        expected = "'exact' or 'table' for a model that forecasts: its windows are computed in floating point"
        raise InputError(describe("activations", "fixed", expected))
    if flaw := too_large(program):
        raise InputError(f"{flaw} Train a smaller one: --hidden-size.")
    program, weights = in_precision(program, weights, style.precision)
    if kind := lacking_ahead(program):
        raise InputError(describe("op", kind, "one that C code has", "Export it with --to onnx."))
    if style.precision == "int8":
        check_int8(program)
    constants, names = constants or Constants(), Names()
    parts = {name: _alone(program, name) for name in (ENCODE, AHEAD)}
    models = {name: FloatModel(part, weights, constants, names, frozenset()) for name, part in parts.items()}
    past, ahead = _section(models[ENCODE], {}), _section(models[AHEAD], {parts[AHEAD].output: "output"})
    whole = replace(models[ENCODE], program=program)
    fields = tuple(field_of(whole, slot) for slot in program.state)
    if "tangent_table" in assemble(past.uses | ahead.uses, style.variants)[1]:
        constants.array("tangent_table", hyperbolic_table())
    return Forecasting(program, weights, style, constants, past, ahead, fields)


def lacking_ahead(program: Program) -> str:
    """Return the first kind of op of a program that forecasts which C code lacks; empty if it has all."""
    return next((op.kind for part in program.parts.values() for op in part.ops if op.kind not in _OPS), "")


def _alone(program: Program, name: str) -> Program:
    """Return a part as a program of its own; the registers of the second part have other names than the first's."""
    part = program.parts[name]
    prefix = "" if name == ENCODE else f"{name}."
    renamed = {INPUT: INPUT} | {op.writes: prefix + op.writes for op in part.ops}
    ops = tuple(
        replace(op, reads=tuple(renamed[each] for each in op.reads), writes=renamed[op.writes]) for op in part.ops
    )
    states = {each for op in ops for each in op.state.values()}
    slots = tuple(slot for slot in program.state if slot.name in states)
    names = {each for op in ops for each in op.weights.values()} | {
        s.begins for s in slots if isinstance(s.begins, str)
    }
    names |= {each + SCALE for each in names if each + SCALE in program.weights}
    weights = {each: weight for each, weight in program.weights.items() if each in names}
    outputs = {output: renamed[register] for output, register in part.outputs.items()}
    if not outputs:
        return Program.of(program.task, part.inputs[INPUT], weights, slots, ops)
    only = Part(part.inputs, ops, outputs)
    return Program(program.task, {"main": only}, weights, slots)


def _section(model: FloatModel, homes: Mapping[str, str]) -> Section:
    """Return the code of the ops of a part, whose input is the row ``x``."""
    ops = model.program.main.ops
    section = Section(ops, {INPUT: Register("x", model.program.input.size, len(ops))}, homes)
    for number, op in enumerate(ops):
        section.begin(number, op, said(op))
        _OPS[op.kind](model, section, op)
    return section
