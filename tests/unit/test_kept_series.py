"""Newer rows behind the series that a bundle keeps: which continue them, and what is said."""

from __future__ import annotations

import numpy as np
import pytest

from rekur._calendar import DAY, ROWS, SECOND, CalendarStep, StampForm
from rekur._history import History
from rekur.data.parts import series_corpus
from rekur.errors import InputError
from rekur.features.windows import Window, WindowFeatures
from rekur.runtime.kept_series import series_to_run, trained_reading

FEATURES = WindowFeatures(lookback=6, horizon=3)
DAYS = CalendarStep("ns", DAY)


def dated(name: str, first: int, values: list[float], **more: object) -> History:
    """Return a daily series from day ``first`` after 1970 on."""
    column = np.array(values, np.float64)[:, None]
    return History(name, ("y",), column, first * DAY, DAYS, StampForm(), **more)  # type: ignore[arg-type]


def counted_rows(name: str, values: list[float]) -> History:
    return History(name, ("value",), np.array(values, np.float64)[:, None])


def run(newer: list[History], kept: list[History], use: str = "prediction") -> tuple[list[History], list[str]]:
    corpus, sentences = series_to_run(series_corpus(newer, "new.csv"), kept, FEATURES, use)
    return list(corpus.items()), sentences


KEPT = dated("a", 10, [*range(8)])  # days 10 to 17


def windows(history: History, stride: int | None = None) -> list[tuple[int, list[float]]]:
    parts = FEATURES.parts(history, use="evaluation", stride=stride)
    return [(window.origin, [] if truth is None else truth.tolist()) for window, truth in parts]


def test_rows_right_behind_the_kept_ones_continue_them() -> None:
    (joined,), sentences = run([dated("a", 18, [8, 9])], [KEPT])
    assert joined.values[:, 0].tolist() == [*range(10)]
    assert (joined.start, joined.stamp(10)) == (10 * DAY, "1970-01-21")
    assert sentences == ["series that continue their kept values: a."]
    (predicted,) = (window for window, _ in FEATURES.parts(joined, use="prediction"))
    assert (predicted.origin, predicted.past.tolist()) == (10, [*range(10)])


def test_missing_steps_between_are_told() -> None:
    (joined,), sentences = run([dated("a", 20, [8, 9])], [KEPT])
    assert np.isnan(joined.values[8:10]).all()
    assert "steps between the kept values and these are missing: a 2." in sentences
    (alone,), sentences = run([dated("a", 24, [8, 9])], [KEPT])
    assert len(alone) == 2
    assert sentences == [
        "series that begin the look-back of 6 steps or more behind their kept values are read without these: a."
    ]


def test_rows_that_overlap_continue_only_if_they_agree() -> None:
    ((joined,), _) = run([dated("a", 16, [6, np.nan, 8])], [KEPT])
    assert joined.values[:, 0].tolist() == [*range(9)]
    ((alone,), sentences) = run([dated("a", 16, [6, 8, 8])], [KEPT])
    assert len(alone) == 3
    assert sentences == ["series that differ from their kept values at the same steps are read without these: a."]


def test_what_is_kept_from_behind_the_end_of_a_series_is_not_read() -> None:
    for first, values in ((8, [*range(7)]), (12, [2, 3, 4])):
        newer = dated("a", first, values)
        ((alone,), sentences) = run([newer], [KEPT])
        assert len(alone) == len(newer)
        assert sentences == ["series that end before their kept values are read without these: a."]
    whole = dated("a", 9, [-1, *range(8), 8])
    assert run([whole], [KEPT]) == ([whole], [])


def test_of_a_file_that_holds_the_training_series_only_later_origins_are_scored() -> None:
    whole, rows = [*range(-9, 12)], [*range(-9, 8)]
    kept, text = counted_rows("a", [*range(8)]), "series are scored behind the end of training alone: a."
    for newer, saved in ((dated("a", 1, whole), KEPT), (counted_rows("a", whole), kept)):
        ((scored,), sentences) = run([newer], [saved], "evaluation")
        assert sentences == [text]
        assert [origin for origin, _ in windows(scored, 1)] == [17, 18]
    for newer, saved in ((dated("a", 1, rows), KEPT), (counted_rows("a", rows), kept)):
        ((scored,), sentences) = run([newer], [saved], "evaluation")
        assert [each for each in sentences if "which is no test: a." in each]
        assert windows(scored) == [(14, [5, 6, 7])]
    other = dated("a", 1, [1 + value for value in whole])
    ((scored,), sentences) = run([other], [KEPT], "evaluation")
    assert (sentences, windows(scored, 1)[0][0]) == ([], 6)  # a series of the same name


def test_no_origin_before_the_end_of_the_kept_values_is_scored() -> None:
    ((joined,), sentences) = run([dated("a", 18, [8, 9, 10, 11, 12])], [KEPT], "evaluation")
    assert windows(joined) == [(10, [10, 11, 12])]
    assert windows(joined, 1) == [(8, [8, 9, 10]), (9, [9, 10, 11]), (10, [10, 11, 12])]
    ((short,), sentences) = run([dated("a", 17, [7, 8, 9])], [KEPT], "evaluation")
    assert [origin for origin, _ in windows(short)] == [8]
    np.testing.assert_array_equal(windows(short)[0][1], [8, 9, np.nan])
    assert "series with fewer new steps than the horizon of 3 are scored on these: a." in sentences
    ((nothing_new,), _) = run([dated("a", 13, [3, 4, 5, 6, 7])], [KEPT], "evaluation")
    assert windows(nothing_new) == [(5, [5, 6, 7])]


def test_rows_without_stamps_continue_if_they_are_shorter_than_the_look_back() -> None:
    kept = [counted_rows(name, [*range(8)]) for name in ("H1", "H2", "H3", "H4")]
    newer = [counted_rows(name, [8, 9, 10]) for name in ("H4", "H2", "H3", "H1")]
    series, sentences = run(newer, kept, "evaluation")
    assert [each.name for each in series] == ["H4", "H2", "H3", "H1"]
    assert all(windows(each) == [(8, [8, 9, 10])] for each in series)
    text = (
        "series without time stamps that are shorter than the look-back of 6 steps and the horizon of 3 continue the "
    )
    assert sentences == [f"{text}kept series of the same name: H4, H2, H3 and 1 more."]
    ((scored,), _) = run([counted_rows("H1", [*range(8, 15)])], kept, "evaluation")
    assert windows(scored) == [(12, [12, 13, 14])]
    ((long,), sentences) = run([counted_rows("H1", [*range(8, 15)])], kept)
    assert len(long) == 7
    assert sentences[0].startswith("series without time stamps that have the look-back of 6 steps or more are read wi")


def test_rows_without_stamps_that_are_kept_already_do_not_follow_themselves() -> None:
    kept = [counted_rows("H1", [*range(8)]), counted_rows("short", [3, 4, 5]), counted_rows("flat", [7] * 8)]
    for same in (kept[1], counted_rows("short", [3, 4, 5, 6]), counted_rows("H1", [5, 6, 7]), kept[0]):
        assert run([same], kept) == ([same], [])
    ((flat,), _) = run([counted_rows("flat", [7, 7, 7])], kept, "evaluation")
    assert windows(flat) == [(8, [7, 7, 7])]


def test_series_that_are_not_kept_are_told() -> None:
    new = dated("b", 3, [1, 2, 3, 4, 5])
    assert run([new], [KEPT]) == ([new], ["series that the bundle does not know are forecast all the same: b."])
    assert run([new], []) == ([new], [])


def test_series_with_too_few_values_are_refused_or_not_scored() -> None:
    with pytest.raises(InputError, match=r"new.csv\[0\]: series 'b': got 1 value; expected 2 or more"):
        run([dated("b", 3, [1])], [KEPT])
    enough, few = dated("c", 3, [1, 2, 3, 4, 5]), dated("b", 3, [1, 2, 3, 4])
    assert "series without two values before the horizon are not scored: b." in run([few, enough], [], "evaluation")[1]
    with pytest.raises(InputError, match=r"new.csv: steps of the longest series: got 4; expected 5 or more"):
        run([few], [], "evaluation")


def test_other_columns_steps_and_clocks_are_not_joined() -> None:
    hourly = CalendarStep("ns", 3600 * SECOND)
    others = [
        History("a", ("z",), KEPT.values, 18 * DAY, DAYS, StampForm()),
        History("a", ("y",), KEPT.values, 18 * DAY, hourly, StampForm()),
        History("a", ("y",), KEPT.values, 18 * DAY, DAYS, StampForm(clock="utc")),
        History("a", ("y",), KEPT.values, 18, ROWS),
    ]
    for other in others:
        assert run([other], [KEPT])[1] == [
            "series with other columns, steps or clocks than in training are read without their kept values: a."
        ]
    shifted = History("a", ("y",), KEPT.values, 18 * DAY + SECOND, DAYS, StampForm())
    assert run([shifted], [KEPT])[1] == [
        "series at other times than the steps of training are read without their kept values: a."
    ]


def test_an_instant_continues_days_by_the_clock_on_the_wall() -> None:
    summer = 7200
    kept_form = StampForm("second", clock="wall", offsets=((10 * DAY, 3600),))
    kept = History("a", ("y",), KEPT.values, 10 * DAY, DAYS, kept_form)
    form = StampForm("second", clock="utc", offsets=((18 * DAY - summer * SECOND, summer),))
    newer = History("a", ("y",), np.array([[8.0]]), 18 * DAY - summer * SECOND, DAYS, form)
    ((joined,), sentences) = run([newer], [kept])
    assert sentences == ["series that continue their kept values: a."]
    assert [joined.stamp(step) for step in (7, 9)] == ["1970-01-18T00:00:00+01:00", "1970-01-20T00:00:00+02:00"]


def test_known_series_are_read_with_the_step_and_the_categories_of_training() -> None:
    history = dated("a", 1, [1, 2], future=np.ones((2, 3)), future_names=("wind=N", "wind=S", "promo"))
    assert trained_reading([history]) == {"step": DAYS, "categories": {"wind": ["N", "S"]}, "fewest": 0}
    assert trained_reading([counted_rows("a", [1, 2])])["step"] is None
    assert trained_reading([]) == {}


def test_a_series_shorter_than_the_horizon_has_no_window_to_be_scored() -> None:
    assert windows(counted_rows("a", [1, 2])) == []
    assert isinstance(next(FEATURES.parts(counted_rows("a", [1, 2]), use="prediction"))[0], Window)
