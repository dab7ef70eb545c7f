"""``rekur cells``: the recurrent cells with equations and costs."""

from __future__ import annotations

import click

from rekur import _check
from rekur.cli import show
from rekur.cli.options import JSON, WHOLE


@click.command("cells")
@click.argument("names", nargs=-1)
@click.option("--input-size", type=WHOLE, default=128, show_default=True, help="Input features that costs are of.")
@click.option("--hidden-size", type=WHOLE, default=128, show_default=True, help="Hidden units that costs are of.")
@JSON
def command(names: tuple[str, ...], input_size: int, hidden_size: int, as_json: bool) -> None:
    """List the cells, or those named, with equations and costs.

    \b
    rekur cells
    rekur cells lstm gru
    rekur cells --hidden-size 64 --json
    """
    _check.need("torch", "train", "rekur cells")
    from rekur.cells import CELLS, describe_cells

    for name in names:
        _check.choice("cell", name, list(CELLS))
    rows = [row for row in describe_cells(input_size, hidden_size) if not names or row["name"] in names]
    if as_json:
        show.as_json({"input_size": input_size, "hidden_size": hidden_size, "cells": rows})
        return
    sizes = f"{input_size} inputs, {hidden_size} hidden units"
    head = ("cell", "weights", "multiply-adds a step", "state")
    shown = [(r["name"], f"{r['parameters']:,}", f"{r['cost']:,}", _state(r["state"])) for r in rows]
    show.table(f"Cells ({sizes})", head, shown)
    for row in rows:
        click.echo(
            f"{row['name']}  ({row['reference']})\n" + "\n".join(f"  {x}" for x in row["equations"].splitlines())
        )


def _state(sizes: dict[str, tuple[int, ...]]) -> str:
    """Return what a cell remembers, such as ``h 128, c 128``."""
    return ", ".join(f"{name} {'×'.join(map(str, size)) or 1}" for name, size in sizes.items())
