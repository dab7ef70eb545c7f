"""The forecasts of quality.py: series cut at a point in time, models of what comes before it, scores of what follows.

A model is fitted on all that comes before the scored part, of which it holds the end out by itself: on the training
rows to score the validation rows, and with ``--test`` on both to score the test rows. Every window of the scored part
is forecast, from the true values before its origin, by the model and by all of its plain rivals.

Axes: N windows, Q quantiles, H steps of the horizon.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quality_data import DataSet
from rekur.data import EncodedItems, History, HistoryColumns, read_histories
from rekur.data.encoded import encode_all
from rekur.data.parts import series_corpus
from rekur.features.windows import Window
from rekur.tasks.base.plan import run
from rekur.tasks.catalog import CATALOG

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
REKUR = "rekur"
#: the fields of a row
NAMES = ("data", "task", "metric", "model", "split", "seed", "value", "seconds")
#: the data set of the rows over all data sets
POOLED = "all"
#: windows that are forecast at once
_BLOCK = 1024


class Scored(NamedTuple):
    """Forecasts of windows and what they are scored by.

    Attributes:
        quantiles: (N, Q, H).
        windows: with what was known at the origins.
        truth: (N, H), NaN where missing.
        contexts: of the windows.
        target: that of the model.
    """

    quantiles: Array
    windows: Sequence[Window]
    truth: Array
    contexts: Sequence[Any]
    target: Any

    @property
    def errors(self) -> Array:
        """Truth less forecast, (N, H), NaN where it is missing."""
        return self.truth - self.quantiles[:, self.target.median]


class Cut(NamedTuple):
    """Series cut in two.

    Attributes:
        name: of the rows of this cut; empty for that of the data set.
        known: the series up to the scored part.
        windows: those of the scored part, each with a value in its horizon.
        horizon: steps to forecast.
        score: forecasts -> scores by name.
        options: of the estimator.
    """

    name: str
    known: list[History]
    windows: list[Window]
    horizon: int
    score: Callable[[Scored], dict[str, float]]
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed


# ── data sets ────────────────────────────────────────────────────────────────────────────────────────────────────


def cut(name: str, whole: History, first: int, end: int, horizon: int, score: Any, **options: Any) -> Cut:
    """Return a history cut before step ``first``; every origin is scored whose horizon ends before step ``end``."""
    known = whole.part(0, first)
    origins = range(first, min(end, len(whole)) - horizon + 1)
    windows = [Window(whole, channel, origin) for channel in range(len(whole.channels)) for origin in origins]
    windows = [window for window in windows if not np.isnan(window.truth(horizon)).all()]
    return Cut(name, [known], windows, horizon, score, options)


def m4(path: Path, part: str) -> list[Cut]:
    """Return the series with the horizon behind them; to validate, their last 48 steps are that."""
    horizon = 48
    whole = read_histories(path.with_name("Hourly-train.csv"), tell=lambda note: None)
    if part == "test":
        ends = {series.name: series for series in read_histories(path, tell=lambda note: None)}
        whole = [series.joined(ends[series.name]) for series in whole]
    lengths = [len(series) - horizon for series in whole]
    windows = [Window(series, 0, length) for series, length in zip(whole, lengths, strict=True)]
    known = [series.part(0, length) for series, length in zip(whole, lengths, strict=True)]
    return [Cut("", known, windows, horizon, competition_scores)]


def etth1(horizon: int) -> Callable[[Path, str], list[Cut]]:
    """Return a reader of the seven channels, 96 steps to ``horizon``, cut where papers cut them."""
    ends = (8640, 11520, 14400)

    def read(path: Path, part: str) -> list[Cut]:
        with path.open(encoding="utf-8", newline="") as lines:
            channels = next(csv.reader(lines))[1:]
        (whole,) = read_histories(path, HistoryColumns(time="date", series=channels), tell=lambda note: None)
        first, end = ends[1:] if part == "test" else ends[:2]
        deviations = whole.values[: ends[0]].std(axis=0)

        def score(scored: Scored) -> dict[str, float]:
            units = np.array([deviations[window.channel] for window in scored.windows])
            standard = scored.errors / units[:, None]
            return {"mse": float(np.nanmean(standard**2)), "mae": float(np.nanmean(np.abs(standard)))}

        return [cut("", whole, first, end, horizon, score, lookback=96, metric="rmse")]

    return read


def pm25(path: Path, part: str) -> list[Cut]:
    """Return the hours of PM2.5, with the weather until now: 2010 to 2012 to train, 2013 to validate, 2014 to test."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    stamps = [f"{row['year']}-{int(row['month']):02}-{int(row['day']):02} {int(row['hour']):02}:00" for row in rows]
    table: dict[str, Any] = {"time": stamps, "cbwd": [row["cbwd"] for row in rows]}
    for name in ("pm2.5", "DEWP", "TEMP", "PRES", "Iws", "Is", "Ir"):
        table[name] = [None if row[name] == "NA" else float(row[name]) for row in rows]
    columns = HistoryColumns(
        time="time", series=["pm2.5"], past=[name for name in table if name not in ("time", "pm2.5")]
    )
    (whole,) = read_histories(table, columns, tell=lambda note: None)
    years = np.asarray(whole.local(0, len(whole))).astype("M8[ns]").astype("M8[Y]").astype(int) + 1970
    first, end = np.searchsorted(years, (2014, 2015) if part == "test" else (2013, 2014)).tolist()
    return [cut("", whole, first, end, 24, absolute_errors, metric="mae")]


#: file, horizon and seasons of each series
CLASSICS: dict[str, tuple[int, tuple[int, ...]]] = {
    "airline-passengers": (12, (12,)),
    "monthly-car-sales": (12, (12,)),
    "monthly-mean-temp": (12, (12,)),
    "monthly-sunspots": (12, (12, 132)),
    "daily-total-female-births": (14, (7,)),
    "daily-min-temperatures": (30, (365,)),
}


def classics(path: Path, part: str) -> list[Cut]:
    """Return each of the series: the last fifth to test, the tenth before it to validate."""
    cuts = []
    for name, (horizon, seasons) in CLASSICS.items():
        file = path.with_name(f"{name}.csv")
        with file.open(encoding="utf-8", newline="") as lines:
            time_column, column = next(csv.reader(lines))
        (whole,) = read_histories(file, HistoryColumns(time=time_column, series=[column]), tell=lambda note: None)
        shares = (0.8, 1.0) if part == "test" else (0.7, 0.8)
        first, end = (round(share * len(whole)) for share in shares)
        cuts.append(cut(name, whole, min(first, end - horizon), end, horizon, relative_errors(seasons), metric="mae"))
    return cuts


# ── scores ───────────────────────────────────────────────────────────────────────────────────────────────────────


def competition_scores(scored: Scored) -> dict[str, float]:
    """Return the scores of the M4 competition."""
    truth = list(scored.truth)
    records = scored.target.records_of_predictions(list(scored.quantiles), truth, scored.contexts)
    scores = scored.target.score(records)
    return {name: scores[name] for name in ("owa", "smape", "mase")}


def absolute_errors(scored: Scored) -> dict[str, float]:
    """Return the mean over windows of the mean absolute error over the observed steps of each."""
    return {"mae": float(np.nanmean(np.abs(scored.errors), axis=1).mean())}


def relative_errors(seasons: tuple[int, ...]) -> Callable[[Scored], dict[str, float]]:
    """Return the mean absolute error over that of the best seasonal naive of these seasons on the same points."""

    def score(scored: Scored) -> dict[str, float]:
        naive = np.stack([seasonal_naives(scored.windows, season, scored.truth.shape[1]) for season in seasons])
        errors = np.abs(np.stack([scored.errors, *(scored.truth - naive)]))
        ours, *theirs = errors[:, ~np.isnan(errors).any(axis=0)].mean(axis=1)
        return {"relative_error": float(ours / min(theirs))}

    return score


def seasonal_naives(windows: Sequence[Window], season: int, horizon: int) -> Array:
    """Return the values a season before each step, (N, H); beyond a season, those of the last one again."""
    steps = np.arange(horizon) % season - season
    return np.stack([window.past[steps] for window in windows])


def coverage(scored: Scored) -> dict[str, float]:
    """Return the share of observed points between the outer quantiles, and their number."""
    observed = ~np.isnan(scored.truth)
    low, high = scored.quantiles[:, 0], scored.quantiles[:, -1]
    inside = observed & (low <= scored.truth) & (scored.truth <= high)
    return {"coverage": float(inside.sum() / observed.sum()), "points": float(observed.sum())}


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(data: DataSet, path: Path, part: str, seeds: Sequence[int], options: dict[str, Any]) -> list[Row]:
    """Return the rows of a data set: a model for each seed and, beside the first, its rivals, on the same windows.

    Args:
        data: the data set.
        path: its file.
        part: the part that is scored.
        seeds: of the models.
        options: of the estimators, before those of the data set.
    """
    rows: list[Row] = []
    for each in data.read(path, part):
        about = {"data": f"{data.name}, {each.name}" if each.name else data.name, "task": "forecast", "split": part}
        for seed in seeds:
            rows += _of_seed(each, about, seed, options, with_rivals=seed == seeds[0])
    return rows + medians(data, rows)


def _of_seed(each: Cut, about: Row, seed: int, options: dict[str, Any], *, with_rivals: bool) -> list[Row]:
    """Return the rows of a model and, where they are asked for, of its rivals."""
    windows = each.windows
    began = time.monotonic()
    chosen = {"horizon": each.horizon, **each.options, **options}
    estimator = CATALOG["forecast"].estimator_class()(seed=seed, baseline=False, **chosen)
    model = estimator.fit_corpus(series_corpus(each.known, about["data"]))
    seconds = time.monotonic() - began
    print(f"{about['data']} seed {seed}: {len(windows):,} windows to score after {seconds:.0f} s", file=sys.stderr)
    scored = forecasts(model, windows)
    rows = rows_of({**about, "model": REKUR, "seed": seed}, {**each.score(scored), **coverage(scored)}, seconds)
    for rival in model.make_rivals(None, None, model.target_) if with_rivals else ():
        began = time.monotonic()
        items = EncodedItems({}, np.empty(0), np.arange(len(windows)), list(scored.truth), scored.contexts)
        others = scored._replace(quantiles=np.stack(rival.predictions(items)))
        scores = {**each.score(others), **coverage(others)}
        rows += rows_of({**about, "model": rival.name, "seed": None}, scores, time.monotonic() - began)
    return rows


def rows_of(about: Row, scores: dict[str, float], seconds: float) -> list[Row]:
    """Return a row for each score of a model."""
    rows = [{**about, "metric": name, "value": value, "seconds": round(seconds, 2)} for name, value in scores.items()]
    return [{name: row[name] for name in NAMES} for row in rows]


def forecasts(model: Any, windows: Sequence[Window]) -> Scored:
    """Return the forecasts of a model for windows; what its network reads lives no longer than a block of them."""
    target = model.target_
    quantiles: list[Array] = []
    contexts: list[Any] = []
    for first in range(0, len(windows), _BLOCK):
        inputs, part = encode_all(windows[first : first + _BLOCK], model.features_)
        outputs = run(model.model_, EncodedItems(inputs, np.empty(0), np.arange(len(part))))
        quantiles += [target.decode(*each) for each in zip(outputs, part, strict=True)]
        contexts += part
    truth = np.stack([window.truth(target.horizon) for window in windows])
    return Scored(np.stack(quantiles), windows, truth, contexts, target)


def medians(data: DataSet, rows: Sequence[Row]) -> list[Row]:
    """Return the medians over the series of a data set of the score that decides, where each has rows of its own."""
    values: dict[tuple[str, int | None], list[Row]] = {}
    for row in rows:
        if row["metric"] == data.metric and row["data"] != data.name:
            values.setdefault((row["model"], row["seed"]), []).append(row)
    count = max(map(len, values.values()), default=0)
    return [
        {
            **of_model[0],
            "data": data.name,
            "value": float(np.median([row["value"] for row in of_model])),
            "seconds": round(sum(row["seconds"] for row in of_model), 2),
        }
        for of_model in values.values()
        if len(of_model) == count  # a rival that not every series has says nothing of all
    ]


def pooled(rows: Sequence[Row]) -> list[Row]:
    """Return the coverage over the points of all data sets for each seed of our model, and the number of points."""
    ours = [row for row in rows if row["model"] == REKUR and row["metric"] in ("coverage", "points")]
    made: list[Row] = []
    for split, seed in dict.fromkeys((row["split"], row["seed"]) for row in ours):
        of_seed = [row for row in ours if (row["split"], row["seed"]) == (split, seed)]
        shares, points = ([row for row in of_seed if row["metric"] == metric] for metric in ("coverage", "points"))
        counts, seconds = np.array([row["value"] for row in points]), sum(row["seconds"] for row in points)
        covered = float(counts @ [row["value"] for row in shares] / counts.sum())
        about = {"data": POOLED, "task": "forecast", "model": REKUR, "split": split, "seed": seed}
        made += rows_of(about, {"coverage": covered, "points": float(counts.sum())}, seconds)
    return made


_MORE = tuple(f"univariate_classics/{name}.csv" for name in CLASSICS)
_TRAIN, _TEST = "m4_hourly/Hourly-train.csv", {"test": "m4_hourly/Hourly-test.csv"}

FORECAST = (
    DataSet("m4_hourly", _TRAIN, m4, "owa", 10, 0.40, files=_TEST, more_files=(_TRAIN,)),
    DataSet("etth1_96_24", "etth1/ETTh1.csv", etth1(24), "mse", 5, 0.290),
    DataSet("etth1_96_96", "etth1/ETTh1.csv", etth1(96), "mse", 5, 0.375),
    DataSet("beijing_pm25", "beijing_pm25/pollution.csv", pm25, "mae", 10, 43),
    DataSet("univariate_classics", _MORE[0], classics, "relative_error", 5, 0.9, more_files=_MORE),
)
