"""Steppers: recurrent layers that run one event at a time, for one stream or ten thousand; no PyTorch.

The weights are packed once. The states of all streams share one arena with a slot for each; a call steps any number of
slots. A step of one slot allocates nothing, takes no lock and wakes no thread. They need the compiled kernels: without
them programs run on :class:`rekur.program.cells_numpy.NumpyCell`.

A stream's outputs are the same bits whichever other slots the call steps, and in whichever order. In float32 they also
equal those of the compiled scan over the whole sequence.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np

from rekur._check import MOST_THREADS
from rekur._kernels import kernels
from rekur._tensors import Array
from rekur.errors import InputError, ShapeError, describe, did_you_mean

Precision = Literal["float32", "bfloat16", "int8"]

#: gates of each kind of layer
GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
PRECISIONS = ("float32", "bfloat16", "int8")
_LINE = 16  # numbers of a cache line


@dataclass(frozen=True)
class StepLayer:
    """One recurrent layer with weights as in PyTorch: gates stacked in rows, LSTM i f g o, GRU r z n.

    Args:
        kind: "tanh" or "relu" (simple recurrent networks), "lstm" or "gru".
        weight_ih: (gates · hidden, input) float32.
        weight_hh: (gates · hidden, hidden) float32.
        bias_ih: (gates · hidden), or None.
        bias_hh: (gates · hidden), or None.
    """

    kind: str
    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None = None
    bias_hh: Array | None = None

    @property
    def hidden(self) -> int:
        """Size of the state h, and of an output."""
        return int(self.weight_hh.shape[1])

    @property
    def input(self) -> int:
        """Size of an input."""
        return int(self.weight_ih.shape[1])

    def bias(self) -> Array:
        """Return the joined bias; a GRU's is r, z, n of the input, then n of the state."""
        size, zeros = self.hidden, np.zeros(self.weight_hh.shape[0], np.float32)
        of_input = zeros if self.bias_ih is None else self.bias_ih
        of_state = zeros if self.bias_hh is None else self.bias_hh
        if self.kind != "gru":
            return np.asarray(of_input + of_state)
        split = 2 * size
        return np.concatenate([of_input[:split] + of_state[:split], of_input[split:], of_state[split:]])


class Engine(Protocol):
    """The engine of a stepper, in the compiled kernels."""

    @property
    def width(self) -> int:
        """Size of a slot."""

    @property
    def busy(self) -> bool:
        """Whether another thread is in a step."""

    def twin(self) -> Self:
        """Return a second engine with the same weights, without an arena."""

    def use(self, arena: Array, output: Array) -> None:
        """Set the states (slots, width), and the array that ``step_one`` fills and returns."""

    def step_one(self, slot: int, x: Array) -> Array | None:
        """Step one slot; change nothing and return None if an argument has the wrong type or shape."""

    def step(self, slots: Array, x: Array, out: Array, threads: int) -> int:
        """Step slots; return -1, or change nothing and return the first index whose slot is unknown or repeated."""


class Stepper:
    """Stacked recurrent layers with the states of many streams.

    A stepper belongs to one thread at a time.

    Args:
        layers: the layers; each reads the outputs of the previous one.
        slots: the number of streams; :meth:`resize` changes it.
        precision: of the weights. "float32"; "bfloat16": each weight is off by at most 1/256 of itself; "int8": off by
            at most 1/254 of the largest weight of its row, and each input by 1/16382 of the largest input of its
            step. States and sums are always float32. With "int8" an input row with NaN or infinity becomes NaN.
        threads: most threads for a step of many slots; a short step always runs in one.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> weights = [rng.normal(size=(3 * 8, size)).astype(np.float32) for size in (5, 8)]
        >>> stepper = Stepper([StepLayer("gru", *weights)], slots=100)
        >>> stepper.step([7, 3], np.ones((2, 5), np.float32)).shape
        (2, 8)
        >>> stepper.step_one(7, np.ones(5, np.float32)).shape
        (8,)
    """

    def __init__(
        self, layers: Iterable[StepLayer], slots: int = 1, precision: Precision = "float32", threads: int = 1
    ) -> None:
        self.layers = tuple(layers)
        _check_layers(self.layers)
        if precision not in PRECISIONS:
            expected = f"one of {', '.join(PRECISIONS)}"
            raise InputError(describe("precision", precision, expected, did_you_mean(str(precision), PRECISIONS)))
        if not _is_whole(threads) or threads < 1:
            raise InputError(describe("threads", threads, "a whole number from 1"))
        if precision != "float32":
            _check_finite(self.layers)
        self.precision, self.threads = precision, min(threads, MOST_THREADS)
        self._engine = _engine(self.layers, precision)
        self._output = np.zeros(self.output_size, np.float32)
        self._arena = np.zeros((0, self._engine.width), np.float32)
        self.resize(slots)

    def twin(self, slots: int = 1) -> Self:
        """Return a second stepper, for another thread or other streams; the two share the packed weights alone."""
        other = copy.copy(self)
        other._engine = self._engine.twin()
        other._output = np.zeros(self.output_size, np.float32)
        other._arena = np.zeros((0, self._engine.width), np.float32)
        other.resize(slots)
        return other

    @property
    def input_size(self) -> int:
        """Size of an input."""
        return self.layers[0].input

    @property
    def output_size(self) -> int:
        """Size of an output."""
        return self.layers[-1].hidden

    @property
    def slots(self) -> int:
        """The number of streams."""
        return int(self._arena.shape[0])

    @property
    def arena(self) -> Array:
        """The states of all streams, (slots, width), which steps change; of steppers with the same layers alike."""
        return self._arena

    @property
    def compiled(self) -> Engine:
        """The compiled stepper itself, for other kernels."""
        return self._engine

    def step_one(self, slot: int, x: Array) -> Array:
        """Step one stream, on the fastest path.

        Args:
            slot: the stream.
            x: (input) float32.

        Returns:
            The output (output_size). Each call overwrites and returns the same array: copy it to keep it.
        """
        y = self._engine.step_one(slot, x)
        return y if y is not None else self._step_one_checked(slot, x)

    def step(self, slots: Sequence[int] | Array, x: Array, out: Array | None = None) -> Array:
        """Step several streams, each once.

        Args:
            slots: (rows) the streams, without repetition.
            x: (rows, input) float32.
            out: (rows, output_size) float32, contiguous, to write the outputs to.

        Returns:
            The outputs (rows, output_size).
        """
        numbers = self._numbers(slots)
        _check_array("x", x, (len(numbers), self.input_size))
        if out is None:
            out = np.empty((len(numbers), self.output_size), np.float32)
        else:
            _check_array("out", out, (len(numbers), self.output_size))
            if not out.flags.c_contiguous or not out.flags.writeable:
                got = {"contiguous": out.flags.c_contiguous, "writable": out.flags.writeable}
                raise InputError(describe("out", got, "a contiguous, writable array"))
            if np.may_share_memory(x, out):
                x = x.copy()
        self._check_idle()
        wrong = self._engine.step(numbers, np.ascontiguousarray(x), out, self.threads)
        if wrong >= 0:
            self._complain(int(numbers[wrong]))
        return out

    def reset(self, slots: Sequence[int] | Array | None = None) -> None:
        """Set the states of some or all streams to zero: they start again."""
        self._check_idle()
        self._arena[slice(None) if slots is None else self._known(self._numbers(slots))] = 0

    def get_state(self, slot: int) -> list[Array]:
        """Return copies of the state of a stream: h of each layer, followed by c for an LSTM."""
        row = self._row(slot)
        return [row[start : start + size].copy() for start, size in self._parts()]

    def set_state(self, slot: int, state: Sequence[Array]) -> None:
        """Set the state of a stream.

        Args:
            slot: the stream.
            state: as :meth:`get_state` returns it.
        """
        row, parts = self._row(slot), self._parts()
        if len(state) != len(parts):
            raise ShapeError(describe("arrays of state", len(state), f"{len(parts)}: h, and c of an LSTM, by layer"))
        for index, (array, (_, size)) in enumerate(zip(state, parts, strict=True)):
            _check_array(f"state[{index}]", array, (size,))
        for array, (start, size) in zip(state, parts, strict=True):
            row[start : start + size] = array

    def get_states(self, count: int) -> list[Array]:
        """Return copies of the states of the first streams, in the order of :meth:`get_state`, each (count, hidden)."""
        self._check_idle()
        return [self._arena[:count, start : start + size].copy() for start, size in self._parts()]

    def set_states(self, states: Sequence[Array]) -> None:
        """Set the states of the first streams, from arrays as :meth:`get_states` returns them."""
        self._check_idle()
        for array, (start, size) in zip(states, self._parts(), strict=True):
            self._arena[: len(array), start : start + size] = array

    def copy(self, from_slot: int, to_slot: int) -> None:
        """Copy the state of one stream to another."""
        self._row(to_slot)[:] = self._row(from_slot)

    def resize(self, slots: int) -> None:
        """Change the number of streams; the first ones keep their states."""
        if not _is_whole(slots) or slots < 1:
            raise InputError(describe("slots", slots, "a whole number from 1"))
        self._check_idle()
        arena = _aligned(int(slots), self._engine.width)
        count = min(self.slots, int(slots))
        arena[:count] = self._arena[:count]
        self._engine.use(arena, self._output)
        self._arena = arena

    def _parts(self) -> list[tuple[int, int]]:
        """Return the offset in a slot and the size of each array of a state."""
        parts, start = [], 0
        for layer in self.layers:
            for _ in range(2 if layer.kind == "lstm" else 1):
                parts.append((start, layer.hidden))
                start += -(-layer.hidden // _LINE) * _LINE
        return parts

    def _step_one_checked(self, slot: int, x: Array) -> Array:
        """Check the arguments of ``step_one``, and step or raise."""
        self._check_idle()
        _check_array("x", x, (self.input_size,))
        if not _is_whole(slot) or not 0 <= slot < self.slots:
            self._complain(slot)
        y = self._engine.step_one(int(slot), np.ascontiguousarray(x))
        if y is None:
            raise InputError(describe("x", type(x).__name__, "a NumPy array of float32 in this machine's byte order"))
        return y

    def _numbers(self, slots: Sequence[int] | Array) -> Array:
        numbers = np.asarray(slots)
        if numbers.size == 0:
            numbers = numbers.astype(np.int64)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            got = (str(numbers.dtype), numbers.shape)
            fix = "For a single stream there is step_one."
            raise InputError(describe("slots (type, shape)", got, "one axis of whole numbers", fix))
        return np.ascontiguousarray(numbers, np.int64)

    def _known(self, numbers: Array) -> Array:
        outside = (numbers < 0) | (numbers >= self.slots)
        if outside.any():
            self._complain(int(numbers[outside][0]))
        return numbers

    def _row(self, slot: int) -> Array:
        self._check_idle()
        if not _is_whole(slot) or not 0 <= slot < self.slots:
            self._complain(slot)
        row: Array = self._arena[slot]
        return row

    def _complain(self, slot: object) -> None:
        if _is_whole(slot) and 0 <= int(slot) < self.slots:  # type: ignore[call-overload]
            raise InputError(describe("slots", [slot, slot], "each slot once", "Step it again in another call."))
        expected = f"a whole number from 0 to {self.slots - 1}"
        raise InputError(describe("slot", slot, expected, "resize() makes room for more."))

    def _check_idle(self) -> None:
        if self._engine.busy:
            fix = "Give each thread its own stepper."
            raise InputError(describe("calls at the same time", 2, "one thread at a time", fix))


def _engine(layers: tuple[StepLayer, ...], precision: str) -> Engine:
    weights = [
        (layer.kind, np.ascontiguousarray(layer.weight_ih), np.ascontiguousarray(layer.weight_hh), layer.bias())
        for layer in layers
    ]
    engine: Engine = kernels.Stepper(weights, precision)
    return engine


def _aligned(rows: int, width: int) -> Array:
    """Return zeros (rows, width), aligned to a cache line."""
    space = np.zeros(rows * width + _LINE, np.float32)
    skip = (-space.ctypes.data // 4) % _LINE
    return space[skip : skip + rows * width].reshape(rows, width)


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_layers(layers: tuple[StepLayer, ...]) -> None:
    if not layers:
        raise InputError(describe("layers", [], "one or more"))
    size = None
    for index, layer in enumerate(layers):
        name = f"layers[{index}]"
        if layer.kind not in GATES:
            expected = f"one of {', '.join(GATES)}"
            raise InputError(describe(f"{name}.kind", layer.kind, expected, did_you_mean(str(layer.kind), GATES)))
        for field in ("weight_ih", "weight_hh"):
            array = getattr(layer, field)
            if not isinstance(array, np.ndarray) or array.ndim != 2 or 0 in array.shape:
                got = getattr(array, "shape", type(array).__name__)
                raise ShapeError(describe(f"{name}.{field}", got, "a NumPy array of two axes, neither empty"))
        rows = GATES[layer.kind] * layer.hidden
        _check_array(f"{name}.weight_ih", layer.weight_ih, (rows, layer.input if size is None else size))
        _check_array(f"{name}.weight_hh", layer.weight_hh, (rows, layer.hidden))
        for field in ("bias_ih", "bias_hh"):
            if getattr(layer, field) is not None:
                _check_array(f"{name}.{field}", getattr(layer, field), (rows,))
        size = layer.hidden


def _check_finite(layers: tuple[StepLayer, ...]) -> None:
    for index, layer in enumerate(layers):
        for field in ("weight_ih", "weight_hh"):
            weight = getattr(layer, field)
            wrong = weight[~np.isfinite(weight)]
            if wrong.size:
                fix = "Only the precision float32 can hold NaN and infinity."
                raise InputError(describe(f"layers[{index}].{field}", wrong[0], "finite numbers", fix))


def _check_array(name: str, array: object, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        got = array.dtype if isinstance(array, np.ndarray) else type(array)
        fix = "Convert it with .astype(np.float32)." if isinstance(array, np.ndarray) else ""
        raise InputError(describe(name, got, "a NumPy array of float32", fix))
    if array.shape != shape:
        raise ShapeError(describe(f"{name}, its shape", array.shape, str(shape)))
