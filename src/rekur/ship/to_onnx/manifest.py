"""The manifest of an export: everything that a runner needs besides the graphs, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rekur import __version__
from rekur.features.vocabulary import PADDING
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
        "input": {"kind": program.input.kind, "size": program.input.size},
        "reading": reading(features, program.task),
        "prediction": prediction(program.task, targets),
        "graphs": {name: _ports(model) for name, model in models.items()},
        "state": {slot.name: _state(slot, states) for slot in program.state} if program.causal else {},
        "targets": dict(targets),
        "features": dict(features),
    }


def reading(features: Mapping[str, Any], task: str = "") -> dict[str, Any]:
    """Return what the runners do to raw items: all of it for bytes, characters, letters and rows, else nothing.

    Args:
        features: what :meth:`rekur.features.Features.to_dict` says.
        task: the task; language models read a start token, padding (0), before a text.

    Example:
        >>> from rekur.features import TextFeatures
        >>> reading(TextFeatures("byte").to_dict())["kind"]
        'bytes'
        >>> reading(TextFeatures("word").fit(["a b"]).to_dict())["why"]
        'words are cut by rekur.features; give token numbers'
    """
    options, learnt = features["options"], features["learnt"]
    if features["kind"] == "series":
        mean, scale = (learnt["mean"], learnt["scale"]) if options["standardise"] else (None, None)
        return {"kind": "rows", "mean": mean, "scale": scale, "indicators": len(learnt["indicated"])}
    folds: list[str] = []
    begin = {"begin": [PADDING]} if task == "language" else {"begin": []}
    if features["kind"] == "symbols" and learnt["form"] == "letters":
        folds = ["spaces", *(["upper"] if options["fold_case"] in (None, True) else [])]
    elif features["kind"] == "text" and learnt["tokens"] in ("byte", "char"):
        folds = [*(["lower"] if options["lowercase"] else []), *(["digits"] if options["digits"] == "zero" else [])]
    else:
        what = "codes" if features["kind"] == "symbols" else {"word": "words", "bpe": "byte pairs"}[learnt["tokens"]]
        return {"kind": "tokens", "why": f"{what} are cut by rekur.features; give token numbers", **begin}
    most = {"folds": folds, "max_length": options["max_length"], **begin}
    if learnt.get("tokens") == "byte":
        return {"kind": "bytes", **most}
    return {"kind": "characters", **most, "vocabulary": learnt["vocabulary"]}


def prediction(task: str, targets: Mapping[str, Any]) -> dict[str, Any]:
    """Return how scores become a prediction: labels and their probabilities, a number, or the next token.

    Args:
        task: the task.
        targets: as the bundle's config has them.

    Example:
        >>> prediction("regress", {"target_mean": 2.0, "target_scale": 0.5})
        {'kind': 'number', 'mean': 2.0, 'scale': 0.5}
    """
    if "labels" in targets:
        return {"kind": "sigmoid" if targets.get("multi_label") else "softmax", "labels": targets["labels"]}
    if "target_mean" in targets:
        return {"kind": "number", "mean": targets["target_mean"], "scale": targets["target_scale"]}
    return {"kind": "token" if task == "language" else "scores"}


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
