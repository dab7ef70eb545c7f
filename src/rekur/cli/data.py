"""``rekur data FILE``: describe a file before training on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur.cli import show
from rekur.cli.options import FILE, INPUT, JSON, split_input, with_options


@click.command("data")
@with_options(FILE, *INPUT, JSON)
def command(file: Path, as_json: bool, **values: Any) -> None:
    """Show columns, lengths and classes, and what training would do with them.

    \b
    rekur data reviews.csv
    rekur data reviews.csv --text review --label stars
    rekur data log.csv --series hr --series temp --group patient --time at --label ill
    """
    from rekur.data import Columns, describe, open_source

    column_names, reading = split_input(values)
    source = open_source(file, **reading)
    description = describe(source, Columns(**column_names) if column_names else None)
    if as_json:
        show.as_json(description.to_dict())
        return
    for title, head, rows in description.tables():
        show.table(title, head, rows)
    for warning in description.warnings:
        click.echo(f"warning: {warning}")
