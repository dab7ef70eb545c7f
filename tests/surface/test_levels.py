"""Imports run downward only, rooms of one level do not import each other, and the runtime half knows no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "rekur"

#: room -> level; a room may import those below it, and itself
LEVELS = {
    "errors": -2,
    "_lazy": 0,
    "_channels": 1,
    "_cgroups": -1,
    "_check": 0,
    "_kernels": 0,
    "_memory": 0,
    "_numbers": 0,
    "_tensors": 0,
    "_values": 0,
    "_stepper": 1,
    "features": 2,
    "program": 2,
    "cells": 2,
    "scan": 2,
    "data": 2,
    "decode": 2,
    "metrics": 2,
    "runtime": 3,
    "nn": 3,
    "models": 4,
    "ship": 5,
    "train": 5,
    "tasks": 6,
    "check": 7,
    "study": 7,
    "cli": 8,
    "__main__": 9,
}
#: rooms and files that must work where PyTorch was never installed
TORCH_FREE = {
    "errors",
    "_channels",
    "_cgroups",
    "_check",
    "_kernels",
    "_memory",
    "_numbers",
    "_stepper",
    "_tensors",
    "_values",
    "features",
    "program",
    "data",
    "decode",
    "metrics",
    "runtime",
    "check",
}
LAB = {"torch", "lightning_fabric", "sklearn", "tokenizers", "matplotlib"}
#: the base install may import these and the standard library, nothing else, except through ``_check.need``
BASE = {"numpy", "safetensors", "click", "rich", "rekur"}


def modules() -> list[tuple[str, Path]]:
    """Return (room, file) of every module."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).parts
        found.append((place[0].removesuffix(".py"), path))
    return found


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, at its top, in a function, or for types."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where an edge goes"
            assert node.module is not None
            names.add(node.module)
            if node.module == "rekur":
                names |= {f"rekur.{alias.name}" for alias in node.names}
    return names


def test_every_room_has_a_level() -> None:
    assert {room for room, _ in modules()} - {"__init__"} == set(LEVELS)


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda v: v if isinstance(v, str) else v.name)
def test_imports_run_downward_only(room: str, path: Path) -> None:
    if room == "__init__":
        return  # the front door imports rooms when their names are asked for
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "rekur" or len(parts) == 1 or parts[1] not in LEVELS:
            continue
        below = LEVELS[parts[1]] < LEVELS[room]
        assert below or parts[1] == room, f"{path.relative_to(SOURCE)} imports {name}"


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda v: v if isinstance(v, str) else v.name)
def test_the_runtime_half_knows_no_torch(room: str, path: Path) -> None:
    if room not in TORCH_FREE:
        return
    for name in imports(path):
        top = name.split(".")[0]
        assert top in BASE or top in sys.stdlib_module_names, f"{path.relative_to(SOURCE)} imports {name}"


def test_importing_rekur_and_its_runtime_half_imports_no_lab_package() -> None:
    code = (
        "import sys, rekur, rekur.features, rekur.data, rekur.decode, rekur.metrics, rekur.program, rekur.runtime\n"
        "import rekur.check, rekur.cli.main, rekur.cli.data, rekur.cli.export, rekur.ship.c\n"
        f"print(sorted(set({sorted(LAB)!r}) & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_files_and_functions_stay_short() -> None:
    too_long = []
    for _, path in modules():
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 400:
            too_long.append(f"{path.name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and _length(node) > 60:
                too_long.append(f"{path.name}: {node.name}")
    assert too_long == []


def _length(function: ast.FunctionDef) -> int:
    """Return the lines of a function's body, without its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    begin = (first.end_lineno or first.lineno) + 1 if documented else first.lineno
    return (function.end_lineno or function.lineno) - begin + 1
