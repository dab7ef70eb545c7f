"""``rekur export BUNDLE``: a saved model in a form that runs without Rekur."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from rekur.cli.export_c import to_c
from rekur.cli.export_onnx import to_onnx
from rekur.cli.options import BUNDLE, DOCUMENT, INPUT, JSON, NUMBER, WHOLE, split_input, with_options
from rekur.errors import InputError, describe

#: form -> what writes it
FORMS: Mapping[str, Callable[..., None]] = MappingProxyType({"onnx": to_onnx, "c": to_c})
#: options that only C has
_ONLY_C = ("name", "activations", "flash", "data")


@click.command("export")
@with_options(BUNDLE)
@click.option("--to", "form", type=click.Choice(list(FORMS)), required=True, help="ONNX models, or C99.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write into.")
@click.option("--overwrite", is_flag=True, help="Replace an export that stands there.")
@click.option(
    "--tolerance",
    type=NUMBER,
    help="Largest difference to the model that passes; by default 1e-5, in C where weights are rounded 0.25.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "int8", "bfloat16"]),
    help="Of the weights; by default as in BUNDLE. C: no bfloat16.",
)
@click.option("--name", metavar="NAME", help="C: what functions and files are called; by default as the bundle.")
@click.option(
    "--activations",
    type=click.Choice(["exact", "table", "fixed"]),
    help="C: tanh and sigmoid, by default exact; fixed: no floating point at all, needs int8.",
)
@click.option("--flash", type=WHOLE, metavar="BYTES", help="C: the most bytes that code and weights may take.")
@click.option("--data", multiple=True, metavar="FILE", help="C: hold it against the model on this too.")
@with_options(*INPUT, DOCUMENT)
@JSON
def command(bundle: Path, form: str, out: Path, document: str | None, **values: Any) -> None:
    """Write a saved model in a form that runs without Rekur, once it gives what the model gives.

    With --to onnx: a model of whole sequences, one of single steps with the state going in and out, a manifest, and
    runners in Python and JavaScript. With --to c: a header, a source, a main.c that reads lines, a Makefile and a
    README with the sizes. Columns of --data are those of training, unless others are named.

    \b
    rekur export runs/reviews --to onnx --out exports/reviews
    python exports/reviews/run.py "a fine film"
    rekur export runs/reviews --to onnx --precision int8 --out exports/small
    rekur export runs/reviews --to c --out firmware/reviews
    rekur export runs/wear --to c --out firmware/wear --precision int8 --flash 65536
    rekur export runs/wear --to c --out firmware/m0 --precision int8 --activations fixed
    """
    columns, reading = split_input(values)
    if not values["data"] and (columns or reading or document is not None):
        raise InputError("--data: got none; expected a file, as it was said how to read it. Name the file.")
    if form == "c":
        values["reading"] = (columns, reading, {"document": document})
    else:
        for name in _ONLY_C:
            if (value := values.pop(name)) not in (None, False, ()):
                value = " ".join(value) if isinstance(value, tuple) else value
                expected, fix = "none with --to onnx", "Leave it out, or export --to c."
                raise InputError(describe(f"--{name.replace('_', '-')}", value, expected, fix))
    FORMS[form](bundle, out=out, **values)
