"""Run a command in a child process, and start it again if the system kills it, for example for want of memory."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import click

from rekur._files import read_json_object
from rekur.cli.signals import HUNG_UP, TERMINATED, stopped_code

#: what to send a process that is to end in good order, by the exit code that this one ends with
_SIGNALS = {TERMINATED: signal.SIGTERM, HUNG_UP: getattr(signal, "SIGHUP", signal.SIGTERM)}
#: asks Linux for a signal when the parent has ended
_PARENT_DEATH = 1


def can_supervise() -> bool:
    """Return whether a process of its own can be started: not from one whose PyTorch may have threads already."""
    return hasattr(os, "fork") and "torch" not in sys.modules


def supervised(work: Callable[[], int], runs: Path | None) -> int:
    """Return the exit code of work in a process of its own.

    Work that the system killed is begun again as long as the killed process had begun a run, or had begun it again:
    the folder of the runs says how often each was begun.

    Args:
        work: goes on where it stopped, and gives each run up that was begun often enough.
        runs: the folder of its runs, each with a file ``run.json``; None where work cannot go on.
    """
    last: dict[str, int] = {}
    while True:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        process = os.fork()
        if not process:
            _leave_group()
            return work()
        with _stopping_together(process):
            code = _wait(process)
        if code >= 0:
            return code
        running = _running(runs)
        killed = f"was killed by signal {-code}, as the system does where memory runs out"
        if runs is None or not running or running == last:
            fix = "Use a smaller --batch-size or --hidden-size."
            more = "" if runs else " With --out DIR, the others could go on."
            click.echo(f"rekur: the process of the runs {killed}. {fix}{more}", err=True)
            return 1
        names = ", ".join(running)
        click.echo(f"{names}: the process {killed}; all others go on, and it is begun once more at most.", err=True)
        last = running


def _leave_group() -> None:
    """Take no Ctrl-C of the terminal, which the parent passes on, and end with the parent."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGTERM)


@contextmanager
def _stopping_together(process: int) -> Iterator[None]:
    """Let Ctrl-Z stop the group of a child too, and what continues this process continue it, for a ``with`` block."""

    def stop(number: int, frame: FrameType | None) -> None:
        _tell_group(process, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)  # it returns when this process is continued
        _tell_group(process, signal.SIGCONT)

    number = getattr(signal, "SIGTSTP", None)
    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if number is None or not is_main or signal.getsignal(number) != signal.SIG_DFL:
        yield
        return
    signal.signal(number, stop)
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL)


def _tell_group(process: int, number: int) -> None:
    """Send a signal to the group of a child; to the child alone where it has none of its own yet."""
    with suppress(ProcessLookupError):
        if os.getpgid(process) == process:
            os.killpg(process, number)
        else:
            os.kill(process, number)


def _wait(process: int) -> int:
    """Return the exit code of a process, below 0 for a signal; what asks this process to end asks that one too."""
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        except KeyboardInterrupt:
            with suppress(ProcessLookupError):
                os.kill(process, _SIGNALS.get(stopped_code(), signal.SIGINT))


def _running(runs: Path | None) -> dict[str, int]:
    """Return folder -> how often it was begun, of the runs that were not ended."""
    files = [] if runs is None else sorted(runs.glob("*/run.json"))
    saved = {file.parent.name: read_json_object(file) for file in files}
    return {name: int(run.get("attempt", 0)) for name, run in saved.items() if run.get("state") == "running"}
