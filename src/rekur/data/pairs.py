"""Pairs of texts, a source and its targets: from aligned files, from columns of a table, or from lists in memory."""

from __future__ import annotations

import os
import shlex
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rekur._check import choice
from rekur._numbers import counted
from rekur._values import CellError
from rekur.data.chosen_columns import PairColumns
from rekur.data.corpus import Corpus
from rekur.data.example import warn
from rekur.data.files import check_encoding, check_exists, inner_name, lf_lines, likely_file, read_lines
from rekur.data.inputs import Input, Location, Stream, identity, is_stdin, is_stream, name_of, open_input, refuse_twice
from rekur.data.memory import as_list, plain_labels
from rekur.data.pair_corpus import USES, Pair, corpus_of_pairs, numbered, pair_text, references_of
from rekur.data.pair_statistics import find_shift
from rekur.data.read import open_source
from rekur.data.source import Source, check_column, shown_names
from rekur.data.texts import TABLES
from rekur.errors import DataError, InputError, describe, did_you_mean

#: characters that end a line for some programs, though not in a file of pairs
_OTHER_ENDS = {"\r": "CR", "\v": "VT", "\f": "FF", "\x85": "U+0085", "\u2028": "U+2028", "\u2029": "U+2029"}


def read_pairs(
    files: Location | Input | Source | Sequence[Location | Input],
    columns: PairColumns | None = None,
    *,
    use: str = "training",
    format: str | None = None,
    encoding: str = "utf-8",
    separator: str | None = None,
    once: bool = False,
    tell: Callable[[str], None] = warn,
) -> Corpus:
    """Return pairs as a corpus: an item is a source, and its label is the target.

    Only LF ends a line of a text file or of a tsv; a CR before it belongs to the end. Quotes of a tsv are characters.

    Training has a pair for each reference, and leaves out those with a blank side; the notes of the corpus name
    their lines. Evaluation keeps every item; its label is a text, or a tuple of texts where there are several
    references. Prediction reads sources alone, and labels are None.

    Args:
        files: two aligned text files, source and target, whose lines are pairs; or one table (csv, tsv, jsonl, json,
            parquet) or source of rows. Evaluation takes further targets, which are references of the same sources.
            Prediction takes one text file or one table.
        columns: of a table.
        use: ``"training"``, ``"evaluation"`` or ``"prediction"``.
        format: of the table, one of :data:`rekur.data.files.FORMATS`; ``None`` decides by its ending.
        encoding: of the text.
        separator: of csv and tsv.
        once: they are read in one pass, so that a pipe is not copied; else the lines of aligned files are counted now.
        tell: is given a sentence where lines of aligned files have slipped; by default a warning.

    Raises:
        DataError: a file cannot be read, or aligned files differ in length.
        InputError: the files are no pairs, or columns are not named or not there.

    Example:
        >>> import tempfile
        >>> english, french = (Path(tempfile.mkdtemp(), f"a.{name}") for name in ("en", "fr"))
        >>> _ = english.write_text("A dog.\\n\\nA cat.\\n"), french.write_text("Un chien.\\nQuoi ?\\nUn chat.\\n")
        >>> corpus = read_pairs([english, french])
        >>> [(pair.item, pair.label, pair.line) for pair in corpus]
        [('A dog.', 'Un chien.', 1), ('A cat.', 'Un chat.', 3)]
    """
    choice("use", use, USES)
    columns = columns or PairColumns()
    if isinstance(files, Source):
        return _of_table(files, columns, use)
    named = [files] if isinstance(files, str | os.PathLike | Input) else list(files)
    refuse_twice(named)
    if not named or (len(named) > 2 and use != "evaluation"):
        expected = "two aligned files, SOURCE TARGET, or one table"
        raise InputError(describe("files of pairs", f"{len(named)} files", expected, "Put several files into one."))
    how: dict[str, Any] = {"format": format, "separator": separator}
    for each in named:
        _check_file(each)
    if len(named) == 1:
        if is_table(named[0], columns, format):
            numbers = [name for name in (columns.source, *columns.targets(), columns.id) if name is not None]
            numbers = numbers if numbers and all(name.isdecimal() for name in numbers) else []
            source = open_source(named[0], encoding=encoding, once=once, quotes=False, numbers=numbers, **how)
            return _of_table(source, columns, use)
        if use != "prediction":
            fix = "Name the second file, or with --format the format of a table."
            raise InputError(
                f"{name_of(named[0])}: got one file of text; expected two aligned files, or one table. {fix}"
            )
    _refuse_table_options(columns, how, named)
    if use == "prediction" and len(named) > 1:
        raise InputError(describe("files of sources", f"{len(named)} files", "one, as targets are to be predicted"))
    return _of_lines(named, check_encoding(encoding), use, tell, once=once)


def pairs_in_memory(X: Any, y: Any, name: str = "X", *, use: str = "training") -> Corpus:
    """Return texts in memory as a corpus of pairs, as :func:`read_pairs` does.

    Args:
        X: the sources, a list of texts.
        y: the target of each, or a list of its references; None in prediction.
        name: what ``X`` is called in messages, with an X; the targets have the same name with a y.
        use: ``"training"``, ``"evaluation"`` or ``"prediction"``.

    Raises:
        InputError: they differ in number, or one is no text.

    Example:
        >>> corpus = pairs_in_memory(["A dog."], [["Un chien.", "Le chien."]], use="evaluation")
        >>> [(pair.item, pair.label) for pair in corpus]
        [('A dog.', ('Un chien.', 'Le chien.'))]
    """
    choice("use", use, USES)
    sources, y_name = as_list(X, name, "a list of texts"), name.replace("X", "y")
    references: list[Any] = [None] * len(sources)
    if use != "prediction":
        references = plain_labels(y, y_name, count=len(sources), items=name)
    pairs = []
    for row, (source, targets) in enumerate(zip(sources, references, strict=True)):
        try:
            text = pair_text(source, f"{name}[{row}]")
            pairs.append(Pair(row, text, [] if use == "prediction" else references_of(targets, f"{y_name}[{row}]")))
        except CellError as error:
            raise InputError(str(error)) from None
    return corpus_of_pairs(lambda: iter(pairs), (name, y_name), "[{}]".format, "item", use)


# ── aligned files ────────────────────────────────────────────────────────────────────────────────────────────────


def _of_lines(
    named: list[Location | Input], encoding: str, use: str, tell: Callable[[str], None], *, once: bool
) -> Corpus:
    files = [open_input(each, once=once) for each in named]
    for file in files:
        _check_first_line(next(read_lines(file, encoding, "\n"), None), file)
    streams = [file for file in files if isinstance(file, Stream)]
    for stream in streams:
        stream.keep_no_more()
    if len(files) == 1:
        (sources,) = files

        def read_sources() -> Iterator[Pair]:
            return (Pair(number, line, []) for number, line in enumerate(lf_lines(sources, encoding), 1))

        return corpus_of_pairs(read_sources, (sources.name, sources.name), ", line {}".format, "line", use)

    def read() -> Iterator[Pair]:
        lines = zip_longest(*(lf_lines(file, encoding) for file in files))
        for number, texts in enumerate(lines, 1):
            if None in texts:
                ended = [line is None for line in texts]
                raise _of_other_length(files, _line_counts(lines, ended, number - 1), encoding)
            yield Pair(number, texts[0], list(texts[1:]))

    names = [file.name for file in files]
    same = any(identity(files[0]) == identity(file) for file in files[1:])
    notes = [f"{names[0]} is both source and target, so that a model learns to copy."] if same else []
    if not streams:  # the end of a long file would be reached after hours of decoding
        lengths = [array("q") for _ in files]
        for pair in read():
            for side, text in zip(lengths, (pair.source, *pair.targets), strict=True):
                side.append(len(text))
        for name, side in zip(names[1:], lengths[1:], strict=True):
            if (shift := find_shift(lengths[0], side)) is not None:
                tell(f"{shift.sentence(names[0], name)} To see more: rekur data {shlex.join([names[0], name])}")
    return corpus_of_pairs(read, (names[0], " and ".join(names[1:])), ", line {}".format, "line", use, lambda: notes)


def _line_counts(lines: Iterable[Sequence[str | None]], ended: Sequence[bool], count: int) -> list[int]:
    """Return the number of lines of each of several files; those that ended have ``count``."""
    counts = [count + (not end) for end in ended]
    for texts in lines:
        counts = [number + (line is not None) for number, line in zip(counts, texts, strict=True)]
    return counts


def _check_first_line(line: str | None, file: Input) -> None:
    """Raise for a file without lines, and for one whose only line ends are CR."""
    if line is None:
        raise DataError("lines: got 0; expected 1 or more.", file.name)
    if not line.endswith("\n") and (count := line.count("\r")) > 1:
        fix = "Convert it, as with: tr '\\r' '\\n'"
        raise DataError(
            f"line ends: got {count:,} CR and no LF; expected LF, which alone ends a line. {fix}", file.name
        )


def _of_other_length(files: list[Input], counts: list[int], encoding: str) -> DataError:
    """Return the error about files that differ in length, with the likely cause."""
    got = " and ".join(f"{counted(count, 'line')} in {file.name}" for file, count in zip(files, counts, strict=True))
    text = f"pairs: got {got}; expected as many lines in each, as each line of one translates that of the other."
    causes = [cause for file in files if not isinstance(file, Stream) and (cause := _odd_lines(file, encoding))]
    fix = "Was an empty line dropped in one of them, or a line cut at a line end that is not LF?"
    error = DataError(" ".join([text, *causes, fix]))
    error.path = files[0].name
    return error


def _odd_lines(file: Input, encoding: str) -> str:
    """Return a sentence about what may have shifted the lines of a file: blank lines and other line ends."""
    blank: list[int] = []
    ends: dict[str, list[int]] = defaultdict(list)
    for number, line in enumerate(lf_lines(file, encoding), 1):
        if not line.strip():
            blank.append(number)
        for end, name in _OTHER_ENDS.items():
            if end in line:
                ends[name].append(number)
    parts = [f"blank lines ({numbered('line', blank)})"] if blank else []
    parts += [f"{name} inside of lines ({numbered('line', lines)})" for name, lines in ends.items()]
    return f"{file.name} has {' and '.join(parts)}." if parts else ""


def is_table(file: Location | Input, columns: PairColumns, format: str | None) -> bool:
    """Return whether one file is a table and not lines of texts; without an ending it is one if columns are named.

    Args:
        file: the file.
        columns: those that were named.
        format: the format that was named, or None.
    """
    _check_file(file)
    if format is not None:
        return format != "txt"
    ending = _ending(file)
    return ending in (*TABLES, ".json") or (not ending and columns.source is not None)


def _check_file(file: Location | Input) -> None:
    """Raise unless a file exists and is no folder."""
    if not (isinstance(file, Input) or is_stream(file)):
        check_exists(Path(file))
        if Path(file).is_dir():
            raise DataError(f"file: got a folder; expected a file.{likely_file(Path(file))}", str(file))


def _ending(file: Location | Input) -> str:
    """Return the ending of the name of a file without its packing."""
    if not isinstance(file, Input) and is_stream(file):
        return "" if is_stdin(file) else Path(file).suffix.lower()
    return inner_name(open_input(file)).suffix.lower()


def _refuse_table_options(columns: PairColumns, how: dict[str, Any], named: Sequence[Location | Input]) -> None:
    """Raise for what only tables have."""
    for role in ("source", "target", "id"):
        if (column := getattr(columns, role)) is not None:
            fix = "Leave it out: each line is a text. A table is one file."
            expected = f"none for text files ({', '.join(map(name_of, named))})"
            raise InputError(describe(f"{role} column", column, expected, fix))
    if how["separator"] is not None:
        raise InputError(describe("separator", how["separator"], "none for text files", "Only csv and tsv have one."))
    if how["format"] not in (None, "txt"):
        fix = "Give one table, or leave --format out."
        raise InputError(describe("format", how["format"], "txt for two aligned files", fix))
    if how["format"] is None:
        for file in named:
            if (ending := _ending(file)) in (*TABLES, ".json"):
                fix = "Give one table with --source and --target. If its lines are texts: --format txt."
                raise InputError(
                    f"{name_of(file)}: got a table ({ending}) as one of several files; expected text files. {fix}"
                )


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_table(table: Source, columns: PairColumns, use: str) -> Corpus:
    with_targets = use != "prediction"
    there = f"The columns are {shown_names(table.columns)}."
    if columns.source is None:
        raise table.error(f"--source: got none; expected the column with the texts to read. {there}")
    if with_targets and not columns.targets():
        raise table.error(f"--target: got none; expected the column with the texts to write. {there}")
    source = _cell_of(table, "source", columns.source)
    targets = [_cell_of(table, "target", name) for name in columns.targets()] if with_targets else []
    if columns.source in columns.targets():
        raise table.error(describe("target column", columns.source, "another than that of the sources"))
    if twice := [name for name, count in Counter(columns.targets()).items() if count > 1]:
        raise table.error(f"target columns: got '{twice[0]}' twice; expected each once.")
    name = None if columns.id is None else _cell_of(table, "id", columns.id)

    def read() -> Iterator[Pair]:
        for row in table.rows():
            try:
                text = pair_text(source(row), str(columns.source), allow_missing=use == "training")
                references: list[str] = []
                for column, cell in zip(columns.targets(), targets, strict=False):
                    references += references_of(cell(row), column, allow_missing=use == "training")
                shown = None if name is None else str(name(row))
            except CellError as error:
                raise table.error(str(error), row.line) from None
            yield Pair(row.line, text, references, shown)

    told = []
    if not getattr(table, "has_header", True):
        told.append("columns are named by numbers, so that the first line is a pair.")
    return corpus_of_pairs(
        read, (table.name, table.name), lambda line: f", {table.where(line)}", table.unit, use, lambda: told
    )


def _cell_of(table: Source, role: str, name: str) -> Callable[[dict[str, Any]], Any]:
    """Return what takes a cell out of a row: of a column, or of the objects in one."""
    column, _, key = name.partition(".")
    if name in table.columns or column not in table.columns or not key:
        try:
            check_column(table, role, name)
        except DataError as error:
            if table.format not in ("csv", "tsv") or did_you_mean(name, table.columns) or name.isdecimal():
                raise
            raise InputError(f"{error} Without a line of names, number the columns: --source 1 --target 2.") from None
        return lambda row: row.get(name)

    def cell(row: dict[str, Any]) -> Any:
        value = row.get(column)
        if not isinstance(value, dict):
            raise CellError(describe(column, value, f"an object with '{key}'"))
        if key not in value:
            raise CellError(
                f"{column}: got the keys {shown_names(list(map(str, value)))}; expected '{key}' among them."
            )
        return value[key]

    return cell
