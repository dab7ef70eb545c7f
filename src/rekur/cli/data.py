"""``rekur data FILE``: describe a file before training on it."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur._tokenizer import USUAL_CUT
from rekur.cli import show
from rekur.cli.options import ALIGNED, ANY_INPUT, FILE, JSON, WHOLE, split_input, with_options
from rekur.errors import DataError, InputError

#: type of a label, or "rows" for tags of the rows of a series -> title and columns of the table of its classes
_CLASSES = {
    "class": ("Classes", ("class", "examples", "share")),
    "tags": ("Tags", ("tag", "words", "share")),
    "rows": ("Tags", ("tag", "rows", "share")),
    "spans": ("Spans", ("label", "spans", "share")),
}
#: formats that hold tables, and the fewest steps of a series in a table whose columns are not named
_TABLES = ("csv", "tsv", "jsonl", "json", "parquet")
_FEWEST_STEPS = 10


@click.command("data")
@with_options(FILE, ALIGNED, *ANY_INPUT)
@click.option("--horizon", type=WHOLE, metavar="N", help="Series in time: show how they are cut to forecast N steps.")
@click.option("--label-type", type=click.Choice(["class", "classes", "number", "tags"]), help="What a label is.")
@JSON
def command(file: Path, target_files: tuple[Path, ...], label_type: str | None, as_json: bool, **values: Any) -> None:
    """Show columns, lengths and classes of a file, and what to look at before training.

    Of pairs of texts, in two aligned files or in the columns --source and --target, it shows both sides, how their
    lengths agree, and pairs that look odd. Of series in time it shows their step, their gaps and their seasons.

    \b
    rekur data reviews.csv
    rekur data reviews.csv --text review --label stars
    rekur data shakespeare.txt
    rekur data log.csv --series hr --series temp --group patient --time at --label ill
    rekur data train.en train.fr
    rekur data load.csv --time at --series kwh --group meter --horizon 24
    """
    from rekur.cli.texts import measure
    from rekur.data import Columns, describe
    from rekur.data.inputs import open_input

    columns, reading = split_input(values)
    horizon = values.pop("horizon", None)
    if horizon is not None:
        _check.whole("--horizon", horizon, low=1)
    if target_files or "source" in columns or "target" in columns:
        if label_type is not None:
            raise InputError(f"--label-type: got '{label_type}'; expected none for pairs of texts.")
        _show_pairs([file, *target_files], columns, reading, as_json=as_json)
        return
    as_given = dict(reading)
    separator = reading.pop("label_separator", None)
    opened = file if file.is_dir() else open_input(file)
    source = _source(opened, columns, reading)
    if horizon is not None or {"static", "past", "future"} & columns.keys():
        _show_series(file, source, columns, reading, horizon, label_type, as_json=as_json)
        return
    columns = {**source.usual_columns, **columns} if columns else {}
    kind = label_type or ("classes" if separator else "class")
    found = describe(source, Columns(**columns) if columns else None, label_type=kind, label_separator=separator)
    steps = _steps(source, found.chosen, kind=found.label_type or kind) if found.chosen else []
    line = _fit_line(file, found, as_given) if found.chosen and found.chosen.labels() else ""
    running = measure(open_input(opened), encoding=reading.get("encoding")) if source.format == "txt" else None
    in_time, problem = _in_time(source, columns)
    if in_time is not None and found.chosen is None:  # read in the only way in which it can be
        from rekur.data.history_columns import HistoryColumns, named_columns

        found.question = ""
        line = _forecast_line(file, named_columns(source, HistoryColumns(**columns)), None, as_given)
    if as_json:
        told = {**found.to_dict(), "training": [list(row) for row in steps], "command": line}
        told |= {} if running is None else {"running_text": running}
        show.as_json(told if in_time is None else {**told, "in_time": in_time.to_dict()})
        return
    _show(found, running, in_time, steps)
    for warning in [*found.warnings, *(in_time.warnings() if in_time else [problem] if problem else [])]:
        click.echo(f"warning: {warning}")
    if found.question:
        click.echo(found.question)
    if line:
        click.echo(f"To train:\n  {line}")
    if running is not None:
        encoding = _options({"encoding": reading.get("encoding")})
        line = shlex.join(["rekur", "fit", "language", str(file), *encoding, "--out", _run_of(file)])
        click.echo(f"To train a language model:\n  {line}")


def _show(description: Any, running: dict[str, int] | None, in_time: Any, steps: list[tuple[str, str]]) -> None:
    """Print the tables of a file; those of a running text and of series in time where there are such."""
    show.table("What is there", ("what", "value"), description.overview())
    if running is not None:
        rows = [(name.replace("_", " "), f"{value:,}") for name, value in running.items()]
        show.table("As running text", ("what", "value"), rows)
    show.table("Columns", ("column", "looks like", "filled", "different", "examples"), description.column_table())
    if description.classes:
        of_rows = (
            description.label_type == "tags" and description.chosen is not None and description.chosen.kind == "series"
        )
        kind = "rows" if of_rows else description.label_type or ""
        show.table(*_CLASSES.get(kind, _CLASSES["class"]), description.class_table())
    if any(description.missing.values()):
        show.table("Missing values", ("channel", "share"), description.missing_table())
    if in_time is not None:
        show.table("As series in time", ("what", "value"), in_time.overview())
    if steps:
        show.table("What training would make of an item", ("what", "how"), steps)


def _source(file: Any, columns: dict[str, Any], reading: dict[str, Any]) -> Any:
    """Return the rows of a file."""
    from rekur.data import open_source
    from rekur.data.chosen_columns import is_long

    try:
        return open_source(file, long=is_long(columns), **reading)
    except DataError as error:
        if " file ending: got " not in str(error):
            raise
        raise InputError(f"{error} Of two aligned files name both: rekur data SOURCE TARGET") from None


def _in_time(source: Any, columns: dict[str, Any]) -> tuple[Any, str]:
    """Return a description of a table as series in time, or None and what a forecaster would refuse."""
    from rekur.data import HistoryColumns, read_histories
    from rekur.data.chosen_columns import is_long
    from rekur.data.history_description import describe_histories

    is_told = is_long(columns) and columns.keys() <= {"series", "time", "group"}
    if source.format not in _TABLES or (columns and not is_told):
        return None, ""
    notes: list[str] = []
    try:
        histories = read_histories(source, HistoryColumns(**columns), tell=notes.append)
    except InputError as error:
        return None, f"No series in time: {error}" if is_told else ""
    if not is_told and max(map(len, histories)) < _FEWEST_STEPS:
        return None, ""  # a row with a few numbers is no series
    return describe_histories(histories, notes), ""


def _show_series(
    file: Path,
    source: Any,
    columns: dict[str, Any],
    reading: dict[str, Any],
    horizon: int | None,
    label_type: str | None,
    *,
    as_json: bool,
) -> None:
    """Describe series in time, and how they are cut into training and validation."""
    from rekur.data import HistoryColumns, read_histories
    from rekur.data.history_description import describe_histories

    names = [field.name for field in dataclasses.fields(HistoryColumns)]
    options = {**columns, **reading, "label_type": label_type}
    for name, value in options.items():
        if value is not None and name not in (*names, "format", "encoding", "separator"):
            expected = "none for series in time, whose columns are --series, --time and --group"
            raise InputError(f"--{name.replace('_', '-')}: got a value; expected {expected}.")
    notes: list[str] = []
    histories = read_histories(source, HistoryColumns(**columns), horizon=horizon, tell=notes.append)
    told = describe_histories(histories, notes)
    split = _drawn_split(histories, horizon)
    line = _forecast_line(file, columns, horizon, reading)
    if as_json:
        show.as_json({"in_time": told.to_dict(), "split": split, "command": line})
        return
    show.table("Series in time", ("what", "value"), told.overview())
    click.echo(f"{split}\n")
    for warning in told.warnings():
        click.echo(f"warning: {warning}")
    click.echo(f"To train:\n  {line}")


def _drawn_split(histories: list[Any], horizon: int | None) -> str:
    """Return how a forecaster would cut series, drawn as text, or why it refuses them."""
    from rekur.tasks.catalog import CATALOG
    from rekur.tasks.forecast.split import split_of

    try:
        options: Any = CATALOG["forecast"].options_class()
        return split_of(histories, options(horizon=horizon), hold_out=True).drawn()
    except InputError as error:
        return f"Training refuses them: {error}"


def _show_pairs(files: list[Path], columns: dict[str, Any], reading: dict[str, Any], *, as_json: bool) -> None:
    """Describe pairs of texts."""
    from rekur.data import PairColumns, read_pairs
    from rekur.data.inputs import name_of
    from rekur.data.pair_description import describe_pairs

    for name in {**columns, **reading}:
        if name not in ("source", "target", "id", "format", "encoding", "separator"):
            expected = "none for pairs of texts, whose columns are --source and --target"
            raise InputError(f"--{name.replace('_', '-')}: got a value; expected {expected}.")
    named = PairColumns(**columns)
    corpus = read_pairs(files, named, use="evaluation", tell=lambda text: None, **reading)
    names = [*map(name_of, files)] if len(files) > 1 else [str(named.source), ", ".join(named.targets())]
    pairs = describe_pairs(corpus, (names[0], names[1]))
    pairs.warnings += corpus.notes()
    words = ["rekur", "fit", "translate", *map(str, files[:2]), *_options({**columns, **reading})]
    line = shlex.join([*words, "--out", _run_of(files[0])])
    if as_json:
        show.as_json({"files": [*map(name_of, files)], **pairs.to_dict(), "command": line})
        return
    show.table("What is there", ("what", "value"), pairs.overview())
    show.table("Both sides", ("what", "sources", "targets"), pairs.side_table())
    if pairs.suspects:
        show.table("Suspicious pairs", ("line", "why", "source", "target"), pairs.suspect_table())
    for warning in pairs.warnings:
        click.echo(f"warning: {warning}")
    click.echo(f"To train:\n  {line}")


def _steps(source: Any, chosen: Any, *, kind: str) -> list[tuple[str, str]]:
    """Return what features, fitted on all items, do with one."""
    from rekur.data import Corpus, channels, examples
    from rekur.data.documents import holds_documents
    from rekur.features import make_features

    unlabelled = dataclasses.replace(chosen, label=None)
    is_tags = kind in ("tags", "spans") or bool(source.usual_columns)
    is_words = is_tags and chosen.kind != "series"
    reading: dict[str, Any] = {"label_type": "tags"} if is_tags else {}
    corpus = Corpus(lambda: examples(source, unlabelled, empty="keep", tell=lambda text: None, **reading), source.name)
    try:
        options: dict[str, Any] = {"channels": channels(source, chosen)} if chosen.kind == "series" else {}
        if is_words and holds_documents(corpus):
            options["cut"] = USUAL_CUT
        features = make_features("words" if is_words else chosen.kind, **options)
        return list(features.fit(corpus.items()).describe())
    except InputError as error:  # the table is still worth seeing
        return [("nothing yet", str(error))]


def _fit_line(file: Path, found: Any, reading: dict[str, str]) -> str:
    """Return the command that trains on the file, read in the same way."""
    task = {"number": "regress", "tags": "tag", "spans": "tag"}.get(found.label_type, "classify")
    words = ["rekur", "fit", task, str(file)]
    names = ("text", "symbols", "series", "values", "label", "group", "time", "id")
    options = _options({**{name: getattr(found.chosen, name) for name in names}, **reading})
    return shlex.join([*words, *options, "--out", _run_of(file)])


def _forecast_line(file: Path, columns: dict[str, Any], horizon: int | None, reading: dict[str, Any]) -> str:
    """Return the command that trains a forecaster on the file."""
    from rekur.data import HistoryColumns

    names = [field.name for field in dataclasses.fields(HistoryColumns)]
    words = {**{name: columns.get(name) for name in names}, "horizon": str(horizon or ""), **reading}
    options = _options({name: value for name, value in words.items() if value})
    return shlex.join(["rekur", "fit", "forecast", str(file), *options, "--out", _run_of(file)])


def _options(values: dict[str, Any]) -> list[str]:
    """Return options as words of a command line; a list gives its option once for each value."""
    words: list[str] = []
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        for text in [value] if isinstance(value, str) else value or []:
            words += [f"{option}={text}"] if text.startswith("-") else [option, text]
    return words


def _run_of(file: Path) -> str:
    """Return a folder for a model of the file."""
    from rekur.data.inputs import is_stream

    return "runs/model" if is_stream(file) else f"runs/{file.name.split('.')[0]}"
