"""Recurrent layers as a file for Keras: a Sequential model in a ``.keras`` file, or a whole model in ``.h5``.

Axes: B batch, T time, D input features, H hidden, G gates.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rekur._check import choice, need
from rekur._files import write_file
from rekur._tensors import Array
from rekur.errors import InputError, describe
from rekur.export.weights.keras import to_keras
from rekur.export.weights.keras_config import group_names
from rekur.export.weights.layer import LayerWeights, stacked

#: the oldest version of Keras that reads the files
_VERSION = "3.0.0"
#: cell -> class, and its options besides units and biases
_FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("SimpleRNN", {"activation": "tanh"}),
    "rnn_relu": ("SimpleRNN", {"activation": "relu"}),
    "lstm": ("LSTM", {"activation": "tanh", "recurrent_activation": "sigmoid"}),
    "gru": ("GRU", {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}),
    "gru_reset_before": ("GRU", {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": False}),
}
#: direction -> kernel, recurrent kernel and optional bias
Sides = dict[str, list[Array]]
_SIDES = ("forward_layer", "backward_layer")


def write_keras(
    layers: Mapping[str, LayerWeights] | Sequence[LayerWeights],
    file: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write stacked layers as a Keras model that ``keras.saving.load_model`` reads without Rekur.

    The model maps (B, T, D) to the outputs of the last layer at every step. It is a Sequential of SimpleRNN, LSTM or
    GRU, inside Bidirectional for two directions. :func:`read_keras` returns layers that came from Keras bit for bit;
    if Keras has one bias for both products, it gets their sum.

    Args:
        layers: from the input on, by name or without names. A ``/`` or ``.`` in a name, which Keras or its PyTorch
            backend refuses, becomes ``_``.
        file: ends in ``.keras``, or ``.h5`` for the older form of whole models; both need Keras 3.
        overwrite: replace an existing file; default False.

    Raises:
        InputError: another ending, the file exists, or Keras does not have the layer, as with peepholes or a
            projection.
        ShapeError: the input size of a layer is not the output size of the previous one.
        SaveError: the disk is full, or there is no permission to write.
        MissingDependencyError: the package ``h5py`` is not installed; Keras is not needed.

    Example:
        >>> import tempfile
        >>> from rekur.export.weights import read_keras
        >>> one = {"weight_ih": np.ones((12, 3), np.float32), "weight_hh": np.ones((12, 4), np.float32)}
        >>> file = tempfile.mkdtemp() + "/small.keras"
        >>> write_keras({"ears": LayerWeights("gru", (one,))}, file)
        >>> read_keras(file)["ears"].hidden_size
        4
    """
    need("h5py", "keras", "writing Keras models")
    path = Path(file)
    choice("ending of the file", path.suffix, (".keras", ".h5"))
    named: dict[str, LayerWeights] = {}
    for name, layer in stacked(layers).items():
        allowed = re.sub(r"[/.]", "_", name)
        if allowed in named:
            raise InputError(describe("name of a layer in Keras", allowed, "a different name for each layer"))
        named[allowed] = layer
    weights = {name: _sides(layer) for name, layer in named.items()}
    write_file(path, (_keras if path.suffix == ".keras" else _h5)(_config(named), weights), overwrite=overwrite)


def _keras(config: Mapping[str, Any], weights: Mapping[str, Sides]) -> bytes:
    datasets: dict[str, Array] = {}
    for key, sides in zip(group_names(config["config"]["layers"][1:]), weights.values(), strict=True):
        for side, arrays in sides.items():
            path = f"layers/{key}/{side}/cell/vars" if len(sides) == 2 else f"layers/{key}/cell/vars"
            datasets |= {f"{path}/{count}": array for count, array in enumerate(arrays)}
    files = {
        "metadata.json": json.dumps({"keras_version": _VERSION}).encode(),
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": _hdf5(datasets, {}),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # without a date: equal layers give equal bytes
    return packed.getvalue()


def _h5(config: Mapping[str, Any], weights: Mapping[str, Sides]) -> bytes:
    written = {"keras_version": _VERSION, "backend": "numpy"}
    facts: dict[str, dict[str, Any]] = {
        "/": {**written, "model_config": json.dumps(config)},
        "model_weights": {**written, "layer_names": list(weights)},
    }
    datasets: dict[str, Array] = {}
    for name, sides in weights.items():
        roles = ("kernel", "recurrent_kernel", "bias")
        group = {f"{side}/{role}": a for side, arrays in sides.items() for role, a in zip(roles, arrays, strict=False)}
        facts[f"model_weights/{name}"] = {"weight_names": list(group)}
        datasets |= {f"model_weights/{name}/{path}": array for path, array in group.items()}
    return _hdf5(datasets, facts)


def _hdf5(datasets: Mapping[str, Array], facts: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return arrays, and the attributes of their groups, as an HDF5 file."""
    h5py = need("h5py", "keras", "writing Keras models")
    packed = io.BytesIO()
    with h5py.File(packed, "w") as file:
        for name, array in datasets.items():
            file[name] = array
        for group, attributes in facts.items():
            file[group].attrs.update(attributes)
    return packed.getvalue()


def _sides(layer: LayerWeights) -> Sides:
    """Return the Keras arrays of each direction."""
    arrays = to_keras(layer)
    count = len(arrays) // len(layer.directions)
    return {side: arrays[index * count :][:count] for index, side in enumerate(_SIDES[: len(layer.directions)])}


def _config(layers: Mapping[str, LayerWeights]) -> dict[str, Any]:
    first = next(iter(layers.values()))
    dtype = str(np.asarray(first.directions[0]["weight_ih"]).dtype)
    begin = "input"
    while begin in layers:
        begin += "_"
    made = [_part("InputLayer", begin, dtype, batch_shape=[None, None, first.input_size])]
    for name, layer in layers.items():
        kind, options = _FORMS[layer.cell]
        options = {"units": layer.hidden_size, **options, "use_bias": layer.biased, "return_sequences": True}
        if layer.bidirectional:
            # describe both halves, as Keras does: if it derives the second, loading two such layers can mix them up
            inner = {
                side: _part(kind, f"{prefix}_{name}", dtype, **options, go_backwards=prefix == "backward")
                for side, prefix in (("layer", "forward"), ("backward_layer", "backward"))
            }
            part = _part("Bidirectional", name, dtype, merge_mode="concat", **inner)
        else:
            part = _part(kind, name, dtype, **options)
        made.append({**part, "build_config": {"input_shape": [None, None, layer.input_size]}})
    config = {"name": "layers", "trainable": True, "layers": made}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def _part(kind: str, name: str, dtype: str, **options: Any) -> dict[str, Any]:
    config = {"name": name, "dtype": dtype, **options}
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}
