"""Warnings about data, as lines on standard error: ``warning: …``, each once a command."""

from __future__ import annotations

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
            elif text not in shown:
                shown.add(text)
                click.echo(f"warning: {text}", err=True)

        warnings.showwarning = show
        yield
