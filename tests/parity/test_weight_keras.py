"""Saved Keras models: each recurrent layer is read with all that it has, or refused by name.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.parity.keras_process import run_keras

from rekur.errors import DataError
from rekur.export.weights import LayerWeights, read_keras, to_stack
from rekur.nn import Recurrent

Array = np.ndarray[Any, Any]
X = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
BUILD = """
import sys, warnings, numpy as np, keras
warnings.simplefilter("ignore")
from keras import layers as L
folder, x = sys.argv[1], np.load(sys.argv[1] + "/x.npy")
seq = {"return_sequences": True}

@keras.saving.register_keras_serializable()
class Ears(L.LSTM):
    pass
class LSTM(L.Dense):
    pass
class Block(L.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.inner = L.LSTM(4, **seq)
    def build(self, shape):
        self.inner.build(shape)
    def call(self, x):
        return self.inner(x)
class Steps(L.Layer):
    def __init__(self, go_backwards=False, **options):
        super().__init__(**options)
        self.go_backwards = go_backwards
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 4), name="w")
    def call(self, x):
        return x @ self.w
    def get_config(self):
        return {**super().get_config(), "go_backwards": self.go_backwards}
class LearnNorm(L.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1],), name="gain")
    def call(self, x):
        return x * self.w
class Minimal(L.Layer):
    state_size = 4
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 4), name="w")
    def call(self, x, states):
        return x @ self.w + states[0], [x @ self.w + states[0]]
@keras.saving.register_keras_serializable("mine", "GRU")
class Gru(L.Dense):
    pass

def both(*pair, **options):
    backward = {"backward_layer": pair[1]} if len(pair) == 2 else {}
    return L.Bidirectional(pair[0], **backward, **options)
def back(form=L.LSTM, units=4, **options):
    return form(units, go_backwards=True, **seq, **options)
def inner(*layers):
    return keras.Sequential([keras.Input((None, 4)), *layers], name="inner")

made = {
    "alike": [both(L.LSTM(4, **seq), back())],
    "names": [both(L.LSTM(4, name="a", **seq), back(name="two"), name="two"),
              both(L.GRU(2, name="a", **seq), name="a")],
    "rnn-cells": [L.RNN(L.SimpleRNNCell(4, activation="relu"), **seq), L.RNN(L.LSTMCell(4, use_bias=False), **seq),
                  L.RNN(L.GRUCell(3), **seq), L.RNN(L.GRUCell(3, reset_after=False), **seq)],
    "both-cells": [both(L.RNN(L.GRUCell(3), **seq)), both(L.RNN([L.LSTMCell(3)], **seq))],
    "stacked-cells": [L.LSTM(2, **seq), L.RNN([L.LSTMCell(4), L.GRUCell(3), L.LSTMCell(5)], **seq, name="deep"),
                      L.RNN(L.StackedRNNCells([L.GRUCell(2)]), **seq)],
    "use-bias": [both(L.GRU(4, **seq), back(L.GRU, use_bias=False)), both(L.LSTM(4, use_bias=False, **seq), back())],
    "frozen-half": [both(L.GRU(4, **seq)), both(L.LSTM(4, **seq))],
    "options": [L.LSTM(4, dropout=0.3, recurrent_dropout=0.2, unroll=False, **seq), L.GRU(3, implementation=1, **seq)],
    "others-beside": [L.GRU(4, **seq), L.TimeDistributed(L.Dense(4)), inner(L.Dense(4)), LearnNorm(),
                      L.LayerNormalization(), L.LSTM(4, **seq)],
    "backward-relu": [both(L.LSTM(4, **seq), back(activation="relu"))],
    "backward-hard": [both(L.GRU(4, **seq), back(L.GRU, recurrent_activation="hard_sigmoid"))],
    "backward-reset": [both(L.GRU(4, **seq), back(L.GRU, reset_after=False))],
    "backward-units": [both(L.LSTM(4, **seq), back(units=3))],
    "backward-class": [both(L.LSTM(4, **seq), back(L.GRU))],
    "backward-cell": [both(L.LSTM(4, **seq), L.RNN(Minimal(), go_backwards=True, **seq))],
    "turned-round": [both(back(), L.LSTM(4, **seq))],
    "forward-custom": [both(Ears(4, **seq))],
    "both-stacked": [both(L.RNN([L.LSTMCell(4), L.LSTMCell(4)], **seq))],
    "sum": [both(L.LSTM(4, **seq), merge_mode="sum")],
    "cell-relu": [L.RNN([L.LSTMCell(4), L.LSTMCell(4, activation="relu")], **seq)],
    "cell-custom": [L.LSTM(4, **seq), L.RNN(Minimal(), **seq)],
    "go-backwards": [L.RNN(L.GRUCell(3), go_backwards=True, **seq)],
    "nested": [L.LSTM(4, **seq), inner(L.GRU(4, **seq))],
    "custom": [L.LSTM(4, **seq), Ears(4, **seq)],
    "custom-around": [L.LSTM(4, **seq), Block()],
    "custom-steps": [L.LSTM(4, **seq), Steps()],
    "custom-lstm": [L.GRU(4, **seq), LSTM(4)],
    "custom-name": [L.LSTM(4, **seq), Gru(4)],
}
for name, layers in made.items():
    model = keras.Sequential([keras.Input((None, 3)), *layers])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape).astype("float32") * 0.4 for w in model.get_weights()])
    if name == "frozen-half":
        model.layers[0].forward_layer.trainable = model.layers[1].backward_layer.trainable = False
    for ending in ("keras", "h5"):
        model.save(f"{folder}/{name}.{ending}")
    np.save(f"{folder}/{name}.npy", keras.ops.convert_to_numpy(model(x, training=False)))

cell = L.GRUCell(3)
made = {"shared-cell": [L.RNN(cell, **seq), L.RNN(cell, **seq)], "stateful": [L.LSTM(4, stateful=True, **seq)],
        "conv": [L.Reshape((6, 3, 1)), L.ConvLSTM1D(2, 2, **seq), L.Reshape((6, 4)), L.LSTM(4)],
        "time-distributed": [L.LSTM(4, **seq), L.Reshape((6, 2, 2)), L.TimeDistributed(L.LSTM(4))]}
for name, layers in made.items():
    model = keras.Sequential([keras.Input((6, 3), batch_size=2), *layers])
    for ending in ("keras", "h5"):
        model.save(f"{folder}/{name}.{ending}")
    np.save(f"{folder}/{name}.npy", keras.ops.convert_to_numpy(model(x, training=False)))

tokens, state = keras.Input((None, 3)), keras.Input((4,), name="state")
once = L.GRU(4, **seq, name="once")
states = {"encoder": L.GRU(4)(tokens), "dense": L.Dense(4)(state), "outside": state, "constant": keras.ops.ones((1, 4))}
for name, first in states.items():
    outputs = L.GRU(4, name="decoder", **seq)(once(tokens), initial_state=first)
    inputs = [tokens] if name in ("encoder", "constant") else [tokens, state]
    keras.Model(inputs, outputs).save(f"{folder}/state-{name}.keras")
    keras.Model(inputs, outputs).save(f"{folder}/state-{name}.h5")
model = keras.Sequential([keras.Input((None, 3)), L.LSTM(4)])
model.save_weights(folder + "/alone.weights.h5")
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models that Keras saved, each with what it gives."""
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "x.npy", X)
    run_keras("-c", BUILD, str(folder))
    return folder


def outputs(layers: dict[str, LayerWeights]) -> Array:
    """Return what rekur.nn gives with layers over one another."""
    y = torch.from_numpy(X)
    for layer in layers.values():
        bias = {} if layer.biased else {"bias": False}
        stack = Recurrent(layer.cell, layer.input_size, layer.hidden_size, bidirectional=layer.bidirectional, **bias)
        stack.load_state_dict({name: torch.from_numpy(array) for name, array in to_stack([layer]).items()})
        with torch.no_grad():
            y = stack.eval()(y).output
    return y.numpy()


READ = {
    "alike": ["bidirectional"],
    "names": ["two", "a"],
    "rnn-cells": ["rnn", "rnn_1", "rnn_2", "rnn_3"],
    "both-cells": ["bidirectional", "bidirectional_1"],
    "stacked-cells": ["lstm", "deep.0", "deep.1", "deep.2", "rnn"],
    "use-bias": ["bidirectional", "bidirectional_1"],
    "frozen-half": ["bidirectional", "bidirectional_1"],
    "options": ["lstm", "gru"],
    "stateful": ["lstm"],
}


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("name", READ)
def test_layers_that_are_read(saved: Path, name: str, ending: str) -> None:
    layers = read_keras(saved / f"{name}.{ending}")
    assert len(layers) == len(READ[name])
    for ours, theirs in zip(layers, READ[name], strict=True):
        assert ours.startswith(theirs.rstrip("_0123456789")), (ours, theirs)
    np.testing.assert_allclose(outputs(layers), np.load(saved / f"{name}.npy"), atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_layers_beside_others(saved: Path, ending: str) -> None:
    """What is not recurrent is passed over, whatever its letters."""
    layers = read_keras(saved / f"others-beside.{ending}")
    assert [layer.cell for layer in layers.values()] == ["gru", "lstm"]


NAMED = "SimpleRNN, LSTM, GRU, RNN of Keras"
REFUSED = {
    "backward-relu": "activation of backward_layer of 'bidirectional': got 'relu'; expected 'tanh'",
    "backward-hard": "recurrent_activation of backward_layer of 'bidirectional': got 'hard_sigmoid'; expected 's",
    "backward-reset": "cells of 'bidirectional': got 'gru and gru_reset_before'; expected the same in both halves",
    "backward-units": "'bidirectional': weight_ih of both directions: got '(16, 3) and (12, 3)'; expected the same",
    "backward-class": "cells of 'bidirectional': got 'lstm and gru'; expected the same in both halves",
    "backward-cell": "cell of backward_layer of 'bidirectional': got 'Minimal'; expected one of SimpleRNNCell",
    "turned-round": "go_backwards of the forward_layer of 'bidirectional': got True; expected False",
    "forward-custom": "class of the forward_layer of 'bidirectional': got 'CLASS'; expected one of SimpleRNN, LSTM",
    "both-stacked": "cells of the forward_layer of 'bidirectional': got 2; expected 1",
    "sum": "merge_mode of 'bidirectional': got 'sum'; expected 'concat'",
    "cell-relu": "activation of 'rnn': got 'relu'; expected 'tanh'",
    "cell-custom": "cell of 'rnn': got 'Minimal'; expected one of SimpleRNNCell, LSTMCell, GRUCell of Keras",
    "go-backwards": "go_backwards of 'rnn': got True; expected False, or a layer inside Bidirectional",
    "nested": f"class of 'inner': got 'Sequential around GRU'; expected {NAMED}",
    "custom": f"class of 'ears': got 'CLASS'; expected {NAMED}",
    "custom-around": "weights of a recurrent cell: got 'block/",
    "custom-steps": f"class of 'steps': got 'Steps'; expected {NAMED}",
    "custom-name": f"class of 'gru': got 'CLASS'; expected {NAMED}",
    "conv": f"class of 'conv_lstm1d': got 'ConvLSTM1D'; expected {NAMED}",
    "time-distributed": f"class of 'time_distributed': got 'TimeDistributed around LSTM'; expected {NAMED}",
    "state-encoder": "initial_state of 'decoder': got 'the output of 'gru''; expected none, or inputs of the model",
    "state-constant": "initial_state of 'decoder': got 'a constant'; expected none, or inputs of the model",
    "state-dense": "initial_state of 'decoder': got 'the output of 'dense''; expected none, or inputs of the model",
}


def unnumbered(text: str) -> str:
    """Return a message without the numbers that Keras gives to names."""
    import re

    return re.sub(r"_\d+'", "'", text)


def test_a_class_of_another_module_is_none_of_keras(saved: Path) -> None:
    with pytest.raises(DataError, match=rf"class of 'lstm_\d+': got 'LSTM'; expected {NAMED}"):
        read_keras(saved / "custom-lstm.keras")


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("name", REFUSED)
def test_layers_that_are_refused(saved: Path, name: str, ending: str) -> None:
    file = saved / f"{name}.{ending}"
    with pytest.raises(DataError) as error:
        read_keras(file)
    told = re.sub("(Ears|Gru|(Custom|mine)>[A-Za-z]+)'", "CLASS'", unnumbered(str(error.value)))
    assert told.startswith(f"{file}: {REFUSED[name]}"), told


def test_states_that_come_from_outside(saved: Path) -> None:
    for ending in ("keras", "h5"):
        assert list(read_keras(saved / f"state-outside.{ending}")) == ["once", "decoder"]


def test_a_cell_of_two_layers(saved: Path) -> None:
    """A ``.keras`` file has its weights once; they are not looked for elsewhere."""
    with pytest.raises(DataError, match=r"weights of 'rnn_\d+': got '0 arrays'; expected 3 at rnn_1/cell/vars"):
        read_keras(saved / "shared-cell.keras")
    one, other = read_keras(saved / "shared-cell.h5").values()
    np.testing.assert_array_equal(one.directions[0]["weight_hh"], other.directions[0]["weight_hh"])


def test_weights_without_a_config(saved: Path) -> None:
    with pytest.raises(DataError) as error:
        read_keras(saved / "alone.weights.h5")
    assert str(error.value) == (
        f"{saved / 'alone.weights.h5'}: config: got 'weights alone'; expected a model with its config. "
        "Save the whole model: model.save('model.keras')."
    )


def changed(saved: Path, tmp_path: Path, change: Any) -> Path:
    """Return the model ``alike.keras`` with another config."""
    file = tmp_path / "changed.keras"
    with zipfile.ZipFile(saved / "alike.keras") as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            target.writestr(name, content)
    return file


def test_other_classes_of_models(saved: Path, tmp_path: Path) -> None:
    def subclass(config: Any) -> None:
        config.update(class_name="Mine", config={"units": 3})

    def old(config: Any) -> None:
        config["config"] = config["config"]["layers"]

    def cudnn(config: Any) -> None:
        config["config"]["layers"][1].update(class_name="CuDNNLSTM")

    with pytest.raises(DataError, match=r"class of the model: got 'Mine'; expected Sequential or Functional\."):
        read_keras(changed(saved, tmp_path, subclass))
    assert len(read_keras(changed(saved, tmp_path, old))) == 1
    with pytest.raises(DataError, match=r"class of 'bidirectional\w*': got 'CuDNNLSTM'; expected SimpleRNN, LSTM"):
        read_keras(changed(saved, tmp_path, cudnn))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_layer_that_the_tests_of_keras_call(tmp_path: Path) -> None:
    """Its own tests pass with each layer saved, read and run with rekur.nn beside; what is refused is told by name."""
    spec = importlib.util.find_spec("keras")
    if spec is None or spec.origin is None:
        pytest.skip("keras is not installed")
    files = sorted(Path(spec.origin).parent.glob("src/layers/rnn/*_test.py"))
    if not files:
        pytest.skip("this Keras comes without its tests")
    told = tmp_path / "told.json"
    plugin = ["-p", "keras_calls", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    run_keras(
        *["-W", "ignore", "-m", "pytest", "-q", *plugin, *map(str, files)],
        KERAS_CALLS=str(told),
        PYTHONPATH=str(Path(__file__).parent),
    )
    result = json.loads(told.read_text())
    assert set(result["read"]) == {"SimpleRNN", "LSTM", "GRU", "RNN", "Bidirectional"}
    assert min(result["read"].values()) >= 8
    assert max(result["differences"]) < 1e-5
    reasons = ("go_backwards of", "merge_mode of", "cell of", "layers: got")
    assert all(reason.split(": ", 1)[1].startswith(reasons) for reason in result["refused"])
