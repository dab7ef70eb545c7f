"""Random sequences for testing a program.

Axes: T time, D numbers of a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rekur._ids import PADDING, UNKNOWN
from rekur._tensors import Array
from rekur.program.program import Program


def draw_sequences(
    program: Program, lengths: Sequence[int], seed: int | np.random.Generator = 0, *, padding: bool = True
) -> list[Array]:
    """Return random sequences for a program: rows (T, D) of standard normal numbers, or ids (T,) or
    (T, C).

    The second half of ids repeats the first.

    Args:
        program: the program.
        lengths: the steps T of each.
        seed: of the draws, or a random generator.
        padding: whether they may contain padding (0), which no features return; language models begin a text with it.

    Example:
        >>> from rekur.program import Input, Op, State
        >>> last = Op("last", ("input",), "last", 2, state={"last": "last"})
        >>> program = Program.of("regress", Input("rows", 2), {}, (State("last", (2,)),), (last,))
        >>> [x.shape for x in draw_sequences(program, [3, 0])]
        [(3, 2), (0, 2)]
    """
    rng, size = np.random.default_rng(seed), program.input.size
    if program.input.kind == "rows":
        return [rng.normal(size=(length, size)).astype(np.float32) for length in lengths]
    columns = program.input.register.columns
    first = [PADDING if padding else min(UNKNOWN, size - 1) for size in columns]
    drawn = [rng.integers(first, columns, size=(length, len(columns))) for length in lengths]
    for ids in drawn:
        half = len(ids) // 2
        ids[half : 2 * half] = ids[:half]  # so that recall has something to look up
    return [ids[:, 0] for ids in drawn] if program.input.kind == "tokens" else drawn
