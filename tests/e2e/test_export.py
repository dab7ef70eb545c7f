"""From a file to an export that runs without Rekur: the runners give what ``rekur predict`` and ``stream`` give."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from conftest import Run
from rekur.cli.main import main
from rekur.runtime import read_bundle, write_quantised

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

Runner = Callable[..., list[dict[str, Any]]]
MODULES = ("onnxruntime-node", "onnxruntime-web")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def same(found: Iterable[dict[str, Any]], wanted: Iterable[dict[str, Any]]) -> None:
    """Hold predictions against those of ``rekur predict --json``."""
    for got, right in zip(found, wanted, strict=True):
        assert set(got) == set(right) - {"item"}
        for name, value in got.items():
            assert value == (right[name] if name == "label" else pytest.approx(right[name], abs=1e-5)), name


@pytest.fixture(scope="session")
def exports(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every model, exported."""
    folder = tmp_path_factory.mktemp("exports")
    for name, bundle in bundles.items():
        assert main(["export", str(bundle), "--to", "onnx", "--out", str(folder / name)]) == 0
    return {name: folder / name for name in bundles}


def node_modules() -> Path:
    """Return the folder with ONNX Runtime for JavaScript, or skip."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    folder = Path(os.environ.get("REKUR_NODE_MODULES", Path(__file__).parents[2] / "node_modules"))
    if not any((folder / module).is_dir() for module in MODULES):
        pytest.skip(f"no {' or '.join(MODULES)} in {folder}: npm install {MODULES[0]}")
    return folder


@pytest.fixture(params=["python", "onnxruntime-node", "onnxruntime-web"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Run an export in Python, in Node, and in WebAssembly."""
    if request.param != "python":
        modules = node_modules()
        if not (modules / request.param).is_dir():
            pytest.skip(f"no {request.param} in {modules}")

    def run(folder: Path, *words: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-I", "run.py"]
        if request.param != "python":
            command, own = ["node", "run.mjs"], folder / "node_modules"
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir()
            for module in modules.iterdir():
                if module.name not in MODULES or module.name == request.param:
                    (own / module.name).symlink_to(module)
        done = subprocess.run([*command, *words], cwd=folder, capture_output=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return lines(done.stdout.decode())

    return run


def test_texts(bundles: dict[str, Path], exports: dict[str, Path], cli: Run, runner: Runner) -> None:
    items = ["a great film", "Dull ß 🎬 story", "x"]
    wanted = lines(cli("predict", bundles["letters"], "--json", *(f"--item={item}" for item in items)).out)
    same(runner(exports["letters"], *items), wanted)


def test_symbols_and_words(bundles: dict[str, Path], exports: dict[str, Path], cli: Run, runner: Runner) -> None:
    wanted = lines(cli("predict", bundles["genes"], "--json", "--item=ACgt acnn").out)
    same(runner(exports["genes"], "ACgt acnn"), wanted)
    for name in ("words", "both", "tags"):
        text = "a great film is a dull story"
        tokens = read_bundle(bundles[name]).features().transform(text).tolist()
        wanted = lines(cli("predict", bundles[name], "--json", f"--item={text}").out)
        same(runner(exports[name], json.dumps(tokens)), wanted)


def test_series(
    bundles: dict[str, Path], exports: dict[str, Path], files: dict[str, Path], cli: Run, runner: Runner
) -> None:
    items = [row["x"] for row in lines(files["walks"].read_text())][:5]
    for name in ("walks", "wear"):
        wanted = lines(cli("predict", bundles[name], files["walks"], "--json").out)[:5]
        same(runner(exports[name], *map(json.dumps, items)), wanted)


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_weights_in_fewer_bits(
    bundles: dict[str, Path], tmp_path: Path, cli: Run, runner: Runner, precision: str
) -> None:
    small = write_quantised(read_bundle(bundles["letters"]), tmp_path / "small", precision).folder
    assert cli("export", small, "--to", "onnx", "--out", tmp_path / "x").code == 0
    items = ["a great film", "Dull ß 🎬 story", "x"]
    wanted = lines(cli("predict", small, "--json", *(f"--item={item}" for item in items)).out)
    same(runner(tmp_path / "x", *items), wanted)
    same(runner(tmp_path / "x", "--live", "x"), wanted[-1:])


def test_step_by_step(bundles: dict[str, Path], exports: dict[str, Path], cli: Run, runner: Runner) -> None:
    text = "great film"
    wanted = lines(cli("predict", bundles["letters"], "--json", *(f"--item={text[:n]}" for n in range(1, 11))).out)
    same(runner(exports["letters"], "--live", text), wanted)


def test_a_language_model(tmp_path: Path, cli: Run, runner: Runner) -> None:
    book = tmp_path / "book.txt"
    book.write_text("the cat sat on the mat and the dog sat on the log\n" * 30)
    small = ("--epochs", "1", "--hidden-size", "8", "--tokens", "char", "--quiet")
    assert cli("fit", "language", book, "--out", tmp_path / "m", *small).code == 0
    assert cli("export", tmp_path / "m", "--to", "onnx", "--out", tmp_path / "x").code == 0
    (whole,) = runner(tmp_path / "x", "the cat s")
    assert runner(tmp_path / "x", "--live", "the cat s")[-1] == pytest.approx(whole, abs=1e-5)
    greedy = ("--temperature", "0", "--max-tokens", "1", "--json")
    drawn = cli("generate", tmp_path / "m", "--prompt", "the cat s", *greedy).json
    assert math.log(whole["probability"]) == pytest.approx(drawn["log_probability"], abs=1e-4)


def test_words_are_not_cut_by_the_runners(exports: dict[str, Path]) -> None:
    done = subprocess.run(
        [sys.executable, "run.py", "great"], cwd=exports["words"], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "words are cut by rekur.features; give token numbers, such as [4, 2, 7]"


def test_what_the_command_says(bundles: dict[str, Path], tmp_path: Path, cli: Run) -> None:
    done = cli("export", bundles["both"], "--to", "onnx", "--out", tmp_path / "x")
    assert done.code == 0
    assert "No step.onnx: this model reads from the end too, so it needs whole sequences." in done.out
    assert "Largest difference to the model's own scores: " in done.out
    told = cli("export", bundles["words"], "--to", "onnx", "--out", tmp_path / "y", "--json").json
    assert set(told["files"]) == {"sequence.onnx", "step.onnx", "manifest.json", "run.py", "run.mjs"}
    assert told["checked"]["difference"] <= told["checked"]["tolerance"] == 1e-5
    assert told["precision"] == "float32"
    done = cli("export", bundles["words"], "--to", "onnx", "--precision", "int8", "--out", tmp_path / "z")
    assert "ONNX, weights in int8" in " ".join(done.out.split())
    assert f"{(tmp_path / 'z' / 'step.onnx').stat().st_size:,}" in done.out
    assert "Its weights were rounded to int8; rekur quantize shows what that loses on your data." in done.out
    assert (tmp_path / "z" / "step.onnx").stat().st_size < told["files"]["step.onnx"]


def test_bad_input(bundles: dict[str, Path], tmp_path: Path, cli: Run) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine").write_text("")
    for words, code, text in (
        (("--to", "onnx", "--out", tmp_path / "x"), 2, "Rekur replaces nothing but its own exports."),
        (
            ("--to", "onnx", "--out", tmp_path / "y", "--tolerance", "0"),
            2,
            "tolerance: got 0.0; expected a number above 0.",
        ),
        (("--to", "onnx", "--out", tmp_path / "y", "--tolerance", "1e-30"), 1, "expected at most 1e-30."),
        (("--to", "onnxx", "--out", tmp_path / "y"), 2, "'onnxx' is not"),
        (("--to", "onnx"), 2, "Missing option '--out'"),
        (("--to", "onnx", "--out", tmp_path / "y", "--precision", "int4"), 2, "'int4' is not one of"),
        (
            ("--to", "c", "--out", tmp_path / "y", "--precision", "bfloat16"),
            2,
            "precision: got 'bfloat16'; expected one of 'float32', 'int8'.",
        ),
        (("--to", "onnx", "--out", tmp_path / "y", "--activations", "table"), 2, "Leave it out, or export --to c."),
    ):
        done = cli("export", bundles["letters"], *words)
        assert done.code == code, done.err
        assert text in done.err
        assert "Traceback" not in done.err
    assert not (tmp_path / "y").exists()
