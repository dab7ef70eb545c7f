"""The weights of a program in its file: checked against the program, and packed as safetensors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rekur._tensors import Array, pack
from rekur.errors import InputError, ShapeError, describe, did_you_mean
from rekur.program.program import Program

#: NumPy types for the bits of types that it lacks
_HELD = {"bfloat16": "uint16"}


def check_weights(program: Program, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights of a program, contiguous, without others.

    Args:
        program: the program.
        weights: name -> array.

    Raises:
        InputError: a weight is missing, or its type differs from the program's.
        ShapeError: the shape of a weight differs from the program's.

    Example:
        >>> from rekur.program import Input, Op, State, Weight
        >>> head = Op("affine", ("last",), "scores", 3, {"weight": "w"})
        >>> last = Op("last", ("input",), "last", 2, state={"last": "last"})
        >>> state = (State("last", (2,)),)
        >>> program = Program.of("regress", Input("rows", 2), {"w": Weight((3, 2))}, state, (last, head))
        >>> check_weights(program, {"w": np.zeros((2, 3), np.float32)})
        Traceback (most recent call last):
        rekur.errors.ShapeError: shape of the weight 'w': got (2, 3); expected (3, 2), as the program says.
    """
    checked = {}
    for name, weight in program.weights.items():
        if name not in weights:
            have = ", ".join(weights) or "none"
            raise InputError(describe("weights", have, f"'{name}' too", did_you_mean(name, weights)))
        array = np.asarray(weights[name])
        if str(array.dtype) != _HELD.get(weight.dtype, weight.dtype):
            held = f" (its bits as {_HELD[weight.dtype]})" if weight.dtype in _HELD else ""
            raise InputError(
                describe(f"type of the weight '{name}'", array.dtype, f"{weight.dtype}{held}, as the program says")
            )
        if array.shape != weight.shape:
            raise ShapeError(
                describe(f"shape of the weight '{name}'", array.shape, f"{weight.shape}, as the program says")
            )
        checked[name] = np.ascontiguousarray(array)
    return checked


def pack_weights(program: Program, weights: Mapping[str, Array]) -> bytes:
    """Return the weights of a program as the bytes of ``program.safetensors``.

    Args:
        program: the program.
        weights: name -> array, the weights of the program.
    """
    small = {name for name, weight in program.weights.items() if weight.dtype == "bfloat16"}
    return pack("weights", weights, bfloat16=small)
