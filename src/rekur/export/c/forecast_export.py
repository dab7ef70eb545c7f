"""A forecaster as C99: its sources, its report, and how far it is from the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rekur._history import History
from rekur.export.c.constants import Array, Constants
from rekur.export.c.forecast import Forecasting, lower_forecasts
from rekur.export.c.forecast_history import HISTORY, Ends, ends_of
from rekur.export.c.forecast_main import forecast_main
from rekur.export.c.forecast_readme import forecast_readme
from rekur.export.c.forecast_trial import expected_quantiles, pushed_quantiles, trial_windows
from rekur.export.c.forecast_write import buffer_bytes, header, multiply_adds, source, state_bytes
from rekur.export.c.readme import makefile
from rekur.export.c.source import Style
from rekur.export.c.windows import Windows, add_constants, check_windows
from rekur.export.difference import differences
from rekur.program import ForecastEngine, Program


@dataclass(frozen=True)
class ForecastExport:
    """The export of a forecaster before it is written.

    Attributes:
        lowered: its network.
        windows: what makes its windows.
        tables: the C code of the tables of plain forecasts.
        ends: of training series, as lines for main.c.
    """

    lowered: Forecasting
    windows: Windows
    tables: str
    ends: Ends

    @classmethod
    def of(
        cls,
        program: Program,
        weights: Mapping[str, Array],
        features: Any,
        target: Any,
        style: Style,
        histories: Sequence[History] = (),
    ) -> ForecastExport:
        """Return the export of a saved model, and of the ends of series that it keeps.

        Raises:
            NotStreamableError: the model reads the calendar by a named time zone.
            InputError: it is too large, or in fixed point.
        """
        windows, constants = Windows(features, target), Constants()
        check_windows(windows)
        tables = add_constants(windows, constants)
        return cls(lower_forecasts(program, weights, style, constants), windows, tables, ends_of(windows, histories))

    @property
    def style(self) -> Style:
        """The form of the export."""
        return self.lowered.style

    @cached_property
    def sources(self) -> dict[str, str]:
        """File -> text."""
        name = self.style.name
        return {
            f"{name}.h": header(self.lowered, self.windows),
            f"{name}.c": source(self.lowered, self.windows, self.tables),
            "main.c": forecast_main(self.windows, name),
            "Makefile": makefile(name),
        } | ({HISTORY: self.ends.lines} if self.ends.lines else {})

    def sizes(self) -> dict[str, Any]:
        """Return what the report says of memory and time."""
        network, plain = multiply_adds(self.lowered, self.windows)
        return {
            "per_step": False,
            "delay": 0,
            "raw_input": "yes",
            "state_bytes": state_bytes(self.windows),
            "buffer_bytes": buffer_bytes(self.lowered, self.windows),
            "output_bytes": 8 * self.windows.features.horizon * len(self.windows.target.levels),
            "multiply_adds_step": 0,
            "multiply_adds_read": network + plain,
            "multiply_adds_network": network,
            "multiply_adds_plain": plain,
        }

    def readme(self, report: dict[str, Any]) -> str:
        """Return the README.md."""
        return forecast_readme(report, self.windows, f"`{HISTORY}` {self.ends.told()}" if self.ends.lines else "")

    def differences(
        self, saved: tuple[Program, Mapping[str, Array]], reference: tuple[Program, Mapping[str, Array]], items: Any
    ) -> tuple[float, float, int]:
        """Return the largest differences of pushed series, in units of their scales, and how many were tried.

        Args:
            saved: the model and its weights.
            reference: the same in the precision of the export.
            items: windows beside those that are drawn.

        Returns:
            the difference from the reference, and from the model.
        """
        with_values = [each for each in items if np.count_nonzero(~np.isnan(each.past)) > 1]
        windows: Sequence[Any] = [*trial_windows(self.windows), *with_values]
        rows = self.pushed(windows, reference, saved)
        worst = [float(differences(rows[0], expected).max(initial=0)) for expected in rows[1:]]
        return worst[0], worst[1], len(windows)

    def pushed(self, windows: Sequence[Any], *models: tuple[Program, Mapping[str, Array]]) -> list[Array]:
        """Return what the compiled export forecasts, and what each of some models does, (N, H · Q), all in units of the
        level and the scale of each window.

        Args:
            windows: their values are pushed up to their ends.
            models: programs, each with its weights.
        """
        quantiles = [pushed_quantiles(self.sources, self.style.name, self.windows, windows)]
        engines = [ForecastEngine(*model) for model in models]
        expected = [expected_quantiles(self.windows, engine, windows) for engine in engines]
        level, scale = np.array(expected[0][1]).reshape(-1, 2).T[..., None]
        unit = np.where(scale > 0, scale, np.maximum(np.abs(level), 1.0))
        return [(rows.reshape(len(rows), -1) - level) / unit for rows in (*quantiles, *(each[0] for each in expected))]
