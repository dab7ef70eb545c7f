"""A program as ONNX models: one of whole sequences, and one of a single step with its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rekur._tensors import Array
from rekur._version import __version__
from rekur.export.onnx.frame import Frame
from rekur.export.onnx.graph import Graph, Value
from rekur.export.onnx.pools import LIVE, pool
from rekur.export.onnx.steps import STEPS
from rekur.program import Program, check_weights
from rekur.program.parts import AHEAD, DECODE, ENCODE, INPUT, is_pool

_SEQUENCE = (
    "Scores of a batch of sequences, which may be empty. input: {input}, padded at the end with any values; lengths: "
    "number of real steps of each; scores: {scores}."
)
_ENCODE = (
    "What targets read of a batch of sources, which may be empty. input: {input}, padded at the end with any values; "
    "lengths: number of real steps of each; {outputs}: inputs of decode, zeros in the padding{rows}."
)
_DECODE = (
    "One step of a batch of one target or more. input: the newest token of each, (batch); sources: the number of its "
    "source, (batch); {memories}: as encode gives them, (sources, time, D), with lengths (sources); state.NAME: the "
    "state, at first what the manifest says; scores: log-probabilities of the next token; next.NAME: the next state."
)
_PAST = (
    "One step of the past of a batch of one window or more. input: {input}; state.NAME: the state, at first the values "
    "in the manifest; next.NAME: the state for the next step."
)
_AHEAD = (
    "One segment of the horizon of a batch of one window or more. input: the rows of a segment, (batch, E); "
    "state.NAME: the state after the past, the same for each segment; scores: rising quantiles of each step and "
    "channel."
)
_STEP = (
    "One step of a batch of one sequence or more, with its state. input: {input}; state.NAME: the state, at first the "
    "values in the manifest; scores: {scores}; next.NAME: the state for the next step."
)


def make_models(program: Program, weights: Mapping[str, Array], facts: Mapping[str, str] | None = None) -> Models:
    """Return the ONNX models of a program: ``sequence``, and ``step`` if it is causal with an equal pace of all steps.

    Of a program that is searched they are ``encode``, which reads sources, and ``decode``, a step of targets; of one
    that forecasts ``encode``, a step of the past, and ``ahead``, a segment of the horizon.

    Args:
        program: the program.
        weights: name -> array, the weights of the program.
        facts: metadata of the models, such as the fingerprint of the bundle.

    Returns:
        name -> ``onnx.ModelProto``, unchecked.

    Raises:
        InputError: the weights do not match the program.
        MissingDependencyError: the package ``onnx`` is not installed.

    Example:
        >>> from rekur.models import SequenceSpec, build
        >>> from rekur.lower import lower
        >>> spec = SequenceSpec(discrete=True, input_size=10, output_size=3, cell="gru", hidden_size=8)
        >>> models = make_models(*lower(build(spec, seed=0)))
        >>> [node.op_type for node in models["step"].graph.node if "GRU" in node.op_type]
        ['GRU']
        >>> [output.name for output in models["step"].graph.output]
        ['scores', 'next.layer.0.h', 'next.last']
    """
    arrays = check_weights(program, weights)
    metadata = {"rekur": __version__, "task": program.task, "precision": program.precision, **(facts or {})}
    if program.delay:
        metadata["delay"] = str(program.delay)
    if program.searches:
        return {"encode": _encode(program, arrays, metadata), "decode": _decode(program, arrays, metadata)}
    if program.forecasts:
        return {"encode": _past(program, arrays, metadata), "ahead": _ahead(program, arrays, metadata)}
    models = {"sequence": _sequence(program, arrays, metadata)}
    steps_alone = all(op.kind in LIVE for op in program.main.ops if is_pool(op)) and not program.strided
    if program.causal and steps_alone:
        models["step"] = _step(program, arrays, metadata)
    return models


Models = dict[str, Any]


def _sequence(program: Program, weights: Mapping[str, Array], facts: dict[str, str]) -> Any:
    graph = Graph()
    frame = Frame(graph, program, weights, live=False)
    registers, said, size = _registers(frame, {INPUT: frame.input}), "one row a sequence", program.output_size
    if program.per_step:
        said = "one row a step, zeros in the padding"
        graph.output("scores", frame.each_step(registers[program.output]), "float32", ("batch", "time", size))
    else:
        graph.output("scores", frame.as_given(registers[program.output], 1), "float32", ("batch", size))
        if program.causal and program.every_step:
            steps = {name: value for name, value in registers.items() if program.types[name].kind != "row"}
            steps |= {op.writes: steps[op.reads[0]] for op in program.main.ops if is_pool(op)}
            each = _registers(frame, steps, "steps/")[program.output]
            said += "; steps: one row after each step, zeros in the padding"
            graph.output("steps", frame.each_step(each), "float32", ("batch", "time", size))
    text = _SEQUENCE.format(input=_describe(program, "(batch, time)"), scores=said)
    return graph.model("sequence", text, {**facts, "graph": "sequence"})


def _step(program: Program, weights: Mapping[str, Array], facts: dict[str, str]) -> Any:
    graph = Graph()
    frame = Frame(graph, program, weights, live=True)
    scores, said = _registers(frame, {INPUT: frame.input})[program.output], "as if the sequences ended here"
    if program.per_step:
        scores = scores.squeeze(0)
        said = f"those of the step {program.delay} steps before, once it is there" if program.delay else "of the step"
    graph.output("scores", scores, "float32", ("batch", program.output_size))
    for slot in program.state:
        graph.output(f"next.{slot.name}", frame.after[slot.name], slot.dtype, ("batch", *slot.shape))
    text = _STEP.format(input=_describe(program, "(batch)"), scores=said)
    return graph.model("step", text, {**facts, "graph": "step"})


def _encode(program: Program, weights: Mapping[str, Array], facts: dict[str, str]) -> Any:
    graph = Graph("weights/")
    frame = Frame(graph, program, weights, live=False, part=ENCODE)
    registers, types = _registers(frame, {INPUT: frame.input}), program.types_of(ENCODE)
    steps, rows = list[str](), list[str]()
    for name, register in program.parts[ENCODE].outputs.items():
        in_steps, size = types[register].kind == "steps", types[register].size
        value = registers[register]
        value = frame.each_step(value) if in_steps else frame.as_given(value, 1)
        graph.output(name, value, "float32", ("batch", "time", size) if in_steps else ("batch", size))
        (steps if in_steps else rows).append(name)
    begun = f"; {', '.join(rows)}: states that targets begin with" if rows else ""
    text = _ENCODE.format(input=_describe(program, "(batch, time)"), outputs=", ".join(steps), rows=begun)
    return graph.model("encode", text, {**facts, "graph": "encode"})


def _decode(program: Program, weights: Mapping[str, Array], facts: dict[str, str]) -> Any:
    graph = Graph("weights/")
    frame = Frame(graph, program, weights, live=True, part=DECODE)
    registers = _registers(frame, {INPUT: frame.input, **frame.memories})
    graph.output("scores", registers[program.output].squeeze(0), "float32", ("batch", program.output_size))
    for slot in program.state:
        if slot.name in frame.after:
            graph.output(f"next.{slot.name}", frame.after[slot.name], slot.dtype, ("batch", *slot.shape))
    text = _DECODE.format(memories=", ".join(frame.memories) or "memories")
    return graph.model("decode", text, {**facts, "graph": "decode"})


def _past(program: Program, weights: Mapping[str, Array], facts: dict[str, str]) -> Any:
    graph = Graph("weights/")
    frame = Frame(graph, program, weights, live=True, part=ENCODE)
    _registers(frame, {INPUT: frame.input})
    for slot in program.state:
        graph.output(f"next.{slot.name}", frame.after[slot.name], slot.dtype, ("batch", *slot.shape))
    text = _PAST.format(input=_describe(program, "(batch)"))
    return graph.model("encode", text, {**facts, "graph": "encode"})


def _ahead(program: Program, weights: Mapping[str, Array], facts: dict[str, str]) -> Any:
    graph = Graph("weights/")
    frame = Frame(graph, program, weights, live=True, part=AHEAD)
    registers = _registers(frame, {INPUT: frame.input})
    graph.output("scores", registers[program.output].squeeze(0), "float32", ("batch", program.output_size))
    return graph.model("ahead", _AHEAD, {**facts, "graph": "ahead"})


def _registers(frame: Frame, registers: dict[str, Value], prefix: str = "") -> dict[str, Value]:
    """Return all registers, those of steps (T, B, …) and rows (B, …), after adding the ops of the missing ones."""
    types = frame.program.types_of(frame.part)
    for op in frame.program.parts[frame.part].ops:
        if op.writes not in registers:
            frame.graph.place = f"{prefix}{op.writes}"
            frame.of_stride(types[op.reads[0]].stride)
            reads = [registers[name] for name in op.reads]
            registers[op.writes] = (pool if is_pool(op) else STEPS[op.kind])(frame, op, reads)
    return registers


def _describe(program: Program, axes: str) -> str:
    size = program.input.size
    if program.input.kind == "tokens":
        return f"token numbers in [0, {size}) {axes}"
    if program.input.kind == "ids":
        limits = ", ".join(map(str, program.input.columns))
        return f"ids below {limits} {axes[:-1]}, {size})"
    return f"rows of {size} numbers {axes[:-1]}, {size})"
