"""Ridge regressions from windows and what is known beside them to the horizon; no PyTorch.

Axes: N windows, L steps of a window, H steps of the horizon, D numbers that are known at an origin, F numbers that are
known ahead of each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rekur._filled_series import Beside, FilledSeries
from rekur.features.window_ridges import (
    LARGEST_LOG,
    PENALTIES,
    Scaling,
    blocks,
    logs,
    scale_windows,
    training_parts,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: numbers of past and future columns before an origin that are read at most, and products of numbers in a fit
_MOST_NUMBERS, _MOST_PRODUCTS = 512, 2 * 10**10


@dataclass(frozen=True)
class CoveredRidge:
    """A linear map to each step of the scaled horizon, from the scaled window, the columns before the origin, the
    calendar at the origin, static columns, and what is known ahead of that step.

    Attributes:
        name: of the candidate in tables.
        scaling: of windows and forecasts.
        steps: of the window L.
        lags: steps of columns before the origin.
        weights: of what is known at the origin, float32 (D, H).
        ahead: of what is known ahead of each step, float32 (F, H).
    """

    name: str
    scaling: Scaling
    steps: int
    lags: int
    weights: NDArray[np.float32]
    ahead: NDArray[np.float32]

    def forecast(self, block: FilledSeries, rows: Ints, origins: Ints, scales: Floats, season: int) -> Floats:
        """Return the forecasts (N, H) at origins of series with these scales, (N,)."""
        inputs = _inputs(block, rows, origins, scales, self.scaling, (self.steps, self.lags), season)
        outputs = inputs.now @ self.weights.astype(np.float64)
        outputs = outputs + np.einsum("nhf,fh->nh", inputs.ahead, self.ahead.astype(np.float64))
        if self.scaling.log:
            outputs = np.clip(outputs, -LARGEST_LOG, LARGEST_LOG)
            return np.asarray(np.exp(outputs * inputs.divisor + inputs.location) - inputs.shift)
        return np.asarray(outputs * inputs.divisor + inputs.location)


class _Inputs(NamedTuple):
    """What ridges read of windows.

    Attributes:
        now: what is known at the origin, (N, D).
        ahead: what is known ahead of each step, (N, H, F).
        location, divisor, shift: of the scaling, (N, 1).
        usable: whether a window has a scale, (N,).
    """

    now: Floats
    ahead: Floats
    location: Floats
    divisor: Floats
    shift: Floats
    usable: NDArray[np.bool_]


def _inputs(
    block: FilledSeries,
    rows: Ints,
    origins: Ints,
    scales: Floats,
    scaling: Scaling,
    sizes: tuple[int, int],
    season: int,
) -> _Inputs:
    beside, (steps, lags) = _beside_of(block), sizes
    scaled = scale_windows(block.windows(rows, origins, steps), scales, scaling, season)
    usable = scaled.divisor[:, 0] > 0
    divisor = np.where(usable[:, None], scaled.divisor, 1.0)
    numbers = [
        (scaled.values - scaled.location) / divisor,
        beside.before(rows, origins, lags).reshape(len(rows), -1),
        beside.calendar.cut(rows, origins, 1)[:, 0],
        beside.static[rows],
        np.ones((len(rows), 1)),
    ]
    ahead = beside.future.cut(rows, origins, block.horizon)
    return _Inputs(np.concatenate(numbers, axis=1), ahead, scaled.location, divisor, scaled.shift, usable)


def _beside_of(block: FilledSeries) -> Beside:
    if block.beside is None:
        raise ValueError("series without covariates")
    return block.beside


@dataclass(frozen=True)
class _Products:
    """Sums over windows of the products of inputs and targets.

    Attributes:
        now: of what is known at the origin, (D, D).
        across: of that and what is known ahead, (H, D, F).
        ahead: of what is known ahead, (H, F, F).
        to_now, to_ahead: of both and the target, (D, H) and (H, F).
    """

    now: Floats
    across: Floats
    ahead: Floats
    to_now: Floats
    to_ahead: Floats

    @classmethod
    def of(cls, now: Floats, ahead: Floats, target: Floats) -> Self:
        """Return the products of inputs (N, D) and (N, H, F) with a target (N, H)."""
        by_step = ahead.transpose(1, 2, 0)
        return cls(
            now.T @ now,
            (by_step @ now).transpose(0, 2, 1),
            by_step @ by_step.transpose(0, 2, 1),
            now.T @ target,
            np.einsum("hfn,nh->hf", by_step, target),
        )

    def __add__(self, other: _Products) -> _Products:
        names = ("now", "across", "ahead", "to_now", "to_ahead")
        return _Products(*(getattr(self, name) + getattr(other, name) for name in names))

    def solve(self, shrink_to: Floats, penalty: float) -> tuple[Floats, Floats]:
        """Return the weights (D, H) and (F, H) of the ridge that a large penalty leads to ``shrink_to`` (D, H)."""
        size, steps, count = self.now.shape[0], *self.to_ahead.shape
        to_now = self.to_now - self.now @ shrink_to
        to_ahead = self.to_ahead - np.einsum("hdf,dh->hf", self.across, shrink_to)
        sides = np.concatenate([self.across.transpose(1, 0, 2).reshape(size, -1), to_now], axis=1)
        solved = np.linalg.solve(self.now + penalty * np.eye(size), sides)
        across, alone = solved[:, : steps * count].reshape(size, steps, count), solved[:, steps * count :]
        left = self.ahead + penalty * np.eye(count) - self.across.transpose(0, 2, 1) @ across.transpose(1, 0, 2)
        right = to_ahead - np.einsum("hdf,dh->hf", self.across, alone)
        ahead = np.linalg.solve(left, right[..., None])[..., 0] if count else right
        return shrink_to + alone - np.einsum("dhf,hf->dh", across, ahead), ahead.T

    def loss(self, now: Floats, ahead: Floats) -> float:
        """Return the squared error of weights (D, H) and (F, H), less that of no forecast."""
        own = now * (self.now @ now - 2 * self.to_now)
        other = ahead.T * (np.einsum("hfg,gh->hf", self.ahead, ahead) - 2 * self.to_ahead)
        mixed = np.einsum("dh,hdf,fh->", now, self.across, ahead)
        return float(own.sum() + other.sum() + 2 * mixed)


def fit_covered_ridges(
    block: FilledSeries, rows: Ints, origins: Ints, scales: Floats, season: int, log: bool
) -> tuple[CoveredRidge, ...]:
    """Return the ridges, fitted on windows at origins (N,) of the series ``rows`` (N,), where they have columns.

    The penalty of each, and what it shrinks to, nothing or the last season, are chosen on the last quarter of the
    origins of each series.

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
    return tuple(_fit(block, rows, origins, scales, name, scaling, lags, season) for name, scaling in scalings)


def _fit(
    block: FilledSeries, rows: Ints, origins: Ints, scales: Floats, name: str, scaling: Scaling, lags: int, season: int
) -> CoveredRidge:
    sizes = block.lookback, lags
    first = _inputs(block, rows[:1], origins[:1], scales[:1], scaling, sizes, season)
    size, ahead = first.now.shape[1], first.ahead.shape[2]
    every = -(-len(rows) * size * (size + block.horizon * (ahead + 1)) // _MOST_PRODUCTS)
    chosen = slice(None, None, max(1, every))
    rows, origins, scales = rows[chosen], origins[chosen], scales[chosen]
    empty = _Products.of(*(np.zeros((0, *shape)) for shape in ((size,), (block.horizon, ahead), (block.horizon,))))
    sums: list[_Products] = []
    filled, parts = training_parts(block, rows, origins)
    for part in parts:
        total = empty
        for some in blocks(len(part)):
            which = part[some]
            inputs = _inputs(block, rows[which], origins[which], scales[which], scaling, sizes, season)
            truth = block.truth(rows[which], origins[which], filled=filled)
            target = ((logs(truth, inputs.shift) if scaling.log else truth) - inputs.location) / inputs.divisor
            usable = inputs.usable
            total += _Products.of(inputs.now[usable], inputs.ahead[usable], target[usable])
        sums.append(total)
    early, late, between = sums
    weights, of_ahead = _chosen(early, late, early + late + between, _targets(block, size, season))
    return CoveredRidge(name, scaling, *sizes, weights.astype(np.float32), of_ahead.astype(np.float32))


def _targets(block: FilledSeries, size: int, season: int) -> list[Floats]:
    """Return what a large penalty leads to, (D, H): nothing, and the last season."""
    targets = [np.zeros((size, block.horizon)) for _ in range(2)]
    steps = np.arange(block.horizon)
    targets[1][block.lookback - season + steps % season, steps] = 1
    return targets


def _chosen(early: _Products, late: _Products, together: _Products, targets: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Return the weights with the target and the penalty by which a ridge on early windows does best on late ones."""
    unit = float(np.trace(together.now)) / len(together.now) or 1.0
    if not early.now.any() or not late.now.any():
        return together.solve(targets[-1], PENALTIES[-1] * unit)
    losses = {
        (row, share): late.loss(*early.solve(target, share * unit))
        for row, target in enumerate(targets)
        for share in PENALTIES
    }
    row, share = min(losses, key=lambda each: losses[each])
    return together.solve(targets[row], share * unit)
