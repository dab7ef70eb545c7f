"""Imports run downward only, rooms of one level do not import each other, and the runtime half knows no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import ratchets

SOURCE = Path(__file__).parents[2] / "src" / "rekur"

#: room -> level; a room may import those below it, and itself. Rooms of the lab may import both halves.
RUNTIME = {
    "errors": -3,
    "_cgroups": -2,
    "_paths": -2,
    "_values": -2,
    "_lazy": -1,
    "_calendar": -1,
    "_channels": -1,
    "_check": -1,
    "_clock": -1,
    "_files": -1,
    "_ids": -1,
    "_kernels": -1,
    "_memory": -1,
    "_numbers": -1,
    "_schemes": -1,
    "_tensors": -1,
    "_tokenizer": -1,
    "_version": -1,
    "_filled_series": 0,
    "_history": 0,
    "_options": 0,
    "_convolutions": 0,
    "_shares": 1,
    "_stepper": 1,
    "data": 1,
    "decode": 1,
    "features": 1,
    "metrics": 1,
    "program": 2,
    "targets": 2,
    "runtime": 3,
    "export": 4,
    "check": 5,
}
LABORATORY = {"cells": 1, "scan": 1, "nn": 2, "models": 3, "train": 4, "lower": 5, "tasks": 6, "study": 7}
LEVELS = {**RUNTIME, **LABORATORY, "cli": 8, "__main__": 9}
#: edges that go up or sideways today, as (file, module); the list may only become shorter
BREAKS: list[tuple[str, str]] = []
LAB = {"torch", "lightning_fabric", "sklearn", "tokenizers", "matplotlib"}
#: the base install may import these and the standard library, nothing else, except through ``_check.need``
BASE = {"numpy", "safetensors", "click", "rich", "rekur"}
#: packages of its extra that a room may import too
EXTRA = {"export": {"onnx", "onnxruntime"}}


def modules() -> list[tuple[str, Path]]:
    """Return (room, file) of every module."""
    return [(room_of(path), path) for path in sorted(SOURCE.rglob("*.py"))]


def room_of(path: Path) -> str:
    """Return the room of a file."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


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


def broken_edges() -> list[tuple[str, str]]:
    """Return (file, imported module) of every edge that runs up, sideways, or from the runtime half into the lab."""
    rooms = {name: room_of(path) for name, path in ratchets.modules().items()}
    edges = []
    for room, path in modules():
        if room == "__init__":
            continue  # the front door imports rooms when their names are asked for
        for target in sorted(ratchets.imported(ast.parse(path.read_text(encoding="utf-8")), rooms)):
            other = rooms[target]
            if other == room:
                continue
            hidden = room in RUNTIME and other in LABORATORY
            if hidden or other == "__init__" or LEVELS[other] >= LEVELS[room]:
                edges.append((path.relative_to(SOURCE).as_posix(), target))
    return edges


def test_imports_run_downward_only() -> None:
    assert broken_edges() == BREAKS


@pytest.mark.parametrize(
    ("room", "path"),
    [(room, path) for room, path in modules() if room in RUNTIME],
    ids=lambda v: v if isinstance(v, str) else v.name,
)
def test_the_runtime_half_knows_no_torch(room: str, path: Path) -> None:
    for name in imports(path):
        top = name.split(".")[0]
        allowed = BASE | EXTRA.get(room, set())
        assert top in allowed or top in sys.stdlib_module_names, f"{path.relative_to(SOURCE)} imports {name}"


def test_importing_rekur_and_its_runtime_half_imports_no_lab_package() -> None:
    code = (
        "import sys, rekur, rekur.features, rekur.data, rekur.decode, rekur.metrics, rekur.program, rekur.runtime\n"
        "import rekur.check, rekur.cli.main, rekur.cli.data, rekur.cli.export, rekur.export.c\n"
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


def test_one_file_flushes_and_renames() -> None:
    """Whatever is written whole or not at all is written by ``_files.py``."""
    names = {"fsync", "fdatasync", "rename", "renames"}
    users = {
        path.name
        for _, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in names
    }
    assert users == {"_files.py"}
