"""Weights as files: Keras and ONNX Runtime open what was written and give what Rekur gives; bundles give theirs.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.parity.keras_process import run_keras

from rekur import LanguageModel, Regressor, Tagger
from rekur.cells import GRU, LayerNorm, Zoneout, make_cell
from rekur.errors import InputError, MissingDependencyError, SaveError, ShapeError
from rekur.export.weights import (
    LayerWeights,
    from_bundle,
    from_stack,
    from_torch,
    nodes_file,
    read_keras,
    read_nodes,
    to_keras,
    to_stack,
    to_torch,
    write_keras,
    write_nodes,
)
from rekur.lower import lower
from rekur.models import SequenceSpec, build
from rekur.nn import Recurrent
from rekur.program import dequantise
from rekur.runtime import Bundle, read_bundle, write_quantised

Array = np.ndarray[Any, Any]
X = np.random.default_rng(0).normal(size=(3, 7, 4)).astype(np.float32)
#: name -> its layers, from the input on: cell, hidden units, both directions, biases
STACKS: dict[str, list[tuple[str, int, bool, bool]]] = {
    f"{cell}-{'two' if two else 'one'}-{'bias' if bias else 'bare'}": [(cell, 5, two, bias), (cell, 5, two, bias)]
    for cell in ("rnn", "rnn_relu", "lstm", "gru", "gru_reset_before")
    for two in (False, True)
    for bias in (False, True)
}
STACKS["mixed"] = [
    ("lstm", 5, True, True),
    ("gru", 3, False, False),
    ("rnn_relu", 6, True, True),
    ("rnn", 2, False, True),
]
PEEPHOLES = {f"peepholes-{two}": [("lstm_peephole", 5, two, True)] for two in (False, True)}


def made(name: str) -> tuple[list[LayerWeights], Callable[[Array], Array]]:
    """Return layers with random weights, and what computes their outputs with rekur.nn."""
    stacks, layers, size = [], [], X.shape[-1]
    for place, (cell, hidden, two, bias) in enumerate({**STACKS, **PEEPHOLES}[name]):
        stack = Recurrent(cell, size, hidden, bidirectional=two, bias=bias)
        draws = torch.Generator().manual_seed(place)
        with torch.no_grad():
            for parameter in stack.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=draws))
        stacks.append(stack.eval())
        layers += from_stack(stack.state_dict(), cell)
        size = stack.output_size

    def outputs(x: Array) -> Array:
        with torch.no_grad():
            y = torch.from_numpy(x)
            for stack in stacks:
                y = stack(y).output
        return np.asarray(y)

    return layers, outputs


def same(one: LayerWeights, other: LayerWeights) -> None:
    """Check that two layers are the same to the last bit."""
    assert one.cell == other.cell
    for ours, theirs in zip(one.directions, other.directions, strict=True):
        assert set(ours) == set(theirs)
        for role, array in ours.items():
            assert (array.dtype, array.shape) == (theirs[role].dtype, theirs[role].shape), role
            assert array.tobytes() == theirs[role].tobytes(), role


KERAS = """
import pathlib, sys, numpy as np, keras
from keras import layers as L
from rekur.export.weights import read_keras, write_keras
folder = pathlib.Path(sys.argv[1])
x = np.load(folder / "x.npy")
found = {}
for path in sorted(folder.glob("*-written.*")):
    model = keras.saving.load_model(path)
    found[path.name] = model.predict(x, verbose=0)
    model.save(path.with_name("again-" + path.name))
keras.utils.set_random_seed(1)
own = keras.Sequential([keras.Input((None, 4)), L.Bidirectional(L.LSTM(5, return_sequences=True)),
    L.Dropout(0.5), L.GRU(3, return_sequences=True, reset_after=False), L.GRU(6, return_sequences=True),
    L.SimpleRNN(2, activation="relu", return_sequences=True, use_bias=False)])
own.set_weights([np.random.default_rng(0).normal(size=w.shape) / 2 for w in own.get_weights()])
found["own"] = own.predict(x, verbose=0)
for ending in ("keras", "h5"):
    own.save(folder / f"own.{ending}")
    write_keras(read_keras(folder / f"own.{ending}"), folder / f"ours.{ending}")
    found[f"ours.{ending}"] = keras.saving.load_model(folder / f"ours.{ending}").predict(x, verbose=0)
np.savez(folder / "found.npz", **found)
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Array]]:
    """Return a folder of models that were written for Keras, and what Keras gives with them: file -> outputs."""
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "x.npy", X)
    for name in STACKS:
        for ending in ("keras", "h5"):
            write_keras(made(name)[0], folder / f"{name}-written.{ending}")
    run_keras("-c", KERAS, str(folder))
    with np.load(folder / "found.npz") as file:
        return folder, dict(file)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("name", STACKS)
def test_keras_opens_what_was_written(opened: tuple[Path, dict[str, Array]], name: str, ending: str) -> None:
    folder, found = opened
    layers, outputs = made(name)
    file = f"{name}-written.{ending}"
    np.testing.assert_allclose(found[file], outputs(X), atol=2e-6, rtol=2e-6)
    read = read_keras(folder / file)
    assert list(read) == [f"layer_{place}" for place in range(len(layers))]
    for one, other in zip(layers, read.values(), strict=True):
        assert one.cell == other.cell
        for array, back in zip(to_keras(one), to_keras(other), strict=True):
            assert array.tobytes() == back.tobytes()
    for one, other in zip(read.values(), read_keras(folder / f"again-{file}").values(), strict=True):
        same(one, other)
    write_keras(read, folder / f"second.{ending}", overwrite=True)
    assert (folder / f"second.{ending}").read_bytes() == (folder / file).read_bytes()


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_model_of_keras_read_and_written_again(opened: tuple[Path, dict[str, Array]], ending: str) -> None:
    folder, found = opened
    np.testing.assert_array_equal(found[f"ours.{ending}"], found["own"])
    one, other = read_keras(folder / f"own.{ending}"), read_keras(folder / f"ours.{ending}")
    assert list(one) == list(other)
    for name, layer in one.items():
        same(layer, other[name])


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_names_types_and_signs_of_zero(tmp_path: Path, dtype: str) -> None:
    pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    arrays: dict[str, Array] = {"weight_ih": rng.normal(size=(8, 3)), "weight_hh": rng.normal(size=(8, 2))}
    arrays |= {"bias_ih": np.full(8, -0.0), "bias_hh": np.zeros(8)}
    layer = LayerWeights("lstm", ({role: array.astype(dtype) for role, array in arrays.items()},))
    for ending in ("keras", "h5"):
        write_keras({"enc/my.ears": layer}, tmp_path / f"one.{ending}")
        ((name, read),) = read_keras(tmp_path / f"one.{ending}").items()
        assert name == "enc_my_ears"
        same(layer, read)


@pytest.mark.parametrize("name", [*STACKS, *PEEPHOLES])
def test_onnx(name: str, tmp_path: Path) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    layers, outputs = made(name)
    file = tmp_path / "models" / "stack.onnx"
    write_nodes(layers, file)
    onnx.checker.check_model(onnx.load(file), full_check=True)
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    ((given,), (gives,)) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("input", ["batch", "time", 4])
    assert (gives.name, gives.shape) == ("output", ["batch", "time", layers[-1].output_size])
    rng = np.random.default_rng(0)
    for batch in (1, 2, 5):
        for time in (1, 3, 40):
            x = rng.normal(size=(batch, time, 4)).astype(np.float32)
            np.testing.assert_allclose(session.run(None, {"input": x})[0], outputs(x), atol=2e-6, rtol=2e-6)
    read = read_nodes(file)
    assert list(read) == [f"layer_{place}" for place in range(len(layers))]
    for one, other in zip(layers, read.values(), strict=True):
        same(one, other)
    write_nodes(read, tmp_path / "second.onnx")
    assert (tmp_path / "second.onnx").read_bytes() == file.read_bytes()


WRITERS = [(write_keras, "a.keras"), (write_keras, "a.h5"), (write_nodes, "a.onnx")]


@pytest.mark.parametrize(("write", "name"), WRITERS, ids=lambda value: value if isinstance(value, str) else "")
def test_whole_or_not_at_all(write: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("h5py", "onnx"):
        pytest.importorskip(package)
    layers, other = made("gru-one-bias")[0], made("lstm-one-bias")[0]
    file = tmp_path / name
    write(layers, file)
    kept = file.read_bytes()
    with pytest.raises(InputError) as error:
        write(other, file)
    assert str(error.value) == (
        f"file: got '{file}'; expected a path where nothing stands (a file is there). "
        "Choose another name, or say overwrite=True to replace it."
    )

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("rekur._files.flush", full)
        with pytest.raises(SaveError, match="No space left on device"):
            write(other, file, overwrite=True)
    with pytest.raises(InputError, match="expected a path through folders"):
        write(other, file / name)
    (tmp_path / "b" / name).mkdir(parents=True)
    with pytest.raises(InputError, match="a folder has this name"):
        write(other, tmp_path / "b" / name, overwrite=True)
    assert file.read_bytes() == kept
    assert {path.name for path in tmp_path.iterdir()} == {name, "b"}
    write(other, file, overwrite=True)
    assert file.read_bytes() != kept


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("h5py", "onnx"):
        pytest.importorskip(package)
    gru, lstm = made("gru-one-bias")[0], made("lstm-two-bias")[0]
    projected = from_torch({k: v.numpy() for k, v in torch.nn.LSTM(4, 5, proj_size=2).state_dict().items()})
    double = LayerWeights("gru", ({role: array.astype(np.float64) for role, array in gru[1].directions[0].items()},))
    refused: list[tuple[Any, str]] = [
        (
            [gru[0], lstm[0]],
            "input features of 'layer_1': got 4; expected 5, the outputs of 'layer_0' before it. "
            "Give the layers from the input on, those of one stack alone.",
        ),
        ({"a": lstm[0], "b": gru[1]}, "input features of 'b': got 5; expected 10, the outputs of 'a' before it. "),
        ([], "layers: got 'none'; expected one or more."),
        (gru[0], "layers: got 'LayerWeights'; expected LayerWeights by name, or a list of them. Put a single layer "),
        (["a"], "layer 'layer_0': got 'str'; expected LayerWeights."),
        ({"": gru[0]}, "name of a layer: got ''; expected text."),
        ([gru[0], double], "types of the weights: got 'float32, float64'; expected one of float16, float32 and "),
        (projected, "weights of the layer: got 'weight_hr'; expected "),
    ]
    for layers, text in refused:
        for write, file in ((write_keras, tmp_path / "a.keras"), (write_nodes, tmp_path / "a.onnx")):
            with pytest.raises(InputError) as error:
                write(layers, file)
            assert str(error.value).startswith(text)
    with pytest.raises(InputError) as error:
        write_keras(made("peepholes-True")[0], tmp_path / "a.keras")
    assert str(error.value) == (
        "weights of the layer: got 'weight_cf, weight_ci, weight_co'; expected weights that Keras has too. "
        "Keras has no peepholes: train the cell 'lstm', or write ONNX, which has them."
    )
    with pytest.raises(
        InputError, match=r"name of a layer in Keras: got 'a_b'; expected a different name for each layer"
    ):
        write_keras({"a/b": gru[0], "a.b": gru[1]}, tmp_path / "a.keras")
    with pytest.raises(InputError, match=r"ending of the file: got '.hdf5'; expected one of '.keras', '.h5'."):
        write_keras(gru, tmp_path / "a.hdf5")
    narrow = {"weight_ih": np.zeros((3, 4)), "weight_hh": np.zeros((3, 1))}
    with pytest.raises(ShapeError) as error:
        LayerWeights("gru", (gru[0].directions[0], narrow))
    assert (
        str(error.value) == "weight_ih of both directions: got '(15, 4) and (3, 4)'; expected the same shape in both."
    )
    with monkeypatch.context() as patch:
        patch.setattr(nodes_file, "LARGEST", 100)
        with pytest.raises(InputError, match=r"bytes of the weights: got 1380; expected at most 100, which one ONNX"):
            write_nodes(gru, tmp_path / "a.onnx")
    for package, write, name in (("h5py", write_keras, "a.keras"), ("onnx", write_nodes, "a.onnx")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(MissingDependencyError, match=rf"writing \w+ models: needs the package '{package}'"):
                write(gru, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("turned", "expected"),
    [([True], True), ([True, True], None), ([False, False], None), ([True, False], None)],
    ids=str,
)
def test_the_directions_of_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turned: list[bool], expected: bool | None
) -> None:
    """A layer that reads backwards alone is one; what is no pair of directions is refused."""
    model = walker(cell="gru", bidirectional=len(turned) == 2)
    saved = read_bundle(model.save(tmp_path / "walks"))
    program, weights = saved.program()
    ops = list(program.main.ops)
    indices = [index for index, op in enumerate(ops) if op.kind == "recur"]
    for index, back in zip(indices, turned, strict=True):
        ops[index] = replace(ops[index], options={**ops[index].options, "reverse": back})
    other = replace(program, parts={"main": replace(program.main, ops=tuple(ops))})
    monkeypatch.setattr(Bundle, "program", lambda self: (other, weights))
    if expected is None:
        with pytest.raises(
            InputError, match=r"directions of layer\.0\w*: got '.*wards, .*'; expected one, or forwards"
        ):
            from_bundle(saved)
    else:
        assert [layer.reverse for layer in from_bundle(saved).values()] == [expected]


SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 5, "baseline": False}
RNG = np.random.default_rng(0)
WALKS = [RNG.normal(size=(length, 2)).cumsum(0) for length in RNG.integers(3, 9, size=20)]


def walker(**options: Any) -> Any:
    return Regressor(**{**SMALL, **options}).fit(WALKS, [float(walk[-1, 0]) for walk in WALKS])


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Return a small model of two layers in both directions, and its bundle."""
    model = walker(cell="lstm", num_layers=2, bidirectional=True)
    return model, model.save(tmp_path_factory.mktemp("bundles") / "walks")


def test_the_layers_of_a_bundle(walks: tuple[Any, Path]) -> None:
    model, folder = walks
    layers = from_bundle(folder)
    assert list(layers) == ["layer.0", "layer.1"]
    recurrent = model.model_.recurrent
    for one, other in zip(layers.values(), from_stack(recurrent.state_dict()), strict=True):
        same(one, other)
    theirs = torch.nn.LSTM(2, 5, num_layers=2, bidirectional=True, batch_first=True)
    theirs.load_state_dict({name: torch.from_numpy(a) for name, a in to_torch(layers).items()})
    x = torch.from_numpy(model.features_.transform(WALKS[0]))[None]
    with torch.no_grad():
        np.testing.assert_allclose(theirs(x)[0], recurrent(x).output, atol=1e-6)
    ours = Recurrent("lstm", 2, 5, num_layers=2, bidirectional=True).eval()
    arrays = to_stack(from_bundle(read_bundle(folder)))
    ours.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    with torch.no_grad():
        assert torch.equal(ours(x).output, recurrent(x).output)


def test_the_layers_of_a_language_model_and_of_fewer_bits(tmp_path: Path, walks: tuple[Any, Path]) -> None:
    text = "the cat saw the dog. the dog fed the bird. " * 20
    model = LanguageModel(cell="gru", steps=3, recall=(), hidden_size=6, embedding_size=4, num_layers=2, baseline=False)
    (first, second) = from_bundle(model.fit([text]).save(tmp_path / "lines")).values()
    assert (first.cell, first.input_size, second.input_size, second.output_size) == ("gru", 4, 6, 6)
    bundle = read_bundle(walks[1])
    write_quantised(bundle, tmp_path / "small", "int8")
    small = read_bundle(tmp_path / "small")
    _, arrays = dequantise(*small.program())
    for place, layer in enumerate(from_bundle(small).values()):
        for side, role_arrays in zip(("forward", "backward"), layer.directions, strict=True):
            for role, array in role_arrays.items():
                np.testing.assert_array_equal(array, arrays[f"recurrent.layers.{place}.{side}_layer.cell.{role}"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"cell": "mingru"},
            "layer.0: cell: got 'mingru'; expected one of rnn, rnn_relu, lstm, lstm_peephole, gru, gru_reset_before. "
            "torch.nn, Keras and ONNX have only these; rekur export writes the equations of others.",
        ),
        (
            {"cell": "gru", "num_layers": 2, "norm": True},
            "what follows layer.0: got 'layer_norm'; expected nothing, as ",
        ),
        (
            {"cell": "gru", "num_layers": 2, "residual": True},
            "what follows layer.1: got 'add'; expected nothing, as in ",
        ),
    ],
)
def test_layers_of_a_bundle_that_no_other_library_has(options: dict[str, Any], text: str, tmp_path: Path) -> None:
    folder = walker(**options).save(tmp_path / "walks")
    with pytest.raises(InputError) as error:
        from_bundle(folder)
    assert str(error.value).startswith(f"{folder}: {text}")


def test_the_layers_of_a_tagger(tmp_path: Path) -> None:
    options: dict[str, Any] = {**SMALL, "num_layers": 1, "bidirectional": False, "look_ahead": 1}
    words = [["a"] * count + ["b"] for count in range(1, 12)]
    tags = [[word.upper() for word in item] for item in words]
    folder = Tagger(**options).fit(words, tags).save(tmp_path / "plain")
    assert list(from_bundle(folder)) == ["layer.0"]
    folder = Tagger(**options, norm=True).fit(words, tags).save(tmp_path / "normed")
    with pytest.raises(InputError, match=r"what follows layer\.0: got 'layer_norm'; expected nothing"):
        from_bundle(folder)


@pytest.mark.parametrize(
    ("cell", "more", "text"),
    [
        (lambda d: Zoneout(GRU(d, 5), 0.1), {}, "layer.0: cell: got 'zoneout'; expected a plain cell, as in torch.nn"),
        (lambda d: LayerNorm(GRU(d, 5)), {}, "layer.0: cell: got 'layer normalisation'; expected a plain cell, as in"),
        (
            lambda d: make_cell("gru", d, 5),
            {"learned_state": True},
            "layer.0: first state: got 'learned values'; expected zeros, with which layers of torch.nn, Keras and ONNX "
            "begin. The arrays themselves are in read_bundle(FOLDER).program().",
        ),
    ],
)
def test_cells_that_no_other_library_has(cell: Any, more: dict[str, Any], text: str) -> None:
    model = build(SequenceSpec(discrete=False, input_size=2, output_size=1, cell="gru", hidden_size=5), seed=0)
    model.recurrent = Recurrent(cell, 2, 5, **more)
    with torch.no_grad():
        for parameter in model.recurrent.parameters():
            parameter.add_(0.1)

    class Held(Bundle):
        def program(self) -> Any:
            return lower(model, "regress")

    with pytest.raises(InputError) as error:
        from_bundle(Held(Path("held"), {}, {}))
    assert str(error.value).startswith(f"held: {text}")


def test_from_a_bundle_to_files_without_torch(walks: tuple[Any, Path], tmp_path: Path) -> None:
    for package in ("h5py", "onnx"):
        pytest.importorskip(package)
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['keras'] = None\n"
        "from rekur.export.weights import from_bundle, read_keras, write_keras, write_nodes\n"
        f"layers = from_bundle({str(walks[1])!r})\n"
        "write_keras(layers, 'a.keras'); write_keras(layers, 'a.h5'); write_nodes(layers, 'a.onnx')\n"
        "print(list(read_keras('a.keras')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "['layer_0', 'layer_1']"
    assert {path.name for path in tmp_path.iterdir()} == {"a.keras", "a.h5", "a.onnx"}


@pytest.mark.parametrize("write", [write_keras, write_nodes])
def test_names_and_sizes_that_no_file_holds(write: Any, tmp_path: Path) -> None:
    layer = LayerWeights("rnn", ({"weight_ih": np.ones((2, 3), np.float32), "weight_hh": np.ones((2, 2), np.float32)},))
    with pytest.raises(InputError, match=r"name of a layer: got .*; expected text without control characters"):
        write({"a\0b": layer}, tmp_path / "x.keras")
    with pytest.raises(InputError, match=r"file: got .*; expected the path of a file"):
        write([layer], str(tmp_path / "x\0.keras"))
    with pytest.raises(ShapeError, match=r"weight_ih: got \(2, 0\); expected one input feature"):
        LayerWeights("rnn", ({"weight_ih": np.ones((2, 0), np.float32), "weight_hh": np.ones((2, 2), np.float32)},))
    assert not list(tmp_path.iterdir())
