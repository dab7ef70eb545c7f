"""``rekur translate BUNDLE``: write a text for each line of standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rekur.cli import show, streams
from rekur.cli.options import BUNDLE, SEARCH, split_search, with_options
from rekur.cli.texts import arriving_lines, chunks
from rekur.errors import InputError, describe

#: lines that are searched together
_CHUNK = 256


@click.command("translate")
@with_options(BUNDLE, *SEARCH)
@click.option("--attention", is_flag=True, help="Also show on standard error what the model attends to.")
def command(bundle: Path, attention: bool, **values: Any) -> None:
    """Write a text for each line of standard input, such as its translation, as one line each.

    The lines that have arrived are searched together, and their texts are written at once, in order. A blank line gives
    a blank line. What was cut is told at the end.

    \b
    rekur translate runs/en-fr < new.en > new.fr
    echo "Two dogs run." | rekur translate runs/en-fr --beam 5 --attention
    """
    from rekur.cli.saved import set_search
    from rekur.data.example import warn
    from rekur.runtime import load

    model = load(bundle)
    if not model.engine.program.searches:
        fix = f"To use it: rekur {'generate' if model.target_.kind == 'next' else 'predict'} {bundle}"
        expected = f"a model that writes a text for a text (this one's task is {model.task})"
        raise InputError(describe("bundle", str(bundle), expected, fix))
    set_search(model, **split_search(values))
    tally = model.tally()
    if sys.stdin is not None and sys.stdin.isatty():
        click.echo("Type a text a line; Ctrl-D ends.", err=True)
    try:
        for lines in chunks(arriving_lines(), _CHUNK, arriving=True):
            steps, contexts = model.encode(lines)
            outputs = model.outputs_of_items(steps, contexts)
            tally.add(lines, steps, outputs)
            texts = [model.target_.decode(each) for each in outputs]
            written = [model.target_.formatted(text, None, "txt") for text in texts]
            if attention:
                _write_with_attention(model, lines, written)
            else:
                _write("".join(written))
    finally:
        if sentence := tally.sentence("standard input"):
            warn(sentence)


def _write(text: str) -> None:
    """Write whole lines; end the command if nobody reads them any more."""
    show.write(text)
    sys.stdout.flush()
    streams.check_reader()


def _write_with_attention(model: Any, lines: Sequence[str], written: Sequence[str]) -> None:
    grids = model.attention(lines, [text.removesuffix("\n") for text in written])
    for text, grid in zip(written, grids, strict=True):
        _write(text)
        if grid.columns and grid.rows:
            click.echo(show.shades(grid), err=True)
