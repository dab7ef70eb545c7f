"""The manifest of an export: everything else that a runner needs, as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from rekur._ids import RESERVED_OF_PAIRS, START, UNKNOWN
from rekur._version import __version__
from rekur.decode import length_limits
from rekur.export.onnx.found import Found
from rekur.export.onnx.graph import IR_VERSION, OPSET
from rekur.export.onnx.models import Models
from rekur.features import cut, restore
from rekur.program import Program, State
from rekur.runtime.search import RULES, Search
from rekur.targets import DistributionTarget, LabelTarget, NextTarget, NumberTarget, TagsTarget, Target

FORMAT, VERSION = "rekur-onnx", 1


def make_manifest(
    program: Program,
    models: Models,
    *,
    features: Mapping[str, Any],
    target: Target,
    search: Search | None,
    targets: Mapping[str, Any],
    fingerprint: str,
    states: Mapping[str, Any],
    measured: Found,
    tolerance: float,
    runtime: str,
) -> dict[str, Any]:
    """Return the manifest as plain JSON.

    Args:
        program: the exported program.
        models: its ONNX models.
        features: from :meth:`rekur.features.Features.to_dict`.
        target: the meaning of the scores.
        search: how texts are searched; None where nothing is.
        targets: the target as the bundle's config has it.
        fingerprint: of the bundle.
        states: name -> the initial values of a state, of those that runners carry over.
        measured: the largest difference from the engine.
        tolerance: the largest accepted difference.
        runtime: the version of ONNX Runtime that ran the models.
    """
    checked = {
        "difference": measured.difference,
        "where": measured.where,
        "tolerance": tolerance,
        "onnxruntime": runtime,
    }
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
        "input": program.input.to_json(),
        "delay": program.delay,
        "reading": reading(features, scores_tokens=target.kind == "next"),
        "prediction": prediction(target, search),
        "graphs": {name: _ports(model) for name, model in models.items()},
        # a batch of whole sequences may be empty; ONNX Runtime ends the process at an empty batch of single steps
        "smallest_batch": {name: int(name in ("step", "decode") or program.forecasts) for name in models},
        "state": {slot.name: _state(slot, states) for slot in program.state if slot.name in states},
        "targets": dict(targets),
        "features": dict(features),
    }


def reading(features: Mapping[str, Any], *, scores_tokens: bool = False) -> dict[str, Any]:
    """Return how the runners read raw items: bytes, characters, letters and rows; all other items are tokens.

    Args:
        features: from :meth:`rekur.features.Features.to_dict`.
        scores_tokens: whether a start token, padding (0), is read before a text, as language models do.

    Returns:
        the ``kind``; for characters the number of each (null for skipped ones); for rows means and scales, how missing
        values are replaced (``hold``: by the previous value, or by ``fill`` at the start; ``zero``: by 0 after scaling;
        ``error``: they are refused), and the channels with an indicator of missing values; for pairs the pattern of the
        pieces inside which tokens stand, and the most characters of one.

    Example:
        >>> from rekur.features import SymbolFeatures, TextFeatures
        >>> numbers = reading(SymbolFeatures().fit(["AC"]).to_dict())["numbers"]
        >>> numbers["A"], numbers["c"], numbers[" "]
        (2, 3, None)
        >>> reading(TextFeatures("word").fit(["a b"]).to_dict())["why"]
        'words are cut by rekur.features; give token numbers'
    """
    options, learnt = features["options"], features["learnt"]
    if features["kind"] == "windows":
        return {"kind": "windows", "why": "series are cut into windows by rekur.features; give their arrays"}
    if features["kind"] == "pairs":
        return {"kind": "pairs", "pieces": cut.pieces().pattern, "longest": cut.LONGEST}
    if features["kind"] == "words":
        return {"kind": "ids", "why": "words are cut into columns by rekur.features; give rows of ids"}
    if features["kind"] == "series":
        mean, scale, indicated = learnt["mean"], learnt["scale"], learnt["indicated"]
        missing = {"missing": options["missing"], "fill": mean, "indicated": indicated, "indicators": len(indicated)}
        if not options["standardise"]:
            mean, scale = len(mean) * [0.0], len(mean) * [1.0]
        return {"kind": "rows", "mean": mean, "scale": scale, **missing}
    begin = {"begin": [START] if scores_tokens else [], "max_length": options["max_length"]}
    tokens = learnt["form"] if features["kind"] == "symbols" else learnt["tokens"]
    if tokens == "byte" and not options["lowercase"] and options["digits"] != "zero":
        return {"kind": "bytes", **begin}
    if tokens in ("char", "letters"):
        return {"kind": "characters", **begin, "numbers": _numbers(features)}
    plural = {"word": "words", "bpe": "byte pairs", "byte": "folded bytes"}.get(tokens, tokens)
    return {"kind": "tokens", "why": f"{plural} are cut by rekur.features; give token numbers", **begin}


def _numbers(features: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the token of every character in the vocabulary, also after folding; None for skipped characters."""
    transform = restore({**features, "options": {**features["options"], "max_length": None}}).transform
    vocabulary = set(features["learnt"]["vocabulary"])
    letters = features["kind"] == "symbols"
    numbers: dict[str, int | None] = {}
    for character in map(chr, range(sys.maxunicode + 1)):
        if letters and character.isspace():
            numbers[character] = None
        elif vocabulary & {character, character.lower(), character.upper()} or character.isdecimal():
            token = int(transform(character)[0])
            if token != UNKNOWN:
                numbers[character] = token
    return numbers


def prediction(target: Target, search: Search | None = None) -> dict[str, Any]:
    """Return how scores become a prediction: labels with probabilities, a number, tags, the next token, or outputs.

    Args:
        target: the meaning of the scores.
        search: how texts are searched; None where nothing is.

    Example:
        >>> prediction(NumberTarget(2.0, 0.5))
        {'kind': 'number', 'mean': 2.0, 'scale': 0.5}
    """
    if isinstance(target, TagsTarget):
        return _tags(target)
    if isinstance(target, LabelTarget):
        labels = target.to_dict()["labels"]
        told = {"kind": "sigmoid" if target.multi_label else "softmax", "labels": labels}
        if any(isinstance(label, int) and abs(label) >= 2**53 for label in labels):
            told["names"] = [str(label) for label in labels]  # JavaScript rounds such large numbers
        return told
    if isinstance(target, NumberTarget):
        return {"kind": "number", "mean": target.mean, "scale": target.scale}
    if isinstance(target, NextTarget):
        return {"kind": "token"}
    if isinstance(target, DistributionTarget):
        how = {name: getattr(target, name) for name in ("horizon", "non_negative")}
        offsets = None if target.offsets is None else target.offsets.tolist()
        return {"kind": "distribution", **how, "levels": list(target.levels), "offsets": offsets}
    if search is not None:
        return _text(search)
    return {"kind": target.kind, "names": target.output_names, "per_step": target.per_step}


def _text(search: Search) -> dict[str, Any]:
    """Return how a search goes: reserved numbers, the most tokens of a source, and of a text for each and further."""
    _, (further, more) = length_limits([0, 1])
    most = {"each": int(more - further), "further": int(further)}
    reserved = {"begin": RULES.begin, "end": RULES.end, "never": list(RULES.never), "first": RESERVED_OF_PAIRS}
    return {"kind": "text", **reserved, "most": most, "source": search.max_source, "alpha": search.alpha}


def _tags(target: TagsTarget) -> dict[str, Any]:
    """Return the name of each output, and which may follow which; of outputs that share a group probabilities add up.

    ``renamed`` has (previous output, output, name) where an output has another name than at the start.
    """
    transitions, numbers = target.transitions, range(target.size)
    first = _names_after(target, -1)
    renamed = []
    if target.scheme.has_spans:
        renamed = [
            [previous, number, name]
            for previous in numbers
            for number, name in enumerate(_names_after(target, previous))
            if name != first[number]
        ]
    return {
        "kind": "tags",
        "exact": target.exact,
        "names": first,
        "renamed": renamed,
        "groups": _groups(target),
        "first": np.flatnonzero(transitions.first).tolist(),
        "last": np.flatnonzero(transitions.last).tolist(),
        "next": None if transitions.is_free else [np.flatnonzero(row).tolist() for row in transitions.legal],
    }


def _names_after(target: TagsTarget, previous: int) -> list[Any]:
    """Return the name of each output behind another one; -1 at the start."""
    numbers, size = np.arange(target.size), target.size
    if previous < 0:
        return [target.tags_of_path(numbers[n : n + 1], np.zeros((1, size)))[0].name for n in range(size)]
    path = np.stack([np.full(size, previous), numbers], axis=1).reshape(-1)
    return [tag.name for tag in target.tags_of_path(path, np.zeros((2 * size, size)))[1::2]]


def _groups(target: TagsTarget) -> list[int]:
    """Return for each output the lowest one that means the same tag to a reader of the labels' scheme."""
    certain = 1e3 * np.eye(target.size)
    groups = []
    for number in range(target.size):
        tags = target.tags_of_path(np.full(target.size, number), certain)
        groups.append(next(other for other, tag in enumerate(tags) if tag.probability > 0.5))
    return groups


def _state(slot: State, states: Mapping[str, Any]) -> dict[str, Any]:
    begins = states[slot.name].tolist() if isinstance(slot.begins, str) else slot.begins
    output = {"output": slot.output} if slot.output else {}
    return {"shape": list(slot.shape), "dtype": slot.dtype, "begins": begins, **output}


def _ports(model: Any) -> dict[str, Any]:
    """Return the names, types and axes of the inputs and outputs of a graph."""
    both = {"inputs": model.graph.input, "outputs": model.graph.output}
    return {side: {port.name: _port(port) for port in ports} for side, ports in both.items()}


def _port(port: Any) -> dict[str, Any]:
    tensor = port.type.tensor_type
    axes = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
    return {"dtype": {1: "float32", 7: "int64"}[tensor.elem_type], "axes": axes}
