"""Options that several commands share, each written down once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rekur.cli.file_words import AlignedFiles
from rekur.errors import InputError, describe, printable
from rekur.tasks.catalog import Row

#: the roles of columns that hold items
ITEM_ROLES = ("text", "symbols", "series", "values")

Command = TypeVar("Command", bound=Callable[..., Any])


class Parsed(click.ParamType[Any]):
    """A value that a parser makes of a text.

    Args:
        name: its type in ``--help``.
        parse: text -> value; raises ValueError with a text that begins with ``got``.
    """

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value that a text stands for."""
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def whole(text: str) -> int:
    """Return the whole number of a text.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"\s*[+-]?[0-9]{1,4000}\s*", text):
        raise ValueError(_wrong(text, "a whole number"))
    return int(text)


def _number(text: str) -> float:
    try:
        if text.isascii() and "_" not in text:
            return float(text)
    except ValueError:
        pass
    raise ValueError(_wrong(text, "a number"))


def _wrong(value: str, expected: str) -> str:
    """Return the message for a bad value, without the name of its option."""
    return describe("", value, expected).removeprefix(": ")


def _input_file(text: str) -> Path:
    path = Path(text)
    return path.absolute() if path == Path("-") and text != "-" else path


#: numbers, whose range is checked where they are used
WHOLE, NUMBER = Parsed("integer", whole), Parsed("float", _number)
#: a file to read; ``-`` is standard input, and ``./-`` the file of that name
INPUT_FILE = Parsed("file", _input_file)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))
FILE = click.argument("file", type=INPUT_FILE)
#: the targets of the first of aligned files; several are references of the same sources
ALIGNED = click.argument("target_files", metavar="[TARGET]...", nargs=-1, type=INPUT_FILE, cls=AlignedFiles)

FILES = click.argument("files", metavar="FILE...", nargs=-1, required=True)
PAIR_FILES = click.argument("files", metavar="SOURCE TARGET", nargs=-1, required=True)
DOCUMENT = click.option(
    "--document",
    type=click.Choice(["file", "line", "blank"]),
    help="What a document is: a file, a line, or what stands between blank lines; by default a file, or a row.",
)
ENCODING = click.option("--encoding", default=None, metavar="NAME", help="The file's encoding; by default utf-8.")


#: how files of text are read
TEXTS = (
    click.option("--text", metavar="COL", help="For tables and JSON lines: the column with the text."),
    DOCUMENT,
    ENCODING,
)

_ID = click.option("--id", metavar="COL", help="Column that names an item in results.")
_FORMAT = click.option(
    "--format", "file_format", metavar="NAME", help="Its format; by default from its ending or first lines."
)
_SEPARATOR = click.option(
    "--separator", default=None, metavar="SEP", help="What stands between columns; by default , or tab."
)

#: which columns of a table are pairs of texts
PAIR_COLUMNS = (
    click.option("--source", metavar="COL", help="Tables of pairs: the column with the text to read, or its number."),
    click.option(
        "--target",
        metavar="COL",
        multiple=True,
        help="Tables of pairs: the column with the text to write; repeat it for several references.",
    ),
)
#: how pairs of texts are read
PAIRS = (*PAIR_COLUMNS, _ID, _FORMAT, ENCODING, _SEPARATOR)

#: by what training items are split
SPLIT_BY = click.option(
    "--split-by",
    metavar="COL",
    help="Column of a person, machine or day: items that share it stay together where some are held out.",
)
#: how a file is read: which columns are items and labels
INPUT = (
    click.option("--text", metavar="COL", help="Column with text."),
    click.option("--symbols", metavar="COL", help="Column with letters (DNA, protein) or event codes."),
    click.option("--series", metavar="COL", multiple=True, help="Column with numbers; repeat it for several channels."),
    click.option("--values", metavar="COL", multiple=True, help="Wide tables: the columns that are the steps; a..z."),
    click.option("--label", metavar="COL", help="Column with the label, or the number to predict."),
    click.option("--label-separator", metavar="SEP", help="What stands between several labels of one item, or tab."),
    click.option("--group", metavar="COL", help="Long tables: the column that names the sequence a row belongs to."),
    click.option("--time", metavar="COL", help="Long tables: the column that orders the rows of a sequence."),
    _ID,
    _FORMAT,
    ENCODING,
    _SEPARATOR,
)
#: which columns of a table stand beside the values of a series
COVARIATES = (
    click.option("--static", metavar="COL", multiple=True, help="Series: column that is constant in a series."),
    click.option("--past", metavar="COL", multiple=True, help="Series: column of numbers known until now only."),
    click.option("--future", metavar="COL", multiple=True, help="Series: column of numbers known ahead."),
)
#: how series are read
TABLES = (
    click.option("--series", metavar="COL", multiple=True, help="Column with values; repeat it for several series."),
    click.option("--values", metavar="COL", multiple=True, help="A series a row: the columns with its values; a..z."),
    click.option("--group", metavar="COL", help="Column that names the series of a row."),
    click.option("--time", metavar="COL", help="Column with time stamps, or with numbers of steps."),
    *COVARIATES,
    _ID,
    _FORMAT,
    ENCODING,
    _SEPARATOR,
)
#: how a file is read for a saved model of any task
ANY_INPUT = (*INPUT, *PAIR_COLUMNS, *COVARIATES)


#: how the texts of a model that searches them are found
SEARCH = (
    click.option("--beam", type=WHOLE, metavar="N", help="Texts that a search follows side by side; by default 1."),
    click.option(
        "--alpha", type=NUMBER, metavar="X", help="Exponent of the length that ranks them; by default that of training."
    ),
    click.option("--min-ratio", type=NUMBER, metavar="X", help="Least tokens of a text for each of its source."),
    click.option(
        "--max-ratio", type=NUMBER, metavar="X", help="Most tokens of a text for each of its source; by default 3 + 20."
    ),
    click.option("--max-length", type=WHOLE, metavar="N", help="Most tokens of a text."),
    click.option(
        "--max-source",
        type=WHOLE,
        metavar="N",
        help="Tokens after which a source is cut; by default 2,000.",
    ),
    click.option("--no-repeat", type=WHOLE, metavar="N", help="Runs of N tokens that come once in a text at most."),
)


def with_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds options in the order given.

    Example:
        >>> with_options(JSON)(lambda as_json: None).__click_params__[0].name
        'as_json'
    """

    def add(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return add


#: options that name one column
_NAMED = ("text", "symbols", "label", "group", "time", "id", "split_by", "source")


def split_input(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take the input options out of a command's values; return (column choices, reading options) that were given."""
    columns = {name: values.pop(name, None) for name in _NAMED}
    series, targets = list(values.pop("series", ())), list(values.pop("target", ()))
    columns |= {name: list(values.pop(name, ())) or None for name in ("static", "past", "future")}
    columns["values"] = list(values.pop("values", ())) or None
    columns["target"] = targets[0] if len(targets) == 1 else targets or None
    # one column without a group holds a whole series; in a long table, columns are channels
    is_whole = len(series) == 1 and columns["group"] is None and columns["time"] is None
    columns["series"] = series[0] if is_whole else series or None
    for name in (*ITEM_ROLES, "source", "target"):
        if columns[name] == "" or (isinstance(columns[name], list) and "" in columns[name]):
            raise InputError(f"--{name}: got nothing; expected the name of a column.")
    reading = {
        "format": values.pop("file_format"),
        "encoding": values.pop("encoding"),
        "separator": values.pop("separator"),
        "label_separator": _mark(values.pop("label_separator", None)),
    }
    return _given(columns), _given(reading)


def split_search(values: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a search out of a command's values; return those that were given."""
    names = ("beam", "alpha", "min_ratio", "max_ratio", "max_length", "max_source", "no_repeat")
    return _given({name: values.pop(name) for name in names})


def command_line() -> str:
    """Return the command that is running, as it can be typed again; an empty text outside the command line."""
    context = click.get_current_context(silent=True)
    return "" if context is None or not context.obj else shlex.join(["rekur", *context.obj])


def _mark(separator: str | None) -> str | None:
    """Return what stands between labels; ``tab`` and ``\\t`` are words for the tab, as for columns."""
    if separator == "":
        raise InputError("--label-separator: got nothing; expected what stands between labels, such as '|', or tab.")
    return "\t" if separator in ("tab", "\\t") else separator


def refuse_labels_between(row: Row, reading: dict[str, Any]) -> None:
    """Raise if several labels in a cell are asked for where a label is a number or a list of tags."""
    fixes = {"number": "Several labels of one item are names: rekur fit classify.", "tags": "Put tags into a list."}
    if "label_separator" in reading and (fix := fixes.get(row.target)):
        raise InputError(describe("--label-separator", reading["label_separator"], f"none for {row.name}", fix))


def split_texts(values: dict[str, Any]) -> dict[str, Any]:
    """Take the options of texts out of a command's values; return those that were given, as `open_texts` takes them."""
    return _given({"column": values.pop("text"), **{name: values.pop(name) for name in ("document", "encoding")}})


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options that have a value; one that is no text could not be saved with the model."""
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        for text in [value] if isinstance(value, str) else value if isinstance(value, list) else ():
            if (shown := printable(text)) != text:
                raise InputError(describe(f"--{name.replace('_', '-')}", shown, "text in utf-8"))
    return given
