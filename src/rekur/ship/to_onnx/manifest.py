"""The manifest of an export: everything that a runner needs besides the graphs, as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rekur import __version__
from rekur.features import restore
from rekur.features.vocabulary import PADDING, UNKNOWN
from rekur.program import Program, State
from rekur.ship.to_onnx.check import Found
from rekur.ship.to_onnx.graph import IR_VERSION, OPSET
from rekur.ship.to_onnx.models import Models

FORMAT, VERSION = "rekur-onnx", 1


def make_manifest(
    program: Program,
    models: Models,
    *,
    features: Mapping[str, Any],
    targets: Mapping[str, Any],
    fingerprint: str,
    states: Mapping[str, Any],
    found: Found,
    tolerance: float,
    runtime: str,
) -> dict[str, Any]:
    """Return the manifest as plain JSON.

    Args:
        program: what was exported.
        models: its ONNX models.
        features: what :meth:`rekur.features.Features.to_dict` says.
        targets: labels, or mean and scale, as the bundle's config has them.
        fingerprint: of the bundle.
        states: name -> the values of a state before the first step.
        found: the largest difference to the engine.
        tolerance: the one that would have passed.
        runtime: the version of ONNX Runtime in which the models ran.
    """
    checked = {"difference": found.difference, "where": found.where, "tolerance": tolerance, "onnxruntime": runtime}
    return {
        "format": FORMAT,
        "version": VERSION,
        "rekur": __version__,
        "task": program.task,
        "fingerprint": fingerprint,
        "opset": OPSET,
        "ir_version": IR_VERSION,
        "checked": checked,
        "precision": program.precision,
        "input": {"kind": program.input.kind, "size": program.input.size},
        "reading": reading(features, program.task),
        "prediction": prediction(targets),
        "graphs": {name: _ports(model) for name, model in models.items()},
        # whole sequences may be none at all; ONNX Runtime ends the process at a single step of no stream
        "smallest_batch": {name: int(name == "step") for name in models},
        "state": {slot.name: _state(slot, states) for slot in program.state} if program.causal else {},
        "targets": dict(targets),
        "features": dict(features),
    }


def reading(features: Mapping[str, Any], task: str = "") -> dict[str, Any]:
    """Return how the runners read raw items: bytes, characters, letters and rows; the items of others are tokens.

    Args:
        features: what :meth:`rekur.features.Features.to_dict` says.
        task: the task; language models read a start token, padding (0), before a text.

    Returns:
        the ``kind``; of characters the number of each (null for those that are left out); of rows means and scales,
        what stands for a missing value (``hold``: the last one, ``fill`` before the first; ``zero``: 0 once scaled;
        ``error``: none is taken), and the channels that have an indicator behind them.

    Example:
        >>> from rekur.features import SymbolFeatures, TextFeatures
        >>> found = reading(SymbolFeatures().fit(["AC"]).to_dict())
        >>> found["numbers"]["A"], found["numbers"]["c"], found["numbers"][" "]
        (2, 3, None)
        >>> reading(TextFeatures("word").fit(["a b"]).to_dict())["why"]
        'words are cut by rekur.features; give token numbers'
    """
    options, learnt = features["options"], features["learnt"]
    if features["kind"] == "series":
        mean, scale, indicated = learnt["mean"], learnt["scale"], learnt["indicated"]
        missing = {"missing": options["missing"], "fill": mean, "indicated": indicated, "indicators": len(indicated)}
        if not options["standardise"]:
            mean, scale = len(mean) * [0.0], len(mean) * [1.0]
        return {"kind": "rows", "mean": mean, "scale": scale, **missing}
    begin = {"begin": [PADDING] if task == "language" else [], "max_length": options["max_length"]}
    tokens = learnt["form"] if features["kind"] == "symbols" else learnt["tokens"]
    if tokens == "byte" and not options["lowercase"] and options["digits"] != "zero":
        return {"kind": "bytes", **begin}
    if tokens in ("char", "letters"):
        return {"kind": "characters", **begin, "numbers": _numbers(features)}
    plural = {"word": "words", "bpe": "byte pairs", "byte": "folded bytes"}.get(tokens, tokens)
    return {"kind": "tokens", "why": f"{plural} are cut by rekur.features; give token numbers", **begin}


def _numbers(features: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the number of every character that is known, as it is or folded; None for one that is left out."""
    transform = restore({**features, "options": {**features["options"], "max_length": None}}).transform
    known = set(features["learnt"]["vocabulary"])
    letters = features["kind"] == "symbols"
    numbers: dict[str, int | None] = {}
    for character in map(chr, range(sys.maxunicode + 1)):
        if letters and character.isspace():
            numbers[character] = None
        elif known & {character, character.lower(), character.upper()} or character.isdecimal():
            found = int(transform(character)[0])
            if found != UNKNOWN:
                numbers[character] = found
    return numbers


def prediction(targets: Mapping[str, Any]) -> dict[str, Any]:
    """Return how scores become a prediction: labels and their probabilities, a number, or the next token.

    Args:
        targets: as the bundle's config has them.

    Example:
        >>> prediction({"target_mean": 2.0, "target_scale": 0.5})
        {'kind': 'number', 'mean': 2.0, 'scale': 0.5}
    """
    if "labels" in targets:
        labels = targets["labels"]
        told = {"kind": "sigmoid" if targets.get("multi_label") else "softmax", "labels": labels}
        if any(isinstance(label, int) and abs(label) >= 2**53 for label in labels):
            told["names"] = [str(label) for label in labels]  # JavaScript reads such numbers as others
        return told
    if "target_mean" in targets:
        return {"kind": "number", "mean": targets["target_mean"], "scale": targets["target_scale"]}
    return {"kind": "token"}


def _state(slot: State, states: Mapping[str, Any]) -> dict[str, Any]:
    begins = states[slot.name].tolist() if isinstance(slot.begins, str) else slot.begins
    return {"shape": list(slot.shape), "dtype": slot.dtype, "begins": begins}


def _ports(model: Any) -> dict[str, Any]:
    """Return the names, types and axes of what goes into a graph and what comes out of it."""
    both = {"inputs": model.graph.input, "outputs": model.graph.output}
    return {side: {port.name: _port(port) for port in ports} for side, ports in both.items()}


def _port(port: Any) -> dict[str, Any]:
    given = port.type.tensor_type
    axes = [axis.dim_param or axis.dim_value for axis in given.shape.dim]
    return {"dtype": {1: "float32", 7: "int64"}[given.elem_type], "axes": axes}
