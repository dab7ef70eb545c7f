"""Series with time: stamps, steps, gaps, names and covariates of files, frames and lists."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur._calendar import DAY, SECOND, CalendarStep, StampForm, calendar_features
from rekur.data.histories import History, HistoryColumns, categories_of, read_histories
from rekur.data.stamps import StampReader
from rekur.errors import DataError, InputError

Y = HistoryColumns(time="ds", series="y")
LONG = HistoryColumns(group="id", time="ds", series="y")


def table(stamps: list[Any], **more: list[Any]) -> str:
    """Return a csv of stamps in ``ds`` and numbers in ``y``, which count from 1."""
    columns = {"ds": stamps, "y": list(range(1, len(stamps) + 1)), **more}
    rows = zip(*columns.values(), strict=True)
    return "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n"


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Return a function that reads a csv and gives the histories and what was told."""

    def of(text: str, columns: HistoryColumns | None = Y, **more: Any) -> tuple[list[History], list[str]]:
        file = tmp_path / "a.csv"
        file.write_text(text, encoding="utf-8")
        told: list[str] = []
        histories = read_histories(file, columns, tell=lambda text: told.append(text.removeprefix(f"{file}: ")), **more)
        return histories, told

    return of


def next_stamps(history: History, count: int) -> list[str]:
    return [history.stamp(len(history) + k) for k in range(count)]


def series(start: str, count: int, step: str) -> list[str]:
    return (np.datetime64(start) + np.arange(count) * np.timedelta64(*step)).astype(str).tolist()


def days(start: str, count: int, every: int = 1) -> list[str]:
    return (np.datetime64(start) + np.arange(count) * every).astype(str).tolist()


def month_days(day: int, count: int, start: str = "2023-01") -> list[str]:
    step = CalendarStep("month", day=day)
    first = int((np.datetime64(start, "M") + 1).astype("M8[D]").astype(int) - 1) * DAY
    first = int(step.add(first, 0))
    return (step.add(first, np.arange(count)) // DAY).astype("M8[D]").astype(str).tolist()


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stamps", "step", "following"),
    [
        (month_days(31, 12), "1 month (month ends)", ["2024-01-31", "2024-02-29", "2024-03-31"]),
        (month_days(30, 13), "1 month (the 30th)", ["2024-02-29", "2024-03-30", "2024-04-30"]),
        (month_days(1, 12), "1 month", ["2024-01-01", "2024-02-01"]),
        (["2023-03-31", "2023-06-30", "2023-09-30"], "1 quarter (month ends)", ["2023-12-31", "2024-03-31"]),
        (["2020-02-29", "2024-02-29", "2028-02-29"], "48 months (month ends)", ["2032-02-29"]),
        (["2021-06-15", "2022-06-15", "2023-06-15"], "1 year (the 15th)", ["2024-06-15"]),
        (["2023-09-29", "2023-10-31", "2023-11-30", "2023-12-29"], "1 month (last working days)", ["2024-01-31"]),
        (days("2024-01-01", 40), "1 day", ["2024-02-10"]),
        (days("2024-01-03", 9, 7), "1 week", ["2024-03-06"]),
        (days("2024-01-03", 9, 28), "4 weeks", ["2024-09-11"]),
        (
            [d for d in days("2024-01-01", 12) if datetime.fromisoformat(d).weekday() < 5],
            "1 working day",
            ["2024-01-15"],
        ),
        (
            [d for d in days("2024-01-01", 40) if datetime.fromisoformat(d).weekday() < 6],
            "1 day of Mon, Tue, Wed, Thu, Fri, Sat",
            ["2024-02-10", "2024-02-12"],
        ),
        (
            [d for d in days("2024-01-01", 40) if datetime.fromisoformat(d).weekday() in (0, 3)],
            "1 day of Mon, Thu",
            ["2024-02-12", "2024-02-15"],
        ),
        (["2024-01-04", "2024-01-05", "2024-01-08"], "1 working day", ["2024-01-09"]),
        (["20240101T220000Z", "20240101T230000Z"], "1 hour", ["2024-01-02T00:00:00Z"]),
        (["1949-01", "1949-02", "1949-03"], "1 month", ["1949-04"]),
        (["2023-Q3", "2023-Q4", "2024-Q1"], "1 quarter", ["2024-Q2"]),
        (["2020-W51", "2020-W52", "2020-W53", "2021-W01"], "1 week", ["2021-W02"]),
        (["Jan 2024", "Feb 2024", "March 2024"], "1 month", ["2024-04"]),
        (["28 Feb 2024", "29 Feb 2024", "1 Mar 2024"], "1 day", ["2024-03-02"]),
        (["2024/2/28", "2024/2/29", "2024/3/1"], "1 day", ["2024-03-02"]),
        (["12/30/2023", "12/31/2023", "1/1/2024"], "1 day", ["2024-01-02"]),
        (["30.12.2023", "31.12.2023", "01.01.2024"], "1 day", ["2024-01-02"]),
        (["20240229", "20240301", "20240302"], "1 day", ["20240303"]),
        (["202311", "202312", "202401"], "1 month", ["202402"]),
        (["1/31/2024 11:00 PM", "2/1/2024 12:00 AM", "2/1/2024 1:00 AM"], "1 hour", ["2024-02-01 02:00"]),
        (["2024-01-31 23:30", "2024-01-31 23:45", "2024-02-01 00:00"], "15 minutes", ["2024-02-01 00:15"]),
        (["2024-01-31T22", "2024-01-31T23", "2024-02-01T00"], "1 hour", ["2024-02-01T01"]),
        (
            ["2024-06-01T12:00:00.000", "2024-06-01T12:00:00.008", "2024-06-01T12:00:00.016"],
            "8 ms",
            ["2024-06-01T12:00:00.024"],
        ),
        (
            ["2024-06-01 00:00:00.000000001", "2024-06-01 00:00:00.000000004", "2024-06-01 00:00:00.000000007"],
            "3 ns",
            ["2024-06-01 00:00:00.000000010"],
        ),
        (["2024-06-01T00:00Z", "2024-06-01T01:00Z", "2024-06-01T02:00Z"], "1 hour", ["2024-06-01T03:00Z"]),
        (["3", "5", "7"], "2", ["9", "11"]),
        (["-0.2", "-0.1", "0.0"], "0.1", ["0.1", "0.2"]),
        (["1704067200", "1704070800", "1704074400"], "3600", ["1704078000"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_step_is_found_and_goes_on(read: Any, stamps: list[str], step: str, following: list[str]) -> None:
    ((history,), told) = read(table(stamps))
    assert str(history.step) == step
    assert next_stamps(history, len(following)) == following
    assert [t for t in told if "missing" in t] == []
    assert not np.isnan(history.values).any()


def test_stamps_of_the_file_are_those_of_the_history(read: Any) -> None:
    stamps = month_days(30, 14)
    ((history,), _) = read(table(stamps))
    assert [history.stamp(k) for k in range(14)] == stamps


def test_a_clock_put_forward_is_no_gap_with_offsets_and_one_without(read: Any) -> None:
    first = datetime.fromisoformat("2024-03-30T22:00+01:00")
    instants = [first + timedelta(hours=k) for k in range(8)]
    local = [t if t < datetime.fromisoformat("2024-03-31T02:00+01:00") else t + timedelta(hours=1) for t in instants]
    offsets = [f"{t:%Y-%m-%dT%H:%M}{'+01:00' if k < 4 else '+02:00'}" for k, t in enumerate(local)]
    ((history,), told) = read(table(offsets))
    assert next_stamps(history, 2) == ["2024-03-31T07:00+02:00", "2024-03-31T08:00+02:00"]
    assert [history.stamp(k) for k in range(8)] == offsets
    assert (told, len(history)) == ([], 8)
    ((history,), told) = read(table([f"{t:%Y-%m-%d %H:%M}" for t in local]))
    assert told == ["1 of 9 steps missing, first 2024-03-31 02:00."]


def test_days_with_offsets_are_days_of_the_wall_clock(read: Any) -> None:
    stamps = [f"2024-03-{day}T00:00:00+01:00" for day in (28, 29, 30, 31)] + ["2024-04-01T00:00:00+02:00"]
    ((history,), _) = read(table(stamps))
    assert str(history.step) == "1 day"
    assert [history.stamp(k) for k in range(7)][3:] == [
        "2024-03-31T00:00:00+01:00",
        "2024-04-01T00:00:00+02:00",
        "2024-04-02T00:00:00+02:00",
        "2024-04-03T00:00:00+02:00",
    ]


@pytest.mark.parametrize("steps", [-30, -1, 0, 1, 5, 400])
@pytest.mark.parametrize(
    "step",
    [
        CalendarStep("month", day=31),
        CalendarStep("month", 3, day=30),
        CalendarStep("month", day=1, weekdays="1111100"),
        CalendarStep("weekday", weekdays="1111100"),
        CalendarStep("weekday", weekdays="1001010"),
        CalendarStep("ns", 7),
        CalendarStep("number", 3, digits=2),
    ],
    ids=str,
)
def test_the_index_of_a_stamp_some_steps_on_is_their_number(step: CalendarStep, steps: int) -> None:
    start = int(np.datetime64("2024-01-31", "D").astype(int)) * DAY + 5
    if step.unit == "month":
        start = int(step.add(start, 0))
    if step.unit == "weekday":  # the last of January 2024 is a Wednesday
        start += DAY
    index, on_grid = step.index(step.add(start, steps), start)
    assert (int(index), bool(on_grid)) == (steps, True)
    assert CalendarStep.from_dict(json.loads(json.dumps(step.to_dict()))) == step


# ── gaps and order ───────────────────────────────────────────────────────────────────────────────────────────────


def test_missing_rows_and_blank_values_are_masked_and_said(read: Any) -> None:
    stamps = [day for day in days("2024-02-26", 12) if day not in ("2024-02-28", "2024-02-29")]
    values = ["1", "2", "", "NA", *"345678"]
    ((history,), told) = read(table(stamps, y=values))
    assert told == ["4 of 12 steps missing, first 2024-02-28."]
    assert np.flatnonzero(np.isnan(history.values[:, 0])).tolist() == [2, 3, 4, 5]
    assert history.values[6:, 0].tolist() == [3, 4, 5, 6, 7, 8]


def test_rows_in_any_order_give_the_same_histories(read: Any) -> None:
    rows = [f"{name},{day},{k}" for name in "BA" for k, day in enumerate(days("2024-02-20", 15))]
    (ordered, _) = read("\n".join(["id,ds,y", *rows]), LONG)
    shuffled = ["B,2024-02-25,5"] + [rows[k] for k in np.random.default_rng(0).permutation(30).tolist() if k != 5]
    (histories, _) = read("\n".join(["id,ds,y", *shuffled]), LONG)
    assert [h.name for h in histories] == ["B", "A"]
    for one, other in zip(ordered, histories, strict=True):
        assert (one.values.tobytes(), one.start, one.step) == (other.values.tobytes(), other.start, other.step)


def test_each_series_has_its_own_start_and_end(read: Any) -> None:
    text = (
        "id,ds,y\n" + "".join(f"H1,{t},{t}\n" for t in (1, 2, 3, 5, 6)) + "".join(f"H2,{t},1\n" for t in (4, 5, 6, 7))
    )
    (histories, told) = read(text, LONG)
    assert [(h.stamp(0), *next_stamps(h, 1)) for h in histories] == [("1", "7"), ("4", "8")]
    assert told == ["series 'H1': 1 of 6 steps missing, first 4."]


def test_names_stand_as_in_the_file_in_the_order_of_first_appearance(read: Any) -> None:
    names = ["T2", "T10", "007", "7", "NA", "1e3", "nan", "None"]
    text = "id,ds,y\n" + "".join(f"{name},{day},1\n" for name in names for day in days("2024-01-01", 3))
    (histories, _) = read(text, LONG)
    assert [history.name for history in histories] == names


def test_gaps_of_many_series_are_told_together(read: Any) -> None:
    text = "id,ds,y\n" + "".join(f"s{k},{t},1\n" for k in range(6) for t in (1, 2, 4, 5))
    (_, told) = read(text, LONG)
    assert told == [
        *(f"series 's{k}': 1 of 5 steps missing, first 3." for k in range(3)),
        "3 more series have gaps; 3 of their 15 steps are missing.",
    ]


def test_a_nameless_column_that_counts_rows_is_no_series(read: Any) -> None:
    ((history,), _) = read(",date,x\n0,2024-01-01,5\n1,2024-01-02,6\n2,2024-01-03,7\n", HistoryColumns(time="date"))
    assert history.channels == ("x",)


def test_trailing_blanks_end_the_history_before_them(read: Any) -> None:
    ((history,), told) = read(table(days("2024-01-01", 6), y=["", "1", "2", "3", "", ""]))
    assert (history.stamp(0), *next_stamps(history, 1)) == ("2024-01-02", "2024-01-05")
    assert told == ["2 rows without a value behind the last one, 2024-01-04, are not used."]


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────

HOURS = [f"2024-01-0{d} {h:02d}:00" for d in (1, 2) for h in range(24)]
REFUSED = {
    "the clock was put back": (
        table([f"2024-10-27 0{h}:00" for h in (0, 1, 2, 2, 3, 4)]),
        r"line 5: ds: got '2024-10-27 02:00' again, as in line 4; .*clock was put back.*offsets.*UTC",
    ),
    "a stamp twice": (
        table([*days("2024-01-01", 5), "2024-01-02"]),
        r"line 7: ds: got '2024-01-02' again, as in line 3",
    ),
    "several series": (table(days("2024-01-01", 5) * 2), r"line 7: .*--group"),
    "off the grid": (
        table([*HOURS[:20], "2024-01-01 20:30", *HOURS[21:]]),
        r"line 22: ds: got '2024-01-01 20:30'; expected a step of 1 hour",
    ),
    "a month off": (
        table([*month_days(1, 11), "2023-12-02"]),
        r"line 13: ds: got '2023-12-02'; expected a step of 1 month",
    ),
    "one month of few off": (
        table(["2024-01-01", "2024-02-01", "2024-03-02", "2024-04-01"]),
        r"line 4: ds: got '2024-03-02'; expected a step of 1 month",
    ),
    "irregular": (
        table([f"2024-01-01 00:{m:02d}:{s:02d}" for m, s in [(0, 3), (0, 17), (1, 2), (4, 0), (4, 9), (7, 31)]]),
        r"line \d: ds: got .*distances from 9 seconds to 202 seconds.*expected a regular step",
    ),
    "mixed": (
        table([*HOURS, *[f"2024-01-{d:02d} 00:00" for d in range(3, 15)]]),
        r"line 5\d: ds: got .* a step of 1 day from here on; expected 1 hour",
    ),
    "days or months": (
        table([f"{d:02d}/01/2024" for d in range(1, 13)]),
        r"line 3: ds: got '02/01/2024', which is 2024-01-02 with the day first and 2024-02-01 with the month first.*"
        "YYYY-MM-DD",
    ),
    "both orders": (
        table(["13/01/2024", "01/14/2024"]),
        r"line 3: ds: got '01/14/2024', a date with the month first, and '13/01/2024' in line 2",
    ),
    "two-digit years": (table(["13/01/24", "14/01/24"]), r"line 2: ds: got '13/01/24'; .*four digits"),
    "no date": (table(["2024-01-01", "yesterday"]), r"line 3: ds: got 'yesterday'; expected a date"),
    "no such day": (table(["2024-02-28", "2024-02-30"]), r"line 3: ds: got '2024-02-30'; expected a date"),
    "no such hour": (table(["2024-02-28 23:00", "2024-02-28 24:00"]), r"line 3: ds: got '2024-02-28 24:00'"),
    "finer than nanoseconds": (table(["2024-01-01 00:00:00.0000000001"] * 2), r"line 2: ds: got .*9 decimals"),
    "too early": (table(["1500-01-01", "1500-01-02"]), r"line 2: ds: got '1500-01-01'; .*1678 to 2261"),
    "a blank stamp": (table(["2024-01-01", "", "2024-01-03"]), r"line 3: ds: got nothing"),
    "numbers and dates": (
        table(["1", "2024-01-01"]),
        r"line 3: ds: got '2024-01-01'; expected a number, as '1' in line 2",
    ),
    "thousands of digits": (table(["1" * 5000, "2"]), r"line 2: ds: got '1111.*expected a date"),
    "19 digits": (table(["1", "12345678901234567890"]), r"line 3: ds: got .*at most 18 digits"),
    "many digits and decimals": (
        table(["1000000000000", "1.0000001"]),
        r"line 2: ds: got '1000000000000'; expected a number of at most 18 digits",
    ),
    "letters beyond ASCII": (table(["1 ſep 2024", "2 Sep 2024"]), r"line 2: ds: got '1 ſep 2024'; expected a date"),
    "digits beyond ASCII": (table(["١", "٢"]), r"line 2: ds: got '١'; expected a date"),
    "some offsets": (
        table(["2024-01-01T00:00Z", "2024-01-01T01:00"]),
        r"line 3: ds: got '2024-01-01T01:00'; expected an offset, as in line 2",
    ),
    "text": (table(days("2024-01-01", 3), y=["1", "many", "2"]), r"line 3: y: got 'many'; expected a number"),
    "infinity": (table(days("2024-01-01", 3), y=["1", "inf", "2"]), r"line 3: y: got 'inf'; expected a finite number"),
    "1_000": (table(days("2024-01-01", 3), y=["1", "1_000", "2"]), r"line 3: y: got '1_000'; expected a number"),
    "one value": (table(days("2024-01-01", 3), y=["", "1", ""]), r"line 2: values: got 1 value; expected 2 or more"),
    "nearly no row": (
        table(["2024-01-01 00:00:00.001", "2024-01-01 00:00:00.002", "2024-01-02 00:00:00.000"]),
        r"line 2: ds: got 3 rows .* the usual distance of 1 ms makes 86,400,000 steps",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_stamps_and_values_are_refused_by_line(read: Any, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text)


def test_decimals_of_later_rows_count_for_the_first() -> None:
    reader = StampReader("t", lambda text, line: InputError(f"{line}: {text}"))
    reader.add(["1000000000000"], [2])
    reader.add(["1.0000001"], [3])
    with pytest.raises(InputError, match=r"2: t: got '1000000000000'; expected .* 18 digits; some have 7 decimals"):
        reader.finish()


def test_series_of_two_steps_are_refused(read: Any) -> None:
    text = "id,ds,y\n" + "".join(f"a,{day},1\n" for day in days("2024-01-01", 30))
    text += "".join(f"b,{day},1\n" for day in days("2024-01-01", 8, 7))
    with pytest.raises(DataError, match=r"line 32: ds: got '2024-01-01' of series 'b' and a step of 1 week .*1 day"):
        read(text, LONG)


def test_a_series_of_one_value_is_refused_by_name(read: Any) -> None:
    with pytest.raises(DataError, match=r"line 4: series 'b': got 1 value; expected 2 or more"):
        read("id,ds,y\na,1,5\na,2,6\nb,1,7\n", LONG)


# ── known horizons ───────────────────────────────────────────────────────────────────────────────────────────────

PROMO = HistoryColumns(group="shop", time="ds", series="y", future=["promo"], static=["size"], past=["rain"])
NORTH = [
    f"north,{day},{k + 1 if k < 8 else ''},{k % 2},9,{k / 2 if k < 8 else ''}"
    for k, day in enumerate(days("2024-02-25", 11))
]
SOUTH = [row.replace("north", "south").replace(",9,", ",4,") for row in NORTH]


def promo(*rows: str) -> str:
    return "\n".join(["shop,ds,y,promo,size,rain", *rows]) + "\n"


def test_rows_with_covariates_behind_the_last_value_are_the_horizon(read: Any) -> None:
    (histories, told) = read(promo(*NORTH, *SOUTH), PROMO, horizon=3)
    assert told == []
    history = histories[1]
    assert (history.name, len(history), history.known_horizon) == ("south", 8, 3)
    assert next_stamps(history, 1) == ["2024-03-04"]
    assert history.future[:, 0].tolist() == [k % 2 for k in range(11)]
    assert history.past[:, 0].tolist() == [k / 2 for k in range(8)]
    assert (history.static.tolist(), histories[0].static.tolist()) == ([4], [9])
    assert (history.past_names, history.future_names, history.static_names) == (("rain",), ("promo",), ("size",))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [*NORTH, *SOUTH[:9], SOUTH[9].replace(",1,", ",,"), SOUTH[10]],
            "line 22: promo of series 'south' at 2024-03-05: got nothing",
        ),
        ([*NORTH, *SOUTH[:9], SOUTH[10]], "line 22: promo of series 'south' at 2024-03-05: got no row"),
        ([*NORTH, *SOUTH[:10]], "line 22: known horizon of series 'south': got 2 rows .* expected 3"),
        ([*NORTH, *SOUTH[:8]], "line 20: known horizon of series 'south': got 0 rows .* expected 3"),
        (
            [*NORTH, *SOUTH[:4], SOUTH[4].replace(",4,", ",5,"), *SOUTH[5:]],
            "line 17: size of series 'south': got another value than in line 13",
        ),
    ],
)
def test_a_hole_in_what_is_known_ahead_is_refused(read: Any, rows: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(promo(*rows), PROMO, horizon=3)


# ── tables of other shapes ───────────────────────────────────────────────────────────────────────────────────────


def test_a_series_in_each_row_is_read_without_a_word(read: Any) -> None:
    text = '"V1","V2","V3","V4","V5"\n"H1",1,2,3,4\n"H2",5,6,,\n"H3",7,,8,\n'
    (histories, told) = read(text, None)
    assert [(h.name, h.values[:, 0].tolist(), h.line) for h in histories[:2]] == [
        ("H1", [1, 2, 3, 4], 2),
        ("H2", [5, 6], 3),
    ]
    assert [np.isnan(histories[2].values[:, 0]).tolist(), next_stamps(histories[2], 2)] == [
        [False, True, False],
        ["1", "2"],
    ]
    assert told == [
        "'V1' names the series, and each row holds the values of one, from 'V2' to 'V5'.",
        "series 'H3': 1 of 3 steps missing, first step 2.",
    ]
    (named, _) = read(text, HistoryColumns(values="V2..V5", id="V1"))
    assert [h.values.tobytes() for h in named] == [h.values.tobytes() for h in histories]


def test_stamps_above_the_values_of_rows_are_those_of_the_series(read: Any) -> None:
    ((history, _), _) = read("page,2024-02-27,2024-02-28,2024-02-29\na,1,2,\nb,1,2,3\n", None)
    assert (history.stamp(0), *next_stamps(history, 2)) == ("2024-02-27", "2024-02-29", "2024-03-01")


def test_years_above_the_values_of_rows_go_on_as_years(read: Any) -> None:
    (histories, _) = read("land,1960,1961,1962\na,1,2,\nb,1,2,3\n", None)
    assert [next_stamps(history, 1) for history in histories] == [["1962"], ["1963"]]
    (counted, _) = read("land,1,2,3\na,1,2,\nb,1,2,3\n", None)
    assert [next_stamps(history, 1) for history in counted] == [["1"], ["1"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("V1,V2,V3,V4\nH1,1,2,3\nH1,1,2,3\n", "line 3: V1: got 'H1'; expected another name; line 2 has it too"),
        ("V1,V2,V3,V4\nH1,1,2,3\nH2,1,,\n", "line 3: series 'H2': got 1 value"),
        ("V1,V2,V3,V4\nH1,1,2,3\nH2,1,inf,3\n", "line 3: V3: got 'inf'; expected a finite number"),
        ("V1,V2,V3,V4\nH1,1,2,3\n,1,2,3\n", "line 3: V1: got nothing"),
        ("a,b,c\n1,2,3\n4,5,6\n", "series columns: got none of 'a', 'b', 'c'; expected .*--series"),
        ("ds,y,who\n2024-01-01,1,x\n2024-01-02,2,x\n", "series columns: got none of"),
    ],
)
def test_tables_that_can_be_read_in_several_ways_are_refused(read: Any, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text, None)


def test_a_wide_table_has_a_channel_for_each_column(read: Any) -> None:
    text = "date,a,b\n2024-01-01,1,\n2024-01-02,2,5\n2024-01-03,3,6\n2024-01-04,,7\n"
    ((history,), told) = read(text, None)
    assert (history.name, history.channels, history.values.shape) == ("", ("a", "b"), (4, 2))
    assert told[0] == "'date' holds the time stamps, 'a', 'b' the values."
    a, b = history.by_channel()
    assert (a.channels, a.values[:, 0].tolist(), *next_stamps(a, 1)) == (("a",), [1, 2, 3], "2024-01-04")
    assert (b.stamp(0), b.values[:, 0].tolist(), *next_stamps(b, 1)) == ("2024-01-02", [5, 6, 7], "2024-01-05")


def test_series_of_a_wide_table_may_be_named_by_numbers(read: Any) -> None:
    ((history,), _) = read("day,007,205\n2024-01-01,1,2\n2024-01-02,3,4\n", HistoryColumns(time="day"))
    assert history.channels == ("007", "205")


def test_stamps_that_are_not_named_are_told(read: Any) -> None:
    ((history,), told) = read(table(days("2024-01-01", 4)), HistoryColumns(series="y"))
    assert history.stamp(4) == "1"
    assert told == ["'ds' holds time stamps but is not named, so rows count as steps: --time ds"]


def test_objects_with_lists_are_series(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "007", "y": [1, null, 3]}\n{"id": 1e3, "y": [[1, 2], [3, 4]]}\n', encoding="utf-8")
    first, second = read_histories(file, tell=lambda text: None)
    assert (first.name, first.channels, np.isnan(first.values[:, 0]).tolist()) == ("007", ("y",), [False, True, False])
    assert (second.name, second.channels, second.values.tolist()) == (
        "1000",
        ("channel 1", "channel 2"),
        [[1, 2], [3, 4]],
    )


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_frames_parquet_and_json_give_what_csv_gives(read: Any, tmp_path: Path) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    names, stamps = ["007", "7"] * 6, [day for day in days("2024-02-25", 6) for _ in range(2)]
    values = [float(k) if k != 5 else None for k in range(12)]
    text = "id,ds,y\n" + "".join(
        f"{n},{s},{'' if v is None else v}\n" for n, s, v in zip(names, stamps, values, strict=True)
    )
    (expected, _) = read(text, LONG)
    frame = pandas.DataFrame({"id": names, "ds": pandas.to_datetime(stamps), "y": values})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.assign(ds=stamps).to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    ways = [frame, polars.from_pandas(frame), frame.to_dict("list"), frame.to_dict("records")]
    ways += [tmp_path / "a.parquet", tmp_path / "a.jsonl", frame.assign(ds=frame["ds"].dt.date)]
    for way in ways:
        histories = read_histories(way, LONG, tell=lambda text: None)
        assert [h.name for h in histories] == ["007", "7"]
        for one, other in zip(expected, histories, strict=True):
            assert one.values.tobytes() == other.values.tobytes()
            assert next_stamps(one, 2) == next_stamps(other, 2) == ["2024-03-02", "2024-03-03"]


def test_an_index_of_stamps_is_the_time() -> None:
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2024-03-30", periods=40, freq="h", tz="Europe/Berlin")
    frame = pandas.DataFrame({"a": np.arange(40.0), "b": 1.0}, index=index)
    (history,) = read_histories(frame, tell=lambda text: None)
    assert (history.channels, next_stamps(history, 1)) == (("a", "b"), ["2024-03-31T17:00:00+02:00"])
    local = history.local(25, 3)
    assert local is not None
    assert (local // (3600 * SECOND) % 24).tolist() == [1, 3, 4]
    (single,) = read_histories(frame["a"], tell=lambda text: None)
    assert (single.channels, single.start) == (("a",), history.start)
    periods = pandas.Series([1.0, 2, 3], index=pandas.period_range("2024-01", periods=3, freq="M"))
    (monthly,) = read_histories(periods, tell=lambda text: None)
    assert next_stamps(monthly, 1) == ["2024-04"]
    autumn = pandas.Series(
        np.arange(4.0), index=pandas.date_range("2024-10-26 22:00", periods=4, freq="h", tz="Europe/Berlin")
    )
    (zoned,) = read_histories(autumn, tell=lambda text: None)
    assert next_stamps(zoned, 2) == ["2024-10-27T02:00:00+02:00", "2024-10-27T02:00:00+01:00"]


def test_an_index_is_read_where_columns_are_named() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2, 3], "b": 1.0}, index=pandas.date_range("2024-02-27", periods=3))
    (history,) = read_histories(frame, HistoryColumns(series=["a"]), tell=pytest.fail)
    assert (history.channels, next_stamps(history, 1)) == (("a",), ["2024-03-01"])
    kept = frame.rename_axis("day").assign(day=frame.index)
    (history,) = read_histories(kept, HistoryColumns(series=["a"], time="day"), tell=pytest.fail)
    assert next_stamps(history, 1) == ["2024-03-01"]
    long = frame.assign(shop=["n", "n", "s"], day=frame.index).set_index(["shop", "day"])
    histories = read_histories(
        long,
        HistoryColumns(
            group="shop",
            time="day",
            series="a",
        ),
        fewest=1,
        tell=pytest.fail,
    )
    assert [(h.name, *next_stamps(h, 1)) for h in histories] == [("n", "2024-02-29"), ("s", "2024-03-01")]


def test_rows_of_frames_are_named_as_rows() -> None:
    frame = {"t": ["2024-01-01T00:00Z", "2024-01-02T00:00"], "y": [1.0, 2.0]}
    with pytest.raises(DataError, match="row 2: t: got '2024-01-02T00:00'; expected an offset, as in row 1"):
        read_histories(frame, HistoryColumns(time="t", series="y"))


def test_series_of_pandas_have_their_own_stamps() -> None:
    pandas = pytest.importorskip("pandas")
    a, b = (
        pandas.Series(np.arange(5.0), index=pandas.date_range(first, periods=5), name=name)
        for first, name in (("2024-02-25", "a"), ("2024-03-01", "b"))
    )
    for data in ([a, b], {"a": a, "b": b}):
        histories = read_histories(data)
        assert [(h.name, *next_stamps(h, 1)) for h in histories] == [("a", "2024-03-01"), ("b", "2024-03-06")]
    with pytest.raises(InputError, match="series 'b': got no index of stamps"):
        read_histories({"a": a, "b": [1, 2, 3]})
    with pytest.raises(InputError, match="series names: got 'a'; expected each once"):
        read_histories([a, b, a])


@pytest.mark.parametrize("unit", ["ns", "us"])
def test_zones_of_tables_are_offsets(tmp_path: Path, unit: str) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    stamps = pandas.date_range("2024-03-30T22:00", periods=8, freq="h", tz="Europe/Berlin").as_unit(unit)
    frame = pandas.DataFrame({"ds": stamps, "y": np.arange(8.0)})
    frame.to_parquet(tmp_path / "a.parquet")
    for data in (frame, polars.from_pandas(frame), tmp_path / "a.parquet"):
        (history,) = read_histories(data, Y)
        assert (history.stamp(0), *next_stamps(history, 1)) == (
            "2024-03-30T22:00:00+01:00",
            "2024-03-31T07:00:00+02:00",
        )


@pytest.mark.parametrize(
    ("data", "names", "shapes"),
    [
        ([1, 2, 3], [""], [(3, 1)]),
        (np.ones(4), [""], [(4, 1)]),
        ([[1, 2, 3], [4, 5]], ["0", "1"], [(3, 1), (2, 1)]),
        (np.ones((2, 5)), ["0", "1"], [(5, 1), (5, 1)]),
        (np.array([[1, 2, np.nan], [3, 4, 5]]), ["0", "1"], [(2, 1), (3, 1)]),
        (np.ones((2, 5, 3)), ["0", "1"], [(5, 3), (5, 3)]),
        ({"x": [1, 2, 3], "y": [4, 5]}, ["x", "y"], [(3, 1), (2, 1)]),
        ({"x": [1, 2], "y": [4, 5]}, ["x", "y"], [(2, 1), (2, 1)]),
    ],
)
def test_values_alone_are_series(data: Any, names: list[str], shapes: list[tuple[int, int]]) -> None:
    histories = read_histories(data)
    assert [h.name for h in histories] == names
    assert [h.values.shape for h in histories] == shapes
    assert next_stamps(histories[0], 2) == ["1", "2"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([[1, 2], [3]], "series '1': got 1 value; expected 2 or more"),
        ([1.0, float("inf")], "values, step 2, channel 1: got inf; expected a finite number"),
        ([1.0, "many"], "values, step 2: got 'many'; expected a number"),
        ("nowhere.csv", "nowhere.csv"),
    ],
)
def test_values_that_are_none_are_refused(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_histories(data)


# ── histories and features ───────────────────────────────────────────────────────────────────────────────────────


def test_a_part_has_its_own_start_and_a_saved_history_is_the_same(read: Any) -> None:
    (histories, _) = read(promo(*NORTH), PROMO)
    part = histories[0].part(5, 8, 2)
    assert (part.stamp(0), part.known_horizon, part.past[:, 0].tolist()) == ("2024-03-01", 2, [2.5, 3, 3.5])
    arrays = {name: getattr(part, name) for name in ("values", "past", "future", "static")}
    again = History.from_dict(json.loads(json.dumps(part.to_dict())), **arrays)
    assert (again.to_dict(), next_stamps(again, 2)) == (part.to_dict(), next_stamps(part, 2))


def test_newer_rows_are_joined_by_their_stamps(read: Any) -> None:
    stamps, values = days("2024-02-25", 10), list(range(10))
    ((whole,), _) = read(table(stamps, y=values))
    ((first,), _) = read(table(stamps[:5], y=values[:5]))
    ((rest,), _) = read(table(stamps[6:], y=values[6:]), step=first.step, fewest=1)
    for joined in (first.joined(rest), rest.joined(first)):
        assert (joined.start, next_stamps(joined, 2)) == (whole.start, next_stamps(whole, 2))
        assert np.isnan(joined.values[:, 0]).tolist() == [k == 5 for k in range(10)]
        np.testing.assert_array_equal(np.delete(joined.values, 5), np.delete(whole.values, 5))
    ((one_row,), _) = read(table(stamps[5:6], y=[50]), step=first.step, fewest=1)
    assert first.joined(one_row).values[:, 0].tolist() == [0, 1, 2, 3, 4, 50]
    assert first.joined(rest).joined(one_row).values[5, 0] == 50
    (plain, more) = (read_histories(values)[0] for values in ([1, 2, 3], [4, 5]))
    assert plain.joined(more).values[:, 0].tolist() == [1, 2, 3, 4, 5]
    ((weekly,), _) = read(table(days("2024-02-25", 3, 7)))
    with pytest.raises(InputError, match="time: got '2024-02-25'; expected steps of 1 day from 2024-02-25"):
        first.joined(weekly)
    with pytest.raises(DataError, match="line 2: ds: got '2024-02-25'; expected numbers, as in training"):
        read(table(stamps), step=CalendarStep("number"))
    ((tenths,), _) = read(table(["5", "6"]), step=CalendarStep("number", 10, digits=1))
    assert next_stamps(tenths, 1) == ["7.0"]


def test_texts_of_covariates_are_columns_of_flags(read: Any) -> None:
    wind, kind = ["N", "S", "", "S", "NW", "N", "S"], ["big"] * 7
    text = table(days("2024-01-01", 7), wind=wind, kind=kind, y=[*range(6), ""])
    columns = HistoryColumns(time="ds", series="y", future=["wind"], static=["kind"])
    ((history,), _) = read(text, columns)
    assert (history.future_names, history.static_names) == (("wind=N", "wind=NW", "wind=S"), ("kind=big",))
    np.testing.assert_array_equal(history.future[:, 2], [0, 1, np.nan, 1, 0, 0, 1])
    assert history.static.tolist() == [1]
    categories = categories_of([*history.future_names, *history.static_names], ["wind", "kind"])
    ((part,), _) = read("\n".join(text.splitlines()[:4]), columns, categories=categories)
    assert part.future_names == history.future_names
    np.testing.assert_array_equal(part.future, history.future[:3])
    with pytest.raises(DataError, match="line 4: wind: got 'E'; expected one of 'N', 'NW', 'S', as in training"):
        read(text.replace("2024-01-03,3,", "2024-01-03,3,").replace(",,big", ",E,big"), columns, categories=categories)
    with pytest.raises(DataError, match="line 6: wind: got 'NW'; expected a number"):
        read(text.replace(",N,", ",1,").replace(",S,", ",2,"), columns)
    many = table(days("2024-01-01", 200), wind=[f"w{k}" for k in range(200)])
    with pytest.raises(DataError, match="line 102: wind: got 'w100'; expected 100 different texts or fewer"):
        read(many, columns=HistoryColumns(time="ds", series="y", past=["wind"]))


@pytest.mark.parametrize(
    ("step", "cycles"),
    [
        (CalendarStep("ns", 3600 * SECOND), "day week year"),
        (CalendarStep("ns", DAY), "week year"),
        (CalendarStep("weekday", weekdays="1111100"), "week year"),
        (CalendarStep("month", day=31), "year"),
        (CalendarStep("month", 12, day=1), ""),
        (CalendarStep("number"), ""),
    ],
    ids=str,
)
def test_calendar_features_are_those_that_the_step_shows(step: CalendarStep, cycles: str) -> None:
    start = int(np.datetime64("2024-01-01", "ns").astype(int))
    local = step.add(start, np.arange(500)) if step.duration else np.arange(500)
    names, values = calendar_features(local, step)
    assert {name.split()[0] for name in names} == set(cycles.split())
    assert values.shape == (500, len(names))
    assert np.abs(values).max(initial=0) <= 1


def test_calendar_features_repeat_with_their_cycle() -> None:
    start = int(np.datetime64("2023-01-01T06:00", "ns").astype(int))
    names, values = calendar_features(start + np.arange(24 * 730) * 3600 * SECOND, CalendarStep("ns", 3600 * SECOND))
    for cycle, hours in (("day", 24), ("week", 168)):
        columns = [k for k, name in enumerate(names) if name.startswith(cycle)]
        np.testing.assert_allclose(values[hours:, columns], values[:-hours, columns], atol=1e-9)
    assert values[0, names.index("day sin 1")] == pytest.approx(1)


def test_the_form_of_stamps_is_saved() -> None:
    form = StampForm("minute", clock="utc", offsets=((0, 3600), (7200 * SECOND, 7200)))
    again = StampForm.from_dict(json.loads(json.dumps(form.to_dict())))
    assert again == form
    assert [again.text(k * 3600 * SECOND) for k in range(3)] == [
        "1970-01-01T01:00+01:00",
        "1970-01-01T02:00+01:00",
        "1970-01-01T04:00+02:00",
    ]


# ── real files ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def inputs(real_data: Path) -> Path:
    folder = real_data.parent / "cases" / "inputs" / "forecast"
    if not folder.is_dir():
        pytest.skip(f"no inputs of forecasts: {folder} is absent")
    return folder


SHARED = {
    "month_end.csv": (Y, 36, 0, ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]),
    "offsets_spring.csv": (Y, 60, 0, [f"2024-03-31T{h}:00:00+02:00" for h in (13, 14, 15)]),
    "business_days.csv": (HistoryColumns(time="ds", series="close"), 50, 0, ["2024-03-11", "2024-03-12", "2024-03-13"]),
    "gap_days.csv": (Y, 88, 5, ["2024-03-29", "2024-03-30", "2024-03-31", "2024-04-01"]),
    "eight_ms.csv": (
        HistoryColumns(time="ds", series="mv"),
        60,
        0,
        [f"2024-06-01T12:00:00.{k}" for k in (480, 488, 496)],
    ),
    "integer_gaps.csv": (HistoryColumns(group="id", time="t", series="y"), 30, 4, ["31", "32", "33"]),
    "future_promo.csv": (
        HistoryColumns(group="shop", time="ds", series="sales", future=["promo"]),
        56,
        0,
        ["2024-03-28"],
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_shared_inputs_are_read_right(inputs: Path, name: str) -> None:
    columns, length, missing, following = SHARED[name]
    told: list[str] = []
    history = read_histories(inputs / name, columns, horizon=len(following), tell=told.append)[0]
    assert (len(history), int(np.isnan(history.values).sum())) == (length, missing)
    assert next_stamps(history, len(following)) == following
    assert any(f"{missing} of {length} steps missing" in text for text in told) == bool(missing)


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("autumn_twice.csv", Y, r"line 29: .*2024-10-27 02:00.*put back"),
        ("either_way.csv", Y, "day first.*month first.*YYYY-MM-DD"),
        ("future_hole.csv", SHARED["future_promo.csv"][0], "line 124: promo of series 'south' at 2024-03-31"),
        ("one_value.csv", HistoryColumns(group="id", time="t", series="y"), "line 42: series 'b': got 1 value"),
    ],
)
def test_shared_inputs_are_refused_right(inputs: Path, name: str, columns: HistoryColumns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_histories(inputs / name, columns, horizon=7)


def test_shared_tables_are_equal_in_any_order(inputs: Path) -> None:
    ordered, shuffled = (read_histories(inputs / f"{name}.csv", LONG) for name in ("sorted", "shuffled"))
    assert [(h.name, h.values.tobytes()) for h in ordered] == [(h.name, h.values.tobytes()) for h in shuffled]
    names = [history.name for history in read_histories(inputs / "ids.csv", LONG)]
    assert names == ["T1", "T2", "T11", "007", "7"]


def test_real_tables_are_read_without_a_word(real_data: Path) -> None:
    histories = read_histories(real_data / "m4_hourly" / "Hourly-train.csv", tell=lambda text: None)
    assert (len(histories), sum(map(len, histories)), histories[0].name) == (414, 353_500, "H1")
    (load,) = read_histories(real_data / "etth1" / "ETTh1.csv", tell=lambda text: None)
    assert (load.values.shape, str(load.step), load.stamp(len(load))) == ((17420, 7), "1 hour", "2018-06-26 20:00:00")
    steps = {}
    for file in sorted((real_data / "univariate_classics").glob("*.csv")):
        (history,) = read_histories(file, tell=lambda text: None)
        steps[file.stem] = (str(history.step), len(history), int(np.isnan(history.values).sum()))
    assert steps["airline-passengers"] == ("1 month", 144, 0)
    assert steps["daily-min-temperatures"] == ("1 day", 3652, 2)
