"""ONNX models compared with the engine: at several batch sizes and lengths, and step by step with carried state.

Axes: B sequences, T time, D input features, K scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rekur import _check
from rekur._check import need
from rekur._tensors import Array
from rekur.errors import RekurError
from rekur.export.onnx.forecast_check import check_forecast_sessions
from rekur.export.onnx.found import Found, compare, larger
from rekur.export.onnx.pair_check import check_pair_sessions
from rekur.program import Engine, ForecastEngine, PairEngine, draw_sequences

#: largest accepted difference, as measured by `rekur.export.difference`
TOLERANCE = 1e-5
BATCHES, LENGTHS = (1, 2, 5), (1, 7, 31)
#: empty batches: number of sequences without steps, and the length of their padding
EMPTY = ((0, 5), (0, 0), (2, 0))
#: numbers of steps that the engine takes at once while the model takes them one by one
CHUNKS = (1, 3, 9)
_PURPOSE = "rekur export --to onnx"


def check_models(
    models: Mapping[str, Any], engine: Engine | PairEngine | ForecastEngine, tolerance: float = TOLERANCE
) -> Found:
    """Check ONNX models by ONNX's own rules, run them in ONNX Runtime, and return the largest difference.

    Args:
        models: from :func:`rekur.export.onnx.make_models`.
        engine: the engine of the same program.
        tolerance: the largest accepted difference.

    Raises:
        RekurError: a model breaks a rule of ONNX, or differs by more.
        MissingDependencyError: ``onnx`` or ``onnxruntime`` is not installed.

    Example:
        >>> from rekur.models import SequenceSpec, build
        >>> from rekur.lower import lower
        >>> from rekur.export.onnx import make_models
        >>> spec = SequenceSpec(discrete=True, input_size=10, output_size=3, cell="mingru", hidden_size=8)
        >>> program, weights = lower(build(spec, seed=0))
        >>> check_models(make_models(program, weights), Engine(program, weights)).difference < 1e-5
        True
    """
    _check.tolerance("tolerance", tolerance)
    sessions = open_models(models)
    if isinstance(engine, PairEngine):
        worst = check_pair_sessions(sessions, engine)
    elif isinstance(engine, ForecastEngine):
        worst = check_forecast_sessions(sessions, engine)
    else:
        worst = _check_sessions(sessions, engine)
    if not worst.difference <= tolerance:
        fix = "Such scores depend on the last bits of their terms; a larger --tolerance accepts them."
        text = f"largest difference to the model's own scores: got {worst.difference:.2g} in {worst.where}; "
        raise RekurError(f"{text}expected at most {tolerance:g}. {fix}")
    return worst


def _check_sessions(sessions: Mapping[str, Any], engine: Engine) -> Found:
    rng, worst = np.random.default_rng(0), Found(0.0, "nowhere")
    for batch in BATCHES:
        for length in LENGTHS:
            worst = larger(worst, _check_batch(sessions["sequence"], engine, _draw(engine, batch, length, rng)))
    for batch, length in EMPTY:
        worst = larger(worst, _check_nothing(sessions["sequence"], engine, batch, length))
    if "step" in sessions:
        for batch in BATCHES:
            worst = larger(worst, _check_steps(sessions["step"], engine, batch, rng))
    return worst


def open_models(models: Mapping[str, Any]) -> dict[str, Any]:
    """Check ONNX models by ONNX's own rules, and return a session of ONNX Runtime, in one thread, for each.

    Raises:
        RekurError: a model breaks a rule of ONNX.
        MissingDependencyError: ``onnx`` or ``onnxruntime`` is not installed.
    """
    return {name: _session(name, model) for name, model in models.items()}


def _session(name: str, model: Any) -> Any:
    onnx, runtime = need("onnx", "export", _PURPOSE), need("onnxruntime", "export", _PURPOSE)
    try:
        onnx.checker.check_model(model, full_check=True)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each library has its own errors, some without a common base
        first = str(error).strip().splitlines()[0]
        raise RekurError(f"{name}.onnx: got '{first}'; expected a model that is valid and runs.") from error


def _draw(engine: Engine, batch: int, length: int, rng: np.random.Generator) -> list[Array]:
    """Return sequences: the first of the given length, the others shorter, one of them empty."""
    lengths = [length, *rng.integers(0, length, size=batch - 1, endpoint=True).tolist()]
    if batch > 2:
        lengths[2] = 0
    return draw_sequences(engine.program, lengths, rng)


def _check_batch(session: Any, engine: Engine, sequences: list[Array]) -> Found:
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    shape = (len(sequences), int(lengths.max()), *sequences[0].shape[1:])
    padding = np.nan if sequences[0].dtype == np.float32 else np.iinfo(np.int64).max
    x = np.full(shape, padding, sequences[0].dtype)
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {"input": x, "lengths": lengths}), strict=True))
    where = f"sequence.onnx, {len(sequences)} sequences of up to {shape[1]} steps"
    whole, each, worst = engine.run(sequences), "steps", Found(0.0, "nowhere")
    if engine.program.per_step:
        each = "scores"
    else:
        worst = compare(outputs["scores"], whole, f"{where}, scores")
    if each in outputs:
        for row, sequence in enumerate(sequences):
            expected = np.zeros((shape[1], engine.program.output_size), np.float32)
            expected[: len(sequence)] = whole[row] if each == "scores" else engine.run_steps(sequence)[0]
            worst = larger(worst, compare(outputs[each][row], expected, f"{where}, {each} of sequence {row}"))
    return worst


def _check_nothing(session: Any, engine: Engine, batch: int, length: int) -> Found:
    """Check a batch without sequences, or with sequences without steps."""
    source, per_step = engine.program.input, engine.program.per_step
    more = () if source.kind == "tokens" else (source.size,)
    x = np.zeros((batch, length, *more), np.float32 if source.kind == "rows" else np.int64)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {"input": x, "lengths": np.zeros(batch, np.int64)}), strict=True))
    sizes = {"scores": (batch, length) if per_step else (batch,), "steps": (batch, length)}
    for name, array in outputs.items():
        expected = (*sizes[name], engine.program.output_size)
        if array.shape != expected:
            raise RekurError(
                f"sequence.onnx, {batch} sequences of 0 steps, {name}: got {array.shape}; expected {expected}."
            )
    if batch == 0 or per_step:
        return Found(float(any(array.any() for array in outputs.values() if per_step)), "sequence.onnx, padding")
    expected_scores = engine.run(list(x[:, :0]))
    return compare(outputs["scores"], expected_scores, f"sequence.onnx, {batch} sequences of 0 steps, scores")


def _check_steps(session: Any, engine: Engine, batch: int, rng: np.random.Generator) -> Found:
    names = [output.name for output in session.get_outputs()]
    sequences = draw_sequences(engine.program, batch * [sum(CHUNKS)], rng)
    states = [engine.initial_state() for _ in sequences]
    slots = [slot.name for slot in engine.program.state]
    state = {f"state.{slot}": np.stack(arrays) for slot, *arrays in zip(slots, *states, strict=True)}
    worst, begin = Found(0.0, "nowhere"), 0
    for chunk in CHUNKS:
        for time in range(begin, begin + chunk):
            x = np.stack([sequence[time] for sequence in sequences])
            outputs = dict(zip(names, session.run(names, {"input": x, **state}), strict=True))
            state = {f"state.{slot}": outputs[f"next.{slot}"] for slot in slots}
        parts = [sequence[begin : begin + chunk] for sequence in sequences]
        scores, states = _advanced(engine, parts, states)
        begin += chunk
        where = f"step.onnx, {batch} sequences after {begin} steps"
        if engine.program.delay >= begin:
            continue
        worst = larger(worst, compare(outputs["scores"], scores, f"{where}, scores"))
        for slot, *arrays in zip(slots, *states, strict=True):
            worst = larger(worst, compare(outputs[f"next.{slot}"], np.stack(arrays), f"{where}, next.{slot}"))
    return worst


def _advanced(engine: Engine, parts: list[Array], states: list[list[Array]]) -> tuple[Array, list[list[Array]]]:
    """Return the output (B, K) of the engine after further steps of each sequence, and the states."""
    if engine.program.per_step:
        stepped = [engine.run_steps(part, state) for part, state in zip(parts, states, strict=True)]
        last = [rows[-1:] for rows, _ in stepped]
        return np.concatenate(last), [state for _, state in stepped]
    states = [engine.advance(part, state) for part, state in zip(parts, states, strict=True)]
    return np.stack([engine.read(state) for state in states]), states
