"""``rekur check``: all holds on sound models, and each planted fault is found by the proof that is there for it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.laws.programs import tagger

from rekur import Classifier, LanguageModel, Regressor, tasks
from rekur._tensors import pack
from rekur.check import CHECKS, Check, NotApplicable, Pair, check_bundle, exports, proofs, subject_of
from rekur.cli.main import app, main
from rekur.data import Corpus
from rekur.features import WordFeatures
from rekur.features.text import TextFeatures
from rekur.models import SequenceModel
from rekur.program import Engine, many, quantise
from rekur.program.quantised import dequantise
from rekur.runtime import Bundle, layout, read_bundle, write_bundle, write_quantised
from rekur.targets import TagsTarget

SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 12, "baseline": False}
TEXTS = ["a fine film", "a bad film", "fine", "so bad a film was never made", "never", "a film of films"]
NAMES = [check.name for check in CHECKS]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model of each kind."""
    root = tmp_path_factory.mktemp("made")
    labels = ["good", "bad"] * 12
    Classifier(cell="gru", pooling="last+mean", **SMALL).fit(TEXTS * 4, labels).save(root / "reviews")
    Classifier(bidirectional=True, **SMALL).fit(TEXTS * 4, labels).save(root / "both")
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(int(n), 2)).cumsum(0) for n in rng.integers(3, 9, size=24)]
    Regressor(cell="minlstm", kernel_size=2, **SMALL).fit(walks, [float(walk[-1, 0]) for walk in walks]).save(
        root / "walks"
    )
    story = "the cat saw the dog. the dog fed the bird. " * 30
    LanguageModel(steps=3, hidden_size=12, embedding_size=8, baseline=False).fit([story]).save(root / "story")
    (root / "story.txt").write_text(story)
    lines = [json.dumps({"walk": walk.tolist()}) for walk in walks]
    (root / "walks.jsonl").write_text("\n".join(lines) + "\n")
    (root / "reviews.tsv").write_text("text\n" + "".join(f"{text}\n" for text in TEXTS))
    return root


def findings(folder: Path, data: Any = None) -> dict[str, bool | None]:
    """Return what each proof finds."""
    subject = subject_of(read_bundle(folder), data, load_trained=tasks.load)
    return {finding.name: finding.holds for finding in check_bundle(subject)}


def test_without_a_loader_nothing_runs_in_pytorch(made: Path) -> None:
    proofs_in_torch = [check for check in CHECKS if "PyTorch" in check.name]
    for finding in check_bundle(subject_of(read_bundle(made / "reviews")), proofs_in_torch):
        assert finding.holds is None
        assert finding.where == "subject_of was not given load_trained, such as rekur.tasks.load"


WORDS = [["the", "old", "engine", "saw", "Ada"], ["Ada", "saw"], ["the", "engine", "at", "Turin"] * 4]


@pytest.mark.parametrize(("delay", "bidirectional"), [(0, False), (2, False), (0, True)])
def test_a_program_with_an_output_at_every_step(tmp_path: Path, delay: int, bidirectional: bool) -> None:
    features = WordFeatures(min_count=1, prefixes=0, suffixes=2, buckets=7).fit(WORDS)
    program, weights = tagger(features.sizes, delay=delay, bidirectional=bidirectional)
    target = TagsTarget.learn([["A", "D", "N", "V"]])
    files = {layout.PROGRAM: program.to_json().encode(), layout.PROGRAM_WEIGHTS: pack("weights", weights)}
    config = {"task": "tag", "targets": {"kind": target.kind, **target.to_dict()}}
    write_bundle(tmp_path / "tags", config, {}, features, {}, [], "card", files=files)
    subject = subject_of(read_bundle(tmp_path / "tags"), Corpus.from_lists(WORDS, None, kind="words"))
    found = {finding.name: (finding.holds, finding.where) for finding in check_bundle(subject)}
    assert {name for name, (holds, _) in found.items() if holds is False} == set(), found
    whole_only = LIVE | {"C"} if bidirectional else set()
    assert {name for name, (holds, _) in found.items() if holds is None} == whole_only | {
        "PyTorch",
        "padding in PyTorch",
    }


def failing(folder: Path) -> set[str]:
    """Return the proofs that fail on the texts."""
    return {name for name, holds in findings(folder, Corpus.from_lists(TEXTS, None)).items() if holds is False}


LIVE = {"chunks", "steps", "stream"}


@pytest.mark.parametrize(
    ("name", "data", "nothing"),
    [
        ("reviews", None, {"stream"}),
        ("reviews", ("reviews.tsv", "--text", "text"), set()),
        ("both", ("reviews.tsv", "--text", "text"), LIVE | {"C"}),
        ("walks", None, {"stream"}),
        ("walks", ("walks.jsonl", "--series", "walk"), set()),
        ("story", None, {"stream"}),
        ("story", ("story.txt",), {"stream"}),
    ],
)
def test_sound_models(made: Path, name: str, data: tuple[str, ...] | None, nothing: set[str]) -> None:
    file = [str(made / data[0]), *data[1:]] if data else []
    done = CliRunner().invoke(app, ["check", str(made / name), *file, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["holds"]
    assert [one["name"] for one in told["checks"]] == NAMES
    assert {one["name"] for one in told["checks"] if one["holds"] is None} == nothing
    assert all(one["holds"] for one in told["checks"] if one["name"] not in nothing)


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_a_quantised_bundle(made: Path, tmp_path: Path, precision: str) -> None:
    write_quantised(read_bundle(made / "reviews"), tmp_path / "small", precision)
    found = findings(tmp_path / "small", Corpus.from_lists(TEXTS, None))
    assert {name for name, holds in found.items() if holds is None} == {"PyTorch", "padding in PyTorch", "int8"}
    assert all(holds is not False for holds in found.values())


def test_a_changed_weight(made: Path, tmp_path: Path) -> None:
    bundle = read_bundle(made / "reviews")
    program, weights = bundle.program()
    weights["head.weight"] = weights["head.weight"] + np.float32(1e-3)
    files = {layout.PROGRAM: program.to_json().encode(), layout.PROGRAM_WEIGHTS: pack("weights", weights)}
    config = {key: value for key, value in bundle.config.items() if key not in layout.RESERVED}
    write_bundle(
        tmp_path / "changed", config, bundle.weights(), bundle.features(), {}, bundle.history(), "card", files=files
    )
    assert failing(tmp_path / "changed") == {"PyTorch"}


def faulty_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rekur.program.engine.runs_native", lambda *given: False)
    real = many._Stepped.run
    monkeypatch.setattr(many._Stepped, "run", lambda self, *steps: real(self, *steps) * np.float32(1.001))


def faulty_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Engine.advance
    monkeypatch.setattr(Engine, "advance", lambda self, x, state: [0 * array for array in real(self, x, state)])


def faulty_mates(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Engine.run
    monkeypatch.setattr(Engine, "run", lambda self, x: real(self, x) + np.float32(1e-3) * len(x))


def faulty_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Engine.run
    monkeypatch.setattr(Engine, "run", lambda self, x: real(self, x) + np.float32(max(map(len, x)) > 15))


def faulty_order(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Engine.run

    def run(self: Engine, x: Any) -> Any:
        return real(self, x) + np.float32(1e-3) * np.arange(len(x))[:, None]

    monkeypatch.setattr(Engine, "run", run)


def faulty_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Bundle.program, list[int]()

    def program(self: Bundle) -> Any:
        found, weights = real(self)
        calls.append(1)
        name = "head.bias"
        return found, {**weights, name: np.nextafter(weights[name], np.float32(9))} if len(calls) > 4 else weights

    monkeypatch.setattr(Bundle, "program", program)


def faulty_features(monkeypatch: pytest.MonkeyPatch) -> None:
    real = TextFeatures.transform
    monkeypatch.setattr(TextFeatures, "transform", lambda self, item: real(self, item)[::-1].copy())


def faulty_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    real = SequenceModel.forward
    monkeypatch.setattr(SequenceModel, "forward", lambda self, x, lengths: real(self, x, lengths) + 1e-3 * x.shape[1])


def faulty_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    def upwards(program: Any, weights: Any, precision: str) -> Any:
        small, arrays = quantise(program, weights, precision)
        name = "head.weight"
        return small, {**arrays, name: np.minimum(arrays[name], 126) + np.int8(1)}

    monkeypatch.setattr(proofs, "quantise", upwards)


def faulty_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    def expand(program: Any, weights: Any) -> Any:
        found, arrays = dequantise(program, weights)
        factor = np.float32(1.01 if program.precision == "int8" else 1)
        return found, {name: array * factor if array.ndim > 1 else array for name, array in arrays.items()}

    monkeypatch.setattr("rekur.program.engine.dequantise", expand)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (faulty_step, {"steps", "chunks", "stream", "int8"}),
        (faulty_carry, {"chunks"}),
        (faulty_mates, {"padding", "batch mates", "PyTorch"}),
        (faulty_padding, {"padding"}),
        (faulty_order, {"batch mates", "order"}),
        (faulty_features, {"stream"}),
        (faulty_torch, {"PyTorch", "padding in PyTorch"}),
        (faulty_rounding, {"int8"}),
        (faulty_scales, {"int8"}),
    ],
)
def test_a_planted_fault_is_found(
    made: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], found: set[str]
) -> None:
    plant(monkeypatch)
    assert found <= failing(made / "reviews")


def test_weights_that_read_back_as_others(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty_reading(monkeypatch)
    subject = subject_of(read_bundle(made / "reviews"))
    subject.saved, subject.whole, subject.scores  # noqa: B018
    for _ in range(3):
        subject.bundle.program()
    (finding,) = check_bundle(subject, [check for check in CHECKS if check.name == "save and load"])
    assert finding.holds is False
    assert finding.where.startswith("weight 'head.bias', row")


def test_a_file_that_changes_on_the_disk(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "reviews", tmp_path / "reviews")
    subject = subject_of(read_bundle(tmp_path / "reviews"))
    path = tmp_path / "reviews" / "model.safetensors"
    assert subject.whole.size
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    (finding,) = check_bundle(subject, [check for check in CHECKS if check.name == "save and load"])
    assert finding.holds is False
    assert finding.difference == np.inf
    assert "model.safetensors: got a sha256 of" in finding.where


def test_the_command_fails_and_says_where(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty_step(monkeypatch)
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["check", str(made / "reviews"), str(made / "reviews.tsv"), "--text", "text"]) == 1
    shown = capsys.readouterr().out
    assert "FAILS" in shown
    assert re.search(r"steps +FAILS +\S+e-\S+ +1e-05 +item \d \(line \d\), after \d+ steps, score '(good|bad)'", shown)
    assert "of these do not hold: chunks, steps, stream, int8." in shown
    assert main(["check", str(made / "reviews"), "--tolerance", "0.5"]) == 0
    assert "All of these hold." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("--items", "0"), "--items: got 0; expected a whole number of 1 or more."),
        (("--tolerance", "0"), "--tolerance: got 0.0; expected a number above 0."),
        (("--text", "text"), "FILE: got none; expected one, as it was said how to read it. Name the file."),
        (("none.tsv", "--text", "text"), "none.tsv"),
    ],
)
def test_bad_input(made: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...], text: str) -> None:
    assert main(["check", str(made / "reviews"), *given]) == 2
    assert text in capsys.readouterr().err


def test_there_need_be_no_torch(made: Path) -> None:
    code = (
        "import sys, importlib.util as find; sys.modules['torch'] = None\n"
        "real = find.find_spec; find.find_spec = lambda name, *rest: None if name == 'torch' else real(name, *rest)\n"
        f"from rekur.cli.main import main; sys.exit(main(['check', {str(made / 'reviews')!r}, '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    checks = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
    assert checks["PyTorch"]["where"] == "PyTorch is not installed"


@pytest.mark.parametrize(
    ("found", "wanted", "difference", "where"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.2, "it, score 1"),
        ([-np.inf, np.nan], [-np.inf, np.nan], 0.0, ""),
        ([1.0, np.nan], [1.0, 1.0], np.inf, "it, score 1"),
        ([1.0], [1.0, 1.0], np.inf, "it: (1,) instead of (2,)"),
        ([], [], 0.0, ""),
    ],
)
def test_what_a_difference_is(
    made: Path, found: list[float], wanted: list[float], difference: float, where: str
) -> None:
    check = Check("one", "", lambda _: iter([Pair("it", np.array(found), np.array(wanted))]))
    subject = subject_of(read_bundle(made / "walks"))
    finding = check.on(subject)
    assert (finding.difference, finding.where) == (pytest.approx(difference), where)
    assert finding.holds == (difference <= 1e-5)


def test_nothing_to_prove(made: Path) -> None:
    def nothing(_: Any) -> Any:
        raise NotApplicable("there is nothing")

    subject = replace(subject_of(read_bundle(made / "walks")))
    assert Check("none", "", nothing).on(subject).to_dict() == {
        "name": "none",
        "says": "",
        "difference": None,
        "tolerance": 1e-5,
        "where": "there is nothing",
        "holds": None,
    }
    assert Check("empty", "", lambda _: iter(())).on(subject).where == "there was nothing to compare"


@pytest.mark.parametrize("name", ["ONNX", "C"])
def test_faults_of_exports_are_found(name: str, made: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    if exports.compiler() is None:
        pytest.skip("no C compiler")
    subject = subject_of(read_bundle(made / "reviews"))
    (check,) = [check for check in CHECKS if check.name == name]
    assert check.on(subject).holds is True

    program, weights = subject.saved
    last = next(op for op in reversed(program.main.ops) if op.kind == "affine").weights["weight"]
    subject.__dict__["saved"] = program, {**weights, last: weights[last] * np.float32(1.01)}
    found = check.on(subject)
    assert found.holds is False
    assert "score" in found.where


def test_exports_proved_are_of_the_precision_of_the_bundle(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    if exports.compiler() is None:
        pytest.skip("no C compiler")
    seen = []

    def kept(program: Any, *rest: Any) -> Any:
        seen.append(program.precision)
        return make_models(program, *rest)

    def written(lowered: Any, extra: Any) -> str:
        seen.append(lowered.program.precision)
        return source(lowered, extra)

    make_models, source = exports.make_models, exports.source
    monkeypatch.setattr(exports, "make_models", kept)
    monkeypatch.setattr(exports, "source", written)
    for precision, wanted in (("int8", ["int8", "int8"]), ("bfloat16", ["bfloat16", "float32"])):
        small = write_quantised(read_bundle(made / "reviews"), tmp_path / precision, precision)
        found = check_bundle(subject_of(small), [check for check in CHECKS if check.name in ("ONNX", "C")])
        assert [one.holds for one in found] == [True, True]
        assert seen == wanted
        seen.clear()
