"""Layers from and to Keras: SimpleRNN, LSTM and GRU, alone or inside Bidirectional.

Axes: D input features, H hidden, G gates.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rekur._check import choice, need
from rekur._tensors import Array
from rekur.errors import DataError, InputError, describe
from rekur.ship.weights.layer import GATES, LayerWeights, no_reverse, reorder

#: Keras has the gates of an LSTM as i f c o, which is PyTorch's order, and those of a GRU as z r h
_ORDERS: dict[int, tuple[int, ...]] = {1: (0,), 3: (1, 0, 2), 4: (0, 1, 2, 3)}
_CLASSES = ("SimpleRNN", "LSTM", "GRU")
#: what to do about weights that Keras has not: of peepholes, and of a projection
_ADVICE = (
    "Keras has no peepholes: train the cell 'lstm', or write ONNX, which has them.",
    "Keras has no projection: train the LSTM without proj_size, or keep it in torch.nn, which has it.",
)


def from_keras(arrays: Sequence[Any], cell: str) -> LayerWeights:
    """Return a layer of what ``get_weights()`` of a Keras layer gives.

    Args:
        arrays: kernel (D, G·H), recurrent kernel (H, G·H), and the bias (G·H,), for a GRU that resets after the product
            (2, G·H); of both directions behind one another for ``Bidirectional``.
        cell: ``rnn``, ``rnn_relu``, ``lstm``, ``gru`` (``reset_after=True``) or ``gru_reset_before``.

    Raises:
        InputError: another number of arrays, or a bias of the other kind of GRU.

    Example:
        >>> kernel, recurrent = np.ones((3, 8), np.float32), np.ones((2, 8), np.float32)
        >>> from_keras([kernel, recurrent, np.ones(8, np.float32)], "lstm").hidden_size
        2
    """
    given = [np.asarray(array) for array in arrays]
    count = 3 if len(given) in (3, 6) else 2
    if len(given) not in (2, 3, 4, 6):
        raise InputError(
            describe("arrays of a Keras layer", len(given), "2 or 3, or twice as many for both directions")
        )
    parts = [given[start : start + count] for start in range(0, len(given), count)]
    return LayerWeights(cell, tuple(_direction(part, cell) for part in parts))


def to_keras(layer: LayerWeights) -> list[Array]:
    """Return what ``set_weights()`` of a Keras layer with the same cell takes.

    A layer without biases gives arrays for ``use_bias=False``. Where Keras has one bias for both products, it gets
    their sum.

    Raises:
        InputError: a cell, or a weight of it, that Keras has not.

    Example:
        >>> one = {"weight_ih": np.zeros((12, 3), np.float32), "weight_hh": np.zeros((12, 4), np.float32)}
        >>> [array.shape for array in to_keras(LayerWeights("gru", (one,)))]
        [(3, 12), (4, 12)]
    """
    no_reverse(layer, "Keras", "Its go_backwards=True gives the outputs in the order in which it read the steps.")
    arrays: list[Array] = []
    for place, weights in enumerate(layer.directions):
        extra = set(weights) - {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
        if extra or layer.cell == "lstm_peephole":
            got = ", ".join(sorted(extra)) or layer.cell
            fix = _ADVICE["weight_hr" in extra]
            raise InputError(describe("weights of the layer", got, "those that Keras has too", fix))
        order = _ORDERS[layer.gates]
        arrays += [np.ascontiguousarray(reorder(weights[role], order).T) for role in ("weight_ih", "weight_hh")]
        if not layer.biased:
            continue
        biases = [reorder(bias, order) for bias in layer.bias(place)]
        arrays.append(np.stack(biases) if layer.cell == "gru" else _joined(*biases))
    return arrays


def read_keras(file: str | os.PathLike[str]) -> dict[str, LayerWeights]:
    """Return the recurrent layers of a saved Keras model, by their names: of a ``.keras`` or a whole ``.h5`` file.

    Args:
        file: what ``model.save`` wrote; layers inside nested models are not read.

    Raises:
        DataError: it is no such file, has no recurrent layers, or one with options that Rekur's cells have not.
        MissingDependencyError: the package ``h5py`` is not installed.

    Example:
        >>> layers = read_keras("model.keras")  # doctest: +SKIP
        >>> {name: layer.hidden_size for name, layer in layers.items()}  # doctest: +SKIP
        {'gru': 64}
    """
    h5py = need("h5py", "keras", "reading Keras models")
    path = Path(file)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                config = json.loads(packed.read("config.json"))
                with h5py.File(io.BytesIO(packed.read("model.weights.h5")), "r") as weights:
                    layers = _read(path, config, lambda layer, key: _of_keras(weights, layer, key))
        else:
            with h5py.File(path, "r") as weights:
                config = json.loads(weights.attrs["model_config"])
                layers = _read(path, config, lambda layer, key: _of_h5(weights, layer))
    except (OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise DataError(f"got '{error}'; expected a model that Keras saved as .keras or .h5.", path) from error
    if not layers:
        raise DataError(describe("layers", "no recurrent one", f"one or more of {', '.join(_CLASSES)}"), path)
    return layers


def group_names(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the groups of layers in the weights of a ``.keras`` file: after the class, whatever a layer is called."""
    names, counts = [], Counter[str]()
    for layer in layers:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", layer["class_name"]).lower()
        names.append(f"{snake}_{counts[snake]}" if counts[snake] else snake)
        counts[snake] += 1
    return names


def _read(path: Path, config: Mapping[str, Any], arrays_of: Any) -> dict[str, LayerWeights]:
    found, given = {}, config["config"]["layers"]
    for layer, key in zip(given, group_names(given), strict=True):
        inner = layer["config"]["layer"] if layer["class_name"] == "Bidirectional" else layer
        if inner["class_name"] not in _CLASSES:
            continue
        name = layer["config"]["name"]
        if layer is not inner and layer["config"].get("merge_mode") != "concat":
            raise DataError(describe(f"merge_mode of '{name}'", layer["config"].get("merge_mode"), "'concat'"), path)
        found[name] = from_keras(arrays_of(layer, key), _cell_of(path, name, inner))
    return found


def _of_keras(weights: Any, layer: Mapping[str, Any], key: str) -> list[Array]:
    group = weights["layers"][key]
    sides = [group[side] for side in ("forward_layer", "backward_layer")] if "forward_layer" in group else [group]
    cells = [side["cell/vars"] for side in sides]
    return [np.array(values[str(place)]) for values in cells for place in range(len(values))]


def _of_h5(weights: Any, layer: Mapping[str, Any]) -> list[Array]:
    group = weights["model_weights"][layer["config"]["name"]]
    names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
    return [np.array(group[name]) for name in names]


def _cell_of(path: Path, name: str, layer: Mapping[str, Any]) -> str:
    kind, options = layer["class_name"], layer["config"]
    functions = {"activation": ("tanh", "relu") if kind == "SimpleRNN" else ("tanh",)}
    if kind != "SimpleRNN":
        functions["recurrent_activation"] = ("sigmoid",)
    for option, allowed in functions.items():
        if options[option] not in allowed:
            expected = " or ".join(f"'{one}'" for one in allowed)
            raise DataError(describe(f"{option} of '{name}'", options[option], expected), path)
    if options.get("go_backwards"):
        raise DataError(describe(f"go_backwards of '{name}'", True, "False, or a layer inside Bidirectional"), path)
    if kind == "SimpleRNN":
        return "rnn" if options["activation"] == "tanh" else "rnn_relu"
    return "lstm" if kind == "LSTM" else "gru" if options["reset_after"] else "gru_reset_before"


def _direction(part: list[Array], cell: str) -> dict[str, Array]:
    kernel, recurrent, *biases = part
    order = _ORDERS[GATES[choice("cell", cell, GATES)]]
    arrays = {"weight_ih": reorder(kernel.T, order), "weight_hh": reorder(recurrent.T, order)}
    if biases:
        both = cell == "gru"
        if biases[0].ndim != 1 + both:
            expected = "two rows, as with reset_after=True" if both else "one row, as with reset_after=False"
            raise InputError(describe("bias of the Keras layer", biases[0].shape, expected))
        rows = list(biases[0]) if both else [biases[0], np.zeros_like(biases[0])]
        arrays |= {f"bias_{role}": reorder(row, order) for role, row in zip(("ih", "hh"), rows, strict=True)}
    return arrays


def _joined(ours: Array, other: Array) -> Array:
    """Return the sum of two biases, bit for bit the first where the other one is zero."""
    return np.asarray(ours + other if other.any() else ours)
