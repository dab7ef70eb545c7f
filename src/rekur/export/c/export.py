"""A bundle as C99: lowered, compiled, compared with the model, then written."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rekur import _check
from rekur._history import History
from rekur._tensors import Array
from rekur._version import __version__
from rekur.errors import InputError, RekurError, describe
from rekur.export.c import check
from rekur.export.c.constants import identifier
from rekur.export.c.fixed_api import fixed_functions
from rekur.export.c.forecast_export import ForecastExport
from rekur.export.c.labels import answers
from rekur.export.c.main_program import main_program
from rekur.export.c.raw import raw_input, unsupported
from rekur.export.c.readme import makefile, readme
from rekur.export.c.source import ACTIVATIONS, PRECISIONS, Extra, Lowered, Style, lower_to_c
from rekur.export.c.trial import raw_outputs, trial_items
from rekur.export.c.write import header, source, state_bytes
from rekur.export.folder import MANIFEST, check_folder, write_folder
from rekur.features import Features
from rekur.program import Engine, Program, draw_sequences, in_precision
from rekur.runtime import Bundle, model_of, read_bundle
from rekur.targets import NextTarget, Target

#: largest accepted difference of exact code, and of code with rounded weights or activations
CLOSE, ROUNDED = 1e-5, 0.25
_EACH_STEP = "outputs are read after each step; give steps"
_LESS_ROUNDED = "Choose float32 and exact activations, or a larger tolerance (--tolerance)."
_LAST_BITS = "Such scores depend on the last bits of their terms; a larger tolerance (--tolerance) accepts them."
#: largest accepted difference of 16-bit fixed point
FIXED = 0.01
#: names of C's own headers, and of main.c
_TAKEN = ("main", "float", "limits", "math", "stddef", "stdint", "stdio", "stdlib", "string")
_LENGTHS = (1, 2, 5, 0, 12, 40, 100)

#: the field ``format`` of the manifest
FORMAT = "rekur-c"


@dataclass(frozen=True)
class CExport:
    """An export that was written.

    Attributes:
        folder: its folder.
        files: the names of its files.
        report: the content of ``manifest.json``: sizes, options, differences.
    """

    folder: Path
    files: tuple[str, ...]
    report: dict[str, Any]


@dataclass(frozen=True)
class _Source:
    """The model to export."""

    bundle: Bundle
    features: Features
    target: Target
    program: Program
    weights: dict[str, Array]
    histories: Sequence[History] = ()


@dataclass(frozen=True)
class _Made:
    """An export before it is written."""

    lowered: Lowered
    extra: Extra
    sources: dict[str, str]
    why_not: str

    @property
    def style(self) -> Style:
        """The form of the export."""
        return self.lowered.style

    def sizes(self) -> dict[str, Any]:
        """Return what the report says of memory and time."""
        step, read = self.lowered.multiply_adds
        return {
            "per_step": self.lowered.per_step,
            "delay": self.lowered.delay,
            "raw_input": self.why_not or "yes",
            "state_bytes": state_bytes(self.lowered, self.extra),
            "buffer_bytes": self.lowered.buffer_bytes,
            "output_bytes": 4 * self.lowered.program.output_size,
            "multiply_adds_step": step,
            "multiply_adds_read": read,
        }

    def readme(self, report: dict[str, Any]) -> str:
        """Return the README.md."""
        return readme(report, not self.why_not, self.why_not, _answers(self))


def export_c(
    bundle: Bundle | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    precision: str | None = None,
    activations: str = "exact",
    flash: int | None = None,
    tolerance: float | None = None,
    items: Sequence[Any] = (),
    members: int | None = None,
    overwrite: bool = False,
) -> CExport:
    """Write a saved model as C99: a header, a source, a program that reads lines, a Makefile and a README.

    Before anything is written, the C code is compiled and compared with the engine on random input and on ``items``.
    Without a C compiler it is written unchecked, and the report says so.

    Args:
        bundle: the saved model.
        folder: the folder to write; new, empty or, with ``overwrite``, an export.
        name: prefix of functions and files; by default the name of the bundle's folder.
        precision: ``"float32"``, or ``"int8"`` for matrices of 8-bit numbers with a scale for each row; by default that
            of the bundle, where bfloat16 becomes float32.
        activations: ``"exact"``; ``"table"``: tanh and sigmoid by a table of 16-bit numbers; or ``"fixed"``: a whole
            step in fixed point, for devices without floating point, with ``precision="int8"``.
        flash: most bytes that the model may take in flash memory; None for no limit.
        tolerance: the largest accepted difference from the model; by default 1e-5, and 0.25 with rounded weights or
            activations. Fixed-point code may differ by 0.01 from the model with rounded weights.
        items: raw items, or windows of series, on which to compare, besides random ones.
        members: of the networks whose answers the model averages, the first ones that are written; None for all.
        overwrite: replace an export.

    Raises:
        NotStreamableError: the model needs whole sequences.
        InputError: an option is out of range, the bundle is bfloat16 and int8 is asked for, the folder is taken, or the
            model is larger than the flash.
        RekurError: the outputs of the C code differ from the model's.

    Example:
        >>> export_c("runs/reviews", "firmware/reviews", precision="int8").report["state_bytes"]  # doctest: +SKIP
        520
    """
    saved = replace(bundle if isinstance(bundle, Bundle) else read_bundle(bundle), members=members)
    running = model_of(saved)  # checks that features, program and target belong to one model
    target = check_folder(folder, FORMAT, overwrite=overwrite)
    model = _Source(saved, running.features_, running.target_, *saved.program(), running.kept_)
    style = _style(_named(name, saved.folder), precision, activations, model.program)
    limit = None if flash is None else _check.whole("flash", flash, low=1)
    let_pass = None if tolerance is None else _check.tolerance("tolerance", tolerance)
    made = _make(model, style)
    report = _report(made, saved)
    if limit is not None and report["constant_bytes"] + (report["code_bytes"] or 0) > limit:
        raise _too_large(report, limit, model, style)
    raw = running.to_predict(list(items)) if model.features.cuts_items and len(items) else items
    report |= _prove(made, model, raw, let_pass)
    report["files"] = names = sorted([*made.sources, MANIFEST, "README.md"])
    manifest = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    files = {**made.sources, MANIFEST: manifest, "README.md": made.readme(report)}
    write_folder(target, {file: text.encode() for file, text in files.items()}, FORMAT, overwrite=overwrite)
    return CExport(Path(folder), tuple(names), report)


def _style(name: str, precision: str | None, activations: str, program: Program) -> Style:
    if precision is None:
        precision = "int8" if program.precision == "int8" else "float32"
    style = Style(
        name,
        _check.choice("precision", precision, PRECISIONS),
        _check.choice("activations", activations, ACTIVATIONS),
    )
    if style.fixed and style.precision != "int8":
        expected, fix = "'int8' with activations 'fixed'", "Say precision='int8' (--precision int8)."
        raise InputError(describe("precision", style.precision, expected, fix))
    return style


def _named(name: str | None, folder: Path) -> str:
    if name is None:
        folder_name = folder.resolve().name.lower()
        candidate = identifier(folder_name)[:60] if folder_name.isascii() else "model"
        return f"model_{candidate.lstrip('_')}" if candidate.startswith("_") or candidate in _TAKEN else candidate
    if identifier(name) != name or name.startswith("_") or name in _TAKEN or len(name) > 60:
        expected = "letters, digits and underscores, a letter first, 60 at most, and no name of C's own headers"
        raise InputError(describe("name", name, expected))
    return name


def _make(model: _Source, style: Style) -> _Made | ForecastExport:
    if model.program.forecasts:
        return ForecastExport.of(model.program, model.weights, model.features, model.target, style, model.histories)
    lowered, features = lower_to_c(model.program, model.weights, style), model.features
    is_next = isinstance(model.target, NextTarget)
    why_not = unsupported(features) or (_EACH_STEP if lowered.per_step else "")
    extra = Extra() if why_not else raw_input(features, style, lowered.constants, scores_tokens=is_next)
    extra.add(answers(model.target, style))
    if style.fixed:
        extra.add(fixed_functions(lowered.program, style))
    sources = {
        f"{style.name}.h": header(lowered, extra),
        f"{style.name}.c": source(lowered, extra),
        "main.c": main_program(lowered, features, extra, model.target),
        "Makefile": makefile(style.name),
    }
    return _Made(lowered, extra, sources, why_not)


def _report(made: _Made | ForecastExport, saved: Bundle) -> dict[str, Any]:
    lowered, style, program = made.lowered, made.style, made.lowered.program
    code, measured = check.code_bytes(made.sources, style.name)
    return {
        "format": FORMAT,
        "rekur": __version__,
        "name": style.name,
        "bundle": saved.fingerprint,
        "task": program.task,
        "input": program.input.to_json(),
        "precision": style.precision,
        "activations": style.activations,
        "constant_bytes": lowered.constants.bytes,
        "code_bytes": code,
        "code_measured_with": measured,
        **made.sizes(),
    }


def _too_large(report: dict[str, Any], limit: int, model: _Source, style: Style) -> InputError:
    takes = report["constant_bytes"] + (report["code_bytes"] or 0)
    expected = f"at most {limit} bytes, the flash that was stated"
    options = " or --lookback" if model.program.forecasts else ", --embedding-size or --max-vocabulary"
    fix = f"Train a smaller one: --hidden-size{options}."
    if model.program.precision == "bfloat16":
        fix = "Take the bundle that it was made from, with precision='int8' (--precision int8)."
    elif style.precision != "int8":
        small = _make(model, Style(style.name, "int8", style.activations))
        needs = small.lowered.constants.bytes + (report["code_bytes"] or 0)
        fits = "which fits" if needs <= limit else "which does not fit either"
        fix = f"With precision='int8' (--precision int8) it takes {needs} bytes, {fits}."
    return InputError(describe("model", f"{takes} bytes", expected, fix).replace("'", "", 2))


def _answers(made: _Made) -> str:
    for kind, function in (("label", "label"), ("value", "value"), ("token", "log_probability")):
        if f"{made.lowered.style.name}_{function}(" in made.extra.declarations:
            return kind
    return ""


def _prove(
    made: _Made | ForecastExport, model: _Source, items: Sequence[Any], tolerance: float | None
) -> dict[str, Any]:
    """Return the differences between the compiled code and the model; raise if they exceed the tolerance."""
    proof: dict[str, Any] = {
        "compiler": check.compiler(),
        "sequences": 0,
        "items": 0,
        "difference": None,
        "difference_of_rounding": None,
        "changed_answers": None,
    }
    if proof["compiler"] is None:
        return proof
    style = made.style
    rounds = style.precision == "int8" and model.program.precision != "int8"
    saved = model.program, model.weights
    reference = in_precision(*saved, "int8") if rounds else saved
    if isinstance(made, ForecastExport):
        code, whole, tried = made.differences(saved, reference, items)
    else:
        code, whole, tried, changed = _differences(made, model, reference, items)
        proof["changed_answers"] = changed
    proof |= {"sequences": tried, "items": len(items), "difference": code}
    exact = style.activations == "exact"
    limit = CLOSE if exact and not rounds else ROUNDED
    may = (CLOSE if rounds else tolerance or CLOSE) if exact else tolerance or (FIXED if style.fixed else ROUNDED)
    _refuse_far("the compiled code", code, may, _LAST_BITS if exact and not rounds else _LESS_ROUNDED)
    if rounds or not exact:
        proof["difference_of_rounding"] = whole
        _refuse_far("the model with rounded numbers", whole, tolerance or limit)
    return proof


def _differences(
    made: _Made, model: _Source, reference: tuple[Program, dict[str, Array]], items: Sequence[Any]
) -> tuple[float, float, int, int | None]:
    """Return the largest differences of the outputs from the reference and from the model, how many sequences were
    tried, and of fixed point how many answers change."""
    lowered, style, features = made.lowered, made.style, model.features
    engine = Engine(model.program, model.weights)
    ours = engine if reference[0] is model.program else Engine(*reference)
    sequences = draw_sequences(model.program, _LENGTHS)
    if made.why_not:  # the code reads steps instead of raw input
        sequences += _steps(model, items)
    tested = [(sequences, check.outputs(made.sources, style.name, model.program, sequences))]
    if not made.why_not:
        raw = [*trial_items(features), *items]
        tested.append((_steps(model, raw), raw_outputs(made.sources, style.name, features, raw, lowered)))
    pairs = [(_joined(out), _joined(ours.run(steps)), _joined(engine.run(steps))) for steps, out in tested]
    code = max(check.largest_difference(out, expected) for out, expected, _ in pairs)
    whole = max(check.largest_difference(out, exact) for out, _, exact in pairs)
    changed = None
    if style.fixed and lowered.program.output_size > 1:
        other = [np.argmax(out, axis=1) != np.argmax(expected, axis=1) for out, expected, _ in pairs]
        changed = int(np.concatenate(other).sum())
    return code, whole, sum(len(steps) for steps, _ in tested), changed


def _joined(outputs: Any) -> Array:
    """Return outputs (B, K); those at every step one below the other."""
    return np.concatenate(outputs) if isinstance(outputs, list) else np.asarray(outputs)


def _steps(model: _Source, items: Sequence[Any]) -> list[Array]:
    """Return the steps of items; those of a language model begin with the token 0."""
    steps = [model.features.transform(item) for item in items]
    if not isinstance(model.target, NextTarget):
        return steps
    return [np.concatenate([[0], tokens]) if len(tokens) else tokens for tokens in steps]


def _refuse_far(thing: str, difference: float, limit: float, fix: str = _LESS_ROUNDED) -> None:
    if not difference <= limit:
        fix = f"Nothing was written. {fix}"
        expected = f"at most {limit:.2g} between its outputs and the model's"
        raise RekurError(describe(f"difference of {thing}", f"{difference:.3g}", expected, fix).replace("'", "", 2))
