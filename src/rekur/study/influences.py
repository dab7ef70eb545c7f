"""Scores of runs and the records behind them: checked, and how far each group of examples moves each score.

Axes: N records, S numbers a record, G groups of examples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur._values import as_array, is_missing, numbers_in
from rekur.errors import InputError, ShapeError, describe

Array = NDArray[np.float64]
Score = Callable[[Array], float | Mapping[str, float]]
#: (variant, seed) -> its records (N, S)
Runs = dict[tuple[int, int], Array]

#: most groups of examples that are left out in turn
GROUPS = 100
#: largest difference between scores and those of their records, relative to the largest score
TOLERANCE = 1e-4
LARGEST_SCORE = 1e300


def read_scores(scores: Any) -> Array:
    """Return scores as an array (variants, seeds), with NaN for runs that failed.

    Args:
        scores: lists, an array or a frame; NaN, None and masked values are runs that failed.

    Raises:
        InputError: a score is infinite or no number.
        ShapeError: scores are no table, or an empty one.

    Example:
        >>> read_scores([[0.5, None], [1, 2]])
        array([[0.5, nan],
               [1. , 2. ]])
    """
    expected = "a table (variants, seeds) of one variant and one seed or more"
    with _one_length("scores", f"{expected}. Give NaN for a run that failed."):
        numbers = numbers_in(scores, "scores")
        values = _objects(scores) if numbers is None else numbers
    if values.ndim != 2 or not values.size:
        raise ShapeError(describe("shape of scores", values.shape, expected))
    table = _numbers(values) if numbers is None else numbers
    for index in map(tuple, np.argwhere(np.abs(table) > LARGEST_SCORE).tolist()):
        _refuse_score(index, float(table[index]))
    return table


@contextmanager
def _one_length(thing: str, expected: str) -> Iterator[None]:
    """Turn the error that NumPy raises for rows of different lengths into a ShapeError."""
    try:
        yield
    except InputError:
        raise
    except ValueError:
        raise ShapeError(f"{thing}: got rows of different lengths; expected {expected}") from None


def _objects(scores: Any) -> NDArray[Any]:
    """Return scores as an array of Python values; NumPy alone would turn the numbers beside a text into texts."""
    return np.array(scores, dtype=object) if isinstance(scores, list | tuple) else as_array(scores, "scores")


def _numbers(values: NDArray[Any]) -> Array:
    """Return an array of Python values as numbers, with NaN for missing ones; text is refused."""
    numbers = np.full(values.shape, math.nan)
    for index in np.ndindex(values.shape):
        value: Any = values[index]
        if isinstance(value, str | bytes):
            _refuse_score(index, value)
        if not is_missing(value):
            try:
                numbers[index] = float(value)
            except (TypeError, ValueError, OverflowError):
                _refuse_score(index, value)
    return numbers


def _refuse_score(index: tuple[int, ...], value: object) -> NoReturn:
    expected = f"a number from {-LARGEST_SCORE:g} to {LARGEST_SCORE:g}, or NaN for a run that failed"
    raise InputError(describe(f"score of {_run(*index)}", value, expected))


def _run(variant: int, seed: int) -> str:
    return f"variant {variant}, seed {seed}"


def influences(table: Array, records: Any, score: Score | None, seed: int) -> Array | None:
    """Return how far each group of examples moves the score of each run, with NaN for runs that failed.

    Items are shared out to at most 100 random groups, the same in all runs, and each group is left out in turn. The
    sum of a run's squares is the variance of its score over examples; that of a difference between two runs' rows is
    the variance of the difference of their scores.

    Args:
        table: scores (variants, seeds), from :func:`read_scores`.
        records: (variants, seeds, items, S), or None.
        score: records (N, S) -> the score, or a dict of metrics.
        seed: of the groups.

    Returns:
        (variants, seeds, G); None without records, or if all runs failed.

    Raises:
        InputError: records without ``score`` or the reverse, or a score that differs from that of its records.
        ShapeError: records that do not fit the scores or each other.

    Example:
        >>> records = np.array([[[[1.0], [0.0], [0.0], [1.0]]]])
        >>> moves = influences(np.array([[0.5]]), records, np.mean, seed=0)
        >>> moves.shape, round(float((moves**2).sum()), 4)  # 0.25 / 3, the variance of this mean
        ((1, 1, 4), 0.0833)
    """
    if records is None and score is None:
        return None
    if records is None:
        raise InputError(describe("records", None, "(variants, seeds, items, S) beside score", "Leave score out."))
    if not callable(score):
        raise InputError(describe("score", score, "a function from records to a score", "Pass the target's score."))
    runs = _read_records(records, table)
    if not runs:
        return None
    metric = _metric(table, runs, score)
    count = len(next(iter(runs.values())))
    order = np.random.default_rng(seed).permutation(count)
    groups = min(GROUPS, count)
    cuts = np.arange(groups + 1) * count // groups
    moves = np.full((*table.shape, groups), math.nan)
    for index, rows in runs.items():
        moves[index] = _jackknife(metric, rows[order], cuts)
    return moves


def _read_records(records: Any, table: Array) -> Runs:
    """Return the records of every run that finished."""
    _check_length("records", records, len(table), "variant")
    runs: Runs = {}
    for variant, seeds in enumerate(records):
        _check_length(f"records of variant {variant}", seeds, table.shape[1], "seed")
        for seed, values in enumerate(seeds):
            if not math.isnan(table[variant, seed]):
                runs[variant, seed] = _read_run(f"records of {_run(variant, seed)}", values)
    sizes = {index: rows.shape for index, rows in runs.items()}
    first = next(iter(sizes), None)
    for index, shape in sizes.items():
        if first is not None and shape != sizes[first]:
            expected = f"{sizes[first]}, as {_run(*first)} has"
            fix = "Score every run on the same items."
            raise ShapeError(describe(f"shape of the records of {_run(*index)}", shape, expected, fix))
    return runs


def _check_length(thing: str, values: Any, length: int, noun: str) -> None:
    if not hasattr(values, "__len__"):
        raise InputError(describe(thing, values, f"an array or a list of {counted(length, noun)}"))
    if len(values) != length:
        raise ShapeError(describe(f"{noun}s in {thing}", len(values), f"{length}, as in scores"))


def _read_run(thing: str, values: Any) -> Array:
    expected = "numbers (items, S) of two items or more"
    with _one_length(thing, f"{expected}."):
        rows = numbers_in(values, thing)
    if rows is None:
        raise InputError(f"{thing}: got values that are no numbers; expected {expected}.")
    if rows.ndim != 2 or len(rows) < 2:
        raise ShapeError(describe(f"shape of the {thing}", rows.shape, expected))
    return rows


def _metric(table: Array, runs: Runs, score: Score) -> Callable[[Array], float]:
    """Return the function from records to the score in ``table``: of several metrics, the one that agrees best."""
    results = {index: score(rows) for index, rows in runs.items()}
    sample = next(iter(results.values()))
    names: list[str | None] = list(sample) if isinstance(sample, Mapping) else [None]
    gaps = {name: _gap(results, table, name) for name in names}
    numeric = [name for name in names if math.isfinite(gaps[name])]
    if not numeric:
        raise InputError(describe("score", sample, "a finite number for every run, or a dict of such numbers"))
    name = min(numeric, key=lambda name: gaps[name])
    limit = TOLERANCE * max(abs(table[index]) for index in runs)
    for index in runs:
        value = _value(results[index], name)
        if abs(value - table[index]) > limit:
            expected = f"{value:.6g}, the {name or 'score'} of its records"
            fix = "Pass the records that scores were made of, and the score in the same unit."
            raise InputError(describe(f"score of {_run(*index)}", float(table[index]), expected, fix))
    return lambda rows: _value(score(rows), name)


def _gap(results: Mapping[tuple[int, int], float | Mapping[str, float]], table: Array, name: str | None) -> float:
    """Return the largest difference between a metric of the records and the scores; NaN if it is undefined."""
    return float(np.max([abs(_value(result, name) - table[index]) for index, result in results.items()]))


def _value(result: float | Mapping[str, float], name: str | None) -> float:
    """Return one metric of a score's result; NaN if it is absent or no number."""
    value = result.get(str(name)) if isinstance(result, Mapping) else result
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _jackknife(metric: Callable[[Array], float], rows: Array, cuts: NDArray[np.intp]) -> Array:
    """Return how far each group of rows moves the metric (G,), scaled so that the sum of squares is its variance.

    The delete-a-group jackknife for groups of unequal size, Busing et al. 1999, doi:10.1023/A:1008800423698.
    """
    total = metric(rows)
    rest = np.array([metric(np.concatenate([rows[:a], rows[b:]])) for a, b in itertools.pairwise(cuts)])
    if not np.isfinite(rest).all():
        bad = float(rest[~np.isfinite(rest)][0])
        expected = "a finite number of any part of the records"
        raise InputError(describe("score", bad, expected, "Use a metric that few examples cannot make undefined."))
    ratio = len(rows) / np.diff(cuts)  # all rows to those of a group
    pseudo = ratio * total - (ratio - 1) * rest
    return np.asarray((pseudo - (pseudo / ratio).sum()) / np.sqrt(len(rest) * (ratio - 1)))
