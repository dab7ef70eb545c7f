"""Exports of a model with a tag for each step: ONNX with its runners, and C, give what the model gives."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.laws.programs import tagger

from rekur.errors import InputError, NotStreamableError
from rekur.export import export_c, export_onnx
from rekur.export.c import check
from rekur.export.onnx.manifest import prediction
from rekur.features import WordFeatures
from rekur.program import Engine
from rekur.program.stored_weights import pack_weights
from rekur.runtime import Bundle, read_bundle, write_bundle
from rekur.targets import TagsTarget

SENTENCES = [["the", "cat", "sat"], ["Ann", "met", "Bob", "Lee"], ["the", "end"], ["one"], []]
PARTS = ["noun", "verb", "name", "other"]
ENTITIES = [["O", "B-PER", "I-PER"], ["B-LOC", "O"]]


def saved(folder: Path, *, spans: bool = False, exact: bool = False, **options: Any) -> Bundle:
    """Return a bundle with random weights, whose tags are parts of speech or mark spans."""
    features = WordFeatures(min_count=1, prefixes=0, suffixes=1, buckets=20).fit(SENTENCES)
    target = TagsTarget.learn(ENTITIES if spans else [PARTS], exact=exact)
    program, weights = tagger(features.sizes, classes=target.size, **options)
    files = {"program.json": program.to_json().encode(), "program.safetensors": pack_weights(program, weights)}
    config = {"task": "tag", "targets": {"kind": "tags", **target.to_dict()}}
    return write_bundle(folder, config, None, features, {}, [], "", files=files)


def wanted_of(bundle: Bundle) -> list[dict[str, Any]]:
    """Return the tags and probabilities of all sentences."""
    features, target = bundle.features(), TagsTarget.from_dict(bundle.config["targets"])
    outputs = Engine(*bundle.program()).run([features.transform(words) for words in SENTENCES])
    tags = [target.decode(rows) for rows in outputs]
    return [{"tags": [tag.name for tag in row], "probabilities": [tag.probability for tag in row]} for row in tags]


def items_of(bundle: Bundle) -> list[str]:
    return [json.dumps(bundle.features().transform(words).tolist()) for words in SENTENCES]


def run(folder: Path, runner: str, *words: str) -> list[dict[str, Any]]:
    command = [sys.executable if runner == "run.py" else "node", str(folder / runner), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_same(told: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert [row["tags"] for row in told] == [row["tags"] for row in wanted]
    for row, expected in zip(told, wanted, strict=True):
        np.testing.assert_allclose(row["probabilities"], expected["probabilities"], atol=1e-5)


@pytest.fixture(params=["run.py", "run.mjs"])
def runner(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    if request.param == "run.mjs" and not has_node():
        pytest.skip("needs node with onnxruntime-node or onnxruntime-web")
    return str(request.param)


def has_node() -> bool:
    modules = Path(__file__).parents[2] / "node_modules"
    return bool(shutil.which("node")) and any((modules / f"onnxruntime-{kind}").exists() for kind in ("node", "web"))


@pytest.mark.parametrize(
    ("spans", "exact", "delay"), [(False, False, 2), (True, False, 0), (False, True, 0), (True, True, 2)]
)
def test_the_runners_tag_as_the_model(tmp_path: Path, runner: str, spans: bool, exact: bool, delay: int) -> None:
    bundle = saved(tmp_path / "tagger", spans=spans, exact=exact, delay=delay, seed=4)
    folder = exported(bundle, tmp_path / "onnx", runner)
    wanted, items = wanted_of(bundle), items_of(bundle)
    assert_same(run(folder, runner, *items), wanted)
    lines = run(folder, runner, "--live", *items)
    for words, tags in zip(SENTENCES, wanted, strict=True):
        told, lines = lines[: len(words) + 1], lines[len(words) + 1 :]
        assert_same([{name: [value for line in told for value in line[name]] for name in tags}], [tags])
        if not (spans or exact):
            early = min(delay, len(words))
            assert [len(line["tags"]) for line in told] == [0] * early + [1] * (len(words) - early) + [early]
    assert lines == []


def test_the_best_outputs_of_the_models_here_are_not_all_legal(tmp_path: Path) -> None:
    bundle = saved(tmp_path / "tagger", spans=True, seed=4)
    target = TagsTarget.from_dict(bundle.config["targets"])
    outputs = Engine(*bundle.program()).run([bundle.features().transform(words) for words in SENTENCES])
    assert not all(target.transitions.allows(rows.argmax(axis=1)) for rows in outputs)


def exported(bundle: Bundle, folder: Path, runner: str) -> Path:
    """Return the folder of an export, where Node finds its modules."""
    export_onnx(bundle, folder)
    modules = Path(__file__).parents[2] / "node_modules"
    if runner == "run.mjs" and modules.exists():
        (folder / "node_modules").symlink_to(modules)
    return folder


def test_a_model_that_reads_both_ways_has_runners_for_whole_sequences(tmp_path: Path, runner: str) -> None:
    bundle = saved(tmp_path / "tagger", spans=True, exact=True, bidirectional=True)
    folder = exported(bundle, tmp_path / "onnx", runner)
    assert_same(run(folder, runner, *items_of(bundle)), wanted_of(bundle))
    if check.compiler() is not None:
        with pytest.raises(NotStreamableError, match="expected a causal one"):
            export_c(bundle, tmp_path / "c")


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("the cat", "expected JSON such as [[4, 2], [7, 3]]"),
        ("[1, 2]", "expected rows of 3 ids, of 0 or more and below"),
        ("[[1, 2, 99]]", "expected rows of 3 ids, of 0 or more and below"),
        ('"the cat"', "words are cut into columns by rekur.features; give rows of ids"),
    ],
)
def test_items_that_are_no_rows_of_ids(tmp_path: Path, runner: str, item: str, text: str) -> None:
    folder = exported(saved(tmp_path / "tagger"), tmp_path / "onnx", runner)
    command = [sys.executable if runner == "run.py" else "node", str(folder / runner), item]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr


def test_outputs_of_spans_that_have_two_names() -> None:
    told = prediction(TagsTarget.learn([["I-A", "B-A", "O", "I-A"]]))
    names = told["names"]
    assert told["next"] is not None
    assert {name for _, _, name in told["renamed"]} <= set(names) | {"B-A"}
    assert len(told["groups"]) == len(names)


@pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang")
@pytest.mark.parametrize(
    ("spans", "delay", "activations"),
    [(False, 0, "exact"), (False, 2, "fixed"), (True, 0, "fixed"), (True, 2, "exact")],
)
def test_c_tells_the_tag_of_each_step(tmp_path: Path, spans: bool, delay: int, activations: str) -> None:
    bundle = saved(tmp_path / "tagger", spans=spans, delay=delay, seed=4)
    precision = "int8" if activations == "fixed" else "float32"
    report = export_c(bundle, tmp_path / "c", activations=activations, precision=precision).report
    assert (report["per_step"], report["delay"], report["input"]["kind"]) == (True, delay, "ids")
    binary = check.build(tmp_path / "c", ["tagger.c", "main.c"], "tagger")
    text = "".join(" ".join(map(str, np.ravel(json.loads(item)))) + "\n" for item in items_of(bundle)[:4])
    lines = check.run(binary, text.encode()).splitlines()
    wanted = [pair for row in wanted_of(bundle)[:4] for pair in zip(row["tags"], row["probabilities"], strict=True)]
    told = [line.split("\t") for line in lines]
    assert [name for name, _ in told] == [name for name, _ in wanted]
    assert [float(share) for _, share in told] == pytest.approx([share for _, share in wanted], abs=2e-2)
    done = subprocess.run([binary], input=b"1 2 99\n", capture_output=True, check=False)
    assert b"got '99'; expected an id, a whole number of 0 or more, below " in done.stderr


@pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang")
def test_c_has_no_tags_that_wait_for_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tags: got 'BIOES'; expected a scheme whose tags are certain at each step"):
        export_c(saved(tmp_path / "tagger", spans=True, exact=True), tmp_path / "c")


def test_the_bundle_is_read_back(tmp_path: Path) -> None:
    bundle = saved(tmp_path / "tagger")
    assert read_bundle(bundle.folder).program()[0] == bundle.program()[0]
