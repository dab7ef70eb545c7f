"""The cells of a program: their weights, their states and the cost of a step.

Axes: D input features, H hidden, O output, K heads, E = H/K units of a head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from rekur._check import choice, number
from rekur._check import whole as whole_number
from rekur.errors import InputError, describe

Shape = tuple[int, ...]

_EXPONENTIALS = "its gates are exponentials without a bound"


@dataclass(frozen=True)
class CellForm:
    """The form of a cell, for all that runs, lowers, counts and exports it.

    Args:
        family: cells of a family differ in a function, or in a weight.
        gates: a letter for each gate, in the order of the rows of the weights.
        state: a letter for each array of the state: m stabilizes exponential gates, c and C are memories.
        native: the name of its equations in the kernels of gated cells; empty if they lack it.
        operator: the ONNX operator with its equations; empty without one.
        norm: whether its products may be normalized.
        linear: whether the next state is linear in the old one: scale · state + value, functions of the input alone.
        unbounded: the reason for which it has no form in fixed point; empty if it has one.
    """

    family: str
    gates: str
    state: str
    native: str = ""
    operator: str = ""
    norm: bool = False
    linear: bool = False
    unbounded: str = ""


#: every cell that a program may name
FORMS: Mapping[str, CellForm] = MappingProxyType(
    {
        "rnn": CellForm("rnn", "h", "h", "tanh", "RNN", norm=True),
        "rnn_relu": CellForm("rnn", "h", "h", "relu", "RNN", norm=True),
        "lstm": CellForm("lstm", "ifgo", "hc", "lstm", "LSTM", norm=True),
        "lstm_peephole": CellForm("lstm", "ifgo", "hc", "lstm", "LSTM", norm=True),
        "gru": CellForm("gru", "rzn", "h", "gru", "GRU", norm=True),
        "gru_reset_before": CellForm("gru_reset_before", "rzn", "h", "gru_reset_before", "GRU"),
        "mingru": CellForm("min", "zh", "h", linear=True),
        "minlstm": CellForm("min", "fih", "h", linear=True),
        "rglru": CellForm(
            "rglru", "ri", "h", linear=True, unbounded="it forgets less at a step than its bits could tell"
        ),
        "slstm": CellForm("slstm", "ifzo", "hcnm", "slstm", unbounded=_EXPONENTIALS),
        "mlstm": CellForm("mlstm", "qkvo", "Cnm", unbounded=_EXPONENTIALS),
    }
)
KINDS = tuple(FORMS)
#: the network that a comparison takes in the place of a cell, and why nothing else does
TRANSFORMER = "transformer"
NO_PROGRAM = "A transformer has no program: it is trained, scored and compared, and neither exported nor run live."
#: initial value of the stabilizer of an empty memory
EMPTY = float(np.finfo(np.float32).min) / 2


@dataclass(frozen=True)
class Cell:
    """One recurrent cell of a program.

    Args:
        kind: one of :data:`KINDS`.
        input: features D of an input.
        hidden: hidden units H.
        output: features O of an output: H, or fewer for an LSTM with a projection.
        heads: K, of an sLSTM or mLSTM; else 1.
        norm: the epsilon of layer normalization of the cell's products; 0 without it.
        stay: shares of h and of c that keep their old values at each step (zoneout); (0, 0) without it.

    Example:
        >>> cell = Cell("gru", input=3, hidden=5, output=5)
        >>> cell.shapes()["weight_hh"], cell.state(), cell.multiply_adds()
        ((15, 5), {'h': (5,)}, 120)
    """

    kind: str
    input: int
    hidden: int
    output: int
    heads: int = 1
    norm: float = 0.0
    stay: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        choice("cell", self.kind, KINDS)
        for name in ("input", "hidden", "output", "heads"):
            whole_number(f"{name} of the cell", getattr(self, name), low=1)
        number("norm of the cell", self.norm, 0)
        for share in self.stay:
            number("stay of the cell", share, 0, 1)
        if self.hidden % self.heads:
            raise InputError(describe("heads of the cell", self.heads, f"a divisor of hidden, {self.hidden}"))
        if self.heads > 1 and "m" not in self.form.state:
            raise InputError(describe("heads of the cell", self.heads, f"1 for the cell '{self.kind}'"))
        if self.output != self.hidden and (self.kind != "lstm" or self.output > self.hidden):
            expected = f"{self.hidden}, as hidden" if self.kind != "lstm" else f"at most {self.hidden}, as hidden"
            raise InputError(describe("output of the cell", self.output, expected))
        if self.norm and not self.form.norm:
            raise InputError(describe("norm of the cell", self.norm, f"0 for the cell '{self.kind}'"))
        if any(self.stay) and "m" in self.form.state:
            raise InputError(describe("stay of the cell", list(self.stay), f"[0, 0] for the cell '{self.kind}'"))
        if self.stay[1] and "c" not in self.form.state:
            raise InputError(describe("stay of the cell", list(self.stay), "0 for c, which this cell lacks"))

    @property
    def form(self) -> CellForm:
        """The form of the cell."""
        return FORMS[self.kind]

    @property
    def gates(self) -> int:
        """Number of gates in the rows of the input weights."""
        return len(self.form.gates)

    @property
    def norm_groups(self) -> tuple[int, ...]:
        """Sizes of the rows that are normalized together: all, or of a GRU those of r and z, and those of n."""
        return (2 * self.hidden, self.hidden) if self.kind == "gru" else (self.gates * self.hidden,)

    @property
    def bare(self) -> bool:
        """Whether it has its bare equations: no normalization, zoneout or projection."""
        return not self.norm and not any(self.stay) and self.output == self.hidden

    @property
    def plain(self) -> bool:
        """Whether the stepper has a compiled step for it: bare equations, those of the kernels without peepholes."""
        return self.bare and self.form.norm and self.kind != "lstm_peephole"

    def shapes(self) -> dict[str, Shape]:
        """Return role -> shape for every weight that the cell may have."""
        size, rows = self.hidden, self.gates * self.hidden
        if self.kind == "mlstm":
            rows += 2 * self.heads
        width = self.hidden if self.kind == "rglru" else self.input
        shapes: dict[str, Shape] = {"weight_ih": (rows, width)}
        if self.kind == "rglru":
            more = {} if self.input == size else {"weight_in": (size, self.input)}
            return {**shapes, "bias_ih": (rows,), **more, "decay": (size,)}
        if self.form.linear or self.kind == "mlstm":
            return {**shapes, "bias_ih": (rows,)}
        shapes |= {"weight_hh": (rows, self.output // self.heads), "bias_ih": (rows,), "bias_hh": (rows,)}
        if self.output != size:
            shapes["weight_hr"] = (self.output, size)
        if self.kind == "lstm_peephole":
            shapes |= dict.fromkeys(("weight_ci", "weight_cf", "weight_co"), (size,))
        if self.norm:
            shapes |= {"gain_ih": (rows,), "gain_hh": (rows,)}
        if self.norm and "c" in self.form.state:
            shapes |= {"gain_c": (size,), "bias_c": (size,)}
        return shapes

    def required(self) -> set[str]:
        """Return the roles of the required weights: all except the biases of the products."""
        return set(self.shapes()) - {"bias_ih", "bias_hh"}

    def state(self) -> dict[str, Shape]:
        """Return letter in the equations -> shape for every array of the state."""
        size, heads = (self.hidden,), self.heads
        if self.kind == "mlstm":
            each = self.hidden // heads
            return {"C": (heads, each, each), "n": (heads, each), "m": (heads,)}
        return {name: (self.output,) if name == "h" else size for name in self.form.state}

    def begins_with(self, name: str) -> float:
        """Return the initial value of an array of the state."""
        return EMPTY if self.kind == "slstm" and name == "m" else 0.0

    def multiply_adds(self) -> int:
        """Return the multiply-adds of a step: one for each weight of a matrix, plus those of a matrix memory."""
        matrices = sum(math.prod(shape) for shape in self.shapes().values() if len(shape) == 2)
        memory = 3 * self.heads * (self.hidden // self.heads) ** 2 if self.kind == "mlstm" else 0
        return matrices + memory

    def to_json(self) -> dict[str, Any]:
        """Return the cell's options without defaults."""
        written: dict[str, Any] = {"cell": self.kind, "hidden": self.hidden}
        if self.heads > 1:
            written["heads"] = self.heads
        if self.norm:
            written["norm"] = self.norm
        if any(self.stay):
            written["stay"] = list(self.stay)
        return written


def cell_from(options: Mapping[str, Any], input_size: int, output_size: int) -> Cell:
    """Return the cell in the options of an op.

    Args:
        options: ``cell`` and ``hidden``; optionally ``heads``, ``norm`` and ``stay``.
        input_size: D.
        output_size: O.

    Raises:
        InputError: an option is unknown, missing or out of range.

    Example:
        >>> cell_from({"cell": "lstm", "hidden": 4}, 3, 4).gates
        4
    """
    stay = options.get("stay", [0.0, 0.0])
    if not isinstance(stay, list) or len(stay) != 2:
        raise InputError(describe("stay of the cell", stay, "two numbers, for h and for c"))
    return Cell(
        kind=options.get("cell", ""),
        input=input_size,
        hidden=options.get("hidden", 0),
        output=output_size,
        heads=options.get("heads", 1),
        norm=options.get("norm", 0.0),
        stay=(number("stay of the cell", stay[0], 0, 1), number("stay of the cell", stay[1], 0, 1)),
    )
