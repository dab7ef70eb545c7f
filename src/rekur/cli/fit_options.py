"""``rekur fit TASK`` and ``rekur tune TASK``: commands and requests made from the options of a row of the catalog."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from rekur._numbers import counted
from rekur._options import GROUPS, Option, options_of
from rekur.cli.file_words import FilesOption
from rekur.cli.options import (
    FILE,
    FILES,
    INPUT,
    INPUT_FILE,
    ITEM_ROLES,
    JSON,
    NUMBER,
    PAIR_FILES,
    PAIRS,
    SPLIT_BY,
    TABLES,
    TEXTS,
    WHOLE,
    Parsed,
    refuse_labels_between,
    split_input,
    split_texts,
    with_options,
)
from rekur.cli.request import Request, need_columns
from rekur.cli.wrong_use import CheckedGroup
from rekur.errors import InputError, describe, did_you_mean
from rekur.tasks.catalog import CATALOG, Row

_FOLDER = click.Path(path_type=Path)

VALID_ITEMS = click.option(
    "--valid", type=INPUT_FILE, metavar="FILE", help="Validation items; by default a share of FILE."
)
VALID_TEXTS = click.option(
    "--valid", multiple=True, metavar="FILE", help="Validation text; by default a share of FILE. Repeat for more."
)
VALID_PAIRS = click.option(
    "--valid",
    cls=FilesOption,
    multiple=True,
    metavar="SOURCE TARGET",
    help="Validation pairs, aligned files or one table as the data before it; by default a share of the data.",
)
VALID_SERIES = click.option(
    "--valid", type=INPUT_FILE, metavar="FILE", help="Series to validate on; by default the ends of those in FILE."
)
OUTPUT = (
    click.option("--out", required=True, type=_FOLDER, metavar="DIR", help="Where the trained model is saved."),
    click.option("--overwrite", is_flag=True, help="Replace a model that is saved there, or begin a run anew."),
    click.option(
        "--checkpoint-every",
        type=WHOLE,
        metavar="STEPS",
        help="Keep what `rekur resume` needs every so many steps; by default every few minutes.",
    ),
    click.option("--tensorboard", type=_FOLDER, metavar="DIR", help="Also write TensorBoard event files there."),
    click.option("--quiet", is_flag=True, help="Show no progress; warnings are still shown."),
    JSON,
)

START_FROM = click.option(
    "--from",
    "start_from",
    type=_FOLDER,
    metavar="BUNDLE",
    help="Start from a saved model: its features if their options are equal, and its weights where they fit.",
)

Decorator = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Files:
    """How the command line names the files of a kind of reading.

    Attributes:
        argument: the argument with the training files.
        columns: the options that say how they are read.
        valid: the option with the validation files of ``rekur fit``.
    """

    argument: Decorator
    columns: tuple[Decorator, ...]
    valid: Decorator


FILES_OF = {
    "items": Files(FILE, INPUT, VALID_ITEMS),
    "texts": Files(FILES, TEXTS, VALID_TEXTS),
    "pairs": Files(PAIR_FILES, PAIRS, VALID_PAIRS),
    "tables": Files(FILE, TABLES, VALID_SERIES),
}


def click_option(described: Option) -> click.Option:
    """Return the option of the command line; without it the estimator's default holds."""
    if bool in described.types:
        one_way: dict[str, Any] = {"is_flag": True, "flag_value": not described.default}
        both = {} if described.negative and described.default is not True else one_way
        return click.Option(
            [*described.flags(), described.name], default=None, help=described.flag_help or described.help, **both
        )
    types: dict[type, Any] = {int: WHOLE, float: NUMBER, str: str}
    kind: Any = next((types[each] for each in described.types if each in types), None)
    if described.choices:
        kind = click.Choice(described.choices)
    elif described.parse is not None:
        kind = Parsed("text", described.parse)
    return click.Option(
        [*described.flags(), described.name],
        type=kind,
        default=None,
        metavar=described.metavar or None,
        help=described.help,
    )


def shell_options(options: type) -> dict[str, Option]:
    """Return the options that the command line has, by name, with the members of options that hold several."""
    described: dict[str, Option] = {}
    for name, each in options_of(options).items():
        if each.members is not None:
            described |= options_of(each.members)
        elif each.shell:
            described[name] = each
    return described


class TaskCommand(click.Command):
    """A command whose ``--help`` has its options in groups.

    Args:
        row: the task.
        groups: heading -> parameters; those of the heading ``""`` are arguments.
        run: takes the row and the values; returns the exit code.
        help: what the command does.
    """

    def __init__(
        self, row: Row, groups: dict[str, list[click.Parameter]], run: Callable[[Row, dict[str, Any]], int], help: str
    ) -> None:
        params = [param for group in groups.values() for param in group]
        super().__init__(row.name, params=params, callback=lambda **values: run(row, values), help=help)
        self.groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section for each group."""
        last = list(self.groups)[-1]
        for title, params in self.groups.items():
            asked = self.get_help_option(ctx) if title == last else None
            records = [
                each.get_help_record(ctx)
                for each in (*params, *([asked] if asked else []))
                if isinstance(each, click.Option)
            ]
            if rows := [record for record in records if record is not None]:
                with formatter.section(f"{title.capitalize()} options"):
                    formatter.write_dl(rows)


class CatalogGroup(CheckedGroup):
    """A group with a command for each row of the catalog, which is made when it is asked for.

    Args:
        make: returns the command of a row.
        summary: returns what the command of a row does, in a sentence.
        more: as for click's group.
    """

    names = CATALOG

    def __init__(
        self, *args: Any, make: Callable[[Row], TaskCommand], summary: Callable[[Row], str], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.make, self.summary = make, summary

    def unknown(self, ctx: click.Context, word: str) -> str:
        """Return the message for a word that is no task; it names the tasks."""
        names = self.list_commands(ctx)
        fix = did_you_mean(word, names)
        if not fix and (word == "-" or any(mark in word for mark in "./*?") or os.path.exists(word)):
            fix = f"What is to be learned comes first: {ctx.command_path} {names[0]} {word} …"
        return describe("TASK", word, f"one of {', '.join(names)}", fix)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of the tasks, whose options are not imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summary(CATALOG[name])) for name in self.list_commands(ctx)])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the tasks that are whole."""
        return [row.name for row in CATALOG.values() if not row.preview]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a task."""
        return self.make(CATALOG[cmd_name]) if cmd_name in CATALOG else None


def task_command(
    row: Row, run: Callable[[Row, dict[str, Any]], int], help: str, *, data: Sequence[Decorator], **more: Any
) -> TaskCommand:
    """Return the command of a task with its options by group.

    Args:
        row: the task.
        run: takes the row and the values of the command; returns the exit code.
        help: what the command does.
        data: options of the command that stand with the data.
        more: group -> further options of the command, which stand at its end.
    """
    described, files = shell_options(row.options_class()), FILES_OF[row.reads]
    whole = row.reads == "items" and getattr(row.options_class()(), "label_type", "") != "tags"
    columns = (*files.columns, *((SPLIT_BY,) if whole else ()))
    groups = {"": parameters(files.argument), "data": parameters(*columns, *data)}
    for title in GROUPS:
        ours = [click_option(each) for each in described.values() if each.group == title]
        groups[title] = [*groups.get(title, []), *ours]
    for title, decorators in more.items():
        groups[title] = [*groups.get(title, []), *parameters(*decorators)]
    return TaskCommand(row, groups, run, help)


def parameters(*decorators: Decorator) -> list[click.Parameter]:
    """Return the parameters that click's decorators make."""

    def command() -> None:
        """Hold the parameters."""

    made: list[click.Parameter] = getattr(with_options(*decorators)(command), "__click_params__", [])
    return made[::-1]


def sentences(first: str, rest: str) -> str:
    """Return the help of a command: its first sentence, and what follows."""
    return f"{first}\n\n{inspect.cleandoc(rest)}".strip()


def take_files(row: Row, values: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Take the training and the validation files out of the values of a command."""
    valid = values.pop("valid") or ()
    valid = [valid] if isinstance(valid, str | Path) else valid
    files = [values.pop("file")] if "file" in values else values.pop("files")
    return [str(file) for file in files], [str(file) for file in valid]


def make_request(
    row: Row,
    files: list[str],
    valid: list[str],
    values: dict[str, Any],
    searched: Iterable[str] = (),
    flag: str = "--space",
    **kept: Any,
) -> Request:
    """Return the request of a training.

    Args:
        row: the task.
        files: the training files.
        valid: the validation files.
        values: columns, options of reading and options of the estimator; None for those that were not given.
        searched: options that a search varies, whose names are checked.
        flag: the option of the command that names them.
        kept: further attributes of the request.
    """
    described = options_of(row.options_class())
    columns: dict[str, Any] = {}
    set_here: dict[str, Any] = {}
    if row.reads == "texts":
        reading = split_texts(values)
        _check_names(searched, set(values), flag)
    else:
        columns, reading = split_input(values)
        _check_names(searched, set(values), flag)
        if row.reads == "pairs":
            _check_counts(row, files, valid)
        else:
            if row.reads == "items":
                need_columns(columns, Path(files[0]), row)
            if valid and "split_by" in columns:
                expected = "none beside --valid, as nothing is split. Leave one out"
                raise InputError(f"--split-by: got '{columns['split_by']}'; expected {expected}.")
            if len(valid) > 1:
                raise InputError(f"--valid: got {len(valid)} files; expected one. Put their rows together.")
            refuse_labels_between(row, reading)
        if "label_separator" in reading and "multi_label" in described:
            values["multi_label"] = True
        if "kind" in described:
            set_here["kind"] = _kind_of(columns, row)
    options = {**set_here, **estimator_options(row.options_class(), values)}
    return Request(task=row.name, files=files, valid=valid, columns=columns, reading=reading, options=options, **kept)


def _check_counts(row: Row, files: list[str], valid: list[str]) -> None:
    """Raise unless pairs are in one table or two files, in training and in validation."""
    if len(files) > 2:
        expected = "two aligned files, SOURCE TARGET, or one table"
        fix = "Put several files into one. Validation pairs stand behind --valid."
        raise InputError(f"SOURCE TARGET: got {len(files)} files ({', '.join(files)}); expected {expected}. {fix}")
    if valid and (len(valid) > 1) != (len(files) > 1):
        expected = "1, as there is one to train on" if len(files) == 1 else "2 or more, as there are two to train on"
        fix = f"Data come first: rekur fit {row.name} SOURCE TARGET --valid SOURCE TARGET"
        raise InputError(f"--valid: got {counted(len(valid), 'file')} ({', '.join(valid)}); expected {expected}. {fix}")


def _kind_of(columns: dict[str, Any], row: Row) -> str:
    """Return the kind of the items in these columns."""
    if row.reads == "pairs":
        return "text"
    options = row.options_class()
    if options.usual_columns and not any(columns.get(name) for name in ITEM_ROLES):
        return options.item_kind("text")
    from rekur.data import Columns

    return options.item_kind(Columns(**columns).kind)


def estimator_options(options: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return the estimator's options that were given on the command line."""
    chosen = {name: value for name, value in values.items() if value is not None}
    for name, each in options_of(options).items():
        if each.members is not None:
            members = options_of(each.members)
            chosen[name] = {member: chosen.pop(member) for member in members if member in chosen}
    return chosen


def read_ranges(texts: Iterable[str], flag: str, forms: str) -> dict[str, str]:
    """Return option -> range or choices, of texts such as ``NAME=A,B``.

    Args:
        texts: one for each option.
        flag: the option of the command that takes them.
        forms: their forms, for messages.
    """
    ranges: dict[str, str] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not name:
            raise InputError(f"{flag}: got '{text}'; expected {forms}.")
        if name in ranges:
            raise InputError(f"{flag}: got {name} twice; expected each option once. Leave one of them out.")
        ranges[name] = values.strip()
    return ranges


def _check_names(names: Iterable[str], allowed: Collection[str], flag: str) -> None:
    """Raise unless every searched option is one of ``rekur fit``, which repeats the best trial."""
    for name in names:
        if name not in allowed:
            hint = did_you_mean(name, allowed) or "To see them: rekur fit TASK --help"
            raise InputError(f"{flag}: got '{name}'; expected the name of an option of rekur fit. {hint}")
