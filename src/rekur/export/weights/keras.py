"""Layers from and to Keras: SimpleRNN, LSTM and GRU, alone or inside Bidirectional.

Axes: D input features, H hidden, G gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rekur._check import choice
from rekur._tensors import Array
from rekur.errors import InputError, describe
from rekur.export.weights.layer import GATES, LayerWeights, no_reverse, reorder

#: Keras orders the gates of an LSTM i f c o, as PyTorch does, and those of a GRU z r h
_ORDERS: dict[int, tuple[int, ...]] = {1: (0,), 3: (1, 0, 2), 4: (0, 1, 2, 3)}
#: advice about weights that Keras lacks: peepholes, and a projection
_ADVICE = (
    "Keras has no peepholes: train the cell 'lstm', or write ONNX, which has them.",
    "Keras has no projection: train the LSTM without proj_size, or keep it in torch.nn, which has it.",
)


def from_keras(arrays: Sequence[Any], cell: str) -> LayerWeights:
    """Return a layer from ``get_weights()`` of a Keras layer.

    Args:
        arrays: kernel (D, G·H), recurrent kernel (H, G·H), and the bias (G·H,), or (2, G·H) for a GRU that resets after
            the product; for ``Bidirectional`` those of the forward, then of the backward direction.
        cell: ``rnn``, ``rnn_relu``, ``lstm``, ``gru`` (``reset_after=True``) or ``gru_reset_before``.

    Raises:
        InputError: another number of arrays, or a bias of the other kind of GRU.

    Example:
        >>> kernel, recurrent = np.ones((3, 8), np.float32), np.ones((2, 8), np.float32)
        >>> from_keras([kernel, recurrent, np.ones(8, np.float32)], "lstm").hidden_size
        2
    """
    values = [np.asarray(array) for array in arrays]
    count = 3 if len(values) in (3, 6) else 2
    if len(values) not in (2, 3, 4, 6):
        raise InputError(
            describe("arrays of a Keras layer", len(values), "2 or 3, or twice as many for both directions")
        )
    parts = [values[start : start + count] for start in range(0, len(values), count)]
    return LayerWeights(cell, tuple(keras_direction(part, cell) for part in parts))


def to_keras(layer: LayerWeights) -> list[Array]:
    """Return arrays for ``set_weights()`` of a Keras layer with the same cell.

    A layer without biases gives arrays for ``use_bias=False``. If Keras has one bias for both products, it gets their
    sum.

    Raises:
        InputError: Keras does not have the cell, or one of its weights.

    Example:
        >>> one = {"weight_ih": np.zeros((12, 3), np.float32), "weight_hh": np.zeros((12, 4), np.float32)}
        >>> [array.shape for array in to_keras(LayerWeights("gru", (one,)))]
        [(3, 12), (4, 12)]
    """
    no_reverse(layer, "Keras", "Its go_backwards=True gives the outputs in the order in which it read the steps.")
    arrays: list[Array] = []
    for index, weights in enumerate(layer.directions):
        extra = set(weights) - {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
        if extra or layer.cell == "lstm_peephole":
            got = ", ".join(sorted(extra)) or layer.cell
            fix = _ADVICE["weight_hr" in extra]
            raise InputError(describe("weights of the layer", got, "weights that Keras has too", fix))
        order = _ORDERS[layer.gates]
        arrays += [np.ascontiguousarray(reorder(weights[role], order).T) for role in ("weight_ih", "weight_hh")]
        if not layer.biased:
            continue
        biases = [reorder(bias, order) for bias in layer.bias(index)]
        arrays.append(np.stack(biases) if layer.cell == "gru" else _joined(*biases))
    return arrays


def keras_direction(part: Sequence[Array], cell: str) -> dict[str, Array]:
    """Return one direction from the kernel, recurrent kernel and optional bias of a Keras cell."""
    kernel, recurrent, *biases = part
    order = _ORDERS[GATES[choice("cell", cell, GATES)]]
    arrays = {"weight_ih": reorder(kernel.T, order), "weight_hh": reorder(recurrent.T, order)}
    if biases:
        both = cell == "gru"
        if biases[0].ndim != 1 + both:
            expected = "two rows, as with reset_after=True" if both else "one row, as with reset_after=False"
            raise InputError(describe("bias of the Keras layer", biases[0].shape, expected))
        rows = list(biases[0]) if both else [biases[0], np.zeros_like(biases[0])]
        arrays |= {f"bias_{role}": reorder(row, order) for role, row in zip(("ih", "hh"), rows, strict=True)}
    return arrays


def _joined(ours: Array, other: Array) -> Array:
    """Return the sum of two biases; if the second is zero, the first unchanged, bit for bit."""
    return np.asarray(ours + other if other.any() else ours)
