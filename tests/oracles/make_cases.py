"""Made-up series that both libraries and their tests read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def order(seed: int, count: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return noisy series (N, 1, 120) of two bumps, a wide and a narrow one, and 1 where the wide one is first."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 2, count)
    X = draw.normal(0, 0.6, (count, 1, 120))
    places = np.sort(draw.integers(12, 108, (count, 2)), axis=1)
    widths = np.where(y[:, None] == 1, [[6.0, 3.0]], [[3.0, 6.0]])
    times = np.arange(120)
    for place, width in zip(places.T, widths.T, strict=True):
        X[:, 0] += 2 * np.exp(-0.5 * ((times - place[:, None]) / width[:, None]) ** 2)
    return X, y


def frequency(seed: int, count: int) -> tuple[Floats, Floats]:
    """Return noisy waves (N, 1, 100) and their waves a series."""
    draw = np.random.default_rng(seed)
    y = draw.uniform(3, 12, count)
    phase = draw.uniform(0, 2 * np.pi, count)
    X = np.sin(2 * np.pi * y[:, None] * np.linspace(0, 1, 100) + phase[:, None]) + draw.normal(0, 0.5, (count, 100))
    return X[:, None], y
