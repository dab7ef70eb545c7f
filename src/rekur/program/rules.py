"""The ops that a program may have: what each reads, needs, remembers and writes.

Axes: D numbers of a row that is read, O numbers of a row that is written, K steps of a window, V tokens.
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

#: what an activation may apply to each number
FUNCTIONS = ("relu", "tanh", "sigmoid")


@dataclass(frozen=True)
class Given:
    """What a rule looks at.

    Attributes:
        place: where the op stands, for messages.
        op: the op.
        reads: numbers of each row that it reads; 0 for tokens.
        widths: the weights and states.
        vocabulary: tokens of the input, where it is tokens.
    """

    place: str
    op: Op
    reads: tuple[int, ...]
    widths: Widths
    vocabulary: int

    def weight(self, role: str) -> Shape:
        """Return the shape of a weight by its role."""
        return self.widths.weight(self.place, self.op, role)

    def expect(self, role: str, shape: Shape) -> None:
        """Check the shape of a weight by its role."""
        self.widths.expect(self.place, self.op, role, shape)

    def remembers(self, shapes: Mapping[str, Shape], whole: Sequence[str] = ()) -> None:
        """Check the op's state."""
        self.widths.remembers(self.place, self.op, shapes, whole)

    def wrong(self, name: str, got: object, expected: str) -> InputError:
        """Return the error for an option that cannot be."""
        return InputError(describe(f"{self.place}.{name}", got, expected))


@dataclass(frozen=True)
class Rule:
    """What an op of a kind may be.

    Args:
        size: checks the op's options, weights and state, and returns how many numbers a row has that it writes.
        weights: the roles of its weights.
        options: the names of its options.
        reads: how many registers it reads; 0 for one or more.
        tokens: whether it reads tokens.
    """

    size: Callable[[Given], int]
    weights: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    reads: int = 1
    tokens: bool = False


def apply_rule(
    place: str, op: Op, registers: Mapping[str, int], rules: Mapping[str, Rule], widths: Widths, vocabulary: int
) -> int:
    """Return how many numbers a row has that an op writes, after checking all of the op.

    Args:
        place: where it stands, for messages.
        op: the op.
        registers: what it may read: name -> numbers of a row, 0 for tokens.
        rules: the ops that may stand there.
        widths: the weights and states of the program.
        vocabulary: tokens of the input, where it is tokens.
    """
    rule = rules[choice(f"{place}.op", op.kind, rules)]
    no_unknown(f"option of {place} ({op.kind})", op.options, rule.options)
    if "*" not in rule.weights:
        no_unknown(f"weight of {place} ({op.kind})", op.weights, rule.weights)
    if len(op.reads) != rule.reads and (rule.reads or not op.reads):
        expected = f"{rule.reads} of them" if rule.reads else "one or more"
        raise InputError(describe(f"registers that {place} ({op.kind}) reads", len(op.reads), expected))
    sizes = []
    for name in op.reads:
        if name not in registers:
            expected = "a register that an op before it writes"
            known = ", ".join(f"'{known}'" for known in registers)
            raise InputError(describe(f"{place}.reads", name, expected, f"Those are {known}."))
        sizes.append(registers[name])
        if (registers[name] == 0) != rule.tokens:
            expected = "tokens" if rule.tokens else "rows of numbers"
            raise InputError(describe(f"{place}.reads", name, f"a register that holds {expected}"))
    return rule.size(Given(place, op, tuple(sizes), widths, vocabulary))


def _embed(given: Given) -> int:
    shape = given.weight("table")
    if len(shape) != 2 or shape[0] != given.vocabulary:
        given.expect("table", (given.vocabulary, given.op.size))
    given.remembers({})
    return shape[1]


def _orders(given: Given) -> list[int]:
    orders = given.op.options.get("orders")
    if not isinstance(orders, list) or not orders or len(set(map(str, orders))) < len(orders):
        raise given.wrong("orders", orders, "a list of different whole numbers of 2 or more")
    return [whole_number(f"{given.place}.orders", order, low=2, high=16) for order in orders]


def _recall(given: Given) -> int:
    orders, shape = _orders(given), given.weight("table")
    if len(shape) != 2 or shape[0] != given.vocabulary:
        given.expect("table", (given.vocabulary, given.op.size // len(orders)))
    slots = whole_number(f"{given.place}.slots", given.op.options.get("slots"), low=2, high=2**20)
    if slots & (slots - 1):
        raise given.wrong("slots", slots, "a power of 2")
    given.remembers({"before": (max(orders),), "memory": (len(orders), slots)}, whole=("before", "memory"))
    return len(orders) * shape[1]


def _ngrams(given: Given) -> int:
    orders = _orders(given)
    for order in orders:
        table = given.weight(f"table_{order}")
        given.expect(f"table_{order}", (table[0], given.op.size))
        given.expect(f"runs_{order}", (table[0] - 1,))
    allowed = [f"{what}_{order}" for order in orders for what in ("table", "runs")]
    no_unknown(f"weight of {given.place} (ngrams)", given.op.weights, allowed)
    given.remembers({"before": (max(orders) - 1,)}, whole=("before",))
    return given.op.size


def _conv(given: Given) -> int:
    shape = given.weight("weight")
    if len(shape) != 3 or shape[1] != given.reads[0]:
        given.expect("weight", (given.op.size, given.reads[0], max(len(shape), 1)))
    given.expect("bias", shape[:1])
    given.remembers({"before": (shape[2] - 1, shape[1])} if shape[2] > 1 else {})
    return shape[0]


def _same(given: Given) -> int:
    given.remembers({})
    return given.reads[0]


def _activation(given: Given) -> int:
    choice(f"{given.place}.function", given.op.options.get("function"), FUNCTIONS)
    return _same(given)


def _affine(given: Given) -> int:
    shape = given.weight("weight")
    if len(shape) != 2 or shape[1] != given.reads[0]:
        given.expect("weight", (shape[0] if shape else given.op.size, given.reads[0]))
    rows = given.op.options.get("rows", [0, shape[0]])
    if not isinstance(rows, list) or len(rows) != 2:
        raise given.wrong("rows", rows, "the first row and the one after the last")
    first = whole_number(f"{given.place}.rows[0]", rows[0], low=0, high=shape[0] - 1)
    size = whole_number(f"{given.place}.rows[1]", rows[1], low=first + 1, high=shape[0]) - first
    if "bias" in given.op.weights:
        given.expect("bias", (size,))
    given.remembers({})
    return size


def _layer_norm(given: Given) -> int:
    number(f"{given.place}.epsilon", given.op.options.get("epsilon"), 0)
    for role in ("gain", "bias"):
        given.expect(role, (given.reads[0],))
    return _same(given)


def _add(given: Given) -> int:
    if given.reads[0] != given.reads[1]:
        raise given.wrong("reads", list(given.reads), "two registers of the same size")
    return _same(given)


def _concat(given: Given) -> int:
    given.remembers({})
    return sum(given.reads)


def _padding(given: Given) -> int:
    given.remembers({})
    return given.reads[0] + 1


def _clusters(given: Given) -> int:
    given.remembers({})
    first, *inside = given.reads
    if not inside or first <= len(inside):
        raise given.wrong("reads", list(given.reads), "the tokens and clusters of the first level, then each cluster")
    return first - len(inside) + sum(inside)


def _recur(given: Given) -> int:
    op = given.op
    if "cell" not in op.options:
        raise given.wrong("cell", "none", "the name of a cell")
    flag(f"{given.place}.reverse", op.options.get("reverse", False))
    cell = cell_from(op.options, given.reads[0], op.size)
    shapes = cell.shapes()
    no_unknown(f"weight of {given.place} (recur)", op.weights, shapes)
    for role, shape in shapes.items():
        if role in op.weights or role in cell.required():
            given.expect(role, shape)
    given.remembers(cell.state())
    return cell.output


def _last(given: Given) -> int:
    given.remembers({"last": (given.reads[0],)})
    return given.reads[0]


def _ends(given: Given) -> int:
    if given.reads[0] % 2:
        raise given.wrong("reads", given.reads[0], "a register of an even number of numbers")
    return _same(given)


def _mean(given: Given) -> int:
    given.remembers({"mean": (given.reads[0],), "count": (1,)}, whole=("count",))
    return given.reads[0]


def _max(given: Given) -> int:
    given.remembers({"largest": (given.reads[0],), "count": (1,)}, whole=("count",))
    return given.reads[0]


def _attention(given: Given) -> int:
    size = given.reads[0]
    shape = given.weight("weight")
    if len(shape) != 2 or shape[1] != size:
        given.expect("weight", (size, size))
    given.expect("bias", shape[:1])
    given.expect("score", (1, shape[0]))
    given.remembers({"total": (size,), "mass": (1,), "top": (1,)})
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
#: ops that make one row of all steps
POOL: Mapping[str, Rule] = MappingProxyType(
    {
        "last": Rule(_last),
        "ends": Rule(_ends),
        "mean": Rule(_mean),
        "max": Rule(_max),
        "attention": Rule(_attention, ("weight", "bias", "score")),
    }
)
#: ops on the rows that the pool made
HEAD: Mapping[str, Rule] = MappingProxyType(
    {
        "softmax": Rule(_same),
        "log_softmax": Rule(_same),
        "clusters": Rule(_clusters, reads=0),
        "padding": Rule(_padding),
        **_SHARED,
    }
)
