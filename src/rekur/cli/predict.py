"""``rekur predict BUNDLE FILE``: give every item of a file its prediction."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from rekur.cli import show
from rekur.cli.arriving import chunks
from rekur.cli.options import BUNDLE, INPUT, INPUT_FILE, JSON, split_input, with_options
from rekur.cli.texts import warn_of_files
from rekur.errors import InputError, describe

#: items that are read, predicted and written together
CHUNK = 1024


@click.command("predict")
@with_options(BUNDLE)
@click.argument("file", type=INPUT_FILE, required=False)
@with_options(*INPUT)
@click.option("--item", "items", multiple=True, metavar="TEXT", help="Predict this text; may be repeated.")
@JSON
def command(bundle: Path, file: Path | None, items: tuple[str, ...], as_json: bool, **values: Any) -> None:
    """Write one row an item: its prediction and how probable it is, as CSV, or as JSON lines with --json.

    A pipe, or - for standard input, is read as it comes: rows are written while it goes on.

    \b
    rekur predict runs/reviews new.csv > predictions.csv
    rekur predict runs/reviews --item "a fine film"
    rekur predict runs/reviews new.csv --json | head
    zcat new.csv.gz | rekur predict runs/reviews - --format csv
    """
    if (file is None) == (not items):
        got = "neither" if file is None else "both"
        raise click.UsageError(f"FILE and --item: got {got}; expected one of them.", click.get_current_context())
    columns, reading = split_input(values)
    if items and (names := [*columns, *reading]):
        option = f"--{names[0].replace('_', '-')}"
        raise InputError(f"{option}: got it with --item; expected FILE, which it is about. Leave one of them out.")
    from rekur.cli.language import refuse_language
    from rekur.runtime import load

    task: Any = load(bundle)
    refuse_language(task, bundle, "predict")
    if items and task.features_.kind == "series":
        raise InputError(
            describe("--item", items[0], "none for a model that reads series", "Put the items into a file.")
        )
    stream: Iterable[tuple[Any, Any, Any]] = [(text, text, None) for text in items]
    source, arriving = "--item", False
    if file is None:
        warn_of_files("--item", items, f"To predict what is in it: rekur predict {bundle} {{}}")
    else:
        from rekur.cli.saved import corpus_for
        from rekur.data.inputs import is_stream

        corpus = corpus_for(task, file, columns, reading, need_label=False, once=True)
        stream = ((e.id if e.id is not None else n, e.item, e.lines) for n, e in enumerate(corpus, start=1))
        source, arriving = f"{corpus.name}, item", is_stream(file)
    rows = _rows(task, chunks(iter(stream), CHUNK, arriving=arriving), source)
    if as_json:
        for row, _ in rows:
            show.as_json_line(row)
        return
    show.as_csv(_cells(rows))


#: a prediction as plain JSON, and where the steps of its item stand in a long table
Rows = Iterator[tuple[dict[str, Any], Any]]


def _rows(task: Any, stream: Iterator[list[tuple[Any, Any, Any]]], source: str) -> Rows:
    from rekur.data.example import warn
    from rekur.runtime.odd_items import OddItems

    odd = OddItems(task.features_)
    for chunk in stream:
        names, items, lines = zip(*chunk, strict=True)
        try:
            steps, contexts = task.encode(list(items))
            predictions = task.present_steps(steps, contexts)
        except InputError as error:
            raise InputError(f"{source} {_first_refused(task, chunk)}: {error}") from error
        odd.add(items, steps)
        for name, prediction, where in zip(names, predictions, lines, strict=True):
            yield {"item": name, **as_row(prediction)}, where
        sys.stdout.flush()
    if told := odd.sentence(source.removesuffix(", item")):
        warn(told)


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


def _cells(rows: Rows) -> Iterator[list[Any]]:
    """Yield the cells of a CSV: a row an item; of a long table with a prediction for each step a row a step."""
    first = next(rows, None)
    if first is None:
        return
    rows = chain([first], rows)
    yield from _cells_of_items(rows) if first[1] is None else _cells_of_steps(rows)


def _cells_of_steps(rows: Rows) -> Iterator[list[Any]]:
    """Yield the cells of each step, in the order of the table."""
    steps: list[tuple[int, list[Any]]] = []
    names = {"tokens": "token", "tags": "tag", "probabilities": "probability"}
    for row, lines in rows:
        names = {column: name for column, name in names.items() if column in row}
        columns = [row[column] for column in names]
        cells = [[row["item"], *each] for each in zip(*columns, strict=True)]
        steps.extend(zip(lines.tolist(), cells, strict=True))
    head = ["item", *names.values()]
    yield head
    for _, values in sorted(steps):
        yield [_cell(name, value) for name, value in zip(head, values, strict=True)]


def _cells_of_items(rows: Rows) -> Iterator[list[Any]]:
    for number, (row, _) in enumerate(rows):
        for name in ("probabilities", "spans"):
            row.pop(name, None)
        if number == 0:
            yield list(row)
        yield [_cell(name, value) for name, value in row.items()]


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, list):
        texts = [str(entry) for entry in value]
        joined = "|".join(texts)
        is_ambiguous = joined.count("|") >= len(texts) > 0 or joined.startswith('["')
        return json.dumps(value, ensure_ascii=False) if is_ambiguous else joined
    digits = 6 if name == "probability" else 9  # nine keep every bit of a 32-bit number
    return f"{value:.{digits}g}" if isinstance(value, float) else value
