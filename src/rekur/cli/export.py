"""``rekur export BUNDLE``: a saved model in a form that runs without Rekur."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from rekur.cli import show
from rekur.cli.options import BUNDLE, JSON, with_options


def to_onnx(bundle: Path, out: Path, *, overwrite: bool, as_json: bool, tolerance: float | None) -> None:
    """Write ONNX models with a manifest and runners."""
    from rekur.ship import export_onnx

    more = {} if tolerance is None else {"tolerance": tolerance}
    done = export_onnx(bundle, out, overwrite=overwrite, **more)
    if as_json:
        checked = {"difference": done.found.difference, "where": done.found.where, "tolerance": done.tolerance}
        show.as_json({"out": str(done.folder), "files": done.files, "causal": done.causal, "checked": checked})
        return
    about = {
        "sequence.onnx": "scores of whole sequences, padded, of any number and length",
        "step.onnx": "one step of each sequence, with its state in and out",
        "manifest.json": "features, labels, state, and what was checked",
        "run.py": "runs it with NumPy and onnxruntime alone",
        "run.mjs": "runs it with onnxruntime-node, or onnxruntime-web in a browser",
    }
    rows = [[name, f"{size:,}", about[name]] for name, size in done.files.items()]
    show.table(f"{done.folder}: ONNX", ("file", "bytes", "what it is"), rows)
    if not done.causal:
        click.echo("No step.onnx: this model reads from the end too, so it needs whole sequences.")
    click.echo(f"Largest difference to the model's own scores: {done.found.difference:.2g} in {done.found.where}.")


#: form -> what writes it
FORMS: Mapping[str, Callable[..., None]] = MappingProxyType({"onnx": to_onnx})


@click.command("export")
@with_options(BUNDLE)
@click.option("--to", "form", type=click.Choice(list(FORMS)), required=True, help="The form: ONNX models.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write into.")
@click.option("--overwrite", is_flag=True, help="Replace an export that stands there.")
@click.option("--tolerance", type=float, help="Largest difference to the model's scores that passes; by default 1e-5.")
@JSON
def command(bundle: Path, form: str, out: Path, **values: Any) -> None:
    """Write a saved model in a form that runs without Rekur, once it gives what the model gives.

    With --to onnx: a model of whole sequences, one of single steps with the state going in and out, a manifest, and
    runners in Python and JavaScript.

    \b
    rekur export runs/reviews --to onnx --out exports/reviews
    python exports/reviews/run.py "a fine film"
    """
    FORMS[form](bundle, out, **values)
