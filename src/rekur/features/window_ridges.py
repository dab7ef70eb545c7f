"""Ridge regressions from windows on several scales to the horizon; no PyTorch.

Axes: N windows, L steps of a window, H steps of the horizon, G groups of series.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._filled_series import BLOCK, FilledSeries

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: penalties of ridges that are tried, as shares of the sum of squares of an input
PENALTIES = (1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
#: share of a window's mean that is added before logarithms
SHARE = 0.01
#: a scale below this share of the largest value is rounding, and taken for 0
ROUNDING = 1e-9
#: largest forecast of a ridge on logs, from its location: a factor of 3,000
LARGEST_LOG = 8.0


class Scaling(NamedTuple):
    """How a window x becomes the inputs ``(f(x) - location) / divisor`` of a ridge; forecasts go the same way back.

    Attributes:
        log: f(x) is ``log(max(x, 0) + SHARE * mean(max(x, 0)))``; else f(x) is x.
        location: the mean of this number of last values of f(x) is subtracted.
        divisor: ``one``; ``series``, the scale of the series; ``window``, the mean absolute seasonal difference of the
            window; or ``deviation``, the standard deviation of f(x) in the window. A divisor of 0 becomes 1.
    """

    log: bool
    location: int
    divisor: str


class Scaled(NamedTuple):
    """Windows on the scale of a ridge.

    Attributes:
        values: f(x), (N, L).
        location: (N, 1).
        divisor: (N, 1); 0 where a window has no scale.
        shift: added before the logarithm, (N, 1).
    """

    values: Floats
    location: Floats
    divisor: Floats
    shift: Floats


@dataclass(frozen=True)
class Ridge:
    """A linear map from the last steps of a scaled window to the scaled horizon.

    Attributes:
        name: of the candidate in tables.
        scaling: of windows and forecasts.
        weights: those of all series together, float32 (1, steps, H); or of each group of series, and at last those of
            all together, (G + 1, steps, H).
    """

    name: str
    scaling: Scaling
    weights: NDArray[np.float32]

    def forecast(self, windows: Floats, scales: Floats, season: int, groups: Ints | None = None) -> Floats:
        """Return the forecasts (N, H) of windows (N, L), with the scales (N,) and the groups (N,) of their series.

        Without groups, the ridge of all series forecasts.
        """
        last = len(self.weights) - 1
        groups = np.full(len(windows), last) if groups is None else np.minimum(groups, last)
        scaled = scale_windows(windows, scales, self.scaling, season)
        divisor = np.where(scaled.divisor > 0, scaled.divisor, 1.0)
        inputs = (scaled.values[:, -self.weights.shape[1] :] - scaled.location) / divisor
        outputs = np.empty((len(windows), self.weights.shape[2]))
        for group in np.unique(groups):
            outputs[groups == group] = inputs[groups == group] @ self.weights[group].astype(np.float64)
        if self.scaling.log:
            outputs = np.clip(outputs, -LARGEST_LOG, LARGEST_LOG)
            forecasts = np.exp(outputs * divisor + scaled.location) - scaled.shift
            return np.where((windows > 0).any(axis=1, keepdims=True), forecasts, 0.0)  # of zeros 0 but for rounding
        return np.asarray(outputs * divisor + scaled.location)


def scale_windows(windows: Floats, scales: Floats, scaling: Scaling, season: int) -> Scaled:
    """Return windows (N, L) on the scale of a ridge.

    Args:
        windows: (N, L).
        scales: of the series, (N,), 0 or more.
        scaling: of the ridge.
        season: steps of the shortest season; 1 without one.
    """
    shift = np.zeros((len(windows), 1))
    values = windows
    if scaling.log:
        level = np.maximum(windows, 0).mean(axis=1, keepdims=True)
        shift = SHARE * np.where(level > 0, level, 1.0)
        values = logs(windows, shift)
    location = values[:, -scaling.location :].mean(axis=1, keepdims=True)
    if scaling.divisor == "series":
        divisor = scales[:, None]
    elif scaling.divisor == "window":
        divisor = np.abs(values[:, season:] - values[:, :-season]).mean(axis=1, keepdims=True)
    elif scaling.divisor == "deviation":
        divisor = values.std(axis=1, keepdims=True)
    else:
        divisor = np.ones_like(location)
    return Scaled(values, location, divisor, shift)


def logs(values: Floats, shift: Floats) -> Floats:
    """Return the logarithm of values, (N, …), with a shift added to those above 0, (N, 1)."""
    return np.log(np.maximum(values, 0) + shift)


def blocks(count: int) -> Iterator[slice]:
    """Return slices of at most :data:`BLOCK` windows."""
    return (slice(begin, begin + BLOCK) for begin in range(0, count, BLOCK))


def scalings_of(lookback: int, season: int, log: bool) -> list[tuple[str, Scaling, int]]:
    """Return the name, the scaling and the steps that it reads of each ridge; those of the mean are first and last."""
    halves = [lookback, lookback // 2] if lookback // 2 >= 2 * season else [lookback]
    rows = []
    if log:
        rows += [(f"ridge of logs {length}", Scaling(True, length, "one"), length) for length in halves]
        rows.append(("ridge of logs, last season", Scaling(True, season, "one"), lookback))
    rows += [(f"ridge of differences {length}", Scaling(False, 1, "series"), length) for length in halves]
    rows.append(("ridge of differences in the window", Scaling(False, 1, "window"), lookback))
    rows.append(("ridge of deviations", Scaling(False, lookback, "deviation"), lookback))
    return rows


def fit_ridges(
    block: FilledSeries,
    rows: Ints,
    origins: Ints,
    scales: Floats,
    scalings: list[tuple[str, Scaling, int]],
    season: int,
    penalty: float | None,
) -> tuple[Ridge, ...]:
    """Return the ridges, fitted on windows at origins (N,) of the series ``rows`` (N,); those of groups come last.

    Without a penalty, that of each ridge and the forecast that it shrinks to are chosen on the last quarter of the
    origins of each series: nothing but the location, the last season, the mean of the last two, or, for those of a
    group of series, what the ridge of all series forecasts.
    """
    filled, parts = training_parts(block, rows, origins)
    products: dict[tuple[bool, str], list[Floats]] = {}  # of ridges that differ only in location and steps
    ridges, ridges_of_groups = [], []
    for name, scaling, steps in scalings:
        key = scaling.log, scaling.divisor
        if key not in products:
            products[key] = [
                _products(block, rows[part], origins[part], scales[part], scaling, season, filled) for part in parts
            ]
        parts_of = [_centred(each, block.lookback, steps, scaling.location) for each in products[key]]
        targets = _shrink_targets(steps, block.horizon, season)
        weights = _fit_groups(np.stack(parts_of), targets, penalty).astype(np.float32)
        ridges.append(Ridge(name, scaling, weights[-1:]))
        if len(weights) > 1 and name in (scalings[0][0], scalings[-1][0]):
            ridges_of_groups.append(Ridge(f"{name}, by channel", scaling, weights))
    return (*ridges, *ridges_of_groups)


def _fit_groups(products: Floats, targets: list[Floats], penalty: float | None) -> Floats:
    """Return the weights of each group, if there are several, and of all, (G + 1, steps, H).

    Args:
        products: Z'Z of the early windows of each group, the late ones, and those between, (3, G, …).
        targets: what ridges may shrink to, (steps, H) each.
        penalty: of all; None to choose that of each.
    """
    early, late, _ = together = products.sum(axis=1)
    row, best = (0, penalty) if penalty is not None else _choose(early, late, targets)
    shared = _solve(together.sum(axis=0), targets[row], best)
    if products.shape[1] == 1:
        return shared[None]
    on_early = [*targets, _solve(early, targets[row], best)] if early.any() else targets
    weights = []
    for group in range(products.shape[1]):
        early, late, _ = of_group = products[:, group]
        if penalty is None and not (early.any() and late.any()):
            weights.append(shared)
            continue
        row, best = (0, penalty) if penalty is not None else _choose(early, late, on_early)
        weights.append(_solve(of_group.sum(axis=0), [*targets, shared][row], best))
    return np.stack([*weights, shared])


def training_parts(block: FilledSeries, rows: Ints, origins: Ints) -> tuple[bool, tuple[Ints, Ints, Ints]]:
    """Return whether truth is filled, and the numbers of the windows before the last quarter of the origins of their
    series, in it, and between.

    Windows with gaps in their truth are left out, unless these are more than half of all: then a gap repeats the value
    before it.
    """
    whole = np.zeros(len(rows), bool)
    for part in blocks(len(rows)):
        whole[part] = ~np.isnan(block.truth(rows[part], origins[part])).any(axis=1)
    filled = 2 * int(whole.sum()) < len(rows)
    usable = np.arange(len(rows)) if filled else np.flatnonzero(whole)
    early, late, between = _parts(rows[usable], origins[usable], block.horizon)
    return filled, (usable[early], usable[late], usable[between])


def _parts(rows: Ints, origins: Ints, horizon: int) -> tuple[Ints, Ints, Ints]:
    """Return the numbers of the windows whose horizons end before the last quarter of the origins of their series, of
    those in it, and of the others."""
    count = int(rows.max(initial=-1)) + 1
    first, last = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
    np.minimum.at(first, rows, origins)
    np.maximum.at(last, rows, origins)
    cut = (last - (last - first) // 4)[rows]
    late, early = origins >= cut, origins + horizon <= cut
    return np.flatnonzero(early), np.flatnonzero(late), np.flatnonzero(~early & ~late)


def _products(
    block: FilledSeries, rows: Ints, origins: Ints, scales: Floats, scaling: Scaling, season: int, filled: bool
) -> Floats:
    """Return the products Z'Z of each group, (G, L + H, L + H).

    A row of Z holds the L values of a window and the H values that follow; the last value of the window is subtracted
    from all of them.
    """
    size = block.lookback + block.horizon
    total = np.zeros((int(block.groups.max()) + 1, size, size))
    for part in blocks(len(rows)):
        scaled = scale_windows(block.windows(rows[part], origins[part]), scales[part], scaling, season)
        truth = block.truth(rows[part], origins[part], filled=filled)
        target = logs(truth, scaled.shift) if scaling.log else truth
        usable = scaled.divisor[:, 0] > 0
        both = np.concatenate([scaled.values, target], axis=1)[usable]
        both -= both[:, block.lookback - 1 : block.lookback]
        both /= scaled.divisor[usable]
        groups = block.groups[rows[part]][usable]
        for group in np.unique(groups):
            of_group = both[groups == group]
            total[group] += of_group.T @ of_group
    return total


def _centred(products: Floats, lookback: int, steps: int, location: int) -> Floats:
    """Return Z'Z of the last steps and the horizon, less the mean of ``location`` values, and not the last, (G, …)."""
    taken, rest = slice(lookback - location, lookback), slice(lookback - steps, None)
    means = products[:, :, taken].mean(axis=2)
    mean = means[:, taken].mean(axis=1)
    means = means[:, rest]
    return np.asarray(products[:, rest, rest] - means[:, :, None] - means[:, None, :] + mean[:, None, None])


def _shrink_targets(steps: int, horizon: int, season: int) -> list[Floats]:
    """Return what a large penalty leads to, (steps, H): zeros, and seasonal naives of one and two seasons."""
    targets, total = [np.zeros((steps, horizon))], np.zeros((steps, horizon))
    for seasons in range(1, min(2, steps // season) + 1):
        total[steps - seasons * season + np.arange(horizon) % season, np.arange(horizon)] += 1
        targets.append(total / seasons)
    return targets


def _choose(early: Floats, late: Floats, targets: list[Floats]) -> tuple[int, float]:
    """Return the number of the target, and the penalty, with which a ridge on early windows does best on late ones.

    Squared errors are compared. The penalties are shares of the mean square of an input; without early or late windows
    the largest one, and the last season, are chosen.
    """
    steps = len(targets[0])
    unit = float(np.trace((early + late)[:steps, :steps])) / steps or 1.0
    penalties = [share * unit for share in PENALTIES]
    if not early.any() or not late.any():
        return min(1, len(targets) - 1), max(penalties[-1], 1.0)
    losses = {}
    for row, penalty in enumerate(penalties):
        for column, weights in enumerate(_solve_all(early, targets, penalty)):
            errors = -2 * late[:steps, steps:] + late[:steps, :steps] @ weights
            losses[row, column] = float((weights * errors).sum())
    row, column = min(losses, key=lambda each: losses[each])
    return column, penalties[row]


def _solve_all(products: Floats, targets: list[Floats], penalty: float) -> Iterator[Floats]:
    """Yield what :func:`_solve` returns for each target, by one factorisation for all."""
    steps = len(targets[0])
    right = [products[:steps, steps:], *(penalty * target for target in targets if target.any())]
    solved = np.linalg.solve(_penalised(products, steps, penalty), np.concatenate(right, axis=1))
    shifts = iter(np.split(solved, len(right), axis=1))
    plain = next(shifts)
    yield from (plain + next(shifts) if target.any() else plain for target in targets)


def _solve(products: Floats, target: Floats, penalty: float) -> Floats:
    """Return the weights (steps, H) of the ridge that a large penalty leads to ``target``."""
    steps = len(target)
    outputs = products[:steps, steps:] - products[:steps, :steps] @ target
    return target + np.linalg.solve(_penalised(products, steps, penalty), outputs)


def _penalised(products: Floats, steps: int, penalty: float) -> Floats:
    """Return the products of the inputs with a penalty on their diagonal."""
    inputs = products[:steps, :steps].copy()
    inputs[np.diag_indices(steps)] += penalty
    return inputs
