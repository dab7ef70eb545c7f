"""Time one push into a live session, from the raw event to the prediction, beside the engine's step alone.

    python benchmarks/push_speed.py                     # ten small models, which it trains itself; two minutes
    python benchmarks/push_speed.py --quick             # fewer pushes
    python benchmarks/push_speed.py --only words        # one kind of input
    python benchmarks/push_speed.py --markdown PAGE     # fill in the table of docs/12-run-it-anywhere.md
    python benchmarks/push_speed.py --json              # one JSON object as the last line

Each model is a ``rekur.Classifier`` with its defaults but for the cell (LSTM, GRU) and 64 hidden units, saved and
loaded; *series* are read by the causal form of the convolutional network, five of them, without and with a ridge.
*push* is ``Session.push``: the event is read, the model takes a step, and its scores become a prediction. *step* is the
engine's step and its scores alone, without features and without a prediction. Every call is timed by itself, and the
two take turns. Before that, the prediction after all events is checked against that of the whole item.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import rekur
from timing import (
    CLOCKS,
    Clock,
    Progress,
    Report,
    fill_in,
    finish,
    machine,
    machine_words,
    picked_sections,
    print_rows,
    shared_options,
)

INPUTS = ("characters", "words", "rows", "symbols", "series")
ROUNDS = (40, 5)
HIDDEN, ITEMS, CALLS = 64, 40, 500
#: largest difference of two probabilities that are to be equal
EXACT = 1e-5
#: options of models by their name: of series, and of other inputs
CONVOLUTIONAL: dict[str, dict[str, Any]] = {
    "5 causal nets": {"causal": True, "branches": "net"},
    "5 causal nets and ridge": {"causal": True, "branches": "net,ridge"},
}
RECURRENT: dict[str, dict[str, Any]] = {
    "LSTM": {"cell": "lstm", "hidden_size": HIDDEN},
    "GRU": {"cell": "gru", "hidden_size": HIDDEN},
}
HEADS = ("model, input", "push", "99 %", "step", "99 %", "push / step")


class Case(NamedTuple):
    """Items to train on, options of the estimator, one item as raw events and as a whole, and pushes of a round."""

    items: list[Any]
    options: dict[str, Any]
    events: list[Any]
    whole: Any
    calls: int = CALLS


def cases() -> dict[str, Case]:
    """Return what is read, by name."""
    draw = np.random.default_rng(0)
    said = ["a", "fine", "cast", "and", "the", "plot", "was", "dull", "but", "never", "slow"]
    texts = [" ".join(draw.choice(said, size=12)) for _ in range(ITEMS)]
    rows = [draw.normal(size=(40, 3)) for _ in range(ITEMS)]
    codes = ["".join(draw.choice(list("ACGT"), size=40)) for _ in range(ITEMS)]
    series = [draw.normal(size=(150, 1)) for _ in range(ITEMS)]
    words = [f"{word} " for word in texts[0].split()]
    return {
        "characters": Case(texts, {"feature_options": {"tokens": "char"}}, list(texts[0]), texts[0]),
        "words": Case(texts, {"feature_options": {"tokens": "word"}}, words, "".join(words)),
        "rows": Case(rows, {"kind": "series"}, rows[0].tolist(), rows[0]),
        "symbols": Case(codes, {"kind": "symbols"}, list(codes[0]), codes[0]),
        "series": Case(series, {"kind": "series"}, series[0].tolist(), series[0], CALLS // 10),
    }


def times(call: Callable[[Any], object], inputs: list[Any], calls: int, clock: Clock) -> list[float]:
    """Return the seconds of each of some calls."""
    taken = []
    for number in range(calls):
        x = inputs[number % len(inputs)]
        began = clock()
        call(x)
        taken.append(clock() - began)
    return taken


def measure(
    name: str, kind: str, special: dict[str, Any], case: Case, folder: Path, repeats: int, clock: Clock
) -> dict[str, Any]:
    """Return the row of one model: microseconds of a push and of a step, the median and the 99th percentile."""
    options: dict[str, Any] = {"epochs": 1, "baseline": False, **special, **case.options}
    labels = [number % 2 for number in range(ITEMS)]
    model = rekur.load(rekur.Classifier(**options).fit(case.items, labels).save(folder / f"{name} {kind}"), threads=1)
    session = model.stream()
    live = [session.push(event).tentative.probabilities for event in case.events][-1]
    whole = model.present([case.whole])[0].probabilities
    error = max(abs(live[label] - whole[label]) for label in whole)
    assert error < EXACT, f"{name}, {kind}: live probabilities are off by {error:.1e}"
    steps = model.features_.transform(case.whole)
    inputs = steps.tolist() if model.features_.is_discrete else list(steps)
    engine = model.engine.live()

    def step(x: Any) -> None:
        engine.step(x)
        engine.read()

    taken: dict[str, list[float]] = {"push": [], "step": []}
    for _ in range(repeats):
        taken["push"] += times(session.push, case.events, case.calls, clock)
        taken["step"] += times(step, inputs, case.calls, clock)
    quantiles = {run: np.percentile(1e6 * np.array(each), (50, 99)).tolist() for run, each in taken.items()}
    us = {run: dict(zip(("median", "p99"), pair, strict=True)) for run, pair in quantiles.items()}
    return {"section": name, "model": kind, "us": us, "calls": repeats * case.calls, "error": error}


def cells_of(row: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    push, step = (row["us"][run] for run in ("push", "step"))
    numbers = [push["median"], push["p99"], step["median"], step["p99"], push["median"] / step["median"]]
    return [f"{row['model']}, {row['section']}", *(f"{number:.1f}" for number in numbers)]


def main() -> None:
    """Measure, print the table, and fill it in where asked for."""
    parser = shared_options(__doc__, INPUTS, ROUNDS)
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    names = picked_sections(parser, options.only, INPUTS)
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    began, report, repeats = time.perf_counter(), Report(), options.repeats or ROUNDS[options.quick]
    models = [(name, kind) for name in names for kind in (CONVOLUTIONAL if name == "series" else RECURRENT)]
    made, progress = cases(), Progress(len(models), (5 + 0.1 * repeats) * len(models))
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in models:
            progress.next(f"{kind}, {name}")
            special, clock = {**CONVOLUTIONAL, **RECURRENT}[kind], CLOCKS[options.clock]
            report.rows.append(measure(name, kind, special, made[name], Path(folder), repeats, clock))
    about, lines = machine(options.threads, options.clock), [cells_of(row) for row in report.rows]
    print_rows(
        f"µs of a push and of a step, one thread, medians of {repeats * CALLS // 10} calls and more", HEADS, lines
    )
    if options.markdown:
        table = [HEADS, ("---", *["---:"] * 5), *lines]
        text = "\n".join("| " + " | ".join(line) + " |" for line in table)
        fill_in(options.markdown, "push_speed", f"{text}\n\n{machine_words(about)}.\n")
        options.markdown = None
    finish("push_speed", report, about, options, began)


if __name__ == "__main__":
    main()
