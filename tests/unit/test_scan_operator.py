"""torch.compile and torch.export see a scan as one operator, with lengths and gradients.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rekur.cells import (
    GRU,
    LSTM,
    Cell,
    Elman,
    GRUResetBefore,
    LayerNorm,
    MinGRU,
    PeepholeLSTM,
    RecurrentDropout,
    Zoneout,
)
from rekur.errors import InputError
from rekur.nn import Recurrent
from rekur.scan import choose, scan
from rekur.scan.operands import Operands

MADE: dict[str, Callable[[], Cell]] = {
    "rnn": lambda: Elman(3, 5),
    "rnn relu": lambda: Elman(3, 5, nonlinearity="relu"),
    "lstm": lambda: LSTM(3, 5),
    "projected": lambda: LSTM(3, 5, proj_size=2),
    "peephole": lambda: PeepholeLSTM(3, 5),
    "gru": lambda: GRU(3, 5),
    "gru without bias": lambda: GRU(3, 5, bias=False),
    "reset before": lambda: GRUResetBefore(3, 5),
    "dropout lstm": lambda: RecurrentDropout(LSTM(3, 5), 0.5),
    "layer norm lstm": lambda: RecurrentDropout(LayerNorm(LSTM(3, 5, proj_size=4)), 0.5),
    "zoneout gru": lambda: Zoneout(LayerNorm(GRU(3, 5), eps=1e-3), 0.2).eval(),
}
VARIANT = "native_variant lstm 0.0 0.1 0.2 0"
LENGTHS = {"whole": None, "ragged": torch.tensor([4, 0, 6, 1]), "empty": torch.tensor([0, 0, 0, 0])}


class Scan(torch.nn.Module):
    """A cell and its scan as one module."""

    def __init__(self, cell: Cell, reverse: bool = False) -> None:
        super().__init__()
        self.cell, self.reverse = cell, reverse

    def forward(self, x: Tensor, state: tuple[Tensor, ...], lengths: Tensor | None = None) -> tuple[Tensor, ...]:
        y, after = scan(self.cell, x, state, lengths=lengths, reverse=self.reverse)
        return (y, *after)


def results(run: Any, module: Scan, x: Tensor, state: tuple[Tensor, ...], lengths: Tensor | None) -> list[Tensor]:
    given = [t.clone().requires_grad_() for t in (x, *state)]
    got = run(given[0], tuple(given[1:]), lengths)
    total = sum((t * torch.linspace(-1, 1, t.numel(), dtype=t.dtype).view(t.shape)).sum() for t in got)
    wanted = [*given, *module.parameters()]
    gradients = torch.autograd.grad(total, wanted, allow_unused=True)
    return [*got, *(torch.zeros_like(w) if g is None else g for g, w in zip(gradients, wanted, strict=True))]


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_compiled_without_a_break_is_the_same(make: Any, lengths: Tensor | None, reverse: bool) -> None:
    torch.manual_seed(0)
    module = Scan(make().double(), reverse)
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    state = tuple(torch.rand_like(s) for s in module.cell.initial_state(4, dtype=torch.float64))
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    pairs = zip(*(results(run, module, x, state, lengths) for run in (compiled, module)), strict=True)
    for got, expected in pairs:
        torch.testing.assert_close(got, expected)


@torch.no_grad()
def test_compiled_inference_keeps_nothing_and_takes_the_kernels() -> None:
    module, x = Scan(LSTM(3, 5)), torch.randn(2, 4, 3)
    state = module.cell.initial_state(2)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    expected = "native" if "native" in choose(module.cell, x).path else "bptt"
    y, _ = scan(module.cell, x, state, path=expected)
    torch.testing.assert_close(compiled(x, state)[0], y, rtol=0, atol=0)


def test_lengths_out_of_range_are_told_when_it_runs() -> None:
    module = Scan(GRU(3, 5))
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    with pytest.raises(InputError) as caught:
        compiled(torch.randn(2, 4, 3), module.cell.initial_state(2), torch.tensor([4, 7]))
    assert str(caught.value) == "lengths[1]: got 7; expected whole numbers in [0, 4], as x has 4 time steps."


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_a_stack_is_exported_and_runs_at_other_sizes(kind: str) -> None:
    layers = Recurrent(kind, 3, 5, num_layers=2, bidirectional=True).eval()

    class Outputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x).output

    batch, steps = torch.export.Dim("batch", min=2, max=64), torch.export.Dim("steps", min=2, max=64)
    with torch.no_grad():
        exported = torch.export.export(Outputs(), (torch.randn(2, 4, 3),), dynamic_shapes=({0: batch, 1: steps},))
        x = torch.randn(5, 9, 3)
        torch.testing.assert_close(exported.module()(x), layers(x).output)


@pytest.mark.parametrize("family", ["native_gru", "native_lstm", "native_tanh", "lstm", "gru_reset_before", VARIANT])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_the_operator_keeps_pytorchs_contract(family: str, lengths: Tensor | None) -> None:
    gates = {"gru": 3, "lstm": 4, "native_gru": 3, "native_lstm": 4, "gru_reset_before": 3, VARIANT: 4}.get(family, 1)
    tensors = [torch.randn(4, 6, 3), torch.randn(gates * 5, 3), torch.randn(gates * 5, 5), torch.randn(4, 5)]
    x, w_x, w_h, h0 = (t.requires_grad_() for t in tensors)
    c0 = torch.randn(4, 5, requires_grad=True) if "lstm" in family else None
    bias = torch.randn(gates * 5, requires_grad=True)
    second = torch.randn(gates * 5, requires_grad=True) if family in ("native_gru", "native_lstm") else None
    operands = Operands(w_x, w_h, h0, bias, c0=c0, bias_h=second)
    torch.library.opcheck(torch.ops.rekur.scan.default, (family, x, lengths, False, True, *operands))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own modules, as it imports the compiler
def test_inductor_compiles_a_training_step() -> None:
    torch.manual_seed(0)
    layers, x = Recurrent("gru", 3, 5), torch.randn(4, 6, 3)
    lengths = torch.tensor([6, 2, 4, 1])

    def loss(x: Tensor) -> Tensor:
        return torch.tanh(layers(x * 2, lengths=lengths).output).square().mean()

    torch._dynamo.reset()
    expected = torch.autograd.grad(loss(x), list(layers.parameters()))
    got = torch.autograd.grad(torch.compile(loss, fullgraph=True)(x), list(layers.parameters()))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of the compiler's own
@torch.no_grad()
def test_lengths_are_checked_where_no_operator_runs() -> None:
    cell, x = MinGRU(3, 5), torch.randn(2, 4, 3)
    run = torch.compile(lambda x, lengths: scan(cell, x, lengths=lengths)[0], backend="eager")
    lengths = torch.tensor([4, 2])
    torch.testing.assert_close(run(x, lengths), scan(cell, x, lengths=lengths, path="loop")[0])
    with pytest.raises(InputError, match="got 5"):
        run(x, torch.tensor([4, 5]))
    assert not run(x, torch.tensor([0, 0])).any()
