"""The recurrent layers of saved Keras models: each one read, or refused by name."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from rekur._check import need
from rekur._tensors import Array
from rekur.errors import DataError, InputError, describe
from rekur.export.weights.keras import keras_direction
from rekur.export.weights.keras_config import (
    CLASSES,
    KerasCell,
    cells_of,
    check_states,
    group_names,
    looks_recurrent,
    name_of,
)
from rekur.export.weights.layer import LayerWeights

_ROLES = ("kernel", "recurrent_kernel", "bias")


def read_keras(file: str | os.PathLike[str]) -> dict[str, LayerWeights]:
    """Return the recurrent layers of a saved Keras model by name, from a ``.keras`` or a whole ``.h5`` file.

    They are SimpleRNN, LSTM, GRU, and RNN with such a cell, alone or inside Bidirectional. An RNN with several cells
    gives a layer for each: ``name.0``, ``name.1`` and so on.

    Args:
        file: a file from ``model.save``.

    Raises:
        DataError: it is not such a file, has no recurrent layers, or has one that Rekur cannot read: with options that
            Rekur's cells lack, of another class, or inside another layer or model.
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
                    return _layers(config, _ByPlace(weights))
        with h5py.File(path, "r") as weights:
            if "model_config" not in weights.attrs and {"layers", "layer_names"} & {*weights, *weights.attrs}:
                fix = "Save the whole model: model.save('model.keras')."
                raise DataError(describe("config", "weights alone", "a model with its config", fix))
            return _layers(json.loads(weights.attrs["model_config"]), _ByName(weights["model_weights"]))
    except DataError as error:
        raise DataError(str(error), path) from error
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"got '{error}'; expected a model that Keras saved as .keras or .h5.", path) from error


class _ByPlace:
    """The weights of a ``.keras`` file, which groups layers by class and number, and cells by side and number."""

    def __init__(self, weights: Any) -> None:
        self._groups = weights["layers"]

    def paths(self) -> list[str]:
        paths: list[str] = []
        self._groups.visititems(lambda path, item: paths.append(path) if hasattr(item, "shape") else None)
        return paths

    def cell(self, name: str, key: str, cell: KerasCell) -> list[tuple[str, Array]]:
        group = self._groups[key]
        group_name = group["vars"].attrs.get("name", name) if "vars" in group else name
        if group_name != name:
            raise DataError(describe(f"weights of '{name}'", f"those of '{group_name}'", "its own"))
        path = "/".join(filter(None, (cell.side, "cell", f"cells/{cell.key}" if cell.key else "", "vars")))
        count = 2 + cell.biased
        held = group.get(path, {})
        if len(held) != count:
            fix = "A cell that two layers share is saved once: save it as .h5, which has it twice."
            raise DataError(describe(f"weights of '{name}'", f"{len(held)} arrays", f"{count} at {key}/{path}", fix))
        return [(f"{key}/{path}/{number}", _floats(name, held[str(number)])) for number in range(count)]


class _ByName:
    """The weights of a ``.h5`` file, where the path of each contains the names of its layer and cell in any order."""

    def __init__(self, weights: Any) -> None:
        self._groups = weights

    def paths(self) -> list[str]:
        return [f"{name}/{path}" for name in self._groups for path in self._names(name)]

    def cell(self, name: str, key: str, cell: KerasCell) -> list[tuple[str, Array]]:
        belongs = []
        for path in self._names(name):
            *parts, role = path.split("/")
            near = parts[-3:] if cell.key else parts[-2:]  # with the name of StackedRNNCells between
            layers = not cell.layers or not set(cell.layers).isdisjoint(near)
            if layers and (not cell.key or cell.name in parts[-1:]):
                belongs.append((role.split(":")[0], path))
        roles, expected = [role for role, _ in belongs], _ROLES[: 2 + cell.biased]
        if sorted(roles) != sorted(expected):
            raise DataError(describe(f"weights of '{name}'", ", ".join(roles) or "none", ", ".join(expected)))
        paths = dict(belongs)
        return [(f"{name}/{paths[role]}", _floats(name, self._groups[name][paths[role]])) for role in expected]

    def _names(self, name: str) -> list[str]:
        if name not in self._groups:
            return []
        names = self._groups[name].attrs.get("weight_names", [])
        return [path.decode() if isinstance(path, bytes) else str(path) for path in names]


def _layers(config: Any, weights: _ByPlace | _ByName) -> dict[str, LayerWeights]:
    inside = config["config"]
    layer_configs = (
        inside if isinstance(inside, list) else inside.get("layers")
    )  # a list: a Sequential before Keras 2.2.3
    if layer_configs is None:
        fix = "Take the arrays of a layer with layer.get_weights() and give them to from_keras."
        raise DataError(describe("class of the model", config["class_name"], "Sequential or Functional", fix))
    layers: dict[str, LayerWeights] = {}
    read: set[str] = set()
    inputs = {name_of(layer) for layer in layer_configs if layer["class_name"] == "InputLayer"}
    for layer, key in zip(layer_configs, group_names(layer_configs), strict=True):
        name, cells = name_of(layer), cells_of(layer)
        if cells:
            check_states(layer, inputs)
        for number, sides in enumerate(cells):
            arrays = [weights.cell(name, key, side) for side in sides]
            read |= {path for side in arrays for path, _ in side}
            numbered = name if len(cells) == 1 else f"{name}.{number}"
            layers[numbered] = _layer(name, sides, [[array for _, array in side] for side in arrays])
    for path in weights.paths():
        if path not in read and looks_recurrent(path):
            fix = "Take the arrays of its layer with get_weights() and give them to from_keras."
            raise DataError(describe("weights of a recurrent cell", path, f"{', '.join(CLASSES)} of Keras alone", fix))
    if not layers:
        raise DataError(describe("layers", "no recurrent one", f"one or more of {', '.join(CLASSES)}"))
    return layers


def _layer(name: str, sides: list[KerasCell], arrays: list[list[Array]]) -> LayerWeights:
    try:
        directions = [keras_direction(side, sides[0].cell) for side in arrays]
        for direction in directions:  # zeros for a half without biases next to one with biases
            for role in {role for other in directions for role in other if role.startswith("bias_")}:
                rows = direction["weight_ih"]
                direction.setdefault(role, np.zeros(len(rows), rows.dtype))
        return LayerWeights(sides[0].cell, tuple(directions))
    except InputError as error:
        raise DataError(f"'{name}': {error}") from error


def _floats(name: str, held: Any) -> Array:
    array = np.array(held)
    if array.dtype.name not in ("float16", "float32", "float64"):
        got = held.attrs.get("dtype", str(array.dtype))
        raise DataError(describe(f"type of the weights of '{name}'", got, "float16, float32 or float64"))
    return array
