"""Saved models that write texts: their ONNX models and runner, their proofs, and their weights in fewer bits."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.laws.pair_programs import pair_program

import rekur
from rekur import Translator
from rekur.check import exports
from rekur.cli.main import app
from rekur.errors import NotStreamableError, RekurError
from rekur.export import export_onnx
from rekur.export.c import export_c
from rekur.export.onnx import check_models, make_models
from rekur.export.onnx.check import open_models
from rekur.export.onnx.manifest import reading
from rekur.export.onnx.pair_check import PairSessions
from rekur.features import PairFeatures
from rekur.lower import lower
from rekur.models import DecoderSpec, build_decoder
from rekur.program import PairEngine, quantise
from rekur.runtime.search import Search

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ODD = [
    "",
    " ",
    "two one",
    "x" * 200 + " don't </s> ▁ @@ <unk> 漢\u202f🙂 \n\r\n 12345 \ud800 " + "!?" * 80,
    "  zero\u00a0 0123 l’été ",
]


def pairs(count: int, seed: int) -> tuple[list[str], list[str]]:
    draw = random.Random(seed)
    numbers = [[draw.randrange(3) for _ in range(draw.randint(4, 6))] for _ in range(count)]
    return [" ".join(WORDS[n] for n in number) for number in numbers], [" ".join(map(str, n)) for n in numbers]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, its export, and two aligned files."""
    root = tmp_path_factory.mktemp("made")
    model = Translator(
        epochs=6,
        hidden_size=32,
        learning_rate=0.01,
        baseline=False,
        feature_options={"tokens": "bpe", "max_vocabulary": 300},
    )
    model.fit(*pairs(300, 0)).save(root / "numbers")
    for name, lines in zip(("test.words", "test.digits"), pairs(40, 2), strict=True):
        (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    export_onnx(root / "numbers", root / "onnx")
    return root


def runner(folder: Path) -> Any:
    """Return the runner of an export, as a module."""
    spec = importlib.util.spec_from_file_location("run_pairs", folder / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ── ONNX models ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("score", ["dot", "additive"])
@pytest.mark.parametrize("precision", ["float32", "int8", "bfloat16"])
def test_onnx_models_give_what_the_engine_gives(score: str, precision: str) -> None:
    program, weights = pair_program(score, is_started=precision != "bfloat16")
    if precision != "float32":
        program, weights = quantise(program, weights, precision)
    models = make_models(program, weights)
    assert check_models(models, PairEngine(program, weights)).difference < 1e-5
    changed = {**weights, "ahead.bias_ih": weights["ahead.bias_ih"] + np.float32(0.01)}
    with pytest.raises(RekurError, match="largest difference"):
        check_models(models, PairEngine(program, changed))


@pytest.mark.parametrize(
    "cell", ["rnn", "lstm", "lstm_peephole", "gru_reset_before", "minlstm", "rglru", "slstm", "mlstm"]
)
def test_onnx_models_of_every_cell(cell: str) -> None:
    spec = DecoderSpec(
        columns=(12,),
        output_size=12,
        cell=cell,
        hidden_size=8,
        decoder_size=8,
        embedding_size=6,
        num_layers=2,
        decoder_layers=2,
        bidirectional=True,
        attention="additive",
        tying="all",
    )
    program, weights = lower(build_decoder(spec, seed=0), "translate")
    assert check_models(make_models(program, weights), PairEngine(program, weights)).difference < 1e-5


@pytest.mark.parametrize("score", ["dot", "additive"])
def test_a_source_without_steps_is_read_as_by_the_engine(score: str) -> None:
    program, weights = pair_program(score)
    engine, ids = PairEngine(program, weights), np.array([1, 2])
    sessions = PairSessions(open_models(make_models(program, weights)), engine)
    assert len(sessions.encode([])["memory"]) == 0
    sources = [np.zeros(0, np.int64)] * 2
    scores = [model.step(ids, model.begin(2, model.encode(sources)))[0] for model in (sessions, engine)]  # type: ignore[attr-defined]
    np.testing.assert_allclose(*scores, atol=1e-5)


# ── the runner ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tokens", ["bpe", "word", "char"])
@pytest.mark.parametrize("shared", [True, False])
def test_the_runner_reads_and_writes_texts_as_features_do(made: Path, tokens: str, shared: bool) -> None:
    features = PairFeatures(tokens, shared=shared, max_vocabulary=300, max_length=150)
    sources, targets = pairs(40, 0)
    features.fit(list(zip([*sources, *ODD], [*targets, *ODD], strict=True)))
    about: dict[str, Any] = {"reading": reading(features.to_dict()), "features": features.to_dict()}
    about["prediction"] = {"first": 4}
    module = runner(made / "onnx")
    source, target = (module.Tokens(about, side) for side in ("source", "target"))
    for text in [*sources, *targets, *ODD]:
        assert source.read(text) == features.encode(text).inputs["steps"].tolist()
        ids = features.transform_target(text).tolist()
        assert target.write(ids) == features.decode_target(ids)


@pytest.mark.parametrize(("beam", "n_best", "alpha"), [(1, 1, 1.0), (4, 3, 0.6), (5, 1, 0.0), (400, 2, 1.0)])
def test_the_runner_writes_what_the_engine_writes(made: Path, beam: int, n_best: int, alpha: float) -> None:
    texts = [*pairs(4 if beam > 5 else 30, 3)[0], *(ODD if beam <= 5 else [])]
    model = rekur.load(made / "numbers")
    model.search_ = Search(beam=beam, n_best=n_best, alpha=alpha)
    expected = model.present(texts)
    exported = runner(made / "onnx").Model(made / "onnx")
    results = exported.search(texts, beam=beam, n_best=n_best, alpha=alpha)
    assert len({result[0][0] for result in results}) > 2
    for text, result, right in zip(texts, results, expected, strict=True):
        presented = exported.present(result, n_best > 1)
        assert presented["prediction"] == right["prediction"], text
        candidates = [[each["prediction"] for each in row.get("candidates", [])] for row in (presented, right)]
        if text.strip():
            assert candidates[0] == candidates[1]
        assert presented["score"] == pytest.approx(right["score"], abs=1e-4)


def test_the_runner_runs_alone(made: Path) -> None:
    def run(*words: str, lines: bytes = b"") -> Any:
        command = [sys.executable, "-I", str(made / "onnx" / "run.py"), *words]
        return subprocess.run(command, input=lines, capture_output=True, check=False, timeout=60)

    done = run("--beam", "3", "--n-best=2", lines="one two\r\n\nthree\u2028four".encode())
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(row["candidates"]) for row in rows] == [2, 1, 2]
    assert rows[1] == {"prediction": "", "score": None, "candidates": [{"prediction": "", "score": None}]}
    assert done.stderr == b""
    assert run(lines=b"\r\none").stdout == run("", "one").stdout
    alpha = json.loads((made / "onnx" / "manifest.json").read_text())["prediction"]["alpha"]
    assert rekur.load(made / "numbers").search_.alpha == alpha
    for words, text in (
        (("--beam", "0", "a"), "--beam: got 0; expected a whole number, 1 or more."),
        (("--n-best", "2", "a"), "--n-best: got 2; expected at most 1, the beam."),
        (("--alpha=-1", "a"), "--alpha: got -1; expected a number, 0 or more."),
        (("--best", "a"), "option: got --best; expected --beam, --n-best, --alpha, or --help."),
        ((), "items: got none"),
    ):
        done = run(*words)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.decode().startswith(text)


def test_the_runner_cuts_long_sources(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported, module = runner(made / "onnx").Model(made / "onnx"), runner(made / "onnx")
    assert exported.about["prediction"]["source"] == rekur.load(made / "numbers").search_.max_source == 2000
    exported.about["prediction"]["source"] = 2
    module.Model = lambda folder: exported
    start = exported.target.write(exported.source.read("one two one")[:2])
    assert module.main(["one two one", start, ""]) == 0
    said = capsys.readouterr()
    first, second, _ = said.out.splitlines()
    assert first == second
    assert said.err == "sources cut after 2 tokens: 1\n"


def test_what_an_export_of_pairs_holds(made: Path) -> None:
    names = sorted(path.name for path in (made / "onnx").iterdir() if path.is_file())  # Python may add __pycache__
    assert names == ["decode.onnx", "encode.onnx", "manifest.json", "run.py"]
    about = json.loads((made / "onnx" / "manifest.json").read_text())
    assert about["files"] == names
    assert about["checked"]["difference"] < 1e-5
    assert next(iter(about["graphs"]["decode"]["outputs"])) == "scores"
    assert {slot.get("output") for slot in about["state"].values()} == {"start.0"}


def test_c_refuses_by_name(made: Path, tmp_path: Path) -> None:
    with pytest.raises(NotStreamableError, match=r"one whose texts a search finds.*C does not search.*--to onnx"):
        export_c(made / "numbers", tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


# ── proofs, and fewer bits ───────────────────────────────────────────────────────────────────────────────────────


def findings(*words: Any) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["check", *map(str, words), "--json"])
    assert done.output.startswith("{"), done.output
    return {check["name"]: check["holds"] for check in json.loads(done.output)["checks"]}


NONE = {"chunks": None, "stream": None, "C": None}
ALL = dict.fromkeys(
    ["padding", "batch mates", "order", "steps", "save and load", "PyTorch", "padding in PyTorch", "int8", "ONNX"], True
)


def test_proofs_hold_on_pairs_on_sources_and_on_drawn_ones(made: Path) -> None:
    files = made / "test.words", made / "test.digits"
    for words in ((), files[:1], files):
        assert findings(made / "numbers", *words, "--items", 8) == ALL | NONE


@pytest.mark.parametrize("options", [{}, {"cell": "lstm"}, {"decoder_layers": 2, "attention": "additive"}])
def test_weights_are_saved_once(options: dict[str, Any], tmp_path: Path) -> None:
    model = Translator(epochs=1, hidden_size=16, baseline=False, **options)
    model.fit(*pairs(24, 0)).save(tmp_path / "m")
    sizes = [path.stat().st_size for path in (tmp_path / "m").glob("*.safetensors")]
    assert sum(sizes) < 4 * sum(weight.numel() for weight in model.model_.parameters()) + 8_000
    text = "one two"
    assert rekur.load(tmp_path / "m").predict([text]) == model.predict([text])


def test_a_fault_is_found_by_its_proof(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(program: Any, weights: dict[str, Any]) -> Any:
        name = next(name for name in weights if name.endswith("combine.bias"))
        return make_models(program, {**weights, name: weights[name] + np.float32(0.01)})

    with monkeypatch.context() as patch:
        patch.setattr(exports, "make_models", changed)
        assert findings(made / "numbers") == ALL | NONE | {"ONNX": False}
    whole = PairEngine.log_probabilities

    def by_company(self: PairEngine, targets: Any, memory: Any) -> Any:
        return [row + np.float32(1e-3 * len(targets)) for row in whole(self, targets, memory)]

    monkeypatch.setattr(PairEngine, "log_probabilities", by_company)
    wrong = {name for name, holds in findings(made / "numbers").items() if holds is False}
    assert {"padding", "batch mates", "steps"} <= wrong


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_a_model_is_quantised_with_its_score_before_and_after(made: Path, tmp_path: Path, precision: str) -> None:
    files = made / "test.words", made / "test.digits"
    words = ["quantize", made / "numbers", "--data", files[0], "--data", files[1], "--precision", precision]
    done = CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / "small"), "--tolerance", "90", "--json"])
    told = json.loads(done.output)
    assert (told["score"], told["data"]) == ("bleu", ["test.words", "test.digits"])
    assert told["before"] > 0
    assert told["bytes"]["after"]["weights"] < 0.6 * told["bytes"]["before"]["weights"]
    assert min(told["step_seconds"].values()) > 0
    small = rekur.load(tmp_path / "small")
    assert small.evaluate(*(path.read_text().splitlines() for path in files))["bleu"] == pytest.approx(told["after"])
    holds = findings(tmp_path / "small", *files, "--items", 8)
    assert holds == ALL | NONE | {"PyTorch": None, "padding in PyTorch": None, "int8": None}


def test_a_model_that_loses_too_much_is_not_written(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rekur.program.quantised._LARGEST", np.float32(2))
    words = ["quantize", made / "numbers", "--data", made / "test.words", "--data", made / "test.digits"]
    done = CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / "small"), "--json"])
    assert done.exception is not None
    assert "bleu: got" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
