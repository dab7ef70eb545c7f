"""From a file to an export that runs without Rekur: the runners give what ``rekur predict`` and ``stream`` give."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import Run

from rekur import Regressor, load
from rekur.cli.main import main
from rekur.export import export_onnx
from rekur.runtime import read_bundle, write_quantised

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

Runner = Callable[..., list[dict[str, Any]]]
Started = Callable[..., "subprocess.CompletedProcess[str]"]
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
def started(request: pytest.FixtureRequest) -> Started:
    """Return what runs an export in Python, in Node, or in WebAssembly, whatever its exit code."""
    if request.param != "python":
        modules = node_modules()
        if not (modules / request.param).is_dir():
            pytest.skip(f"no {request.param} in {modules}")

    def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "run.py"]
        if request.param != "python":
            command, own = ["node", "run.mjs"], folder / "node_modules"
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir()
            for module in modules.iterdir():
                if module.name not in MODULES or module.name == request.param:
                    (own / module.name).symlink_to(module)
        words = tuple(map(str, words))
        return subprocess.run(
            [*command, *words], cwd=folder, capture_output=True, encoding="utf-8", timeout=100, check=False
        )

    return run


@pytest.fixture
def runner(started: Started) -> Runner:
    """Return what runs an export and returns the predictions."""

    def run(folder: Path, *words: str) -> list[dict[str, Any]]:
        done = started(folder, *words)
        assert done.returncode == 0, done.stderr
        return lines(done.stdout)

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


def with_gaps(folder: Path, **options: Any) -> tuple[Path, list[Any]]:
    """Return the export of a model that was trained on series with gaps, and series."""
    rng = np.random.default_rng(0)
    series = [rng.normal(3, 2, size=(length, 2)) for length in (4, 6, 3, 5) * 4]
    for item in series:
        item[rng.random(item.shape) < 0.3] = np.nan
    series[0][:2, 1] = np.nan
    model = Regressor(epochs=1, hidden_size=5, baseline=False, verbose=False, feature_options=options)
    model.fit(series, [float(np.nansum(item)) for item in series]).save(folder / "m")
    export_onnx(folder / "m", folder / "x")
    return folder / "x", series[:4]


@pytest.mark.parametrize(
    "options",
    [{}, {"missing": "zero"}, {"standardise": False}, {"indicators": "never"}, {"indicators": "always"}],
    ids=repr,
)
def test_missing_values(tmp_path: Path, options: dict[str, Any], started: Started, request: Any) -> None:
    """Runners fill and mark what is missing as the features do: the last value, before it the mean of training."""
    if options and "onnxruntime-web" in request.node.name:
        pytest.skip("reading is that of Node")
    folder, series = with_gaps(tmp_path, **options)
    engine = load(tmp_path / "m")
    items = [json.dumps([[None if math.isnan(v) else v for v in row] for row in item.tolist()]) for item in series]
    nan = float("nan")
    items.append("[[null, NaN], [null, 1.5], [NaN, null]]")
    series.append([[nan, nan], [nan, 1.5], [nan, nan]])
    done = started(folder, *items)
    wanted = pytest.approx(engine.predict(series), abs=1e-5)
    assert [line["value"] for line in lines(done.stdout)] == wanted, done.stderr
    done, session = started(folder, "--live", items[-1]), engine.stream()
    wanted = pytest.approx([session.push(row).tentative for row in series[-1]], abs=1e-5)
    assert [line["value"] for line in lines(done.stdout)] == wanted, done.stderr


SIZE = "expected a list of token numbers, each in [0, "
ROWS = "expected rows of 2 numbers, null or NaN for one that is missing."
DIGITS = "9" * 400
#: export, item, what is said of it
WRONG_ITEMS = [
    ("words", "great", "words are cut by rekur.features; give token numbers, such as [4, 2, 7]"),
    ("words", "[4, 2", "expected JSON such as [4, 2, 7]."),
    ("words", "[99999]", f"got [99999]; {SIZE}"),
    ("words", "[2, -1]", SIZE),
    ("words", "[[2]]", f"got [[2]]; {SIZE}"),
    ("words", "[2.5]", f"got [2.5]; {SIZE}"),
    ("words", "[true]", SIZE),
    ("words", "[null]", SIZE),
    ("words", f"[{DIGITS}]", SIZE),
    ("walks", "great", "expected JSON such as [[0.5, null]]."),
    ("walks", "5", f"got 5; {ROWS}"),
    ("walks", "[0.5, 1]", ROWS),
    ("walks", "[[0.5, 1], [0.5]]", ROWS),
    ("walks", "[[[0.5, 1]]]", ROWS),
    ("walks", '[["0.5", 1]]', ROWS),
    ("walks", "[[true, 1]]", ROWS),
    ("walks", "[[1e999, 1]]", ROWS),
    ("walks", f"[[{DIGITS}, 1]]", ROWS),
    ("walks", "[[1e300, 1]]", "got a number that float32 cannot hold; expected numbers as in training."),
    ("walks", "[" * 9000, "expected JSON such as [[0.5, null]]."),
    ("walks", '{"a": 1}', ROWS),
    ("strict", "[[1, 2], [null, 3]]", "got a missing value; expected none: the model was trained to refuse them."),
]


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the export of a model that takes no missing values."""
    folder = tmp_path_factory.mktemp("strict")
    rows = [[[float(number), 2.0], [2.0, 3.0]] for number in range(16)]
    model = Regressor(epochs=1, hidden_size=5, baseline=False, verbose=False, feature_options={"missing": "error"})
    model.fit(rows, [1.0, 2.0, 3.0, 4.0] * 4).save(folder / "m")
    export_onnx(folder / "m", folder / "x")
    return folder / "x"


def python_runner(folder: Path) -> Any:
    """Return the runner of an export as a module."""
    spec = importlib.util.spec_from_file_location("run", folder / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "item", "text"), WRONG_ITEMS, ids=lambda value: str(value)[:30])
def test_items_that_the_runner_refuses(
    exports: dict[str, Path], strict: Path, name: str, item: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert python_runner({**exports, "strict": strict}[name]).main([item]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("item 1: ")
    assert text in told.err.splitlines()[0]
    assert len(told.err) < 300


def test_items_that_the_runner_in_javascript_refuses(exports: dict[str, Path], strict: Path, tmp_path: Path) -> None:
    modules = node_modules()
    (tmp_path / "node_modules").symlink_to(modules)
    folders = {**exports, "strict": strict}
    for name in {name for name, _, _ in WRONG_ITEMS}:
        shutil.copytree(folders[name], tmp_path / name, ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "all.mjs").write_text(
        """import { readFile } from "node:fs/promises";
        const ort = await import("onnxruntime-node").catch(() => import("onnxruntime-web"));
        const models = {}, told = [];
        for (const [name, item] of JSON.parse(await readFile("items.json", "utf8"))) {
          const { load, parsed } = await import(`./${name}/run.mjs`);
          models[name] ??= await load(ort, (file) => readFile(`${name}/${file}`));
          try { models[name].read(parsed(models[name], item)); told.push(""); } catch (e) { told.push(e.message); }
        }
        console.log(JSON.stringify(told));"""
    )
    (tmp_path / "items.json").write_text(json.dumps(WRONG_ITEMS))
    done = subprocess.run(["node", "all.mjs"], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    for told, (_, item, text) in zip(json.loads(done.stdout), WRONG_ITEMS, strict=True):
        assert text in told, item
        assert len(told) < 300


def test_words_of_the_command_line_of_a_runner(exports: dict[str, Path], started: Started, request: Any) -> None:
    if "onnxruntime-web" in request.node.name:
        pytest.skip("words are those of Node")
    for name, words, text in (
        ("words", [], "items: got none; expected one or more."),
        ("words", ["--life", "[2]"], "option: got --life; expected --live, or --help."),
        ("words", ["[2]", "great"], "item 2: words are cut by rekur.features; give token numbers, such as [4, 2, 7]"),
        ("both", ["--live", "[2]"], "--live: got a model that reads from the end too; it needs whole sequences."),
    ):
        done = started(exports[name], *words)
        assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (2, "", text)
        assert "Traceback" not in done.stderr
        assert "    at " not in done.stderr
    done = started(exports["words"], "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--live" in done.stdout
    done = started(exports["letters"], "--", "--live")
    assert (done.returncode, len(lines(done.stdout))) == (0, 1)
    assert len(lines(started(exports["walks"], "[]").stdout)) == 1


def test_a_batch_of_no_stream(exports: dict[str, Path]) -> None:
    model = python_runner(exports["walks"]).Model(exports["walks"])
    assert model.run([]).shape[0] == 0
    with pytest.raises(ValueError, match=r"^got a step of no stream; expected one or more"):
        model.step(np.zeros((0, 2), np.float32), model.begin(0))


def test_a_runner_whose_reader_goes_away(exports: dict[str, Path]) -> None:
    code = "cd %s && %s run.py --live %s | head -n 1; exit ${PIPESTATUS[0]}"
    command = code % (exports["letters"], sys.executable, "a" * 3000)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, len(lines(done.stdout))) == (0, "", 1)


def test_a_runner_without_its_model(exports: dict[str, Path], tmp_path: Path, started: Started) -> None:
    for name in ("run.py", "run.mjs"):
        shutil.copy(exports["words"] / name, tmp_path / name)
    done = started(tmp_path, "[2]")
    assert done.returncode == 2
    assert "manifest.json" in done.stderr
    assert len(done.stderr.splitlines()) == 1


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
        (("--to", "onnx", "--out", tmp_path / "x"), 2, "Rekur replaces only its own exports."),
        (
            ("--to", "onnx", "--out", tmp_path / "y", "--tolerance", "0"),
            2,
            "tolerance: got 0.0; expected a number above 0.",
        ),
        (("--to", "onnx", "--out", tmp_path / "y", "--tolerance", "1e-30"), 1, "expected at most 1e-30."),
        (("--to", "onnxx", "--out", tmp_path / "y"), 2, "--to: got 'onnxx'; expected one of 'onnx', 'c'."),
        (("--to", "onnx"), 2, "--out: got nothing; expected the path of a folder."),
        (
            ("--to", "onnx", "--out", tmp_path / "y", "--precision", "int4"),
            2,
            "--precision: got 'int4'; expected one of 'float32',",
        ),
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
