"""One step of every cell in NumPy: the definition of a program's equations.

Axes: B rows, N rows of all steps, D input features, P input terms, H hidden, K heads, E = H/K.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from rekur._tensors import Array
from rekur.program.arithmetic import affine, layer_norm, log_sigmoid, relu, sigmoid
from rekur.program.cells import Cell

States = list[Array]
#: (x, weight, bias) -> x · weightᵀ + bias
Product = Callable[[Array, Array, Array | None], Array]


class NumpyCell:
    """The equations of a cell.

    Args:
        cell: the cell.
        weights: role -> array.
        product: the function that multiplies inputs with a matrix.

    Example:
        >>> weights = {"weight_ih": np.ones((2, 1), np.float32), "weight_hh": np.zeros((2, 2), np.float32)}
        >>> cell = NumpyCell(Cell("rnn_relu", input=1, hidden=2, output=2), weights)
        >>> y, _ = cell.step(cell.project(np.full((1, 1), 3, np.float32)), [np.zeros((1, 2), np.float32)])
        >>> y.tolist()
        [[3.0, 3.0]]
    """

    def __init__(self, cell: Cell, weights: Mapping[str, Array], product: Product = affine) -> None:
        self.cell, self._weights, self._times = cell, dict(weights), product
        if cell.kind == "rglru":
            self.log_decay = log_decay(weights["decay"])
        self._step = getattr(self, "_linear" if cell.form.linear else f"_{cell.form.family}")

    def project(self, x: Array) -> Array:
        """Return the input terms (N, P), which need no state, for inputs (N, D)."""
        weights = self._weights
        if self.cell.norm:
            return self._normalised(self._times(x, weights["weight_ih"], None), "ih")
        if self.cell.kind == "rglru":
            v = self._times(x, weights["weight_in"], None) if "weight_in" in weights else x
            return np.concatenate([self._times(v, weights["weight_ih"], weights.get("bias_ih")), v], axis=1)
        return self._times(x, weights["weight_ih"], weights.get("bias_ih"))

    def step(self, projected: Array, state: States) -> tuple[Array, States]:
        """Return the output (B, O) and the next state, from the input terms of one step (B, P)."""
        y, new_state = self._step(projected, state)
        keep_h, keep_c = self.cell.stay
        if keep_h:
            new_state[0] = y = new_state[0] + np.float32(keep_h) * (state[0] - new_state[0])
        if keep_c:
            new_state[1] = new_state[1] + np.float32(keep_c) * (state[1] - new_state[1])
        return y, new_state

    def _product(self, h: Array) -> Array:
        weights = self._weights
        product = h @ weights["weight_hh"].T
        if self.cell.norm:
            return self._normalised(product, "hh")
        return np.asarray(product + weights["bias_hh"]) if "bias_hh" in weights else product

    def _normalised(self, product: Array, which: str) -> Array:
        parts, start = [], 0
        for size in self.cell.norm_groups:
            parts.append(layer_norm(product[:, start : start + size], self.cell.norm))
            start += size
        scaled = np.concatenate(parts, axis=1) * self._weights[f"gain_{which}"]
        bias = self._weights.get(f"bias_{which}")
        return scaled if bias is None else np.asarray(scaled + bias)

    def _rnn(self, projected: Array, state: States) -> tuple[Array, States]:
        total = projected + self._product(state[0])
        h = np.tanh(total) if self.cell.kind == "rnn" else relu(total)
        return h, [h]

    def _lstm(self, projected: Array, state: States) -> tuple[Array, States]:
        weights, c_before = self._weights, state[1]
        write, keep, new, show = np.split(projected + self._product(state[0]), 4, axis=1)
        if self.cell.kind == "lstm_peephole":
            write, keep = write + weights["weight_ci"] * c_before, keep + weights["weight_cf"] * c_before
        c = sigmoid(keep) * c_before + sigmoid(write) * np.tanh(new)
        if self.cell.kind == "lstm_peephole":
            show = show + weights["weight_co"] * c
        read = c
        if self.cell.norm:
            read = layer_norm(c, self.cell.norm) * weights["gain_c"] + weights["bias_c"]
        h = sigmoid(show) * np.tanh(read)
        if "weight_hr" in weights:
            h = h @ weights["weight_hr"].T
        return h, [h, c]

    def _gru(self, projected: Array, state: States) -> tuple[Array, States]:
        x_r, x_z, x_n = np.split(projected, 3, axis=1)
        h_r, h_z, h_n = np.split(self._product(state[0]), 3, axis=1)
        n = np.tanh(x_n + sigmoid(x_r + h_r) * h_n)
        h = n + sigmoid(x_z + h_z) * (state[0] - n)
        return h, [h]

    def _gru_reset_before(self, projected: Array, state: States) -> tuple[Array, States]:
        split, h = 2 * self.cell.hidden, state[0]
        weight, bias = self._weights["weight_hh"], self._weights.get("bias_hh", np.zeros(1, np.float32))
        of_gates, of_new = (bias, bias) if len(bias) == 1 else (bias[:split], bias[split:])
        r, z = np.split(sigmoid(projected[:, :split] + h @ weight[:split].T + of_gates), 2, axis=1)
        n = np.tanh(projected[:, split:] + (r * h) @ weight[split:].T + of_new)
        new_h = n + z * (h - n)
        return new_h, [new_h]

    def linear_form(self, projected: Array) -> tuple[Array, Array]:
        """Return the coefficients a and b, each (N, H), of the linear recurrence h = a ⊙ h' + b."""
        size, kind = self.cell.hidden, self.cell.kind
        if kind == "mingru":
            update, candidate = projected[:, :size], projected[:, size:]
            return sigmoid(-update), sigmoid(update) * candidate
        if kind == "minlstm":
            forget, write, candidate = np.split(projected, 3, axis=1)
            ratio = log_sigmoid(forget) - log_sigmoid(write)
            return sigmoid(ratio), sigmoid(-ratio) * candidate
        r, i = sigmoid(projected[:, :size]), sigmoid(projected[:, size : 2 * size])
        log_a = r * self.log_decay
        left = np.maximum(-np.expm1(np.float32(2) * log_a), np.finfo(np.float32).tiny)
        return np.exp(log_a), np.sqrt(left) * (i * projected[:, 2 * size :])

    def _linear(self, projected: Array, state: States) -> tuple[Array, States]:
        a, b = self.linear_form(projected)
        h = a * state[0] + b
        return h, [h]

    def _slstm(self, projected: Array, state: States) -> tuple[Array, States]:
        h, c_before, n_before, m_before = state
        heads, weights = self.cell.heads, self._weights
        each = self.cell.hidden // heads
        blocks = weights["weight_hh"].reshape(4, heads, each, each)
        product = np.einsum("gkij,bkj->bgki", blocks, h.reshape(-1, heads, each)).reshape(len(h), -1)
        if "bias_hh" in weights:
            product = product + weights["bias_hh"]
        log_i, forget, new, show = np.split(projected + product, 4, axis=1)
        log_f = log_sigmoid(forget) + m_before
        m = np.maximum(log_f, log_i)
        i, f = np.exp(log_i - m), np.exp(log_f - m)
        c, n = f * c_before + i * np.tanh(new), f * n_before + i
        new_h = sigmoid(show) * (c / n)
        return new_h, [new_h, c, n, m]

    def _mlstm(self, projected: Array, state: States) -> tuple[Array, States]:
        hidden, heads = self.cell.hidden, self.cell.heads
        each, (memory, n_before, m_before) = hidden // heads, state
        units = projected[:, : 4 * hidden].reshape(-1, 4, heads, each)
        q, k, v, o = units[:, 0], units[:, 1] / np.float32(math.sqrt(each)), units[:, 2], sigmoid(units[:, 3])
        log_i, forget = np.split(projected[:, 4 * hidden :], 2, axis=1)
        log_f = log_sigmoid(forget) + m_before
        m = np.maximum(np.maximum(log_f, log_i), np.float32(0))
        i, f = np.exp(log_i - m)[..., None], np.exp(log_f - m)[..., None]
        memory = f[..., None] * memory + v[..., None] * (i * k)[..., None, :]
        n = f * n_before + i * k
        retrieved = (memory @ q[..., None])[..., 0]
        weight = np.maximum(np.abs((n * q).sum(-1)), np.exp(-m))[..., None]
        y = (o * retrieved / weight).reshape(len(projected), -1)
        return y, [memory, n, m]


def log_decay(decay: Array) -> Array:
    """Return log a of an RG-LRU with an open gate (H,), from its parameter (H,)."""
    return np.asarray(np.float32(8) * log_sigmoid(decay))
