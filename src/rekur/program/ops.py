"""The ops of a program, and the arrays of its state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from rekur._check import choice, no_unknown, number
from rekur._check import whole as whole_number
from rekur._tensors import Array
from rekur.errors import InputError, describe
from rekur.program.cells import Shape

#: types of state
STATE_DTYPES = ("float32", "int64")
#: largest number that a state of each type may begin with: above 2**53 a float skips whole numbers
_LARGEST = {"float32": 3.4028234663852886e38, "int64": float(2**53)}
#: low-precision types of matrices
SMALL = ("int8", "bfloat16")
#: suffix of the name of an int8 matrix in the name of its scales
SCALE = ".scale"
_OWN = ("op", "reads", "writes", "size", "weights", "state")


@dataclass(frozen=True)
class State:
    """One array of the state, which carries over from step to step.

    Args:
        name: its name in ops.
        shape: its axes.
        dtype: ``float32`` or ``int64``.
        begins: its initial value: a number for all entries, or the name of a weight.
        output: the output of the part ``encode`` that it begins with instead; empty for none.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    begins: float | str = 0.0
    output: str = ""

    def __post_init__(self) -> None:
        choice(f"type of the state '{self.name}'", self.dtype, STATE_DTYPES)
        if not isinstance(self.begins, str):
            largest = _LARGEST[self.dtype]
            number(f"begins of the state '{self.name}'", self.begins, -largest, largest)

    @property
    def bytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * (8 if self.dtype == "int64" else 4)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the name."""
        written = {"shape": list(self.shape), "dtype": self.dtype, "begins": self.begins}
        return {**written, "output": self.output} if self.output else written

    @classmethod
    def from_json(cls, name: str, saved: Any) -> Self:
        """Return the state that :meth:`to_json` wrote."""
        if not isinstance(saved, dict):
            raise InputError(describe(f"state '{name}'", type(saved).__name__, "an object: name -> value"))
        no_unknown(f"field of the state '{name}'", saved, ("shape", "dtype", "begins", "output"))
        shape = saved.get("shape")
        begins = saved.get("begins", 0.0)
        axes = tuple(shape) if isinstance(shape, list) else ()
        if not isinstance(begins, str):
            begins = number(f"begins of the state '{name}'", begins)
        output = saved.get("output", "")
        if not isinstance(output, str):
            raise InputError(describe(f"output of the state '{name}'", output, "the name of an output"))
        return cls(name, axes, saved.get("dtype", "float32"), begins, output)


@dataclass(frozen=True)
class Op:
    """One op of a program.

    Args:
        kind: a name in ``RULES`` of :mod:`rekur.program.rules`.
        reads: its input registers.
        writes: its output register.
        size: size of an output row.
        weights: role -> name of the weight.
        state: role -> name of the state.
        options: such as ``{"function": "relu"}``.
    """

    kind: str
    reads: tuple[str, ...]
    writes: str
    size: int
    weights: Mapping[str, str] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the op as a flat JSON object."""
        written: dict[str, Any] = {"op": self.kind, **self.options}
        written |= {"reads": list(self.reads), "writes": self.writes, "size": self.size}
        if self.weights:
            written["weights"] = dict(self.weights)
        if self.state:
            written["state"] = dict(self.state)
        return written

    @classmethod
    def from_json(cls, path: str, saved: Any, rules: Mapping[str, Any]) -> Self:
        """Return the op that :meth:`to_json` wrote.

        Args:
            path: its path in the program, for messages.
            saved: the JSON object.
            rules: the ops that this part of a program may have.
        """
        if not isinstance(saved, dict):
            raise InputError(describe(path, type(saved).__name__, "an object: name -> value"))
        kind = choice(f"{path}.op", saved.get("op"), rules)
        no_unknown(f"field of {path} ({kind})", saved, (*_OWN, *rules[kind].options))
        reads, size = saved.get("reads"), saved.get("size")
        if not isinstance(reads, list) or not all(isinstance(name, str) for name in reads):
            raise InputError(describe(f"{path}.reads", reads, "a list of registers"))
        if not isinstance(saved.get("writes"), str):
            raise InputError(describe(f"{path}.writes", saved.get("writes"), "the name of a register"))
        for name in ("weights", "state"):
            value = saved.get(name, {})
            if not isinstance(value, dict) or not all(isinstance(inner, str) for inner in value.values()):
                raise InputError(describe(f"{path}.{name}", value, "an object: role -> name"))
        return cls(
            kind,
            tuple(reads),
            saved["writes"],
            whole_number(f"{path}.size", size, low=1),
            saved.get("weights", {}),
            saved.get("state", {}),
            {name: saved[name] for name in rules[kind].options if name in saved},
        )


class Widths:
    """The weights and states of a program, and the set that its ops use.

    Args:
        weights: name -> shape.
        types: name -> type.
        states: name -> state.
    """

    def __init__(self, weights: Mapping[str, Shape], types: Mapping[str, str], states: Mapping[str, State]) -> None:
        self._weights, self._types, self._states = weights, types, states
        self._used = {slot.begins for slot in states.values() if isinstance(slot.begins, str)}
        self._owned: set[str] = set()
        self._left: set[str] = set()

    def weight(self, path: str, op: Op, role: str) -> Shape:
        """Return the shape of an op's weight, after checking its type."""
        if role not in op.weights:
            raise InputError(describe(f"weights of {path} ({op.kind})", names_of(op.weights), f"one for '{role}'"))
        name = op.weights[role]
        self._used.add(choice(f"{path}.weights.{role}", name, list(self._weights)))
        dtype = "int64" if role.startswith("runs") else "float32"
        if self._types[name] == "int8":
            self._used.add(name + SCALE)
        if self._types[name] != dtype and (dtype != "float32" or self._types[name] not in SMALL):
            expected = f"'{dtype}', as {path} ({op.kind}) needs for its {role}"
            raise InputError(describe(f"type of the weight '{name}'", self._types[name], expected))
        return self._weights[name]

    def expect(self, path: str, op: Op, role: str, shape: Shape) -> None:
        """Check the shape of an op's weight."""
        actual = self.weight(path, op, role)
        if actual != shape:
            expected = f"{shape}, as {path} ({op.kind}) needs for its {role}"
            raise InputError(describe(f"shape of the weight '{op.weights[role]}'", actual, expected))

    def remembers(self, path: str, op: Op, shapes: Mapping[str, Shape], whole: Sequence[str] = ()) -> None:
        """Check that an op has exactly these states; those in ``whole`` hold whole numbers."""
        if set(op.state) != set(shapes):
            raise InputError(describe(f"state of {path} ({op.kind})", names_of(op.state), names_of(shapes)))
        for role, shape in shapes.items():
            slot = self._states[choice(f"{path}.state.{role}", op.state[role], list(self._states))]
            dtype = "int64" if role in whole else "float32"
            if slot.shape != shape or slot.dtype != dtype:
                expected = f"{dtype} {shape}, as {path} ({op.kind}) needs for its {role}"
                raise InputError(describe(f"state '{slot.name}'", f"{slot.dtype} {slot.shape}", expected))
            if slot.name in self._owned:
                raise InputError(describe(f"{path}.state.{role}", slot.name, "a state that no other op has"))
            self._owned.add(slot.name)

    def leave_states(self) -> None:
        """Let the ops of the next part begin with the states that those before leave."""
        self._left |= self._owned
        self._owned = set()

    def check_all_used(self) -> None:
        """Raise for a weight or a state that no op names."""
        owned = self._owned | self._left
        for thing, names, used in (("weight", self._weights, self._used), ("state", self._states, owned)):
            for name in names:
                if name not in used:
                    raise InputError(describe(f"{thing} of no op", name, f"only a {thing} that an op names"))


def op_arrays(op: Op, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return role -> weight of an op; of a matrix only the rows that the op uses.

    Args:
        op: the op.
        weights: name -> array, of the program.
    """
    arrays = {role: weights[name] for role, name in op.weights.items()}
    if "rows" in op.options:
        role = "table" if op.kind == "embed" else "weight"
        arrays[role] = arrays[role][slice(*op.options["rows"])]
    return arrays


def names_of(names: Mapping[str, Any]) -> str:
    """Return names for a message."""
    return ", ".join(sorted(names)) or "none"
