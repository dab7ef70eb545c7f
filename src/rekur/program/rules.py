"""The ops that a program may have: their inputs, weights, options, states and outputs.

Axes: D size of an input row, O size of an output row, K steps of a window, V tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rekur._check import choice, flag, no_unknown, number
from rekur._check import whole as whole_number
from rekur.errors import InputError, describe
from rekur.program.cells import Shape, cell_from
from rekur.program.ops import Op, Widths

#: functions of an activation
FUNCTIONS = ("relu", "tanh", "sigmoid")


@dataclass(frozen=True)
class OpCheck:
    """The data that a rule checks.

    Attributes:
        path: path of the op in the program, for messages.
        op: the op.
        reads: size of each input row; 0 for tokens.
        widths: the weights and states.
        vocabulary: size of the vocabulary, if the input is tokens.
    """

    path: str
    op: Op
    reads: tuple[int, ...]
    widths: Widths
    vocabulary: int

    def weight(self, role: str) -> Shape:
        """Return the shape of a weight by its role."""
        return self.widths.weight(self.path, self.op, role)

    def expect(self, role: str, shape: Shape) -> None:
        """Check the shape of a weight by its role."""
        self.widths.expect(self.path, self.op, role, shape)

    def remembers(self, shapes: Mapping[str, Shape], whole: Sequence[str] = ()) -> None:
        """Check the op's state."""
        self.widths.remembers(self.path, self.op, shapes, whole)

    def wrong(self, name: str, got: object, expected: str) -> InputError:
        """Return the error for an invalid option."""
        return InputError(describe(f"{self.path}.{name}", got, expected))


@dataclass(frozen=True)
class Rule:
    """The rule for ops of one kind.

    Args:
        size: checks the op's options, weights and state, and returns the size of an output row.
        weights: the roles of its weights.
        options: the names of its options.
        reads: the number of input registers; 0 for one or more.
        tokens: whether it reads tokens.
    """

    size: Callable[[OpCheck], int]
    weights: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    reads: int = 1
    tokens: bool = False


def apply_rule(
    path: str, op: Op, registers: Mapping[str, int], rules: Mapping[str, Rule], widths: Widths, vocabulary: int
) -> int:
    """Check an op and return the size of an output row.

    Args:
        path: path of the op in the program, for messages.
        op: the op.
        registers: register that it may read -> size of a row, 0 for tokens.
        rules: the ops that this part of a program may have.
        widths: the weights and states of the program.
        vocabulary: size of the vocabulary, if the input is tokens.
    """
    rule = rules[choice(f"{path}.op", op.kind, rules)]
    no_unknown(f"option of {path} ({op.kind})", op.options, rule.options)
    if "*" not in rule.weights:
        no_unknown(f"weight of {path} ({op.kind})", op.weights, rule.weights)
    if len(op.reads) != rule.reads and (rule.reads or not op.reads):
        expected = f"{rule.reads} of them" if rule.reads else "one or more"
        raise InputError(describe(f"registers that {path} ({op.kind}) reads", len(op.reads), expected))
    sizes = []
    for name in op.reads:
        if name not in registers:
            expected = "a register that an op before it writes"
            names = ", ".join(f"'{register}'" for register in registers)
            raise InputError(describe(f"{path}.reads", name, expected, f"Those are {names}."))
        sizes.append(registers[name])
        if (registers[name] == 0) != rule.tokens:
            expected = "tokens" if rule.tokens else "rows of numbers"
            raise InputError(describe(f"{path}.reads", name, f"a register that holds {expected}"))
    return rule.size(OpCheck(path, op, tuple(sizes), widths, vocabulary))


def _embed(check: OpCheck) -> int:
    shape = check.weight("table")
    if len(shape) != 2 or shape[0] != check.vocabulary:
        check.expect("table", (check.vocabulary, check.op.size))
    check.remembers({})
    return shape[1]


def _orders(check: OpCheck) -> list[int]:
    orders = check.op.options.get("orders")
    if not isinstance(orders, list) or not orders or len(set(map(str, orders))) < len(orders):
        raise check.wrong("orders", orders, "a list of different whole numbers of 2 or more")
    return [whole_number(f"{check.path}.orders", order, low=2, high=16) for order in orders]


def _recall(check: OpCheck) -> int:
    orders, shape = _orders(check), check.weight("table")
    if len(shape) != 2 or shape[0] != check.vocabulary:
        check.expect("table", (check.vocabulary, check.op.size // len(orders)))
    slots = whole_number(f"{check.path}.slots", check.op.options.get("slots"), low=2, high=2**20)
    if slots & (slots - 1):
        raise check.wrong("slots", slots, "a power of 2")
    check.remembers({"before": (max(orders),), "memory": (len(orders), slots)}, whole=("before", "memory"))
    return len(orders) * shape[1]


def _ngrams(check: OpCheck) -> int:
    orders = _orders(check)
    for order in orders:
        table = check.weight(f"table_{order}")
        check.expect(f"table_{order}", (table[0], check.op.size))
        check.expect(f"runs_{order}", (table[0] - 1,))
    allowed = [f"{role}_{order}" for order in orders for role in ("table", "runs")]
    no_unknown(f"weight of {check.path} (ngrams)", check.op.weights, allowed)
    check.remembers({"before": (max(orders) - 1,)}, whole=("before",))
    return check.op.size


def _conv(check: OpCheck) -> int:
    shape = check.weight("weight")
    if len(shape) != 3 or shape[1] != check.reads[0]:
        check.expect("weight", (check.op.size, check.reads[0], max(len(shape), 1)))
    check.expect("bias", shape[:1])
    check.remembers({"before": (shape[2] - 1, shape[1])} if shape[2] > 1 else {})
    return shape[0]


def _same(check: OpCheck) -> int:
    check.remembers({})
    return check.reads[0]


def _activation(check: OpCheck) -> int:
    choice(f"{check.path}.function", check.op.options.get("function"), FUNCTIONS)
    return _same(check)


def _affine(check: OpCheck) -> int:
    shape = check.weight("weight")
    if len(shape) != 2 or shape[1] != check.reads[0]:
        check.expect("weight", (shape[0] if shape else check.op.size, check.reads[0]))
    rows = check.op.options.get("rows", [0, shape[0]])
    if not isinstance(rows, list) or len(rows) != 2:
        raise check.wrong("rows", rows, "the first row and the one after the last")
    first = whole_number(f"{check.path}.rows[0]", rows[0], low=0, high=shape[0] - 1)
    size = whole_number(f"{check.path}.rows[1]", rows[1], low=first + 1, high=shape[0]) - first
    if "bias" in check.op.weights:
        check.expect("bias", (size,))
    check.remembers({})
    return size


def _layer_norm(check: OpCheck) -> int:
    number(f"{check.path}.epsilon", check.op.options.get("epsilon"), 0)
    for role in ("gain", "bias"):
        check.expect(role, (check.reads[0],))
    return _same(check)


def _add(check: OpCheck) -> int:
    if check.reads[0] != check.reads[1]:
        raise check.wrong("reads", list(check.reads), "two registers of the same size")
    return _same(check)


def _concat(check: OpCheck) -> int:
    check.remembers({})
    return sum(check.reads)


def _padding(check: OpCheck) -> int:
    check.remembers({})
    return check.reads[0] + 1


def _clusters(check: OpCheck) -> int:
    check.remembers({})
    first, *inside = check.reads
    if not inside or first <= len(inside):
        raise check.wrong("reads", list(check.reads), "the tokens and clusters of the first level, then each cluster")
    return first - len(inside) + sum(inside)


def _recur(check: OpCheck) -> int:
    op = check.op
    if "cell" not in op.options:
        raise check.wrong("cell", "none", "the name of a cell")
    flag(f"{check.path}.reverse", op.options.get("reverse", False))
    cell = cell_from(op.options, check.reads[0], op.size)
    shapes = cell.shapes()
    no_unknown(f"weight of {check.path} (recur)", op.weights, shapes)
    for role, shape in shapes.items():
        if role in op.weights or role in cell.required():
            check.expect(role, shape)
    check.remembers(cell.state())
    return cell.output


def _last(check: OpCheck) -> int:
    check.remembers({"last": (check.reads[0],)})
    return check.reads[0]


def _ends(check: OpCheck) -> int:
    if check.reads[0] % 2:
        raise check.wrong("reads", check.reads[0], "a register of an even number of numbers")
    return _same(check)


def _mean(check: OpCheck) -> int:
    check.remembers({"mean": (check.reads[0],), "count": (1,)}, whole=("count",))
    return check.reads[0]


def _max(check: OpCheck) -> int:
    check.remembers({"largest": (check.reads[0],), "count": (1,)}, whole=("count",))
    return check.reads[0]


def _attention(check: OpCheck) -> int:
    size = check.reads[0]
    shape = check.weight("weight")
    if len(shape) != 2 or shape[1] != size:
        check.expect("weight", (size, size))
    check.expect("bias", shape[:1])
    check.expect("score", (1, shape[0]))
    check.remembers({"total": (size,), "mass": (1,), "top": (1,)})
    return size


_SHARED = {
    "affine": Rule(_affine, ("weight", "bias"), ("rows",)),
    "activation": Rule(_activation, options=("function",)),
    "layer_norm": Rule(_layer_norm, ("gain", "bias"), ("epsilon",)),
    "add": Rule(_add, reads=2),
    "concat": Rule(_concat, reads=0),
}
#: ops that map steps to steps
BODY: Mapping[str, Rule] = MappingProxyType(
    {
        "embed": Rule(_embed, ("table",), tokens=True),
        "ngrams": Rule(_ngrams, ("*",), ("orders",), tokens=True),
        "recall": Rule(_recall, ("table",), ("orders", "slots"), tokens=True),
        "conv": Rule(_conv, ("weight", "bias")),
        "recur": Rule(_recur, ("*",), ("cell", "hidden", "heads", "norm", "stay", "reverse")),
        **_SHARED,
    }
)
#: ops that reduce all steps to one row
POOL: Mapping[str, Rule] = MappingProxyType(
    {
        "last": Rule(_last),
        "ends": Rule(_ends),
        "mean": Rule(_mean),
        "max": Rule(_max),
        "attention": Rule(_attention, ("weight", "bias", "score")),
    }
)
#: ops on the rows of the pool
HEAD: Mapping[str, Rule] = MappingProxyType(
    {
        "softmax": Rule(_same),
        "log_softmax": Rule(_same),
        "clusters": Rule(_clusters, reads=0),
        "padding": Rule(_padding),
        **_SHARED,
    }
)
