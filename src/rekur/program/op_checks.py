"""Checks of the options and weights of each op: the size of its output, and the state that it needs.

Axes: C columns of ids, D size of an input row, O size of an output row, K steps of a window, V tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rekur._check import choice, flag, no_unknown, number
from rekur._check import whole as whole_number
from rekur._convolutions import KERNELS, SIDE
from rekur._ids import RESERVED
from rekur._shares import SHARE, TALLIES
from rekur.errors import InputError, describe
from rekur.program.cells import Cell, Shape, cell_from
from rekur.program.ops import Op, Widths

#: functions of an activation
FUNCTIONS = ("relu", "tanh", "sigmoid", "asinh", "log")
#: what the steps of a window become
SAMPLES = ("max", "mean")
#: how an attention scores the steps of a memory
SCORES = ("dot", "additive")
#: most steps of a look-ahead
MOST_SHIFT = 1024
#: largest dilation of a fixed convolution, and most biases of it
MOST_DILATION, MOST_BIASES = 1 << 16, 1 << 16
#: most steps of a window that becomes one step
MOST_SAMPLED = 1 << 20


@dataclass(frozen=True)
class Register:
    """The type of a register.

    Attributes:
        kind: ``ids`` (T, C), ``steps`` (T, D), ``row`` (D,), or ``memory`` (S, D), the steps of a source.
        size: C or D.
        columns: of ids, the size of the vocabulary of each column.
        delay: steps by which it is behind the newest step where a program runs live.
        stride: steps of the input for each step of the register, or nearly: of T steps it has ⌈T / stride⌉.
    """

    kind: str
    size: int
    columns: tuple[int, ...] = ()
    delay: int = 0
    stride: int = 1


@dataclass(frozen=True)
class OpCheck:
    """The data that a rule checks.

    Attributes:
        path: path of the op in the program, for messages.
        op: the op.
        registers: the types of its inputs.
        widths: the weights and states.
    """

    path: str
    op: Op
    registers: tuple[Register, ...]
    widths: Widths

    @property
    def reads(self) -> tuple[int, ...]:
        """Size of each input row."""
        return tuple(register.size for register in self.registers)

    @property
    def size(self) -> int:
        """Size of a row of the first input."""
        return self.registers[0].size

    @property
    def vocabulary(self) -> int:
        """Size of the vocabulary of the column of ids that the op reads."""
        columns = self.registers[0].columns
        if "column" not in self.op.options and len(columns) > 1:
            raise self.wrong("column", "none", f"a whole number in [0, {len(columns)}), the column of ids")
        return columns[whole_number(f"{self.path}.column", self.op.options.get("column", 0), 0, len(columns) - 1)]

    @property
    def cell(self) -> Cell:
        """The cell of a recurrent op."""
        return cell_from(self.op.options, self.size, self.op.size)

    @property
    def orders(self) -> list[int]:
        """The lengths of runs of tokens."""
        orders = self.op.options.get("orders")
        if not isinstance(orders, list) or not orders or len(set(map(str, orders))) < len(orders):
            raise self.wrong("orders", orders, "a list of different whole numbers of 2 or more")
        return [whole_number(f"{self.path}.orders", order, low=2, high=16) for order in orders]

    def rows(self, length: int) -> tuple[int, int]:
        """Return the first row and the one after the last of a matrix of ``length`` rows that the op uses."""
        rows = self.op.options.get("rows", [0, length])
        if not isinstance(rows, list) or len(rows) != 2:
            raise self.wrong("rows", rows, "the first row and the one after the last")
        first = whole_number(f"{self.path}.rows[0]", rows[0], low=0, high=length - 1)
        return first, whole_number(f"{self.path}.rows[1]", rows[1], low=first + 1, high=length)

    def weight(self, role: str) -> Shape:
        """Return the shape of a weight by its role."""
        return self.widths.weight(self.path, self.op, role)

    def expect(self, role: str, shape: Shape) -> None:
        """Check the shape of a weight by its role."""
        self.widths.expect(self.path, self.op, role, shape)

    def wrong(self, name: str, got: object, expected: str) -> InputError:
        """Return the error for an invalid option."""
        return InputError(describe(f"{self.path}.{name}", got, expected))


def embed(check: OpCheck) -> int:
    """Check an embedding of a column of ids; return O."""
    shape, vocabulary = check.weight("table"), check.vocabulary
    if "vocabulary" in check.op.options:
        size = check.op.options["vocabulary"]
        vocabulary = whole_number(f"{check.path}.vocabulary", size, low=RESERVED, high=vocabulary)
    if "rows" in check.op.options and len(shape) == 2:
        first, end = check.rows(shape[0])
        if end - first != vocabulary:
            raise check.wrong("rows", [first, end], f"{vocabulary} rows, one for each id")
    elif len(shape) != 2 or shape[0] != vocabulary:
        check.expect("table", (vocabulary, check.op.size))
    return shape[1]


def recall(check: OpCheck) -> int:
    """Check a recall of the tokens behind runs; return O."""
    orders, shape, vocabulary = check.orders, check.weight("table"), check.vocabulary
    if len(shape) != 2 or shape[0] != vocabulary:
        check.expect("table", (vocabulary, check.op.size // len(orders)))
    slots = whole_number(f"{check.path}.slots", check.op.options.get("slots"), low=2, high=2**20)
    if slots & (slots - 1):
        raise check.wrong("slots", slots, "a power of 2")
    return len(orders) * shape[1]


def recall_state(check: OpCheck) -> Mapping[str, Shape]:
    """Return the states of a recall."""
    orders = check.orders
    return {"before": (max(orders),), "memory": (len(orders), check.op.options["slots"])}


def ngrams(check: OpCheck) -> int:
    """Check embeddings of runs of tokens; return O."""
    orders, _ = check.orders, check.vocabulary
    for order in orders:
        table = check.weight(f"table_{order}")
        check.expect(f"table_{order}", (table[0], check.op.size))
        check.expect(f"runs_{order}", (table[0] - 1,))
    allowed = [f"{role}_{order}" for order in orders for role in ("table", "runs")]
    no_unknown(f"weight of {check.path} (ngrams)", check.op.weights, allowed)
    return check.op.size


def ngrams_state(check: OpCheck) -> Mapping[str, Shape]:
    """Return the states of embeddings of runs."""
    return {"before": (max(check.orders) - 1,)}


def conv(check: OpCheck) -> int:
    """Check a convolution; return O."""
    shape = check.weight("weight")
    if len(shape) != 3 or shape[1] != check.size:
        check.expect("weight", (check.op.size, check.size, max(len(shape), 1)))
    check.expect("bias", shape[:1])
    whole_number(f"{check.path}.ahead", check.op.options.get("ahead", 0), low=0, high=shape[2] - 1)
    return shape[0]


def conv_state(check: OpCheck) -> Mapping[str, Shape]:
    """Return the state of a convolution: the earlier steps of its window; none where it reads later ones."""
    window = check.weight("weight")[2]
    return {"before": (window - 1, check.size)} if window > 1 and not check.op.options.get("ahead") else {}


def sample(check: OpCheck) -> int:
    """Check a step for each window of steps; return O."""
    choice(f"{check.path}.function", check.op.options.get("function"), SAMPLES)
    whole_number(f"{check.path}.steps", check.op.options.get("steps"), low=2, high=MOST_SAMPLED)
    return check.size


def standardize(check: OpCheck) -> int:
    """Check a scaling of each sequence by its own mean and deviation; return O."""
    number(f"{check.path}.epsilon", check.op.options.get("epsilon"), 0)
    return check.size


def clip(check: OpCheck) -> int:
    """Check a bound on the size of numbers; return O."""
    number(f"{check.path}.limit", check.op.options.get("limit"), 0)
    return check.size


def same(check: OpCheck) -> int:
    """Return D."""
    return check.size


def activation(check: OpCheck) -> int:
    """Check a function of each number; return O."""
    choice(f"{check.path}.function", check.op.options.get("function"), FUNCTIONS)
    return check.size


def affine(check: OpCheck) -> int:
    """Check a product with a matrix, or with some of its rows; return O."""
    shape = check.weight("weight")
    if len(shape) != 2 or shape[1] != check.size:
        check.expect("weight", (shape[0] if shape else check.op.size, check.size))
    first, end = check.rows(shape[0])
    if "bias" in check.op.weights:
        check.expect("bias", (end - first,))
    return end - first


def layer_norm(check: OpCheck) -> int:
    """Check a layer normalization; return O."""
    number(f"{check.path}.epsilon", check.op.options.get("epsilon"), 0)
    for role in ("gain", "bias"):
        check.expect(role, (check.size,))
    return check.size


def add(check: OpCheck) -> int:
    """Check a sum of two registers; return O."""
    if check.reads[0] != check.reads[1]:
        raise check.wrong("reads", list(check.reads), "two registers of the same size")
    return check.size


def average(check: OpCheck) -> int:
    """Check a mean of registers; return O."""
    if len(set(check.reads)) > 1:
        raise check.wrong("reads", list(check.reads), "registers of the same size")
    return check.size


def slice_of(check: OpCheck) -> int:
    """Check a slice of each row; return O."""
    first = whole_number(f"{check.path}.first", check.op.options.get("first"), low=0, high=check.size - 1)
    return whole_number(f"{check.path}.end", check.op.options.get("end"), low=first + 1, high=check.size) - first


def mix(check: OpCheck) -> int:
    """Check a mean of candidates by a gate and their prior weights; return O."""
    gate, prior, candidates = check.reads
    count = whole_number(f"{check.path}.candidates", check.op.options.get("candidates"), low=1)
    if gate != candidates or prior % count or candidates % prior:
        expected = "gate and candidates of the same size, and between them the prior weights of a step"
        raise check.wrong("reads", list(check.reads), expected)
    return candidates // count


def quantiles(check: OpCheck) -> int:
    """Check quantiles around medians; return O."""
    medians, errors, increments = check.reads
    if medians != errors or increments % medians:
        expected = "medians and their expected errors, then the increments of each median's quantiles"
        raise check.wrong("reads", list(check.reads), expected)
    whole_number(f"{check.path}.below", check.op.options.get("below"), low=0, high=increments // medians)
    return medians + increments


def concat(check: OpCheck) -> int:
    """Return the sum of all input sizes."""
    return sum(check.reads)


def shift(check: OpCheck) -> int:
    """Check a look-ahead of some steps; return O."""
    whole_number(f"{check.path}.steps", check.op.options.get("steps"), low=1, high=MOST_SHIFT)
    return check.size


def padding(check: OpCheck) -> int:
    """Return D and one more, for padding."""
    return check.size + 1


def clusters(check: OpCheck) -> int:
    """Check the levels of an adaptive softmax; return O."""
    first, *inside = check.reads
    if not inside or first <= len(inside):
        raise check.wrong("reads", list(check.reads), "the tokens and clusters of the first level, then each cluster")
    return first - len(inside) + sum(inside)


def recur(check: OpCheck) -> int:
    """Check a recurrent cell; return O."""
    op = check.op
    if "cell" not in op.options:
        raise check.wrong("cell", "none", "the name of a cell")
    flag(f"{check.path}.reverse", op.options.get("reverse", False))
    cell = check.cell
    shapes = cell.shapes()
    no_unknown(f"weight of {check.path} (recur)", op.weights, shapes)
    for role, shape in shapes.items():
        if role in op.weights or role in cell.required():
            check.expect(role, shape)
    return cell.output


def recur_state(check: OpCheck) -> Mapping[str, Shape]:
    """Return the states of a recurrent cell."""
    return check.cell.state()


def ends(check: OpCheck) -> int:
    """Check a pool of the last step forwards and the first one backwards; return O."""
    if check.size % 2:
        raise check.wrong("reads", check.size, "a register of an even number of numbers")
    return check.size


def shares(check: OpCheck) -> int:
    """Check a pool of shares of fixed convolutions, and maybe of two more numbers of each bias; return O."""
    dilations = _wholes(check, "dilations", MOST_DILATION)
    if dilations != sorted(set(dilations)):
        raise InputError(describe(f"{check.path}.dilations", dilations, "numbers that rise"))
    counts = _wholes(check, "counts", MOST_BIASES)
    if len(counts) != len(dilations):
        raise InputError(describe(f"{check.path}.counts", counts, f"{len(dilations)} numbers, one for each dilation"))
    pairs = len(KERNELS) * sum(counts)
    check.expect("bias", (pairs,))
    check.expect("channels", (len(KERNELS) * len(dilations), check.size))
    return pairs * _numbers(check)


def shares_state(check: OpCheck) -> Mapping[str, Shape]:
    """Return the state of a pool of shares: the last steps, and the tallies of the outputs above each bias."""
    reach = SIDE * max(_wholes(check, "dilations", MOST_DILATION))
    numbers = _numbers(check)
    tallies = dict.fromkeys(TALLIES[numbers], (check.op.size // numbers,))
    return {"before": (2 * reach, check.size), "count": (1,), **tallies}


def _numbers(check: OpCheck) -> int:
    """Return how many numbers of each bias a pool of shares gives."""
    numbers = check.op.options.get("numbers", SHARE)
    if numbers not in TALLIES or isinstance(numbers, bool):
        raise InputError(describe(f"{check.path}.numbers", numbers, " or ".join(map(str, TALLIES))))
    return int(numbers)


def _wholes(check: OpCheck, name: str, most: int) -> list[int]:
    """Return an option that is a list of whole numbers in [1, most]."""
    values, path = check.op.options.get(name), f"{check.path}.{name}"
    if not isinstance(values, list | tuple) or not values:
        raise InputError(describe(path, values, "a list of whole numbers"))
    return [whole_number(path, value, low=1, high=most) for value in values]


def attention(check: OpCheck) -> int:
    """Check an attention pool; return O."""
    shape = check.weight("weight")
    if len(shape) != 2 or shape[1] != check.size:
        check.expect("weight", (check.size, check.size))
    check.expect("bias", shape[:1])
    check.expect("score", (1, shape[0]))
    return check.size


def attend(check: OpCheck) -> int:
    """Check an attention over a memory; return O."""
    query, keys, values = check.reads
    choice(f"{check.path}.score", check.op.options.get("score"), SCORES)
    number(f"{check.path}.scale", check.op.options.get("scale", 1.0))
    if query != keys:
        raise check.wrong("reads", list(check.op.reads), "a query and keys of the same size, then values")
    if check.op.options["score"] == "additive":
        check.expect("weight", (1, keys))
    elif check.op.weights:
        raise check.wrong("weights", ", ".join(check.op.weights), "none for the score 'dot'")
    return values
