"""The next values of a series as quantiles.

Axes: N windows, H steps of the horizon, Q quantiles, S numbers of a record of a step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._numbers import shown
from rekur.errors import InputError, describe
from rekur.features.window_ridges import ROUNDING
from rekur.metrics.forecasts import FORECAST_COLUMNS, forecast_records, forecast_report, forecast_scores, shares_around
from rekur.metrics.naive import naive2, seasonal_scales
from rekur.metrics.table import METRICS
from rekur.targets.base import PlaceOf, Records, Target
from rekur.targets.forecast_gallery import ForecastGallery, fan_of
from rekur.targets.gallery import ErrorRow, Fan

Floats = NDArray[np.float64]

#: the probabilities of the quantiles that are forecast
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
#: rows of an encoded label behind those of the horizon: level / scale, scale / naive error, scale / unit
EXTRA_ROWS = 3
#: last values of a series that a row of errors shows
_SHOWN_VALUES = 24


class DistributionTarget(Target):
    r"""Quantiles of the next values: :math:`\hat q = \ell + s z`, with level and scale of the window.

    A label is the truth (H,), NaN where it is missing; the outputs of a window are (H, Q), row-major, in the unit of
    its scale; a prediction is an array (Q, H) in the unit of the data. The context is that of
    :class:`rekur.features.WindowFeatures`.

    Args:
        horizon: steps H to forecast.
        period: steps of a season, by which forecasts are scored; 1 for none.
        decides: the metric that selects, stops and compares.
        non_negative: whether forecasts below 0 are 0.
        unit: the usual size of a value, such as the standard deviation in training; above 0.
        units: the same of each channel of a table; None where ``unit`` is that of all.
        levels: the probabilities of the quantiles, rising, 0.5 among them.
        offsets: how far each quantile is moved at each step, (Q, H), in units of the distance between the outer ones;
            0 for the median. None moves none.

    Example:
        >>> target = DistributionTarget(2, levels=(0.1, 0.5, 0.9))
        >>> outputs = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0]])
        >>> target.decode(outputs.ravel(), {"level": 5.0, "scale": 2.0}).tolist()
        [[3.0, 1.0], [5.0, 5.0], [7.0, 9.0]]
    """

    kind = "distribution"
    label_type = "future"
    item_name = "series"

    def __init__(
        self,
        horizon: int,
        *,
        period: int = 1,
        decides: str = "mae",
        non_negative: bool = False,
        unit: float = 1.0,
        units: Sequence[float] | None = None,
        levels: Sequence[float] = LEVELS,
        offsets: Any = None,
    ) -> None:
        self.horizon, self.period = _check.whole("horizon", horizon, 1), _check.whole("period", period, 1)
        self.decides = _check.choice("decides", decides, METRICS)
        self.non_negative, self.unit = bool(non_negative), float(unit)
        self.units = None if units is None else [float(each) for each in units]
        self.levels = tuple(float(level) for level in levels)
        self._names = [f"{level:g}" for level in self.levels]
        self.offsets: Floats | None = None if offsets is None else np.asarray(offsets, np.float64)
        self.followed = tuple(dict.fromkeys((self.decides, "mae", "smape", "mase")))

    @classmethod
    def learn(
        cls, labels: Sequence[Any], features: Any = None, *, place_of: PlaceOf | None = None, **options: Any
    ) -> Self:
        """Return the target of windows with this truth (H,) each; whether values are below 0 is learnt from it.

        Args:
            labels: the truth of each window.
            features: of the windows; None to check only what the labels say by themselves.
            place_of: the name of a window in messages.
            options: those of the target, ``non_negative`` None to learn it, and ``lowest``, the lowest value before the
                first origin.

        Raises:
            InputError: no label has a value.
        """
        lowest, non_negative = options.pop("lowest", None), options.pop("non_negative", None)
        values = np.asarray([label for label in labels if label is not None], np.float64)
        present = values[~np.isnan(values)]
        if not len(present):
            raise InputError(f"windows: got {len(labels)} without a value behind them; expected values to learn from.")
        if non_negative is None:
            non_negative = float(present.min() if lowest is None else lowest) >= 0
        spread = float(present.std())
        return cls(values.shape[1], non_negative=non_negative, unit=spread or 1.0, **options)

    @property
    def size(self) -> int:
        """The number of outputs H · Q."""
        return self.horizon * len(self.levels)

    @property
    def answers(self) -> list[str]:
        """Horizon and season, by which forecasts are scored, and the quantiles."""
        return [f"a horizon of {self.horizon}", f"a season of {self.period}", *(f"{level:g}" for level in self.levels)]

    # ── labels ───────────────────────────────────────────────────────────────────────────────────────────────

    def encode(self, label: Any, context: Any = None) -> NDArray[np.float32]:
        """Return what a loss compares outputs with, (H + 3, 1): the truth in the unit of the window, NaN where it is
        missing or the scale is 0; then level / scale, scale / naive error, and scale / unit of the data; 0 for none.
        """
        truth = self._truth(label)
        encoded = np.full((self.horizon + EXTRA_ROWS, 1), np.nan, np.float32)
        if context is None:
            return encoded
        scale, level = context["scale"], context["level"]
        encoded[self.horizon :] = 0
        if scale > 0:
            encoded[: self.horizon, 0] = (truth - level) / scale
            naive_error = self._naive_error(context)
            units, channel = self.units or [], context["window"].channel
            unit = units[channel] if channel < len(units) else self.unit
            encoded[self.horizon :, 0] = level / scale, scale / naive_error if naive_error else 0, scale / unit
        return encoded

    def _truth(self, label: Any) -> Floats:
        truth = np.asarray(label, np.float64)
        if truth.shape != (self.horizon,):
            raise InputError(describe("truth", f"{len(truth)} steps", f"{self.horizon}, the horizon"))
        return truth

    # ── predictions ──────────────────────────────────────────────────────────────────────────────────────────

    def decode(self, outputs: Any, context: Any = None) -> Floats:
        """Return the quantiles (Q, H) of outputs (H · Q,) in the unit of the data."""
        z = np.array(outputs, np.float64).reshape(self.horizon, len(self.levels))
        z.sort(axis=1)
        quantiles = context["level"] + context["scale"] * self._moved(z.T)
        return np.asarray(np.maximum(quantiles, 0.0) if self.non_negative else quantiles)

    def _moved(self, z: Floats) -> Floats:
        """Return rising quantiles (Q, H), moved by the offsets: rising as well, and with the same median."""
        if self.offsets is None:
            return z
        median, middle = self.median, z[self.median]
        moved = z + self.offsets * (z[-1] - z[0])
        below = np.sort(np.minimum(moved[:median], middle), axis=0)
        above = np.sort(np.maximum(moved[median + 1 :], middle), axis=0)
        return np.concatenate([below, middle[None], above])

    @property
    def median(self) -> int:
        """The index of the median among the quantiles."""
        return self.levels.index(0.5)

    def present(self, prediction: Floats, context: Any = None) -> dict[str, Any]:
        """Return the series, the times of the horizon, the forecast (the median) and the quantiles; which channel of
        several."""
        window = context["window"]
        history = window.history
        has_channels = bool(history.name) and len(history.channels) > 1
        presented: dict[str, Any] = {"series": window.name}
        if has_channels:
            presented["channel"] = history.channels[window.channel]
        presented["time"] = window.stamps(self.horizon)
        presented["forecast"] = prediction[self.median].tolist()
        presented["quantiles"] = dict(zip(self._names, prediction.tolist(), strict=True))
        return presented

    def table(self, presented: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a row for each step of the horizon."""
        fixed = {"channel": presented["channel"]} if "channel" in presented else {}
        rows = zip(presented["time"], presented["forecast"], *presented["quantiles"].values(), strict=True)
        names = ("time", "forecast", *presented["quantiles"])
        return [fixed | dict(zip(names, row, strict=True)) for row in rows]

    def values(self, outputs: Any, contexts: Sequence[Any] | None = None) -> Floats:
        """Return the forecast of each window, (N, H)."""
        decoded = [
            self.decode(each, context)[self.median] for each, context in zip(outputs, contexts or (), strict=True)
        ]
        return np.reshape(decoded, (-1, self.horizon))

    def place(self, prediction: Any, step: int, value: float) -> dict[str, float | None]:
        """Return where a value falls in a forecast distribution.

        Args:
            prediction: quantiles (Q, H); None for none.
            step: of the horizon, from 0.
            value: the observation; NaN for a missing one.

        Returns:
            ``quantile``, the share of the distribution below the value, and ``probability``, that of values which lie
            at least as far outside, 1e-9 or more; None where nothing was forecast, or the value is missing.
        """
        if prediction is None or step >= self.horizon or np.isnan(value):
            return {"quantile": None, "probability": None}
        below, at, above = shares_around(value, prediction[:, step], self.levels)
        return {"quantile": below + at / 2, "probability": min(1.0, 2 * (below + at), 2 * (at + above))}

    # ── scores ───────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, prediction: Any, label: Any, context: Any = None) -> Records:
        """Return the record of a window, (1 + H · S,): a number for its series, and what each step contributes."""
        return np.asarray(self.records_of_predictions([prediction], [label], [context])[0])

    def records_of_predictions(
        self, predictions: Sequence[Any], labels: Sequence[Any], contexts: Sequence[Any] | None = None
    ) -> Records:
        """Return the records of windows, (N, 1 + H · S); see :func:`rekur.metrics.forecasts.forecast_records`."""
        quantiles = np.asarray(predictions, np.float64)
        contexts = contexts or ()
        records = forecast_records(
            quantiles[:, self.median],
            np.stack([self._truth(label) for label in labels]),
            np.array([self._naive_error(context) for context in contexts]),
            naive2=np.stack([self._naive2(context) for context in contexts]),
            quantiles=quantiles,
            levels=self.levels,
        )
        groups = np.array([_number(context["window"].name) for context in contexts])
        return np.column_stack([groups, records.reshape(len(records), -1)])

    def _naive_error(self, context: Any) -> float:
        """Return the naive error of a window, which is computed once."""
        if "naive_error" not in context:
            past = context["window"].past
            error = float(seasonal_scales(past[None], self.period)[0])
            context["naive_error"] = error if error > ROUNDING * float(np.nanmax(np.abs(past), initial=0.0)) else 0.0
        return float(context["naive_error"])

    def _naive2(self, context: Any) -> Floats:
        """Return the forecast (H,) of Naive2 for a window, which is computed once."""
        if "naive2" not in context:
            context["naive2"] = naive2(context["window"].past[None], self.period, self.horizon)[0]
        return np.asarray(context["naive2"])

    def naive_scores(self, labels: Sequence[Any], contexts: Sequence[Any]) -> dict[str, float]:
        """Return the scores of Naive2 for windows."""
        forecasts = [np.tile(self._naive2(context), (len(self.levels), 1)) for context in contexts]
        return self.score(self.records_of_predictions(forecasts, labels, contexts))

    def score(self, records: Records, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Return the scores of any choice of records; see :func:`rekur.metrics.forecasts.forecast_scores`."""
        return forecast_scores(self._steps(records), weights)

    def _steps(self, records: Records) -> Floats:
        return records[:, 1:].reshape(len(records), self.horizon, FORECAST_COLUMNS)

    def report(self, records: Records) -> dict[str, Any]:
        """Return the scores with intervals over series, and those of each step of the horizon."""
        report = forecast_report(self._steps(records), records[:, 0])
        return {"items": report.pop("windows"), **report}

    def verdict(self, metrics: dict[str, Any], rival: dict[str, Any]) -> str:
        """Return a sentence if a rival is better by the metric that decides, else an empty text."""
        ours, theirs = metrics.get(self.decides), rival.get(self.decides)
        if ours is None or theirs is None or METRICS[self.decides].lost(theirs, ours) <= 0:
            return ""
        return f"This model loses: {self.decides} {shown(ours)} against {shown(theirs)} of {rival['name']}."

    def errors(self, prediction: Any, label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of a window; its severity is the mean size of errors beside the naive error, or the unit."""
        truth = self._truth(label)
        steps = np.flatnonzero(~np.isnan(truth))
        errors = np.abs(prediction[self.median] - truth)[steps]
        if errors.any():
            mean = float(errors.mean())
            cells = partial(self._error_cells, prediction, truth, context["window"], mean, int(steps[errors.argmax()]))
            yield ErrorRow(mean / (self._naive_error(context) or self.unit), cells)

    def doubts(self, prediction: Any, label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of a window; its severity is the mean width of the widest interval beside the naive error."""
        truth, widths = self._truth(label), prediction[-1] - prediction[0]
        steps = np.flatnonzero(~np.isnan(truth))
        if len(steps) and len(self.levels) > 1:
            mean = float(np.abs(prediction[self.median] - truth)[steps].mean())
            step = int(steps[widths[steps].argmax()])
            cells = partial(self._error_cells, prediction, truth, context["window"], mean, step)
            yield ErrorRow(float(widths.mean()) / (self._naive_error(context) or self.unit), cells)

    def _error_cells(self, prediction: Any, truth: Floats, window: Any, mean: float, step: int) -> dict[str, Any]:
        """Return the cells of a window: the values before it, and truth and forecast at the step that is most wrong."""
        return {
            "input": " ".join(f"{value:.6g}" for value in window.past[-_SHOWN_VALUES:].tolist()),
            "truth": float(truth[step]),
            "prediction": float(prediction[self.median, step]),
            "time": window.history.stamp(window.origin + step),
            "channel": window.history.channels[window.channel],
            "origin": window.history.stamp(window.origin - 1),
            "error": mean,
            **{f"{level:g}": float(row[step]) for level, row in zip(self.levels, prediction, strict=True)},
        }

    def gallery(self) -> ForecastGallery:
        """Return a new collection of forecasts with their errors."""
        return ForecastGallery(self.levels, self.unit)

    def fan(self, prediction: Floats, context: Any) -> Fan:
        """Return the plot of quantiles (Q, H) behind the values before their origin."""
        return fan_of(context["window"], prediction, self.levels)

    # ── saving ───────────────────────────────────────────────────────────────────────────────────────────────

    def to_dict(self) -> dict[str, Any]:
        """Return what was learned."""
        return {
            "horizon": self.horizon,
            "period": self.period,
            "decides": self.decides,
            "non_negative": self.non_negative,
            "unit": self.unit,
            "units": self.units,
            "levels": list(self.levels),
            "offsets": None if self.offsets is None else self.offsets.tolist(),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the target that :meth:`to_dict` described."""
        names = ("period", "decides", "non_negative", "unit", "levels")
        how: dict[str, Any] = {name: saved[name] for name in names}
        return cls(saved["horizon"], **how, units=saved.get("units"), offsets=saved.get("offsets"))


def _number(name: str) -> float:
    """Return a whole number that stands for a name."""
    return float(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest()))
