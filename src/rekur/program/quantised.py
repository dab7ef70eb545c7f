"""Weights in low precision: int8 with a scale for each row, or bfloat16; the ops of a program stay the same.

Axes: R rows of a weight, C numbers of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from rekur._check import choice
from rekur._tensors import Array
from rekur.errors import InputError, describe
from rekur.program.ops import SCALE, SMALL
from rekur.program.parts import Weight
from rekur.program.program import Program
from rekur.program.stored_weights import check_weights

_LARGEST = np.float32(127)


def quantise(program: Program, weights: Mapping[str, Array], precision: str) -> tuple[Program, dict[str, Array]]:
    r"""Return a program with matrices in low precision, and its weights.

    With ``int8`` a row w of a matrix is stored as :math:`q = \mathrm{round}(w / s)` with its scale
    :math:`s = \max |w| / 127`, and represents :math:`s q`: each number is off by at most s/2. With ``bfloat16`` each
    number is off by at most 1/256 of itself. Tables and kernels of convolutions count as matrices; vectors and initial
    states remain float32.

    Args:
        program: a program in float32.
        weights: its weights: name -> array.
        precision: ``int8`` or ``bfloat16``.

    Raises:
        InputError: the precision is unknown, the program is quantised already, or a weight is not finite.

    Example:
        >>> from rekur.program import Engine, Input, Op, State
        >>> last = Op("last", ("input",), "last", 2, state={"last": "last"})
        >>> head = Op("affine", ("last",), "scores", 1, {"weight": "w"})
        >>> state = (State("last", (2,)),)
        >>> program = Program.of("regress", Input("rows", 2), {"w": Weight((1, 2))}, state, (last, head))
        >>> small, weights = quantise(program, {"w": np.array([[1.27, 0.5]], np.float32)}, "int8")
        >>> weights["w"].tolist(), round(float(weights["w.scale"][0]), 6)
        ([[127, 50]], 0.01)
        >>> round(float(Engine(small, weights).run([np.ones((3, 2))])[0, 0]), 4)
        1.77
    """
    choice("precision", precision, SMALL)
    if program.precision != "float32":
        fix = "Quantise the original program."
        raise InputError(describe("precision of the program", program.precision, "'float32'", fix))
    starts = {slot.begins for slot in program.state}
    new_weights, arrays = dict[str, Weight](), dict[str, Array]()
    for name, array in check_weights(program, weights).items():
        arrays[name], new_weights[name] = array, program.weights[name]
        if array.dtype != np.float32 or array.ndim < 2 or name in starts:
            continue
        _check_finite(name, array)
        new_weights[name] = replace(new_weights[name], dtype=precision)
        if precision == "int8":
            arrays[name], arrays[name + SCALE] = _to_int8(array)
            new_weights[name + SCALE] = Weight(array.shape[:1])
        else:
            arrays[name] = _to_bfloat16(array)
            _check_finite(name, _from_bfloat16(arrays[name]), array)
    return replace(program, weights=new_weights), arrays


def in_precision(
    program: Program, weights: Mapping[str, Array], precision: str | None
) -> tuple[Program, dict[str, Array]]:
    """Return a program with matrices in this precision, and its weights.

    Args:
        program: a program, quantised or not.
        weights: its weights: name -> array.
        precision: ``float32``, ``int8`` or ``bfloat16``; None keeps the program's.

    Raises:
        InputError: the precision is unknown, would change from ``int8`` to ``bfloat16`` or back, or a weight is not
            finite.

    Example:
        >>> from rekur.program import Input, Op, State
        >>> last = Op("last", ("input",), "last", 2, state={"last": "last"})
        >>> head = Op("affine", ("last",), "scores", 1, {"weight": "w"})
        >>> state = (State("last", (2,)),)
        >>> program = Program.of("regress", Input("rows", 2), {"w": Weight((1, 2))}, state, (last, head))
        >>> small, weights = in_precision(program, {"w": np.ones((1, 2), np.float32)}, "int8")
        >>> small.precision, in_precision(small, weights, "float32")[0].precision
        ('int8', 'float32')
    """
    if precision is None or choice("precision", precision, ("float32", *SMALL)) == program.precision:
        return program, check_weights(program, weights)
    if precision == "float32":
        return dequantise(program, weights)
    if program.precision != "float32":
        fix = f"The weights are {program.precision} already: use the original model."
        raise InputError(describe("precision", precision, f"'{program.precision}' or 'float32'", fix))
    return quantise(program, weights, precision)


def dequantise(program: Program, weights: Mapping[str, Array]) -> tuple[Program, dict[str, Array]]:
    """Return a program with float32 weights, and its weights expanded to float32.

    Args:
        program: a program, quantised or not.
        weights: its weights: name -> array.

    Raises:
        InputError: the weights do not match the program.

    Example:
        >>> from rekur.program import Input, Op, State
        >>> mean = Op("mean", ("input",), "mean", 1, state={"mean": "mean", "count": "count"})
        >>> state = (State("mean", (1,)), State("count", (1,), "int64"))
        >>> program = Program.of("regress", Input("rows", 1), {}, state, (mean,))
        >>> dequantise(program, {}) == (program, {})
        True
    """
    arrays = check_weights(program, weights)
    new_weights = dict[str, Weight]()
    for name, weight in program.weights.items():
        if name.removesuffix(SCALE) != name and _is_int8(program, name.removesuffix(SCALE)):
            continue
        new_weights[name] = weight
        if weight.dtype == "int8":
            arrays[name] = _from_int8(arrays[name], arrays.pop(name + SCALE))
        elif weight.dtype == "bfloat16":
            arrays[name] = _from_bfloat16(arrays[name])
        if weight.dtype in SMALL:
            new_weights[name] = replace(weight, dtype="float32")
    return replace(program, weights=new_weights), arrays


def _is_int8(program: Program, name: str) -> bool:
    return name in program.weights and program.weights[name].dtype == "int8"


def _to_int8(array: Array) -> tuple[Array, Array]:
    rows = array.reshape(len(array), -1)
    scale = np.abs(rows).max(axis=1) / _LARGEST
    scale[scale == 0] = 1  # a row of zeros
    nearest = np.clip(np.rint(rows / scale[:, None]), -_LARGEST, _LARGEST)
    return nearest.astype(np.int8).reshape(array.shape), scale


def _from_int8(array: Array, scale: Array) -> Array:
    return np.asarray(array * scale.reshape(-1, *[1] * (array.ndim - 1)), np.float32)


def _to_bfloat16(array: Array) -> Array:
    """Return the upper half of each number's bits, rounded to nearest, ties to even."""
    bits = array.view(np.uint32)
    return np.asarray((bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16, np.uint16)


def _from_bfloat16(array: Array) -> Array:
    return np.asarray((array.astype(np.uint32) << 16).view(np.float32))


def _check_finite(name: str, array: Array, shown: Array | None = None) -> None:
    wrong = ~np.isfinite(array)
    if wrong.any():
        got = (array if shown is None else shown)[wrong][0]
        raise InputError(describe(f"a number of the weight '{name}'", got, "finite numbers that its new type holds"))
