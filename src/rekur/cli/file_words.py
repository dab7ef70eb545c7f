"""Words that name files of pairs: those behind the first of aligned files, and options that take several files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import click

from rekur.errors import describe


class FilesOption(click.Option):
    """An option that takes all files behind it, once the arguments of its command stand before it."""


class AlignedFiles(click.Argument):
    """The files that are aligned with the first, and stand directly behind it."""


def apart(command: click.Command, values: Mapping[str, Any], words: Sequence[str]) -> str | None:
    """Return a word that was taken for one of several aligned files but stands behind an option; else None.

    Args:
        command: the command.
        values: of its parameters, as texts.
        words: that follow its name.
    """
    pairs, first = set(itertools.pairwise(words)), None
    for param in command.params:
        value: Any = values.get(str(param.name))
        if isinstance(param, AlignedFiles) and isinstance(value, list | tuple):
            behind = itertools.pairwise([first, *value])
            return next((word for pair in behind if pair not in pairs for word in pair[1:]), None)
        first = value if isinstance(param, click.Argument) else first
    return None


def spread(context: click.Context, command: click.Command, words: Sequence[str]) -> list[str]:
    """Return the words of a command with such an option repeated before each of its files.

    Args:
        context: of the command, for errors.
        command: the command.
        words: that follow its name.

    Raises:
        UsageError: such an option stands before the data of a command that takes any number of them, or between them;
            or an option is unknown.
    """
    options = [param for param in command.params if isinstance(param, click.Option)]
    valued = {name for option in options if not (option.is_flag or option.count) for name in option.opts}
    named = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    spreading = {name for option in options if isinstance(option, FilesOption) for name in option.opts}
    if not spreading or context.resilient_parsing:
        return list(words)
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    has_data = any(argument.nargs == -1 for argument in arguments)
    result: list[str] = []
    rest, count, spread_last, unknown = list(words), 0, "", ""
    while rest:
        word = rest.pop(0)
        name = word.partition("=")[0]
        if word == "--":
            return [*result, word, *rest]
        result.append(word)
        if word in valued and rest:
            result.append(rest.pop(0))
        elif word not in valued and not _is_option(word):
            if spread_last and has_data:
                if unknown:  # the word is most likely its value
                    raise click.NoSuchOption(unknown, ctx=context)
                expected = f"all data before {spread_last}"
                raise click.UsageError(describe("argument", word, expected), context)
            count += 1
        if word.startswith("--") and name not in named:
            unknown = name
        if name not in spreading:
            continue
        if has_data and not count:
            fix = f"Data come first: {context.command_path} SOURCE TARGET {name} SOURCE TARGET"
            raise click.UsageError(describe(name, result[-1], "the data before it", fix), context)
        spread_last = name
        while rest and not _is_option(rest[0]) and count >= len(arguments):
            result += [name, rest.pop(0)]
    return result


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"
