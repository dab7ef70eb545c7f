"""Flax's recurrent layers, where JAX and Flax are installed: ``nnx.RNN`` under jit, forward and backward."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np


def why_absent() -> str:
    """Return why Flax cannot be measured, or an empty string."""
    missing = [name for name in ("jax", "flax") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


def training(kind: str, x: np.ndarray, weight: np.ndarray) -> Callable[[], object]:
    """Return one forward and backward pass of a layer over x (B, T, D): gradients of x and of the weights.

    Args:
        kind: "rnn", "gru" or "lstm".
        x: inputs.
        weight: (B, T, H), the gradient of the outputs.
    """
    import jax
    from flax import nnx

    cells: dict[str, Any] = {"rnn": nnx.SimpleCell, "gru": nnx.GRUCell, "lstm": nnx.OptimizedLSTMCell}
    layer = nnx.RNN(cells[kind](x.shape[-1], weight.shape[-1], rngs=nnx.Rngs(0)))
    graph, weights, rest = nnx.split(layer, nnx.Param, ...)

    # given here, since the layer would draw its own from random numbers, which a gradient cannot look into
    zeros = jax.numpy.zeros((x.shape[0], weight.shape[-1]))
    start = (zeros, zeros) if kind == "lstm" else zeros

    def loss(weights: Any, x: Any, weight: Any) -> Any:
        return (nnx.merge(graph, weights, rest)(x, initial_carry=start) * weight).sum()

    step = jax.jit(jax.grad(loss, argnums=(0, 1)))
    given, wanted = jax.numpy.asarray(x), jax.numpy.asarray(weight)
    return lambda: jax.block_until_ready(step(weights, given, wanted))
