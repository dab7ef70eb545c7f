"""Proofs of exports on the given sequences: ONNX models in ONNX Runtime, and compiled C."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np

from rekur._tensors import Array
from rekur.check.finding import NotApplicable, Pair
from rekur.check.subject import Subject, pair_rows
from rekur.errors import InputError, SaveError
from rekur.export.c import forecast_write
from rekur.export.c.check import compiler, outputs
from rekur.export.c.forecast import lacking_ahead, lower_forecasts
from rekur.export.c.forecast_export import ForecastExport
from rekur.export.c.forecast_trial import network_outputs
from rekur.export.c.source import Extra, Style, lacking, lower_to_c, too_large
from rekur.export.c.write import header, source
from rekur.export.onnx.check import open_models
from rekur.export.onnx.forecast_check import forecast
from rekur.export.onnx.models import make_models
from rekur.export.onnx.pair_check import PairSessions

#: most steps of a sequence to run one by one
_STEPS = 300


def onnx(subject: Subject) -> Iterator[Pair]:
    """Run the sequences in ONNX Runtime, as a padded batch and step by step with carried state."""
    for name in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise NotApplicable(f'{name} is not installed: pip install "rekur[export]"')
    sessions = open_models(make_models(*subject.saved))
    if subject.searches:
        rows = pair_rows(PairSessions(sessions, subject.engine.steps), subject.sequences)
        for name, row, expected in zip(subject.names, rows, subject.whole, strict=True):
            yield Pair(name, row, expected)
        return
    if subject.forecasts:
        for name, window, expected in zip(subject.names, subject.sequences, subject.whole, strict=True):
            yield Pair(name, forecast(sessions, subject.engine.engine, [window.steps], [window.ahead])[0], expected)
        return
    lengths = np.array([len(x) for x in subject.sequences], np.int64)
    first = np.asarray(subject.sequences[0])
    padded = np.zeros((len(lengths), max(1, int(lengths.max())), *first.shape[1:]), _input_type(first))
    for row, x in zip(padded, subject.sequences, strict=True):
        row[: len(x)] = x
    (scores,) = sessions["sequence"].run(["scores"], {"input": padded, "lengths": lengths})
    program = subject.saved[0]
    for name, row, expected in zip(subject.names, scores, subject.whole, strict=True):
        yield Pair(name, row[: len(expected)] if program.per_step else row, expected)
    if "step" not in sessions:
        return
    slots = [slot.name for slot in program.state]
    outputs_of_step = ["scores", *(f"next.{slot}" for slot in slots)]
    for name, whole in zip(subject.names, subject.sequences, strict=True):
        x = np.asarray(whole[:_STEPS]).astype(padded.dtype)
        state = [array[None] for array in subject.engine.initial_state()]
        rows = [np.zeros((0, program.output_size), np.float32)]
        for step in [*x, *np.zeros((program.delay, *x.shape[1:]), x.dtype)]:
            inputs = {f"state.{slot}": array for slot, array in zip(slots, state, strict=True)}
            scores, *state = sessions["step"].run(outputs_of_step, {"input": step[None], **inputs})
            rows.append(scores)
        outputs_of_steps = np.concatenate(rows)[program.delay :] if program.per_step else rows[-1][0]
        yield Pair(f"{name}, after {len(x)} steps", outputs_of_steps, subject.engine.run([x])[0])


def c(subject: Subject) -> Iterator[Pair]:
    """Compile the model as C, in int8 if its weights are, and run the sequences."""
    program, weights = subject.saved
    if program.searches:
        raise NotApplicable("its texts are found by search, and C does not search")
    if not program.causal and not program.forecasts:
        raise NotApplicable("the model needs whole sequences, and C runs live")
    if kind := (lacking_ahead if program.forecasts else lacking)(program):
        raise NotApplicable(f"C code has no op '{kind}'")
    if compiler() is None:
        raise NotApplicable("no C compiler: cc, gcc, clang or the one in CC")
    if flaw := too_large(program):
        raise NotApplicable(flaw.removesuffix("."))
    style = Style("model", "int8" if program.precision == "int8" else "float32")
    export = _forecaster(subject, style) if program.forecasts else None
    try:
        if export is not None:
            scores = _forecasts(subject, style)
        else:
            lowered = lower_to_c(program, weights, style)
            sources = {"model.h": header(lowered, Extra()), "model.c": source(lowered, Extra())}
            scores = outputs(sources, "model", program, subject.sequences)
    except SaveError as error:  # no space to compile it
        raise NotApplicable(str(error)) from error
    for name, row, expected in zip(subject.names, scores, subject.whole, strict=True):
        yield Pair(name, row, expected)
    if export is not None and subject.items:
        yield from _pushed(subject, export)


def _forecaster(subject: Subject, style: Style) -> ForecastExport:
    """Return the export of a forecaster."""
    try:
        return ForecastExport.of(*subject.saved, subject.model.features_, subject.model.target_, style)
    except InputError as error:
        raise NotApplicable(str(error).removesuffix(".")) from error


def _pushed(subject: Subject, export: ForecastExport) -> Iterator[Pair]:
    """Push the values of series into an export, and compare quantiles in units of the scale of each window."""
    named = zip(subject.names, subject.items, strict=True)
    pairs = [(name, item) for name, item in named if np.count_nonzero(~np.isnan(item.past)) > 1]
    rows = export.pushed([item for _, item in pairs], subject.saved)
    for (name, _), ours, theirs in zip(pairs, *rows, strict=True):
        yield Pair(f"{name}, value after value", ours, theirs)


def _forecasts(subject: Subject, style: Style) -> list[Array]:
    """Return the outputs of windows as the network of an export gives them."""
    lowered = lower_forecasts(*subject.saved, style)
    sources = {"model.h": forecast_write.header(lowered, None), "model.c": forecast_write.source(lowered, None)}
    return network_outputs(sources, "model", subject.sequences)


def _input_type(x: Array) -> type:
    return np.int64 if x.dtype.kind in "iu" else np.float32
