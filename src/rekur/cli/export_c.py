"""``rekur export BUNDLE --to c``: the part of the command that writes C."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from rekur.cli import show
from rekur.errors import InputError, describe

#: items of files that an export is held against the model on
ITEMS = 200


def to_c(
    bundle: Path,
    *,
    out: Path,
    data: Sequence[str],
    reading: tuple[Any, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Write a bundle as C99, and say how large it is and how far it is from the model.

    Args:
        bundle: the saved model.
        out: where to write.
        data: files of items to hold it against the model on.
        reading: how to read them: columns, ways of reading and options of texts, each name -> value.
        as_json: print what ``manifest.json`` says.
        options: as :func:`rekur.export.c.export_c` takes them; None for the usual.
    """
    from rekur.export.c import export_c
    from rekur.runtime import read_bundle

    saved = read_bundle(bundle)
    options = {name: value for name, value in options.items() if value is not None}
    items, which = _items(saved, data, reading) if data else ([], "")
    written = export_c(saved, out, items=items, **options)
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
    sequences = f"{report['sequences']} sequences, among them {which}" if which else f"{report['sequences']} sequences"
    click.echo(f"Largest difference from the model, {sequences}: {report['difference']:.2g}.")
    if report["changed_answers"] is not None:
        told = f"{report['changed_answers']} of {report['sequences']} answers"
        click.echo(f"Fixed point changes {told} of the model with int8 weights.")
    if report["difference_of_rounding"] is not None:
        click.echo(f"Rounding changes the outputs by {report['difference_of_rounding']:.2g} at most.")


def _items(bundle: Any, files: Sequence[str], reading: tuple[Any, ...]) -> tuple[list[Any], str]:
    """Return the first items of files, read as at training, and what to say of them."""
    from rekur.cli.saved import data_for
    from rekur.runtime import model_of

    task: Any = model_of(bundle)
    data, name = data_for(task, files, *reading, option="--data", need_label=False)
    is_text = task.target_.kind == "next"
    if is_text:
        lines = (line for _, piece in data.pieces() for line in piece.splitlines() if line.strip())
        items = list(islice(lines, ITEMS + 1))
    else:
        items = list(islice(_read(data, task.features_), ITEMS + 1))
    if not items:
        raise InputError(describe(f"items of {name}", "none", "one or more that are not empty"))
    kind = "lines" if is_text else "items"
    if len(items) > ITEMS:
        return items[:ITEMS], f"the first {ITEMS:,} {kind} of {name}, which has more"
    return items, f"all {len(items):,} {kind} of {name}"


def _read(corpus: Any, features: Any) -> Iterator[Any]:
    """Yield the items of a corpus that are not empty; one that the model cannot read is named by its line."""
    for item in corpus.items():
        with corpus.naming_the_place():
            features.transform(item)
        if len(item):
            yield item
