"""Time what a saved model costs once it is trained, against the ways it could run elsewhere; print ratios.

    python benchmarks/ship.py                      # every section, some minutes
    python benchmarks/ship.py --quick              # under a minute
    python benchmarks/ship.py --only push,start    # some sections
    python benchmarks/ship.py --markdown PAGE      # fill in the table of docs/12-run-it-anywhere.md
    python benchmarks/ship.py --json               # one JSON object as the last line

- *agree*: the largest difference between the engine and the PyTorch model over every cell, whole sequences.
- *push*: one event pushed into a live session, from the raw event to the prediction: a saved GRU H64 that reads rows
  of numbers, characters or words. Rivals read the event with the same features and present the scores in the same
  way; in between they step the PyTorch model, or our ONNX step graph in ONNX Runtime.
- *step*: the same without reading and presenting: the model's part alone.
- *long*: a million pushes into one session: the time of the last ones against the first ones, and memory.
- *c*: a step of the exported C, compiled with -O3, against the engine's step.
- *int8*: what int8 saves and loses on models of three data sets, trained for a minute each, and on their step in ONNX
  Runtime; and a step of a GRU alone on the stepper with weights of 32, 16 and 8 bits.
- *start*: whole processes: ``rekur --help`` and ``rekur predict`` on a small model; ``import torch`` beside them.

Every rival's predictions are checked against the model's before anything is timed. Rivals take turns; every figure is
a median.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rekur
import ship_int8
from rekur.cells import CELLS
from rekur.lower import lower
from rekur.models import Batch, SequenceModel, SequenceSpec, build
from rekur.program import Engine
from rekur.runtime import Session
from ship_rivals import OnnxModel, TorchModel, c_step_seconds, why_no_c
from timing import (
    CLOCKS,
    Figure,
    Progress,
    Report,
    finish,
    machine,
    picked_sections,
    print_rows,
    shared_options,
    take_turns,
)

SECTIONS = ("agree", "push", "step", "long", "c", "int8", "start")
ROUNDS = (25, 7)
HIDDEN = 64
#: how far a rival's probabilities may be from the model's
EXACT = 1e-4


def words(count: int) -> tuple[list[str], list[int]]:
    """Return short reviews and their labels."""
    draw = np.random.default_rng(0)
    said = ("the plot was dull and slow", "a fine cast and a moving end", "noisy music", "so clever and so funny")
    texts = [" ".join(draw.choice(said, size=2)) for _ in range(count)]
    return texts, [n % 2 for n in range(count)]


def rows(count: int) -> tuple[list[np.ndarray[Any, Any]], list[int]]:
    """Return series of three channels and their labels."""
    draw = np.random.default_rng(0)
    return [draw.normal(size=(20, 3)) for _ in range(count)], [n % 2 for n in range(count)]


def save_models(folder: Path) -> dict[str, tuple[rekur.Classifier, Any]]:
    """Train and save a GRU H64 on each kind of input; return the model and an event, by name."""
    shared: dict[str, Any] = {"cell": "gru", "hidden_size": HIDDEN, "epochs": 1, "baseline": False}
    made = {
        "rows": (rekur.Classifier(pooling="last", **shared).fit(*rows(40)), [0.1, -0.4, 1.2]),
        "characters": (
            rekur.Classifier(pooling="last", kernel_size=0, feature_options={"tokens": "char"}, **shared).fit(
                *words(40)
            ),
            "a",
        ),
        "words": (rekur.Classifier(**shared).fit(*words(40)), "plot "),
    }
    for name, (model, _) in made.items():
        model.save(folder / name)
    return made


def agreement() -> dict[str, Any]:
    """Return the largest difference of each cell's engine to its PyTorch model."""
    draw = np.random.default_rng(0)
    found = {}
    for cell in CELLS:
        spec = SequenceSpec(discrete=False, input_size=5, output_size=4, cell=cell, hidden_size=32, pooling="last+mean")
        model: SequenceModel = build(spec, seed=0).eval()
        x = [draw.normal(size=(length, 5)).astype(np.float32) for length in (1, 7, 30, 100)]
        ours = Engine(*lower(model)).run(x)
        with torch.inference_mode():
            theirs = torch.cat([model(Batch.of(torch.from_numpy(one)[None], torch.tensor([len(one)])))[0] for one in x])
        found[cell] = float(np.abs(ours - theirs.numpy()).max())
    return {"section": "agree", "difference": found}


def rivals_of(model: rekur.Classifier, folder: Path, onnx: bool) -> dict[str, Session]:
    """Return live sessions of one model on each engine."""
    parts = (model.features_, model.target_)
    rivals = {"rekur": rekur.load(folder).stream(), "torch": Session(TorchModel(model.model_), *parts)}
    if onnx:
        rivals["onnx"] = Session(OnnxModel(folder), *parts)
    return rivals


def check(rivals: dict[str, Session], event: Any) -> None:
    """Raise unless all rivals say the same after some events."""
    for _ in range(5):
        said = {name: session.push(event).tentative.probability for name, session in rivals.items()}
        for name, value in said.items():
            assert abs(value - said["torch"]) < EXACT, f"{name}: {value} where the model says {said['torch']}"


def pushes(name: str, rivals: dict[str, Session], event: Any, given: argparse.Namespace, repeats: int) -> Any:
    """Return the row of one kind of input: microseconds from a raw event to a prediction."""
    check(rivals, event)
    runs: dict[str, Callable[[], object]] = {
        rival: lambda session=session: session.push(event) for rival, session in rivals.items()
    }
    with torch.inference_mode():
        timed = take_turns(runs, repeats=repeats, clock=CLOCKS[given.clock])
    return {"section": "push", "input": name, "us": {one: 1e6 * taken for one, taken in timed.seconds.items()}}


def steps(name: str, rivals: dict[str, Session], event: Any, given: argparse.Namespace, repeats: int) -> Any:
    """Return the row of one kind of input: microseconds of the model's part, a step and the scores after it."""
    taken = next(iter(rivals.values()))._features.stream().push(event)[:1]

    def run(session: Session) -> Callable[[], object]:
        live, none = session._model.live(), taken[:0]

        def once() -> None:
            live.advance(taken)
            live.scores(none)

        return once

    with torch.inference_mode():
        runs = {rival: run(session) for rival, session in rivals.items()}
        timed = take_turns(runs, repeats=repeats, clock=CLOCKS[given.clock])
    return {"section": "step", "input": name, "us": {one: 1e6 * took for one, took in timed.seconds.items()}}


def resident() -> int:
    """Return the pages of memory, of 4 KiB, that this process holds; 0 where there is no /proc."""
    table = Path("/proc/self/statm")
    return int(table.read_text(encoding="ascii").split()[1]) if table.exists() else 0


def long_session(folder: Path, event: Any, pushes: int) -> dict[str, Any]:
    """Return how long pushes take at the beginning and at the end of a long session, and by how much memory grows."""
    push = rekur.load(folder).stream().push
    taken, memory = [], []
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(pushes // 20):
            push(event)
        taken.append(20e6 * (time.perf_counter() - began) / pushes)
        memory.append(resident())
    first, last = (statistics.median(part) for part in (taken[:5], taken[-5:]))
    return {"section": "long", "pushes": pushes, "first_us": first, "last_us": last, "pages": memory[-1] - memory[1]}


def starts(folder: Path, repeats: int) -> dict[str, Any]:
    """Return the seconds of whole processes, of modules that are compiled, as pip leaves them."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    commands = {
        "--help": ["-m", "rekur", "--help"],
        "predict": ["-m", "rekur", "predict", str(folder), "--item", "a fine cast"],
        "import torch": ["-c", "import torch"],
    }

    def run(command: list[str]) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment)

    runs = {name: run(command) for name, command in commands.items()}
    timed = take_turns(runs, repeats=repeats, clock=time.perf_counter, burst=0.0)
    return {"section": "start", "seconds": timed.seconds}


def compiled(folder: Path, repeats: int, clock: str) -> dict[str, Any]:
    """Return microseconds of a step in C and on the engine, which take turns."""
    live = rekur.load(folder).engine.live()
    row = np.array([0.1, -0.4, 1.2], np.float32)

    def ours() -> None:
        live.step(row)
        live.read()

    taken: dict[str, list[float]] = {"engine": [], "c": []}
    for seconds in c_step_seconds(folder, turns=5):
        taken["engine"].append(take_turns({"engine": ours}, repeats=repeats, clock=CLOCKS[clock]).seconds["engine"])
        taken["c"].append(seconds)
    return {"section": "c", "us": {name: 1e6 * statistics.median(runs) for name, runs in taken.items()}}


def figures_of(report: Report) -> list[Figure]:
    """Return what was measured against what is to be reached."""
    found = []
    for row in report.of("agree"):
        worst = max(row["difference"], key=lambda cell: row["difference"][cell])
        found.append(Figure("engine - torch, times 1e5", 1e5 * row["difference"][worst], 1.0, False, f"worst: {worst}"))
    for section in ("push", "step"):
        for row in report.of(section):
            us, where = row["us"], f"GRU H{HIDDEN}, {row['input']}: {row['us']['rekur']:.1f} µs"
            found.append(Figure(f"{section}: torch / rekur", us["torch"] / us["rekur"], 15, note=where))
            ratio = us["onnx"] / us["rekur"] if "onnx" in us else None
            found.append(Figure(f"{section}: ONNX Runtime / rekur", ratio, 4, note=where))
    for row in report.of("long"):
        where = f"{row['pushes']:,} pushes of rows"
        found.append(Figure("last pushes / first pushes", row["last_us"] / row["first_us"], 1.1, False, where))
        found.append(Figure("MiB more at the end than early on", row["pages"] / 256, 1.0, False, where))
    for row in report.of("c"):
        found.append(Figure("C step / engine step", row["us"]["c"] / row["us"]["engine"], 2, False, "rows, -O3"))
    found += ship_int8.figures(report.of("int8"))
    for row in report.of("start"):
        found.append(Figure("seconds of rekur --help", row["seconds"]["--help"], 0.3, False))
        found.append(Figure("seconds of rekur predict", row["seconds"]["predict"], 0.5, False, "a model of words"))
    return found


def measure(given: argparse.Namespace, sections: list[str], report: Report, folder: Path) -> None:
    """Measure the sections."""
    repeats = given.repeats or ROUNDS[given.quick]
    onnx = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
    if not onnx:
        report.absent["ONNX Runtime"] = "onnx or onnxruntime is not installed"
    progress = Progress(len(sections), 20.0 * len(sections))
    made = save_models(folder)
    for section in sections:
        progress.next(section)
        if section == "agree":
            report.rows.append(agreement())
        elif section in ("push", "step"):
            for name, (model, event) in made.items():
                rivals = rivals_of(model, folder / name, onnx)
                how = pushes if section == "push" else steps
                report.rows.append(how(name, rivals, event, given, repeats))
        elif section == "long":
            report.rows.append(long_session(folder / "rows", made["rows"][1], 100_000 if given.quick else 1_000_000))
        elif section == "int8":
            report.rows += ship_int8.stepped(repeats)
            report.rows += ship_int8.quantised(folder, ship_int8.SECONDS[given.quick], repeats, onnx)
            if not report.of("int8"):
                report.absent["int8"] = f"no data in {ship_int8.root()}; set REKUR_DATA"
        elif section == "c":
            if why := why_no_c():
                report.absent["C"] = why
                continue
            report.rows.append(compiled(folder / "rows", repeats, given.clock))
        else:
            report.rows.append(starts(folder / "words", min(repeats, 9)))
    report.figures += figures_of(report)


def show(report: Report) -> None:
    """Print the tables."""
    for section, title in (("push", "µs from an event to a prediction"), ("step", "µs of the model's part")):
        if found := report.of(section):
            names = list(found[0]["us"])
            cells = [[row["input"], *(f"{row['us'][name]:.1f}" for name in names)] for row in found]
            print_rows(title, ["input", *names], cells)
    if found := report.of("stepper"):
        names = list(found[0]["us"])
        cells = [[f"GRU H{row['hidden']}", *(f"{row['us'][name]:.1f}" for name in names)] for row in found]
        print_rows("µs of a step on the stepper", ["cell", *names], cells)
    for row in report.of("start"):
        print_rows("whole processes", ["what", "s"], [[name, f"{took:.2f}"] for name, took in row["seconds"].items()])


def main() -> None:
    """Measure and print."""
    parser = shared_options(__doc__, SECTIONS, ROUNDS)
    parser.set_defaults(threads=1)
    given = parser.parse_args()
    sections = picked_sections(parser, given.only, SECTIONS)
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    began, report = time.perf_counter(), Report()
    with tempfile.TemporaryDirectory() as folder:
        measure(given, sections, report, Path(folder))
    show(report)
    finish("ship", report, machine(given.threads, given.clock), given, began)


if __name__ == "__main__":
    main()
