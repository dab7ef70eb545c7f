"""``rekur export BUNDLE --to onnx``: the part of the command that writes ONNX models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur.cli import show


def to_onnx(bundle: Path, out: Path, *, as_json: bool, **options: Any) -> None:
    """Write ONNX models with a manifest and runners.

    Args:
        bundle: the saved model.
        out: where to write.
        as_json: print what was written as JSON.
        options: as :func:`rekur.export.export_onnx` takes them; None for the usual.
    """
    from rekur.export import export_onnx
    from rekur.runtime import read_bundle

    saved = read_bundle(bundle)
    done = export_onnx(saved, out, **{name: value for name, value in options.items() if value is not None})
    if as_json:
        checked = {"difference": done.found.difference, "where": done.found.where, "tolerance": done.tolerance}
        told = {"out": str(done.folder), "files": done.files, "causal": done.causal, "checked": checked}
        show.as_json({**told, "precision": done.precision})
        return
    about = {
        "sequence.onnx": "scores of whole sequences, padded, of any number and length",
        "step.onnx": "one step of each sequence, with its state in and out",
        "manifest.json": "features, labels, state, and what was checked",
        "run.py": "runs it with NumPy and onnxruntime alone",
        "run.mjs": "runs it with onnxruntime-node, or onnxruntime-web in a browser",
    }
    rows = [[name, f"{size:,}", about[name]] for name, size in done.files.items()]
    show.table(f"{done.folder}: ONNX, weights in {done.precision}", ("file", "bytes", "what it is"), rows)
    if not done.causal:
        click.echo("No step.onnx: this model reads from the end too, so it needs whole sequences.")
    if done.precision not in (saved.quantised, "float32"):
        click.echo(f"Its weights were rounded to {done.precision}; rekur quantize shows what that loses on your data.")
    click.echo(f"Largest difference to the model's own scores: {done.found.difference:.2g} in {done.found.where}.")
