"""Warnings about data, as lines on standard error: ``warning: …``, each once a command."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from rekur.errors import DataWarning


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
