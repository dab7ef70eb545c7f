"""Steps of recurrent layers in NumPy, for installations without the compiled kernels."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from rekur._tensors import Array

#: kind, weight_ih, weight_hh and bias
Weights = tuple[str, Array, Array, Array]
_LINE = 16


class NumpyEngine:
    """The engine of :class:`rekur._stepper.Stepper` without compiled kernels.

    Each row is computed alone, so its numbers do not depend on the other rows. Weights of 16 or 8 bits are rounded but
    stored as float32: the same rounding, no gain in speed.

    Args:
        layers: kind, weight_ih, weight_hh and the bias; a GRU's bias is r, z, n of the input, then n of the state.
        precision: "float32", "bfloat16" or "int8".
    """

    busy = False

    def __init__(self, layers: Sequence[Weights], precision: str) -> None:
        rounded = {"float32": _as_is, "bfloat16": _to_bfloat16, "int8": _to_int8}[precision]
        self._layers = [(kind, rounded(w_x), rounded(w_h), bias) for kind, w_x, w_h, bias in layers]
        self.width = sum(_padded(w_h.shape[1]) * (2 if kind == "lstm" else 1) for kind, _, w_h, _ in layers)
        self._inputs = layers[0][1].shape[1]
        self._arena = np.zeros((0, self.width), np.float32)
        self._output = np.zeros(layers[-1][2].shape[1], np.float32)

    def twin(self) -> NumpyEngine:
        """Return a second engine with the same weights, without an arena."""
        return copy.copy(self)

    def use(self, arena: Array, output: Array) -> None:
        """Set the states (slots, width), and the array that :meth:`step_one` fills and returns."""
        self._arena, self._output = arena, output

    def step_one(self, slot: int, x: Array) -> Array | None:
        """Step one slot; return None if an argument has the wrong type or shape."""
        fits = isinstance(x, np.ndarray) and x.dtype == np.float32 and x.shape == (self._inputs,)
        if not fits or type(slot) is not int or not 0 <= slot < len(self._arena):
            return None
        self._output[:] = self._run(self._arena[slot], x)
        return self._output

    def step(self, slots: Array, x: Array, out: Array, threads: int) -> int:
        """Step slots; return -1, or change nothing and return the first index whose slot is unknown or repeated."""
        seen: set[int] = set()
        for index, slot in enumerate(slots.tolist()):
            if slot in seen or not 0 <= slot < len(self._arena):
                return index
            seen.add(slot)
        for slot, row, y in zip(slots, x, out, strict=True):
            y[:] = self._run(self._arena[slot], row)
        return -1

    def _run(self, state: Array, x: Array) -> Array:
        start = 0
        for kind, w_x, w_h, bias in self._layers:
            size = w_h.shape[1]
            h = state[start : start + size]
            start += _padded(size)
            if kind == "gru":
                h[:] = _gru(w_x @ x, w_h @ h, bias, h)
            elif kind == "lstm":
                c = state[start : start + size]
                start += _padded(size)
                h[:], c[:] = _lstm(w_x @ x + w_h @ h + bias, c)
            else:
                total = w_x @ x + w_h @ h + bias
                h[:] = np.tanh(total) if kind == "tanh" else np.where(total < 0, np.float32(0), total)
            x = h
        return x


def _gru(of_x: Array, of_h: Array, bias: Array, h: Array) -> Array:
    size = len(h)
    r, z = np.split(_sigmoid(of_x[: 2 * size] + of_h[: 2 * size] + bias[: 2 * size]), 2)
    n = np.tanh(of_x[2 * size :] + bias[2 * size : 3 * size] + r * (of_h[2 * size :] + bias[3 * size :]))
    return np.asarray(n + z * (h - n))


def _lstm(total: Array, c: Array) -> tuple[Array, Array]:
    i, f, g, o = np.split(total, 4)
    new = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(new), new


def _sigmoid(x: Array) -> Array:
    half = np.float32(0.5)
    return np.asarray(half * np.tanh(half * x) + half)


def _padded(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _as_is(weight: Array) -> Array:
    return weight


def _to_bfloat16(weight: Array) -> Array:
    bits: Any = weight.view(np.uint32)
    near = (bits + np.uint32(0x8000)) & np.uint32(0xFFFF0000)
    return np.asarray(near.view(np.float32))


def _to_int8(weight: Array) -> Array:
    scale = np.abs(weight).max(axis=1, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1
    return np.asarray(np.rint(weight / scale) * scale)
