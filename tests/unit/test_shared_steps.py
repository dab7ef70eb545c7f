"""Windows of one recording: found by the steps that they share, cut by time, and held out in whole stretches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rekur import Classifier, Regressor
from rekur.data import Corpus
from rekur.data.shared_steps import Stretches, find_stretches
from rekur.tasks.base.item_stages import ItemStages

QUICK = {"epochs": 1, "baseline": False}


def log_of(steps: int, channels: int = 1, seed: int = 0) -> NDArray[np.float64]:
    return np.cumsum(np.random.default_rng(seed).normal(size=(steps, channels)), axis=0)


def windows(log: NDArray[np.float64], size: int, stride: int) -> list[NDArray[np.float64]]:
    return [log[start : start + size] for start in range(0, len(log) - size + 1, stride)]


def rows_of(stretches: Stretches) -> list[list[int]]:
    """Return the rows of each stretch, by their first."""
    found: dict[str, list[int]] = {}
    for row, name in enumerate(stretches.names):
        found.setdefault(name, []).append(row)
    return list(found.values())


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(4, 40),
    overlap=st.floats(0.5, 0.99),
    channels=st.integers(1, 3),
    count=st.integers(2, 6),
    seed=st.integers(0, 99),
)
def test_windows_in_any_order_are_cut_into_stretches_of_time(
    size: int, overlap: float, channels: int, count: int, seed: int
) -> None:
    stride = max(1, int(size * (1 - overlap)))
    log = log_of(size + 29 * stride, channels, seed)
    series, order = windows(log, size, stride), np.random.default_rng(seed).permutation(30)
    stretches = find_stretches([series[row] for row in order], [None] * 30, count)
    assert stretches is not None
    assert (stretches.sharing, stretches.pieces) == (30, count)
    for rows in rows_of(stretches):
        starts = np.sort(order[rows])
        assert np.array_equal(starts, np.arange(starts[0], starts[0] + len(starts)))
        assert abs(len(rows) - 30 / count) < 1


def test_recordings_are_told_apart_and_lone_series_stay_alone() -> None:
    series = [*windows(log_of(50, seed=1), 20, 10), *windows(log_of(40, seed=2), 20, 10), log_of(20, seed=3)]
    stretches = find_stretches(series, [None] * len(series), 2)
    assert stretches is not None
    assert (stretches.sharing, rows_of(stretches)) == (7, [[0, 1], [2, 3], [4, 5, 6], [7]])


def test_each_class_is_cut_by_itself() -> None:
    series = windows(log_of(80), 20, 5)
    classes = ["walk"] * 8 + ["run"] * 5
    stretches = find_stretches(series, classes, 2)
    assert stretches is not None
    assert rows_of(stretches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10], [11, 12]]


def test_growing_histories_are_one_recording() -> None:
    log = log_of(60)
    stretches = find_stretches([log[:end] for end in range(20, 60)], [None] * 40, 4)
    assert stretches is not None
    assert (stretches.sharing, stretches.pieces) == (40, 4)


@pytest.mark.parametrize(
    "series",
    [
        [log_of(20, seed=seed) for seed in range(30)],
        [np.full((20, 1), 7.0) for _ in range(30)],
        [np.concatenate([np.arange(10.0)[:, None], log_of(10, seed=seed)]) for seed in range(30)],
        windows(np.tile(np.arange(8.0), 30)[:, None], 20, 3),
        list(np.random.default_rng(0).integers(0, 2, (300, 24, 1)).astype(np.float64)),
        [log_of(1, seed=seed) for seed in range(30)],
        [np.zeros((0, 1))] * 3,
        [log_of(20)],
        [log_of(20), log_of(20, 2)],
    ],
    ids=["apart", "constant", "equal beginnings", "periodic", "flags", "one step", "empty", "one series", "widths"],
)
def test_series_that_are_no_windows_are_left_as_they_are(series: list[NDArray[np.float64]]) -> None:
    assert find_stretches(series, [None] * len(series), 5) is None


def test_missing_values_and_zeros_of_either_sign_are_equal_steps() -> None:
    log = log_of(60, 2)
    log[::7, 0], log[3] = np.nan, 0.0
    series = windows(log, 20, 4)
    series[0] = series[0].copy()
    series[0][3] = -0.0
    stretches = find_stretches(series, [None] * len(series), 2)
    assert stretches is not None
    assert stretches.sharing == len(series)


def test_folds_and_shares_hold_out_whole_stretches() -> None:
    series, targets = windows(log_of(300), 20, 2), np.arange(141.0)
    for model in (Regressor(**QUICK), Regressor(**QUICK, members=1, valid_fraction=0.2)):
        prepared = ItemStages(model).prepare(Corpus.labelled(series, targets, kind="series"), None, None)
        told = [note for note in prepared.notes if note.startswith("141 of 141 series share steps")]
        assert len(told) == 1
        folds = prepared.valid.folds
        held = np.isin(np.arange(141), prepared.valid.rows) if folds is None else folds
        assert int((np.diff(held.astype(int)) != 0).sum()) <= 4


def test_groups_of_a_person_go_before_stretches() -> None:
    series, labels = windows(log_of(130), 20, 2), list("ab") * 28
    groups = [row % 7 for row in range(56)]
    corpus = Corpus.labelled(series, labels, kind="series").grouped(groups)
    prepared = ItemStages(Classifier(**QUICK)).prepare(corpus, None, None)
    assert not any("share steps" in note for note in prepared.notes)
    assert all(len(set(prepared.valid.folds[np.array(groups) == group].tolist())) == 1 for group in range(7))
