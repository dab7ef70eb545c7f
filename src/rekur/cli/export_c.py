"""``rekur export BUNDLE --to c``: the part of the command that writes C."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from rekur.cli import show
from rekur.errors import InputError

#: items of a file that an export is held against the model on
ITEMS = 200


def to_c(bundle: Path, *, out: Path, data: Path | None, no_libm: bool, as_json: bool, **options: Any) -> None:
    """Write a bundle as C99, and say how large it is and how far it is from the model.

    Args:
        bundle: the saved model.
        out: where to write.
        data: a file of items to hold it against the model on.
        no_libm: do without ``math.h``.
        as_json: print what ``manifest.json`` says.
        options: as :func:`rekur.ship.c.export_c` takes them; None for the usual.
    """
    from rekur.runtime import read_bundle
    from rekur.ship.c import export_c

    saved = read_bundle(bundle)
    given = {name: value for name, value in options.items() if value is not None}
    items = list(islice(_items(saved, data), ITEMS)) if data is not None else []
    written = export_c(saved, out, libm=not no_libm, items=items, **given)
    if as_json:
        show.as_json({"export": str(out), **written.report})
        return
    report = written.report
    click.echo(f"Written to {out}: {', '.join(written.files)}.")
    code = report["code_bytes"]
    flash = f"{report['constant_bytes']:,} bytes of constants"
    flash += f" and {code:,} of code ({report['code_measured_with']})" if code else "; the code was not measured"
    click.echo(f"Flash: {flash}.")
    buffers = f"{report['buffer_bytes']:,} of buffer, {report['output_bytes']:,} of output"
    click.echo(f"RAM: {report['state_bytes']:,} bytes of state for each stream, {buffers}.")
    click.echo(f"Multiply-adds: {report['multiply_adds_step']:,} a step, {report['multiply_adds_read']:,} a reading.")
    if report["raw_input"] != "yes":
        click.echo(f"Raw input is not read: {report['raw_input']}. It takes the steps themselves.")
    if report["difference"] is None:
        click.echo("No C compiler was found (cc, gcc, clang or $CC): the code is written, and was not run.", err=True)
        return
    click.echo(f"Largest difference from the model, {report['sequences']} sequences: {report['difference']:.2g}.")
    if report["changed_answers"] is not None:
        told = f"{report['changed_answers']} of {report['sequences']} sequences"
        click.echo(f"Fixed point changes the answer of {told}, which the model with int8 weights gives.")
    if report["difference_of_rounding"] is not None:
        click.echo(f"Rounding changes the outputs by {report['difference_of_rounding']:.2g} at most.")


def _items(saved: Any, file: Path) -> Iterator[Any]:
    """Yield the items of a file, read as at training."""
    from rekur.data import Columns, examples, open_source, open_texts

    if saved.task == "language":
        text = "".join(piece for _, piece in open_texts([file]).pieces())
        yield from (line for line in text.splitlines() if line.strip())
        return
    columns = dict(saved.config.get("columns", {}).get("columns", {}))
    columns.pop("label", None)
    if not columns:
        fix = "Train with `rekur fit`, which remembers the columns, or give items to rekur.ship.c.export_c."
        raise InputError(f"--data: got a file; expected a bundle that knows the columns of its items. {fix}")
    for example in examples(open_source(file), Columns(**columns), empty="keep"):
        if len(example.item):
            yield example.item
