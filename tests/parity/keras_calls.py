"""A pytest plugin for Keras's own tests: each layer that they call is saved, read and run with rekur.nn.

Run by ``test_weight_keras.py`` as ``pytest -p keras_calls``; needs KERAS_BACKEND and KERAS_CALLS, the file to write to.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch

from rekur.errors import DataError
from rekur.export.weights import read_keras, to_stack
from rekur.nn import Recurrent

CLASSES = (keras.layers.RNN, keras.layers.Bidirectional, keras.layers.TimeDistributed)
told: dict[str, Any] = {"read": Counter(), "refused": Counter(), "differences": []}
inside = [False]


def stack_outputs(layers: Any, x: Any) -> Any:
    """Return what layers give over one another (B, T, O), all steps."""
    y = torch.from_numpy(np.array(x, np.float32))
    for layer in layers.values():
        bias = {} if layer.biased else {"bias": False}
        stack = Recurrent(layer.cell, layer.input_size, layer.hidden_size, bidirectional=layer.bidirectional, **bias)
        stack.load_state_dict({k: torch.from_numpy(np.array(a, np.float32)) for k, a in to_stack([layer]).items()})
        with torch.no_grad():
            y = stack.eval()(y).output
    return y.numpy()


def last_steps(layers: Any, y: Any) -> Any:
    """Return what return_sequences=False gives: the last step of the forward half, the first of the other."""
    (*_, layer) = layers.values()
    size = y.shape[-1] // 2 if layer.bidirectional else y.shape[-1]
    return np.concatenate([y[:, -1, :size], y[:, 0, size:]], axis=-1)


def compare(layer: Any, x: Any, outputs: Any) -> None:
    config, weights = layer.get_config(), layer.get_weights()
    twin = type(layer).from_config(config)
    model = keras.Sequential([keras.Input(x.shape[1:], batch_size=x.shape[0]), twin])
    twin.set_weights(weights)
    kind = type(layer).__name__
    for ending in (".keras", ".h5"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"model{ending}"
            model.save(file)
            try:
                layers = read_keras(file)
            except DataError as error:
                told["refused"][f"{kind}: {str(error).split(ending + ': ')[1].split(chr(39))[0].strip()}"] += 1
                continue
        y = stack_outputs(layers, x)
        sequences = config.get("return_sequences", config.get("layer", {}).get("config", {}).get("return_sequences"))
        y = y if sequences else last_steps(layers, y)
        told["read"][kind] += 1
        told["differences"].append(float(np.abs(y - outputs).max()))


def called(original: Any) -> Any:
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        outermost = isinstance(self, CLASSES) and not inside[0]
        inside[0] = inside[0] or outermost
        try:
            outputs = original(self, *arguments, **options)
            fresh = len(arguments) == 1 and set(options) <= {"training"} and not options.get("training")
            x = arguments[0] if arguments else None
            if outermost and fresh and not getattr(self, "stateful", False) and not isinstance(x, keras.KerasTensor):
                values = outputs[0] if isinstance(outputs, list | tuple) else outputs
                x = keras.ops.convert_to_numpy(x)
                if x.ndim == 3 and x.dtype == np.float32:
                    compare(self, x, keras.ops.convert_to_numpy(values))
            return outputs
        finally:
            inside[0] = inside[0] and not outermost

    return call


def pytest_configure(config: Any) -> None:
    keras.layers.Layer.__call__ = called(keras.layers.Layer.__call__)


def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    Path(os.environ["KERAS_CALLS"]).write_text(json.dumps(told))
