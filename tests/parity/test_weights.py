"""Weights from and to torch.nn, Keras and ONNX: with them our layers give what those libraries' own layers give.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.parity.keras_process import run_keras

from rekur.cells import make_cell
from rekur.errors import DataError, InputError, MissingDependencyError, ShapeError
from rekur.export.onnx import make_models
from rekur.export.weights import (
    LayerWeights,
    from_keras,
    from_node,
    from_stack,
    from_torch,
    read_keras,
    read_nodes,
    to_keras,
    to_node,
    to_stack,
    to_torch,
)
from rekur.lower import lower
from rekur.models import SequenceSpec, build
from rekur.nn import Recurrent
from rekur.program import dequantise, in_precision

Arrays = dict[str, np.ndarray[Any, Any]]
X = np.random.default_rng(0).normal(size=(3, 7, 4)).astype(np.float32)


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in arrays.items()}


def stack_of(layers: list[LayerWeights]) -> Recurrent:
    """Return our layers with these weights."""
    first = layers[0]
    size, two, bias = first.hidden_size, first.bidirectional, "bias_ih" in first.directions[0]
    proj = first.directions[0].get("weight_hr")
    options = {} if bias else {"bias": False}

    def cell(d: int) -> Any:
        if first.cell == "rnn_relu":
            return make_cell("rnn_relu", d, size, **options)
        if proj is not None:
            return make_cell("lstm", d, size, proj_size=len(proj), **options)
        return make_cell(first.cell, d, size, **options)

    stack = Recurrent(cell, first.input_size, size, num_layers=len(layers), bidirectional=two)
    stack.load_state_dict(tensors(to_stack(layers)))
    return stack.eval()


def outputs(stack: Recurrent, x: np.ndarray[Any, Any] = X) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        return np.asarray(stack(torch.from_numpy(x)).output)


def same(one: Arrays, other: Arrays) -> None:
    assert list(one) == list(other)
    for name, array in one.items():
        np.testing.assert_array_equal(array, np.asarray(other[name]), err_msg=name)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("kind", "more", "cell"),
    [
        ("RNN", {}, "rnn"),
        ("RNN", {"nonlinearity": "relu"}, "rnn_relu"),
        ("LSTM", {}, "lstm"),
        ("LSTM", {"proj_size": 3}, "lstm"),
        ("GRU", {}, "gru"),
    ],
)
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_torch(kind: str, more: dict[str, Any], cell: str, bias: bool, bidirectional: bool) -> None:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(4, 5, 2, bias=bias, bidirectional=bidirectional, batch_first=True, **more)
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    layers = from_torch(theirs.state_dict(), "rnn_relu" if cell == "rnn_relu" else "")
    assert [layer.cell for layer in layers] == [cell, cell]
    stack = stack_of(layers)
    with torch.no_grad():
        np.testing.assert_allclose(outputs(stack), theirs(torch.from_numpy(X))[0], atol=1e-6)
    same(to_torch(layers), state)
    back = to_torch(from_stack(stack.state_dict(), cell))
    same({name: back[name] for name in state}, state)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "lstm", "lstm_peephole", "gru", "gru_reset_before"])
def test_onnx_nodes(cell: str, bidirectional: bool, tmp_path: Path) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    stack = Recurrent(lambda d: make_cell(cell, d, 5), 4, 5, bidirectional=bidirectional)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    (layer,) = from_stack(stack.state_dict(), cell)
    kind, inputs, attributes = to_node(layer)
    helper = onnx.helper
    names = ["x", "W", "R", "B", "", "", "", "P"][: 8 if "P" in inputs else 4]
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", 1, [None, None, 4])],
        [helper.make_tensor_value_info("y", 1, [None, None, None, None])],
        [onnx.numpy_helper.from_array(array, name) for name, array in inputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": X.transpose(1, 0, 2)})[0]
    joined = y.transpose(2, 0, 1, 3).reshape(3, 7, -1)
    np.testing.assert_allclose(outputs(stack), joined, atol=1e-6)
    onnx.save(model, tmp_path / "one.onnx")
    for given in (model, tmp_path / "one.onnx", str(tmp_path / "one.onnx")):
        ((name, read),) = read_nodes(given).items()
        assert (name, read.cell) == ("y", cell)
        again = to_stack([read])
        same({name: again.pop(name) for name in to_stack([layer])}, to_stack([layer]))
        assert again == {}


@pytest.mark.parametrize("precision", ["float32", "int8", "bfloat16"])
def test_layers_of_an_export(precision: str) -> None:
    pytest.importorskip("onnx")
    model = build(SequenceSpec(discrete=False, input_size=4, output_size=2, cell="gru", hidden_size=5), seed=0)
    program, weights = in_precision(*lower(model), precision)
    _, wide = dequantise(program, weights)
    for graph in make_models(program, weights).values():
        (layer,) = read_nodes(graph).values()
        for role, found in to_stack([layer]).items():
            np.testing.assert_array_equal(found, wide[f"recurrent.{role}"])


KERAS = """
import sys, numpy as np, keras
from keras import layers as L
keras.utils.set_random_seed(1)
folder, x = sys.argv[1], np.load(sys.argv[1] + "/x.npy")
forms = {
    "rnn": L.SimpleRNN, "rnn_relu": lambda n, **o: L.SimpleRNN(n, activation="relu", **o), "lstm": L.LSTM, "gru": L.GRU,
    "gru_reset_before": lambda n, **o: L.GRU(n, reset_after=False, **o),
}
for name, form in forms.items():
    for two in (False, True):
        for bias in (False, True):
            options = {"return_sequences": True, "use_bias": bias}
            made = [form(5, **options), form(5, **options)]
            model = keras.Sequential([keras.Input((None, 4)), *(L.Bidirectional(one) if two else one for one in made)])
            rng, path = np.random.default_rng(0), f"{folder}/{name}-{two}-{bias}"
            weights = [rng.normal(size=w.shape).astype("float32") / 2 for w in model.get_weights()]
            model.set_weights(weights)
            model.save(path + ".keras"); model.save(path + ".h5")
            np.savez(path + ".npz", y=model.predict(x, verbose=0), **{f"w{k}": w for k, w in enumerate(weights)})
odd = {"go_backwards": L.LSTM(3, go_backwards=True), "activation": L.GRU(3, activation="relu"),
       "merge_mode": L.Bidirectional(L.LSTM(3), merge_mode="sum"), "none": L.Dense(3)}
for name, layer in odd.items():
    keras.Sequential([keras.Input((None, 4)), layer]).save(f"{folder}/odd-{name}.keras")
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models that Keras saved, each with what it gives."""
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "x.npy", X)
    run_keras("-c", KERAS, str(folder))
    return folder


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "lstm", "gru", "gru_reset_before"])
def test_keras(saved: Path, cell: str, bias: bool, two: bool) -> None:
    path = saved / f"{cell}-{two}-{bias}"
    with np.load(path.with_name(path.name + ".npz")) as file:
        given = dict(file)
    wanted = given.pop("y")
    for ending in (".keras", ".h5"):
        layers = list(read_keras(path.with_name(path.name + ending)).values())
        assert [layer.cell for layer in layers] == [cell, cell]
        np.testing.assert_allclose(outputs(stack_of(layers)), wanted, atol=2e-6, rtol=2e-6)
        back = [array for layer in layers for array in to_keras(layer)]
        same({f"w{place}": array for place, array in enumerate(back)}, given)
    first = list(given.values())[: len(given) // 2]
    same(to_stack([from_keras(first, cell)]), to_stack(layers[:1]))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("go_backwards", "go_backwards of 'lstm': got True; expected False, or a layer inside Bidirectional."),
        ("activation", "activation of 'gru': got 'relu'; expected 'tanh'."),
        ("merge_mode", "merge_mode of 'bidirectional': got 'sum'; expected 'concat'."),
        ("none", "layers: got 'no recurrent one'; expected one or more of SimpleRNN, LSTM, GRU, RNN."),
    ],
)
def test_keras_layers_that_ours_are_not(saved: Path, name: str, text: str) -> None:
    path = next(saved.glob(f"odd-{name}.keras"))
    with pytest.raises(DataError) as error:
        read_keras(path)
    assert str(error.value).startswith(f"{path}: ")
    assert re_numbered(str(error.value)).endswith(text)


def re_numbered(text: str) -> str:
    """Return a message without the numbers that Keras gives to names."""
    return re.sub(r"_\d+'", "'", text)


def test_files_that_are_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    (tmp_path / "not.h5").write_bytes(b"no")
    for name in ("not.h5", "none.keras"):
        with pytest.raises(DataError, match=r"expected a model that Keras saved as \.keras or \.h5\."):
            read_keras(tmp_path / name)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"reading Keras models: needs the package 'h5py'"):
        read_keras(tmp_path / "not.h5")


def test_bad_weights() -> None:
    gru = {name: value.numpy() for name, value in torch.nn.GRU(4, 5).state_dict().items()}
    with pytest.raises(InputError) as error:
        from_torch({"rnn." + name: value for name, value in gru.items()})
    assert str(error.value) == (
        "name of a weight: got 'rnn.weight_ih_l0'; expected weights of torch.nn.RNN, LSTM or GRU, such as "
        "'weight_ih_l0'. Give the state dict of the layer alone."
    )
    with pytest.raises(ShapeError) as error:
        from_torch(gru, "lstm")
    assert str(error.value) == "rows of weight_ih: got 15; expected 20, 4 gates of 5 units of 'lstm'."
    with pytest.raises(InputError, match=r"^weights: got 'none'; expected those of one layer or more\.$"):
        from_torch({})
    with pytest.raises(InputError, match=r"^weights of a layer: got 'weight_ih'; expected 'weight_hh' too"):
        from_torch({"weight_ih_l0": gru["weight_ih_l0"]}, "gru")
    layer = LayerWeights("gru_reset_before", from_torch(gru)[0].directions)
    with pytest.raises(InputError, match=r"^cell of layer 0: got 'gru_reset_before'; expected one of"):
        to_torch([layer])
    kernel = [np.zeros((4, 15)), np.zeros((5, 15)), np.zeros(15)]
    with pytest.raises(InputError) as error:
        from_keras(kernel, "gru")
    assert str(error.value) == ("bias of the Keras layer: got (15,); expected two rows, as with reset_after=True.")
    with pytest.raises(InputError, match=r"^arrays of a Keras layer: got 1; expected 2 or 3, or twice"):
        from_keras(kernel[:1], "gru")
    inputs = {"W": np.zeros((1, 15, 4)), "R": np.zeros((1, 15, 5))}
    with pytest.raises(InputError, match=r"^direction: got 'backward'"):
        from_node("GRU", inputs, {"direction": "backward"})
    with pytest.raises(InputError, match=r"^functions of the GRU: got \['Relu', 'Tanh'\]"):
        from_node("GRU", inputs, {"activations": ["Relu", "Tanh"]})
    projected = from_torch({k: v.numpy() for k, v in torch.nn.LSTM(4, 5, proj_size=2).state_dict().items()})[0]
    for change in (to_node, to_keras):
        with pytest.raises(InputError, match="weight_hr"):
            change(projected)
