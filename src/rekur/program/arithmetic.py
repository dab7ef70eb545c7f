"""Functions on arrays that the ops share; products use the compiled kernels if they are installed.

Axes: N rows, D numbers of a row that is read, O numbers of a row that is written.
"""

from __future__ import annotations

import numpy as np

from rekur import _kernels
from rekur._tensors import Array

#: numbers of a row above which products are added up in double precision: rounding of one long sum would show
MANY = 4096


def affine(x: Array, weight: Array, bias: Array | None, threads: int = 1) -> Array:
    r"""Return :math:`x W^\top + b` (N, O); on the kernels the bits of a row do not depend on the other rows.

    Example:
        >>> affine(np.ones((1, 2), np.float32), np.ones((3, 2), np.float32), None).tolist()
        [[2.0, 2.0, 2.0]]
    """
    if _kernels.kernels is None:
        y = x @ weight.T
        return y if bias is None else np.asarray(y + bias)
    out = np.empty((len(x), len(weight)), np.float32)
    _kernels.kernels.product(np.ascontiguousarray(x), weight, bias, out.reshape(-1), out.shape[1], threads)
    return out


def short_affine(x: Array, weight: Array, bias: Array | None) -> Array:
    r"""Return :math:`x W^\top + b` as :func:`affine` does, for one step: without packing the matrix."""
    y = np.dot(x, weight.T)
    return y if bias is None else np.asarray(y + bias)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)) with all digits, without overflow."""
    return np.asarray(np.float32(1) / (np.float32(1) + np.exp(-np.maximum(x, np.float32(-87)))))


def log_sigmoid(x: Array) -> Array:
    """Return the logarithm of the sigmoid, without overflow."""
    return np.asarray(np.minimum(x, np.float32(0)) - np.log1p(np.exp(-np.abs(x))))


def relu(x: Array) -> Array:
    """Return x if it is above 0 or NaN, else 0."""
    return np.asarray(np.maximum(x, np.float32(0)))


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent."""
    return np.asarray(np.tanh(x))


def layer_norm(x: Array, epsilon: float) -> Array:
    """Return each row (…, D) minus its mean, divided by its standard deviation."""
    centred = x - x.mean(axis=-1, keepdims=True, dtype=np.float32)
    spread = np.square(centred).mean(axis=-1, keepdims=True, dtype=np.float32)
    return np.asarray(centred / np.sqrt(spread + np.float32(epsilon)))


def softmax(x: Array) -> Array:
    """Return the softmax of each row (…, D)."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def log_softmax(x: Array) -> Array:
    """Return the logarithm of the softmax of each row (…, D)."""
    below = x - x.max(axis=-1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=-1, keepdims=True)))


def asinh(x: Array) -> Array:
    """Return the inverse hyperbolic sine."""
    return np.asarray(np.arcsinh(x))


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)), without overflow."""
    return np.asarray(np.maximum(x, np.float32(0)) + np.log1p(np.exp(-np.abs(x))))


#: the smallest share whose logarithm is taken
LEAST_SHARE = 1e-30


def log(x: Array) -> Array:
    """Return the logarithm of shares, of at least 1e-30."""
    return np.asarray(np.log(np.maximum(x, np.float32(LEAST_SHARE))))


#: functions of an activation
FUNCTIONS = {"relu": relu, "tanh": tanh, "sigmoid": sigmoid, "asinh": asinh, "log": log}
