"""The proofs: each runs the model in two ways that should give equal results.

To add a proof, write a function and add it to ``CHECKS``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.check import exports
from rekur.check.finding import Check, Finding, NotApplicable, Pair
from rekur.check.raw_outputs import RawOutputs
from rekur.check.subject import Subject, TokenPair, drawn_like, engine_of, pair_rows
from rekur.check.windows import WindowArrays, events_of
from rekur.data import Ragged
from rekur.data.encoded import joined
from rekur.program import Engine, quantise
from rekur.program.ops import SCALE
from rekur.runtime import Session, layout, read_bundle

_WHOLE_ONLY = "the model needs whole sequences, and has no steps"
#: sizes of chunks of a sequence
_CHUNKS = (1, 3, 10, 64)
#: most steps of a sequence to run one by one
_STEPS = 300


def padding(subject: Subject) -> Iterator[Pair]:
    """Run each sequence alone and in a batch with a much longer one."""
    for name, x in zip(subject.names, subject.sequences, strict=True):
        beside = subject.engine.run([x, drawn_like(subject, 2 * len(x) + 19)])
        yield Pair(name, beside[0], subject.engine.run([x])[0])


def batch_mates(subject: Subject) -> Iterator[Pair]:
    """Run each sequence alone and in a batch with all others."""
    for name, x, together in zip(subject.names, subject.sequences, subject.whole, strict=True):
        yield Pair(name, together, subject.engine.run([x])[0])


def order(subject: Subject) -> Iterator[Pair]:
    """Run the sequences in two orders."""
    shuffled = np.random.default_rng(0).permutation(len(subject.sequences))
    for places in (np.arange(len(shuffled))[::-1], shuffled):
        scores = subject.engine.run([subject.sequences[index] for index in places])
        for index, row in zip(places.tolist(), scores, strict=True):
            yield Pair(subject.names[index], row, subject.whole[index])


def chunks(subject: Subject) -> Iterator[Pair]:
    """Run each sequence in chunks with carried state, and as a whole."""
    if subject.forecasts:
        for name, window, expected in zip(subject.names, subject.sequences, subject.whole, strict=True):
            for size in _CHUNKS:
                yield Pair(f"{name} in chunks of {size}", subject.engine.in_chunks(window, size), expected)
        return
    _need_steps(subject)
    engine = subject.engine
    for name, x, expected in zip(subject.names, subject.sequences, subject.whole, strict=True):
        for size in _CHUNKS:
            parts = [x[start : start + size] for start in range(0, len(x), size)]
            yield Pair(f"{name} in chunks of {size}", _in_chunks(engine, parts), expected)


def steps(subject: Subject) -> Iterator[Pair]:
    """Run each sequence one step at a time, and as a whole."""
    if subject.searches:
        yield from _pairs(subject, pair_rows(subject.engine.steps, subject.sequences))
        return
    _need_steps(subject)
    yield from _steps_of(subject, subject.engine, "")


def stream(subject: Subject) -> Iterator[Pair]:
    """Push each raw item in pieces into a live session, saved and restored on the way, and predict the whole."""
    if not subject.forecasts:
        _need_steps(subject)
    if not subject.items:
        raise NotApplicable("pieces of a text are no items" if _is_next(subject) else "it needs DATA")
    model = subject.model
    features, target = model.features_, RawOutputs(per_step=model.target_.per_step)
    if features.reads_texts and isinstance(subject.items[0], list):
        raise NotApplicable("live, the model reads texts, and these are lists of words")
    if subject.forecasts:
        yield from _streamed_windows(subject, target)
        return
    rng = np.random.default_rng(0)
    for name, item, x, expected in zip(subject.names, subject.items, subject.sequences, subject.whole, strict=True):
        context = features.encode(item).context
        if features.begins(context):
            (expected,) = model.outputs_of_items([x], [context])
        session = Session(model, features, target)
        outputs = []
        for index, piece in enumerate(_cut(item, rng)):
            outputs.append(session.push(piece).final)
            if index % 2 == 0:
                session = Session.restore(session.get_state(), model, features, target)
        yield Pair(name, target.join([*outputs, session.finish().final]), expected)


def saved(subject: Subject) -> Iterator[Pair]:
    """Read the bundle from disk again: the same program, weights, steps and scores."""
    again = read_bundle(subject.bundle.folder)
    program, weights = again.program()
    yield Pair("program.json", np.array([program.to_json() == subject.saved[0].to_json()]), np.array([True]), ("",))
    for name, array in subject.saved[1].items():
        yield Pair(f"weight '{name}'", weights[name], array, _places(array))
    features = again.features()
    for name, item, x in zip(subject.names, subject.items, subject.sequences, strict=False):
        steps = x.source if subject.searches else x.steps if subject.forecasts else x
        axes = ("step", "number")[: steps.ndim]
        yield Pair(f"{name}, its steps", features.transform(item), steps, axes)
    scores = engine_of(program, weights).run(subject.sequences)
    for name, row, expected in zip(subject.names, scores, subject.whole, strict=True):
        yield Pair(name, row, expected)


def pytorch(subject: Subject) -> Iterator[Pair]:
    """Run the sequences on the engine and on the model in PyTorch."""
    trained = _trained(subject)
    ours, expected = _scores(subject.model, subject.sequences), _scores(trained, subject.sequences)
    for name, row, right in zip(subject.names, ours, expected, strict=True):
        yield Pair(name, row, right, _axes(subject))


def pytorch_padding(subject: Subject) -> Iterator[Pair]:
    """Run each sequence in PyTorch alone and in a padded batch."""
    trained = _trained(subject)
    for name, x, together in zip(subject.names, subject.sequences, _scores(trained, subject.sequences), strict=True):
        yield Pair(name, together, _scores(trained, [x])[0], _axes(subject))


def int8(subject: Subject) -> Iterator[Pair]:
    """Round the weights to int8: none moves by more than half a step, and live results equal whole ones."""
    program, weights = subject.saved
    if program.precision != "float32":
        raise NotApplicable(f"the weights are {program.precision}, so that all other proofs are of it")
    small, rounded = quantise(program, weights, "int8")
    expanded = dict(weights)
    for name in [name for name, weight in small.weights.items() if weight.dtype == "int8"]:
        step = rounded[name + SCALE].astype(np.float64).reshape(-1, *[1] * (weights[name].ndim - 1))
        exact = rounded[name] * step
        expanded[name] = exact.astype(np.float32)
        beyond = np.maximum(0, np.abs(exact - weights[name]) / step - 0.5)
        yield Pair(f"weight '{name}' in int8", beyond, np.zeros_like(beyond), _places(exact))
    engine = engine_of(small, rounded)
    scores, expected = engine.run(subject.sequences), engine_of(program, expanded).run(subject.sequences)
    for name, row, right in zip(subject.names, scores, expected, strict=True):
        yield Pair(f"{name} in int8", row, right)
    if program.causal:
        yield from _steps_of(subject, engine, " in int8")


#: every proof that `rekur check` runs, in this order
CHECKS = (
    Check("padding", "longer sequences beside it change nothing", padding),
    Check("batch mates", "alone as in company", batch_mates),
    Check("order", "the order of a batch does not matter", order),
    Check("chunks", "chunks of any size give what the whole gives", chunks),
    Check("steps", "single steps give what the whole gives", steps),
    Check("stream", "raw events pushed live give what predict gives", stream),
    Check("save and load", "read twice, the same bits", saved, 0.0),
    Check("PyTorch", "the engine gives what PyTorch gives", pytorch),
    Check("padding in PyTorch", "there too padding changes nothing", pytorch_padding),
    Check("int8", "rounded weights, live and whole", int8),
    Check("ONNX", "ONNX Runtime gives what the engine gives", exports.onnx),
    Check("C", "compiled C gives what the engine gives", exports.c),
)


def check_bundle(subject: Subject, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Yield the finding of each proof.

    Args:
        subject: a saved model with sequences; :func:`subject_of` returns it.
        checks: the proofs; by default all.

    Example:
        >>> from rekur.runtime import read_bundle
        >>> subject = subject_of(read_bundle("runs/reviews"))  # doctest: +SKIP
        >>> all(finding.holds is not False for finding in check_bundle(subject))  # doctest: +SKIP
        True
    """
    for check in checks:
        yield check.on(subject)


def _streamed_windows(subject: Subject, target: RawOutputs) -> Iterator[Pair]:
    """Yield what a session says after the values of each window, saved and restored on the way, and the whole."""
    model = subject.model
    for name, window, expected in zip(subject.names, subject.items, subject.whole, strict=True):
        session, events = Session(model, model.features_, target), list(events_of(window, model.features_))
        for event in events[:-1]:
            session.advance(event)
        session = Session.restore(session.get_state(), model, model.features_, target)
        yield Pair(name, session.push(events[-1]).tentative[0], expected)


def _need_steps(subject: Subject) -> None:
    if subject.forecasts:
        raise NotApplicable("the model has no output for a single step of a window")
    if subject.searches:
        raise NotApplicable("its texts are found by search, from whole sources")
    if not subject.engine.program.causal:
        raise NotApplicable(_WHOLE_ONLY)


def _pairs(subject: Subject, scores: Sequence[Array]) -> Iterator[Pair]:
    """Yield scores of pairs, and those of the engine for whole targets."""
    for name, row, expected in zip(subject.names, scores, subject.whole, strict=True):
        yield Pair(name, row, expected)


def _is_next(subject: Subject) -> bool:
    return subject.model.target_.kind == "next"


def _steps_of(subject: Subject, engine: Engine, how: str) -> Iterator[Pair]:
    """Yield an engine's output after single steps, and after the whole."""
    live: Any = engine.live()
    for name, whole in zip(subject.names, subject.sequences, strict=True):
        x = whole[:_STEPS]
        live.reset()
        if engine.program.per_step:
            rows = [live.advance(x[step : step + 1]) for step in range(len(x))]
            outputs = np.concatenate([*rows, live.finish()])
        else:
            for step in x:
                live.step(step)
            outputs = live.read()
        yield Pair(f"{name}{how}, after {len(x)} steps", outputs, engine.run([x])[0])


def _in_chunks(engine: Engine, parts: list[Array]) -> Array:
    """Return the output of a sequence that is run part by part with carried state."""
    if engine.program.per_step:
        live: Any = engine.live()
        return np.concatenate([*[live.advance(part) for part in parts], live.finish()])
    state = engine.initial_state()
    for part in parts:
        state = engine.advance(part, state)
    return engine.read(state)


def _cut(item: Any, rng: np.random.Generator) -> Iterator[Any]:
    """Yield an item in pieces."""
    start, pieces = 0, item if isinstance(item, str | list) else np.asarray(item)
    while start < len(pieces):
        end = start + int(rng.integers(1, max(2, len(pieces) // 3 + 1)))
        yield pieces[start:end]
        start = end


def _places(weight: Array) -> tuple[str, ...]:
    return ("row", "column", "tap")[: weight.ndim]


def _axes(subject: Subject) -> tuple[str, ...]:
    return ("token",) if _is_next(subject) else ("score",)


def _trained(subject: Subject) -> Any:
    """Return the model in PyTorch."""
    if importlib.util.find_spec("torch") is None:
        raise NotApplicable("PyTorch is not installed")
    if subject.load_trained is None:
        raise NotApplicable("subject_of was not given load_trained, such as rekur.tasks.load")
    if layout.WEIGHTS not in subject.bundle.config["files"]:
        raise NotApplicable(f"the bundle holds a program of {subject.bundle.quantised} weights alone")
    return subject.load_trained(subject.bundle.folder)


def _scores(model: Any, sequences: list[Any]) -> Sequence[Array]:
    """Return the outputs of sequences; of the next token, and of targets, the nats or log-probability of each token."""
    if sequences and isinstance(sequences[0], TokenPair):
        return pair_rows(model.model_.steps() if hasattr(model, "model_") else model.engine, sequences)
    if sequences and isinstance(sequences[0], WindowArrays):
        inputs = {name: Ragged.from_iter(getattr(each, name) for each in sequences) for name in ("steps", "ahead")}
        return list(model.outputs_of_steps(joined(inputs)))
    if model.target_.kind != "next":
        outputs: Sequence[Array] = model.outputs_of_steps(Ragged.from_iter(sequences))
        return list(outputs)
    lengths = [len(x) for x in sequences]
    starts = np.cumsum([0, *lengths[:-1]])
    nats = model.nats_of_tokens(np.concatenate(sequences).astype(np.int32), starts.astype(np.int64), reset=True)
    return np.split(nats, starts[1:])
