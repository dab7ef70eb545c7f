"""What each wrapper does to the cell inside it.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rekur.cells import (
    GRU,
    LSTM,
    SLSTM,
    Cell,
    Elman,
    GatedCell,
    GRUResetBefore,
    LayerNorm,
    ProductCell,
    RecurrentDropout,
    Residual,
    State,
    Zoneout,
)
from rekur.scan.loop import loop

torch.set_num_threads(1)
B, T, D, H = 2, 5, 3, 4


def randomised(cell: Cell) -> Cell:
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in cell.double().parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return cell


def normal(a: np.ndarray) -> np.ndarray:
    return (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5)


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def test_layer_norm_of_an_lstm() -> None:
    cell = randomised(LayerNorm(LSTM(D, H)))
    w = {name.removeprefix("cell."): p.detach().numpy() for name, p in cell.named_parameters()}
    x, h, c = (np.random.default_rng(0).normal(size=(B, size)) for size in (D, H, H))
    u = normal(x @ w["weight_ih"].T) * w["gain_ih"] + w["bias_ih"]
    v = normal(h @ w["weight_hh"].T) * w["gain_hh"] + w["bias_hh"]
    i, f, g, o = np.split(u + v, 4, axis=1)
    c_after = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    expected = sigmoid(o) * np.tanh(normal(c_after) * w["gain_c"] + w["bias_c"])
    y, (_, memory) = cell.step(torch.from_numpy(x), (torch.from_numpy(h), torch.from_numpy(c)))
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-11)
    np.testing.assert_allclose(memory.detach().numpy(), c_after, rtol=1e-11)


def test_layer_norm_of_a_gru_normalises_gates_and_candidate_apart() -> None:
    cell = randomised(LayerNorm(GRU(D, H)))
    w = {name.removeprefix("cell."): p.detach().numpy() for name, p in cell.named_parameters()}
    x, h = (np.random.default_rng(0).normal(size=(B, size)) for size in (D, H))

    def apart(a: np.ndarray) -> np.ndarray:
        return np.concatenate([normal(a[:, : 2 * H]), normal(a[:, 2 * H :])], axis=1)

    u = np.split(apart(x @ w["weight_ih"].T) * w["gain_ih"] + w["bias_ih"], 3, axis=1)
    v = np.split(apart(h @ w["weight_hh"].T) * w["gain_hh"] + w["bias_hh"], 3, axis=1)
    r, z = sigmoid(u[0] + v[0]), sigmoid(u[1] + v[1])
    expected = (1 - z) * np.tanh(u[2] + r * v[2]) + z * h
    y, _ = cell.step(torch.from_numpy(x), (torch.from_numpy(h),))
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-11)


def test_layer_norm_takes_a_gated_cell_of_your_own() -> None:
    class Integrator(GatedCell):
        num_gates = 1

        def state_sizes(self) -> tuple[tuple[int, ...], ...]:
            return ((self.hidden_size,),)

        def combine(self, from_input: Tensor, from_state: Tensor, state: State) -> tuple[Tensor, State]:  # type: ignore[override]
            h = state[0] + 0.1 * torch.tanh(from_input + from_state)
            return h, (h,)

    y, _ = LayerNorm(Integrator(D, H))(torch.randn(B, D))
    assert y.shape == (B, H)


def test_layer_norm_ignores_the_scale_of_the_input() -> None:
    cell = LayerNorm(GRU(D, H), eps=1e-12).double()
    x = torch.randn(B, D, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[0], cell(100 * x)[0], rtol=1e-6, atol=1e-6)


def test_recurrent_dropout_keeps_one_mask_for_a_sequence() -> None:
    torch.manual_seed(0)
    cell = RecurrentDropout(LSTM(D, 64), 0.25)
    state = cell.initial_state(8)
    mask = state[-1]
    assert set(mask.unique().tolist()) == {0.0, float(torch.tensor(1.0) / 0.75)}
    assert 0.6 < float((mask > 0).float().mean()) < 0.9
    _, after = loop(cell, torch.randn(8, T, D), state, None)
    assert torch.equal(after[-1], mask)
    assert not torch.equal(cell.initial_state(8)[-1], mask)


@pytest.mark.parametrize("inner", [Elman, LSTM, GRU, GRUResetBefore, SLSTM])
def test_recurrent_dropout_masks_the_product_and_nothing_else(inner: type[ProductCell]) -> None:
    cell = randomised(RecurrentDropout(inner(D, H), 0.5))
    x = torch.randn(B, D, dtype=torch.float64)
    _, warm = cell.step(x, cell.initial_state(B, dtype=torch.float64))
    mask = torch.tensor([[0.0, 2.0, 2.0, 0.0], [2.0, 0.0, 2.0, 2.0]], dtype=torch.float64)
    got, _ = cell.step(x, (*warm[:-1], mask))
    assert isinstance(cell.cell, ProductCell)
    v = cell.cell.product((warm[0] * mask, *warm[1:-1]))
    expected, _ = cell.cell.combine(cell.cell.project(x), v, warm[:-1])
    torch.testing.assert_close(got, expected)
    untouched, _ = cell.cell.step(x, warm[:-1])
    assert not torch.allclose(got, untouched)


def test_recurrent_dropout_of_a_reset_before_gru_masks_both_products() -> None:
    cell = randomised(GRUResetBefore(D, H))
    x, h = torch.randn(B, D, dtype=torch.float64), torch.randn(B, H, dtype=torch.float64)
    nothing = torch.zeros_like(h)
    got, _ = RecurrentDropout(cell, 0.5).step(x, (h, nothing))
    u_r, u_z, u_n = (cell.project(x) + cell.get_parameter("bias_hh")).chunk(3, dim=-1)
    z = torch.sigmoid(u_z)
    torch.testing.assert_close(got, (1 - z) * torch.tanh(u_n) + z * h)
    assert u_r.shape == (B, H)


def test_recurrent_dropout_does_nothing_in_evaluation() -> None:
    inner = randomised(GRU(D, H))
    cell = RecurrentDropout(inner, 0.9)
    training_state = cell.initial_state(B, dtype=torch.float64)
    cell.eval()
    x = torch.randn(B, T, D, dtype=torch.float64)
    expected, _ = loop(inner, x, inner.initial_state(B, dtype=torch.float64), None)
    assert torch.equal(loop(cell, x, training_state, None)[0], expected)
    assert torch.equal(cell.initial_state(B)[-1], torch.ones(B, H))


def test_zoneout_in_evaluation_is_its_expectation() -> None:
    inner = randomised(LSTM(D, H))
    cell = Zoneout(inner, hidden=0.3, memory=0.6)
    x = torch.randn(1, D, dtype=torch.float64)
    state = (torch.randn(1, H, dtype=torch.float64), torch.randn(1, H, dtype=torch.float64))
    many = 20_000
    torch.manual_seed(1)
    y, after = cell.step(x.expand(many, D), tuple(s.expand(many, H) for s in state))
    cell.eval()
    mean, mean_state = cell.step(x, state)
    torch.testing.assert_close(y.mean(0, keepdim=True), mean, atol=0.03, rtol=0)
    for drawn, expected in zip(after, mean_state, strict=True):
        torch.testing.assert_close(drawn.mean(0, keepdim=True), expected, atol=0.03, rtol=0)
    _, plain = inner.step(x, state)
    torch.testing.assert_close(mean, 0.3 * state[0] + 0.7 * plain[0])
    torch.testing.assert_close(mean_state[1], 0.6 * state[1] + 0.4 * plain[1])


def test_zoneout_in_training_keeps_old_or_takes_new() -> None:
    torch.manual_seed(0)
    inner = GRU(D, 50)
    x, h = torch.randn(40, D), torch.randn(40, 50)
    y, (after,) = Zoneout(inner, 0.2).step(x, (h,))
    new, _ = inner.step(x, (h,))
    assert torch.equal(y, after)
    kept = y == h
    assert bool((kept | (y == new)).all())
    assert 0.15 < float(kept.float().mean()) < 0.25


def test_zoneout_leaves_a_mask_alone() -> None:
    cell = Zoneout(RecurrentDropout(LSTM(D, H), 0.5), 1.0, memory=1.0)
    state = cell.initial_state(B)
    _, after = cell.step(torch.randn(B, D), state)
    assert all(torch.equal(a, b) for a, b in zip(after, state, strict=True))
    assert cell.state_names == ("h", "c", "mask")


@pytest.mark.parametrize("inner", [GRU(D, D), LSTM(D, H, proj_size=2), SLSTM(D, H)])
def test_residual_adds_the_input(inner: Cell) -> None:
    cell = Residual(inner)
    x = torch.randn(B, D)
    y, after = cell(x)
    plain, plain_after = inner(x)
    shortcut = x if cell.weight_shortcut is None else x @ cell.weight_shortcut.t()
    torch.testing.assert_close(y, plain + shortcut)
    assert (cell.weight_shortcut is None) == (inner.output_size == D)
    assert all(torch.equal(a, b) for a, b in zip(after, plain_after, strict=True))


def test_wrappers_tell_what_they_wrap() -> None:
    cell = Residual(Zoneout(RecurrentDropout(LayerNorm(GRU(3, 5)), 0.25), 0.1))
    assert repr(cell) == (
        "Residual(\n  (cell): Zoneout(\n    hidden=0.1\n    (cell): RecurrentDropout(\n      dropout=0.25\n"
        "      (cell): LayerNorm(\n        (cell): GRU(3, 5)\n      )\n    )\n  )\n)"
    )
    assert (cell.input_size, cell.hidden_size, cell.output_size) == (3, 5, 5)
    assert cell.step_cost() == 3 * 5 * (3 + 5) + 5 * 3
