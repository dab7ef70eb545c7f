"""The sizes of windows: seasons, look-backs and columns."""

from __future__ import annotations

import numpy as np
import pytest

from rekur import Forecaster
from rekur.data.histories import HistoryColumns, read_histories
from rekur.tasks.forecast.split import Sizes, sizes_of, split_of


@pytest.mark.parametrize(
    ("columns", "segment"),
    [(0, 24), (1, 12), (6, 6), (12, 4), (60, 24)],
)
def test_columns_make_segments_shorter_down_to_four_steps(columns: int, segment: int) -> None:
    assert sizes_of(24, None, (24,), 26_000, (24, 168), columns) == Sizes(336, 24, segment, (24,))


def test_a_segment_without_a_short_divisor_stays() -> None:
    assert sizes_of(7, None, (7,), 900, (7,), 9) == Sizes(14, 7, 7, (7,))


def test_a_look_back_is_kept_as_asked() -> None:
    assert sizes_of(24, 30, (24,), 9000) == Sizes(30, 24, 6, (24,))


def test_series_are_in_the_order_of_their_numbers_of_any_length() -> None:
    names = ["H" + "9" * 5000, "H10", "H2", "h1", "H02"]
    table = {"name": np.repeat(names, 8).tolist(), "y": list(range(40))}
    histories = read_histories(table, HistoryColumns(group="name", series=["y"]), tell=lambda note: None)
    split = split_of(list(histories), Forecaster(horizon=2), hold_out=True)
    assert [part.history.name for part in split.parts] == ["H02", "H2", "H10", names[0], "h1"]
