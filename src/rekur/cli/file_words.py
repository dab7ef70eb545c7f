"""Options that take as many files as the command has data files: ``a b --valid c d`` is ``--valid c --valid d``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rekur.errors import describe


class FilesOption(click.Option):
    """An option that may be followed by as many words as there are data files before it."""


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
