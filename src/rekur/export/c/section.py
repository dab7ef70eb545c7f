"""Registers of a program in C: in the shared buffer, in the state, or in the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rekur.export.c.constants import comment
from rekur.program import Op


@dataclass
class Register:
    """The location of a row of numbers.

    Attributes:
        pointer: the C expression that points to it.
        size: of the row.
        last: the index of the last op that reads it.
        offset: its offset in the buffer; None if it is elsewhere.
        begins_zero: whether it is part of the state and zero before the first step.
    """

    pointer: str
    size: int
    last: int
    offset: int | None = None
    begins_zero: bool = False


class Section:
    """The C code of a sequence of ops, and the part of the buffer that they need.

    A row occupies the buffer from the op that writes it to the last one that reads it; rows with disjoint lifetimes
    share space.

    Args:
        ops: the ops, in their order.
        inputs: registers that exist before the first op.
        homes: registers with a fixed location outside the buffer: register -> C expression.
        copy: the part that copies a row.

    Attributes:
        lines: the C code.
        size: used size of the buffer.
        uses: the parts that are called.
    """

    def __init__(
        self, ops: Sequence[Op], inputs: Mapping[str, Register], homes: Mapping[str, str], copy: str = "copy"
    ) -> None:
        self.registers = dict(inputs)
        self.lines: list[str] = []
        self.size = 0
        self.uses: set[str] = set()
        self._homes, self._copy, self._now = homes, copy, 0
        self._scratch: list[tuple[int, int]] = []
        self._last = {name: index for index, op in enumerate(ops) for name in op.reads}
        self._gates: dict[str, str] = {}

    def gate_of(self, op: Op) -> str:
        """Return the C variable that says whether an op has written a step; only then what reads its steps runs."""
        return self._gates.setdefault(op.writes, f"ends_{len(self._gates)}")

    def gated(self, op: Op, start: int) -> None:
        """Let the code of an op, from a line on, run only where there is a step for it to read."""
        gate = self._gates.get(op.reads[0])
        if op.writes in self._gates:
            self.lines[:0] = [f"int {self._gates[op.writes]} = 0;"]
            start += 1
        elif gate is not None:
            self._gates[op.writes] = gate
        if gate is not None:
            body = [f"    {line}" for line in self.lines[start:]]
            self.lines[start:] = [f"if ({gate}) {{", *body, "}"]

    def begin(self, number: int, op: Op, says: str) -> None:
        """Start the code of an op."""
        self._now, self._scratch = number, []
        self.lines.append(f"/* {comment(op.writes)}: {comment(says)} */")

    def call(self, part: str, *arguments: object) -> None:
        """Call a part."""
        self.uses.add(part)
        self.lines.append(f"{part}({', '.join(map(str, arguments))});")

    def read(self, name: str) -> str:
        """Return the C expression of a register."""
        return self.registers[name].pointer

    def write(self, op: Op) -> str:
        """Reserve space for the register of an op, and return its C expression."""
        return self._put(op, self._homes.get(op.writes), None)

    def update(self, op: Op) -> str:
        """Copy the first input of an op to its register, in place if no later op reads the input."""
        source = self.registers[op.reads[0]]
        home = self._homes.get(op.writes)
        dies = source.last <= self._now
        if home is None and source.offset is not None and dies:
            return self._put(op, None, source.offset)
        written = self.write(op)
        if written != source.pointer:
            self.call(self._copy, written, source.pointer, op.size)
        return written

    def alias(self, op: Op, pointer: str, begins_zero: bool = False) -> None:
        """Make the register of an op refer to a location outside the buffer."""
        home = self._homes.get(op.writes)
        if home is not None:
            self.call(self._copy, self._put(op, home, None), pointer, op.size)
            return
        last = max(self._last.get(op.writes, 0), self._now)
        self.registers[op.writes] = Register(pointer, op.size, last, begins_zero=begins_zero)

    def scratch(self, size: int) -> str:
        """Return the C expression of temporary space for the current op."""
        offset = self._room(size)
        self._scratch.append((offset, size))
        return at("buffer", offset)

    def _put(self, op: Op, home: str | None, offset: int | None) -> str:
        if home is None and offset is None:
            offset = self._room(op.size)
        pointer = home if home is not None else at("buffer", offset or 0)
        last = max(self._last.get(op.writes, 0), self._now)
        self.registers[op.writes] = Register(pointer, op.size, last, offset)
        return pointer

    def _room(self, size: int) -> int:
        """Return the first offset in the buffer with free space of a size."""
        taken = sorted(
            [(r.offset, r.size) for r in self.registers.values() if r.offset is not None and r.last >= self._now]
            + self._scratch
        )
        offset = 0
        for start, length in taken:
            if offset + size <= start:
                break
            offset = max(offset, start + length)
        self.size = max(self.size, offset + size)
        return offset


def at(base: str, offset: int) -> str:
    """Return the C expression of an offset in an array.

    Example:
        >>> at("buffer", 0), at("buffer", 8)
        ('buffer', 'buffer + 8')
    """
    return f"{base} + {offset}" if offset else base
