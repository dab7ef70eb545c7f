"""A causal convolution: its definition, its gradients, live = whole, and never a look ahead."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rekur.errors import ShapeError
from rekur.nn.conv import CausalConv

SIZES = {
    "batch": st.integers(1, 3),
    "steps": st.integers(0, 7),
    "kernel": st.integers(1, 5),
    "cut": st.integers(0, 7),
    "seed": st.integers(0, 99),
}


def made(kernel: int, seed: int) -> CausalConv:
    torch.manual_seed(seed)
    return CausalConv(2, 3, kernel).double()


@given(**SIZES)
def test_whole_is_the_definition(batch: int, steps: int, kernel: int, cut: int, seed: int) -> None:
    conv = made(kernel, seed)
    x = torch.randn(batch, steps, 2, dtype=torch.float64)
    y = conv(x)
    assert y.shape == (batch, steps, 3)
    for t in range(steps):
        expected = conv.bias + sum(
            x[:, t - k] @ conv.weight[:, :, kernel - 1 - k].T for k in range(kernel) if t - k >= 0
        )
        assert torch.allclose(y[:, t], expected)


@given(**SIZES)
def test_steps_and_chunks_are_the_whole(batch: int, steps: int, kernel: int, cut: int, seed: int) -> None:
    conv = made(kernel, seed)
    x = torch.randn(batch, steps, 2, dtype=torch.float64)
    state, outputs = conv.initial_state(batch), []
    for t in range(steps):
        y, state = conv.step(x[:, t], state)
        outputs.append(y)
        if t + 1 == min(cut, steps):
            rest = conv(x[:, t + 1 :], state)
            assert torch.allclose(rest, conv(x)[:, t + 1 :])
    if outputs:
        assert torch.allclose(torch.stack(outputs, dim=1), conv(x))


@given(**SIZES)
def test_what_comes_later_changes_nothing_before(batch: int, steps: int, kernel: int, cut: int, seed: int) -> None:
    conv = made(kernel, seed)
    x = torch.randn(batch, steps, 2, dtype=torch.float64)
    other = x.clone()
    other[:, cut:] = torch.nan
    assert torch.equal(conv(x)[:, :cut], conv(other)[:, :cut])


def test_gradients() -> None:
    conv = made(3, 0)
    x = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w, b: torch.func.functional_call(conv, {"weight": w, "bias": b}, (x,)), (
        x, conv.weight, conv.bias))  # fmt: skip


def test_a_wrong_shape_is_said() -> None:
    with pytest.raises(ShapeError) as caught:
        CausalConv(2, 3, 2)(torch.zeros(4, 5))
    assert str(caught.value) == "shape of x: got (4, 5); expected (B, T, 2)."
