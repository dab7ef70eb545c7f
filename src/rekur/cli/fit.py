"""``rekur fit TASK FILE``: train a model from files."""

from __future__ import annotations

import click

from rekur.cli import fit_language, fit_sequences
from rekur.cli.options import Tasks


@click.group("fit", cls=Tasks, subcommand_metavar="TASK ...")
def command() -> None:
    """Train a model from files of sequences or of text.

    \b
    rekur fit classify reviews.csv --text review --label stars --out runs/reviews
    rekur fit regress sensors.csv --series temp --series load --group unit --time at --label wear --out runs/wear
    rekur fit language books/*.txt --tokens char --time-limit 20m --out runs/books
    """


command.add_command(fit_sequences.classify)
command.add_command(fit_sequences.regress)
command.add_command(fit_language.language)
