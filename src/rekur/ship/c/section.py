"""Registers of a program in C: which lie in the one buffer, which are the state itself, which the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rekur.program import Op
from rekur.ship.c.constants import comment


@dataclass
class Register:
    """Where a row of numbers lies.

    Attributes:
        place: the C expression that points to it.
        size: numbers of the row.
        last: the number of the last op that reads it.
        offset: its place in the buffer; None where it lies elsewhere.
        begins_zero: whether it lies in the state and holds zeros before the first step.
    """

    place: str
    size: int
    last: int
    offset: int | None = None
    begins_zero: bool = False


class Section:
    """The C code of some ops that run one after another, and the part of the buffer that they need.

    A row takes room from the op that writes it to the last that reads it; rows whose times do not meet share room.

    Args:
        ops: the ops, in their order.
        given: registers that are there before.
        homes: registers that have a place of their own: register -> C expression.
        copy: the part that copies a row.

    Attributes:
        lines: the C code.
        size: numbers of the buffer that are used.
        uses: the parts that are called.
    """

    def __init__(
        self, ops: Sequence[Op], given: Mapping[str, Register], homes: Mapping[str, str], copy: str = "copy"
    ) -> None:
        self.registers = dict(given)
        self.lines: list[str] = []
        self.size = 0
        self.uses: set[str] = set()
        self._homes, self._copy, self._now = homes, copy, 0
        self._scratch: list[tuple[int, int]] = []
        self._last = {name: place for place, op in enumerate(ops) for name in op.reads}

    def begin(self, number: int, op: Op, says: str) -> None:
        """Go on to an op."""
        self._now, self._scratch = number, []
        self.lines.append(f"/* {comment(op.writes)}: {comment(says)} */")

    def call(self, part: str, *arguments: object) -> None:
        """Call a part."""
        self.uses.add(part)
        self.lines.append(f"{part}({', '.join(map(str, arguments))});")

    def read(self, name: str) -> str:
        """Return the C expression of a register that is read."""
        return self.registers[name].place

    def write(self, op: Op) -> str:
        """Give the register of an op a place of its own, and return its C expression."""
        return self._put(op, self._homes.get(op.writes), None)

    def update(self, op: Op) -> str:
        """Give the register of an op the numbers of the first that it reads, in place where that is read no more."""
        source = self.registers[op.reads[0]]
        home = self._homes.get(op.writes)
        dies = source.last <= self._now
        if home is None and source.offset is not None and dies:
            return self._put(op, None, source.offset)
        written = self.write(op)
        if written != source.place:
            self.call(self._copy, written, source.place, op.size)
        return written

    def alias(self, op: Op, place: str, begins_zero: bool = False) -> None:
        """Let the register of an op be what lies elsewhere."""
        home = self._homes.get(op.writes)
        if home is not None:
            self.call(self._copy, self._put(op, home, None), place, op.size)
            return
        last = max(self._last.get(op.writes, 0), self._now)
        self.registers[op.writes] = Register(place, op.size, last, begins_zero=begins_zero)

    def scratch(self, size: int) -> str:
        """Return the C expression of room that the op at hand may use."""
        offset = self._room(size)
        self._scratch.append((offset, size))
        return at("buffer", offset)

    def _put(self, op: Op, home: str | None, offset: int | None) -> str:
        if home is None and offset is None:
            offset = self._room(op.size)
        place = home if home is not None else at("buffer", offset or 0)
        last = max(self._last.get(op.writes, 0), self._now)
        self.registers[op.writes] = Register(place, op.size, last, offset)
        return place

    def _room(self, size: int) -> int:
        """Return the first place in the buffer with room that no row takes which is still to be read."""
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
    """Return the C expression of a place in an array.

    Example:
        >>> at("buffer", 0), at("buffer", 8)
        ('buffer', 'buffer + 8')
    """
    return f"{base} + {offset}" if offset else base
