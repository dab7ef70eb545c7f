"""Files as what a trained model runs on: examples of items, or texts; by the columns given now or at training."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli.options import ITEM_ROLES
from rekur.data import Columns, Corpus, PairColumns, channels, examples, open_source, read_pairs
from rekur.data.chosen_columns import expand, is_long
from rekur.data.documents import running_text, whole_text
from rekur.data.example import warn
from rekur.data.history_columns import HistoryColumns
from rekur.data.inputs import Input, Location, is_stream, name_of
from rekur.data.pair_statistics import SWAPPED, SWAPPED_SOURCES, Sides
from rekur.data.pairs import is_table
from rekur.data.parts import open_series
from rekur.data.plain import Lines
from rekur.data.source import Source
from rekur.errors import DataError, InputError, describe
from rekur.runtime.kept_series import series_to_run, trained_reading
from rekur.tasks.catalog import CATALOG

#: the kind of a corpus whose file is running text that is cut into sequences
RUNNING_TEXT = "running text"


def corpus_of(
    file: Location | Input,
    columns: dict[str, Any],
    reading: dict[str, Any],
    *,
    label_type: str,
    labels: Sequence[str] = (),
    empty: str = "error",
    once: bool = False,
    cut: str | None = None,
    whole: bool = False,
    named: Collection[str] | None = None,
) -> Corpus:
    """Return the examples of a file; columns are checked now, rows when they are read.

    Args:
        file: the file, or ``-`` for standard input.
        columns: which column is what, as ``rekur.data.Columns`` takes it.
        reading: format, encoding, separator and label_separator, as far as they were given.
        label_type: ``class``, ``classes``, ``number`` or ``tags``.
        labels: the classes of a trained model.
        empty: ``error`` or ``keep``, for items without steps and missing labels.
        once: they are read in one pass, so that a pipe is not copied.
        cut: the rule that cuts a file of running text; None where such a file has an item a line.
        whole: running text is one item, and not an item a sequence.
        named: the roles of the columns that were named for this file; None for all. Where its format has usual columns,
            others that it lacks are left out.
    """
    how = dict(reading)
    label_separator = how.pop("label_separator", None)
    if label_type != "tags":
        Columns(**columns)  # refuses what no file makes right
    otherwise, long = None if cut is None else "txt", is_long(columns)
    source = open_source(file, once=once, otherwise=otherwise, long=long, **how)
    if cut is not None and isinstance(source, Lines):
        lines = source.lines
        read_texts = (lambda: whole_text(lines())) if whole else (lambda: running_text(lines(), cut))
        return Corpus(read_texts, source.name, kind=RUNNING_TEXT)
    if named is not None and source.usual_columns:
        columns = {role: name for role, name in columns.items() if role in named or name in source.columns}
    need_label = label_type == "tags" and empty == "error"
    chosen = _columns_of_tags(source, columns, need_label=need_label) if label_type == "tags" else Columns(**columns)

    def read() -> Any:
        return examples(
            source, chosen, label_type=label_type, label_separator=label_separator, labels=labels, empty=empty
        )

    read()

    def place(line: int) -> str:
        return f", {source.where(line)}"

    return Corpus(read, source.name, place, channels(source, chosen), chosen.kind, source.notes)


def _columns_of_tags(source: Source, columns: dict[str, Any], *, need_label: bool) -> Columns:
    """Return the columns of words and tags: those that are named, else the usual ones of the format."""
    usual = {role: name for role, name in source.usual_columns.items() if role == "text" or need_label}
    columns = {**usual, **columns}
    if not any(columns.get(name) for name in ITEM_ROLES):
        fix = "Name it; of rows of numbers name each column: --series x --series y."
        if isinstance(source, Lines):
            fix = "A file of lines has no tags. Does each line hold a word and its tag? Add --format conll."
        raise InputError(f"--text: got none; expected the column with the words. {fix}")
    if "label" not in columns and need_label:
        fix = "Name it, as with --label upos." if source.format == "conllu" else "Name it."
        raise InputError(f"--label: got none; expected the column with the tags. {fix}")
    return Columns(**columns)


def written_out(file: Location | Input, columns: dict[str, Any], reading: dict[str, Any]) -> dict[str, Any]:
    """Return column choices in which ranges such as ``t0..t11`` are the columns that the file has there."""
    listed = {role: columns[role] for role in ("series", "values") if isinstance(columns.get(role), list)}
    ranges = {role: names for role, names in listed.items() if any(".." in name for name in names)}
    if not ranges:
        return columns
    how = {name: value for name, value in reading.items() if name != "label_separator"}
    source = open_source(file, long=is_long(columns), **how)
    return {**columns, **{role: expand(source, role, names) for role, names in ranges.items()}}


def corpus_for(
    task: Any,
    file: Location | Input,
    columns: dict[str, Any],
    reading: dict[str, Any],
    *,
    need_label: bool,
    once: bool = False,
    whole: bool = False,
) -> Corpus:
    """Return the examples of a file for a trained task: by the columns that were given, else by those of training.

    Args:
        task: the trained task; its ``columns_`` say how its training file was read.
        file: the file.
        columns: column choices that were given; one that names the item replaces the one of training.
        reading: reading options that were given.
        need_label: whether every row must have a label.
        once: they are read in one pass, so that a pipe is not copied.
        whole: running text is one item, and not an item a sequence.
    """
    for name in ("source", "target"):
        refuse_value(name, columns.get(name), task, "It names the columns of pairs.")
    for name in ("static", "past", "future"):
        refuse_value(name, columns.get(name), task, "It names a column beside the values of a series.")
    trained = dict(task.columns_.get("columns", {}))
    known = getattr(task.features_, "channels", None)
    if known and isinstance(trained.get("series"), list):
        trained["series"] = list(known)  # a range may stand for other columns in this file
    if any(name in columns for name in ITEM_ROLES):
        trained = {name: value for name, value in trained.items() if name not in ITEM_ROLES}
    chosen = {**trained, **columns}
    if task.features_.text_cut is None:  # else the format of the file may have usual columns
        _check_kind(task.features_.kind, chosen)
    how = {"label_separator": task.columns_.get("label_separator"), **reading}
    if not need_label:
        how.pop("label_separator")
    if need_label and "label" not in chosen and task.label_type != "tags":
        raise InputError("--label: got none; expected the column with the right answers. Name it.")
    if not need_label:
        chosen.pop("label", None)
    cut = None if need_label else task.features_.text_cut
    unlabelled = "tags" if task.label_type == "tags" else "class"
    label_type, empty = (task.label_type, "error") if need_label else (unlabelled, "keep")
    reads: dict[str, Any] = {"labels": task.target_.output_names, "once": once, "cut": cut, "whole": whole}
    reads["named"] = columns
    try:
        corpus = corpus_of(file, chosen, how, label_type=label_type, empty=empty, **reads)
    except DataError as error:
        if chosen == columns or " column: got " not in str(error):
            raise
        fix = "Columns are those of training; name this file's own with --text, --series, --label and so on."
        if known and "series" not in columns and " series column: got " in str(error):
            fix = "Channels are those of training, matched by name; rename the column."
        raise InputError(f"{error} {fix}") from None
    if corpus.kind == RUNNING_TEXT:
        for role, column in columns.items():
            raise InputError(describe(f"{role} column", column, "none for running text", "Leave it out."))
    return corpus.by_name(known)


def data_for(
    task: Any,
    files: Sequence[str],
    columns: dict[str, Any],
    reading: dict[str, Any],
    others: dict[str, Any],
    *,
    option: str = "FILE",
    need_label: bool = True,
) -> tuple[Any, str]:
    """Return the data that a trained task runs on, and their name: items of one file, pairs of two files, or texts.

    Args:
        task: the trained task.
        files: the files.
        columns: column choices that were given.
        reading: reading options that were given.
        others: options of texts, name -> value, None where not given; refused for other tasks.
        option: by what the files were given, for messages.
        need_label: whether every example must have a label.
    """
    if reads_pairs(task):
        for name, value in others.items():
            refuse_value(name, value, task)
        use = "evaluation" if need_label or len(files) > 1 else "prediction"
        return pairs_for(task, files, columns, reading, use=use), " ".join(map(name_of, files))
    if task.target_.kind == "next":
        texts = texts_for(task, files, {**columns, **reading, "document": others["document"]})
        return texts, " ".join(map(name_of, files))
    if len(files) > 1:
        raise InputError(describe(option, f"{len(files)} files", f"one, for a model of the task {task.task}"))
    for name, value in others.items():
        refuse_value(name, value, task)
    if reads_tables(task):
        use = "evaluation" if need_label else "prediction"
        return series_for(task, files[0], columns, reading, use=use), name_of(files[0])
    return corpus_for(task, files[0], columns, reading, need_label=need_label), name_of(files[0])


def reads_pairs(task: Any) -> bool:
    """Return whether a model reads pairs of texts."""
    row = CATALOG.get(task.task)
    return row is not None and row.reads == "pairs"


def reads_tables(task: Any) -> bool:
    """Return whether a model reads series."""
    row = CATALOG.get(task.task)
    return row is not None and row.reads == "tables"


def series_for(task: Any, file: Any, columns: dict[str, Any], reading: dict[str, Any], *, use: str) -> Corpus:
    """Return the series of a file for a trained task: by the columns given, else by those of training.

    Rows that continue series of the bundle stand behind these; what was done is said.

    Args:
        task: the trained task; its ``columns_`` say how its training file was read.
        file: the file.
        columns: column choices that were given; one that names values replaces those of training.
        reading: reading options that were given.
        use: ``"prediction"`` or ``"evaluation"``.
    """
    names = [field.name for field in dataclasses.fields(HistoryColumns)]
    for name, value in {**columns, **reading}.items():
        if name not in (*names, "format", "encoding", "separator"):
            refuse_value(name, value, task, "It reads series: --series, --time, --group.")
    trained = dict(task.columns_.get("columns", {}))
    if "series" in columns or "values" in columns:
        trained = {name: value for name, value in trained.items() if name not in ("series", "values")}
    ahead = {"horizon": task.target_.horizon, "needs_future": True} if use == "prediction" else {}
    how = {**trained_reading(task.kept_, task.features_.columns), **ahead, **reading}
    corpus = open_series(file, HistoryColumns(**{**trained, **columns}), **how)
    non_negative = task.target_.non_negative
    series, sentences = series_to_run(corpus, task.kept_, task.features_, use, non_negative=non_negative)
    for sentence in sentences:
        click.echo(f"{corpus.name}: {sentence}", err=True)
    return series


def pairs_for(
    task: Any, files: Sequence[Any], columns: dict[str, Any], reading: dict[str, Any], *, use: str, once: bool = False
) -> Corpus:
    """Return the pairs of files for a trained task: of a table by the columns given, else by those of training.

    Args:
        task: the trained task; its ``columns_`` say how its training files were read.
        files: two aligned files, or one table; in prediction one file.
        columns: column choices that were given.
        reading: reading options that were given.
        use: as for :func:`rekur.data.read_pairs`.
        once: they are read in one pass, so that a pipe is not copied.
    """
    names = [field.name for field in dataclasses.fields(PairColumns)]
    for name, value in {**columns, **reading}.items():
        if name not in (*names, "format", "encoding", "separator"):
            fix = "Columns of pairs are named with --source and --target."
            refuse_value(name, value, task, fix)
    chosen = PairColumns(**columns)
    if len(files) == 1 and is_table(files[0], chosen, reading.get("format")):
        chosen = PairColumns(**{**task.columns_.get("columns", {}), **columns})
    try:
        corpus = read_pairs(files, chosen, use=use, once=once, **reading)
    except DataError as error:
        if chosen == PairColumns(**columns) or " column: got " not in str(error):
            raise
        fix = "Columns are those of training; name this file's own with --source and --target."
        raise InputError(f"{error} {fix}") from None
    if "sides" in task.columns_ and not (once and any(map(is_stream, files))):
        trained = Sides.from_dict(task.columns_["sides"])
        if trained.are_swapped(Sides.of(corpus)):
            warn(f"{' '.join(map(name_of, files))}: {SWAPPED if use == 'evaluation' else SWAPPED_SOURCES}")
    return corpus


def refuse_value(name: str, value: Any, task: Any, fix: str = "") -> None:
    """Raise if an option has a value that means nothing for a task."""
    if value is not None:
        text = f"--{name.replace('_', '-')}: got a value; expected none for a model of the task {task.task}. {fix}"
        raise InputError(text.rstrip())


def _check_kind(kind: str, chosen: dict[str, Any]) -> None:
    """Raise unless the items that are named are of the kind that the model reads."""
    fix = "Name the column with --text." if kind == "text" else f"Name the column with --{kind}."
    if not any(chosen.get(name) for name in ITEM_ROLES):
        raise InputError(f"item columns: got none; expected the column with the {kind}. {fix}")
    if (got := Columns(**chosen).kind) != kind:
        raise InputError(describe("item columns", got, f"the {kind} that this model was trained on", fix))


def load_language(bundle: Path) -> Any:
    """Return the language model that a bundle holds.

    Raises:
        InputError: it holds a model of another task.
    """
    from rekur.runtime import load

    task = load(bundle)
    need_language(task, bundle)
    return task


def need_language(task: Any, bundle: Path) -> None:
    """Raise unless a model is a language model."""
    if task.target_.kind != "next":
        fix = f"To use it: rekur predict {bundle} FILE"
        raise InputError(describe("bundle", str(bundle), f"a language model (this one's task is {task.task})", fix))


def refuse_language(task: Any, bundle: Path, command: str) -> None:
    """Raise if a model that says what comes next is asked for an answer."""
    if task.target_.kind == "next":
        fix = f"To let it write: rekur generate {bundle}. To see how probable texts are: rekur score {bundle} FILE"
        raise InputError(
            describe("bundle", str(bundle), f"a model that `rekur {command}` can use, no language model", fix)
        )


def set_search(task: Any, **options: Any) -> None:
    """Set how a model searches its texts.

    Args:
        task: the model.
        options: of :class:`rekur.runtime.search.Search`; None where not given.

    Raises:
        InputError: an option is out of range, or the model does not search.
    """
    asked = {name: value for name, value in options.items() if value is not None}
    for name, value in asked.items():
        if task.target_.kind != "text":
            expected = f"none for a model of the task {task.task}"
            raise InputError(describe(f"--{name.replace('_', '-')}", value, expected, "Its answers are not searched."))
    if asked:
        task.search_ = dataclasses.replace(task.search_, **asked)


def set_rolling(task: Any, *, rolling: bool, stride: int | None) -> None:
    """Set at which origins a model of series is scored.

    Args:
        task: the model.
        rolling: at all, and not only a horizon before the end.
        stride: steps between them; None for a horizon.

    Raises:
        InputError: the model reads no series, or an option is out of range.
    """
    if rolling and not reads_tables(task):
        raise InputError(f"--rolling: got it; expected none for a model of the task {task.task}. It is for series.")
    if stride is not None and not rolling:
        raise InputError(describe("--stride", stride, "none without --rolling", "Add --rolling."))
    if rolling:
        task.stride = task.target_.horizon if stride is None else _check.whole("--stride", stride, 1)


def texts_for(task: Any, files: Sequence[str], options: dict[str, Any]) -> Any:
    """Return the texts of files for a trained language model: read as was given, else as at training.

    Args:
        task: the trained model; its ``columns_`` say how its training files were read.
        files: files, folders and patterns.
        options: of reading, as they were given; a column of training is used for tables only.
    """
    from rekur.data.inputs import Input, is_stream, open_input, refuse_twice
    from rekur.data.texts import holds_table, open_texts

    reading = {name: options.pop(name) for name in ("document", "encoding") if options.get(name) is not None}
    column = options.pop("text", None)
    if others := [name for name, value in options.items() if value is not None]:
        fix = "Only --text, --document and --encoding say how text is read."
        raise InputError(f"--{others[0].replace('_', '-')}: got a value; expected none for a language model. {fix}")
    trained = {name: task.columns_.get(name) for name in ("column", "document")}
    if column is None and trained["column"] is not None:
        refuse_twice(list(files))
        opened = [open_input(file) if is_stream(file) or Path(file).is_file() else file for file in files]
        if all(isinstance(file, Input) and holds_table(file, reading.get("encoding", "utf-8")) for file in opened):
            column = trained["column"]
        return open_texts(opened, column=column, **reading)
    if column is None and trained["document"] is not None:
        reading = {"document": trained["document"], **reading}
    return open_texts(files, column=column, **reading)
