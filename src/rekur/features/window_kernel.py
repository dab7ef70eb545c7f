"""The windows of live series on the compiled kernels: one at a time, the errors at earlier origins remembered.

Axes: T values of a series, S segments of the past, A of the horizon, D and E numbers of each, K candidates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur import _kernels
from rekur.features.plain_forecasts import BACKTESTS, PlainForecasts
from rekur.features.usual_levels import SMALL
from rekur.features.window_arrays import LARGEST_CANDIDATE, LARGEST_INPUT, WindowReader
from rekur.features.window_ridges import LARGEST_LOG, ROUNDING, SHARE


class ErrorMemory:
    """The errors of the candidates of one series at earlier origins, each made from earlier values alone.

    Args:
        slots: most origins.
        candidates: K.
    """

    __slots__ = ("errors", "origins")

    def __init__(self, slots: int, candidates: int) -> None:
        self.origins = np.full(slots, -1, np.int64)
        self.errors = np.zeros((slots, candidates))


class KernelWindows:
    """Makes the arrays of one window at a time, as :class:`rekur.features.window_arrays.WindowReader` does but for
    rounding.

    Args:
        reader: whose arrays they are; one that :func:`kernel_windows` takes.
    """

    def __init__(self, reader: WindowReader) -> None:
        plain = reader.plain
        self._kernel = _kernels.kernels.Windows(_described(reader))
        self._slots, self._candidates = self._kernel.slots, len(plain.names)
        numbers = reader.ahead_size + (reader.segment + 1) * self._candidates + reader.segment
        self._steps = reader.lookback // reader.segment, reader.size
        self._ahead = plain.horizon // reader.segment, numbers

    def memory(self) -> ErrorMemory:
        """Return the memory of a series, empty."""
        return ErrorMemory(self._slots, self._candidates)

    def read(
        self, values: NDArray[np.float64], end: int, group: int, memory: ErrorMemory
    ) -> tuple[dict[str, NDArray[np.float32]], float, float]:
        """Return the inputs ``steps`` (S, D) and ``ahead`` (A, E) of the window behind values, its level and its scale.

        Args:
            values: the last ones of a series, (T,), at least one of them there and among those the last one; the first
                is missing only before all others.
            end: number of the step behind them in the series.
            group: the number of its ridges; see :meth:`PlainForecasts.group_of`.
            memory: of the series.
        """
        steps, ahead, told = np.empty(self._steps, np.float32), np.empty(self._ahead, np.float32), np.empty(2)
        self._kernel.read(values, end, group, memory.origins, memory.errors, steps, ahead, told)
        level, scale = told.tolist()
        return {"steps": steps, "ahead": ahead}, level, scale


def kernel_windows(reader: WindowReader) -> KernelWindows | None:
    """Return what makes the windows of a reader on the kernels; None where these are missing, or it reads columns or
    the calendar."""
    more = reader.covariates
    reads_more = more is not None and bool(more.names or more.calendar_size)
    has_kernel = hasattr(_kernels.kernels, "Windows")
    return KernelWindows(reader) if has_kernel and not reads_more and not reader.plain.covered else None


def _described(reader: WindowReader) -> dict[str, Any]:
    """Return a reader as the kernels take it."""
    plain = reader.plain
    errors = np.array(plain.errors, np.float64).reshape(-1, len(plain.names)) if plain.errors else None
    return {
        "lookback": reader.lookback,
        "plain_lookback": plain.lookback,
        "horizon": plain.horizon,
        "segment": reader.segment,
        "season": plain.season,
        "between": plain.segment,
        "backtests": BACKTESTS if plain.beyond else 0,
        "periods": list(plain.periods or (1,)),
        "mean_first": 0,
        "mean_last": plain.last_of_all,
        "non_negative": plain.non_negative,
        "beyond": plain.beyond,
        "logs": reader.logs,
        "gaps": reader.gaps,
        "power": reader.power,
        "share": SHARE,
        "rounding": ROUNDING,
        "largest_log": LARGEST_LOG,
        "largest_input": LARGEST_INPUT,
        "largest_candidate": LARGEST_CANDIDATE,
        "small": SMALL,
        "channels": len(plain.levels),
        "levels": np.array(plain.levels, np.float64),
        "ridges": _ridges(plain),
        "usual_groups": 0 if errors is None else len(errors),
        "usual": errors,
    }


def _ridges(plain: PlainForecasts) -> list[dict[str, Any]]:
    return [
        {
            "log": ridge.scaling.log,
            "location": ridge.scaling.location,
            "divisor": ridge.scaling.divisor,
            "groups": len(ridge.weights),
            "steps": ridge.weights.shape[1],
            "weights": np.ascontiguousarray(ridge.weights, np.float32),
        }
        for ridge in plain.ridges
    ]
