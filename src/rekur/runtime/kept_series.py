"""The ends of the training series in a bundle, from which a prediction goes on, and newer rows of the same series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rekur._calendar import SECOND
from rekur._history import History
from rekur._numbers import counted
from rekur._tensors import pack, unpack
from rekur.data.corpus import Corpus
from rekur.data.histories import categories_of
from rekur.data.parts import series_corpus
from rekur.errors import InputError, describe
from rekur.features.windows import WindowFeatures
from rekur.runtime import layout
from rekur.runtime.bundle import Bundle

_ARRAYS = ("values", "past", "future", "static")
#: values that a forecast is made from, at least
_FEWEST = 2
#: names in a sentence at most
_MOST_NAMED = 3
#: difference, as a share, up to which two readings of a value are the same
_SAME = 1e-9


def series_files(histories: Sequence[History], steps: int) -> dict[str, bytes]:
    """Return the files that keep the last ``steps`` steps of each series, with all covariates that are known ahead."""
    ends = [history.part(max(0, len(history) - steps), len(history), history.known_horizon) for history in histories]
    arrays = {name: np.concatenate([np.atleast_1d(getattr(end, name)) for end in ends]) for name in _ARRAYS}
    saved = [{**end.to_dict(), "rows": [len(getattr(end, name)) for name in _ARRAYS]} for end in ends]
    return {layout.SERIES: layout.render({"series": saved}), layout.SERIES_ARRAYS: pack("series", arrays)}


def kept_series(bundle: Bundle) -> list[History]:
    """Return the ends of the training series; none where the bundle keeps none.

    Raises:
        BundleError: a file of them is damaged.
    """
    if layout.SERIES not in bundle.config["files"]:
        return []
    path = bundle.folder / layout.SERIES
    saved = layout.parse(path, bundle.read(layout.SERIES))
    try:
        arrays, starts = unpack(bundle.read(layout.SERIES_ARRAYS)), dict.fromkeys(_ARRAYS, 0)
        histories = []
        for each in saved["series"]:
            rows = dict(zip(_ARRAYS, each.pop("rows"), strict=True))
            parts = {name: arrays[name][starts[name] : starts[name] + count] for name, count in rows.items()}
            histories.append(History.from_dict(each, **parts))
            starts = {name: starts[name] + count for name, count in rows.items()}
        return histories
    except (KeyError, TypeError, ValueError) as error:
        raise layout.damaged(path, f"series without {error}", "what this Rekur wrote") from error


# ── newer rows ───────────────────────────────────────────────────────────────────────────────────────────────────


def trained_reading(saved: Sequence[History], names: Sequence[str] = ()) -> dict[str, Any]:
    """Return how other rows are read: with the categories of training; and those of kept series with its step, and if
    few, or if they have columns that are known ahead and no value.

    Args:
        saved: the kept series; none where a bundle keeps none.
        names: the covariates of training; by default those of the kept series.
    """
    first = saved[0] if saved else None
    if first is not None:
        names = names or (*first.past_names, *first.future_names, *first.static_names)
    categories = categories_of(names)
    if first is None:
        return {"categories": categories} if names else {}
    step = None if first.step.unit == "row" else first.step
    return {"step": step, "categories": categories, "fewest": 0 if first.future_names else 1}


def series_to_run(
    corpus: Corpus, saved: Sequence[History], features: WindowFeatures, use: str, *, non_negative: bool = False
) -> tuple[Corpus, list[str]]:
    """Return the series of a file, behind those that they continue, and sentences on what was done.

    A series continues the kept one of its name if it begins less than a look-back behind it, or if they overlap and
    agree. Where steps have no stamps, rows that are shorter than the look-back, or in an evaluation than it and the
    horizon, continue it, unless they are its end.
    Values from behind the end of a series are never read, though the bundle has them.

    Args:
        corpus: the series.
        saved: the ends of the training series.
        features: of the model.
        use: ``"prediction"`` or ``"evaluation"``.
        non_negative: whether forecasts below 0 are 0.

    Raises:
        InputError: a series has too few values to be forecast, or none has enough to be scored.
    """
    by_name, series, told = {each.name: each for each in saved}, list[History](), dict[str, list[str]]()
    enough = features.lookback + (features.horizon if use == "evaluation" else 0)
    for newer in corpus.items():
        joined, sentence = newer, "series that the bundle does not know are forecast all the same"
        if newer.name in by_name:
            joined, sentence = _joined(by_name[newer.name], newer, features.lookback, enough)
            if use == "evaluation":
                joined, text = _scored(by_name[newer.name], newer, joined)
                if text:
                    told.setdefault(text, []).append(newer.name)
        elif not saved:
            sentence = ""
        gap = 0 if joined is newer else len(joined) - len(newer) - len(by_name[newer.name])
        if sentence:
            told.setdefault(sentence, []).append(newer.name)
        if gap > 0:
            steps = f"{newer.name} {gap}".lstrip()
            told.setdefault("steps between the kept values and these are missing", []).append(steps)
        if non_negative and bool((newer.values < 0).any()):
            told.setdefault("series have values below 0, but the model forecasts none", []).append(newer.name)
        series.append(joined)
    if use == "prediction":
        for each in series:
            _need_values(each, corpus)
    else:
        told |= _partly_scored(series, features, corpus.name)
    return series_corpus(series, corpus.name, ", line {}".format), [_said(*each) for each in told.items()]


def _partly_scored(series: Sequence[History], features: WindowFeatures, name: str) -> dict[str, list[str]]:
    """Return sentences on series that are scored in part or not at all, and their names; raise if none is scored."""
    horizon, told = features.horizon, dict[str, list[str]]()
    unscored = [each for each in series if next(features.parts(each, use="evaluation"), None) is None]
    if len(unscored) == len(series):
        expected = f"{horizon + _FEWEST} or more: two values and a horizon"
        fix = "Add earlier rows of each series."
        raise InputError(describe(f"{name}: steps of the longest series", max(map(len, series)), expected, fix))
    short = [each for each in series if each.first_origin and len(each) < each.first_origin + horizon]
    if short:
        told[f"series with fewer new steps than the horizon of {horizon} are scored on these"] = [x.name for x in short]
    if unscored:
        told["series without two values before the horizon are not scored"] = [each.name for each in unscored]
    return told


def _joined(saved: History, newer: History, lookback: int, enough: int) -> tuple[History, str]:
    """Return a series behind the kept one of its name where it continues it, and a sentence; empty for nothing.

    Args:
        saved: the kept series.
        newer: the other.
        lookback: steps.
        enough: steps from which on a series without stamps stands for itself.
    """
    steps = f"the look-back of {counted(lookback, 'step')}"
    newer = _by_clock_of(saved, newer)
    names = ("channels", "past_names", "future_names", "static_names")
    clocks = [None if each.form is None else each.form.clock for each in (saved, newer)]
    same = all(getattr(saved, name) == getattr(newer, name) for name in names)
    if not same or saved.step != newer.step or clocks[0] != clocks[1]:
        return newer, "series with other columns, steps or clocks than in training are read without their kept values"
    if saved.step.unit == "row":
        if enough > lookback:
            steps += f" and the horizon of {enough - lookback}"
        if _is_known(saved, newer, enough):
            return newer, ""
        if len(newer) >= enough:
            text = f"series without time stamps that have {steps} or more are read without their kept values"
            return newer, text
        text = f"series without time stamps that are shorter than {steps} continue the kept series of the same name"
        return replace(saved.joined(newer), first_origin=len(saved)), text
    index, on_grid = saved.step.index(newer.start, saved.start)
    begin, old = int(index), len(saved)
    end = begin + len(newer)
    if not on_grid:
        return newer, "series at other times than the steps of training are read without their kept values"
    if not len(newer) and begin + len(newer.future) > old:
        return replace(saved.joined(newer), first_origin=old), "series that continue their kept values"
    if end < old:
        return newer, "series that end before their kept values are read without these"
    if begin <= 0:
        return newer, ""
    if begin - old >= lookback:
        return newer, f"series that begin {steps} or more behind their kept values are read without these"
    ours, theirs = saved.values[begin:], newer.values[: max(0, old - begin)]
    if not (np.isclose(ours, theirs, _SAME, 0) | np.isnan(ours) | np.isnan(theirs)).all():
        return newer, "series that differ from their kept values at the same steps are read without these"
    joined = replace(saved.joined(newer), first_origin=old if end > old else begin)
    return joined, "series that continue their kept values"


def _scored(saved: History, newer: History, joined: History) -> tuple[History, str]:
    """Return the part of a series that follows the kept one of its name, and a sentence that says so.

    Args:
        saved: the kept series.
        newer: the other.
        joined: the same behind the kept one, where it continues that.
    """
    trained = _trained_steps(saved, newer)
    if not trained:
        return joined, ""
    if trained >= len(newer):
        return joined, "warning: series are scored on steps that the model was trained or chosen by, which is no test"
    if joined is newer:
        joined = replace(newer, first_origin=trained)
    return joined, "series are scored behind the end of training alone"


def _trained_steps(saved: History, newer: History) -> int:
    """Return how many steps of a series the kept one of its name has already; 0 where it is another series."""
    newer, old = _by_clock_of(saved, newer), len(saved)
    if (saved.channels, saved.step) != (newer.channels, newer.step) or not len(newer):
        return 0
    if saved.step.unit == "row":
        count = min(old, len(newer))
        tail, ends = saved.values[old - count :], range(len(newer), count - 1, -1)
        return next((end for end in ends if np.array_equal(tail, newer.values[end - count : end], equal_nan=True)), 0)
    index, on_grid = saved.step.index(newer.start, saved.start)
    begin = int(index)
    first, last = max(0, begin), min(old, begin + len(newer))
    if not on_grid or first >= last:
        return 0
    ours, theirs = saved.values[first:last], newer.values[first - begin : last - begin]
    agree = bool((np.isclose(ours, theirs, _SAME, 0) | np.isnan(ours) | np.isnan(theirs)).all())
    return last - begin if agree else 0


def _is_known(saved: History, newer: History, enough: int) -> bool:
    """Return whether rows without stamps hold the kept ones or are their end, and so do not follow them."""
    theirs = newer.values[-len(saved) :]
    is_constant = bool((theirs == theirs[:1]).all())  # then its end is also what follows it
    return bool(_trained_steps(saved, newer)) and (len(newer) >= enough or not is_constant)


def _by_clock_of(saved: History, newer: History) -> History:
    """Return a series with instants as stamps by the clock on the wall, where the kept one has that; else itself."""
    ours, theirs = saved.form, newer.form
    if ours is None or theirs is None or (ours.clock, theirs.clock) != ("wall", "utc"):
        return newer
    offsets = tuple((first + seconds * SECOND, seconds) for first, seconds in theirs.offsets)
    start = newer.start + theirs.offset(newer.start) * SECOND
    return replace(newer, start=start, form=replace(theirs, clock="wall", offsets=offsets))


def _need_values(history: History, corpus: Corpus) -> None:
    """Raise unless each channel of a series has values to be forecast from."""
    for channel, values in zip(history.channels, history.values.T, strict=True):
        count = int(np.count_nonzero(~np.isnan(values)))
        if count < _FEWEST:
            series = f"series '{history.name}'" if history.name else "series"
            thing = f"{corpus.place_of(history.line)}: {series}"
            thing += f", channel '{channel}'" if len(history.channels) > 1 else ""
            fix = "Add its earlier values, or leave it out."
            raise InputError(f"{thing}: got {counted(count, 'value')}; expected {_FEWEST} or more. {fix}")


def _said(sentence: str, names: Sequence[str]) -> str:
    """Return a sentence on series with the names of the first of them."""
    names = [name for name in names if name]
    if not names:
        return f"{sentence}."
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"{sentence}: {', '.join(names[:_MOST_NAMED])}{more}."
