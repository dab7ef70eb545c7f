"""A program as ONNX models: one of whole sequences, and one of a single step with its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rekur._tensors import Array
from rekur._version import __version__
from rekur.export.onnx.frame import Frame
from rekur.export.onnx.graph import Graph, Value
from rekur.export.onnx.pools import pool
from rekur.export.onnx.steps import STEPS
from rekur.program import Program, check_weights

_SEQUENCE = (
    "Scores of a batch of sequences, which may be empty. input: {input}, padded at the end with any values; lengths: "
    "number of real steps of each; scores: one row a sequence{steps}."
)
_STEP = (
    "One step of a batch of one sequence or more, with its state. input: {input}; state.NAME: the state, at first the "
    "values in the manifest; scores: as if the sequences ended here; next.NAME: the state for the next step."
)


def make_models(program: Program, weights: Mapping[str, Array], facts: Mapping[str, str] | None = None) -> Models:
    """Return the ONNX models of a program: ``sequence``, and ``step`` if the program is causal.

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
    models = {"sequence": _sequence(program, arrays, metadata)}
    if program.causal:
        models["step"] = _step(program, arrays, metadata)
    return models


Models = dict[str, Any]


def _sequence(program: Program, weights: Mapping[str, Array], facts: dict[str, str]) -> Any:
    graph = Graph()
    frame = Frame(graph, program, weights, live=False)
    registers = _scored(frame)
    steps = program.causal and program.every_step
    if steps:
        each = _head(frame, {op.writes: registers[op.reads[0]] for op in program.pool}, "steps/")
        each = graph.node("Where", frame.mask, each, 0.0).transpose(1, 0, 2)
        graph.output("steps", frame.as_given(each, 2), "float32", ("batch", "time", program.output_size))
    more = "; steps: one row after each step, zeros in the padding" if steps else ""
    text = _SEQUENCE.format(input=_describe(program, "(batch, time)"), steps=more)
    return graph.model("sequence", text, {**facts, "graph": "sequence"})


def _step(program: Program, weights: Mapping[str, Array], facts: dict[str, str]) -> Any:
    graph = Graph()
    frame = Frame(graph, program, weights, live=True)
    _scored(frame)
    for slot in program.state:
        graph.output(f"next.{slot.name}", frame.after[slot.name], slot.dtype, ("batch", *slot.shape))
    text = _STEP.format(input=_describe(program, "(batch)"))
    return graph.model("step", text, {**facts, "graph": "step"})


def _scored(frame: Frame) -> dict[str, Value]:
    """Add all nodes up to the scores, and return the registers of the body."""
    registers, pooled = _body(frame), {}
    for op in frame.program.pool:
        frame.graph.place = op.writes
        pooled[op.writes] = pool(frame, op, registers[op.reads[0]])
    scores = frame.as_given(_head(frame, pooled), 1)
    frame.graph.output("scores", scores, "float32", ("batch", frame.program.output_size))
    return registers


def _body(frame: Frame) -> dict[str, Value]:
    registers = {"input": frame.input}
    for op in frame.program.body:
        frame.graph.place = op.writes
        registers[op.writes] = STEPS[op.kind](frame, op, [registers[name] for name in op.reads])
    return registers


def _head(frame: Frame, registers: dict[str, Value], prefix: str = "") -> Value:
    """Return the output of the head for registers (…, D)."""
    for op in frame.program.head:
        frame.graph.place = f"{prefix}{op.writes}"
        registers[op.writes] = STEPS[op.kind](frame, op, [registers[name] for name in op.reads])
    return registers[frame.program.output]


def _describe(program: Program, axes: str) -> str:
    size = program.input.size
    if program.input.kind == "tokens":
        return f"token numbers in [0, {size}) {axes}"
    return f"rows of {size} numbers {axes[:-1]}, {size})"
