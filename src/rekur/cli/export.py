"""``rekur export BUNDLE --to c``: a saved model as code or a graph that runs without Rekur."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rekur.cli.export_c import to_c
from rekur.cli.options import BUNDLE, JSON, with_options

#: what a model can be exported to, and what does it
WAYS: dict[str, Callable[..., None]] = {"c": to_c}


@click.command("export")
@with_options(BUNDLE)
@click.option("--to", "way", type=click.Choice(list(WAYS)), required=True, help="What to write: c for C99.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where to write it.")
@click.option("--name", metavar="NAME", help="What functions and files are called; by default as the bundle.")
@click.option("--precision", type=click.Choice(["float32", "int8"]), help="Of the weights; by default float32.")
@click.option("--no-libm", is_flag=True, help="Do without math.h.")
@click.option("--activations", type=click.Choice(["exact", "table"]), help="tanh and sigmoid; by default exact.")
@click.option("--flash", type=int, metavar="BYTES", help="The most bytes that code and weights may take.")
@click.option("--tolerance", type=float, help="The largest difference from the model that is let pass.")
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="Also hold it against the model on this.")
@click.option("--overwrite", is_flag=True, help="Replace the export that stands there.")
@JSON
def command(bundle: Path, way: str, as_json: bool, **options: Any) -> None:
    """Write a saved model as code that runs without Rekur and without Python.

    For C: a header, a source, a main.c that reads lines, a Makefile and a README with the sizes. What is written is
    run against the model first, and is not kept where the two differ.

    \b
    rekur export runs/reviews --to c --out firmware/reviews
    rekur export runs/wear --to c --out firmware/wear --precision int8 --no-libm --flash 65536
    """
    WAYS[way](bundle, as_json=as_json, **options)
