"""Where a window lies among the values that its channel had in training; no PyTorch.

Axes: N windows, L steps of a window, G channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rekur.features.window_ridges import ROUNDING, SHARE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: deviations of a window and of its differences count as no less than this share of the usual ones
SMALL = 1e-3
#: numbers of a window beside the flags of channels
NUMBERS = 5


def usual_levels(series: Sequence[Floats], *, logs: bool) -> tuple[tuple[float, ...], ...]:
    """Return four numbers of each series: the number added before logarithms, mean and deviation of the logarithms or
    values, and the deviation of the values; 1 stands for a deviation that is only rounding.

    Args:
        series: the values of each channel in training, NaN where missing; one value or more.
        logs: whether logarithms are taken.

    Example:
        >>> usual_levels([np.array([1.0, 3.0, np.nan])], logs=False)
        ((0.02, 2.0, 1.0, 1.0),)
    """
    rows = []
    for values in series:
        present = values[~np.isnan(values)]
        shift = SHARE * float(np.maximum(present, 0).mean()) or 1.0
        turned = np.log(np.maximum(present, 0) + shift) if logs else present
        rows.append((shift, float(turned.mean()), _deviation(turned), _deviation(present)))
    return tuple(rows)


def _deviation(values: Floats) -> float:
    """Return the standard deviation; 1 for values that are equal but for rounding."""
    deviation = float(values.std())
    return deviation if deviation > ROUNDING * float(np.abs(values).max()) else 1.0


def usual_size(levels: Sequence[Sequence[float]]) -> int:
    """Return how many numbers :func:`among_usual` gives of a window; 0 without levels."""
    return NUMBERS + len(levels) if levels else 0


def among_usual(
    levels: Sequence[Sequence[float]], values: Floats, unit: Floats, groups: Ints, season: int, *, logs: bool
) -> Floats:
    """Return numbers that compare windows with the training values of their channels, (N, 5 + G).

    With z = (x - mean) / deviation, where mean and deviation are those of the channel in training, these are the last z
    of a window, the mean z of its last season and of all its steps, the logarithm of the deviation of z, the logarithm
    of the scale of the window over the deviation of the channel, and a flag for each channel. All are 0 where training
    lacks the channel.

    Args:
        levels: of each channel, (G, 4); see :func:`usual_levels`.
        values: (N, L), gaps filled.
        unit: scale of each window, (N,), above 0.
        groups: number of the channel of each, (N,); G or more where training lacks it.
        season: steps of the shortest season.
        logs: whether logarithms are taken.

    Example:
        >>> among_usual([(0.0, 2.0, 1.0, 1.0)], np.array([[1.0, 3.0]]), np.ones(1), np.zeros(1, int), 1, logs=False)
        array([[1., 1., 0., 0., 0., 1.]])
    """
    has_levels = groups < len(levels)
    shift, mean, deviation, of_values = np.array(levels, np.float64)[np.where(has_levels, groups, 0)].T[..., None]
    turned = np.log(np.maximum(values, 0) + shift) if logs else values
    turned = (turned - mean) / deviation
    spread = np.log(np.maximum(turned.std(axis=1), SMALL))
    scale = np.log(np.maximum(unit / of_values[:, 0], SMALL))
    places = turned[:, -1], turned[:, -season:].mean(axis=1), turned.mean(axis=1)
    flags = groups[:, None] == np.arange(len(levels))
    return np.asarray(np.column_stack([*places, spread, scale, flags]) * has_levels[:, None])
