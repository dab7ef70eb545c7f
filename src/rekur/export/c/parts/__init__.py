"""The small C functions of exports; an export contains only those that it uses."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

_HEAD = re.compile(r"^/\* part: (\w+)(?: \((\w+)\))?(?:: ([\w ]+))? \*/\n", re.MULTILINE)


class Part(NamedTuple):
    """A C function, or a type.

    Attributes:
        text: the code.
        needs: the parts that it calls.
    """

    text: str
    needs: tuple[str, ...]


@functools.cache
def library() -> Mapping[tuple[str, str], Part]:
    """Return every part by its name and its variant (``''`` if it has only one), in the order of the files."""
    parts: dict[tuple[str, str], Part] = {}
    names = ("maths", "rows", "shares", "tables", "cells", "text", "fixed", "fixed_maths", "fixed_cells")
    for name in (*names, "doubles", "windows"):
        pieces = _HEAD.split((Path(__file__).parent / f"{name}.c").read_text(encoding="utf-8"))
        for start in range(1, len(pieces), 4):
            part, variant, needs, text = pieces[start : start + 4]
            parts[part, variant or ""] = Part(text.strip() + "\n", tuple((needs or "").split()))
    return parts


def assemble(requested: Iterable[str], variants: Iterable[str]) -> tuple[str, set[str]]:
    """Return the code of parts and of those that they call, each once and before its first call, and their names.

    Args:
        wanted: names of parts.
        variants: which variants of parts are meant, such as ``float32`` and ``exact``.

    Example:
        >>> text, names = assemble(["sigmoid"], ["exact"])
        >>> sorted(names)
        ['bits', 'exponential', 'sigmoid']
    """
    chosen = ("", *variants)
    parts = {name: part for (name, variant), part in library().items() if variant in chosen}
    names: set[str] = set()
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in names:
            return
        names.add(name)
        if name in parts:
            for inner in parts[name].needs:
                visit(inner)
            ordered.append(parts[name].text)

    for name in sorted(requested):
        visit(name)
    return "\n".join(ordered), names
