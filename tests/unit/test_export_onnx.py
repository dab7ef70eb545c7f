"""The parts of an export: models with names and facts, the manifest, the folder that is whole or not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur import Classifier, LanguageModel, Regressor, __version__
from rekur.errors import BundleError, InputError, MissingDependencyError, RekurError, SaveError
from rekur.export import export_onnx
from rekur.export.onnx import export, make_models
from rekur.export.onnx.manifest import prediction, reading
from rekur.features import SeriesFeatures, SymbolFeatures, TextFeatures
from rekur.lower import lower
from rekur.models import SequenceSpec, build
from rekur.program import Engine
from rekur.runtime import read_bundle, write_quantised
from rekur.targets import LabelTarget, NextTarget

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TEXTS, LABELS = ["good film", "bad film", "fine story", "dull story"] * 4, ["up", "down"] * 8
SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 5, "baseline": False, "verbose": False}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = Classifier(**SMALL, feature_options={"tokens": "char"}).fit(TEXTS, LABELS)
    return model.save(tmp_path_factory.mktemp("bundles") / "letters")


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_an_export_holds(bundle: Path, tmp_path: Path) -> None:
    done = export_onnx(bundle, tmp_path / "x")
    assert there(tmp_path) == ["x"]
    assert there(tmp_path / "x") == ["manifest.json", "run.mjs", "run.py", "sequence.onnx", "step.onnx"]
    assert done.files == {path.name: path.stat().st_size for path in (tmp_path / "x").iterdir()}
    assert done.causal
    assert done.found.difference <= done.tolerance == 1e-5


def test_models_say_what_they_are(bundle: Path, tmp_path: Path) -> None:
    export_onnx(bundle, tmp_path / "x")
    model = onnx.load(tmp_path / "x" / "step.onnx")
    facts = {entry.key: entry.value for entry in model.metadata_props}
    fingerprint = read_bundle(bundle).fingerprint
    assert facts == {
        "rekur": __version__,
        "task": "classify",
        "precision": "float32",
        "fingerprint": fingerprint,
        "graph": "step",
    }
    assert (model.producer_name, model.producer_version, model.graph.name) == ("rekur", __version__, "step")
    assert (model.opset_import[0].version, model.ir_version, len(model.opset_import)) == (18, 8, 1)
    assert "state.NAME" in model.doc_string
    session = onnxruntime.InferenceSession(str(tmp_path / "x" / "sequence.onnx"))
    assert {port.name: port.shape for port in session.get_inputs()} == {
        "input": ["batch", "time"],
        "lengths": ["batch"],
    }
    assert {port.name: port.shape for port in session.get_outputs()} == {
        "scores": ["batch", 2],
    }


def test_the_manifest(bundle: Path, tmp_path: Path) -> None:
    export_onnx(bundle, tmp_path / "x")
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_text(encoding="utf-8"))
    saved = read_bundle(bundle)
    program, _ = saved.program()
    assert (manifest["format"], manifest["version"], manifest["task"]) == ("rekur-onnx", 1, "classify")
    assert (manifest["opset"], manifest["ir_version"]) == (18, 8)
    assert manifest["fingerprint"] == saved.fingerprint
    assert manifest["features"] == saved.features().to_dict()
    assert manifest["targets"] == {"kind": "label", "labels": ["down", "up"], "multi_label": False}
    assert manifest["checked"]["tolerance"] == 1e-5
    assert manifest["checked"]["difference"] <= 1e-5
    assert manifest["smallest_batch"] == {"sequence": 0, "step": 1}
    assert manifest["state"] == {
        slot.name: {"shape": list(slot.shape), "dtype": slot.dtype, "begins": 0.0} for slot in program.state
    }
    ports = manifest["graphs"]["step"]
    assert ports["inputs"]["state.last"] == {"dtype": "float32", "axes": ["batch", 5]}
    assert list(ports["outputs"]) == ["scores", *(f"next.{name}" for name in manifest["state"])]


def test_a_model_that_reads_both_ways_has_no_steps(tmp_path: Path) -> None:
    Classifier(**SMALL, bidirectional=True).fit(TEXTS, LABELS).save(tmp_path / "both")
    done = export_onnx(tmp_path / "both", tmp_path / "x")
    assert not done.causal
    assert "step.onnx" not in done.files
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["state"] == {}
    assert list(manifest["graphs"]) == ["sequence"]


def test_language_and_numbers(tmp_path: Path) -> None:
    LanguageModel(tokens="char", hidden_size=5, embedding_size=4, epochs=1, verbose=False).fit(TEXTS).save(
        tmp_path / "text"
    )
    series = [[float(i % 5)] * 4 for i in range(20)]
    Regressor(**SMALL).fit(series, [i % 5 for i in range(20)]).save(tmp_path / "numbers")
    for name in ("text", "numbers"):
        assert export_onnx(tmp_path / name, tmp_path / f"{name}.x").found.difference <= 1e-5


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_a_quantised_bundle_is_exported_as_it_is(bundle: Path, tmp_path: Path, precision: str) -> None:
    small = write_quantised(read_bundle(bundle), tmp_path / "small", precision)
    done = export_onnx(small, tmp_path / "x")
    assert (done.precision, done.found.difference <= 1e-5) == (precision, True)
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["precision"] == precision
    kinds = {"int8": onnx.TensorProto.INT8, "bfloat16": onnx.TensorProto.BFLOAT16}
    matrices = sum(weight.dtype == precision for weight in small.program()[0].weights.values())
    for name in ("sequence.onnx", "step.onnx"):
        arrays = onnx.load(tmp_path / "x" / name).graph.initializer
        assert sum(array.data_type == kinds[precision] for array in arrays) == matrices > 2
    rounded = export_onnx(bundle, tmp_path / "y", precision=precision)
    assert [rounded.files[name] for name in done.files if name != "manifest.json"] == [
        done.files[name] for name in done.files if name != "manifest.json"
    ]
    whole = export_onnx(small, tmp_path / "z", precision="float32")
    given = {"input": np.array([[2, 3, 4]]), "lengths": np.array([3], np.int64)}
    small_scores, same, wide = (
        onnxruntime.InferenceSession(str(tmp_path / name / "sequence.onnx")).run(["scores"], given)[0] for name in "xyz"
    )
    np.testing.assert_array_equal(small_scores, same)
    np.testing.assert_allclose(small_scores, wide, atol=1e-6)
    assert whole.files["step.onnx"] > done.files["step.onnx"]


def test_precisions_that_cannot_be(bundle: Path, tmp_path: Path) -> None:
    small = write_quantised(read_bundle(bundle), tmp_path / "small", "int8")
    for given, precision, text in (
        (
            small,
            "bfloat16",
            "precision: got 'bfloat16'; expected 'int8' or 'float32'. The weights are int8 already: use the original "
            "model.",
        ),
        (
            bundle,
            "int4",
            "precision: got 'int4'; expected one of 'float32', 'int8', 'bfloat16'. Did you mean 'int8'?",
        ),
    ):
        with pytest.raises(InputError) as error:
            export_onnx(given, tmp_path / "x", precision=precision)
        assert str(error.value) == text
    assert there(tmp_path) == ["small"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_that_are_taken(bundle: Path, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    with pytest.raises(InputError) as error:
        export_onnx(bundle, tmp_path / "mine", overwrite=overwrite)
    assert str(error.value) == (
        f"folder: got '{tmp_path / 'mine'}'; expected a folder that is new or empty (it holds 'notes.txt' and is no "
        "such export). Choose another folder; Rekur replaces only its own exports."
    )
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match="a file has this name"):
        export_onnx(bundle, tmp_path / "file", overwrite=overwrite)
    with pytest.raises(InputError, match="a path through folders"):
        export_onnx(bundle, tmp_path / "file" / "inner", overwrite=overwrite)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "kept"


def test_an_export_is_replaced_only_when_asked(bundle: Path, tmp_path: Path) -> None:
    export_onnx(bundle, tmp_path / "x")
    (tmp_path / "x" / "mine").write_text("stays")
    (tmp_path / "x" / "run.py").write_text("old")
    with pytest.raises(InputError) as error:
        export_onnx(bundle, tmp_path / "x")
    assert str(error.value) == (
        f"folder: got '{tmp_path / 'x'}'; expected a folder that is new or empty (an export is there). "
        "Choose another folder, or say overwrite=True (--overwrite) to replace the export."
    )
    assert (tmp_path / "x" / "run.py").read_text() == "old"
    export_onnx(bundle, tmp_path / "x", overwrite=True)
    assert (tmp_path / "x" / "run.py").read_text() != "old"
    assert (tmp_path / "x" / "mine").read_text() == "stays"
    assert there(tmp_path) == ["x"]


def test_nothing_is_left_of_an_export_that_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(RekurError, match="largest difference"):
        export_onnx(bundle, tmp_path / "x", tolerance=1e-30)
    assert there(tmp_path) == []
    with pytest.raises(InputError, match=r"^tolerance: got -1; expected a number above 0\."):
        export_onnx(bundle, tmp_path / "x", tolerance=-1)


def test_nothing_is_left_when_writing_fails(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_onnx(bundle, tmp_path / "x")
    before = (tmp_path / "x" / "manifest.json").read_bytes()
    real = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if ".partial-" in self.name:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(SaveError, match="No space left on device"):
        export_onnx(bundle, tmp_path / "x", overwrite=True)
    assert there(tmp_path) == ["x"]
    assert (tmp_path / "x" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_what_to_install(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError) as error:
        export_onnx(bundle, tmp_path / "x")
    assert str(error.value) == (
        f"rekur export --to onnx: needs the package '{package}', which is not installed. pip install \"rekur[export]\""
    )
    assert there(tmp_path) == []


def test_bundles_that_cannot_be_exported(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="nothing is there"):
        export_onnx(tmp_path / "none", tmp_path / "x")
    monkeypatch.setattr(export, "LARGEST", 100)
    with pytest.raises(InputError, match=r"^bytes of the weights: got [0-9]+; expected at most 100, which one ONNX"):
        export_onnx(bundle, tmp_path / "x")


def test_exporting_needs_no_torch(bundle: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from rekur.export import export_onnx\n"
        f"print(export_onnx({str(bundle)!r}, {str(tmp_path / 'x')!r}).causal)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


def test_importing_the_command_imports_no_onnx() -> None:
    code = "import sys, rekur.cli.export, rekur.export; print({'onnx', 'onnxruntime', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


WHOLE = {"begin": [], "max_length": None}
HOLD = {"missing": "hold", "fill": [2.0]}


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (TextFeatures("byte"), {"kind": "bytes", **WHOLE}),
        (
            TextFeatures("byte", lowercase=True),
            {"kind": "tokens", "why": "folded bytes are cut by rekur.features; give token numbers", **WHOLE},
        ),
        (
            TextFeatures("char", max_length=9).fit(["aB"]),
            {"kind": "characters", "begin": [], "max_length": 9, "numbers": {"B": 2, "a": 3}},
        ),
        (
            TextFeatures("char", lowercase=True).fit(["ab"]),
            {"kind": "characters", **WHOLE, "numbers": {"A": 2, "B": 3, "a": 2, "b": 3}},
        ),
        (
            SymbolFeatures(";").fit(["a;c"]),
            {"kind": "tokens", "why": "codes are cut by rekur.features; give token numbers", **WHOLE},
        ),
        (
            SeriesFeatures(indicators="always").fit([[1.0, 3.0]]),
            {"kind": "rows", "mean": [2.0], "scale": [1.0], **HOLD, "indicated": [0], "indicators": 1},
        ),
        (
            SeriesFeatures(standardise=False).fit([[1.0, 3.0]]),
            {"kind": "rows", "mean": [0.0], "scale": [1.0], **HOLD, "indicated": [], "indicators": 0},
        ),
    ],
)
def test_how_runners_read_raw_items(features: Any, expected: dict[str, Any]) -> None:
    assert reading(features.to_dict()) == expected


@pytest.mark.parametrize(
    "features",
    [
        TextFeatures("char", lowercase=True, digits="zero"),
        TextFeatures("char", digits="zero"),
        TextFeatures("char"),
        SymbolFeatures(codes=False),
        SymbolFeatures(fold_case=False, codes=False),
    ],
    ids=repr,
)
def test_numbers_of_characters_are_those_of_the_features(features: Any) -> None:
    features.fit(["Straße İstanbul ǅ 2024 ΣΑΣ ſ K µ٣"])
    numbers = reading(features.to_dict())["numbers"]
    for code in (*range(0xD800), *range(0xE000, 0x1F000)):
        found = features.transform(chr(code)).tolist()
        assert found == [n for n in [numbers.get(chr(code), 1)] if n is not None], chr(code)


def test_what_language_models_read_first() -> None:
    assert reading(TextFeatures("byte").to_dict(), scores_tokens=True)["begin"] == [0]


def test_what_scores_become() -> None:
    assert prediction(LabelTarget([1, 2], multi_label=True)) == {"kind": "sigmoid", "labels": [1, 2]}
    large = prediction(LabelTarget([5, 2**64 - 1], multi_label=False))
    assert large["names"] == ["5", "18446744073709551615"]
    assert prediction(NextTarget(5, reset=True)) == {"kind": "token"}


def test_graphs_of_sequences_do_not_look_at_padding(bundle: Path, tmp_path: Path) -> None:
    export_onnx(bundle, tmp_path / "x")
    session = onnxruntime.InferenceSession(str(tmp_path / "x" / "sequence.onnx"))
    lengths = np.array([3, 1], np.int64)
    one = session.run(None, {"input": np.array([[2, 3, 4], [5, 0, 0]]), "lengths": lengths})
    two = session.run(None, {"input": np.array([[2, 3, 4], [5, -9, 10**15]]), "lengths": lengths})
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("batch", "time"), [(0, 5), (0, 0), (2, 0), (1, 1)])
@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn", "mingru", "slstm"])
def test_batches_that_hold_nothing(cell: str, batch: int, time: int) -> None:
    """No sequence and no step end no process, and every output has the axes of the input."""
    for more in ({"discrete": True}, {"discrete": False, "kernel_size": 3}, {"discrete": False, "bidirectional": True}):
        spec = SequenceSpec(input_size=4, output_size=3, cell=cell, hidden_size=5, **more)
        program, weights = lower(build(spec, seed=0))
        session = onnxruntime.InferenceSession(make_models(program, weights)["sequence"].SerializeToString())
        steps, dtype = ((), np.int64) if spec.discrete else ((4,), np.float32)
        given = {"input": np.zeros((batch, time, *steps), dtype), "lengths": np.zeros(batch, np.int64)}
        names = [port.name for port in session.get_outputs()]
        found = dict(zip(names, session.run(names, given), strict=True))
        assert found["scores"].shape == (batch, 3)
        assert ("steps" in found) == program.causal
        if program.causal:
            assert found["steps"].shape == (batch, time, 3)
            assert not found["steps"].any()
        empty = Engine(program, weights).run(list(np.zeros((batch, 0, *steps), dtype))) if batch else np.zeros((0, 3))
        np.testing.assert_allclose(found["scores"], empty, atol=1e-6)
