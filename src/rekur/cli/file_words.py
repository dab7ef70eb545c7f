"""Words that name files of pairs: the second of two aligned files, and options that take as many files as there are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import click

from rekur.errors import describe


class FilesOption(click.Option):
    """An option that may be followed by as many words as there are data files before it."""


class AlignedFile(click.Argument):
    """The second of two aligned files, which stands directly behind the first."""


def apart(command: click.Command, values: Mapping[str, Any], words: Sequence[str]) -> str | None:
    """Return a word that was taken for the second of two aligned files but stands behind an option; else None.

    Args:
        command: the command.
        values: of its parameters, as texts.
        words: that follow its name.
    """
    first: Any = None
    for param in command.params:
        value = values.get(str(param.name))
        if isinstance(param, AlignedFile) and isinstance(value, str):
            is_behind = any(pair == (first, value) for pair in itertools.pairwise(words))
            return None if is_behind else value
        first = value if isinstance(param, click.Argument) else first
    return None


def spread(context: click.Context, command: click.Command, words: Sequence[str]) -> list[str]:
    """Return the words of a command with such an option repeated before each of its files.

    Args:
        context: of the command, for errors.
        command: the command.
        words: that follow its name.

    Raises:
        UsageError: such an option stands before the data, which say how many files it takes.
    """
    options = [param for param in command.params if isinstance(param, click.Option)]
    valued = {name for option in options if not (option.is_flag or option.count) for name in option.opts}
    spreading = {name for option in options if isinstance(option, FilesOption) for name in option.opts}
    if not spreading or context.resilient_parsing:
        return list(words)
    result: list[str] = []
    files, taken = 0, dict.fromkeys(spreading, 0)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name = word.partition("=")[0]
        if word == "--":
            return [*result, word, *rest]
        result.append(word)
        if word in valued and rest:
            result.append(rest.pop(0))
        elif word not in valued and not _is_option(word):
            if count := max(taken.values()):
                expected = f"all data before {' and '.join(taken)}, which takes as many files (here {count})"
                raise click.UsageError(describe("argument", word, expected), context)
            files += 1
        if name in spreading:
            if not files:
                fix = f"Data come first: {context.command_path} SOURCE TARGET {name} SOURCE TARGET"
                raise click.UsageError(describe(name, result[-1], "the data before it", fix), context)
            taken[name] += 1
            while rest and not _is_option(rest[0]) and taken[name] < files:
                result += [name, rest.pop(0)]
                taken[name] += 1
    return result


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"
