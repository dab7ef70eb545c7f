"""Bundles: what comes back, what is refused, and in which words."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.profiles import draws

import rekur
from rekur._tensors import NO_PICKLES, flaw, pack, unpack
from rekur.errors import BundleError, InputError
from rekur.features import TextFeatures
from rekur.runtime import layout, read_bundle, write_bundle

quick = draws(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
AGAIN = "It was changed or damaged after it was saved; copy the bundle again from where it came."
CONFIG = {"task": "classify", "model": {"cell": "gru", "hidden_size": 3}, "labels": ["bad", "good", "ну"]}
WEIGHTS = {"head.weight": np.arange(6, dtype=np.float32).reshape(3, 2), "step": np.array(7)}
HISTORY = [{"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": float("nan")}]


class Saved:
    """Features that only know how to be saved."""

    def save(self, folder):
        (folder / "features.json").write_text('{"kind": "text"}\n')


def write(folder, **changed):
    given = {"config": CONFIG, "weights": WEIGHTS, "metrics": {"accuracy": 0.5}, "history_rows": HISTORY}
    return write_bundle(folder, **{**given, "features": Saved(), "card": "# A model\n", **changed})


def rewrite(folder: Path, change):
    """Change a bundle's config and sign it again, as somebody would who forges one."""
    config = json.loads((folder / "config.json").read_bytes())
    change(config)
    for name in config["files"] if isinstance(config.get("files"), dict) else ():
        if (folder / str(name)).is_file() and ".." not in name:
            config["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    config["fingerprint"] = layout.fingerprint_of(config)
    (folder / "config.json").write_bytes(layout.render(config))


def refused(folder):
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "m")
    return tmp_path / "m"


# ---- what comes back ---------------------------------------------------------------------------------------


def test_what_is_written_is_read(folder):
    bundle = read_bundle(folder)
    assert bundle.folder == folder
    assert bundle.task == "classify"
    assert {key: bundle.config[key] for key in CONFIG} == CONFIG
    assert bundle.config["format"] == 1
    assert bundle.config["rekur"] == rekur.__version__
    assert bundle.metrics == {"accuracy": 0.5}
    assert bundle.history() == [{"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": None}]
    assert (folder / "README.md").read_text() == "# A model\n"
    assert list(bundle.config["files"]) == [
        "features/features.json",
        "history.jsonl",
        "metrics.json",
        "model.safetensors",
    ]
    loaded = bundle.weights()
    for name, array in WEIGHTS.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].flags.writeable
        np.testing.assert_array_equal(loaded[name], array, strict=True)


def test_features_come_back_fitted_and_checked(tmp_path):
    features = TextFeatures("word", min_count=1).fit(["the café is open", "the bar is open"])
    bundle = write(tmp_path / "m", features=features)
    np.testing.assert_array_equal(
        bundle.features().transform("the café was open"), features.transform("the café was open"), strict=True
    )
    path = tmp_path / "m" / "features" / "features.json"
    path.write_bytes(path.read_bytes().replace(b"open", b"shut"))
    with pytest.raises(BundleError, match=r"features\.json: got a sha256 of"):
        bundle.features()


def test_the_same_model_has_the_same_fingerprint_and_bytes(folder, tmp_path):
    assert write(tmp_path / "n").fingerprint == read_bundle(folder).fingerprint
    assert (tmp_path / "n" / "config.json").read_bytes() == (folder / "config.json").read_bytes()
    other = {**WEIGHTS, "step": np.array(8)}
    assert write(tmp_path / "o", weights=other).fingerprint != read_bundle(folder).fingerprint


def test_more_files_are_kept_and_checked(tmp_path):
    bundle = write(tmp_path / "m", files={"features/target/features.json": b"{}", "program.json": b"[]"})
    assert bundle.read("features/target/features.json") == b"{}"
    (tmp_path / "m" / "program.json").write_bytes(b"{}")
    assert "program.json: got a sha256 of" in refused(tmp_path / "m")
    with pytest.raises(BundleError) as caught:
        bundle.read("programm.json")
    assert str(caught.value) == (
        "file: got 'programm.json'; expected one of features/features.json, features/target/features.json, "
        "history.jsonl, metrics.json, model.safetensors, program.json. Did you mean 'program.json'?"
    )


def test_the_card_may_be_edited(folder):
    (folder / "README.md").write_text("better words")
    read_bundle(folder)


@quick
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5).filter(lambda name: name.isprintable()),
        arrays.arrays(
            st.sampled_from([np.float32, np.float16, np.float64, np.int64, np.uint8, np.bool_]),
            arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
        ),
        max_size=4,
    )
)
def test_weights_round_trip_bit_for_bit(weights):
    data = pack("weights", weights)
    back = unpack(data)
    assert set(back) == set(weights)
    for name, array in weights.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].tobytes() == array.tobytes()
    assert pack("weights", dict(reversed(weights.items()))) == data


def test_weights_in_any_memory_order_are_saved_as_they_are():
    grid = np.arange(24.0).reshape(2, 3, 4)
    views = {"t": grid.transpose(2, 0, 1), "s": grid[:, ::2, 1:], "r": grid[::-1], "b": grid.astype(">f4")}
    for name, array in unpack(pack("weights", views)).items():
        np.testing.assert_array_equal(array, views[name])


# ---- what is damaged ---------------------------------------------------------------------------------------


def test_every_changed_byte_of_the_config_is_noticed(folder):
    whole = (folder / "config.json").read_bytes()
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= (1, 0x20, 0x80)[at % 3]
        (folder / "config.json").write_bytes(data)
        assert refused(folder).startswith(f"{folder}/config.json: got ")


@quick
@given(data=st.data(), change=st.integers(1, 255))
def test_every_changed_byte_of_a_file_is_noticed_and_named(folder, data, change):
    names = sorted(json.loads((folder / "config.json").read_bytes())["files"])
    path = folder / data.draw(st.sampled_from(names))
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= change
    path.write_bytes(changed)
    try:
        assert refused(folder).startswith(f"{path}: got ")
    finally:
        path.write_bytes(whole)
    read_bundle(folder)


def test_a_changed_file_is_named_with_both_checksums(folder):
    path = folder / "metrics.json"
    wanted = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    path.write_bytes(b"{}")
    got = hashlib.sha256(b"{}").hexdigest()[:12]
    assert refused(folder) == (f"{path}: got a sha256 of {got}…; expected {wanted}…, as config.json says. {AGAIN}")


def test_a_file_changed_after_reading_is_noticed_too(folder):
    bundle = read_bundle(folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(BundleError, match=r"model.safetensors: got a sha256 of"):
        bundle.weights()


def test_a_missing_file_is_named(folder):
    (folder / "model.safetensors").unlink()
    assert refused(folder) == (
        f"{folder}/model.safetensors: got no such file; expected it in the bundle, as config.json says. "
        "The bundle is incomplete; copy it again from where it came."
    )


def test_a_folder_in_place_of_a_file_is_named(folder):
    (folder / "metrics.json").unlink()
    (folder / "metrics.json").mkdir()
    assert refused(folder) == f"{folder}/metrics.json: got something that is no file; expected a file. {AGAIN}"


@pytest.mark.parametrize("name", ["model.safetensors", "metrics.json", "features/features.json", "config.json"])
def test_a_pipe_in_place_of_a_file_is_named_and_not_waited_for(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    if name == "config.json":
        assert refused(folder).startswith(f"{folder}: got no config.json; expected the folder of a Rekur bundle.")
    else:
        assert refused(folder) == f"{folder}/{name}: got something that is no file; expected a file. {AGAIN}"


def test_a_pipe_in_place_of_a_bundle(tmp_path):
    os.mkfifo(tmp_path / "m")
    text = f"bundle: got '{tmp_path}/m'; expected a bundle's folder (this is a pipe or a device)."
    assert refused(tmp_path / "m") == text


@pytest.mark.parametrize("text", ["", "{", "\ufeff{}", "{'a': 1}", '{"a": NaN}', "[" * 100_000, "\xff"])
def test_a_config_that_is_no_json(folder, text):
    data = text.encode("latin-1" if text == "\xff" else "utf-8")
    (folder / "config.json").write_bytes(data)
    assert refused(folder) == (
        f"{folder}/config.json: got something that is no JSON; expected JSON, {len(data)} bytes of it. {AGAIN}"
    )


@pytest.mark.parametrize("text", ["null", "[]", '{"architectures": ["Bert"]}', '{"format": 1}'])
def test_a_config_of_something_else(folder, text):
    (folder / "config.json").write_text(text)
    assert refused(folder) == (
        f"{folder}/config.json: got no field 'format' or 'rekur'; expected the config of a Rekur bundle. "
        "This folder was not written by Rekur."
    )


def test_an_edited_config_is_noticed(folder):
    path = folder / "config.json"
    wanted = json.loads(path.read_bytes())["fingerprint"][:12]
    path.write_bytes(path.read_bytes().replace(b"gru", b"rnn"))
    got = layout.fingerprint_of(json.loads(path.read_bytes()))[:12]
    assert refused(folder) == (
        f"{path}: got a fingerprint of {got}…; expected {wanted}…, as its field 'fingerprint' says. {AGAIN}"
    )


def test_a_config_with_other_spaces_is_noticed(folder):
    path = folder / "config.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert refused(folder) == (
        f"{path}: got other spaces or spellings than Rekur writes; expected the file as it was saved. {AGAIN}"
    )


def test_a_newer_format_says_which_rekur_is_needed(folder):
    rewrite(folder, lambda config: config.update(format=2, rekur="3.1.0"))
    assert refused(folder) == (
        f"{folder}/config.json: got format 2, written by Rekur 3.1.0; expected format 1 or lower, which Rekur "
        f"{rekur.__version__} reads. It needs the version that wrote it, or a later one: "
        'pip install -U "rekur>=3.1.0"'
    )


def test_a_newer_format_never_repeats_a_strange_version(folder):
    rewrite(folder, lambda config: config.update(format=2, rekur='1"; rm -rf ~; "'))
    assert refused(folder).endswith('pip install -U "rekur"')


@pytest.mark.parametrize("number", [0, -1, True, None, "1", 1.0])
def test_a_format_that_is_no_number(folder, number):
    rewrite(folder, lambda config: config.update(format=number))
    assert refused(folder) == (
        f"{folder}/config.json: got format {number!r}; expected a whole number from 1 to 1. {AGAIN}"
    )


# ---- what is forged ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/passwd", "a/../../b", "a//b", "./a", "a\\b", "C:/x", "", "a/", "nul\0", "a\nb"],
)
def test_a_path_out_of_the_bundle_is_refused(folder, name):
    rewrite(folder, lambda config: config["files"].update({name: "0" * 64}))
    assert refused(folder) == (
        f"{folder}/config.json: got the file name {name!r}; expected a path inside the bundle. "
        "A bundle may only name its own files; do not trust this one."
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.pop("task"), "task None; expected the name of a task"),
        (lambda c: c.update(files=[]), "files of type list; expected an object: file name -> sha256"),
        (lambda c: c["files"].update(x="12"), "checksum '12' for 'x'; expected a sha256 of 64 hex digits"),
        (
            lambda c: c["files"].pop("model.safetensors"),
            "no checksum of 'model.safetensors'; expected one for every file that a bundle needs",
        ),
    ],
)
def test_a_config_that_lacks_what_it_must_say(folder, change, text):
    rewrite(folder, change)
    assert refused(folder) == f"{folder}/config.json: got {text}. {AGAIN}"


def test_metrics_that_are_no_object(folder):
    (folder / "metrics.json").write_text("[]")
    rewrite(folder, lambda config: None)
    assert refused(folder) == f"{folder}/metrics.json: got a list or a value; expected a JSON object. {AGAIN}"


def header(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"", "no header of safetensors"),
        (b"hello, this is no model", "no header of safetensors"),
        (header(b"{}", 1000), "a header of 1000 bytes in a file of 10"),
        (header(b"{}", 2**63), f"a header of {2**63} bytes in a file of 10"),
        (header(b"{nothing}"), "a header that is no JSON"),
        (header(b'{"a":1}'), "a header that does not describe arrays"),
        (header(b'{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}') + b"\0", "'a' of type F4"),
    ],
)
def test_weights_that_are_no_safetensors(folder, data, got):
    (folder / "model.safetensors").write_bytes(data)
    rewrite(folder, lambda config: None)
    with pytest.raises(BundleError) as caught:
        read_bundle(folder).weights()
    assert str(caught.value) == (
        f"{folder}/model.safetensors: got {got}; expected safetensors. "
        "Whoever wrote this bundle wrote it wrongly; do not trust it."
    )


def test_safetensors_that_promise_more_than_they_hold(folder):
    short = header(b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}') + b"\0" * 8
    (folder / "model.safetensors").write_bytes(short)
    rewrite(folder, lambda config: None)
    with pytest.raises(BundleError, match=r"model.safetensors: got broken safetensors \(.*\); expected"):
        read_bundle(folder).weights()


# ---- pickles -----------------------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return (os._exit, (99,))


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "pytorch_model.bin", "model.pkl", "no_suffix"])
def test_a_pickle_is_refused_and_never_opened(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    assert refused(tmp_path / name) == (
        f"bundle: got '{_short(tmp_path / name)}'; expected the folder of a Rekur bundle, not a file. "
        f"This file is a pickle, or poses as one. {NO_PICKLES}"
    )
    if name != "no_suffix":
        assert refused(tmp_path) == (
            f"{tmp_path}: got {name}; expected config.json and model.safetensors. {NO_PICKLES}"
        )


def test_a_folder_of_pickled_weights_with_a_config_is_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert refused(folder) == (
        f"{folder}: got pytorch_model.bin; expected config.json and model.safetensors. {NO_PICKLES}"
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_that_poses_as_safetensors_is_refused(folder, protocol):
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb(), protocol))
    rewrite(folder, lambda config: None)
    assert refused(folder) == (f"{folder}/model.safetensors: got a pickle; expected safetensors. {NO_PICKLES}")


def test_a_zip_that_poses_as_safetensors_is_refused(folder):
    with zipfile.ZipFile(folder / "model.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    rewrite(folder, lambda config: None)
    assert refused(folder) == (
        f"{folder}/model.safetensors: got a zip archive, as torch.save writes; expected safetensors. {NO_PICKLES}"
    )


def test_safetensors_whose_length_looks_like_a_pickle_are_read():
    """A header of 640 bytes begins with 80 02, as a pickle of protocol 2 does."""
    for size in range(1, 64):
        data = pack("weights", {f"{'n' * size}{i}": np.zeros(1, np.float32) for i in range(6)})
        if data[:2] == b"\x80\x02":
            break
    assert data[:2] == b"\x80\x02"
    assert flaw(data[:16], len(data)) == ""
    assert len(unpack(data)) == 6


# ---- what is no bundle -------------------------------------------------------------------------------------


def _short(path):
    text = str(path)
    return text if len(text) <= 118 else f"{text[:80]}… ({len(text)} characters)"


def test_a_path_with_nothing_there(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    Path("reviews").mkdir()
    Path("reviews/config.json").touch()
    assert refused("review") == (
        "bundle: got 'review'; expected a bundle's folder (nothing is there). Did you mean 'reviews'?"
    )
    assert refused("zzz\0") == "bundle: got 'zzz\\x00'; expected a bundle's folder (nothing is there)."


def test_a_bundle_moved_aside_by_a_write_that_was_killed_is_pointed_to(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    Path("m").rename(".m.old-12ab")
    assert refused("m") == (
        "bundle: got 'm'; expected a bundle's folder (nothing is there). "
        "Replacing it was cut short; the bundle that stood there is now .m.old-12ab"
    )


def test_a_file_or_an_empty_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    Path("notes.txt").write_text("hello")
    assert refused("empty") == (
        "empty: got no config.json; expected the folder of a Rekur bundle. "
        "This folder is no Rekur bundle, or a part of one."
    )
    assert refused("notes.txt") == ("bundle: got 'notes.txt'; expected the folder of a Rekur bundle, not a file.")
    assert refused("m/config.json") == (
        "bundle: got 'm/config.json'; expected the folder of a Rekur bundle, not a file. Give its folder: m"
    )


# ---- what cannot be saved ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"config": {"task": "x", "format": 1}},
            "config: got 'format'; expected none of 'format', 'rekur', 'files', 'fingerprint'. "
            "Rekur sets these itself.",
        ),
        ({"config": {}}, "config.task: got None; expected the name of a task."),
        (
            {"config": {"task": "x", "labels": [{1}]}},
            "config.labels[0]: got {1}; expected text, a finite number, True, False, None, or lists and "
            "dicts (with text as keys) of these.",
        ),
        (
            {"config": {"task": "x", "rate": float("inf")}},
            "config.rate: got inf; expected text, a finite number, True, False, None, or lists and "
            "dicts (with text as keys) of these.",
        ),
        (
            {"config": {"task": "x", "labels": ["\ud800"]}},
            "config.labels[0]: got '\\ud800'; expected text, a finite number, True, False, None, or lists "
            "and dicts (with text as keys) of these.",
        ),
        (
            {"metrics": {"by": {1: 0.5}}},
            "metrics.by: got {1: 0.5}; expected text, a finite number, True, False, None, or lists and dicts "
            "(with text as keys) of these.",
        ),
        (
            {"weights": {"w": np.array(["a"])}},
            "weights['w']: got 'dtype <U1'; expected an array of floats (16 to 64 bits), whole numbers or booleans.",
        ),
        (
            {"weights": {3: np.zeros(1)}},
            "weights: name: got 3; expected text other than '__metadata__'.",
        ),
        (
            {"files": {"../x": b""}},
            "files: got '../x'; expected paths inside the bundle that it does not use itself.",
        ),
        (
            {"files": {"features/features.json": b""}},
            "files: got 'features/features.json'; expected paths inside the bundle that it does not use itself.",
        ),
        ({"files": {"x": "text"}}, "files['x']: got 'str'; expected bytes."),
    ],
)
def test_what_cannot_be_saved_is_named_and_nothing_is_written(tmp_path, changed, text):
    with pytest.raises(InputError) as caught:
        write(tmp_path / "m", **changed)
    assert str(caught.value) == text
    assert list(tmp_path.iterdir()) == []
