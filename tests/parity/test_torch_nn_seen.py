"""RNN, LSTM and GRU where PyTorch looks at what they do: traces, exports, transforms, fakes and counters."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from rekur import nn

torch.set_num_threads(1)

# TorchScript is on its way out, and its exporter warns of torch.nn's own layers too
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*TorchScript-based ONNX export:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:The tensor attributes self._flat_weights:UserWarning"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning"),
]

NAMES = ["RNN", "LSTM", "GRU"]
FORMS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "two layers of both directions": {"num_layers": 2, "bidirectional": True},
}
FORMS_LSTM = {**FORMS, "projected": {"num_layers": 2, "proj_size": 2}}
CASES = [(name, form) for name in NAMES for form in (FORMS_LSTM if name == "LSTM" else FORMS)]


def pair(name: str, form: str, **settings: Any) -> tuple[Any, Any]:
    """Return torch's layer and ours, made from one seed."""
    made = []
    for module in (torch.nn, nn):
        torch.manual_seed(7)
        made.append(getattr(module, name)(3, 4, batch_first=True, **FORMS_LSTM[form], **settings))
    return made[0].eval(), made[1].eval()


class Net(torch.nn.Module):
    """A model with a layer in it."""

    def __init__(self, rnn: torch.nn.Module, size: int) -> None:
        super().__init__()
        self.rnn, self.head = rnn, torch.nn.Linear(size, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0])  # type: ignore[no-any-return]


def nets(name: str, form: str) -> tuple[Net, Net]:
    theirs, ours = pair(name, form)
    size = (theirs.proj_size or 4) * (1 + theirs.bidirectional)
    torch.manual_seed(1)
    net = Net(ours, size)
    peer = Net(theirs, size)
    peer.load_state_dict(net.state_dict())
    return peer, net


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no grad"])
@pytest.mark.parametrize(("name", "form"), CASES)
def test_traces_and_scripts_run_at_other_sizes(name: str, form: str, grad: bool) -> None:
    peer, net = nets(name, form)
    x, other = torch.randn(2, 5, 3), torch.randn(3, 8, 3)
    with torch.set_grad_enabled(grad):
        trace = torch.jit.trace(net, x)
    for made in (trace, torch.jit.freeze(trace.eval()), torch.jit.script(net)):
        file = io.BytesIO()
        torch.jit.save(made, file)
        file.seek(0)
        for run in (made, torch.jit.load(file)):
            torch.testing.assert_close(run(other), peer(other))


def test_a_script_of_a_layer_with_a_forward_of_its_own_is_not_torchs() -> None:
    class Doubled(nn.GRU):
        def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> Any:
            output, state = super().forward(input, hx, lengths)
            return 2 * output, state

    with pytest.raises(Exception, match=r"Doubled|super|annotation"):
        torch.jit.script(Doubled(3, 4))


@pytest.mark.parametrize(("name", "form"), CASES)
def test_torch_fx_takes_a_layer_as_one_node(name: str, form: str) -> None:
    peer, net = nets(name, form)
    graph = torch.fx.symbolic_trace(net)
    assert [node.target for node in graph.graph.nodes if node.op == "call_module"] == ["rnn", "head"]
    assert type(graph.rnn) is type(net.rnn)
    x = torch.randn(3, 8, 3)
    torch.testing.assert_close(graph(x), peer(x))


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
@pytest.mark.parametrize(("name", "form"), CASES)
def test_make_fx_records_what_a_layer_does(name: str, form: str, mode: str) -> None:
    peer, net = nets(name, form)
    x, other = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    with torch.no_grad():
        graph = make_fx(net, tracing_mode=mode, _allow_non_fake_inputs=True)(x)
        torch.testing.assert_close(graph(other), peer(other))


def run_onnx(path: Path, x: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (given.name for given in session.get_inputs())
    result: np.ndarray[Any, Any] = session.run(None, {name: x.numpy()})[0]
    return torch.from_numpy(result)


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no grad"])
@pytest.mark.parametrize(("name", "form"), [case for case in CASES if case[1] != "projected"])
def test_the_script_exporter_writes_recurrent_nodes(name: str, form: str, grad: bool, tmp_path: Path) -> None:
    peer, net = nets(name, form)
    path = tmp_path / "net.onnx"
    axes = {"x": {0: "batch", 1: "time"}}
    with torch.set_grad_enabled(grad), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a batch size, as for torch.nn
        torch.onnx.export(net, (torch.randn(2, 5, 3),), path, dynamo=False, input_names=["x"], dynamic_axes=axes)
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert nodes.count(name) == net.rnn.num_layers
    x = torch.randn(2, 8, 3)
    torch.testing.assert_close(run_onnx(path, x), peer(x))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_newer_exporter_writes_recurrent_nodes(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    peer, net = nets(name, "two layers of both directions")
    path = tmp_path / "net.onnx"
    x = torch.randn(2, 5, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), path, dynamo=True, verbose=False)
    torch.testing.assert_close(run_onnx(path, x), peer(x))


def gradients(layer: Any, call: Callable[[Any, Tensor], Tensor], x: Tensor) -> list[Tensor]:
    leaf = x.clone().requires_grad_()
    wanted = [leaf, *layer.parameters()]
    return list(torch.autograd.grad(call(layer, leaf), wanted, materialize_grads=True))


@pytest.mark.parametrize(("name", "form"), CASES)
def test_function_transforms(name: str, form: str) -> None:
    theirs, ours = pair(name, form)
    x = torch.randn(2, 5, 3)

    def call(layer: Any, x: Tensor, weights: dict[str, Tensor] | None = None) -> Tensor:
        output = (layer(x) if weights is None else functional_call(layer, weights, (x,)))[0]
        return output.pow(2).sum()  # type: ignore[no-any-return]

    weights = {key: value.detach() for key, value in ours.named_parameters()}
    expected = gradients(theirs, call, x)
    both = torch.func.grad(lambda x, weights: call(ours, x, weights), argnums=(0, 1))(x, weights)
    torch.testing.assert_close([both[0], *both[1].values()], expected)
    value, pull = torch.func.vjp(lambda x: call(ours, x), x)
    torch.testing.assert_close(value, call(ours, x))
    torch.testing.assert_close(pull(torch.ones(()))[0], expected[0])
    torch.testing.assert_close(torch.func.jacrev(lambda x: call(ours, x))(x), expected[0])
    tangent = torch.randn_like(x)
    _, along = torch.func.jvp(lambda x: call(ours, x), (x,), (tangent,))
    torch.testing.assert_close(along, (expected[0] * tangent).sum())


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize(("name", "form"), CASES)
def test_forward_mode_differentiation(name: str, form: str, frozen: bool) -> None:
    _, ours = pair(name, form)
    ours.requires_grad_(not frozen)
    x, tangent, weight = torch.randn(2, 5, 3), torch.randn(2, 5, 3), torch.randn(2, 5, 1)
    for lengths in (None, [5, 2]):
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((ours(leaf, lengths=lengths)[0] * weight).sum(), leaf)
        with forward_ad.dual_level():
            dual = ours(forward_ad.make_dual(x, tangent), lengths=lengths)[0]
            along = forward_ad.unpack_dual(dual).tangent
            torch.testing.assert_close((along * weight).sum(), (gradient * tangent).sum())


@pytest.mark.parametrize("lengths", [None, [5, 2]], ids=["whole", "ragged"])
@pytest.mark.parametrize(("name", "form"), CASES)
def test_many_gradients_at_once(name: str, form: str, lengths: Any) -> None:
    _, ours = pair(name, form)
    x = torch.randn(2, 5, 3, requires_grad=True)
    output, _ = ours(x, lengths=lengths)
    wanted = [x, *ours.parameters()]
    grads = torch.randn(3, *output.shape)
    expected = [torch.autograd.grad(output, wanted, grad, retain_graph=True) for grad in grads]
    found = torch.autograd.grad(output, wanted, grads, is_grads_batched=True, retain_graph=True)
    torch.testing.assert_close(list(found), [torch.stack(each) for each in zip(*expected, strict=True)])
    mapped = torch.vmap(lambda grad: torch.autograd.grad(output, x, grad, retain_graph=True)[0])(grads)
    torch.testing.assert_close(mapped, found[0])
    jacobians = [
        torch.autograd.functional.jacobian(lambda x: ours(x, lengths=lengths)[0], x, vectorize=fast)
        for fast in (False, True)
    ]
    torch.testing.assert_close(*jacobians)


@pytest.mark.parametrize("lengths", [None, [5, 2, 0, 5]], ids=["whole", "ragged"])
@pytest.mark.parametrize(("name", "form"), CASES)
def test_fake_and_meta_tensors_have_the_shapes(name: str, form: str, lengths: Any) -> None:
    _, ours = pair(name, form)
    expected = ours(torch.randn(4, 5, 3))
    shapes = [tuple(t.shape) for t in torch.utils._pytree.tree_leaves(expected)]
    with torch.device("meta"):
        _, on_meta = pair(name, form)
        result = on_meta(torch.randn(4, 5, 3), lengths=lengths)
        assert [tuple(t.shape) for t in torch.utils._pytree.tree_leaves(result)] == shapes
        assert result[0].is_meta
    with FakeTensorMode():
        _, fake = pair(name, form)
        result = fake(torch.randn(4, 5, 3), lengths=lengths)
        result[0].sum().backward()
        assert [tuple(t.shape) for t in torch.utils._pytree.tree_leaves(result)] == shapes
        assert fake.weight_hh_l0.grad.shape == ours.weight_hh_l0.shape


@pytest.mark.parametrize("lengths", [None, [5, 2]], ids=["whole", "ragged"])
@pytest.mark.parametrize(("name", "form"), CASES)
def test_work_is_counted(name: str, form: str, lengths: Any) -> None:
    _, ours = pair(name, form)
    weights = sum(weight.numel() for weight in ours.parameters() if weight.dim() == 2)
    x = torch.randn(2, 5, 3)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        ours(x, lengths=lengths)
    assert counter.get_total_flops() == 2 * 2 * 5 * weights


@pytest.mark.parametrize("name", NAMES)
def test_per_sample_gradients(name: str) -> None:
    _, ours = pair(name, "one layer")
    x = torch.randn(3, 5, 3)
    call_for_per_sample_grads(ours, batch_first=True)(x)[0].pow(2).sum().backward()
    for row in range(3):
        expected = gradients(ours, lambda layer, x: layer(x)[0].pow(2).sum(), x[row : row + 1])[1:]
        found = [weight.grad_sample[row] for weight in ours.parameters()]
        torch.testing.assert_close(found, expected)


class Operators(TorchDispatchMode):
    """The names of all operators."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


class Functions(TorchFunctionMode):
    """The names of all functions."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NAMES)
def test_modes_see_the_work(name: str) -> None:
    _, ours = pair(name, "one layer")
    x = torch.randn(2, 5, 3)
    expected = ours(x)[0].detach()
    with torch.no_grad(), Functions() as functions:
        torch.testing.assert_close(ours(x)[0], expected)
    assert any(name.lower() in function for function in functions.names)
    for lengths in (None, [5, 2]):
        with torch.no_grad(), Operators() as operators:
            ours(x, lengths=lengths)
        assert any("mm" in op or "linear" in op or "rnn" in op or "rekur.scan" in op for op in operators.names)


class Labelled(Tensor):
    """A tensor of another class."""


class Wrapped:
    """An object that is no tensor and says itself what functions of it give."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tensor, name)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [arg.tensor if isinstance(arg, Wrapped) else arg for arg in args]
        return func(*given, **(kwargs or {}))


@pytest.mark.parametrize(("name", "form"), CASES)
def test_tensors_of_other_classes(name: str, form: str) -> None:
    theirs, ours = pair(name, form)
    x = torch.randn(2, 5, 3)
    result, expected = ours(x.as_subclass(Labelled))[0], theirs(x.as_subclass(Labelled))[0]
    assert type(result) is type(expected)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(ours(Wrapped(x))[0], theirs(x)[0])
    assert type(ours(x.as_subclass(Labelled), lengths=[5, 5])[0]) is Labelled


@pytest.mark.filterwarnings("ignore:While compiling, we found certain side effects:UserWarning")
@pytest.mark.parametrize("lengths", [None, [5, 2]], ids=["whole", "ragged"])
@pytest.mark.parametrize("name", NAMES)
def test_exports_of_a_layer_never_called(name: str, lengths: Any) -> None:
    theirs, _ = pair(name, "two layers of both directions")
    x = torch.randn(2, 5, 3)
    given = (x,) if lengths is None else (x, None, torch.tensor(lengths))
    for strict in (True, False):
        _, ours = pair(name, "two layers of both directions")
        program = torch.export.export(ours, given, strict=strict)
        output = program.module()(*given)[0]
        torch.testing.assert_close(output[0], theirs(x)[0][0])
        assert ("rekur" in program.graph_module.code) == (lengths is not None)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_never_called_is_compiled_in_one_graph(name: str) -> None:
    theirs, ours = pair(name, "two layers of both directions")
    x = torch.randn(2, 5, 3)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
        found = gradients(compiled, lambda layer, x: layer(x)[0].pow(2).sum(), x)
    torch.testing.assert_close(found, gradients(theirs, lambda layer, x: layer(x)[0].pow(2).sum(), x))
