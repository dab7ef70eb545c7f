"""``rekur check BUNDLE``: proofs on the user's model and data that it runs as it should."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import show
from rekur.cli.options import ANY_INPUT, BUNDLE, DOCUMENT, JSON, NUMBER, WHOLE, split_input, with_options
from rekur.errors import InputError


@click.command("check")
@with_options(BUNDLE)
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option("--tolerance", type=NUMBER, help="The largest difference that is allowed, below 1; by default 1e-5.")
@click.option("--items", type=WHOLE, default=32, show_default=True, help="Items, or pieces of a text, to look at.")
@with_options(*ANY_INPUT, DOCUMENT)
@JSON
def command(
    bundle: Path,
    files: tuple[str, ...],
    tolerance: float | None,
    items: int,
    document: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Prove on a saved model, and on your data, that it runs as it should; the exit code is 1 where a proof fails.

    Padding, batch mates and their order change nothing; chunks, single steps and raw events pushed live give what the
    whole gives; the bundle reads back to the same bits; the engine gives what PyTorch gives, where that is installed;
    rounding to int8 is what it should be; ONNX Runtime and compiled C give what the engine gives, where they are
    there, from the weights as the bundle keeps them. Without a file sequences are drawn at random. A difference is
    absolute, where scores are above 1 a share of the largest; what is read back must be the same bits.

    \b
    rekur check runs/reviews
    rekur check runs/reviews test.csv --json
    rekur check runs/shakespeare test.txt
    rekur check runs/en-fr test.en test.fr
    """
    from rekur.check import CHECKS, check_bundle, subject_of
    from rekur.cli.saved import data_for
    from rekur.runtime import model_of, read_bundle

    _check.whole("--items", items, low=1)
    if tolerance is not None:
        _check.tolerance("--tolerance", tolerance)
    columns, reading = split_input(values)
    model, data = read_bundle(bundle), None
    saved = model_of(model)
    if files:
        given = {"document": document}
        data, _ = data_for(saved, files, columns, reading, given, need_label=False)
    elif columns or reading or document:
        raise InputError("FILE: got none; expected one, as it was said how to read it. Name the file.")
    subject = subject_of(model, data, items, load_trained=lambda folder: import_module("rekur.tasks").load(folder))
    checks = [replace(one, tolerance=tolerance) if tolerance and one.tolerance else one for one in CHECKS]
    found = list(check_bundle(subject, checks))
    failed = [finding.name for finding in found if finding.holds is False]
    if as_json:
        proofs = [finding.to_dict() for finding in found]
        show.as_json(
            {"bundle": str(bundle), "sequences": len(subject.sequences), "holds": not failed, "checks": proofs}
        )
    else:
        show.table(f"{bundle} on {len(subject.sequences)} sequences", *_rows(found))
        click.echo(f"{len(failed)} of these do not hold: {', '.join(failed)}." if failed else "All of these hold.")
    click.get_current_context().exit(1 if failed else 0)


def _rows(found: list[Any]) -> show.Rows:
    words = {True: "holds", False: "FAILS", None: "–"}
    rows: list[list[Any]] = []
    for finding in found:
        apart = "" if finding.difference is None else f"{finding.difference:.1e}"
        rows.append([finding.name, words[finding.holds], apart, f"{finding.tolerance:.0e}", finding.where])
    return ["proof", "", "largest difference", "allowed", "where"], rows
