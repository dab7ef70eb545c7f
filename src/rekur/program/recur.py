"""Cells over packed batches: one call of the compiled kernels if they have the cell, else step by step in NumPy.

Axes: R rows, N packed steps, D input features, O outputs, G gates, H hidden, K heads, E = H/K units of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np

from rekur import _kernels
from rekur._tensors import Array
from rekur.program.arithmetic import affine
from rekur.program.cells import Cell
from rekur.program.cells_numpy import NumpyCell, States, log_decay
from rekur.program.packed import Packed


class Recur(Protocol):
    """A cell that runs over packed steps."""

    def run(self, x: Array, packed: Packed, state: States) -> tuple[Array, States]:
        """Return the outputs (N, O) and the state after each row's last step, from inputs (N, D) and states (R, …)."""


def make_recur(cell: Cell, weights: Mapping[str, Array], threads: int = 1) -> Recur:
    """Return a runner of a cell over packed batches, on the kernels if they are installed and have the cell.

    Args:
        cell: the cell.
        weights: role -> array.
        threads: most threads of a run.
    """
    has_kernel = cell.form.native or (cell.form.linear and not any(cell.stay))
    if _kernels.kernels is None or not has_kernel:
        return NumpyRecur(cell, weights, threads)
    if cell.form.linear:
        return NativeLinear(cell, weights, threads)
    if cell.plain or cell.kind == "slstm":
        return NativeGated(cell, weights, threads)
    return NativeVariant(cell, weights, threads)


class NumpyRecur:
    """A cell, step by step in NumPy.

    Args:
        cell: the cell.
        weights: role -> array.
        threads: most threads of a large product.
    """

    def __init__(self, cell: Cell, weights: Mapping[str, Array], threads: int) -> None:
        self._cell = NumpyCell(cell, weights, partial(affine, threads=threads))

    def run(self, x: Array, packed: Packed, state: States) -> tuple[Array, States]:
        """Return the outputs and the state after each row's last step."""
        projected = self._cell.project(x)
        if packed.steps == 1:
            return self._cell.step(projected, state)
        outputs = np.empty((packed.total, self._cell.cell.output), np.float32)
        new_state = [array.copy() for array in state]
        for first, active in zip(packed.first.tolist(), packed.active.tolist(), strict=True):
            rows = slice(first, first + active)
            outputs[rows], new = self._cell.step(projected[rows], [array[:active] for array in new_state])
            for part, array in zip(new_state, new, strict=True):
                part[:active] = array
        return outputs, new_state


class NativeGated:
    """Simple networks, LSTM, GRU and sLSTM on the kernels.

    Args:
        cell: the cell.
        weights: role -> array.
        threads: most threads of a run.
    """

    def __init__(self, cell: Cell, weights: Mapping[str, Array], threads: int) -> None:
        self._cell, self._threads = cell, threads
        self._input, self._bias, self._bias_new = _operands(cell, weights)
        self._weight = np.ascontiguousarray(weights["weight_hh"])

    def run(self, x: Array, packed: Packed, state: States) -> tuple[Array, States]:
        """Return the outputs and the state after each row's last step."""
        size = self._cell.hidden
        outputs = np.empty((packed.total, size), np.float32)
        gates = outputs
        if self._cell.gates > 1:
            gates = np.empty((packed.total, 4 * size), np.float32)  # a GRU needs space for a fourth gate
        kernels = _kernels.kernels
        x = np.ascontiguousarray(x)
        kernels.product(x, self._input, self._bias, gates.reshape(-1), gates.shape[1], self._threads)
        arguments: dict[str, Any] = {
            "kind": self._cell.form.native,
            "first": packed.first,
            "active": packed.active,
            "rows": packed.rows,
            "hidden": size,
            "heads": self._cell.heads,
            "keep": False,
            "weight": self._weight,
            "h0": np.ascontiguousarray(state[0]),
            "gates": gates,
            "outputs": outputs,
        }
        if self._bias_new is not None:
            arguments["bias_m"] = self._bias_new
        if len(state) > 1:
            arguments["cells"] = np.concatenate(state[1:], axis=1)
        kernels.run(kernels.forward_single(arguments), self._threads)
        new_state = [outputs[packed.last]]
        if len(state) > 1:
            new_state += [np.ascontiguousarray(part) for part in np.split(arguments["cells"], len(state) - 1, axis=1)]
        return outputs, new_state


class NativeVariant:
    """Gated cells with peepholes, projections, layer normalisation, zoneout or an early reset, on the kernels.

    Args:
        cell: the cell.
        weights: role -> array.
        threads: most threads of a run.
    """

    def __init__(self, cell: Cell, weights: Mapping[str, Array], threads: int) -> None:
        self._cell, self._threads = cell, threads
        self._input, bias, bias_new = _operands(cell, weights)
        self._bias = None if cell.norm else bias
        peepholes = None
        if cell.kind == "lstm_peephole":
            peepholes = np.stack([weights[name] for name in ("weight_ci", "weight_cf", "weight_co")])
        arrays = {
            "weight": weights["weight_hh"],
            "projection": weights.get("weight_hr"),
            "bias_m": bias_new,
            "peepholes": peepholes,
            "gain_x": weights.get("gain_ih"),
            "gain_h": weights.get("gain_hh"),
            "bias_x": bias if cell.norm else None,
            "gain_c": weights.get("gain_c"),
            "bias_c": weights.get("bias_c"),
        }
        self._arguments: dict[str, Any] = {
            "equations": cell.form.native,
            "hidden": cell.hidden,
            "outputs": cell.output,
            "epsilon": cell.norm,
            "rate_h": cell.stay[0],
            "rate_c": cell.stay[1],
            "keep": 0,
            **{name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None},
        }

    def run(self, x: Array, packed: Packed, state: States) -> tuple[Array, States]:
        """Return the outputs and the state after each row's last step."""
        outputs = np.empty((packed.total, self._cell.output), np.float32)
        arguments = {
            **self._arguments,
            "first": packed.first,
            "active": packed.active,
            "rows": packed.rows,
            "h0": np.ascontiguousarray(state[0]),
            "raw": affine(x, self._input, self._bias, self._threads),
            "y": outputs,
        }
        new_state = [np.array(array) for array in state]
        if len(state) > 1:
            arguments |= {"c0": np.ascontiguousarray(state[1]), "cells": new_state[1]}
        _kernels.kernels.variant_forward_single(arguments, self._threads)
        new_state[0] = outputs[packed.last]
        return outputs, new_state


class NativeLinear:
    """Cells that are linear in their state on the kernels.

    Args:
        cell: the cell.
        weights: role -> array.
        threads: most threads of a run.
    """

    def __init__(self, cell: Cell, weights: Mapping[str, Array], threads: int) -> None:
        self._cell, self._weights, self._threads = cell, weights, threads
        self._decay = log_decay(weights["decay"]) if cell.kind == "rglru" else None

    def run(self, x: Array, packed: Packed, state: States) -> tuple[Array, States]:
        """Return the outputs and the state after each row's last step."""
        size, kind = self._cell.hidden, self._cell.kind
        a, b, width = self._gates(x)
        outputs, last = np.empty((packed.total, size), np.float32), np.empty((packed.rows, size), np.float32)
        arguments: dict[str, Any] = {
            "form": kind,
            "first": packed.first,
            "active": packed.active,
            "stride": 1,
            "rows": packed.rows,
            "hidden": size,
            "h0": np.ascontiguousarray(state[0]),
            "gates": a,
            "gates_stride": a.shape[1],
            "value": b,
            "value_stride": width,
            "outputs": outputs,
            "last": last,
        }
        if self._decay is not None:
            arguments["decay"] = self._decay
        _kernels.kernels.linear_forward_single(arguments, self._threads)
        return outputs, [last]

    def _gates(self, x: Array) -> tuple[Array, Array, int]:
        """Return the gates (N, G·H), the values written to the state, and the stride of their rows."""
        size, weights = self._cell.hidden, self._weights
        if self._cell.kind != "rglru":
            gates = affine(x, weights["weight_ih"], weights.get("bias_ih"), self._threads)
            return gates, gates.reshape(-1)[gates.shape[1] - size :], gates.shape[1]
        v = affine(x, weights["weight_in"], None, self._threads) if "weight_in" in weights else x
        v = np.ascontiguousarray(v)
        return affine(v, weights["weight_ih"], weights.get("bias_ih"), self._threads), v, size


def _operands(cell: Cell, weights: Mapping[str, Array]) -> tuple[Array, Array | None, Array | None]:
    """Return the input weights, the joined bias and, for a GRU, the bias inside the reset product."""
    of_input, of_state = weights.get("bias_ih"), weights.get("bias_hh")
    rows = cell.gates * cell.hidden
    if of_input is None and of_state is None:
        return weights["weight_ih"], None, None
    of_input = np.zeros(rows, np.float32) if of_input is None else of_input
    of_state = np.zeros(rows, np.float32) if of_state is None else of_state
    if cell.kind != "gru":
        return weights["weight_ih"], np.asarray(of_input + of_state), None
    split = 2 * cell.hidden
    bias = np.concatenate([of_input[:split] + of_state[:split], of_input[split:]])
    return weights["weight_ih"], bias, np.ascontiguousarray(of_state[split:])
