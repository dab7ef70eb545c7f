"""``rekur fit TASK FILE``: train a model from files."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import click

from rekur import _check
from rekur.cli import training
from rekur.cli.copies import kept_copies
from rekur.cli.fit_options import (
    FILES_OF,
    OUTPUT,
    START_FROM,
    CatalogGroup,
    TaskCommand,
    make_request,
    sentences,
    take_files,
    task_command,
)
from rekur.tasks.catalog import Row


def _command(row: Row) -> TaskCommand:
    text = sentences(f"{row.help}{' (preview)' if row.preview else ''}", row.options_class().fit_help)
    return task_command(row, _fit, text, data=[FILES_OF[row.reads].valid], training=[START_FROM], output=OUTPUT)


@click.group("fit", cls=CatalogGroup, make=_command, summary=attrgetter("help"), subcommand_metavar="TASK ...")
def command() -> None:
    """Train a model from files of sequences or of text.

    \b
    rekur fit classify reviews.csv --text review --label stars --out runs/reviews
    rekur fit regress sensors.csv --series temp --series load --group unit --time at --label wear --out runs/wear
    rekur fit language books/*.txt --tokens char --time-limit 20m --out runs/books
    """


def _fit(row: Row, values: dict[str, Any]) -> int:
    """Check everything that can be checked, and train."""
    how, kept = training.take_how(values)
    files, valid = take_files(row, values)
    request = make_request(row, files, valid, values, **kept)
    data = training.check_start(request, how)
    _check.need("torch", "train", "rekur fit")
    if row.preview:
        click.echo(f"rekur: {row.name} is a preview: later versions may refuse the models that it saves.", err=True)
    with kept_copies(request, how.out) as copied:
        return training.run(copied, how, data)
