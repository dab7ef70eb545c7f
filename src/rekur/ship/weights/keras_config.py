"""What the config of a Keras model says of its recurrent layers: which weights belong to which cell, and what it is."""

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
        side: ``forward_layer`` or ``backward_layer`` inside Bidirectional, else nothing.
        layers: names that the layer which runs it may have in the paths of weights; empty for all.
        key: where it stands in StackedRNNCells, else nothing.
        name: of the cell; nothing for that of a SimpleRNN, LSTM or GRU.
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
    """Return whether a layer is Keras's own, and none that a user's class of any name has made."""
    module = layer.get("module", "keras")  # Keras 2 says none of its own; of classes that are unknown to it 3 says None
    own = str(module).split(".")[0] in ("keras", "keras_core", "tf_keras")
    return own and layer.get("registered_name") in (None, "", layer["class_name"])


def group_names(layers: Any) -> list[str]:
    """Return the groups of layers in the weights of a ``.keras`` file: after the class, whatever a layer is called."""
    names, counts = [], dict[str, int]()
    for layer in layers:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", layer["class_name"]).lower()
        count = counts[snake] = counts.get(snake, -1) + 1
        names.append(f"{snake}_{count}" if count else snake)
    return names


def cells_of(layer: Config) -> list[list[KerasCell]]:
    """Return the cells of a layer over one another, each in one direction or both; none if it is not recurrent.

    Raises:
        DataError: it has options, cells or layers inside that Rekur does not read.
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
    """Raise unless a layer begins with zeros, or with states that are inputs of the model.

    Args:
        layer: a recurrent layer.
        inputs: the names of the model's inputs.
    """
    for node in layer.get("inbound_nodes") or ():
        if isinstance(node, Mapping):  # Keras 3: a call with its arguments
            states = [node.get("args", ())[1:2], node.get("kwargs", {}).get("initial_state")]
        else:  # Keras 2: what is read, the sequences first; states follow, or are named
            states = [*node[1:], *(call[3].get("initial_state") for call in node if len(call) > 3)]
        for origin in _origins(states):
            if origin not in inputs:
                fix = "Rekur's layers begin with zeros, or with the state that they are given."
                got = origin if origin == _CONSTANT else f"what '{origin}' gives"
                raise DataError(
                    describe(f"initial_state of '{name_of(layer)}'", got, "none, or inputs of the model", fix)
                )


def looks_recurrent(path: str) -> bool:
    """Return whether the path of a weight is one of a recurrent cell.

    Example:
        >>> looks_recurrent("blocks/ears/cell/vars/0"), looks_recurrent("dense/kernel:0")
        (True, False)
    """
    parts = path.split("/")
    random = "seed_generator" in path
    return not random and (bool({"cell", "cells"} & {*parts}) or "recurrent_kernel" in parts[-1] or "_cell" in path)


def _both(layer: Config, name: str) -> list[KerasCell]:
    """Return the cells of both halves, which may be said apart."""
    config = layer["config"]
    if config.get("merge_mode") != "concat":
        raise DataError(describe(f"merge_mode of '{name}'", config.get("merge_mode"), "'concat'"))
    pair: list[KerasCell] = []
    forward = config["layer"]
    for side, half, backwards in (
        ("forward_layer", forward, False),
        ("backward_layer", config.get("backward_layer") or forward, True),
    ):
        place = f"{side} of '{name}'"
        if half["class_name"] not in CLASSES or not is_own(half):
            raise DataError(describe(f"class of the {place}", half["class_name"], f"one of {', '.join(CLASSES)}"))
        said = half is not forward or not backwards  # where only one is said, the other reads the other way
        if said and bool(half["config"].get("go_backwards")) != backwards:
            raise DataError(describe(f"go_backwards of the {place}", not backwards, str(backwards)))
        cells = _cells(half, place, side)
        if len(cells) > 1:
            raise DataError(describe(f"cells of the {place}", len(cells), "1; in two directions they are no layers"))
        pair += cells
    if pair[0].cell != pair[1].cell:
        raise DataError(describe(f"cells of '{name}'", f"{pair[0].cell} and {pair[1].cell}", "the same in both halves"))
    return pair


def _cells(layer: Config, name: str, side: str = "") -> list[KerasCell]:
    """Return the cells of a layer of one direction, one over the other."""
    kind, config = layer["class_name"], layer["config"]
    shown = name if side else f"'{name}'"
    own = str(config.get("name", ""))
    # Keras 3 says the names that the halves have, Keras 2 that of the layer alone; write_keras names the side
    layers = (own, f"{side.split('_')[0]}_{own}", side) if side else ()
    if kind in _KINDS:
        return [KerasCell(side, layers, "", "", _cell(config, kind, shown), bool(config.get("use_bias", True)))]
    inner = config["cell"]
    stacked = inner["class_name"] == "StackedRNNCells" and is_own(inner)
    given = inner["config"]["cells"] if stacked else [inner]
    keys = group_names(given) if stacked else [""]
    cells = []
    for key, one in zip(keys, given, strict=True):
        if one["class_name"] not in _CELLS or not is_own(one):
            expected = f"one of {', '.join(_CELLS)} of Keras"
            raise DataError(describe(f"cell of {shown}", one["class_name"], expected))
        options = one["config"]
        cell = _cell(options, _CELLS[one["class_name"]], shown)
        cells.append(KerasCell(side, layers, key, name_of(one), cell, bool(options.get("use_bias", True))))
    return cells


def _cell(options: Config, kind: str, shown: str) -> str:
    """Return which of Rekur's cells a layer has."""
    functions = {"activation": ("tanh", "relu") if kind == "SimpleRNN" else ("tanh",)}
    if kind != "SimpleRNN":
        functions["recurrent_activation"] = ("sigmoid",)
    for option, allowed in functions.items():
        if options[option] not in allowed:
            expected = " or ".join(f"'{one}'" for one in allowed)
            raise DataError(describe(f"{option} of {shown}", options[option], expected))
    if kind == "SimpleRNN":
        return "rnn" if options["activation"] == "tanh" else "rnn_relu"
    # the first versions of Keras had no such option, and reset before
    return "lstm" if kind == "LSTM" else "gru" if options.get("reset_after", False) else "gru_reset_before"


def _recurrent_parts(layer: Config) -> Iterator[str]:
    """Yield the classes of a layer, and of those inside it, that are recurrent."""
    kind, config = layer["class_name"], layer.get("config")
    marked = isinstance(config, Mapping) and any(option in config for option in _OPTIONS)
    if _NAMES.search(kind) or marked:
        yield kind
    for part in _parts(config):
        for inner in _recurrent_parts(part):
            yield f"{kind} around {inner}"


def _parts(config: Any) -> Iterator[Config]:
    """Yield the objects with a class that a config holds."""
    if isinstance(config, Mapping) and isinstance(config.get("class_name"), str):
        yield config
    elif isinstance(config, Mapping | list | tuple):
        for value in config.values() if isinstance(config, Mapping) else config:
            yield from _parts(value)


def _origins(states: Any) -> Iterator[str]:
    """Yield the names of the layers whose outputs are given as states."""
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
