"""Tasks that are previews: the commands that cannot run their models yet."""

from __future__ import annotations

from pathlib import Path

from rekur.errors import InputError, describe
from rekur.tasks.catalog import CATALOG


def refuse_preview(bundle: Path, command: str) -> None:
    """Raise if a bundle holds a model of a task that is a preview, which a command cannot run yet.

    Args:
        bundle: the folder of the bundle.
        command: the name of the command.

    Raises:
        InputError: the message names the commands that can.
    """
    from rekur.runtime import read_bundle

    task = read_bundle(bundle).config["task"]
    if task in CATALOG and CATALOG[task].preview:
        expected = f"one of another task, since `rekur {command}` cannot run a preview yet"
        fix = f"To use it: rekur predict {bundle} FILE"
        raise InputError(describe("bundle", f"a model of the task {task}", expected, fix))
