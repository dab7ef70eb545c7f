"""Whatever records, fakes, transforms, counts or compiles a layer's operators computes what the layer computes.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from rekur import nn
from rekur.cells import CELLS, Cell
from rekur.scan.choose import is_linear

torch.set_num_threads(1)

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning"),
    pytest.mark.filterwarnings("ignore:The tensor attributes self:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:While compiling, we found certain side effects:UserWarning"),
]

Net = torch.nn.Module
#: layers of D 3 and H 4, one of each kind of scan, for the ordinary run
QUICK: dict[str, Callable[[], Net]] = {
    **{cell: lambda cell=cell: nn.Recurrent(cell, 3, 4) for cell in ("lstm", "lstm_peephole", "mingru", "mlstm")},
    "nn.LSTM": lambda: nn.LSTM(3, 4, batch_first=True),
    "nn.GRU of both directions": lambda: nn.GRU(3, 4, 2, bidirectional=True, batch_first=True),
}
#: every cell in both directions, and further layers named as torch.nn's
MORE: dict[str, Callable[[], Net]] = {
    **{f"{cell} of both directions": lambda cell=cell: nn.Recurrent(cell, 3, 4, bidirectional=True) for cell in CELLS},
    "normalised, residual, learned state": lambda: nn.Recurrent(
        "gru", 3, 4, num_layers=2, norm=True, residual=True, learned_state=True
    ),
    "nn.RNN": lambda: nn.RNN(3, 4, batch_first=True),
    "nn.LSTM with projections": lambda: nn.LSTM(3, 4, 2, proj_size=2, batch_first=True),
}
LAYERS = {**QUICK, **MORE}


class Outputs(Net):
    """The outputs of a layer alone, with and without lengths."""

    def __init__(self, layer: Net) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.layer(x, lengths=lengths)[0]  # type: ignore[no-any-return]


def made(name: str) -> Outputs:
    torch.manual_seed(3)
    return Outputs(LAYERS[name]()).eval()


def batch(seed: int) -> Tensor:
    return torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(seed))


X, OTHER = batch(1), batch(2)
RAGGED, OTHER_RAGGED = torch.tensor([6, 2, 0]), torch.tensor([1, 6, 3])


def inputs(ragged: bool) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return what a layer is looked at with, and what else it is then called with."""
    return ((X, RAGGED), (OTHER, OTHER_RAGGED)) if ragged else ((X,), (OTHER,))


def traced(net: Outputs, ragged: bool) -> None:
    seen, other = inputs(ragged)
    with torch.no_grad():
        trace = torch.jit.trace(net, seen)
        torch.testing.assert_close(trace(*other), net(*other))


def traced_with_gradients(net: Outputs, ragged: bool) -> None:
    seen, other = inputs(ragged)
    trace = torch.jit.trace(net, seen)
    same_gradients(net, trace, other)


def same_gradients(net: Outputs, run: Callable[..., Tensor], args: tuple[Any, ...]) -> None:
    """Check outputs and gradients of ``run``, which shares the parameters of ``net``."""
    weights = list(net.parameters())
    results = [call(*args) for call in (net, run)]
    torch.testing.assert_close(results[1], results[0])
    cotangent = batch(5)[..., :1]
    gradients = [torch.autograd.grad((r * cotangent).sum(), weights, allow_unused=True) for r in results]
    torch.testing.assert_close(gradients[1], gradients[0])


def recorded(net: Outputs, ragged: bool) -> None:
    seen, other = inputs(ragged)
    with torch.no_grad():
        graph = make_fx(net, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*seen)
        torch.testing.assert_close(graph(*other), net(*other))


def faked(net: Outputs, ragged: bool) -> None:
    seen, _ = inputs(ragged)
    expected = net(*seen)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fakes = [mode.from_tensor(t) for t in seen]
        result = net(*fakes)
        assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
        result.sum().backward()


def on_meta(net: Outputs, ragged: bool) -> None:
    seen, _ = inputs(ragged)
    expected = net(*seen)
    result = net.to("meta")(*(t.to("meta") for t in seen))
    assert (result.shape, result.dtype, result.is_meta) == (expected.shape, expected.dtype, True)


def counted(net: Outputs, ragged: bool) -> None:
    seen, _ = inputs(ragged)
    expected = net(*seen)
    with FlopCounterMode(display=False) as counter:
        torch.testing.assert_close(net(*seen), expected)
    assert counter.get_total_flops() > 0


def differentiated(net: Outputs, ragged: bool) -> None:
    seen, _ = inputs(ragged)
    x, rest = seen[0].double(), seen[1:]
    net.double()

    def total(x: Tensor) -> Tensor:
        return net(x, *rest).square().sum()

    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(total)(x), expected)
    value, pull = torch.func.vjp(total, x)
    torch.testing.assert_close(pull(torch.ones_like(value))[0], expected)
    torch.testing.assert_close(torch.func.jacrev(total)(x), expected)


def differentiated_forwards(net: Outputs, ragged: bool) -> None:
    seen, _ = inputs(ragged)
    x, rest = seen[0].double(), seen[1:]
    net.double()
    tangent = OTHER.double()
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf, *rest).sum(), leaf)
    expected = (gradient * tangent).sum()
    for frozen in (False, True):
        net.requires_grad_(not frozen)
        with forward_ad.dual_level():
            made = forward_ad.unpack_dual(net(forward_ad.make_dual(x, tangent), *rest).sum())
            torch.testing.assert_close(made.tangent, expected)
    _, made = torch.func.jvp(lambda x: net(x, *rest).sum(), (x,), (tangent,))
    torch.testing.assert_close(made, expected)


def mapped(net: Outputs, ragged: bool) -> None:
    seen, _ = inputs(ragged)
    x, rest = torch.stack([X, OTHER]), seen[1:]
    with torch.no_grad():
        expected = torch.stack([net(t, *rest) for t in x])
        if isinstance(net.layer, torch.nn.RNNBase) and not ragged:  # torch.nn's own forward pass, which has no rule
            with pytest.raises(RuntimeError, match="Batching rule not implemented"):
                torch.func.vmap(net)(x)
        else:
            torch.testing.assert_close(torch.func.vmap(lambda x: net(x, *rest))(x), expected)


def functional(net: Outputs, ragged: bool) -> None:
    seen, _ = inputs(ragged)
    torch.testing.assert_close(torch.func.functionalize(net)(*seen), net(*seen))


def compiled(net: Outputs, ragged: bool, backend: str) -> None:
    _, other = inputs(ragged)
    torch._dynamo.reset()
    # a linear recurrence has no operator of its own, so that the graph stops before it
    linear = any(is_linear(cell) for cell in net.modules() if isinstance(cell, Cell))
    with torch._dynamo.config.patch(allow_rnn=True):
        same_gradients(net, torch.compile(net, backend=backend, fullgraph=not linear), other)


def exported(net: Outputs, ragged: bool, strict: bool) -> None:
    seen, other = inputs(ragged)
    program = torch.export.export(net, seen, strict=strict)
    torch.testing.assert_close(program.module()(*other), net(*other))


LOOKS: dict[str, Callable[[Outputs, bool], None]] = {
    "jit.trace": traced,
    "jit.trace with gradients": traced_with_gradients,
    "make_fx": recorded,
    "fake tensors": faked,
    "meta tensors": on_meta,
    "flop counter": counted,
    "torch.func": differentiated,
    "forward mode": differentiated_forwards,
    "vmap": mapped,
    "functionalize": functional,
}
#: what takes long
COMPILERS: dict[str, Callable[[Outputs, bool], None]] = {
    "compile": lambda net, ragged: compiled(net, ragged, "eager"),
    "compile with aot": lambda net, ragged: compiled(net, ragged, "aot_eager"),
    "export": lambda net, ragged: exported(net, ragged, False),
    "strict export": lambda net, ragged: exported(net, ragged, True),
}


def check(look: Callable[[Outputs, bool], None], layer: str) -> None:
    """Check that what looks at a layer, with and without lengths, computes what the layer computes."""
    for ragged in (False, True):
        look(made(layer), ragged)


@pytest.mark.parametrize("layer", QUICK)
@pytest.mark.parametrize("look", LOOKS)
def test_what_looks_at_a_layer_sees_what_it_computes(look: str, layer: str) -> None:
    check(LOOKS[look], layer)


@pytest.mark.slow
@pytest.mark.parametrize("layer", MORE)
@pytest.mark.parametrize("look", LOOKS)
def test_what_looks_at_further_layers_sees_what_they_compute(look: str, layer: str) -> None:
    check(LOOKS[look], layer)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [layer for layer in QUICK if layer != "mlstm"])
@pytest.mark.parametrize("look", COMPILERS)
def test_what_compiles_a_layer_computes_the_same(look: str, layer: str) -> None:
    check(COMPILERS[look], layer)
