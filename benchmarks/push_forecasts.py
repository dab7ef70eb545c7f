"""Time one push into a live session of a forecaster, from the value to the next horizon, and what it is made of.

    python benchmarks/push_forecasts.py                 # under a minute
    python benchmarks/push_forecasts.py --quick         # fewer pushes
    python benchmarks/push_forecasts.py --json          # one JSON object as the last line

The models are ``rekur.Forecaster`` of a GRU with 64 hidden units and a horizon of 24, saved and loaded; the series has
a season of 24 steps. *push* is ``Session.push`` with a look-back of 168 steps: the value is taken, the window is
computed anew, and its outputs become quantiles. *usual* is the same with the look-back that is chosen, two seasons, and
with the errors of the plain forecasts at earlier origins; *dated* has a date with each value. Of *push*, *advance*
takes the value alone, *window* is the features' part and *network* the engine's; *whole* is the prediction of the same
series by ``present``. *classify* is a push into a classifier of the same cell, in the same run. Each call is timed by
itself, and they take turns. Before that, the forecast after all values is checked against that of the whole series.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rekur
from timing import CLOCKS, Clock, Progress, Report, finish, machine, print_rows, shared_options

SECTIONS = ("gru",)
ROUNDS = (10, 2)
LOOKBACK, HORIZON, HIDDEN, STEPS, CALLS = 168, 24, 64, 1000, 50
#: largest difference, as a share, of two forecasts that are to be equal
EXACT = 1e-6
HEADS = ("µs", "20 %", "median", "99 %", "median / classify")


def series() -> Any:
    """Return a series with a day in it, (T,)."""
    draw, hours = np.random.default_rng(0), np.arange(STEPS)
    return 50 + 20 * np.sin(hours * 2 * np.pi / 24) + draw.normal(0, 2, STEPS)


def session_of(folder: Path, dated: bool = False, **options: Any) -> Any:
    """Return a model and a live session behind all values of the series, whose forecast is that of the whole series."""
    values = series()
    start = np.datetime64("2024-01-01T00", "h")
    table = {"hour": [str(start + step) for step in range(STEPS)], "load": values.tolist()}
    columns = {"columns": {"time": "hour", "series": ["load"]}} if dated else {}
    how: dict[str, Any] = {"cell": "gru", "hidden_size": HIDDEN, "epochs": 1, "baseline": False, **options}
    network = rekur.Forecaster(horizon=HORIZON, stride=24, **how).fit(table if dated else [values], **columns)
    model: Any = rekur.load(network.save(folder), threads=1)
    session = model.stream()
    first = {"series": "load", "time": table["hour"][0]} if dated else {}
    session.push({**first, "value": values[:-1].tolist()})
    update = session.push(values[-1])
    whole = model.present(table if dated else [values])[0]
    np.testing.assert_allclose(update.tentative["forecast"], whole["forecast"], rtol=EXACT)
    return model, session


def calls(folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    values, draw = series(), np.random.default_rng(1)
    model, session = session_of(folder / "push", lookback=LOOKBACK)
    _, other = session_of(folder / "push_again", lookback=LOOKBACK)
    usual, dated = (session_of(folder / name, name == "dated")[1] for name in ("usual", "dated"))
    inputs, network = session._stream.finish().inputs, model.engine.live()
    items = [draw.normal(size=(40, 1)) for _ in range(40)]
    how: dict[str, Any] = {"cell": "gru", "hidden_size": HIDDEN, "epochs": 1, "baseline": False}
    classifier = rekur.Classifier(**how).fit(items, [number % 2 for number in range(40)])
    classify, later = (
        rekur.load(classifier.save(folder / "classify"), threads=1).stream(),
        iter(draw.normal(size=10**6)),
    )
    return {
        "push": lambda: session.push(50 + next(later)),
        "usual": lambda: usual.push(50 + next(later)),
        "dated": lambda: dated.push(50 + next(later)),
        "advance": lambda: other.advance(50 + next(later)),
        "window": session._stream.finish,
        "network": lambda: network.run(inputs["steps"], inputs["ahead"]) if network else None,
        "whole": lambda: model.present([values]),
        "classify": lambda: classify.push([next(later)]),
    }


def measure(folder: Path, repeats: int, clock: Clock) -> list[dict[str, Any]]:
    """Return a row for each call: its microseconds, the 20th and 99th percentile and the median."""
    made = calls(folder)
    taken: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(repeats):
        for name, call in made.items():
            for _ in range(CALLS):
                began = clock()
                call()
                taken[name].append(clock() - began)
    rows = []
    for name, each in taken.items():
        quick, median, late = np.percentile(1e6 * np.array(each), (20, 50, 99)).tolist()
        us = {"p20": quick, "median": median, "p99": late}
        ratio = median / (1e6 * float(np.median(taken["classify"])))
        rows.append({"section": "gru", "call": name, "us": us, "by_classify": ratio, "calls": len(each)})
    return rows


def main() -> None:
    """Measure, and print the table."""
    parser = shared_options(__doc__, SECTIONS, ROUNDS)
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    began, report, repeats = time.perf_counter(), Report(), options.repeats or ROUNDS[options.quick]
    progress = Progress(1, 20 + 0.2 * repeats)
    with tempfile.TemporaryDirectory() as folder:
        progress.next("forecasts")
        report.rows += measure(Path(folder), repeats, CLOCKS[options.clock])
    lines = [
        [row["call"], *(f"{row['us'][name]:.1f}" for name in ("p20", "median", "p99")), f"{row['by_classify']:.1f}"]
        for row in report.rows
    ]
    print_rows(f"a push with a window of {LOOKBACK} steps computed anew, GRU-{HIDDEN}, one thread", HEADS, lines)
    finish("push_forecasts", report, machine(options.threads, options.clock), options, began)


if __name__ == "__main__":
    main()
