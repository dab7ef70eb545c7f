"""Bundles whose files were changed by a hand that repaired the checksums: one sentence, never a traceback."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run

from rekur._tensors import pack
from rekur.errors import BundleError, InputError
from rekur.program.stored_weights import pack_weights
from rekur.runtime import layout, model_of, read_bundle
from rekur.tasks import load

Change = Callable[[Any], None]


def forged(source: Path, target: Path, name: str, change: Change) -> Path:
    """Copy a bundle, change what one of its files holds, and repair checksums and fingerprint."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    content = json.loads((target / name).read_text(encoding="utf-8"))
    change(content)
    (target / name).write_bytes(layout.render(content))
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    if isinstance(config.get("files"), dict):
        for file in config["files"]:
            config["files"][file] = hashlib.sha256((target / file).read_bytes()).hexdigest()
    config["fingerprint"] = layout.fingerprint_of(config)
    (target / "config.json").write_bytes(layout.render(config))
    return target


def put(*path: Any, value: Any) -> Change:
    """Return what puts a value into a place."""

    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def removed(*path: Any) -> Change:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


CONFIG: dict[str, tuple[str, Change, str]] = {
    "no labels": ("words", put("targets", "labels", value=[]), "targets.labels []"),
    "labels that are none": ("words", put("targets", "labels", value=None), "targets.labels None"),
    "labels that are a text": ("words", put("targets", "labels", value="xy"), "targets.labels 'xy'"),
    "one label": ("words", put("targets", "labels", value=["bad"]), "2 scores; expected 1,"),
    "one label more": ("words", put("targets", "labels", value=["bad", "good", "new"]), "2 scores; expected 3,"),
    "one label twice": ("words", put("targets", "labels", value=["bad", "bad"]), "labels that differ"),
    "a list as a label": ("words", put("targets", "labels", value=["bad", ["good"]]), "targets.labels ['bad'"),
    "labels removed": ("words", removed("targets", "labels"), "targets.labels None"),
    "targets removed": ("words", removed("targets"), "targets"),
    "several or one": ("words", put("targets", "multi_label", value=1), "targets.multi_label 1"),
    "columns": ("words", put("columns", value=5), "columns 5"),
    "no columns": ("words", put("columns", "columns", value=None), "columns.columns None"),
    "a column": ("words", put("columns", "columns", "text", value=7), "columns.columns.text 7"),
    "an unknown column": ("words", put("columns", "columns", "colour", value="x"), "'colour'"),
    "a separator": ("tags", put("columns", "label_separator", value=["|"]), "columns.label_separator ['|']"),
    "options": ("words", put("options", value=[1]), "options [1]"),
    "training": ("words", put("training", "chosen", value=3), "training.chosen 3"),
    "no scale": ("wear", put("targets", "target_scale", value=0), "targets.target_scale 0"),
    "no mean": ("wear", removed("targets", "target_mean"), "targets.target_mean None"),
    "a huge mean": ("wear", put("targets", "target_mean", value=10**400), "targets.target_mean 1000"),
}


@pytest.mark.parametrize("case", CONFIG)
def test_a_forged_config_is_refused_by_name_in_every_command(
    case: str, cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    name, change, text = CONFIG[case]
    bundle = forged(bundles[name], tmp_path / "m", "config.json", change)
    data = files[{"words": "reviews", "tags": "tags", "wear": "walks"}[name]]
    for words in (
        ("predict", bundle, data),
        ("evaluate", bundle, data),
        ("stream", bundle),
        ("check", bundle),
        ("quantize", bundle, "--data", data, "--out", tmp_path / "q"),
        ("export", bundle, "--to", "c", "--out", tmp_path / "q"),
        ("export", bundle, "--to", "onnx", "--out", tmp_path / "q"),
    ):
        done = cli(*words)
        assert (done.code, text in done.err, len(done.err.splitlines())) == (2, True, 1), (words[0], done.err)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_features_of_another_model_are_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    """Token numbers that the program's tables lack must never be looked up."""
    for source, target in (("words", "letters"), ("walks", "words"), ("words", "walks")):
        bundle = tmp_path / f"{source}-{target}"
        shutil.copytree(bundles[target], bundle)
        shutil.rmtree(bundle / "features")
        shutil.copytree(bundles[source] / "features", bundle / "features")
        forged(bundle, tmp_path / "m", "metrics.json", lambda _: None)
        with pytest.raises(BundleError, match="features that give"):
            model_of(read_bundle(tmp_path / "m"))


@pytest.mark.parametrize("size", [2**28, 5, 0, -1, 10**20, "x", None])
@pytest.mark.parametrize("name", ["hidden_size", "num_layers", "output_size", "embedding_size"])
def test_a_model_of_other_sizes_is_refused_before_it_is_made(
    name: str, size: Any, bundles: dict[str, Path], tmp_path: Path
) -> None:
    bundle = forged(bundles["words"], tmp_path / "m", "config.json", put("model", name, value=size))
    with pytest.raises(BundleError, match=r"config.json"):
        load(bundle)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(
    number: float, cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    """Every answer of such a model would be NaN."""
    bundle = tmp_path / "m"
    shutil.copytree(bundles["words"], bundle)
    weights = read_bundle(bundle).weights()
    weights["head.bias"][0] = number
    (bundle / "model.safetensors").write_bytes(pack("weights", weights))
    forged(bundle, tmp_path / "n", "metrics.json", lambda _: None)
    for words in (("predict", files["reviews"]), ("evaluate", files["reviews"], "--dynamic"), ("check",)):
        done = cli(words[0], tmp_path / "n", *words[1:])
        assert (done.code, "got weight 'head.bias' with NaN or infinite numbers" in done.err) == (2, True), done.err
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        load(tmp_path / "n")


def test_bits_of_bfloat16_that_are_not_finite_are_refused(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    words = ("quantize", bundles["words"], "--data", files["reviews"], "--tolerance", "100")
    assert cli(*words, "--precision", "bfloat16", "--out", tmp_path / "m").code == 0
    program, weights = read_bundle(tmp_path / "m").program()
    name = next(name for name, weight in program.weights.items() if weight.dtype == "bfloat16")
    weights[name].flat[0] = 0xFF80
    (tmp_path / "m" / "program.safetensors").write_bytes(pack_weights(program, weights))
    with pytest.raises(BundleError, match=f"'{name}' with NaN"):
        model_of(read_bundle(forged(tmp_path / "m", tmp_path / "n", "metrics.json", lambda _: None)))


def test_a_state_begins_with_numbers_of_its_type(bundles: dict[str, Path], tmp_path: Path) -> None:
    change = put("state", "layer.0.h", "begins", value=1e39)
    bundle = forged(bundles["walks"], tmp_path / "m", "program.json", change)
    with pytest.raises(InputError, match=r"begins of the state 'layer\.0\.h': got 1e\+39"):
        model_of(read_bundle(bundle))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value[:2]))
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def worse(old: Any, rng: random.Random) -> Any:
    """Return a value of another type, too long, too short, or huge."""
    values: list[Any] = [None, 5, -1, 0, 10**20, 1.5, 1e308, "x", "", True, [], {}, [1], ["a", "a"], {"a": 1}]
    if isinstance(old, list):
        values += [[*old, *old], old[:-1], [*old, "zzz"], old[::-1]]
    if isinstance(old, int):
        values += [old + 1, 2**31, 2**63, -old]
    if isinstance(old, str):
        values += [old.upper(), old * 2000]
    return rng.choice(values)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["words", "walks", "wear", "genes"])
def test_whatever_is_changed_is_refused_or_does_not_matter(
    name: str, seed: int, cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    rng = random.Random(seed)
    data = files[{"words": "reviews", "genes": "genes"}.get(name, "walks")]
    for file in ("config.json", "features/features.json", "program.json", "metrics.json"):
        content = json.loads((bundles[name] / file).read_text(encoding="utf-8"))
        path = rng.choice([path for path in places(content) if path[0] not in ("files", "fingerprint")])
        value = copy.deepcopy(content)
        for key in path:
            value = value[key]
        change = removed(*path) if rng.random() < 0.15 else put(*path, value=worse(value, rng))
        bundle = forged(bundles[name], tmp_path / "m", file, change)
        for words in (("predict", bundle, data), ("evaluate", bundle, data), ("stream", bundle), ("program", bundle)):
            done = cli(*words, stdin=b"1,2\n" if name in ("walks", "wear") else b"AT\n")
            assert done.code in (0, 2), (file, path, done.err)
            assert "fault of Rekur" not in done.err
            assert len(done.err) < 50_000
