"""``rekur predict --plot``: some of the forecasts as a plot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.errors import InputError, describe, did_you_mean

#: forecasts that are drawn at most
MOST_DRAWN = 12

PLOT = (
    click.option(
        "--plot",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Of series: also draw forecasts, into a file that ends in .png, .svg or .html.",
    ),
    click.option(
        "--plot-series", multiple=True, metavar="NAME", help="A series that --plot draws; by default the first."
    ),
)


class ForecastPlot:
    """Takes forecasts as they are made, and draws those of the named series.

    Where a file was read, the last horizon in it is drawn too: its forecast, with what came true.

    Args:
        task: the model.
        path: the file to be written.
        names: of series; empty for the first.
        inputs: files that are read, which are never replaced.

    Raises:
        InputError: the model forecasts no series, or the file cannot be written.
        MissingDependencyError: Matplotlib is not there.
    """

    def __init__(self, task: Any, path: Path, names: Sequence[str], inputs: Iterable[Path]) -> None:
        from rekur.cli.saved import reads_tables

        if not reads_tables(task):
            raise InputError(f"--plot: got it; expected none for a model of the task {task.task}. It is for series.")
        _check.need("matplotlib", "train", "rekur predict --plot")
        from rekur.study.plot_file import check_plot

        files = list(inputs)
        check_plot(path, files)
        self._task, self._has_file = task, bool(files)
        self._path, self._names = path, list(dict.fromkeys(names))
        self._read: dict[str, int] = {}
        self._drawn: list[tuple[Any, Any]] = []

    def add(self, names: Sequence[str], outputs: Any, contexts: Sequence[Any]) -> None:
        """Take the outputs of windows with the names of their series and their contexts."""
        for name, each, context in zip(names, outputs, contexts, strict=True):
            self._names = self._names or [name]
            self._read[name] = self._read.get(name, 0) + 1
            if name in self._names and len(self._drawn) < MOST_DRAWN:
                self._drawn.append((each, context))

    def write(self) -> None:
        """Write the file.

        Raises:
            InputError: there is no series of a name.
        """
        from rekur.study.plot_file import write_plot

        for name in self._names:
            if name not in self._read:
                fix = did_you_mean(name, self._read)
                raise InputError(describe("--plot-series", name, "the name of a series that was forecast", fix))
        asked = sum(self._read[name] for name in self._names)
        target = self._task.target_
        fans = [
            target.fan(target.decode(*pair), pair[1])
            for each in self._drawn
            for pair in (*(self._earlier(each[1]["window"]) if self._has_file else ()), each)
        ]
        write_plot(self._path, f"Forecasts of {', '.join(self._names)}", fans)
        drawn = "" if asked <= MOST_DRAWN else f" The first {MOST_DRAWN} of {asked} forecasts are drawn."
        click.echo(f"Plot in {self._path}.{drawn}", err=True)

    def _earlier(self, window: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the outputs for the window a horizon earlier, and its context; nothing without a value behind it.

        Where newer rows continue a series of the bundle, it is not earlier than these.
        """
        import numpy as np

        origin = max(window.origin - self._task.target_.horizon, window.history.first_origin)
        earlier = replace(window, origin=max(origin, 0))
        if origin < window.origin and np.count_nonzero(~np.isnan(earlier.past)) > 1:
            steps, contexts = self._task.encode([earlier])
            yield from zip(self._task.outputs_of_items(steps, contexts), contexts, strict=True)
