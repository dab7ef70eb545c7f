"""Recurrent nodes of ONNX models: each is read with all that it has, or refused by name.

Axes: B batch, T time, D input features, H hidden, G gates.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur.cells import make_cell
from rekur.errors import DataError, InputError, ShapeError
from rekur.export.weights import (
    LayerWeights,
    from_node,
    read_nodes,
    to_keras,
    to_node,
    to_stack,
    to_torch,
    write_nodes,
)
from rekur.nn import Layer, Recurrent

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
helper, from_array = onnx.helper, onnx.numpy_helper.from_array

Array = np.ndarray[Any, Any]
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
KINDS = sorted(GATES)
D, H = 3, 4


def outputs(layer: LayerWeights, x: Array) -> tuple[Array, Array]:
    """Return what rekur.nn gives with these weights: outputs (T, directions, B, H), last h (directions, B, H)."""
    sides = []
    for place, arrays in enumerate(layer.directions):
        bias = {"bias": layer.biased}
        cell = make_cell(layer.cell, layer.input_size, layer.hidden_size, **bias)
        cell.load_state_dict({role: torch.from_numpy(np.array(array, np.float32)) for role, array in arrays.items()})
        side = Layer(cell, reverse=layer.reverse or place == 1)
        with torch.no_grad():
            y, (h, *_) = side(torch.from_numpy(x.transpose(1, 0, 2).copy()))
        sides.append((y.numpy().transpose(1, 0, 2), h.numpy()))
    return np.stack([y for y, _ in sides], axis=1), np.stack([h for _, h in sides])


# ── ONNX's own cases ─────────────────────────────────────────────────────────────────────────────────────────────────


def node_cases() -> list[Any]:
    """Return the cases of ONNX's backend test for recurrent nodes, those of the installed package."""
    from onnx.backend.test.case import node as cases
    from onnx.backend.test.case.node import gru, lstm, rnn  # noqa: F401  importing them makes the cases

    return [case for case in cases._NodeTestCases if case.model.graph.node[0].op_type in GATES]


CASES = node_cases()


def test_there_are_cases_of_every_direction() -> None:
    names = " ".join(case.name for case in CASES)
    assert len(CASES) >= 18
    assert all(names.count(word) == 3 for word in ("reverse", "bidirectional", "batchwise"))


@pytest.mark.parametrize("everything", [False, True], ids=["weights", "all-but-x"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_cases_of_onnx(case: Any, everything: bool) -> None:
    """Their weights are inputs: read once they are initializers, with lengths and first states as given or not."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph, ((inputs, results),) = model.graph, case.data_sets
    with pytest.raises(DataError, match=r"^W of '\w+': got 'W, an input of the model'; expected a constant"):
        read_nodes(model)
    node, arrays = graph.node[0], dict(zip((one.name for one in graph.input), inputs, strict=True))
    for name, array in arrays.items():
        if name in "WRBP" or (everything and name != "X"):
            graph.initializer.append(from_array(array, name))
    (layer,) = read_nodes(model).values()
    batchwise = any(one.name == "layout" and one.i for one in node.attribute)
    x = arrays["X"].transpose(1, 0, 2) if batchwise else arrays["X"]
    y, h = outputs(layer, x)
    if batchwise:
        y, h = y.transpose(2, 0, 1, 3), h.transpose(1, 0, 2)
    wanted = dict(zip((name for name in node.output if name), results, strict=True))
    assert wanted.keys() & {"Y", "Y_h"}
    for name, ours in (("Y", y), ("Y_h", h)):
        if name in wanted:
            np.testing.assert_allclose(ours, wanted[name], rtol=1e-3, atol=1e-6)


# ── models that tests write ──────────────────────────────────────────────────────────────────────────────────────────


def weights_of(kind: str, count: int = 1, seed: int = 0, peepholes: bool = False) -> dict[str, Array]:
    rng, rows = np.random.default_rng(seed), GATES[kind] * H
    shapes = {"W": (count, rows, D), "R": (count, rows, H), "B": (count, 2 * rows)}
    if peepholes:
        shapes["P"] = (count, 3 * H)
    return {letter: rng.normal(0, 0.5, size=shape).astype(np.float32) for letter, shape in shapes.items()}


def model_of(
    nodes: list[Any],
    arrays: dict[str, Array],
    outputs: list[str],
    inputs: dict[str, tuple[Any, ...]] | None = None,
    functions: list[Any] | None = None,
    opset: int = 17,
) -> Any:
    """Return a checked model; inputs are X (T, B, D) and those that are given by name and shape."""
    shapes = {"X": ("T", "B", D), **(inputs or {})}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, 1, [None] * (3 if "_h" in name else 4)) for name in outputs],
        [from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions or [])


def layer_node(
    kind: str, *more: str, names: str = "WRB", output: str = "Y", name: str = "layer", **options: Any
) -> Any:
    reads = ["X", *(f"{letter}" for letter in names), *more]
    if kind == "GRU":
        options.setdefault("linear_before_reset", 1)
    return helper.make_node(kind, reads, [output], name=name, hidden_size=H, **options)


def run(model: Any, x: Array, **more: Array) -> Array:
    """Return what ONNX Runtime gives."""
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"X": x, **more})[0])


def same(one: LayerWeights, other: LayerWeights) -> None:
    assert (one.cell, one.reverse) == (other.cell, other.reverse)
    for ours, theirs in zip(one.directions, other.directions, strict=True):
        assert set(ours) == set(theirs)
        for role, array in ours.items():
            np.testing.assert_array_equal(array, theirs[role], err_msg=role)


# ── weights that nodes make of constants ─────────────────────────────────────────────────────────────────────────────

Way = Callable[[str, Array, str], tuple[list[Any], dict[str, Array]]]


def _identity(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    return [helper.make_node("Identity", [name], [made])], {name: array}


def _concat(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    first, second = np.array_split(array, 2, axis=1)
    node = helper.make_node("Concat", [name, f"{name}_more"], [made], axis=1)
    return [node], {name: first, f"{name}_more": second}


def _unsqueeze(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    if len(array) == 2:
        return _reshape(name, array, made)
    node = helper.make_node("Unsqueeze", [name, f"{name}_axes"], [made])
    return [node], {name: array[0], f"{name}_axes": np.array([0])}


def _squeeze(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    node = helper.make_node("Squeeze", [name, f"{name}_axes"], [made])
    return [node], {name: array[None], f"{name}_axes": np.array([0])}


def _reshape(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    node = helper.make_node("Reshape", [name, f"{name}_shape"], [made])
    return [node], {name: array.reshape(-1), f"{name}_shape": np.array(array.shape)}


def _slice(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    node = helper.make_node("Slice", [name, f"{name}_from", f"{name}_to", f"{name}_axes"], [made])
    padded = np.concatenate([array[:, :1], array], axis=1)
    ends = {"from": np.array([1]), "to": np.array([9999]), "axes": np.array([1])}
    return [node], {name: padded, **{f"{name}_{end}": value for end, value in ends.items()}}


def _transpose(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    return [helper.make_node("Transpose", [name], [made])], {name: array.T.copy()}


def _cast(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    to = helper.np_dtype_to_tensor_dtype(array.dtype)
    return [helper.make_node("Cast", [name], [made], to=to)], {name: array.astype(np.float64)}


def _sum(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    nodes = [
        helper.make_node("Mul", [name, f"{name}_two"], [f"{made}_twice"]),
        helper.make_node("Add", [f"{made}_twice", f"{name}_zero"], [made]),
    ]
    return nodes, {name: array / 2, f"{name}_two": np.full(1, 2, array.dtype), f"{name}_zero": 0 * array}


def _constant(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    return [helper.make_node("Constant", [], [made], value=from_array(array, name))], {}


def _stacked(name: str, array: Array, made: str) -> tuple[list[Any], dict[str, Array]]:
    """As PyTorch writes directions: each alone, sliced into gates, unsqueezed and put together."""
    parts: list[str] = []
    nodes: list[Any] = []
    for place in range(len(array)):
        nodes += [
            helper.make_node("Gather", [name, f"{name}_{place}"], [f"{made}_{place}"], axis=0),
            helper.make_node("Unsqueeze", [f"{made}_{place}", f"{name}_axes"], [f"{made}_{place}_up"]),
        ]
        parts.append(f"{made}_{place}_up")
    indices = {f"{name}_{place}": np.array(place) for place in range(len(array))}
    nodes.append(helper.make_node("Concat", parts, [made], axis=0))
    return nodes, {name: array, f"{name}_axes": np.array([0]), **indices}


WAYS: dict[str, Way] = {
    way.__name__[1:]: way
    for way in (
        *(_identity, _concat, _unsqueeze, _squeeze, _reshape, _slice, _transpose, _cast, _sum, _constant, _stacked),
    )
}


def written(kind: str, arrays: dict[str, Array], ways: dict[str, list[str]], **options: Any) -> Any:
    """Return a model whose weights come in these ways, one behind the other."""
    nodes, initializers = [], {}
    for letter, array in arrays.items():
        # the last way gives what the layer reads; of each way's first array another way makes the constant
        waiting: list[tuple[str, Array]] = [(letter, array)]
        for depth, way in enumerate(ways.get(letter, [])):
            made, value = waiting.pop()
            before, more = WAYS[way](f"{letter}{depth}", value, made)
            nodes = before + nodes
            if f"{letter}{depth}" not in more:  # a Constant ends the chain
                initializers |= more
                break
            waiting.append((f"{letter}{depth}", more.pop(f"{letter}{depth}")))
            initializers |= more
        initializers |= dict(waiting)
    names = ["W", "R", "B"] + (["", "", "", "P"] if "P" in arrays else [])
    return model_of([*nodes, layer_node(kind, names=names, **options)], initializers, ["Y"])


@pytest.mark.parametrize("letter", "WRBP")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_nodes_make(kind: str, way: str, letter: str) -> None:
    if letter == "P" and kind != "LSTM":
        pytest.skip("an LSTM alone has peepholes")
    for count, options in ((1, {}), (1, {"direction": "reverse"}), (2, {"direction": "bidirectional"})):
        arrays = weights_of(kind, count, peepholes=letter == "P")
        model = written(kind, arrays, {letter: [way]}, **options)
        onnx.checker.check_model(model)
        more = {"linear_before_reset": 1} if kind == "GRU" else {}
        same(read_nodes(model)["layer"], from_node(kind, arrays, {**more, **options}))


@draws(15)
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_any_chain_of_nodes_gives_what_runtime_runs(kind: str, data: st.DataObject) -> None:
    direction = data.draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    arrays = weights_of(kind, 1 + (direction == "bidirectional"), seed=data.draw(st.integers(0, 99)))
    chains = st.tuples(st.sampled_from(list(WAYS)), st.lists(st.sampled_from(["identity", "cast", "sum"]), max_size=3))
    ways = {letter: [first, *more] for letter in arrays for first, more in [data.draw(chains)]}
    model = written(kind, arrays, ways, direction=direction)
    x = np.random.default_rng(0).normal(size=(5, 2, D)).astype(np.float32)
    np.testing.assert_allclose(outputs(read_nodes(model)["layer"], x)[0], run(model, x), atol=1e-6)


def test_a_function_of_the_model() -> None:
    """A call of a function is what it stands for, also inside another one."""
    arrays = weights_of("LSTM")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    inner = helper.make_function(
        *("local", "Ears", ["x", "w", "r", "b"], ["y"]),
        [
            helper.make_node("Identity", ["b"], ["bias"]),
            helper.make_node("LSTM", ["x", "w", "r", "bias"], ["y"], hidden_size=H, name="ears"),
        ],
        opsets,
    )
    outer = helper.make_function(
        *("local", "Head", ["x", "w", "r", "b"], ["y"]),
        [helper.make_node("Ears", ["x", "w", "r", "b"], ["y"], domain="local")],
        opsets,
    )
    nodes = [helper.make_node("Head", ["X", "W", "R", "B"], [name], domain="local") for name in ("Y", "Y2")]
    model = model_of(nodes, arrays, ["Y", "Y2"], functions=[inner, outer])
    onnx.checker.check_model(model)
    layers = read_nodes(model)
    assert len(layers) == 2
    for layer in layers.values():
        same(layer, from_node("LSTM", arrays))


def test_weights_in_few_numbers() -> None:
    """Sparse initializers, rows of one number, and older opsets, where axes are attributes."""
    arrays = weights_of("GRU")
    arrays["R"] = np.where(arrays["R"] > 1, arrays["R"], 0)
    wanted = from_node("GRU", {**arrays, "B": 0 * arrays["B"]}, {"linear_before_reset": 1})
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["B"]),
        helper.make_node("Unsqueeze", ["w"], ["W"], axes=[0]),
        helper.make_node("Slice", ["many"], ["R"], axes=[0], starts=[1], ends=[2]),
        layer_node("GRU"),
    ]
    given = {"shape": np.array([1, 6 * H]), "w": arrays["W"][0], "many": np.repeat(arrays["R"], 3, axis=0)}
    same(read_nodes(model_of(nodes, given, ["Y"], opset=9))["layer"], wanted)

    expand = helper.make_node("Expand", ["zero", "shape"], ["B"])
    del given["w"], given["many"]
    for flat in (True, False):
        model = model_of([expand, layer_node("GRU")], {**given, "W": arrays["W"], "zero": np.zeros(1, "f")}, ["Y"])
        places = np.flatnonzero(arrays["R"]) if flat else np.argwhere(arrays["R"])
        values = from_array(arrays["R"][arrays["R"] != 0], "R")
        model.graph.sparse_initializer.append(
            helper.make_sparse_tensor(values, from_array(places, "places"), arrays["R"].shape)
        )
        same(read_nodes(model)["layer"], wanted)


@pytest.mark.parametrize("opset", [13, 17, 21])
def test_weights_of_eight_bits(opset: int) -> None:
    """As quantised models have them: whole numbers, and a scale for each row."""
    arrays, scale = weights_of("GRU"), np.linspace(0.01, 0.02, 3 * H).astype(np.float32)
    whole = {letter: np.round(arrays[letter][0] / scale[:, None]).astype(np.int8) for letter in "WR"}
    nodes = [helper.make_node("DequantizeLinear", [f"w{k}", "scale"], [f"d{k}"], axis=0) for k in "WR"]
    nodes += [helper.make_node("Unsqueeze", [f"d{k}", "axes"], [k]) for k in "WR"]
    given = {"wW": whole["W"], "wR": whole["R"], "scale": scale, "axes": np.array([0]), "B": arrays["B"]}
    model = model_of([*nodes, layer_node("GRU")], given, ["Y"], opset=opset)
    wide = {letter: (whole[letter] * scale[:, None])[None] for letter in "WR"}
    same(read_nodes(model)["layer"], from_node("GRU", {**wide, "B": arrays["B"]}, {"linear_before_reset": 1}))


def test_bits_of_bfloat16_become_float32() -> None:
    arrays = weights_of("RNN")
    short = {name: helper.make_tensor(name, 16, a.shape, a.reshape(-1).tolist()) for name, a in arrays.items()}
    model = model_of([layer_node("RNN")], {}, ["Y"])
    model.graph.initializer.extend(short.values())
    layer = read_nodes(model)["layer"]
    assert {str(array.dtype) for array in layer.directions[0].values()} == {"float32"}
    np.testing.assert_allclose(layer.directions[0]["weight_ih"], arrays["W"][0], rtol=1e-2)


def test_two_layers_of_the_same_weights() -> None:
    arrays = weights_of("LSTM")
    nodes = [helper.make_node("Identity", [letter], [f"{letter}2"]) for letter in "WRB"]
    nodes += [layer_node("LSTM"), helper.make_node("LSTM", ["X", "W2", "R2", "B2"], ["Y2"], name="twin", hidden_size=H)]
    layers = read_nodes(model_of(nodes, arrays, ["Y", "Y2"]))
    assert list(layers) == ["layer", "twin"]
    same(layers["layer"], layers["twin"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("names", "ends", "expected"),
    [
        (["", ""], (["", "Y_h1"], ["", "Y_h2"]), ["Y_h1", "Y_h2"]),
        (["rnn", "rnn"], (["Y1"], ["Y2"]), ["rnn", "rnn_2"]),
        (["Y2", "", "Y2", "Y2"], (["Y1"], ["Y2"], ["Y3"], ["Y4"]), ["Y2", "Y2_2", "Y2_3", "Y2_4"]),
        (["", "a"], ([""], ["Y2"]), ["KIND", "a"]),
    ],
)
def test_names_that_are_missing_or_taken(kind: str, names: list[str], ends: Any, expected: list[str]) -> None:
    arrays = {f"{letter}{k}": a for k in range(len(names)) for letter, a in weights_of(kind, seed=k).items()}
    nodes = [
        helper.make_node(kind, ["X", f"W{k}", f"R{k}", f"B{k}"], ends[k], name=name, hidden_size=H)
        for k, name in enumerate(names)
    ]
    layers = read_nodes(model_of(nodes, arrays, [ends[-1][-1]]))
    assert list(layers) == [name.replace("KIND", kind) for name in expected]
    for k, layer in enumerate(layers.values()):
        same(layer, from_node(kind, weights_of(kind, seed=k)))


# ── first states and lengths ─────────────────────────────────────────────────────────────────────────────────────────


def with_state(kind: str, state: list[Any], arrays: dict[str, Array], **inputs: tuple[Any, ...]) -> Any:
    """Return a model whose first h, and c of an LSTM, is what nodes give as ``h``."""
    reads = ["", "h", "h"] if kind == "LSTM" else ["", "h"]
    return model_of([*state, layer_node(kind, *reads)], {**weights_of(kind), **arrays}, ["Y"], inputs)


def _node(kind: str, *reads: str, output: str = "h", **options: Any) -> Any:
    return helper.make_node(kind, reads, [output], **options)


_SHAPE = [
    _node("Shape", "X", output="shape"),
    _node("Gather", "shape", "one", output="batch"),
    _node("Concat", "one", "batch", "units", output="axes", axis=0),
]
_SIZES = {"one": np.array([1]), "units": np.array([H])}
ZERO_STATES: dict[str, tuple[list[Any], dict[str, Array]]] = {
    "initializer": ([], {"h": np.zeros((1, 1, H), np.float32)}),
    "ConstantOfShape": ([*_SHAPE, _node("ConstantOfShape", "axes")], _SIZES),
    "Expand": ([*_SHAPE, _node("Expand", "zero", "axes")], {**_SIZES, "zero": np.zeros((1, 1, 1), np.float32)}),
    "Concat": (
        [
            *_SHAPE,
            _node("ConstantOfShape", "axes", output="all"),
            _node("Concat", "all", "all", output="two", axis=0),
            _node("Slice", "two", "from", "to", output="cut"),
            _node("Identity", "cut"),
        ],
        {**_SIZES, "from": np.array([1]), "to": np.array([2])},
    ),
}


@pytest.mark.parametrize("way", ZERO_STATES)
@pytest.mark.parametrize("kind", KINDS)
def test_first_states_of_zeros(kind: str, way: str) -> None:
    model, batch = with_state(kind, *ZERO_STATES[way]), 1 if way == "initializer" else 3
    x = np.random.default_rng(0).normal(size=(5, batch, D)).astype(np.float32)
    np.testing.assert_allclose(outputs(read_nodes(model)["layer"], x)[0], run(model, x), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_first_states_that_come_from_outside(kind: str) -> None:
    shape = ("L", "B", H)
    both = [_node("Slice", "states", "from", "to", output="mine"), _node("Cast", "mine", to=1)]
    ends = {"from": np.array([1]), "to": np.array([2])}
    masked = [_node("Where", "fresh", "none", "states")]
    models = [
        with_state(kind, [], {}, h=shape),
        with_state(kind, both, ends, states=shape),
        with_state(kind, masked, {"none": np.zeros((1, 1, H), np.float32)}, fresh=(1, "B", 1), states=shape),
    ]
    for model in models:
        same(read_nodes(model)["layer"], read_nodes(model_of([layer_node(kind)], weights_of(kind), ["Y"]))["layer"])


LEARNED = np.full((1, 1, H), 0.7, np.float32)
LEARNED[..., 1:] = 0
OTHER_STATES: dict[str, tuple[list[Any], dict[str, Array], str]] = {
    "initializer": ([], {"h": LEARNED}, "numbers other than zero"),
    "Expand": ([*_SHAPE, _node("Expand", "first", "axes")], {**_SIZES, "first": LEARNED}, "h, which Expand computes"),
    "ConstantOfShape": (
        [*_SHAPE, _node("ConstantOfShape", "axes", value=from_array(np.ones(1, np.float32)))],
        _SIZES,
        "h, which ConstantOfShape computes",
    ),
    "ConstantOfShape of a scalar": (
        [*_SHAPE, _node("ConstantOfShape", "axes", value=from_array(np.float32(1)))],
        _SIZES,
        "h, which ConstantOfShape computes",
    ),
    "encoder": ([_node("ReduceMean", "X", axes=[0])], {}, "h, which ReduceMean computes"),
    "Where": (
        [_node("Greater", "X", "zero", output="some"), _node("Where", "some", "zero", "first")],
        {"zero": np.zeros(1, np.float32), "first": LEARNED},
        "h, which Where computes",
    ),
}


@pytest.mark.parametrize("way", OTHER_STATES)
@pytest.mark.parametrize("kind", KINDS)
def test_other_first_states_are_refused(kind: str, way: str) -> None:
    nodes, arrays, got = OTHER_STATES[way]
    with pytest.raises(DataError) as error:
        read_nodes(with_state(kind, nodes, arrays))
    assert str(error.value) == (
        f"initial_h of 'layer': got '{got}'; expected zeros, or an input of the model. "
        "Rekur's layers begin with zeros, or with a state from the caller."
    )


def test_the_second_state_of_an_lstm_is_looked_at_too() -> None:
    arrays = {**weights_of("LSTM"), "h": 0 * LEARNED, "c": LEARNED}
    with pytest.raises(DataError, match=r"^initial_c of 'layer': got 'numbers other than zero'"):
        read_nodes(model_of([layer_node("LSTM", "", "h", "c")], arrays, ["Y"]))


def test_lengths() -> None:
    def model(lengths: Array | None, steps: Any = 5) -> Any:
        arrays = weights_of("GRU") | ({} if lengths is None else {"lengths": lengths})
        made = model_of([layer_node("GRU", "lengths")], arrays, ["Y"], {"lengths": ("B",)} if lengths is None else {})
        made.graph.input[0].type.tensor_type.shape.dim[0].Clear()
        if steps is not None:
            made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = steps
        return made

    for lengths in (None, np.array([5, 5], np.int32)):
        assert list(read_nodes(model(lengths))) == ["layer"]
    for lengths, steps in (([5, 3], 5), ([4, 4], 5), ([5, 5], None)):
        with pytest.raises(DataError) as error:
            read_nodes(model(np.array(lengths, np.int32), steps))
        text = f"sequence_lens of 'layer': got 'the constants {lengths}'; expected an input of the model, or all steps"
        assert str(error.value).startswith(text)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("letter", "WRB")
def test_weights_that_are_no_constants(kind: str, letter: str) -> None:
    arrays = weights_of(kind)
    shape = arrays.pop(letter).shape
    rest = [_node("Identity", "X", output="unused"), layer_node(kind)]
    cases = [
        (rest, {letter: shape}, f"{letter}, an input of the model"),
        ([_node("Mul", "w", "w", output=letter), *rest], {"w": shape}, f"{letter}, which Mul computes"),
        (
            [_node("RandomNormal", output=letter, shape=list(shape)), *rest],
            {},
            f"{letter}, which RandomNormal computes",
        ),
        ([_node("Ours", output=letter, domain="local"), *rest], {}, f"{letter}, which Ours computes"),
        (rest, {}, f"{letter}, which nothing in the graph gives"),
    ]
    for nodes, inputs, got in cases:
        with pytest.raises(DataError) as error:
            read_nodes(model_of(nodes, arrays, ["Y"], inputs))
        assert str(error.value) == (
            f"{letter} of 'layer': got '{got}'; expected a constant, or what operators make of constants."
        )


def test_a_graph_that_reads_its_own_outputs(tmp_path: Path) -> None:
    nodes = [_node("Identity", "b", output="B"), _node("Add", "B", "B", output="b"), layer_node("RNN")]
    arrays = weights_of("RNN")
    del arrays["B"]
    with pytest.raises(DataError, match=r"^B of 'layer': got 'B, which Identity computes'"):
        read_nodes(model_of(nodes, arrays, ["Y"]))


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_and_shapes(kind: str) -> None:
    arrays = weights_of(kind)
    usual = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[kind]
    same(from_node(kind, arrays, {"activations": [name.lower() for name in usual]}), from_node(kind, arrays))
    same(from_node(kind, arrays, {"clip": float(np.finfo(np.float32).max)}), from_node(kind, arrays))
    same(from_node(kind, arrays, {"layout": 1}), from_node(kind, arrays))
    refused: list[tuple[dict[str, Any], str]] = [
        ({"activations": ["HardSigmoid", *usual[1:]]}, f"functions of the {kind}: got ['Hardsigmoid'"),
        ({"activations": [*usual[:-1], "Affine"]}, f"functions of the {kind}: got ["),
        ({"clip": 3.0}, f"clip of the {kind}: got 3.0; expected none"),
        ({"clip": 0.0}, f"clip of the {kind}: got 0.0; expected none"),
        ({"input_forget": 1}, f"input_forget of the {kind}: got 1; expected 0"),
        ({"zoneout": 0.1}, f"attribute of the {kind}: got 'zoneout'; expected one of 'direction'"),
        ({"direction": "bidirectional"}, f"W of the {kind}: got (1, "),
        ({"hidden_size": H + 1}, f"W of the {kind}: got (1, "),
    ]
    for attributes, text in refused:
        with pytest.raises(InputError) as error:
            from_node(kind, arrays, attributes)
        assert str(error.value).startswith(text), error.value
        attributes = {"hidden_size": H, **attributes}
        node = helper.make_node(kind, ["X", *"WRB"], ["Y"], name="layer", **attributes)
        with pytest.raises(DataError) as error:
            read_nodes(model_of([node], arrays, ["Y"]))
        assert str(error.value).startswith(f"'layer': {text}"), error.value
    with pytest.raises(ShapeError, match=r"^B of the \w+: got \(1, \d+\); expected \(1, \d+\), for 1 direction of 4"):
        from_node(kind, {**arrays, "B": arrays["B"][:, 1:]})
    with pytest.raises(InputError, match=rf"^input of the {kind}: got 'h'; expected one of 'W', 'R', 'B'"):
        from_node(kind, {**arrays, "h": LEARNED})
    with pytest.raises(InputError, match=r"^type of W: got 'int8'; expected numbers with a floating point"):
        from_node(kind, {**arrays, "W": arrays["W"].astype(np.int8)})
    with pytest.raises(InputError, match=r"^inputs of the \w+: got 'W'; expected R too"):
        from_node(kind, {"W": arrays["W"]})


def test_recurrent_nodes_in_other_places() -> None:
    arrays = weights_of("GRU")
    inside = helper.make_graph(
        [layer_node("GRU", output="y", name="gru")], "body", [], [helper.make_tensor_value_info("y", 1, [None] * 4)]
    )
    nodes = [
        _node("ReduceSum", "X", output="sum", keepdims=0),
        _node("Cast", "sum", output="some", to=9),
        helper.make_node("If", ["some"], ["Y"], name="choice", then_branch=inside, else_branch=inside),
    ]
    with pytest.raises(DataError) as error:
        read_nodes(model_of(nodes, arrays, ["Y"]))
    assert str(error.value) == "node 'gru': got 'GRU inside If 'choice''; expected recurrent nodes in the graph itself."
    beside = layer_node("GRU", name="plain", output="Y2")
    for kind, domain in (("DynamicQuantizeLSTM", "com.microsoft"), ("GRU", "local"), ("CustomRNN", "local")):
        other = helper.make_node(kind, ["X"], ["Y"], domain=domain, name="odd")
        with pytest.raises(DataError) as error:
            read_nodes(model_of([beside, other], arrays, ["Y"]))
        assert str(error.value).startswith(f"operator of 'odd': got '{domain}.{kind}'; expected one of RNN, LSTM, GRU")


def test_a_recurrence_written_as_a_scan() -> None:
    """Steps with a state and weights are a layer, whatever they are called; a loop without weights is none."""
    arrays = {**weights_of("GRU"), "U": np.eye(D, dtype=np.float32), "first": np.zeros((2, D), np.float32)}

    def scan(kind: str) -> Any:
        product = helper.make_node(
            "MatMul" if kind == "weights" else "Mul", ["h", "U" if kind == "weights" else "x"], ["u"]
        )
        steps = [product, helper.make_node("Add", ["u", "x"], ["next"]), helper.make_node("Identity", ["next"], ["y"])]
        infos = [
            [helper.make_tensor_value_info(name, 1, [None, D]) for name in names]
            for names in (("h", "x"), ("next", "y"))
        ]
        body = helper.make_graph(steps, "body", *infos)
        return helper.make_node("Scan", ["first", "X"], ["last", "Y2"], name="scan", num_scan_inputs=1, body=body)

    assert list(read_nodes(model_of([layer_node("GRU"), scan("none")], arrays, ["Y", "Y2"]))) == ["layer"]
    with pytest.raises(DataError, match=r"^operator of 'scan': got 'Scan'; expected one of RNN, LSTM, GRU of ONNX"):
        read_nodes(model_of([layer_node("GRU"), scan("weights")], arrays, ["Y", "Y2"]))


def test_files(tmp_path: Path) -> None:
    arrays = weights_of("LSTM")
    model = model_of([layer_node("LSTM")], arrays, ["Y"])
    onnx.save(model, tmp_path / "a.onnx", save_as_external_data=True, location="a.bin", size_threshold=0)
    same(read_nodes(tmp_path / "a.onnx")["layer"], from_node("LSTM", arrays))
    apart = onnx.load(tmp_path / "a.onnx", load_external_data=False)
    with pytest.raises(DataError, match=r"^data of 'W': got 'a separate file'; expected numbers in the model"):
        read_nodes(apart)
    (tmp_path / "a.bin").unlink()
    (tmp_path / "b.onnx").write_bytes(b"no model at all")
    for name in ("a.onnx", "b.onnx", "none.onnx"):
        with pytest.raises(DataError, match=rf"{name}: got '.+'; expected an ONNX model\."):
            read_nodes(tmp_path / name)
    onnx.save(model_of([_node("Relu", "X", output="Y")], {}, ["Y"]), tmp_path / "c.onnx")
    with pytest.raises(DataError, match=r"c\.onnx: nodes: got 'no recurrent one'; expected one or more of"):
        read_nodes(tmp_path / "c.onnx")
    with pytest.raises(InputError, match=r"^model: got 'bytes'; expected an onnx.ModelProto, or the path"):
        read_nodes(b"")


# ── what other libraries and we write ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_what_pytorch_exports(kind: str, tmp_path: Path) -> None:
    """Equal biases are one constant and an Identity; a batch that may vary makes zeros as it runs."""
    torch.manual_seed(0)
    net = getattr(torch.nn, kind)(D, H, num_layers=2, bidirectional=True, batch_first=True).eval()
    for name, parameter in net.named_parameters():
        if "bias" in name:
            parameter.data.fill_(0.5)
    x = torch.randn(3, 6, D)
    for number, more in enumerate(
        ({"dynamic_axes": {"x": {0: "batch", 1: "time"}}}, {"do_constant_folding": False}, {"opset_version": 7}, {})
    ):
        file = tmp_path / f"{number}.onnx"
        torch.onnx.export(net, (x,), str(file), dynamo=False, input_names=["x"], **more)
        layers = read_nodes(file)
        assert len(layers) == 2
        state = {name: torch.from_numpy(array) for name, array in to_torch(layers).items()}
        for name, parameter in net.state_dict().items():
            assert torch.equal(state[name], parameter), name


@pytest.mark.filterwarnings("ignore")
def test_a_learned_first_state_of_pytorch(tmp_path: Path) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.first = torch.nn.GRU(D, H), torch.nn.Parameter(torch.ones(1, 1, H))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.gru(x, self.first.expand(1, x.shape[1], H).contiguous())[0]

    for axes in ({}, {"x": {1: "batch"}}):
        file = tmp_path / f"{len(axes)}.onnx"
        names = {"input_names": ["x"], "dynamic_axes": axes}
        torch.onnx.export(Net().eval(), (torch.randn(5, 1, D),), str(file), dynamo=False, **names)
        with pytest.raises(DataError, match=r"initial_h of '/gru/GRU': got '.+'; expected zeros, or an input"):
            read_nodes(file)


@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "lstm", "lstm_peephole", "gru", "gru_reset_before"])
def test_a_layer_that_reads_backwards_alone(cell: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    arrays = {name: tensor.detach().numpy() for name, tensor in make_cell(cell, D, H).state_dict().items()}
    layer = LayerWeights(cell, (arrays,), reverse=True)
    kind, inputs, attributes = to_node(layer)
    assert attributes["direction"] == "reverse"
    same(from_node(kind, inputs, attributes), layer)
    second = Recurrent("gru", H, 2, bidirectional=True)
    write_nodes({"back": layer}, tmp_path / "one.onnx")
    same(read_nodes(tmp_path / "one.onnx")["back"], layer)
    model = onnx.load(tmp_path / "one.onnx")
    x = np.random.default_rng(0).normal(size=(2, 7, D)).astype(np.float32)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"input": x})
    ours, _ = outputs(layer, x.transpose(1, 0, 2))
    np.testing.assert_allclose(ours[:, 0].transpose(1, 0, 2), y, atol=1e-6)
    assert second.output_size == 4
    if cell in ("lstm_peephole", "gru_reset_before"):
        return
    for change in (to_torch, to_stack):
        with pytest.raises(
            InputError, match=r"^direction of the layer: got 'reverse'; expected a layer that reads for"
        ):
            change([layer])
    with pytest.raises(InputError, match=r"^direction of the layer: got 'reverse'; expected .* Keras has no layer"):
        to_keras(layer)


def test_layers_of_two_directions_have_the_same_weights() -> None:
    arrays = from_node("LSTM", weights_of("LSTM")).directions[0]
    bare = {role: array for role, array in arrays.items() if "bias" not in role}
    with pytest.raises(InputError) as error:
        LayerWeights("lstm", (arrays, bare))
    assert str(error.value) == (
        "weights of both directions: got 'bias_hh, bias_ih in one of them alone'; expected the same in both."
    )
    with pytest.raises(InputError, match=r"^reverse: got True; expected False for a layer of both directions"):
        LayerWeights("lstm", (arrays, arrays), reverse=True)
    with pytest.raises(InputError, match=r"^weight of a layer: got 'weight_xx'; expected one of 'weight_ih'"):
        LayerWeights("lstm", ({**arrays, "weight_xx": arrays["bias_ih"]},))
    with pytest.raises(InputError, match=r"^cell: got 'lstm'; expected 'lstm_peephole' for a layer with weight_ci"):
        LayerWeights("lstm", ({**arrays, "weight_ci": np.zeros(H)},))
    with pytest.raises(InputError, match=r"^weights of a layer: got '.+'; expected 'weight_ci' too"):
        LayerWeights("lstm_peephole", (arrays,))
