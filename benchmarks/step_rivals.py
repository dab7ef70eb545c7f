"""Ways to run one step of one stream from Python: Rekur's stepper, torch.nn's layers and cells, ONNX Runtime.

Each rival takes inputs of its own kind, made beforehand, and carries its state from step to step.

Axes: I input, G gates, H hidden.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from rekur._stepper import Precision, StepLayer, Stepper

Array = np.ndarray[Any, Any]
LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
#: our name of each precision, and how far an output, which is below 1, may be from float64's
PRECISIONS: dict[str, tuple[Precision, float]] = {
    "rekur": ("float32", 1e-5),
    "rekur bf16": ("bfloat16", 3e-2),
    "rekur int8": ("int8", 3e-2),
}
EXACT = 1e-5
#: where ONNX has the blocks of torch's gates (r z n; i f g o)
ONNX_ORDER = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}


class Rival(NamedTuple):
    """One way to step.

    Attributes:
        step: takes an input and gives the output; the state goes on.
        inputs: what it steps through.
        read: gives the output as an array.
        tolerance: how far an output may be from float64's.
    """

    step: Callable[[Any], Any]
    inputs: Sequence[Any]
    read: Callable[[Any], Array]
    tolerance: float


def reference(kind: str, hidden: int, steps: int) -> tuple[nn.RNNBase, Array, Array]:
    """Return a layer, inputs (steps, I) and the outputs (steps, H) that float64 gives."""
    layer = LAYERS[kind](hidden, hidden)
    x = torch.randn(steps, hidden)
    exact = LAYERS[kind](hidden, hidden).double()
    exact.load_state_dict(layer.state_dict())
    with torch.inference_mode():
        wanted = exact(x.double()[:, None])[0][:, 0]
    return layer, x.numpy(), wanted.numpy()


def step_layer(kind: str, layer: nn.RNNBase) -> StepLayer:
    """Return a layer as the stepper takes it."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = [getattr(layer, name).detach().numpy() for name in names]
    return StepLayer("tanh" if kind == "rnn" else kind, *weights)


def rekur(kind: str, layer: nn.RNNBase, x: Array, name: str) -> Rival:
    """Return our stepper with one slot."""
    precision, tolerance = PRECISIONS[name]
    step_one = Stepper([step_layer(kind, layer)], precision=precision).step_one
    return Rival(lambda row: step_one(0, row), list(x), np.copy, tolerance)


def torch_layer(kind: str, layer: nn.RNNBase, x: Array) -> Rival:
    """Return the layer itself on one step."""
    state: Any = None

    def step(row: torch.Tensor) -> torch.Tensor:
        nonlocal state
        y, state = layer(row, state)
        return y

    return Rival(step, list(torch.from_numpy(x)[:, None, None]), lambda y: y.numpy().reshape(-1), EXACT)


def torch_cell(kind: str, layer: nn.RNNBase, x: Array) -> Rival:
    """Return the cell of the same weights."""
    cell = CELLS[kind](layer.input_size, layer.hidden_size)
    cell.load_state_dict({name.removesuffix("_l0"): tensor for name, tensor in layer.state_dict().items()})
    state: Any = None

    def step(row: torch.Tensor) -> torch.Tensor:
        nonlocal state
        state = cell(row, state)
        return state[0] if kind == "lstm" else state

    return Rival(step, list(torch.from_numpy(x)[:, None]), lambda y: y.numpy().reshape(-1), EXACT)


def why_no_onnx() -> str:
    """Return why ONNX Runtime cannot be measured, or an empty string."""
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


def onnx_graph(kind: str, layer: nn.RNNBase) -> bytes:
    """Return a graph of one node: one step of one row, state in and out."""
    from onnx import TensorProto, helper, numpy_helper

    size, order = layer.hidden_size, ONNX_ORDER[kind]

    def blocks(name: str) -> Array:
        weight = getattr(layer, name).detach().numpy()
        return np.concatenate([weight[size * gate : size * (gate + 1)] for gate in order])

    weights = {
        "W": blocks("weight_ih_l0")[None],
        "R": blocks("weight_hh_l0")[None],
        "B": np.concatenate([blocks("bias_ih_l0"), blocks("bias_hh_l0")])[None],
    }
    states = ["h", "c"] if kind == "lstm" else ["h"]
    options = {"linear_before_reset": 1} if kind == "gru" else {}
    inputs = ["X", "W", "R", "B", "", *(f"{name}0" for name in states)]
    outputs = ["", *(f"{name}1" for name in states)]
    node = helper.make_node(kind.upper(), inputs, outputs, hidden_size=size, **options)

    def tensor(name: str, width: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, width])

    graph = helper.make_graph(
        [node],
        "step",
        [tensor("X", layer.input_size), *(tensor(f"{name}0", size) for name in states)],
        [tensor(f"{name}1", size) for name in states],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=9)
    return bytes(model.SerializeToString())


def onnx_session(kind: str, layer: nn.RNNBase) -> Any:
    """Return a session of ONNX Runtime that uses one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(onnx_graph(kind, layer), options, providers=["CPUExecutionProvider"])


def onnx_run(kind: str, layer: nn.RNNBase, x: Array) -> Rival:
    """Return ONNX Runtime as one calls it: arrays in, arrays out."""
    run = onnx_session(kind, layer).run
    zeros = np.zeros((1, 1, layer.hidden_size), np.float32)
    feed = {"h0": zeros, "c0": zeros} if kind == "lstm" else {"h0": zeros}
    wanted = ["h1", "c1"] if kind == "lstm" else ["h1"]

    def step(row: Array) -> Array:
        feed["X"] = row
        for name, array in zip(feed, run(wanted, feed), strict=False):
            feed[name] = array
        return feed["h0"]

    return Rival(step, list(x[:, None, None]), lambda y: y.reshape(-1), EXACT)


def onnx_bound(kind: str, layer: nn.RNNBase, x: Array) -> Rival:
    """Return ONNX Runtime on memory bound beforehand: two bindings, each of whose states the other one reads."""
    import onnxruntime

    session = onnx_session(kind, layer)
    size, names = layer.hidden_size, ("h", "c") if kind == "lstm" else ("h",)
    row_buffer = np.zeros((1, 1, layer.input_size), np.float32)
    states = [{name: np.zeros((1, 1, size), np.float32) for name in names} for _ in range(2)]
    given = onnxruntime.OrtValue.ortvalue_from_numpy(row_buffer)
    values = [{name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in s.items()} for s in states]
    bindings = []
    for before, after in (values, values[::-1]):
        binding = session.io_binding()
        binding.bind_ortvalue_input("X", given)
        for name in names:
            binding.bind_ortvalue_input(f"{name}0", before[name])
            binding.bind_ortvalue_output(f"{name}1", after[name])
        bindings.append(binding)
    turn, run = 0, session.run_with_iobinding

    def step(row: Array) -> Array:
        nonlocal turn
        row_buffer[...] = row
        run(bindings[turn])
        turn = 1 - turn
        return states[turn]["h"]

    return Rival(step, list(x[:, None, None]), lambda y: y.reshape(-1).copy(), EXACT)


def rivals(kind: str, layer: nn.RNNBase, x: Array, *, onnx: bool) -> dict[str, Rival]:
    """Return every way to step this layer, by name."""
    found = {name: rekur(kind, layer, x, name) for name in PRECISIONS}
    found |= {"torch layer": torch_layer(kind, layer, x), "torch cell": torch_cell(kind, layer, x)}
    if onnx:
        found |= {"onnx run": onnx_run(kind, layer, x), "onnx bound": onnx_bound(kind, layer, x)}
    return found
