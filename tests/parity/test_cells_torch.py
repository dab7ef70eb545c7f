"""The cells that PyTorch also has: its values, its gradients, its weights, its first numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rekur.cells import GRU, LSTM, Cell, Elman

torch.set_num_threads(1)

PAIRS = {
    "rnn": (lambda **o: Elman(3, 5, **o), lambda **o: nn.RNNCell(3, 5, **o)),
    "rnn relu": (
        lambda **o: Elman(3, 5, nonlinearity="relu", **o),
        lambda **o: nn.RNNCell(3, 5, nonlinearity="relu", **o),
    ),
    "lstm": (lambda **o: LSTM(3, 5, **o), lambda **o: nn.LSTMCell(3, 5, **o)),
    "gru": (lambda **o: GRU(3, 5, **o), lambda **o: nn.GRUCell(3, 5, **o)),
}
every_pair = pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS.keys())
with_and_without_bias = pytest.mark.parametrize("bias", [True, False])


def run(cell: nn.Module, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Run three steps of either kind of cell; return the state after them."""
    for t in range(x.shape[1]):
        if isinstance(cell, Cell):
            _, state = cell.step(x[:, t], state)
        elif len(state) == 1:
            state = (cell(x[:, t], state[0]),)
        else:
            state = cell(x[:, t], state)
    return state


@every_pair
@with_and_without_bias
def test_values_and_gradients_are_torchs(ours, theirs, bias: bool) -> None:
    torch.manual_seed(3)
    mine, other = ours(bias=bias).double(), theirs(bias=bias).double()
    mine.load_state_dict(other.state_dict())
    x = torch.randn(4, 3, 3, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in mine.state_sizes())
    results = []
    for cell in (mine, other):
        after = run(cell, x, state)
        loss = sum(torch.sin(s).sum() for s in after)
        named = dict(cell.named_parameters())
        weights = [named[name] for name in sorted(named)]
        results.append([*after, *torch.autograd.grad(loss, [x, *state, *weights])])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


@every_pair
@with_and_without_bias
def test_a_seed_gives_torchs_numbers(ours, theirs, bias: bool) -> None:
    torch.manual_seed(11)
    mine = ours(bias=bias, init="torch").state_dict()
    torch.manual_seed(11)
    other = theirs(bias=bias).state_dict()
    assert list(mine) == list(other)
    assert all(torch.equal(mine[name], other[name]) for name in other)


@with_and_without_bias
def test_projection_is_torchs(bias: bool) -> None:
    torch.manual_seed(5)
    mine = LSTM(3, 5, proj_size=2, init="torch", bias=bias)
    torch.manual_seed(5)
    other = nn.LSTM(3, 5, proj_size=2, bias=bias, batch_first=True)
    assert {f"{name}_l0" for name, _ in mine.named_parameters()} == {n for n, _ in other.named_parameters()}
    for name, parameter in mine.named_parameters():
        assert torch.equal(parameter, other.get_parameter(f"{name}_l0"))
    mine, other = mine.double(), other.double()
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    h, c = torch.randn(4, 2, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    after = run(mine, x, (h, c))
    _, expected = other(x, (h[None], c[None]))
    for a, b in zip(after, expected, strict=True):
        torch.testing.assert_close(a, b[0], rtol=1e-12, atol=1e-13)
    mine_grads = torch.autograd.grad(torch.sin(after[0]).sum() + after[1].sum(), list(mine.parameters()))
    loss = torch.sin(expected[0]).sum() + expected[1].sum()
    named = [other.get_parameter(f"{name}_l0") for name, _ in mine.named_parameters()]
    for a, b in zip(mine_grads, torch.autograd.grad(loss, named), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)
