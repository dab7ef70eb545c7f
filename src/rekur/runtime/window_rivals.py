"""Plain forecasts beside a model; no PyTorch.

Axes: N windows, H steps of the horizon, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from rekur._tensors import Array
from rekur.data import EncodedItems
from rekur.features.windows import end_of
from rekur.runtime.rival import Rival
from rekur.targets import Target
from rekur.targets.distribution import DistributionTarget


class NaiveRival(Rival):
    """The values of one season before; quantiles are those of its errors in the history.

    Args:
        period: steps of the season; 1 repeats the last value.
        target: of the network.
    """

    kind = "naive"

    def __init__(self, period: int, target: DistributionTarget) -> None:
        self.name = f"seasonal naive {period}" if period > 1 else "repeat last"
        self._period, self._target = period, target

    def predictions(self, items: EncodedItems) -> Sequence[Any]:
        """Return the quantiles of each window, (Q, H)."""
        return [self._quantiles(context["window"].past) for context in items.contexts_of(items.rows)]

    def _quantiles(self, past: NDArray[np.float64]) -> NDArray[np.float64]:
        past = past[: end_of(past)]
        target, level = self._target, past[-1] if len(past) else 0.0
        season = past[-self._period :]
        forecast = np.resize(season, target.horizon) if len(season) == self._period else np.full(target.horizon, level)
        forecast = np.where(np.isnan(forecast), level, forecast)
        errors = past[self._period :] - past[: -self._period]
        errors = errors[~np.isnan(errors)]
        spread = np.quantile(errors, target.levels) if len(errors) else np.zeros(len(target.levels))
        return np.asarray(forecast + (spread - spread[target.median])[:, None])

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the season."""
        return {"period": self._period}, {}

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        return cls(saved["period"], cast(DistributionTarget, target))
