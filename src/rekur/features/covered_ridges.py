"""Ridge regressions from windows and their covariates to the horizon; no PyTorch.

Axes: N windows, L steps of a window, H steps of the horizon, D numbers that are known at an origin, F numbers that are
known ahead of each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._filled_series import Beside, FilledSeries
from rekur.features.window_ridges import LARGEST_LOG, PENALTIES, Scaling, blocks, logs, scale_windows, training_parts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: numbers of past and future columns before an origin that are read at most, and products of numbers in a fit
_MOST_NUMBERS, _MOST_PRODUCTS = 512, 2 * 10**10
#: penalty of the effect of the columns known ahead, as a share of the sum of squares of a column
_EFFECT_PENALTY = 1e-3


class Reading(NamedTuple):
    """How a ridge reads a window.

    Attributes:
        scaling: of windows and forecasts.
        season: steps of the shortest season; 1 without one.
        steps: of the window L.
        lags: steps of columns before the origin.
    """

    scaling: Scaling
    season: int
    steps: int
    lags: int


@dataclass(frozen=True)
class CoveredRidge:
    r"""A linear map to the scaled horizon from the scaled window, the columns before the origin, the calendar at the
    origin, and static columns, beside the effect of the columns known ahead at the same step.

    .. math:: \hat y_h = \beta^\top x_h + W_h^\top [y - X \beta, \ldots]

    Attributes:
        name: of the candidate in tables.
        reading: of windows.
        effect: :math:`\beta`, of the columns known ahead, float32 (F,).
        weights: W, of the numbers known at the origin, float32 (D, H).
    """

    name: str
    reading: Reading
    effect: NDArray[np.float32]
    weights: NDArray[np.float32]

    def forecast(self, block: FilledSeries, rows: Ints, origins: Ints, scales: Floats) -> Floats:
        """Return the forecasts (N, H) at origins of series with these scales, (N,)."""
        windows = _windows(block, rows, origins, scales, self.reading)
        now, base = windows.without(self.effect.astype(np.float64), self.reading.scaling.location)
        outputs = now @ self.weights.astype(np.float64) + base
        if self.reading.scaling.log:
            outputs = np.clip(outputs, -LARGEST_LOG, LARGEST_LOG)
            return np.asarray(np.exp(outputs * windows.divisor + windows.location) - windows.shift)
        return np.asarray(outputs * windows.divisor + windows.location)


class _Windows(NamedTuple):
    """Windows on the scale of a ridge, and their covariates.

    Attributes:
        values: of the windows, (N, L).
        past: the columns known ahead, at the steps of the windows, (N, L, F).
        ahead: the columns known ahead, at the steps of the horizon, (N, H, F).
        others: all other covariates at the origins, (N, D - L).
        location, divisor, shift: of the scaling, (N, 1).
        usable: whether a window has a scale, (N,).
    """

    values: Floats
    past: Floats
    ahead: Floats
    others: Floats
    location: Floats
    divisor: Floats
    shift: Floats
    usable: NDArray[np.bool_]

    def without(self, effect: Floats, location: int) -> tuple[Floats, Floats]:
        """Return inputs less an effect (F,), (N, D), and what forecasts are relative to, (N, H)."""
        values = self.values - self.past @ effect
        centre = values[:, -location:].mean(axis=1, keepdims=True)
        return np.concatenate([values - centre, self.others], axis=1), self.ahead @ effect + centre

    def scaled(self, truth: Floats, *, log: bool) -> Floats:
        """Return truth (N, H) on the scale of the ridge."""
        return ((logs(truth, self.shift) if log else truth) - self.location) / self.divisor


def _windows(block: FilledSeries, rows: Ints, origins: Ints, scales: Floats, reading: Reading) -> _Windows:
    """Return windows at origins (N,) of the series ``rows`` (N,) with these scales, (N,)."""
    beside = _beside_of(block)
    scaled = scale_windows(block.windows(rows, origins, reading.steps), scales, reading.scaling, reading.season)
    usable = scaled.divisor[:, 0] > 0
    divisor = np.where(usable[:, None], scaled.divisor, 1.0)
    others = [
        beside.before(rows, origins, reading.lags).reshape(len(rows), -1),
        beside.calendar.cut(rows, origins, 1)[:, 0],
        beside.static[rows],
        np.ones((len(rows), 1)),
    ]
    return _Windows(
        (scaled.values - scaled.location) / divisor,
        beside.future.cut(rows, origins - reading.steps, reading.steps),
        beside.future.cut(rows, origins, block.horizon),
        np.concatenate(others, axis=1),
        scaled.location,
        divisor,
        scaled.shift,
        usable,
    )


def _beside_of(block: FilledSeries) -> Beside:
    if block.beside is None:
        raise ValueError("series without covariates")
    return block.beside


# ── fitting ──────────────────────────────────────────────────────────────────────────────────────────────────────


def fit_covered_ridges(
    block: FilledSeries, rows: Ints, origins: Ints, scales: Floats, season: int, log: bool
) -> tuple[CoveredRidge, ...]:
    """Return the ridges, fitted on windows at origins (N,) of the series ``rows`` (N,), where they have columns.

    The penalty of each, what it shrinks to (nothing or the last season) and whether the columns known ahead have an
    effect are chosen on the last quarter of the origins of each series.

    Args:
        block: the series.
        rows: number of the series of each window, (N,).
        origins: of each window, (N,).
        scales: of the series of each window, (N,).
        season: steps of the shortest season; 1 without one.
        log: whether values are above 0.
    """
    width = 0 if block.beside is None else block.beside.past.width + block.beside.future.width
    if not width or not len(rows):
        return ()
    lags = max(1, min(block.lookback, _MOST_NUMBERS // width))
    scalings = [("ridge of differences and columns", Scaling(False, 1, "series"))]
    if log:
        scalings.insert(0, ("ridge of logs and columns", Scaling(True, block.lookback, "one")))
    return tuple(
        _Fit(block, rows, origins, scales, Reading(scaling, season, block.lookback, lags)).ridge(name)
        for name, scaling in scalings
    )


class _Fit:
    """The fit of a ridge; see :func:`fit_covered_ridges`."""

    def __init__(self, block: FilledSeries, rows: Ints, origins: Ints, scales: Floats, reading: Reading) -> None:
        first = _windows(block, rows[:1], origins[:1], scales[:1], reading)
        self.size, self.ahead = reading.steps + first.others.shape[1], first.ahead.shape[2]
        every = max(1, -(-len(rows) * self.size * (self.size + block.horizon) // _MOST_PRODUCTS))
        chosen = slice(None, None, every)
        self.block, self.rows, self.origins, self.scales = block, rows[chosen], origins[chosen], scales[chosen]
        self.reading = reading
        self.filled, self.parts = training_parts(block, self.rows, self.origins)

    def ridge(self, name: str) -> CoveredRidge:
        """Return the ridge."""
        effects = [np.zeros(self.ahead), *([self._effect()] if self.ahead else [])]
        chosen = [self._chosen(effect) for effect in effects]
        best = min(range(len(effects)), key=lambda number: chosen[number][0])
        effect, weights = effects[best].astype(np.float32), chosen[best][1].astype(np.float32)
        return CoveredRidge(name, self.reading, effect, weights)

    def _blocks(self, part: Ints) -> Iterator[tuple[_Windows, Floats]]:
        """Yield windows with a scale and their truth on it, some at a time."""
        for some in blocks(len(part)):
            which = part[some]
            rows, origins, scales = self.rows[which], self.origins[which], self.scales[which]
            windows = _windows(self.block, rows, origins, scales, self.reading)
            truth = self.block.truth(rows, origins, filled=self.filled)
            target = windows.scaled(truth, log=self.reading.scaling.log)[windows.usable]
            yield _Windows._make(each[windows.usable] for each in windows), target

    def _effect(self) -> Floats:
        """Return how values differ from those a season before with what was known ahead, (F,), by early windows."""
        season, steps = self.reading.season, np.arange(self.block.horizon)
        earlier = self.reading.steps - season + steps % season
        squares, products = np.zeros((self.ahead, self.ahead)), np.zeros(self.ahead)
        for windows, target in self._blocks(self.parts[0]):
            x = (windows.ahead - windows.past[:, earlier]).reshape(-1, self.ahead)
            squares += x.T @ x
            products += x.T @ (target - windows.values[:, earlier]).reshape(-1)
        penalty = _EFFECT_PENALTY * float(np.trace(squares)) / self.ahead or 1.0
        return np.asarray(np.linalg.solve(squares + penalty * np.eye(self.ahead), products))

    def _chosen(self, effect: Floats) -> tuple[float, Floats]:
        """Return the least squared error on late windows of ridges on early ones, and the weights (D, H) of that kind
        of ridge on all."""
        early, late, between = (self._products(part, effect) for part in self.parts)
        targets = self._targets()
        unit = float(np.trace((early + late)[: self.size, : self.size])) / self.size or 1.0
        if not early.any() or not late.any():
            return 0.0, _solve(early + late + between, targets[-1], PENALTIES[-1] * unit)
        losses = {
            (row, share): _loss(late, _solve(early, target, share * unit))
            for row, target in enumerate(targets)
            for share in PENALTIES
        }
        row, share = best = min(losses, key=lambda each: losses[each])
        return losses[best], _solve(early + late + between, targets[row], share * unit)

    def _products(self, part: Ints, effect: Floats) -> Floats:
        """Return Z'Z, (D + H, D + H), of inputs and targets less an effect side by side."""
        total = np.zeros((self.size + self.block.horizon,) * 2)
        for windows, target in self._blocks(part):
            now, base = windows.without(effect, self.reading.scaling.location)
            both = np.concatenate([now, target - base], axis=1)
            total += both.T @ both
        return total

    def _targets(self) -> Sequence[Floats]:
        """Return what a large penalty leads to, (D, H): nothing, and the last season."""
        targets, steps = np.zeros((2, self.size, self.block.horizon)), np.arange(self.block.horizon)
        targets[1, self.reading.steps - self.reading.season + steps % self.reading.season, steps] = 1
        return list(targets)


def _solve(products: Floats, target: Floats, penalty: float) -> Floats:
    """Return the weights (D, H) of the ridge that a large penalty leads to ``target``."""
    size = len(target)
    inputs, outputs = products[:size, :size], products[:size, size:]
    return np.asarray(target + np.linalg.solve(inputs + penalty * np.eye(size), outputs - inputs @ target))


def _loss(products: Floats, weights: Floats) -> float:
    """Return the squared error of weights (D, H)."""
    size = len(weights)
    fitted = products[:size, :size] @ weights - 2 * products[:size, size:]
    return float(np.trace(products[size:, size:]) + (weights * fitted).sum())
