"""Time one push into a live session of a forecaster, from the value to the next horizon, and what it is made of.

    python benchmarks/push_forecasts.py                 # under a minute
    python benchmarks/push_forecasts.py --quick         # fewer pushes
    python benchmarks/push_forecasts.py --json          # one JSON object as the last line

The model is a ``rekur.Forecaster`` of a GRU with 64 hidden units, a look-back of 168 steps and a horizon of 24, saved
and loaded; the series has a season of 24 steps. *push* is ``Session.push``: the value is taken, the window is computed
anew, and its outputs become quantiles. *window* is the features' part of it, *network* the engine's, and *classify* a
push into a classifier of the same cell, in the same run. Each call is timed by itself. Before that, the forecast after
all values is checked against that of the whole series.
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
HEADS = ("µs", "median", "99 %")


def series() -> Any:
    """Return a series with a day in it, (T,)."""
    draw, hours = np.random.default_rng(0), np.arange(STEPS)
    return 50 + 20 * np.sin(hours * 2 * np.pi / 24) + draw.normal(0, 2, STEPS)


def calls(folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    values, draw = series(), np.random.default_rng(1)
    options: dict[str, Any] = {"cell": "gru", "hidden_size": HIDDEN, "epochs": 1, "baseline": False}
    network = rekur.Forecaster(horizon=HORIZON, lookback=LOOKBACK, stride=24, **options).fit([values])
    model: Any = rekur.load(network.save(folder / "forecast"), threads=1)
    session = model.stream()
    update = session.push(values[:-1].tolist())
    update = session.push(values[-1])
    whole = model.present([values])[0]
    np.testing.assert_allclose(update.tentative["forecast"], whole["forecast"], rtol=EXACT)
    (window,) = model.parts_to_predict(model._corpus([values], None)).items()
    inputs = model.features_.encode(window).inputs
    items = [draw.normal(size=(40, 1)) for _ in range(40)]
    classifier = rekur.Classifier(**options).fit(items, [number % 2 for number in range(40)])
    other, later = rekur.load(classifier.save(folder / "classify"), threads=1).stream(), iter(draw.normal(size=10**6))
    return {
        "push": lambda: session.push(50 + next(later)),
        "window": lambda: model.features_.encode(window),
        "network": lambda: model.engine.run([inputs["steps"]], [inputs["ahead"]]),
        "classify": lambda: other.push([next(later)]),
    }


def measure(folder: Path, repeats: int, clock: Clock) -> list[dict[str, Any]]:
    """Return a row for each call: its microseconds, the median and the 99th percentile."""
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
        median, late = np.percentile(1e6 * np.array(each), (50, 99)).tolist()
        rows.append({"section": "gru", "call": name, "us": {"median": median, "p99": late}, "calls": len(each)})
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
    lines = [[row["call"], *(f"{row['us'][name]:.1f}" for name in ("median", "p99"))] for row in report.rows]
    print_rows(f"a push with a window of {LOOKBACK} steps computed anew, GRU-{HIDDEN}, one thread", HEADS, lines)
    finish("push_forecasts", report, machine(options.threads, options.clock), options, began)


if __name__ == "__main__":
    main()
