"""One sequence of a program on the compiled kernels: all ops of a step in one call.

Axes: D size of an input row, O size of an output row, K scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rekur import _kernels
from rekur._stepper import Stepper
from rekur._tensors import Array
from rekur.errors import InputError, describe
from rekur.program.cells import Cell, cell_from
from rekur.program.cells_numpy import log_decay
from rekur.program.op_list import initial_state
from rekur.program.ops import Op, op_arrays
from rekur.program.parts import INPUT, MAIN, is_pool
from rekur.program.plain import Packs, stepper_of
from rekur.program.program import Program

_HEADS = ("embed", "affine", "layer_norm", "add", "concat", "softmax", "log_softmax", "clusters", "padding")
_KNOWN = frozenset((*_HEADS, "ngrams", "recall", "last", "mean", "max", "attention", "conv", "activation", "recur"))
_KNOWN_FUNCTIONS = ("relu", "tanh", "sigmoid")
#: ops and functions of kernels that have the windows of series
_OF_FORECASTS, _FUNCTIONS_OF_FORECASTS = ("slice", "mix", "quantiles", "average"), ("asinh",)
#: kinds of input of kernels that do not say which they have
_FIRST_INPUTS = ("tokens", "rows")
#: role of a pool's state -> its name in the kernels
_STATE_ROLES = {"last": "state", "mean": "state", "largest": "state", "total": "state"}


def runs_native(program: Program) -> bool:
    """Return whether the kernels are installed and have every op of a program.

    Args:
        program: a causal program, or one that forecasts.
    """
    if _kernels.kernels is None or program.input.kind not in getattr(_kernels.kernels.Live, "INPUTS", _FIRST_INPUTS):
        return False
    kinds, known_functions = _KNOWN, {*_KNOWN_FUNCTIONS}
    if hasattr(_kernels.kernels, "Windows"):
        kinds, known_functions = kinds | {*_OF_FORECASTS}, known_functions | {*_FUNCTIONS_OF_FORECASTS}
    ops = [op for part in program.parts.values() for op in part.ops]
    functions = {op.options["function"] for op in ops if op.kind == "activation"}
    has_all = all(op.kind in kinds for op in ops) and functions <= known_functions
    return ops[-1].writes == program.output and has_all


class NativeLive:
    """One sequence of a causal program whose ops the kernels have; it belongs to one thread at a time.

    It is the fast form of :class:`rekur.program.Live`, which :meth:`rekur.program.Engine.live` prefers.

    Args:
        program: the program.
        weights: name -> array, of the program in float32.
        packs: the shared packed weights; missing ones are added.
        part: of the program; one without a pool is read at its last step.
    """

    def __init__(self, program: Program, weights: Mapping[str, Array], packs: Packs, part: str = MAIN) -> None:
        self._begin, self._packs = initial_state(program, weights), packs
        self._state: dict[str, Array] = {}
        self._steppers: list[tuple[Stepper, list[str]]] = []
        self._places = {INPUT: 0}
        source = program.parts[part].inputs[INPUT]
        self._sizes = sizes = [source.size if source.kind == "rows" else 0]
        self._vocabulary = source.size if source.kind == "tokens" else 0
        self._columns = source.columns
        steps, pools, rows = list[Any](), list[Any](), list[Any]()
        for op in program.parts[part].ops:
            fields = {**self._described(op, op_arrays(op, weights)), "writes": len(sizes)}
            (pools if is_pool(op) else rows if program.reads_rows(op, part) else steps).append(fields)
            self._places[op.writes] = len(sizes)
            sizes.append(op.size)
        columns = {"columns": list(self._columns)} if self._columns else {}
        native = _kernels.kernels.Live(sizes, self._vocabulary, steps, pools, rows, **columns)
        self._step, self._advance, self._read = native.step, native.advance, native.read
        self._size = sizes[-1]
        self._none = np.zeros((0, self._size), np.float32)
        self.set_state(self._begin)

    def step(self, x: Any) -> None:
        """Take one step: a token number, ids (C,), or a row (D,) of float32.

        Raises:
            InputError: the step is none of them.
        """
        if not self._step(x):
            self._step_with_care(x)

    def advance(self, steps: Array) -> Array:
        """Take several steps: token numbers (T,), ids (T, C), or rows (T, D) of float32; return no outputs (0, K).

        Raises:
            InputError: a step is none of them.
        """
        if not self._advance(steps):
            for x in steps:
                self.step(x)
        return self._none

    def finish(self) -> Array:
        """Return the output (1, K): the sequence ends here."""
        return self.read()[None]

    def read(self) -> Array:
        """Return the output (K,) as if the sequence ended here, as a new array."""
        output = np.empty(self._size, np.float32)
        self._read(output)
        return output

    def read_into(self, output: Array) -> None:
        """Write the output (K,) into an array of float32."""
        self._read(output)

    def buffers(self) -> dict[str, Array]:
        """Return the arrays that hold the state, which steps change; the parts of a program have them alike."""
        return self._state | {" ".join(names): stepper.arena for stepper, names in self._steppers}

    def get_state(self) -> dict[str, Array]:
        """Return copies of the state by name, in the program's order."""
        state = {name: array.copy() for name, array in self._state.items()}
        for stepper, names in self._steppers:
            state |= zip(names, stepper.get_state(0), strict=True)
        return {name: state[name] for name in self._begin}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Copy a state from :meth:`get_state`."""
        for name, array in self._state.items():
            array[...] = state[name]
        for stepper, names in self._steppers:
            stepper.set_state(0, [state[name] for name in names])

    def reset(self) -> None:
        """Return to the initial state."""
        self.set_state(self._begin)

    def _step_with_care(self, x: Any) -> None:
        """Take a step of another type, such as a NumPy integer, after converting it."""
        exact: Any = int(x) if self._vocabulary else np.ascontiguousarray(x, np.int64 if self._columns else np.float32)
        if not self._step(exact):
            expected = f"a whole number in [0, {self._vocabulary})" if self._vocabulary else "a row of the input's size"
            if self._columns:
                expected = f"whole numbers of 0 or more, below {', '.join(map(str, self._columns))}"
            raise InputError(describe("step", x, expected))

    def _described(self, op: Op, weights: Mapping[str, Array]) -> dict[str, Any]:
        """Return an op's description for the kernels, and allocate its state."""
        fields: dict[str, Any] = {"op": op.kind, "reads": [self._places[name] for name in op.reads]}
        if op.kind == "activation":
            return {**fields, "op": op.options["function"]}
        if op.kind == "recur":
            return {**fields, **self._cell(op, weights)}
        if self._columns:
            fields["column"] = op.options.get("column", 0)
        if op.kind == "embed":
            bounds = {name: op.options[name] for name in ("vocabulary",) if name in op.options}
            return {**fields, **bounds, "weight": np.ascontiguousarray(weights["table"])}
        if op.kind in ("ngrams", "recall"):
            return {**fields, **op.options, **self._runs(op, weights)}
        if op.kind == "conv":
            return {**fields, **self._conv(op, weights)}
        if op.kind == "layer_norm":
            fields |= {"weight": weights["gain"], "bias": weights["bias"], "epsilon": op.options["epsilon"]}
            return fields
        if op.kind in ("affine", "attention"):
            fields |= {role: np.ascontiguousarray(array) for role, array in weights.items()}
        if op.kind == "attention":
            fields["hidden"] = len(weights["bias"])
        if op.kind in _OF_FORECASTS:
            fields |= op.options
        for role, name in op.state.items():
            fields[_STATE_ROLES.get(role, role)] = self._buffer(name)
        return fields

    def _buffer(self, name: str) -> Array:
        self._state[name] = np.zeros_like(self._begin[name])
        return self._state[name]

    def _runs(self, op: Op, weights: Mapping[str, Array]) -> dict[str, Any]:
        fields: dict[str, Any] = {role: np.ascontiguousarray(array) for role, array in weights.items()}
        if "table" in fields:
            fields["weight"] = fields.pop("table")
        return fields | {role: self._buffer(name) for role, name in op.state.items()}

    def _conv(self, op: Op, weights: Mapping[str, Array]) -> dict[str, Any]:
        size, width, window = weights["weight"].shape
        matrix = np.ascontiguousarray(weights["weight"].transpose(0, 2, 1)).reshape(size, -1)
        fields = {"weight": matrix, "bias": weights["bias"], "depth": width * window}
        if op.state:
            fields["state"] = self._buffer(op.state["before"])
        return fields

    def _cell(self, op: Op, weights: Mapping[str, Array]) -> dict[str, Any]:
        cell = cell_from(op.options, self._sizes[self._places[op.reads[0]]], op.size)
        if cell.plain:
            return {"stepper": self._stepper(op, cell, weights)}
        fields: dict[str, Any] = {role: np.ascontiguousarray(array) for role, array in weights.items()}
        if cell.kind == "rglru":
            fields["log_decay"] = log_decay(fields.pop("decay"))
        fields |= {"op": "cell", "cell": cell.kind, "hidden": cell.hidden, "heads": cell.heads, "norm": cell.norm}
        fields |= {"stay_h": cell.stay[0], "stay_c": cell.stay[1]}
        return fields | {f"state_{role}": self._buffer(name) for role, name in op.state.items()}

    def _stepper(self, op: Op, cell: Cell, weights: Mapping[str, Array]) -> Any:
        stepper = stepper_of(op, cell, weights, self._packs)
        self._steppers.append((stepper, [op.state[role] for role in cell.state()]))
        return stepper.compiled
