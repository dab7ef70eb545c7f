"""``rekur data FILE``: describe a file before training on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur.cli import show
from rekur.cli.options import FILE, INPUT, JSON, split_input, with_options


@click.command("data")
@with_options(FILE, *INPUT)
@click.option("--label-type", type=click.Choice(["class", "classes", "number"]), help="What a label is.")
@JSON
def command(file: Path, label_type: str | None, as_json: bool, **values: Any) -> None:
    """Show columns, lengths and classes of a file, and what to look at before training.

    \b
    rekur data reviews.csv
    rekur data reviews.csv --text review --label stars
    rekur data log.csv --series hr --series temp --group patient --time at --label ill
    """
    from rekur.data import Columns, describe, open_source

    columns, reading = split_input(values)
    separator = reading.pop("label_separator", None)
    chosen = Columns(**columns) if columns else None
    kind = label_type or ("classes" if separator else "class")
    found = describe(open_source(file, **reading), chosen, label_type=kind, label_separator=separator)
    if as_json:
        show.as_json(found.to_dict())
        return
    show.table("What is there", ("what", "value"), found.overview())
    show.table("Columns", ("column", "looks like", "filled", "different", "examples"), found.column_table())
    if found.classes:
        show.table("Classes", ("class", "examples", "share"), found.class_table())
    if any(found.missing.values()):
        show.table("Missing values", ("channel", "share"), found.missing_table())
    for warning in found.warnings:
        click.echo(f"warning: {warning}")
    if found.question:
        click.echo(found.question)
