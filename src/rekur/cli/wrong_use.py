"""Wrong use of the command line, told in the form of all other messages.

The words of a command are checked before click converts them: dashes that are not hyphens, options that are repeated,
an option in place of a value, empty paths, a file in place of the bundle, superfluous words, unknown choices. Click's
own errors are put into the same form, with an example of the command.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rekur.cli.file_words import AlignedFiles, apart, spread
from rekur.errors import describe, did_you_mean

#: characters that look like a hyphen; phones and word processors write them in place of ``--``
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"

_LEADING = re.compile(f"[-{DASHES}]+")
_HYPHENS = re.compile(f"[_{DASHES}]")
_PATH_TYPES = ("file", "path", "directory")
_PATHS = ("FILE", "TARGET", "SOURCE TARGET", "DIR", "HTML", "BUNDLE")
_EXPECTED = {
    "BUNDLE": "the folder of a saved model",
    "DIR": "the path of a folder",
    "FILE": "the path of a file",
    "SOURCE TARGET": "two aligned files, or one table",
    "HTML": "the path of a file",
    "TIME": "a duration such as 90s, 3m or 1h",
    "COL": "the name of a column",
    "INTEGER": "a whole number",
    "FLOAT": "a number",
}

Values = Mapping[str, Any]


def check_words(parent: click.Context, name: str, command: click.Command, words: Sequence[str]) -> None:
    """Raise for words that click would accept without effect, or would refuse without a fix.

    Args:
        parent: the context of the group that holds the command.
        name: the name of the command.
        command: the command; of a group nothing is checked.
        words: the words that follow its name.

    Raises:
        UsageError: a word is wrong; the message says which and why.
    """
    if parent.resilient_parsing or isinstance(command, click.Group):
        return
    context = click.Context(command, parent=parent, info_name=name)
    try:
        values, rest, order = command.make_parser(context).parse_args(list(words))
    except click.NoSuchOption as error:
        raise click.UsageError(_no_such_option(context, _word_of(error.option_name, words)), context) from None
    except click.BadOptionUsage as error:
        raise click.UsageError(_bad_usage(context, error.option_name), context) from None
    asked = command.get_help_option(context)
    if asked is not None and asked.name in values:
        return
    _check_dashes(context, values, rest)
    _check_repeats(context, order, words)
    _check_values(context, values, words)
    _check_bundle(context, values, words)
    if (word := apart(command, values, words)) is not None:
        raise click.UsageError(_superfluous(context, word, words, is_apart=True), context)
    if rest:
        raise click.UsageError(_superfluous(context, rest[0], words), context)


class CheckedGroup(click.Group):
    """A group that checks the words of its commands, and names them where it does not know one.

    Attributes:
        names: of its commands.
    """

    names: Collection[str]

    def unknown(self, ctx: click.Context, word: str) -> str:
        """Return the message for a word that is no command."""
        raise NotImplementedError

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the command and its words."""
        # a hyphen alone names standard input, and is no option
        if args and (args[0] == "-" or not args[0].startswith("-")) and args[0] not in self.names:
            refuse_dash(ctx, args[0])
            raise click.UsageError(self.unknown(ctx, args[0]), ctx)
        name, command, words = super().resolve_command(ctx, args)
        if name is not None and command is not None:
            words = spread(click.Context(command, parent=ctx, info_name=name), command, words)
            check_words(ctx, name, command, words)
        return name, command, words


def refuse_dash(context: click.Context, word: str) -> None:
    """Raise if a word in place of a command or a file begins with a dash that is not a hyphen."""
    if not word or word[0] not in DASHES or os.path.exists(word):
        return
    if not _LEADING.sub("", word, count=1):
        raise click.UsageError(
            describe("file", word, "a file, or a hyphen for standard input", "Write a hyphen: -"), context
        )
    raise click.UsageError(_no_such_option(context, word), context)


def sentence(error: click.ClickException) -> str:
    """Return the message of an error of click's."""
    if isinstance(error, click.BadParameter) and error.message.startswith("got "):
        return f"{error.param_hint or ('' if error.param is None else _label(error.param))}: {error.message}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return error.format_message()
    if isinstance(error, click.NoSuchOption):
        return _no_such_option(context, error.option_name)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return _nothing(context, error.param)
    if isinstance(error, click.BadOptionUsage):
        return _bad_usage(context, error.option_name)
    if error.message == "Missing command." and isinstance(context.command, click.Group):
        names = ", ".join(context.command.list_commands(context))
        return f"{context.command_path}: got nothing after it; expected one of {names}."
    return error.format_message()


def _check_dashes(context: click.Context, values: Values, rest: Sequence[str]) -> None:
    positional = [text for param in _arguments(context) for text in _texts(values.get(str(param.name)))]
    for word in (*positional, *rest):
        refuse_dash(context, word)


def _check_repeats(context: click.Context, order: Sequence[Any], words: Sequence[str]) -> None:
    """Raise for an option that is repeated though its last value alone would count."""
    for param, count in Counter(order).items():
        if count < 2 or not isinstance(param, click.Option) or param.multiple or param.count:
            continue
        names = (*param.opts, *param.secondary_opts)
        pairs = [
            (name, value if equals else following)
            for (name, equals, value), following in zip(
                (word.partition("=") for word in words), [*words[1:], ""], strict=True
            )
            if name in names
        ]
        options = list(dict.fromkeys(name for name, _ in pairs))
        if len(options) > 1:
            raise click.UsageError(f"{' and '.join(options)}: got both; expected one of them.", context)
        got = f"{count} times" if param.is_flag else " and ".join(_shown(value) for _, value in pairs[:3])
        raise click.UsageError(f"{_label(param)}: got {got}; expected it once. Leave the others out.", context)


def _check_values(context: click.Context, values: Values, words: Sequence[str]) -> None:
    """Raise for an empty path, for an option in place of a value, and for a choice that does not exist."""
    names = _option_names(context.command)
    for param in context.command.params:
        for text in _texts(values.get(str(param.name))):
            if not text and _is_path(param):
                raise click.UsageError(_nothing(context, param), context)
            if isinstance(param, click.Option) and not param.is_flag and text in names:
                label = next((name for name in param.opts if f"{name}={text}" in words), "")
                if not label:
                    fix = f"If it is the value: {_label(param)}={text}"
                    expected = f"{_expected(param)}, not an option"
                    raise click.UsageError(describe(_label(param), text, expected, fix), context)
            if isinstance(param.type, click.Choice) and text not in param.type.choices:
                fix = did_you_mean(text, param.type.choices)
                raise click.UsageError(describe(_label(param), text, _expected(param), fix), context)


def _check_bundle(context: click.Context, values: Values, words: Sequence[str]) -> None:
    """Raise for a file in place of the bundle, and for a file and a bundle that are swapped."""
    bundle = values.get("bundle")
    if not isinstance(bundle, str) or not any(param.name == "bundle" for param in _arguments(context)):
        return
    if _is_bundle(bundle):
        return
    files = [text for name in ("file", "files", "data") for text in _texts(values.get(name))]
    other = next((file for file in files if _is_bundle(file)), "")
    if not other and not _is_data(bundle):
        return
    expected = f"the folder of a saved model{', not a file' if os.path.isfile(bundle) else ''}"
    fix = _example(context)
    if other:
        swap = {bundle: other, other: bundle}
        fix = f"The bundle comes first: {_line(context, [swap.get(word, word) for word in words])}"
    elif any(param.name in ("file", "files") for param in _arguments(context)):
        fix = f"The bundle comes first: {_line(context, ['BUNDLE', bundle])}"
    raise click.UsageError(describe("BUNDLE", bundle, expected, fix), context)


def _is_bundle(path: str) -> bool:
    return os.path.isfile(os.path.join(path, "config.json"))


def _is_data(path: str) -> bool:
    """Return whether a path names standard input, or a file that is no part of a saved model, nor a pickle."""
    if path == "-":
        return True
    if not os.path.isfile(path) or _is_bundle(os.path.dirname(path)):
        return False
    from rekur.data.files import ENDINGS
    from rekur.data.inputs import PACKED
    from rekur.runtime.bundle import is_pickle

    return Path(path).suffix.lower() in (*ENDINGS, *PACKED) or not is_pickle(Path(path))


def _superfluous(context: click.Context, word: str, words: Sequence[str], *, is_apart: bool = False) -> str:
    """Return the message for a word that no argument of a command takes, or that stands apart from the first file."""
    labels = [_label(param) for param in _arguments(context) if not (is_apart and isinstance(param, AlignedFiles))]
    expected = f"no more than {' and '.join(labels)}" if labels else "options alone"
    position = list(words).index(word) if word in words else 0
    first = next((number for number in range(position, -1, -1) if words[number].startswith("-")), position)
    name, equals, _ = words[first].partition("=")
    option = next((p for p in context.command.params if isinstance(p, click.Option) and name in p.opts), None)
    fix = _example(context)
    if option is not None and not option.is_flag and not equals and position - first > 1:
        value = words[first + 1]
        if option.multiple:
            fix = f"For several values repeat the option: {name} {shlex.quote(value)} {name} {shlex.quote(word)}"
        else:
            fix = f"A value with blanks stands in quotes: {name} {shlex.quote(f'{value} {word}')}"
    return describe("argument", word, expected, fix)


def _no_such_option(context: click.Context, word: str) -> str:
    name = word.partition("=")[0]
    names = _option_names(context.command)
    plain = f"--{_HYPHENS.sub('-', _LEADING.sub('', name, count=1))}"
    if plain in names:
        fix = "" if name.startswith("--") else f"Options begin with two hyphens: {plain}"
        return describe("option", name, f"an option of '{context.command_path}'", fix or f"Did you mean '{plain}'?")
    fix = did_you_mean(plain, names)
    if commands := [f"'{path}'" for path, options in _relatives(context) if plain in options]:
        fix = f"It is an option of {' and '.join(commands)}."
    return describe("option", name, f"an option of '{context.command_path}'", fix)


def _relatives(context: click.Context) -> Iterator[tuple[str, list[str]]]:
    """Yield path and options of the commands of a group, or of the other commands of the same group."""
    above = context if isinstance(context.command, click.Group) else context.parent
    # the commands of rekur itself are not all imported for a suggestion
    if above is not None and above.parent is not None and isinstance(above.command, click.Group):
        for name in above.command.list_commands(above):
            command = above.command.get_command(above, name)
            if command is not None and name != context.command.name:
                yield f"{above.command_path} {name}", _option_names(command)


def _bad_usage(context: click.Context, name: str) -> str:
    """Return the message for an option without the value that it takes, or with a value that it does not take."""
    param = next((p for p in context.command.params if name in (*p.opts, *p.secondary_opts)), None)
    if param is None or getattr(param, "is_flag", False):
        return f"{name}: got a value; expected none."
    return _nothing(context, param)


def _nothing(context: click.Context, param: click.Parameter) -> str:
    """Return the message for a parameter that is missing or empty."""
    fix = _example(context, _label(param) if isinstance(param, click.Option) else "")
    return f"{_label(param)}: got nothing; expected {_expected(param)}. {fix}".rstrip()


def _example(context: click.Context, option: str = "") -> str:
    """Return an example of a command from its help, if there is one with the option that."""
    path = context.command_path
    lines = [line.strip() for line in (context.command.help or "").splitlines()]
    lines = [line for line in lines if f"{line} ".startswith(f"{path} ") and not line.endswith("\\")]
    lines.sort(key=lambda line: option not in line.split())
    return f"For example: {lines[0]}" if lines else ""


def _line(context: click.Context, words: Sequence[str]) -> str:
    return f"{context.command_path} {shlex.join(words)}"


def _label(param: click.Parameter) -> str:
    """Return the name of a parameter in messages: its longest spelling, or the word in the usage."""
    if isinstance(param, click.Argument):
        return param.human_readable_name.strip("[].")
    return max(param.opts, key=len)


def _expected(param: click.Parameter) -> str:
    if isinstance(param.type, click.Choice):
        return "one of " + ", ".join(f"'{choice}'" for choice in param.type.choices)
    name = (param.metavar or "").strip("[].")
    if isinstance(param, click.Argument):
        name = _label(param)
    kind = param.type.name.upper()
    return _EXPECTED.get(name) or _EXPECTED.get(kind) or ("the path of a file" if _is_path(param) else "a value")


def _is_path(param: click.Parameter) -> bool:
    name = _label(param) if isinstance(param, click.Argument) else param.metavar
    return param.type.name in _PATH_TYPES or name in _PATHS


def _arguments(context: click.Context) -> list[click.Argument]:
    return [param for param in context.command.params if isinstance(param, click.Argument)]


def _option_names(command: click.Command) -> list[str]:
    options = [param for param in command.params if isinstance(param, click.Option)]
    return [*(name for option in options for name in (*option.opts, *option.secondary_opts)), "--help"]


def _texts(value: Any) -> list[str]:
    """Return the texts that were given for a parameter."""
    values = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return [text for text in values if isinstance(text, str)]


def _shown(value: str) -> str:
    """Return a value in quotes, cut and without control characters, as messages show it."""
    short = value if len(value) <= 40 else f"{value[:39]}…"
    return describe("", short, "").removeprefix(": got ").removesuffix("; expected .")


def _word_of(name: str, words: Sequence[str]) -> str:
    """Return the word in which an unknown option was seen; of ``-epochs`` click names ``-e`` alone."""
    exact = (word for word in words if word.partition("=")[0] == name)
    return next(exact, None) or next((word for word in words if word.startswith(name)), name)
