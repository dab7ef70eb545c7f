"""``rekur resume DIR``: continue a training that was stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from rekur import _check
from rekur.cli import training, unfinished
from rekur.cli.copies import kept_copies
from rekur.cli.options import JSON, with_options
from rekur.cli.request import check_names, open_files


@click.command("resume")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--accept-changed-data", is_flag=True, help="Go on although the files are not what they were.")
@click.option("--quiet", is_flag=True, help="Show no progress; warnings are still shown.")
@with_options(JSON)
def command(folder: Path, accept_changed_data: bool, quiet: bool, as_json: bool) -> int:
    """Go on with a training that was stopped, killed or cut off, from its newest checkpoint.

    The result is the one that the training would have had without the stop, bit for bit. DIR is the --out of
    `rekur fit`; files and options are those of then.

    \b
    rekur resume runs/books
    rekur resume runs/books --accept-changed-data
    """
    request = unfinished.read_request(folder)
    run = folder / unfinished.CHECKPOINTS / unfinished.RUN
    check_names(request, run)
    data = open_files(request)
    _check.need("torch", "train", "rekur resume")
    if accept_changed_data and request.chosen is not None:
        # what rules chose from the data of then must not be chosen anew from those of now
        chosen = {name: value for name, value in request.chosen.items() if name != "verbose"}
        request = dataclasses.replace(request, options={**request.options, **chosen})
    how = training.How(
        out=folder,
        overwrite=True,
        quiet=quiet,
        as_json=as_json,
        resume=True,
        accept_changed_data=accept_changed_data,
    )
    with kept_copies(request, folder) as copied:
        return training.run(copied, how, data)
