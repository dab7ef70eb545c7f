"""From a cell and its wrappers to the cell of a program."""

from __future__ import annotations

from torch import Tensor

from rekur import cells
from rekur.cells.catalog import CELLS, PRESETS
from rekur.errors import InputError, describe, did_you_mean
from rekur.program.cells import KINDS, Cell

Tensors = dict[str, Tensor | None]


def lower_cell(cell: cells.Cell, thing: str = "cell") -> tuple[Cell, Tensors]:
    """Return the program's cell and its weights by role; dropout is left out.

    Args:
        cell: a cell of the catalog, plain or inside zoneout, recurrent dropout and layer normalization.
        thing: its name in messages.

    Raises:
        InputError: the cell is not in the catalog, or no program has its wrapper at that position.

    Example:
        >>> lowered, weights = lower_cell(cells.Zoneout(cells.GRU(3, 5), 0.1))
        >>> lowered.kind, lowered.stay, weights["weight_hh"].shape
        ('gru', (0.1, 0.0), torch.Size([15, 5]))
    """
    stay, epsilon = (0.0, 0.0), 0.0
    more: Tensors = {}
    inner = cell
    if type(inner) is cells.Zoneout:
        names = inner.cell.state_names
        stay, inner = (inner.hidden, inner.memory if "c" in names else 0.0), inner.cell
    if type(inner) is cells.RecurrentDropout:
        inner = inner.cell
    if type(inner) is cells.LayerNorm:
        epsilon = inner.eps
        more = {name: getattr(inner, name) for name in ("gain_ih", "gain_hh", "gain_c", "bias_c")}
        inner = inner.cell
    kind = next((name for name in reversed([*CELLS]) if _is_kind(inner, name)), "")
    if not kind:
        raise InputError(describe(thing, type(inner).__name__, *_expected(inner)))
    lowered = Cell(
        kind,
        inner.input_size,
        inner.hidden_size,
        inner.output_size,
        heads=getattr(inner, "num_heads", 1),
        norm=epsilon,
        stay=stay,
    )
    return lowered, {role: more[role] if role in more else getattr(inner, role) for role in lowered.shapes()}


def _is_kind(cell: cells.Cell, name: str) -> bool:
    """Return whether a cell is of the catalog's class of a name, with the options that the name stands for."""
    preset = PRESETS.get(name, {})
    return type(cell) is CELLS[name] and all(getattr(cell, option) == value for option, value in preset.items())


def _expected(cell: cells.Cell) -> tuple[str, str]:
    """Return the accepted cells or wrappers, and the likely fix, for a message."""
    expected = f"one of {', '.join(KINDS)}"
    if isinstance(cell, cells.Wrapper):
        order = "Residual around Zoneout around RecurrentDropout around LayerNorm around a cell"
        return f"{order}, any of them left out", "No program has an op for another order."
    return expected, did_you_mean(type(cell).__name__, KINDS) or "A program has no equations for your own cell."
