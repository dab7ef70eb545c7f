"""Programs: a trained model as a short list of ops over named weights and named state; no PyTorch.

A program has parts, each a list of ops with named inputs and outputs. Most have the part ``main``, with one of each.
One that is searched has two: ``encode`` reads a source, and ``decode`` steps through a target; its memories are
outputs of ``encode``, and a state may begin with one. One that forecasts has ``encode``, which reads the past, and
``ahead``, which reads one row a segment of the horizon, each from the states that ``encode`` leaves. Each op reads
registers and writes one. A register holds ids
(T, C), a row of numbers for every step (T, D), one row (D,) for the whole sequence, or a memory (S, D). An op that
reduces all steps to one row is a pool. A program with a pool has one output for a sequence, one without has an output
at every step.

Axes: T time, C columns of ids, D size of a row, S steps of a source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from rekur.errors import InputError, describe
from rekur.program.op_checks import Register
from rekur.program.ops import SMALL, Op, State
from rekur.program.parts import (
    AHEAD,
    DECODE,
    ENCODE,
    INPUT,
    MAIN,
    OUTPUT,
    Input,
    Part,
    Weight,
    check_names,
    check_weights_and_states,
    is_pool,
    register_types,
)
from rekur.program.program_file import Content, paths_of, read_text, write_text
from rekur.program.rules import RULES


@dataclass(frozen=True)
class Program:
    """A trained model as ops, weights and state, all by name; the constructor checks it.

    Args:
        task: such as ``classify``.
        parts: name -> part: ``main`` alone, or ``encode`` and ``decode`` or ``ahead``.
        weights: name -> shape and type.
        state: the arrays that carry over from step to step, in the order of the ops.

    Raises:
        InputError: an op is unknown, a register is read before it is written, or a weight is missing or has another
            shape than its op needs; the text names it.

    Example:
        >>> mean = Op("mean", reads=("input",), writes="mean", size=2, state={"mean": "mean", "count": "count"})
        >>> state = (State("mean", (2,)), State("count", (1,), "int64"))
        >>> program = Program.of("regress", Input("rows", 2), {}, state, (mean,))
        >>> program.output_size, program.causal, program.per_step
        (2, True, False)
        >>> Program.from_json(program.to_json()) == program
        True
    """

    task: str
    parts: Mapping[str, Part]
    weights: Mapping[str, Weight]
    state: tuple[State, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.task, str) or not self.task:
            raise InputError(describe("task of the program", self.task, "the name of a task"))
        if list(self.parts) not in ([MAIN], [ENCODE, DECODE], [ENCODE, AHEAD]):
            expected = f"'{MAIN}' alone, or '{ENCODE}' and '{DECODE}' or '{AHEAD}'"
            raise InputError(describe("parts of the program", ", ".join(self.parts) or "none", expected))
        widths = check_weights_and_states(self.weights, self.state)
        paths = paths_of(self.parts)
        types = {}
        for name, part in self.parts.items():
            if name == AHEAD:
                widths.leave_states()
            types[name] = register_types(part, paths[name], widths)
        _check_strides(self.parts, types)
        check_names(self.parts, types, self.state)
        widths.check_all_used()
        object.__setattr__(self, "_types", types)
        if MAIN not in self.parts:
            self._check_second()
            return
        if self.delay and not self.causal:
            expected = "a causal one: what reads from the end needs no look-ahead"
            raise InputError(describe("program with a 'shift'", "one that reads from the end", expected))

    @classmethod
    def of(
        cls, task: str, source: Input, weights: Mapping[str, Weight], state: tuple[State, ...], ops: tuple[Op, ...]
    ) -> Self:
        """Return a program of one list of ops; the last one writes the output.

        Args:
            task: such as ``classify``.
            source: the form of an input step.
            weights: as for the class.
            state: as for the class.
            ops: at least one.
        """
        if not ops:
            raise InputError(describe("ops of the program", "none", "at least one"))
        return cls(task, {MAIN: Part({INPUT: source}, ops, {OUTPUT: ops[-1].writes})}, weights, state)

    def _check_second(self) -> None:
        """Check that the part ``decode`` or ``ahead`` steps forward, with an output at every step."""
        output = self.types_of(self._last)[self.output]
        if output.kind != "steps" or output.delay:
            raise InputError(describe(f"output of the part '{self._last}'", output.kind, "numbers of the newest step"))
        for path, op in zip(paths_of(self.parts)[self._last], self.parts[self._last].ops, strict=True):
            if not RULES[op.kind].streams(op) or is_pool(op):
                raise InputError(
                    describe(path, op.kind, "an op with an output at every step, which needs no later one")
                )

    @property
    def searches(self) -> bool:
        """Whether its outputs are found by search: it has the parts ``encode`` and ``decode``."""
        return DECODE in self.parts

    @property
    def forecasts(self) -> bool:
        """Whether it reads the past and a horizon: it has the parts ``encode`` and ``ahead``."""
        return AHEAD in self.parts

    @property
    def _last(self) -> str:
        """The part that writes the output."""
        return next(reversed(list(self.parts)))

    @property
    def main(self) -> Part:
        """The part that maps an item to its output.

        Raises:
            InputError: the program is searched, or it forecasts.
        """
        if MAIN not in self.parts:
            got, fix = " and ".join(self.parts), "Run it with a ForecastEngine."
            if self.searches:
                fix = "Search with a PairEngine."
            raise InputError(describe("parts of the program", got, f"'{MAIN}' alone", fix))
        return self.parts[MAIN]

    @property
    def input(self) -> Input:
        """The form of an input step: of a source where the program is searched, of the past where it forecasts."""
        return next(iter(self.parts.values())).inputs[INPUT]

    @property
    def types(self) -> Mapping[str, Register]:
        """Register of the part ``main`` -> its type."""
        self.main  # noqa: B018
        return self.types_of(MAIN)

    def types_of(self, part: str) -> Mapping[str, Register]:
        """Return register -> its type for a part."""
        types: Mapping[str, Mapping[str, Register]] = self.__dict__["_types"]
        return types[part]

    @property
    def precision(self) -> str:
        """``int8`` or ``bfloat16`` if its matrices have that type, else ``float32``."""
        return next((weight.dtype for weight in self.weights.values() if weight.dtype in SMALL), "float32")

    @property
    def causal(self) -> bool:
        """Whether no step needs a later one beyond its look-ahead, so that the program can run live."""
        return MAIN in self.parts and all(RULES[op.kind].streams(op) for op in self.main.ops)

    @property
    def output(self) -> str:
        """The register of the output."""
        return self.parts[self._last].outputs[OUTPUT]

    @property
    def output_size(self) -> int:
        """Size of a row of the output; of one segment where the program forecasts."""
        return self.types_of(self._last)[self.output].size

    @property
    def per_step(self) -> bool:
        """Whether there is an output at every step, because the program has no pool."""
        return self.types_of(self._last)[self.output].kind == "steps"

    @property
    def delay(self) -> int:
        """Delay of a live output in steps; after the last input step as many steps of zeros follow."""
        return self.types[self.output].delay if MAIN in self.parts else 0

    @property
    def strided(self) -> bool:
        """Whether some registers have fewer steps than the input."""
        return MAIN in self.parts and any(register.stride > 1 for register in self.types.values())

    @property
    def every_step(self) -> bool:
        """Whether one pass yields the output after each step: without a pool, or with pools of the last step alone."""
        return all(op.kind == "last" for op in self.main.ops if is_pool(op))

    def reads_rows(self, op: Op, part: str = MAIN) -> bool:
        """Return whether an op reads rows of whole sequences: it runs when the output is read, others at each step."""
        return self.types_of(part)[op.reads[0]].kind == "row"

    def to_json(self) -> str:
        """Return the program as readable text, of format 1 if that can hold it: one line for each op."""
        return write_text(Content(self.task, self.parts, self.weights, self.state))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the program that :meth:`to_json` wrote.

        Raises:
            InputError: the text is not a program, or one of a newer version, or an invalid one; the error says where.
        """
        content = read_text(text)
        return cls(content.task, content.parts, content.weights, content.state)


def _check_strides(parts: Mapping[str, Part], types: Mapping[str, Mapping[str, Register]]) -> None:
    """Check that what has fewer steps than the input is read by a pool of the part ``main``."""
    for name, part in parts.items():
        for output in part.outputs.values():
            register = types[name].get(output)
            if register is not None and register.stride > 1:
                raise InputError(describe(f"output '{output}'", f"a step for every {register.stride}", "one a step"))
        if name != MAIN and any(register.stride > 1 for register in types[name].values()):
            raise InputError(describe(f"part '{name}'", "the op 'sample'", f"one in the part '{MAIN}' alone"))
