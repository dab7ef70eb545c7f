"""Programs: a trained model as a short list of ops over named weights and named state; no PyTorch.

A program has three parts. The *body* maps the steps of a sequence to steps, op by op. The *pool* reduces them to
vectors. The *head* maps these vectors to scores. Each op reads registers and writes one; a register of the body holds a
row of numbers for every step, one of pool and head a single row for the whole sequence.

Axes: T time, D size of a row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rekur._check import choice, no_unknown
from rekur._check import whole as whole_number
from rekur.errors import InputError, describe
from rekur.program.ops import SCALE, SMALL, Op, State, Widths
from rekur.program.rules import BODY, HEAD, POOL, apply_rule

FORMAT = "rekur-program"
VERSION = 1
#: the register of the program's input
INPUT = "input"
#: kinds of input
INPUTS = ("tokens", "rows")
#: types of weights
DTYPES = ("float32", "int64", *SMALL)
_BYTES = {"float32": 4, "int64": 8, "int8": 1, "bfloat16": 2}
_FIELDS = ("format", "version", "task", "input", "body", "pool", "head", "weights", "state")
_SECTIONS = {"body": BODY, "pool": POOL, "head": HEAD}


@dataclass(frozen=True)
class Input:
    """The form of an input step.

    Args:
        kind: ``tokens`` (a whole number in [0, size)) or ``rows`` (``size`` numbers).
        size: size of the vocabulary, or of a row.
    """

    kind: str
    size: int

    def __post_init__(self) -> None:
        choice("kind of the input", self.kind, INPUTS)
        whole_number("size of the input", self.size, low=1)


@dataclass(frozen=True)
class Weight:
    """The shape and type of a named weight.

    Args:
        shape: its axes, each 1 or more.
        dtype: ``float32``; ``int64`` for tables of keys; for matrices also ``bfloat16``, and ``int8`` with the scales
            of the rows in another weight, named after the matrix with ``.scale`` added.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def bytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * _BYTES[self.dtype]


@dataclass(frozen=True)
class Program:
    """A trained model as ops, weights and state, all by name; the constructor checks it.

    Args:
        task: such as ``classify``.
        input: the form of an input step.
        weights: name -> shape and type.
        state: the arrays that carry over from step to step, in the order of the ops.
        body: ops that map steps to steps.
        pool: ops that reduce all steps to one row; at least one.
        head: ops on such rows; the last one writes the output.

    Raises:
        InputError: an op is unknown, a register is read before it is written, or a weight is missing or has another
            shape than its op needs; the text names it.

    Example:
        >>> mean = Op("mean", reads=("input",), writes="mean", size=2, state={"mean": "mean", "count": "count"})
        >>> state = (State("mean", (2,)), State("count", (1,), "int64"))
        >>> program = Program("regress", Input("rows", 2), {}, state, (), (mean,), ())
        >>> program.output_size, program.causal
        (2, True)
        >>> Program.from_json(program.to_json()) == program
        True
    """

    task: str
    input: Input
    weights: Mapping[str, Weight]
    state: tuple[State, ...]
    body: tuple[Op, ...]
    pool: tuple[Op, ...]
    head: tuple[Op, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.task, str) or not self.task:
            raise InputError(describe("task of the program", self.task, "the name of a task"))
        for name, weight in self.weights.items():
            choice(f"type of the weight '{name}'", weight.dtype, DTYPES)
            _check_shape(f"weight '{name}'", weight.shape, low=0 if weight.dtype == "int64" else 1)
            if weight.dtype in SMALL:
                _check_small(name, self.weights)
        _check_states(self.state, self.weights)
        if not self.pool:
            raise InputError(describe("pool", [], "at least one op"))
        widths = Widths(
            {name: weight.shape for name, weight in self.weights.items()},
            {name: weight.dtype for name, weight in self.weights.items()},
            {slot.name: slot for slot in self.state},
        )
        steps = {INPUT: 0 if self.input.kind == "tokens" else self.input.size}
        for index, op in enumerate(self.body):
            _write(f"body[{index}]", op, steps, BODY, widths, self.input)
        rows: dict[str, int] = {}
        for index, op in enumerate(self.pool):
            size = apply_rule(f"pool[{index}]", op, steps, POOL, widths, self.input.size)
            if op.writes in steps:
                fix = "Each op writes its own register."
                raise InputError(describe(f"pool[{index}].writes", op.writes, "a register of no op of the body", fix))
            _keep(f"pool[{index}]", op, rows, size)
        for index, op in enumerate(self.head):
            _write(f"head[{index}]", op, rows, HEAD, widths, self.input)
        widths.check_all_used()

    @property
    def precision(self) -> str:
        """``int8`` or ``bfloat16`` if its matrices have that type, else ``float32``."""
        return next((weight.dtype for weight in self.weights.values() if weight.dtype in SMALL), "float32")

    @property
    def causal(self) -> bool:
        """Whether no step needs a later one, so that the program can run live."""
        return all(op.causal for op in (*self.body, *self.pool))

    @property
    def output(self) -> str:
        """The register of the output."""
        return (*self.pool, *self.head)[-1].writes

    @property
    def output_size(self) -> int:
        """Size of the output."""
        return (*self.pool, *self.head)[-1].size

    @property
    def every_step(self) -> bool:
        """Whether one pass yields the output after each step, because the pool takes only the last step."""
        return all(op.kind == "last" for op in self.pool)

    def ops(self) -> list[tuple[str, Op]]:
        """Return (part, op) for every op, in the order in which they run."""
        return [(part, op) for part in _SECTIONS for op in getattr(self, part)]

    def to_json(self) -> str:
        """Return the program as readable text: one line for each op, weight and state."""
        parts: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "task": self.task,
            "input": {"kind": self.input.kind, "size": self.input.size},
            "body": [op.to_json() for op in self.body],
            "pool": [op.to_json() for op in self.pool],
            "head": [op.to_json() for op in self.head],
            "weights": {
                name: {"shape": list(weight.shape), "dtype": weight.dtype} for name, weight in self.weights.items()
            },
            "state": {slot.name: slot.to_json() for slot in self.state},
        }
        return "{\n" + ",\n".join(f" {_line(key)}: {_block(value)}" for key, value in parts.items()) + "\n}\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the program that :meth:`to_json` wrote.

        Raises:
            InputError: the text is not a program, or one of a newer version, or an invalid one; the error says where.
        """
        saved = _parse(text)
        no_unknown("field of the program", saved, _FIELDS)
        for name in _FIELDS:
            if name not in saved:
                raise InputError(describe("field of the program", "none", f"the field '{name}'"))
        source = _object("input", saved["input"], ("kind", "size"))
        weights = {name: _weight(name, value) for name, value in _object("weights", saved["weights"]).items()}
        state = tuple(State.from_json(name, value) for name, value in _object("state", saved["state"]).items())
        parts = {
            part: tuple(Op.from_json(f"{part}[{k}]", value, rules) for k, value in enumerate(_list(part, saved[part])))
            for part, rules in _SECTIONS.items()
        }
        return cls(saved["task"], Input(source["kind"], source["size"]), weights, state, **parts)


def _write(
    path: str, op: Op, registers: dict[str, int], rules: Mapping[str, Any], widths: Widths, source: Input
) -> None:
    _keep(path, op, registers, apply_rule(path, op, registers, rules, widths, source.size))


def _keep(path: str, op: Op, registers: dict[str, int], size: int) -> None:
    if op.writes in registers:
        fix = "Each op writes its own register."
        raise InputError(describe(f"{path}.writes", op.writes, "a register that no op before it writes", fix))
    if op.size != size:
        raise InputError(describe(f"{path}.size", op.size, f"{size}, as its weights and what it reads say"))
    registers[op.writes] = size


def _check_shape(thing: str, shape: Any, low: int = 1) -> None:
    if not isinstance(shape, tuple) or not shape:
        raise InputError(describe(f"shape of the {thing}", shape, "one or more axes"))
    for size in shape:
        whole_number(f"an axis of the {thing}", size, low=low)


def _check_small(name: str, weights: Mapping[str, Weight]) -> None:
    """Check the shape of a low-precision matrix, and the scales of an int8 one."""
    weight, scale = weights[name], weights.get(name + SCALE)
    if len(weight.shape) < 2:
        fix = f"Only matrices are {weight.dtype}; a vector is float32."
        raise InputError(
            describe(f"shape of the {weight.dtype} weight '{name}'", weight.shape, "two or more axes", fix)
        )
    if weight.dtype == "int8" and (scale is None or scale != Weight(weight.shape[:1])):
        got = "none" if scale is None else f"{scale.dtype} {scale.shape}"
        expected = f"float32 {weight.shape[:1]}, a number for each row of '{name}'"
        raise InputError(describe(f"weight '{name}{SCALE}'", got, expected))


def _check_states(state: tuple[State, ...], weights: Mapping[str, Weight]) -> None:
    seen: set[str] = set()
    for slot in state:
        _check_shape(f"state '{slot.name}'", slot.shape)
        if slot.name in seen:
            raise InputError(describe("state", slot.name, "each name once"))
        seen.add(slot.name)
        if isinstance(slot.begins, str):
            weight = weights.get(slot.begins)
            if weight is None:
                choice(f"weight that the state '{slot.name}' begins with", slot.begins, list(weights))
            elif weight.shape != slot.shape:
                expected = f"{slot.shape}, as the state '{slot.name}' that begins with it"
                raise InputError(describe(f"shape of the weight '{slot.begins}'", weight.shape, expected))
            elif weight.dtype in SMALL:
                expected = f"'{slot.dtype}', as the state '{slot.name}' that begins with it"
                raise InputError(describe(f"type of the weight '{slot.begins}'", weight.dtype, expected))


def _parse(text: str | bytes) -> dict[str, Any]:
    try:
        saved = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"program: got text that is not JSON ({error}); expected the output of Program.to_json."
        ) from error
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        got = saved.get("format") if isinstance(saved, dict) else type(saved).__name__
        raise InputError(describe("format of the program", got, f"'{FORMAT}'"))
    version = saved.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION:
        fix = "It was written by a newer Rekur: pip install -U rekur."
        newer = isinstance(version, int) and version > VERSION
        raise InputError(
            describe("version of the program", version, f"a whole number from 1 to {VERSION}", fix if newer else "")
        )
    return saved


def _object(thing: str, value: Any, names: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(describe(f"{thing} of the program", type(value).__name__, "an object: name -> value"))
    if names:
        no_unknown(f"field of {thing}", value, names)
        for name in names:
            if name not in value:
                raise InputError(describe(f"field of {thing}", "none", f"the field '{name}'"))
    return value


def _list(thing: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(describe(f"{thing} of the program", type(value).__name__, "a list of ops"))
    return value


def _weight(name: str, value: Any) -> Weight:
    fields = _object(f"weight '{name}'", value, ("shape", "dtype"))
    shape = fields["shape"]
    return Weight(tuple(shape) if isinstance(shape, list) else shape, fields["dtype"])


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _block(value: Any) -> str:
    """Return a value as JSON, with one line for each entry of a list or of an object of objects."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {_line(entry)}" for entry in value) + "\n ]"
    if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
        return "{\n" + ",\n".join(f"  {_line(name)}: {_line(inner)}" for name, inner in value.items()) + "\n }"
    return _line(value)
