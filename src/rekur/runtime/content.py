"""What the fields of ``config.json`` may hold, and whether the parts of a bundle are those of one model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rekur.data.chosen_columns import Columns, PairColumns
from rekur.data.history_columns import HistoryColumns
from rekur.errors import BundleError, describe
from rekur.features.base import Features
from rekur.program.program import Program
from rekur.runtime.layout import TRAINED_ON, damaged
from rekur.targets import KINDS, Target
from rekur.targets.kinds import KIND_OF_TASK

_FIX = "It was changed after it was saved, or written by another version of Rekur; do not trust it."
_LISTS = ("series", "values", "label", "target", "static", "past", "future")
_COLUMNS = list(
    dict.fromkeys(field.name for each in (Columns, PairColumns, HistoryColumns) for field in dataclasses.fields(each))
)


def check_content(path: Path, config: Mapping[str, Any]) -> None:
    """Raise unless each field of a config holds what it is for.

    Args:
        path: the file, for the message.
        config: its content; its task, its files and its fingerprint were checked.

    Raises:
        BundleError: a field does not; the text names it.
    """
    for name in ("model", "options", "training", "targets", "columns", TRAINED_ON):
        if not isinstance(config.get(name, {}), dict):
            raise _wrong(path, name, config[name], "an object")
    _check_columns(path, config.get("columns", {}))
    if "training" in config and not isinstance(config["training"].get("chosen", {}), dict):
        raise _wrong(path, "training.chosen", config["training"]["chosen"], "an object")
    targets = config.get("targets")
    if targets is not None:
        kind = targets.get("kind", KIND_OF_TASK.get(config["task"]))
        if "kind" in targets and (not isinstance(kind, str) or kind not in KINDS):
            raise _wrong(path, "targets.kind", kind, f"one of {', '.join(KINDS)}")
        checks = {"label": _check_labels, "number": _check_scale, "next": _check_next}
        if kind in checks:
            checks[kind](path, targets)


def check_match(folder: Path, features: Features, program: Program, target: Target) -> None:
    """Raise unless features, program and target are those of one model.

    Args:
        folder: the bundle, for the message.
        features: turn an item into steps.
        program: turns steps into outputs.
        target: the meaning of the outputs.

    Raises:
        BundleError: sizes differ; the text has both.
    """
    if target.kind == "next" and features.kind != "text":
        raise BundleError(f"{folder}: " + describe("features", features.kind, "'text' for a language model"))
    source = program.input
    if source.kind == "ids":
        sizes = getattr(features, "sizes", (features.size,))
        reads, takes = f"ids of {', '.join(map(str, sizes))}", f"ids of {', '.join(map(str, source.columns))}"
    else:
        reads = f"{'tokens of' if features.is_discrete else 'rows of'} {features.size}"
        takes = f"{source.kind} of {source.size}"
    if reads != takes:
        raise damaged(folder, f"features that give {reads}", f"{takes}, which the program reads", _FIX)
    outputs = program.output_size * getattr(features, "segments", 1)
    if outputs != target.size:
        got = f"a program that gives {outputs} scores"
        raise damaged(folder, got, f"{target.size}, as many as config.json names answers", _FIX)


def _check_columns(path: Path, columns: Mapping[str, Any]) -> None:
    for name in ("label_separator", "column", "document"):
        if not isinstance(columns.get(name), str | None):
            raise _wrong(path, f"columns.{name}", columns[name], "a text or null")
    sides = columns.get("sides", {"source": {}, "target": {}})
    names = {*sides} - {"lengths"} if isinstance(sides, dict) else set()
    if names != {"source", "target"} or not all(map(_is_counts, sides.values())):
        raise _wrong(path, "columns.sides", sides, "how often letters are in sources and in targets, and their lengths")
    lengths = sides.get("lengths")
    if lengths and {*lengths} != {"pairs", "source", "target"}:
        raise _wrong(path, "columns.sides.lengths", lengths, "the number of pairs, and characters of both sides")
    named = columns.get("columns", {})
    if not isinstance(named, dict):
        raise _wrong(path, "columns.columns", named, "an object")
    for name, column in named.items():
        if name not in _COLUMNS:
            raise _wrong(path, "columns.columns: the name", name, f"one of {', '.join(_COLUMNS)}")
        listed = name in _LISTS and isinstance(column, list) and all(isinstance(one, str) for one in column)
        if not (column is None or isinstance(column, str) or listed):
            raise _wrong(path, f"columns.columns.{name}", column, "the name of a column")


def _is_counts(value: Any) -> bool:
    """Return whether a value holds a whole number from 0 on for each name."""
    return isinstance(value, dict) and all(type(count) is int and 0 <= count < 2**53 for count in value.values())


def _check_labels(path: Path, targets: Mapping[str, Any]) -> None:
    labels = targets.get("labels")
    fits = isinstance(labels, list) and len(labels) > 0
    if not (fits and all(isinstance(label, str | int | float) for label in labels or [])):
        raise _wrong(path, "targets.labels", labels, "a list of labels, texts or numbers")
    if len(set(labels or [])) < len(labels or []):
        raise _wrong(path, "targets.labels", labels, "labels that differ")
    if not isinstance(targets.get("multi_label"), bool):
        raise _wrong(path, "targets.multi_label", targets.get("multi_label"), "true or false")


def _check_scale(path: Path, targets: Mapping[str, Any]) -> None:
    for name in ("target_mean", "target_scale"):
        value: Any = targets.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308
        if not number or (name == "target_scale" and not value > 0):
            raise _wrong(path, f"targets.{name}", value, "a number" + (" above 0" if name == "target_scale" else ""))


def _check_next(path: Path, targets: Mapping[str, Any]) -> None:
    size = targets.get("size", 1)  # bundles of an earlier Rekur do not state it
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise _wrong(path, "targets.size", size, "a whole number above 0")
    if not isinstance(targets.get("reset"), bool):
        raise _wrong(path, "targets.reset", targets.get("reset"), "true or false")


def _wrong(path: Path, field: str, got: Any, expected: str) -> BundleError:
    shown = repr(got)
    if len(shown) > 100:
        shown = f"{shown[:80]}… ({len(shown)} characters)"
    return damaged(path, f"{field} {shown}", expected, _FIX)
