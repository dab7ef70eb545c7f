"""The equations of every cell as ONNX operators, for cells and options that no single operator has.

Axes: T time, B sequences, D input features, P numbers that need no state, H hidden, K heads, E = H/K.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from rekur._tensors import Array
from rekur.export.onnx.graph import Graph, Value
from rekur.export.onnx.matrix import Matrix
from rekur.program.cells import Cell
from rekur.program.cells_numpy import log_decay

States = list[Value]


class Equations:
    """The equations of one cell.

    Args:
        graph: the graph of the nodes.
        cell: the cell.
        names: role -> name of the weight.
        weights: role -> weight.
    """

    def __init__(self, graph: Graph, cell: Cell, names: Mapping[str, str], weights: Mapping[str, Matrix]) -> None:
        self._graph, self._cell, self._names, self._weights = graph, cell, names, weights

    def _weight(self, role: str) -> Value:
        return self._graph.matrix(self._names[role], self._weights[role])

    def _part(self, role: str, part: str, change: Callable[[Array], Array]) -> Value:
        """Return a slice of a matrix, or a reordered matrix; see :meth:`Matrix.map`."""
        return self._graph.matrix(f"{self._names[role]}.{part}", self._weights[role].map(change))

    def _times(self, x: Value, role: str, bias: str = "") -> Value:
        product = x @ self._graph.turned(self._weight(role))
        return product + self._weight(bias) if bias in self._names else product

    def streams(self, x: Value) -> list[tuple[Value, int]]:
        """Return the terms that need no state, for inputs (T, B, D): values (T, B, P), each with its P."""
        cell = self._cell
        if cell.norm:
            return [(self._normalised(self._times(x, "weight_ih"), "ih"), cell.gates * cell.hidden)]
        if cell.form.linear:
            return [(value, cell.hidden) for value in self._linear_form(x)]
        more = 2 * cell.heads if cell.kind == "mlstm" else 0
        return [(self._times(x, "weight_ih", "bias_ih"), cell.gates * cell.hidden + more)]

    def step(self, streams: list[Value], state: States) -> tuple[Value, States]:
        """Return the output (B, O) and the next state of one step, from its streams (B, P)."""
        if self._cell.form.linear:
            y = streams[0] * state[0] + streams[1]
            new_state = [y]
        else:
            y, new_state = getattr(self, f"_{self._cell.form.family}")(streams[0], state)
        keep_h, keep_c = self._cell.stay
        if keep_h:
            new_state[0] = y = new_state[0] + (state[0] - new_state[0]) * keep_h
        if keep_c:
            new_state[1] = new_state[1] + (state[1] - new_state[1]) * keep_c
        return y, new_state

    def _product(self, h: Value) -> Value:
        if self._cell.norm:
            return self._normalised(self._times(h, "weight_hh"), "hh")
        return self._times(h, "weight_hh", "bias_hh")

    def _normalised(self, product: Value, which: str) -> Value:
        gain = self._weights[f"gain_{which}"].numbers
        bias = self._weights[f"bias_{which}"].numbers if f"bias_{which}" in self._names else None
        parts, start = [], 0
        groups = self._cell.norm_groups
        for part, size in zip(product.split(*groups), groups, strict=True):
            rows = slice(start, start + size)
            scale, shift = gain[rows].copy(), None if bias is None else bias[rows].copy()
            parts.append(self._even(part, scale, shift))
            start += size
        return parts[0] if len(parts) == 1 else self._graph.node("Concat", *parts, axis=-1)

    def _even(self, x: Value, gain: Value | Array, bias: Value | Array | None) -> Value:
        return self._graph.node("LayerNormalization", x, gain, bias, axis=-1, epsilon=self._cell.norm)

    def _rnn(self, projected: Value, state: States) -> tuple[Value, States]:
        h = (projected + self._product(state[0])).apply(self._cell.form.native.capitalize())
        return h, [h]

    def _lstm(self, projected: Value, state: States) -> tuple[Value, States]:
        size, c_before = self._cell.hidden, state[1]
        write, keep, new, show = (projected + self._product(state[0])).split(*(4 * [size]))
        peeps = self._cell.kind == "lstm_peephole"
        if peeps:
            write, keep = write + self._weight("weight_ci") * c_before, keep + self._weight("weight_cf") * c_before
        c = keep.apply("Sigmoid") * c_before + write.apply("Sigmoid") * new.apply("Tanh")
        if peeps:
            show = show + self._weight("weight_co") * c
        read = self._even(c, self._weight("gain_c"), self._weight("bias_c")) if self._cell.norm else c
        h = show.apply("Sigmoid") * read.apply("Tanh")
        if "weight_hr" in self._names:
            h = self._times(h, "weight_hr")
        return h, [h, c]

    def _gru(self, projected: Value, state: States) -> tuple[Value, States]:
        sizes = 3 * [self._cell.hidden]
        x_r, x_z, x_n = projected.split(*sizes)
        h_r, h_z, h_n = self._product(state[0]).split(*sizes)
        n = (x_n + (x_r + h_r).apply("Sigmoid") * h_n).apply("Tanh")
        h = n + (x_z + h_z).apply("Sigmoid") * (state[0] - n)
        return h, [h]

    def _gru_reset_before(self, projected: Value, state: States) -> tuple[Value, States]:
        size, h = self._cell.hidden, state[0]
        bias = self._weights["bias_hh"].numbers if "bias_hh" in self._names else None
        of_gates = h @ self._part("weight_hh", "gates", lambda rows: rows[: 2 * size].T)
        x_gates, x_new = projected.split(2 * size, size)
        total = x_gates + of_gates
        if bias is not None:
            total = total + bias[: 2 * size].copy()
        r, z = total.apply("Sigmoid").split(size, size)
        inner = x_new + (r * h) @ self._part("weight_hh", "new", lambda rows: rows[2 * size :].T)
        n = (inner if bias is None else inner + bias[2 * size :].copy()).apply("Tanh")
        new_h = n + z * (h - n)
        return new_h, [new_h]

    def _linear_form(self, x: Value) -> tuple[Value, Value]:
        """Return a and b of h = a ⊙ h' + b, each (T, B, H)."""
        size, kind = self._cell.hidden, self._cell.kind
        if kind == "rglru":
            return self._rglru(self._times(x, "weight_in") if "weight_in" in self._names else x)
        projected = self._times(x, "weight_ih", "bias_ih")
        if kind == "mingru":
            update, candidate = projected.split(size, size)
            return (-update).apply("Sigmoid"), update.apply("Sigmoid") * candidate
        forget, write, candidate = projected.split(*(3 * [size]))
        ratio = _log_sigmoid(forget) - _log_sigmoid(write)
        return ratio.apply("Sigmoid"), (-ratio).apply("Sigmoid") * candidate

    def _rglru(self, v: Value) -> tuple[Value, Value]:
        size = self._cell.hidden
        r, i = self._times(v, "weight_ih", "bias_ih").apply("Sigmoid").split(size, size)
        log_a = r * self._graph.weight(f"{self._names['decay']}.log", log_decay(self._weights["decay"].numbers))
        a = log_a.apply("Exp")
        # 1 - a² loses all digits where a is close to 1; -tanh(log a) · (a² + 1) equals it and does not
        left = -(log_a.apply("Tanh") * (a * a + 1.0))
        left = self._graph.node("Max", left, np.array(np.finfo(np.float32).tiny, np.float32))
        return a, left.apply("Sqrt") * (i * v)

    def _slstm(self, projected: Value, state: States) -> tuple[Value, States]:
        h, c_before, n_before, m_before = state
        total = projected + self._blocks(h)
        log_i, forget, new, show = total.split(*(4 * [self._cell.hidden]))
        log_f = _log_sigmoid(forget) + m_before
        m = self._graph.node("Max", log_f, log_i)
        i, f = (log_i - m).apply("Exp"), (log_f - m).apply("Exp")
        c, n = f * c_before + i * new.apply("Tanh"), f * n_before + i
        new_h = show.apply("Sigmoid") * (c / n)
        return new_h, [new_h, c, n, m]

    def _blocks(self, h: Value) -> Value:
        """Return the product (B, 4H) of the state (B, H) with a block-diagonal matrix, one block for each head."""
        heads, hidden = self._cell.heads, self._cell.hidden
        if heads == 1:
            return self._product(h)
        each = hidden // heads

        def blocks(rows: Array) -> Array:
            return rows.reshape(4, heads, each, -1).transpose(1, 3, 0, 2).reshape(heads, -1, 4 * each)

        matrix = self._part("weight_hh", "heads", blocks)
        product = h.reshape(0, heads, each).transpose(1, 0, 2) @ matrix
        total = product.reshape(0, 0, 4, each).transpose(1, 2, 0, 3).reshape(0, 4 * hidden)
        return total + self._weight("bias_hh") if "bias_hh" in self._names else total

    def _mlstm(self, projected: Value, state: States) -> tuple[Value, States]:
        hidden, heads = self._cell.hidden, self._cell.heads
        each, (memory, n_before, m_before) = hidden // heads, state
        *units, log_i, forget = projected.split(hidden, hidden, hidden, hidden, heads, heads)
        q, k, v, o = (unit.reshape(0, heads, each) for unit in units)
        k = k / math.sqrt(each)
        log_f = _log_sigmoid(forget) + m_before
        m = self._graph.node("Max", log_f, log_i, 0.0)
        i, f = (log_i - m).apply("Exp").unsqueeze(2), (log_f - m).apply("Exp").unsqueeze(2)
        memory = f.unsqueeze(3) * memory + v.unsqueeze(3) * (i * k).unsqueeze(2)
        n = f * n_before + i * k
        retrieved = (memory @ q.unsqueeze(3)).squeeze(3)
        share = (n * q).reduce("Sum", 2).apply("Abs")
        weight = self._graph.node("Max", share, (-m).apply("Exp")).unsqueeze(2)
        y = (o.apply("Sigmoid") * retrieved / weight).reshape(0, hidden)
        return y, [memory, n, m]


def _log_sigmoid(x: Value) -> Value:
    return -((-x).apply("Softplus"))
