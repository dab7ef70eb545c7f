"""Plain forecasts beside a model; no PyTorch.

Axes: N windows, H steps of the horizon, K candidates, Q quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from rekur._filled_series import end_of
from rekur._history import History
from rekur._tensors import Array
from rekur.data import EncodedItems
from rekur.errors import InputError
from rekur.features.plain_forecasts import PlainForecasts, combination_weights, combine, drift
from rekur.features.windows import Window, WindowFeatures
from rekur.runtime.rival import Floats, Rival
from rekur.runtime.rolling import roll
from rekur.targets import Target
from rekur.targets.distribution import DistributionTarget

Ints = NDArray[np.int64]

COMBINATION, LAST, DRIFT = "combination of plain forecasts", "repeat last", "drift"
#: standard deviation of a normal error whose mean absolute value is 1
_DEVIATION = math.sqrt(math.pi / 2)
#: windows that are forecast at once
_BLOCK = 1024
#: origins at which plain forecasts are fitted anew, in the latter half of the longest series; fewer of many steps, of
#: which a fit takes long, and looks little better on what it was fitted on than on what follows
_ROUNDS, _FEW_ROUNDS, MANY_STEPS = 16, 6, 20_000


def rolling_residuals(
    features: WindowFeatures, channels: Sequence[tuple[History, int, int]]
) -> tuple[Floats, float] | None:
    """Return the errors of the combination at earlier origins, in units of the scale of each window, (N, H), and how
    many horizons without overlap they cover, and one more.

    At each origin all plain forecasts are fitted on what comes before it, so that these errors are as large as those
    that follow; in the windows that they were fitted on they are smaller, and with less than half of a series known
    they are larger.

    Args:
        features: of the model; their options are used.
        channels: a history, the number of its channel and its steps, each.

    Returns:
        None where no series is long enough.
    """
    horizon, lengths = features.horizon, np.array([end for _, _, end in channels], np.int64)
    room = int(lengths.max()) // 2 - horizon
    if room < 0:
        return None
    stride = 1 + room // (_ROUNDS if lengths.sum() <= MANY_STEPS else _FEW_ROUNDS)

    def windows(rows: Ints, origins: Ints) -> list[Window]:
        return [
            Window(channels[row][0], channels[row][1], int(origin)) for row, origin in zip(rows, origins, strict=True)
        ]

    def fit(cuts: Ints) -> WindowFeatures:
        return type(features)(**features.options).fit(windows(np.arange(len(cuts)), cuts))

    def residuals(fitted: WindowFeatures, rows: Ints, origins: Ints) -> Floats:
        items, plain = windows(rows, origins), fitted.plain
        block = fitted.block_of(items)
        errors = np.stack([window.truth(horizon) for window in items])
        errors -= combine(plain.at(*block), plain.backtest(*block))
        scales = np.array([[encoded.context["scale"]] for encoded in fitted.encode_many(items)])
        return np.where(scales > 0, errors, np.nan) / np.where(scales > 0, scales, 1.0)

    how: dict[str, Any] = {"count": 1 + room // stride, "stride": stride, "refit": True, "earliest": horizon + 2}
    try:
        rounds = roll(lengths, horizon, fit, residuals, **how)
    except InputError:
        return None
    errors = rounds.forecasts[2 * rounds.origins >= lengths[rounds.rows]]
    told = int((~np.isnan(errors)).any(axis=1).sum())
    return (errors, 1 + told * min(1.0, stride / horizon)) if told else None


def rival_names(plain: PlainForecasts) -> list[str]:
    """Return the names of all rivals: the combination, its candidates, the last value and drift."""
    return list(dict.fromkeys((COMBINATION, *plain.names, LAST, DRIFT)))


class PlainRival(Rival):
    """A plain forecast; its quantiles are those of a normal error as large as that of earlier origins.

    Args:
        name: one of :func:`rival_names`.
        target: of the network; its features have the plain forecasts.
    """

    kind = "plain forecast"

    def __init__(self, name: str, target: DistributionTarget) -> None:
        self.name, self._target = name, target

    def predictions(self, items: EncodedItems) -> Sequence[Any]:
        """Return the quantiles of each window, (Q, H)."""
        windows = [context["window"] for context in items.contexts_of(items.rows)]
        parts = [self._quantiles(windows[start : start + _BLOCK]) for start in range(0, len(windows), _BLOCK)]
        return [quantiles for part in parts for quantiles in part]

    def _quantiles(self, windows: Sequence[Any]) -> NDArray[np.float64]:
        """Return the quantiles of windows, (N, Q, H)."""
        forecasts, errors = np.zeros((len(windows), self._target.horizon)), np.zeros(len(windows))
        real = np.array([row for row, window in enumerate(windows) if end_of(window.past)], np.int64)
        if len(real):
            forecasts[real], errors[real] = self._forecast([windows[row] for row in real])
        spread = np.array([NormalDist(sigma=_DEVIATION).inv_cdf(level) for level in self._target.levels])
        quantiles = forecasts[:, None] + errors[:, None, None] * spread[:, None]
        return np.asarray(np.maximum(quantiles, 0.0) if self._target.non_negative else quantiles)

    def _forecast(self, windows: Sequence[Any]) -> tuple[Floats, Floats]:
        """Return the forecasts (N, H) of windows, and the mean absolute error at earlier origins, (N,)."""
        features = cast(WindowFeatures, self._target.features)
        plain, (block, rows, origins) = features.plain, features.block_of(windows)
        errors = plain.backtest(block, rows, origins)
        if self.name == COMBINATION:
            weights = combination_weights(errors)
            return combine(plain.at(block, rows, origins), errors), (weights * errors).sum(axis=1)
        if self.name in plain.names:
            number = plain.names.index(self.name)
            return plain.at(block, rows, origins)[:, number], errors[:, number]
        values = block.windows(rows, origins, plain.lookback)
        last = np.repeat(values[:, -1:], plain.horizon, axis=1)
        forecasts = last if self.name == LAST else drift(values, plain.horizon)
        return forecasts, np.abs(np.diff(values, axis=1)).mean(axis=1)

    def again(self, target: Target) -> PlainRival | None:
        """Return the forecast of this name by the features that were fitted again; None where they lack it."""
        names = rival_names(cast(WindowFeatures, target.features).plain)
        return PlainRival(self.name, cast(DistributionTarget, target)) if self.name in names else None

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the name; the features have the plain forecasts."""
        return {"name": self.name}, {}

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described.

        Raises:
            KeyError: the features have no plain forecast of this name.
        """
        if saved["name"] not in rival_names(cast(WindowFeatures, target.features).plain):
            raise KeyError(saved["name"])
        return cls(saved["name"], cast(DistributionTarget, target))
