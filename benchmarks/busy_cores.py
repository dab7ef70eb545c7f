"""Measure training on idle and on busy processors, with the default threads and with each setting of OpenMP.

    python benchmarks/busy_cores.py [--quick] [--rounds N] [--only idle|busy] [--skip spinning] [--json]

Language models of 8, 64 and 256 hidden units are trained by the command line and from Python, where PyTorch was
imported first; alone, and beside one process for every processor that computes without end. Settings take turns: the
default, one thread (OMP_NUM_THREADS=1), threads that sleep as soon as they wait (OMP_WAIT_POLICY=passive), and threads
that spin as long as GNU OpenMP's own default lets them, busy or not (GOMP_SPINCOUNT=300000). What counts is the median
of the seconds that training took; the default is to take at most 1.25 times as long as the best setting. The time that
was announced before training is compared with the time that it took, as the worse ratio of the two.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rekur._kernels import processors
from timing import Figure, Progress, Report, finish, machine, print_rows

#: hidden units, and steps of training that take some seconds on two idle processors
STEPS = {8: 200, 64: 150, 256: 40}
SETTINGS: dict[str, dict[str, str]] = {
    "default": {},
    "one thread": {"OMP_NUM_THREADS": "1"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spinning": {"GOMP_SPINCOUNT": "300000"},
}
LOADS, WAYS = ("idle", "busy"), ("shell", "Python")
LIMIT = 1.25
#: trains from Python and prints what ``rekur fit language --json`` prints of it
SCRIPT = """
import json, sys
import torch, rekur
from rekur.train import Lines
path, hidden, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
model = rekur.LanguageModel(hidden_size=hidden, steps=steps)
model.fit_corpus(rekur.data.open_texts(path), None, reporter=Lines())
print(json.dumps({"seconds": model.result_.seconds}))
"""


@contextmanager
def load(count: int) -> Iterator[None]:
    """Keep so many processors busy inside a ``with`` block."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def write_text(path: Path) -> None:
    """Write 200,000 characters of made-up words."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 8))) for _ in range(800)]
    path.write_text(" ".join(draw.choices(words, k=34_000)), encoding="utf-8")


def announced_seconds(text: str) -> float | None:
    """Return the time in ``training takes about 1m09s and …``; None where none was announced."""
    match = re.search(r"training takes about (?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not match or not any(match.groups()):
        return None
    hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return 3600.0 * hours + 60.0 * minutes + seconds


def train(way: str, hidden: int, steps: int, setting: str, folder: Path) -> tuple[float, float | None]:
    """Return the seconds of one training, and those that were announced before it."""
    out = folder / "model"
    if way == "shell":
        options = ["--hidden-size", hidden, "--steps", steps, "--out", out, "--overwrite", "--json"]
        command = ["-m", "rekur", "fit", "language", folder / "text.txt", *options]
    else:
        command = ["-c", SCRIPT, folder / "text.txt", hidden, steps]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, command)],
        env=environment | SETTINGS[setting],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    printed = json.loads(done.stdout.splitlines()[-1])
    return float(printed["seconds"]), announced_seconds(done.stdout + done.stderr)


def measure(sizes: dict[int, int], rounds: int, loads: Sequence[str], settings: list[str]) -> list[dict[str, Any]]:
    """Return a row for each load, way and size; settings take turns in every round."""
    cases = [(state, way, hidden) for state in loads for way in WAYS for hidden in sizes]
    progress, rows = Progress(len(cases), 12.0 * len(cases) * rounds * len(settings)), []
    with tempfile.TemporaryDirectory() as folder:
        write_text(Path(folder) / "text.txt")
        for state, way, hidden in cases:
            progress.next(f"{state}, {way}, H {hidden}")
            taken: dict[str, list[float]] = {name: [] for name in settings}
            ratios = []
            with load(processors() if state == "busy" else 0):
                for number in range(rounds):
                    first = number % len(settings)
                    for name in settings[first:] + settings[:first]:
                        seconds, announced = train(way, hidden, sizes[hidden], name, Path(folder))
                        taken[name].append(seconds)
                        if name == "default" and announced:
                            ratios.append(max(announced / seconds, seconds / announced))
            medians = {name: statistics.median(values) for name, values in taken.items()}
            rows.append(
                {
                    "section": state,
                    "way": way,
                    "hidden": hidden,
                    "seconds": medians,
                    "all_seconds": taken,
                    "ratio": medians["default"] / min(medians.values()),
                    "announced": statistics.median(ratios) if ratios else None,
                }
            )
    return rows


def figures_of(rows: list[dict[str, Any]]) -> list[Figure]:
    """Return the worst ratio of each load, and of announced time to time taken."""
    figures = []
    for state in LOADS:
        part = [row for row in rows if row["section"] == state]
        if not part:
            continue
        worst = max(part, key=lambda row: row["ratio"])
        note = f"worst: {worst['way']}, H {worst['hidden']}"
        figures.append(Figure(f"default / best setting, {state}", worst["ratio"], LIMIT, False, note))
        told = [row for row in part if row["announced"]]
        if told:
            worst = max(told, key=lambda row: row["announced"])
            note = f"worst: {worst['way']}, H {worst['hidden']}"
            figures.append(Figure(f"announced time against time taken, {state}", worst["announced"], 2.0, False, note))
    return figures


def main() -> None:
    """Measure, print tables and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 hidden units, few steps")
    parser.add_argument("--rounds", type=int, help="5 by default, with --quick 1")
    parser.add_argument("--only", choices=LOADS, help="one load; both by default")
    parser.add_argument("--skip", nargs="*", choices=list(SETTINGS)[1:], default=[], help="settings that are not tried")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="fill in this script's table in a page")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    began = time.perf_counter()
    settings = [name for name in SETTINGS if name not in options.skip]
    rounds, loads = options.rounds or (1 if options.quick else 5), [options.only] if options.only else LOADS
    rows = measure({8: 40} if options.quick else STEPS, rounds, loads, settings)
    heads = ["load, way, hidden units", *settings, "default / best", "announced"]
    cells = (
        [
            f"{row['section']}, {row['way']}, H {row['hidden']}",
            *(f"{row['seconds'][name]:.1f} s" for name in settings),
            f"{row['ratio']:.2f}",
            "–" if row["announced"] is None else f"{row['announced']:.2f}",
        ]
        for row in rows
    )
    print_rows("Seconds of training, medians", heads, cells)
    report = Report(rows=rows, figures=figures_of(rows))
    finish("busy_cores", report, machine(processors(), "wall"), options, began)


if __name__ == "__main__":
    main()
