"""The rules of the ops of programs: inputs, output, state, cost and delay of each, and whether it runs live.

Axes: D size of an input row, O size of an output row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rekur._check import choice, no_unknown
from rekur.errors import InputError, describe
from rekur.program import op_checks as checks
from rekur.program.cells import Shape, cell_from
from rekur.program.op_checks import OpCheck, Register
from rekur.program.ops import Op, Widths

#: what an op may read -> kinds of registers
_TAKES = {"ids": ("ids",), "steps": ("steps",), "numbers": ("steps", "row"), "memory": ("memory",)}
#: what they hold, for messages
_SAYS = {"ids": "tokens", "steps": "rows of numbers", "numbers": "rows of numbers", "memory": "the steps of a source"}


@dataclass(frozen=True)
class Rule:
    """The rule for ops of one kind.

    Args:
        size: checks the op's options and weights, and returns the size O of an output row.
        weights: the roles of its weights; ``*`` if ``size`` checks them.
        options: the names of its options.
        reads: the number of input registers; 0 for one or more.
        takes: what they hold: ``ids``, ``steps``, or ``numbers`` (steps or a row).
        memories: registers that hold a ``memory``, behind the others.
        gives: what it writes: ``steps``, ``row``, or ``same`` as it reads.
        remembers: returns the shape of each of its states, by role.
        whole: the states that hold whole numbers.
        streams: whether an output needs no later step.
        multiply_adds: of a step (with a memory, for each step of the source), from the op, D of its first input, and
            the shapes of its weights.
        rows_read: rows of a weight that a step reads, from the op and the role; None for all.
        delays: the option that says how many steps the output is behind the input; empty if it is not.
        strides: the option that says how many steps become one; empty if they do not.
    """

    size: Callable[[OpCheck], int]
    weights: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    reads: int = 1
    takes: str = "numbers"
    memories: int = 0
    gives: str = "same"
    remembers: Callable[[OpCheck], Mapping[str, Shape]] = lambda check: {}
    whole: tuple[str, ...] = ()
    streams: Callable[[Op], bool] = lambda op: True
    multiply_adds: Callable[[Op, int, list[Shape]], int] = lambda op, size, shapes: 0
    rows_read: Callable[[Op, str], int | None] = lambda op, role: None
    delays: str = ""
    strides: str = ""


def apply_rule(path: str, op: Op, registers: Mapping[str, Register], widths: Widths) -> Register:
    """Check an op and return the type of the register that it writes.

    Args:
        path: path of the op in the program, for messages.
        op: the op.
        registers: the types of the registers that it may read.
        widths: the weights and states of the program.
    """
    rule = RULES[choice(f"{path}.op", op.kind, RULES)]
    no_unknown(f"option of {path} ({op.kind})", op.options, rule.options)
    if "*" not in rule.weights:
        no_unknown(f"weight of {path} ({op.kind})", op.weights, rule.weights)
    reads = rule.reads + rule.memories
    if len(op.reads) != reads and (reads or not op.reads):
        expected = f"{reads} of them" if reads else "one or more"
        raise InputError(describe(f"registers that {path} ({op.kind}) reads", len(op.reads), expected))
    takes = [rule.takes] * (len(op.reads) - rule.memories) + ["memory"] * rule.memories
    read = tuple(_read(path, name, kind, registers) for name, kind in zip(op.reads, takes, strict=True))
    check = OpCheck(path, op, read, widths)
    first = check.registers[0]
    others = read[: len(read) - rule.memories]
    if any((other.kind, other.delay, other.stride) != (first.kind, first.delay, first.stride) for other in others):
        same_pace = len({register.stride for register in read}) == 1
        expected = f"registers of one type, with the same look-ahead{'' if same_pace else ' and as many steps'}"
        raise InputError(describe(f"{path}.reads", ", ".join(op.reads), expected))
    size = rule.size(check)
    states = rule.remembers(check)
    widths.remembers(path, op, states, rule.whole)
    if first.delay and (states or rule.gives == "row"):
        fix = "A shift comes after all ops that remember."
        raise InputError(describe(f"{path}.reads", op.reads[0], "a register without look-ahead", fix))
    kind = first.kind if rule.gives == "same" else rule.gives
    stride = first.stride * (op.options[rule.strides] if rule.strides else 1)
    delay = first.delay + (op.options[rule.delays] if rule.delays else 0)
    return Register(kind, size, delay=delay, stride=1 if kind == "row" else stride)


def _read(path: str, name: str, takes: str, registers: Mapping[str, Register]) -> Register:
    """Return the type of a register that an op reads, after checking it."""
    if name not in registers:
        expected = "a register that an op before it writes"
        names = ", ".join(f"'{register}'" for register in registers)
        raise InputError(describe(f"{path}.reads", name, expected, f"Those are {names}."))
    kind = registers[name].kind
    if kind not in _TAKES[takes]:
        expected = _SAYS[takes] + (", one for each step" if kind == "row" and takes != "memory" else "")
        raise InputError(describe(f"{path}.reads", name, f"a register that holds {expected}"))
    return registers[name]


def _of_matrices(op: Op, size: int, shapes: list[Shape]) -> int:
    return sum(math.prod(shape) for shape in shapes if len(shape) > 1)


def _of_cell(op: Op, size: int, shapes: list[Shape]) -> int:
    return cell_from(op.options, size, op.size).multiply_adds()


def _one_run(op: Op, role: str) -> int:
    return 1 if role.startswith("table") else 0


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "embed": Rule(
            checks.embed,
            ("table",),
            ("column", "rows", "vocabulary"),
            takes="ids",
            gives="steps",
            rows_read=lambda op, role: 1,
        ),
        "ngrams": Rule(
            checks.ngrams,
            ("*",),
            ("orders", "column"),
            takes="ids",
            gives="steps",
            remembers=checks.ngrams_state,
            whole=("before",),
            rows_read=_one_run,
        ),
        "recall": Rule(
            checks.recall,
            ("table",),
            ("orders", "slots", "column"),
            takes="ids",
            gives="steps",
            remembers=checks.recall_state,
            whole=("before", "memory"),
            rows_read=lambda op, role: len(op.options["orders"]),
        ),
        "conv": Rule(
            checks.conv,
            ("weight", "bias"),
            ("ahead",),
            takes="steps",
            gives="steps",
            remembers=checks.conv_state,
            streams=lambda op: not op.options.get("ahead", 0),
            multiply_adds=_of_matrices,
        ),
        "sample": Rule(
            checks.sample,
            options=("function", "steps"),
            takes="steps",
            gives="steps",
            remembers=lambda check: {"window": (check.size,), "seen": (1,)},
            whole=("seen",),
            strides="steps",
        ),
        "standardize": Rule(
            checks.standardize, options=("epsilon",), takes="steps", gives="steps", streams=lambda op: False
        ),
        "clip": Rule(checks.clip, options=("limit",)),
        "recur": Rule(
            checks.recur,
            ("*",),
            ("cell", "hidden", "heads", "norm", "stay", "reverse"),
            takes="steps",
            gives="steps",
            remembers=checks.recur_state,
            streams=lambda op: not op.options.get("reverse", False),
            multiply_adds=_of_cell,
        ),
        "shift": Rule(
            checks.shift,
            options=("steps",),
            takes="steps",
            gives="steps",
            remembers=lambda check: {"seen": (1,)},
            whole=("seen",),
            delays="steps",
        ),
        "last": Rule(checks.same, takes="steps", gives="row", remembers=lambda check: {"last": (check.size,)}),
        "ends": Rule(checks.ends, takes="steps", gives="row", streams=lambda op: False),
        "mean": Rule(
            checks.same,
            takes="steps",
            gives="row",
            remembers=lambda check: {"mean": (check.size,), "count": (1,)},
            whole=("count",),
        ),
        "max": Rule(
            checks.same,
            takes="steps",
            gives="row",
            remembers=lambda check: {"largest": (check.size,), "count": (1,)},
            whole=("count",),
        ),
        "attention": Rule(
            checks.attention,
            ("weight", "bias", "score"),
            takes="steps",
            gives="row",
            remembers=lambda check: {"total": (check.size,), "mass": (1,), "top": (1,)},
            multiply_adds=_of_matrices,
        ),
        "shares": Rule(
            checks.shares,
            ("bias", "channels"),
            ("dilations", "counts", "numbers"),
            takes="steps",
            gives="row",
            remembers=checks.shares_state,
            whole=("above", "places", "run", "longest", "count"),
            multiply_adds=lambda op, size, shapes: 9 * sum(shape[0] for shape in shapes if len(shape) > 1) + op.size,
        ),
        "attend": Rule(
            checks.attend,
            ("weight",),
            ("score", "scale"),
            takes="steps",
            memories=2,
            multiply_adds=lambda op, size, shapes: size + op.size,
        ),
        "softmax": Rule(checks.same),
        "log_softmax": Rule(checks.same),
        "clusters": Rule(checks.clusters, reads=0),
        "padding": Rule(checks.padding),
        "affine": Rule(
            checks.affine,
            ("weight", "bias"),
            ("rows",),
            multiply_adds=lambda op, size, shapes: op.size * size,
            rows_read=lambda op, role: op.size,
        ),
        "activation": Rule(checks.activation, options=("function",)),
        "layer_norm": Rule(checks.layer_norm, ("gain", "bias"), ("epsilon",)),
        "add": Rule(checks.add, reads=2),
        "concat": Rule(checks.concat, reads=0),
        "average": Rule(checks.average, reads=0),
        "slice": Rule(checks.slice_of, options=("first", "end")),
        "mix": Rule(checks.mix, options=("candidates",), reads=3),
        "quantiles": Rule(checks.quantiles, options=("below",), reads=3),
    }
)
