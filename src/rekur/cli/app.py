"""The commands: ``rekur COMMAND``. Results go to standard output, everything else to standard error.

Exit codes: 0 done, 1 failed, 2 wrong use or bad input, 3 a package is missing, 4 training diverged, 130 stopped by
Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
"""

from __future__ import annotations

import importlib
import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from rekur._version import __version__
from rekur.cli import interrupts
from rekur.cli.failures import FAULT, Failure, Stopped, failure_of
from rekur.cli.signals import ending_in_good_order, true_code
from rekur.cli.streams import ReaderGone, give_up
from rekur.cli.wrong_use import CheckedGroup
from rekur.errors import DataWarning, did_you_mean

#: every command and the module that holds it; a module is imported when its command is asked for
COMMANDS = {
    "fit": "Train a model from files of sequences or of text.",
    "resume": "Go on with a training that was stopped.",
    "tune": "Try many options of a task and keep the best model.",
    "compare": "Train several cells or options with equal budgets, and say which is better.",
    "evaluate": "Score a saved model on a file with labels, or on text.",
    "predict": "Give every item of a file its prediction.",
    "translate": "Write a text for each line of standard input.",
    "stream": "Run a saved model live, one event a line.",
    "generate": "Let a language model write.",
    "score": "Give the log-probability of texts.",
    "program": "Show what a saved model does at each step, with sizes and costs.",
    "check": "Prove on a saved model and your data that it runs as it should.",
    "quantize": "Make the weights of a saved model smaller, and show what that loses.",
    "export": "Write a saved model in a form that runs without Rekur.",
    "data": "Describe a file before training on it.",
    "cells": "List the recurrent cells with equations and costs.",
    "doctor": "Show what is installed and which paths will be used.",
    "completion": "Print what makes a shell complete rekur's commands.",
}


class _Commands(CheckedGroup):
    """A group whose commands are imported one by one, and which suggests the nearest name."""

    names = COMMANDS

    def make_context(self, *words: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*words, **more)
        except KeyboardInterrupt as error:  # click would write an empty line
            raise Stopped from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:  # the same
            raise Stopped from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"rekur.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def unknown(self, ctx: click.Context, word: str) -> str:
        hint = did_you_mean(word, COMMANDS) or f"The commands are {', '.join(COMMANDS)}."
        return f"command: got '{word}'; expected one of rekur's commands. {hint}"


@click.command(cls=_Commands, name="rekur", no_args_is_help=True)
@click.version_option(__version__, prog_name="rekur")
def app() -> None:
    """Recurrent networks, from a file of sequences to a model that runs live.

    \b
    rekur data reviews.csv --text review --label stars
    rekur fit classify reviews.csv --text review --label stars --out runs/reviews
    rekur evaluate runs/reviews test.csv
    rekur stream runs/reviews

    \b
    rekur fit tag entities.conll --out runs/entities
    rekur predict runs/entities new.txt

    \b
    rekur fit translate train.en train.fr --valid val.en val.fr --out runs/en-fr
    rekur translate runs/en-fr < new.en

    \b
    rekur fit language book.txt --time-limit 20m --out runs/book
    rekur generate runs/book --prompt "It was"
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a traceback is shown only for a fault of Rekur's own."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter shows its number
    try:
        with ending_in_good_order(), warnings_as_lines():
            code = app.main(words, prog_name="rekur", standalone_mode=False, obj=words)
            sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except ReaderGone:
        return true_code(0)
    except (Exception, KeyboardInterrupt) as error:
        interrupts.begin_end()
        failure = failure_of(error)
        _tell(failure or FAULT, as_json="--json" in words)
        if failure is None:
            raise
        return failure.code
    return true_code(int(code or 0))


def _tell(failure: Failure, *, as_json: bool) -> None:
    click.echo(f"{failure.usage}rekur: {failure.text}", err=True)
    try:
        if as_json:
            from rekur.cli import show

            show.as_json({"error": failure.text, "exit_code": failure.code})
        sys.stdout.flush()
    except OSError:  # it is told above, and standard output may be what failed
        give_up()


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show what readers of data warn of as lines for a person; other warnings stay as they are."""
    shown: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        others = warnings.showwarning

        def show(message: Any, category: Any, *rest: Any, **more: Any) -> None:
            text = str(message)
            if not issubclass(category, DataWarning):
                others(message, category, *rest, **more)
            elif text not in shown and not _is_told_elsewhere():
                shown.add(text)
                click.echo(f"warning: {text}", err=True)

        warnings.showwarning = show
        yield


def _is_told_elsewhere() -> bool:
    """Return whether this is one of several processes that train together, and not the first."""
    world = sys.modules.get("rekur.train.world")  # imported by what trains
    return world is not None and world.current().rank > 0
