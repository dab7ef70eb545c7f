"""Write docs/reference/command-line.md from the commands themselves: ``python docs/_tools/command_line.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from rekur.cli.fit_options import TaskCommand
from rekur.cli.main import app

PAGE = Path(__file__).parents[1] / "reference" / "command-line.md"
HEAD = """# The command line

Every command says what it takes with `--help`. Results go to standard output, everything else to standard error;
`--json` prints results that a program can read: valid JSON in UTF-8 whatever the console's encoding, null for what is
no number, and on failure one object with `error` and `exit_code`. CSV is UTF-8 too. A reader that goes away, as `head`
does, is no failure; results that cannot be written, as on a full disk, are one.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | wrong use, or a file that cannot be used or written |
| 3 | a package is missing or its installation is broken; the message says how to get it |
| 4 | training diverged and could not be rescued |
| 130 | stopped by Ctrl-C, never 0; a model in training is saved as it was best |
| 143, 129 | stopped by SIGTERM, or by SIGHUP, which a closed terminal sends; a model in training is saved too |

No command replaces a file that Rekur did not write, or one that it reads. If `--out` cannot be used any more at the
end of `fit` or `quantize`, the model is saved beside it as `DIR-1`, a line says where, and the exit code is 2.
"""


def page() -> str:
    """Return the whole page."""
    context = click.Context(app, info_name="rekur")
    parts = [HEAD]
    for command, inner in _commands(app, context):
        parts += _sections(command, inner)
    return "\n".join(parts)


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield each command of a group with a context that knows its whole name."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield command, click.Context(command, context, info_name=name)


def _sections(command: click.Command, context: click.Context) -> list[str]:
    parts = [_section(command, context)]
    if isinstance(command, click.Group):
        for inner, inner_context in _commands(command, context):
            parts += _sections(inner, inner_context)
    return parts


def _section(command: click.Command, context: click.Context) -> str:
    """Return a command's heading, help, examples and tables of options."""
    text, _, examples = inspect.cleandoc(command.help or "").partition("\n\b\n")
    depth = "##" if context.parent is None or context.parent.parent is None else "###"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"{depth} {context.command_path}", "", f"`{usage}`", "", text.strip(), ""]
    if examples:
        lines += ["```sh", examples.replace("\\\\", "\\").strip(), "```", ""]
    groups = command.groups if isinstance(command, TaskCommand) else {"": command.params}
    for title, params in groups.items():
        rows = [option.get_help_record(context) for option in params if isinstance(option, click.Option)]
        if shown := [row for row in rows if row is not None]:
            lines += [f"| {title} option".replace("  ", " ") + " | meaning |", "| --- | --- |"]
            lines += [f"| `{_cell(name)}` | {_cell(meaning)} |" for name, meaning in shown]
            lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
