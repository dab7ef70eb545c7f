"""The equations that PyTorch does not have, written out a second time in plain NumPy.

Axes: B batch, T time, D input features, H hidden, K heads, E units of a head.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rekur.cells import (
    GRU,
    LSTM,
    MLSTM,
    RGLRU,
    SLSTM,
    Cell,
    GRUResetBefore,
    MinGRU,
    MinLSTM,
    PeepholeLSTM,
)
from rekur.scan.loop import loop

torch.set_num_threads(1)
B, T, D, H = 2, 5, 3, 4


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def prepared(cell: Cell) -> tuple[Cell, dict[str, np.ndarray], np.ndarray]:
    """Return the cell with random weights in float64, these as arrays, and inputs (B, T, D)."""
    torch.manual_seed(7)
    cell = cell.double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    weights = {name: p.detach().numpy() for name, p in cell.named_parameters()}
    return cell, weights, np.random.default_rng(7).normal(size=(B, T, cell.input_size))


def outputs_of(cell: Cell, x: np.ndarray) -> np.ndarray:
    state = cell.initial_state(len(x), dtype=torch.float64)
    return loop(cell, torch.from_numpy(x), state, None)[0].detach().numpy()


def assert_close(got: np.ndarray, expected: list[np.ndarray]) -> None:
    np.testing.assert_allclose(got, np.stack(expected, axis=1), rtol=1e-11, atol=1e-13)


def test_peephole_lstm() -> None:
    cell, w, x = prepared(PeepholeLSTM(D, H))
    W, U = np.split(w["weight_ih"], 4), np.split(w["weight_hh"], 4)
    b = np.split(w["bias_ih"] + w["bias_hh"], 4)
    h, c, expected = np.zeros((B, H)), np.zeros((B, H)), []
    for t in range(T):
        a = [x[:, t] @ W[k].T + h @ U[k].T + b[k] for k in range(4)]
        i, f = sigmoid(a[0] + w["weight_ci"] * c), sigmoid(a[1] + w["weight_cf"] * c)
        c = f * c + i * np.tanh(a[2])
        o = sigmoid(a[3] + w["weight_co"] * c)
        h = o * np.tanh(c)
        expected.append(h)
    assert_close(outputs_of(cell, x), expected)


def test_gru_reset_before() -> None:
    cell, w, x = prepared(GRUResetBefore(D, H))
    (W_r, W_z, W_n), (U_r, U_z, U_n) = np.split(w["weight_ih"], 3), np.split(w["weight_hh"], 3)
    b_r, b_z, b_n = np.split(w["bias_ih"] + w["bias_hh"], 3)
    h, expected = np.zeros((B, H)), []
    for t in range(T):
        r = sigmoid(x[:, t] @ W_r.T + h @ U_r.T + b_r)
        z = sigmoid(x[:, t] @ W_z.T + h @ U_z.T + b_z)
        n = np.tanh(x[:, t] @ W_n.T + (r * h) @ U_n.T + b_n)
        h = (1 - z) * n + z * h
        expected.append(h)
    assert_close(outputs_of(cell, x), expected)


def test_the_two_grus_differ_only_in_the_candidate() -> None:
    torch.manual_seed(0)
    after, before = GRU(D, H).double(), GRUResetBefore(D, H).double()
    before.load_state_dict(after.state_dict())
    x, h = torch.randn(B, D).double(), torch.randn(B, H).double()
    assert not torch.allclose(after.step(x, (h,))[0], before.step(x, (h,))[0])
    zero = torch.zeros_like(h)
    torch.testing.assert_close(after.step(x, (zero,))[0], before.step(x, (zero,))[0])


def test_min_gru() -> None:
    cell, w, x = prepared(MinGRU(D, H))
    (W_z, W_h), (b_z, b_h) = np.split(w["weight_ih"], 2), np.split(w["bias_ih"], 2)
    h, expected = np.zeros((B, H)), []
    for t in range(T):
        z = sigmoid(x[:, t] @ W_z.T + b_z)
        h = (1 - z) * h + z * (x[:, t] @ W_h.T + b_h)
        expected.append(h)
    assert_close(outputs_of(cell, x), expected)


def test_min_lstm() -> None:
    cell, w, x = prepared(MinLSTM(D, H))
    (W_f, W_i, W_h), (b_f, b_i, b_h) = np.split(w["weight_ih"], 3), np.split(w["bias_ih"], 3)
    h, expected = np.zeros((B, H)), []
    for t in range(T):
        f, i = sigmoid(x[:, t] @ W_f.T + b_f), sigmoid(x[:, t] @ W_i.T + b_i)
        h = f / (f + i) * h + i / (f + i) * (x[:, t] @ W_h.T + b_h)
        expected.append(h)
    assert_close(outputs_of(cell, x), expected)


@pytest.mark.parametrize("input_size", [D, H])
def test_rg_lru(input_size: int) -> None:
    cell, w, x = prepared(RGLRU(input_size, H))
    (W_r, W_i), (b_r, b_i) = np.split(w["weight_ih"], 2), np.split(w["bias_ih"], 2)
    h, expected = np.zeros((B, H)), []
    for t in range(T):
        v = x[:, t] if input_size == H else x[:, t] @ w["weight_in"].T
        r, i = sigmoid(v @ W_r.T + b_r), sigmoid(v @ W_i.T + b_i)
        a = sigmoid(w["decay"]) ** (8 * r)
        h = a * h + np.sqrt(1 - a**2) * (i * v)
        expected.append(h)
    assert_close(outputs_of(cell, x), expected)
    assert ("weight_in" in w) == (input_size != H)


@pytest.mark.parametrize("num_heads", [1, 2])
def test_slstm_without_the_stabiliser(num_heads: int) -> None:
    cell, w, x = prepared(SLSTM(D, H, num_heads=num_heads))
    E = H // num_heads
    U = np.zeros((4 * H, H))
    for row in range(4 * H):
        head = row % H // E
        U[row, head * E : (head + 1) * E] = w["weight_hh"][row]
    bias = w["bias_ih"] + w["bias_hh"]
    h, c, n, expected = np.zeros((B, H)), np.zeros((B, H)), np.zeros((B, H)), []
    for t in range(T):
        i, f, z, o = np.split(x[:, t] @ w["weight_ih"].T + h @ U.T + bias, 4, axis=1)
        i, f = np.exp(i), sigmoid(f)
        c, n = f * c + i * np.tanh(z), f * n + i
        h = sigmoid(o) * c / n
        expected.append(h)
    assert_close(outputs_of(cell, x), expected)


@pytest.mark.parametrize("num_heads", [1, 2])
def test_mlstm_without_the_stabiliser(num_heads: int) -> None:
    cell, w, x = prepared(MLSTM(D, H, num_heads=num_heads))
    E = H // num_heads
    expected = np.zeros((B, T, H))
    for row in range(B):
        C, n = np.zeros((num_heads, E, E)), np.zeros((num_heads, E))
        for t in range(T):
            a = w["weight_ih"] @ x[row, t] + w["bias_ih"]
            q, k, v, o = (part.reshape(num_heads, E) for part in np.split(a[: 4 * H], 4))
            i, f = np.exp(a[4 * H : 4 * H + num_heads]), sigmoid(a[4 * H + num_heads :])
            k = k / math.sqrt(E)
            for head in range(num_heads):
                C[head] = f[head] * C[head] + i[head] * np.outer(v[head], k[head])
                n[head] = f[head] * n[head] + i[head] * k[head]
                found = C[head] @ q[head] / max(abs(n[head] @ q[head]), 1.0)
                expected[row, t, head * E : (head + 1) * E] = sigmoid(o[head]) * found
    np.testing.assert_allclose(outputs_of(cell, x), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("size", [30.0, 300.0, 3000.0])
@pytest.mark.parametrize("sign", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("cell_class", [SLSTM, MLSTM, MinLSTM, RGLRU])
def test_large_gates_give_no_nan(cell_class: type[Cell], sign: float, size: float) -> None:
    """Pre-activations far beyond the range of exp, in float32: values and gradients stay finite."""
    torch.manual_seed(0)
    cell = cell_class(D, H)
    x = torch.randn(B, 40, D)
    x = (size * (x if sign == 0.0 else sign * x.abs())).requires_grad_()
    with torch.no_grad():
        cell.get_parameter("weight_ih").abs_()
    y, state = loop(cell, x, cell.initial_state(B), None)
    gradients = torch.autograd.grad(y.sum(), [x, *cell.parameters()], allow_unused=True)
    for tensor in (y, *state, *(g for g in gradients if g is not None)):
        assert bool(torch.isfinite(tensor).all())


@pytest.mark.parametrize("cell", [SLSTM(D, H), MLSTM(D, H)])
def test_a_quiet_beginning_is_not_lost(cell: Cell) -> None:
    """Gates that are all but shut from the first step on: the memory is a mean all the same, or nearly empty."""
    with torch.no_grad():
        cell.get_parameter("bias_ih")[:] = -200.0
    y, state = loop(cell, torch.randn(B, 3, D), cell.initial_state(B), None)
    assert bool(torch.isfinite(y).all())
    assert all(bool(torch.isfinite(s).all()) for s in state)
    if isinstance(cell, SLSTM):
        assert bool((state[2] >= 1).all())


def test_lstm_projection() -> None:
    cell, w, x = prepared(LSTM(D, H, proj_size=2))
    h, c, expected = np.zeros((B, 2)), np.zeros((B, H)), []
    for t in range(T):
        a = x[:, t] @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
        i, f, g, o = np.split(a, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = (sigmoid(o) * np.tanh(c)) @ w["weight_hr"].T
        expected.append(h)
    assert_close(outputs_of(cell, x), expected)
