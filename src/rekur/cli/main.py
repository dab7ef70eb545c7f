"""The entrance: what ``rekur`` and ``python -m rekur`` begin with.

Until Ctrl-C is watched for, nothing is imported that takes time; the commands are in ``rekur.cli.app``.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rekur.cli.app import COMMANDS, app, main

__all__ = ["COMMANDS", "app", "main", "run"]


def __getattr__(name: str) -> Any:
    if name in ("COMMANDS", "app", "main"):
        from rekur.cli import app

        return getattr(app, name)
    raise AttributeError(f"module 'rekur.cli.main' has no attribute '{name}'")


def run() -> None:
    """Run the command line of this process, and end the process with its exit code."""
    try:
        from rekur.cli import interrupts

        interrupts.watch()
        from rekur.cli import streams

        streams.replace()
        from rekur.cli.app import main
        from rekur.cli.signals import ignore_to_the_end

        ignore_to_the_end()
        code = interrupts.end(main())
    except BaseException as error:  # before a command ran, or a second Ctrl-C while the first was told
        from rekur.cli import interrupts

        if not isinstance(error, KeyboardInterrupt) and not interrupts.interrupted():
            raise
        code = interrupts.tell()
    sys.exit(code)
