"""Scores of forecasts, made of records whose numbers add up over steps and windows.

A window is one channel of a series with the origin at which its forecast is issued. Missing truth is NaN and counts
nowhere.

Axes: N windows, H steps of the horizon, Q quantile levels, S numbers of a record.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rekur.errors import ShapeError, describe
from rekur.metrics.scores import FEWEST_ITEMS

Floats = NDArray[np.float64]

#: columns of a record; each is a sum over observed steps
(
    STEPS,  # observed steps
    ABSOLUTE,  # |error|
    SQUARED,  # error ** 2
    SYMMETRIC,  # 200 |error| / (|truth| + |forecast|)
    SCALED_STEPS,  # observed steps of windows with a scale above 0
    SCALED,  # |error| / scale
    RIVAL_SYMMETRIC,  # SYMMETRIC of Naive2
    RIVAL_SCALED,  # SCALED of Naive2
    RIVAL_STEPS,  # observed steps with a forecast of Naive2
    BAND_STEPS,  # observed steps with quantiles
    PINBALL,  # pinball loss, mean over levels
    CRPS,  # continuous ranked probability score
    COVERED,  # truth between the lowest and the highest quantile, both included
    WIDTH,  # highest quantile - lowest quantile
) = range(14)
#: numbers of a record
FORECAST_COLUMNS = 14
#: of a distribution beyond any value, at least
LEAST_SHARE = 5e-10


def forecast_records(
    forecasts: Floats,
    truth: Floats,
    scales: ArrayLike,
    *,
    naive2: Floats | None = None,
    quantiles: Floats | None = None,
    levels: ArrayLike = (),
) -> Floats:
    """Return the record of each step of each window, (N, H, S); ``.sum(axis=1)`` are the records of windows (N, S).

    Args:
        forecasts: point forecasts, (N, H), in the unit of the data.
        truth: (N, H); NaN where missing.
        scales: naive error of each history, (N,), of :func:`seasonal_scales`; where it is 0 or NaN, the window is
            left out of ``mase``.
        naive2: forecasts of :func:`naive2`, (N, H), which ``owa`` is relative to; None without.
        quantiles: (N, Q, H), ascending with the level; None without.
        levels: of the quantiles, (Q,), ascending, in (0, 1).

    Raises:
        ShapeError: an array has another shape.

    Example:
        >>> records = forecast_records(np.array([[1.0, 3.0]]), np.array([[2.0, np.nan]]), [2.0])
        >>> records[0, :, [STEPS, ABSOLUTE, SCALED]].tolist()
        [[1.0, 0.0], [1.0, 0.0], [0.5, 0.0]]
    """
    _check_shapes(truth.shape, forecasts=forecasts, naive2=naive2)
    observed = ~np.isnan(truth)
    actual = np.where(observed, truth, 0.0)
    scale = np.asarray(scales, np.float64).reshape(len(truth), 1)
    scaled = observed & (scale > 0)
    scale = np.where(scale > 0, scale, 1.0)
    records = np.zeros((*truth.shape, FORECAST_COLUMNS))
    error = np.abs(forecasts - actual)
    records[..., STEPS], records[..., ABSOLUTE], records[..., SQUARED] = observed, error, error**2
    records[..., SYMMETRIC] = _symmetric(forecasts, actual)
    records[..., SCALED_STEPS], records[..., SCALED] = scaled, scaled * error / scale
    if naive2 is not None:
        records[..., RIVAL_SYMMETRIC] = _symmetric(naive2, actual)
        records[..., RIVAL_SCALED] = scaled * np.abs(naive2 - actual) / scale
        records[..., RIVAL_STEPS] = 1
    if quantiles is not None:
        records[..., BAND_STEPS:] = _band_columns(quantiles, np.asarray(levels, np.float64), actual)
    return np.asarray(np.where(observed[..., None], records, 0.0))


def _check_shapes(shape: tuple[int, ...], **arrays: Floats | None) -> None:
    for name, array in arrays.items():
        if array is not None and array.shape != shape:
            raise ShapeError(describe(name, array.shape, f"the shape of the truth, {shape}"))


def _symmetric(forecasts: Floats, truth: Floats) -> Floats:
    """Return the symmetric percentage errors, (N, H); 0 where forecast and truth are 0."""
    size = np.abs(forecasts) + np.abs(truth)
    return np.asarray(200 * np.abs(forecasts - truth) / np.where(size > 0, size, 1.0))


def _band_columns(quantiles: Floats, levels: Floats, truth: Floats) -> Floats:
    """Return the columns from ``BAND_STEPS`` on, (N, H, 5)."""
    expected = (len(truth), len(levels), truth.shape[1])
    if quantiles.shape != expected:
        raise ShapeError(describe("quantiles", quantiles.shape, f"(windows, levels, steps) = {expected}"))
    error = truth[:, None] - quantiles
    pinball = np.maximum(levels[:, None] * error, (levels[:, None] - 1) * error)
    low, high = quantiles[:, 0], quantiles[:, -1]
    crps = 2 * np.einsum("q,nqh->nh", level_weights(levels), pinball)
    covered = (low <= truth) & (truth <= high)
    return np.stack([np.ones_like(truth), pinball.mean(axis=1), crps, covered, high - low], axis=-1)


def level_weights(levels: ArrayLike) -> Floats:
    r"""Return the share of (0, 1) that each quantile level stands for, (Q,): up to the middle between neighbours.

    With them :math:`\mathrm{CRPS} = 2 \int_0^1 \rho_\tau(y - q_\tau) d\tau \approx 2 \sum_k w_k \rho_{\tau_k}(y -
    q_k)`, where :math:`\rho_\tau` is the pinball loss.

    Example:
        >>> level_weights([0.1, 0.5, 0.9]).round(3).tolist()
        [0.3, 0.4, 0.3]
    """
    points = np.asarray(levels, np.float64)
    return np.diff(np.concatenate([[0.0], (points[1:] + points[:-1]) / 2, [1.0]]))


def forecast_scores(records: Floats, weights: Floats | None = None) -> dict[str, float]:
    r"""Return the scores of any choice of records; a score that is undefined is NaN.

    Each observed step counts once, so that without missing truth these are the means over series of the M4
    competition: :math:`\mathrm{sMAPE} = \overline{200 |y - f| / (|y| + |f|)}`, :math:`\mathrm{MASE} =
    \overline{|y - f| / s}` with the scale :math:`s` of :func:`seasonal_scales`, and OWA, half the sum of both, each
    divided by that of Naive2.

    Args:
        records: of :func:`forecast_records`, (N, S) or (N, H, S).
        weights: how much each window counts, (N,), 0 or more; None for equally much.

    Returns:
        ``smape`` (0 to 200), ``mase``, ``owa``, ``rmse`` and ``mae`` and, where there are quantiles, ``pinball``,
        ``crps``, ``coverage`` (a share) and ``width``; ``rmse``, ``mae``, ``pinball``, ``crps`` and ``width`` in the
        unit of the data.

    Example:
        >>> records = forecast_records(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]), [4.0])
        >>> scores = forecast_scores(records)
        >>> scores["smape"], scores["mase"], scores["mae"]
        (50.0, 0.25, 1.0)
    """
    sums = _sums(records, weights)
    return {name: float(values) for name, values in _scores(sums.reshape(-1, FORECAST_COLUMNS).sum(axis=0)).items()}


def step_scores(records: Floats, weights: Floats | None = None) -> dict[str, list[float | None]]:
    """Return the scores of each step of the horizon, (H,), of records (N, H, S); None where undefined."""
    return {name: [_plain(value) for value in values] for name, values in _scores(_sums(records, weights)).items()}


def unscaled_windows(records: Floats) -> int:
    """Return the number of windows with observed steps that are left out of ``mase``: their naive error is 0."""
    sums = records if records.ndim == 2 else records.sum(axis=1)
    return int(((sums[:, STEPS] > 0) & (sums[:, SCALED_STEPS] == 0)).sum())


def _sums(records: Floats, weights: Floats | None) -> Floats:
    return records.sum(axis=0) if weights is None else np.tensordot(weights, records, axes=1)


def _scores(sums: Floats) -> dict[str, Floats]:
    """Return the scores of sums of records (..., S), each (...,); without any quantiles, the first five."""

    def mean(column: int, count: int) -> Floats:
        total = sums[..., count]
        return np.where(total > 0, sums[..., column] / np.where(total > 0, total, 1.0), np.nan)

    symmetric, scaled = mean(SYMMETRIC, STEPS), mean(SCALED, SCALED_STEPS)
    complete = np.where(sums[..., RIVAL_STEPS] == sums[..., STEPS], 1.0, np.nan)
    rivals = mean(RIVAL_SYMMETRIC, STEPS), mean(RIVAL_SCALED, SCALED_STEPS)
    with np.errstate(divide="ignore", invalid="ignore"):
        owa = complete * (symmetric / rivals[0] + scaled / rivals[1]) / 2
    scores = {
        "smape": symmetric,
        "mase": scaled,
        "owa": np.where(np.isfinite(owa), owa, np.nan),
        "rmse": np.sqrt(mean(SQUARED, STEPS)),
        "mae": mean(ABSOLUTE, STEPS),
    }
    if sums[..., BAND_STEPS].any():
        bands = {"pinball": PINBALL, "crps": CRPS, "coverage": COVERED, "width": WIDTH}
        scores |= {name: mean(column, BAND_STEPS) for name, column in bands.items()}
    return scores


def forecast_report(records: Floats, groups: ArrayLike | None = None, resamples: int = 500) -> dict[str, Any]:
    """Return all that is told of forecasts, as plain JSON.

    Args:
        records: of :func:`forecast_records`, (N, S), or (N, H, S) for the scores of each step too.
        groups: windows of one number are drawn together, (N,): series, or stretches of a long one that overlap; None
            if every window stands for itself.
        resamples: number of resamples.

    Returns:
        ``windows``; ``steps``, those observed; ``unscaled``, the windows left out of ``mase``; the scores of
        :func:`forecast_scores`, None where undefined, with 95 % intervals over other samples of groups
        (``mase_interval`` …; None for fewer than 5 groups); and ``per_step`` of :func:`step_scores`.
    """
    sums = records if records.ndim == 2 else records.sum(axis=1)
    report: dict[str, Any] = {
        "windows": len(records),
        "steps": int(sums[:, STEPS].sum()),
        "unscaled": unscaled_windows(sums),
    }
    _, group = np.unique(np.arange(len(sums)) if groups is None else np.asarray(groups), return_inverse=True)
    count = int(group.max(initial=-1)) + 1
    grouped = np.zeros((count, FORECAST_COLUMNS))
    np.add.at(grouped, group, sums)
    draws: dict[str, Floats] = {}
    if count >= FEWEST_ITEMS:
        times = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples)
        draws = _scores(times @ grouped)
    for name, value in forecast_scores(sums).items():
        report[name] = _plain(value)
        defined = draws[name][np.isfinite(draws[name])] if name in draws else np.zeros(0)
        ends = np.quantile(defined, [0.025, 0.975]).tolist() if len(defined) and report[name] is not None else None
        report[f"{name}_interval"] = ends
    if records.ndim == 3:
        report["per_step"] = step_scores(records)
    return report


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def shares_around(value: float, quantiles: ArrayLike, levels: ArrayLike) -> tuple[float, float, float]:
    r"""Return the shares of a distribution below a value, at it and above it; at it is more than 0 where quantiles are
    equal.

    Between two quantiles the share is linear; beyond the outer ones what remains falls exponentially, as fast as it
    does between the two that come last: :math:`1 - F(x) = (1 - p_Q) (\frac{1 - p_Q}{1 - p_{Q-1}})^{(x - q_Q) / (q_Q -
    q_{Q-1})}`. It never falls below :data:`LEAST_SHARE`, since no sample of errors tells of less.

    Args:
        value: x.
        quantiles: rising, (Q,), two or more.
        levels: the probability p of each, (Q,), in (0, 1).

    Example:
        >>> [round(share, 3) for share in shares_around(1.5, [1.0, 2.0, 3.0], [0.1, 0.5, 0.9])]
        [0.3, 0.0, 0.7]
        >>> [round(share, 3) for share in shares_around(4.0, [1.0, 2.0, 3.0], [0.1, 0.5, 0.9])]
        [0.98, 0.0, 0.02]
        >>> shares_around(0.0, [0.0, 0.0, 3.0], [0.1, 0.5, 0.9])
        (0.0, 0.5, 0.5)
        >>> shares_around(1e9, [1.0, 2.0, 3.0], [0.1, 0.5, 0.9])[2] == LEAST_SHARE
        True
    """
    q, p = np.asarray(quantiles, np.float64), np.asarray(levels, np.float64)
    equal = np.flatnonzero(q == value)
    if len(equal) > 1:
        below, above = (0.0 if equal[0] == 0 else p[equal[0]]), (0.0 if equal[-1] == len(q) - 1 else 1 - p[equal[-1]])
        return float(below), float(1 - below - above), float(above)
    if value > q[-1]:
        above = _tail(value - q[-1], q[-1] - q[-2], 1 - p[-1], 1 - p[-2])
        return 1 - above, 0.0, above
    below = _tail(q[0] - value, q[1] - q[0], p[0], p[1]) if value < q[0] else float(np.interp(value, q, p))
    return below, 0.0, 1 - below


def _tail(distance: float, width: float, outer: float, inner: float) -> float:
    """Return what remains of a distribution at a distance above 0 beyond its outer quantile."""
    share = float(outer * (outer / inner) ** (distance / width)) if width > 0 else 0.0
    return max(share, LEAST_SHARE)
