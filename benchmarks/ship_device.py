"""What a model costs on a small device, in each form of the C export: instructions, flash, RAM, and what it loses.

    python benchmarks/ship_device.py                    # some minutes
    python benchmarks/ship_device.py --quick            # models that are hardly trained
    python benchmarks/ship_device.py --markdown PAGE    # fill in the table of docs/12-run-it-anywhere.md
    python benchmarks/ship_device.py --json             # one JSON object as the last line

Two models are trained for a minute each, on data sets in $REKUR_DATA or ../shared/data beside the checkout: a GRU of
64 units behind a convolution, on letters, and an LSTM of 32 units, on words. Instructions are those of one step that
QEMU counts, at -O2 without a library of mathematics; microseconds those of a step on this machine at -O3. Accuracy is
that of the test part, read by main.c; answers that changed are those that differ from what float32 weights give. It
needs gcc, arm-none-eabi-gcc and qemu-system-arm.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import rekur
from rekur.export.c import export_c
from rekur.export.c.check import build, run
from rekur.runtime import read_bundle
from ship_int8 import DATA, Parts, part_of, root
from timing import Report, fill_in, finish, machine, print_rows, shared_options

FORMS: dict[str, dict[str, Any]] = {
    "float32": {},
    "int8": {"precision": "int8"},
    "int8, table": {"precision": "int8", "activations": "table"},
    "int8, fixed": {"precision": "int8", "activations": "fixed"},
}
#: seconds that each model is trained; with --quick
SECONDS = (60.0, 5.0)
CORES = {"Cortex-M3": "cortex-m3", "Cortex-M0": "cortex-m0"}
TOOLS = ("gcc", "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
BOARD = Path(__file__).parent / "board"
#: steps that are counted, and times that this machine takes them
COUNTED, TIMES = 16, 100_000


class Job(NamedTuple):
    """A model and what it is trained on."""

    name: str
    data: str
    column: str
    options: dict[str, Any]


#: words that fit into the flash of a small device
SMALL = {"feature_options": {"max_vocabulary": 6000}}
JOBS = (
    Job("GRU", "splice_dna", "sequence", {"cell": "gru", "hidden_size": 64}),
    Job("LSTM", "rt_polarity", "text", {"cell": "lstm", "hidden_size": 32, "embedding_size": 16, **SMALL}),
)

# the board's clock ticks 25 million times for each thousand million instructions that the emulator counts
_DEVICE = """#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "m.h"
#define AT(address) (*(volatile uint32_t *)(address))
static const int32_t steps[] = {%(steps)s};
static m_state state;
int main(void)
{
    static %(type)s output[M_OUTPUT];
    uint32_t before, between, after;
    int i;
    AT(0xE000E014) = 0xFFFFFF;
    AT(0xE000E018) = 0;
    AT(0xE000E010) = 5;
    m_init(&state);
    m_step(&state, steps[0]);
    before = AT(0xE000E018);
    for (i = 0; i < %(count)d; ++i) {
        m_step(&state, steps[i]);
    }
    between = AT(0xE000E018);
    %(read)s(&state, output);
    after = AT(0xE000E018);
    printf("%%u %%u\\n", (unsigned)((before - between) * 40 / %(count)d), (unsigned)((between - after) * 40));
    exit(0);
}
"""
_HOST = """#include <stdio.h>
#include <time.h>
#include "m.h"
static const int32_t steps[] = {%(steps)s};
int main(void)
{
    static m_state state;
    static float output[M_OUTPUT];
    long k;
    clock_t begun;
    m_init(&state);
    begun = clock();
    for (k = 0; k < %(times)d; ++k) {
        m_step(&state, steps[k %% %(count)d]);
    }
    m_read(&state, output);
    printf("%%.9g %%g\\n", (double)(clock() - begun) / (double)CLOCKS_PER_SEC / %(times)d, (double)output[0]);
    return 0;
}
"""


def trained(job: Job, folder: Path, seconds: float) -> Path:
    """Train and save a model."""
    parts = Parts(*(part_of(job.data, part, DATA[job.data]) for part in ("train", "valid", "test")))
    model = rekur.Classifier(time_limit=seconds, seed=0, baseline=False, **job.options)
    return Path(model.fit_corpus(parts.train, parts.valid).save(folder / job.name))


def instructions(folder: Path, core: str) -> tuple[int, int]:
    """Return the instructions of a step and of a reading of the scores on an emulated core."""
    built = [
        "arm-none-eabi-gcc",
        "-std=c99",
        f"-mcpu={core}",
        "-mthumb",
        "--specs=rdimon.specs",
        "-O2",
        "-nostartfiles",
    ]
    subprocess.run([*built, "-Tboard.ld", "start.c", "device.c", "m.c", "-o", "device.elf"], cwd=folder, check=True)
    board = ["qemu-system-arm", "-M", "mps2-an385", "-nographic", "-semihosting", "-icount", "shift=0"]
    done = subprocess.run([*board, "-kernel", "device.elf"], cwd=folder, check=True, capture_output=True, text=True)
    step, read = (int(number) for number in done.stdout.split())
    return step, read


def code_bytes(folder: Path, core: str) -> int:
    """Return the bytes of the functions of an export, compiled for size."""
    for_size = ["arm-none-eabi-gcc", "-std=c99", f"-mcpu={core}", "-mthumb", "-Os", "-c", "m.c"]
    subprocess.run(for_size, cwd=folder, check=True)
    told = subprocess.run(["arm-none-eabi-size", "-A", "m.o"], cwd=folder, check=True, capture_output=True, text=True)
    return sum(int(line.split()[1]) for line in told.stdout.splitlines() if line.startswith(".text"))


def answers(folder: Path, items: list[str]) -> list[str]:
    """Return the labels that the exported main.c gives."""
    subprocess.run(["make", "-s"], cwd=folder, check=True)
    given = "\n".join(items).encode() + b"\n"
    return [line.split("\t")[0] for line in run(folder / "m", given).splitlines()]


def measure(job: Job, bundle: Path, form: str, rounds: int) -> dict[str, Any]:
    """Return what one form of a model costs, and its answers on the test part."""
    with open(root() / job.data / "test.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    size = read_bundle(bundle).program()[0].input.size
    fixed = form.endswith("fixed")
    filled = {
        "steps": ", ".join(map(str, np.random.default_rng(0).integers(2, size, size=COUNTED))),
        "count": COUNTED,
        "times": TIMES,
        "type": "int32_t" if fixed else "float",
        "read": "m_scores" if fixed else "m_read",
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "c")
        report = export_c(bundle, folder, name="m", **FORMS[form]).report
        shutil.copytree(BOARD, folder, dirs_exist_ok=True)
        (folder / "device.c").write_text(_DEVICE % filled, encoding="utf-8")
        (folder / "host.c").write_text(_HOST % filled, encoding="utf-8")
        found = answers(folder, [row[job.column] for row in rows])
        host = build(folder, ["m.c", "host.c"], "host", flags=("-O3",))
        return {
            "section": "device",
            "model": job.name,
            "form": form,
            "instructions": {core: instructions(folder, cpu) for core, cpu in CORES.items()},
            "us": 1e6 * statistics.median(float(run(host, b"").split()[0]) for _ in range(rounds)),
            "flash": report["constant_bytes"] + code_bytes(folder, CORES["Cortex-M3"]),
            "state": report["state_bytes"],
            "buffer": report["buffer_bytes"],
            "difference": report["difference"],
            "accuracy": float(np.mean([a == row["label"] for a, row in zip(found, rows, strict=True)])),
            "answers": found,
        }


def lines_of(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return the table: a line for each model and quantity, a column for each form."""
    lines = []
    for job in JOBS:
        own = [row for row in rows if row["model"] == job.name]
        if not own:
            continue
        cells: dict[str, list[str]] = {}
        for core in CORES:
            cells[f"instructions of a step, {core}"] = [f"{row['instructions'][core][0]:,}" for row in own]
        cells["µs of a step, here, -O3"] = [f"{row['us']:.1f}" for row in own]
        cells["flash, constants and code of a Cortex-M3"] = [f"{row['flash']:,}" for row in own]
        cells["RAM, state"] = [f"{row['state']:,}" for row in own]
        cells["RAM, buffer"] = [f"{row['buffer']:,}" for row in own]
        cells["accuracy"] = [f"{row['accuracy']:.4f}" for row in own]
        changed = [sum(a != b for a, b in zip(row["answers"], own[0]["answers"], strict=True)) for row in own]
        cells[f"answers changed, of {len(own[0]['answers']):,}"] = [f"{count:,}" for count in changed]
        cells["largest difference of a score from the model's with such weights"] = [
            f"{row['difference']:.1e}" for row in own
        ]
        lines += [[f"{job.name}: {what}", *values] for what, values in cells.items()]
    return lines


def markdown(lines: list[list[str]]) -> str:
    """Return the table as the page has it."""
    heads = ["| | " + " | ".join(FORMS) + " |", "| --- |" + " ---: |" * len(FORMS)]
    return "\n".join([*heads, *("| " + " | ".join(line) + " |" for line in lines), ""])


def main() -> None:
    """Measure and print."""
    parser: argparse.ArgumentParser = shared_options(__doc__, ("device",), (5, 3))
    parser.set_defaults(threads=1)
    given = parser.parse_args()
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        sys.exit(f"tools: got none of {', '.join(missing)}; expected {', '.join(TOOLS)}. Install them.")
    if not root().is_dir():
        sys.exit(f"no data: {root()} is absent; set REKUR_DATA to the folder that holds the data sets")
    began, report = time.perf_counter(), Report()
    with tempfile.TemporaryDirectory() as folder:
        for job in JOBS:
            bundle = trained(job, Path(folder), SECONDS[given.quick])
            for form in FORMS:
                print(f"{job.name}, {form}", file=sys.stderr)
                report.rows.append(measure(job, bundle, form, given.repeats or (5, 3)[given.quick]))
    lines = lines_of(report.rows)
    print_rows("two models in C", ["", *FORMS], lines)
    if given.markdown:
        fill_in(given.markdown, "device", markdown(lines))
        given.markdown = None
    for row in report.rows:
        del row["answers"]
    finish("device", report, machine(given.threads, given.clock), given, began)


if __name__ == "__main__":
    main()
