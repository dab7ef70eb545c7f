"""Forecasters in C: what each value that is pushed gives, against a session; what is read, and what is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur import Forecaster
from rekur._calendar import CalendarStep, calendar_features
from rekur._history import History
from rekur.check import check_bundle, subject_of
from rekur.data.labelled import labelled
from rekur.errors import InputError, NotStreamableError, RekurError
from rekur.export.c import check, export_c, windows
from rekur.export.c.forecast_export import ForecastExport
from rekur.export.c.forecast_history import ends_of
from rekur.export.c.parts import assemble
from rekur.export.c.source import Style
from rekur.export.c.windows import Windows
from rekur.features.window_stream import Clock
from rekur.runtime import Bundle, model_of, read_bundle, write_quantised

pytestmark = [
    pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang"),
    pytest.mark.filterwarnings("ignore::rekur.errors.DataWarning"),
]
SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 5, "baseline": False}
DAYS = [f"{np.datetime64('2024-01-01') + k}" for k in range(160)]
MONTHS = [f"{np.datetime64('2010-01') + k}" for k in range(90)]
WORKING_DAYS = [f"{day}" for day in np.busday_offset(np.datetime64("2022-01-03"), np.arange(130))]
HOURS = [f"{np.datetime64('2024-03-29T00') + k + (k > 48)}:00+0{1 + (k > 48)}:00" for k in range(400)]
OF_SHOPS = {"group": "shop", "time": "day", "series": ["sales"], "future": ["promo"], "past": ["rain"]}


Saved = Callable[[str], Bundle]
Built = Callable[[str], tuple[Path, dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """A kind of forecaster, and what it is shown live.

    Attributes:
        fit: returns the model.
        events: what a session and main.c are told: the series, the event without it, and the line.
        words: arguments of main.c.
    """

    fit: Callable[[], Forecaster]
    events: Callable[[], Iterator[tuple[str, dict[str, Any], str]]]
    words: tuple[str, ...] = ()


def fitted(data: Any, columns: dict[str, Any] | None = None, **options: Any) -> Forecaster:
    return Forecaster(**SMALL, **options).fit(data, columns=columns)


def wave(length: int, period: int, seed: int = 0, below: bool = False) -> Any:
    rng = np.random.default_rng(seed)
    values = 5 + 2 * np.sin(np.arange(length) * 2 * np.pi / period) + rng.normal(0, 0.4, length)
    return values - 5 if below else values


def with_gaps(values: Any) -> Any:
    """Return values of which some are missing, also the first, one after the other, and the last."""
    changed = values.copy()
    changed[[0, 4, 5, 13, 30, 31, 32, 45, 46]] = np.nan
    return changed


def plain_lines(values: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    for value in values.tolist():
        yield "", {"value": None if value != value else value}, f"{value!r}"


def named_lines() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the values of three series in turn, two of them known from training."""
    series = {name: with_gaps(wave(60, 7, seed)) for seed, name in enumerate(("north", "south", "new"))}
    for step in range(60):
        for name, values in series.items():
            value = float(values[step])
            told = {"time": DAYS[step + 20], "value": None if value != value else value}
            if 20 < step < 24 and name == "south":
                continue  # steps that are left out are missing
            yield name, told, f"{name},{DAYS[step + 20]},{'' if value != value else repr(value)}"


def dated_lines(stamps: list[str], values: Any, *, left_out: tuple[int, ...] = ()) -> Any:
    for step, (stamp, value) in enumerate(zip(stamps, values.tolist(), strict=False)):
        if step not in left_out:
            yield "", {"time": stamp, "value": None if value != value else value}, f"{stamp} {value!r}"


def shops() -> dict[str, list[Any]]:
    rng, rows = (
        np.random.default_rng(1),
        {name: list[Any]() for name in ["shop", "day", "sales", "promo", "rain", "size", "region"]},
    )
    for shop, size, region in (("n", 40, "a"), ("s", 90, "b"), ("e", 60, "a")):
        for k, sales in enumerate(wave(100, 7, size)):
            promo, rain = int(rng.random() < 0.3), float("nan") if rng.random() < 0.1 else rng.exponential()
            row = (shop, DAYS[k], size * sales * (1 + promo / 2), promo, rain, size, region)
            for name, cell in zip(rows, row, strict=True):
                rows[name].append(cell)
    return rows


def shop_lines() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield steps of a shop with a promotion of which four steps ahead are known at first, then all, then a gap."""
    rng, sales = np.random.default_rng(2), with_gaps(wave(60, 7))
    promo = (rng.random(80) < 0.4).astype(float)
    promo[11] = np.nan
    rain = np.where(rng.random(60) < 0.2, np.nan, rng.exponential(size=60))
    for step, value in enumerate(sales.tolist()):
        ahead = promo[step : step + 8] if step >= 3 else promo[step : step + 1]
        cells = [None if cell != cell else float(cell) for cell in ahead]
        event = {"time": DAYS[step + 9], "value": None if value != value else value, "promo": cells}
        event |= {"rain": None if rain[step] != rain[step] else rain[step]}
        event |= {"size": 70, "region": "b"} if step == 0 else {}
        row = [DAYS[step + 9], 70, 0, 1, value, rain[step], *ahead]
        yield "", event, ",".join("NA" if cell != cell else str(cell) for cell in row)


CASES: dict[str, Case] = {
    "one series, not below 0": Case(
        lambda: fitted([wave(150, 12)], horizon=6, keep_history=False),
        lambda: plain_lines(np.concatenate([with_gaps(wave(70, 12)), np.zeros(30), np.full(30, np.nan), [3.0, 4.0]])),
    ),
    "many series, members, gaps": Case(
        lambda: fitted([with_gaps(wave(90, 7, k)) * (k + 1) for k in range(5)], horizon=7, members=2, cell="lstm"),
        lambda: plain_lines(with_gaps(wave(120, 7))),
    ),
    "a look-back alone, values below 0": Case(
        lambda: fitted([wave(90, 7, k, below=True).cumsum() for k in range(3)], horizon=4, lookback=8, cell="slstm"),
        lambda: plain_lines(with_gaps(wave(70, 7, 5, below=True).cumsum())),
    ),
    "columns with ridges of their own, calendar": Case(
        lambda: fitted(
            {"day": DAYS, "north": wave(160, 7), "south": wave(160, 7, 1) * 3},
            {"time": "day", "series": ["north", "south"]},
            horizon=14,
            calendar="yes",
        ),
        named_lines,
        ("series",),
    ),
    "columns beside the values": Case(
        lambda: fitted(shops(), {**OF_SHOPS, "static": ["size", "region"]}, horizon=7), shop_lines
    ),
    "months": Case(
        lambda: fitted({"at": MONTHS, "x": wave(90, 12, below=True)}, {"time": "at", "series": ["x"]}, calendar="yes"),
        lambda: dated_lines(MONTHS, with_gaps(wave(60, 12)), left_out=(20, 21)),
    ),
    "working days": Case(
        lambda: fitted(
            {"at": WORKING_DAYS, "x": wave(130, 5)}, {"time": "at", "series": ["x"]}, horizon=5, calendar="yes"
        ),
        lambda: dated_lines(WORKING_DAYS, with_gaps(wave(60, 5)), left_out=(20,)),
    ),
    "hours, with a change of the offset": Case(
        lambda: fitted({"at": HOURS, "x": wave(400, 24)}, {"time": "at", "series": ["x"]}, horizon=6, calendar="yes"),
        lambda: dated_lines(HOURS[20:], wave(60, 24)),
    ),
}


#: each of them takes a second or two
SLOW = ("a look-back alone, values below 0", "months", "working days", "hours, with a change of the offset")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Return what gives the bundle of a case, which is trained once."""
    root, known = tmp_path_factory.mktemp("forecasters"), dict[str, Bundle]()

    def bundle(name: str) -> Bundle:
        if name not in known:
            known[name] = read_bundle(CASES[name].fit().save(root / f"m{len(known)}"))
        return known[name]

    return bundle


@pytest.fixture(scope="module")
def built(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, dict[str, Any]]]:
    """Return what gives the program that the export of a case builds with its own Makefile, and the report."""
    root, known = tmp_path_factory.mktemp("exports"), dict[str, tuple[Path, dict[str, Any]]]()

    def program(name: str) -> tuple[Path, dict[str, Any]]:
        if name not in known:
            folder = root / f"c{len(known)}"
            report = export_c(saved(name), folder, name="model").report
            made = ["make", "-s", "CFLAGS=-O1"]
            assert subprocess.run(made, cwd=folder, capture_output=True, text=True, check=True).stderr == ""
            known[name] = folder / "model", report
        return known[name]

    return program


def said(binary: Path, lines: list[str], *words: str) -> list[dict[str, Any]]:
    told = "".join(f"{line}\n" for line in lines).encode()
    done = subprocess.run([str(binary), *words], input=told, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES])
def test_each_push_gives_what_a_session_gives(name: str, saved: Saved, built: Built) -> None:
    case, model = CASES[name], model_of(saved(name))
    events = list(case.events())
    binary, report = built(name)
    answers = said(binary, [line for *_, line in events], *case.words)
    session, forecasts = model.stream(), 0
    horizon: int = model.features_.horizon  # type: ignore[attr-defined]
    behind: dict[str, int] = {}
    for (series, event, _), answer in zip(events, answers, strict=True):
        wanted = session.push({"series": series, **event} if series else event).tentative
        behind[series] = behind.get(series, 0) + 1 if event["value"] is None else 0
        assert answer.get("series", "") == series
        if wanted is None or behind[series] >= horizon:  # then all of it has passed
            assert answer["forecast"] is None
            continue
        forecasts += 1
        ours, theirs = ([each["forecast"], *each["quantiles"].values()] for each in (answer, wanted))
        assert list(answer["quantiles"]) == list(wanted["quantiles"])
        size = float(np.ptp(theirs)) or 1.0
        np.testing.assert_allclose(np.array(ours) / size, np.array(theirs) / size, rtol=1e-5, atol=3e-6)
    assert forecasts > 30
    assert report["difference"] < 1e-5


def lines_behind(name: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return events behind the series that a bundle keeps, and their lines."""
    if name == "columns beside the values":
        ahead = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
        told = {"series": "s", "time": DAYS[102], "value": 300.0, "rain": None, "promo": ahead}
        return [told], [f"s,{DAYS[102]},90,0,1,300,NA,{','.join(map(str, ahead))}"]
    events: list[dict[str, Any]] = [
        {"series": "south", "time": "2024-06-10", "value": 17.0},
        {"series": "north", "time": "2024-06-09", "value": None},
        {"series": "north", "time": "2024-06-10", "value": 6.0},
    ]
    return events, ["south,2024-06-10,17", "north,2024-06-09,NA", "north,2024-06-10,6"]


@pytest.mark.parametrize("name", ["columns beside the values", "columns with ridges of their own, calendar"])
def test_it_goes_on_behind_the_series_of_training(name: str, saved: Saved, built: Built) -> None:
    binary, report = built(name)
    assert "history.csv" in report["files"]
    assert "`history.csv` holds the ends of" in (binary.parent / "README.md").read_text()
    events, lines = lines_behind(name)
    session = model_of(saved(name)).stream(continues=True)
    for event, answer in zip(events, said(binary, lines, "series", str(binary.parent / "history.csv")), strict=True):
        wanted = session.push(event).tentative
        assert answer["series"] == event["series"]
        np.testing.assert_allclose(answer["forecast"], wanted["forecast"], rtol=1e-5)
        np.testing.assert_allclose([*answer["quantiles"].values()], [*wanted["quantiles"].values()], rtol=1e-5)


def test_series_that_are_left_out_of_the_ends_are_counted(saved: Saved) -> None:
    model: Any = model_of(saved("many series, members, gaps"))
    whole = History("a", ("value",), np.arange(1.0, 9.0)[:, None])
    named = [replace(whole, name=name) for name in ("a", "b,c", "d" * 64, "e [f]", *map(str, range(70)))]
    ends = ends_of(Windows(model.features_, model.target_), named)
    assert (ends.series, ends.left_out) == (64, 10)
    assert "holds the ends of 64 training series, and not those of 10 more (at most 64," in ends.told()
    assert {line.split(",")[0] for line in ends.lines.splitlines()} == {"a", *map(str, range(63))}


@pytest.mark.parametrize(
    "options",
    [{"precision": "int8"}, pytest.param({"activations": "table"}, marks=pytest.mark.slow)],
    ids=["int8", "table"],
)
def test_fewer_bits(options: dict[str, Any], saved: Saved, tmp_path: Path) -> None:
    report = export_c(saved("many series, members, gaps"), tmp_path / "c", **options).report
    assert 0 < report["difference_of_rounding"] < 0.25
    assert report["difference"] < (1e-5 if "precision" in options else 1e-3)


@pytest.mark.slow
def test_a_bundle_in_int8(saved: Saved, tmp_path: Path) -> None:
    small = write_quantised(saved("many series, members, gaps"), tmp_path / "small", "int8")
    assert export_c(small, tmp_path / "c").report["difference"] < 1e-5


def test_offsets_and_values_below_0(saved: Saved) -> None:
    model: Any = model_of(saved("a look-back alone, values below 0"))
    target, program = model.target_, saved("a look-back alone, values below 0").program()
    target.offsets = np.random.default_rng(0).normal(0, 0.4, (len(target.levels), target.horizon))
    target.offsets[target.median] = 0
    for target.non_negative in (False, True):
        made = ForecastExport.of(*program, model.features_, target, Style("model"))
        assert made.differences(program, program, [])[0] < 1e-5


def test_what_differs_is_refused(saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "LARGEST_LOG", 0.01)
    with pytest.raises(RekurError, match="difference of the compiled code"):
        export_c(saved("one series, not below 0"), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_what_c_cannot_do_is_refused_by_name(saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = saved("columns with ridges of their own, calendar")
    with pytest.raises(InputError, match="got 'fixed'; expected 'exact' or 'table' for a model that"):
        export_c(bundle, tmp_path / "c", precision="int8", activations="fixed")
    with pytest.raises(InputError, match="expected at most 1000 bytes"):
        export_c(bundle, tmp_path / "c", flash=1000)
    clock: Any = Windows(model_of(bundle).features_, model_of(bundle).target_).clock  # type: ignore[arg-type]
    zoned = Clock(clock.step, type(clock.form)(zone="Europe/Paris", clock="utc"))
    monkeypatch.setattr(Windows, "clock", zoned)
    with pytest.raises(NotStreamableError, match="time zone of the calendar: got 'Europe/Paris'; expected one without"):
        export_c(bundle, tmp_path / "c")
    monkeypatch.undo()
    monkeypatch.setattr(windows, "MOST_NUMBERS", 100)
    with pytest.raises(InputError, match="expected at most 100, which a C compiler"):
        export_c(bundle, tmp_path / "c")


REFUSED = {
    "a,2024-01-01,1\na,2024-01-01,2": "line 2: got '2024-01-01'; expected the time of the next step",
    "a,yesterday,1": "line 1: got 'yesterday'; expected a time",
    "a,3024-Q1,1": "line 1: got '3024-Q1'; expected a time",
    "a,2024-13-01,1": "line 1: got '2024-13-01'; expected a time",
    "a,2024-01-01,x": "line 1: got 'x'; expected a number, or NA for one that is missing",
    "a,2024-01-01": "line 1: got 0 numbers; expected 1",
    "a,2024-01-01,1,2": "line 1: got 2 numbers; expected 1",
    "a,2024-01-01,1e40": "line 1: got 'a value that is too large'",
    f"{'a' * 99},2024-01-01,1": "expected few series with short names",
}


def test_bad_lines(built: Built) -> None:
    binary, _ = built("columns with ridges of their own, calendar")
    for lines, text in REFUSED.items():
        done = subprocess.run([str(binary), "series"], input=lines.encode(), capture_output=True, check=False)
        assert done.returncode == 2
        assert text in done.stderr.decode(), done.stderr
    for words, told in (
        (["data.csv"], "got 'data.csv'; expected lines"),
        (["series", "no.csv"], "got 'no.csv'; expected"),
    ):
        done = subprocess.run([str(binary), *words], input=b"", capture_output=True, check=False)
        assert (done.returncode, told in done.stderr.decode()) == (2, True)
    gap = said(binary, ["1700-01-01,1", "1700-01-02,2", "2255-01-01,3"])  # taken in a moment
    assert gap[-1]["forecast"] == [3.0] * 14
    assert said(binary, ["2024-01-01,1", "2024-01-02,2", "", "2023-01-01,1"])[-1] == {"forecast": None}


def test_the_check_of_a_bundle_runs_it(saved: Saved) -> None:
    bundle = saved("columns with ridges of their own, calendar")
    table = {"day": DAYS[:50], "north": wave(50, 7), "south": with_gaps(wave(50, 7))}
    corpus = labelled(table, None, "X", kind="windows", columns={"time": "day", "series": ["north", "south"]})
    for data in (None, corpus):
        subject = subject_of(bundle, data)
        findings = {finding.name: finding for finding in check_bundle(subject)}
        assert findings["C"].holds is True, findings["C"]
        assert findings["stream"].holds is (None if data is None else True), findings["stream"]
    _ = subject.whole
    subject.sequences[0].ahead[:] += 1
    assert {finding.name: finding.holds for finding in check_bundle(subject)}["C"] is False


def test_functions_in_double_precision(tmp_path: Path) -> None:
    names = ("long_exponential", "long_logarithm", "long_root", "inverse_sinh", "sine")
    code, _ = assemble([*names, "phase_of_year", "phase_of_week", "phase_of_day"], ["even"])
    calls = " ".join(f'printf("%.17g ", {name}(x));' for name in names)
    calls += " ".join(f'printf("%.17g ", phase_of_{cycle}((int64_t)(x * 1e15)));' for cycle in ("day", "week", "year"))
    main = f'int main(void) {{ double x; while (scanf("%lf", &x) == 1) {{ {calls} puts(""); }} return 0; }}\n'
    (tmp_path / "own.c").write_text(f"#include <stdint.h>\n#include <stdio.h>\n{code}\n{main}", encoding="utf-8")
    binary = check.build(tmp_path, ["own.c"], "own")
    x = np.concatenate([np.geomspace(1e-9, 600, 500), np.linspace(0, 600, 601)[1:]])
    lines = check.run(binary, " ".join(f"{value:.17g}" for value in x.tolist()).encode()).splitlines()
    ours = np.array([[float(value) for value in line.split()] for line in lines]).T
    right = [np.exp(x), np.log(x), np.sqrt(x), np.arcsinh(x), np.sin(2 * np.pi * (x % 1))]
    for computed, expected in zip(ours, right, strict=False):
        np.testing.assert_allclose(computed, expected, rtol=2e-13, atol=2e-15)
    step, stamps = CalendarStep("ns", 3600 * 10**9), (x * 1e15).astype(np.int64)
    sines = calendar_features(stamps, step)[1][:, [0, 4, 10]]
    np.testing.assert_allclose(np.sin(2 * np.pi * ours[5:]).T, sines, atol=1e-12)


def test_memory_is_what_is_stated(built: Built) -> None:
    binary, report = built("columns beside the values")
    folder = binary.parent
    readme = (folder / "README.md").read_text()
    assert f"| flash: constants | {report['constant_bytes']:,} bytes |" in readme
    compiled = [str(check.compiler()), "-std=c99", "-Os", "-c", "model.c", "-o", "model.o"]
    subprocess.run(compiled, cwd=folder, check=True)
    listed = subprocess.run(["size", "-A", "model.o"], cwd=folder, capture_output=True, text=True, check=True)
    sizes = {line.split()[0]: int(line.split()[1]) for line in listed.stdout.splitlines() if line.startswith(".")}
    assert report["buffer_bytes"] <= sizes[".bss"] <= report["buffer_bytes"] + 96
    constants = sum(size for name, size in sizes.items() if name.startswith((".rodata", ".data.rel.ro")))
    assert report["constant_bytes"] <= constants <= report["constant_bytes"] + 1500
