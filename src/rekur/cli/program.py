"""``rekur program BUNDLE``: what a saved model does at each step, op after op."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur.cli import show
from rekur.cli.options import BUNDLE, JSON, with_options
from rekur.program import Cost, Program, costs
from rekur.runtime import read_bundle

_COUNTS = ("multiply_adds", "weight_bytes", "state_bytes")
_INNER = ("cell", "function", "orders", "column", "steps", "reverse")


@click.command("program")
@with_options(BUNDLE)
@JSON
def command(bundle: Path, as_json: bool) -> None:
    """Show the program of a saved model: every op with what it reads and writes, its size and what a step costs.

    Multiply-adds count one for each weight of a matrix; what is read are the bytes of the weights that a step looks
    at, what is kept those that are remembered until the next one. Ops of the head run where a prediction is read.

    \b
    rekur program runs/reviews
    rekur program runs/reviews --json
    """
    program, _ = read_bundle(bundle).program()
    op_costs = costs(program)
    if as_json:
        show.as_json(_as_json(program, op_costs))
        return
    rows = [
        [
            cost.part,
            _name(cost),
            ", ".join(cost.op.reads),
            cost.op.writes,
            cost.op.size,
            *(f"{count:,}" for count in _totals(cost).values()),
        ]
        for cost in op_costs
    ]
    whole = [f"{total:,}" for total in _totals(*op_costs).values()]
    head = ("part", "op", "reads", "writes", "size", "mul-adds", "read", "kept")
    show.table(_title(program), head, [*rows, ["", "all", "", "", "", *whole]])


def _title(program: Program) -> str:
    source = program.input
    of = " + ".join(map(str, source.columns)) if source.columns else source.size
    live = "runs live" if program.causal else "needs whole sequences"
    live += f" {program.delay} steps late" if program.delay else ""
    outputs = ", an output at every step" if program.per_step else ""
    return f"{program.task}, {source.kind} of {of}{outputs}, {program.precision}, {live}; read and kept in bytes"


def _name(cost: Cost) -> str:
    """Return an op with the options that say what it does, such as ``recur gru``."""
    options = cost.op.options
    inner = [name if options[name] is True else options[name] for name in _INNER if options.get(name)]
    return " ".join([cost.op.kind, *(str(value) for value in inner)])


def _totals(*costs: Cost) -> dict[str, int]:
    return {name: sum(getattr(cost, name) for cost in costs) for name in _COUNTS}


def _as_json(program: Program, costs: list[Cost]) -> dict[str, Any]:
    ops = [{"part": cost.part, **cost.op.to_json(), **_totals(cost)} for cost in costs]
    state = {slot.name: slot.to_json() for slot in program.state}
    return {
        "task": program.task,
        "input": program.input.to_json(),
        "precision": program.precision,
        "causal": program.causal,
        "output_size": program.output_size,
        "per_step": program.per_step,
        "delay": program.delay,
        **_totals(*costs),
        "ops": ops,
        "state": state,
    }
