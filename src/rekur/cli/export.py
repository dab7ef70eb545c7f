"""``rekur export BUNDLE``: a saved model in a form that runs without Rekur."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from rekur.cli import show
from rekur.cli.options import ANY_INPUT, BUNDLE, DOCUMENT, JSON, NUMBER, WHOLE, split_input, with_options
from rekur.errors import InputError, describe


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
        "encode.onnx": "one segment of the past of each window, with its state in and out"
        if "ahead.onnx" in done.files
        else "what texts read of their sources, padded, of any number and length",
        "decode.onnx": "one step of each text, with its state in and out: the log-probabilities of its next token",
        "ahead.onnx": "one segment of the horizon of each window, behind the states of its past",
        "windows.jsonl": "windows of series that the bundle keeps, to try it with",
        "manifest.json": "features, labels, state, and what was checked",
        "run.py": "runs it with NumPy and onnxruntime alone",
        "run.mjs": "runs it with onnxruntime-node, or onnxruntime-web in a browser",
    }
    rows = [[name, f"{size:,}", about[name]] for name, size in done.files.items()]
    show.table(f"{done.folder}: ONNX, weights in {done.precision}", ("file", "bytes", "what it is"), rows)
    if "sequence.onnx" in done.files and "step.onnx" not in done.files:
        why = "reads from the end too, so it needs whole sequences"
        click.echo(f"No step.onnx: this model {'joins steps in windows' if done.causal else why}.")
    if done.precision not in (saved.quantised, "float32"):
        click.echo(f"Its weights were rounded to {done.precision}; rekur quantize shows what that loses on your data.")
    click.echo(f"Largest difference to the model's own scores: {done.found.difference:.2g} in {done.found.where}.")


#: items of files that an export is held against the model on
ITEMS = 200


def to_c(
    bundle: Path, out: Path, *, data: Sequence[str], reading: tuple[Any, ...], as_json: bool, **options: Any
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
    lines = (line for _, piece in data.pieces() for line in piece.splitlines() if line.strip()) if is_text else ()
    items = list(islice(lines if is_text else _read(task.parts_to_predict(data), task.features_), ITEMS + 1))
    if not items:
        raise InputError(describe(f"items of {name}", "none", "one or more that are not empty"))
    kind = "lines" if is_text else "series" if task.features_.cuts_items else "items"
    if len(items) > ITEMS:
        return items[:ITEMS], f"the first {ITEMS:,} {kind} of {name}, which has more"
    return items, f"all {len(items):,} {kind} of {name}"


def _read(corpus: Any, features: Any) -> Iterator[Any]:
    """Yield the items of a corpus that are not empty; one that the model cannot read is named by its line."""
    for item in corpus.items():
        with corpus.naming_the_place():
            features.transform(item)
        if features.cuts_items or len(item):
            yield item


#: options that only C has
_ONLY_C = ("name", "activations", "flash", "data")


@click.command("export")
@with_options(BUNDLE)
@click.option("--to", "form", type=click.Choice(["onnx", "c"]), required=True, help="ONNX models, or C99.")
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
@click.option(
    "--members",
    type=WHOLE,
    metavar="N",
    help="Networks to write, of a model that averages the answers of several; by default all.",
)
@click.option("--name", metavar="NAME", help="C: what functions and files are called; by default as the bundle.")
@click.option(
    "--activations",
    type=click.Choice(["exact", "table", "fixed"]),
    help="C: tanh and sigmoid, by default exact; fixed: no floating point at all, needs int8.",
)
@click.option("--flash", type=WHOLE, metavar="BYTES", help="C: the most bytes that code and weights may take.")
@click.option("--data", multiple=True, metavar="FILE", help="C: hold it against the model on this too.")
@with_options(*ANY_INPUT, DOCUMENT)
@JSON
def command(bundle: Path, form: str, out: Path, document: str | None, **values: Any) -> None:
    """Write a saved model in a form that runs without Rekur, once it gives what the model gives.

    With --to onnx: a model of whole sequences, one of single steps with the state going in and out, a manifest, and
    runners in Python and JavaScript. A model that writes texts becomes one that reads sources and one of a step of
    texts, and its runner, in Python, searches. With --to c: a header, a source, a main.c that reads lines, a Makefile
    and a README with the sizes; a forecaster takes one value after another, and gives the next horizon. Columns of
    --data are those of training, unless others are named.

    \b
    rekur export runs/reviews --to onnx --out exports/reviews
    python exports/reviews/run.py "a fine film"
    rekur export runs/reviews --to onnx --precision int8 --out exports/small
    rekur export runs/en-fr --to onnx --out exports/en-fr
    rekur export runs/reviews --to c --out firmware/reviews
    rekur export runs/wear --to c --out firmware/wear --precision int8 --flash 65536
    rekur export runs/wear --to c --out firmware/m0 --precision int8 --activations fixed
    rekur export runs/load --to c --out firmware/load --data later.csv
    """
    columns, reading = split_input(values)
    if not values["data"] and (columns or reading or document is not None):
        raise InputError("--data: got none; expected a file, as it was said how to read it. Name the file.")
    if form == "c":
        to_c(bundle, out, reading=(columns, reading, {"document": document}), **values)
        return
    for name in _ONLY_C:
        if (value := values.pop(name)) not in (None, ()):
            value = " ".join(value) if isinstance(value, tuple) else value
            raise InputError(describe(f"--{name}", value, "none with --to onnx", "Leave it out, or export --to c."))
    to_onnx(bundle, out, **values)
