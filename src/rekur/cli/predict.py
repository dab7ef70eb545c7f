"""``rekur predict BUNDLE FILE``: give every item of a file its prediction."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rekur.cli import show, streams
from rekur.cli.forecast_plot import PLOT, ForecastPlot
from rekur.cli.options import (
    ANY_INPUT,
    BUNDLE,
    INPUT_FILE,
    JSON,
    SEARCH,
    WHOLE,
    split_input,
    split_search,
    with_options,
)
from rekur.cli.texts import chunks, warn_of_files
from rekur.errors import InputError, describe, did_you_mean

if TYPE_CHECKING:
    from rekur.targets import Target

#: items that are read, predicted and written together
CHUNK = 1024
#: rows of a long table that wait in memory; more wait on disk
ROW_LIMIT = 100_000


@click.command("predict")
@with_options(BUNDLE)
@click.argument("file", type=INPUT_FILE, required=False)
@with_options(*ANY_INPUT)
@click.option("--item", "items", multiple=True, metavar="TEXT", help="Predict this text; may be repeated.")
@click.option(
    "--output-format",
    metavar="NAME",
    help="csv (by default), jsonl (as --json); of words also conll, and where tags mark spans also spans.",
)
@with_options(*SEARCH)
@click.option("--n-best", type=WHOLE, metavar="N", help="Best texts of a search that are written; by default 1.")
@click.option("--attention", is_flag=True, help="Also write what a model attends to when it writes a text, as JSON.")
@with_options(*PLOT)
@JSON
def command(
    bundle: Path,
    file: Path | None,
    items: tuple[str, ...],
    output_format: str | None,
    n_best: int | None,
    attention: bool,
    plot: Path | None,
    plot_series: tuple[str, ...],
    as_json: bool,
    **values: Any,
) -> None:
    """Write one row an item: its prediction and how probable it is, as CSV, or as JSON lines with --json.

    Of a model that tags each word or row, CSV has a row for each of them. Of running text the format spans has one row.

    A forecaster needs no FILE; rows that follow its training series may stand in one alone.

    A pipe, or - for standard input, is read as it comes: rows are written while it goes on.

    \b
    rekur predict runs/reviews new.csv > predictions.csv
    rekur predict runs/reviews --item "a fine film"
    rekur predict runs/reviews new.csv --json | head
    rekur predict runs/en-fr new.en --beam 5 --n-best 5 --json
    rekur predict runs/sales new-days.csv --json
    zcat new.csv.gz | rekur predict runs/reviews - --format csv
    rekur predict runs/entities new.conll --output-format conll > tagged.conll
    rekur predict runs/load --json --plot load.png
    """
    if file is not None and items:
        raise _one_of("both")
    searching = split_search(values)
    columns, reading = split_input(values)
    if items and (names := [*columns, *reading]):
        option = f"--{names[0].replace('_', '-')}"
        raise InputError(f"{option}: got it with --item; expected FILE, which it is about. Leave one of them out.")
    from rekur.cli.saved import refuse_language, set_search
    from rekur.runtime import load

    task: Any = load(bundle)
    refuse_language(task, bundle, "predict")
    set_search(task, n_best=n_best, **searching)
    output_format = _output_format(output_format, task.target_.output_formats, as_json)
    if attention and not (task.engine.program.searches and output_format == "jsonl"):
        raise InputError("--attention: got it; expected a model that writes a text for a text, and JSON lines.")
    drawing = _drawing(task, plot, plot_series, file)
    if file is None:
        stream, source, arriving = _without_file(task, bundle, items, [*columns, *reading])
    else:
        stream, source, arriving = _items_of(task, file, columns, reading, whole=output_format == "spans")
    rows = _rows(
        task, chunks(stream, CHUNK, arriving=arriving), source, output_format, attention=attention, drawing=drawing
    )
    _write(rows, task.target_, output_format)
    if drawing is not None:
        drawing.write()


def _write(rows: Rows, target: Target, output_format: str) -> None:
    """Write the rows to standard output."""
    if output_format == "csv":
        show.as_csv(_cells(rows, target))
        return
    for name, prediction, _ in rows:
        if output_format == "jsonl":
            show.as_json_line({target.item_name: name, **prediction})
        else:
            show.write(prediction)
            streams.check_reader()


def _drawing(task: Any, plot: Path | None, names: Sequence[str], file: Path | None) -> ForecastPlot | None:
    """Return what draws forecasts; None where no plot is asked for."""
    if plot is None:
        if names:
            raise InputError(describe("--plot-series", names[0], "none without --plot", "Add --plot FILE."))
        return None
    return ForecastPlot(task, plot, names, [] if file is None else [file])


def _one_of(got: str) -> click.UsageError:
    return click.UsageError(f"FILE and --item: got {got}; expected one of them.", click.get_current_context())


def _without_file(
    task: Any, bundle: Path, items: Sequence[str], named: Sequence[str]
) -> tuple[Iterator[tuple[Any, Any, Any]], str, bool]:
    """Return what :func:`_items_of` does, of texts of the command line, or of the items that the bundle keeps."""
    from rekur.cli.saved import reads_tables

    if not items:
        ends = task.kept_items()
        if ends is None and reads_tables(task):
            expected = "a file with the last values of each series, as the bundle keeps none"
            raise InputError(f"FILE: got none; expected {expected}. A fit without --no-history keeps them.")
        if ends is None:
            raise _one_of("neither")
        if named:
            option = f"--{named[0].replace('_', '-')}"
            raise InputError(f"{option}: got it without FILE; expected FILE, which it is about. Leave one of them out.")
        return _named(task.parts_to_predict(ends)), str(bundle), False
    if not task.features_.of_texts().reads_texts:
        expected = f"none for a model that reads {task.features_.kind}"
        raise InputError(describe("--item", items[0], expected, "Put the items into a file."))
    warn_of_files("--item", items, f"To predict what is in it: rekur predict {bundle} {{}}")
    task.features_ = task.features_.of_texts()
    return iter([(text, text, None) for text in items]), "--item", False


def _named(corpus: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Return the name, the item and the lines of each example."""
    return ((e.id if e.id is not None else n, e.item, e.lines) for n, e in enumerate(corpus, start=1))


def _output_format(name: str | None, formats: Sequence[str], as_json: bool) -> str:
    """Return the format to write."""
    if name is not None and name not in formats:
        fix = did_you_mean(name, formats) or "Other formats are for models of other data."
        raise InputError(describe("--output-format", name, f"one of {', '.join(formats)}", fix))
    if as_json and name not in (None, "jsonl"):
        raise InputError(describe("--output-format", name, "jsonl, which --json asks for", "Leave out one of them."))
    return "jsonl" if as_json else name or formats[0]


def _items_of(
    task: Any, file: Path, columns: dict[str, Any], reading: dict[str, Any], *, whole: bool
) -> tuple[Iterator[tuple[Any, Any, Any]], str, bool]:
    """Return the name, the item and the lines of each item of a file, their name in messages, and if they arrive."""
    from rekur.cli.saved import RUNNING_TEXT, corpus_for, pairs_for, reads_pairs, reads_tables, series_for
    from rekur.data.inputs import is_stream

    if reads_pairs(task):
        corpus = pairs_for(task, [file], columns, reading, use="prediction", once=True)
    elif reads_tables(task):
        corpus = task.parts_to_predict(series_for(task, file, columns, reading, use="prediction"))
    else:
        corpus = corpus_for(task, file, columns, reading, need_label=False, once=True, whole=whole)
    if corpus.kind == RUNNING_TEXT:
        task.features_ = task.features_.of_texts()
    return _named(corpus), f"{corpus.name}, item", is_stream(file)


#: the name of an item, its prediction as plain JSON or as text, and where its steps stand in a long table
Rows = Iterator[tuple[Any, Any, Any]]


def _rows(
    task: Any,
    stream: Iterator[list[tuple[Any, Any, Any]]],
    source: str,
    output_format: str,
    *,
    attention: bool,
    drawing: ForecastPlot | None,
) -> Rows:
    from rekur.data.example import warn

    tally = task.tally()
    for chunk in stream:
        names, items, lines = zip(*chunk, strict=True)
        try:
            steps, contexts = task.encode(list(items))
            outputs = task.outputs_of_items(steps, contexts)
            if drawing is not None:
                drawing.add(names, outputs, contexts)
            if output_format in ("csv", "jsonl"):
                presented = map(as_row, task.present_outputs(outputs, contexts))
                predictions = _with_attention(task, items, list(presented)) if attention else presented
            else:
                predictions = task.formatted_outputs(outputs, contexts, output_format, items)
        except InputError as error:
            raise InputError(f"{source} {_first_refused(task, chunk)}: {error}") from error
        tally.add(items, steps, outputs)
        for name, line in zip(names, lines, strict=True):
            try:
                yield name, next(predictions), line
            except InputError as error:
                raise InputError(f"{source} {name}: {error}") from error
        sys.stdout.flush()
    if told := tally.sentence(source.removesuffix(", item")):
        warn(told)


def _with_attention(task: Any, sources: Sequence[str], rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of texts with what the model attended to."""
    for row, grid in zip(rows, task.attention(sources, [row["prediction"] for row in rows]), strict=True):
        shares = grid.shares.astype(float).round(4).tolist()
        yield {**row, "attention": {"source": grid.columns, "text": grid.rows, "shares": shares}}


def _first_refused(task: Any, chunk: list[tuple[Any, Any, Any]]) -> Any:
    """Return the name of the first item that the features cannot read."""
    for name, item, _ in chunk:
        try:
            task.features_.transform(item)
        except InputError:
            return name
    return chunk[0][0]


def as_row(prediction: Any) -> dict[str, Any]:
    """Return a prediction as plain JSON."""
    if isinstance(prediction, dict):
        return prediction
    return prediction._asdict() if hasattr(prediction, "_asdict") else {"value": prediction}


def _cells(rows: Rows, target: Target) -> Iterator[list[Any]]:
    """Yield the rows of a CSV: first the names of the columns, then one or more for each item.

    Rows of a long table are held back, many of them on disk, and come in the order of the table.
    """
    from rekur.data.groups import Groups

    head, prediction = list[str](), None
    waiting = Groups(ROW_LIMIT)
    try:
        for item, prediction, lines in rows:
            for step, row in enumerate(target.table(prediction)):
                if not head:
                    head = [target.item_name, *row]
                    yield head
                cells = [show.csv_cell(name, value) for name, value in {"item": item, **row}.items()]
                if lines is None:
                    yield cells
                else:
                    line = int(lines[step])
                    waiting.add(line, 0, line, json.dumps(cells).encode())
        if not head and prediction is not None:
            yield [target.item_name, *target.columns(prediction)]
        for _, payloads in waiting:
            yield from map(json.loads, payloads)
    finally:
        waiting.close()
