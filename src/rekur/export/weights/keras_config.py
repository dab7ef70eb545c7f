"""The recurrent layers in the config of a Keras model: their cells, and the names of their weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rekur.errors import DataError, describe

Config = Mapping[str, Any]

#: class of a layer or of its cell -> the kind of cell
_KINDS = {"SimpleRNN": "SimpleRNN", "LSTM": "LSTM", "GRU": "GRU"}
_CELLS = {f"{name}Cell": name for name in _KINDS}
CLASSES = (*_KINDS, "RNN")
#: names of classes, of weights and of options that recurrent layers have
_NAMES = re.compile(r"RNN|Rnn|LSTM|Lstm|GRU|Gru(?![a-z])|[Rr]ecurrent")
_OPTIONS = ("return_sequences", "go_backwards")
_CONSTANT = "a constant"


@dataclass(frozen=True)
class KerasCell:
    """One cell of one direction.

    Args:
        side: ``forward_layer`` or ``backward_layer`` inside Bidirectional, else empty.
        layers: possible names of its layer in the paths of weights; empty for any.
        key: its group in StackedRNNCells, else empty.
        name: of the cell; empty for SimpleRNN, LSTM and GRU.
        cell: ``rnn``, ``rnn_relu``, ``lstm``, ``gru`` or ``gru_reset_before``.
        biased: whether it has biases.
    """

    side: str
    layers: tuple[str, ...]
    key: str
    name: str
    cell: str
    biased: bool


def name_of(layer: Config) -> str:
    """Return the name of a layer."""
    return str(layer["config"].get("name", layer["class_name"]))


def is_own(layer: Config) -> bool:
    """Return whether the class of a layer is Keras's own, not a user's with the same name."""
    module = layer.get("module", "keras")  # Keras 2 omits it for its own classes; Keras 3 has None for unknown ones
    from_keras = str(module).split(".")[0] in ("keras", "keras_core", "tf_keras")
    return from_keras and layer.get("registered_name") in (None, "", layer["class_name"])


def group_names(layers: Any) -> list[str]:
    """Return the group of each layer in the weights of a ``.keras`` file, which is named after the layer's class."""
    names, counts = [], dict[str, int]()
    for layer in layers:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", layer["class_name"]).lower()
        count = counts[snake] = counts.get(snake, -1) + 1
        names.append(f"{snake}_{count}" if count else snake)
    return names


def cells_of(layer: Config) -> list[list[KerasCell]]:
    """Return the stacked cells of a layer, each in one direction or both; empty if it is not recurrent.

    Raises:
        DataError: Rekur does not read its options, its cells or the layers inside it.
    """
    kind, name = layer["class_name"], name_of(layer)
    if kind == "Bidirectional" and is_own(layer):
        return [_both(layer, name)]
    if kind in CLASSES and is_own(layer):
        if layer["config"].get("go_backwards"):
            raise DataError(describe(f"go_backwards of '{name}'", True, "False, or a layer inside Bidirectional"))
        return [[cell] for cell in _cells(layer, name)]
    for got in _recurrent_parts(layer):
        fix = (
            "Take its arrays with get_weights() and give them to from_keras; models inside a model can be saved alone."
        )
        expected = f"{', '.join(CLASSES)} of Keras, alone or inside Bidirectional"
        raise DataError(describe(f"class of '{name}'", got, expected, fix))
    return []


def check_states(layer: Config, inputs: Collection[str]) -> None:
    """Raise unless the initial states of a layer are zeros, or inputs of the model.

    Args:
        layer: a recurrent layer.
        inputs: the names of the model's inputs.
    """
    for node in layer.get("inbound_nodes") or ():
        if isinstance(node, Mapping):  # Keras 3: a call with its arguments
            states = [node.get("args", ())[1:2], node.get("kwargs", {}).get("initial_state")]
        else:  # Keras 2: the inputs, first the sequences, then the states, or states by name
            states = [*node[1:], *(call[3].get("initial_state") for call in node if len(call) > 3)]
        for origin in _origins(states):
            if origin not in inputs:
                fix = "Rekur's layers begin with zeros, or with a state from the caller."
                got = origin if origin == _CONSTANT else f"the output of '{origin}'"
                raise DataError(
                    describe(f"initial_state of '{name_of(layer)}'", got, "none, or inputs of the model", fix)
                )


def looks_recurrent(path: str) -> bool:
    """Return whether the path of a weight belongs to a recurrent cell.

    Example:
        >>> looks_recurrent("blocks/ears/cell/vars/0"), looks_recurrent("dense/kernel:0")
        (True, False)
    """
    parts = path.split("/")
    random = "seed_generator" in path
    return not random and (bool({"cell", "cells"} & {*parts}) or "recurrent_kernel" in parts[-1] or "_cell" in path)


def _both(layer: Config, name: str) -> list[KerasCell]:
    """Return the cells of both halves of a Bidirectional; the config may describe only the forward half."""
    config = layer["config"]
    if config.get("merge_mode") != "concat":
        raise DataError(describe(f"merge_mode of '{name}'", config.get("merge_mode"), "'concat'"))
    pair: list[KerasCell] = []
    forward = config["layer"]
    for side, half, backwards in (
        ("forward_layer", forward, False),
        ("backward_layer", config.get("backward_layer") or forward, True),
    ):
        label = f"{side} of '{name}'"
        if half["class_name"] not in CLASSES or not is_own(half):
            raise DataError(describe(f"class of the {label}", half["class_name"], f"one of {', '.join(CLASSES)}"))
        described = half is not forward or not backwards  # without a config of its own, the other half is reversed
        if described and bool(half["config"].get("go_backwards")) != backwards:
            raise DataError(describe(f"go_backwards of the {label}", not backwards, str(backwards)))
        cells = _cells(half, label, side)
        if len(cells) > 1:
            raise DataError(describe(f"cells of the {label}", len(cells), "1 inside Bidirectional"))
        pair += cells
    if pair[0].cell != pair[1].cell:
        raise DataError(describe(f"cells of '{name}'", f"{pair[0].cell} and {pair[1].cell}", "the same in both halves"))
    return pair


def _cells(layer: Config, name: str, side: str = "") -> list[KerasCell]:
    """Return the stacked cells of a layer of one direction."""
    kind, config = layer["class_name"], layer["config"]
    shown = name if side else f"'{name}'"
    layer_name = str(config.get("name", ""))
    # Keras 3 gives the names of the halves, Keras 2 only that of the layer; write_keras names the side
    layers = (layer_name, f"{side.split('_')[0]}_{layer_name}", side) if side else ()
    if kind in _KINDS:
        return [KerasCell(side, layers, "", "", _cell(config, kind, shown), bool(config.get("use_bias", True)))]
    inner = config["cell"]
    stacked = inner["class_name"] == "StackedRNNCells" and is_own(inner)
    inner_cells = inner["config"]["cells"] if stacked else [inner]
    keys = group_names(inner_cells) if stacked else [""]
    cells = []
    for key, cell_config in zip(keys, inner_cells, strict=True):
        if cell_config["class_name"] not in _CELLS or not is_own(cell_config):
            expected = f"one of {', '.join(_CELLS)} of Keras"
            raise DataError(describe(f"cell of {shown}", cell_config["class_name"], expected))
        options = cell_config["config"]
        cell = _cell(options, _CELLS[cell_config["class_name"]], shown)
        cells.append(KerasCell(side, layers, key, name_of(cell_config), cell, bool(options.get("use_bias", True))))
    return cells


def _cell(options: Config, kind: str, shown: str) -> str:
    """Return which of Rekur's cells a layer has."""
    functions = {"activation": ("tanh", "relu") if kind == "SimpleRNN" else ("tanh",)}
    if kind != "SimpleRNN":
        functions["recurrent_activation"] = ("sigmoid",)
    for option, allowed in functions.items():
        if options[option] not in allowed:
            expected = " or ".join(f"'{name}'" for name in allowed)
            raise DataError(describe(f"{option} of {shown}", options[option], expected))
    if kind == "SimpleRNN":
        return "rnn" if options["activation"] == "tanh" else "rnn_relu"
    # the first versions of Keras had no such option, and reset before the product
    return "lstm" if kind == "LSTM" else "gru" if options.get("reset_after", False) else "gru_reset_before"


def _recurrent_parts(layer: Config) -> Iterator[str]:
    """Yield the recurrent classes of a layer and of the layers inside it."""
    kind, config = layer["class_name"], layer.get("config")
    marked = isinstance(config, Mapping) and any(option in config for option in _OPTIONS)
    if _NAMES.search(kind) or marked:
        yield kind
    for part in _parts(config):
        for inner in _recurrent_parts(part):
            yield f"{kind} around {inner}"


def _parts(config: Any) -> Iterator[Config]:
    """Yield the layer configs inside a config."""
    if isinstance(config, Mapping) and isinstance(config.get("class_name"), str):
        yield config
    elif isinstance(config, Mapping | list | tuple):
        for value in config.values() if isinstance(config, Mapping) else config:
            yield from _parts(value)


def _origins(states: Any) -> Iterator[str]:
    """Yield the names of the layers whose outputs are initial states."""
    if isinstance(states, Mapping):
        history = states.get("config", {}).get("keras_history")
        yield str(history[0]) if history else _CONSTANT
    elif isinstance(states, list | tuple) and states and isinstance(states[0], str):
        yield states[0]
    elif isinstance(states, list | tuple):
        for state in states:
            yield from _origins(state)
    elif states is not None:
        yield _CONSTANT
