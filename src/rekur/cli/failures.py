"""Turns the exception that ended a command into one sentence and an exit code."""

from __future__ import annotations

from typing import NamedTuple

import click

from rekur.cli import interrupts
from rekur.cli.signals import stopped_code
from rekur.cli.wrong_use import sentence
from rekur.errors import InterruptedTraining, MissingDependencyError, RekurError, describe

_STOPPED = "stopped."


class Stopped(Exception):
    """Ctrl-C or SIGTERM came while a command ran."""


class Failure(NamedTuple):
    """The message and the exit code of a command that failed.

    Attributes:
        text: the sentence.
        code: the exit code.
        usage: how to use the command, printed above the sentence.
    """

    text: str
    code: int
    usage: str = ""


#: message above the traceback of a bug in Rekur
FAULT = Failure("this is a fault of Rekur's own, not of what was given. Please report it with the lines below.", 1)


def failure_of(error: BaseException) -> Failure | None:
    """Return the failure for an error; None for a bug in Rekur, whose traceback is shown."""
    if isinstance(error, Stopped | KeyboardInterrupt | click.Abort):
        return Failure(_STOPPED, stopped_code())
    if isinstance(error, InterruptedTraining):
        return Failure(str(error), stopped_code())
    broken = isinstance(error, MissingDependencyError) or not isinstance(error, RekurError | click.ClickException)
    if interrupts.interrupted() and broken:  # whatever it was that an interrupted import or callback made of it
        return Failure(_STOPPED, stopped_code())
    if isinstance(error, RekurError):
        return Failure(str(error), error.exit_code)
    if isinstance(error, click.ClickException):
        usage = error.ctx.get_usage() + "\n" if isinstance(error, click.UsageError) and error.ctx else ""
        return Failure(sentence(error), error.exit_code, usage)
    return _of_the_machine(error) or _of_the_input(error)


def _of_the_machine(error: BaseException) -> Failure | None:
    if _is_about_memory(error):
        fix = "use a smaller --batch-size, --hidden-size, --max-length or --chunk-length."
        return Failure(f"memory: the machine has not enough of it; {fix}", 1)
    if isinstance(error, OSError):
        thing = "a file or the system" if error.filename is None else str(error.filename)
        got = error.strerror or str(error) or type(error).__name__
        fix = "Check its name, its permissions and the disk."
        return Failure(describe(thing, got, "a path that can be used", fix), 2)
    if isinstance(error, ImportError):
        fix = "Install it again, with its whole error: python -c 'import NAME'."
        return Failure(describe(f"package '{error.name or 'unknown'}'", str(error), "a whole installation", fix), 3)
    return None


def _of_the_input(error: BaseException) -> Failure | None:
    """Return the failure for an error that extreme numbers, broken texts or deep nesting cause."""
    if isinstance(error, OverflowError):
        return Failure(f"a number: got one that is too large ({error}); expected one in 64 bits. Use a smaller one.", 2)
    if isinstance(error, RecursionError):
        return Failure("the input: got lists or objects that are nested too deeply; expected a flatter one.", 2)
    if isinstance(error, UnicodeError):
        return Failure(f"a text: got one that is no Unicode ({error}); expected text in utf-8.", 2)
    return None


def _is_about_memory(error: BaseException) -> bool:
    """Return whether the machine or a device has too little of it; PyTorch raises a plain RuntimeError for it."""
    words = ("out of memory", "allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )
