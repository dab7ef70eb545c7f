"""``rekur export BUNDLE --to onnx``: the part of the command that writes ONNX models."""

from __future__ import annotations

from pathlib import Path

import click

from rekur.cli import show


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
