"""A bundle as C99: lowered, compiled, held against the model, then written."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rekur import __version__, _check
from rekur._tensors import Array
from rekur.errors import InputError, RekurError, describe
from rekur.features import Features
from rekur.program import Engine, Program, draw_sequences
from rekur.runtime import Bundle, read_bundle, runner
from rekur.ship.c import check
from rekur.ship.c.constants import identifier
from rekur.ship.c.fixed_api import fixed_functions
from rekur.ship.c.labels import answers
from rekur.ship.c.main_program import main_program
from rekur.ship.c.raw import raw_input, unsupported
from rekur.ship.c.readme import makefile, readme
from rekur.ship.c.source import ACTIVATIONS, PRECISIONS, Extra, Lowered, Style, lower_to_c
from rekur.ship.c.trial import raw_outputs, trial_items
from rekur.ship.c.write import header, source, state_bytes
from rekur.ship.folder import MANIFEST, check_folder, write_folder

#: the largest difference that the code may make, and, with rounded weights or activations, that rounding may make
CLOSE, ROUNDED = 1e-5, 0.25
_LESS_ROUNDED = "Choose float32 and exact activations, or a larger tolerance (--tolerance)."
_LAST_BITS = (
    "Such scores hang on the last bits of what they are made of; a larger tolerance (--tolerance) lets them pass."
)
#: the largest difference that whole numbers of 16 bits may make
FIXED = 0.01
#: names of files that are there already
_TAKEN = ("main", "float", "limits", "math", "stddef", "stdint", "stdio", "stdlib", "string")
_LENGTHS = (1, 2, 5, 0, 12, 40, 100)

#: what the field ``format`` of the manifest says
FORMAT = "rekur-c"


@dataclass(frozen=True)
class CExport:
    """What was written.

    Attributes:
        folder: where.
        files: the names of the files.
        report: what ``manifest.json`` says: sizes, options, differences.
    """

    folder: Path
    files: tuple[str, ...]
    report: dict[str, Any]


@dataclass(frozen=True)
class _Source:
    """What is exported."""

    bundle: Bundle
    features: Features
    program: Program
    weights: dict[str, Array]


@dataclass(frozen=True)
class _Made:
    """An export that is not written yet."""

    lowered: Lowered
    extra: Extra
    sources: dict[str, str]
    why_not: str


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
    overwrite: bool = False,
) -> CExport:
    """Write a saved model as C99: a header, a source, a program that reads lines, a Makefile and a README.

    The C code is compiled and held against the engine on random input, and on items where they are given, before
    anything is kept; without a C compiler it is written all the same, and the report says so.

    Args:
        bundle: the saved model.
        folder: where to write; new, empty or, with ``overwrite``, an export.
        name: what functions and files are called; by default after the bundle's folder.
        precision: ``"float32"``, or ``"int8"`` for matrices of 8-bit numbers with a scale a row; by default as they are
            in the bundle, of bfloat16 the same numbers as float32.
        activations: ``"exact"``, ``"table"``: tanh and sigmoid by a table of 16-bit numbers, or ``"fixed"``: all of a
            step in whole numbers, for devices without floating point; needs ``precision="int8"``.
        flash: the most bytes that the model may take there; None for no bound.
        tolerance: the largest difference from the model that is let pass; by default 1e-5, and 0.25 where weights or
            activations are rounded; the code in fixed point may be off by 0.01 from the model with rounded weights.
        items: raw items to hold it against the model on, besides random ones.
        overwrite: replace an export.

    Raises:
        NotStreamableError: the model needs whole sequences.
        InputError: an option is out of range, int8 is asked of a bundle of bfloat16, the folder is taken, or the model
            is larger than the flash.
        RekurError: the C code does not compute what the model does.

    Example:
        >>> export_c("runs/reviews", "firmware/reviews", precision="int8").report["state_bytes"]  # doctest: +SKIP
        520
    """
    saved = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    runner(saved)  # features, program and answers are those of one model
    target = check_folder(folder, FORMAT, overwrite=overwrite)
    given = _Source(saved, saved.features(), *saved.program())
    own = "int8" if given.program.precision == "int8" else "float32"
    style = _style(_named(name, saved.folder), own if precision is None else precision, activations)
    limit = None if flash is None else _check.whole("flash", flash, low=1)
    let_pass = None if tolerance is None else _check.tolerance("tolerance", tolerance)
    made = _make(given, style)
    report = _report(made, saved)
    if limit is not None and report["constant_bytes"] + (report["code_bytes"] or 0) > limit:
        raise _too_large(report, limit, given, style)
    report |= _prove(made, given, items, let_pass)
    report["files"] = sorted([*made.sources, MANIFEST, "README.md"])
    files = {**made.sources, MANIFEST: json.dumps(report, indent=1, ensure_ascii=False) + "\n"}
    files["README.md"] = readme(report, not made.why_not, made.why_not, _answers(made))
    write_folder(target, {file: text.encode() for file, text in files.items()}, FORMAT, overwrite=overwrite)
    return CExport(Path(folder), tuple(sorted(files)), report)


def _style(name: str, precision: str, activations: str) -> Style:
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
        own = folder.resolve().name.lower()
        found = identifier(own)[:60] if own.isascii() else "model"
        return f"model_{found.lstrip('_')}" if found.startswith("_") or found in _TAKEN else found
    if identifier(name) != name or name.startswith("_") or name in _TAKEN or len(name) > 60:
        expected = "letters, digits and underscores, a letter first, 60 at most, and no name of C's own headers"
        raise InputError(describe("name", name, expected))
    return name


def _make(given: _Source, style: Style) -> _Made:
    lowered, features = lower_to_c(given.program, given.weights, style), given.features
    targets = given.bundle.config.get("targets", {})
    why_not = unsupported(features)
    extra = Extra() if why_not else raw_input(features, style, lowered.constants, lowered.program.task)
    extra.add(answers(lowered.program.task, targets, style))
    if style.fixed:
        extra.add(fixed_functions(lowered.program, style))
    several = bool(targets.get("multi_label"))
    sources = {
        f"{style.name}.h": header(lowered, extra),
        f"{style.name}.c": source(lowered, extra),
        "main.c": main_program(lowered, features, extra, several),
        "Makefile": makefile(style.name),
    }
    return _Made(lowered, extra, sources, why_not)


def _report(made: _Made, saved: Bundle) -> dict[str, Any]:
    lowered, style, program = made.lowered, made.lowered.style, made.lowered.program
    step, read = lowered.multiply_adds
    code, measured = check.code_bytes(made.sources, style.name)
    return {
        "format": FORMAT,
        "rekur": __version__,
        "name": style.name,
        "bundle": saved.fingerprint,
        "task": program.task,
        "input": {"kind": program.input.kind, "size": program.input.size},
        "raw_input": made.why_not or "yes",
        "precision": style.precision,
        "activations": style.activations,
        "constant_bytes": lowered.constants.bytes,
        "code_bytes": code,
        "code_measured_with": measured,
        "state_bytes": state_bytes(lowered, made.extra),
        "buffer_bytes": lowered.buffer_bytes,
        "output_bytes": 4 * program.output_size,
        "multiply_adds_step": step,
        "multiply_adds_read": read,
    }


def _too_large(report: dict[str, Any], limit: int, given: _Source, style: Style) -> InputError:
    takes = report["constant_bytes"] + (report["code_bytes"] or 0)
    expected = f"at most {limit} bytes, the flash that was stated"
    fix = "Train a smaller one: --hidden-size, --embedding-size or --max-vocabulary."
    if given.program.precision == "bfloat16":
        fix = "Take the bundle that it was made from, with precision='int8' (--precision int8)."
    elif style.precision != "int8":
        small = _make(given, Style(style.name, "int8", style.activations))
        needs = small.lowered.constants.bytes + (report["code_bytes"] or 0)
        fits = "which fits" if needs <= limit else "which does not fit either"
        fix = f"With precision='int8' (--precision int8) it takes {needs} bytes, {fits}."
    return InputError(describe("model", f"{takes} bytes", expected, fix).replace("'", "", 2))


def _answers(made: _Made) -> str:
    for what, function in (("label", "label"), ("value", "value"), ("token", "log_probability")):
        if f"{made.lowered.style.name}_{function}(" in made.extra.declarations:
            return what
    return ""


def _prove(made: _Made, given: _Source, items: Sequence[Any], tolerance: float | None) -> dict[str, Any]:
    """Return how far the compiled code is from the model; raise where that is too far."""
    found: dict[str, Any] = {
        "compiler": check.compiler(),
        "sequences": 0,
        "items": 0,
        "difference": None,
        "difference_of_rounding": None,
        "changed_answers": None,
    }
    if found["compiler"] is None:
        return found
    lowered, style, features = made.lowered, made.lowered.style, given.features
    engine = Engine(given.program, given.weights)
    sequences = draw_sequences(lowered.program, _LENGTHS)
    if made.why_not:  # no raw input is read: the steps of the items are
        sequences += _steps(lowered, features, items)
    outputs = check.outputs(made.sources, style.name, lowered.program, sequences)
    rounds = style.precision == "int8" and given.program.precision != "int8"
    own = Engine(lowered.program, lowered.weights) if rounds else engine
    tested = [(sequences, outputs)]
    if not made.why_not:
        raw = [*trial_items(features), *items]
        steps = _steps(lowered, features, raw)
        tested.append((steps, raw_outputs(made.sources, style.name, features, raw, lowered)))
    code = max(check.largest_difference(out, own.run(steps)) for steps, out in tested)
    whole = max(check.largest_difference(out, engine.run(steps)) for steps, out in tested)
    found |= {"sequences": sum(len(steps) for steps, _ in tested), "items": len(items), "difference": code}
    if style.fixed and lowered.program.output_size > 1:
        other = [np.argmax(out, axis=1) != np.argmax(own.run(steps), axis=1) for steps, out in tested]
        found["changed_answers"] = int(np.concatenate(other).sum())
    exact = style.activations == "exact"
    limit = CLOSE if exact and not rounds else ROUNDED
    may = (CLOSE if rounds else tolerance or CLOSE) if exact else tolerance or (FIXED if style.fixed else ROUNDED)
    _refuse_far("the compiled code", code, may, _LAST_BITS if exact and not rounds else _LESS_ROUNDED)
    if rounds or not exact:
        found["difference_of_rounding"] = whole
        _refuse_far("the model with rounded numbers", whole, tolerance or limit)
    return found


def _steps(lowered: Lowered, features: Features, items: Sequence[Any]) -> list[Array]:
    """Return items as the model reads them; a language model begins with the token 0."""
    steps = [features.transform(item) for item in items]
    if lowered.program.task != "language":
        return steps
    return [np.concatenate([[0], one]) if len(one) else one for one in steps]


def _refuse_far(thing: str, difference: float, limit: float, fix: str = _LESS_ROUNDED) -> None:
    if not difference <= limit:
        fix = f"Nothing was written. {fix}"
        expected = f"at most {limit:.2g} between its outputs and the model's"
        raise RekurError(describe(f"difference of {thing}", f"{difference:.3g}", expected, fix).replace("'", "", 2))
